//! The user's terminal: `peer attach` in a pty that script(1) makes.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{World, ended, killed, wait_until};

/// One step of the wheel up over the second column and row, as a terminal reports it (xterm's SGR mouse mode).
const WHEEL_UP: &[u8] = b"\x1b[<64;2;2M";

/// `peer` with these words on a terminal that script(1) makes, behind the shell commands `before`.
pub(crate) fn on_a_terminal(world: &World, before: &str, words: &str) -> Command {
    let peer = world.command(&[]);
    let line = format!("{before}exec '{}' {words}", peer.get_program().display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_clear().current_dir(world.work());
    script.envs(peer.get_envs().filter_map(|(key, value)| Some((key, value?)))).env("TERM", "xterm");
    script
}

/// A client that is attached until this is dropped.
pub(crate) struct Attached(Child);

impl Attached {
    /// Attaches to a peer's session, and waits until the runtime lists a client.
    #[track_caller]
    pub(crate) fn to(world: &World, name: &str) -> Self {
        Self::with(world, name, "")
    }

    /// Attaches like [`Attached::to`], with a terminal of this size.
    #[track_caller]
    pub(crate) fn sized(world: &World, name: &str, (columns, rows): (u16, u16)) -> Self {
        Self::with(world, name, &format!("stty cols {columns} rows {rows}; "))
    }

    /// Attaches like [`Attached::to`], in a terminal of this name.
    #[track_caller]
    pub(crate) fn of_terminal(world: &World, name: &str, term: &str) -> Self {
        Self::with(world, name, &format!("export TERM={term}; "))
    }

    /// Attaches for a moment with a terminal of this size, whether or not there is anything to attach to.
    pub(crate) fn for_a_moment(world: &World, name: &str, (columns, rows): (u16, u16)) {
        let mut attached = Self::begin(world, name, &format!("stty cols {columns} rows {rows}; "));
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end && attached.0.try_wait().expect("our child").is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Attaches, again if necessary: on a loaded machine a client of zellij 0.45.1 may miss the session or be cut off,
    /// and a user would type the command again.
    #[track_caller]
    fn with(world: &World, name: &str, before: &str) -> Self {
        let mut attached = Self::begin(world, name, before);
        wait_until("somebody is attached", || {
            if attached.0.try_wait().expect("our child").is_some() {
                attached = Self::begin(world, name, before);
            }
            attached.seen(world, name)
        });
        attached
    }

    /// Attaches once and does not wait, as a user does it.
    #[track_caller]
    pub(crate) fn once(world: &World, name: &str) -> Self {
        Self::begin(world, name, "")
    }

    /// Waits until the client has ended, and returns its exit code.
    #[track_caller]
    pub(crate) fn end(mut self) -> Option<i32> {
        ended(&mut self.0).code()
    }

    /// Presses keys.
    #[track_caller]
    pub(crate) fn types(&mut self, keys: &[u8]) {
        let stdin = self.0.stdin.as_mut().expect("piped");
        stdin.write_all(keys).and_then(|()| stdin.flush()).expect("script(1) reads");
    }

    fn begin(world: &World, name: &str, before: &str) -> Self {
        let mut script = on_a_terminal(world, before, &format!("attach {name}"));
        let child = script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script(1)");
        Self(child)
    }

    /// Whether the runtime lists a client.
    pub(crate) fn seen(&self, world: &World, name: &str) -> bool {
        is_attached(world, name)
    }

    /// Turns the wheel up this many times.
    #[track_caller]
    pub(crate) fn scroll_up(&mut self, times: usize) {
        self.types(&WHEEL_UP.repeat(times));
    }

    /// Closes the terminal, and waits until the runtime lists no client.
    #[track_caller]
    pub(crate) fn close(self, world: &World, name: &str) {
        drop(self);
        wait_until("nobody is attached", || !is_attached(world, name));
    }
}

/// Asks without a client of ours: one that comes together with the user's may cut that one off (zellij 0.45.1).
fn is_attached(world: &World, name: &str) -> bool {
    world.clients(&world.place(name)) > 0
}

impl Drop for Attached {
    fn drop(&mut self) {
        killed(&mut self.0);
    }
}

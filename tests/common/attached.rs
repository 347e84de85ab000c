//! A person's terminal: `tmux attach` under a pty that script(1) makes.

use std::process::{Child, Command, Stdio};

use super::{World, wait_until};

/// A client that is attached until this is dropped.
pub struct Attached(Child);

impl Attached {
    #[track_caller]
    /// Attaches to a session of this world's own tmux server, and waits until it has.
    pub fn to(world: &World, session: &str) -> Self {
        let line = format!("tmux -S {} attach -t ={session}", world.socket().display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env_remove("TMUX");
        let child = script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script(1)");
        let attached = Self(child);
        wait_until("somebody is attached", || world.tmux(&["list-clients"]).contains(session));
        attached
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

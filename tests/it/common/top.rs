//! `peer top` in a real terminal: a pane of a tmux server that is not the fleet's.

use std::time::{Duration, Instant};

use super::{PATIENCE, World};

/// `peer top` in a pane of a separate tmux server, started by a shell that prints how it ended.
pub(crate) struct Top<'a> {
    world: &'a World,
    /// The pane's id on the server of the test's terminal.
    pub(crate) pane: String,
}

impl<'a> Top<'a> {
    /// Starts `peer top` in a terminal of this size, with five refreshes a second.
    #[track_caller]
    pub(crate) fn start(world: &'a World, width: &str, height: &str) -> Self {
        Self::start_with(world, width, height, "-u NO_COLOR")
    }

    /// Starts it with more arguments for env(1).
    #[track_caller]
    pub(crate) fn start_with(world: &'a World, width: &str, height: &str, env: &str) -> Self {
        let script = format!(
            "echo before; env -u TMUX {env} TERM=screen-256color HOME={} PEER_STATE_DIR={} PEER_CONFIG_DIR={} '{}' top --every 200ms; \
             echo \"[code $?]\"; stty -a | grep -o -e ' echo ' -e ' icanon '; exec cat",
            world.path("home").display(),
            world.path("state").display(),
            world.path("config").display(),
            env!("CARGO_BIN_EXE_peer")
        );
        let argv =
            ["-f/dev/null", "new-session", "-dP", "-F#{pane_id}", "-x", width, "-y", height, "sh", "-c", &script];
        let pane = world.tmux_on(&world.path("s-look"), &argv).trim().to_owned();
        let top = Self::on(world, pane);
        top.until("the view", |screen| screen.contains("peer top  "));
        top
    }

    /// Uses a pane that exists already.
    pub(crate) fn on(world: &'a World, pane: String) -> Self {
        Self { world, pane }
    }

    /// Runs tmux against the server of that terminal.
    pub(crate) fn tmux(&self, args: &[&str]) -> String {
        self.world.tmux_on(&self.world.path("s-look"), args)
    }

    /// What the terminal shows.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", &self.pane])
    }

    /// Pastes a text: marked as a paste if the program requested that, or as if each key of it were pressed.
    pub(crate) fn paste(&self, text: &str, marked: bool) {
        self.tmux(&["set-buffer", "-b", "test", text]);
        let how = if marked { "-dpb" } else { "-db" };
        assert_eq!(self.tmux(&["paste-buffer", how, "test", "-t", &self.pane]), "");
    }

    /// Presses keys, by tmux's names.
    pub(crate) fn press(&self, keys: &[&str]) {
        assert_eq!(self.tmux(&[&["send-keys", "-t", &self.pane], keys].concat()), "");
    }

    /// Lets the time pass in which a user sees what is asked: a key before that answers nothing.
    pub(crate) fn look(&self) {
        std::thread::sleep(Duration::from_millis(500));
        assert!(!self.screen().is_empty());
    }

    /// The process of `peer top`.
    pub(crate) fn pid(&self) -> u32 {
        let shell = self.tmux(&["display-message", "-p", "-t", &self.pane, "#{pane_pid}"]);
        let children = peer_adapters::process::children(shell.trim().parse().expect("a pid")).expect("/proc");
        children.first().expect("top").id.pid
    }

    /// Waits until the screen satisfies `holds`, and returns it.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let asked = Instant::now();
            let screen = self.screen();
            if holds(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}; the screen:\n{screen}");
            std::thread::sleep(asked.elapsed().max(Duration::from_millis(5)));
        }
    }

    /// The row of a peer in the fleet.
    pub(crate) fn row(screen: &str, name: &str) -> Option<String> {
        screen.lines().find(|line| line.get(2..).is_some_and(|line| line.starts_with(name))).map(str::to_owned)
    }

    /// Waits until the row of a peer contains this text.
    #[track_caller]
    pub(crate) fn until_row(&self, name: &str, text: &str) -> String {
        self.until(&format!("{name} to say {text}"), |screen| {
            Self::row(screen, name).is_some_and(|row| row.contains(text))
        })
    }

    /// Asserts that the terminal is the shell's again: its own screen, a cursor, echo and line mode.
    #[track_caller]
    pub(crate) fn assert_given_back(&self, code: &str) {
        let screen = self.until("the shell", |screen| screen.contains("[code "));
        assert!(screen.starts_with("before\n") && screen.contains(code), "{screen}");
        self.until("stty", |screen| screen.contains("icanon") && screen.contains(" echo"));
        let state = self.tmux(&["display-message", "-p", "-t", &self.pane, "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(state.trim(), "0 1");
    }
}

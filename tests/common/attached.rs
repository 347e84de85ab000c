//! A person's terminal: `peer attach` under a pty that script(1) makes.

use std::process::{Child, Command, Stdio};

use super::{World, wait_until};

/// A client that is attached until this is dropped.
pub struct Attached(Child);

impl Attached {
    /// Attaches to a peer's session, and waits until its runtime says that somebody is.
    #[track_caller]
    pub fn to(world: &World, name: &str) -> Self {
        let peer = world.command(&["attach", name]);
        let line = format!("exec {} attach {name}", peer.get_program().display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env_clear().current_dir(world.work());
        script.envs(peer.get_envs().filter_map(|(key, value)| Some((key, value?)))).env("TERM", "xterm");
        let child = script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script(1)");
        let attached = Self(child);
        wait_until("somebody is attached", || attached.seen(world, name));
        attached
    }

    /// Whether somebody is attached, as the runtime says.
    pub fn seen(&self, world: &World, name: &str) -> bool {
        world.peer(&["status", name, "--json"]).json()["session"]["attached"].as_u64() > Some(0)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

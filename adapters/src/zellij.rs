//! The zellij runtime, for the versions in [`crate::version`].
//!
//! Each session has its own server process, in its own directory ([`Zellij::server_dir`]). Whatever the kernel knows is
//! not queried from zellij: whether the server and the pane's process are alive, how many clients are attached, when
//! the pane last produced output. So a listing starts no process, and a hung session blocks no caller. zellij itself,
//! through its own client, is only asked to create a session, show a screen, take input and end; that it has ended is
//! again checked with the kernel.

mod argv;
mod client;
mod create;
mod errors;
mod facts;
mod home;
mod input;
mod keys;
mod left;
mod look;
mod place;
mod record;
mod remove;
mod room;
mod rows;
mod shown;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use self::argv::PANE;
use self::client::{failed, not_seen, server_gone, unclear, unreachable};
pub(crate) use self::facts::FACTS;
use self::home::Home;
use self::look::{Observation, Up};
use self::shown::BottomCache;
use self::table::Table;
use crate::command::Argv;
use crate::process::{self, ProcessId};
use crate::runtime::{
    AttachMode, Capture, Created, Key, Listing, NewSession, Runtime, RuntimeError, RuntimeKind, SessionRow, Size,
    Target,
};
use crate::version::Versions;

/// The poll interval for conditions. A check costs some tens of microseconds.
const POLL: Duration = Duration::from_millis(4);

/// zellij as a [`Runtime`].
///
/// The caller holds its own lock per session while it creates or removes it: zellij runs both commands when two clients
/// create one session at once (0.45.1: seen).
#[derive(Clone, Debug)]
pub struct Zellij {
    binary: PathBuf,
    deadline: Duration,
    bottoms: BottomCache,
    versions: Versions,
}

/// Parses the first line of `subscribe --format json` for our pane: returns the lines above the screen and the rows of
/// the screen.
///
/// # Errors
/// It belongs to another pane, reports that ours is closed, or cannot be parsed.
pub fn read_update(line: &[u8], target: &Target) -> Result<(Vec<String>, Vec<String>), RuntimeError> {
    shown::parse(line, target)
}

/// Returns `true` if our pane is in the output of `list-panes --json`.
///
/// # Errors
/// The output is not such a list.
pub fn lists_our_pane(printed: &[u8]) -> Result<bool, RuntimeError> {
    client::lists_our_pane(printed)
}

/// Returns these lines cut to a terminal's width as rows, and the newest `most` of them wrapped to that width.
pub fn fitted(lines: &[String], columns: usize, most: usize) -> (Vec<&str>, Vec<String>) {
    (lines.iter().map(|row| rows::cut(row, columns)).collect(), rows::wrapped(lines, Some(columns), most))
}

impl Zellij {
    /// Creates the runtime with the executable `binary`, whose every answer is awaited for `deadline` at most.
    pub fn new(binary: PathBuf, deadline: Duration) -> Self {
        Self { binary, deadline, bottoms: BottomCache::default(), versions: Versions::new(None, deadline) }
    }

    /// Replaces the cache of executables' versions.
    #[must_use]
    pub fn with_versions(self, versions: Versions) -> Self {
        Self { versions, ..self }
    }

    /// Returns a copy with an executable that speaks the server's protocol: the server's own if ours does not.
    async fn with_compatible_client(&self, server: ProcessId) -> Result<Self, RuntimeError> {
        let binary = self.versions.client(RuntimeKind::Zellij, &self.binary, server).await?;
        Ok(Self { binary, ..self.clone() })
    }

    /// Chooses a directory for a new session: below `base` if the socket's path fits (107 bytes on Linux, of which
    /// zellij takes 20 and the session's name), else below `$XDG_RUNTIME_DIR/peer`, else below `/tmp/peer-UID`.
    ///
    /// The caller must record it, because the choice depends on the environment. Creates nothing.
    ///
    /// # Errors
    /// The session's name is too long for any of them; shorten it.
    pub fn server_dir(base: &Path, session: &str) -> Result<PathBuf, RuntimeError> {
        let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR");
        place::choose(base, runtime_dir.as_deref(), session)
            .ok_or_else(|| failed("attach", format!("no socket path for a session named {session:?} is short enough")))
    }

    /// Lists the session directories of `base`, wherever [`Zellij::server_dir`] may have put them. This includes
    /// unrecorded ones and, in the fallback directories, those of other bases. Reads up to three directories; starts
    /// nothing.
    ///
    /// # Errors
    /// A directory exists and cannot be read: it is unknown which sessions there are.
    pub fn server_dirs(base: &Path) -> Result<Vec<PathBuf>, RuntimeError> {
        let mut dirs = Vec::new();
        for parent in place::parents(base, std::env::var_os("XDG_RUNTIME_DIR").as_deref()) {
            let not_read = |error: std::io::Error| not_seen(&Home::at(&parent), "list", &error);
            let entries = match std::fs::read_dir(&parent) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(not_read(error)),
            };
            for entry in entries {
                dirs.push(entry.map_err(not_read)?.path());
            }
        }
        dirs.retain(|dir| home::is_complete(dir));
        Ok(dirs)
    }

    /// Deletes the files of a session that is known to be gone but cannot be checked from here: it belonged to another
    /// machine, or to a container that no longer exists. Ends nothing.
    ///
    /// # Errors
    /// The directory contains something that is neither zellij's nor ours, or cannot be deleted.
    pub fn discard(server: &Path) -> Result<(), RuntimeError> {
        let home = Home::at(server);
        home.delete().map_err(|error| not_seen(&home, "remove", &error))
    }

    /// Returns `true` if there is a socket in the session directory `server`, whatever its name and listener. Also
    /// `true` if this is unknown.
    pub fn has_socket(server: &Path) -> bool {
        match std::fs::read_dir(Home::at(server).sockets()) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        }
    }

    /// Deletes what creations of sessions of `base` left behind that were killed before they had started anything. Best
    /// effort: the next creation does the same.
    pub fn sweep_drafts(base: &Path) {
        for parent in place::parents(base, std::env::var_os("XDG_RUNTIME_DIR").as_deref()) {
            let _ = home::sweep_drafts(&parent);
        }
    }

    /// Returns the tag of the session in `server`, if one is known; starts nothing.
    pub fn tag_of(server: &Path) -> Option<String> {
        let home = Home::at(server);
        // A tick asks for every directory, also for those of other fleets; few need the table of sockets.
        let record = home.read().ok().flatten();
        record.or_else(|| look::known(&home, &Table::read()).ok().flatten()).map(|record| record.tag)
    }

    /// Returns `true` if the process is the server of the session in `server`, according to its arguments; `false` in
    /// doubt.
    pub fn is_server(server: &Path, session: &str, process: ProcessId) -> bool {
        look::is_server_of(process, &Home::at(server).socket(session))
    }

    /// Returns the session that `target` means, if its server listens, and how clients reach it.
    fn up(target: &Target, verb: &str) -> Result<(Home, Up), RuntimeError> {
        let home = Home::at(&target.server);
        let no_session = |detail| RuntimeError::NoSuchSession {
            runtime: RuntimeKind::Zellij,
            session: target.session.clone(),
            detail,
        };
        let seen = |error: std::io::Error| not_seen(&home, verb, &error);
        let up = match look::look(&home).map_err(seen)? {
            Observation::Up(up) => up,
            Observation::Unreachable(_, server) => return Err(unreachable(&home, server)),
            Observation::Gone(gone) => {
                return Err(match target.server_process {
                    Some(server) if process::find(server).map_err(seen)?.is_some() => unreachable(&home, server),
                    _ => server_gone(&home, gone),
                });
            }
            Observation::Unclear(why) => return Err(unclear(&home, why)),
        };
        if up.record.session != target.session {
            return Err(no_session(format!("{} hosts {:?}", home.dir().display(), up.record.session)));
        }
        if up.record.closed {
            return Err(no_session(format!("its pane {PANE} is closed")));
        }
        if let Some(recorded) = target.server_process.filter(|recorded| *recorded != up.server) {
            return Err(RuntimeError::OtherServer {
                runtime: RuntimeKind::Zellij,
                server: target.server.clone(),
                recorded,
                found: up.server,
            });
        }
        Ok((home.known_as(up.name.clone()), up))
    }
}

#[async_trait]
impl Runtime for Zellij {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Zellij
    }

    async fn version(&self) -> Result<String, RuntimeError> {
        self.versions.usable(RuntimeKind::Zellij, &self.binary).await
    }

    async fn create(&self, new: &NewSession) -> Result<Created, RuntimeError> {
        self.create_session(new).await
    }

    async fn list(&self, server: &Path) -> Result<Listing, RuntimeError> {
        listing(server, &Table::read())
    }

    /// Reads the kernel's table once: it has lines for all sessions, and for all other sockets.
    async fn list_all(&self, servers: &[&Path]) -> Vec<Result<Listing, RuntimeError>> {
        let table = Table::read();
        servers.iter().map(|server| listing(server, &table)).collect()
    }

    async fn capture(&self, target: &Target, how: Capture) -> Result<String, RuntimeError> {
        self.shown(target, how).await
    }

    async fn show_bottom(&self, target: &Target) -> Result<(), RuntimeError> {
        self.show_bottom(target).await
    }

    async fn lay_out_again(&self, target: &Target) -> Result<(), RuntimeError> {
        self.lay_out_again(target).await
    }

    async fn resize(&self, target: &Target, size: Size) -> Result<(), RuntimeError> {
        self.make_room(target, size).await
    }

    async fn paste(&self, target: &Target, text: &str) -> Result<(), RuntimeError> {
        self.paste_text(target, text).await
    }

    async fn press(&self, target: &Target, keys: &[Key]) -> Result<(), RuntimeError> {
        self.press_keys(target, keys).await
    }

    async fn remove(&self, target: &Target) -> Result<(), RuntimeError> {
        self.clear(&Home::at(&target.server), &target.session, target.server_process).await
    }

    async fn sweep(&self, server: &Path) -> Result<bool, RuntimeError> {
        self.sweep_directory(server).await
    }

    async fn discard_failed_create(&self, server: &Path, session: &str) -> Result<(), RuntimeError> {
        self.clear(&Home::at(server), session, None).await
    }

    async fn attach(&self, target: &Target, how: AttachMode) -> Result<Argv, RuntimeError> {
        let binary = match target.server_process {
            Some(server) => self.versions.client(RuntimeKind::Zellij, &self.binary, server).await?,
            None => self.binary.clone(),
        };
        // If this is unknown, the client reports it on the user's own terminal.
        let home = Self::up(target, "attach").map_or_else(|_| Home::at(&target.server), |(home, _)| home);
        if how.inside {
            // A server is one session: a client inside it is already there, and only the focus may be on another pane.
            return Ok(argv::action(&binary, &home, &target.session, "focus-pane-id").arg(PANE));
        }
        let verb = if how.read_only { "watch" } else { "attach" };
        Ok(argv::client(&binary, &home).args([verb, home.name_of(&target.session)]))
    }

    fn leave(&self, target: &Target, read_only: bool) -> &'static str {
        if read_only { "C-c" } else { Home::at(&target.server).leave() }
    }
}

fn listing(server: &Path, table: &Table) -> Result<Listing, RuntimeError> {
    let home = Home::at(server);
    match look::look_by(&home, table).map_err(|error| not_seen(&home, "list", &error))? {
        // A session without our pane contains only the user's own panes.
        Observation::Up(up) if up.record.closed || up.pane_closed => {
            Ok(Listing::Up { server: up.server, rows: Vec::new() })
        }
        Observation::Up(up) => Ok(Listing::Up { server: up.server, rows: vec![row(up)] }),
        Observation::Gone(gone) => Ok(Listing::Gone(gone)),
        Observation::Unreachable(record, server) if record.closed => Ok(Listing::Up { server, rows: Vec::new() }),
        Observation::Unreachable(_, server) => Err(unreachable(&home, server)),
        Observation::Unclear(why) => Err(unclear(&home, why)),
    }
}

fn row(up: Up) -> SessionRow {
    SessionRow {
        attached: up.clients,
        session_id: up.record.session.clone(),
        session: up.record.session,
        pane: PANE.to_owned(),
        pane_pid: up.pane.or(up.record.running.and_then(|running| running.pane)).map(|pane| pane.pid),
        pane_dead: up.pane.is_none(),
        tag: up.record.tag,
        activity_s: up.pane.and_then(look::last_output_s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attaching_from_inside_the_session_does_not_nest() {
        let target = Target {
            server: "/s/zellij/a".into(),
            session: "a".into(),
            session_id: "a".into(),
            pane: PANE.into(),
            server_process: None,
            pane_pid: None,
        };
        let zellij = Zellij::new("/bin/zellij".into(), Duration::from_secs(2));
        let words = async |inside, read_only| {
            zellij.attach(&target, AttachMode { inside, read_only }).await.expect("a client").args
        };
        assert_eq!(words(false, false).await, ["attach", "a"]);
        assert_eq!(words(false, true).await, ["watch", "a"]);
        assert_eq!(words(true, false).await, ["--session", "a", "action", "focus-pane-id", "terminal_0"]);
    }
}

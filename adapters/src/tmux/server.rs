//! Starts the tmux server so that it keeps nothing of the process that happened to start it.
//!
//! The server keeps, for its whole life, the directory, environment, command line, descriptors, limits and control
//! group of the client that started it. So that client is a neutral one: `start-server` in `/`, with the few variables
//! that every program needs, in its own scope if that prolongs the server's life ([`crate::systemd`]).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use super::classify::{self, Asked};
use super::{KIND, Tmux, argv, probe};
use crate::command::Argv;
use crate::process::ProcessId;
use crate::runtime::RuntimeError;
use crate::systemd::Scope;

/// The interval of checks whether a server listens again; it needs less than a millisecond.
pub(super) const LISTENS: Duration = Duration::from_millis(1);

/// The variables that the server, and so every pane, inherits from the process that starts it.
const KEPT: [&str; 6] = ["HOME", "PATH", "SHELL", "USER", "LOGNAME", "TERM"];

/// A locale that exists everywhere and counts cells as UTF-8.
const UTF8_LOCALE: &str = if cfg!(target_os = "macos") { "en_US.UTF-8" } else { "C.UTF-8" };

impl Tmux {
    /// Starts a server on the socket, and waits until it listens. Concurrent starts are safe: tmux takes its own lock.
    pub(super) async fn start_server(&self, asked: Asked<'_>) -> Result<ProcessId, RuntimeError> {
        if !self.config.is_file() {
            // tmux would start anyway and show the error in the first pane, where it swallows every key.
            return Err(classify::failed(asked, format!("no configuration file at {}", self.config.display())));
        }
        prepare_directory(asked)?;
        let asked = Asked { command: "start-server", ..asked };
        let args = argv::prefix(&self.config, asked.server, true);
        let start = start(&self.binary, args);
        if let Some(server) = self.start_in_scope(&start, asked).await? {
            return Ok(server);
        }
        match self.run(&start, None, asked).await {
            // A wrapper that prints lines of its own has started a server nevertheless.
            Err(RuntimeError::Failed { .. }) if matches!(probe::probe(asked), Ok(Ok(_))) => {}
            said => drop(said?),
        }
        probe::require(asked, None)
    }

    /// Starts the server in its own scope. `None` if no scope is available, or if the server is better off without one.
    async fn start_in_scope(&self, start: &Argv, asked: Asked<'_>) -> Result<Option<ProcessId>, RuntimeError> {
        let name = asked.server.file_name().unwrap_or_default().to_string_lossy();
        let Some(scope) = Scope::find(KIND.as_str(), &name, asked.server).await else { return Ok(None) };
        for spared in [true, false] {
            let scoped = self.run(&scope.around(in_scope(start.clone()), spared), None, asked).await;
            if scoped.is_ok()
                && let Ok(server) = probe::probe(asked)?
            {
                return Ok(Some(server));
            }
            tracing::debug!(?scoped, spared, "no scope from systemd");
            if !scoped.is_err_and(|error| Scope::refuses_to_spare(&error)) {
                break;
            }
        }
        Ok(None)
    }
}

/// Creates the directory of the socket, or checks the existing one.
pub(super) fn prepare_directory(asked: Asked<'_>) -> Result<(), RuntimeError> {
    let Some(dir) = asked.server.parent() else { return Ok(()) };
    make_private(dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => probe::denied(asked, error.to_string()),
        _ => classify::failed(asked, format!("cannot make directory {}: {error}", dir.display())),
    })
}

/// Returns the command that starts a server and ends at once.
pub(super) fn start(binary: &Path, args: Vec<OsString>) -> Argv {
    let mut start = Argv::new(binary);
    start.clear_env = true;
    start.outlives_us = true;
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            start = start.env(name, value);
        }
    }
    start.args(args).arg("start-server").env("LANG", locale(|name| std::env::var_os(name))).cwd("/")
}

/// Adapts the start for the scope that [`crate::systemd`] puts around it: removes the variable that is used for that.
///
/// # Source
/// A tmux before 3.6 that is built with systemd (Debian 13's 3.5a) would use it to move each pane into a separate
/// scope, which has another policy than ours, and wait each time for a bus that never answers.
pub(super) fn in_scope(start: Argv) -> Argv {
    let mut words: Vec<OsString> = vec!["-u".into(), "XDG_RUNTIME_DIR".into(), start.program.into()];
    words.extend(start.args);
    Argv { program: "/usr/bin/env".into(), args: words, ..start }
}

/// Returns the current locale if it is UTF-8, otherwise one that is.
fn locale(variable: impl Fn(&str) -> Option<OsString>) -> OsString {
    let in_force = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    in_force
        .filter(|value| {
            let lower = value.to_string_lossy().to_ascii_lowercase();
            lower.contains("utf-8") || lower.contains("utf8")
        })
        .unwrap_or_else(|| UTF8_LOCALE.into())
}

/// Creates the socket's directory, accessible only to its owner, or checks the existing one.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] for a directory that belongs to another user or that others may write to:
/// another user who can put a socket there reads every prompt and answers every probe.
///
/// # Source
/// tmux 3.3a makes such demands of `/tmp/tmux-UID` (`make_label` in `tmux.c`) and none of a path given with `-S`. The
/// socket itself is closed to others (`server_create_socket`), so that they may see the directory does no harm.
fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let found = fs::metadata(dir)?;
    let me = nix::unistd::geteuid().as_raw();
    if found.uid() != me {
        return Err(denied(format!("directory {} belongs to uid {}, not to uid {me}", dir.display(), found.uid())));
    }
    if found.mode() & 0o022 != 0 {
        return Err(denied(format!("others may write to directory {}: chmod 0700 it", dir.display())));
    }
    Ok(())
}

/// Checks that tmux would replace nothing but a socket at `path`: it removes whatever it finds.
///
/// # Errors
/// Something else is there.
pub(super) fn nothing_but_a_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(()),
        Ok(_) => Err(io::Error::other(format!("{} is not a socket: move it away", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn denied(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, what)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_server_is_started_with_nothing_of_ours() {
        let argv = start(Path::new("/t"), vec!["-S".into(), "/s".into()]);
        assert!(argv.clear_env && argv.outlives_us);
        assert_eq!(argv.cwd.as_deref(), Some(Path::new("/")));
        assert_eq!(argv.args, ["-S", "/s", "start-server"]);
        for (name, _) in &argv.env {
            let name = name.to_str().expect("ASCII");
            assert!(KEPT.contains(&name) || name == "LANG", "{name}");
        }
    }

    #[test]
    fn in_a_scope_it_does_not_know_the_manager() {
        let argv = in_scope(start(Path::new("/t"), vec!["-S".into(), "/s".into()]));
        assert_eq!(argv.args, ["-u", "XDG_RUNTIME_DIR", "/t", "-S", "/s", "start-server"]);
        assert!(argv.clear_env && argv.outlives_us);
    }

    #[test]
    fn the_locale_in_force_is_kept_only_where_it_is_utf8() {
        let of = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            locale(|name| set.iter().find(|(key, _)| key == name).map(|(_, value)| value.into()))
        };
        assert_eq!(of(&[]), UTF8_LOCALE);
        assert_eq!(of(&[("LANG", "de_DE.utf8")]), "de_DE.utf8");
        assert_eq!(of(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]), UTF8_LOCALE);
        assert_eq!(of(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "")]), "de_DE.UTF-8");
    }

    #[test]
    fn a_directory_is_made_for_its_owner_and_refused_when_others_may_write() {
        let root = tempfile::tempdir().expect("directory");
        let dir = root.path().join("a/b");
        make_private(&dir).expect("made");
        assert_eq!(fs::metadata(&dir).expect("there").mode() & 0o777, 0o700);
        for (mode, fine) in [(0o755, true), (0o775, false), (0o757, false), (0o1777, false), (0o700, true)] {
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("chmod");
            let refused = make_private(&dir).err().map(|error| error.kind());
            assert_eq!(refused, (!fine).then_some(io::ErrorKind::PermissionDenied), "{mode:o}");
        }
    }
}

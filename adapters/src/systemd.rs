//! systemd, if it is running: the unit that a process belongs to, what ends that unit, and a separate scope for a
//! server.
//!
//! A multiplexer's server stays in the control group of the process that started it. In a timer's service it ends with
//! the tick, in a login's scope possibly with the logout.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, User};

use crate::command::{self, Argv};
use crate::file;
use crate::socket;

mod scope;

pub(crate) use scope::Scope;

/// How long logind may take to answer; it normally takes 5 ms.
const DEADLINE: Duration = Duration::from_secs(2);

/// The part of systemd's unit tree that a process belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The scope of one login, with the uid if known.
    Login(Option<u32>),
    /// A unit of this user's manager, which ends some seconds after the user's last logout unless they linger.
    Manager(u32),
    /// Anything else: a system service, or systemd is not running here.
    Machine,
}

impl Unit {
    /// Returns the unit of a running process.
    ///
    /// # Errors
    /// The process has ended, or the system has no control groups.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self::parse(&file::read_to_string(Path::new(&format!("/proc/{pid}/cgroup")), file::MOST)?))
    }

    /// # Source
    /// `cgroups(7)`, `systemd.slice(5)`, `pam_systemd(8)`: `…/user-1000.slice/session-3.scope`,
    /// `…/user-1000.slice/user@1000.service/…`. With both generations of control groups mounted, either may be
    /// systemd's.
    fn parse(text: &str) -> Self {
        let paths = text.lines().filter_map(|line| {
            line.strip_prefix("0::").or_else(|| line.split_once(":name=systemd:").map(|(_, path)| path))
        });
        let Some(path) = paths.max_by_key(|path| path.len()) else { return Self::Machine };
        let uid_in =
            |part: &str, before: &str, after: &str| part.strip_prefix(before)?.strip_suffix(after)?.parse::<u32>().ok();
        let mut of_login = None;
        let mut found = Self::Machine;
        // The innermost unit counts: a container may itself run in a user's login.
        for part in path.split('/') {
            if let Some(uid) = uid_in(part, "user-", ".slice") {
                of_login = Some(uid);
            } else if let Some(uid) = uid_in(part, "user@", ".service") {
                found = Self::Manager(uid);
            } else if part.strip_prefix("session-").and_then(|part| part.strip_suffix(".scope")).is_some() {
                found = Self::Login(of_login);
            }
        }
        found
    }
}

/// What ends a process from the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Neither a login nor a logout affects it.
    Stays,
    /// It ends with the last logout of this user.
    WithLastLogin(u32),
    /// It is killed at the logout from the login that it was started in.
    WithThisLogin(Option<u32>),
}

/// `kills`: whether logind kills the processes left at logout, if known.
fn fate(unit: Unit, lingers: bool, kills: Option<bool>) -> EndedBy {
    match unit {
        Unit::Manager(uid) if !lingers => EndedBy::WithLastLogin(uid),
        Unit::Login(uid) if kills == Some(true) => EndedBy::WithThisLogin(uid),
        Unit::Manager(_) | Unit::Login(_) | Unit::Machine => EndedBy::Stays,
    }
}

/// Returns what ends the process. Queries logind only for a process in a login's scope. `None` if the process has
/// ended, or nothing is known.
pub async fn fate_of(pid: u32) -> Option<EndedBy> {
    let unit = Unit::of(pid).ok()?;
    let (lingers, kills) = match unit {
        Unit::Manager(uid) => (lingers(uid), None),
        Unit::Login(uid) => (false, kills_at_logout(uid).await),
        Unit::Machine => (false, None),
    };
    Some(fate(unit, lingers, kills))
}

/// Returns `true` if the user's manager outlives their last login.
///
/// # Source
/// logind keeps a file of the user's name in this directory (`loginctl enable-linger`).
pub fn lingers(uid: u32) -> bool {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.is_some_and(|user| Path::new("/var/lib/systemd/linger").join(user.name).exists())
}

/// Returns whether logind kills the processes that this user's logins leave. `None` if it does not report it.
async fn kills_at_logout(uid: Option<u32>) -> Option<bool> {
    let argv = Argv::new("loginctl").args(["show-session", "--no-pager"]).args(
        ["KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers"].map(|property| format!("--property={property}")),
    );
    let output = command::run(&argv.env("LC_ALL", "C").ends_with_us(), None, DEADLINE).await.ok()?;
    let user = uid.and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten());
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| kills(&text, user.as_ref().map(|user| user.name.as_str())))?
}

/// # Source
/// `logind.conf(5)`: `KillExcludeUsers=` (root, if it names nobody) comes first, then `KillOnlyUsers=`, if that names
/// anybody, then `KillUserProcesses=`.
fn kills(properties: &str, user: Option<&str>) -> Option<bool> {
    let value = |name: &str| properties.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let all = value("KillUserProcesses")? == "yes";
    let names = |name: &str| value(name).unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    let (mut except, only) = (names("KillExcludeUsers"), names("KillOnlyUsers"));
    if except.is_empty() {
        except.push("root");
    }
    Some(match user {
        None if !only.is_empty() => return None,
        Some(user) if except.contains(&user) => false,
        Some(user) if !only.is_empty() => only.contains(&user),
        _ => all,
    })
}

/// Returns the runtime directory of our user's manager, if that is running: the one that `XDG_RUNTIME_DIR` names if it
/// is ours (`su` and `sudo` keep that of another user, or none), else `/run/user/UID`.
pub fn runtime_dir(variable: Option<&OsStr>) -> Option<PathBuf> {
    let own = PathBuf::from(format!("/run/user/{}", nix::unistd::geteuid()));
    let named = variable.filter(|dir| !dir.is_empty()).map(PathBuf::from);
    named.into_iter().chain([own]).find(|dir| is_ours(dir) && has_manager(dir))
}

fn is_ours(dir: &Path) -> bool {
    dir.metadata().is_ok_and(|found| found.uid() == nix::unistd::geteuid().as_raw())
}

/// Checks for a bus with a listener, or the manager's own socket: a manager without a bus is enough for everything we
/// request.
fn has_manager(dir: &Path) -> bool {
    let bus = dir.join("bus");
    let is_socket = fs::metadata(&bus).is_ok_and(|found| found.file_type().is_socket());
    (is_socket && socket::listens(&bus)) || dir.join("systemd/private").exists()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_innermost_unit_of_either_hierarchy_counts() {
        let slice = "/user.slice/user-1000.slice";
        for (text, unit) in [
            (format!("0::{slice}/session-3.scope\n"), Unit::Login(Some(1000))),
            (format!("0::{slice}/session-c12.scope\n"), Unit::Login(Some(1000))),
            (format!("0::{slice}/user@1000.service/app.slice/peer-tmux-s-7.scope\n"), Unit::Manager(1000)),
            (format!("0::{slice}/user@1000.service/session.slice/org.gnome.Shell.service\n"), Unit::Manager(1000)),
            (
                format!("12:pids:{slice}/session-9.scope\n1:name=systemd:{slice}/session-3.scope\n"),
                Unit::Login(Some(1000)),
            ),
            (format!("9:name=systemd:/\n0::{slice}/user@1000.service/init.scope\n"), Unit::Manager(1000)),
            (format!("1:name=systemd:{slice}/session-3.scope\n0::/\n"), Unit::Login(Some(1000))),
            (
                format!("0::{slice}/session-3.scope/payload/user.slice/user-7.slice/user@7.service/a\n"),
                Unit::Manager(7),
            ),
            ("0::/system.slice/cron.service\n".to_owned(), Unit::Machine),
            ("0::/system.slice/session-x.service\n".to_owned(), Unit::Machine),
            ("0::/\n".to_owned(), Unit::Machine),
            ("4:memory:/user.slice/user-1000.slice/session-3.scope\n".to_owned(), Unit::Machine),
            (String::new(), Unit::Machine),
        ] {
            assert_eq!(Unit::parse(&text), unit, "{text}");
        }
    }

    #[test]
    fn what_ends_a_server_is_told_by_its_own_unit() {
        let (login, manager) = (Unit::Login(Some(7)), Unit::Manager(7));
        assert_eq!(fate(manager, false, None), EndedBy::WithLastLogin(7));
        assert_eq!(fate(manager, true, None), EndedBy::Stays);
        assert_eq!(fate(login, false, Some(true)), EndedBy::WithThisLogin(Some(7)));
        assert_eq!(
            fate(login, true, Some(true)),
            EndedBy::WithThisLogin(Some(7)),
            "lingering does not spare a login's scope"
        );
        for unit in [login, Unit::Machine] {
            assert_eq!((fate(unit, false, Some(false)), fate(unit, false, None)), (EndedBy::Stays, EndedBy::Stays));
        }
    }

    #[test]
    fn logind_says_whom_it_kills() {
        let said = |all: &str, only: &str, except: &str| {
            format!("KillOnlyUsers={only}\nKillExcludeUsers={except}\nKillUserProcesses={all}\n")
        };
        for (all, only, except, user, expected) in [
            ("no", "", "", Some("a"), Some(false)),
            ("yes", "", "", Some("a"), Some(true)),
            ("yes", "", "", Some("root"), Some(false)),
            ("yes", "", "a b", Some("root"), Some(true)),
            ("yes", "", "b a", Some("a"), Some(false)),
            ("no", "b a", "", Some("a"), Some(true)),
            ("yes", "b", "", Some("a"), Some(false)),
            ("yes", "b", "", None, None),
            ("yes", "", "", None, Some(true)),
        ] {
            assert_eq!(kills(&said(all, only, except), user), expected, "{all} {only} {except} {user:?}");
        }
        assert_eq!(kills("", Some("a")), None);
    }

    /// A socket that takes no more connections, with one that waits.
    #[cfg(target_os = "linux")]
    fn full(path: &Path) -> (std::os::fd::OwnedFd, std::os::unix::net::UnixStream) {
        use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
        let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        bind(std::os::fd::AsRawFd::as_raw_fd(&listener), &UnixAddr::new(path).expect("short")).expect("bound");
        listen(&listener, Backlog::new(0).expect("in range")).expect("listens");
        let first = std::os::unix::net::UnixStream::connect(path).expect("there is room for one");
        assert_eq!(crate::socket::listener(path).expect("answers"), crate::socket::Listener::Full);
        (listener, first)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_manager_is_there_only_where_it_listens() {
        let dir = tempfile::tempdir().expect("a directory");
        let asked = || runtime_dir(Some(dir.path().as_os_str())).filter(|found| found == dir.path());
        assert_eq!(asked(), None);
        fs::write(dir.path().join("bus"), "").expect("written");
        assert_eq!(asked(), None, "a file is no bus");
        fs::remove_file(dir.path().join("bus")).expect("ours");
        let listener = UnixListener::bind(dir.path().join("bus")).expect("bound");
        assert_eq!(asked().as_deref(), Some(dir.path()));
        drop(listener);
        fs::remove_file(dir.path().join("bus")).expect("ours");
        // A bus that is hung, so that its queue is full.
        let hung = full(&dir.path().join("bus"));
        assert_eq!(asked().as_deref(), Some(dir.path()));
        drop(hung);
        assert_eq!(asked(), None, "nobody listens any more");
        fs::create_dir(dir.path().join("systemd")).expect("made");
        let _listener = UnixListener::bind(dir.path().join("systemd/private")).expect("bound");
        assert_eq!(asked().as_deref(), Some(dir.path()));
        assert_eq!(runtime_dir(Some(OsStr::new("/proc/1"))).filter(|found| found == Path::new("/proc/1")), None);
    }
}

//! A separate scope for a server that is about to be started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Unit, kills_at_logout, lingers, runtime_dir};
use crate::command::{self, Argv};

/// How much of a server's name goes into a unit name, which may have 256 bytes.
const NAMED_AFTER: usize = 100;

/// A scope of our user's manager, for a server that is about to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    launcher: PathBuf,
    runtime_dir: PathBuf,
    unit: String,
    description: String,
}

impl Scope {
    /// Returns a scope for the server of `runtime` called `name`, if one is available and prolongs the server's life.
    /// `at` is what the server hosts, for readers of the list of units.
    pub(crate) async fn find(runtime: &str, name: &str, at: &Path) -> Option<Self> {
        let runtime_dir = runtime_dir(std::env::var_os("XDG_RUNTIME_DIR").as_deref())?;
        let launcher = command::resolve(OsStr::new("systemd-run"), None, Path::new("/")).ok()?;
        let own = Unit::of(std::process::id()).unwrap_or(Unit::Machine);
        let lingers = lingers(nix::unistd::geteuid().as_raw());
        let kills = match own {
            Unit::Login(uid) if !lingers => kills_at_logout(uid).await,
            _ => None,
        };
        prolongs_life(own, lingers, kills).then(|| Self {
            launcher,
            runtime_dir,
            unit: unit_name(runtime, name),
            description: described(runtime, name, at),
        })
    }

    /// Wraps a command so that it runs in the scope. With `spared`, the other processes survive when the kernel kills
    /// one of them for lack of memory; without it, systemd then stops the whole scope. systemd 252 accepts it, and an
    /// older one may refuse.
    pub(crate) fn around(&self, argv: Argv, spared: bool) -> Argv {
        let mut wrapped = Argv::new(&self.launcher)
            .args(["--user", "--scope", "--quiet", "--collect"])
            .args([format!("--unit={}", self.unit), format!("--description={}", self.description)]);
        if spared {
            wrapped = wrapped.arg("--property=OOMPolicy=continue");
        }
        wrapped.args.push("--".into());
        wrapped.args.push(argv.program.into_os_string());
        wrapped.args.extend(argv.args);
        let (env, cwd) = (argv.env, argv.cwd);
        let wrapped = Argv { env, cwd, clear_env: argv.clear_env, outlives_us: argv.outlives_us, ..wrapped };
        // systemd-run uses it to find the manager.
        wrapped.env("XDG_RUNTIME_DIR", &self.runtime_dir)
    }

    /// Returns `true` if a refusal was about [`Scope::around`]'s `spared`.
    pub(crate) fn refuses_to_spare(said: &impl std::fmt::Display) -> bool {
        said.to_string().contains("OOMPolicy")
    }
}

/// Returns `true` if a server that is started here lives longer in a scope of the user's manager.
///
/// A login's scope whose processes are left alone at logout outlives the manager, which ends with the last login of a
/// user who does not linger. A service's processes end with it.
fn prolongs_life(own: Unit, lingers: bool, kills: Option<bool>) -> bool {
    !matches!(own, Unit::Login(_)) || lingers || kills == Some(true)
}

/// Returns a name that no other start uses: an older scope may still hold processes that outlived their server.
fn unit_name(runtime: &str, name: &str) -> String {
    static STARTS: AtomicU32 = AtomicU32::new(1);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).take(NAMED_AFTER).collect();
    let (pid, start) = (std::process::id(), STARTS.fetch_add(1, Ordering::Relaxed));
    let nth = if start > 1 { format!(".{start}") } else { String::new() };
    format!("peer-{runtime}-{name}-{pid}{nth}.scope")
}

fn described(runtime: &str, name: &str, at: &Path) -> String {
    let text = format!("peer: {runtime} server {name} at {}", at.display());
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_taken_only_where_it_lengthens_lives() {
        let (login, manager) = (Unit::Login(Some(7)), Unit::Manager(7));
        for (own, lingers, kills, taken) in [
            (login, false, Some(false), false),
            (login, false, None, false),
            (login, false, Some(true), true),
            (login, true, Some(false), true),
            (login, true, None, true),
            (manager, false, None, true),
            (manager, true, None, true),
            (Unit::Machine, false, None, true),
        ] {
            assert_eq!(prolongs_life(own, lingers, kills), taken, "{own:?} {lingers} {kills:?}");
        }
    }

    fn scope() -> Scope {
        let (launcher, runtime_dir) = ("/sr".into(), "/run/user/7".into());
        Scope { launcher, runtime_dir, unit: "peer-tmux-s-1.scope".into(), description: "peer: x".into() }
    }

    #[test]
    fn a_command_in_a_scope_is_the_same_command() {
        let argv = Argv::new("/t").args(["-u", "start-server"]).env("A", "b").cwd("/");
        let wrapped = scope().around(Argv { clear_env: true, outlives_us: true, ..argv }, true);
        let words: Vec<_> = wrapped.args.iter().map(|word| word.to_str().expect("ASCII")).collect();
        let (ours, theirs) = words.split_at(words.iter().position(|word| *word == "--").expect("an end") + 1);
        assert_eq!((wrapped.program.as_path(), theirs), (Path::new("/sr"), &["/t", "-u", "start-server"][..]));
        assert_eq!(ours[..2], ["--user", "--scope"]);
        for word in ["--unit=peer-tmux-s-1.scope", "--description=peer: x", "--property=OOMPolicy=continue"] {
            assert!(ours.contains(&word), "{ours:?}");
        }
        assert!(wrapped.clear_env && wrapped.outlives_us && wrapped.cwd.as_deref() == Some(Path::new("/")));
        for variable in [("A", "b"), ("XDG_RUNTIME_DIR", "/run/user/7")] {
            assert!(wrapped.env.contains(&(variable.0.into(), Some(variable.1.into()))), "{variable:?}");
        }
        let plain = scope().around(Argv::new("/t"), false);
        assert!(!plain.args.iter().any(|word| word.to_string_lossy().contains("OOMPolicy")));
        assert!(Scope::refuses_to_spare(&"exit 1: Unknown assignment: OOMPolicy=continue"));
        assert!(!Scope::refuses_to_spare(&"exit 1: Failed to connect to bus: No such file or directory"));
    }

    #[test]
    fn each_server_has_a_name_of_its_own_that_systemd_takes() {
        let (first, second) = (unit_name("tmux", "a b/%\u{e9}-1"), unit_name("tmux", "a b/%\u{e9}-1"));
        assert!(first.starts_with("peer-tmux-a_b___-1-"), "{first}");
        assert_eq!(first.split('.').next_back(), Some("scope"), "{first}");
        assert_ne!(first, second);
        assert!(unit_name("zellij", &"x".repeat(400)).len() < 200);
        assert_eq!(described("tmux", "s", Path::new("/a\nb")), "peer: tmux server s at /a b");
    }
}

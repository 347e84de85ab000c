//! Checks of each peer: its program, its directory, and the variables that its agent depends on.

use std::ffi::OsStr;
use std::path::Path;

use nix::unistd::{AccessFlags, access};
use peer_adapters::{command, file};

use super::{Finding, Level};
use crate::engine::peer::environment::Environment;
use crate::engine::peer::kept::{essential, how_to_keep, missing};
use crate::engine::{Engine, Peer};
use crate::policy::ending::Incarnation;
use crate::store::{SessionRecord, Stored};

pub(super) fn look(
    engine: &Engine,
    peer: &Peer,
    record: Option<&SessionRecord>,
    shell: Option<&Environment>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let finding = |level, what: String| Finding::new(level, peer.name.as_str(), what);
    let edit = format!("peer edit {}", peer.name);
    let program = Path::new(peer.spec.command.first().map_or("", String::as_str));
    if access(program, AccessFlags::X_OK).is_err() {
        found.push(finding(Level::Broken, format!("{} is gone, or not executable", program.display())).cure(&edit));
    }
    if !peer.spec.cwd.is_dir() {
        let what = format!("its working directory {} is gone", peer.spec.cwd.display());
        found.push(finding(Level::Broken, what).cure(&edit));
    }
    if let Some(unused) = engine.unused_env_file(&peer.name, &peer.spec) {
        let what = format!("its spec does not mention {}, which holds variables kept for it", unused.display());
        found.push(finding(Level::Note, what).cure(format!("rm {}", unused.display())));
    }
    let env = match engine.launch_environment(peer, Incarnation::default()) {
        Ok(env) => env,
        Err(error) => {
            let cure = format!("repair that file, or remove env_file: {edit}");
            found.push(finding(Level::Broken, error.to_string()).cure(cure));
            return found;
        }
    };
    if let Some(interpreter) = missing_interpreter(program, &env, &peer.spec.cwd) {
        let what = format!("{} is a script for {interpreter}, which is not on its PATH", program.display());
        let cure =
            format!("declare it again where {interpreter} is on PATH (peer add --replace), or {edit}: search_path");
        found.push(finding(Level::Broken, what).cure(cure));
    }
    if let Some(shell) = shell {
        let lacks = lacks(peer, record, shell, &env);
        if !lacks.is_empty() {
            let what = format!("it would be started without {}, which its agent depends on", lacks.join(", "));
            found.push(finding(Level::Warning, what).cure(how_to_keep(&peer.name, &lacks)));
        } else if found.is_empty() {
            found.push(finding(Level::Ok, "its command would be found with every variable it depends on".to_owned()));
        }
    }
    found
}

/// Returns what the agent would lack in `env`, compared with what it has, what it had when it was last ready, and what
/// it would have from this shell.
fn lacks(peer: &Peer, record: Option<&SessionRecord>, shell: &Environment, env: &Environment) -> Vec<String> {
    let now = record.filter(|record| record.ready_at().is_some()).map(|record| record.essential_env.clone());
    let last = || peer.files.end().ok().and_then(Stored::present).map(|last| last.essential_env);
    let mut had = now.or_else(last).unwrap_or_default();
    had.extend(essential(&peer.profile, shell));
    had.sort();
    had.dedup();
    missing(&peer.profile, &had, &essential(&peer.profile, env))
}

/// Returns the interpreter of a script, if it would not be found: by the kernel, or by env(1) on the `PATH` of `env`.
///
/// # Source
/// execve(2): the first line of a script is `#!`, a path and words behind it, of 256 bytes at most.
fn missing_interpreter(program: &Path, env: &Environment, cwd: &Path) -> Option<String> {
    let script = file::open(program).ok()?;
    let head = file::part(&script, 0, 256).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let interpreter = words.next()?;
    if access(Path::new(interpreter), AccessFlags::X_OK).is_err() {
        return Some(interpreter.to_owned());
    }
    if Path::new(interpreter).file_name() != Some(OsStr::new("env")) {
        return None;
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    let path = env.iter().find(|(key, _)| key == "PATH").map(|(_, value)| value.as_os_str());
    command::resolve(OsStr::new(name), path, cwd).is_err().then(|| name.to_owned())
}

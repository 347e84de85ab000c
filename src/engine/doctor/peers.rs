//! One peer each: its program, its directory, and the variables that are kept for it.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::{Finding, Level};
use crate::engine::{Engine, Peer};

pub(super) fn look(engine: &Engine, peer: &Peer) -> Vec<Finding> {
    let mut found = Vec::new();
    let broken = |what: String| Finding::new(Level::Broken, peer.name.as_str(), what);
    let edit = format!("peer edit {}", peer.name);
    let program = Path::new(peer.spec.command.first().map_or("", String::as_str));
    if access(program, AccessFlags::X_OK).is_err() {
        found.push(broken(format!("{} is gone, or not executable", program.display())).cure(&edit));
    }
    if !peer.spec.cwd.is_dir() {
        found.push(broken(format!("its working directory {} is gone", peer.spec.cwd.display())).cure(&edit));
    }
    if let Err(error) = engine.kept_variables(&peer.spec) {
        found.push(broken(error.to_string()).cure(format!("mend that file, or take env_file out: {edit}")));
    }
    if let Some(unused) = engine.unused_env_file(&peer.name, &peer.spec) {
        let what = format!("its spec does not name {}, in which variables were kept for it", unused.display());
        found.push(Finding::new(Level::Note, peer.name.as_str(), what).cure(format!("rm {}", unused.display())));
    }
    found
}

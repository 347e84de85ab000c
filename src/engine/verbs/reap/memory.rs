//! The memory of an agent's process tree, if its spec sets a limit.

use std::collections::HashMap;

use peer_adapters::process;

use super::Subject;
use crate::policy::name::PeerName;

/// Returns the memory in KiB of every subject that has a limit, with one walk over the process table. A tree that the
/// kernel does not report is left out: unknown does not mean small.
pub(super) fn of_limited(subjects: &[Subject]) -> HashMap<PeerName, u64> {
    let limited: Vec<_> = subjects
        .iter()
        .filter(|subject| subject.peer.effective.max_memory_kib.value.is_some())
        .filter(|subject| subject.observation.process.alive() == Some(true))
        .filter_map(|subject| Some((&subject.peer.name, subject.record.process?.id.pid)))
        .collect();
    if limited.is_empty() {
        return HashMap::new();
    }
    let roots: Vec<u32> = limited.iter().map(|(_, pid)| *pid).collect();
    let Ok(trees) = process::tree_memory_kib(&roots) else { return HashMap::new() };
    limited.into_iter().zip(trees).filter_map(|((name, _), kib)| Some((name.clone(), kib?))).collect()
}

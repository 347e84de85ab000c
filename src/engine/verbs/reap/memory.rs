//! How much memory an agent's process tree holds, where its spec sets a limit.

use std::collections::HashMap;

use peer_adapters::process;

use super::Subject;
use crate::policy::name::PeerName;

/// Memory in KiB of every subject that has a limit, by one walk over the process table. A tree of which the kernel does
/// not tell is left out: not known is not much.
pub(super) fn of_limited(subjects: &[Subject]) -> HashMap<PeerName, u64> {
    let limited: Vec<_> = subjects
        .iter()
        .filter(|subject| subject.peer.effective.max_memory_kib.value.is_some())
        .filter(|subject| subject.sight.process.alive() == Some(true))
        .filter_map(|subject| Some((&subject.peer.name, subject.record.process?.id.pid)))
        .collect();
    if limited.is_empty() {
        return HashMap::new();
    }
    let roots: Vec<u32> = limited.iter().map(|(_, pid)| *pid).collect();
    let Ok(trees) = process::tree_memory_kib(&roots) else { return HashMap::new() };
    limited.into_iter().zip(trees).filter_map(|((name, _), kib)| Some((name.clone(), kib?))).collect()
}

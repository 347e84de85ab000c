//! Whether a record can be judged from here: by machine, pid namespace and boot.

use peer_adapters::process;

use super::Observation;
use crate::engine::peer::runtimes::kind_of;
use crate::policy::axis::Axis;
use crate::policy::time::Timestamp;
use crate::store::{Host, Phase, SessionRecord};

/// Whether a record can be judged from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its runtime and the kernel can be queried.
    Here,
    /// Its runtime refused to start it, so nothing exists and nothing needs to be queried.
    Refused,
    /// It is from another boot of this machine; nothing is left of it.
    Rebooted,
    /// It is from another machine or pid namespace (which one, and since when). What has its pids and paths here is
    /// something else.
    Elsewhere(String),
    /// Nothing can be determined, for this reason.
    Unclear(String),
}

impl Standing {
    /// Returns the observation of a record for which nothing is queried.
    pub(crate) fn observation(self, now: Timestamp) -> Observation {
        let rebooted = self == Self::Rebooted;
        let (axis, elsewhere) = match self {
            Self::Here | Self::Refused | Self::Rebooted => (Axis::Dead, None),
            Self::Elsewhere(owner) => (Axis::Unknown(format!("it was started {owner}")), Some(owner)),
            Self::Unclear(why) => (Axis::Unknown(why), None),
        };
        Observation {
            runtime: axis.clone(),
            process: axis,
            server_gone: rebooted,
            ended: false,
            listed_at: now,
            rebooted,
            elsewhere,
            answered: None,
            unreachable: None,
            row: None,
            leftovers: Vec::new(),
        }
    }
}

/// Determines whether a record can be judged from here. If the kernel does not report a boot id, that is not proof of
/// another boot.
pub(crate) fn standing(record: &SessionRecord) -> Standing {
    if let Err(error) = kind_of(&record.place.runtime) {
        return Standing::Unclear(format!("the record of {} cannot be used: {error}", record.place.session));
    }
    let another_boot = is_another_boot(&record.boot_id);
    let machine = match elsewhere(record.place.host.as_ref(), another_boot, record.woke_at_ms) {
        Ok(Some(owner)) if owner.another_machine => return Standing::Elsewhere(owner.text),
        Ok(owner) => owner,
        Err(error) => return Standing::Unclear(format!("where this process runs is not known: {error}")),
    };
    // On the same machine, another boot is the stronger fact: everything in any namespace has ended.
    match (another_boot, machine) {
        (true, _) => Standing::Rebooted,
        (false, Some(owner)) => Standing::Elsewhere(owner.text),
        (false, None) if record.phase == Phase::Refused => Standing::Refused,
        (false, None) => Standing::Here,
    }
}

/// Where a record was started, if not here.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) another_machine: bool,
    /// In the form `on another machine …, since …`.
    pub(crate) text: String,
}

/// Whether an id is that of another boot. A kernel that does not report its own id is not proof.
pub(crate) fn is_another_boot(boot_id: &str) -> bool {
    process::boot_id().is_ok_and(|ours| ours != boot_id)
}

/// Returns where a host is if it is not this one. `another_boot` says that the record is from another boot. A record
/// without a host, as older versions wrote it, counts as local.
///
/// # Errors
/// The host of this process cannot be determined.
pub(crate) fn elsewhere(theirs: Option<&Host>, another_boot: bool, since: Timestamp) -> std::io::Result<Option<Owner>> {
    let Some(theirs) = theirs else { return Ok(None) };
    let ours = process::host()?;
    let another_machine = ours.is_not_of(&theirs.machine, &theirs.name, another_boot);
    if !another_machine && ours.shares_processes_with(&theirs.machine, theirs.pid_namespace) {
        return Ok(None);
    }
    let text = if another_machine && theirs.machine == ours.machine {
        let (theirs, ours) = (&theirs.name, &ours.name);
        format!(
            "on another machine, {theirs}, with the machine id of this one, {ours} (or on this one, before it was renamed and \
             booted again), at {since}"
        )
    } else if another_machine {
        let id = theirs.machine.get(..8).unwrap_or(&theirs.machine);
        format!("on another machine, {} (machine id {id}), at {since}", theirs.name)
    } else {
        let inode = theirs.pid_namespace.unwrap_or_default();
        format!("in another pid namespace of this machine, {} (pid:[{inode}]), at {since}", theirs.name)
    };
    Ok(Some(Owner { another_machine, text }))
}

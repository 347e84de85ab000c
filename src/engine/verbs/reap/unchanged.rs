//! Whether an agent's own files can have something new to say since a tick looked at them last.

use std::time::Duration;

use peer_adapters::runtime::ACTIVITY_STEP;

use super::Subject;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::verdict::Verdict;
use crate::store::{Heartbeat, SessionRecord};

/// How far an agent's files may be behind what its pane shows: Claude Code's status file needs 0.2 s after `/clear`, a transcript
/// as long as the agent thinks about its first answer, and then the pane shows that.
const FILES_BEHIND: Duration = ACTIVITY_STEP.saturating_add(Duration::from_secs(5));

impl Subject {
    /// Nothing was put out in its pane since a tick looked at it last, where the runtime tells: nothing was typed or said there.
    pub(super) fn is_unchanged(&self) -> bool {
        let known = self.record.conversation.is_some();
        known
            && self
                .looked_at
                .zip(self.sight.last_output())
                .is_some_and(|(looked, output)| looked.since(output) > FILES_BEHIND)
    }
}

/// When the last tick that looked at this incarnation, and found it healthy, did so.
pub(super) fn looked_at(before: &Heartbeat, name: &PeerName, record: &SessionRecord) -> Option<Timestamp> {
    let pulse = before.peers.get(name).filter(|pulse| pulse.incarnation == record.incarnation)?;
    (pulse.verdict == Verdict::Healthy).then_some(pulse.runtime.at_ms)
}

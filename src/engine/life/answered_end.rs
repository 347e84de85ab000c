//! The end of an agent right after a person has answered its question.

use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::{End, Intent};
use crate::store::{Locked, SessionRecord};

impl Engine {
    /// Records how an agent ended that is dead, and returns that. `wanted`: the person chose a row that ends it. An exit of
    /// its own is then what was asked for, and no death.
    ///
    /// # Errors
    /// The state directory or the runtime failed; the next wake or tick completes the end.
    pub(crate) async fn settle_answered(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &SessionRecord,
        wanted: bool,
    ) -> Result<Option<End>> {
        self.await_exit_record(peer, record).await?;
        let on_record = peer.files.session()?.present().filter(|now| now.incarnation == record.incarnation);
        if let Some(mut now) = on_record {
            let exit = peer.files.exit(record.incarnation)?.present();
            let by_itself = exit.is_some_and(|exit| exit.code.is_some() && exit.hangup.is_none());
            if wanted && by_itself && now.intent.is_none() {
                now.intent = Some(Intent::Declined);
                locked.write_session(&now)?;
            }
            self.record_end_of_start(peer, locked, &now).await?;
        }
        let end = peer.files.end()?.present().map(|last| last.end);
        Ok(end.filter(|end| end.incarnation == record.incarnation))
    }
}

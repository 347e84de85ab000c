//! The third axis, stamped at each tick: what living agents are doing.

use super::Subject;
use crate::engine::observe::turn::{Doing, Turns, tells_of_turns};
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, Result};
use crate::store::{Event, Heartbeat};

impl Engine {
    /// What everybody is doing. Whoever needs a person is an event, once for each thing that it asks.
    pub(super) async fn stamp_turns(
        &self,
        beat: &mut Heartbeat,
        subjects: &[Subject],
        before: &Heartbeat,
    ) -> Result<()> {
        let tells = |subject: &&Subject| tells_of_turns(&subject.peer.profile);
        let lives: Vec<_> = subjects
            .iter()
            .filter(tells)
            .map(|subject| (subject, Live::of(subject.record.clone(), subject.sight.clone())))
            .collect();
        let of: Vec<_> = lives.iter().map(|(subject, live)| (&subject.peer, live)).collect();
        let doing = self.doing(&of, &mut Turns::of(before)).await;
        for ((subject, _), Doing { seen, .. }) in lives.iter().zip(doing) {
            let (name, incarnation) = (&subject.peer.name, subject.record.incarnation);
            let same = before.peers.get(name).filter(|pulse| pulse.incarnation == incarnation);
            let news = seen.as_ref().filter(|seen| seen.is_news(same.and_then(|pulse| pulse.turn.as_ref())));
            if let Some((seen, ask)) = news.and_then(|seen| Some((seen, seen.ask()?))) {
                let event = Event::new(self.now(), "agent.waiting").peer(name).incarnation(incarnation);
                let event = event.cause(ask.kind.as_str()).with("witness", seen.witness.as_str());
                self.log(&event.tell("question", ask.question.clone()))?;
            }
            if let Some(pulse) = beat.peers.get_mut(name) {
                pulse.turn = seen;
            }
        }
        Ok(())
    }
}

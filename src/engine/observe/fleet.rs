//! Many peers in one look: their records first, and everything else of them while the runtimes make up their answers.

use crate::engine::observe::Sight;
use crate::engine::observe::survey::{Ahead, Survey};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::name::PeerName;
use crate::store::{Inventory, SessionRecord};

/// From so many peers on it pays to read their records on two threads, or while a server is at work; below, it costs more
/// than it saves.
const MANY: usize = 128;

/// One peer of those that were looked at.
pub(crate) struct Member<T> {
    /// Who.
    pub(crate) peer: Peer,
    /// The incarnation on record, and what was seen of it.
    pub(crate) seen: Option<(SessionRecord, Sight)>,
    /// What the caller read of it.
    pub(crate) read: T,
    /// Why its spec or its profile cannot be used, where `peer` is what is known all the same.
    pub(crate) broken: Option<EngineError>,
}

/// What one look saw.
pub(crate) struct Looked<T> {
    /// In the order in which they were named; an error where the spec or a file cannot be read.
    pub(crate) members: Vec<(PeerName, Result<Member<T>>)>,
    /// What else the servers told; the sights are with the members.
    pub(crate) survey: Survey,
}

impl Engine {
    /// Looks at both axes of all of these and reads their specs, and what `read` reads of each. The records are read
    /// first, so that whatever ends meanwhile has its end on disk when `read` looks for it. Blocks for one probe deadline
    /// at most. With `strays`, sessions of ours that no record names are looked for wherever they may be.
    ///
    /// # Errors
    /// As [`Engine::survey`], or the state directory cannot be listed.
    pub(crate) async fn look_at<T>(
        &self,
        names: &[PeerName],
        strays: bool,
        mut read: impl FnMut(&mut Peer, &Inventory) -> Result<T>,
    ) -> Result<Looked<T>> {
        let (records, ahead) = self.records(names, strays).await;
        let on_record = names.iter().zip(&records).filter_map(|(name, record)| match record {
            Ok(Some(record)) => Some((name.clone(), record)),
            _ => None,
        });
        let on_record: Vec<_> = on_record.collect();
        let meanwhile = async {
            let there = self.state.inventory()?;
            let with_read = |(name, peer): (&PeerName, Result<Peer>)| {
                let (mut peer, broken) = match peer {
                    Ok(peer) => (peer, None),
                    Err(error) => match self.known_in_spite_of(name, &error) {
                        Some(peer) => (peer, Some(error)),
                        None => return Err(error),
                    },
                };
                let read = read(&mut peer, &there)?;
                Ok((peer, read, broken))
            };
            let peers = names.iter().zip(self.peers(names));
            Ok::<_, EngineError>(peers.map(with_read).collect::<Vec<Result<(Peer, T, Option<EngineError>)>>>())
        };
        let survey = async {
            if strays { self.survey_with_strays(&on_record).await } else { self.survey_from(&on_record, ahead).await }
        };
        let (survey, peers) = futures_util::future::join(survey, meanwhile).await;
        drop(on_record);
        let mut survey = survey?;
        let members = names.iter().zip(records).zip(peers?).map(|((name, record), peer)| {
            let member = record.and_then(|record| {
                let (peer, read, broken) = peer?;
                Ok(Member { peer, seen: record.zip(survey.sights.remove(name)), read, broken })
            });
            (name.clone(), member)
        });
        let members = members.collect();
        Ok(Looked { members, survey })
    }

    /// The incarnations on record; and the server of the first, which was asked before the others were read, because one
    /// record tells whom to ask. Not where they are few, and not with `strays`: a listing that is older than the records
    /// cannot tell a session that nobody claims from one whose record is gone since.
    async fn records(&self, names: &[PeerName], strays: bool) -> (Vec<Result<Option<SessionRecord>>>, Option<Ahead>) {
        let mut records = Vec::with_capacity(names.len());
        let mut ahead = None;
        if !strays && names.len() >= MANY {
            for name in names {
                records.push(self.record(name));
                if let Some(Ok(Some(first))) = records.last() {
                    ahead = self.ask_ahead(first).await;
                    break;
                }
            }
        }
        let rest = &names[records.len()..];
        records.append(&mut if ahead.is_some() { self.read_records(rest) } else { self.read_side_by_side(rest) });
        (records, ahead)
    }

    /// Where nobody can be asked before these are read, many are read on two threads. A server that is at work already
    /// has more use for the second core.
    fn read_side_by_side(&self, names: &[PeerName]) -> Vec<Result<Option<SessionRecord>>> {
        if names.len() < MANY {
            return self.read_records(names);
        }
        let (first, second) = names.split_at(names.len() / 2);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| self.read_records(second));
            let mut records = self.read_records(first);
            records.append(&mut second.join().expect("reading does not panic"));
            records
        })
    }

    fn read_records(&self, names: &[PeerName]) -> Vec<Result<Option<SessionRecord>>> {
        names.iter().map(|name| self.record(name)).collect()
    }

    fn record(&self, name: &PeerName) -> Result<Option<SessionRecord>> {
        Ok(self.state.peer(name).session()?.present())
    }
}

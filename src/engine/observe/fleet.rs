//! Observing many peers at once: the records are read first, and everything else while the runtimes answer.

use crate::engine::observe::Observation;
use crate::engine::observe::fleet_observation::{FleetObservation, Prefetched};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::name::PeerName;
use crate::store::{Inventory, SessionRecord};

/// The number of peers from which on it pays to read files on two threads, or while a server is at work: a list of 1,000
/// takes 48 ms instead of 53, and 55 instead of 60 if each has a status file. For fewer it costs more than it saves.
const PARALLEL_READ_MIN: usize = 128;

/// One of the observed peers.
pub(crate) struct Member<T> {
    /// The peer.
    pub(crate) peer: Peer,
    /// The recorded incarnation, and its observation.
    pub(crate) seen: Option<(SessionRecord, Observation)>,
    /// What the caller's function read about it.
    pub(crate) read: T,
    /// Why its spec or profile cannot be used, if `peer` was only reconstructed.
    pub(crate) broken: Option<EngineError>,
}

/// The result of observing many peers.
pub(crate) struct Looked<T> {
    /// The peers in the given order; an error where a spec or file cannot be read.
    pub(crate) members: Vec<(PeerName, Result<Member<T>>)>,
    /// The rest of what the servers reported; the observations are with the members.
    pub(crate) observed: FleetObservation,
}

impl Engine {
    /// Observes both axes of these peers, reads their specs, and calls `read` for each. The records are read first, so
    /// an incarnation that ends meanwhile has its end on disk when `read` looks for it. Blocks for at most one probe
    /// deadline. With `untracked`, sessions of this state directory that no record names are searched for on every
    /// server.
    ///
    /// # Errors
    /// As [`Engine::observe_fleet`], or the state directory cannot be listed.
    pub(crate) async fn look_at<T>(
        &self,
        names: &[PeerName],
        untracked: bool,
        mut read: impl FnMut(&mut Peer, &Inventory) -> Result<T>,
    ) -> Result<Looked<T>> {
        let (records, prefetched) = self.records(names, untracked).await;
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
        let observed = async {
            if untracked {
                self.observe_fleet_and_untracked(&on_record).await
            } else {
                self.observe_fleet_after(&on_record, prefetched).await
            }
        };
        let (observed, peers) = futures_util::future::join(observed, meanwhile).await;
        drop(on_record);
        let mut observed = observed?;
        let members = names.iter().zip(records).zip(peers?).map(|((name, record), peer)| {
            let member = record.and_then(|record| {
                let (peer, read, broken) = peer?;
                Ok(Member { peer, seen: record.zip(observed.observations.remove(name)), read, broken })
            });
            (name.clone(), member)
        });
        let members = members.collect();
        Ok(Looked { members, observed })
    }

    /// Reads the records. For a large fleet, the server of the first record is queried before the others are read,
    /// because one record is enough to know the server. Not with `untracked`: a listing older than the records cannot
    /// tell an unclaimed session from one whose record was removed meanwhile.
    async fn records(
        &self,
        names: &[PeerName],
        untracked: bool,
    ) -> (Vec<Result<Option<SessionRecord>>>, Option<Prefetched>) {
        let mut records = Vec::with_capacity(names.len());
        let mut prefetched = None;
        if !untracked && names.len() >= PARALLEL_READ_MIN {
            for name in names {
                records.push(self.record(name));
                if let Some(Ok(Some(first))) = records.last() {
                    prefetched = self.prefetch(first).await;
                    break;
                }
            }
        }
        let rest = &names[records.len()..];
        records.append(&mut if prefetched.is_some() {
            rest.iter().map(|name| self.record(name)).collect()
        } else {
            side_by_side(rest, |name| self.record(name))
        });
        (records, prefetched)
    }

    fn record(&self, name: &PeerName) -> Result<Option<SessionRecord>> {
        Ok(self.state.peer(name).session()?.present())
    }
}

/// Reads files of many peers, on two threads if there are enough. Not while a server is answering: it has more use for
/// the second core.
pub(crate) fn side_by_side<T: Sync, R: Send>(of: &[T], read: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if of.len() < PARALLEL_READ_MIN {
        return of.iter().map(read).collect();
    }
    let (first, second) = of.split_at(of.len() / 2);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| second.iter().map(&read).collect::<Vec<R>>());
        let mut done: Vec<R> = first.iter().map(&read).collect();
        done.append(&mut second.join().expect("reading does not panic"));
        done
    })
}

//! Checks of the peers: specs that do not parse, programs that are gone, agents and sessions that do not match.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use peer_adapters::runtime::{Gone, Listing, RuntimeKind, SessionRow};

use super::{Finding, Level};
use crate::engine::observe::{Observation, Standing, elsewhere, is_at, process_id, standing};
use crate::engine::peer::environment::Environment;
use crate::engine::{Engine, Result};
use crate::policy::name::PeerName;
use crate::store::{Damage, Place, SessionRecord, Stored};

pub(super) async fn look(engine: &Engine, shell: Option<&Environment>) -> Result<Vec<Finding>> {
    let names = engine.config.names()?;
    let mut found = damaged(&engine.state.damaged(), "state");
    let (records, left) = on_record(engine, &names, shell, &mut found);
    let asked: Vec<_> = records.iter().map(|(name, record)| (name.clone(), record)).collect();
    let observations = engine.observe_fleet(&asked).await?.observations;
    let mut unsaid: BTreeMap<PathBuf, (String, String)> = BTreeMap::new();
    for (name, record) in &records {
        if let Some(observation) = observations.get(name) {
            found.extend(axes(name, record, observation, &mut unsaid));
        }
    }
    found.extend(engine.undeclared()?.into_iter().map(|undeclared| {
        Finding::new(Level::Warning, undeclared.peer.as_str(), undeclared.problem()).cure(undeclared.cure())
    }));
    let lost = unrecorded(engine, &names, &records);
    found.extend(lost.iter().map(|name| {
        let what = "its agent is running, but its record is lost";
        Finding::new(Level::Warning, name.as_str(), what).cure(format!("peer wake {name} rebuilds it"))
    }));
    found.extend(unsaid.into_values().map(|(why, cure)| Finding::new(Level::Broken, "server", why).cure(cure)));
    found.extend(super::skew::look(engine, &records).await);
    // These sessions belong to peers, although no local record says so.
    let elsewhere = records
        .iter()
        .map(|(name, _)| name)
        .filter(|name| observations.get(*name).is_some_and(|observation| observation.elsewhere.is_some()));
    let known: BTreeSet<PeerName> = lost.into_iter().chain(elsewhere.cloned()).collect();
    found.extend(servers(engine, &records, &left, &known).await);
    found.extend(engine.ending_with_a_login(&records).await.into_iter().map(|ending| {
        let what = format!("{} (peers on it: {})", ending.what, ending.peers);
        Finding::new(Level::Warning, "login", what).cure(ending.cure)
    }));
    if found.iter().all(|finding| finding.level == Level::Ok) {
        let awake = records.len();
        found.push(Finding::new(
            Level::Ok,
            "peers",
            format!("{} declared, {awake} with a session on record", names.len()),
        ));
    }
    Ok(found)
}

/// Returns the records of these peers, and what their last incarnations left on their servers. What is wrong with their
/// files is added to `found`.
fn on_record(
    engine: &Engine,
    names: &[PeerName],
    shell: Option<&Environment>,
    found: &mut Vec<Finding>,
) -> (Vec<(PeerName, SessionRecord)>, Vec<Place>) {
    let (mut records, mut left) = (Vec::new(), Vec::new());
    for name in names {
        let files = engine.state.peer(name);
        // An unreadable record is reported as damaged below.
        let record = files.session().ok().and_then(Stored::present);
        match engine.peer(name) {
            Ok(peer) => found.extend(super::peers::look(engine, &peer, record.as_ref(), shell)),
            Err(error) => found.push(broken(name, &error).cure(format!("peer edit {name}"))),
        }
        records.extend(record.map(|record| (name.clone(), record)));
        found.extend(damaged(&files.damaged(), name.as_str()));
        left.extend(files.end().ok().and_then(|stored| stored.present()?.left));
    }
    (records, left)
}

/// Returns the peers that run without a record. If the kernel cannot be queried, there is no finding.
fn unrecorded(engine: &Engine, names: &[PeerName], records: &[(PeerName, SessionRecord)]) -> Vec<PeerName> {
    let recorded: BTreeSet<_> = records.iter().map(|(name, _)| name).collect();
    let asleep: Vec<_> = names.iter().filter(|name| !recorded.contains(name)).collect();
    let running = engine.running(&asleep).unwrap_or_default();
    asleep.into_iter().filter(|name| running.contains(*name) && engine.has_no_record(name)).cloned().collect()
}

/// Makes servers that are alive and cannot be reached listen again.
pub(super) async fn reach(engine: &Engine) -> Result<Vec<Finding>> {
    let mut records = Vec::new();
    for name in engine.config.names()? {
        // An unreadable record is another check's finding.
        let record = engine.state.peer(&name).session().ok().and_then(Stored::present);
        records.extend(record.map(|record| (name, record)));
    }
    let asked: Vec<_> = records.iter().map(|(name, record)| (name.clone(), record)).collect();
    let observations = engine.observe_fleet(&asked).await?.observations;
    let mut found = BTreeMap::new();
    for (name, record) in &records {
        let Some(server) = observations.get(name).and_then(|observation| observation.unreachable) else { continue };
        let place = &record.place;
        let at = (place.server.clone(), server);
        if found.contains_key(&at) {
            continue;
        }
        let told = match engine.reach(place, server).await {
            Ok(true) => {
                let what = format!("process {} listens at {} again", server.pid, place.server.display());
                Some(Finding::new(Level::Ok, "server", what))
            }
            Ok(false) => None,
            Err(error) => Some(Finding::new(Level::Broken, "server", error.to_string())),
        };
        found.insert(at, told);
    }
    Ok(found.into_values().flatten().collect())
}

fn broken(name: &PeerName, error: &impl std::fmt::Display) -> Finding {
    Finding::new(Level::Broken, name.as_str(), error.to_string())
}

/// Returns the files that exist and are read as absent.
fn damaged(files: &[Damage], about: &str) -> Vec<Finding> {
    let finding = |damage: &Damage| {
        let what = format!("{}: {}; it is ignored", damage.file.display(), damage.why);
        let cure = format!("repair it, or move it away: mv {} {0}.bad", damage.file.display());
        Finding::new(Level::Warning, about, what).cure(cure)
    };
    files.iter().map(finding).collect()
}

/// Returns what the two axes show that the next tick would act on. A server that does not answer is reported once.
fn axes(
    name: &PeerName,
    record: &SessionRecord,
    observation: &Observation,
    unsaid: &mut BTreeMap<PathBuf, (String, String)>,
) -> Option<Finding> {
    let warning = |what: &str| Some(Finding::new(Level::Warning, name.as_str(), what).cure("peer reap"));
    if let Some(owner) = &observation.elsewhere {
        let what = format!("it was started {owner}; it cannot be managed from here");
        let cure = format!("peer release {name} if that machine or container is gone for good");
        return Some(Finding::new(Level::Warning, name.as_str(), what).cure(cure));
    }
    if let Some(why) = observation.runtime.why_unknown().filter(|_| observation.is_cut_off(&record.place)) {
        let cure = format!("peer stop {name} && peer start {name} && peer wake {name}");
        return Some(broken(name, &why).cure(cure));
    }
    if let Some(why) = observation.runtime.why_unknown() {
        let cure = match observation.unreachable {
            Some(_) => "peer doctor --fix".to_owned(),
            None => format!("its peers are left alone until {} answers", record.place.server.display()),
        };
        unsaid.insert(record.place.server.clone(), (why.to_owned(), cure));
        return None;
    }
    match (observation.runtime.alive(), observation.process.alive()) {
        (_, None) => {
            Some(broken(name, &observation.process.why_unknown().unwrap_or("its process cannot be inspected")))
        }
        (Some(false), Some(true)) => warning("its agent outlived its session"),
        (Some(false), Some(false)) if observation.server_gone => {
            warning("its server is gone, and its end is not recorded yet")
        }
        (_, Some(false)) if record.ready_at().is_some() => {
            warning("its agent is gone, and its end is not recorded yet")
        }
        _ => None,
    }
}

/// Returns the shared servers of this fleet that can be asked, recorded or configured.
fn shared_servers(
    engine: &Engine,
    records: &[(PeerName, SessionRecord)],
    left: &[Place],
) -> BTreeSet<(RuntimeKind, PathBuf)> {
    let is_here = |place: &&Place| matches!(elsewhere(place.host.as_ref(), false, engine.now()), Ok(None));
    let recorded = records
        .iter()
        .filter(|(_, record)| !matches!(standing(record), Standing::Elsewhere(_)))
        .map(|(_, record)| &record.place)
        .chain(left)
        .filter(is_here)
        .filter_map(|place| Some((place.kind()?, place.server.clone())));
    // Only `config.toml` says where these are.
    let configured = RuntimeKind::ALL.into_iter().filter(|_| engine.usable_settings().is_ok()).filter_map(|kind| {
        Some((kind, kind.facts().address(engine.state.root(), engine.settings.server(kind), "").ok()?))
    });
    let can_be_asked =
        |(kind, _): &(RuntimeKind, PathBuf)| kind.facts().shares_server() && engine.runtime_binary(*kind, None).is_ok();
    recorded.chain(configured).filter(can_be_asked).collect()
}

/// Returns sockets without a listener, and sessions of this fleet that belong to no peer.
async fn servers(
    engine: &Engine,
    records: &[(PeerName, SessionRecord)],
    left: &[Place],
    spoken_for: &BTreeSet<PeerName>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for (kind, server) in shared_servers(engine, records, left) {
        match engine.to_clean_up(kind).list(&server).await {
            Ok(Listing::Gone(Gone::NotListening)) => {
                let what = format!("{} is a socket without a listener", server.display());
                found.push(Finding::new(Level::Note, "socket", what).cure("the next wake replaces it"));
            }
            Ok(Listing::Up { server: process, rows }) => {
                let ours = |row: &&SessionRow| {
                    let peer = row.tag.strip_prefix(&engine.tag_root()).and_then(|rest| rest.split_once('/'));
                    peer.is_some_and(|(peer, _)| spoken_for.iter().all(|known| known.as_str() != peer))
                };
                let belongs = |row: &SessionRow| {
                    let mut places = records.iter().map(|(_, record)| &record.place).chain(left);
                    places.any(|place| {
                        let same = place.server_process.is_none_or(|recorded| process_id(recorded) == process);
                        same && place.server == server && is_at(place, row)
                    })
                };
                for row in rows.iter().filter(ours).filter(|row| !belongs(row)) {
                    let what = format!("session {} on {} belongs to no peer", row.session, server.display());
                    let finding = Finding::new(Level::Warning, "session", what);
                    found.push(match kind.facts().close_command(&server, &row.pane) {
                        Some(cure) => finding.cure(cure),
                        None => finding,
                    });
                }
            }
            // A server that does not answer is already reported if a peer is on it; one that was never started is not a
            // finding.
            Ok(Listing::Gone(Gone::NoSocket | Gone::Ended | Gone::Replaced)) | Err(_) => {}
        }
    }
    found
}

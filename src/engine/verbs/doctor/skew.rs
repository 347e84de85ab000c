//! Checks for servers of another version than the installed runtime, because its package was upgraded while they ran.

use std::collections::BTreeSet;

use peer_adapters::process;
use peer_adapters::version::Executable;

use super::{Finding, Level};
use crate::engine::Engine;
use crate::engine::observe::process_id;
use crate::engine::peer::runtimes::kind_of;
use crate::policy::name::PeerName;
use crate::store::{Place, SessionRecord};

/// Returns a finding for each living recorded server that has another version.
pub(super) async fn look(engine: &Engine, records: &[(PeerName, SessionRecord)]) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (name, record) in records {
        if seen.insert(&record.place.server) {
            found.extend(of_server(engine, name, &record.place).await);
        }
    }
    found
}

async fn of_server(engine: &Engine, name: &PeerName, place: &Place) -> Option<Finding> {
    let kind = kind_of(&place.runtime).ok()?;
    let server = process_id(place.server_process?);
    process::find(server).ok()??;
    let own = Executable::of(server)?;
    let binary = engine.client_binary(kind, place);
    if Executable::at(&binary).is_ok_and(|installed| installed.is(&own)) {
        return None;
    }
    let versions = engine.runtimes.versions();
    let of_server = versions.ask(kind, &own.path).await.ok().filter(|version| version.text.is_some());
    let installed = versions.ask(kind, &binary).await.ok().filter(|version| version.text.is_some());
    let text =
        |version: &Option<peer_adapters::version::Version>| version.as_ref().and_then(|version| version.text.clone());
    let runs =
        text(&of_server).or_else(|| place.server_version.clone()).unwrap_or_else(|| "an unknown version".to_owned());
    let has = text(&installed).map_or_else(
        || format!("{} is gone or does not report its version", binary.display()),
        |installed| format!("{installed} is installed at {}", binary.display()),
    );
    let what = format!("the server of {name}, pid {}, runs {runs}, and {has}", server.pid);
    let cure = format!("peer restart-runtime {name} parks its peers, restarts it and resumes them");
    let fits = matches!((&of_server, &installed), (Some(server), Some(client)) if client.fits(server, kind));
    Some(match (fits, of_server) {
        (true, Some(_)) if text(&installed).as_ref() == Some(&runs) => return None,
        (true, _) => Finding::new(Level::Note, "server", what).cure(cure),
        (false, Some(_)) => {
            let what = format!("{what}; the server's own executable is used instead, {}", own.path.display());
            Finding::new(Level::Warning, "server", what).cure(cure)
        }
        (false, None) => Finding::new(Level::Broken, "server", format!("{what}; its own executable cannot be run"))
            .cure(format!("install {runs} again, or {cure}")),
    })
}

//! What a shell offers at a Tab: verbs and flags from the parser's own definition, and the names, profiles, topics and
//! events of this fleet as they are at that moment.
//!
//! The shell starts `peer` for each Tab, so nothing here opens the state directory, takes a lock or asks a runtime; and
//! nothing here says anything but candidates: a shell would show it in the middle of a line.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::CommandFactory;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use peer_adapters::agent::{BUILTIN, Profile};
use peer_adapters::file;
use peer_adapters::runtime::Key;
use peer_adapters::screen::misleads;

use crate::cli::render::output::printable;
use crate::cli::{Cli, Directories};
use crate::config::ConfigDir;
use crate::policy::name::PeerName;
use crate::store::{ConversationEntry, Event};

/// The variable by which the script in the shell asks, and its own name in that script.
pub(crate) const VARIABLE: &str = "PEER_COMPLETE";

/// Answers a shell, where one asks. `None`: none does, and the arguments are a person's. One look at the environment.
pub(crate) fn answer(arguments: &[OsString]) -> Option<u8> {
    std::env::var_os(VARIABLE)?;
    let current = std::env::current_dir().ok();
    let completed = CompleteEnv::with_factory(Cli::command).var(VARIABLE).try_complete(arguments, current.as_deref());
    match completed {
        Ok(true) => Some(0),
        Ok(false) => None,
        Err(_) => Some(2),
    }
}

/// Declared peers.
pub(crate) fn peers() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let Some(config) = config() else { return Vec::new() };
        let names = config.names().unwrap_or_default();
        names.iter().map(|name| CompletionCandidate::new(name.as_str())).collect()
    })
}

/// Peers that were removed and can be brought back.
pub(crate) fn removed() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let Ok(directories) = Directories::of_environment() else { return Vec::new() };
        let entries = std::fs::read_dir(directories.state.join("trash")).into_iter().flatten().flatten();
        let named = |entry: std::fs::DirEntry| Some(entry.file_name().to_str()?.rsplit_once('-')?.0.to_owned());
        let names: BTreeSet<String> =
            entries.filter_map(named).filter(|name| name.parse::<PeerName>().is_ok()).collect();
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Agent profiles, built in and the person's own.
pub(crate) fn profiles() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let own = config().and_then(|config| config.profile_names().ok()).unwrap_or_default();
        let names: BTreeSet<&str> =
            BUILTIN.iter().map(|(name, _)| *name).chain(own.iter().map(String::as_str)).collect();
        // A shell shows what it is offered.
        let names = names.into_iter().filter(|name| !name.contains(misleads));
        names.map(CompletionCandidate::new).collect()
    })
}

/// Dialogs of the built-in profiles that a spec may accept.
pub(crate) fn dialogs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let profiles = BUILTIN.iter().filter_map(|(name, _)| Profile::builtin(name));
        let dialogs = profiles.flat_map(|profile| profile.dialog).filter(|dialog| !dialog.needs_person);
        let ids: BTreeSet<String> = dialogs.map(|dialog| dialog.id).collect();
        ids.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Keys that have a name.
pub(crate) fn keys() -> ArgValueCandidates {
    ArgValueCandidates::new(|| Key::names().map(CompletionCandidate::new).collect())
}

/// Topics that some peer's conversation knows.
pub(crate) fn topics() -> ArgValueCandidates {
    ArgValueCandidates::new(|| known_topics().into_iter().map(CompletionCandidate::new).collect())
}

fn known_topics() -> BTreeSet<String> {
    let Ok(directories) = Directories::of_environment() else { return BTreeSet::new() };
    let files = std::fs::read_dir(directories.state).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "topic"));
    let texts = files.filter_map(|path| file::read_to_string(&path, file::MOST).ok());
    texts.flat_map(|text| text.lines().map(printable).collect::<Vec<_>>()).collect()
}

/// Ids of conversations that some peer ever had.
pub(crate) fn conversations() -> ArgValueCandidates {
    ArgValueCandidates::new(|| known_conversations().into_iter().map(CompletionCandidate::new).collect())
}

fn known_conversations() -> BTreeSet<String> {
    let Ok(directories) = Directories::of_environment() else { return BTreeSet::new() };
    let files = std::fs::read_dir(directories.state).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "conversations"));
    let texts = files.filter_map(|path| file::read_to_string(&path, file::MOST).ok());
    let entries = texts.flat_map(|text| {
        let entries = text.lines().filter_map(|line| serde_json::from_str::<ConversationEntry>(line).ok());
        entries.collect::<Vec<_>>()
    });
    entries.map(|entry| printable(&entry.conversation)).collect()
}

/// Names of events that stand in the log.
pub(crate) fn events() -> ArgValueCandidates {
    ArgValueCandidates::new(|| recent_events().into_iter().map(CompletionCandidate::new).collect())
}

/// How much of the log is looked at: some 300 events, read in a fraction of a millisecond.
const RECENT: u64 = 64 * 1024;

fn recent_events() -> BTreeSet<String> {
    let read = || -> Option<Vec<u8>> {
        let log = file::open(&Directories::of_environment().ok()?.state.join("lifecycle.log")).ok()?;
        file::part(&log, log.metadata().ok()?.len().saturating_sub(RECENT), RECENT).ok()
    };
    let text = read().unwrap_or_default();
    // A line that begins before what was read, or that is still being written, is no event.
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Event>(line).ok());
    lines.map(|event| printable(&event.event)).collect()
}

fn config() -> Option<ConfigDir> {
    Directories::of_environment().ok().map(|directories| ConfigDir::new(directories.config))
}

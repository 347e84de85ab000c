//! Shell completion: verbs and flags from the parser's own definition; names, profiles, topics and events of this fleet
//! as they are at that moment.
//!
//! The shell starts `peer` for each Tab, so nothing here opens the state directory, takes a lock or queries a runtime.
//! And nothing here prints anything but candidates: a shell would show it in the middle of the line.

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

/// The variable that the shell's script sets to request completions; the script itself uses the name too.
pub(crate) const VARIABLE: &str = "PEER_COMPLETE";

/// Answers a shell that requests completions. Returns `None` if no shell does, and the arguments are the user's. Costs
/// one read of the environment.
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

/// Completes names of declared peers.
pub(crate) fn peers() -> ArgValueCandidates {
    ArgValueCandidates::new(|| declared().iter().map(|name| CompletionCandidate::new(name.as_str())).collect())
}

/// The names of declared peers, as far as they can be read.
pub(crate) fn declared() -> Vec<PeerName> {
    config().and_then(|config| config.names().ok()).unwrap_or_default()
}

/// Completes names of peers that were removed and can be brought back.
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

/// Completes names of agent profiles, built in and the user's own.
pub(crate) fn profiles() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let own = config().and_then(|config| config.profile_names().ok()).unwrap_or_default();
        let names: BTreeSet<&str> =
            BUILTIN.iter().map(|(name, _)| *name).chain(own.iter().map(String::as_str)).collect();
        // The shell prints its candidates to the terminal.
        let names = names.into_iter().filter(|name| !name.contains(misleads));
        names.map(CompletionCandidate::new).collect()
    })
}

/// Completes ids of dialogs that a spec may accept, from the built-in profiles.
pub(crate) fn dialogs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let profiles = BUILTIN.iter().filter_map(|(name, _)| Profile::builtin(name));
        let dialogs = profiles.flat_map(|profile| profile.dialog).filter(|dialog| !dialog.needs_person);
        let ids: BTreeSet<String> = dialogs.map(|dialog| dialog.id).collect();
        ids.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Completes names of keys.
pub(crate) fn keys() -> ArgValueCandidates {
    ArgValueCandidates::new(|| Key::names().map(CompletionCandidate::new).collect())
}

/// Completes topics that any peer's conversation knows.
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

/// Completes ids of conversations that any peer ever had.
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

/// Completes names of events that are in the log.
pub(crate) fn events() -> ArgValueCandidates {
    ArgValueCandidates::new(|| recent_events().into_iter().map(CompletionCandidate::new).collect())
}

/// How much of the end of the log is read: some 300 events, in a fraction of a millisecond.
const RECENT: u64 = 64 * 1024;

fn recent_events() -> BTreeSet<String> {
    let read = || -> Option<Vec<u8>> {
        let log = file::open(&Directories::of_environment().ok()?.state.join("lifecycle.log")).ok()?;
        file::part(&log, log.metadata().ok()?.len().saturating_sub(RECENT), RECENT).ok()
    };
    let text = read().unwrap_or_default();
    // The first line may be cut off at its beginning, and the last may still be being written; neither parses.
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Event>(line).ok());
    lines.map(|event| printable(&event.event)).collect()
}

fn config() -> Option<ConfigDir> {
    Directories::of_environment().ok().map(|directories| ConfigDir::new(directories.config))
}

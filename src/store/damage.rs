//! Finds state files that are damaged. They are reported to the user, and read as absent until they are repaired, set
//! aside or rewritten.

use std::path::PathBuf;

use peer_adapters::file;
use serde::de::DeserializeOwned;

use super::fleet_files::HEARTBEAT;
use super::{ConversationEntry, Heartbeat, PeerFiles, Process, StateDir, StoreError, Stored};

/// One damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The path of the file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

impl PeerFiles {
    /// Returns the damaged files of this peer.
    pub fn damaged(&self) -> Vec<Damage> {
        let lines = lines_that_do_not_parse(&self.path("conversations"));
        let cut = |(bad, all)| format!("{bad} of its {all} lines do not parse, and are passed over");
        let found = [
            ("session", why(self.session())),
            ("end", why(self.end())),
            ("deaths", why(self.deaths())),
            ("topic", why(self.read_text("topic"))),
            ("screen", why(self.kept_screen())),
            ("lock", why(self.removed())),
            ("conversations", lines.map_or_else(|error| Some(error.to_string()), |lines| lines.map(cut))),
        ];
        let named = found.into_iter().filter_map(|(suffix, why)| Some(Damage { file: self.path(suffix), why: why? }));
        named.collect()
    }
}

impl StateDir {
    /// Returns the damaged files that belong to the whole fleet.
    pub fn damaged(&self) -> Vec<Damage> {
        let heartbeat = self.unparsable::<Heartbeat>(HEARTBEAT);
        self.damaged_with(heartbeat)
    }

    /// Like [`StateDir::damaged`], for a caller that has already read the heartbeat and knows what is wrong with it.
    pub fn damaged_with(&self, heartbeat: Option<String>) -> Vec<Damage> {
        let parsed = [
            (HEARTBEAT, heartbeat),
            ("servers.json", self.unparsable::<std::collections::BTreeMap<PathBuf, Process>>("servers.json")),
            ("versions.json", self.unparsable::<serde_json::Map<String, serde_json::Value>>("versions.json")),
        ];
        let named =
            parsed.into_iter().filter_map(|(name, why)| Some(Damage { file: self.root().join(name), why: why? }));
        named.collect()
    }

    fn unparsable<T: DeserializeOwned>(&self, name: &str) -> Option<String> {
        match super::read_text(&self.root().join(name)) {
            Ok(Stored::Absent) => None,
            Ok(Stored::Present(text)) => serde_json::from_str::<T>(&text).err().map(|error| error.to_string()),
            Ok(Stored::Corrupt(why)) => Some(why),
            Err(error) => Some(error.source.to_string()),
        }
    }
}

fn why<T>(stored: Result<Stored<T>, StoreError>) -> Option<String> {
    match stored {
        Ok(Stored::Absent | Stored::Present(_)) => None,
        Ok(Stored::Corrupt(why)) => Some(why),
        Err(error) => Some(error.source.to_string()),
    }
}

/// Returns how many lines of a conversation list do not parse, and how many lines there are, or `None` if all of them
/// parse.
fn lines_that_do_not_parse(path: &std::path::Path) -> std::io::Result<Option<(usize, usize)>> {
    let bytes = match file::read(path, file::MOST) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let bad = lines.iter().filter(|line| serde_json::from_slice::<ConversationEntry>(line).is_err()).count();
    Ok((bad > 0).then_some((bad, lines.len())))
}

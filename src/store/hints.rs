//! What the user has shown to know already, so that it need not be explained at length again (`hints.json`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Result, StateDir, Stored, read_text};

const FILE: &str = "hints.json";

#[derive(Default, Serialize, Deserialize)]
struct Hints {
    /// The runtimes from which a user has detached with their keys.
    #[serde(default)]
    left: BTreeSet<String>,
}

impl StateDir {
    /// Whether a user attached on this runtime has ever detached from it. `false` if the file cannot be read.
    pub fn has_detached(&self, runtime: &str) -> bool {
        self.hints().left.contains(runtime)
    }

    /// Records that a user detached from this runtime. If two processes write at once, one record may be lost, and that
    /// hint appears once more.
    ///
    /// # Errors
    /// If the directory is read-only or the disk is full.
    pub fn record_detach(&self, runtime: &str) -> Result<()> {
        let mut hints = self.hints();
        if !hints.left.insert(runtime.to_owned()) {
            return Ok(());
        }
        self.keep_file(FILE, &serde_json::to_string(&hints).expect("plain data"))
    }

    fn hints(&self) -> Hints {
        match read_text(&self.root.join(FILE)) {
            Ok(Stored::Present(text)) => serde_json::from_str(&text).unwrap_or_default(),
            _ => Hints::default(),
        }
    }
}

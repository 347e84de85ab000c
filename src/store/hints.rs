//! `hints.json`: what a person has shown to know, and need not be told at length any more.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Result, StateDir, Stored, read_text};

const FILE: &str = "hints.json";

#[derive(Default, Serialize, Deserialize)]
struct Hints {
    /// Runtimes that somebody has left by their keys.
    #[serde(default)]
    left: BTreeSet<String>,
}

impl StateDir {
    /// Whether somebody who was attached on this runtime has ever left it. A file that cannot be read tells nothing.
    pub fn has_left(&self, runtime: &str) -> bool {
        self.hints().left.contains(runtime)
    }

    /// Notes that somebody has. Of two who note at once one may be lost, and is told once more.
    ///
    /// # Errors
    /// The directory is read-only or the disk is full.
    pub fn note_left(&self, runtime: &str) -> Result<()> {
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

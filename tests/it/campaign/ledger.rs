//! The ledger of faults and outcomes, one line per leg.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

use crate::common::Run;

/// How often each thing happened, by its name.
pub(super) type Counts = BTreeMap<String, u64>;

/// Things that must never happen.
pub(super) const NEVER: [&str; 8] = [
    "second agents",
    "lost ids",
    "false deaths",
    "wakes that fail after settling",
    "stops that fail after settling",
    "messages lost",
    "messages twice",
    "orphans left",
];

/// The legs so far of the sources that are tested.
pub(super) struct Ledger {
    file: Option<PathBuf>,
    commit: String,
    legs: Vec<Value>,
}

impl Ledger {
    /// Reads the legs of this commit that are in the file, if it exists.
    pub(super) fn open(file: Option<PathBuf>, commit: String) -> Self {
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let legs = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of a ledger"));
        let legs = legs.filter(|leg| leg["commit"] == commit.as_str()).collect();
        Self { file, commit, legs }
    }

    /// Whether a leg was run on the runtime that is on the PATH.
    pub(super) fn has(&self, seed: u64, leg: u64, kind: RuntimeKind) -> bool {
        let version = version(kind);
        self.legs.iter().any(|line| line["seed"] == seed && line["leg"] == leg && line["version"] == version.as_str())
    }

    /// Adds a leg, and writes it to disk at once.
    pub(super) fn add(&mut self, seed: u64, leg: u64, kind: RuntimeKind, counts: &Counts) {
        let version = version(kind);
        let line = json!({ "commit": self.commit, "seed": seed, "leg": leg, "runtime": kind.as_str(), "version": version,
            "counts": counts });
        if let Some(file) = &self.file {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(file).expect("the ledger");
            writeln!(file, "{line}").expect("the ledger");
        }
        self.legs.push(line);
    }

    /// The sums of all counts, including those that must be 0.
    fn sums(&self) -> Counts {
        let mut sums: Counts = NEVER.iter().map(|name| ((*name).to_owned(), 0)).collect();
        for (name, count) in self.legs.iter().filter_map(|leg| leg["counts"].as_object()).flatten() {
            *sums.entry(name.clone()).or_default() += count.as_u64().expect("a count");
        }
        sums
    }

    /// The sums, one per line, those that must be 0 last.
    pub(super) fn figures(&self) -> String {
        let sums = self.sums();
        let kills: u64 = sums.iter().filter(|(name, _)| name.starts_with("killed ")).map(|(_, count)| count).sum();
        let mut text = String::new();
        for (version, legs) in self.legs_by_version() {
            writeln!(text, "{legs:>8}  legs on {version}").expect("a string");
        }
        writeln!(text, "{kills:>8}  kills in all").expect("a string");
        let (never, done): (Vec<_>, Vec<_>) = sums.iter().partition(|(name, _)| NEVER.contains(&name.as_str()));
        for (name, count) in done.into_iter().chain(never) {
            writeln!(text, "{count:>8}  {name}").expect("a string");
        }
        text
    }

    fn legs_by_version(&self) -> Counts {
        let mut legs = Counts::new();
        for leg in &self.legs {
            *legs.entry(leg["version"].as_str().unwrap_or("?").to_owned()).or_default() += 1;
        }
        legs
    }

    pub(super) fn is_clean(&self) -> bool {
        self.sums().iter().all(|(name, count)| *count == 0 || !NEVER.contains(&name.as_str()))
    }
}

/// The version that the runtime on the PATH reports.
fn version(kind: RuntimeKind) -> String {
    Run::of(Command::new(kind.as_str()).arg("-V"), None).stdout.trim().to_owned()
}

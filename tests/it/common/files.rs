//! The state directory as a user reads it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::{World, wait_for, wait_until};

/// Writes a shell script that can be run by its path.
#[track_caller]
pub(crate) fn executable(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

impl World {
    /// The path of `NAME.suffix`.
    pub(crate) fn file(&self, name: &str, suffix: &str) -> PathBuf {
        self.path(&format!("state/{name}.{suffix}"))
    }

    /// Whether `NAME.suffix` exists.
    pub(crate) fn has(&self, name: &str, suffix: &str) -> bool {
        self.file(name, suffix).exists()
    }

    /// Writes `NAME.suffix` as a user might.
    pub(crate) fn write(&self, name: &str, suffix: &str, text: &str) {
        fs::write(self.file(name, suffix), text).expect("write");
    }

    /// `NAME.suffix` as JSON; null if the file does not exist.
    pub(crate) fn json(&self, name: &str, suffix: &str) -> Value {
        match fs::read_to_string(self.file(name, suffix)) {
            Ok(text) => serde_json::from_str(&text).expect("JSON"),
            Err(_) => Value::Null,
        }
    }

    /// `NAME.suffix` as JSON; null if the file does not exist or does not parse.
    pub(crate) fn json_or_null(&self, name: &str, suffix: &str) -> Value {
        let text = fs::read_to_string(self.file(name, suffix)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Changes `NAME.suffix`, which must be JSON.
    pub(crate) fn edit(&self, name: &str, suffix: &str, change: impl FnOnce(&mut Value)) {
        let mut value = self.json(name, suffix);
        change(&mut value);
        self.write(name, suffix, &value.to_string());
    }

    /// The session record.
    pub(crate) fn session(&self, name: &str) -> Value {
        self.json(name, "session")
    }

    /// The last end.
    pub(crate) fn end(&self, name: &str) -> Value {
        self.json(name, "end")
    }

    /// How many counted deaths are recorded.
    pub(crate) fn deaths(&self, name: &str) -> usize {
        self.json(name, "deaths").as_array().map_or(0, Vec::len)
    }

    /// Waits until the end of the recorded incarnation is recorded and logged, and returns it.
    #[track_caller]
    pub(crate) fn await_end(&self, name: &str) -> Value {
        let end = wait_for(&format!("the end of {name}"), || {
            let logged = self.events(name, "session.ended").last().map(|event| event["incarnation"].clone());
            (!self.has(name, "session") && logged? == self.end(name)["incarnation"]).then(|| self.end(name))
        });
        // A tick passes a peer over whose lock is held, as it is by whoever has just recorded this end.
        let lock = fs::File::open(self.file(name, "lock")).expect("it was locked");
        wait_until("whoever recorded it is done", || lock.try_lock_shared().is_ok());
        end
    }

    /// The agent's pid, from the record.
    #[track_caller]
    pub(crate) fn agent(&self, name: &str) -> u32 {
        pid(&self.session(name)["process"]["pid"])
    }

    /// The pid of the pane process, from the record.
    #[track_caller]
    pub(crate) fn pane_process(&self, name: &str) -> u32 {
        pid(&self.session(name)["pane_process"]["pid"])
    }

    /// The log, one value per event.
    pub(crate) fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("state/lifecycle.log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
    }

    /// Events of one name, of one peer.
    pub(crate) fn events(&self, name: &str, event: &str) -> Vec<Value> {
        let mut log = self.log();
        log.retain(|entry| entry["peer"] == name && entry["event"] == event);
        log
    }

    /// Every conversation id that a peer ever had, from its list of conversations.
    pub(crate) fn conversations(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.file(name, "conversations")).unwrap_or_default();
        let id = |line: &str| {
            let entry: Value = serde_json::from_str(line).expect("JSON");
            entry["conversation"].as_str().expect("an id").to_owned()
        };
        text.lines().map(id).collect()
    }

    /// Everything in the state directory except zellij's own files: path, content and modification time.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        let mut found = BTreeMap::new();
        snapshot(&self.path("state"), &mut found);
        found
    }
}

fn snapshot(dir: &Path, found: &mut BTreeMap<PathBuf, (Vec<u8>, SystemTime)>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("entry").path();
        if path.ends_with("state/zellij") {
            continue;
        }
        let modified = path.metadata().and_then(|meta| meta.modified()).expect("metadata");
        if path.is_dir() {
            found.insert(path.clone(), (Vec::new(), modified));
            snapshot(&path, found);
        } else {
            found.insert(path.clone(), (fs::read(&path).expect("readable"), modified));
        }
    }
}

#[track_caller]
fn pid(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap_or_else(|| panic!("no pid: {value}"))).expect("a pid")
}

//! The session record in its flat file format.
//!
//! With `flatten`, serde first builds an intermediate tree, which took two thirds of the time to read a record. A tick
//! and `peer list` read one record per peer.

use std::path::PathBuf;

use peer_adapters::runtime::RuntimeName;
use serde::Deserialize;

use super::{Host, Phase, Place, Process, SessionRecord, TextLength, Unseen};
use crate::policy::ending::{Incarnation, Intent};
use crate::policy::time::Timestamp;

#[derive(Deserialize)]
pub(super) struct AgentProcess {
    pid: u32,
    start: u64,
    session: u32,
}

impl From<AgentProcess> for super::AgentProcess {
    fn from(AgentProcess { pid, start, session }: AgentProcess) -> Self {
        Self { id: Process { pid, start }, session }
    }
}

#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one incarnation")]
pub(super) struct Record {
    incarnation: Incarnation,
    runtime: RuntimeName,
    binary: PathBuf,
    server: PathBuf,
    session: String,
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    pane: String,
    server_process: Option<Process>,
    pane_process: Option<Process>,
    server_version: Option<String>,
    server_executable: Option<PathBuf>,
    host: Option<Host>,
    process: Option<super::AgentProcess>,
    boot_id: String,
    agent: String,
    real_cwd: Option<PathBuf>,
    #[serde(default)]
    status_dir: Option<PathBuf>,
    conversation: Option<String>,
    #[serde(alias = "begun_at_ms")]
    unidentified_since_ms: Option<Timestamp>,
    #[serde(default, alias = "traces")]
    process_markers: Vec<String>,
    #[serde(default, alias = "lives_by")]
    essential_env: Vec<String>,
    #[serde(default)]
    missing_env: Vec<String>,
    resumed: bool,
    cause: String,
    woke_at_ms: Timestamp,
    delivered_at_ms: Option<Timestamp>,
    #[serde(default)]
    hops: u32,
    #[serde(default)]
    had_message: bool,
    #[serde(default)]
    pressed_at_ms: Option<Timestamp>,
    typing: Option<String>,
    typing_unmarked: Option<String>,
    typing_extent: Option<TextLength>,
    typed: Option<String>,
    #[serde(default, alias = "typed_is_said")]
    typed_was_accepted: bool,
    unseen: Option<Unseen>,
    #[serde(alias = "told")]
    last_reported: Option<String>,
    refused: Option<String>,
    #[serde(default)]
    prompt_due: bool,
    topic: Option<String>,
    #[serde(default)]
    consumes_markers: bool,
    intent: Option<Intent>,
    phase: PhaseName,
    driver: Option<Process>,
    ready_at_ms: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PhaseName {
    Starting,
    Ready,
    Refused,
}

/// The error for a phase whose required field is missing.
#[derive(Debug, thiserror::Error)]
#[error("missing field `{0}`")]
pub(super) struct Missing(&'static str);

impl TryFrom<Record> for SessionRecord {
    type Error = Missing;

    fn try_from(read: Record) -> Result<Self, Missing> {
        Ok(Self {
            incarnation: read.incarnation,
            place: Place {
                runtime: read.runtime,
                binary: read.binary,
                server: read.server,
                session: read.session,
                session_id: read.session_id,
                pane: read.pane,
                server_process: read.server_process,
                pane_process: read.pane_process,
                server_version: read.server_version,
                server_executable: read.server_executable,
                host: read.host,
            },
            process: read.process,
            boot_id: read.boot_id,
            agent: read.agent,
            real_cwd: read.real_cwd,
            status_dir: read.status_dir,
            conversation: read.conversation,
            unidentified_since_ms: read.unidentified_since_ms,
            process_markers: read.process_markers,
            essential_env: read.essential_env,
            missing_env: read.missing_env,
            resumed: read.resumed,
            cause: read.cause,
            woke_at_ms: read.woke_at_ms,
            delivered_at_ms: read.delivered_at_ms,
            hops: read.hops,
            had_message: read.had_message,
            pressed_at_ms: read.pressed_at_ms,
            typing: read.typing,
            typing_unmarked: read.typing_unmarked,
            typing_extent: read.typing_extent,
            typed: read.typed,
            typed_was_accepted: read.typed_was_accepted,
            unseen: read.unseen,
            last_reported: read.last_reported,
            refused: read.refused,
            prompt_due: read.prompt_due,
            topic: read.topic,
            consumes_markers: read.consumes_markers,
            intent: read.intent,
            phase: match read.phase {
                PhaseName::Starting => Phase::Starting { driver: read.driver.ok_or(Missing("driver"))? },
                PhaseName::Ready => Phase::Ready { ready_at_ms: read.ready_at_ms.ok_or(Missing("ready_at_ms"))? },
                PhaseName::Refused => Phase::Refused,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use peer_adapters::runtime::RuntimeKind;
    use serde_json::{Value, json};

    use super::*;

    /// A record with every field set, and its JSON object.
    fn whole(phase: Phase) -> (SessionRecord, Value) {
        let process = Process { pid: 7, start: 8 };
        let place = Place {
            session_id: "$3".to_owned(),
            pane: "%4".to_owned(),
            server_process: Some(process),
            pane_process: Some(process),
            server_version: Some("tmux 3.3a".to_owned()),
            server_executable: Some("/usr/bin/tmux".into()),
            host: Some(Host { machine: "m".to_owned(), name: "n".to_owned(), pid_namespace: Some(4) }),
            ..Place::planned(RuntimeKind::Tmux, "/usr/bin/tmux".into(), "/s".into(), "a-1".to_owned())
        };
        let at = Timestamp::from_ms(9);
        let record = SessionRecord {
            process: Some(super::super::AgentProcess { id: process, session: 5 }),
            real_cwd: Some("/w".into()),
            conversation: Some("c".to_owned()),
            unidentified_since_ms: Some(at),
            process_markers: vec!["t".to_owned()],
            essential_env: vec!["KEY".to_owned()],
            missing_env: vec!["URL".to_owned()],
            resumed: true,
            delivered_at_ms: Some(at),
            hops: 3,
            had_message: true,
            pressed_at_ms: Some(at),
            typing: Some("f".to_owned()),
            typing_unmarked: Some("e".to_owned()),
            typing_extent: Some(TextLength { min_lines: 1, max_lines: 2, characters: 3 }),
            typed: Some("h".to_owned()),
            typed_was_accepted: true,
            unseen: Some(Unseen { text: "i".to_owned(), conversation: Some("c".to_owned()), position: 6, at_ms: at }),
            last_reported: Some("g".to_owned()),
            refused: Some("no".to_owned()),
            prompt_due: true,
            topic: Some("x".to_owned()),
            consumes_markers: true,
            intent: Some(Intent::Stopped),
            phase,
            ..SessionRecord::starting(Incarnation(1), place, process, "b".to_owned(), "command", "first-wake", at)
        };
        let value = serde_json::to_value(&record).expect("an object");
        (record, value)
    }

    #[test]
    fn every_field_that_is_written_is_read() {
        let (driver, at) = (Process { pid: 7, start: 8 }, Timestamp::from_ms(9));
        for phase in [Phase::Starting { driver }, Phase::Ready { ready_at_ms: at }, Phase::Refused] {
            let (record, value) = whole(phase);
            assert_eq!(serde_json::from_value::<SessionRecord>(value).expect("read"), record);
        }
    }

    #[test]
    fn fields_under_their_former_names_are_read() {
        let (record, mut value) = whole(Phase::Refused);
        let former = [
            ("unidentified_since_ms", "begun_at_ms"),
            ("process_markers", "traces"),
            ("essential_env", "lives_by"),
            ("typed_was_accepted", "typed_is_said"),
            ("last_reported", "told"),
        ];
        let rename = |value: &mut Value, (name, former): (&str, &str)| {
            let fields = value.as_object_mut().expect("an object");
            let field = fields.remove(name).expect("written");
            fields.insert(former.to_owned(), field);
        };
        for names in former {
            rename(&mut value, names);
        }
        let extent = &mut value["typing_extent"];
        for names in [("min_lines", "least_lines"), ("max_lines", "most_lines")] {
            rename(extent, names);
        }
        assert_eq!(serde_json::from_value::<SessionRecord>(value).expect("read"), record);
    }

    #[test]
    fn what_older_and_newer_versions_write_is_read_and_half_a_phase_is_not() {
        let (record, mut value) = whole(Phase::Refused);
        value["of_tomorrow"] = json!({"phase": "ready"});
        assert_eq!(serde_json::from_value::<SessionRecord>(value.clone()).expect("read"), record);
        let fields = value.as_object_mut().expect("an object");
        for younger in
            ["host", "server_process", "pane_process", "session_id", "pane", "process_markers", "prompt_due", "intent"]
        {
            fields.remove(younger);
        }
        fields.remove("essential_env").and(fields.remove("missing_env")).expect("written");
        assert!(serde_json::from_value::<SessionRecord>(value.clone()).is_ok());
        for (phase, wants) in [("starting", "driver"), ("ready", "ready_at_ms"), ("asleep", "asleep")] {
            value["phase"] = json!(phase);
            let error = serde_json::from_value::<SessionRecord>(value.clone()).expect_err("half a phase").to_string();
            assert!(error.contains(wants), "{error}");
        }
    }
}

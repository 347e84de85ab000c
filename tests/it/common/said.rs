//! What the real agents wrote down of the messages that they got, read without any code of `peer`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::Run;
use crate::common::real_agent::Agent;

/// The user's messages as the agent wrote them down, oldest first.
pub(crate) fn said(agent: &Agent) -> Vec<String> {
    let home = agent.world.path("home");
    match agent.name {
        "claude" => records(&home.join(".claude/projects"))
            .into_iter()
            .filter_map(|record| {
                let matches_record =
                    record["type"] == "user" && record["isMeta"].is_null() && record["toolUseResult"].is_null();
                matches_record.then(|| content(&record["message"]["content"]))
            })
            .collect(),
        "codex" => records(&home.join(".codex/sessions"))
            .into_iter()
            .filter_map(|record| {
                let payload = &record["payload"];
                let text = content(&payload["content"]);
                (payload["type"] == "message"
                    && payload["role"] == "user"
                    && !text.starts_with("<environment_context>"))
                .then_some(text)
            })
            .collect(),
        "pi" => records(&home.join(".pi/agent/sessions"))
            .into_iter()
            .filter_map(|record| (record["message"]["role"] == "user").then(|| content(&record["message"]["content"])))
            .collect(),
        _ => opencode_said(&home),
    }
}

fn content(content: &Value) -> String {
    let parts =
        content.as_array().map(|parts| parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>());
    content.as_str().map(str::to_owned).or(parts).unwrap_or_default()
}

/// All records of all files below a directory.
fn records(dir: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.path().is_dir() { dirs.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    let text = |file: &PathBuf| std::fs::read_to_string(file).unwrap_or_default();
    let lines: String = files.iter().map(text).collect();
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn opencode_said(home: &Path) -> Vec<String> {
    let query = "import json, sqlite3, sys\ndb = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)\n\
        print(json.dumps([d for d, in db.execute('select part.data from part join message on message.id = part.message_id \
        where json_extract(message.data, \"$.role\") = \"user\" order by part.time_created, part.id')]))";
    let database = home.join(".local/share/opencode/opencode.db");
    let run = Run::of(std::process::Command::new("python3").args(["-c", query]).arg(database), None);
    let parts: Vec<String> = serde_json::from_str(&run.stdout).unwrap_or_default();
    parts
        .iter()
        .filter_map(|part| serde_json::from_str::<Value>(part).ok()?["text"].as_str().map(str::to_owned))
        .collect()
}

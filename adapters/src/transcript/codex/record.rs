//! What the records of a rollout mean.

use serde_json::Value;

use super::super::entries::count;
use super::super::refusal::reason_in;
use super::super::{Entry, EntryKind, Refusal, RefusedFor, Tokens, lines};

pub(super) fn messages(record: &Value) -> Vec<String> {
    let payload = &record["payload"];
    match payload["type"].as_str() {
        Some("message") if payload["role"] == "user" => lines::content_texts(&payload["content"]),
        // Older versions write the message only as an event.
        Some("user_message") => lines::content_texts(&payload["message"]),
        _ => Vec::new(),
    }
}

/// Returns whether a turn began (`true`) or ended with this record.
pub(super) fn turn(record: &Value) -> Option<bool> {
    match record.get("payload")?.get("type")?.as_str()? {
        "task_started" => Some(true),
        "task_complete" | "turn_aborted" => Some(false),
        _ => None,
    }
}

/// # Source
/// Codex 0.169.0: a queued message is recorded in its own turn. `content_item_kinds` distinguishes what the user said
/// from what Codex says as the user; older versions put that in tags, or write the message only as an event. The cost
/// of an answer follows it.
pub(super) fn entry(record: &Value) -> Option<Entry> {
    let payload = record.get("payload")?;
    let within = &payload["internal_chat_message_metadata_passthrough"];
    let text = || Some(lines::content_texts(&payload["content"]).join("\n")).filter(|text| !text.is_empty());
    let kind = match payload["type"].as_str() {
        Some("message") if payload["role"] == "user" => {
            let kinds = within["content_item_kinds"].as_array();
            let is_users_own = |text: &String| match kinds {
                Some(kinds) => kinds.iter().any(|kind| kind == "user.text"),
                None => !text.starts_with('<') && !text.starts_with("# AGENTS.md"),
            };
            EntryKind::UserMessage(text().filter(is_users_own)?)
        }
        Some("user_message") => EntryKind::UserMessage(payload["message"].as_str()?.to_owned()),
        Some("message") if payload["role"] == "assistant" => {
            EntryKind::AgentText { text: text()?, part_of: None, tokens: None }
        }
        Some("task_complete") => EntryKind::TurnEnd { aborted: false },
        Some("turn_aborted") => EntryKind::TurnEnd { aborted: true },
        None if record["type"] == "token_usage_record" => EntryKind::AgentText {
            text: String::new(),
            part_of: payload["response_id"].as_str().map(str::to_owned),
            tokens: payload.get("usage").map(|usage| Tokens {
                input: count(usage, &["input_tokens"]),
                output: count(usage, &["output_tokens"]),
            }),
        },
        _ => return None,
    };
    let of = payload["turn_id"].as_str().or_else(|| within["turn_id"].as_str()).map(str::to_owned);
    Some(Entry { at: lines::time(record), of, kind })
}

/// # Source
/// Codex 0.169.0, and 429 with `usage_limit_reached`: the turn is complete with an `error`, whose text names the end by
/// the clock of here. After 401 it is `unauthorized`.
///
/// What the newest record says of a refusal; none where it tells of nothing that was said or answered.
#[allow(clippy::option_option, reason = "a record tells of no refusal, or tells nothing")]
pub(super) fn refusal(record: &Value) -> Option<Option<Refusal>> {
    let payload = record.get("payload")?;
    let error = &payload["error"];
    if payload["type"] == "task_complete" && error.is_object() {
        let text = error["message"].as_str().unwrap_or_default().to_owned();
        let reason = match error["codex_error_info"].as_str() {
            Some("usage_limit_exceeded") => Some(RefusedFor::UsageLimit),
            Some("unauthorized") => Some(RefusedFor::Account),
            _ => reason_in(&text),
        };
        return Some(reason.map(|reason| Refusal { reason, at: lines::time(record), text, until: None }));
    }
    match entry(record)?.kind {
        EntryKind::UserMessage(_) => Some(None),
        EntryKind::AgentText { text, .. } if !text.is_empty() => Some(None),
        EntryKind::AgentText { .. } | EntryKind::QueuedMessage(_) | EntryKind::TurnEnd { .. } => None,
    }
}

/// Moves the cost of an answer into its entry, and drops duplicates.
pub(super) fn tidy(entries: Vec<Entry>) -> Vec<Entry> {
    let mut tidy: Vec<Entry> = Vec::with_capacity(entries.len());
    for entry in entries {
        match (tidy.last_mut().map(|last| &mut last.kind), &entry.kind) {
            (Some(EntryKind::UserMessage(before)), EntryKind::UserMessage(text)) if before == text => {}
            (
                Some(EntryKind::AgentText { part_of, tokens: tokens @ None, .. }),
                EntryKind::AgentText { text, part_of: whole, tokens: cost },
            ) if text.is_empty() => {
                part_of.clone_from(whole);
                *tokens = *cost;
            }
            _ => tidy.push(entry),
        }
    }
    tidy
}

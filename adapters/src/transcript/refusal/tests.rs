//! What the agents' records say of a refusal. The records are shortened from those that they wrote after 429 and 401.

use super::super::refusal::reason_in;
use super::*;

const LIMITED: &str = r#"{"type":"assistant","isApiErrorMessage":true,"error":"rate_limit","quotaLimits":{"resetsAt":1795305600},"message":{"content":[{"type":"text","text":"You've hit your limit"}]}}"#;
const SIGNED_OUT: &str = r#"{"type":"assistant","isApiErrorMessage":true,"error":"authentication_failed","message":{"content":[{"type":"text","text":"Please run /login · API Error: 401 invalid x-api-key"}]}}"#;
const FAILED: &str = r#"{"type":"assistant","isApiErrorMessage":true,"error":"server_error","message":{"content":[{"type":"text","text":"API Error: 500 Internal server error"}]}}"#;
const SAID: &str = r#"{"type":"user","message":{"role":"user","content":"again"}}"#;
const OTHER_COMMAND: &str =
    r#"{"type":"user","message":{"content":"<local-command-stdout>Total cost: $0.00</local-command-stdout>"}}"#;
const SIGNED_IN: &str =
    r#"{"type":"user","message":{"content":"<local-command-stdout>Login successful</local-command-stdout>"}}"#;

fn reason(home: &Home) -> Option<RefusedFor> {
    home.files().refused(ID).expect("readable").map(|refusal| refusal.reason)
}

#[test]
fn claude_is_refused_until_something_is_said_or_someone_signs_in() {
    let home = Home::new("claude");
    assert_eq!(reason(&home), None, "no transcript");
    for (records, expected) in [
        (&[SAID, LIMITED][..], Some(RefusedFor::UsageLimit)),
        (&[SAID, SIGNED_OUT], Some(RefusedFor::Account)),
        (&[SAID, SIGNED_OUT, OTHER_COMMAND], Some(RefusedFor::Account)),
        (&[SAID, SIGNED_OUT, SIGNED_IN], None),
        (&[SAID, SIGNED_OUT, SAID], None),
        (&[SAID, SIGNED_OUT, SAID, FAILED], None),
        (&[SAID, LIMITED, SAID, SIGNED_OUT], Some(RefusedFor::Account)),
        (&[SAID, FAILED], None),
    ] {
        home.write(CLAUDE, &(records.join("\n") + "\n"));
        assert_eq!(reason(&home), expected, "{records:?}");
    }
}

#[test]
fn codex_ends_its_turn_with_the_refusal() {
    let home = Home::new("codex");
    let ended = |info: &str, text: &str| {
        format!(
            "{{\"type\":\"event_msg\",\"payload\":{{\"type\":\"task_complete\",\"error\":{{\"message\":\"{text}\",\"codex_error_info\":{info}}}}}}}\n"
        )
    };
    for (record, expected) in [
        (ended("\"usage_limit_exceeded\"", "try again at 3 PM"), Some(RefusedFor::UsageLimit)),
        (ended("\"unauthorized\"", "unexpected status"), Some(RefusedFor::Account)),
        (ended("null", "unexpected status 401 Unauthorized: Incorrect API key provided"), Some(RefusedFor::Account)),
        (ended("null", "stream disconnected"), None),
    ] {
        home.write(ROLLOUT, &record);
        assert_eq!(reason(&home), expected, "{record}");
    }
}

#[test]
fn the_words_of_a_service_tell_a_limit_from_a_key() {
    for (text, expected) in [
        ("429 Too Many Requests", Some(RefusedFor::UsageLimit)),
        ("You exceeded your current quota", Some(RefusedFor::UsageLimit)),
        ("401 Incorrect API key provided: sk-test", Some(RefusedFor::Account)),
        ("Unauthorized", Some(RefusedFor::Account)),
        ("503 overloaded", None),
        ("HTTP/1.1 429 Too Many Requests", Some(RefusedFor::UsageLimit)),
        ("exceeded retry limit, last status: 429, request id: 1", Some(RefusedFor::UsageLimit)),
        ("Too Many Requests (429).", Some(RefusedFor::UsageLimit)),
        ("Request failed with status code 401.", Some(RefusedFor::Account)),
        ("{\"error\":{\"code\":\"401\"}}", Some(RefusedFor::Account)),
        ("connect ECONNREFUSED 127.0.0.1:4010", None),
        ("connect ECONNREFUSED 127.0.0.1:401", None),
        ("fetch failed: http://127.0.0.1:429/v1", None),
        ("500 server error, request id req_0429-401-429", None),
        ("ENOSPC: 401 of 429 blocks are left", None),
        ("EDQUOT: disk quota exceeded, write", None),
        ("", None),
    ] {
        assert_eq!(reason_in(text), expected, "{text}");
    }
}

//! Every record of the state directory, and the decisions of policy about it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer::testing::{
    ConversationEntry, Deaths, EndCause, EndReport, Ends, Event, ExitRecord, Health, HealthPolicy, Heartbeat, LastEnd,
    Launch, Outcome, Reached, Session, SessionRecord, Timestamp,
};

fuzz_target!(|bytes: &[u8]| {
    let now = Timestamp::from_ms(1_795_305_600_000);
    let deaths = serde_json::from_slice::<Deaths>(bytes).unwrap_or_default();
    let last = serde_json::from_slice::<LastEnd>(bytes).ok();
    let health = Health::assess(&deaths, last.as_ref().map(|last| &last.end), HealthPolicy::default(), now);
    let _ = health.held_until(now).map(|until| until.to_string());
    if let Ok(record) = serde_json::from_slice::<SessionRecord>(bytes) {
        let again = serde_json::to_vec(&record).expect("plain data");
        assert_eq!(serde_json::from_slice::<SessionRecord>(&again).expect("its own words"), record);
        let report = EndReport {
            incarnation: record.incarnation,
            cause: EndCause::Vanished,
            exit: None,
            at: now,
            uptime: now.since(record.woke_at_ms),
            max_rss_kib: None,
            reached: Reached::Ready,
        };
        let _ = Outcome::of(&record, report, Session::Cleared, Ends { last, deaths });
    }
    let _ = serde_json::from_slice::<Heartbeat>(bytes).map(|beat| beat.started_at_ms.to_string());
    let _ = serde_json::from_slice::<ConversationEntry>(bytes);
    let _ = serde_json::from_slice::<ExitRecord>(bytes);
    let _ = serde_json::from_slice::<Launch>(bytes);
    let _ = serde_json::from_slice::<Event>(bytes);
});

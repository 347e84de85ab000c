//! The real Claude Code, Codex, pi and opencode in a real tmux, without a network: run by `scripts/test-agents`.
//!
//! The mock model reports how many user messages it was sent (`turns=2`), so what the agent remembers proves a resume.

mod lab;
#[path = "../../../tests/it/common/mock_model.rs"]
mod mock_model;

use std::time::{Duration, Instant, SystemTime};

use peer_adapters::agent::{Profile, Start};
use peer_adapters::runtime::Key;
use peer_adapters::screen::{self, Phase};

use lab::World;

const ID: &str = "5d1f6f7e-8a3b-4c2d-9e1f-0a1b2c3d4e5f";

/// A fresh start, a message, a regular exit, a resume, a message in a turn that takes a while.
fn lives_and_is_resumed(agent: &str, extra: &[&str]) {
    let world = World::new(&[]);
    let chooses = Profile::builtin(agent).expect(agent).chooses_id();
    let chosen = chooses.then_some(ID);

    let first = world.start(agent, extra, Start::Fresh { chosen });
    first.ready(first.profile.ready.stable_for_fresh);
    if let Some(id) = chosen {
        assert_eq!(first.files().exists(id).expect("files can be read"), None, "nothing to resume before a message");
    }
    assert_eq!(first.discover(), None, "no conversation before a message");
    let id = first.converse(chosen, "the first message\n\n  of three lines\t\n", 1);
    assert!(chosen.is_none_or(|chosen| chosen == id));
    first.until("idle by its files", || {
        (first.files().turn_in_progress(Some(&id), first.pid).expect("files can be read") == Some(false)).then_some(())
    });
    let active = first.files().last_activity(Some(&id), first.pid).expect("files can be read").expect("was active");
    assert!(active > first.since && active <= SystemTime::now() + Duration::from_secs(1), "{active:?}");
    first.quit();

    assert!(first.files().exists(&id).expect("files can be read").is_some(), "it can be resumed");
    let second = world.start(agent, extra, Start::Resume { conversation: &id });
    second.ready(second.profile.ready.stable_for_resume);
    let big = format!("{}HOLD {agent}-big", "x y z äöü 漢字 `$(date)` \"quoted\"\n".repeat(3_000));
    assert!(big.len() > 100_000);
    let mark = second.files().mark(Some(&id)).expect("files can be read");
    second.put_in(&big);
    second.until("busy", || (second.view().phase == Phase::Busy).then_some(()));
    second.until("busy by its files", || {
        (second.files().turn_in_progress(Some(&id), second.pid).expect("files can be read") == Some(true)).then_some(())
    });
    mock_model::release(&format!("{agent}-big"));
    second.until("answering with its memory", || screen::plain(&second.capture()).contains("turns=2: ").then_some(()));
    let whole = || second.files().accepted(&mark, Some(&id), &big).expect("files can be read").then_some(());
    second.until("in its transcript with all of 100 KB", whole);
    if let Some(found) = second.discover() {
        assert_eq!(found, id, "the resumed process has the same conversation");
    }
    second.ready(Duration::ZERO);
    second.quit();
}

#[test]
#[ignore = "needs the real agent: run scripts/test-agents"]
fn claude_lives_and_is_resumed() {
    lives_and_is_resumed("claude", &[]);
}

#[test]
#[ignore = "needs the real agent: run scripts/test-agents"]
fn codex_lives_and_is_resumed() {
    lives_and_is_resumed("codex", &[]);
}

#[test]
#[ignore = "needs the real agent: run scripts/test-agents"]
fn pi_lives_and_is_resumed() {
    lives_and_is_resumed("pi", &["--model", "mock/mock"]);
}

#[test]
#[ignore = "needs the real agent: run scripts/test-agents"]
fn opencode_lives_and_is_resumed() {
    lives_and_is_resumed("opencode", &[]);
}

/// Neither may ever be given the other's conversation: each one's own is identified by the text sent to it.
fn two_in_one_directory_are_told_apart(agent: &str) {
    let world = World::new(&[]);
    let fresh = Start::Fresh { chosen: None };
    // One after the other: of two opencodes 1.18.33 that created their database at once, one stayed blank (1 time in
    // 15).
    let panes = [(); 2].map(|()| {
        let pane = world.start(agent, &[], fresh);
        pane.ready(pane.profile.ready.stable_for_fresh);
        pane
    });
    panes[0].put_in("this is the first one");
    let first = panes[0].until("discovered", || panes[0].discover());
    assert_eq!(panes[1].discover(), None, "the second has said nothing yet");
    let second = panes[1].converse(None, "and this is the second one", 1);
    assert_ne!(first, second);
    assert_eq!(panes[0].discover().as_deref(), Some(first.as_str()));
    assert_eq!(panes[1].discover().as_deref(), Some(second.as_str()));
    let whole = panes[0].files().mark(None).expect("files can be read");
    let said = |id: &str, text: &str| panes[0].files().accepted(&whole, Some(id), text).expect("files can be read");
    assert!(said(&first, "this is the first one") && said(&second, "and this is the second one"));
    assert!(!said(&first, "and this is the second one") && !said(&second, "this is the first one"));
    let taken = |id: &str| id == first;
    let found = panes[0].files().discover(panes[0].since, &[panes[0].pid], taken).expect("files can be read");
    assert_eq!(found, None, "an id that another record owns is refused");
}

#[test]
#[ignore = "needs the real agent: run scripts/test-agents"]
fn two_codexes_in_one_directory_are_told_apart() {
    two_in_one_directory_are_told_apart("codex");
}

#[test]
#[ignore = "needs the real agent: run scripts/test-agents"]
fn two_opencodes_in_one_directory_are_told_apart() {
    two_in_one_directory_are_told_apart("opencode");
}

#[test]
#[ignore = "needs the real agent: run scripts/test-agents"]
fn claude_in_an_untrusted_folder_asks_and_is_answered_by_seen_keys() {
    let world = World::new(&["--untrusted"]);
    let pane = world.start("claude", &[], Start::Fresh { chosen: Some(ID) });
    let mut pressed = Vec::new();
    pane.until("past its question", || {
        assert!(pane.alive(), "it ended after {pressed:?}");
        match pane.view().phase {
            Phase::Dialog(dialog) => {
                assert_eq!(dialog.id, "trust-folder");
                let key = screen::next_key(&dialog)?;
                // Enter may not yet act on what is drawn: on a loaded machine Claude Code applied one to the previous
                // row.
                std::thread::sleep(Duration::from_millis(300));
                if pane.view().phase != Phase::Dialog(dialog.clone()) {
                    return None;
                }
                pane.press(std::slice::from_ref(&key));
                // One key per frame: its effect must be seen. Claude Code draws the question before it reads keys, and
                // loses a key that comes then, so press again after a while without an effect.
                let deadline = Instant::now() + Duration::from_secs(1);
                while Instant::now() < deadline && pane.view().phase == Phase::Dialog(dialog.clone()) {
                    std::thread::sleep(Duration::from_millis(20));
                }
                pressed.push(key);
                None
            }
            Phase::Ready => Some(()),
            _ => None,
        }
    });
    assert_eq!(pressed.last(), Some(&Key::Enter), "{pressed:?}");
    // It draws its composer before it reads keys, and one frame does not mean ready: the terminal was still in cooked
    // mode when this test pressed `C-c` at once, and the keys were lost.
    pane.ready(pane.profile.ready.stable_for_fresh);
    pane.quit();
}

#[test]
#[ignore = "needs the real agent: run scripts/test-agents"]
fn a_refused_resume_is_never_taken_for_ready() {
    for (agent, unknown) in [("claude", ID), ("codex", ID), ("opencode", "ses_dff5b0b5effez7dkRUUuRbEiXX")] {
        let world = World::new(&[]);
        let pane = world.start(agent, &[], Start::Resume { conversation: unknown });
        assert_eq!(pane.files().exists(unknown).expect("files can be read"), None, "{agent}");
        let mut ready_since = None;
        pane.until("ended", || {
            let ready = pane.alive() && pane.view().phase == Phase::Ready;
            ready_since = ready.then(|| ready_since.unwrap_or_else(Instant::now));
            let held =
                ready_since.is_some_and(|since: Instant| since.elapsed() >= pane.profile.ready.stable_for_resume);
            assert!(!held, "{agent} would have been called ready");
            (!pane.alive()).then_some(())
        });
    }
}

#[test]
#[ignore = "needs the real agent: run scripts/test-agents"]
fn a_message_behind_a_running_turn_is_queued_for_all_to_see() {
    for (agent, extra) in [("claude", &[][..]), ("codex", &[]), ("pi", &["--model", "mock/mock"]), ("opencode", &[])] {
        let world = World::new(&[]);
        let chosen = Profile::builtin(agent).expect(agent).chooses_id().then_some(ID);
        let pane = world.start(agent, extra, Start::Fresh { chosen });
        pane.ready(pane.profile.ready.stable_for_fresh);
        pane.put_in(&format!("HOLD {agent}-queue please"));
        pane.until("busy", || (pane.view().phase == Phase::Busy).then_some(()));
        let mark = pane.files().mark(chosen).expect("files can be read");
        pane.put_in("the second message");
        if ["codex", "pi"].contains(&agent) {
            pane.until("showing the queue", || pane.view().queued.then_some(()));
        }
        let id = chosen.map_or_else(|| pane.until("discovered", || pane.discover()), str::to_owned);
        let accepted = || pane.files().accepted(&mark, Some(&id), "the second message").expect("files can be read");
        if ["claude", "opencode"].contains(&agent) {
            pane.until("in its transcript while the turn runs", || accepted().then_some(()));
        }
        mock_model::release(&format!("{agent}-queue"));
        pane.until("in its transcript", || accepted().then_some(()));
    }
}

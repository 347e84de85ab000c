use super::*;

fn entry(at: u64, of: Option<&str>, kind: EntryKind) -> Entry {
    Entry { at: Some(Timestamp::from_ms(at)), of: of.map(str::to_owned), kind }
}

fn said(at: u64, text: &str) -> Entry {
    entry(at, None, EntryKind::UserMessage(text.to_owned()))
}

fn wrote(at: u64, text: &str) -> Entry {
    let tokens = Some(Tokens { input: 10, output: 1 });
    entry(at, None, EntryKind::AgentText { text: text.to_owned(), part_of: Some(at.to_string()), tokens })
}

fn over(at: u64) -> Entry {
    entry(at, None, EntryKind::TurnEnd { aborted: false })
}

fn of(turn: &str, entry: Entry) -> Entry {
    Entry { of: Some(turn.to_owned()), ..entry }
}

fn answered(entries: &[Entry], text: &str) -> Option<String> {
    match turn_progress(entries, |said| said == text) {
        TurnProgress::Over { answer, .. } => answer.map(|answer| answer.text),
        TurnProgress::NotAccepted | TurnProgress::InProgress { .. } => None,
    }
}

#[test]
fn an_answer_is_that_of_the_messages_own_turn() {
    let two = [said(1, "a"), wrote(2, "to a"), over(3), said(4, "b"), wrote(5, "to b"), over(6)];
    assert_eq!(answered(&two, "a").as_deref(), Some("to a"));
    assert_eq!(answered(&two, "b").as_deref(), Some("to b"));
    assert_eq!(answered(&two[..5], "b"), None, "its turn is not over");
    assert_eq!(turn_progress(&two[..3], |said| said == "b"), TurnProgress::NotAccepted);
}

#[test]
fn the_end_of_the_turn_before_is_not_that_of_a_message_that_waited_behind_it() {
    let waited = [wrote(1, "to another"), over(2), said(3, "a"), wrote(4, "to a"), over(5)];
    assert_eq!(answered(&waited, "a").as_deref(), Some("to a"));
    // If a queued message is recorded before the end of the turn that it waits for, turns are named.
    let named = [
        of("2", said(1, "a")),
        of("1", wrote(2, "to another")),
        of("1", over(3)),
        of("2", wrote(4, "to a")),
        of("2", over(5)),
    ];
    assert_eq!(answered(&named, "a").as_deref(), Some("to a"));
    // opencode answers the newest of the queued messages.
    let together = [of("1", said(1, "a")), of("2", said(2, "b")), of("2", wrote(3, "to both")), of("2", over(4))];
    assert_eq!(answered(&together, "a").as_deref(), Some("to both"));
}

#[test]
fn what_is_written_before_the_last_tool_call_is_no_answer_and_parts_of_one_are_one() {
    let part = |at, text: &str| {
        let Entry { kind: EntryKind::AgentText { text, tokens, .. }, .. } = wrote(at, text) else { unreachable!() };
        entry(at, None, EntryKind::AgentText { text, part_of: Some("m".to_owned()), tokens })
    };
    let turn = [said(1, "a"), wrote(2, "let me look"), wrote(3, ""), part(4, "one"), part(5, "two"), over(6)];
    let TurnProgress::Over { since, at, answer: Some(answer) } = turn_progress(&turn, |_| true) else {
        panic!("it is over")
    };
    assert_eq!((since, at), (Some(Timestamp::from_ms(1)), Some(Timestamp::from_ms(6))));
    assert_eq!((answer.text.as_str(), answer.tokens), ("one\ntwo", Some(Tokens { input: 30, output: 3 })));
    let said: Vec<_> = messages(&turn).into_iter().map(|messages| (messages.role, messages.text)).collect();
    let (user, agent) = (Role::User, Role::Assistant);
    let told = [(user, "a"), (agent, "let me look"), (agent, "one\ntwo")].map(|(role, text)| (role, text.to_owned()));
    assert_eq!(said, told);
}

#[test]
fn a_turn_that_was_stopped_has_no_answer() {
    let stopped =
        [said(1, "a"), entry(2, None, EntryKind::TurnEnd { aborted: true }), said(3, "b"), wrote(4, "to b"), over(5)];
    let TurnProgress::Over { answer, .. } = turn_progress(&stopped, |said| said == "a") else { panic!("it is over") };
    assert_eq!(answer, None);
}

#[test]
fn a_turn_that_ended_has_an_answer_or_none_or_is_not_recorded() {
    let stopped = entry(5, None, EntryKind::TurnEnd { aborted: true });
    let told = [said(1, "a"), wrote(2, "to a"), over(3), said(4, "b"), wrote(4, "so"), stopped, over(6)];
    let answered = |upto: usize, since: u64| ended_with_answer(&told[..upto], Timestamp::from_ms(since));
    assert_eq!(answered(3, 1), Some(true));
    assert_eq!(answered(5, 4), None, "the end of the turn before");
    assert_eq!(answered(6, 4), Some(false), "it was stopped");
    assert_eq!(answered(7, 4), Some(false), "and ended after that, without a word");
    assert_eq!(answered(0, 0), None);
}

#[test]
fn a_turn_that_failed_and_is_tried_again_goes_on() {
    let failed = |at| entry(at, None, EntryKind::TurnEnd { aborted: true });
    let retried = [said(1, "a"), failed(2), failed(3), wrote(4, "to a"), over(5), said(6, "b"), failed(7)];
    let course = |entries: &[Entry], text: &str| turn_progress(entries, |said| said == text);
    let stopped = |since, at| {
        let [since, at] = [since, at].map(|at| Some(Timestamp::from_ms(at)));
        TurnProgress::Over { since, at, answer: None }
    };
    assert_eq!(course(&retried[..2], "a"), stopped(1, 2));
    assert_eq!(course(&retried[..3], "a"), stopped(1, 3));
    assert!(matches!(course(&retried[..4], "a"), TurnProgress::InProgress { last: Some(_), .. }));
    assert_eq!(answered(&retried, "a").as_deref(), Some("to a"));
    // The answer to a later message is not one to this.
    let gave_up = [said(1, "a"), failed(2), said(3, "b"), wrote(4, "to b"), over(5)];
    assert_eq!(course(&gave_up, "a"), stopped(1, 2));
}

#[test]
fn the_newest_message_has_an_answer_or_it_is_known_why_not() {
    let stopped = entry(4, None, EntryKind::TurnEnd { aborted: true });
    let entries = [said(1, "a"), wrote(2, "to a"), said(3, "b"), stopped];
    for (known, in_turn, expected) in [
        (0, None, None),
        (2, Some(true), None),
        (3, Some(true), Some(Unanswered::InProgress)),
        (3, Some(false), Some(Unanswered::CutOff)),
        (3, None, Some(Unanswered::Open)),
        (4, None, Some(Unanswered::Ended)),
    ] {
        assert_eq!(newest_unanswered(&entries[..known], in_turn), expected, "{known} {in_turn:?}");
    }
    // Without any end on record, an answer is taken for one.
    for (known, is_open) in [(0, false), (1, true), (2, false), (3, true), (4, false)] {
        assert_eq!(is_turn_open(&entries[..known]), is_open, "{known}");
    }
    let calls_a_tool = [said(1, "a"), wrote(2, "to a"), over(3), said(4, "b"), wrote(5, "let me look")];
    assert!(is_turn_open(&calls_a_tool) && !is_turn_open(&calls_a_tool[..3]));
    // An agent may stop its turn itself as it is taken down.
    for (at, is_cut) in [(4, true), (5_003, true), (5_004, false)] {
        assert_eq!(is_turn_cut(&entries, Timestamp::from_ms(at)), is_cut, "{at}");
    }
    assert!(!is_turn_cut(&calls_a_tool[..3], Timestamp::from_ms(4)));
}

#[test]
fn the_last_answers_are_one_a_turn() {
    let texts =
        |entries: &[Entry]| answers(entries).into_iter().map(|answer| (answer.text, answer.over)).collect::<Vec<_>>();
    let told = [
        said(1, "a"),
        wrote(2, "x"),
        said(3, "meanwhile"),
        wrote(4, "to both"),
        over(5),
        said(6, "c"),
        wrote(7, "so far"),
    ];
    assert_eq!(texts(&told), [("to both".to_owned(), true), ("so far".to_owned(), false)]);
    let untold = [said(1, "a"), wrote(2, "to a"), said(3, "b"), wrote(4, "to b")];
    assert_eq!(texts(&untold), [("to a".to_owned(), true), ("to b".to_owned(), false)]);
}

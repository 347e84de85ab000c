mod asked;

use super::*;
use crate::cli::verbs::top::app::Prompt;
use crate::cli::verbs::top::operation::{Done, Failure, Target};
use crate::engine::verbs::list::{Fleet, Row};
use crate::engine::verbs::top::View;
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::time::Timestamp;

fn row(name: &str, incarnation: u64) -> Row {
    Row {
        peer: name.parse().expect("a name"),
        state: State::Awake,
        detail: None,
        waiting_for: None,
        limited_until_ms: None,
        progress_ms: None,
        question: None,
        answerable: false,
        since_ms: None,
        agent: "claude".to_owned(),
        runtime: "tmux".to_owned(),
        topic: None,
        incarnation: Some(Incarnation(incarnation)),
        conversation: None,
        idle_s: None,
        idle_timeout_s: None,
        pid: None,
        queued: 0,
        restarts: 0,
        held_until_ms: None,
        last_end: None,
        last_end_cause: None,
        last_end_at_ms: None,
        cwd: "/".into(),
        unrecorded_end: false,
        is_ending: false,
    }
}

fn fleet(rows: &[(&str, u64)]) -> View {
    let rows = rows.iter().map(|(name, incarnation)| row(name, *incarnation)).collect();
    View { at: Timestamp::from_ms(1), fleet: Fleet { rows, ..Fleet::default() }, ..View::default() }
}

fn app() -> App {
    let mut app = App::new();
    app.see(fleet(&[("api", 5), ("docs", 2)]));
    app
}

fn target(name: &str, incarnation: u64) -> Target {
    Target { name: name.parse().expect("a name"), incarnation: Some(Incarnation(incarnation)) }
}

/// Types a text letter by letter at once; `\r` is Enter, `\x1b` is Escape.
fn burst(app: &mut App, text: &str, rested: bool) -> Vec<Effect> {
    let key = |c| match c {
        '\r' => Key::Enter,
        '\x1b' => Key::Esc,
        c => Key::Char(c),
    };
    app.typed(Typed { inputs: text.chars().map(|c| Input::Key(key(c))).collect(), rested, looked: true })
}

/// Types each letter separately, after the effect of the one before was seen.
fn by_hand(app: &mut App, text: &str) -> Vec<Effect> {
    text.chars().flat_map(|c| burst(app, &c.to_string(), true)).collect()
}

fn prompt(app: &App) -> &Prompt {
    if let Mode::Write(prompt) = &app.mode { prompt } else { panic!("{:?}", app.mode) }
}

#[test]
fn a_paste_is_text_in_a_message_and_nothing_elsewhere() {
    let mut app = app();
    let paste = |text: &str| Typed { inputs: vec![Input::Paste(text.to_owned())], rested: true, looked: true };
    assert_eq!(app.typed(paste("x\ny\nq")), []);
    assert_eq!((&app.mode, app.message.is_empty()), (&Mode::Browse, false));
    by_hand(&mut app, "s");
    assert_eq!(app.typed(paste("x\ny\nq")), []);
    assert_eq!(prompt(&app).text.text(), "x\ny\nq");
    by_hand(&mut app, "\x1b/");
    assert_eq!(app.typed(paste("a\nb")), []);
    assert_eq!(app.filter.text(), "a b");
}

#[test]
fn lines_that_come_at_once_are_a_paste_without_marks() {
    let mut app = app();
    by_hand(&mut app, "s");
    assert_eq!(burst(&mut app, "one\rx\ry\rtwo", true), []);
    assert_eq!(prompt(&app).text.text(), "one\nx\ny\ntwo");
    let sent = Effect::Do(1, Operation::Send("one\nx\ny\ntwo".to_owned()), vec![target("api", 5)]);
    assert_eq!(by_hand(&mut app, "\r"), [sent]);
}

#[test]
fn a_question_is_answered_by_what_came_after_it() {
    let mut app = app();
    assert_eq!(burst(&mut app, "xy", true), []);
    assert!(matches!(app.mode, Mode::Confirm(_)));
    assert_eq!(by_hand(&mut app, "y"), [Effect::Do(1, Operation::Stop, vec![target("api", 5)])]);
}

#[test]
fn a_question_keeps_whom_it_names() {
    let mut app = app();
    by_hand(&mut app, "n");
    app.see(fleet(&[("docs", 2)]));
    assert_eq!(app.chosen.as_ref().map(PeerName::as_str), Some("docs"));
    assert_eq!(by_hand(&mut app, "y"), [Effect::Do(1, Operation::New, vec![target("api", 5)])]);
    // The peer has another incarnation by now: the question is asked again, about that one.
    let changed = Err(Failure::Changed(Some(Incarnation(6))));
    app.finish(Done { number: 1, operation: Operation::New, results: vec![(target("api", 5), changed)] });
    assert_eq!(by_hand(&mut app, "y"), [Effect::Do(2, Operation::New, vec![target("api", 6)])]);
}

#[test]
fn a_text_that_did_not_arrive_is_there_again() {
    let mut app = app();
    by_hand(&mut app, "shello");
    let effects = by_hand(&mut app, "\r");
    let [Effect::Do(number, operation, targets)] = &*effects else { panic!("{effects:?}") };
    let failed = Err(Failure::Failed("it is stopped".to_owned()));
    app.finish(Done { number: *number, operation: operation.clone(), results: vec![(targets[0].clone(), failed)] });
    assert!(app.running.is_empty() && app.message.text() == "it is stopped   (s: the text again)");
    // Another peer does not get the text.
    by_hand(&mut app, "js");
    assert_eq!(prompt(&app).text.text(), "");
    by_hand(&mut app, "\x1bks");
    assert_eq!(prompt(&app).text.text(), "hello");
    by_hand(&mut app, " you\x1bs");
    assert_eq!(prompt(&app).text.text(), "hello you");
}

#[test]
fn what_is_typed_ahead_is_no_command() {
    let mut app = app();
    // After the key that started it, read together with it.
    assert_eq!(burst(&mut app, "wjxyw", true).len(), 1);
    assert_eq!((app.chosen.as_ref().map(PeerName::as_str), &app.mode), (Some("api"), &Mode::Browse));
    // Letter by letter, as a user types a text.
    for letters in ["w", "a", "s", "x", "y"] {
        assert_eq!(burst(&mut app, letters, false), [], "{letters}");
    }
    assert_eq!(app.mode, Mode::Browse);
    // A question from a user who has looked is not answered by keys typed without looking.
    assert_eq!(burst(&mut app, "x", true), []);
    assert_eq!(burst(&mut app, "y", false), []);
    assert!(matches!(&app.mode, Mode::Confirm(Question { since: Some(_), .. })));
    assert_eq!(burst(&mut app, "y", true).len(), 1);
    // A user who has looked may start more operations meanwhile.
    assert_eq!(burst(&mut app, "w", true).len(), 1);
    assert_eq!(app.running.len(), 3);
}

#[test]
fn who_leaves_while_something_is_under_way_is_asked() {
    let mut app = app();
    by_hand(&mut app, "w");
    assert_eq!(by_hand(&mut app, "qn"), []);
    assert_eq!(by_hand(&mut app, "qy"), [Effect::Quit]);
    app.end(1);
    app.mode = Mode::Browse;
    assert_eq!(by_hand(&mut app, "q"), [Effect::Quit]);
}

#[test]
fn who_waits_for_a_person_comes_first_in_any_order() {
    let mut app = app();
    let mut view = fleet(&[("api", 1), ("docs", 2), ("web", 3), ("zebra", 4)]);
    view.fleet.rows[2].state = State::Waiting;
    app.see(view);
    let names = |app: &App| app.rows().iter().map(|row| row.peer.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(names(&app), "web api docs zebra");
    by_hand(&mut app, "O");
    assert_eq!(names(&app), "web zebra docs api");
    app.typed(Typed { inputs: vec![Input::Key(Key::Tab)], rested: true, looked: true });
    assert_eq!(app.chosen.as_ref().map(PeerName::as_str), Some("web"));
}

#[test]
fn verbs_are_for_all_that_are_marked_and_ask_first() {
    let mut app = app();
    by_hand(&mut app, "*");
    let both = vec![target("api", 5), target("docs", 2)];
    assert_eq!(by_hand(&mut app, "w"), []);
    assert_eq!(by_hand(&mut app, "y"), [Effect::Do(1, Operation::Wake, both)]);
    app.end(1);
    by_hand(&mut app, "g ");
    assert_eq!(by_hand(&mut app, "xy"), [Effect::Do(2, Operation::Stop, vec![target("docs", 2)])]);
    // A peer that is gone is not marked.
    app.see(fleet(&[("api", 5)]));
    assert!(app.marked.is_empty());
}

#[test]
fn a_page_is_read_and_left() {
    let mut app = app();
    let name: PeerName = "api".parse().expect("a name");
    assert_eq!(by_hand(&mut app, "v"), [Effect::Read(Page::Screen, name.clone())]);
    app.load(Page::Log, &name, "of another page".into());
    assert!(!app.has_page());
    app.load(Page::Screen, &name, "line".into());
    // The page is read again when the pane changes, while the user follows.
    assert_eq!(app.show(name.clone(), "one".into()), None);
    assert_eq!(app.show(name.clone(), "two".into()), Some(Effect::Read(Page::Screen, name.clone())));
    assert_eq!(by_hand(&mut app, "l"), [Effect::Read(Page::Log, name)]);
    assert_eq!(by_hand(&mut app, "q"), []);
    assert!(app.pager.is_none());
    assert_eq!(by_hand(&mut app, "q"), [Effect::Quit]);
}

#[test]
fn nothing_covers_a_question_and_a_line_is_cancelled_first() {
    let mut app = app();
    let key = |key| Typed { inputs: vec![Input::Key(key)], rested: true, looked: true };
    by_hand(&mut app, "wv");
    assert!(app.pager.is_some());
    assert_eq!(app.typed(key(Key::Ctrl('c'))), []);
    assert!(app.pager.is_none() && matches!(app.mode, Mode::Confirm(_)));
    by_hand(&mut app, "nshello");
    assert_eq!(app.typed(key(Key::Ctrl('c'))), []);
    assert_eq!(app.mode, Mode::Browse);
    by_hand(&mut app, "v/what");
    assert_eq!(app.typed(key(Key::Ctrl('c'))), []);
    assert!(app.pager.as_ref().is_some_and(|pager| !pager.searching), "the search is cancelled, and nothing else");
    by_hand(&mut app, "q");
    by_hand(&mut app, "s");
    assert_eq!(prompt(&app).text.text(), "hello");
    // Letters in quick succession are not an answer, to this question or any other.
    by_hand(&mut app, "\x1b");
    assert_eq!((burst(&mut app, "q", false), burst(&mut app, "y", false)), (vec![], vec![]));
    assert_eq!(by_hand(&mut app, "y"), [Effect::Quit]);
}

#[test]
fn before_anybody_is_seen_there_is_only_the_way_out() {
    let mut app = App::new();
    assert_eq!(by_hand(&mut app, "wxs?"), []);
    assert_eq!(app.mode, Mode::Browse);
    assert_eq!(by_hand(&mut app, "q"), [Effect::Quit]);
}

#[test]
fn a_row_shows_its_state_again_once_it_is_done_with() {
    let mut app = app();
    by_hand(&mut app, "*x");
    let effects = by_hand(&mut app, "y");
    let [Effect::Do(number, Operation::Stop, targets)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(targets.len(), 2);
    app.settle(*number, &targets[0].name);
    assert_eq!((app.doing_to(&targets[0].name), app.doing_to(&targets[1].name)), (None, Some("stopping")));
    app.settle(*number, &targets[1].name);
    assert_eq!(app.running.len(), 1, "its outcome has not come");
}

#[test]
fn a_filter_in_small_letters_ignores_case() {
    let mut app = app();
    app.view.fleet.rows[0].topic = Some("Login Page".to_owned());
    let shown = |app: &mut App, text: &str| {
        app.filter = Editor::with(text.to_owned());
        app.rows().iter().map(|row| row.peer.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&mut app, "login"), ["api"]);
    assert_eq!(shown(&mut app, "Login"), ["api"]);
    assert!(shown(&mut app, "LOGIN").is_empty());
}

#[test]
fn the_peer_that_was_named_is_chosen_at_first() {
    let mut app = App::new();
    app.chosen = Some("docs".parse().expect("a name"));
    app.see(fleet(&[("api", 5), ("docs", 2)]));
    assert_eq!(app.chosen_row().map(|row| row.peer.as_str()), Some("docs"));
}

#[test]
fn what_went_well_goes_by_itself_and_what_failed_stays() {
    let mut app = app();
    by_hand(&mut app, "w");
    assert!(app.message_shown().is_some() && !app.message.passes(), "it is under way");
    let done = |how| Done { number: 1, operation: Operation::Wake, results: vec![(target("api", 5), how)] };
    app.finish(done(Ok("resumed".to_owned())));
    assert!(app.message.passes());
    app.finish(done(Err(Failure::Failed("cannot wake api".to_owned()))));
    assert!(!app.message.passes() && !app.message.is_empty());
    // A question covers it: nobody reads it then.
    by_hand(&mut app, "/");
    assert_eq!(app.message_shown(), None);
    by_hand(&mut app, "\x1b");
    assert!(app.message_shown().is_some());
}

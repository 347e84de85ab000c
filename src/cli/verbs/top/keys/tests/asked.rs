//! An agent's question is answered by who sees it, and by nothing that was meant for something else.

use peer_adapters::screen::MenuRow;

use super::*;
use crate::cli::verbs::top::asked::{Asked, Choice, NotAnswered};
use crate::engine::verbs::answer::{After, Answered, Did, Question as Question_};
use crate::policy::turn::AskKind;

fn row_of(number: Option<usize>, label: &str) -> MenuRow {
    MenuRow { number, label: label.to_owned(), about: Vec::new(), ticked: None, typed: false, ends: false }
}

fn question(text: &str, rows: &[&str]) -> Question_ {
    let rows = rows.iter().enumerate().map(|(index, label)| row_of(Some(index + 1), label)).collect();
    let (kind, text) = (AskKind::Question, text.to_owned());
    Question_ { kind, question: Some(text.clone()), text: vec![text], is_cut: false, rows, cursor: Some(1) }
}

fn colours() -> Question_ {
    question("Which colour?", &["Red", "Blue"])
}

/// The view of a peer that asks this.
fn asking(question: &Question_) -> App {
    let mut app = app();
    assert_eq!(by_hand(&mut app, "A"), [Effect::Ask(1, target("api", 5))]);
    app.take_question(1, Ok(Some(question.clone())));
    app
}

fn asked(app: &App) -> &Asked {
    if let Mode::Asks(asked) = &app.mode { asked } else { panic!("{:?}", app.mode) }
}

fn keys(app: &mut App, keys: &[Key], rested: bool, looked: bool) -> Vec<Effect> {
    app.typed(Typed { inputs: keys.iter().map(|key| Input::Key(*key)).collect(), rested, looked })
}

fn answer(number: u64, question: &Question_, row: usize) -> Effect {
    Effect::Answer(number, target("api", 5), Box::new(Choice { question: question.clone(), row }))
}

fn chose(row: usize, label: &str, after: After) -> Answered {
    let (question, label) = ("Which colour?".to_owned(), label.to_owned());
    Answered { question, row: Some(row), label, did: Did::Chose, after }
}

#[test]
fn a_row_is_chosen_by_its_number_or_where_the_mark_is() {
    let ask = colours();
    assert_eq!(by_hand(&mut asking(&ask), "2"), [answer(2, &ask, 1)]);
    assert_eq!(by_hand(&mut asking(&ask), "\r"), [answer(2, &ask, 0)]);
    // At once, as a user types.
    assert_eq!(keys(&mut asking(&ask), &[Key::Down, Key::Enter], true, true), [answer(2, &ask, 1)]);
    let mut app = asking(&ask);
    assert_eq!(
        (keys(&mut app, &[Key::Down], true, true), keys(&mut app, &[Key::Enter], false, true)),
        (vec![], vec![answer(2, &ask, 1)])
    );
    // While that is under way, nothing else is.
    assert_eq!(by_hand(&mut app, "1\r"), []);
    assert_eq!(by_hand(&mut asking(&ask), "7"), []);
    // The mark begins where the agent's own cursor is.
    assert_eq!(by_hand(&mut asking(&Question_ { cursor: Some(2), ..ask.clone() }), "\r").len(), 1);
    assert_eq!(asked(&asking(&Question_ { cursor: Some(2), ..ask })).at, 1);
}

#[test]
fn what_is_typed_without_looking_chooses_nothing() {
    let ask = colours();
    let mut app = app();
    // Read together with the key that asks, and before the question has come.
    assert_eq!(burst(&mut app, "A2", true), [Effect::Ask(1, target("api", 5))]);
    assert_eq!(by_hand(&mut app, "2\r"), []);
    app.take_question(1, Ok(Some(ask.clone())));
    // Before anybody can have seen it; and a text, whether it comes at once or letter by letter.
    assert_eq!(keys(&mut app, &[Key::Char('2')], true, false), []);
    assert!(app.message.text().contains("press it again"), "{}", app.message.text());
    assert_eq!(burst(&mut app, "ok 2", true), []);
    assert_eq!(burst(&mut app, "2 ok", true), []);
    assert_eq!(burst(&mut app, "jk\r", true), []);
    assert_eq!(burst(&mut app, "2", false), []);
    let paste = Typed { inputs: vec![Input::Paste("2\n".to_owned())], rested: true, looked: true };
    assert_eq!(app.typed(paste), []);
    // A letter that goes back takes the rest of its text along.
    assert_eq!(burst(&mut app, "question x", true), []);
    assert_eq!((burst(&mut app, "y", false), &app.mode), (vec![], &Mode::Browse));
    assert_eq!(by_hand(&mut app, "A"), [Effect::Ask(2, target("api", 5))]);
    app.take_question(2, Ok(Some(ask.clone())));
    assert_eq!(by_hand(&mut app, "2"), [answer(3, &ask, 1)]);
}

#[test]
fn pages_follow_each_other_until_the_agent_asks_nothing_more() {
    let mut app = asking(&colours());
    let before = app.question_shown();
    by_hand(&mut app, "2");
    let next = question("Sure?", &["No", "Yes"]);
    let after = After::Asks { next: "Sure?".to_owned(), asks: Box::new(next.clone()) };
    assert_eq!(app.answered(2, &target("api", 5), Ok(chose(2, "Blue", after))), None);
    assert_eq!((app.message.text(), &asked(&app).question), ("api: chose 2. Blue", &Some(next.clone())));
    assert!(app.question_shown() > before && app.running.is_empty(), "another one to look at");
    let effects = by_hand(&mut app, "1");
    let [Effect::Answer(number, _, choice)] = &*effects else { panic!("{effects:?}") };
    assert_eq!((&choice.question, choice.row), (&next, 0));
    assert_eq!(app.answered(*number, &target("api", 5), Ok(chose(1, "No", After::Busy))), None);
    assert_eq!((app.message.text(), &app.mode), ("api: chose 1. No; it is working now", &Mode::Browse));
    assert!(app.message.passes());
    // Who went back meanwhile is not led to the next page.
    let mut app = asking(&colours());
    by_hand(&mut app, "2\x1b");
    let after = After::Asks { next: "Sure?".to_owned(), asks: Box::new(next) };
    assert_eq!(app.answered(2, &target("api", 5), Ok(chose(2, "Blue", after))), None);
    assert_eq!((app.message.text(), &app.mode), ("api: chose 2. Blue; it asks: Sure?", &Mode::Browse));
}

#[test]
fn a_box_is_ticked_and_the_question_stays() {
    let mut ask = colours();
    for row in &mut ask.rows {
        row.ticked = Some(false);
    }
    let mut app = asking(&ask);
    by_hand(&mut app, "2");
    ask.rows[1].ticked = Some(true);
    ask.cursor = Some(2);
    let after = After::Asks { next: "Which colour?".to_owned(), asks: Box::new(ask.clone()) };
    let ticked = Answered { did: Did::Ticked, ..chose(2, "Blue", after) };
    assert_eq!(app.answered(2, &target("api", 5), Ok(ticked)), None);
    assert_eq!((app.message.text(), asked(&app).at), ("api: ticked 2. Blue", 1));
    let effects = by_hand(&mut app, "1");
    let [Effect::Answer(_, _, choice)] = &*effects else { panic!("{effects:?}") };
    assert_eq!((&choice.question, choice.row), (&ask, 0), "the one with that tick");
}

#[test]
fn what_has_changed_is_read_again_and_only_then_answered() {
    let ask = colours();
    let mut app = asking(&ask);
    by_hand(&mut app, "2");
    let api = target("api", 5);
    let why = NotAnswered::Asks("api: it asks something else by now".to_owned());
    assert_eq!(app.answered(2, &api, Err(why)), Some(Effect::Ask(3, api.clone())));
    assert!(!app.message.passes(), "it stays until a key is pressed");
    let other = question("Which size?", &["Small", "Large"]);
    app.take_question(3, Ok(Some(other.clone())));
    assert_eq!(asked(&app).question, Some(other.clone()));
    // An answer is for the incarnation that was shown, and the next one for the one that is shown then.
    let effects = by_hand(&mut app, "1");
    let [Effect::Answer(number, whom, _)] = &*effects else { panic!("{effects:?}") };
    assert_eq!(*whom, api);
    let now = Some(Incarnation(6));
    let again = app.answered(*number, &api, Err(NotAnswered::Changed(now)));
    let Some(Effect::Ask(number, whom)) = again else { panic!("{again:?}") };
    assert_eq!((whom, app.message.text()), (target("api", 6), "api was started anew meanwhile; no key was pressed"));
    // What was read before does not count.
    app.take_question(3, Ok(Some(ask)));
    assert_eq!(asked(&app).question, Some(other));
    app.take_question(number, Ok(None));
    let both = "api was started anew meanwhile; no key was pressed; api has no open question";
    assert_eq!((app.message.text(), &app.mode), (both, &Mode::Browse));
}

#[test]
fn a_listing_that_says_something_else_has_the_question_read_again() {
    let ask = colours();
    let mut app = asking(&ask);
    assert_eq!(app.see(fleet(&[("api", 5)])), None);
    let mut view = fleet(&[("api", 5)]);
    view.fleet.rows[0].question = Some("Which size?".to_owned());
    assert_eq!(app.see(view), Some(Effect::Ask(2, target("api", 5))));
    // The same question stays where it is, and may be answered meanwhile.
    by_hand(&mut app, "j");
    app.take_question(2, Ok(Some(ask.clone())));
    assert_eq!((asked(&app).at, app.message.is_empty()), (1, true));
    assert_eq!(app.see(fleet(&[("api", 6)])), Some(Effect::Ask(3, target("api", 5))));
    assert_eq!(by_hand(&mut app, "\r"), [answer(4, &ask, 1)]);
    app.take_question(3, Ok(Some(question("Which size?", &["Small"]))));
    assert_eq!(asked(&app).question, Some(ask));
}

#[test]
fn what_cannot_be_chosen_from_here_leads_to_the_pane() {
    let own = MenuRow { typed: true, ..row_of(Some(3), "Type something") };
    let mut ask = colours();
    ask.rows.push(own);
    let mut app = asking(&ask);
    assert_eq!(by_hand(&mut app, "3"), []);
    assert_eq!(app.message.text(), "that row takes an answer in your own words: a attaches");
    assert_eq!(by_hand(&mut app, "a"), [Effect::Attach(2, target("api", 5))]);
    assert_eq!(app.mode, Mode::Browse);
    let mut app = asking(&Question_ { cursor: None, ..ask });
    assert_eq!(by_hand(&mut app, "1\r"), []);
    assert_eq!(app.message.text(), "no row can be chosen from here: a attaches");
}

#[test]
fn who_waits_without_a_question_on_its_screen_is_attached_to() {
    for (state, says) in
        [(State::Waiting, "api shows no question now: a attaches"), (State::Busy, "api has no open question")]
    {
        let mut app = app();
        app.view.fleet.rows[0].state = state;
        by_hand(&mut app, "A");
        app.take_question(1, Ok(None));
        assert_eq!((app.message.text(), &app.mode), (says, &Mode::Browse));
    }
}

#[test]
fn what_is_above_the_rows_is_scrolled_by_pages_and_by_the_wheel() {
    let mut ask = colours();
    ask.text = (1..=40).map(|line| format!("line {line}")).collect();
    let mut app = asking(&ask);
    let wheel = |app: &mut App, lines| {
        app.typed(Typed { inputs: vec![Input::Wheel(0, 0, lines)], rested: true, looked: true });
        asked(app).up
    };
    assert_eq!((wheel(&mut app, -3), wheel(&mut app, -3), wheel(&mut app, 3)), (6 - 3, 6, 3));
    // A page is what the box shows, and above its beginning there is nothing.
    keys(&mut app, &[Key::PageUp; 9], true, true);
    let most = asked(&app).up;
    keys(&mut app, &[Key::PageUp], true, true);
    assert_eq!((asked(&app).up, wheel(&mut app, 3)), (most, most - 3));
    keys(&mut app, &[Key::PageDown; 9], true, true);
    assert_eq!((asked(&app).up, by_hand(&mut app, "2")), (0, vec![answer(2, &ask, 1)]));
}

#[test]
fn numbers_of_two_digits_are_gone_to_and_entered() {
    let labels: Vec<String> = (1..=12).map(|number| format!("row {number}")).collect();
    let mut ask = question("Which?", &labels.iter().map(String::as_str).collect::<Vec<_>>());
    ask.rows.push(row_of(None, "Submit"));
    let mut app = asking(&ask);
    assert_eq!(by_hand(&mut app, "12"), []);
    assert_eq!(asked(&app).at, 11);
    assert_eq!(by_hand(&mut app, "3"), []);
    assert_eq!(asked(&app).at, 2);
    assert_eq!(by_hand(&mut app, "G\r"), [answer(2, &ask, 12)]);
}

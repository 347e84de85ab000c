//! The rows of dialogs, on recorded screens.

use super::*;

/// Returns the dialog of a recorded screen as the user sees it.
fn shown(name: &str) -> Menu {
    let text = std::fs::read_to_string(format!("tests/screens/{name}.txt")).expect("a recorded screen");
    let profile = Profile::builtin(name.split('-').next().expect("a name")).expect("a profile");
    menu(&profile, &text).unwrap_or_else(|| panic!("{name}: no dialog"))
}

/// The rows as they are shown to the user.
fn told(menu: &Menu) -> Vec<String> {
    menu.rows.iter().map(MenuRow::to_string).collect()
}

fn labels(menu: &Menu) -> Vec<String> {
    menu.rows.iter().map(|row| row.label.clone()).collect()
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_rows_of_real_dialogs_are_read_with_what_they_are_about() {
    let yes_for_all =
        "Yes, and don't ask again for touch /etc/mock-x and curl http://example.com commands in /srv/demo";
    let auto = "Yes, and switch to auto mode · auto mode handles these prompts for you";
    let prefix = "Yes, and don't ask again for commands that start with `touch /etc/mock-x`";
    let no = "No, and tell Codex what to do differently";
    let cases: [(&str, Option<usize>, &[&str]); 8] = [
        ("claude-permission", Some(0), &["Yes", yes_for_all, auto, "No"]),
        ("claude-question", Some(0), &["red", "blue", "Type something.", "Chat about this"]),
        ("claude-trust", Some(0), &["No, exit", "Yes, I trust this folder"]),
        ("claude-api-key", Some(1), &["Yes", "No (recommended)"]),
        ("codex-permission", Some(0), &["Yes, proceed", prefix, no]),
        ("codex-sign-in", Some(0), &["Sign in with ChatGPT", "Sign in with Device Code", "Sign in another way"]),
        (
            "codex-resume-directory",
            Some(0),
            &[
                "Use session directory (/tmp/ra/w-x)",
                "Use current directory (/tmp/ra/other)",
                "Always use session directory",
                "Always use current directory",
            ],
        ),
        // Its cursor is only a colour.
        ("opencode-question", None, &["red", "blue", "Type your own answer"]),
    ];
    for (name, cursor, rows) in cases {
        let menu = shown(name);
        assert_eq!((menu.cursor, labels(&menu)), (cursor, strings(rows)), "{name}");
        let numbers: Vec<_> = menu.rows.iter().filter_map(|row| row.number).collect();
        assert_eq!(numbers, (1..=rows.len()).collect::<Vec<_>>(), "{name}");
    }
    for (name, about) in [
        ("claude-permission", "touch /etc/mock-x && curl http://example.com"),
        ("codex-permission", "$ touch /etc/mock-x && curl http://example.com"),
        ("claude-trust", "/srv/demo1"),
        ("claude-question", "Which colour?"),
        ("opencode-question", "Which colour?"),
    ] {
        let text = shown(name).text;
        assert!(text.iter().any(|line| line == about), "{name}: {text:?}");
    }
    assert_eq!(shown("opencode-picker").rows, []);
}

/// A screen, the id and the question of its dialog, the row with the cursor, and its rows.
type Page<'a> = (&'a str, &'a str, &'a str, Option<usize>, &'a [&'a str]);

#[test]
fn every_page_of_several_questions_is_read_with_its_boxes_and_rows_without_a_number() {
    let features =
        ["1. [ ] Auth", "2. [ ] Search", "3. [ ] Mail", "4. [ ] Type something", "Submit", "5. Chat about this"];
    let ticked =
        ["1. [x] Auth", "2. [ ] Search", "3. [ ] Mail", "4. [ ] Type something", "Submit", "5. Chat about this"];
    let plan = ["1. Yes, and use auto mode", "2. Yes, manually approve edits", "3. Tell Claude what to change"];
    let proceed = "Claude has written up a plan and is ready to execute. Would you like to proceed?";
    let restart = ["1. Run without daemon this time", "2. Restart with these settings (recommended)", "3. Cancel"];
    let layout = "Which layout do you want for the page that shows the list of all orders of a customer, with their \
                  state, their date and the sum of each of them?";
    let cases: [Page<'_>; 11] = [
        ("claude-questions", "question", "Which features?", Some(0), &features),
        ("claude-questions-last", "question", "Which features?", Some(5), &ticked),
        ("claude-review", "choice", "Review your answers", Some(0), &["1. Submit answers", "2. Cancel"]),
        ("claude-preview", "question", "Choose a layout", Some(0), &["1. Rows", "2. Columns", "Chat about this"]),
        ("claude-preview-barred", "question", layout, Some(0), &["1. Rows", "2. Columns", "Chat about this"]),
        // Two rows look as if they had the cursor.
        ("claude-preview-below", "question", "Choose a layout", None, &["1. Rows", "2. Columns", "Chat about this"]),
        ("claude-plan", "choice", proceed, Some(0), &plan),
        (
            "claude-plan-empty",
            "choice",
            "Exit plan mode?",
            Some(0),
            &["1. Yes, and switch to default (ask each time) for this session", "2. No"],
        ),
        (
            "codex-questions",
            "questions",
            "Which features?",
            Some(0),
            &["1. Auth", "2. Search", "3. Mail", "4. None of the above"],
        ),
        ("codex-unanswered", "unanswered", "Submit with unanswered questions?", Some(0), &["1. Proceed", "2. Go back"]),
        ("codex-daemon", "daemon", "Background server has incompatible feature settings", Some(2), &restart),
    ];
    for (name, id, question, cursor, rows) in cases {
        let menu = shown(name);
        let dialog = (menu.dialog.id.as_str(), menu.dialog.question.as_str());
        assert_eq!((dialog, menu.cursor, told(&menu)), ((id, question), cursor, strings(rows)), "{name}");
    }
    let text = shown("claude-review").text;
    for answer in ["● Which library?", "→ hyper", "→ Auth, Mail"] {
        assert!(text.iter().any(|line| line == answer), "{answer}: {text:?}");
    }
}

/// What a row permits must not look broader than it is.
#[test]
fn a_row_that_the_screen_wraps_is_whole_and_what_is_said_about_one_is_kept_apart() {
    let narrow = shown("claude-permission-narrow");
    let paths = "/srv/some-directory-with-a-long-name/build";
    let for_all = format!("Yes, and don't ask again for rm -rf {paths} and mkdir -p {paths} commands in /srv/demo/wrk");
    let auto = "Yes, and switch to auto mode · auto mode handles these prompts for you";
    assert_eq!(labels(&narrow), ["Yes", &for_all, auto, "No"]);
    assert!(narrow.rows.iter().all(|row| row.about.is_empty()) && !narrow.is_cut, "{narrow:?}");
    for name in ["claude-question", "opencode-question", "opencode-question-wide"] {
        let about: Vec<_> = shown(name).rows.into_iter().map(|row| row.about).collect();
        assert_eq!(about[..3], [strings(&["warm"]), strings(&["cold"]), Vec::new()], "{name}");
    }
}

/// A terminal of 60x15 is attached.
#[test]
fn a_dialog_whose_beginning_is_above_the_screen_shows_what_is_left_of_it_and_says_so() {
    let cut = shown("claude-permission-cut");
    let left =
        ["rm -rf /srv/some-directory-with-a-long-name/build &&", "mkdir -p /srv/some-directory-with-a-long-name/build"];
    assert_eq!(cut.text[..2], strings(&left));
    assert!(cut.is_cut && cut.rows.len() == 4, "{cut:?}");
    for name in ["claude-permission", "claude-question", "claude-trust", "codex-permission", "opencode-question"] {
        assert!(!shown(name).is_cut, "{name}");
    }
}

#[test]
fn a_tick_is_seen_where_the_same_is_asked_and_only_that_changed() {
    let menu = |screen: &str| menu(&Profile::builtin("claude").expect("built in"), screen).expect("a dialog");
    let before = screen("claude-questions");
    let after = before.replace("[ ] Mail", "[✔] Mail").replace("☐ Features", "☒ Features");
    let (before, after) = (menu(&before), menu(&after));
    assert_eq!((after.ticked_since(&before, 2), before.ticked_since(&after, 2)), (Some(true), Some(false)));
    assert_eq!((after.ticked_since(&before, 1), before.ticked_since(&before, 2)), (None, None));
    assert!(!after.is_same(&before, 2));
    let other =
        menu(&screen("claude-questions").replace("[ ] Mail", "[✔] Mail").replace("Which features?", "Which ones?"));
    assert_eq!(other.ticked_since(&before, 2), None);
    let typed = |menu: &Menu| menu.rows.iter().filter(|row| row.typed).map(|row| row.label.clone()).collect::<Vec<_>>();
    assert_eq!(typed(&before), ["Type something"]);
    assert_eq!(typed(&shown("claude-question-own")), ["Type something."]);
}

#[test]
fn a_description_that_reads_like_a_button_is_none() {
    let text = screen("claude-question").replace("     warm", "     Submit");
    let menu = menu(&Profile::builtin("claude").expect("built in"), &text).expect("a dialog");
    assert_eq!(told(&menu), ["1. red", "2. blue", "3. Type something.", "4. Chat about this"]);
}

#[test]
fn a_row_that_an_agent_only_quotes_is_none() {
    let screen = |command: &str| {
        format!(
            "  Would you like to run the following command?\n\n  $ cat <<E\n{command}\n  E\n\n› 1. Yes, proceed (y)\n  2. No (esc)\n\n  \
             Press enter to confirm or esc to cancel\n"
        )
    };
    let codex = Profile::builtin("codex").expect("built in");
    let read = |command: &str| menu(&codex, &screen(command)).expect("a dialog");
    let menu = read("  1. No, and nothing happens\n› 2. harmless");
    assert_eq!((labels(&menu), menu.cursor), (strings(&["Yes, proceed", "No"]), Some(0)));
    let other = read("  1. something else");
    assert!(!other.is_same(&menu, 0), "the same question about another command is another one");
    assert_eq!((menu.next_key(0), menu.next_key(1)), (Some(Key::Enter), Some(Key::Down)));
}

#[test]
fn numbers_that_leave_one_out_are_no_rows() {
    let codex = Profile::builtin("codex").expect("built in");
    let text = "  Would you like to run it?\n\n› 1. Yes\n  3. No\n\n  Press enter to confirm\n";
    let menu = menu(&codex, text).expect("a dialog");
    assert_eq!((menu.rows.len(), menu.cursor), (0, None));
}

#[test]
fn a_dialog_is_answerable_if_its_rows_and_its_cursor_are_read() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens");
    let (mut can, mut cannot) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir).expect("the screens") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        let agent = name.split('-').next().expect("named after its agent");
        let text = std::fs::read_to_string(&path).expect("a screen");
        let Some(menu) = menu(&Profile::builtin(agent).expect(agent), &text) else { continue };
        assert_eq!(menu.dialog.answerable, menu.cursor.is_some() && !menu.rows.is_empty(), "{name}");
        if menu.dialog.answerable { can.push(name) } else { cannot.push(name) }
    }
    for name in ["claude-permission", "claude-question", "claude-trust", "codex-permission"] {
        assert!(can.iter().any(|one| one == name), "{name}: {can:?}");
    }
    // Only the colour shows which of opencode's rows has the cursor; the other has no rows.
    for name in ["opencode-permission", "opencode-question", "claude-sign-in-browser"] {
        assert!(cannot.iter().any(|one| one == name), "{name}: {cannot:?}");
    }
}

#[test]
fn earlier_lines_that_look_like_its_rows_are_not_those_of_a_dialog() {
    for (name, agent, above) in [
        ("claude-trust", "claude", "❯ hello\n  ❯ Yes, I trust this folder\n"),
        ("codex-resume-directory", "codex", "› hello\n› 2. Use current directory\n"),
    ] {
        let Phase::Dialog(alone) = view(name).phase else { panic!("{name}") };
        let text = format!("{above}{}", screen(name));
        let Phase::Dialog(below) = read(&Profile::builtin(agent).expect(agent), &text).phase else { panic!("{name}") };
        let lower = |line: Option<usize>| line.map(|line| line + 2);
        assert_eq!(below.answer_line, lower(alone.answer_line), "{name}");
        assert_eq!(below.selected_line, lower(alone.selected_line), "{name}");
        assert!(next_key(&alone).is_some() && next_key(&below) == next_key(&alone), "{name}");
    }
}

//! The rows of dialogs, on recorded screens.

use super::*;

/// Returns the dialog of a recorded screen as the user sees it.
fn shown(name: &str) -> Menu {
    let text = std::fs::read_to_string(format!("tests/screens/{name}.txt")).expect("a recorded screen");
    let profile = Profile::builtin(name.split('-').next().expect("a name")).expect("a profile");
    menu(&profile, &text).unwrap_or_else(|| panic!("{name}: no dialog"))
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
        assert_eq!((menu.cursor, menu.rows.as_slice()), (cursor, strings(rows).as_slice()), "{name}");
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
    assert_eq!(shown("opencode-picker").rows, [""; 0]);
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
    assert_eq!((menu.rows.as_slice(), menu.cursor), (["Yes, proceed", "No"].map(str::to_owned).as_slice(), Some(0)));
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

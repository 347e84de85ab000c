//! Lists and windows that a person opened in place of a composer, on recorded screens.

use super::*;

/// What is typed would go into the list's search box, or choose from it.
#[test]
fn what_a_person_opened_in_place_of_the_composer_is_a_menu() {
    let (list, settings) = ("a list is open in place of its composer", "Settings Status Config Usage Stats");
    let high = "a window that is higher than its pane is open in place of its composer";
    let permissions = "Permissions Recently blocked Allow Ask Deny Auto mode Workspace";
    for (name, id, question) in [
        ("claude-window-resume", "window", "Resume session"),
        ("claude-window-narrow", "window", "Resume session"),
        ("claude-window-config", "window", settings),
        ("claude-window-model", "window", "Select model"),
        ("claude-window-permissions", "window", permissions),
        ("claude-window-directory", "window", "Add directory to workspace"),
        ("claude-window-high-model", "high-window", high),
        ("claude-window-high-config", "high-window", high),
        ("claude-window-high-status", "high-window", high),
        ("claude-window-high-theme", "high-window", high),
        ("claude-transcript", "transcript", "its transcript is open in place of its composer"),
        ("claude-history", "history", "it searches the prompts for what is typed"),
        ("claude-sessions", "sessions", "its list of sessions is open"),
        ("codex-list-resume", "conversations", "Resume a previous session"),
        ("codex-list-narrow", "conversations", "Resume a previous session"),
        ("codex-list-model", "question", "it asks to choose from a menu"),
        ("codex-list-theme", "list", list),
        ("codex-list-skills", "list", list),
        ("codex-list-warnings", "list", list),
        ("codex-pager", "pager", "a pager is open over its composer"),
        ("pi-list-resume", "list", list),
        ("pi-list-narrow", "list", list),
        ("pi-list-model", "list", list),
        ("pi-list-settings", "list", list),
        ("pi-list-tree", "list", list),
        ("pi-list-fork", "list", list),
        ("pi-list-login", "list", list),
    ] {
        let seen = dialog(name);
        assert_eq!((seen.id.as_str(), seen.kind, seen.question.as_str()), (id, DialogKind::Menu, question), "{name}");
        assert!(seen.needs_person && next_key(&seen).is_none(), "{name}");
        assert_eq!(view(name).composer, Composer::Hidden, "{name}");
    }
}

/// However little of it is in sight, down to the composer itself.
#[test]
fn no_rest_of_a_conversation_is_a_window_that_is_higher_than_its_pane() {
    let profile = Profile::builtin("claude").expect("built in");
    for name in
        ["claude-ready", "claude-after", "claude-busy", "claude-typed", "claude-queued", "claude-answered-narrow"]
    {
        let text = screen(name);
        let lines: Vec<&str> = text.lines().collect();
        let composer = lines.iter().rposition(|line| line.starts_with('❯')).expect("a composer");
        for first in 0..=composer {
            let seen = read(&profile, &lines[first..].join("\n"));
            assert!(!matches!(seen.phase, Phase::Dialog(_)), "{name} from line {first}: {seen:?}");
        }
    }
}

/// What is typed goes into the composer, whatever is shown beside it.
#[test]
fn what_is_shown_below_a_composer_is_no_menu() {
    for name in ["claude-shortcuts", "codex-shortcuts"] {
        assert_eq!((view(name).phase, view(name).composer), (Phase::Ready, Composer::Empty), "{name}");
    }
    let draft = Composer::Holds("a draft of `mine` @x and [paste".to_owned());
    assert_eq!((view("pi-draft").phase, view("pi-draft").composer), (Phase::Ready, draft));
}

/// pi draws its lists between the edges of its composer, where typed text may read like one.
#[test]
fn a_list_that_was_typed_into_a_composer_has_no_colours_and_is_a_draft() {
    let profile = Profile::builtin("pi").expect("built in");
    for name in ["pi-list-resume", "pi-list-model", "pi-list-settings", "pi-list-tree", "pi-list-fork", "pi-list-login"]
    {
        let seen = read(&profile, &screen(name));
        assert!(seen.phase == Phase::Ready && matches!(seen.composer, Composer::Holds(_)), "{name}: {seen:?}");
    }
}

proptest::proptest! {
    /// A draft that quotes a list, or a dialog, is a draft, in every agent whose composer shows it between two edges.
    #[test]
    fn a_quoted_list_in_a_composer_is_a_draft(
        agent in proptest::sample::select(&["claude", "pi"][..]),
        block in proptest::sample::select(lookalikes()),
    ) {
        let profile = Profile::builtin(agent).expect(agent);
        let text = screen(&format!("{agent}-typed"));
        let typed = block.iter().filter(|line| !line.contains("───")).map(|line| format!("  {line}")).collect::<Vec<_>>();
        let shown = text.replace("second line", &format!("second line\n{}", typed.join("\n")));
        let seen = read(&profile, &shown);
        proptest::prop_assert!(!matches!(seen.phase, Phase::Dialog(_)), "{:?}\n{}", seen, shown);
        proptest::prop_assert!(matches!(seen.composer, Composer::Holds(_)), "{:?}\n{}", seen, shown);
    }
}

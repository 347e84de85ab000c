use std::path::Path;

use super::*;

#[path = "lists/tests.rs"]
mod lists;
#[path = "menus/tests.rs"]
mod menus;

const AGENTS: [&str; 4] = ["claude", "codex", "pi", "opencode"];

/// Interprets a screen that a real agent drew, captured with `tmux capture-pane -p -e`; the file is named after its
/// agent.
fn view(name: &str) -> View {
    let agent = name.split('-').next().expect("named after its agent");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(format!("{name}.txt"));
    let text = std::fs::read_to_string(path).expect(name);
    read(&Profile::builtin(agent).expect(agent), &text)
}

fn dialog(name: &str) -> DialogView {
    match view(name).phase {
        Phase::Dialog(dialog) => dialog,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn an_agent_that_waits_is_ready_with_an_empty_composer_whatever_the_width() {
    for agent in AGENTS {
        for width in ["ready", "ready-wide", "ready-narrow", "after", "answered-wide"] {
            let seen = view(&format!("{agent}-{width}"));
            assert_eq!(
                seen,
                View { phase: Phase::Ready, composer: Composer::Empty, queued: false, popup: false, limited: None },
                "{agent}-{width}"
            );
        }
    }
}

#[test]
fn a_screen_that_is_still_drawn_is_not_ready() {
    // Codex draws its composer before it knows whether it may resume; opencode draws nothing for seconds.
    for name in ["codex-starting", "opencode-starting"] {
        assert_eq!(view(name).phase, Phase::Starting, "{name}");
    }
}

#[test]
fn a_turn_in_progress_is_busy_and_its_composer_empty() {
    for agent in AGENTS {
        for width in ["busy", "busy-wide", "busy-narrow"] {
            let seen = view(&format!("{agent}-{width}"));
            assert_eq!(
                seen,
                View { phase: Phase::Busy, composer: Composer::Empty, queued: false, popup: false, limited: None },
                "{agent}-{width}"
            );
        }
        let queued = view(&format!("{agent}-queued"));
        // opencode has it in its database at once, and its badge looks like any message.
        let seen = View {
            phase: Phase::Busy,
            composer: Composer::Empty,
            queued: agent != "opencode",
            popup: false,
            limited: None,
        };
        assert_eq!(queued, seen, "{agent}-queued");
    }
}

#[test]
fn a_composer_shows_what_was_typed() {
    for (agent, short) in AGENTS.into_iter().zip(["cl", "cx", "pi", "oc"]) {
        let typed = Composer::Holds(format!("hello from {short}\nsecond line"));
        assert_eq!(view(&format!("{agent}-typed")).composer, typed, "{agent}");
    }
    for (name, begins) in [
        (
            "claude-typed-wide",
            "please SLOW 6 for me: first line of some length that wraps when the pane is narrow\n\nsecond",
        ),
        (
            "claude-typed-narrow",
            "please SLOW 6 for me: first line of some length that\nwraps when the pane is narrow\n\nsecond",
        ),
        (
            "pi-typed-narrow",
            "please SLOW 6 for me: first line of some length that wraps\nwhen the pane is narrow\n\nsecond",
        ),
        // The text has an empty line, where the composer rule ends: enough to see that the composer is not empty.
        ("codex-typed-narrow", "please SLOW 6 for me: first line of some length that\nwraps when the pane is narrow"),
        ("opencode-typed-wide", "[Pasted ~3 lines]"),
    ] {
        match view(name).composer {
            Composer::Holds(text) => assert!(text.starts_with(begins), "{name}: {text}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn marks_that_draw_nothing_are_no_draft() {
    for agent in AGENTS {
        let text = screen(&format!("{agent}-typed"));
        assert!(text.contains("hello from "), "{agent}");
        let text = text.lines().map(|line| match line.split_once("hello from ") {
            Some((before, _)) => format!("{before}\u{200e}\u{202c}"),
            None => line.replace("second line", "\u{200b}"),
        });
        let text = text.collect::<Vec<_>>().join("\n");
        let profile = Profile::builtin(agent).expect(agent);
        assert_eq!(read(&profile, &text).composer, Composer::Empty, "{agent}");
    }
}

#[test]
fn a_line_in_a_message_is_no_edge_of_its_composer() {
    let profile = Profile::builtin("pi").expect("built in");
    let (rule, status) = ("─".repeat(60), "/srv/demo\n0.0%/128k (auto)              mock");
    for typed in ["────────────────────", "a\n──────────\nb", "soft\u{ad}hyphen"]
    {
        // Each invisible character moves what is below it.
        let moved = if typed.contains('\u{ad}') { format!(" {}", "─".repeat(59)) } else { rule.clone() };
        let seen = read(&profile, &format!(" said\n\n{rule}\n{typed}\n{moved}\n{status}"));
        assert_eq!(seen.composer, Composer::Holds(typed.to_owned()), "{typed}");
    }
}

#[test]
fn an_open_list_of_completions_is_seen() {
    for agent in ["claude", "codex", "opencode"] {
        let seen = view(&format!("{agent}-popup-file"));
        assert_eq!((seen.popup, seen.composer), (true, Composer::Holds("read @ma".to_owned())), "{agent}");
    }
}

#[test]
fn a_long_paste_shows_as_the_agents_placeholder() {
    for agent in AGENTS {
        let Composer::Holds(text) = view(&format!("{agent}-big")).composer else { panic!("{agent} shows nothing") };
        let rule = Profile::builtin(agent).expect(agent).composer.expect("has a composer");
        assert!(rule.placeholder.expect("has a placeholder").is_match(&text), "{agent}: {text}");
    }
}

#[test]
fn a_dialog_is_answered_one_seen_key_at_a_time() {
    let mut trust = dialog("claude-trust");
    assert_eq!((trust.id.as_str(), trust.needs_person), ("trust-folder", false));
    assert!(trust.question.starts_with("Quick safety check"), "{}", trust.question);
    // Its cursor is on `No, exit`, one above the wanted row.
    assert_eq!(next_key(&trust), Some(Key::Down));
    trust.selected_line = trust.answer_line;
    assert_eq!(next_key(&trust), Some(Key::Enter));
    trust.selected_line = trust.answer_line.map(|line| line + 1);
    assert_eq!(next_key(&trust), Some(Key::Up));
    trust.selected_line = None;
    assert_eq!(next_key(&trust), None, "no cursor seen, no key");
    assert_eq!(next_key(&dialog("claude-api-key")), Some(Key::Up));
}

#[test]
fn a_permission_and_a_sign_in_need_a_person() {
    for (name, id, question) in [
        ("claude-permission", "permission", "Do you want to proceed?"),
        ("codex-permission", "permission", "Would you like to run the following command?"),
        ("opencode-permission", "permission", "it asks for a permission"),
        ("codex-sign-in", "sign-in", "Codex is not signed in"),
        ("claude-question", "question", "Which colour?"),
        ("claude-sign-in", "sign-in", "it is not signed in: choose an account in its pane, and sign in in the browser"),
        (
            "claude-sign-in-browser",
            "sign-in",
            "it is not signed in: choose an account in its pane, and sign in in the browser",
        ),
        ("opencode-question", "question", "Which colour?"),
        ("opencode-question-wide", "question", "Which colour?"),
        ("opencode-picker", "window", "a window is open over its composer"),
        ("pi-no-model", "no-model", "No models available."),
    ] {
        let seen = dialog(name);
        assert_eq!((seen.id.as_str(), seen.question.as_str(), seen.needs_person), (id, question, true), "{name}");
        assert_eq!(next_key(&seen), None, "{name}");
        assert_eq!(view(name).composer, Composer::Hidden, "{name}");
    }
}

#[test]
fn what_stands_before_the_first_prompt_has_a_name_and_its_own_words() {
    let bypass = dialog("claude-bypass");
    let question = "WARNING: Claude Code running in Bypass Permissions mode";
    assert_eq!((bypass.id.as_str(), bypass.question.as_str()), ("bypass-mode", question));
    // Its cursor is on `No, exit`, and Enter is pressed only on the accepted row.
    assert_eq!((bypass.needs_person, next_key(&bypass)), (false, Some(Key::Down)));
    let rule = "─".repeat(120);
    let profile = Profile::builtin("claude").expect("built in");
    let named = |text: &str| match read(&profile, text).phase {
        Phase::Dialog(dialog) => (dialog.id, dialog.question),
        other => panic!("{other:?}: {text}"),
    };
    let pair = |id: &str, question: &str| (id.to_owned(), question.to_owned());
    let billing = format!(
        "{rule}\n\n  You are now billed by use\n\n  Your plan does not cover it.\n\n  Enter to continue · Esc to cancel\n\n"
    );
    assert_eq!(named(&billing), pair("notice", "You are now billed by use"));
    let title = "Make auto mode your default permission mode?";
    let mode = format!(
        "{rule}\n  {title}\n\n  ❯ 1. Yes, set auto mode as my default permission mode\n    2. No, keep plan mode\n\n  Enter to confirm · Esc to cancel\n"
    );
    assert_eq!(named(&mode), pair("default-mode", title));
}

#[test]
fn a_conversation_of_another_directory_goes_on_in_the_peers_own() {
    let mut asked = dialog("codex-resume-directory");
    assert_eq!((asked.id.as_str(), asked.needs_person), ("resume-directory", false));
    assert_eq!(next_key(&asked), Some(Key::Down));
    asked.selected_line = asked.answer_line;
    assert_eq!(next_key(&asked), Some(Key::Enter));
}

/// Text that looks like real dialogs, menus and turns in progress, one block of lines each.
fn lookalikes() -> Vec<Vec<String>> {
    let screens = [
        "claude-permission",
        "claude-trust",
        "claude-api-key",
        "claude-question",
        "claude-questions",
        "claude-review",
        "claude-plan",
        "claude-preview",
        "codex-questions",
        "codex-unanswered",
        "codex-daemon",
        "opencode-questions",
        "claude-sign-in",
        "claude-sign-in-browser",
        "claude-bypass",
        "codex-permission",
        "codex-sign-in",
        "codex-resume-directory",
        "opencode-permission",
        "opencode-question",
        "opencode-picker",
        "pi-no-model",
        "claude-window-resume",
        "claude-window-model",
        "claude-transcript",
        "claude-sessions",
        "codex-list-resume",
        "codex-list-theme",
        "codex-pager",
        "pi-list-resume",
        "pi-list-tree",
        "claude-busy",
        "codex-queued",
        "opencode-queued",
        "pi-queued",
    ];
    let mut blocks: Vec<Vec<String>> = screens.iter().map(|name| last_lines(&screen(name), 14)).collect();
    blocks.push(
        ["Do you want to keep the old interface?", "", "❯ 1. Yes", "  2. No", "", "Esc to cancel"]
            .map(str::to_owned)
            .to_vec(),
    );
    blocks
}

/// Returns a recorded screen as plain text.
fn screen(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(format!("{name}.txt"));
    plain(&std::fs::read_to_string(path).expect(name))
}

proptest::proptest! {
    /// Whatever an agent or a user says, anywhere above what the agent itself draws, changes nothing.
    #[test]
    fn what_is_only_said_is_no_dialog(
        agent in proptest::sample::select(&AGENTS[..]),
        state in proptest::sample::select(&["ready", "after", "busy", "queued", "typed"][..]),
        block in proptest::sample::select(lookalikes()),
        indent in proptest::sample::select(&["", " ", "  ", "   ", "● ", "• ", "> ", "  ┃  ", "❯ ", "› "][..]),
        at in 0.0..1.0_f64,
    ) {
        let profile = Profile::builtin(agent).expect(agent);
        let text = screen(&format!("{agent}-{state}"));
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let view = read(&profile, &lines.join("\n"));
        // The bottom part that the agent draws determines the result; the conversation is above it.
        let own = (0..lines.len()).rev().find(|&row| read(&profile, &lines[row..].join("\n")) == view).expect("all of it");
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a row")]
        let row = (at * own as f64) as usize;
        let said = block.iter().map(|line| format!("{indent}{line}"));
        let above = lines[..row].iter().map(|line| (*line).to_owned());
        let below = lines[row..].iter().map(|line| (*line).to_owned());
        let shown = above.chain(said).chain(below).collect::<Vec<_>>().join("\n");
        proptest::prop_assert_eq!(read(&profile, &shown), view, "{}", shown);
    }

    /// A real dialog is recognised below whatever was said before.
    #[test]
    fn a_real_dialog_is_seen_below_whatever_was_said(
        name in proptest::sample::select(&[
            "claude-permission", "claude-question", "codex-permission", "opencode-permission", "opencode-question",
            "claude-questions", "claude-review", "claude-plan", "claude-preview", "codex-questions", "codex-unanswered",
            "claude-window-resume", "claude-window-config", "claude-transcript", "codex-list-theme", "codex-pager",
        ][..]),
        block in proptest::sample::select(lookalikes()),
        indent in proptest::sample::select(&["", " ", "  ", "● ", "• ", "  ┃  "][..]),
    ) {
        let profile = Profile::builtin(name.split('-').next().expect("an agent")).expect(name);
        let said = block.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n");
        let shown = format!("{said}\n\n{}", screen(name));
        let view = read(&profile, &shown);
        proptest::prop_assert!(matches!(view.phase, Phase::Dialog(_)), "{:?}\n{}", view, shown);
        proptest::prop_assert_eq!(view.composer, Composer::Hidden);
    }
}

#[test]
fn a_message_that_looks_like_a_menu_is_no_dialog() {
    for (agent, text) in [
        ("claude", "────────────────\n❯ 1. first\n  2. second\n────────────────\n  ⏵⏵ auto mode on"),
        ("codex", "\n› 1. first\n  2. second\n\n  mock default · /srv/demo\n"),
    ] {
        let seen = read(&Profile::builtin(agent).expect(agent), text);
        assert_eq!(seen.phase, Phase::Ready, "{agent}");
        assert_eq!(seen.composer, Composer::Holds("1. first\n2. second".to_owned()), "{agent}");
    }
}

#[test]
fn any_program_without_rules_is_ready_and_has_no_composer() {
    let seen = read(&Profile::builtin("command").expect("built in"), "$ ");
    assert_eq!(
        seen,
        View { phase: Phase::Ready, composer: Composer::Hidden, queued: false, popup: false, limited: None }
    );
}

#[test]
fn messages_show_the_last_lines_that_say_something() {
    let text = "a\n\u{1b}[31mno such model\u{1b}[0m\n─────\n\n  exit 1 \n╰──╯\n";
    assert_eq!(last_lines(text, 2), ["no such model", "exit 1"]);
    assert!(last_lines("───\n\n", 2).is_empty());
}

//! The test cases. Each starts from nothing and leaves nothing behind.

use std::path::Path;
use std::time::Instant;

use peer_adapters::command::TerminalClient;
use peer_adapters::process;
use peer_adapters::runtime::{AttachMode, Capture, Gone, Key, Listing, RuntimeError, RuntimeKind, Size};
use peer_adapters::terminal;

use crate::conformance::hosts::{
    Host, PATIENCE, create, eventually, find_row, heard, idle, is_alive, recorder, row_where, shows,
};

pub(crate) async fn a_session_is_listed_from_its_creation_to_its_removal(host: &dyn Host) {
    let nothing = host.runtime().list(&host.server("api-1")).await.expect("listed");
    assert_eq!(nothing, Listing::Gone(Gone::NoSocket));
    let created = idle(host, "api-1").await;
    let target = &created.target;
    assert_eq!((&target.server, target.session.as_str()), (&host.server("api-1"), "api-1"));
    assert!(is_alive(created.server));
    let Listing::Up { server, rows } = host.runtime().list(&target.server).await.expect("listed") else {
        panic!("the server is up")
    };
    let [row] = rows.as_slice() else { panic!("one row: {rows:?}") };
    assert_eq!(server, created.server);
    assert_eq!((&row.session, &row.session_id, &row.pane), (&target.session, &target.session_id, &target.pane));
    assert_eq!((row.tag.as_str(), row.pane_dead), ("tag/api-1", false));
    assert!(row.activity_s.is_some_and(|seconds| seconds > 1_500_000_000), "{row:?}");
    let pane = process::status(row.pane_pid.expect("a pid")).expect("probe").expect("it runs");
    assert_eq!(pane.parent, created.server.pid);
    host.runtime().remove(target).await.expect("removed");
    let listing = host.runtime().list(&target.server).await.expect("listed");
    assert!(host.nothing_left(&listing), "{listing:?}");
    host.runtime().remove(target).await.expect("removing what is not there is success");
}

pub(crate) async fn a_name_is_taken_once(host: &dyn Host) {
    let first = idle(host, "a").await;
    let again = host.runtime().create(&host.plan("a", &["/bin/sleep", "1000"])).await;
    assert!(matches!(&again, Err(RuntimeError::DuplicateSession { session, .. }) if session == "a"), "{again:?}");
    assert!(find_row(host, &first.target).await.is_some_and(|row| !row.pane_dead));
}

pub(crate) async fn names_may_have_64_characters(host: &dyn Host) {
    let name = format!("0_-{}", "n".repeat(61));
    let created = idle(host, &name).await;
    assert!(find_row(host, &created.target).await.is_some_and(|row| row.session == name));
    host.runtime().remove(&created.target).await.expect("removed");
}

pub(crate) async fn arguments_of_any_text_arrive(host: &dyn Host) {
    let words = [
        "",
        "a b",
        ";",
        "end;",
        "a\\;",
        "-n",
        "--",
        "$(touch x)",
        "`x`",
        "\"",
        "'",
        "\\",
        "{}",
        "#{x}",
        "#(x)",
        "é漢😀",
        "~",
    ];
    let script = "for word; do printf '<%s>\\n' \"$word\"; done; echo told; exec sleep 1000";
    let argv = [&["/bin/sh", "-c", script, "sh"], &words[..]].concat();
    let created = create(host, "a", &argv).await;
    let screen = shows(host, &created.target, "told").await;
    let told: Vec<&str> = screen.lines().take_while(|line| *line != "told").collect();
    assert_eq!(told, words.map(|word| format!("<{word}>")));
}

pub(crate) async fn a_directory_of_any_name_is_the_working_directory(host: &dyn Host) {
    for (number, name) in ["a b", "#(touch x)", "a;", "$HOME", "\"q\" 'é'", "{", "##[x]", "-n"].into_iter().enumerate()
    {
        let cwd = host.dir().join(name);
        std::fs::create_dir(&cwd).expect("made");
        let mut plan = host.plan(&format!("s{number}"), &["/bin/sh", "-c", "pwd; echo told; exec sleep 1000"]);
        plan.cwd.clone_from(&cwd);
        let created = host.runtime().create(&plan).await.expect("created");
        let screen = shows(host, &created.target, "told").await;
        assert_eq!(screen.lines().next(), cwd.to_str());
        assert_eq!(std::fs::read_dir(&cwd).expect("readable").count(), 0, "something was executed");
    }
    let mut plan = host.plan("nowhere", &["/bin/sleep", "1000"]);
    plan.cwd = host.dir().join("not there");
    host.runtime().create(&plan).await.expect_err("a directory that is not there is not replaced by another");
}

pub(crate) async fn a_pane_has_a_terminal_of_the_wanted_size(host: &dyn Host) {
    let mut plan = host.plan("a", &["/bin/sh", "-c", "stty size; echo told; exec sleep 1000"]);
    plan.size = (133, 37);
    let created = host.runtime().create(&plan).await.expect("created");
    let screen = shows(host, &created.target, "told").await;
    // A line at the bottom may belong to the runtime.
    assert!(screen.starts_with("37 133\n") || screen.starts_with("36 133\n"), "{screen}");
}

pub(crate) async fn a_pane_is_not_told_of_a_session_around_us(host: &dyn Host) {
    let script = "for name in TMUX TMUX_PANE ZELLIJ ZELLIJ_SESSION_NAME TMPDIR XDG_CACHE_HOME TERM; do \
                  eval \"echo $name=\\$$name.\"; done; echo told; exec sleep 1000";
    let created = create(host, "inner", &["/bin/sh", "-c", script]).await;
    let screen = shows(host, &created.target, "told").await;
    let value = |name: &str| {
        let line = screen.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).expect("printed");
        line.trim_end_matches('.').to_owned()
    };
    // Of the two runtimes, the pane knows only its own, and in that only its own session.
    let (tmux, zellij) = (value("TMUX"), value("ZELLIJ_SESSION_NAME"));
    assert!(tmux.is_empty() != zellij.is_empty(), "TMUX={tmux} ZELLIJ_SESSION_NAME={zellij}");
    assert!(tmux.is_empty() || Path::new(&tmux).starts_with(host.dir()), "{tmux}");
    assert!(zellij.is_empty() || zellij == "inner", "{zellij}");
    // A server for all sessions knows nothing of ours; one that is created with the session passes on our values, and
    // not its own.
    for name in ["TMPDIR", "XDG_CACHE_HOME"] {
        let (told, ours) = (value(name), std::env::var(name).unwrap_or_default());
        assert!(told.is_empty() || told == ours, "{name}={told}");
    }
    assert!(value("TERM").ends_with("-256color"));
}

pub(crate) async fn a_capture_is_the_screen_and_as_much_history_as_asked_for(host: &dyn Host) {
    let script = "i=0; while [ $((i+=1)) -le 300 ]; do echo \"line $i  \"; done; \
                  printf '\\033[31mred\\033[0m end'; exec sleep 1000";
    let created = create(host, "a", &["/bin/sh", "-c", script]).await;
    let screen = shows(host, &created.target, "end").await;
    let lines: Vec<&str> = screen.lines().collect();
    assert!((49..=50).contains(&lines.len()), "{}", lines.len());
    assert_eq!(lines.last(), Some(&"red end"));
    assert_eq!(lines[lines.len() - 2], "line 300");
    let capture = |history, ansi| host.runtime().capture(&created.target, Capture { history, ansi });
    let more = capture(10, false).await.expect("captured");
    assert_eq!(more.lines().count(), lines.len() + 10);
    assert!(more.ends_with(&screen));
    let all = capture(9999, false).await.expect("captured");
    assert_eq!((all.lines().next(), all.lines().count()), (Some("line 1"), 301));
    let coloured = capture(0, true).await.expect("captured");
    assert!(coloured.contains("\x1b[31m") && coloured.contains("red"), "{coloured:?}");
    assert!(!screen.contains('\x1b'));
}

/// Text drawn over a line that a narrower terminal had wrapped is two rows.
pub(crate) async fn a_screen_has_each_row_apart_after_other_sizes(host: &dyn Host) {
    let draw = "printf '\\r\\033[3A\\033[J> \\r\\n----\\r\\n\\nsize '; stty size";
    let script = format!("printf '%0120d\\n\\nset' 0; trap \"{draw}\" WINCH; while :; do sleep 0.05; done");
    let created = create(host, "a", &["/bin/sh", "-c", &script]).await;
    shows(host, &created.target, "set").await;
    for (columns, rows) in [(100, 30), (60, 20), (150, 40)] {
        let argv = host
            .runtime()
            .attach(&created.target, AttachMode::default())
            .await
            .expect("told")
            .env("TERM", "xterm-256color");
        let client = TerminalClient::spawn(&argv, (columns, rows)).expect("attached");
        shows(host, &created.target, &format!(" {columns}\n")).await;
        let apart = async |when: &str| {
            let screen = host.runtime().capture(&created.target, Capture::default()).await.expect("captured");
            assert!(screen.contains("\n----\n"), "{columns}x{rows}, {when}:\n{screen}");
        };
        apart("attached").await;
        host.runtime().show_bottom(&created.target).await.expect("shown");
        client.kill().await;
        row_where(host, &created.target, |row| row.attached == 0).await;
        apart("closed").await;
    }
}

/// Content that a program had drawn on the alternate screen outside of the remaining rows and columns is not shown.
pub(crate) async fn a_smaller_alternate_screen_shows_nothing_of_the_larger(host: &dyn Host) {
    let draw = "printf '\\033[H\\033[Jdrawn\\r\\n'; stty size";
    let script = format!(
        "printf '\\033[?1049h'; seq -f 'old %g                    end' 45; trap \"{draw}\" WINCH; echo set; while :; do sleep 0.05; done"
    );
    let created = create(host, "a", &["/bin/sh", "-c", &script]).await;
    shows(host, &created.target, "set").await;
    let argv = host
        .runtime()
        .attach(&created.target, AttachMode::default())
        .await
        .expect("a client")
        .env("TERM", "xterm-256color");
    let client = TerminalClient::spawn(&argv, (20, 15)).expect("attached");
    let screen = shows(host, &created.target, " 20\n").await;
    let too_wide = screen.lines().any(|row| row.chars().count() > 20);
    assert!(screen.lines().count() <= 15 && !too_wide && !screen.contains("end"), "{screen}");
    client.kill().await;
}

pub(crate) async fn a_pane_that_nobody_looks_at_takes_another_size(host: &dyn Host) {
    let created = idle(host, "a").await;
    let pane = find_row(host, &created.target).await.and_then(|row| row.pane_pid).expect("a pid");
    for size in [Size { columns: 40, rows: 10 }, Size { columns: 200, rows: 50 }] {
        host.runtime().resize(&created.target, size).await.expect("resized");
        eventually(&format!("it has {size:?}"), || terminal::size(pane).is_ok_and(|now| now == size)).await;
    }
    row_where(host, &created.target, |row| row.attached == 0).await;
    // The next client's size applies too.
    let argv = host
        .runtime()
        .attach(&created.target, AttachMode::default())
        .await
        .expect("told")
        .env("TERM", "xterm-256color");
    let client = TerminalClient::spawn(&argv, (90, 30)).expect("attached");
    eventually("it has their width", || terminal::size(pane).is_ok_and(|now| now.columns == 90)).await;
    client.kill().await;
}

pub(crate) async fn a_large_paste_arrives_whole_in_one_pair_of_brackets(host: &dyn Host) {
    let line = "línea with ünïcode;\tand a tab\n";
    let texts = ["-x".to_owned(), "one\ntwo\n".to_owned(), line.repeat(3_500), line.repeat(7_000)];
    for (number, text) in texts.iter().enumerate() {
        let (created, file) = recorder(host, &format!("s{number}")).await;
        host.runtime().paste(&created.target, text).await.expect("pasted");
        heard(&file, &format!("\x1b[200~{text}\x1b[201~")).await;
        host.runtime().remove(&created.target).await.expect("removed");
    }
}

pub(crate) async fn a_paste_cannot_leave_its_brackets(host: &dyn Host) {
    let (created, file) = recorder(host, "a").await;
    host.runtime().paste(&created.target, "a\x1b[201~\rrm x\r\n\x03b\u{9b}").await.expect("pasted");
    host.runtime().press(&created.target, &[Key::Char('.')]).await.expect("pressed");
    heard(&file, "\x1b[200~a[201~rm x\nb\x1b[201~.").await;
}

pub(crate) async fn keys_arrive_in_order(host: &dyn Host) {
    let (created, file) = recorder(host, "a").await;
    let named = [
        (Key::Enter, "\r"),
        (Key::Escape, "\x1b"),
        (Key::Tab, "\t"),
        (Key::BackTab, "\x1b[Z"),
        (Key::Up, "\x1b[A"),
        (Key::Down, "\x1b[B"),
        (Key::Right, "\x1b[C"),
        (Key::Left, "\x1b[D"),
        (Key::Backspace, "\x7f"),
        (Key::Space, " "),
        (Key::Ctrl('a'), "\x01"),
        (Key::Ctrl('z'), "\x1a"),
    ];
    // Keys whose form depends on the terminal's name may have more than one.
    let forms = [
        (Key::Home, ["\x1b[1~", "\x1b[H"]),
        (Key::End, ["\x1b[4~", "\x1b[F"]),
        (Key::PageUp, ["\x1b[5~"; 2]),
        (Key::PageDown, ["\x1b[6~"; 2]),
        (Key::Insert, ["\x1b[2~"; 2]),
        (Key::Delete, ["\x1b[3~"; 2]),
        (Key::F(1), ["\x1bOP"; 2]),
        (Key::F(5), ["\x1b[15~"; 2]),
        (Key::F(6), ["\x1b[17~"; 2]),
        (Key::F(11), ["\x1b[23~"; 2]),
        (Key::F(12), ["\x1b[24~"; 2]),
        (Key::Alt('b'), ["\x1bb"; 2]),
        (Key::Alt(';'), ["\x1b;"; 2]),
    ];
    let form = usize::from(host.runtime().kind() == RuntimeKind::Zellij);
    let (more, theirs): (Vec<Key>, Vec<&str>) = forms.into_iter().map(|(key, bytes)| (key, bytes[form])).unzip();
    let mut keys: Vec<Key> = named.iter().map(|(key, _)| key.clone()).chain(more).collect();
    let mut expected: String = named.iter().map(|(_, bytes)| *bytes).collect();
    expected.extend(theirs);
    keys.extend(('!'..='~').map(Key::Char));
    expected.extend('!'..='~');
    host.runtime().press(&created.target, &keys).await.expect("pressed");
    heard(&file, &expected).await;
}

pub(crate) async fn a_pane_whose_program_ended_is_dead_and_takes_no_input(host: &dyn Host) {
    let scripts = ["echo last words; sleep 0.2; exit 3", "exit 0", "sleep 0.2; kill -9 $$"];
    for (number, script) in scripts.into_iter().enumerate() {
        let created = create(host, &format!("s{number}"), &["/bin/sh", "-c", script]).await;
        row_where(host, &created.target, |row| row.pane_dead).await;
        if number == 0 {
            shows(host, &created.target, "last words").await;
        }
        let pasted = host.runtime().paste(&created.target, "x").await;
        assert!(matches!(pasted, Err(RuntimeError::PaneDead { .. })), "{script}: {pasted:?}");
        let pressed = host.runtime().press(&created.target, &[Key::Enter]).await;
        assert!(matches!(pressed, Err(RuntimeError::PaneDead { .. })), "{script}: {pressed:?}");
        host.runtime().remove(&created.target).await.expect("removed");
        assert!(find_row(host, &created.target).await.is_none());
    }
}

pub(crate) async fn whoever_is_attached_is_counted_and_resizes_the_pane(host: &dyn Host) {
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    let created = create(host, "a", &["/bin/sh", "-c", script]).await;
    shows(host, &created.target, "ready").await;
    row_where(host, &created.target, |row| row.attached == 0).await;
    let argv = host
        .runtime()
        .attach(&created.target, AttachMode::default())
        .await
        .expect("a client")
        .env("TERM", "xterm-256color");
    let client = TerminalClient::spawn(&argv, (120, 33)).expect("attached");
    // A line at the bottom may belong to the runtime. The first size reported may be an intermediate one: wait for the
    // final one.
    let until = Instant::now() + PATIENCE;
    loop {
        let screen = shows(host, &created.target, " 120").await;
        if screen.contains("33 120") || screen.contains("32 120") {
            break;
        }
        assert!(Instant::now() < until, "{screen}");
    }
    row_where(host, &created.target, |row| row.attached == 1).await;
    client.kill().await;
    let row = row_where(host, &created.target, |row| row.attached == 0).await;
    assert!(!row.pane_dead);
}

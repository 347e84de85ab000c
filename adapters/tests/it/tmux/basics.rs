//! The life of a session on a real tmux: created, listed, read, typed into, removed.

use std::time::Duration;

use super::lab;
use super::lab::{Lab, content, eventually};
use peer_adapters::process;
use peer_adapters::runtime::{AttachMode, Capture, Gone, Key, Listing, Runtime, RuntimeError};

#[tokio::test]
async fn a_session_lives_from_create_to_remove() {
    let lab = Lab::new();
    assert_eq!(lab.tmux.list(&lab.socket()).await.expect("list"), Listing::Gone(Gone::NoSocket));
    let created = lab.idle("api-1").await;
    assert_eq!(Some(created.server), lab.server());
    assert_eq!(process::find(created.server).expect("probe").map(|status| status.id), Some(created.server));

    let Listing::Up { server, rows } = lab.tmux.list(&lab.socket()).await.expect("list") else { panic!("up") };
    assert_eq!(server, created.server);
    let [row] = rows.as_slice() else { panic!("one row: {rows:?}") };
    assert_eq!((row.session.as_str(), row.tag.as_str()), ("api-1", "tag/api-1"));
    assert_eq!((row.session_id.as_str(), row.pane.as_str()), (&*created.target.session_id, &*created.target.pane));
    assert_eq!((row.pane_dead, row.attached), (false, 0));
    assert!(row.activity_s.is_some());
    let pane = process::status(row.pane_pid.expect("pid")).expect("probe").expect("runs");
    assert_eq!(pane.parent, server.pid);

    lab.tmux.remove(&created.target).await.expect("remove");
    assert_eq!(lab.names().await, [""; 0], "the server stays, with nothing on it");
    lab.tmux.remove(&created.target).await.expect("removing what is gone is success");
}

#[tokio::test]
async fn what_the_pane_prints_is_captured() {
    let lab = Lab::new();
    let script = "printf 'one  \\n\\033[31mred\\033[0m\\n'; exec sleep 1000";
    let target = lab.start("a", &["sh", "-c", script]).await.target;
    let visible = Capture::default();
    let end = std::time::Instant::now() + lab::PATIENCE;
    let text = loop {
        let text = lab.tmux.capture(&target, visible).await.expect("capture");
        if text.contains("red") || std::time::Instant::now() > end {
            break text;
        }
    };
    assert!(text.starts_with("one\nred\n"), "{text:?}");
    let coloured = lab.tmux.capture(&target, Capture { ansi: true, history: 5 }).await.expect("capture");
    assert!(coloured.contains("\u{1b}[31mred"), "{coloured:?}");
}

#[tokio::test]
async fn text_and_keys_arrive() {
    let lab = Lab::new();
    let target = lab.recorder("a", "got").await.target;
    lab.tmux.paste(&target, "first\n\tünicode; #{x} $HOME 'q' \"d\"").await.expect("paste");
    let keys = [Key::Enter, Key::Ctrl('c'), Key::Char(';'), Key::Char('\''), Key::Char('-'), Key::Escape];
    lab.tmux.press(&target, &keys).await.expect("press");
    let want = "first\n\tünicode; #{x} $HOME 'q' \"d\"\r\u{3};'-\u{1b}";
    let got = content(&lab.path("got"), want.len()).await;
    assert_eq!(String::from_utf8_lossy(&got), want);
}

#[tokio::test]
async fn named_keys_send_what_a_terminal_sends() {
    let lab = Lab::new();
    let target = lab.recorder("a", "got").await.target;
    let keys = [Key::Up, Key::Down, Key::Right, Key::Left, Key::Tab, Key::BackTab, Key::Backspace, Key::Space];
    lab.tmux.press(&target, &keys).await.expect("press");
    let want = "\u{1b}[A\u{1b}[B\u{1b}[C\u{1b}[D\t\u{1b}[Z\u{7f} ";
    assert_eq!(String::from_utf8_lossy(&content(&lab.path("got"), want.len()).await), want);
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let lab = Lab::new();
    lab.idle("a").await;
    let error = lab.tmux.create(&lab.session("a", &["sleep", "1"])).await.expect_err("taken");
    assert!(matches!(&error, RuntimeError::DuplicateSession { session, .. } if session == "a"), "{error}");
    assert_eq!(lab.names().await, ["a"]);
}

#[tokio::test]
async fn somebody_elses_session_of_a_strange_name_hides_none_of_ours() {
    let lab = Lab::new();
    lab.idle("ours").await;
    let strange =
        ["two words", "tab\there", "line\nbreak", "\u{1b}[31mred\u{1f}", "ünï\u{2028}code\\", "9\t$3\t%4", "#{pid}"];
    let mut theirs = 0;
    for name in strange {
        // From 3.7 on some of them are refused.
        theirs += usize::from(lab.raw(&["new-session", "-d", "-s", name, "sleep", "1000"]).await.is_empty());
    }
    assert!(theirs >= 3, "{theirs} names were taken");
    for tag in ["a\tb", "a\nb", "a\n9\t$3\t%4\n", "#{pid} \u{1f} ünï"] {
        let id = lab.raw(&["new-session", "-d", "-P", "-F", "#{session_id}", "sleep", "1000"]).await;
        lab.raw(&["set-option", "-t", id.trim(), "@peer_tag", tag]).await;
    }
    let rows = lab.rows().await;
    assert_eq!(rows.len(), 1 + theirs + 4, "{rows:?}");
    let tagged: Vec<_> = rows.iter().filter(|row| !row.tag.is_empty()).collect();
    let [ours] = tagged.as_slice() else { panic!("one is ours: {rows:?}") };
    assert_eq!((ours.session.as_str(), ours.tag.as_str()), ("ours", "tag/ours"));
}

#[tokio::test]
async fn ten_at_once_on_a_cold_socket_share_one_server() {
    let lab = Lab::new();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..10 {
        let (tmux, new) = (lab.tmux.clone(), lab.session(&format!("a{n}"), &["sleep", "1000"]));
        tasks.spawn(async move { tmux.create(&new).await });
    }
    while let Some(created) = tasks.join_next().await {
        assert_eq!(Some(created.expect("no panic").expect("create").server), lab.server());
    }
    assert_eq!(lab.rows().await.len(), 10);
}

#[tokio::test]
async fn ten_at_once_of_one_name_make_one() {
    let lab = Lab::new();
    lab.idle("keep").await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (tmux, new) = (lab.tmux.clone(), lab.session("same", &["sleep", "1000"]));
        tasks.spawn(async move { tmux.create(&new).await });
    }
    let mut made = 0;
    while let Some(created) = tasks.join_next().await {
        match created.expect("no panic") {
            Ok(_) => made += 1,
            Err(error) => assert!(matches!(error, RuntimeError::DuplicateSession { .. }), "{error}"),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn a_command_that_ends_at_once_leaves_its_dead_pane() {
    let lab = Lab::new();
    for n in 0..10 {
        lab.start(&format!("a{n}"), &["sh", "-c", "echo over"]).await;
    }
    let end = std::time::Instant::now() + lab::PATIENCE;
    while !lab.rows().await.iter().all(|row| row.pane_dead) {
        assert!(std::time::Instant::now() < end, "every pane dies");
    }
    assert_eq!(lab.rows().await.len(), 10);
}

#[tokio::test]
async fn the_version_is_what_the_binary_says() {
    let version = Lab::new().tmux.version().await.expect("version");
    assert!(version.starts_with("tmux "), "{version}");
}

#[tokio::test]
async fn a_person_can_attach_and_leave() {
    let lab = Lab::new();
    let target = lab.idle("a").await.target;
    // The user's terminal is a pane of another server.
    let person = Lab::new();
    let attach = lab.tmux.attach(&target, AttachMode::default()).await.expect("a client");
    let mut words = vec!["env".to_owned(), "-u".to_owned(), "TMUX".to_owned(), attach.program.display().to_string()];
    words.extend(attach.args.iter().map(|word| word.to_str().expect("ASCII").to_owned()));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let seat = person.start("seat", &words).await.target;
    let end = std::time::Instant::now() + lab::PATIENCE;
    while lab.rows().await[0].attached != 1 {
        let screen = person.tmux.capture(&seat, Capture::default()).await;
        assert!(std::time::Instant::now() < end, "attached: {screen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let screen = person.tmux.capture(&seat, Capture::default()).await.expect("capture");
    assert!(screen.contains("[a]"), "the status line names the peer: {screen:?}");
    person.tmux.press(&seat, &[Key::Ctrl('b'), Key::Char('d')]).await.expect("detach");
    while lab.rows().await[0].attached != 0 {
        assert!(std::time::Instant::now() < end, "detached");
    }
    eventually("the session is left as it was", || lab.server().is_some()).await;
}

#[tokio::test]
async fn a_person_inside_switches_and_does_not_nest() {
    let lab = Lab::new();
    let first = lab.idle("first").await.target;
    let second = lab.idle("second").await.target;
    let person = Lab::new();
    let attach = lab.tmux.attach(&first, AttachMode::default()).await.expect("a client");
    let mut words = vec!["env".to_owned(), "-u".to_owned(), "TMUX".to_owned(), attach.program.display().to_string()];
    words.extend(attach.args.iter().map(|word| word.to_str().expect("ASCII").to_owned()));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    person.start("seat", &words).await;
    let end = std::time::Instant::now() + lab::PATIENCE;
    let attached = |rows: &[peer_adapters::runtime::SessionRow], name: &str| {
        rows.iter().any(|row| row.session == name && row.attached == 1)
    };
    while !attached(&lab.rows().await, "first") {
        assert!(std::time::Instant::now() < end, "attached to the first");
    }
    let switch =
        lab.tmux.attach(&second, AttachMode { inside: true, ..AttachMode::default() }).await.expect("a client");
    let mut line = vec![switch.program.display().to_string()];
    line.extend(switch.args.iter().map(|word| word.to_str().expect("ASCII").to_owned()));
    // From a pane of the first session, as a user's shell would run it there.
    let pane = &first.pane;
    lab.raw(&["respawn-pane", "-k", "-t", pane, &line.join(" ")]).await;
    while !attached(&lab.rows().await, "second") {
        assert!(std::time::Instant::now() < end, "switched to the second");
    }
}

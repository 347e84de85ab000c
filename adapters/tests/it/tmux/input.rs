//! Text and keys reach exactly the intended pane, complete, or the caller gets an error.

use super::lab;
use super::lab::{Lab, content, eventually, renamed};
use nix::sys::signal::Signal;
use peer_adapters::process;
use peer_adapters::runtime::{Capture, Created, Gone, Key, Runtime, RuntimeError, Target};

/// A session whose program has ended.
async fn dead(lab: &Lab, name: &str) -> Created {
    let created = lab.start(name, &["sh", "-c", "exit 3"]).await;
    let end = std::time::Instant::now() + lab::PATIENCE;
    while !lab.rows().await.iter().any(|row| row.session == name && row.pane_dead) {
        assert!(std::time::Instant::now() < end, "{name} ends");
    }
    created
}

async fn assert_no_buffers(lab: &Lab) {
    assert_eq!(lab.raw(&["list-buffers"]).await, "", "no paste buffer is left");
}

/// tmux 3.3a: an unguarded `paste-buffer` there crashes the server with every session in it.
#[tokio::test]
async fn a_dead_pane_refuses_input_and_the_server_stays() {
    let lab = Lab::new();
    let bystander = lab.idle("bystander").await;
    let target = dead(&lab, "a").await.target;
    let error = lab.tmux.paste(&target, "x\ny").await.expect_err("dead");
    assert!(matches!(&error, RuntimeError::PaneDead { session, .. } if session == "a"), "{error}");
    let error = lab.tmux.press(&target, &[Key::Enter]).await.expect_err("dead");
    assert!(matches!(error, RuntimeError::PaneDead { .. }), "{error}");
    assert_eq!(lab.server(), Some(bystander.server));
    assert_eq!(lab.names().await, ["a", "bystander"]);
    assert_no_buffers(&lab).await;
}

#[tokio::test]
async fn a_pane_with_its_input_off_says_so() {
    let lab = Lab::new();
    let target = lab.recorder("a", "got").await.target;
    lab.raw(&["select-pane", "-d", "-t", &target.pane]).await;
    let error = lab.tmux.paste(&target, "lost").await.expect_err("off");
    assert!(matches!(error, RuntimeError::PaneDead { .. }), "{error}");
    let error = lab.tmux.press(&target, &[Key::Enter]).await.expect_err("off");
    assert!(matches!(error, RuntimeError::PaneDead { .. }), "{error}");
    lab.raw(&["select-pane", "-e", "-t", &target.pane]).await;
    lab.tmux.paste(&target, "kept").await.expect("on again");
    assert_eq!(content(&lab.path("got"), 4).await, b"kept");
    assert_no_buffers(&lab).await;
}

#[tokio::test]
async fn a_session_that_is_not_there_is_named() {
    let lab = Lab::new();
    let target = lab.idle("a").await.target;
    lab.tmux.remove(&target).await.expect("remove");
    for others in [false, true] {
        if others {
            lab.idle("b").await;
        }
        let errors = [
            lab.tmux.paste(&target, "x").await.expect_err("paste"),
            lab.tmux.press(&target, &[Key::Enter]).await.expect_err("press"),
            lab.tmux.capture(&target, Capture::default()).await.expect_err("capture"),
        ];
        for error in errors {
            assert!(matches!(&error, RuntimeError::NoSuchSession { session, .. } if session == "a"), "{error}");
        }
        assert_no_buffers(&lab).await;
    }
}

#[tokio::test]
async fn a_pane_of_another_session_is_never_touched() {
    let lab = Lab::new();
    let mine = lab.idle("foo").await.target;
    let other = lab.recorder("foobar", "got").await.target;
    let crossed = Target { pane: other.pane.clone(), ..mine.clone() };
    // If its process is not known, a merely similar name does not match.
    let nameless = Target { pane_pid: None, ..other.clone() };
    for target in [&crossed, &renamed(&nameless, "foob"), &renamed(&nameless, "foo")] {
        let errors = [
            lab.tmux.paste(target, "x").await.expect_err("paste"),
            lab.tmux.press(target, &[Key::Char('x')]).await.expect_err("press"),
            lab.tmux.capture(target, Capture::default()).await.expect_err("capture"),
        ];
        for error in errors {
            assert!(matches!(error, RuntimeError::NoSuchSession { .. }), "{error}");
        }
    }
    assert_no_buffers(&lab).await;
    lab.tmux.paste(&other, "end").await.expect("paste");
    assert_eq!(content(&lab.path("got"), 3).await, b"end", "nothing came before");
}

/// Everything that a user can do to a pane that leaves its program alive; it is still the same pane after each.
#[tokio::test]
async fn a_pane_is_reached_wherever_a_person_moves_it() {
    let lab = Lab::new();
    let target = lab.recorder("a", "got").await.target;
    let other = lab.idle("b").await.target;
    let pane = target.pane.as_str();
    lab.raw(&["split-window", "-d", "-t", &other.pane, "sleep 1000"]).await;
    let moves: [&[&str]; 9] = [
        &["rename-session", "-t", "=a:", "my own work: x"],
        &["rename-window", "-t", pane, "a window; 'of' mine"],
        &["link-window", "-s", pane, "-t", "=b:7"],
        &["join-pane", "-s", pane, "-t", &other.pane],
        &["break-pane", "-d", "-s", pane],
        &["swap-pane", "-s", pane, "-t", &other.pane],
        &["move-window", "-s", pane, "-t", "=b:9"],
        &["split-window", "-d", "-t", pane, "sleep 1000"],
        &["resize-pane", "-Z", "-t", &other.pane],
    ];
    for (n, how) in moves.into_iter().enumerate() {
        assert_eq!(lab.raw(how).await, "", "{how:?}");
        let rows = lab.rows().await;
        let ours: Vec<_> = rows.iter().filter(|row| row.tag == "tag/a").collect();
        assert!(matches!(ours[..], [row] if row.pane == pane && row.pane_pid == target.pane_pid), "{how:?}: {rows:?}");
        lab.tmux.paste(&target, "p").await.expect("paste");
        lab.tmux.press(&target, &[Key::Char('k')]).await.expect("press");
        assert_eq!(content(&lab.path("got"), 2 * (n + 1)).await, "pk".repeat(n + 1).as_bytes(), "{how:?}");
        lab.tmux.capture(&target, Capture::default()).await.expect("capture");
    }
    let others = lab.rows().await.len() - 1;
    lab.tmux.remove(&target).await.expect("remove");
    let left = lab.rows().await;
    assert!(left.len() == others && left.iter().all(|row| row.pane != pane && !row.pane_dead), "{left:?}");
}

#[tokio::test]
async fn a_pane_that_a_person_lets_run_something_else_is_theirs() {
    let lab = Lab::new();
    let target = lab.idle("a").await.target;
    let script = "stty raw -echo; touch theirs.ready; exec cat >theirs";
    let (script, dir) = (format!("sh -c '{script}'"), lab.dir.path().to_str().expect("UTF-8"));
    assert_eq!(lab.raw(&["respawn-pane", "-k", "-c", dir, "-t", &target.pane, &script]).await, "");
    eventually("their program reads", || lab.path("theirs.ready").exists()).await;
    for error in [
        lab.tmux.paste(&target, "x").await.expect_err("paste"),
        lab.tmux.press(&target, &[Key::Enter]).await.expect_err("press"),
        lab.tmux.capture(&target, Capture::default()).await.expect_err("capture"),
    ] {
        assert!(matches!(error, RuntimeError::NoSuchSession { .. }), "{error}");
    }
    lab.tmux.remove(&target).await.expect("what is not there is removed");
    let rows = lab.rows().await;
    assert!(matches!(&rows[..], [row] if row.tag.is_empty() && !row.pane_dead), "{rows:?}");
    assert_eq!(content(&lab.path("theirs"), 0).await, b"");
    assert_no_buffers(&lab).await;
}

#[tokio::test]
async fn a_hundred_kilobytes_of_lines_arrive_whole() {
    let lab = Lab::new();
    let target = lab.recorder("a", "got").await.target;
    let text: String = (0..).map(|n| format!("line {n} ünï;\n")).take(6_000).collect();
    assert!(text.len() > 100_000);
    lab.tmux.paste(&target, &text).await.expect("paste");
    assert!(content(&lab.path("got"), text.len()).await == text.as_bytes(), "byte for byte");
    assert_no_buffers(&lab).await;
}

#[tokio::test]
async fn a_paste_cannot_end_its_own_bracket() {
    let lab = Lab::new();
    let script = "stty raw -echo; printf '\\033[?2004hREADY'; exec cat >got";
    let target = lab.start("a", &["sh", "-c", script]).await.target;
    let end = std::time::Instant::now() + lab::PATIENCE;
    while !lab.tmux.capture(&target, Capture::default()).await.expect("capture").contains("READY") {
        assert!(std::time::Instant::now() < end, "the program asks for brackets");
    }
    let hostile = "\u{1b}[201~rm -rf x\r\u{3}\u{9b}201~\u{7f}\n".repeat(12_000);
    assert!(hostile.len() > 200_000);
    lab.tmux.paste(&target, &hostile).await.expect("paste");
    let want = format!("\u{1b}[200~{}\u{1b}[201~", "[201~rm -rf x201~\n".repeat(12_000));
    assert!(content(&lab.path("got"), want.len()).await == want.as_bytes(), "one bracket around all of it");
}

#[tokio::test]
async fn a_person_who_scrolls_back_does_not_swallow_input() {
    let lab = Lab::new();
    let target = lab.recorder("a", "got").await.target;
    let mode = ["display-message", "-p", "-t", &target.pane, "#{pane_in_mode}"];
    for (n, way) in ["copy-mode", "clock-mode"].into_iter().enumerate() {
        lab.raw(&[way, "-t", &target.pane]).await;
        assert_eq!(lab.raw(&mode).await, "1\n");
        lab.tmux.press(&target, &[Key::Char('k')]).await.expect("press");
        lab.raw(&[way, "-t", &target.pane]).await;
        lab.tmux.paste(&target, "p").await.expect("paste");
        assert_eq!(content(&lab.path("got"), 2 * (n + 1)).await, b"kpkp"[..2 * (n + 1)]);
    }
}

#[tokio::test]
async fn a_person_who_splits_the_window_does_not_divert_input() {
    let lab = Lab::new();
    let target = lab.recorder("a", "got").await.target;
    lab.raw(&["split-window", "-t", "=a:", "sleep 1000"]).await;
    let rows = lab.rows().await;
    assert_eq!(rows.iter().map(|row| row.tag.as_str()).collect::<Vec<_>>(), ["tag/a", ""], "theirs is not ours");
    lab.tmux.paste(&target, "to the agent").await.expect("paste");
    lab.tmux.press(&target, &[Key::Enter]).await.expect("press");
    assert_eq!(content(&lab.path("got"), 13).await, b"to the agent\r");
    lab.tmux.remove(&target).await.expect("remove");
    let rows = lab.rows().await;
    let [left] = rows.as_slice() else { panic!("the person's pane alone: {rows:?}") };
    assert!(left.pane != target.pane && !left.pane_dead, "{left:?}");
}

#[tokio::test]
async fn removal_hits_one_incarnation_and_no_other() {
    let lab = Lab::new();
    let foo = lab.idle("foo").await.target;
    let foobar = lab.idle("foobar").await.target;
    lab.tmux.remove(&foo).await.expect("remove");
    lab.tmux.remove(&foo).await.expect("again");
    // An id that now belongs to another session, and a name that is only a prefix of one.
    let nameless = Target { pane_pid: None, ..foobar.clone() };
    lab.tmux.remove(&renamed(&nameless, "foo")).await.expect("not there");
    lab.tmux.remove(&renamed(&nameless, "foob")).await.expect("not there");
    lab.tmux.remove(&Target { session_id: foo.session_id.clone(), ..nameless.clone() }).await.expect("not there");
    lab.tmux.remove(&Target { pane_pid: foo.pane_pid, ..foobar.clone() }).await.expect("not there");
    assert_eq!(lab.names().await, ["foobar"]);
    // A new server counts ids from the beginning.
    let first = process::find(lab.server().expect("up")).expect("probe").expect("runs").id;
    process::signal(first, Signal::SIGKILL).expect("kill");
    eventually("the server is gone", || lab.server().is_none()).await;
    lab.tmux.remove(&foobar).await.expect("no server, no session");
    let error = lab.tmux.paste(&foobar, "x").await.expect_err("no server");
    assert!(matches!(error, RuntimeError::ServerGone { gone: Gone::NotListening, .. }), "{error}");
    let heir = lab.idle("heir").await.target;
    assert_eq!((&heir.session_id, &heir.pane), (&foo.session_id, &foo.pane));
    for foo in [&foo, &Target { server_process: None, ..foo.clone() }] {
        lab.tmux.remove(foo).await.expect("not there");
        assert!(lab.tmux.paste(foo, "x").await.is_err());
    }
    assert_eq!(lab.names().await, ["heir"]);
}

//! A new session's program gets exactly what was requested, whatever the arguments, the directory and the server's
//! options.

use std::ffi::OsString;

use super::lab;
use super::lab::{Lab, content};
use peer_adapters::runtime::{Gone, Listing, NewSession, Runtime, RuntimeError};

async fn refused(lab: &Lab, new: &NewSession, why: &str) {
    let error = lab.tmux.create(new).await.expect_err(why);
    assert!(matches!(error, RuntimeError::Failed { .. }), "{error}");
    assert!(error.to_string().contains(why), "{error}");
    let listing = lab.tmux.list(&new.server).await;
    assert!(!matches!(listing, Ok(Listing::Up { .. })), "nothing was started");
}

#[tokio::test]
async fn words_arrive_as_they_are() {
    let lab = Lab::new();
    let words = [
        ";",
        "end;",
        "a\\;",
        "a\\\\;",
        ";;",
        "a;b",
        "#{pid}",
        "#(touch x)",
        "-foo",
        "",
        "x y",
        "it's",
        "\"",
        "$HOME",
        "\\",
        "%if",
        "{",
        "}",
        "~",
        "ü\n\t",
    ];
    let mut argv = vec!["sh", "-c", "for word; do printf '%s\\0' \"$word\"; done >part; mv part words", "sh"];
    argv.extend(words);
    lab.start("a", &argv).await;
    let want = words.join("\0") + "\0";
    assert_eq!(String::from_utf8_lossy(&content(&lab.path("words"), want.len()).await), want);
    assert_eq!(lab.names().await, ["a"], "no word became a command");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_directory_name_is_no_format() {
    let lab = Lab::new();
    for (n, name) in
        ["#(touch pwned)", "a;", "#S", "##[x]", "new\nline", "ünï", "-x", "$HOME", "it's"].into_iter().enumerate()
    {
        let cwd = lab.path(name);
        std::fs::create_dir(&cwd).expect("make the directory");
        let session = format!("a{n}");
        let created =
            lab.tmux.create(&NewSession { cwd: cwd.clone(), ..lab.session(&session, &["sleep", "1000"]) }).await;
        created.expect("create");
        let row = lab.rows().await.into_iter().find(|row| row.session == session).expect("listed");
        let link = format!("/proc/{}/cwd", row.pane_pid.expect("pid"));
        let want = cwd.canonicalize().expect("real path");
        // tmux answers after the fork; the child changes its directory later.
        lab::eventually(name, || std::fs::read_link(&link).expect("its directory") == want).await;
    }
    for dir in [lab.dir.path(), &lab.path("#(touch pwned)"), std::path::Path::new("/")] {
        assert!(!dir.join("pwned").exists(), "the name was run as a command");
    }
}

#[tokio::test]
async fn a_missing_directory_is_an_error_before_anything_is_started() {
    let lab = Lab::new();
    let new = lab.session("a", &["sleep", "1000"]);
    refused(&lab, &NewSession { cwd: lab.path("nowhere"), ..new.clone() }, "nowhere: No such file or directory").await;
    refused(&lab, &NewSession { cwd: lab.path("tmux.conf"), ..new }, "not a directory").await;
    assert!(!lab.socket().exists());
}

#[tokio::test]
async fn what_tmux_would_misread_is_refused_before_anything_is_started() {
    let lab = Lab::new();
    let new = lab.session("a", &["sleep", "1000"]);
    for name in ["", "a.b", "a:b", "a b", "-a", "_a", "#{pid}", "ü", "a\n", &"x".repeat(65)] {
        refused(&lab, &NewSession { session: name.to_owned(), ..new.clone() }, "not a session name").await;
    }
    refused(&lab, &NewSession { tag: "a;b".to_owned(), ..new.clone() }, "not a tag").await;
    refused(&lab, &NewSession { argv: vec!["sleep".into()], ..new.clone() }, "one word").await;
    let long = vec!["sleep".into(), OsString::from("x".repeat(20_000))];
    refused(&lab, &NewSession { argv: long, ..new.clone() }, "too long").await;
    std::fs::remove_file(lab.path("tmux.conf")).expect("remove");
    refused(&lab, &new, "no configuration file").await;
    assert!(!lab.socket().exists());
}

#[tokio::test]
async fn sixteen_kilobytes_of_words_go_through() {
    let lab = Lab::new();
    let word = "x".repeat(15_800);
    lab.start("a", &["sh", "-c", "printf %s \"$1\" >word", "sh", &word]).await;
    assert_eq!(content(&lab.path("word"), word.len()).await, word.as_bytes());
}

#[tokio::test]
async fn a_socket_path_is_bounded_by_the_address() {
    let lab = Lab::new();
    let of = |bytes: usize| {
        let dir = lab.dir.path();
        dir.join("s".repeat(bytes - dir.as_os_str().len() - 1))
    };
    let new = lab.session("a", &["sleep", "1000"]);
    refused(&lab, &NewSession { server: of(108), ..new.clone() }, "too long").await;
    let error = lab.tmux.list(&of(108)).await.expect_err("no address");
    assert!(error.to_string().contains("108 bytes"), "{error}");
    if cfg!(target_os = "linux") {
        let server = of(107);
        let created = lab.tmux.create(&NewSession { server: server.clone(), ..new }).await.expect("107 bytes fit");
        let Ok(Listing::Up { rows, .. }) = lab.tmux.list(&server).await else { panic!("up") };
        // Before anything can fail, because the lab only cleans up after its own socket.
        peer_adapters::process::signal(created.server, nix::sys::signal::Signal::SIGKILL).expect("kill");
        assert_eq!(rows.len(), 1);
    }
}

/// Options that another user sets on the server must neither lose a session nor make it unaddressable.
#[tokio::test]
async fn the_servers_options_change_nothing() {
    let lab = Lab::new();
    lab.idle("keep").await;
    for options in [
        ["set-option", "-g", "base-index", "1"],
        ["set-option", "-gw", "pane-base-index", "7"],
        ["set-option", "-g", "remain-on-exit", "off"],
        ["set-option", "-g", "default-command", "exit 9"],
        ["set-option", "-g", "default-shell", "/bin/false"],
        ["set-option", "-g", "prefix", "None"],
        // Last, because it ends sessions without a client, including "keep".
        ["set-option", "-g", "destroy-unattached", "on"],
    ] {
        assert_eq!(lab.raw(&options).await, "");
    }
    // tmux 3.3a lost the output of 37 of 300 programs that ended at once after it, and of none that stayed 50 ms.
    let short = lab.start("short", &["sh", "-c", "echo over; sleep 0.05"]).await.target;
    let end = std::time::Instant::now() + lab::PATIENCE;
    while !lab.rows().await.iter().any(|row| row.session == "short" && row.pane_dead) {
        assert!(std::time::Instant::now() < end, "it ends and stays");
    }
    assert!(
        lab.tmux.capture(&short, peer_adapters::runtime::Capture::default()).await.expect("capture").contains("over")
    );
    let target = lab.recorder("a", "got").await.target;
    lab.tmux.paste(&target, "x").await.expect("paste");
    assert_eq!(content(&lab.path("got"), 1).await, b"x");
}

#[tokio::test]
async fn our_configuration_is_accepted_without_a_word() {
    let lab = Lab::new();
    lab.idle("a").await;
    // An error in the configuration would put the first pane into a view mode that swallows every key.
    assert_eq!(lab.raw(&["display-message", "-p", "-t", "=a:", "#{pane_in_mode}"]).await, "0\n");
    let errors = lab.raw(&["source-file", lab.path("tmux.conf").to_str().expect("ASCII")]).await;
    assert_eq!(errors, "");
    for (option, value) in [("exit-empty", "off"), ("escape-time", "10"), ("extended-keys", "on")] {
        assert_eq!(lab.raw(&["show-options", "-sv", option]).await, format!("{value}\n"));
    }
    for (option, value) in
        [("remain-on-exit", "on"), ("destroy-unattached", "off"), ("default-terminal", "tmux-256color")]
    {
        assert_eq!(
            lab.raw(&["show-options", "-gv", option]).await + &lab.raw(&["show-options", "-gwv", option]).await,
            format!("{value}\n{value}\n"),
            "{option}"
        );
    }
}

/// With `exit-empty on` 58 of 300 such rounds failed with `server exited unexpectedly` (tmux 3.3a).
#[tokio::test]
async fn the_last_session_may_go_while_the_next_comes() {
    let lab = Lab::new();
    for n in 0..20 {
        let created = lab.idle(&format!("a{n}")).await;
        lab.tmux.remove(&created.target).await.expect("remove");
    }
    assert!(matches!(lab.tmux.list(&lab.socket()).await, Ok(Listing::Up { rows, .. }) if rows.is_empty()));
    assert_eq!(lab.tmux.list(&lab.path("other")).await.expect("list"), Listing::Gone(Gone::NoSocket));
}

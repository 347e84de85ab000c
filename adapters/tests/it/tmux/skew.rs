//! tmux clients and servers from both sides of 3.6, where the header of a message changed.

use std::path::PathBuf;
use std::time::Duration;

use super::lab;
use super::lab::{DEADLINE, Lab};
use peer_adapters::command::{self, Argv, TerminalClient};
use peer_adapters::runtime::{AttachMode, Capture, Key, Runtime};

/// Returns the executable that scripts/test-runtimes names.
fn named(variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| panic!("{variable} names a tmux"), PathBuf::from)
}

#[tokio::test]
#[ignore = "needs two versions of tmux; scripts/test-runtimes names them"]
async fn a_client_that_does_not_fit_is_replaced_for_every_call() {
    let (old, new) = (named("PEER_TEST_OLD_TMUX"), named("PEER_TEST_NEW_TMUX"));
    for (server, client) in [(&old, &new), (&new, &old)] {
        let lab = Lab::new();
        let made =
            lab.through(server, DEADLINE).create(&lab.session("a", &["sh", "-c", "cat"])).await.expect("created");
        // They are incompatible: this is what a user would see.
        let raw = Argv::new(client).args(["-N", "-S"]).arg(lab.socket()).arg("list-panes").env_remove("TMUX");
        let raw = command::run(&raw, None, DEADLINE).await.expect("it runs");
        assert_eq!(raw.status.success(), client == &new, "{}", raw.stderr);

        let tmux = lab.through(client, DEADLINE);
        tmux.paste(&made.target, "hello").await.expect("paste");
        tmux.press(&made.target, &[Key::Enter]).await.expect("press");
        let end = tokio::time::Instant::now() + lab::PATIENCE;
        while !tmux.capture(&made.target, Capture::default()).await.expect("capture").contains("hello\nhello") {
            assert!(tokio::time::Instant::now() < end, "it is echoed");
        }
        let attach =
            tmux.attach(&made.target, AttachMode::default()).await.expect("a client").env("TERM", "xterm-256color");
        let terminal = TerminalClient::spawn(&attach, (100, 30)).expect("it starts");
        let attached = async || {
            let peer_adapters::runtime::Listing::Up { rows, .. } = tmux.list(&lab.socket()).await.expect("list") else {
                panic!("up")
            };
            rows[0].attached == 1
        };
        while !attached().await {
            assert!(tokio::time::Instant::now() < end, "it is attached");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        terminal.leave(Duration::from_millis(500)).await;
        let second = tmux.create(&lab.session("b", &["sleep", "1000"])).await.expect("created");
        assert_eq!(second.server, made.server);
        tmux.remove(&made.target).await.expect("removed");
        tmux.remove(&second.target).await.expect("removed");
    }
}

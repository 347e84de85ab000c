//! The output of `zellij subscribe` and `list-panes`, and the rows of a screen.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer_adapters::runtime::Target;
use peer_adapters::zellij;

fuzz_target!(|bytes: &[u8]| {
    let target = Target {
        server: "/s/zellij/a".into(),
        server_process: None,
        session: "a".into(),
        session_id: "a".into(),
        pane: "terminal_0".into(),
        pane_pid: None,
    };
    if let Ok((above, rows)) = zellij::read_update(bytes, &target) {
        for lines in [above, rows] {
            let (_, wrapped) = zellij::fitted(&lines, 7, 50);
            assert!(wrapped.len() <= 50);
        }
    }
    let _ = zellij::lists_our_pane(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let _ = zellij::fitted(&lines, usize::from(bytes.first().copied().unwrap_or(1)), 50);
    }
});

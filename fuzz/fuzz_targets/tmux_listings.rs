//! The output of `tmux list-panes`.
#![no_main]

use libfuzzer_sys::fuzz_target;
fuzz_target!(|text: &str| {
    for row in peer_adapters::tmux::read_listing(text, 9).into_iter().flatten() {
        // Ids go back into tmux's own commands.
        assert!(row.pane.starts_with('%') && row.session_id.starts_with('$'));
    }
});

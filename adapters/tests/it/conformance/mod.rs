//! One set of cases that every runtime must pass: a new runtime is one file in `src/`, one host in `hosts.rs` and this
//! suite.
//!
//! A case knows the [`Runtime`](peer_adapters::runtime::Runtime) trait and the kernel, and nothing about tmux or
//! zellij. Behaviour beyond the trait is tested in each runtime's own tests.

mod cases;
mod fakes;
mod hosts;
mod removal;
mod servers;

/// Generates a test of each case for each runtime.
macro_rules! conformance {
    ($($group:ident { $($case:ident)* })*) => {
        mod tmux {
            $($(#[tokio::test] async fn $case() { super::$group::$case(&super::hosts::Tmux::new()).await; })*)*
        }
        mod zellij {
            $($(#[tokio::test] async fn $case() { super::$group::$case(&super::hosts::Zellij::new()).await; })*)*
        }
    };
}

conformance! {
cases {
    a_session_is_listed_from_its_creation_to_its_removal
    a_name_is_taken_once
    names_may_have_64_characters
    arguments_of_any_text_arrive
    a_directory_of_any_name_is_the_working_directory
    a_pane_has_a_terminal_of_the_wanted_size
    a_pane_is_not_told_of_a_session_around_us
    a_capture_is_the_screen_and_as_much_history_as_asked_for
    a_screen_has_each_row_apart_after_other_sizes
    a_smaller_alternate_screen_shows_nothing_of_the_larger
    a_pane_that_nobody_looks_at_takes_another_size
    a_large_paste_arrives_whole_in_one_pair_of_brackets
    a_paste_cannot_leave_its_brackets
    keys_arrive_in_order
    a_pane_whose_program_ended_is_dead_and_takes_no_input
    whoever_is_attached_is_counted_and_resizes_the_pane
}
removal {
    a_removed_session_takes_its_program_along
    a_program_that_ignores_the_hangup_becomes_an_orphan
    removing_one_session_leaves_the_others
}
servers {
    a_stopped_server_is_unknown_and_never_waited_for
    a_killed_server_is_gone_and_can_be_followed_by_another
    a_server_of_somebody_else_is_unknown
    a_missing_binary_is_named
    an_old_version_is_named
}
fakes {
    a_client_that_hangs_is_killed_with_its_children
    a_client_that_is_late_has_not_answered
    a_refusal_is_a_matter_of_permission
    another_protocol_is_a_matter_of_version
    a_client_that_breaks_is_a_failure_and_never_an_absence
    a_binary_that_may_not_be_run_is_named
    a_version_that_says_nothing_is_no_version
}
}

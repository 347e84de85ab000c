//! Clients of every kind: that end, that hang, that print much, and that leave children.

use super::*;
use crate::process;

fn shell(script: &str) -> Argv {
    Argv::new("/bin/sh").args(["-c", script])
}

/// Waits until `file` contains `count` pids, and returns the processes.
async fn started(file: &Path, count: usize) -> Vec<process::ProcessId> {
    let mut pids = Vec::new();
    while pids.len() < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let text = std::fs::read_to_string(file).unwrap_or_default();
        pids = text.split_whitespace().map(|pid| pid.parse::<u32>().expect("a number")).collect();
    }
    pids.into_iter().map(|pid| process::status(pid).expect("probe").expect("runs").id).collect()
}

async fn assert_ended(processes: &[process::ProcessId]) {
    let all_ended = async {
        while processes.iter().any(|id| process::find(*id).expect("probe").is_some()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_ended).await.expect("all of the group end");
}

/// A client that ignores signals, with a child that does too and holds the pipes open.
fn stubborn(file: &Path) -> Argv {
    let deaf = "trap '' TERM HUP INT";
    shell(&format!("{deaf}; (sleep 1000) & echo $! $$ >\"$0.part\"; mv \"$0.part\" \"$0\"; wait")).arg(file)
}

#[tokio::test]
async fn a_late_client_goes_with_its_whole_group() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("pids");
    let argv = stubborn(&file);
    let (result, processes) = tokio::join!(run(&argv, None, Duration::from_secs(1)), started(&file, 2));
    assert!(matches!(result, Err(RunError::TimedOut { .. })), "{result:?}");
    assert_ended(&processes).await;
}

#[tokio::test]
async fn a_client_nobody_waits_for_any_more_goes_with_its_whole_group() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("pids");
    let argv = stubborn(&file);
    let processes = tokio::select! {
        result = run(&argv, None, Duration::from_secs(60)) => panic!("it has no end: {result:?}"),
        processes = started(&file, 2) => processes,
    };
    assert_ended(&processes).await;
}

#[tokio::test]
async fn input_and_output_larger_than_a_pipe_pass_each_other() {
    let data = vec![b'x'; 1 << 20];
    let output = run(&shell("cat"), Some(&data), Duration::from_secs(20)).await.expect("runs");
    assert!(output.status.success() && output.stdout == data);
}

#[tokio::test]
async fn input_that_nobody_reads_is_no_failure() {
    let output = run(&shell("exit 3"), Some(&vec![b'x'; 1 << 20]), Duration::from_secs(20)).await.expect("runs");
    assert_eq!(output.summary(), "exit 3");
}

#[tokio::test]
async fn a_summary_tells_how_it_ended_and_the_first_line() {
    for (script, summary) in [
        ("echo; echo ' why ' >&2; echo more >&2; exit 7", "exit 7: why"),
        ("kill -TERM $$", "signal 15"),
        ("exit 0", "exit 0"),
    ] {
        let output = run(&shell(script), None, Duration::from_secs(20)).await.expect("runs");
        assert_eq!(output.summary(), summary);
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_named() {
    let error = run(&Argv::new("/nonexistent/x"), None, Duration::from_secs(20)).await.expect_err("not there");
    assert!(error.to_string().starts_with("cannot start /nonexistent/x: "), "{error}");
}

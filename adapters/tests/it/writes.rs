//! The kernel's count of what a real program has written.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use peer_adapters::writes::Writes;

#[test]
fn what_a_child_writes_counts_and_nothing_else_does() {
    let mut shell = Command::new("sh")
        .args(["-c", "sh -c 'while read line; do echo $line; done'; :"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh");
    let mut input = shell.stdin.take().expect("piped");
    let (sends, receives) = channel();
    let output = BufReader::new(shell.stdout.take().expect("piped"));
    // Beside the test, which waits no longer than it wants to.
    std::thread::spawn(move || output.lines().try_for_each(|line| sends.send(line.expect("text"))));
    let mut say = |text: &str| {
        writeln!(input, "{text}").expect("it reads");
        assert_eq!(receives.recv_timeout(Duration::from_secs(60)).expect("a line"), text);
    };
    // The shell is up, with its child.
    say("one");
    let mut writes = Writes::of(shell.id());
    let before = writes.count().expect("our own child");
    assert_eq!(writes.count(), Some(before));
    say("two");
    assert_eq!(writes.count(), Some(before + 4));
    let (mut gone, pid) = (Writes::of(shell.id()), shell.id());
    shell.kill().expect("our own child");
    shell.wait().expect("our own child");
    assert_eq!((gone.count(), pid), (None, shell.id()));
}

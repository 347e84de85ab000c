//! Commands that a test waits for, each with a limit, and exact comparisons of their output.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// No command of ours may take longer, whatever the load; it hangs if it does.
pub(crate) const HANG: Duration = Duration::from_secs(180);

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Run {
    /// Runs a command to its end; a command that hangs is killed and fails the test.
    #[track_caller]
    pub(crate) fn of(command: &mut Command, input: Option<&str>) -> Self {
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let started = Instant::now();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        Self::finish(child, input, started)
    }

    /// Waits for a command that was started then, and reads what was piped of its output.
    #[track_caller]
    pub(crate) fn finish(mut child: Child, input: Option<&str>, started: Instant) -> Self {
        if let Some(input) = input.map(str::to_owned) {
            let mut stdin = child.stdin.take().expect("piped");
            // A command need not read its input; its exit code says whether that is an error.
            std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        }
        let output = output(child);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Self { code: output.status.code().unwrap_or(-1), stdout, stderr, took: started.elapsed() }
    }

    /// Asserts that the command succeeded and printed exactly this, and nothing on stderr.
    #[track_caller]
    pub(crate) fn prints(self, stdout: &str) -> Self {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (0, stdout, ""), "{self:?}");
        self
    }

    /// Asserts that the command failed with this code and exactly this on stderr, and printed nothing.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, stderr: &str) -> Self {
        assert_eq!((self.code, self.stderr.as_str(), self.stdout.as_str()), (code, stderr, ""), "{self:?}");
        self
    }

    /// Its stdout as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Waits for a command, and reads what was piped of its output.
#[track_caller]
pub(crate) fn output(mut child: Child) -> Output {
    let (stdout, stderr) = (child.stdout.take().map(read), child.stderr.take().map(read));
    let status = ended(&mut child);
    // A process that it has left behind may keep its output open.
    let all = |bytes: Receiver<Vec<u8>>| bytes.recv_timeout(HANG).expect("its output ends when it does");
    Output { status, stdout: stdout.map(all).unwrap_or_default(), stderr: stderr.map(all).unwrap_or_default() }
}

/// Reads beside the test, which waits no longer than it wants to.
fn read(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sends, receives) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("readable");
        sends.send(bytes)
    });
    receives
}

/// Waits for a child of the test; one that hangs is killed and fails the test.
#[track_caller]
pub(crate) fn ended(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status;
        }
        if begun.elapsed() > HANG {
            child.kill().expect("our child");
            panic!("it hangs: {child:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills a child of the test, which may have ended already, and waits until it is gone.
pub(crate) fn killed(child: &mut Child) {
    let _ = child.kill();
    let begun = Instant::now();
    // No panic: this is used where things are cleared away.
    while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < HANG {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a command can be started and succeeds, whatever it says.
#[track_caller]
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.is_ok_and(|mut child| ended(&mut child).success())
}

/// Lines of a stream, which are read beside the test.
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    pub(crate) fn of(stream: impl Read + Send + 'static) -> Self {
        let (sends, receives) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                if sends.send(line.expect("text")).is_err() {
                    return;
                }
            }
        });
        Self(receives)
    }

    /// The next line; `None` at the end of the stream.
    #[track_caller]
    pub(crate) fn next(&self) -> Option<String> {
        match self.0.recv_timeout(HANG) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it says nothing"),
        }
    }

    /// The lines up to the end of the stream.
    #[track_caller]
    pub(crate) fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// What waits for a child or its output as long as that takes.
const ENDLESS: [&str; 6] = [".wait()", ".wait_with_output()", ".output()", ".status()", ".recv()", ".read_line("];

#[test]
fn no_test_waits_without_a_limit() {
    let mut dirs = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it")];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() { dirs.push(entry) } else { files.push(entry) }
        }
    }
    // The helpers above, and an asynchronous wait that has the same limit.
    files.retain(|file| !file.ends_with("common/run.rs") && !file.ends_with("common/mcp.rs"));
    assert!(files.len() > 100, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            let endless = ENDLESS.iter().any(|call| line.contains(call));
            assert!(!endless, "{}:{}: tests/it/common/run.rs has one with a limit", file.display(), number + 1);
        }
    }
}

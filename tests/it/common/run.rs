//! A command that has ended, and exact comparisons of its output.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
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

    /// Waits for a command that was started with piped stdout and stderr.
    #[track_caller]
    pub(crate) fn finish(mut child: Child, input: Option<&str>, started: Instant) -> Self {
        let stdout = read(child.stdout.take().expect("piped"));
        let stderr = read(child.stderr.take().expect("piped"));
        if let Some(input) = input.map(str::to_owned) {
            let mut stdin = child.stdin.take().expect("piped");
            // A command need not read its input; its exit code says whether that is an error.
            std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        }
        let status = wait(&mut child, started);
        // A process that it has left behind may keep its output open.
        let all = |text: Receiver<String>| text.recv_timeout(HANG).expect("its output ends when it does");
        let (stdout, stderr) = (all(stdout), all(stderr));
        Self { code: status.code().unwrap_or(-1), stdout, stderr, took: started.elapsed() }
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

/// Reads beside the test, which waits no longer than it wants to.
fn read(mut stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sends, receives) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("readable");
        sends.send(String::from_utf8_lossy(&bytes).into_owned())
    });
    receives
}

#[track_caller]
fn wait(child: &mut Child, started: Instant) -> std::process::ExitStatus {
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status;
        }
        if started.elapsed() > HANG {
            child.kill().expect("our child");
            panic!("it hangs: {child:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

//! One real round trip through a runtime, on a temporary server. A program's version does not prove that its output can
//! be parsed.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process;
use peer_adapters::runtime::{Capture, Listing, NewSession, Runtime, RuntimeError, RuntimeKind, Setup};
use peer_adapters::socket::{self, Listener};
use peer_adapters::version::Versions;
use tokio::time::Instant;

use crate::engine::POLL;

/// What the trial's program prints.
const WORD: &str = "peer-trial";

/// A temporary directory for the trial, removed when it is over.
struct Ground(PathBuf);

impl Ground {
    fn new() -> std::io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("peer-doctor-{}", std::process::id()));
        fs::DirBuilder::new().recursive(false).mode(0o700).create(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Creates a session, finds it in the listing, reads its screen and removes it. `Err` is the step that failed, with the
/// reason.
pub(super) async fn run(kind: RuntimeKind, binary: &Path, deadline: Duration) -> Result<(), String> {
    let ground = Ground::new().map_err(|error| format!("cannot create a directory for it: {error}"))?;
    let configuration = ground.0.join("configuration");
    if let Some((_, text)) = kind.facts().configuration() {
        fs::write(&configuration, text).map_err(|error| format!("its configuration: {error}"))?;
    }
    let versions = Versions::new(None, deadline);
    let runtime = kind.facts().open(Setup { binary: binary.to_owned(), configuration, deadline, versions });
    let socket = ground.0.join("s");
    let server = kind.facts().address(&ground.0, &socket.to_string_lossy(), WORD).map_err(|error| error.to_string())?;
    let tried = round_trip(runtime.as_ref(), &server, &ground.0, deadline).await;
    let cleared = clear(kind, runtime.as_ref(), &server).await;
    tried.and(cleared)
}

async fn round_trip(runtime: &dyn Runtime, server: &Path, dir: &Path, deadline: Duration) -> Result<(), String> {
    let failed = |step: &'static str| move |error: RuntimeError| format!("{step} failed: {error}");
    let script = format!("echo {WORD}; exec sleep 60");
    let new = NewSession {
        server: server.to_owned(),
        session: WORD.to_owned(),
        tag: format!("doctor/{}", std::process::id()),
        argv: ["/bin/sh", "-c", &script].map(Into::into).to_vec(),
        cwd: dir.to_owned(),
        size: (80, 24),
    };
    let created = runtime.create(&new).await.map_err(failed("creating a session"))?;
    match runtime.list(server).await.map_err(failed("listing it"))? {
        Listing::Up { rows, .. } if rows.iter().any(|row| row.tag == new.tag) => {}
        other => return Err(format!("the created session is not listed: {other:?}")),
    }
    let begin = Instant::now();
    loop {
        let how = Capture { history: 0, ansi: false };
        let screen = runtime.capture(&created.target, how).await.map_err(failed("reading its screen"))?;
        if screen.contains(WORD) {
            break;
        }
        if begin.elapsed() > deadline {
            return Err(format!("its screen shows {screen:?} instead of {WORD:?}"));
        }
        tokio::time::sleep(POLL).await;
    }
    runtime.remove(&created.target).await.map_err(failed("removing it"))
}

/// Ends what is left of the trial, including its server.
async fn clear(kind: RuntimeKind, runtime: &dyn Runtime, server: &Path) -> Result<(), String> {
    if kind.facts().shares_server()
        && let Ok(Listener::Up(found)) = socket::listener(server)
    {
        let ended = process::signal(found.process.id, Signal::SIGTERM);
        ended.map_err(|error| format!("its server could not be ended: {error}"))?;
    }
    runtime.discard_failed_create(server, WORD).await.map_err(|error| format!("it was not ended: {error}"))
}

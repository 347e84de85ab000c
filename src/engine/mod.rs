//! Observe, decide, act: the engine gathers facts, asks the policy for a decision, and carries it out.
//!
//! Each verb is one file in [`verbs`], named after what the user types. The shared parts are [`peer`] (the
//! declaration), [`observe`] (all three axes), [`life`] (starting an incarnation, waiting for it, ending it) and
//! [`message`] (typing into an agent). Nothing here prints.

pub mod error;
mod expected;
pub mod hooks;
pub mod life;
pub mod message;
pub mod observe;
pub mod peer;
pub mod verbs;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use peer_adapters::inherited::Inherited;
use tokio::time::Instant;

use crate::config::{ConfigDir, ConfigError, Settings};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{Event, Locked, StateDir};

pub use error::EngineError;
pub use peer::Peer;
use peer::runtimes::Runtimes;

/// Shorthand for the result of an engine operation.
pub type Result<T> = std::result::Result<T, EngineError>;

/// How often a condition is polled that no kernel event announces. 10 ms is below what a person notices, and costs
/// under 1 % of a core.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// How long a condition is polled in quick succession before [`POLL`] takes over. The pane process needs 1 ms for its
/// work under the lock; 20 ms allows for a loaded machine.
const AT_ONCE_FOR: Duration = Duration::from_millis(20);

/// The interval of quick polling. A wake of a plain command takes 8 ms, so a whole millisecond would be noticeable; a
/// much shorter one would compete for the core with the process that is awaited.
const AT_ONCE: Duration = Duration::from_micros(200);

/// Pauses between two polls for something that another `peer` process is about to do. `since` is when the waiting
/// began.
pub(crate) async fn pause(since: Instant) {
    if since.elapsed() > AT_ONCE_FOR {
        return tokio::time::sleep(POLL).await;
    }
    // This blocks the thread, because tokio's timer rounds up to whole milliseconds.
    std::thread::sleep(AT_ONCE);
    tokio::task::yield_now().await;
}

/// How long to wait for a peer's lock. A delivery usually holds it for half a second and at worst for 35 s, a stop for
/// its grace periods, and fifty callers may be queued.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);

/// Receiver of the engine's messages to the user; the command line shows them on stderr.
pub trait Progress: Send + Sync {
    /// Reports that work is waiting for `what`: `elapsed` is the time so far, `limit` the maximum. Called repeatedly.
    fn waiting(&self, what: &str, elapsed: Duration, limit: Duration);
    /// Shows something that the user should know, and that does not change the outcome.
    fn notice(&self, text: &str);
}

/// Everything that a verb needs: the two directories, the settings, the runtimes, and where to report progress.
pub struct Engine {
    /// The state directory.
    pub state: StateDir,
    /// The configuration directory.
    pub config: ConfigDir,
    /// `config.toml`, or what can be read of it ([`Engine::usable_settings`]).
    pub settings: Settings,
    /// Why `config.toml` cannot be used.
    unusable_settings: Option<ConfigError>,
    /// The environment of the caller of this command.
    pub env: Vec<(OsString, OsString)>,
    /// The caller's umask, nice value and limits, if the caller is not this process.
    pub inherited: Option<Inherited>,
    /// Where progress is reported.
    pub progress: Box<dyn Progress>,
    /// The `peer` executable, which the pane runs.
    pub executable: PathBuf,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
    /// The signal that stops a message in transit.
    pub interruption: message::interruption::Interruption,
    runtimes: Runtimes,
    profiles: peer::Profiles,
}

impl Engine {
    /// Opens an engine on these directories. Reads `config.toml` and starts nothing. With a mistake in `config.toml` it can
    /// observe and end what is on record, because the user must not be locked out while agents run. No hook runs then, and
    /// whatever would start something, or needs the place of a server that no record has, fails with that mistake
    /// ([`Engine::usable_settings`]).
    ///
    /// # Errors
    /// Another user may have written to the configuration, or the state directory cannot be trusted.
    pub fn open(state: PathBuf, config: PathBuf, executable: PathBuf, progress: Box<dyn Progress>) -> Result<Self> {
        let config = ConfigDir::new(config);
        config.check()?;
        let (settings, unusable_settings) = match config.settings() {
            Ok(settings) => (settings, None),
            Err(error) if error.is_mistake() => (config.lenient_settings(), Some(error)),
            Err(error) => return Err(error.into()),
        };
        let state = StateDir::open(state)?;
        let state = hooks::with_listener(state, &settings.hooks, config.root(), &executable);
        let runtimes = Runtimes::new(&settings, &state);
        let env = std::env::vars_os().collect();
        let engine = Self {
            state,
            config,
            settings,
            unusable_settings,
            env,
            inherited: None,
            progress,
            executable,
            clock: wall_clock,
            interruption: message::interruption::Interruption::default(),
            runtimes,
            profiles: peer::Profiles::default(),
        };
        engine.finish_interrupted_renaming()?;
        Ok(engine)
    }

    /// Fails if `config.toml` cannot be used. Whatever depends on it asks this first.
    ///
    /// # Errors
    /// The mistake, with file and line.
    pub fn usable_settings(&self) -> Result<()> {
        self.unusable_settings.as_ref().map_or(Ok(()), |error| Err(error.again().into()))
    }

    /// Returns the current wall-clock time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Returns a variable of the caller's environment.
    pub fn var(&self, name: &str) -> Option<&OsString> {
        self.env.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Takes a peer's lock, waiting up to 120 s while another process holds it.
    ///
    /// # Errors
    /// [`EngineError::Busy`] if it is still held by then.
    pub async fn lock(&self, name: &PeerName) -> Result<Locked> {
        let started = Instant::now();
        loop {
            if let Some(locked) = self.state.try_lock(name)? {
                self.check_expected(&locked)?;
                return Ok(locked);
            }
            let elapsed = started.elapsed();
            if elapsed > LOCK_PATIENCE {
                return Err(EngineError::Busy { peer: name.clone(), waited: elapsed });
            }
            self.progress.waiting(&format!("another peer command to finish with {name}"), elapsed, LOCK_PATIENCE);
            pause(started).await;
        }
    }

    /// As [`Engine::lock`], for at most `patience` and without a word about it. `None` if another process still works on the
    /// peer then.
    ///
    /// # Errors
    /// The lock file cannot be created.
    pub(crate) async fn lock_within(&self, name: &PeerName, patience: Duration) -> Result<Option<Locked>> {
        let started = Instant::now();
        loop {
            match self.state.try_lock(name)? {
                None if started.elapsed() < patience => pause(started).await,
                locked => return Ok(locked),
            }
        }
    }

    /// Appends to the decision log.
    ///
    /// # Errors
    /// The disk is full. The caller must not carry out the decision then.
    pub fn log(&self, event: &Event) -> Result<()> {
        Ok(self.state.journal().append(event)?)
    }

    /// Sets aside files that do not parse, and reports each once. If this loses the record of a running agent,
    /// [`Engine::on_record`] finds the agent again.
    ///
    /// # Errors
    /// A file cannot be moved.
    pub(crate) fn quarantine_corrupt(&self, locked: &Locked) -> Result<()> {
        for (aside, why) in locked.set_aside_corrupt(self.now())? {
            self.progress
                .notice(&format!("a file of {} did not parse ({why}); it is now {aside}", locked.files().name()));
            self.log(
                &Event::new(self.now(), EventName::StoreCorrupt)
                    .peer(locked.files().name())
                    .cause(why)
                    .with("file", aside),
            )?;
        }
        Ok(())
    }
}

/// Returns the machine's wall-clock time.
pub fn wall_clock() -> Timestamp {
    SystemTime::now().into()
}

//! Observe, decide, act: the engine gathers facts, asks the policy, and carries out what it says.
//!
//! One verb is one file of [`verbs`], under the name that a person types. The parts they share: [`peer`] is what was declared,
//! [`observe`] looks at all three axes, [`life`] starts an incarnation, waits for it and ends it, and [`message`] types into it.
//! Nothing here prints.

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

use crate::config::{ConfigDir, Settings};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{Event, Locked, StateDir};

pub use error::EngineError;
pub use peer::Peer;
use peer::runtimes::Runtimes;

/// Shorthand for what the engine's operations return.
pub type Result<T> = std::result::Result<T, EngineError>;

/// How often a condition that no kernel event announces is looked at again: 10 ms is below what a person notices and
/// costs under 1 % of a core.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// How long something is looked at again at once, before [`POLL`] takes over: the pane process needs 1 ms for what it does
/// under the lock, and 20 ms forgives a loaded machine.
const AT_ONCE_FOR: Duration = Duration::from_millis(20);

/// Between two looks at once. A wake of a plain command takes 8 ms, so a millisecond would be felt; much shorter, and the
/// process that is waited for has to share its core with us.
const AT_ONCE: Duration = Duration::from_micros(200);

/// Waits between two looks at what another process of ours is about to do; `since` is when the waiting began.
pub(crate) async fn pause(since: Instant) {
    if since.elapsed() > AT_ONCE_FOR {
        return tokio::time::sleep(POLL).await;
    }
    // The thread sleeps, because tokio's timer counts in whole milliseconds and rounds up.
    std::thread::sleep(AT_ONCE);
    tokio::task::yield_now().await;
}

/// How long a peer's lock is waited for. A delivery holds it for half a second as a rule and for 35 s at worst, a stop for
/// as long as its graces, and fifty callers may stand in line.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);

/// What the engine tells a person while it works; the command line shows it on stderr.
pub trait Progress: Send + Sync {
    /// Work goes on and waits for `what`, since `elapsed`, for `limit` at most. Called again and again.
    fn waiting(&self, what: &str, elapsed: Duration, limit: Duration);
    /// Something a person should know that changes no outcome.
    fn notice(&self, text: &str);
    /// Nothing is waited for any more.
    fn settled(&self);
}

/// Everything a verb needs: the two directories, the settings, the runtimes, and somebody to tell.
pub struct Engine {
    /// The state directory.
    pub state: StateDir,
    /// The configuration directory.
    pub config: ConfigDir,
    /// `config.toml`.
    pub settings: Settings,
    /// The environment of whoever runs this command.
    pub env: Vec<(OsString, OsString)>,
    /// Their umask, nice value and limits, where that is not this process.
    pub inherited: Option<Inherited>,
    /// Who hears of progress.
    pub progress: Box<dyn Progress>,
    /// Our own executable, which the pane runs.
    pub executable: PathBuf,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
    /// What stops a message on its way.
    pub interruption: message::interruption::Interruption,
    runtimes: Runtimes,
    profiles: peer::Profiles,
}

impl Engine {
    /// An engine over these directories; reads `config.toml`, starts nothing.
    ///
    /// # Errors
    /// `config.toml` is wrong, or the state directory cannot be trusted.
    pub fn open(state: PathBuf, config: PathBuf, executable: PathBuf, progress: Box<dyn Progress>) -> Result<Self> {
        let config = ConfigDir::new(config);
        config.check()?;
        let settings = config.settings()?;
        let state = StateDir::open(state)?;
        let state = hooks::heard_by(state, &settings.hooks, config.root(), &executable);
        let runtimes = Runtimes::new(&settings, &state);
        let env = std::env::vars_os().collect();
        let engine = Self {
            state,
            config,
            settings,
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

    /// Now, by the wall clock.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// A variable of the caller's environment.
    pub fn var(&self, name: &str) -> Option<&OsString> {
        self.env.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Takes a peer's lock, waiting up to 120 s for whoever holds it.
    ///
    /// # Errors
    /// [`EngineError::Busy`] when it is still held then.
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

    /// Appends to the decision log.
    ///
    /// # Errors
    /// The disk is full: what was decided must not be done then.
    pub fn log(&self, event: &Event) -> Result<()> {
        Ok(self.state.journal().append(event)?)
    }

    /// Sets files that do not parse aside, and says so once. An agent that loses its record by that is found again by
    /// [`Engine::on_record`].
    ///
    /// # Errors
    /// They cannot be moved.
    pub(crate) fn heal(&self, locked: &Locked) -> Result<()> {
        for (aside, why) in locked.set_aside_corrupt(self.now())? {
            self.progress
                .notice(&format!("a file of {} did not parse ({why}); it is now {aside}", locked.files().name()));
            self.log(
                &Event::new(self.now(), "store.corrupt").peer(locked.files().name()).cause(why).with("file", aside),
            )?;
        }
        Ok(())
    }
}

/// The machine's wall clock.
pub fn wall_clock() -> Timestamp {
    SystemTime::now().into()
}

//! `peer` starts, resumes and parks named, long-lived terminal agents on demand.
//!
//! Theory of operation: there is no daemon. Each command observes, decides, acts and exits.
//!
//! ```text
//!   cli ──▶ engine ──▶ adapters   observe   runtime axis (one listing), process axis (pid and start time)
//!              │
//!              ├─────▶ policy     decide    facts and `now` in, decision and cause out; pure
//!              │
//!              └─────▶ store      record    all changes go through `Locked`, under the peer's lock;
//!                                           the record is written first and removed last
//! ```
//!
//! The runtime's pane runs [`pane_main`], which starts the agent, stays its parent, and records its end.
//!
//! Every effect names an incarnation, whose number only grows. A late effect of a hung server finds a newer incarnation
//! recorded and is dropped. If a witness does not answer, the result is `unknown`, which never leads to a signal, a
//! marker or a start. If a command is killed between two steps, the next command continues its work: each step can be
//! repeated, and the record is removed last.

// The modules are private, so `pub` in them means "for the other modules", and rustc finds what none of them uses. The lint
// would part them by what `testing` lists: half of a re-export `pub`, half `pub(crate)`, and another half with the next test.
#![allow(unreachable_pub, rustdoc::private_intra_doc_links, reason = "see above")]

mod cli;
mod config;
mod engine;
mod pane;
mod policy;
mod store;

pub use cli::run;
#[cfg(feature = "mcp")]
pub use cli::serve_mcp;
pub use pane::main as pane_main;

/// What the tests, benches and fuzzers of this repository use besides the program itself. It is not an interface, and changes
/// at any time.
#[doc(hidden)]
pub mod testing {
    #[cfg(feature = "top")]
    pub use crate::cli::FullScreen;
    pub use crate::config::{ConfigDir, EnvFile, PeerSpec, Settings};
    pub use crate::engine::life::record_end::{EndContext, preview, record_end};
    pub use crate::engine::observe::conversation::keep as keep_conversation;
    pub use crate::engine::observe::recorded_host;
    pub use crate::engine::verbs::timer::crontab_without;
    pub use crate::engine::{Engine, Progress};
    pub use crate::policy::ending::{End, EndCause, EndReport, Incarnation, Intent, Reached};
    pub use crate::policy::health::{Deaths, Health, HealthPolicy, self_fresh_allowed};
    pub use crate::policy::name::PeerName;
    pub use crate::policy::recorded::RecordedState;
    pub use crate::policy::time::Timestamp;
    pub use crate::policy::wake::{ContextPolicy, Markers, Mode, WakeDecision, WakeFacts, WakeRequest, decide};
    pub use crate::store::{
        AgentProcess, ConversationEntry, Ends, Event, ExitRecord, Hangup, Heartbeat, LastEnd, Launch, Locked, Marker,
        OsText, Outcome, Phase, Place, Process, Session, SessionRecord, StateDir, Stored,
    };
}

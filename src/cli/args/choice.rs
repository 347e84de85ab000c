//! The flags that choose a conversation, which `wake` obeys and `why` explains.

use crate::policy::wake::{Mode, WakeRequest};

/// What is asked of the wake table.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// What the message is about; a topic that is new to the conversation may start a new one
    #[arg(long, short, add = crate::cli::args::complete::topics())]
    pub(crate) topic: Option<String>,
    /// Start a new conversation, whatever the rules say
    #[arg(long, conflicts_with = "resume")]
    fresh: bool,
    /// Continue the last conversation, or refuse
    #[arg(long)]
    resume: bool,
    /// With --fresh: start even in a crash loop or in the failed state
    #[arg(long, requires = "fresh")]
    force: bool,
}

impl Choice {
    pub(crate) fn request(&self) -> WakeRequest {
        let mode = match (self.fresh, self.resume) {
            (true, _) => Mode::Fresh,
            (_, true) => Mode::Resume,
            (false, false) => Mode::Auto,
        };
        WakeRequest { mode, force: self.force, topic: self.topic.clone() }
    }
}

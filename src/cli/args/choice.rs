//! The flags that choose a conversation, which `wake` obeys and `why` explains.

use crate::policy::wake::{Mode, WakeRequest};

/// What is asked of the wake table.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// What the message is about; a topic that is new to the conversation may start a new one
    #[arg(long, short, add = crate::cli::args::complete::topics())]
    pub(crate) topic: Option<String>,
    /// Start a new conversation where the rules would resume; refused if it is awake or stopped (`peer new`)
    #[arg(long, conflicts_with = "resume")]
    fresh: bool,
    /// Continue the last conversation, or refuse
    #[arg(long)]
    resume: bool,
    /// Continue this one of its conversations: its id, or how that begins
    #[arg(long, value_name = "ID", conflicts_with_all = ["fresh", "resume"],
          add = crate::cli::args::complete::conversations())]
    conversation: Option<String>,
    /// With --fresh: start even in a crash loop or in the failed state
    #[arg(long, requires = "fresh")]
    force: bool,
}

impl Choice {
    pub(crate) fn request(&self) -> WakeRequest {
        let mode = match (self.fresh, self.resume || self.conversation.is_some()) {
            (true, _) => Mode::Fresh,
            (_, true) => Mode::Resume,
            (false, false) => Mode::Auto,
        };
        WakeRequest {
            mode,
            force: self.force,
            topic: self.topic.clone(),
            conversation: self.conversation.clone(),
            only_if_awake: false,
            has_ended_it: false,
        }
    }
}

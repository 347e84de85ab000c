//! What can be done to peers from here, and to which ones.

use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;

/// A verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Wake,
    Start,
    Stop,
    New,
    Refresh,
    Interrupt,
    Send(String),
}

impl Deed {
    /// What is shown instead of a peer's state while it is done.
    pub(super) const fn doing(&self) -> &'static str {
        match self {
            Self::Wake => "waking",
            Self::Start => "allowing",
            Self::Stop => "stopping",
            Self::New => "renewing",
            Self::Refresh => "marking",
            Self::Interrupt => "interrupting",
            Self::Send(_) => "sending",
        }
    }

    /// Whether it is really meant.
    pub(super) fn question(&self, who: &str) -> String {
        match self {
            Self::Wake => format!("wake {who}?"),
            Self::Start => format!("let {who} be woken again?"),
            Self::Stop => format!("stop {who}, and refuse wakes?"),
            Self::New => format!("start {who} fresh now, giving up what it is doing?"),
            Self::Refresh => format!("start {who} fresh at the next wake, giving up what was said?"),
            Self::Interrupt => format!("interrupt {who}?"),
            Self::Send(_) => format!("send it to {who}?"),
        }
    }
}

/// A peer as it was when it was named: what has come in its place since is not meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) name: PeerName,
    /// What was on record.
    pub(super) incarnation: Option<Incarnation>,
}

impl Target {
    /// What has happened to it, where it is another incarnation by now.
    pub(super) fn changed_to(&self, now: Option<Incarnation>) -> String {
        match (self.incarnation, now) {
            (_, None) => format!("{} has ended meanwhile", self.name),
            (None, Some(_)) => format!("{} was started meanwhile", self.name),
            (Some(_), Some(_)) => format!("{} was started anew meanwhile", self.name),
        }
    }
}

/// Why nothing was done to one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is another incarnation than the one that was meant.
    Changed(Option<Incarnation>),
    /// In words, with the next command.
    Failed(String),
}

/// Something that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) number: u64,
    pub(super) doing: &'static str,
    pub(super) targets: Vec<Target>,
}

/// How it came out.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) number: u64,
    pub(super) deed: Deed,
    pub(super) results: Vec<(Target, Result<String, Failure>)>,
}

/// Names as a person lists them, the first few of many.
pub(super) fn names(targets: &[Target]) -> String {
    const MOST: usize = 4;
    if let [one] = targets {
        return one.name.to_string();
    }
    let named: Vec<&str> = targets.iter().take(MOST).map(|target| target.name.as_str()).collect();
    let more = if targets.len() > MOST { ", …" } else { "" };
    format!("{} peers ({}{more})", targets.len(), named.join(", "))
}

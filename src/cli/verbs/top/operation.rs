//! Operations that the view can start, and the peers that they are for.

use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;

/// A verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Wake,
    Start,
    Stop,
    New,
    Refresh,
    Interrupt,
    Send(String),
}

impl Operation {
    /// Shown instead of a peer's state while the operation is running.
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

    /// The question that asks for confirmation.
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

/// A peer as it was when it was chosen: a later incarnation is not meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) name: PeerName,
    /// The incarnation that was recorded.
    pub(super) incarnation: Option<Incarnation>,
}

impl Target {
    /// Says what has happened to the peer if it has another incarnation by now.
    pub(super) fn changed_to(&self, now: Option<Incarnation>) -> String {
        match (self.incarnation, now) {
            (_, None) => format!("{} has ended meanwhile", self.name),
            (None, Some(_)) => format!("{} was started meanwhile", self.name),
            (Some(_), Some(_)) => format!("{} was started anew meanwhile", self.name),
        }
    }
}

/// Why an operation failed for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The peer has another incarnation than the one that was meant.
    Changed(Option<Incarnation>),
    /// The error in words, with the next command.
    Failed(String),
}

/// An operation that is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) number: u64,
    pub(super) doing: &'static str,
    pub(super) targets: Vec<Target>,
}

/// The outcome of an operation.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) number: u64,
    pub(super) operation: Operation,
    pub(super) results: Vec<(Target, Result<String, Failure>)>,
}

/// Lists the first few names, with the total.
pub(super) fn names(targets: &[Target]) -> String {
    const MOST: usize = 4;
    if let [one] = targets {
        return one.name.to_string();
    }
    let named: Vec<&str> = targets.iter().take(MOST).map(|target| target.name.as_str()).collect();
    let more = if targets.len() > MOST { ", …" } else { "" };
    format!("{} peers ({}{more})", targets.len(), named.join(", "))
}

/// Formats the outcome of an operation in one line.
pub(super) fn summary(operation: &Operation, results: &[(Target, Result<String, Failure>)]) -> String {
    let words = |(target, how): &(Target, Result<String, Failure>)| match how {
        Ok(what) => format!("{}: {what}", target.name),
        Err(Failure::Changed(now)) => format!("{}: nothing was done", target.changed_to(*now)),
        Err(Failure::Failed(why)) => why.clone(),
    };
    let failed = results.iter().filter(|(_, how)| how.is_err());
    let kept = if matches!(operation, Operation::Send(_)) && failed.clone().next().is_some() {
        "   (s: the text again)"
    } else {
        ""
    };
    match results {
        [one] => words(one) + kept,
        several => {
            let failed: Vec<String> = failed.map(words).collect();
            let well = several.len() - failed.len();
            let failed = if failed.is_empty() { String::new() } else { format!("   {}", failed.join("; ")) };
            format!("{well} of {} done{failed}{kept}", several.len())
        }
    }
}

//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

/// What the demo agent was told to be like.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
pub(crate) struct Flags {
    /// `--session-id UUID`: the id of a new conversation.
    pub(crate) session_id: Option<String>,
    /// `--resume UUID`: the conversation to go on with; one that does not exist is refused.
    pub(crate) resume: Option<String>,
    /// `--ignore hup,term`: signals that do nothing.
    ignore: Vec<Signal>,
    /// `--linger MS`: so long after a signal or a hangup that ends it, it is still there.
    pub(crate) linger: Duration,
    /// `--leave-with CODE`: with which it ends then, instead of 128 and the signal's number.
    pub(crate) leave_with: Option<u8>,
    /// `--start-delay MS`: before anything is drawn.
    pub(crate) start_delay: Duration,
    /// `--exit-after MS:CODE`, counted from the first drawing.
    pub(crate) exit_after: Option<(Duration, u8)>,
    /// `--trust-dialog`: asks first, with the cursor on no.
    pub(crate) trust_dialog: bool,
    /// `--asks`: a message `ASK question? | row | row` is a question, and behind ` ;; ` another one.
    pub(crate) asks: bool,
    /// `--asks-anew`: the first key that moves the cursor there finds the next question in place of this one.
    pub(crate) asks_anew: bool,
    /// `--late-dialog MS`: a move in the dialog shows after that long, and for as long again an Enter means the row before.
    pub(crate) late_dialog: Duration,
    /// `--swallow-enter N`: the first N Enters in the composer do nothing.
    pub(crate) swallow_enter: u32,
    /// `--swallow-until FILE`: until there is that file, Enters in the composer do nothing.
    pub(crate) swallow_until: Option<PathBuf>,
    /// `--slow-turn`: a message with `SLOW <seconds>` in it takes that long.
    pub(crate) slow_turn: bool,
    /// `--merge-queue`: what waited behind a turn is said and answered together, as by Claude Code.
    pub(crate) merge_queue: bool,
    /// `--die-on-resume MS`: a resume that looks healthy and ends with 1 after that long.
    pub(crate) die_on_resume: Option<Duration>,
    /// `--put-back`: an interrupted message stands in the composer again.
    pub(crate) put_back: bool,
    /// `--fork-children N`: children in the agent's process group.
    pub(crate) fork_children: u32,
    /// `--group-children N`: children in process groups of their own.
    pub(crate) group_children: u32,
    /// `--setsid-child`: one child in a session of its own.
    pub(crate) setsid_child: bool,
    /// `--ghost TEXT`: dim text in the empty composer.
    pub(crate) ghost: Option<String>,
    /// `--status-file`: says in `sessions/PID.json` which conversation it is in, as Claude Code does.
    pub(crate) status_file: bool,
    /// `--late-status MS`: so long after another conversation began, it says so.
    pub(crate) late_status: Duration,
    /// `--hook COMMAND`: a shell command that is run at each turn's beginning and end, each question and each other conversation,
    /// with what it is as `$1`, and the conversation and the answer on stdin.
    pub(crate) hook: Option<String>,
    /// `--on-message COMMAND`: behind each answer, `sh` runs it with the message as its first argument.
    pub(crate) on_message: Option<String>,
    /// `--beat`: runs `$PEER_BIN beat` (else `peer beat`) each second.
    pub(crate) beat: bool,
}

impl Flags {
    /// Reads the words behind the program's name.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut flags = Self::default();
        let mut words = words.into_iter();
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--session-id" => flags.session_id = Some(value()?),
                "--resume" => flags.resume = Some(value()?),
                "--ignore" => flags.ignore = signals(&value()?)?,
                "--linger" => flags.linger = milliseconds(&value()?)?,
                "--leave-with" => flags.leave_with = Some(number(&value()?)?),
                "--start-delay" => flags.start_delay = milliseconds(&value()?)?,
                "--exit-after" => flags.exit_after = Some(exit_after(&value()?)?),
                "--trust-dialog" => flags.trust_dialog = true,
                "--asks" => flags.asks = true,
                "--asks-anew" => flags.asks_anew = true,
                "--late-dialog" => flags.late_dialog = milliseconds(&value()?)?,
                "--swallow-enter" => flags.swallow_enter = number(&value()?)?,
                "--swallow-until" => flags.swallow_until = Some(value()?.into()),
                "--slow-turn" => flags.slow_turn = true,
                "--merge-queue" => flags.merge_queue = true,
                "--die-on-resume" => flags.die_on_resume = Some(milliseconds(&value()?)?),
                "--put-back" => flags.put_back = true,
                "--fork-children" => flags.fork_children = number(&value()?)?,
                "--group-children" => flags.group_children = number(&value()?)?,
                "--setsid-child" => flags.setsid_child = true,
                "--ghost" => flags.ghost = Some(value()?),
                "--status-file" => flags.status_file = true,
                "--late-status" => flags.late_status = milliseconds(&value()?)?,
                "--hook" => flags.hook = Some(value()?),
                "--on-message" => flags.on_message = Some(value()?),
                "--beat" => flags.beat = true,
                _ => return Err(format!("unknown argument {flag:?}")),
            }
        }
        Ok(flags)
    }

    /// Whether `--ignore` names this signal.
    pub(crate) fn ignores(&self, signal: Signal) -> bool {
        self.ignore.contains(&signal)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number in range"))
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    number(text).map(Duration::from_millis)
}

fn exit_after(text: &str) -> Result<(Duration, u8), String> {
    let (after, code) = text.split_once(':').ok_or_else(|| format!("{text:?} is not MS:CODE"))?;
    Ok((milliseconds(after)?, number(code)?))
}

fn signals(text: &str) -> Result<Vec<Signal>, String> {
    let signal = |name: &str| match name {
        "hup" => Ok(Signal::SIGHUP),
        "int" => Ok(Signal::SIGINT),
        "term" => Ok(Signal::SIGTERM),
        _ => Err(format!("{name:?} is none of hup, int, term")),
    };
    text.split(',').map(signal).collect()
}

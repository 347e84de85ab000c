//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

/// The behaviour of the demo agent.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
pub(crate) struct Flags {
    /// `--session-id UUID`: the id of a new conversation.
    pub(crate) session_id: Option<String>,
    /// `--resume UUID`: the conversation to resume; one that does not exist is refused.
    pub(crate) resume: Option<String>,
    /// `--ignore hup,term`: signals that do nothing.
    ignore: Vec<Signal>,
    /// `--linger MS`: the time that it stays after a signal or a hangup that ends it.
    pub(crate) linger: Duration,
    /// `--leave-with CODE`: the exit code after that, instead of 128 and the signal's number.
    pub(crate) leave_with: Option<u8>,
    /// `--start-delay MS`: the delay before anything is drawn.
    pub(crate) start_delay: Duration,
    /// `--start-when FILE`: draws nothing until the file exists.
    pub(crate) start_when: Option<PathBuf>,
    /// `--exit-after MS:CODE`, counted from the first drawing.
    pub(crate) exit_after: Option<(Duration, u8)>,
    /// `--trust-dialog`: asks first, with the cursor on no.
    pub(crate) trust_dialog: bool,
    /// `--asks`: a message `ASK question? | row | row` makes it ask, and ` ;; ` separates several questions.
    pub(crate) asks: bool,
    /// `--asks-anew`: the first key that moves the cursor replaces this question by the next one.
    pub(crate) asks_anew: bool,
    /// `--late-dialog MS`: a move in the dialog shows after this time, and for as long again an Enter takes the
    /// previous row.
    pub(crate) late_dialog: Duration,
    /// `--swallow-enter N`: the first N Enters in the composer do nothing.
    pub(crate) swallow_enter: u32,
    /// `--swallow-until FILE`: Enters in the composer do nothing until the file exists.
    pub(crate) swallow_until: Option<PathBuf>,
    /// `--slow-draw MS`: computes for this time after it has taken a long message, before it draws anything.
    pub(crate) slow_draw: Duration,
    /// `--slow-turn`: a message with `SLOW <seconds>` in it takes that long, and one with `UNTIL <file>` until that file is in
    /// the agent's directory.
    pub(crate) slow_turn: bool,
    /// `--merge-queue`: messages that queued during a turn are handled and answered together, as in Claude Code.
    pub(crate) merge_queue: bool,
    /// `--die-on-resume MS`: a resume looks healthy and exits with 1 after this time.
    pub(crate) die_on_resume: Option<Duration>,
    /// `--put-back`: an interrupted message is put back into the composer.
    pub(crate) put_back: bool,
    /// `--fork-children N`: children in the agent's process group.
    pub(crate) fork_children: u32,
    /// `--group-children N`: children in separate process groups.
    pub(crate) group_children: u32,
    /// `--setsid-child`: one child in a separate session.
    pub(crate) setsid_child: bool,
    /// `--ghost TEXT`: dim text in the empty composer.
    pub(crate) ghost: Option<String>,
    /// `--status-file`: writes to `sessions/PID.json` which conversation it is in, as Claude Code does.
    pub(crate) status_file: bool,
    /// `--late-status MS`: the delay of the status file after another conversation began.
    pub(crate) late_status: Duration,
    /// `--hook COMMAND`: a shell command that is run at each turn's beginning and end, each question and each other conversation,
    /// with what it is as `$1`, and the conversation and the answer on stdin.
    pub(crate) hook: Option<String>,
    /// `--on-message COMMAND`: behind each answer, `sh` runs it with the message as its first argument.
    pub(crate) on_message: Option<String>,
    /// `--limits`: a message `LIMIT text` is answered by the word that a usage limit is reached, and that text.
    pub(crate) limits: bool,
    /// `--beat`: runs `$PEER_BIN beat` (else `peer beat`) each second.
    pub(crate) beat: bool,
}

impl Flags {
    /// Parses the arguments after the program's name.
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
                "--start-when" => flags.start_when = Some(value()?.into()),
                "--exit-after" => flags.exit_after = Some(exit_after(&value()?)?),
                "--trust-dialog" => flags.trust_dialog = true,
                "--asks" => flags.asks = true,
                "--asks-anew" => flags.asks_anew = true,
                "--late-dialog" => flags.late_dialog = milliseconds(&value()?)?,
                "--swallow-enter" => flags.swallow_enter = number(&value()?)?,
                "--swallow-until" => flags.swallow_until = Some(value()?.into()),
                "--slow-draw" => flags.slow_draw = milliseconds(&value()?)?,
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
                "--limits" => flags.limits = true,
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

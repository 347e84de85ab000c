use std::io::IsTerminal;
use std::time::Duration;

use crate::cli::render::terminal::{columns, width};
use crate::cli::{CliError, Context, Outcome, error};
use crate::engine::Engine;
use crate::engine::verbs::attach::{Attach, AttachCommand};
use crate::policy::ending::End;
use crate::policy::name::PeerName;
use crate::policy::state::State;

/// Attach this terminal to an agent's pane, waking it first if it is asleep
///
/// A running agent is attached at once, whatever it is waiting for. A sleeping one is resumed first; it is started fresh only
/// if it never had a conversation. C-b d detaches, on tmux and zellij alike, and the agent keeps running. Inside your own
/// tmux the session is nested, so press C-b C-b d; inside your own zellij, dismiss its question about nesting with Esc: then
/// its keys rest, and C-b ] gives them back (zellij 0.45.1). C-b C-b sends the agent a C-b; C-b [ scrolls, and Esc or q ends that.
/// If the agent ends, the terminal is yours again, and a line says how it ended.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer attach api           # detach with C-b d\n  peer attach --waiting     # the one that has waited longest for an answer\n  peer attach api -r        # watch without being able to type\n  peer attach api --window  # in a window of your own tmux; detach with C-b C-b d"
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers(), required_unless_present = "waiting", conflicts_with = "waiting")]
    name: Option<PeerName>,
    /// Attach to the peer that has waited longest for an answer
    #[arg(long)]
    waiting: bool,
    /// Watch only: keys do not reach the agent
    #[arg(long, short)]
    read_only: bool,
    /// Inside your own tmux: attach in a new window, which closes when you detach
    #[arg(long)]
    window: bool,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        let name = args.name.as_ref().map_or("NAME", PeerName::as_str);
        return Err(CliError::usage("attach needs a terminal", format!("peer screen {name} prints what it shows")));
    }
    let engine = context.engine_by_records()?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => longest_waiting(&engine).await?,
    };
    let way = engine.attach(&name, args.read_only).await?;
    let Attach::Run(way) = way else {
        engine.progress.notice(&format!("this is the pane of {name}"));
        return Ok(0);
    };
    engine.progress.notice(&how_to_leave(&name, &way, columns().unwrap_or(COMMON)));
    if args.window {
        return in_window(&engine, &name, &way, context).await;
    }
    tokio::time::sleep(if way.hides_leave_hint { READ } else { ARRIVED }).await;
    let left = engine.run_attached(&name, way).await?;
    if let Some(end) = &left.end {
        engine.progress.notice(&has_ended(&name, end));
    }
    Ok(if left.success { 0 } else { error::code::FAILED })
}

/// What to know once the terminal is back because the agent has ended.
pub(in crate::cli) fn has_ended(name: &PeerName, end: &End) -> String {
    format!("{name}: its agent has ended ({}); peer screen {name} shows its last screen", end.shown_as())
}

/// Opens the pane in a window of the user's own tmux, if this terminal is in one.
async fn in_window(engine: &Engine, name: &PeerName, way: &AttachCommand, context: &mut Context) -> Outcome {
    if !engine.attach_in_window(name, way).await? {
        let problem = "attach --window only works inside your own tmux";
        return Err(CliError::usage(problem, format!("peer attach {name}")));
    }
    context.out.line(format!("{name}: in a window of your tmux"))?;
    Ok(0)
}

/// The columns of a terminal that does not report them.
const COMMON: usize = 80;

/// How long the line that says how to leave is shown before the screen is cleared, until the user has left a pane once.
const READ: Duration = Duration::from_secs(2);

/// How long the terminal has for that line otherwise. A client of tmux discards what is on the way to the terminal when it
/// takes over (`tty_start_tty` of 3.3a, `TCOFLUSH`); a loaded terminal was seen to lose the line in 3 of 50.
const ARRIVED: Duration = Duration::from_millis(100);

/// Returns the peer that has waited for a person for the longest time.
async fn longest_waiting(engine: &Engine) -> Result<PeerName, CliError> {
    let rows = engine.list().await?.rows;
    let waiting = rows.into_iter().filter(|row| row.state == State::Waiting);
    // Peers whose waiting time is unknown come last.
    let longest = waiting.min_by_key(|row| (row.since_ms.is_none(), row.since_ms));
    longest.map(|row| row.peer).ok_or_else(|| CliError::Nothing {
        problem: "no peer is waiting for an answer".to_owned(),
        hint: "peer list shows every peer".to_owned(),
    })
}

/// The line that is shown before the terminal is handed over, and is there again afterwards: one line of at most `room`
/// columns, with the `note: ` in front of it. It always says what must be known to leave. The name, which the user has just
/// typed, and the rest are added as far as they fit.
fn how_to_leave(name: &PeerName, way: &AttachCommand, room: usize) -> String {
    let room = room.saturating_sub("note: ".len());
    let fits = |line: &String| width(line) <= room;
    let bare = format!("leave with {}{}", way.leave, in_a_multiplexer(way));
    let named = Some(format!("{name}: {bare}")).filter(fits).unwrap_or(bare);
    let watching = if way.read_only { format!("{named}; nothing typed reaches it") } else { named.clone() };
    let whole = format!("{watching}; the agent goes on");
    [whole, watching].into_iter().find(fits).unwrap_or(named)
}

/// What differs inside a multiplexer of the user's own, which gets every key first.
fn in_a_multiplexer(way: &AttachCommand) -> String {
    let Some(own) = way.nested else { return String::new() };
    let twice = way.leave.starts_with("C-b");
    // It asks what to do with a session inside its own, unless its config decides it; Esc leaves it as it is.
    let asks = own == way.runtime && own.facts().client().may_ask_inside_own;
    match (twice, asks) {
        (true, true) => format!(" (C-b twice if your {own} takes it; Esc if it asks first)"),
        (true, false) => format!(" (C-b twice if your {own} takes it)"),
        (false, true) => format!(" (Esc if your {own} asks first)"),
        (false, false) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use peer_adapters::command::Argv;
    use peer_adapters::runtime::RuntimeKind;

    use super::*;
    use crate::policy::ending::Incarnation;

    /// Every way to a pane: what leaves it, where it is, what is around this terminal, and whether it only watches.
    fn ways() -> Vec<AttachCommand> {
        let (tmux, zellij) = (RuntimeKind::Tmux, RuntimeKind::Zellij);
        // The second is of a session that an older version made.
        let leaves = [(tmux, "C-b d", false), (zellij, "C-b d", false), (zellij, "C-g C-o d", false)];
        let watching = [(tmux, "C-b d", true), (zellij, "C-c", true)];
        let mut ways = Vec::new();
        for (runtime, leave, read_only) in leaves.into_iter().chain(watching) {
            for nested in [None, Some(tmux), Some(zellij)] {
                for hides_leave_hint in [false, true] {
                    let (argv, incarnation) = (Argv::new("/bin/true"), Incarnation(1));
                    let pane = None;
                    ways.push(AttachCommand {
                        argv,
                        incarnation,
                        pane,
                        read_only,
                        leave,
                        hides_leave_hint,
                        runtime,
                        nested,
                    });
                }
            }
        }
        ways
    }

    #[test]
    fn how_to_leave_is_one_line_of_80_columns_whatever_the_name_and_the_way() {
        for way in ways() {
            for letters in [1, 3, 12, 48] {
                let name: PeerName = "n".repeat(letters).parse().expect("a name");
                let line = format!("note: {}", how_to_leave(&name, &way, 80));
                assert!(width(&line) <= 80 && !line.contains('\n'), "{} columns: {line}", width(&line));
                assert!(line.contains(&format!("leave with {}", way.leave)), "{line}");
                let twice = way.nested.is_some() && way.leave == "C-b d";
                assert_eq!(line.contains("C-b twice"), twice, "{line}");
                let zellij = RuntimeKind::Zellij;
                assert_eq!(line.contains("Esc"), (way.runtime, way.nested) == (zellij, Some(zellij)), "{line}");
                if letters == 12 && way.nested.is_none() {
                    assert!(line.starts_with("note: nnnnnnnnnnnn: leave with ") && line.contains("; "), "{line}");
                }
            }
        }
    }

    #[test]
    fn how_to_leave_says_more_where_there_is_room() {
        let say = |way: &AttachCommand, room| how_to_leave(&"api".parse().expect("a name"), way, room);
        let mut way = ways().remove(0);
        assert_eq!(say(&way, 80), "api: leave with C-b d; the agent goes on");
        assert_eq!((say(&way, 40), say(&way, 20)), ("api: leave with C-b d".to_owned(), "leave with C-b d".to_owned()));
        way.read_only = true;
        assert_eq!(say(&way, 80), "api: leave with C-b d; nothing typed reaches it; the agent goes on");
        way.nested = Some(RuntimeKind::Tmux);
        assert_eq!(say(&way, 80), "api: leave with C-b d (C-b twice if your tmux takes it)");
        assert!(say(&way, 120).ends_with(" takes it); nothing typed reaches it; the agent goes on"));
    }
}

use std::io::IsTerminal;
use std::time::Duration;

use peer_adapters::runtime::RuntimeKind;

use crate::cli::{CliError, Context, Outcome, error};
use crate::engine::Engine;
use crate::engine::verbs::attach::{Attach, AttachCommand};
use crate::policy::name::PeerName;
use crate::policy::state::State;

/// Attach this terminal to an agent's pane, waking it first if it is asleep
///
/// A running agent is attached at once, whatever it is waiting for. A sleeping one is resumed first; it is started fresh only
/// if it never had a conversation. C-b d detaches, on tmux and zellij alike, and the agent keeps running. Inside your own
/// tmux the session is nested, so press C-b C-b d; inside your own zellij, dismiss its question about nesting with Esc.
/// C-b C-b sends the agent a C-b.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer attach api           detach with C-b d\n  peer attach --waiting     the one that has waited longest for an answer\n  peer attach api -r        watch without being able to type\n  peer attach api --window  in a window of your own tmux; detach with C-b C-b d"
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
    let engine = context.engine()?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => longest_waiting(&engine).await?,
    };
    let way = engine.attach(&name, args.read_only).await?;
    engine.progress.settled();
    let Attach::Run(way) = way else {
        engine.progress.notice(&format!("this is the pane of {name}"));
        return Ok(0);
    };
    engine.progress.notice(&how_to_leave(&name, &way));
    if args.window {
        return in_window(&engine, &name, &way, context).await;
    }
    if way.hides_leave_hint {
        tokio::time::sleep(READ).await;
    }
    let status = engine.run_attached(&name, way).await?;
    Ok(if status.success() { 0 } else { error::code::FAILED })
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

/// How long the line that says how to leave is shown before the screen is cleared, until the user has left a pane once.
const READ: Duration = Duration::from_secs(2);

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

/// The line that is shown before the terminal is handed over, and is there again afterwards.
fn how_to_leave(name: &PeerName, way: &AttachCommand) -> String {
    let AttachCommand { leave, read_only, nested, .. } = way;
    let nested = match (nested, way.runtime) {
        (None, _) => "",
        (Some(RuntimeKind::Zellij), RuntimeKind::Zellij) => {
            "; your own zellij may ask first what to do with a nested session: Esc lets it be, nested_session_handling in its \
             config decides it; where it takes C-b, press it twice"
        }
        (Some(_), _) => "; where your own multiplexer takes C-b, press it twice",
    };
    let typed = if *read_only { ", and nothing typed reaches it" } else { "" };
    format!("{name}: leave with {leave}{nested}; the agent goes on{typed}")
}

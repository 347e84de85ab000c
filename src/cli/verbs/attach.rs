use std::io::IsTerminal;
use std::time::Duration;

use peer_adapters::runtime::RuntimeKind;

use crate::cli::{CliError, Context, Outcome, error};
use crate::engine::Engine;
use crate::engine::verbs::attach::{Attach, Way};
use crate::policy::name::PeerName;
use crate::policy::state::State;

/// Hand this terminal to an agent's pane, waking it first where it sleeps
///
/// Where its session lives the terminal is handed over at once, whatever the agent waits for. One that sleeps is resumed; a
/// fresh start only where there never was a conversation. C-b d leaves, on tmux and on zellij, and the agent goes on; within
/// a tmux of your own press C-b twice, which is not switched but nested; within a zellij of your own, that may ask what to do with
/// a nested session first: Esc. C-b C-b sends the agent a C-b.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer attach api           leave with C-b d\n  peer attach --waiting     the one that waits for an answer longest\n  peer attach api -r        look without being able to type\n  peer attach api --window  in a window of your own tmux; leave with C-b C-b d"
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers(), required_unless_present = "waiting", conflicts_with = "waiting")]
    name: Option<PeerName>,
    /// The one that has waited for a person's answer longest
    #[arg(long)]
    waiting: bool,
    /// Look only: what is typed does not reach the agent
    #[arg(long, short)]
    read_only: bool,
    /// Within a tmux of your own: open a window of that, which closes when you leave, instead of this pane
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
    if way.wiped {
        tokio::time::sleep(READ).await;
    }
    let status = engine.run_attached(&name, way).await?;
    Ok(if status.success() { 0 } else { error::code::FAILED })
}

/// Opens it beside this pane; only where there is a tmux that has windows.
async fn in_window(engine: &Engine, name: &PeerName, way: &Way, context: &mut Context) -> Outcome {
    if !engine.attach_in_window(name, way).await? {
        let problem = "attach --window needs a tmux of your own around this terminal";
        return Err(CliError::usage(problem, format!("peer attach {name}")));
    }
    context.out.line(format!("{name}: in a window of your tmux"))?;
    Ok(0)
}

/// How long the line that says how to leave stands where it is wiped then, until somebody has done it once.
const READ: Duration = Duration::from_secs(2);

/// Who has waited for a person for the longest time.
async fn longest_waiting(engine: &Engine) -> Result<PeerName, CliError> {
    let rows = engine.list().await?.rows;
    let waiting = rows.into_iter().filter(|row| row.state == State::Waiting);
    // Since when is not known of everyone; whoever it is known of comes first.
    let longest = waiting.min_by_key(|row| (row.since_ms.is_none(), row.since_ms));
    longest.map(|row| row.peer).ok_or_else(|| CliError::Nothing {
        problem: "nobody waits for an answer".to_owned(),
        hint: "peer list shows everybody".to_owned(),
    })
}

/// A line that stands on the terminal before it is handed over, and after it is back.
fn how_to_leave(name: &PeerName, way: &Way) -> String {
    let Way { leave, read_only, nested, .. } = way;
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

use peer_adapters::screen::{coloured, plain};

use crate::cli::{CliError, Context, Outcome};
use crate::policy::name::PeerName;

/// Print what an agent's pane shows now, or showed last
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// Only the last N lines; more than the screen has reads its history
    #[arg(long, short, value_name = "N")]
    lines: Option<u32>,
    /// Keep colours and attributes
    #[arg(long)]
    ansi: bool,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let screen = engine.screen(&args.name, args.lines.unwrap_or(0)).await?.ok_or_else(|| CliError::Usage {
        problem: format!("{} has no screen: it never ran", args.name),
        hint: Some(format!("peer wake {}", args.name)),
    })?;
    let text = if args.ansi { coloured(&screen.text) } else { plain(&screen.text) };
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let wanted = args.lines.map_or(lines.len(), |lines| usize::try_from(lines).unwrap_or(usize::MAX));
    for line in &lines[lines.len().saturating_sub(wanted)..] {
        context.out.line(line.trim_end())?;
    }
    if args.ansi {
        context.out.raw(b"\x1b[0m")?;
    }
    Ok(0)
}

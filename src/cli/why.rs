use super::output::printable;
use super::{Context, Outcome};
use crate::policy::name::PeerName;
use crate::policy::wake::{Mode, WakeRequest};

/// Say what a wake would do now, row by row, and change nothing
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that is typed")]
pub(super) struct Args {
    /// Name of the peer
    name: PeerName,
    /// As for `peer wake`
    #[arg(long, short)]
    topic: Option<String>,
    /// As for `peer wake`
    #[arg(long, conflicts_with = "resume")]
    fresh: bool,
    /// As for `peer wake`
    #[arg(long)]
    resume: bool,
    /// As for `peer wake`
    #[arg(long, requires = "fresh")]
    force: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let mode = match (args.fresh, args.resume) {
        (true, _) => Mode::Fresh,
        (_, true) => Mode::Resume,
        (false, false) => Mode::Auto,
    };
    let request = WakeRequest { mode, force: args.force, topic: args.topic.clone() };
    let why = engine.why(&args.name, &request).await?;
    if args.json {
        context.out.document("why", &why)?;
        return Ok(0);
    }
    context.out.line(format!("{}: a wake would {}", why.peer, printable(&why.decision)))?;
    if let Some(then) = &why.then {
        context.out.line(format!("{}: and then {}", why.peer, printable(then)))?;
    }
    for row in &why.rows {
        let mark = match (row.decides, row.holds) {
            (true, _) => "=>",
            (false, true) => " +",
            (false, false) => "  ",
        };
        context
            .out
            .line(format!("{mark} {:>2}  {:<44}  {}", row.row, row.condition, printable(&row.result)).trim_end())?;
    }
    Ok(0)
}

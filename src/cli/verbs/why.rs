use crate::cli::args::choice::Choice;
use crate::cli::render::output::printable;
use crate::cli::render::terminal::{Hue, Paint, columns, wrap};
use crate::cli::{Context, Outcome};
use crate::policy::name::PeerName;
use crate::policy::wake::RowReading;

/// Explain what `peer wake` would do, without doing it
///
/// Rules are read from the top. The first one that applies decides and is marked `=>`; a later one that also applies is marked
/// `+`: it would decide if those above it did not apply.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer why api                    # what `peer wake api` would do\n  peer why api --topic billing    # the same, for a message on this topic"
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    #[command(flatten)]
    choice: Choice,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let why = engine.why(&args.name, &args.choice.request()).await?;
    if args.json {
        context.out.document("why", &why)?;
        return Ok(0);
    }
    context.out.line(format!("{}: a wake would {}", why.peer, printable(&why.decision)))?;
    if let Some(then) = &why.then {
        context.out.line(format!("{}: and then {}", why.peer, printable(then)))?;
    }
    let paint = Paint::of_stdout();
    context.out.line("")?;
    let heading = format!("    #  {:<CONDITION$}  WHAT IT DOES", "WHEN");
    context.out.line(paint.paint(Hue::Strong, &heading))?;
    for row in &why.rows {
        for line in lines(row, columns()) {
            context.out.line(hue(row).map_or(line.clone(), |hue| paint.paint(hue, &line)))?;
        }
    }
    context.out.line("\n=> applies and decides    + also applies, but a rule above it decides")?;
    Ok(0)
}

/// The widest condition of the table; a test checks it.
const CONDITION: usize = 53;
/// The width of `=> 14  `.
const MARKS: usize = 7;
/// The least width of the result column; a narrower one would break the words themselves.
const LEAST: usize = 20;

/// Formats one row of the table. If the terminal is too narrow, the result continues in lines below itself.
fn lines(row: &RowReading, room: Option<usize>) -> Vec<String> {
    let mark = match (row.decides, row.holds) {
        (true, _) => "=>",
        (false, true) => " +",
        (false, false) => "  ",
    };
    let before = MARKS + CONDITION + 2;
    let texts = wrap(&printable(&row.result), room.map(|room| room.saturating_sub(before).max(LEAST)));
    let first = format!("{mark} {:>2}  {:<CONDITION$}  ", row.row, row.condition);
    let indented = std::iter::once(first).chain(std::iter::repeat(" ".repeat(before)));
    indented.zip(texts).map(|(head, text)| (head + &text).trim_end().to_owned()).collect()
}

const fn hue(row: &RowReading) -> Option<Hue> {
    match (row.decides, row.holds) {
        (true, _) => Some(Hue::Strong),
        (false, true) => None,
        (false, false) => Some(Hue::Quiet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::terminal::width;

    fn row(result: &str) -> RowReading {
        RowReading { row: 9, holds: true, decides: true, condition: "x", result: result.to_owned() }
    }

    #[test]
    fn what_a_row_does_goes_on_below_itself() {
        let told = lines(&row("refuse (failed): it failed"), Some(MARKS + CONDITION + 2 + 20));
        let below = format!("{}failed", " ".repeat(MARKS + CONDITION + 2));
        assert_eq!(told[1..], [below]);
        assert!(told[0].starts_with("=>  9  x ") && told[0].ends_with("  refuse (failed): it"), "{told:?}");
    }

    #[test]
    fn no_condition_is_wider_than_its_column() {
        let facts = crate::policy::wake::WakeFacts {
            managed_by: None,
            stopped: false,
            live: crate::policy::recorded::RecordedState::None,
            markers: crate::policy::wake::Markers::default(),
            ever_ran: false,
            last_end: None,
            deaths: crate::policy::health::Deaths::default(),
            max_restarts: 0,
            context_policy: crate::policy::wake::ContextPolicy::default(),
            topics: Vec::new(),
            conversation: None,
            now_in: None,
            resume_without_topic: true,
        };
        let rows = crate::policy::wake::explain(
            &facts,
            &crate::policy::wake::WakeRequest::default(),
            crate::policy::time::Timestamp::default(),
        );
        assert_eq!(rows.iter().map(|row| width(row.condition)).max(), Some(CONDITION));
    }

    #[test]
    fn a_text_that_fits_is_one_line_and_an_empty_one_too() {
        assert_eq!(wrap("a b", Some(3)), ["a b"]);
        assert_eq!(wrap("", Some(3)), [""]);
        assert_eq!(wrap("日本 語", Some(5)), ["日本", "語"]);
    }
}

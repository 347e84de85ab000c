use crate::cli::args::choice::Choice;
use crate::cli::render::output::printable;
use crate::cli::render::terminal::{Hue, Paint, columns, rows, width, wrap};
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
    if let Some(fails) = &why.fails {
        context.out.words(format!("{}: it would fail: {}", why.peer, printable(fails)), 2)?;
    }
    let paint = Paint::of_stdout();
    let mut table = vec![String::new()];
    let wide = condition_width(&why.rows, columns());
    table.push(paint.paint(Hue::Strong, &format!("    #  {:<wide$}  WHAT IT DOES", "WHEN")));
    for row in &why.rows {
        let lines = lines(row, wide, columns());
        table.extend(lines.into_iter().map(|line| hue(row).map_or(line.clone(), |hue| paint.paint(hue, &line))));
    }
    table.push("\n=> applies and decides    + also applies, but a rule above it decides".to_owned());
    for line in &table {
        context.out.line(line)?;
    }
    // The first line of a table that is higher than the screen has scrolled away.
    if rows().is_some_and(|rows| table.len() + 3 > rows) {
        context.out.line(format!("{}: a wake would {}", why.peer, printable(&why.decision)))?;
    }
    Ok(0)
}

/// The widest condition of the table; a test checks it.
const CONDITION: usize = 53;
/// The width of `=> 14  `.
const MARKS: usize = 7;
/// The longest word of a result for which the column of conditions gives way: a path may be longer than any terminal.
const WORD: usize = 30;
/// The least width of the column of conditions.
const LEAST_CONDITION: usize = 24;

/// The width of the column of conditions: if the terminal is narrow, they go on below themselves, so that no word of a
/// result is broken.
fn condition_width(rows: &[RowReading], room: Option<usize>) -> usize {
    let words = rows.iter().flat_map(|row| row.result.split_whitespace()).map(width);
    let longest = words.max().unwrap_or(0).min(WORD);
    let left = room.map_or(CONDITION, |room| room.saturating_sub(MARKS + 2 + longest));
    left.clamp(LEAST_CONDITION, CONDITION)
}

/// Formats one row of the table. What is too wide for its column goes on below itself.
fn lines(row: &RowReading, wide: usize, room: Option<usize>) -> Vec<String> {
    let mark = match (row.decides, row.holds) {
        (true, _) => "=>",
        (false, true) => " +",
        (false, false) => "  ",
    };
    let mut head = format!("{mark} {:>2}  ", row.row);
    let results = wrap(&printable(&row.result), room.map(|room| room.saturating_sub(MARKS + wide + 2).max(1)));
    let conditions = wrap(row.condition, Some(wide));
    let mut lines = Vec::new();
    for at in 0..conditions.len().max(results.len()) {
        let part = |texts: &[String]| texts.get(at).cloned().unwrap_or_default();
        lines.push(format!("{head}{:<wide$}  {}", part(&conditions), part(&results)).trim_end().to_owned());
        head = " ".repeat(MARKS);
    }
    lines
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

    fn row(result: &str) -> RowReading {
        RowReading { row: 9, holds: true, decides: true, condition: "x", result: result.to_owned() }
    }

    #[test]
    fn what_a_row_does_goes_on_below_itself() {
        let told = lines(&row("refuse (failed): it failed"), CONDITION, Some(MARKS + CONDITION + 2 + 20));
        let below = format!("{}failed", " ".repeat(MARKS + CONDITION + 2));
        assert_eq!(told[1..], [below]);
        assert!(told[0].starts_with("=>  9  x ") && told[0].ends_with("  refuse (failed): it"), "{told:?}");
    }

    #[test]
    fn no_word_is_broken_in_a_common_terminal() {
        let mut row = row("refuse (runtime-unavailable): tmux did not answer");
        row.condition = "a condition that has as many columns as it may have..";
        assert_eq!(width(row.condition), CONDITION);
        let rows = [row];
        let told = lines(&rows[0], condition_width(&rows, Some(80)), Some(80));
        assert_eq!(told[0], "=>  9  a condition that has as many columns as it may     refuse");
        assert!(told[1].starts_with("       have.. ") && told[1].ends_with("  (runtime-unavailable):"), "{told:?}");
        assert!(told.iter().all(|line| width(line) <= 80), "{told:?}");
        assert_eq!(condition_width(&rows, None), CONDITION);
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
            is_untouched: false,
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

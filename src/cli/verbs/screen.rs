use peer_adapters::screen::{coloured, plain};
use unicode_width::UnicodeWidthChar;

use crate::cli::render::terminal::columns;
use crate::cli::{CliError, Context, Outcome};
use crate::policy::name::PeerName;

/// Print an agent's screen, or the last one it showed
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// Only the last N lines; more than the screen holds reads the scrollback
    #[arg(long, short, value_name = "N", visible_short_alias = 'n', alias = "tail")]
    lines: Option<u32>,
    /// Keep colours and attributes
    #[arg(long)]
    ansi: bool,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    let screen = engine.screen(&args.name, args.lines.unwrap_or(0)).await?.ok_or_else(|| CliError::Nothing {
        problem: format!("{} has no screen: it has never run", args.name),
        hint: format!("peer wake {}", args.name),
    })?;
    let text = if args.ansi { coloured(&screen.text) } else { plain(&screen.text) };
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let wanted = args.lines.map_or(lines.len(), |lines| usize::try_from(lines).unwrap_or(usize::MAX));
    for line in &lines[lines.len().saturating_sub(wanted)..] {
        let line = line.trim_end();
        context.out.line(columns().filter(|_| !args.ansi).map_or(line, |room| without_tail_of_rule(line, room)))?;
    }
    if args.ansi {
        context.out.raw(b"\x1b[0m")?;
    }
    Ok(0)
}

/// Cuts the part of a rule that a narrower terminal would wrap: a pane is wider than most terminals, and each rule of
/// its agent would take several lines. Text is never cut.
fn without_tail_of_rule(line: &str, room: usize) -> &str {
    let mut wide = 0;
    let over = |(_, c): &(usize, char)| {
        wide += c.width().unwrap_or_default();
        wide > room
    };
    let Some((end, _)) = line.char_indices().find(over) else { return line };
    let is_rule = |c| matches!(c, '─' | '━' | '═' | '▔' | '▁' | ' ');
    if line[end..].chars().all(is_rule) { line[..end].trim_end() } else { line }
}

#[cfg(test)]
mod tests {
    use super::without_tail_of_rule;

    #[test]
    fn a_rule_is_as_wide_as_the_terminal_and_a_text_as_it_is() {
        assert_eq!(without_tail_of_rule(&"─".repeat(200), 80), "─".repeat(80));
        assert_eq!(without_tail_of_rule("api ──────", 6), "api ──");
        let text = "a line of text that is wider";
        assert_eq!(without_tail_of_rule(text, 10), text);
        assert_eq!(without_tail_of_rule("short", 10), "short");
    }
}

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use crate::cli::args::order::Order;
use crate::cli::render::output::{self, printable};
use crate::cli::render::row::{last_end, shorter_last_end};
use crate::cli::render::table::{self, Cell, Column, NOTHING, Spare};
use crate::cli::render::template::Template;
use crate::cli::render::terminal::{Hue, Paint, columns, relative, rough, rows as height};
use crate::cli::{CliError, Context, Outcome};
use crate::config::Span;
use crate::engine::error::AnswerWith;
use crate::engine::verbs::list::{Fleet, Row};
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::time::Timestamp;

/// List peers: state, topic, idle time, restarts and last end
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer list                                 # every peer\n  peer list --format '{name} {state}'       # for a script or a status line\n  peer list -q --state asleep               # their names, e.g. for a loop\n  peer list --waiting                       # peers that need an answer, and their questions\n  peer list --sort last-end                 # most recent end first\n  peer list --json | jq -r '.peers[] | select(.state==\"crashed\").peer'\n\nPlaceholders: {name} {state} {waiting_for} {question} {detail} {limited_until} {progress} {since} {agent} {runtime} {topic} {incarnation} {conversation} {idle} {pid} {queued} {restarts} {held_until} {last_end} {cwd}; {{ and }} are braces, \\t a tab. What is not known is empty.\n\nAliases: peer ls, peer ps"
)]
pub(crate) struct Args {
    /// Only these peers
    #[arg(value_name = "NAME", add = crate::cli::args::complete::peers())]
    names: Vec<PeerName>,
    #[command(flatten)]
    which: Which,
    /// Print one JSON document
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Print one line per peer, formatted by TEMPLATE, e.g. '{name} {state}'
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Sort order
    #[arg(long, value_name = "KEY", value_enum, default_value_t, visible_alias = "sort-by")]
    sort: Order,
    /// Reverse the order
    #[arg(long, short)]
    reverse: bool,
    /// Refresh until interrupted
    #[arg(long, short)]
    watch: bool,
    /// Interval of --watch
    #[arg(long, value_name = "TIME", default_value = "2s", requires = "watch")]
    every: Span,
}

/// Parses the name of a state.
fn states() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.map(State::as_str))
        .map(|word| *State::ALL.iter().find(|state| state.as_str() == word).expect("one of the possible values"))
}

/// Which of those that are named are shown.
#[derive(Debug, clap::Args)]
struct Which {
    /// All of them are shown anyway: `ps -a` is a habit
    #[arg(long = "all", short = 'a', hide = true)]
    _all: bool,
    /// Only peers that need a person's answer
    #[arg(long, conflicts_with = "state")]
    waiting: bool,
    /// Print only the names, one per line
    #[arg(long, short, conflicts_with_all = ["json", "format"])]
    quiet: bool,
    /// Only peers in one of these states
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = states())]
    state: Vec<State>,
}

impl Which {
    fn wants(&self, state: State) -> bool {
        if self.waiting { state == State::Waiting } else { self.state.is_empty() || self.state.contains(&state) }
    }
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let format = if args.which.quiet { Some("{name}") } else { args.format.as_deref() };
    let template = format.map(Template::parse).transpose()?;
    if args.every.0 < Duration::from_millis(100) {
        return Err(CliError::usage("--every is shorter than 100ms", "the minimum is 100ms; the default is 2s"));
    }
    let engine = context.engine_by_records()?;
    loop {
        let mut fleet = if args.names.is_empty() { engine.list().await? } else { engine.list_of(&args.names).await? };
        let is_empty = fleet.rows.is_empty() && fleet.broken.is_empty();
        fleet.rows.retain(|row| args.which.wants(row.state));
        args.sort.sort(&mut fleet.rows, |row| row);
        if args.reverse {
            fleet.rows.reverse();
        }
        let now = engine.now();
        if args.json {
            context.out.document("list", &document(&fleet))?;
        } else if let Some(template) = &template {
            for row in &fleet.rows {
                context.out.line(template.fill(row, now))?;
            }
        } else {
            table(args, context, &fleet, now)?;
            if is_empty {
                output::hint("no peer is declared yet: peer add NAME -- COMMAND");
            }
        }
        context.out.flush()?;
        let code = report(&fleet);
        if !args.watch {
            return Ok(code);
        }
        tokio::time::sleep(args.every.0).await;
    }
}

/// Prints what cannot be shown, and returns the exit code for it. The rows of other peers are not affected.
pub(crate) fn report(fleet: &Fleet) -> u8 {
    let codes = fleet.broken.iter().map(|(name, error)| {
        let error = CliError::shown(error);
        output::error(&format!("{name}: {}", error.problem));
        if let Some(hint) = error.hint {
            output::hint(&hint);
        }
        error.code
    });
    let code = codes.max().unwrap_or(0);
    for undeclared in &fleet.undeclared {
        output::note(&format!("{}: {}", undeclared.peer, undeclared.problem()));
        output::hint(&undeclared.cure());
    }
    code
}

/// What `--json` prints of a fleet.
pub(crate) fn document(fleet: &Fleet) -> serde_json::Value {
    let broken: Vec<_> =
        fleet.broken.iter().map(|(name, error)| json!({ "peer": name, "error": error.to_string() })).collect();
    let undeclared = fleet.undeclared.iter();
    let undeclared: Vec<_> =
        undeclared.map(|one| json!({ "peer": one.peer, "problem": one.problem(), "hint": one.cure() })).collect();
    json!({ "peers": fleet.rows, "broken": broken, "undeclared": undeclared })
}

const fn column(title: &'static str, least: Option<usize>, goes: u8) -> Column {
    Column { title, least, whole: false, front: false, goes, spare: Spare::Never }
}

/// The order is that of the contract. In a narrow terminal, the columns that their neighbours imply go first; what an
/// agent is comes before what happened to it, and how it ended before where it runs, if all run there.
const COLUMNS: [Column; 12] = [
    Column { whole: true, ..column("NAME", Some(8), 0) },
    column("STATE", None, 0),
    // Left out unless a peer needs something.
    Column { spare: Spare::Empty, ..column("NEEDS", Some(20), 0) },
    // Left out unless a message waits.
    Column { spare: Spare::Empty, ..column("INBOX", None, 1) },
    column("AGENT", None, 2),
    Column { spare: Spare::Same, ..column("RUNTIME", None, 5) },
    column("TOPIC", Some(12), 3),
    column("IDLE", None, 1),
    column("RESTARTS", None, 7),
    column("HELD-UNTIL", None, 6),
    column("LAST-END", None, 4),
    Column { front: true, ..column("CWD", Some(16), 8) },
];

fn table(args: &Args, context: &mut Context, fleet: &Fleet, now: Timestamp) -> std::io::Result<()> {
    let rows: Vec<Vec<Cell<'_>>> = fleet.rows.iter().map(|row| cells(row, now)).collect();
    let lines = table::render(&COLUMNS, &rows, columns(), Paint::of_stdout());
    if let Some(height) = height().filter(|_| args.watch) {
        // On a terminal, each listing replaces the one before: move home, overwrite line by line, clear the rest.
        context.out.raw(b"\x1b[H")?;
        for line in page(&lines, height) {
            context.out.part(line.trim_end())?;
            context.out.raw(b"\x1b[K\n")?;
        }
        context.out.raw(b"\x1b[J")?;
    } else {
        for line in &lines {
            context.out.line(line.trim_end())?;
        }
        if args.watch {
            context.out.line("")?;
        }
    }
    if let Some(hint) = how_to_answer(&fleet.rows).filter(|_| !args.watch) {
        output::hint(&hint);
    }
    Ok(())
}

/// Returns the commands that answer what is asked. For more than one peer, `peer status` has them.
fn how_to_answer(rows: &[Row]) -> Option<String> {
    let mut waiting = rows.iter().filter(|row| row.state == State::Waiting);
    let first = waiting.next()?;
    Some(match waiting.next() {
        None => AnswerWith::of(first.answerable).commands(first.peer.as_str()),
        Some(_) => "peer status names the command for each question".to_owned(),
    })
}

/// Returns as many lines as fit on a screen with the cursor below them; the last one says how many are missing.
fn page(lines: &[String], height: usize) -> Vec<String> {
    let room = height.saturating_sub(1).max(1);
    if lines.len() <= room {
        return lines.to_vec();
    }
    let mut page = lines[..room - 1].to_vec();
    page.push(format!("… {} more", lines.len() - page.len()));
    page
}

fn cells(row: &Row, now: Timestamp) -> Vec<Cell<'_>> {
    let quiet = |text: Option<String>| text.map_or_else(|| Cell::coloured(Hue::Quiet, NOTHING), Cell::plain);
    let restarts = match row.restarts {
        0 => Cell::coloured(Hue::Quiet, "0"),
        some => Cell::coloured(Hue::Bad, some.to_string()),
    };
    vec![
        Cell::coloured(Hue::Strong, row.peer.as_str()),
        Cell::coloured(Hue::of(row.state), row.state.as_str()),
        needs(row, now),
        quiet((row.queued > 0).then(|| row.queued.to_string())),
        Cell::plain(printable(&row.agent)),
        Cell::plain(printable(&row.runtime)),
        quiet(row.topic.as_deref().map(printable)),
        quiet(row.idle_s.map(|idle| rough(Duration::from_secs(idle)))),
        restarts,
        quiet(row.held_until_ms.map(|until| relative(until, now))),
        match last_end(row, now) {
            Some(told) => Cell::in_forms(told, shorter_last_end(row, now)),
            None => Cell::coloured(Hue::Quiet, NOTHING),
        },
        Cell::plain(printable(&crate::cli::render::output::home_as_tilde(&row.cwd))),
    ]
}

/// `permission: Do you want to proceed?`, `usage limit, over in 2h`, `no progress for 31m`
fn needs(row: &Row, now: Timestamp) -> Cell<'_> {
    match row.state {
        State::Limited => {
            let over = row.limited_until_ms.map(|until| format!(", over {}", relative(until, now))).unwrap_or_default();
            return Cell::coloured(Hue::Waiting, format!("usage limit{over}"));
        }
        State::Stalled => {
            let since = row.progress_ms.map(|at| format!(" for {}", rough(now.since(at)))).unwrap_or_default();
            return Cell::coloured(Hue::Waiting, format!("no progress{since}"));
        }
        _ => {}
    }
    let Some(kind) = row.waiting_for else { return Cell::coloured(Hue::Quiet, NOTHING) };
    let question = row.question.as_deref().map(|question| format!(": {question}")).unwrap_or_default();
    Cell::coloured(Hue::Waiting, printable(&format!("{kind}{question}")))
}

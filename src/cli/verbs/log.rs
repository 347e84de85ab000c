use std::time::Duration;

use crate::cli::render::output::printable;
use crate::cli::render::terminal::{columns, cut, relative, width};
use crate::cli::{Context, Outcome};
use crate::config::Span;
use crate::engine::{Engine, EngineError};
use crate::policy::event::is_meant;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::Event;

/// How often a followed log is read.
const FOLLOW: Duration = Duration::from_millis(200);

/// Print the decision log
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer log api                          # what was decided about one peer\n  peer log -f --event agent.waiting     # each question as it comes\n  peer log --event session.ended -n 20  # the last ends, and why\n\nAlias: peer logs"
)]
pub(crate) struct Args {
    /// Only events of these peers
    #[arg(value_name = "NAME", add = crate::cli::args::complete::peers())]
    names: Vec<PeerName>,
    /// Keep printing new events
    #[arg(long, short)]
    follow: bool,
    /// Only the last N events (with --follow, then all new ones)
    #[arg(long, short = 'n', value_name = "N", visible_alias = "tail")]
    lines: Option<usize>,
    /// Only events newer than this: 1h, 2d
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,
    /// Only events of this name, e.g. session.ended, or with this prefix, e.g. `wake.`
    #[arg(long, value_name = "EVENT", add = crate::cli::args::complete::events())]
    event: Option<String>,
    /// Print how long ago each event was instead of its time
    #[arg(long, short, conflicts_with = "json")]
    relative: bool,
    /// Print the events as JSON Lines, as in the file
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    for name in &args.names {
        if !is_known(&engine, name)? {
            return Err(engine.no_such_peer(name).into());
        }
    }
    let journal = engine.state.journal();
    let mut tail = journal.tail();
    let oldest = args.since.map(|span| engine.now().before(span.0));
    // The limit is for the events that exist already; later ones are all new to the reader.
    let mut most = args.lines;
    let mut sheet = Sheet { shows_peer: args.names.len() != 1, room: columns(), ..Sheet::default() };
    loop {
        let mut events = tail.next_events().map_err(EngineError::from)?;
        events.retain(|event| wanted(args, oldest, event));
        let left_out = most.take().map_or(0, |most| events.len().saturating_sub(most));
        let entries = &events[left_out..];
        if args.json {
            entries.iter().try_for_each(|event| context.out.json_line(event))?;
        } else {
            let now = args.relative.then(|| engine.now());
            sheet.lines(entries, now).iter().try_for_each(|line| context.out.line(line))?;
        }
        context.out.flush()?;
        if !args.follow {
            return Ok(0);
        }
        tokio::time::sleep(FOLLOW).await;
    }
}

/// Whether there is or was a peer of this name: a removed peer still has its history.
fn is_known(engine: &Engine, name: &PeerName) -> Result<bool, EngineError> {
    let there =
        engine.config.spec_path(name).exists() || !engine.state.peer(name).all_on_disk().unwrap_or_default().is_empty();
    Ok(there || engine.state.journal().read_all()?.iter().any(|event| event.peer.as_ref() == Some(name)))
}

fn wanted(args: &Args, oldest: Option<Timestamp>, event: &Event) -> bool {
    let of_peer = args.names.is_empty() || event.peer.as_ref().is_some_and(|peer| args.names.contains(peer));
    let named = args.event.as_ref().is_none_or(|on| is_meant(on, &event.event));
    let young = oldest.is_none_or(|oldest| event.ts.parse::<Timestamp>().is_ok_and(|at| at >= oldest));
    of_peer && named && young
}

/// How events are set in lines: one line each, where the terminal has room for it.
#[derive(Debug, Default)]
struct Sheet {
    /// The columns of the terminal, if there is one.
    room: Option<usize>,
    /// Whether events of more than one peer are shown.
    shows_peer: bool,
    /// Whether a line did not fit: from then on, all are set closely.
    is_close: bool,
    /// The widths of peers, events and causes in close lines.
    widths: [usize; 3],
}

impl Sheet {
    /// The events as lines, with how long ago they were if it is `now`. Where they do not fit into the terminal, the year, the
    /// milliseconds and spare room give way first, then the end of the details: `--json` has all of it.
    fn lines(&mut self, events: &[Event], now: Option<Timestamp>) -> Vec<String> {
        let wide: Vec<String> = events.iter().map(|event| whole(event, now)).collect();
        let Some(room) = self.room else { return wide };
        self.is_close |= wide.iter().any(|line| width(line) > room);
        if !self.is_close {
            return wide;
        }
        for event in events {
            let parts = [peer(event), &event.event, event.cause.as_deref().unwrap_or_default()];
            for (known, part) in self.widths.iter_mut().zip(parts) {
                *known = width(&printable(part)).max(*known);
            }
        }
        events.iter().map(|event| cut(&self.close(event, now), room).into_owned()).collect()
    }

    fn close(&self, event: &Event, now: Option<Timestamp>) -> String {
        let [names, events, causes] = self.widths;
        let at = match (now, event.ts.get(5..19)) {
            (None, Some(at)) => at.replace('T', " "),
            _ => time(event, now),
        };
        let name = if self.shows_peer { format!("{:<names$}  ", peer(event)) } else { String::new() };
        let cause = event.cause.as_deref().unwrap_or_default();
        let line = format!("{at}  {name}{:<events$}  {cause:<causes$}  {}", event.event, details(event));
        printable(line.trim_end())
    }
}

/// One event with all of it.
fn whole(event: &Event, now: Option<Timestamp>) -> String {
    let cause = event.cause.as_deref().unwrap_or("");
    let line = format!("{}  {:<16} {:<22} {cause:<16} {}", time(event, now), peer(event), event.event, details(event));
    printable(line.trim_end())
}

fn peer(event: &Event) -> &str {
    event.peer.as_ref().map_or("-", PeerName::as_str)
}

fn details(event: &Event) -> String {
    let details: Vec<String> = event.details.iter().map(|(key, value)| format!("{key}={value}")).collect();
    details.join(" ")
}

fn time(event: &Event, now: Option<Timestamp>) -> String {
    match (event.ts.parse(), now) {
        (Ok(at), Some(now)) => format!("{:>8}", relative(at, now)),
        // A line that another program wrote is shown as it is.
        _ => event.ts.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(peer: &str, name: &str, details: &str) -> Event {
        let line = format!(
            r#"{{"ts":"2026-11-30T05:05:42.123Z","peer":"{peer}","event":"{name}","cause":"first-wake"{details}}}"#
        );
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[test]
    fn an_event_is_one_line_of_the_terminal_and_all_of_it_elsewhere() {
        let events =
            [event("api", "wake.decided", ""), event("web", "session.ended", r#","path":"/a/very/long/path""#)];
        let set = |room, shows_peer| Sheet { room, shows_peer, ..Sheet::default() }.lines(&events, None);
        let whole = set(None, true);
        assert!(whole[1].starts_with("2026-11-30T05:05:42.123Z  web              session.ended "), "{whole:?}");
        assert!(whole[1].ends_with(r#"path="/a/very/long/path""#), "{whole:?}");
        assert_eq!(set(Some(200), true), whole);
        assert_eq!(
            set(Some(80), true),
            [
                "11-30 05:05:42  api  wake.decided   first-wake",
                r#"11-30 05:05:42  web  session.ended  first-wake  path="/a/very/long/path""#,
            ]
        );
        assert_eq!(set(Some(60), false)[1], r#"11-30 05:05:42  session.ended  first-wake  path="/a/very/lo…"#);
    }
}

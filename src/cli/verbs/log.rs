use std::time::Duration;

use jiff::tz::TimeZone;
use peer_adapters::nearest;

use crate::cli::render::output::printable;
use crate::cli::render::terminal::{columns, cut, relative, width};
use crate::cli::{CliError, Context, Outcome};
use crate::config::Span;
use crate::engine::{Engine, EngineError};
use crate::policy::event::{EventName, is_meant};
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
    /// Only events of this name, e.g. session.ended, or of this group, e.g. wake
    #[arg(long, value_name = "EVENT", add = crate::cli::args::complete::events())]
    event: Option<String>,
    #[command(flatten)]
    times: Times,
    /// Print the events as JSON Lines, as in the file
    #[arg(long)]
    json: bool,
}

/// How times are shown.
#[derive(Debug, clap::Args)]
struct Times {
    /// Print how long ago each event was instead of its time
    #[arg(long, short, conflicts_with = "json")]
    relative: bool,
    /// Print times in UTC, as in the file; on a terminal they are by this machine's clock
    #[arg(long, conflicts_with = "relative")]
    utc: bool,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    for name in &args.names {
        if !is_known(&engine, name)? {
            return Err(engine.no_such_peer(name).into());
        }
    }
    let on = args.event.as_deref().map(|on| events_meant(&engine, on)).transpose()?;
    let journal = engine.state.journal();
    let mut tail = journal.tail();
    let oldest = args.since.map(|span| engine.now().before(span.0));
    // The limit is for the events that exist already; later ones are all new to the reader.
    let mut most = args.lines;
    let mut sheet = Sheet { shows_peer: args.names.len() != 1, room: columns(), ..Sheet::default() };
    sheet.zone = sheet.room.filter(|_| !args.times.utc).map(|_| TimeZone::system());
    loop {
        let mut events = tail.next_events().map_err(EngineError::from)?;
        events.retain(|event| wanted(args, on.as_deref(), oldest, event));
        let left_out = most.take().map_or(0, |most| events.len().saturating_sub(most));
        let entries = &events[left_out..];
        if args.json {
            entries.iter().try_for_each(|event| context.out.json_line(event))?;
        } else {
            let now = args.times.relative.then(|| engine.now());
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

/// The events that `--event` means: those of a name, or of a group (`wake`, `wake.`).
fn events_meant(engine: &Engine, on: &str) -> Result<String, CliError> {
    let group = format!("{}.", on.trim_end_matches('.'));
    let known = || EventName::ALL.iter().map(|event| event.as_str());
    for on in [on, &group] {
        // Another release may have written others.
        let is_logged = || -> Result<bool, EngineError> {
            Ok(engine.state.journal().read_all()?.iter().any(|event| is_meant(on, &event.event)))
        };
        if known().any(|event| is_meant(on, event)) || is_logged()? {
            return Ok(on.to_owned());
        }
    }
    let hint = match nearest(on, known()) {
        Some(near) => format!("did you mean {near}?"),
        None => "peer help events lists them".to_owned(),
    };
    Err(CliError::usage(format!("no event has the name {on:?}, and no group of events"), hint))
}

fn wanted(args: &Args, on: Option<&str>, oldest: Option<Timestamp>, event: &Event) -> bool {
    let of_peer = args.names.is_empty() || event.peer.as_ref().is_some_and(|peer| args.names.contains(peer));
    let named = on.is_none_or(|on| is_meant(on, &event.event));
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
    /// The zone of the times; UTC, as in the file, without one.
    zone: Option<TimeZone>,
}

/// The most columns that all causes get for the sake of one: a longer one moves only its own details.
const CAUSE: usize = 16;

impl Sheet {
    /// The events as lines, with how long ago they were if it is `now`. Where they do not fit into the terminal, the year, the
    /// milliseconds and spare room give way first, then the end of the details: `--json` has all of it.
    fn lines(&mut self, events: &[Event], now: Option<Timestamp>) -> Vec<String> {
        let wide: Vec<String> = events.iter().map(|event| whole(event, &self.time(event, now))).collect();
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
            self.widths[2] = self.widths[2].min(CAUSE);
        }
        events.iter().map(|event| cut(&self.close(event, now), room).into_owned()).collect()
    }

    fn close(&self, event: &Event, now: Option<Timestamp>) -> String {
        let [names, events, causes] = self.widths;
        let at = self.time(event, now);
        let at = match (now, at.get(5..19)) {
            // A time of UTC says so.
            (None, Some(close)) if self.zone.is_none() => format!("{}Z", close.replace('T', " ")),
            (None, Some(close)) => close.replace('T', " "),
            _ => at,
        };
        let name = if self.shows_peer { format!("{:<names$}  ", peer(event)) } else { String::new() };
        let cause = event.cause.as_deref().unwrap_or_default();
        let line = format!("{at}  {name}{:<events$}  {cause:<causes$}  {}", event.event, details(event));
        printable(line.trim_end())
    }

    /// When an event was: how long ago it was, the time by the clock of here, or what the file says.
    fn time(&self, event: &Event, now: Option<Timestamp>) -> String {
        match (event.ts.parse::<Timestamp>(), now, &self.zone) {
            (Ok(at), Some(now), _) => format!("{:>8}", relative(at, now)),
            (Ok(at), None, Some(zone)) => local(at, zone).unwrap_or_else(|| event.ts.clone()),
            // A line that another program wrote is shown as it is.
            _ => event.ts.clone(),
        }
    }
}

/// `2026-11-30T06:05:42.123+01:00`
fn local(at: Timestamp, zone: &TimeZone) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.as_ms()).ok()?).ok()?.to_zoned_datetime(zone.clone());
    Some(at.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string())
}

/// One event with all of it.
fn whole(event: &Event, time: &str) -> String {
    let cause = event.cause.as_deref().unwrap_or("");
    let line = format!("{time}  {:<16} {:<22} {cause:<16} {}", peer(event), event.event, details(event));
    printable(line.trim_end())
}

fn peer(event: &Event) -> &str {
    event.peer.as_ref().map_or("-", PeerName::as_str)
}

fn details(event: &Event) -> String {
    let details: Vec<String> = event.details.iter().map(|(key, value)| format!("{key}={value}")).collect();
    details.join(" ")
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
        let zone = Some(TimeZone::fixed(jiff::tz::offset(1)));
        let set = |room, shows_peer| {
            Sheet { room, shows_peer, zone: room.and(zone.clone()), ..Sheet::default() }.lines(&events, None)
        };
        let whole = set(None, true);
        assert!(whole[1].starts_with("2026-11-30T05:05:42.123Z  web              session.ended "), "{whole:?}");
        assert!(whole[1].ends_with(r#"path="/a/very/long/path""#), "{whole:?}");
        let at_most = set(Some(200), true);
        assert!(
            at_most[1].starts_with("2026-11-30T06:05:42.123+01:00  web              session.ended "),
            "{at_most:?}"
        );
        let utc = |room| Sheet { room: Some(room), ..Sheet::default() }.lines(&events, None);
        assert_eq!(utc(200), whole);
        assert_eq!(utc(60)[0], "11-30 05:05:42Z  wake.decided   first-wake");
        assert_eq!(
            set(Some(80), true),
            [
                "11-30 06:05:42  api  wake.decided   first-wake",
                r#"11-30 06:05:42  web  session.ended  first-wake  path="/a/very/long/path""#,
            ]
        );
        assert_eq!(set(Some(60), false)[1], r#"11-30 06:05:42  session.ended  first-wake  path="/a/very/lo…"#);
    }

    #[test]
    fn one_long_cause_does_not_take_the_details_of_the_others() {
        let mut events = vec![event("api", "wake.decided", ""), event("api", "session.ended", r#","exit":3"#)];
        events[0].cause = Some("a-cause-that-is-far-longer-than-most".to_owned());
        let lines = Sheet { room: Some(70), ..Sheet::default() }.lines(&events, None);
        assert_eq!(
            lines,
            [
                "11-30 05:05:42Z  wake.decided   a-cause-that-is-far-longer-than-most",
                "11-30 05:05:42Z  session.ended  first-wake        exit=3",
            ]
        );
    }
}

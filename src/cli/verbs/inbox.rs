use std::time::Duration;

use jiff::{ZonedDateTime, civil};
use serde_json::{Value, json};

use crate::cli::args::several::named;
use crate::cli::render::output::{self, printable};
use crate::cli::{CliError, Context, Outcome};
use crate::config::format_span;
use crate::engine::Engine;
use crate::engine::message::Message;
use crate::engine::verbs::inbox::NEXT;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{Inbox, Queued};

/// How many characters of a message a line shows.
const SHOWN: usize = 60;

/// List the messages queued for a peer, and why they wait
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  peer inbox api\n  peer inbox api --cancel 7\n  peer inbox api --dead")]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// Remove this message from the inbox
    #[arg(long, value_name = "ID", conflicts_with = "dead")]
    cancel: Option<u64>,
    /// List messages that will never be delivered, and why
    #[arg(long)]
    dead: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    if let Some(id) = args.cancel {
        if !engine.cancel(&args.name, id).await? {
            let hint = format!("peer inbox {} lists the queued messages", args.name);
            return Err(CliError::Nothing { problem: format!("no message {id} waits for {}", args.name), hint });
        }
        if args.json {
            context.out.document("inbox", &named(&args.name, json!({ "cancelled": id })))?;
        } else {
            context.out.line(format!("{}: message {id} is cancelled", args.name))?;
        }
        return Ok(0);
    }
    let (inbox, why, now) = (engine.inbox(&args.name)?, why(&engine, &args.name, args.dead).await?, engine.now());
    let none = Vec::new();
    let (taken, messages) = if args.dead { (&none, &inbox.dead) } else { (&inbox.taken, &inbox.waiting) };
    if args.json {
        context.out.document("inbox", &document(&args.name, &inbox, args.dead, why.as_deref()))?;
        return Ok(0);
    }
    for (path, why) in &inbox.unreadable {
        output::note(&format!("{} does not parse and is left out: {why}", path.display()));
    }
    if messages.is_empty() && taken.is_empty() {
        let nothing = if args.dead { "nothing was put aside" } else { "nothing waits" };
        context.out.line(format!("{}: {nothing}", args.name))?;
    }
    for message in taken.iter().chain(messages) {
        context.out.line(printable(&line(message, now)))?;
        let worker = message.taken.map(|worker| format!("incarnation {worker} works on it"));
        if let Some(why) = worker.as_ref().or(message.why.as_ref()) {
            context.out.line(printable(&format!("      {why}")))?;
        }
    }
    if let Some(why) = why {
        let held_up = if why == NEXT { "" } else { "not delivered yet: " };
        context.out.words(printable(&format!("{}: {held_up}{why}", args.name)), 2)?;
    }
    Ok(0)
}

/// Why what waits is not delivered now; nothing that is not due waits for anything else.
pub(crate) async fn why(engine: &Engine, name: &PeerName, dead: bool) -> Result<Option<String>, CliError> {
    let now = engine.now();
    let due = engine.inbox(name)?.waiting.iter().any(|message| message.not_before_ms.is_none_or(|at| at <= now));
    Ok(if due && !dead { Some(engine.held_up(&engine.peer(name)?).await?) } else { None })
}

/// What `--json` prints of an inbox.
pub(crate) fn document(name: &PeerName, inbox: &Inbox, dead: bool, why: Option<&str>) -> Value {
    let messages = if dead { &inbox.dead } else { &inbox.waiting };
    let unreadable: Vec<_> = inbox.unreadable.iter().map(|(path, why)| json!({ "file": path, "error": why })).collect();
    named(name, json!({ "messages": messages, "taken": inbox.taken, "why": why, "unreadable": unreadable }))
}

/// `  3  5m ago  from web  (review)  look at the tests`
fn line(message: &Queued, now: Timestamp) -> String {
    let rough = |span: Duration| match span.as_secs() {
        0 => "0s".to_owned(),
        seconds => format_span(Duration::from_secs(seconds)),
    };
    let from = message.from.as_ref().map(|from| format!("  from {from}")).unwrap_or_default();
    let topic = message.topic.as_ref().map(|topic| format!("  ({topic})")).unwrap_or_default();
    let due = message.not_before_ms.filter(|at| *at > now).map(|at| format!("  due in {}", rough(at.since(now))));
    let words = message.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = words.chars().take(SHOWN).collect();
    let more = if words.chars().count() > SHOWN { "…" } else { "" };
    let ago = rough(now.since(message.at_ms));
    format!("{:>5}  {ago} ago{from}{topic}{}  {shown}{more}", message.id, due.unwrap_or_default())
}

/// Puts a message into an inbox and prints what became of it.
pub(crate) async fn post(
    name: &PeerName,
    message: &Message,
    not_before: Option<Timestamp>,
    json: bool,
    context: &mut Context,
) -> Outcome {
    let engine = context.engine()?;
    let posted = engine.post(name, message, not_before).await;
    let posted = match posted.map_err(CliError::from) {
        Ok(posted) => posted,
        Err(error) if json => {
            context.out.document("send", &named(name, error.to_json()))?;
            return Ok(error.code());
        }
        Err(error) => return Err(error),
    };
    if json {
        let fields = json!({ "queued": posted.id, "delivered": posted.delivered, "not_before_ms": not_before });
        context.out.document("send", &named(name, fields))?;
    } else {
        let delivered = if posted.delivered { " and delivered" } else { "" };
        context.out.line(format!("{name}: queued as {}{delivered}", posted.id))?;
    }
    Ok(0)
}

/// Parses a time as a person types it: a time of day, today or, if it has passed, tomorrow; or a date and time.
pub(crate) fn at(text: &str) -> Result<Timestamp, String> {
    moment(text, &ZonedDateTime::now()).ok_or_else(|| {
        format!("{text:?} is not a time: write it like 07:00, 2026-11-29T07:00 or 2026-11-29T07:00:00+01:00")
    })
}

/// The moment that a text names. What names no zone is by the clock that shows `now`.
fn moment(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    // A date alone names no moment.
    let text = Some(text.trim()).filter(|text| text.contains(':'))?;
    let with_zone = || text.parse().or_else(|_| text.parse().map(|at: ZonedDateTime| at.timestamp())).ok();
    // Ignores an offset, so it comes last.
    let here = || Some(zoned(text.parse().ok()?, now)?.timestamp());
    next(text, now).or_else(|| u64::try_from(with_zone().or_else(here)?.as_millisecond()).ok()).map(Timestamp::from_ms)
}

fn zoned(at: civil::DateTime, now: &ZonedDateTime) -> Option<ZonedDateTime> {
    at.to_zoned_datetime(now.time_zone().clone()).ok()
}

/// The first moment after `now` at which a clock shows this time, in milliseconds since the epoch.
fn next(text: &str, now: &ZonedDateTime) -> Option<u64> {
    let (hours, minutes) = text.split_once(':').filter(|(_, minutes)| minutes.len() == 2)?;
    let time = civil::Time::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()?;
    let on = |date: civil::Date| zoned(date.to_datetime(time), now);
    let today = on(now.date()).filter(|at| at > now);
    let at = today.or_else(|| on(now.date().tomorrow().ok()?))?;
    u64::try_from(at.timestamp().as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_next_one_by_the_clock_of_here() {
        let told = |text: &str, now: &str| {
            let now: ZonedDateTime = now.parse().expect("a time");
            moment(text, &now).map(|at| at.to_string())
        };
        let evening = "2026-11-28T22:30:00[Europe/Berlin]";
        assert_eq!(told("07:00", evening).as_deref(), Some("2026-11-29T06:00:00.000Z"));
        assert_eq!(told("23:00", evening).as_deref(), Some("2026-11-28T22:00:00.000Z"));
        assert_eq!(told("22:30", evening).as_deref(), Some("2026-11-29T21:30:00.000Z"));
        // In the night in which the clock is set back.
        assert_eq!(told("07:00", "2026-10-24T12:00:00[Europe/Berlin]").as_deref(), Some("2026-10-25T06:00:00.000Z"));
        for wrong in ["7", "25:00", "07:0", "07:60", "soon", "", "2026-11-29", "2026-02-30T07:00", "1960-01-01T07:00Z"]
        {
            assert_eq!(told(wrong, evening), None, "{wrong}");
        }
    }

    #[test]
    fn a_date_and_time_is_by_its_zone_or_else_by_the_clock_of_here() {
        let now = "2026-11-28T22:30:00[Europe/Berlin]".parse().expect("a time");
        for (text, expected) in [
            ("2026-11-29T07:00:00Z", "2026-11-29T07:00:00.000Z"),
            ("2026-11-29T07:00:00+01:00", "2026-11-29T06:00:00.000Z"),
            ("2026-11-29T07:00:00.123456789+01:00", "2026-11-29T06:00:00.123Z"),
            ("2026-11-29T07:00[America/New_York]", "2026-11-29T12:00:00.000Z"),
            ("2026-11-29T07:00:00-05:00[America/New_York]", "2026-11-29T12:00:00.000Z"),
            ("2026-11-29T07:00", "2026-11-29T06:00:00.000Z"),
            ("2026-11-29 07:00:00", "2026-11-29T06:00:00.000Z"),
            ("2027-06-01 07:00", "2027-06-01T05:00:00.000Z"),
        ] {
            assert_eq!(moment(text, &now).map(|at| at.to_string()).as_deref(), Some(expected), "{text}");
        }
    }
}

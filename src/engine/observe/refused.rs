//! Determines whether its service has stopped an agent: for a usage limit, and until when, or because its account or key
//! is not accepted. From the agent's own files, or else from its screen.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, ZonedDateTime};
use peer_adapters::transcript::{Refusal, RefusedFor};

use crate::engine::{Engine, Peer};
use crate::policy::time::Timestamp;
use crate::policy::turn::{Ask, AskKind, Limit, Turn, Witness};
use crate::store::SessionRecord;

impl Engine {
    /// Returns what the refusal that has stopped the agent of `record` makes of its turn ([`Turn::Limited`], or
    /// [`Turn::Waiting`] for someone to sign in), with its start and witness. `shown` is what the screen says about a
    /// limit. `None` if neither the agent's files nor its screen show one.
    pub(crate) fn refused_turn(
        &self,
        peer: &Peer,
        record: &SessionRecord,
        shown: Option<&str>,
    ) -> Option<(Turn, Option<Timestamp>, Witness)> {
        let id = record.conversation.as_deref();
        let noted = id.and_then(|id| self.in_own_files(peer, &peer.profile, |files| files.refused(id)).ok()?.ok()?);
        if let Some(Refusal { reason, at, text, until }) = noted {
            let since = at.map(Timestamp::from);
            let at = since.unwrap_or_else(|| self.now());
            match reason {
                RefusedFor::UsageLimit => {
                    let until = until.map(Timestamp::from).or_else(|| end_in(&text, at)).or_else(|| end_in(shown?, at));
                    return Some((Turn::Limited(Limit { until_ms: until }), since, Witness::Transcript));
                }
                // An agent that was started since may have another account or key.
                RefusedFor::Account if record.ready_at().is_some_and(|ready| at >= ready) => {
                    let question = text.lines().next().map(str::to_owned);
                    let ask = Ask { kind: AskKind::SignIn, question, answerable: false };
                    return Some((Turn::Waiting(ask), since, Witness::Transcript));
                }
                RefusedFor::Account => {}
            }
        }
        let shown = shown?;
        Some((Turn::Limited(Limit { until_ms: end_in(shown, self.now()) }), None, Witness::Screen))
    }
}

/// Parses the end of a limit from an agent's message that was written at `at`: `resets 3pm (Europe/Berlin)`, `try again
/// at 3:05 PM`, `resets Dec 2 at 9am`, `in 2 hours 5 minutes`, `…|1795305600`. Uses the time zone of this machine if
/// the message names none.
fn end_in(text: &str, at: Timestamp) -> Option<Timestamp> {
    let here = TimeZone::system();
    until(text, at, &here)
}

fn until(text: &str, at: Timestamp, here: &TimeZone) -> Option<Timestamp> {
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '|' | '∙' | '·'))
        .map(|word| word.trim_matches(['.', ';', '"', '\'']).to_owned())
        .filter(|word| !word.is_empty())
        .collect();
    let zone = words.iter().find_map(|word| zone(word)).unwrap_or_else(|| here.clone());
    let now = jiff::Timestamp::from_millisecond(i64::try_from(at.as_ms()).ok()?).ok()?.to_zoned_datetime(zone);
    let epoch = words.iter().find_map(|word| epoch(word));
    let named = words.iter().find_map(|word| word.parse::<Timestamp>().ok().filter(|_| word.contains('T')));
    epoch.or(named).or_else(|| spans(&words, &now)).or_else(|| clock(&words, &now))
}

/// Parses a Unix time: ten digits are seconds, thirteen are milliseconds.
fn epoch(word: &str) -> Option<Timestamp> {
    let number = word.parse::<u64>().ok()?;
    match word.len() {
        10 => Some(Timestamp::from_ms(number * 1000)),
        13 => Some(Timestamp::from_ms(number)),
        _ => None,
    }
}

fn zone(word: &str) -> Option<TimeZone> {
    let is_one = word.contains('/') || word == "UTC" || word == "GMT";
    is_one.then(|| TimeZone::get(word).ok()).flatten()
}

/// Parses a duration from `now`: `in 2 hours 5 minutes`, `in 2h 5m`, `in 3 days`.
fn spans(words: &[String], now: &ZonedDateTime) -> Option<Timestamp> {
    // Not each `in` begins one: `signed in as …`.
    let begins = |(at, word): (usize, &String)| word.eq_ignore_ascii_case("in").then_some(at + 1);
    words.iter().enumerate().filter_map(begins).find_map(|begins| span_from(&words[begins..], now))
}

fn span_from(words: &[String], now: &ZonedDateTime) -> Option<Timestamp> {
    let (mut span, mut found, mut number) = (Span::new(), false, None);
    for word in words {
        let digits = word.chars().take_while(char::is_ascii_digit).count();
        if digits > 0 {
            number = word[..digits].parse::<i64>().ok();
        }
        let Some(amount) = number else { break };
        let unit = &word[digits..].to_ascii_lowercase();
        let added = match unit.as_str() {
            "" => continue,
            "d" | "day" | "days" => span.try_days(i64::from(span.get_days()) + amount),
            "h" | "hr" | "hrs" | "hour" | "hours" => span.try_hours(i64::from(span.get_hours()) + amount),
            "m" | "min" | "mins" | "minute" | "minutes" => span.try_minutes(span.get_minutes() + amount),
            "s" | "sec" | "secs" | "second" | "seconds" => span.try_seconds(span.get_seconds() + amount),
            _ => break,
        };
        (span, found, number) = (added.ok()?, true, None);
    }
    found.then(|| now.checked_add(span).ok().as_ref().and_then(millis)).flatten()
}

/// Returns the next moment at which a clock shows the time in `words`, on the named day if there is one.
fn clock(words: &[String], now: &ZonedDateTime) -> Option<Timestamp> {
    let (place, time) = words.iter().enumerate().find_map(|(place, word)| {
        let half = words.get(place + 1).map(String::as_str).unwrap_or_default();
        Some((place, time(word, half)?))
    })?;
    let on = |date: Date| date.to_datetime(time).to_zoned_datetime(now.time_zone().clone()).ok();
    // Seconds are not written, so a limit that is over in this minute is not over tomorrow.
    let minute = now.with().second(0).subsec_nanosecond(0).build().ok()?;
    let at = match words[..place].iter().zip(&words[1..]).find_map(|(month, day)| date(month, day, now)) {
        Some(date) => on(date)?,
        None => on(now.date()).filter(|at| *at >= minute).or_else(|| on(now.date().tomorrow().ok()?))?,
    };
    millis(&at)
}

/// Parses a time of day: `3pm`, `3:05pm`, `3:05 PM`, `15:05`.
fn time(word: &str, half: &str) -> Option<Time> {
    let word = word.to_ascii_lowercase();
    let (digits, half) = match word.find(|c: char| !c.is_ascii_digit() && c != ':') {
        Some(end) => (&word[..end], word[end..].to_owned()),
        None => (word.as_str(), half.to_ascii_lowercase()),
    };
    let half = half.replace('.', "");
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let (hours, minutes) = (hours.parse::<i8>().ok()?, minutes.parse::<i8>().ok()?);
    let hours = match half.as_str() {
        "am" => hours % 12,
        "pm" => hours % 12 + 12,
        _ if digits.contains(':') && !word.contains(|c: char| c.is_ascii_alphabetic()) => hours,
        _ => return None,
    };
    Time::new(hours, minutes, 0, 0).ok()
}

/// Parses a date: `Dec 2`, `December 2nd`. It is in this year, or in the next if it ended more than a day ago.
fn date(month: &str, day: &str, now: &ZonedDateTime) -> Option<Date> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let month = month.to_ascii_lowercase();
    let number = MONTHS.iter().position(|begins| month.starts_with(begins))? + 1;
    let day = day.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()?;
    let of = |year| Date::new(year, i8::try_from(number).ok()?, day).ok();
    let this = of(now.year())?;
    if this.tomorrow().ok()? < now.date() { of(now.year() + 1) } else { Some(this) }
}

fn millis(at: &ZonedDateTime) -> Option<Timestamp> {
    u64::try_from(at.timestamp().as_millisecond()).ok().map(Timestamp::from_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the end of a limit in this text, as written at 22:30 in Berlin on the 28th of November.
    fn told(text: &str) -> Option<String> {
        let at: Timestamp = "2026-11-28T21:30:05Z".parse().expect("a time");
        let here = TimeZone::get("Europe/Berlin").expect("a zone");
        until(text, at, &here).map(|until| until.to_string().replace(".000Z", "Z"))
    }

    #[test]
    fn the_end_of_a_limit_is_read_as_agents_write_it() {
        for (text, expected) in [
            ("You've hit your limit · resets 3am (Europe/Berlin)", "2026-11-29T02:00:00Z"),
            ("You've hit your session limit · resets 11:50pm (UTC)", "2026-11-28T23:50:00Z"),
            ("Weekly limit reached ∙ resets Dec 2 at 9am (UTC)", "2026-12-02T09:00:00Z"),
            ("Claude AI usage limit reached|1795305600", "2026-11-22T00:00:00Z"),
            ("You've hit your usage limit. Upgrade to Pro or try again at 11:05 PM.", "2026-11-28T22:05:00Z"),
            ("You've hit your usage limit. Try again at Jan 3rd, 2027 7:00 AM.", "2027-01-03T06:00:00Z"),
            ("Try again in 2 hours 13 minutes.", "2026-11-28T23:43:05Z"),
            ("try again in 3 days 4 hours", "2026-12-02T01:30:05Z"),
            ("usage limit, retry in 1h 5m", "2026-11-28T22:35:05Z"),
            ("You are signed in as me. Usage limit, try again in 2 hours", "2026-11-28T23:30:05Z"),
            ("resets at 23:45", "2026-11-28T22:45:00Z"),
            ("try again at 10:30 PM", "2026-11-28T21:30:00Z"),
            ("try again at 10:29 PM", "2026-11-29T21:29:00Z"),
            ("the limit is over at 2026-11-29T07:00:00Z", "2026-11-29T07:00:00Z"),
        ] {
            assert_eq!(told(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["You've hit your limit", "429 Too Many Requests", "in a while", "resets soon", ""] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}

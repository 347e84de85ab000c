//! The text forms of durations and sizes in configuration files.

use std::fmt;
use std::time::Duration;

use peer_adapters::runtime::{RuntimeKind, RuntimeName};
use serde::{Deserialize, Serialize};

/// Returns what is wrong with the name of a runtime, and what to write instead, if it is not a supported one.
pub(super) fn check_runtime(runtime: &RuntimeName) -> Option<(String, String)> {
    let RuntimeName::Unknown(name) = runtime else { return None };
    Some((format!("there is no runtime {name:?}"), format!("write one of {}", RuntimeKind::NAMES.join(", "))))
}

/// A hundred years: longer than any useful wait, and short enough to be added to any timestamp.
const LONGEST: Duration = Duration::from_secs(36_525 * 86_400);

/// A duration, written `90s`, `15m` or `1h30m`. `0` means never, for keys that define it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let span = humantime::parse_duration(text).ok().filter(|span| *span <= LONGEST);
        span.map(Self).ok_or_else(|| format!("{text:?} is not a duration: write it like 90s, 15m or 1h30m"))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_span(self.0))
    }
}

/// Formats a duration in the form that [`Span`] parses: `1h30m`.
pub fn format_span(duration: Duration) -> String {
    if duration.is_zero() { "0".to_owned() } else { humantime::format_duration(duration).to_string().replace(' ', "") }
}

/// The columns and rows of a terminal, written `200x50`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaneSize {
    /// 20 to 1000.
    pub columns: u16,
    /// 5 to 1000.
    pub rows: u16,
}

impl std::str::FromStr for PaneSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('x').and_then(|(columns, rows)| Some((columns.parse().ok()?, rows.parse().ok()?)));
        match numbers {
            Some((columns @ 20..=1000, rows @ 5..=1000)) => Ok(Self { columns, rows }),
            Some(_) => Err(format!("{text:?} is not a terminal size: from 20x5 to 1000x1000")),
            None => Err(format!("{text:?} is not a terminal size: write it like 200x50, columns first")),
        }
    }
}

impl TryFrom<String> for PaneSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PaneSize> for String {
    fn from(size: PaneSize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for PaneSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.columns, self.rows)
    }
}

/// An amount of memory, written `512M` or `2G`, in powers of 1024 as in `ulimit` and systemd. `0` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    /// The amount in KiB.
    pub kib: u64,
}

/// The unit letters with their size in KiB.
const UNITS: [(char, u64); 4] = [('K', 1), ('M', 1 << 10), ('G', 1 << 20), ('T', 1 << 30)];

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a size: write it like 512M or 2G; 0 is no limit");
        if text.trim() == "0" {
            return Ok(Self { kib: 0 });
        }
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        let unit = unit.strip_suffix('B').unwrap_or(unit);
        let unit = unit.strip_suffix('i').unwrap_or(unit);
        let number: u64 = digits.parse().map_err(|_| bad())?;
        let (_, factor) = UNITS
            .into_iter()
            .find(|(letter, _)| unit.eq_ignore_ascii_case(letter.encode_utf8(&mut [0; 4])))
            .ok_or_else(bad)?;
        Ok(Self { kib: number.checked_mul(factor).ok_or_else(bad)? })
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kib == 0 {
            return f.pad("0");
        }
        let (letter, factor) = UNITS
            .into_iter()
            .rev()
            .find(|(_, factor)| self.kib >= *factor && self.kib.is_multiple_of(*factor))
            .unwrap_or(UNITS[0]);
        f.pad(&format!("{}{letter}", self.kib / factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_as_they_print() {
        for text in ["90s", "15m", "1h30m", "0"] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        for (text, kib) in [
            ("1K", 1),
            ("512M", 512 << 10),
            ("2G", 2 << 20),
            ("2GB", 2 << 20),
            ("2Gi", 2 << 20),
            ("2GiB", 2 << 20),
            ("3m", 3 << 10),
            ("0", 0),
            ("0G", 0),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!(size.kib, kib);
            assert_eq!(size.to_string().parse(), Ok(size));
        }
    }

    #[test]
    fn what_is_neither_says_how_to_write_it() {
        assert!("soon".parse::<Span>().expect_err("no duration").contains("like 90s"));
        for text in ["", "G", "12", "1.5G", "99999999999999999999G", "2GiiiBBB", "2GBB", "2BiG", "2B", "2iB", "2i"] {
            assert!(text.parse::<Size>().expect_err(text).contains("like 512M"));
        }
    }
}

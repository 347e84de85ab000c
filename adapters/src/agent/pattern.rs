//! Regular expressions in profiles. Most uses of a profile need few of them, so each is compiled at its first use; a
//! list of a fleet usually needs none.

use std::fmt;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The size up to which an expression is compiled only at its first use. `regex` refuses expressions that take more than
/// 10 MB; one of this size takes some 1 MB.
const SURELY_SMALL: usize = 10_000;

/// A regular expression over the plain text of a screen; `^` and `$` match at line boundaries.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    /// The names of its groups.
    groups: Vec<Box<str>>,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    /// Returns the compiled expression. Takes up to a few milliseconds the first time.
    #[allow(clippy::missing_panics_doc, reason = "its syntax and its size were checked when it was parsed")]
    pub fn regex(&self) -> &Regex {
        self.compiled.get_or_init(|| compile(&self.text).expect("its syntax and its size are valid"))
    }

    /// Returns `true` if it matches anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex().is_match(text)
    }

    /// Returns `true` if it has a group of this name.
    pub fn has_group(&self, name: &str) -> bool {
        self.groups.iter().any(|group| **group == *name)
    }

    fn parse(text: String) -> Result<Self, String> {
        // The parser's own message spans several lines and shows the position; its last line states the error.
        let last =
            |error: String| error.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        let parsed =
            ParserBuilder::new().multi_line(true).build().parse(&text).map_err(|error| last(error.to_string()))?;
        let compiled = if size(&parsed) > SURELY_SMALL {
            OnceLock::from(compile(&text).map_err(|error| last(error.to_string()))?)
        } else {
            OnceLock::new()
        };
        Ok(Self { groups: groups(&parsed), text, compiled })
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).multi_line(true).build()
}

fn groups(of: &Hir) -> Vec<Box<str>> {
    let own = match of.kind() {
        HirKind::Capture(capture) => capture.name.clone(),
        _ => None,
    };
    own.into_iter().chain(of.kind().subs().iter().flat_map(groups)).collect()
}

/// Returns about how many states the compiled expression has.
fn size(of: &Hir) -> usize {
    match of.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() * 4,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len(),
        HirKind::Capture(capture) => size(&capture.sub) + 2,
        HirKind::Repetition(repeated) => {
            let times = repeated.max.unwrap_or(repeated.min).max(1) as usize;
            size(&repeated.sub).saturating_mul(times).saturating_add(1)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().map(size).fold(1, usize::saturating_add),
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(text.clone())
            .map_err(|why| D::Error::custom(format!("{text:?} is not a regular expression: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_expression_is_compiled_when_it_is_used() {
        let pattern = Pattern::parse(r"^ ?(?P<label>\w+): \d{1,3}%$".to_owned()).expect("valid");
        assert!(pattern.compiled.get().is_none() && pattern.has_group("label") && !pattern.has_group("number"));
        assert!(pattern.is_match("first\nused: 42%\nlast"));
        assert!(pattern.compiled.get().is_some());
    }

    #[test]
    fn every_expression_that_cannot_be_compiled_is_refused_when_it_is_parsed() {
        for wrong in ["(", "[z-a]", r"\w{1000}{1000}", r"(\pL{100}){90}", "(((a{100}){100}){100}){100}"] {
            Pattern::parse(wrong.to_owned()).expect_err(wrong);
        }
    }

    #[test]
    fn what_is_compiled_later_can_be_compiled() {
        let letter = ParserBuilder::new().build().parse(r"\w").expect("valid");
        let letters = r"\w".repeat((SURELY_SMALL - 1) / size(&letter));
        for text in [letters, "a".repeat(SURELY_SMALL - 1), "(?:ab|cd|ef)".repeat(SURELY_SMALL / 16)] {
            let pattern = Pattern::parse(text).expect("valid");
            assert!(pattern.compiled.get().is_none());
            pattern.regex();
        }
    }
}

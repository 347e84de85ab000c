//! The user's crontab: it is changed only between `peer`'s marker lines, and otherwise left as it is, byte for byte.

use std::path::Path;
use std::time::Duration;

use peer_adapters::command::{self, Argv};

use super::texts::quoted_for_sh;
use super::{DEADLINE, EngineError, Result};

/// The two lines that enclose a fleet's line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Marks {
    begin: String,
    end: String,
}

impl Marks {
    /// The marks of the first fleet in a crontab, which is usually the only one.
    fn plain() -> Self {
        Self {
            begin: "# >>> peer timer >>> (written by `peer timer install`)\n".to_owned(),
            end: "# <<< peer timer <<<\n".to_owned(),
        }
    }

    /// The marks of any other fleet.
    fn of(fleet: &str) -> Self {
        Self {
            begin: format!("# >>> peer timer {fleet} >>> (written by `peer timer install`)\n"),
            end: format!("# <<< peer timer {fleet} <<<\n"),
        }
    }

    /// Returns the text before the marks, between them, and after them.
    fn split<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
        let (before, rest) = text.split_once(&self.begin)?;
        let (inside, after) = rest.split_once(&self.end)?;
        Some((before, inside, after))
    }
}

/// A fleet's line in a crontab.
#[derive(Clone, Debug)]
pub(super) struct Line {
    command: String,
    fleet: String,
}

impl Line {
    /// A line that runs `script`. `fleet` distinguishes this fleet from others in the same crontab.
    pub(super) fn new(script: &Path, fleet: &str) -> Self {
        // An unescaped % would end the command there and turn the rest into its input.
        let command = format!("/bin/sh {}", quoted_for_sh(&script.display().to_string())).replace('%', "\\%");
        Self { command, fleet: fleet.to_owned() }
    }

    /// Returns the marks between which the line is, if it is in the text.
    fn found(&self, text: &str) -> Option<Marks> {
        let ours = |marks: &Marks| {
            let inside = marks.split(text).map(|(_, inside, _)| inside.trim_end());
            inside.is_some_and(|line| line.strip_suffix(&self.command).is_some_and(|schedule| schedule.ends_with(' ')))
        };
        [Marks::plain(), Marks::of(&self.fleet)].into_iter().find(ours)
    }

    /// Returns the marks between which the line is, or would be put.
    fn marks(&self, text: &str) -> Marks {
        let free = || Some(Marks::plain()).filter(|marks| marks.split(text).is_none());
        self.found(text).or_else(free).unwrap_or_else(|| Marks::of(&self.fleet))
    }

    /// Returns what would be put into this crontab, marks included.
    ///
    /// # Errors
    /// The interval is no whole number of minutes that divides an hour.
    pub(super) fn block(&self, text: &str, every: Duration) -> Result<String> {
        let schedule = schedule(every).ok_or_else(|| EngineError::Declaration {
            what: format!("timer every {} s", every.as_secs()),
            problem: "cron cannot express that interval".to_owned(),
            hint: Some(
                "use 60s, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m or 1h, or `peer watch --every`".to_owned(),
            ),
        })?;
        let Marks { begin, end } = self.marks(text);
        Ok(format!("{begin}{schedule} {}\n{end}", self.command))
    }

    /// Returns the crontab with the line: in its old place, or at the end.
    ///
    /// # Errors
    /// As [`Line::block`].
    pub(super) fn with(&self, text: &str, every: Duration) -> Result<String> {
        let block = self.block(text, every)?;
        Ok(match self.marks(text).split(text) {
            Some((before, _, after)) => format!("{before}{block}{after}"),
            // cron refuses a crontab that does not end with a newline, so adding one loses nothing.
            None if !text.is_empty() && !text.ends_with('\n') => format!("{text}\n{block}"),
            None => format!("{text}{block}"),
        })
    }

    /// Returns the crontab without the line.
    pub(super) fn without(&self, text: &str) -> String {
        let found = self.found(text).and_then(|marks| marks.split(text));
        found.map_or_else(|| text.to_owned(), |(before, _, after)| format!("{before}{after}"))
    }

    /// Returns the line's interval in a crontab; `None` if it is not there.
    pub(super) fn interval(&self, text: &str) -> Option<Duration> {
        let marks = self.found(text)?;
        let (_, line, _) = marks.split(text)?;
        let minutes: u64 = match line.split_once(' ')? {
            ("*", _) => 1,
            ("0", _) => 60,
            (step, _) => step.strip_prefix("*/")?.parse().ok()?,
        };
        minutes.checked_mul(60).map(Duration::from_secs)
    }
}

fn schedule(every: Duration) -> Option<String> {
    let (minutes, rest) = (every.as_secs() / 60, every.as_secs() % 60);
    match (minutes, rest) {
        (1, 0) => Some("* * * * *".to_owned()),
        (2..60, 0) if 60 % minutes == 0 => Some(format!("*/{minutes} * * * *")),
        (60, 0) => Some("0 * * * *".to_owned()),
        _ => None,
    }
}

/// Reads the crontab; empty if there is none.
///
/// # Errors
/// It cannot be read, or is not UTF-8. It must not be written then.
pub(super) async fn read() -> Result<String> {
    let output = command::run(&Argv::new("crontab").arg("-l").env("LC_ALL", "C"), None, DEADLINE).await;
    let output = output.map_err(|error| failed("-l", error.to_string()))?;
    // `no crontab for USER`: Debian, macOS, cronie and busybox all say so, with exit code 1.
    if !output.status.success() && output.stderr.contains("no crontab for") {
        return Ok(String::new());
    }
    if !output.status.success() {
        return Err(failed("-l", output.summary()));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("-l", "it is not UTF-8".to_owned()))
}

/// Replaces the crontab; an empty one is removed.
///
/// # Errors
/// `crontab` refuses the text; the old one stays.
pub(super) async fn write(text: &str) -> Result<()> {
    let (flag, input) = if text.is_empty() { ("-r", None) } else { ("-", Some(text.as_bytes())) };
    match command::run(&Argv::new("crontab").arg(flag), input, DEADLINE).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(flag, output.summary())),
        Err(error) => Err(failed(flag, error.to_string())),
    }
}

fn failed(flag: &str, problem: String) -> EngineError {
    let hint = Some("peer timer install --kind cron --print prints the line, to be added manually".to_owned());
    EngineError::Declaration { what: format!("crontab {flag}"), problem, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(script: &str) -> Line {
        Line::new(Path::new(script), script.trim_start_matches('/'))
    }

    fn with(text: &str, script: &str, every: u64) -> String {
        line(script).with(text, Duration::from_secs(every)).expect("cron counts it")
    }

    #[test]
    fn only_what_cron_can_count_is_taken() {
        for every in [60, 120, 300, 1800, 3600] {
            assert_eq!(line("/s").interval(&with("", "/s", every)), Some(Duration::from_secs(every)));
        }
        for every in [0, 1, 59, 61, 90, 7 * 60, 3660, 7200] {
            line("/s").block("", Duration::from_secs(every)).expect_err("cron cannot count it");
        }
    }

    #[test]
    fn a_percent_sign_does_not_end_the_command() {
        let block = line("/a b/100%/it's").block("", Duration::from_secs(60)).expect("a line");
        assert!(block.contains(r"* * * * * /bin/sh '/a b/100\%/it'\''s'"), "{block}");
    }

    #[test]
    fn the_first_fleet_has_plain_marks_and_keeps_them_beside_others() {
        let one = with("", "/a", 60);
        let two = with(&one, "/b", 120);
        assert!(one.starts_with("# >>> peer timer >>>") && two.starts_with(&one), "{two}");
        assert!(two.contains("# >>> peer timer b >>>"), "{two}");
        assert_eq!(line("/a").interval(&two), Some(Duration::from_secs(60)));
        assert_eq!(line("/b").interval(&two), Some(Duration::from_secs(120)));
        assert_eq!(line("/c").interval(&two), None);
        // A fleet that leaves removes only its own line, and one that stays keeps its marks.
        assert_eq!(line("/b").without(&two), one);
        let left = line("/a").without(&two);
        assert_eq!((line("/a").interval(&left), line("/b").interval(&left)), (None, Some(Duration::from_secs(120))));
        assert!(with(&left, "/b", 60).matches("/bin/sh").count() == 1, "{left}");
    }

    proptest! {
        #[test]
        fn nothing_else_of_a_crontab_changes(lines in proptest::collection::vec("[ -~\u{e9}]{0,20}", 0..6), alone: bool) {
            let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            let text = if alone { text } else { with(&text, "/other", 300) };
            let installed = with(&text, "/s", 60);
            prop_assert_eq!(line("/s").without(&installed), text.clone());
            // Installing twice changes nothing, and another interval takes the same place.
            prop_assert_eq!(with(&installed, "/s", 60), installed.clone());
            let moved = format!("{installed}# mine\n");
            prop_assert_eq!(with(&moved, "/s", 300), format!("{}# mine\n", with(&text, "/s", 300)));
        }
    }
}

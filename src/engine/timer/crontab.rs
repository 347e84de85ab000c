//! The person's crontab: read, changed between our own two marker lines, and otherwise left as it is, byte for byte.

use std::path::Path;
use std::time::Duration;

use peer_adapters::command::{self, Argv};

use super::texts::quoted_for_sh;
use super::{DEADLINE, EngineError, Result};

const BEGIN: &str = "# >>> peer timer >>> (written by `peer timer install`)\n";
const END: &str = "# <<< peer timer <<<\n";

/// Our lines, markers included.
///
/// # Errors
/// cron counts in whole minutes that divide an hour, or whole hours that divide a day.
pub(super) fn block(script: &Path, every: Duration) -> Result<String> {
    let schedule = schedule(every).ok_or_else(|| EngineError::Declaration {
        what: format!("timer every {} s", every.as_secs()),
        problem: "cron cannot count that".to_owned(),
        hint: Some("use 60s, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m or 1h, or `peer watch --every`".to_owned()),
    })?;
    // A bare % would end the command there and make the rest its input.
    let command = format!("/bin/sh {}", quoted_for_sh(&script.display().to_string())).replace('%', "\\%");
    Ok(format!("{BEGIN}{schedule} {command}\n{END}"))
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

/// The interval of our line in a crontab; none where we are not in it.
pub(super) fn interval(text: &str) -> Option<Duration> {
    let (_, line, _) = split(text)?;
    let minutes = match line.split_once(' ')? {
        ("*", _) => 1,
        ("0", _) => 60,
        (step, _) => step.strip_prefix("*/")?.parse().ok()?,
    };
    Some(Duration::from_secs(minutes * 60))
}

/// What stands before our lines, between the markers, and behind them.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (ours, after) = rest.split_once(END)?;
    Some((before, ours, after))
}

/// The crontab with our lines: in their old place, or at the end.
pub(super) fn with(text: &str, block: &str) -> String {
    match split(text) {
        Some((before, _, after)) => format!("{before}{block}{after}"),
        // A crontab without its last line's end is refused by cron, so there is nothing to keep about that.
        None if !text.is_empty() && !text.ends_with('\n') => format!("{text}\n{block}"),
        None => format!("{text}{block}"),
    }
}

/// The crontab without our lines.
pub(super) fn without(text: &str) -> String {
    split(text).map_or_else(|| text.to_owned(), |(before, _, after)| format!("{before}{after}"))
}

/// The crontab as it is; empty where there is none.
///
/// # Errors
/// It cannot be read, or is not UTF-8: it must not be written then.
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

/// Replaces the crontab; an empty one is taken away.
///
/// # Errors
/// `crontab` refuses the text; the old one stands.
pub(super) async fn write(text: &str) -> Result<()> {
    let (flag, input) = if text.is_empty() { ("-r", None) } else { ("-", Some(text.as_bytes())) };
    match command::run(&Argv::new("crontab").arg(flag), input, DEADLINE).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(flag, output.summary())),
        Err(error) => Err(failed(flag, error.to_string())),
    }
}

fn failed(flag: &str, problem: String) -> EngineError {
    let hint = Some("peer timer install --print shows the line, to be put in by hand".to_owned());
    EngineError::Declaration { what: format!("crontab {flag}"), problem, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ours(every: u64) -> String {
        block(Path::new("/s/timer.sh"), Duration::from_secs(every)).expect("cron counts it")
    }

    #[test]
    fn only_what_cron_can_count_is_taken() {
        for every in [60, 120, 300, 1800, 3600] {
            assert_eq!(interval(&ours(every)), Some(Duration::from_secs(every)));
        }
        for every in [0, 1, 59, 61, 90, 7 * 60, 3660, 7200] {
            block(Path::new("/s"), Duration::from_secs(every)).expect_err("cron cannot count it");
        }
    }

    #[test]
    fn a_percent_sign_does_not_end_the_command() {
        let block = block(Path::new("/a b/100%/it's"), Duration::from_secs(60)).expect("a line");
        assert!(block.contains(r"* * * * * /bin/sh '/a b/100\%/it'\''s'"), "{block}");
    }

    proptest! {
        #[test]
        fn nothing_else_of_a_crontab_changes(lines in proptest::collection::vec("[ -~\u{e9}]{0,20}", 0..6)) {
            let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            let installed = with(&text, &ours(60));
            prop_assert_eq!(without(&installed), text.clone());
            // Twice is once, and another interval takes the same place.
            prop_assert_eq!(with(&installed, &ours(60)), installed.clone());
            let moved = format!("{installed}# mine\n");
            prop_assert_eq!(with(&moved, &ours(300)), format!("{}# mine\n", with(&text, &ours(300))));
        }
    }
}

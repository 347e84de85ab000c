//! Lines of `what  ours  raw  ratio  promise`.

use std::time::Duration;

/// The promise for a measured value.
#[derive(Clone, Copy, Debug)]
pub enum Promise {
    /// At most this many times the raw command's time.
    Times(f64),
    /// At most this much more than the raw command's time.
    Above(Duration),
    /// At most this long.
    Within(Duration),
    /// No promise: the number is for comparison.
    None,
}

/// Prints the names of the columns.
pub fn head() {
    println!("{:<44} {:>10} {:>10} {:>7}  promise", "", "ours", "raw", "ratio");
}

/// Prints one line: our time, the raw command's if there is one, and whether the promise holds.
pub fn line(what: &str, ours: Duration, raw: Option<Duration>, promise: Promise) {
    let ratio = raw.map(|raw| ours.as_secs_f64() / raw.as_secs_f64());
    let (kept, words) = match (promise, ratio) {
        (Promise::Times(most), Some(ratio)) => (Some(ratio <= most), format!("at most {most} times raw")),
        (Promise::Above(most), Some(_)) => {
            let kept = raw.is_some_and(|raw| ours <= raw + most);
            (Some(kept), format!("at most {} above raw", time(most)))
        }
        (Promise::Within(most), _) => (Some(ours <= most), format!("under {}", time(most))),
        _ => (None, String::new()),
    };
    println!(
        "{what:<44} {:>10} {:>10} {:>7}  {}",
        time(ours),
        raw.map(time).unwrap_or_default(),
        ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        verdict(kept, &words),
    );
}

/// Prints one line with a number that is not a time.
pub fn number(what: &str, value: &str, kept: Option<bool>, promise: &str) {
    println!("{what:<44} {value:>10} {:>10} {:>7}  {}", "", "", verdict(kept, promise));
}

fn verdict(kept: Option<bool>, promise: &str) -> String {
    match kept {
        Some(true) => format!("{promise}: kept"),
        Some(false) => format!("{promise}: MISSED"),
        None => promise.to_owned(),
    }
}

/// Milliseconds with three figures.
fn time(span: Duration) -> String {
    let ms = span.as_secs_f64() * 1e3;
    match ms {
        _ if ms < 10.0 => format!("{ms:.2} ms"),
        _ if ms < 100.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

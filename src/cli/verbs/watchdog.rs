//! systemd's watchdog (`WatchdogSec=`), fed while ticks come and end on time.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Feeds the watchdog of the service from a separate thread, at half of its interval. So a tick that waits for a server
/// or reads a large file is not taken for one that hangs, however short the interval is.
///
/// The thread only has a deadline, which the work extends. After the deadline it stops feeding, and systemd ends the
/// process after at most one more interval.
pub(crate) struct Watchdog {
    /// The deadline; `None`: never.
    until: Arc<Mutex<Option<Instant>>>,
}

impl Watchdog {
    /// Starts to call `feed` every `half`, for the first time `half` from now.
    pub(crate) fn start(half: Duration, feed: impl Fn() + Send + 'static) -> Self {
        let until = Arc::new(Mutex::new(Instant::now().checked_add(half)));
        let believed = Arc::clone(&until);
        thread::spawn(move || {
            loop {
                thread::sleep(half);
                let until = *believed.lock().unwrap_or_else(PoisonError::into_inner);
                if until.is_none_or(|until| Instant::now() <= until) {
                    feed();
                }
            }
        });
        Self { until }
    }

    /// Declares that the work is well for `span` from now; the work repeats this before `span` is over.
    pub(crate) fn well_for(&self, span: Duration) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(span);
    }
}

/// Returns half of the interval within which systemd wants a sign of life, if it wants any.
///
/// # Source
/// `sd_watchdog_enabled(3)`: without `WATCHDOG_PID` the variable is meant for every process that has it.
pub(crate) fn half<'a>(variable: impl Fn(&str) -> Option<&'a OsStr>, us: u32) -> Option<Duration> {
    let number = |name| variable(name).map(|value| value.to_str()?.trim().parse::<u64>().ok());
    let meant_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == Some(u64::from(us)));
    let whole = number("WATCHDOG_USEC")??;
    (meant_for_us && whole > 0).then(|| Duration::from_micros(whole.div_ceil(2)))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn only_what_is_meant_for_us_is_fed_and_at_half_the_time() {
        let of = |set: &'static [(&str, &str)]| {
            half(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsStr::new(*value)), 7)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("WATCHDOG_USEC", "5000000")]), Some(Duration::from_millis(2500)));
        assert_eq!(of(&[("WATCHDOG_USEC", "5000000"), ("WATCHDOG_PID", "7")]), Some(Duration::from_millis(2500)));
        for pid in ["8", "", "x"] {
            let set = [("WATCHDOG_USEC", "5000000"), ("WATCHDOG_PID", pid)];
            assert_eq!(half(|name| set.iter().find(|(key, _)| *key == name).map(|(_, v)| OsStr::new(*v)), 7), None);
        }
        assert_eq!(of(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(of(&[("WATCHDOG_USEC", "soon")]), None);
    }

    #[test]
    fn it_is_fed_while_all_is_well_and_no_longer() {
        let (sender, fed) = mpsc::channel();
        let watchdog = Watchdog::start(Duration::from_millis(20), move || {
            let _ = sender.send(Instant::now());
        });
        watchdog.well_for(Duration::from_secs(60));
        for _ in 0..3 {
            fed.recv_timeout(Duration::from_secs(20)).expect("it is fed");
        }
        watchdog.well_for(Duration::ZERO);
        let hung = Instant::now();
        // A call that was under way at the deadline may still come.
        let silence = std::iter::from_fn(|| fed.recv_timeout(Duration::from_millis(500)).ok());
        assert!(silence.take(3).filter(|at| *at > hung).count() <= 1, "a tick that hangs is not fed");
        watchdog.well_for(Duration::MAX);
        fed.recv_timeout(Duration::from_secs(20)).expect("it is fed again");
    }
}

//! Process attributes that are inherited besides environment and descriptors: file mode mask, nice value and resource
//! limits.
//!
//! A multiplexer's server passes its own on to every pane, and it has them from the shell that happened to start it. So
//! each agent gets those of its waker, overridden by what its spec sets ([`Inherited::with`]).
//!
//! # Source
//! umask(2), setpriority(2), getrlimit(2), proc(5); the names of limits are those of `ulimit`, prlimit(1) and
//! systemd.exec(5).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use nix::libc;
use nix::sys::resource::{self, Resource};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use crate::file;

mod limit;

use limit::{LIMITS, limit_in};
pub use limit::{Limit, LimitName};

/// How many bytes of a `/proc` file are read; both files have less than 2 KiB.
const PROC: u64 = 1 << 16;

/// File mode mask, nice value and resource limits. Absent ones stay as the parent has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    /// Permission bits that new files do not get, 0 to 0o777.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<Umask>,
    /// From -20 (highest priority) to 19.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// Limits by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<LimitName, Limit>,
}

/// A file mode mask, written in octal: `022`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Umask(u32);

impl std::str::FromStr for Umask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match u32::from_str_radix(text, 8) {
            Ok(bits) if bits <= 0o777 => Ok(Self(bits)),
            _ => Err(format!("{text:?} is not a umask: write it in octal, 000 to 777, like 022")),
        }
    }
}

impl TryFrom<String> for Umask {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Umask> for String {
    fn from(umask: Umask) -> Self {
        umask.to_string()
    }
}

impl fmt::Display for Umask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

impl Inherited {
    /// Returns the attributes of this process. Does not block. If the umask can only be read by changing it (not on
    /// Linux), it is different for a moment.
    pub fn ours() -> Self {
        let limit = |name: LimitName| {
            let (soft, hard) = resource::getrlimit(name.resource()).ok()?;
            Some((name, Limit { soft, hard }))
        };
        Self { umask: own_umask(), nice: nice(0), limits: LimitName::all().filter_map(limit).collect() }
    }

    /// Overrides these attributes with those that `over` sets.
    #[must_use]
    pub fn with(mut self, over: &Self) -> Self {
        self.umask = over.umask.or(self.umask);
        self.nice = over.nice.or(self.nice);
        self.limits.extend(&over.limits);
        self
    }

    /// Describes how a process differs from these attributes, one phrase per difference: `nice 10 instead of 0`. Also
    /// empty if the kernel does not report them (macOS), or if the process does not exist. Does not block.
    pub fn differences(&self, pid: u32) -> Vec<String> {
        let wrong_nice = self.nice.zip(nice(pid)).filter(|(wanted, found)| wanted != found);
        let mut all: Vec<String> =
            wrong_nice.map(|(wanted, found)| format!("nice {found} instead of {wanted}")).into_iter().collect();
        let limits = file::read_to_string(Path::new(&format!("/proc/{pid}/limits")), PROC).unwrap_or_default();
        let wrong = self.limits.iter().filter_map(|(name, wanted)| {
            let found = limit_in(&limits, *name)?;
            (found != *wanted).then(|| format!("limit {name} {found} instead of {wanted}"))
        });
        all.extend(wrong);
        all
    }

    /// Returns a function to call between fork and exec, which applies as much of this as the kernel allows: an
    /// unprivileged process cannot raise a hard limit or lower a nice value. It allocates nothing and takes no lock.
    pub(crate) fn applier(&self) -> impl Fn() + Send + Sync + 'static {
        let umask = self.umask.map(|Umask(bits)| Mode::from_bits_truncate(bits as libc::mode_t));
        let nice = self.nice;
        let limits: Vec<(Resource, Limit)> =
            self.limits.iter().map(|(name, limit)| (name.resource(), *limit)).collect();
        move || {
            if let Some(umask) = umask {
                nix::sys::stat::umask(umask);
            }
            // Before the limits, because one of them bounds how far it may be lowered.
            if let Some(nice) = nice {
                set_nice(nice);
            }
            for (resource, Limit { soft, hard }) in &limits {
                if resource::setrlimit(*resource, *soft, *hard).is_err()
                    && let Ok((_, highest)) = resource::getrlimit(*resource)
                {
                    let hard = highest.min(*hard);
                    let _ = resource::setrlimit(*resource, hard.min(*soft), hard);
                }
            }
        }
    }
}

/// Applies, between fork and exec of a server, attributes that do not depend on the process that starts it. Like
/// [`Inherited::applier`], as far as the kernel allows. Soft limits are raised to the hard ones, except those of the
/// stack, which determines the memory layout, and of open files, which some programs iterate over.
pub(crate) fn apply_server_defaults() {
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    set_nice(0);
    for (_, resource, _) in LIMITS {
        if !matches!(resource, Resource::RLIMIT_STACK | Resource::RLIMIT_NOFILE)
            && let Ok((_, hard)) = resource::getrlimit(*resource)
        {
            let _ = resource::setrlimit(*resource, hard, hard);
        }
    }
}

/// Returns the umask of this process.
#[cfg(target_os = "linux")]
fn own_umask() -> Option<Umask> {
    let status = file::read_to_string(Path::new("/proc/self/status"), PROC).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Umask:"))?.trim().parse().ok()
}

/// Returns the umask of this process, which can only be read by setting one.
#[cfg(not(target_os = "linux"))]
fn own_umask() -> Option<Umask> {
    let now = nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    nix::sys::stat::umask(now);
    Some(Umask(now.bits().into()))
}

/// Returns the nice value of a process; 0 means this process.
#[allow(unsafe_code, reason = "nix has no getpriority; see SAFETY")]
fn nice(pid: u32) -> Option<i32> {
    nix::errno::Errno::clear();
    // SAFETY: getpriority takes only numbers. -1 is also a valid nice value, so errno decides.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, pid as libc::id_t) };
    (nice != -1 || nix::errno::Errno::last_raw() == 0).then_some(nice)
}

/// Sets the nice value of this process, if it is permitted.
#[allow(unsafe_code, reason = "nix has no setpriority; see SAFETY")]
fn set_nice(nice: i32) {
    // SAFETY: setpriority takes only numbers.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

/// Checks that `value` is a valid nice value.
///
/// # Errors
/// It is out of range; the message states the range.
pub fn check_nice(value: i32) -> Result<(), String> {
    if (-20..=19).contains(&value) {
        Ok(())
    } else {
        Err(format!("{value} is not a nice value: they go from -20 to 19"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        for text in ["022", "000", "777"] {
            assert_eq!(text.parse::<Umask>().expect("a umask").to_string(), text);
        }
        for text in ["", "8", "1000", "-1", "rwx"] {
            text.parse::<Umask>().expect_err(text);
        }
        for text in ["0", "1024", "1024:4096", "1024:unlimited", "unlimited"] {
            assert_eq!(text.parse::<Limit>().expect("a limit").to_string(), text);
        }
        assert_eq!("5:5".parse::<Limit>().expect("a limit").to_string(), "5");
        for text in ["", ":", "5:", "2:1", "unlimited:1", "-1", "1k"] {
            text.parse::<Limit>().expect_err(text);
        }
        let error = "files".parse::<LimitName>().expect_err("no limit");
        assert!(error.contains("nofile"), "{error}");
    }

    #[test]
    fn what_the_spec_says_goes_over_what_the_waker_has() {
        let waker = Inherited { umask: "022".parse().ok(), nice: Some(5), limits: BTreeMap::new() };
        let spec = Inherited { umask: "077".parse().ok(), ..Inherited::default() };
        assert_eq!(waker.with(&spec), Inherited { umask: "077".parse().ok(), nice: Some(5), limits: BTreeMap::new() });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn every_limit_of_the_kernel_is_known_by_name() {
        let text = std::fs::read_to_string("/proc/self/limits").expect("read");
        assert_eq!(text.lines().count() - 1, LIMITS.len());
        let ours = Inherited::ours();
        for name in LimitName::all() {
            assert_eq!(limit_in(&text, name), ours.limits.get(&name).copied(), "{name}");
        }
        assert!(ours.umask.is_some() && ours.nice.is_some());
        assert_eq!(ours.differences(std::process::id()), [""; 0]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_difference_is_told_with_both_values() {
        let wanted = Inherited {
            umask: None,
            nice: Inherited::ours().nice.map(|nice| nice - 1),
            limits: [("nofile".parse().expect("a name"), "1:2".parse().expect("a limit"))].into(),
        };
        let told = wanted.differences(std::process::id());
        assert!(told[0].starts_with("nice ") && told[1].ends_with("instead of 1:2"), "{told:?}");
    }
}

//! Resource limits, by name and as they are written.

use std::fmt;

use nix::libc;
use nix::sys::resource::Resource;
use serde::{Deserialize, Serialize};

/// A resource limit, written `SOFT:HARD` or as one number for both; `unlimited` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Limit {
    pub(super) soft: libc::rlim_t,
    pub(super) hard: libc::rlim_t,
}

const UNLIMITED: &str = "unlimited";

impl std::str::FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        let number = |part: &str| match part {
            UNLIMITED => Some(libc::RLIM_INFINITY),
            digits => digits.parse().ok(),
        };
        match (number(soft), number(hard)) {
            (Some(soft), Some(hard)) if soft <= hard => Ok(Self { soft, hard }),
            (Some(_), Some(_)) => Err(format!("{text:?} is not a limit: the soft one is above the hard one")),
            _ => Err(format!("{text:?} is not a limit: write it like 4096, 1024:4096 or {UNLIMITED}")),
        }
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Limit> for String {
    fn from(limit: Limit) -> Self {
        limit.to_string()
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one =
            |limit: libc::rlim_t| if limit == libc::RLIM_INFINITY { UNLIMITED.to_owned() } else { limit.to_string() };
        match self {
            Self { soft, hard } if soft == hard => f.write_str(&one(*soft)),
            Self { soft, hard } => write!(f, "{}:{}", one(*soft), one(*hard)),
        }
    }
}

/// A limited resource, as an index into `LIMITS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LimitName(usize);

/// Every limit that this system has, with its name in `/proc/PID/limits`.
pub(super) const LIMITS: &[(&str, Resource, &str)] = &[
    ("as", Resource::RLIMIT_AS, "Max address space"),
    ("core", Resource::RLIMIT_CORE, "Max core file size"),
    ("cpu", Resource::RLIMIT_CPU, "Max cpu time"),
    ("data", Resource::RLIMIT_DATA, "Max data size"),
    ("fsize", Resource::RLIMIT_FSIZE, "Max file size"),
    ("nofile", Resource::RLIMIT_NOFILE, "Max open files"),
    ("stack", Resource::RLIMIT_STACK, "Max stack size"),
    #[cfg(target_os = "linux")]
    ("locks", Resource::RLIMIT_LOCKS, "Max file locks"),
    #[cfg(target_os = "linux")]
    ("memlock", Resource::RLIMIT_MEMLOCK, "Max locked memory"),
    #[cfg(target_os = "linux")]
    ("msgqueue", Resource::RLIMIT_MSGQUEUE, "Max msgqueue size"),
    #[cfg(target_os = "linux")]
    ("nice", Resource::RLIMIT_NICE, "Max nice priority"),
    #[cfg(target_os = "linux")]
    ("nproc", Resource::RLIMIT_NPROC, "Max processes"),
    #[cfg(target_os = "linux")]
    ("rss", Resource::RLIMIT_RSS, "Max resident set"),
    #[cfg(target_os = "linux")]
    ("rtprio", Resource::RLIMIT_RTPRIO, "Max realtime priority"),
    #[cfg(target_os = "linux")]
    ("rttime", Resource::RLIMIT_RTTIME, "Max realtime timeout"),
    #[cfg(target_os = "linux")]
    ("sigpending", Resource::RLIMIT_SIGPENDING, "Max pending signals"),
];

impl LimitName {
    /// Returns every limit that this system has.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..LIMITS.len()).map(Self)
    }

    pub(super) fn resource(self) -> Resource {
        LIMITS[self.0].1
    }
}

impl std::str::FromStr for LimitName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|name| LIMITS[name.0].0 == text).ok_or_else(|| {
            let known: Vec<String> = Self::all().map(String::from).collect();
            format!("there is no limit {text:?}: use one of {}", known.join(", "))
        })
    }
}

impl TryFrom<String> for LimitName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<LimitName> for String {
    fn from(name: LimitName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LIMITS[self.0].0)
    }
}

/// Returns the limit of that name from the text of `/proc/PID/limits`.
pub(super) fn limit_in(text: &str, name: LimitName) -> Option<Limit> {
    let mut words = text.lines().find_map(|line| line.strip_prefix(LIMITS[name.0].2))?.split_whitespace();
    format!("{}:{}", words.next()?, words.next()?).parse().ok()
}

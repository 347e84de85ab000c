//! Where a session's directory is: a readable place if the path of its socket fits, otherwise a shorter one.

use std::ffi::OsStr;
use std::hash::Hasher;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fnv::FnvHasher;

use super::home::CONTRACT;

/// The longest path of a socket in bytes: `sun_path` less its terminating zero. zellij refuses longer ones.
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// Returns `true` if zellij's socket of `session` fits below `dir`.
fn fits(dir: &Path, session: &str) -> bool {
    dir.as_os_str().len() + 1 + CONTRACT.len() + 1 + session.len() <= SOCKET_PATH_MAX
}

/// The usual parent of session directories.
fn below(base: &Path) -> PathBuf {
    base.join("zellij")
}

/// The parents to use if the base is too long. They are shared by all of a user's bases, and the variable for the first
/// may be unset (cron).
fn last_resorts(runtime_dir: Option<&OsStr>) -> impl Iterator<Item = PathBuf> {
    let user = nix::unistd::geteuid();
    let runtime_dir = runtime_dir.map(Path::new).filter(|dir| dir.is_absolute()).map(|dir| dir.join("peer"));
    runtime_dir.into_iter().chain([PathBuf::from(format!("/tmp/peer-{user}"))])
}

/// Returns all directories in which [`choose`] may have put a session directory of `base`.
pub(super) fn parents(base: &Path, runtime_dir: Option<&OsStr>) -> Vec<PathBuf> {
    let usual = below(base);
    // The longest name that a session may have.
    let always_fits = fits(&usual.join(digest(&[])), &"n".repeat(64));
    let fallbacks = last_resorts(runtime_dir).filter(|_| !always_fits).collect::<Vec<_>>();
    std::iter::once(usual).chain(fallbacks).collect()
}

/// Chooses a directory for `session`, the readable place first: see [`super::Zellij::server_dir`].
pub(super) fn choose(base: &Path, runtime_dir: Option<&OsStr>, session: &str) -> Option<PathBuf> {
    // The base is part of the digest: two state directories must never share a fallback.
    let digest = digest(&[base.as_os_str().as_bytes(), session.as_bytes()]);
    let usual = [below(base).join(session), below(base).join(&digest)];
    let resorts = last_resorts(runtime_dir).map(|dir| dir.join(&digest));
    usual.into_iter().chain(resorts).find(|dir| fits(dir, session))
}

/// FNV-1a of the parts, 8 hexadecimal digits: below `/tmp/peer-1000` that leaves room for a name of 64 characters. Two
/// sessions whose directories collide are refused as duplicates, and not mixed up. The digest must not change between
/// builds, because later builds use recorded paths.
fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = FnvHasher::default();
    for part in parts {
        hasher.write(part);
        hasher.write(&[0]);
    }
    format!("{:08x}", hasher.finish() >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readable_place_is_preferred_and_the_socket_always_fits() {
        let session = "alice-1";
        assert_eq!(choose(Path::new("/s"), None, session), Some("/s/zellij/alice-1".into()));
        // The longest base that still fits: 107 bytes in all.
        let longest = SOCKET_PATH_MAX - "//zellij//".len() - CONTRACT.len() - 1 - 2 * session.len();
        let base = format!("/{}", "b".repeat(longest));
        let chosen = choose(Path::new(&base), None, session).expect("fits");
        assert_eq!(chosen.join(CONTRACT).join(session).as_os_str().len(), SOCKET_PATH_MAX);
        let long = PathBuf::from(format!("/{}", "b".repeat(100)));
        let runtime = choose(&long, Some(OsStr::new("/run/user/7")), session).expect("fits");
        assert!(runtime.starts_with("/run/user/7/peer"), "{}", runtime.display());
        let tmp = choose(&long, Some(OsStr::new("relative")), session).expect("fits");
        assert!(tmp.starts_with(format!("/tmp/peer-{}", nix::unistd::geteuid())), "{}", tmp.display());
        assert_ne!(choose(&long.join("other"), None, session), Some(tmp));
        assert_eq!(choose(&long, None, &"n".repeat(100)), None);
    }
}

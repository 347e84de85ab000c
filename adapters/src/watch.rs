//! Waiting for a change to any of several files without polling them.

use std::path::Path;

/// A set of watched files, each under a key chosen by the caller.
///
/// On Linux this uses inotify(7) on the parent directories, since agents replace files. On other systems, and if the
/// kernel refuses, nothing is watched and no change is reported: the caller must poll from time to time in any case.
#[derive(Debug, Default)]
pub struct Watch {
    #[cfg(target_os = "linux")]
    inner: Option<linux::Inner>,
}

impl Watch {
    /// Creates an empty set.
    pub fn new() -> Self {
        #[cfg(target_os = "linux")]
        return Self { inner: linux::Inner::new() };
        #[cfg(not(target_os = "linux"))]
        Self {}
    }

    /// Watches a file, which need not exist yet, but its directory must. Returns whether the file is watched.
    pub fn add(&mut self, file: &Path, key: usize) -> bool {
        #[cfg(target_os = "linux")]
        return self.inner.as_mut().is_some_and(|inner| inner.add(file, key));
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (file, key);
            false
        }
    }

    /// Waits until files change, and returns their keys. Never returns if nothing is watched.
    pub async fn changed(&mut self) -> Vec<usize> {
        #[cfg(target_os = "linux")]
        if let Some(inner) = &mut self.inner {
            return inner.changed().await;
        }
        std::future::pending().await
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashMap;
    use std::ffi::{OsStr, OsString};
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::path::Path;

    use nix::errno::Errno;
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    #[derive(Debug)]
    struct Instance(Inotify);

    impl AsRawFd for Instance {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    #[derive(Debug)]
    pub(super) struct Inner {
        instance: AsyncFd<Instance>,
        /// The relevant names in each directory, with their keys.
        files: HashMap<WatchDescriptor, Vec<(OsString, usize)>>,
    }

    impl Inner {
        /// Returns `None` if this user has no inotify instances left.
        #[allow(
            deprecated,
            reason = "its successor is unsafe; ours keeps its descriptor open for as long as it is registered"
        )]
        pub(super) fn new() -> Option<Self> {
            let instance = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
            let instance = AsyncFd::with_interest(Instance(instance), Interest::READABLE).ok()?;
            Some(Self { instance, files: HashMap::new() })
        }

        pub(super) fn add(&mut self, file: &Path, key: usize) -> bool {
            let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else { return false };
            let flags = AddWatchFlags::IN_MODIFY
                | AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_MOVED_TO
                | AddWatchFlags::IN_DELETE
                | AddWatchFlags::IN_ONLYDIR;
            // Adding the same directory again returns the same descriptor.
            let Ok(descriptor) = self.instance.get_ref().0.add_watch(dir, flags) else { return false };
            self.files.entry(descriptor).or_default().push((name.to_owned(), key));
            true
        }

        pub(super) async fn changed(&mut self) -> Vec<usize> {
            loop {
                let Ok(mut ready) = self.instance.readable().await else { return std::future::pending().await };
                let events = self.instance.get_ref().0.read_events();
                ready.clear_ready();
                let keys = match events {
                    Ok(events) => self.keys_of(events.iter().map(|event| (event.wd, event.name.as_deref()))),
                    Err(Errno::EAGAIN | Errno::EINTR) => Vec::new(),
                    // Too many events: any file may have changed.
                    Err(_) => self.all(),
                };
                if !keys.is_empty() {
                    return keys;
                }
            }
        }

        fn keys_of<'a>(&self, events: impl Iterator<Item = (WatchDescriptor, Option<&'a OsStr>)>) -> Vec<usize> {
            let mut keys = Vec::new();
            for (descriptor, name) in events {
                match (self.files.get(&descriptor), name) {
                    (Some(files), Some(name)) => {
                        keys.extend(files.iter().filter(|(file, _)| file == name).map(|(_, key)| *key));
                    }
                    (Some(files), None) => keys.extend(files.iter().map(|(_, key)| *key)),
                    // The queue overflowed, and events were lost.
                    (None, _) => keys.extend(self.all()),
                }
            }
            keys.sort_unstable();
            keys.dedup();
            keys
        }

        fn all(&self) -> Vec<usize> {
            self.files.values().flatten().map(|(_, key)| *key).collect()
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_made_written_or_replaced_is_told_by_its_key_and_no_other() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let dir = tempfile::tempdir().expect("a directory");
            let (one, two) = (dir.path().join("one"), dir.path().join("two"));
            std::fs::write(&one, "").expect("written");
            let mut watch = Watch::new();
            assert!(watch.add(&one, 1) && watch.add(&two, 2) && !watch.add(&dir.path().join("none/x"), 3));
            std::fs::write(dir.path().join("other"), "").expect("written");
            std::fs::write(&two, "made").expect("written");
            assert_eq!(watch.changed().await, [2]);
            std::fs::write(dir.path().join("beside"), "").expect("written");
            std::fs::rename(dir.path().join("beside"), &one).expect("replaced");
            assert_eq!(watch.changed().await, [1]);
        });
    }
}

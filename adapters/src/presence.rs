//! Names that a process holds while it is alive, independent of files: sockets in the kernel's abstract namespace.
//!
//! No data is exchanged through them. That a name is taken means that its holder is alive. Names belong to the network
//! namespace, so a caller in another one does not see them, and any user on the machine could take them: absence proves
//! nothing, and presence is only a reason to look closer.

use std::io;

/// A name that is held until this value is dropped or the process ends. Children do not inherit it.
#[derive(Debug)]
pub struct Held(#[allow(dead_code, reason = "it is held by being open")] kernel::Socket);

/// Holds `name`, of 107 bytes at most. Returns `None` if it is already taken.
///
/// # Errors
/// The kernel does not support such names ([`io::ErrorKind::Unsupported`]), or the process is out of descriptors.
pub fn hold(name: &str) -> io::Result<Option<Held>> {
    kernel::hold(name).map(|socket| socket.map(Held))
}

/// Returns `true` if a process holds `name`. Takes some microseconds, does not block, and does not affect the holder.
///
/// # Errors
/// The kernel does not support such names, or the process is out of descriptors.
pub fn is_held(name: &str) -> io::Result<bool> {
    kernel::is_held(name)
}

/// Returns every held name that begins with `prefix`, sorted. Reads one kernel file, whose length grows with the number
/// of sockets on the machine.
///
/// # Errors
/// The kernel does not support such names, or could not be queried.
pub fn names(prefix: &str) -> io::Result<Vec<String>> {
    kernel::names(prefix)
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::io;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    /// A datagram socket: probing a stream socket would leave a connection in its queue that is never accepted.
    pub(super) type Socket = UnixDatagram;

    pub(super) fn hold(name: &str) -> io::Result<Option<Socket>> {
        match UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?) {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn is_held(name: &str) -> io::Result<bool> {
        match UnixDatagram::unbound()?.connect_addr(&SocketAddr::from_abstract_name(name)?) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// # Source
    /// `proc_net(5)` on `/proc/net/unix`: each line ends in the path, and an abstract one begins with `@`.
    pub(super) fn names(prefix: &str) -> io::Result<Vec<String>> {
        let table = crate::file::read(std::path::Path::new("/proc/net/unix"), u64::MAX)?;
        let wanted = format!(" @{prefix}");
        let lines = table.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        let mut found: Vec<_> = lines.filter_map(|line| Some(line[line.find(&wanted)? + 2..].to_owned())).collect();
        found.sort_unstable();
        Ok(found)
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::io;

    pub(super) type Socket = ();

    fn none<T>() -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel has no names that live without a file"))
    }

    pub(super) fn hold(_: &str) -> io::Result<Option<()>> {
        none()
    }

    pub(super) fn is_held(_: &str) -> io::Result<bool> {
        none()
    }

    pub(super) fn names(_: &str) -> io::Result<Vec<String>> {
        none()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_by_one_and_goes_with_its_holder() {
        let name = format!("peer-test/{}", std::process::id());
        assert!(!is_held(&name).expect("asked"));
        let held = hold(&name).expect("asked").expect("free");
        assert!(hold(&name).expect("asked").is_none(), "it is taken");
        assert!(is_held(&name).expect("asked"));
        assert!(names("peer-test/").expect("asked").contains(&name));
        drop(held);
        assert!(!is_held(&name).expect("asked") && !names("peer-test/").expect("asked").contains(&name));
    }
}

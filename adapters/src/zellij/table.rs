//! The kernel's table of sockets.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The entries of the kernel's socket table for one path. All zero if there is no table (macOS) or if it is not the
/// server's (another network namespace); zeros therefore prove nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Connections {
    /// The number of listening sockets that were bound to the path. The file of an older one has been removed or
    /// renamed since.
    pub(super) listeners: u32,
    /// The number of connected clients. A client that only makes a request counts while it is alive, some 10 ms.
    pub(super) clients: u32,
}

/// The kernel's table of sockets at one moment, by path. The time to read it grows with every socket on the machine.
#[derive(Debug, Default)]
pub(super) struct Table(HashMap<Vec<u8>, Connections>);

impl Table {
    /// # Source
    /// zellij 0.45.1 holds one connection per client; an accepted connection has the path at which its listener was
    /// bound (unix(7)), even if the file has another name by then.
    pub(super) fn read() -> Self {
        Self::parse(&crate::file::read(Path::new("/proc/net/unix"), u64::MAX).unwrap_or_default())
    }

    /// A line is `Num RefCount Protocol Flags Type St Inode Path`, with flag 0x10000 for a listener and state 3 for a
    /// connection.
    fn parse(table: &[u8]) -> Self {
        let mut paths = HashMap::<Vec<u8>, Connections>::new();
        for line in table.split(|byte| *byte == b'\n') {
            // No field before the path contains a slash; an abstract name before one adds a field.
            let Some(path) = line.iter().position(|byte| *byte == b'/') else { continue };
            let head = String::from_utf8_lossy(&line[..path]);
            let fields: Vec<&str> = head.split_ascii_whitespace().collect();
            match fields[..] {
                [_, _, _, _, _, "03", _] => paths.entry(line[path..].to_vec()).or_default().clients += 1,
                [_, _, _, "00010000", _, _, _] => paths.entry(line[path..].to_vec()).or_default().listeners += 1,
                _ => {}
            }
        }
        Self(paths)
    }

    pub(super) fn of(&self, path: &Path) -> Connections {
        self.0.get(path.as_os_str().as_bytes()).copied().unwrap_or_default()
    }

    /// Returns the paths of the listening sockets that were bound in this directory.
    pub(super) fn listening_in(&self, dir: &Path) -> Vec<PathBuf> {
        let dir = dir.as_os_str().as_bytes();
        let below = |path: &[u8]| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"));
        let listening = self.0.iter().filter(|(path, found)| found.listeners > 0 && below(path));
        listening.map(|(path, _)| PathBuf::from(std::ffi::OsStr::from_bytes(path))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_of_exactly_that_path_count() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path
0000000000000001: 00000002 00000000 00010000 0001 01 37473 /s/contract_version_1/a b
0000000000000002: 00000003 00000000 00000000 0001 03 37933 /s/contract_version_1/a b
0000000000000003: 00000003 00000000 00000000 0001 03 37934 /s/contract_version_1/a b
0000000000000004: 00000003 00000000 00000000 0001 03 37935 /x /s/contract_version_1/a b
0000000000000005: 00000003 00000000 00000000 0001 03 37936 /s/contract_version_1/a b2
0000000000000006: 00000003 00000000 00000000 0001 03 37937
0000000000000007: 00000003 00000000 00000000 0001 03     8 @x/s/contract_version_1/a b
0000000000000008: 00000003 00000000 00000000 0001 03     9 /s/contract_version_1/a b
";
        let table = Table::parse(table);
        assert_eq!(table.of(Path::new("/s/contract_version_1/a b")), Connections { listeners: 1, clients: 3 });
        assert_eq!(table.of(Path::new("/s/contract_version_1/a")), Connections::default());
        assert_eq!(table.listening_in(Path::new("/s/contract_version_1")), [Path::new("/s/contract_version_1/a b")]);
        assert!(table.listening_in(Path::new("/s/contract")).is_empty());
    }

    #[test]
    fn a_listener_and_its_clients_are_in_the_table() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        assert_eq!(Table::read().of(&path), Connections::default());
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let client = std::os::unix::net::UnixStream::connect(&path).expect("connected");
        let accepted = listener.accept().expect("accepted");
        assert_eq!(Table::read().of(&path), Connections { listeners: 1, clients: 1 });
        drop((client, accepted, listener));
        assert_eq!(Table::read().of(&path), Connections::default());
    }
}

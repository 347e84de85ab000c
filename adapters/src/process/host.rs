//! Where a pid means something: the machine, its pid namespace and its boot.

use std::io;
use std::sync::OnceLock;

use super::kernel;

/// Returns an id of this boot of the machine. A process record from another boot does not identify any process.
///
/// # Errors
/// The kernel does not report it.
pub fn boot_id() -> io::Result<String> {
    static BOOT: OnceLock<String> = OnceLock::new();
    once(&BOOT, kernel::boot_id).cloned()
}

/// The scope in which pids are valid: one machine and one pid namespace on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The machine's id, stable across boots; `name:` and the host name if it has none.
    pub machine: String,
    /// The host name, for display.
    pub name: String,
    /// The inode number of the pid namespace, if the kernel has namespaces. A container has its own.
    pub pid_namespace: Option<u64>,
}

impl Host {
    /// Returns `true` if a pid means the same process here as in the given machine and namespace. An unknown namespace
    /// counts as the same one.
    pub fn shares_processes_with(&self, machine: &str, pid_namespace: Option<u64>) -> bool {
        let apart = matches!((self.pid_namespace, pid_namespace), (Some(here), Some(there)) if here != there);
        self.machine == machine && !apart
    }

    /// Returns `true` if a process with this machine id and host name ran on another machine. An image that is cloned
    /// takes its machine id along, so after a reboot a different host name indicates a clone. A machine that was
    /// renamed before a reboot looks the same; the two cases cannot be told apart.
    pub fn is_not_of(&self, machine: &str, name: &str, another_boot: bool) -> bool {
        self.machine != machine || another_boot && kernel::MACHINE_IDS_ARE_FILES && self.name != name
    }
}

/// Returns where this process runs. Determined once per process.
///
/// # Errors
/// The mounted `/proc` shows another pid namespace, so none of its contents are about us; or the kernel could not be
/// queried.
pub fn host() -> io::Result<&'static Host> {
    static HOST: OnceLock<Host> = OnceLock::new();
    once(&HOST, || {
        let name = nix::unistd::gethostname()?.to_string_lossy().into_owned();
        let machine = kernel::machine_id()?.unwrap_or_else(|| format!("name:{name}"));
        Ok(Host { machine, name, pid_namespace: kernel::pid_namespace()? })
    })
}

/// A failure is not cached: the next caller queries again.
fn once<T>(cell: &'static OnceLock<T>, ask: impl FnOnce() -> io::Result<T>) -> io::Result<&'static T> {
    match cell.get() {
        Some(known) => Ok(known),
        None => ask().map(|told| cell.get_or_init(|| told)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_means_something_on_its_own_machine_and_in_its_own_namespace() {
        let here = host().expect("told");
        assert!(here.shares_processes_with(&here.machine, here.pid_namespace));
        assert!(!here.shares_processes_with("name:elsewhere", here.pid_namespace));
        let inside = here.pid_namespace.map(|inode| inode + 1);
        assert_eq!(here.shares_processes_with(&here.machine, inside), here.pid_namespace.is_none());
        assert!(here.shares_processes_with(&here.machine, None));
    }
}

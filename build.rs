//! Two settings of the linker that make a start of the program faster, where they are known to work. Each wake starts `peer`
//! twice, and a tick once.
//!
//! - The unwinder is linked statically: to load and relocate `libgcc_s.so` costs a tenth of a start (0.14 of 1.1 ms for an
//!   empty program). The standard library asks for the shared one; with the static one named before it, nothing is left to
//!   be found in the shared one, and the linker drops that. A build without link-time optimization keeps the shared one.
//! - A release build has a fixed address (`-no-pie`): the 22,000 pointers in its constant tables are then written by the
//!   linker and not by each start, which saves 96 of 320 page faults and an eighth of the time of `peer show` (2.2 ms).
//!   Heap, stacks and libraries stay at random addresses. Distributions that want the program there too build with
//!   `PEER_PIE=1`.

use std::path::Path;
use std::process::Command;

const ARCHIVE: &str = "libgcc_eh.a";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PEER_PIE");
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    // Elsewhere the standard library unwinds by other means; and this machine's compiler says nothing of another's.
    let gnu = var("CARGO_CFG_TARGET_OS") == "linux" && var("CARGO_CFG_TARGET_ENV") == "gnu";
    if !gnu || var("TARGET") != var("HOST") {
        return;
    }
    // The compiler prints the whole path of an archive that it has, and the bare name of one that it has not.
    let asked = Command::new("cc").arg(format!("-print-file-name={ARCHIVE}")).output();
    let found = asked.is_ok_and(|said| Path::new(String::from_utf8_lossy(&said.stdout).trim()).is_absolute());
    if found {
        println!("cargo::rustc-link-lib=dylib:+verbatim={ARCHIVE}");
    }
    if var("PROFILE") == "release" && var("PEER_PIE").is_empty() {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}

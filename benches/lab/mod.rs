//! Shared by the benches: the cost of a command, and a table of costs and promises.
//!
//! Each bench works in its own world, the one that the tests use: private state, private tmux server, gone when the
//! bench ends.

#![allow(dead_code, unreachable_pub, reason = "each bench uses its part of this module")]

pub mod fleet;
pub mod table;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::common::World;

/// `peer` in the environment of a user's shell, which has the user's name: cron's does not, and costs a query of the
/// user database.
pub fn peer(world: &World, words: &[&str]) -> Command {
    let mut command = world.command(words);
    command.env("USER", "somebody").env("LOGNAME", "somebody").env("SHELL", "/bin/sh");
    command
}

/// The cost of one run of a command.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// From before it was started until it was reaped.
    pub wall: Duration,
    /// User and system time of the command and of the children that it waited for.
    pub cpu: Duration,
}

/// Runs a command to its end, discards its output, and returns its cost.
///
/// # Panics
/// The command failed: the time of a failure is not a measurement.
pub fn cost(command: &mut Command) -> Cost {
    let (cpu, started) = (children_cpu(), Instant::now());
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let wall = started.elapsed();
    assert!(output.status.success(), "{command:?}: {output:?}");
    Cost { wall, cpu: children_cpu().saturating_sub(cpu) }
}

/// User and system time of every child that was reaped until now. Benches start one at a time, so a difference is one
/// child's.
pub fn children_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it cannot fail for this process");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.try_into().expect("time passes forwards"))
}

/// The medians of wall-clock time and of CPU time, independently. A mean would suffer from other load on the machine.
pub fn median(costs: &[Cost]) -> Cost {
    let middle = |of: fn(&Cost) -> Duration| {
        let mut all: Vec<Duration> = costs.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    Cost { wall: middle(|cost| cost.wall), cpu: middle(|cost| cost.cpu) }
}

/// Measures two things in turns, `times` each, so that other load on the machine affects both alike.
pub fn in_turns(times: usize, mut ours: impl FnMut(usize) -> Cost, mut raw: impl FnMut(usize) -> Cost) -> (Cost, Cost) {
    let (mut all_ours, mut all_raw) = (Vec::new(), Vec::new());
    for turn in 0..times {
        all_raw.push(raw(turn));
        all_ours.push(ours(turn));
    }
    (median(&all_ours), median(&all_raw))
}

/// Prints the load of the machine, without which absolute times say little.
pub fn machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    println!("{cores} cores, load {load} at the start; medians of runs in turns");
}

/// The same command as the argument of a tool that traces it.
pub fn under(tool: &Path, words: &[&str], command: &Command) -> Command {
    let mut watched = Command::new(tool);
    watched.args(words).arg(command.get_program()).args(command.get_args());
    watched.env_clear().envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    watched.current_dir(command.get_current_dir().expect("commands of a world have one"));
    watched
}

/// System calls of one run of `peer` and its clients. `None` if strace is not installed.
pub fn system_calls(world: &World, words: &[&str]) -> Option<u64> {
    let strace = which::which("strace").ok()?;
    let trace = world.path("calls");
    cost(&mut under(&strace, &["-f", "-qq", "-c", "-o", trace.to_str().expect("text")], &peer(world, words)));
    let text = std::fs::read_to_string(trace).expect("strace wrote it");
    // The columns are: share, seconds, microseconds a call, calls, errors if there were any, name.
    let total = text.lines().rfind(|line| line.trim_end().ends_with("total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

/// Instructions of one run of `peer`. `None` if valgrind is not installed.
///
/// # Panics
/// valgrind printed no count.
pub fn instructions(world: &World, words: &[&str]) -> Option<u64> {
    let valgrind = which::which("valgrind").ok()?;
    let options = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let output = under(&valgrind, &options, &peer(world, words)).stdin(Stdio::null()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let count = said.lines().find_map(|line| line.split_once("Collected : ")).and_then(|(_, n)| n.trim().parse().ok());
    Some(count.unwrap_or_else(|| panic!("{said}")))
}

/// Programs that one run of `peer` and all its descendants execute, not counting its own execution. `None` if strace is
/// not installed.
pub fn processes_started(world: &World, words: &[&str]) -> Option<usize> {
    let strace = which::which("strace").ok()?;
    let trace = world.path("trace");
    let options = ["-f", "-qq", "-e", "trace=execve,execveat", "-o", trace.to_str().expect("text")];
    cost(&mut under(&strace, &options, &peer(world, words)));
    let text = std::fs::read_to_string(trace).expect("strace wrote it");
    Some(text.lines().filter(|line| line.trim_end().ends_with("= 0")).count() - 1)
}

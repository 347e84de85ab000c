//! What the benches share: what a command costs, and a table of what it costs beside what it may cost.
//!
//! Each bench works in a world of its own, the same that the tests use: private state, private tmux server, gone when
//! the bench ends.

#![allow(dead_code, unreachable_pub, reason = "each bench uses its part of this module")]

pub mod fleet;
pub mod table;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::common::World;

/// `peer` in the environment of a person's shell, which knows who that is: cron's does not, and costs a look into the user
/// database.
pub fn peer(world: &World, words: &[&str]) -> Command {
    let mut command = world.command(words);
    command.env("USER", "somebody").env("LOGNAME", "somebody").env("SHELL", "/bin/sh");
    command
}

/// What one run of a command took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// From before it was started until it was reaped.
    pub wall: Duration,
    /// User and system time of it and of the children that it waited for itself.
    pub cpu: Duration,
}

/// Runs a command to its end, with its output read and thrown away, and returns what it took.
///
/// # Panics
/// It failed: the time of a failure is no measurement.
pub fn cost(command: &mut Command) -> Cost {
    let (cpu, started) = (children_cpu(), Instant::now());
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let wall = started.elapsed();
    assert!(output.status.success(), "{command:?}: {output:?}");
    Cost { wall, cpu: children_cpu().saturating_sub(cpu) }
}

/// User and system time of every child that was reaped until now. Benches start one at a time, so a difference is one
/// child's.
fn children_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it cannot fail for this process");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.try_into().expect("time passes forwards"))
}

/// The middle of what was measured, by wall clock and by CPU time each on its own: a machine that is also used for
/// something else disturbs a mean.
pub fn median(costs: &[Cost]) -> Cost {
    let middle = |of: fn(&Cost) -> Duration| {
        let mut all: Vec<Duration> = costs.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    Cost { wall: middle(|cost| cost.wall), cpu: middle(|cost| cost.cpu) }
}

/// Measures two things in turns, `times` each, so that whatever else the machine does hits both alike.
pub fn in_turns(times: usize, mut ours: impl FnMut(usize) -> Cost, mut raw: impl FnMut(usize) -> Cost) -> (Cost, Cost) {
    let (mut all_ours, mut all_raw) = (Vec::new(), Vec::new());
    for turn in 0..times {
        all_raw.push(raw(turn));
        all_ours.push(ours(turn));
    }
    (median(&all_ours), median(&all_raw))
}

/// What happens on the machine at all: without it a bare time says little.
pub fn machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    println!("{cores} cores, load {load} at the start; medians of runs in turns");
}

/// The same command as the argument of a tool that looks into it.
pub fn under(tool: &Path, words: &[&str], command: &Command) -> Command {
    let mut watched = Command::new(tool);
    watched.args(words).arg(command.get_program()).args(command.get_args());
    watched.env_clear().envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    watched.current_dir(command.get_current_dir().expect("commands of a world have one"));
    watched
}

/// Programs that one run of `peer` executes, whoever of its descendants does, its own execution not counted. `None` where
/// strace is not installed.
pub fn processes_started(world: &World, words: &[&str]) -> Option<usize> {
    let strace = which::which("strace").ok()?;
    let trace = world.path("trace");
    let options = ["-f", "-qq", "-e", "trace=execve,execveat", "-o", trace.to_str().expect("text")];
    cost(&mut under(&strace, &options, &peer(world, words)));
    let text = std::fs::read_to_string(trace).expect("strace wrote it");
    Some(text.lines().filter(|line| line.trim_end().ends_with("= 0")).count() - 1)
}

//! Policy and store against a plain model, with `kill -9` between any two writes.
//!
//! A worker process (this very program) carries out random operations on a real state directory, in the engine's order
//! of writes; the model predicts the state afterwards. Now and then the worker is killed at a random moment of an
//! operation. Then the files must hold the state before, the state after, or one that the next pass completes, and
//! nothing may be lost or counted twice. There is no runtime: the model decides which process is alive.
//!
//! `MODEL_STEPS` (20,000) is the number of operations, `MODEL_SEED` determines which.

mod plain;
mod worker;

use std::env;
use std::time::Instant;

use crate::common::random::Random;
use plain::{Op, Peer, STEPS_A_WORLD};
use worker::Worker;

/// Peers in one directory: enough that they could interfere with each other.
const PEERS: usize = 3;
/// On average, one operation in this many is killed.
const KILL_ONE_IN: u64 = 20;
/// The latest kill, in microseconds after the operation began: it takes 100 to 400 in a debug build.
const KILL_WITHIN_US: u64 = 400;

#[test]
fn a_killed_operation_is_as_if_it_had_never_begun_or_ended() {
    let number = |name: &str, default: u64| env::var(name).ok().map_or(default, |n| n.parse().expect("a number"));
    run(number("MODEL_STEPS", 20_000), number("MODEL_SEED", u64::from(std::process::id())));
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "started by a_killed_operation_is_as_if_it_had_never_begun_or_ended"]
fn works_until_it_is_killed() {
    worker::serve(&env::var(worker::DIRECTORY).expect("a directory"));
}

/// How many kills there were, and how many came half-way.
#[derive(Default)]
struct Kills {
    all: u64,
    half_way: u64,
}

fn run(steps: u64, seed: u64) {
    println!("model: {steps} steps; MODEL_SEED={seed} repeats them");
    let mut random = Random::new(seed);
    let (started, mut kills, mut done) = (Instant::now(), Kills::default(), 0);
    while done < steps {
        let more = (steps - done).min(STEPS_A_WORLD);
        wander(more, &mut random, &mut kills);
        done += more;
    }
    let Kills { all, half_way } = kills;
    println!(
        "model: ok; {all} operations killed, {half_way} between their first and last write; {:.1?}",
        started.elapsed()
    );
    assert!(steps < 10_000 || half_way > all / 50, "the kills hit nothing: this test would show nothing");
}

/// Runs operations in one new state directory.
fn wander(steps: u64, random: &mut Random, kills: &mut Kills) {
    let memory = std::path::Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    let dir = tempfile::Builder::new().prefix("peer-model-").tempdir_in(place).expect("a directory");
    let mut peers = vec![Peer::default(); PEERS];
    let mut worker = Worker::start(dir.path());
    let (mut now, mut step) = (1_795_305_600_000, 0);
    while step < steps {
        // Some operations that are completed, handed over all at once, then one that is killed.
        let mut batch = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..random.below(2 * KILL_ONE_IN) {
            let (index, op) = choose(random, &peers, &mut now, &mut step);
            peers[index].apply(&op, now);
            batch.push((index, op, now));
            expected.push(peers[index].clone());
        }
        worker.begin(&batch);
        for (op, expected) in batch.iter().zip(expected) {
            assert_eq!(worker.done(), expected, "after {op:?}");
        }
        let (index, op) = choose(random, &peers, &mut now, &mut step);
        worker.kill_in(index, &op, now, random.below(KILL_WITHIN_US));
        worker = Worker::start(dir.path());
        let before = peers[index].clone();
        let mut after = before.clone();
        after.apply(&op, now);
        peers[index] = Killed { op, before, after }.judge(&mut worker, index, now, kills);
    }
}

/// Lets time pass, and chooses a peer and an operation.
fn choose(random: &mut Random, peers: &[Peer], now: &mut u64, step: &mut u64) -> (usize, Op) {
    *now += random.below(20_000) * random.below(4).pow(2);
    *step += 1;
    let index = usize::try_from(random.below(PEERS as u64)).expect("small");
    (index, Op::random(random, &peers[index], *step))
}

/// An operation that was killed.
struct Killed {
    op: Op,
    before: Peer,
    after: Peer,
}

impl Killed {
    /// Checks the state, lets the next pass finish it, and returns the state after that.
    fn judge(&self, worker: &mut Worker, index: usize, now: u64, kills: &mut Kills) -> Peer {
        let Self { op, before, after } = self;
        let raw = worker.look(index);
        kills.all += 1;
        kills.half_way += u64::from(raw != *before && raw != *after);
        worker.begin(&[(index, Op::Finish, now)]);
        let finished = worker.done();
        let checks = [raw.follows(before, after, op), finished.follows(before, after, op), finished.is_whole()];
        for check in checks {
            check.unwrap_or_else(|what| {
                panic!("{what}: killed in {op:?} at {now}\nbefore {before:?}\nraw {raw:?}\nfinished {finished:?}\nafter {after:?}")
            });
        }
        finished
    }
}

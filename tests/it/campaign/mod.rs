//! A fleet under random faults: verbs, pane processes, agents and servers are killed, servers are stopped, records are
//! corrupted, and users rename, close, split, attach and type `/clear`. After each round everything settles. Then at
//! most one agent may be alive for each peer, no conversation id may be lost, no false death may be counted, every wake
//! must succeed, and each message must be there exactly once.
//!
//! `CAMPAIGN_LEGS` (1) is the number of fleets that live one after the other on each runtime, `CAMPAIGN_SEED` (1)
//! determines their faults, and `CAMPAIGN_RUNTIMES` (`tmux zellij`) the runtimes. `CAMPAIGN_LEDGER` names a file that
//! gets one JSON object per leg, and `CAMPAIGN_COMMIT` what is tested: legs of it that are in the file already are not run
//! again. `scripts/campaign` sets all of them, and sums up the ledger.

mod faults;
mod fleet;
mod ledger;

use std::env;

use fleet::Fleet;
use ledger::Ledger;
use peer_adapters::runtime::RuntimeKind;

/// Rounds of one fleet: enough that a fault meets what earlier ones have left.
const ROUNDS: u32 = 25;

#[test]
fn a_fleet_under_random_faults_keeps_its_promises() {
    let number = |name: &str, default: u64| env::var(name).ok().map_or(default, |n| n.parse().expect("a number"));
    let (legs, seed) = (number("CAMPAIGN_LEGS", 1), number("CAMPAIGN_SEED", 1));
    let runtimes = env::var("CAMPAIGN_RUNTIMES").unwrap_or_else(|_| "tmux zellij".to_owned());
    let commit = env::var("CAMPAIGN_COMMIT").unwrap_or_default();
    let mut ledger = Ledger::open(env::var_os("CAMPAIGN_LEDGER").map(Into::into), commit);
    for leg in 0..legs {
        for word in runtimes.split_whitespace() {
            let kind = [RuntimeKind::Tmux, RuntimeKind::Zellij].into_iter().find(|kind| kind.as_str() == word);
            let kind = kind.unwrap_or_else(|| panic!("CAMPAIGN_RUNTIMES: {word:?} is neither tmux nor zellij"));
            if !ledger.has(seed, leg, kind) {
                let counts = Fleet::new(kind, seed ^ (leg << 32)).live(ROUNDS);
                ledger.add(seed, leg, kind, &counts);
            }
        }
    }
    println!("{}", ledger.figures());
    assert!(ledger.is_clean(), "see the figures above");
}

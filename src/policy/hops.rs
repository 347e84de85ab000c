//! How far messages travel from peer to peer before a person has to step in.
//!
//! A message from an agent has one hop more than the message that its sender received last. A message from a person has
//! none. A chain of agents that write to each other therefore ends, whether it is a circle or not.

/// The most hops of a message, unless `config.toml` says otherwise. Eight hops are enough for a question, an answer and
/// a few corrections between two agents, or for one pass through a fleet of eight. With a larger limit, a loop of
/// agents costs more before it ends.
pub const MAX_HOPS: u32 = 8;

/// Returns the hops of a message from an agent whose last received message had `received` hops.
pub const fn next(received: u32) -> u32 {
    received.saturating_add(1)
}

/// Whether a message with `hops` hops may be delivered. A limit of 0 means no limit.
pub const fn is_within(hops: u32, limit: u32) -> bool {
    limit == 0 || hops <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_ends_behind_its_limit_and_a_person_begins_another() {
        let mut hops = 0;
        let mut delivered = 0;
        while is_within(next(hops), MAX_HOPS) {
            hops = next(hops);
            delivered += 1;
        }
        assert_eq!((delivered, hops), (8, MAX_HOPS));
        assert!(is_within(0, 1) && is_within(1, 1) && !is_within(2, 1));
        assert!(is_within(u32::MAX, 0) && next(u32::MAX) == u32::MAX);
    }
}

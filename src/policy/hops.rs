//! How far messages go from peer to peer before a person has to say something.
//!
//! Each message of an agent has one hop more than the message that its sender was told last; a person's has none. So a chain of
//! agents that write to each other, in a circle or not, has an end.

/// How many hops a message may have where `config.toml` does not say otherwise: a question, an answer and a few corrections
/// between two agents, or one way through a fleet of eight. Larger, and a loop of agents costs more before it ends.
pub const MAX_HOPS: u32 = 8;

/// The hops of a message of an agent that was told one with `heard`.
pub const fn next(heard: u32) -> u32 {
    heard.saturating_add(1)
}

/// Whether a message with so many hops may be delivered; a limit of 0 is none.
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

//! Messages to an agent, and the conversations that they are in.

mod awaited;
mod changed_conversations;
mod conversations;
mod cut_off;
mod delivery;
mod drafts;
mod hops;
mod inbox;
mod interrupted;
mod late_conversations;
mod overtaking;
mod transcripts;
mod undelivered;
mod workers;

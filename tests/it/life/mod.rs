//! How an agent is started, kept, parked and ended, and what is recorded of it.

mod broken_boots;
mod crowd;
mod elsewhere;
mod endings;
mod fences;
mod fleets;
mod foresight;
mod idle;
mod killed_by_hand;
mod ladder;
mod left_clients;
mod limits;
mod lost_state;
mod markers;
mod moves;
mod pane;
mod reap;
mod restarts;
mod self_fresh;
mod supervision;
mod taken_away;
mod ticks;
mod wake_table;
mod watch;
mod what_ticks_leave;

//! What an agent is born with.

mod bare;
mod inherited;
mod kept_variables;
mod missing_variables;
mod session_variables;
mod terminal_variables;

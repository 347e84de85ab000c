//! The environment that an agent starts with.

mod bare;
mod env_file;
mod inherited;
mod kept_variables;
mod missing_variables;
mod session_variables;
mod terminal_variables;

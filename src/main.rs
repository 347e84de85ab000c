//! Parses the command line, runs the verb, and turns its outcome into an exit code.

fn main() {}

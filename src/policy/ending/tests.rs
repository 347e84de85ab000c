//! One test an end.

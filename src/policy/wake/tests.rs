//! One test a row, and one a story.

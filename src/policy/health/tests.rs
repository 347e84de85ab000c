//! Guard, backoff, latch and budgets.

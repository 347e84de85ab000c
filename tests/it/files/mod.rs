//! Files that others write: broken, strange and hostile ones.

mod bad_records;
mod declaring;
mod golden;
mod hostile_text;
mod store_faults;
mod strange_files;
mod trust;

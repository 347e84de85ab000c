//! Files from other programs and users: broken, strange and hostile ones.

mod bad_records;
mod broken_config;
mod broken_specs;
mod declaring;
mod editing;
mod golden;
mod hostile_text;
mod store_faults;
mod strange_files;
mod trust;

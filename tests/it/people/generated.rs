//! What the binary prints about itself is checked in (completions/, man/) and listed in the README; these tests keep it
//! up to date.
//!
//! `PEER_REGENERATE=1 cargo test --test it generated` writes the files again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::Run;

const COMPLETIONS: [(&str, &str); 4] =
    [("bash", "peer.bash"), ("zsh", "_peer"), ("fish", "peer.fish"), ("elvish", "peer.elv")];

fn peer(arguments: &[&str]) -> Vec<u8> {
    let run = Run::of(Command::new(env!("CARGO_BIN_EXE_peer")).args(arguments), None);
    assert_eq!(run.code, 0, "peer {arguments:?}: {run:?}");
    run.stdout.into_bytes()
}

/// Compares the files of a directory of the repository with what they should be, or writes them.
fn assert_up_to_date(dir: &str, wanted: &BTreeMap<String, Vec<u8>>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    if std::env::var_os("PEER_REGENERATE").is_some() {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("the repository can be written");
        for (name, text) in wanted {
            fs::write(dir.join(name), text).expect("the repository can be written");
        }
    }
    let found = files(&dir);
    let stale: Vec<&String> = wanted.keys().filter(|name| found.get(*name) != wanted.get(*name)).collect();
    let left: Vec<&String> = found.keys().filter(|name| !wanted.contains_key(*name)).collect();
    let cure = "PEER_REGENERATE=1 cargo test --test it generated";
    assert!(stale.is_empty() && left.is_empty(), "stale: {stale:?}, nobody's: {left:?}; run: {cure}");
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()));
    entries.map(read).map(|(name, text)| (name, text.expect("a listed file is there"))).collect()
}

#[test]
fn completions_are_those_of_this_binary() {
    let wanted = COMPLETIONS.map(|(shell, file)| (file.to_owned(), peer(&["completions", shell])));
    assert_up_to_date("completions", &wanted.into());
}

#[test]
fn man_pages_are_those_of_this_binary() {
    let dir = tempfile::tempdir().expect("there is room for man pages");
    peer(&["man", &dir.path().to_string_lossy()]);
    let wanted = files(dir.path());
    assert!(wanted.contains_key("peer.1") && wanted.contains_key("peer-wake.1"), "{:?}", wanted.keys());
    assert_up_to_date("man", &wanted);
}

#[test]
fn the_readme_tells_each_verb_and_no_other() {
    let help = String::from_utf8(peer(&["--help"])).expect("help is text");
    let groups =
        help.split_once("\nSet up:\n").and_then(|(_, rest)| rest.split_once("\nOptions:\n")).expect("groups").0;
    let verbs: Vec<&str> = groups.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("there is a README");
    let table = readme.split_once("\n## Verbs\n").expect("the README has a table of verbs").1;
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(['`', ' ']).next());
    let mut told: Vec<&str> = rows.collect();
    let mut real = verbs.clone();
    told.sort_unstable();
    real.sort_unstable();
    assert_eq!(told, real, "the README's table of verbs and `peer --help`");
}

//! Checks that the pages are complete: each key of each file with an example that parses, each variable, each verb.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use peer_adapters::agent::Profile;
use serde::de::DeserializeOwned;

use super::super::Cli;
use super::{WRITTEN, page};
use crate::config::{PeerSpec, Settings};

/// The keys of `T` and of each table in it, as `ready.screen`, taken from the error for an unknown key.
fn keys<T: DeserializeOwned>() -> Vec<String> {
    let known = |text: &str| -> Option<Vec<String>> {
        let error = toml::from_str::<T>(text).err()?.message().to_owned();
        let error = error.strip_prefix("unknown field `zzz`, expected ")?.to_owned();
        Some(error.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    };
    let mut found = Vec::new();
    let mut open = vec![(String::new(), known("zzz = 1").expect("it refuses unknown keys"))];
    while let Some((table, names)) = open.pop() {
        for name in names {
            let path = if table.is_empty() { name } else { format!("{table}.{name}") };
            let tables = [format!("[{path}]\nzzz = 1"), format!("[[{path}]]\nzzz = 1")];
            match tables.iter().find_map(|text| known(text)) {
                Some(names) => open.push((path, names)),
                None => found.push(path),
            }
        }
    }
    found
}

/// The part of the page under this heading.
fn part(heading: &str) -> String {
    let page = WRITTEN[0].1;
    let (_, rest) = page.split_once(&format!(".SH {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    rest.split("\n.SH ").next().expect("a part").to_owned()
}

/// The tables of a part by their headings; the text before the first heading has an empty one.
fn tables(part: &str) -> Vec<(&str, &str)> {
    let mut parts = part.split("\n.SS ");
    let first = parts.next().map(|text| ("", text));
    first.into_iter().chain(parts.filter_map(|text| text.split_once('\n'))).collect()
}

/// Whether a table explains a key: one of its tagged paragraphs has the key in its tag.
fn explains(table: &str, key: &str) -> bool {
    let mut paragraphs = table.split("\n.TP\n").skip(1).chain(table.strip_prefix(".TP\n"));
    paragraphs.any(|paragraph| {
        let mut lines = paragraph.lines();
        let tag = lines.next().unwrap_or_default();
        let words = tag.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.skip(1).any(|word| word == key) && lines.next().is_some_and(|line| !line.is_empty())
    })
}

/// The examples of a part, as they are printed.
fn examples(part: &str) -> Vec<String> {
    let blocks = part.split("\n.EX\n").skip(1).filter_map(|block| block.split_once("\n.EE"));
    let plain = |text: &str| {
        text.replace("\\(aq", "'").replace("\\(dq", "\"").replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")
    };
    blocks.map(|(text, _)| plain(text)).collect()
}

/// Whether a file has a key, which is written with dots.
fn has(file: &toml::Table, key: &str) -> bool {
    let inside = |value: &toml::Value, rest: &str| match value {
        toml::Value::Table(table) => has(table, rest),
        toml::Value::Array(all) => all.iter().any(|one| one.as_table().is_some_and(|table| has(table, rest))),
        _ => false,
    };
    match key.split_once('.') {
        None => file.contains_key(key),
        Some((table, rest)) => file.get(table).is_some_and(|value| inside(value, rest)),
    }
}

/// Checks that each key is explained under its table and is in an example. Returns the examples.
fn hold(heading: &str, keys: &[String]) -> Vec<String> {
    let part = part(heading);
    let (tables, examples) = (tables(&part), examples(&part));
    let files: Vec<toml::Table> = examples.iter().map(|text| toml::from_str(text).expect(text)).collect();
    assert!(keys.len() > 5, "{keys:?}");
    for path in keys {
        let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
        let titles = [table.to_owned(), format!("[{table}]"), format!("[[{table}]]")];
        let text = tables.iter().find(|(title, _)| titles.iter().any(|wanted| title == wanted));
        let (_, text) = text.unwrap_or_else(|| panic!("peer-files(5), {heading}, has no table {table}"));
        assert!(explains(text, key), "peer-files(5), {heading}, does not explain {path}");
        assert!(files.iter().any(|file| has(file, path)), "peer-files(5), {heading}, has no example of {path}");
    }
    examples
}

#[test]
fn each_key_of_each_file_is_explained_with_an_example_that_is_read() {
    for text in hold("CONFIG.TOML", &keys::<Settings>()) {
        toml::from_str::<Settings>(&text).expect("the example is read");
    }
    for text in hold("PEERS/NAME.TOML", &keys::<PeerSpec>()) {
        PeerSpec::parse(Path::new("api.toml"), &text).expect("the example is read");
    }
    for text in hold("AGENTS/NAME.TOML", &keys::<Profile>()) {
        Profile::parse("ours", &text).expect("the example is read");
    }
}

#[test]
fn each_word_that_a_key_may_have_is_named() {
    let page = WRITTEN[0].1.replace("\\-", "-");
    let words = |text: &str| -> Vec<String> {
        let error = toml::from_str::<Profile>(text).expect_err("no such word").message().to_owned();
        error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    };
    let mut known = Vec::new();
    for key in ["id", "transcript", "status", "says", "activity"] {
        let value = if key == "activity" { "[\"zzz\"]" } else { "\"zzz\"" };
        known.extend(words(&format!("[conversation]\n{key} = {value}")));
    }
    known.extend(words("[hooks]\nreports = [\"zzz\"]"));
    known.extend(words("[message]\naccepted = \"zzz\""));
    known.extend(words("[message]\nalters = [\"zzz\"]"));
    known.extend(words("[[dialog]]\nid = \"a\"\nscreen = \"a\"\nkind = \"zzz\""));
    assert!(known.len() > 20, "{known:?}");
    for word in
        known.iter().map(String::as_str).chain(["on-wake", "on-failure", "always", "executor", "conversational"])
    {
        assert!(page.contains(&format!("\\(dq{word}\\(dq")), "peer-files(5) does not name {word}");
    }
}

/// Finds every Rust file below a directory.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("it is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn each_variable_that_is_read_or_set_is_told() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut named = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).expect("a source");
        let pieces = text.split('"').skip(1).step_by(2);
        let ours = |word: &&str| word.starts_with("PEER_") && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        named.extend(pieces.filter(ours).map(str::to_owned));
    }
    named.extend(["HOME", "PATH", "VISUAL", "EDITOR", "TERM", "NO_COLOR", "XDG_STATE_HOME"].map(str::to_owned));
    // Not variables of the user: a prefix, and what a completion script sets for one key press.
    named.retain(|name| name != "PEER_" && name != super::super::complete::VARIABLE);
    assert!(named.len() > 12, "{named:?}");
    for name in named {
        let told = page::ENVIRONMENT.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name);
        assert!(told, "peer(1) does not tell {name}");
    }
}

#[test]
fn each_page_has_every_section_and_says_what_values_its_flags_take() {
    let pages = page::all(&Cli::command()).expect("memory");
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.trim_end_matches(".1")).collect();
    for (name, text) in &pages {
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "\"SEE ALSO\""] {
            assert!(text.contains(&format!("\n.SH {heading}\n")), "{name} has no {heading}");
        }
        let prose = text.split("\n.EE\n").map(|part| part.split("\n.EX\n").next().unwrap_or_default());
        assert!(!text.contains("EXTRA") && !prose.collect::<String>().contains('`'), "{name}");
    }
    for (name, related) in page::RELATED {
        assert!(names.contains(name), "there is no page {name}");
        assert!(related.iter().all(|page| names.contains(page)), "{name}: {related:?}");
    }
    let without: Vec<_> = names.iter().filter(|name| !page::RELATED.iter().any(|(page, _)| page == *name)).collect();
    assert!(without.is_empty(), "nothing is related to {without:?}");
    let program = &pages[0].1;
    let listed =
        |name: &&str| *name == "peer" || name.contains("timer-") || program.contains(&name.replace('-', "\\-"));
    assert!(names.iter().all(listed), "{program}");
    let wake = &pages.iter().find(|(name, _)| name == "peer-wake.1").expect("a page").1;
    let synopsis = wake
        .split(".SH SYNOPSIS\n")
        .nth(1)
        .and_then(|text| text.lines().find(|line| !line.starts_with('.')))
        .expect("a synopsis");
    let plain = synopsis.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace("\\-", "-");
    let plain = plain.replace('\u{a0}', " ");
    assert!(plain.contains("[-t|--topic TOPIC]") && plain.contains("{NAME... | --all}"), "{plain}");
}

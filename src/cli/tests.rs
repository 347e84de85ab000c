//! Checks that `peer` understands each command that it suggests to the user.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::Cli;

/// Words that may follow "peer" in a sentence that does not name a command.
const PROSE: [&str; 5] = ["itself", "looks", "runs", "sets", "talks"];

/// What an error names that nothing gives yet, because its verb comes with the next change: empty in a release.
const COMING: [&str; 0] = [];

/// Finds every Rust file that is shipped.
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

/// The contents of a source's string literals, as the compiler reads them.
fn literals(source: &str) -> Vec<String> {
    let shipped = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = shipped;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with("'\"'") {
            rest = &rest[3..];
        } else if c == '"' {
            let (text, length) = literal(&rest[1..]);
            found.push(text);
            rest = &rest[1 + length..];
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

/// Returns the text up to the closing quote, and its length in the source.
fn literal(source: &str) -> (String, usize) {
    let mut text = String::new();
    let mut chars = source.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, at + 1),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => text.push('\n'),
                // A backslash before a line end also skips the white space after it.
                Some('\n') => {
                    let after = chars.as_str();
                    let skipped = after.len() - after.trim_start().len();
                    for _ in 0..after[..skipped].chars().count() {
                        chars.next();
                    }
                }
                other => text.extend(other),
            },
            c => text.push(c),
        }
    }
    (text, source.len())
}

/// The commands that a text suggests, each from its verb to the end of the clause.
fn clauses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("peer ") {
        let before = text[..at].chars().next_back();
        // Not `{peer}`, `api.peer`, `$peer`, or `a peer` in a sentence.
        let begins = before.is_none_or(|c| c.is_whitespace() || matches!(c, '`' | '('));
        let rest = &text[at + "peer ".len()..];
        let verb = rest.chars().next().is_some_and(|c| c.is_ascii_lowercase());
        let article = ["a ", "the ", "each ", "every ", "this ", "no ", "another ", "such ", "that ", "of ", "other "];
        if !begins || !verb || article.iter().any(|word| text[..at].ends_with(word)) {
            continue;
        }
        let ends = ["`", ";", ",", ": ", "(", ")", " && ", " | ", "\n", ". ", " — "];
        let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
        // The markers around our lines in a crontab are not commands.
        let clause = &rest[..end];
        found.extend((!clause.contains(">>>") && !clause.contains("<<<")).then(|| clause.to_owned()));
    }
    found
}

/// Returns a word as the user would type it in its place; `None` if it is not typed.
fn typed(word: &str) -> Option<&str> {
    match word.trim_end_matches(['.', '?']).trim_matches(['<', '>']) {
        "{from}" | "RUNTIME" | "{runtime}" => Some("tmux"),
        "COMMAND" | "TEXT" => Some("cat"),
        "STATE" => Some("awake"),
        word if word.starts_with('{') || word == "NAME" || word == "NEW" || word == "OLD" => Some("api"),
        word if word.starts_with('[') || word.contains('…') => None,
        word => Some(word),
    }
}

/// Whether the parser accepts a beginning of the clause that includes all of its flags. A clause that is only a verb or
/// a flag mentions it, as "see `peer stop`" does.
fn is_understood(clause: &str) -> bool {
    let words: Vec<&str> = clause.split_whitespace().filter_map(typed).collect();
    let least = words.iter().rposition(|word| word.starts_with('-') && *word != "-").map_or(1, |at| at + 1);
    let mut whole = Cli::command();
    whole.build();
    let hidden: Vec<String> =
        whole.get_subcommands().filter(|verb| verb.is_hide_set()).map(|verb| verb.get_name().to_owned()).collect();
    (least..=words.len()).any(|length| {
        let line = std::iter::once("peer").chain(words[..length].iter().copied());
        let understood = match whole.clone().try_get_matches_from(line) {
            Ok(_) => true,
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
                ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                    length == words.len() && words[1..].iter().all(|word| word.starts_with('-'))
                }
                ErrorKind::InvalidValue => length == words.len() && words[length - 1].starts_with('-'),
                _ => false,
            },
        };
        understood && !hidden.iter().any(|verb| verb == words[0])
    })
}

#[test]
fn each_command_that_is_told_a_person_is_understood() {
    let mut files = Vec::new();
    for dir in ["src", "adapters/src"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut files);
    }
    let (mut looked, mut wrong) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source");
        for clause in literals(&text).iter().flat_map(|text| clauses(text)) {
            looked += 1;
            let verb = clause.split_whitespace().next().unwrap_or_default();
            let comes = COMING.iter().any(|word| clause.split_whitespace().any(|typed| typed == *word));
            if !PROSE.contains(&verb) && !comes && !is_understood(&clause) {
                wrong.push(format!("{}: peer {clause}", file.display()));
            }
        }
    }
    assert!(looked > 100, "{looked}");
    assert!(wrong.is_empty(), "a person is told to type what is not understood:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_sources_reads() {
    let source = "let a = \"peer wake {peer} --fresh \\\n      begins\"; // \"peer no\"\nlet q = '\"'; f(\"a peer that; `peer why`\")";
    let found = literals(source);
    assert_eq!(found, ["peer wake {peer} --fresh begins", "a peer that; `peer why`"]);
    let clauses: Vec<String> = found.iter().flat_map(|text| clauses(text)).collect();
    assert_eq!(clauses, ["wake {peer} --fresh begins", "why"]);
    assert!(is_understood("wake {peer} --fresh begins") && !is_understood("wake {peer} --frsh begins"));
    assert!(is_understood("stop") && !is_understood("stop --al api") && !is_understood("seed"));
}

//! The rules of the house, checked in the sources: what imports what, and which code starts processes, prints and
//! exits. See ARCHITECTURE.md for the reasons.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file by its path from the root of the repository; `code` is without comments and the contents of strings.
struct Source {
    path: String,
    code: String,
    lines: usize,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a listed file is there");
        let path = path.strip_prefix(root()).expect("it was listed under the root").to_string_lossy().into_owned();
        Self { path, code: code_of(&text), lines: text.lines().count() }
    }

    fn is_under(&self, dirs: &[&str]) -> bool {
        dirs.iter().any(|dir| self.path.starts_with(dir))
    }

    /// The code without its inline test module, which comes last.
    fn shipped(&self) -> &str {
        if self.path.ends_with("/tests.rs") {
            return "";
        }
        self.code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }
}

/// Every path that is written out, in a `use` (with its braces expanded) or in an expression.
fn paths(code: &str) -> Vec<String> {
    let mut paths = inline_paths(code);
    for (at, _) in code.match_indices("use ") {
        let starts_word = code[..at].chars().next_back().is_none_or(char::is_whitespace);
        if let Some((tree, _)) = code[at + 4..].split_once(';').filter(|_| starts_word) {
            expand("", tree, &mut paths);
        }
    }
    paths
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below these directories, if they exist.
fn sources(dirs: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for dir in dirs {
        collect(&root().join(dir), "rs", &mut found);
    }
    assert!(!found.is_empty(), "no sources in {dirs:?}: this test would hold nothing");
    found.iter().map(|path| Source::read(path)).collect()
}

fn collect(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// `a::{b, c::{d, e}}` → `a::b`, `a::c::d`, `a::c::e`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        paths.extend((!name.is_empty()).then(|| format!("{prefix}{name}")));
        return;
    };
    let inside = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&format!("{prefix}{}", head.trim()), &inside[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
}

fn inline_paths(code: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split(|c| !is_path(c)).filter(|word| word.contains("::") && !word.ends_with("::")).map(str::to_owned).collect()
}

/// The text without comments, and with nothing between the quotes of its strings and characters.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if raw_string(rest, &code).is_some() => raw_string(rest, &code).unwrap_or(0),
            '"' => quoted(rest, '"'),
            // `'a'` and `'\n'`, but not the lifetime `'a`.
            '\'' if rest.chars().nth(1) == Some('\\') || rest.chars().nth(2) == Some('\'') => quoted(rest, '\''),
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of a quoted text with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// The length of the raw string at the beginning of `text`, if there is one.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    if before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let body = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    body.find(&end).map(|at| text.len() - body.len() + at + end.len())
}

/// Fails with one line for each violation.
fn hold(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}

/// The paths in sources below `dirs` that are `forbidden`.
fn violations(dirs: &[&str], forbidden: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources(dirs) {
        found.extend(
            paths(&source.code).iter().filter(|path| forbidden(path)).map(|path| format!("{}: {path}", source.path)),
        );
    }
    found.sort();
    found.dedup();
    found
}

fn is_in(path: &str, modules: &[&str]) -> bool {
    modules.iter().any(|module| path == *module || path.starts_with(&format!("{module}::")))
}

#[test]
fn policy_is_facts_in_and_decisions_out() {
    let outside = ["tokio", "nix", "peer_adapters", "std::fs", "std::io", "std::env", "std::net", "std::os"];
    let effects = ["std::process", "std::thread", "SystemTime::now", "std::time::SystemTime::now"];
    let clock = |path: &str| path.split("::").any(|part| part == "Instant");
    let ours = |path: &str| is_in(path, &["crate", "peer"]) && !is_in(path, &["crate::policy", "peer::policy"]);
    let found =
        violations(&["src/policy"], |path| is_in(path, &outside) || is_in(path, &effects) || clock(path) || ours(path));
    hold("src/policy may import nothing of ours, no runtime, no file, no clock", &found);
}

#[test]
fn adapters_decide_nothing() {
    let manifest = fs::read_to_string(root().join("adapters/Cargo.toml")).expect("the workspace has adapters");
    let depends = |line: &&str| line.split(['=', '.', ' ']).next() == Some("peer");
    hold("adapters may not depend on peer", &manifest.lines().filter(depends).map(str::to_owned).collect::<Vec<_>>());
    hold("adapters may not import peer", &violations(&["adapters/src"], |path| is_in(path, &["peer"])));
}

#[test]
fn store_and_config_know_policy_alone() {
    let others = ["crate::engine", "crate::cli", "crate::pane", "peer_adapters", "tokio"];
    let runtimes = ["peer_adapters::runtime::RuntimeKind", "peer_adapters::runtime::RuntimeName"];
    let allowed =
        [&["peer_adapters::file", "peer_adapters::inherited", "peer_adapters::nearest"][..], &runtimes].concat();
    let found = violations(&["src/store", "src/config"], |path| is_in(path, &others) && !is_in(path, &allowed));
    hold(
        "src/store and src/config may import of ours only policy, files, umask and limits, the names of runtimes, `nearest`, and each other's types",
        &found,
    );
}

#[test]
fn the_engine_does_not_know_who_asks() {
    let found = violations(&["src/engine"], |path| is_in(path, &["crate::cli", "crate::pane", "clap"]));
    hold("src/engine may import neither the command line nor the process in the pane", &found);
}

#[test]
fn the_command_line_and_the_pane_do_not_know_each_other() {
    let found = violations(&["src/cli", "src/bin"], |path| is_in(path, &["crate::pane", "peer::pane_main"]));
    hold("src/cli may not import the process in the pane", &found);
    // The pane process lives as long as its agent: neither the command line's code nor a spec that changes meanwhile.
    let found = violations(&["src/pane"], |path| is_in(path, &["crate::cli", "crate::config", "clap", "tokio"]));
    hold("src/pane may import neither the command line nor the configuration", &found);
}

#[test]
fn what_differs_between_runtimes_is_known_to_their_adapters() {
    // The settings have a table for each.
    let may = ["src/config/settings.rs"];
    let compares = |path: &&String| path.ends_with("RuntimeKind::Tmux") || path.ends_with("RuntimeKind::Zellij");
    let is_adapter = |path: &str| is_in(path, &["peer_adapters::tmux", "peer_adapters::zellij"]);
    let mut found = Vec::new();
    for source in sources(&["src"]).iter().filter(|source| !source.is_under(&may)) {
        let paths = paths(source.shipped());
        let named = paths.iter().filter(|path| compares(path) || is_adapter(path));
        found.extend(named.map(|path| format!("{}: {path}", source.path)));
    }
    hold("src may not ask which runtime it is: that is behind `Facts` and `Runtime`", &found);
}

#[test]
fn one_place_starts_processes() {
    let may = ["adapters/src/command.rs", "adapters/src/command/"];
    let starts = |path: &&String| path.ends_with("process::Command") || path.contains("process::Command::");
    let mut found = Vec::new();
    for source in sources(&["src", "adapters/src"]).iter().filter(|source| !source.is_under(&may)) {
        let paths = paths(source.shipped());
        found.extend(paths.iter().filter(starts).map(|path| format!("{}: {path}", source.path)));
    }
    hold("only adapters/src/command* may start a process: deadlines and process groups are kept there", &found);
}

#[test]
fn one_place_opens_files() {
    let may = [
        "adapters/src/file.rs",
        // Files of the kernel, a thousand per tick.
        "adapters/src/process/",
        // Terminals, which are not regular files.
        "adapters/src/terminal.rs",
    ];
    let opens = ["fs::read", "fs::read_to_string", "File::open", "File::create", "File::options", "OpenOptions::new"];
    let is_open = |path: &&String| opens.iter().any(|open| path == open || path.ends_with(&format!("::{open}")));
    let mut found = Vec::new();
    for source in sources(&["src", "adapters/src"]).iter().filter(|source| !source.is_under(&may)) {
        let paths = paths(source.shipped());
        found.extend(paths.iter().filter(is_open).map(|path| format!("{}: {path}", source.path)));
    }
    hold("only adapters/src/file.rs opens files: what is no regular file, or too long, is refused there", &found);
}

#[test]
fn only_main_exits() {
    let exits = |path: &str| path.ends_with("process::exit") || path.ends_with("process::abort");
    hold("no library may exit: main returns the code", &violations(&["src", "adapters/src"], exits));
}

#[test]
fn only_the_command_line_prints() {
    // Progress overwrites itself, the pane process writes to the pane's screen, and main prints where the command line
    // is not used.
    let may = ["src/cli/render/output.rs", "src/cli/render/progress.rs", "src/pane/", "src/main.rs"];
    let prints = ["println!", "print!", "eprintln!", "eprint!", "dbg!", "io::stdout().write", "io::stderr()"];
    let mut found = Vec::new();
    for source in sources(&["src", "adapters/src"]).iter().filter(|source| !source.is_under(&may)) {
        let code = source.shipped();
        found.extend(
            prints.iter().filter(|print| code.contains(**print)).map(|print| format!("{}: {print}", source.path)),
        );
    }
    hold("only src/cli/render/output.rs may print: what a terminal would carry out is taken out there", &found);
}

#[test]
fn every_dependency_says_why() {
    let mut found = Vec::new();
    for manifest in ["Cargo.toml", "adapters/Cargo.toml"] {
        let text = fs::read_to_string(root().join(manifest)).expect("the workspace has two members");
        let (mut in_dependencies, mut above) = (false, "");
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.trim_end_matches(']').ends_with("dependencies");
            }
            // Dependencies of the workspace have their reason there; a path leads to our own crate.
            let is_new = line.contains('=') && !line.starts_with('#') && !line.contains(".workspace = true");
            if in_dependencies && is_new && !line.contains("path = ") && !above.starts_with('#') {
                found.push(format!("{manifest}: {line}"));
            }
            above = line;
        }
    }
    hold("every dependency needs a comment above it that says what it is for", &found);
}

/// Longer files, each with the reason why it is better whole.
const LONG: [(&str, &str); 3] = [
    ("src/engine/error.rs", "a table: one row for each way in which a verb can fail"),
    ("src/policy/wake/tests.rs", "a table: one case for each row of the wake table"),
    ("tests/it/life/wake_table.rs", "the same table as a person meets it"),
];

#[test]
fn no_file_outgrows_its_reader() {
    const MOST: usize = 350;
    let all = sources(&["src", "adapters/src", "adapters/tests", "tests", "examples", "benches"]);
    let long = |source: &&Source| source.lines > MOST && !LONG.iter().any(|(path, _)| *path == source.path);
    let found: Vec<String> =
        all.iter().filter(long).map(|source| format!("{}: {}", source.path, source.lines)).collect();
    hold("a file of more than 350 lines holds a table, or is several files", &found);
}

#[test]
fn documents_point_at_files_that_exist() {
    let mut documents = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        documents.push(root().join(document));
    }
    collect(&root().join("docs"), "md", &mut documents);
    let mut found = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap_or_default();
            let beside = document.parent().expect("a document is in a directory").join(target);
            if !target.is_empty() && !target.contains("://") && !beside.exists() {
                found.push(format!("{}: {target}", document.display()));
            }
        }
    }
    hold("a link leads nowhere", &found);
}

#[test]
fn the_reader_of_sources_reads() {
    let text = "use a::{b, c::{d as e, f}}; // use x::y;\nlet s = \"g::h\"; let c = '\"'; i::j(); r#\"k::l\"#;";
    let mut paths = paths(&code_of(text));
    paths.sort();
    paths.retain(|path| path != "a::" && path != "c::");
    assert_eq!(paths, ["a::b", "a::c::d", "a::c::f", "i::j"]);
}

//! The README for new users: its tour is typed here word by word, and it says where the sources are and what builds
//! them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::common::{PATIENCE, Run, World};

fn repository(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a file of the repository")
}

/// The part of the README under this heading.
fn part(heading: &str) -> String {
    let readme = repository("README.md");
    let (_, rest) = readme.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    rest.split("\n## ").next().expect("a part").to_owned()
}

/// Each line that is to be typed, with what the README shows below it.
fn tour() -> Vec<(String, Vec<String>)> {
    let part = part("A five-minute tour");
    let mut typed: Vec<(String, Vec<String>)> = Vec::new();
    for block in part.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(line) => typed.push((line.to_owned(), Vec::new())),
                None => typed.last_mut().expect("a prompt comes first").1.push(line.to_owned()),
            }
        }
    }
    typed
}

/// The output without what differs from run to run: numbers, the width of columns, the paths of cat and of the state.
fn loose(lines: &[String]) -> Vec<String> {
    let number = regex::Regex::new(r"\d+(\.\d+)?").expect("a pattern");
    let path = regex::Regex::new(r"[/~]\S*/").expect("a pattern");
    let cwd = regex::Regex::new(r" /\S+$").expect("a pattern");
    let loose = |line: &String| {
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = path.replace_all(&words, "/").into_owned();
        cwd.replace_all(&number.replace_all(&line, "N"), " /DIR").into_owned()
    };
    lines.iter().map(loose).collect()
}

fn type_into_a_shell(world: &World, line: &str) -> Vec<String> {
    let mut shell = Command::new("sh");
    shell.env_clear().envs(world.command(&[]).get_envs().filter_map(|(key, value)| Some((key, value?))));
    let bin = Path::new(env!("CARGO_BIN_EXE_peer")).parent().expect("a directory");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    let run = Run::of(shell.args(["-c", line]).env("PATH", path).current_dir(world.work()), None);
    (run.stdout + &run.stderr).lines().map(str::to_owned).collect()
}

#[test]
fn the_tour_can_be_typed_word_by_word_and_shows_what_it_shows() {
    let world = World::new();
    let tour = tour();
    assert!(tour.len() > 15, "{tour:?}");
    for (line, shown) in tour {
        let begun = Instant::now();
        loop {
            let said = type_into_a_shell(&world, &line);
            if loose(&said) == loose(&shown) {
                break;
            }
            // A terminal echoes, `cat` repeats a moment later, and the agent is idle after 2 s: look again, as a user
            // would.
            let looks = line.starts_with("peer screen ") || line.starts_with("peer reap");
            assert!(looks && begun.elapsed() < PATIENCE, "$ {line}\n{said:#?}\nand the README has\n{shown:#?}");
        }
    }
}

#[test]
fn the_readme_says_where_it_is_what_builds_it_and_how_it_goes_away() {
    let manifest: toml::Table = toml::from_str(&repository("Cargo.toml")).expect("TOML");
    let package = &manifest["workspace"]["package"];
    let value = |key: &str| package[key].as_str().expect("a string").to_owned();
    let install = part("Install");
    for wanted in [
        format!("cargo install --git {} --locked peer", value("repository")),
        format!("git clone {}", value("repository")),
        format!("Rust {}", value("rust-version")),
        "cargo uninstall peer".to_owned(),
        "peer timer uninstall".to_owned(),
    ] {
        assert!(install.contains(&wanted), "the README's installation does not say {wanted:?}");
    }
}

#[test]
fn completions_and_pages_go_where_the_readme_puts_them() {
    let world = World::new();
    let install = part("Install");
    let lines = install.lines().filter(|line| line.starts_with("mkdir ") || line.starts_with("peer completions "));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    let pages = install.split('`').find(|text| text.starts_with("peer man ")).expect("it names the pages");
    for line in lines {
        assert_eq!(type_into_a_shell(&world, line), [""; 0], "{line}");
    }
    let said = type_into_a_shell(&world, pages);
    assert!(said.len() == 1 && said[0].contains(" pages written to "), "{said:?}");
    for (file, held) in [
        (".local/share/bash-completion/completions/peer", "complete"),
        (".zfunc/_peer", "#compdef peer"),
        (".config/fish/completions/peer.fish", "complete"),
        (".cargo/share/man/man1/peer.1", ".SH NAME"),
        (".cargo/share/man/man5/peer-files.5", ".SH NAME"),
    ] {
        let text = fs::read_to_string(world.path("home").join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(held), "{file}");
    }
}

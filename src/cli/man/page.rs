//! Manual pages from the definitions of the verbs, with the sections that no definition has: exit status, environment,
//! files, related pages.

use std::io;

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// The sections of `peer(1)` on the variables that `peer` reads and sets, and on its files.
pub(super) const ENVIRONMENT: &str = include_str!("environment.roff");
const FILES: &str = include_str!("files.roff");
/// Both sections in the page of a verb.
const AS_PEER: &str = include_str!("as-peer.roff");
const EXIT_CODES: &str = include_str!("../help/exit-codes.txt");

/// Related pages of each page, beside `peer(1)` and `peer-files(5)`.
pub(super) const RELATED: &[(&str, &[&str])] = &[
    ("peer", &["peer-add", "peer-wake", "peer-attach", "peer-status", "peer-why", "peer-doctor", "peer-timer"]),
    ("peer-add", &["peer-edit", "peer-show", "peer-agents", "peer-wake", "peer-rm"]),
    ("peer-rm", &["peer-restore", "peer-add", "peer-stop"]),
    ("peer-restore", &["peer-rm", "peer-rename"]),
    ("peer-rename", &["peer-move", "peer-restore"]),
    ("peer-edit", &["peer-show", "peer-add"]),
    ("peer-show", &["peer-edit", "peer-agents"]),
    ("peer-wake", &["peer-send", "peer-why", "peer-stop", "peer-attach"]),
    ("peer-send", &["peer-wake", "peer-wait", "peer-inbox", "peer-screen", "peer-interrupt"]),
    ("peer-attach", &["peer-screen", "peer-top", "peer-wake"]),
    ("peer-stop", &["peer-start", "peer-interrupt", "peer-reap"]),
    ("peer-start", &["peer-stop", "peer-wake"]),
    ("peer-new", &["peer-refresh", "peer-wake"]),
    ("peer-move", &["peer-restart-runtime", "peer-wake"]),
    ("peer-restart-runtime", &["peer-move", "peer-doctor"]),
    ("peer-refresh", &["peer-new", "peer-wake"]),
    ("peer-interrupt", &["peer-stop", "peer-send"]),
    ("peer-self-fresh", &["peer-new", "peer-beat"]),
    ("peer-self-done", &["peer-self-fresh", "peer-beat"]),
    ("peer-beat", &["peer-self-done", "peer-reap"]),
    ("peer-mcp", &["peer-send", "peer-wait", "peer-edit"]),
    ("peer-reap", &["peer-watch", "peer-timer", "peer-log"]),
    ("peer-watch", &["peer-reap", "peer-timer"]),
    ("peer-list", &["peer-status", "peer-top"]),
    ("peer-status", &["peer-list", "peer-why", "peer-screen"]),
    ("peer-top", &["peer-list", "peer-status", "peer-attach"]),
    ("peer-why", &["peer-wake", "peer-log", "peer-status"]),
    ("peer-screen", &["peer-attach", "peer-status"]),
    ("peer-wait", &["peer-send", "peer-status", "peer-last"]),
    ("peer-last", &["peer-transcript", "peer-screen", "peer-send"]),
    ("peer-transcript", &["peer-last", "peer-conversations", "peer-log"]),
    ("peer-conversations", &["peer-wake", "peer-transcript", "peer-add"]),
    ("peer-inbox", &["peer-send", "peer-wake", "peer-status"]),
    ("peer-answer", &["peer-status", "peer-key", "peer-attach"]),
    ("peer-key", &["peer-answer", "peer-interrupt", "peer-screen"]),
    ("peer-log", &["peer-why", "peer-status"]),
    ("peer-reset", &["peer-why", "peer-wake"]),
    ("peer-release", &["peer-status", "peer-rm"]),
    ("peer-timer", &["peer-timer-install", "peer-timer-uninstall", "peer-timer-status", "peer-reap"]),
    ("peer-timer-install", &["peer-timer", "peer-reap", "peer-doctor"]),
    ("peer-timer-uninstall", &["peer-timer"]),
    ("peer-timer-status", &["peer-timer", "peer-doctor"]),
    ("peer-doctor", &["peer-status", "peer-timer"]),
    ("peer-agents", &["peer-add", "peer-show"]),
    ("peer-completions", &["peer-man"]),
    ("peer-man", &["peer-help", "peer-completions"]),
    ("peer-help", &["peer-man"]),
];

/// Returns every page as its file's name and its text.
///
/// # Errors
/// Never in practice: only memory is written to.
pub(super) fn all(program: &Command) -> io::Result<Vec<(String, String)>> {
    let mut program = program.clone();
    program.build();
    let mut pages = Vec::new();
    collect(&program, &mut pages)?;
    Ok(pages)
}

/// Returns the page of the program itself.
///
/// # Errors
/// As [`all`].
pub(super) fn program(program: &Command) -> io::Result<(String, String)> {
    let mut program = program.clone();
    program.build();
    page(&program)
}

fn collect(command: &Command, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    pages.push(page(command)?);
    command.get_subcommands().filter(|verb| !verb.is_hide_set()).try_for_each(|verb| collect(verb, pages))
}

fn page(command: &Command) -> io::Result<(String, String)> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let is_program = name == "peer";
    let man = Man::new(command.clone().subcommand_help_heading("COMMANDS"))
        .title(name.to_uppercase())
        .source(concat!("peer ", env!("CARGO_PKG_VERSION")))
        .manual("peer")
        // An empty date would be left out, and the next field would take its place.
        .date(" ");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    synopsis_section(command).to_writer(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    examples(command).to_writer(&mut text)?;
    exit_status().to_writer(&mut text)?;
    let parts = if is_program { vec![ENVIRONMENT, FILES] } else { vec![AS_PEER] };
    text.extend(parts.iter().flat_map(|part| part.bytes()));
    see_also(&name).to_writer(&mut text)?;
    let text = String::from_utf8(text).expect("pages are made of strings");
    Ok((format!("{name}.1"), tidy(&text)))
}

/// The synopsis, with hyphenation and justification off: flags must not be hyphenated or spread out.
fn synopsis_section(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).control("nh", []).control("ad", ["l"]);
    roff.text(synopsis(command)).control("hy", []).control("ad", ["b"]);
    roff
}

fn section(title: &str, text: Vec<Inline>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]).text(text);
    roff
}

/// `peer wake [-t|--topic TOPIC] … {NAME... | --all}`: each flag with the name of its value.
fn synopsis(command: &Command) -> Vec<Inline> {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    if name == "peer" {
        return vec![
            bold("peer"),
            roman(" "),
            italic("COMMAND"),
            roman(" ["),
            italic("ARGUMENT"),
            roman("...]"),
            Inline::LineBreak,
            bold("peer help"),
            roman(" ["),
            italic("COMMAND"),
            roman(" | "),
            italic("TOPIC"),
            roman("]"),
        ];
    }
    let mut words = vec![bold(name)];
    let (one_of, others): (Vec<&Arg>, Vec<&Arg>) = command.get_arguments().partition(|arg| is_one_of(command, arg));
    let shown = |arg: &&&Arg| !arg.is_hide_set() && !matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpLong);
    for arg in others.iter().filter(shown).filter(|arg| !arg.is_positional()) {
        words.extend(bracketed(arg, written(arg)));
    }
    if !one_of.is_empty() {
        words.push(roman(" {"));
        for (at, arg) in one_of.iter().enumerate() {
            words.extend((at > 0).then(|| roman(" | ")));
            words.extend(written(arg));
        }
        words.push(roman("}"));
    }
    for arg in others.iter().filter(shown).filter(|arg| arg.is_positional()) {
        words.extend(bracketed(arg, written(arg)));
    }
    if command.has_subcommands() {
        words.extend([roman(" "), italic("COMMAND"), roman(" ["), italic("ARGUMENT"), roman("...]")]);
    }
    words
}

/// Whether the argument belongs to a group of which one must be given.
fn is_one_of(command: &Command, arg: &Arg) -> bool {
    let required = command.get_groups().filter(|group| group.is_required_set());
    required.into_iter().any(|group| group.get_args().any(|id| id == arg.get_id()))
}

fn bracketed(arg: &Arg, inside: Vec<Inline>) -> Vec<Inline> {
    let (before, after) = if arg.is_required_set() { (" ", "") } else { (" [", "]") };
    [vec![roman(before)], inside, vec![roman(after)]].concat()
}

/// An argument as it is typed; a flag and its value do not break over a line.
fn written(arg: &Arg) -> Vec<Inline> {
    let mut words = Vec::new();
    match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => words.extend([bold(format!("-{short}")), roman("|"), bold(format!("--{long}"))]),
        (Some(short), None) => words.push(bold(format!("-{short}"))),
        (None, Some(long)) => words.push(bold(format!("--{long}"))),
        (None, None) if arg.is_last_set() => words.extend([bold("--"), roman("\u{a0}")]),
        (None, None) => {}
    }
    if arg.get_action().takes_values() {
        let names = arg.get_value_names().map_or_else(|| arg.get_id().as_str().to_uppercase(), |names| names.join(" "));
        words.extend((!arg.is_positional()).then(|| roman("\u{a0}")));
        words.push(italic(names));
    }
    let again = matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
    words.extend(again.then(|| roman(if arg.is_positional() { "..." } else { "\u{a0}..." })));
    words
}

/// The text below the flags in `--help`: blocks of lines under a heading that ends in a colon.
fn examples(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let below = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    let mut begun = false;
    for block in below.iter().flat_map(|text| text.split("\n\n")) {
        // The exit codes have their own section.
        let Some((heading, rest)) = block.split_once(':').filter(|(heading, _)| *heading != "Exit codes") else {
            continue;
        };
        if rest.starts_with('\n') {
            if !begun {
                roff.control("SH", ["EXAMPLES"]);
            }
            begun = true;
            if heading != "Examples" {
                roff.text([roman(format!("{heading}:"))]);
            }
            roff.control("PP", []).control("EX", []);
            for line in rest.lines().filter(|line| !line.is_empty()) {
                roff.text([roman(line)]);
            }
            roff.control("EE", []);
        } else {
            let words: Vec<&str> = rest.split_whitespace().collect();
            roff.control("SH", [heading.to_uppercase().as_str()]).text([roman(words.join(" "))]);
        }
    }
    roff
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for line in EXIT_CODES.lines().skip(1).filter(|line| !line.is_empty()) {
        match line.strip_prefix("  ").and_then(|line| line.split_once("  ")) {
            Some((code, meaning)) => roff.control("TP", []).text([bold(code)]).text([roman(meaning)]),
            None => roff.control("PP", []).text([roman(line)]),
        };
    }
    roff
}

fn see_also(name: &str) -> Roff {
    let related = RELATED.iter().find(|(page, _)| *page == name).map_or(&[][..], |(_, pages)| pages);
    let program: &[&str] = if name == "peer" { &[] } else { &["peer"] };
    let mut pages: Vec<(&str, &str)> = program.iter().chain(related).map(|page| (*page, "1")).collect();
    pages.push(("peer-files", "5"));
    if name == "peer" {
        pages.extend([("tmux", "1"), ("zellij", "1")]);
    }
    let mut words = Vec::new();
    for (at, (page, chapter)) in pages.iter().enumerate() {
        words.extend((at > 0).then(|| roman(", ")));
        words.extend([bold(*page), roman(format!("({chapter})"))]);
    }
    section("SEE ALSO", words)
}

/// Keeps one copy of the preamble, and sets text in backquotes in bold.
fn tidy(text: &str) -> String {
    let mut tidied = String::new();
    let mut preamble: Vec<&str> = Vec::new();
    let mut literal = false;
    for line in text.lines() {
        if line.starts_with(".ie ") || line.starts_with(".el ") {
            if preamble.contains(&line) {
                continue;
            }
            preamble.push(line);
        }
        literal = (literal || line == ".EX") && line != ".EE";
        if literal {
            tidied.push_str(line);
        } else {
            for (at, part) in line.split('`').enumerate() {
                tidied.push_str(if at == 0 {
                    ""
                } else if at % 2 == 1 {
                    "\\fB"
                } else {
                    "\\fR"
                });
                tidied.push_str(part);
            }
        }
        tidied.push('\n');
    }
    tidied
}

//! Words that a shell split, or that look like flags or patterns: what to type for what was meant.

use clap::{Command, CommandFactory};
use peer_adapters::nearest;

use crate::cli::{Cli, CliError};
use crate::policy::may::matches;
use crate::policy::name::PeerName;

/// A text that is one word and looks like a flag may be a mistyped one, so it is sent only behind `--`.
pub(crate) fn refuse_flag(name: &PeerName, text: &str) -> Result<(), CliError> {
    let word = text.trim_start_matches('-');
    let begins = word.len() < text.len() && word.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || !word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '=')) {
        return Ok(());
    }
    let sends = format!("peer send {name} -- {text} sends it as text");
    let hint = near_flag("send", text).map_or_else(|| sends.clone(), |flag| format!("did you mean {flag}? {sends}"));
    Err(CliError::usage(format!("send has no flag {text}"), hint))
}

/// The flag of a verb that is meant by one it does not have.
fn near_flag(verb: &str, typed: &str) -> Option<String> {
    let mut whole = Cli::command();
    whole.build();
    let of: &Command = whole.find_subcommand(verb)?;
    let flags: Vec<String> = of.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
    let name = typed.split('=').next().unwrap_or(typed);
    nearest(name, flags.iter().map(String::as_str)).filter(|_| name.starts_with("--")).map(str::to_owned)
}

/// What a send means by more words than a name and a text: the text without its quotes, or several peers. `words` begin
/// with the verb.
pub(crate) fn send_meant(words: &[&str], declared: &[PeerName]) -> String {
    let is_flag = |word: &&str| word.len() > 1 && word.starts_with('-');
    if let Some(flag) = words.iter().filter(|word| is_flag(word)).find_map(|word| unknown_flag(word)) {
        return flag;
    }
    let valued =
        |word: &&str| matches!(*word, "-t" | "--topic" | "--at" | "--after" | "--timeout" | "--file" | "--color");
    if words.iter().any(valued) {
        return "quote the text: peer send NAME 'TEXT'".to_owned();
    }
    let (flags, plain): (Vec<&str>, Vec<&str>) = words[1..].iter().copied().partition(|word| is_flag(word));
    let is_peer = |word: &&&str| declared.iter().any(|name| name.as_str() == **word);
    let named = plain.iter().take_while(is_peer).count();
    if named > 1 && named < plain.len() && flags.is_empty() {
        let (names, text) = plain.split_at(named);
        return format!("peer wake {} -m {}", names.join(" "), quoted(&text.join(" ")));
    }
    let Some((name, text)) = plain.split_first() else { return "peer send NAME 'TEXT'".to_owned() };
    let words = [&flags[..], &[*name]].concat().join(" ");
    format!("quote the text: peer send {words} {}", quoted(&text.join(" ")))
}

/// What is meant by a long flag that a send does not have.
fn unknown_flag(word: &str) -> Option<String> {
    let near = near_flag("send", word)?;
    (near != *word.split('=').next().unwrap_or(word)).then(|| format!("did you mean {near}?"))
}

/// A text as one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What a verb that takes one name means by another one behind it.
pub(crate) fn one_at_a_time(words: &[&str], declared: &[PeerName]) -> Option<String> {
    let (verb, names) = words.split_first()?;
    let are_peers = names.len() > 1 && names.iter().all(|word| declared.iter().any(|name| name.as_str() == *word));
    let each: Vec<String> = names.iter().map(|name| format!("peer {verb} {name}")).collect();
    are_peers.then(|| format!("one at a time: {}", each.join(" && ")))
}

/// The peers that a pattern means, which no verb takes.
pub(crate) fn pattern_meant(verb: &str, pattern: &str, declared: &[PeerName]) -> Option<String> {
    if !pattern.contains(['*', '?']) {
        return None;
    }
    let names: Vec<&str> = declared.iter().map(PeerName::as_str).filter(|name| matches(pattern, name)).collect();
    Some(if names.is_empty() {
        "names are no patterns; peer list shows every peer".to_owned()
    } else {
        format!("names are no patterns: peer {verb} {}", names.join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_word_of_a_shell() {
        assert_eq!(quoted("it's here"), "'it'\\''s here'");
    }
}

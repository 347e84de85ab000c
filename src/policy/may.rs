//! What the agent of one peer may do to another peer over MCP.

use std::fmt;

use super::name::PeerName;

/// An action that one peer's agent requests on another peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To see the peer's row in a list.
    List,
    /// To send the peer a message, which wakes it, and to receive its answer to that message.
    Send,
    /// To wake the peer.
    Wake,
    /// To read more about the peer: its history, screen, answers, inbox, and the end of its turns.
    Read,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::List => "list",
            Self::Send => "send to",
            Self::Wake => "wake",
            Self::Read => "read",
        })
    }
}

/// Whether the agent of `requester` may do `asked` to `other`, where `may` is from the spec of `requester`. An agent may
/// do everything to itself. Without `may`, it may list every peer and send to every peer. With `may`, it may do
/// everything to the peers that match a pattern, and nothing to the others.
pub fn is_allowed(may: Option<&[String]>, requester: &PeerName, other: &PeerName, asked: Asked) -> bool {
    requester == other
        || match may {
            None => matches!(asked, Asked::List | Asked::Send),
            Some(patterns) => patterns.iter().any(|pattern| matches(pattern, other.as_str())),
        }
}

/// Whether `name` matches `pattern`, in which each `*` stands for any text. Takes no longer than both are long.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether `text` can be the name of a peer, or a pattern for such names.
pub fn is_pattern(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '*');
    !text.is_empty() && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PeerName {
        text.parse().expect("a name")
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, meant) in [
            ("api", &["api"][..]),
            ("web-*", &["web-", "web-1", "web-1-2"]),
            ("*-web", &["a-web", "-web"]),
            ("*", &["a", "web-1"]),
            ("a*c*e", &["ace", "abcde", "a-c-c-e", "acee"]),
            ("a*a", &["aa", "aba"]),
        ] {
            for one in meant {
                assert!(matches(pattern, one), "{pattern} {one}");
            }
        }
        for (pattern, other) in
            [("api", "apis"), ("web-*", "web"), ("*-web", "web"), ("a*c*e", "aec"), ("a*a", "a"), ("", "a")]
        {
            assert!(!matches(pattern, other), "{pattern} {other}");
        }
        assert!(
            is_pattern("web-*") && is_pattern("a_1") && !is_pattern("") && !is_pattern("Web") && !is_pattern("a/b")
        );
    }

    #[test]
    fn without_a_word_one_lists_and_sends_and_with_one_that_alone_counts() {
        let (web, api) = (name("web"), name("api"));
        let all = [Asked::List, Asked::Send, Asked::Wake, Asked::Read];
        let allowed = |may: Option<&[String]>, other: &PeerName| all.map(|asked| is_allowed(may, &web, other, asked));
        assert_eq!(allowed(None, &api), [true, true, false, false]);
        assert_eq!(allowed(Some(&["a*".to_owned()]), &api), [true; 4]);
        assert_eq!(allowed(Some(&["db".to_owned()]), &api), [false; 4]);
        assert_eq!(allowed(Some(&[]), &api), [false; 4]);
        assert_eq!((allowed(None, &web), allowed(Some(&[]), &web)), ([true; 4], [true; 4]));
    }
}

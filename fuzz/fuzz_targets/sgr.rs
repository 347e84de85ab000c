//! Screens as they are passed on to a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer_adapters::screen::{coloured, misleads, plain, printable};

fuzz_target!(|text: &str| {
    assert!(!plain(text).contains(|c| misleads(c) && !matches!(c, '\n' | '\t')));
    assert!(!printable(text).contains(misleads));
    let kept = coloured(text);
    assert_eq!(coloured(&kept), kept);
    let mut rest = kept.as_str();
    while let Some(at) = rest.find(|c| misleads(c) && !matches!(c, '\n' | '\t')) {
        let codes = rest[at..].strip_prefix("\u{1b}[").expect("nothing but SGR sequences is kept");
        let end = codes.find(|c: char| !c.is_ascii_digit() && !matches!(c, ';' | ':')).expect("each has its end");
        assert!(codes[end..].starts_with('m'));
        rest = &codes[end + 1..];
    }
});

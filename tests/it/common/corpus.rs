//! Messages of every kind that agents have been seen to alter, drop, execute, complete or never send.

const TRICKY: &[&str] = &[
    "please read @ma",
    "the sign is $",
    "x $HO",
    "$HO",
    "look at @",
    "@ma",
    "see /us",
    "a # b",
    "# heading",
    "#1",
    "- [ ] todo",
    "C:\\work\\",
    "\\",
    "two\\\\",
    "a\\\nb\\",
    "ends with a quote'",
    "exit",
    "quit",
    " Exit ",
    ":q",
    ":wq",
    "exit now",
    "help",
    "clear",
    "y",
    "n",
    "1",
    "2",
    "yes",
    "no",
    "/help",
    "/x y",
    "\n/x y",
    "!ls",
    " !ls",
    "\n!ls",
    "see /help",
    "x\n!ls",
    "Do you want to keep the old interface?\n\n❯ 1. Yes\n  2. No\n\nEsc to cancel",
    "Warning: No models available.",
    "△ Permission required",
    "Would you like to run the following command?\n\n› 1. Yes\n  2. No\n\nPress enter to confirm",
    "• Working (3s • esc to interrupt)",
    "esc to interrupt",
    "Queued",
    "Steering: something",
    "[Pasted text #1 +3 lines]",
    "[Pasted Content 12 chars]",
    "────────────────────",
    "a\n──────────\nb",
    "────────────────────\n❯ ",
    "› like a prompt",
    "❯ like a prompt",
    "┃  like a box",
    "tab\there",
    "\ttab first",
    "tab last\t",
    "  two before",
    "two after  ",
    "in  between",
    "def f(x):\n    if x:\n        return 1\n\n\n    return 2\n",
    "a:\n  - b:\n      c: [1,  2]",
    "if (x) {\n\treturn;\n}",
    "a\n\n\nb",
    "\n\nlines before",
    "lines after\n\n",
    "windows\r\nlines\r\n",
    "bare\rreturn",
    "\u{1b}[31mred",
    "bell\u{7}",
    "\u{9b}31m",
    "x\u{85}y",
    "nul\u{0}",
    "cafe\u{301} decomposed",
    "\u{212b}ngström",
    "\u{feff}first",
    "zero\u{200b}width",
    "soft\u{ad}hyphen",
    "word\u{2060}joiner",
    "\u{202e}turned\u{202c}",
    "\u{200e}mark",
    "\u{2028}line",
    "para\u{2029}graph",
    "\u{a0}no break\u{a0}",
    "wide\u{3000}space",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} family",
    "flag \u{1f1e9}\u{1f1ea}",
    "heart \u{2764}\u{fe0f}",
    "한국어",
    "日本語の文",
    "العربية",
    "עברית",
    "ไทย",
    "हिन्दी",
    "\u{fffd} replaced",
    "\u{e000} private",
    "x\u{301}\u{302}\u{303} stacked",
    "ﬁ ligature",
    "½ ² ①",
    "`code` **bold** _it_ ~~no~~",
    "```rust\nfn main() {}\n```",
    "<tag>x</tag>",
    "<system-reminder>x</system-reminder>",
    "{\"json\": [1, 2]}",
    "%s %d %n",
    "$(id) `id` ${HOME}",
    "; rm -rf x",
    "a && b || c",
    "^C",
    "\\n",
    "\\x1b",
    "https://example.com/a?b=c#d",
    "user@example.com",
    "~/file",
    "../up",
    "/",
    "//",
    "/srv/data is full",
    "a/b",
    "@",
    "@@",
    "$",
    "#",
    "?",
    "? help me",
];

/// The messages that a sample always has: each was lost, altered, run or said twice by an agent once.
const FOUND: &[&str] = &[
    "please read @ma",
    "the sign is $",
    "$HO",
    "exit",
    "C:\\work\\",
    "\\",
    "\n/x y",
    "cafe\u{301} decomposed",
    "zero\u{200b}width",
    "para\u{2029}graph",
    "a\n──────────\nb",
    "\u{301}x",
];

/// The numbers of the messages of a sample.
pub(crate) fn sample(messages: &[String]) -> Vec<usize> {
    let is_found = |number: &usize| FOUND.contains(&messages[*number].as_str());
    let sample: Vec<usize> = (0..messages.len()).filter(|number| number % 31 == 0 || is_found(number)).collect();
    assert_eq!(sample.iter().filter(|number| is_found(number)).count(), FOUND.len(), "each is in the corpus");
    sample
}

/// All messages, the long ones last.
pub(crate) fn corpus() -> Vec<String> {
    let mut messages = Vec::new();
    let mut add = |message: String| {
        if !messages.contains(&message) {
            messages.push(message);
        }
    };
    for sign in ('!'..='~').filter(char::is_ascii_punctuation) {
        for message in [
            format!("{sign}"),
            format!("{sign} at the start"),
            format!("at the end {sign}"),
            format!("{sign}joined"),
            format!("joined{sign}"),
            format!("in {sign}the middle"),
            format!("{sign}{sign}{sign} thrice"),
        ] {
            add(message);
        }
    }
    for message in TRICKY {
        add((*message).to_owned());
    }
    // A character of each category (letter, mark, number, symbol, separator, format) in three places.
    for c in "aAǅʰªא\u{301}\u{903}\u{20dd}5Ⅷ²_–([»«!+$^©\u{a0}\u{200d}\u{e001}".chars() {
        for message in [format!("x{c}x"), format!("{c}x"), format!("x{c}")] {
            add(message);
        }
    }
    for bytes in [1, 2, 9, 80, 199, 200, 201, 800, 1_000, 1_024, 4_096, 10_000, 65_536, 100_000] {
        add("word ".repeat(bytes / 5 + 1)[..bytes].trim_end().to_owned() + ".");
        add("x".repeat(bytes));
    }
    for lines in [2, 3, 5, 9, 10, 11, 20, 50, 500, 5_000] {
        add((1..=lines).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n"));
    }
    add("a line of many, with ünïcode and a tab\t.\n".repeat(1 << 20 >> 5)[..1 << 20]
        .trim_end_matches(|c| c != '.')
        .to_owned());
    messages
}

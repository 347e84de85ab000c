//! What was probably meant by a word that is not known.

/// How similar two words must be, from 0 to 1. With 0.75, `idle` finds `idle_timeout`, and `x` finds nothing; below 0.7
/// unrelated words are found (`seen` for `ghost`).
const SIMILAR: f64 = 0.75;

/// Returns the known word that is most similar to `typed`, if one is similar enough to be meant.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One slip of the fingers, or two letters that changed places: in a short word that is a large part of it.
    let is_slip = |word: &str| typed.chars().count() > 2 && strsim::osa_distance(typed, word) == 1;
    let similarity = |word: &str| strsim::jaro_winkler(typed, word).max(if is_slip(word) { 0.8 } else { 0.0 });
    known
        .into_iter()
        .map(|word| (similarity(word), word))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_and_another_word_finds_nothing() {
        let known = ["idle_timeout", "grace", "seen"];
        for (typed, meant) in [
            ("idle", Some("idle_timeout")),
            ("grase", Some("grace")),
            ("garce", Some("grace")),
            ("x", None),
            ("ghost", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }
}

//! Finds the row of a dialog that the user's choice refers to.

/// Why a choice does not select a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoiceError {
    /// No row matches.
    NoMatch,
    /// More than one row matches.
    Ambiguous,
}

/// A row as far as a choice can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choosable<'a> {
    /// Its number, if it has one.
    pub number: Option<usize>,
    /// Its label, without a checkbox.
    pub label: &'a str,
}

/// Returns the index of the row that `choice` selects.
///
/// A choice is a row's number, its label, or a prefix of exactly one label that ends at a word boundary. Case is ignored.
///
/// # Errors
/// If no row matches, or several do.
pub fn choose(rows: &[Choosable<'_>], choice: &str) -> Result<usize, ChoiceError> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let choice = plain(choice);
    if !choice.is_empty() && choice.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = choice.parse::<usize>().ok();
        return rows.iter().position(|row| number.is_some() && row.number == number).ok_or(ChoiceError::NoMatch);
    }
    let only = |means: &dyn Fn(&str) -> bool| {
        let mut found = rows.iter().enumerate().filter(|(_, row)| means(&plain(row.label))).map(|(index, _)| index);
        match (found.next(), found.next()) {
            (None, _) => Err(ChoiceError::NoMatch),
            (Some(index), None) => Ok(index),
            (Some(_), Some(_)) => Err(ChoiceError::Ambiguous),
        }
    };
    let begins = |label: &str| {
        let rest = label.strip_prefix(choice.as_str());
        rest.is_some_and(|rest| !choice.is_empty() && !rest.starts_with(char::is_alphanumeric))
    };
    match only(&|label| label == choice) {
        Err(ChoiceError::NoMatch) => only(&begins),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<'a>(labels: &[&'a str]) -> Vec<Choosable<'a>> {
        labels.iter().enumerate().map(|(index, label)| Choosable { number: Some(index + 1), label }).collect()
    }

    #[test]
    fn a_row_without_a_number_is_meant_by_its_label_and_the_others_by_the_numbers_that_they_show() {
        let mut features = rows(&["Auth", "Search", "Submit", "Chat about this"]);
        (features[2].number, features[3].number) = (None, Some(3));
        for (choice, meant) in [
            ("submit", Ok(2)),
            ("3", Ok(3)),
            ("4", Err(ChoiceError::NoMatch)),
            ("99999999999999999999999", Err(ChoiceError::NoMatch)),
            ("Chat", Ok(3)),
            ("2", Ok(1)),
        ] {
            assert_eq!(choose(&features, choice), meant, "{choice:?}");
        }
    }

    #[test]
    fn a_row_is_meant_by_its_number_its_label_or_how_that_alone_begins() {
        let permission = rows(&["Yes", "Yes, and don't ask again for touch commands", "No", "No, and say why"]);
        for (choice, meant) in [
            ("1", Ok(0)),
            ("4", Ok(3)),
            ("Yes", Ok(0)),
            ("  yes ", Ok(0)),
            ("no", Ok(2)),
            ("Yes, and", Ok(1)),
            ("yes, and don't ask  again", Ok(1)),
            ("No, and say why", Ok(3)),
            ("0", Err(ChoiceError::NoMatch)),
            ("5", Err(ChoiceError::NoMatch)),
            ("99999999999999999999999", Err(ChoiceError::NoMatch)),
            ("Ye", Err(ChoiceError::NoMatch)),
            ("and", Err(ChoiceError::NoMatch)),
            ("", Err(ChoiceError::NoMatch)),
            ("Maybe", Err(ChoiceError::NoMatch)),
        ] {
            assert_eq!(choose(&permission, choice), meant, "{choice:?}");
        }
        let alike = rows(&["Allow once", "Allow always", "Reject", "Reject"]);
        assert_eq!(choose(&alike, "Allow"), Err(ChoiceError::Ambiguous));
        assert_eq!(choose(&alike, "reject"), Err(ChoiceError::Ambiguous));
        assert_eq!(choose(&alike, "allow once"), Ok(0));
        assert_eq!(choose(&[], "Yes"), Err(ChoiceError::NoMatch));
    }
}

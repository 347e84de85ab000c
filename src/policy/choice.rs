//! Which row of a question a person means.

/// Why a choice is no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRow {
    /// No row is called so.
    Nothing,
    /// More than one row is.
    Several,
}

/// The index of the row that `choice` means: its number, counted from 1, its label, or how its label alone begins, up to the
/// end of a word. Upper and lower case are the same.
///
/// # Errors
/// It means none, or several.
pub fn choose(labels: &[String], choice: &str) -> Result<usize, NoRow> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let choice = plain(choice);
    if !choice.is_empty() && choice.bytes().all(|byte| byte.is_ascii_digit()) {
        let index = choice.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        return index.filter(|index| *index < labels.len()).ok_or(NoRow::Nothing);
    }
    let only = |means: &dyn Fn(&str) -> bool| {
        let mut found = labels.iter().enumerate().filter(|(_, label)| means(&plain(label))).map(|(index, _)| index);
        match (found.next(), found.next()) {
            (None, _) => Err(NoRow::Nothing),
            (Some(index), None) => Ok(index),
            (Some(_), Some(_)) => Err(NoRow::Several),
        }
    };
    let begins = |label: &str| {
        let rest = label.strip_prefix(choice.as_str());
        rest.is_some_and(|rest| !choice.is_empty() && !rest.starts_with(char::is_alphanumeric))
    };
    match only(&|label| label == choice) {
        Err(NoRow::Nothing) => only(&begins),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
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
            ("0", Err(NoRow::Nothing)),
            ("5", Err(NoRow::Nothing)),
            ("99999999999999999999999", Err(NoRow::Nothing)),
            ("Ye", Err(NoRow::Nothing)),
            ("and", Err(NoRow::Nothing)),
            ("", Err(NoRow::Nothing)),
            ("Maybe", Err(NoRow::Nothing)),
        ] {
            assert_eq!(choose(&permission, choice), meant, "{choice:?}");
        }
        let alike = rows(&["Allow once", "Allow always", "Reject", "Reject"]);
        assert_eq!(choose(&alike, "Allow"), Err(NoRow::Several));
        assert_eq!(choose(&alike, "reject"), Err(NoRow::Several));
        assert_eq!(choose(&alike, "allow once"), Ok(0));
        assert_eq!(choose(&[], "Yes"), Err(NoRow::Nothing));
    }
}

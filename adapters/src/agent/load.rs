//! Loading and validating profiles.

use super::{Accepted, BUILTIN, ConversationId, Pattern, Profile, ProfileError};

impl Profile {
    /// Parses a profile. If it `extends` a built-in one, it is merged over that.
    ///
    /// # Errors
    /// Reports the position and, for an unknown key, the nearest known one; the user must correct the file.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        // Parsed separately first, even if it will be merged, because only this error has a line number.
        let own: Self = toml::from_str(text).map_err(|error| ProfileError::of_toml(name, text, &error))?;
        let whole = match &own.extends {
            None => own,
            Some(base) => Self::merged(name, base, text)?,
        };
        let profile = Self { name: name.to_owned(), ..whole };
        match profile.contradiction() {
            Some((key, message)) => Err(ProfileError::about(name, key, message)),
            None => Ok(profile),
        }
    }

    /// Returns a built-in profile.
    #[allow(clippy::missing_panics_doc, reason = "the texts are compiled in, and a test parses each")]
    pub fn builtin(name: &str) -> Option<Self> {
        let (name, text) = BUILTIN.iter().find(|(known, _)| *known == name)?;
        Some(Self::parse(name, text).expect("a test parses every built-in profile"))
    }

    fn merged(name: &str, base: &str, text: &str) -> Result<Self, ProfileError> {
        let Some((_, base_text)) = BUILTIN.iter().find(|(known, _)| *known == base) else {
            let known: Vec<&str> = BUILTIN.iter().map(|(known, _)| *known).collect();
            let message = format!("extends {base:?}, which is not built in; these are: {}", known.join(", "));
            return Err(ProfileError::about(name, "extends", message));
        };
        let of_toml = |error| ProfileError::of_toml(name, text, &error);
        let mut table: toml::Table = toml::from_str(base_text).map_err(of_toml)?;
        merge(&mut table, toml::from_str(text).map_err(of_toml)?);
        table.try_into().map_err(|error: toml::de::Error| ProfileError::about(name, "extends", error.message()))
    }

    /// Returns a key that cannot work, and why.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        let says = |key, message: &str| Some((key, message.to_owned()));
        if self.description.is_empty() {
            return says("description", "`description` is missing: one line that says what the agent is");
        }
        if self.composer.as_ref().is_some_and(|rule| rule.above.is_none() && rule.first.is_none()) {
            return says("composer", "`composer` needs `above` or `first` to find its beginning");
        }
        if self.message.accepted == Accepted::Composer && self.composer.is_none() {
            return says("message.accepted", "`message.accepted` is \"composer\", but there is no rule for it");
        }
        if self.message.accepted == Accepted::Transcript && self.conversation.transcript.is_none() {
            return says(
                "message.accepted",
                "`message.accepted` is \"transcript\", but there is no `conversation.transcript`",
            );
        }
        let dialog = self.dialog.iter().find(|d| !d.needs_person && (d.answer.is_none() || d.cursor.is_none()));
        if let Some(dialog) = dialog {
            let message = format!("dialog {:?} needs `answer` and `cursor`, or `needs_person = true`", dialog.id);
            return Some(("dialog", message));
        }
        let unlabelled = |rows: &Pattern| !rows.has_group("label");
        if let Some(dialog) = self.dialog.iter().find(|dialog| dialog.rows.as_ref().is_some_and(unlabelled)) {
            return Some(("dialog", format!("dialog {:?}: `rows` needs a group named label: (?P<label>…)", dialog.id)));
        }
        self.inexact_conversation()
    }

    /// Returns a setting by which a conversation could be mistaken for another.
    fn inexact_conversation(&self) -> Option<(&'static str, String)> {
        let says = |key, message: &str| Some((key, message.to_owned()));
        let exact = |word: &String| word.contains("{conversation}") || word.contains("{transcript}");
        let names_it = |words: &[String]| words.iter().any(exact);
        if self.conversation.id == ConversationId::Chosen && !names_it(&self.arguments.fresh) {
            return says("arguments.fresh", "`conversation.id` is \"chosen\", but `arguments.fresh` does not name it");
        }
        if !self.arguments.resume.is_empty() && !names_it(&self.arguments.resume) {
            let message = "`arguments.resume` has no {conversation}: resume is by exact id, never \"the newest\"";
            return says("arguments.resume", message);
        }
        if self.conversation.children.is_some() && self.conversation.transcript.is_none() {
            let message =
                "`conversation.children` stand beside a transcript, but there is no `conversation.transcript`";
            return says("conversation.children", message);
        }
        if self.conversation.id == ConversationId::Found && self.conversation.transcript.is_none() {
            let message = "`conversation.id` is \"found\", but no `conversation.transcript` says where";
            return says("conversation.transcript", message);
        }
        None
    }
}

/// Merges `over` into `base`: tables key by key, everything else replaced.
fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

//! `peer rename`: the same peer, with its conversations, under another name.

use crate::config::PeerSpec;
use crate::engine::{Engine, EngineError, Result};
use crate::policy::name::PeerName;
use crate::store::{Event, Locked};

impl Engine {
    /// Gives a peer another name; one that is awake is ended before, with `force` alone, because its agent, its pane and its name
    /// in the kernel know the old one. What is under way when this process is killed is finished by the next
    /// command, whichever it is.
    ///
    /// # Errors
    /// Nothing was changed: it is awake ([`EngineError::Awake`]), or the other name is taken.
    pub async fn rename(&self, from: &PeerName, to: &PeerName, force: bool) -> Result<()> {
        self.peer(from)?;
        self.refuse_taken(from, to)?;
        // In order of name: two that rename at once must not wait for each other.
        let (first, second) = if from < to { (from, to) } else { (to, from) };
        let (first, second) = (self.lock(first).await?, self.lock(second).await?);
        let (old, new) = if from < to { (first, second) } else { (second, first) };
        // Both may have changed before the locks were ours.
        let peer = self.peer(from)?;
        self.refuse_taken(from, to)?;
        if !new.files().all_on_disk()?.is_empty() {
            let problem = format!("the state directory has files of a {to} that nobody declared");
            return Err(refused(from, problem, format!("peer rename {from} with another name")));
        }
        if let Some(other) = self.state.renaming() {
            let problem = format!("{} is being renamed to {} this moment", other.from, other.to);
            return Err(refused(from, problem, format!("peer rename {from} {to}, once that is done")));
        }
        let inbox = old.files().inbox()?;
        if !(inbox.waiting.is_empty() && inbox.taken.is_empty()) {
            let problem = "messages wait in its inbox".to_owned();
            return Err(refused(
                from,
                problem,
                format!("peer inbox {from} shows them; peer wake {from} delivers them"),
            ));
        }
        self.lay_to_rest(&peer, &old, force).await?;
        self.log(&Event::new(self.now(), "peer.renamed").peer(to).with("from", from.as_str()))?;
        self.state.begin_renaming(&old, &new, self.now())?;
        self.finish_renaming(&old, &new)
    }

    fn refuse_taken(&self, from: &PeerName, to: &PeerName) -> Result<()> {
        if self.config.spec_path(to).exists() {
            let problem = format!("there is a peer named {to} already");
            return Err(refused(from, problem, format!("peer rm {to}, or take another name")));
        }
        Ok(())
    }

    /// Does the rest of a renaming that somebody was killed in. Where its locks are held, it is under way.
    ///
    /// # Errors
    /// It cannot be finished: half of the peer's files have its old name, and no verb may go by them.
    pub(crate) fn finish_interrupted_renaming(&self) -> Result<()> {
        let Some(renaming) = self.state.renaming() else { return Ok(()) };
        let (Some(old), Some(new)) = (self.state.try_lock(&renaming.from)?, self.state.try_lock(&renaming.to)?) else {
            return Ok(());
        };
        // Whoever held the locks a moment ago has finished it.
        if self.state.renaming().as_ref() == Some(&renaming) { self.finish_renaming(&old, &new) } else { Ok(()) }
    }

    /// The files of the state directory, then the spec. Each step may be the last one: done again, it does the rest.
    fn finish_renaming(&self, old: &Locked, new: &Locked) -> Result<()> {
        let (from, to) = (old.files().name(), new.files().name());
        self.state.rename_files(old, new)?;
        if let Some(text) = self.config.spec_text(from)? {
            self.config.write_spec(to, &self.renamed_spec(from, to, text)?)?;
            let path = self.config.spec_path(from);
            std::fs::remove_file(&path).map_err(|source| EngineError::Io { action: "remove", path, source })?;
        }
        Ok(self.state.end_renaming()?)
    }

    /// The spec as it was typed; where it names the file of variables that we keep for it, that has another name too.
    fn renamed_spec(&self, from: &PeerName, to: &PeerName, text: String) -> Result<String> {
        let path = self.config.spec_path(from);
        let own = self.state.peer(from).env_file();
        match PeerSpec::parse(&path, &text) {
            Ok(spec) if spec.env_file.as_ref() == Some(&own) => {
                Ok(PeerSpec::with_env_file(&path, &text, &self.own_env_file(to)?)?)
            }
            // One that was broken meanwhile keeps its words.
            _ => Ok(text),
        }
    }
}

fn refused(name: &PeerName, problem: String, hint: String) -> EngineError {
    EngineError::Declaration { what: format!("rename {name}"), problem, hint: Some(hint) }
}

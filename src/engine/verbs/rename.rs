//! `peer rename`: the same peer, with its conversations, under another name.

use crate::config::PeerSpec;
use crate::engine::{Engine, EngineError, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::{Event, Locked};

impl Engine {
    /// Gives a peer another name. One that is awake is ended first, and only with `force`, because its agent, its pane
    /// and its name in the kernel use the old name. If this process is killed in between, the next `peer` command of
    /// any kind completes the rename.
    ///
    /// # Errors
    /// Nothing was changed: the peer is awake ([`EngineError::Awake`]), or the new name is taken.
    pub async fn rename(&self, from: &PeerName, to: &PeerName, force: bool) -> Result<()> {
        self.peer(from)?;
        self.refuse_taken(from, to)?;
        // Locked in order of name, so that two concurrent renames do not deadlock.
        let (first, second) = if from < to { (from, to) } else { (to, from) };
        let (first, second) = (self.lock(first).await?, self.lock(second).await?);
        let (old, new) = if from < to { (first, second) } else { (second, first) };
        // Both may have changed before the locks were taken.
        let peer = self.peer(from)?;
        self.refuse_taken(from, to)?;
        if !new.files().all_on_disk()?.is_empty() {
            let problem = format!("the state directory has files of an undeclared peer {to}");
            return Err(refused(from, problem, format!("peer rename {from} with another name")));
        }
        self.refuse_another(from, to)?;
        self.shut_down_for_removal(&peer, &old, force).await?;
        if !self.state.begin_renaming(&old, &new, self.now())? {
            self.refuse_another(from, to)?;
            return Err(refused(from, "another rename has just ended".to_owned(), format!("peer rename {from} {to}")));
        }
        self.log(&Event::new(self.now(), EventName::PeerRenamed).peer(to).with("from", from.as_str()))?;
        self.finish_renaming(&old, &new)
    }

    /// Refuses if another rename is recorded.
    fn refuse_another(&self, from: &PeerName, to: &PeerName) -> Result<()> {
        let Some(other) = self.state.renaming() else { return Ok(()) };
        let problem = format!("{} is being renamed to {} right now", other.from, other.to);
        Err(refused(from, problem, format!("peer rename {from} {to}, once that is done")))
    }

    fn refuse_taken(&self, from: &PeerName, to: &PeerName) -> Result<()> {
        if self.config.spec_path(to).exists() {
            let problem = format!("a peer named {to} already exists");
            return Err(refused(from, problem, format!("choose another name; peer rename {to} NEW frees this one")));
        }
        Ok(())
    }

    /// Completes a rename whose process was killed. If its locks are held, it is still in progress.
    ///
    /// # Errors
    /// It cannot be completed: half of the peer's files have the old name, and no verb may rely on them.
    pub(crate) fn finish_interrupted_renaming(&self) -> Result<()> {
        let Some(renaming) = self.state.renaming() else { return Ok(()) };
        let (Some(old), Some(new)) = (self.state.try_lock(&renaming.from)?, self.state.try_lock(&renaming.to)?) else {
            return Ok(());
        };
        // The previous holder of the locks may have completed it.
        if self.state.renaming().as_ref() == Some(&renaming) { self.finish_renaming(&old, &new) } else { Ok(()) }
    }

    /// Renames the files in the state directory, then the spec. It can be interrupted after any step; running it again
    /// does the rest.
    fn finish_renaming(&self, old: &Locked, new: &Locked) -> Result<()> {
        let (from, to) = (old.files().name(), new.files().name());
        // From here on nobody adds a message under the old name: the next sender finds no spec.
        let senders = self.state.lock_inbox(from)?;
        self.state.number_on(&senders, to)?;
        self.state.rename_files(old, new)?;
        if let Some(text) = self.config.spec_text(from)? {
            self.config.write_spec(to, &self.renamed_spec(from, to, text)?)?;
            let path = self.config.spec_path(from);
            std::fs::remove_file(&path).map_err(|source| EngineError::Io { action: "remove", path, source })?;
        }
        Ok(self.state.end_renaming()?)
    }

    /// Returns the spec as it was typed, with the new name of the managed file of kept variables if the spec names it.
    fn renamed_spec(&self, from: &PeerName, to: &PeerName, text: String) -> Result<String> {
        let path = self.config.spec_path(from);
        let own = self.state.peer(from).env_file();
        match PeerSpec::parse(&path, &text) {
            Ok(spec) if spec.env_file.as_ref() == Some(&own) => {
                Ok(PeerSpec::with_env_file(&path, &text, &self.own_env_file(to)?)?)
            }
            // A spec that no longer parses keeps its text.
            _ => Ok(text),
        }
    }
}

fn refused(name: &PeerName, problem: String, hint: String) -> EngineError {
    EngineError::Declaration { what: format!("rename {name}"), problem, hint: Some(hint) }
}

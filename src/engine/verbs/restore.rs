//! `peer restore`: brings back what `peer rm` removed.

use crate::config::PeerSpec;
use crate::engine::{Engine, EngineError, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{Event, Trashed};

/// A peer that was brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// When it was removed.
    pub removed_at: Timestamp,
    /// Whether the variables that were kept for it are gone: their values never go to the trash.
    pub lacks_kept_values: bool,
    /// The names of these variables, if they were noted when it was removed.
    pub kept_names: Vec<String>,
    /// How many queued messages came back with it.
    pub queued: usize,
}

impl Engine {
    /// Returns the removed peers that can be brought back, the most recently removed first.
    ///
    /// # Errors
    /// The trash cannot be listed.
    pub fn trashed(&self) -> Result<Vec<Trashed>> {
        Ok(self.state.trashed()?)
    }

    /// Brings back the most recently removed peer of this name: its spec, its markers, its conversations and its inbox. It
    /// is asleep afterwards.
    ///
    /// # Errors
    /// There is none, or a peer of this name is declared or has left files; nothing was changed.
    pub async fn restore(&self, name: &PeerName) -> Result<Restored> {
        let refused = |problem: &str, hint: String| {
            Err(EngineError::Declaration {
                what: format!("restore {name}"),
                problem: problem.to_owned(),
                hint: Some(hint),
            })
        };
        let locked = self.lock(name).await?;
        let Some(trashed) = self.trashed()?.into_iter().find(|trashed| trashed.peer == *name) else {
            return refused(
                "nothing of this name is in the trash",
                "peer restore lists what can be brought back".to_owned(),
            );
        };
        if self.config.spec_path(name).exists() {
            let hint = format!("peer rename {name} NEW renames that one");
            return refused("there is a peer of this name", hint);
        }
        if let Some(path) = self.state.in_the_way_of(&trashed)? {
            let hint = if locked.files().has_run() {
                format!("peer rm {name} moves the files of the later one to the trash; then peer restore {name}")
            } else {
                "move that file away".to_owned()
            };
            return refused(&format!("it would overwrite {}, which is newer than the removal", path.display()), hint);
        }
        let text = trashed.spec()?;
        self.log(&Event::new(self.now(), EventName::PeerRestored).peer(name))?;
        self.state.restore_files(&locked, &trashed)?;
        let inbox = locked.files().inbox()?;
        for message in inbox.waiting.iter().chain(&inbox.taken) {
            let event = Event::new(self.now(), EventName::MessageQueued).peer(name).cause("restored");
            self.log(&event.with("message", message.id))?;
        }
        // From here on it is declared.
        self.config.write_spec(name, &text)?;
        let kept_names = trashed.kept_names();
        self.state.empty_trash_of(&trashed)?;
        let own = locked.files().env_file();
        let spec = PeerSpec::parse(&self.config.spec_path(name), &text).ok();
        let named = spec.is_some_and(|spec| spec.env_file.as_ref() == Some(&own));
        let (lacks_kept_values, queued) = (named && !own.exists(), inbox.waiting.len());
        Ok(Restored { removed_at: trashed.removed_at, lacks_kept_values, kept_names, queued })
    }
}

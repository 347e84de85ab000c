//! Verbs that are meant for one specific incarnation, the one that the caller observed. If another one has taken its
//! place, the verb is refused.

use std::cell::Cell;
use std::future::Future;

use super::{Engine, EngineError, Result};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::store::Locked;

tokio::task_local! {
    static EXPECTED: Expected;
}

/// What a verb expects when it first takes the lock. Only then, because afterwards the verb itself may start another
/// incarnation.
struct Expected {
    peer: PeerName,
    incarnation: Option<Incarnation>,
    is_checked: Cell<bool>,
}

impl Engine {
    /// Runs a verb, and refuses it if another incarnation than this one is recorded. The check is made when the verb
    /// first takes the peer's lock, before it does anything.
    ///
    /// # Errors
    /// [`EngineError::Changed`], and those of the verb.
    pub async fn expecting<T>(
        &self,
        peer: &PeerName,
        incarnation: Option<Incarnation>,
        verb: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let expected = Expected { peer: peer.clone(), incarnation, is_checked: Cell::new(false) };
        EXPECTED.scope(expected, verb).await
    }

    /// Fails if the recorded incarnation is not the one that the verb was meant for.
    pub(super) fn check_expected(&self, locked: &Locked) -> Result<()> {
        let name = locked.files().name();
        let expected = EXPECTED.try_with(|expected| {
            (expected.peer == *name && !expected.is_checked.replace(true)).then_some(expected.incarnation)
        });
        let Ok(Some(expected)) = expected else { return Ok(()) };
        let now = locked.files().session()?.present().map(|record| record.incarnation);
        if now == expected { Ok(()) } else { Err(EngineError::Changed { peer: name.clone(), now }) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::engine::Progress;

    struct Nobody;

    impl Progress for Nobody {
        fn waiting(&self, _: &str, _: Duration, _: Duration) {}
        fn notice(&self, _: &str) {}
    }

    #[tokio::test]
    async fn what_came_in_its_place_is_not_meant() {
        let dir = tempfile::tempdir().expect("a directory");
        let (state, config) = (dir.path().join("state"), dir.path().join("config"));
        fs::create_dir_all(config.join("peers")).expect("made");
        let spec = "agent = \"command\"\ncommand = [\"/bin/cat\"]\ncwd = \"/\"\nruntime = \"tmux\"\n";
        fs::write(config.join("peers/a.toml"), spec).expect("written");
        let engine = Engine::open(state.clone(), config, "/bin/true".into(), Box::new(Nobody)).expect("an engine");
        let name: PeerName = "a".parse().expect("a name");
        let old = engine.expecting(&name, Some(Incarnation(3)), engine.refresh(&name)).await;
        assert!(matches!(old, Err(EngineError::Changed { now: None, .. })), "{old:?}");
        assert!(!state.join("a.fresh-next").exists(), "nothing was done");
        engine.expecting(&name, None, engine.refresh(&name)).await.expect("as expected");
        assert!(state.join("a.fresh-next").exists());
    }
}

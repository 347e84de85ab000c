//! Both axes of many peers: one listing call a server, whatever the number of peers, and servers side by side.

use std::collections::HashMap;
use std::path::PathBuf;

use peer_adapters::runtime::{Listing, RuntimeError};

use super::observe::{Sight, judge, rebooted};
use super::{Engine, Result};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::SessionRecord;

impl Engine {
    /// Looks at every record. Blocks for one probe deadline at most, since the servers are asked side by side.
    ///
    /// # Errors
    /// A record names an unknown runtime. What could not be seen is unknown and no error.
    pub async fn survey(&self, records: &[(PeerName, &SessionRecord)]) -> Result<HashMap<PeerName, Sight>> {
        let boot = peer_adapters::process::boot_id().ok();
        let of_this_boot = |record: &SessionRecord| boot.as_ref().is_none_or(|boot| *boot == record.boot_id);
        let listings =
            self.listings(records.iter().map(|(_, record)| *record).filter(|record| of_this_boot(record))).await?;
        let sights = records.iter().map(|(name, record)| {
            let sight = match listings.get(&server(record)) {
                Some((listing, at)) if of_this_boot(record) => {
                    judge(&self.tag_prefix(name), record, listing.as_ref(), *at)
                }
                _ => rebooted(self.now()),
            };
            (name.clone(), sight)
        });
        Ok(sights.collect())
    }

    async fn listings<'a>(
        &self,
        records: impl Iterator<Item = &'a SessionRecord>,
    ) -> Result<HashMap<Server, (Answer, Timestamp)>> {
        let mut servers = HashMap::new();
        for record in records {
            servers.entry(server(record)).or_insert(self.runtime_of(&record.place)?);
        }
        let asked = servers.into_iter().map(async |(server, runtime)| {
            let listing = runtime.list(&server.1).await;
            (server, (listing, self.now()))
        });
        Ok(futures_util::future::join_all(asked).await.into_iter().collect())
    }
}

/// What a server answered, or why it is not known.
type Answer = std::result::Result<Listing, RuntimeError>;

/// A server, by runtime and address.
type Server = (String, PathBuf);

fn server(record: &SessionRecord) -> Server {
    (record.place.runtime.clone(), record.place.server.clone())
}

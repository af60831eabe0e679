//! The end of links together with their files, or with the account of their owner.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use mongodb::{Collection, Database, bson::Document};

use super::row::{self, Revoked, Row};
use crate::{
    Result,
    files::Tombstone,
    ids::{FileId, LinkId, UserId},
    limits,
    stores::mongo::{Indexed, run, run_within},
    uploads::tickets::Grants,
};

/// All links, for functions that delete them without the key of their tokens.
#[derive(Clone)]
pub struct Revocations {
    rows: Indexed<Row>,
    grants: Grants,
}

impl Revocations {
    pub fn of(database: &Database) -> Self {
        Self { rows: row::collection(database), grants: Grants::of(database) }
    }

    /// Deletes the links of a user. The tickets of a user go by themselves.
    pub async fn revoke_all_of(&self, owner: UserId) -> Result<()> {
        run_within(limits::MONGODB_BULK_TIMEOUT, self.rows.delete_many(row::links_of(owner, None))).await?;
        Ok(())
    }

    /// Deletes the links of files that are about to be removed. A tombstone hides its file, so a link that a request
    /// creates after this finds no file any more, and is deleted by that request.
    pub async fn revoke_with(&self, tombstones: &[Tombstone]) -> Result<()> {
        let mut by_owner = BTreeMap::<UserId, Vec<FileId>>::new();
        for tombstone in tombstones {
            by_owner.entry(tombstone.owner()).or_default().push(tombstone.id());
        }
        for (owner, files) in by_owner {
            self.revoke(row::links_of_files(owner, &files)).await?;
        }
        Ok(())
    }

    /// The tickets go before their links, so that a crash in between leaves links that the next sweep finds.
    async fn revoke(&self, links: Document) -> Result<()> {
        let rows: Collection<Revoked> = self.rows.clone_with_type();
        let find = rows.find(links).projection(row::only_revoked());
        let found: Vec<Revoked> =
            run_within(limits::MONGODB_BULK_TIMEOUT, async { find.await?.try_collect().await }).await?;
        if found.is_empty() {
            return Ok(());
        }
        let tickets: Vec<_> = found.iter().filter_map(|link| link.ticket_id).collect();
        if !tickets.is_empty() {
            self.grants.revoke(&tickets).await?;
        }
        let ids: Vec<LinkId> = found.iter().map(|link| link.id).collect();
        run(self.rows.delete_many(row::links(&ids))).await?;
        Ok(())
    }
}

//! Deletion of accounts and of everything that belongs to them.
//!
//! First every row of the user gets a tombstone, the user's tickets, API keys and links are revoked, and ZIPs deleted. If that fails on the way, the user
//! still has an account and can send the request again. Then the account is deleted, and from there on nobody can make
//! a request in its name. Requests that began before may still store something, which nobody could delete. So a marker
//! in collection `departures` is stored before the account is deleted: by the marker the sweeper deletes the user's
//! data once more, when all these requests are over.

use std::time::Instant;

use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database,
    bson::{RawDocumentBuf, deserialize_from_slice, doc},
};
use serde::{Deserialize, Serialize};
use tokio::{time::timeout, try_join};

use crate::{
    Config, Result,
    accounts::{keys::Keys, users::Users},
    archives::Zips,
    files::Files,
    ids::UserId,
    limits,
    links::Revocations,
    stores::mongo::{self, run},
    time::Timestamp,
    uploads::tickets::Grants,
};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// The id of the user.
    #[serde(rename = "_id")]
    id: UserId,
    noted_at: Timestamp,
}

#[derive(Clone)]
pub struct AccountDeletions {
    rows: Collection<Row>,
    users: Users,
    files: Files,
    grants: Grants,
    keys: Keys,
    links: Revocations,
    zips: Zips,
}

impl AccountDeletions {
    pub fn of(database: &Database, config: &Config) -> Self {
        Self {
            rows: database.collection("departures"),
            users: Users::of(database),
            files: Files::of(database, config),
            grants: Grants::of(database),
            keys: Keys::of(database),
            links: Revocations::of(database),
            zips: Zips::of(database),
        }
    }

    /// Deletes all data of a user, but not the account.
    pub async fn delete_data(&self, user: UserId) -> Result<()> {
        try_join!(
            self.files.tombstone_all(user),
            self.grants.revoke_all_of(user),
            self.keys.delete_all_of(user),
            self.links.revoke_all_of(user),
            self.zips.delete_all_of(user),
        )?;
        Ok(())
    }

    /// Deletes the account, and the data that was stored meanwhile.
    pub async fn delete_account(&self, user: UserId) -> Result<()> {
        let marker = doc! { "$set": { "notedAt": Timestamp::now() } };
        run(self.rows.update_one(doc! { "_id": user }, marker).upsert(true)).await?;
        self.users.delete(user).await?;
        // The user cannot send the request again, so the sweeper does what fails or takes too long here.
        if let Ok(Err(error)) = timeout(limits::MONGODB_TIMEOUT, self.delete_data(user)).await {
            tracing::warn!(error = error.cause(), "something is left of an account for the sweeper");
        }
        Ok(())
    }

    /// Deletes data that was stored after its account was deleted, and deletes markers older than the longest request.
    ///
    /// # Errors
    /// The first failure, after the other markers have been tried too. A marker that cannot be read is skipped, with a
    /// line in the log.
    pub async fn sweep(&self) -> Result<()> {
        let started = Instant::now();
        let mut outcome = Ok(());
        let markers = self.rows.clone_with_type::<RawDocumentBuf>();
        let mut markers = run(markers.find(doc! {})).await?;
        while started.elapsed() < limits::SWEEP_TIME
            && let Some(marker) = run(markers.try_next()).await?
        {
            let id = mongo::id(&marker);
            let Ok(marker) = deserialize_from_slice::<Row>(marker.as_bytes()) else {
                tracing::warn!(note = mongo::id_to_string(&id), "the sweeper passes over a note that it cannot read");
                continue;
            };
            if let Err(error) = self.finish(marker).await {
                tracing::warn!(
                    note = mongo::id_to_string(&id),
                    error = error.cause(),
                    "what an account has left stays until the next sweep"
                );
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }

    async fn finish(&self, Row { id, noted_at }: Row) -> Result<()> {
        let over = Timestamp::now() - limits::IN_FLIGHT_GRACE;
        // If the account deletion failed and the user has not repeated it, the account still exists. Then its data
        // stays, also what was stored since.
        if self.users.with_id(id).await?.is_none() {
            self.delete_data(id).await?;
        }
        if noted_at < over {
            run(self.rows.delete_one(doc! { "_id": id, "notedAt": noted_at })).await?;
        }
        Ok(())
    }
}

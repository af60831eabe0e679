//! Accounts that end, and what goes with them.
//!
//! First everything of theirs is buried and their tickets are taken back; whoever fails on the way still has an account,
//! and does it again. Then the account goes, and from there on nobody can ask in its name. Requests that asked before may
//! still store something, and nobody could delete it: so a note in collection `departures` comes before, by which the
//! sweeper looks once more when all of them are over.

use std::time::Instant;

use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database,
    bson::{DateTime, RawDocumentBuf, deserialize_from_slice, doc, oid::ObjectId},
};
use serde::{Deserialize, Serialize};
use tokio::{time::timeout, try_join};

use crate::{
    Config, Result,
    files::Files,
    limits,
    mongo::{self, run},
    tickets::Grants,
    users::{UserId, Users},
};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// The user's.
    #[serde(rename = "_id")]
    id: ObjectId,
    noted_at: DateTime,
}

#[derive(Clone)]
pub struct AccountDeletions {
    rows: Collection<Row>,
    users: Users,
    files: Files,
    grants: Grants,
}

impl AccountDeletions {
    pub fn of(database: &Database, config: &Config) -> Self {
        Self {
            rows: database.collection("departures"),
            users: Users::of(database),
            files: Files::of(database, config),
            grants: Grants::of(database),
        }
    }

    /// Takes away what somebody has, but the account.
    pub async fn delete_data(&self, user: UserId) -> Result<()> {
        try_join!(self.files.tombstone_all(user), self.grants.revoke_all_of(user))?;
        Ok(())
    }

    /// Takes the account away, and what was stored meanwhile.
    pub async fn delete_account(&self, user: UserId) -> Result<()> {
        let noted = doc! { "$set": { "notedAt": DateTime::now() } };
        run(self.rows.update_one(doc! { "_id": user.0 }, noted).upsert(true)).await?;
        self.users.delete(user).await?;
        // It cannot be asked for again, so what fails or takes long is the sweeper's.
        if let Ok(Err(error)) = timeout(limits::MONGODB_TIMEOUT, self.delete_data(user)).await {
            tracing::warn!(error = error.cause(), "something is left of an account for the sweeper");
        }
        Ok(())
    }

    /// Takes away what came after the accounts of the notes went, and the notes after which nothing can come.
    ///
    /// # Errors
    /// The first failure, after all other notes have been looked at. A note that cannot be read is passed over, with a line in
    /// the log.
    pub async fn sweep(&self) -> Result<()> {
        let started = Instant::now();
        let mut outcome = Ok(());
        let notes = self.rows.clone_with_type::<RawDocumentBuf>();
        let mut notes = run(notes.find(doc! {})).await?;
        while started.elapsed() < limits::SWEEP_TIME
            && let Some(note) = run(notes.try_next()).await?
        {
            let id = mongo::id(&note);
            let Ok(note) = deserialize_from_slice::<Row>(note.as_bytes()) else {
                tracing::warn!(note = mongo::id_to_string(&id), "the sweeper passes over a note that it cannot read");
                continue;
            };
            if let Err(error) = self.finish(note).await {
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
        let over = DateTime::from_system_time(std::time::SystemTime::now() - limits::IN_FLIGHT_GRACE);
        // Somebody who has not asked again after a failure keeps the account, and what they have stored since.
        if self.users.with_id(UserId(id)).await?.is_none() {
            self.delete_data(UserId(id)).await?;
        }
        if noted_at < over {
            run(self.rows.delete_one(doc! { "_id": id, "notedAt": noted_at })).await?;
        }
        Ok(())
    }
}

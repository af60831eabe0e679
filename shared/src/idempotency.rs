//! Requests that carry an `Idempotency-Key`, so that one that is sent again, because its answer was lost, makes nothing
//! anew. Collection `requests`: one document for each, for a day.

use std::sync::Arc;

use axum::http::HeaderMap;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{DateTime, doc, oid::ObjectId},
    options::IndexOptions,
};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::{
    Error, Result,
    files::FileId,
    limits,
    mongo::{is_duplicate, run},
    s3::digest,
    users::UserId,
};

/// Which request it is, and what it says.
pub struct IdempotentRequest {
    key: String,
    /// See [`digest`].
    body: String,
}

impl IdempotentRequest {
    /// `None` for a request without a key.
    ///
    /// # Errors
    /// `Invalid` for a key that is empty, too long or no text.
    pub fn of(headers: &HeaderMap, body: &[u8]) -> Result<Option<Self>> {
        let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
        let key = key.to_str().ok().filter(|key| (1..=limits::IDEMPOTENCY_KEY_BYTES).contains(&key.len()));
        let key = key.ok_or(Error::Invalid("Invalid Idempotency-Key: 1 to 255 characters of ASCII"))?;
        Ok(Some(Self { key: key.to_owned(), body: digest(body) }))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// Digest of the user and the key.
    #[serde(rename = "_id")]
    id: String,
    body: String,
    file_id: ObjectId,
    /// Whether it was answered. Its file may have been deleted since, and must not come back.
    #[serde(default)]
    is_done: bool,
    created_at: DateTime,
}

/// A request that has been seen, now or before.
pub struct Attempt {
    id: String,
    /// Of the file that it makes.
    pub file: FileId,
    pub is_done: bool,
}

impl From<Row> for Attempt {
    fn from(row: Row) -> Self {
        Self { id: row.id, file: FileId(row.file_id), is_done: row.is_done }
    }
}

#[derive(Clone)]
pub struct Idempotency {
    rows: Collection<Row>,
    indexed: Arc<OnceCell<()>>,
}

impl Idempotency {
    pub fn of(database: &Database) -> Self {
        Self { rows: database.collection("requests"), indexed: Arc::default() }
    }

    /// Remembers a request: the file that it is to make has the same id whenever it comes.
    ///
    /// # Errors
    /// `Unprocessable` if the key came before with another body.
    pub async fn begin(&self, owner: UserId, request: IdempotentRequest) -> Result<Attempt> {
        self.indexed.get_or_try_init(|| self.ensure_index()).await?;
        let row = Row {
            id: digest(format!("{} {}", owner.0.to_hex(), request.key).as_bytes()),
            body: request.body,
            file_id: ObjectId::new(),
            is_done: false,
            created_at: DateTime::now(),
        };
        match run(self.rows.insert_one(&row)).await {
            Ok(_) => return Ok(row.into()),
            Err(error) if is_duplicate(&error) => {}
            Err(error) => return Err(error),
        }
        let before = run(self.rows.find_one(doc! { "_id": &row.id })).await?;
        // Gone between the two: a day has passed.
        let before = before.ok_or_else(|| Error::Unavailable(anyhow::anyhow!("a request was forgotten just now")))?;
        if before.body == row.body {
            Ok(before.into())
        } else {
            Err(Error::Unprocessable("This Idempotency-Key was used for another request"))
        }
    }

    /// To be called before a request is answered.
    pub async fn complete(&self, attempt: &Attempt) -> Result<()> {
        run(self.rows.update_one(doc! { "_id": &attempt.id }, doc! { "$set": { "isDone": true } })).await?;
        Ok(())
    }

    async fn ensure_index(&self) -> Result<()> {
        let forgotten = IndexOptions::builder().expire_after(limits::IDEMPOTENCY_TTL).build();
        let age = IndexModel::builder().keys(doc! { "createdAt": 1 }).options(forgotten).build();
        run(self.rows.create_index(age)).await?;
        Ok(())
    }
}

//! Requests with an `Idempotency-Key`: a retry after a lost answer creates nothing new. Collection `requests` has one
//! document for each key, kept for a day.

use mongodb::{Database, IndexModel, bson::doc, options::IndexOptions};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    digest::digest,
    ids::{FileId, UserId},
    limits,
    stores::mongo::{Indexed, is_duplicate, run},
    time::Timestamp,
};

/// The key and the body digest of a request.
pub struct IdempotentRequest {
    key: String,
    /// The digest of the body: see [`digest`].
    body: String,
}

impl IdempotentRequest {
    /// # Errors
    /// `Invalid` for a key that is empty or too long.
    pub fn new(key: &str, body: &[u8]) -> Result<Self> {
        if !(1..=limits::IDEMPOTENCY_KEY_BYTES).contains(&key.len()) {
            return Err(Error::Invalid("Invalid Idempotency-Key: 1 to 255 characters of ASCII"));
        }
        Ok(Self { key: key.to_owned(), body: digest(body) })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// The digest of the user and the key.
    #[serde(rename = "_id")]
    id: String,
    body: String,
    file_id: FileId,
    /// True once the request was answered. Its file may have been deleted since, and must not be created again.
    #[serde(default)]
    is_done: bool,
    created_at: Timestamp,
}

/// An attempt at a request, the first or a later one.
pub struct Attempt {
    id: String,
    /// The id of the file that the request creates.
    pub file: FileId,
    pub is_done: bool,
}

impl From<Row> for Attempt {
    fn from(row: Row) -> Self {
        Self { id: row.id, file: row.file_id, is_done: row.is_done }
    }
}

#[derive(Clone)]
pub struct Idempotency {
    rows: Indexed<Row>,
}

impl Idempotency {
    pub fn of(database: &Database) -> Self {
        Self { rows: Indexed::new(database.collection("requests"), indexes) }
    }

    /// Stores a request. Every attempt at it creates the file under the same id.
    ///
    /// # Errors
    /// `Unprocessable` if the key was used before with another body.
    pub async fn begin(&self, owner: UserId, request: IdempotentRequest) -> Result<Attempt> {
        let row = Row {
            id: digest(format!("{owner} {}", request.key).as_bytes()),
            body: request.body,
            file_id: FileId::new(),
            is_done: false,
            created_at: Timestamp::now(),
        };
        match run(self.rows.indexed().await?.insert_one(&row)).await {
            Ok(_) => return Ok(row.into()),
            Err(error) if is_duplicate(&error) => {}
            Err(error) => return Err(error),
        }
        let earlier = run(self.rows.find_one(doc! { "_id": &row.id })).await?;
        // The document expired between the two calls: a day has passed.
        let earlier = earlier.ok_or_else(|| Error::Unavailable(anyhow::anyhow!("a request was forgotten just now")))?;
        if earlier.body == row.body {
            Ok(earlier.into())
        } else {
            Err(Error::Unprocessable("This Idempotency-Key was used for another request"))
        }
    }

    /// Marks the request as answered. Call this before the answer is sent.
    pub async fn complete(&self, attempt: &Attempt) -> Result<()> {
        run(self.rows.update_one(doc! { "_id": &attempt.id }, doc! { "$set": { "isDone": true } })).await?;
        Ok(())
    }
}

fn indexes() -> Vec<IndexModel> {
    let expiry = IndexOptions::builder().expire_after(limits::IDEMPOTENCY_TTL).build();
    vec![IndexModel::builder().keys(doc! { "createdAt": 1 }).options(expiry).build()]
}

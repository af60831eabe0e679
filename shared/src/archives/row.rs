//! A document of collection `zips`. Only this module names the fields and the collection.

use mongodb::{
    IndexModel,
    bson::{Bson, Document, doc, oid::ObjectId},
};
use serde::{Deserialize, Serialize};

use super::{Scope, State, Zip};
use crate::{
    ids::{FileId, LinkId, UserId, ZipId},
    limits,
    stores::s3::Key,
    time::Timestamp,
};

pub const COLLECTION: &str = "zips";

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    #[serde(rename = "_id")]
    pub id: ZipId,
    /// The owner of the documents.
    pub user_id: UserId,
    /// The link by which somebody else asked for the ZIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_id: Option<LinkId>,
    /// The documents, in the order of the request.
    pub ids: Vec<FileId>,
    /// The name of the file that a client saves.
    pub name: String,
    pub state: Stored,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Set with the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    #[serde(default)]
    pub done: i64,
    /// The key of the ZIP, set once its plan is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// S3's id of the multipart upload, set with the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
    /// The builder that has the ZIP for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<ObjectId>,
    /// The time from which another builder may take the ZIP. In a ZIP that is not due it says nothing.
    pub due_at: Timestamp,
    /// The builders that began since the last progress.
    #[serde(default)]
    pub attempts: u32,
    /// The plans that were made.
    #[serde(default)]
    pub plans: u32,
    /// The time from which the sweeper removes the ZIP.
    pub expires_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    Due,
    Ready,
    Failed,
    /// Nobody sees the ZIP any more, and the sweeper removes it.
    Deleted,
}

impl From<Row> for Zip {
    fn from(row: Row) -> Self {
        let number = |number: i64| u64::try_from(number).unwrap_or_default();
        Self {
            id: row.id,
            state: match row.state {
                Stored::Due => State::Due,
                Stored::Ready => State::Ready,
                Stored::Failed | Stored::Deleted => State::Failed,
            },
            error: row.error,
            entries: row.entries.map(number),
            bytes: row.bytes.map(number),
            done: number(row.done),
            expires_at: row.expires_at,
            name: row.name,
            key: row.key,
        }
    }
}

pub fn indexes() -> Vec<IndexModel> {
    // By owner, to count; by the time at which something has to be done; by the documents, to find the ZIPs of one.
    [doc! { "userId": 1, "state": 1 }, doc! { "state": 1, "dueAt": 1 }, doc! { "expiresAt": 1 }, doc! { "ids": 1 }]
        .map(|keys| IndexModel::builder().keys(keys).build())
        .into()
}

pub fn row(id: ZipId) -> Document {
    doc! { "_id": id }
}

/// A ZIP that a requester may see.
pub fn visible(id: ZipId, scope: Scope) -> Document {
    let mut visible = of(scope);
    visible.insert("_id", id);
    visible.insert("state", doc! { "$ne": "deleted" });
    visible.insert("expiresAt", doc! { "$gt": Timestamp::now() });
    visible
}

/// All ZIPs of an owner, or of a link.
fn of(Scope { owner, link }: Scope) -> Document {
    doc! { "userId": owner, "linkId": link.map_or(Bson::Null, Bson::from) }
}

pub fn kept(scope: Scope) -> Document {
    let mut kept = of(scope);
    kept.insert("state", doc! { "$ne": "deleted" });
    kept
}

pub fn being_made(scope: Scope) -> Document {
    let mut due = of(scope);
    due.insert("state", "due");
    due
}

pub fn all_of(owner: UserId) -> Document {
    doc! { "userId": owner }
}

pub fn with_any_of(documents: &[FileId]) -> Document {
    doc! { "ids": { "$in": documents } }
}

pub fn of_link(link: LinkId, owner: UserId) -> Document {
    doc! { "userId": owner, "linkId": link }
}

/// The ZIP, if no other builder has it.
pub fn free(id: ZipId) -> Document {
    doc! { "_id": id, "state": "due", "dueAt": { "$lte": Timestamp::now() } }
}

/// The ZIP, as long as this builder has it.
pub fn leased(id: ZipId, lease: ObjectId) -> Document {
    doc! { "_id": id, "state": "due", "lease": lease }
}

/// ZIPs whose builder has died.
pub fn abandoned() -> Document {
    doc! { "state": "due", "dueAt": { "$lte": Timestamp::now() - limits::ZIP_RESTART_AFTER } }
}

/// ZIPs to remove: no builder works at them, and `dueAt`, the end of the last builder's lease, is over.
pub fn expired() -> Document {
    let now = Timestamp::now();
    doc! { "expiresAt": { "$lte": now }, "$or": [{ "state": { "$in": ["ready", "failed"] } }, { "dueAt": { "$lte": now } }] }
}

pub fn take(lease: ObjectId) -> Document {
    doc! {
        "$set": { "lease": lease, "dueAt": Timestamp::now() + limits::ZIP_LEASE },
        "$inc": { "attempts": 1 },
    }
}

/// Another [`limits::ZIP_LEASE`], and the bytes that are done.
pub fn renew(done: Option<u64>) -> Document {
    let mut set = doc! { "dueAt": Timestamp::now() + limits::ZIP_LEASE };
    if let Some(done) = done {
        set.insert("done", number(done));
        set.insert("attempts", 0);
    }
    doc! { "$set": set }
}

/// Lets another builder have the ZIP at once.
pub fn release() -> Document {
    doc! { "$set": { "dueAt": Timestamp::now() } }
}

pub fn planned(key: &Key, upload_id: &str, entries: usize, bytes: u64) -> Document {
    doc! {
        "$set": {
            "key": key.as_str(),
            "uploadId": upload_id,
            "entries": i64::try_from(entries).unwrap_or(i64::MAX),
            "bytes": number(bytes),
        },
        "$inc": { "plans": 1 },
    }
}

pub fn without_plan() -> Document {
    doc! { "$set": { "done": 0 }, "$unset": { "key": "", "uploadId": "", "entries": "", "bytes": "" } }
}

pub fn ready(bytes: u64) -> Document {
    doc! {
        "$set": {
            "state": "ready",
            "done": number(bytes),
            "dueAt": Timestamp::now(),
            "expiresAt": Timestamp::now() + limits::ZIP_TTL,
        },
        "$unset": { "lease": "", "uploadId": "" },
    }
}

pub fn failed(reason: &str) -> Document {
    let set = doc! { "state": "failed", "error": reason, "dueAt": Timestamp::now() };
    doc! { "$set": set, "$unset": { "lease": "" } }
}

/// Hides the ZIP. A builder that is at work finds that it has lost the ZIP.
pub fn delete() -> Document {
    doc! { "$set": { "state": "deleted", "expiresAt": Timestamp::now() } }
}

fn number(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

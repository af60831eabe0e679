//! Updates of rows.

use std::{ops::Range, time::Duration};

use mongodb::bson::{Bson, Document, doc};

use crate::{limits, stores::s3::Key, time::Timestamp};

/// Makes a pending folder visible.
pub fn show_folder() -> Document {
    doc! { "$unset": { "state": "", "expiresAt": "" } }
}

/// Makes an upload visible. `due_at` is the time at which the thumbnails of an image are overdue.
pub fn show_upload(size: u64, due_at: Option<Timestamp>) -> Document {
    let mut set = doc! { "updatedAt": Timestamp::now(), "size": bytes(size) };
    set.extend(due_at.map(due).into_iter().flatten());
    let unset = doc! { "state": "", "expiresAt": "", "maxBytes": "", "uploadId": "", "ticketId": "" };
    doc! { "$set": set, "$unset": unset }
}

fn due(at: Timestamp) -> Document {
    doc! { "thumbnails": "due", "thumbnailsDueAt": at }
}

fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

pub fn expire(at: Timestamp) -> Document {
    doc! { "$set": { "expiresAt": at } }
}

pub fn set_upload_id(upload_id: &str) -> Document {
    doc! { "$set": { "uploadId": upload_id } }
}

pub fn set_public(is_public: bool) -> Document {
    doc! { "$set": { "isPublic": is_public, "updatedAt": Timestamp::now() } }
}

/// Sets the tombstone of a visible row.
pub fn delete() -> Document {
    doc! { "$set": { "state": "deleted", "expiresAt": Timestamp::now() } }
}

/// An update pipeline that sets the tombstone of a row that may be pending. A function may be about to put the bytes of
/// a pending row under a key of its own, and S3 sends no message about objects there. So such a row stays until its
/// bytes are stored, and is deleted with them. For objects that clients send S3 sends a message to the worker, which
/// deletes objects without a row.
pub fn delete_upload() -> Vec<Document> {
    let is_pending = doc! { "$eq": ["$state", "pending"] };
    // A comparison does not fail for a key that is no string, unlike string functions.
    let Range { start, end } = Key::THROUGH_A_FUNCTION;
    let comes_through_a_function = doc! { "$and": [is_pending, { "$gte": ["$key", start] }, { "$lt": ["$key", end] }] };
    let later = Timestamp::now() + limits::IN_FLIGHT_GRACE;
    let expires_at = doc! { "$cond": [comes_through_a_function, later, Timestamp::now()] };
    vec![doc! { "$set": { "state": "deleted", "expiresAt": expires_at } }]
}

/// Sets the tombstone of an upload that is past its grace period. No attempt at it can follow.
pub fn delete_expired_upload() -> Document {
    doc! { "$set": { "state": "deleted" }, "$unset": { "isRepeatable": "" } }
}

/// Keeps a tombstone for this time, after which no attempt at the row can follow.
pub fn keep_tombstone(period: Duration) -> Document {
    doc! { "$set": { "expiresAt": Timestamp::now() + period }, "$unset": { "isRepeatable": "" } }
}

pub fn decoding_begins() -> Document {
    doc! { "$set": { "decodingSince": Timestamp::now() }, "$inc": { "decodings": 1 } }
}

pub fn decoding_ended() -> Document {
    doc! { "$unset": marks() }
}

/// Records the thumbnails of an image: a list of [`crate::files::ThumbnailFile`].
pub fn thumbnails_ready(made: Bson) -> Document {
    let mut done = no_longer_due();
    done.extend(marks());
    done.extend(doc! { "thumbnailError": "" });
    doc! { "$set": { "thumbnails": "ready", "thumbnailFiles": made }, "$unset": done }
}

pub fn thumbnails_failed(reason: &str) -> Document {
    let mut done = no_longer_due();
    done.extend(marks());
    failed(reason, done)
}

/// Records the same, and leaves the marks of decodings.
pub fn thumbnails_failed_with_marks(reason: &str) -> Document {
    failed(reason, no_longer_due())
}

fn failed(reason: &str, done: Document) -> Document {
    doc! { "$set": { "thumbnails": "failed", "thumbnailError": reason }, "$unset": done }
}

/// The marks of a decoding, to unset.
fn marks() -> Document {
    doc! { "decodingSince": "", "decodings": "" }
}

/// The fields to unset when the thumbnails of an image are not due any more.
fn no_longer_due() -> Document {
    doc! { "thumbnailsDueAt": "", "thumbnailsResent": "" }
}

pub fn set_due(at: Timestamp) -> Document {
    doc! { "$set": { "thumbnailsDueAt": at } }
}

/// An update pipeline that counts that the job of an image was sent again. The time until the next sending doubles each
/// time.
pub fn job_resent(grace: Duration) -> Vec<Document> {
    let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let resent = doc! { "$ifNull": ["$thumbnailsResent", 0] };
    let wait = doc! { "$multiply": [grace, { "$pow": [2, &resent] }] };
    vec![doc! { "$set": {
        "thumbnailsResent": { "$add": [resent, 1] },
        "thumbnailsDueAt": { "$add": [Timestamp::now(), wait] },
    } }]
}

/// Gives a document of the original its object. The thumbnails of an image are overdue at once, so that the sweeper
/// sends the job.
pub fn adopt(key: &Key, size: u64, is_image: bool) -> Document {
    let mut set = doc! { "key": key.as_str(), "size": bytes(size) };
    set.extend(is_image.then(|| due(Timestamp::now())).into_iter().flatten());
    doc! { "$set": set }
}

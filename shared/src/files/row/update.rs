//! Updates of rows.

use std::{ops::Range, time::Duration};

use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use super::{FromTrash, Moving, Row, UNCOUNTED, document};
use crate::{
    Result,
    files::{Name, Parent, words},
    ids::FileId,
    limits,
    stores::s3::Key,
    time::Timestamp,
};

/// Makes a pending folder visible.
pub fn show_folder() -> Document {
    doc! { "$unset": { "state": "", "expiresAt": "" } }
}

/// Makes an upload visible. `due_at` is the time at which the thumbnails of an image are overdue, and `note` the note of
/// its charge, if it is counted only now.
pub fn show_upload(size: u64, due_at: Option<Timestamp>, note: Option<ObjectId>) -> Vec<Document> {
    let unset = ["state", "expiresAt", "maxBytes", "uploadId", "ticketId", "replaces"];
    vec![doc! { "$set": with_bytes(size, due_at, note) }, doc! { "$unset": unset.as_slice() }]
}

/// Notes that the bytes of an upload are stored whose content becomes that of a document. The upload stays pending.
pub fn store_upload(size: u64, due_at: Option<Timestamp>, note: Option<ObjectId>) -> Vec<Document> {
    vec![doc! { "$set": with_bytes(size, due_at, note) }]
}

fn with_bytes(size: u64, due_at: Option<Timestamp>, note: Option<ObjectId>) -> Document {
    let mut set = doc! { "updatedAt": Timestamp::now(), "size": bytes(size), "charged": bytes(size) };
    set.extend(due_at.map(due).into_iter().flatten());
    // The note of an earlier attempt stays: the other note is taken back.
    set.extend(note.map(|note| ("chargeId".to_owned(), doc! { "$ifNull": ["$chargeId", note] }.into())));
    set
}

/// Notes that the bytes of a preview are stored: the row becomes a version that nobody lists, and its thumbnails are due.
pub fn show_preview(expires_at: Timestamp, due_at: Timestamp) -> Document {
    let mut set = due(due_at);
    set.extend(doc! { "state": "version", "expiresAt": expires_at, "updatedAt": Timestamp::now() });
    doc! { "$set": set }
}

/// Notes which preview the document waits for. A pipeline, because it takes any value that a person has stored.
pub fn await_preview(preview: FileId) -> Vec<Document> {
    vec![doc! { "$set": { "preview": { "due": preview } } }, doc! { "$unset": ["preview.failed"] }]
}

/// Gives a document the thumbnails of a preview: a list of [`crate::files::ThumbnailFile`].
pub fn preview_ready(preview: FileId, made: Bson, thumbhash: &str) -> Document {
    let ready = doc! { "id": preview, "thumbhash": thumbhash };
    doc! { "$set": { "thumbnailsId": preview, "thumbnailFiles": made, "preview": ready } }
}

/// Notes that the last preview was no picture. An earlier one stays.
pub fn preview_failed() -> Document {
    doc! { "$set": { "preview.failed": true }, "$unset": { "preview.due": "" } }
}

/// Makes a copy visible. From here on each row of a folder's copy counts by itself.
pub fn show_copy(note: ObjectId) -> Vec<Document> {
    let charged = doc! { "$ifNull": ["$charged", 0_i64] };
    let set = doc! { "updatedAt": Timestamp::now(), "charged": charged, "chargeId": note };
    vec![doc! { "$set": set }, doc! { "$unset": ["state", "expiresAt", "replaces"] }]
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

pub fn set_public(is_public: bool) -> Vec<Document> {
    changed(doc! { "isPublic": is_public }, &[])
}

/// An update pipeline for a change that the owner makes.
fn changed(mut set: Document, unset: &[&str]) -> Vec<Document> {
    let revision = doc! { "$cond": [{ "$isNumber": "$revision" }, "$revision", 1_i64] };
    set.insert("revision", doc! { "$toLong": { "$add": [revision, 1_i64] } });
    set.insert("updatedAt", Timestamp::now());
    let mut steps = vec![doc! { "$set": set }];
    if !unset.is_empty() {
        steps.push(doc! { "$unset": unset });
    }
    steps
}

/// The fields of a name. The pipeline takes text as it is, also text that begins with a dollar sign.
fn named(name: &Name) -> Document {
    doc! { "name": { "$literal": name.as_str() }, "words": { "$literal": words::of(name) } }
}

/// Sets the name, and its key if the name must stay the only one in its folder.
pub fn rename(name: &Name, key: Option<&str>) -> Vec<Document> {
    place(named(name), key, &[])
}

fn place(mut set: Document, key: Option<&str>, unset: &[&'static str]) -> Vec<Document> {
    let mut unset = unset.to_vec();
    match key {
        Some(key) => drop(set.insert("nameKey", doc! { "$literal": key })),
        None => unset.push("nameKey"),
    }
    changed(set, &unset)
}

pub fn begin_move(moving: &Moving) -> Result<Document> {
    Ok(doc! { "$set": { "moving": document(moving)? } })
}

/// Sets place and name of a row that is moved.
pub fn commit_move(parent: Parent, name: &Name, key: Option<&str>) -> Vec<Document> {
    let mut set = named(name);
    set.insert("parentId", parent.stored());
    place(set, key, &[])
}

/// Takes a move back.
pub fn undo_move(moving: &Moving) -> Vec<Document> {
    let mut set = named(&Name(moving.name.clone()));
    set.insert("parentId", doc! { "$literal": &moving.from });
    let mut unset = vec!["moving"];
    match moving.trashed {
        Some(FromTrash { trashed_at, expires_at }) => {
            set.extend(doc! { "state": "trashed", "trashedAt": trashed_at, "expiresAt": expires_at });
        }
        None => unset.push("trashedAt"),
    }
    place(set, None, &unset)
}

pub fn end_move() -> Document {
    doc! { "$unset": { "moving": "" } }
}

/// Puts a row into the trash.
pub fn trash(expires_at: Timestamp) -> Vec<Document> {
    let set = doc! { "state": "trashed", "trashedAt": Timestamp::now(), "expiresAt": expires_at };
    changed(set, &["nameKey", "moving"])
}

/// Takes a row out of the trash. The row is flagged as moving, so that it goes back if its folder is deleted meanwhile.
pub fn restore(parent: Parent, name: &Name, key: Option<&str>, moving: &Moving) -> Result<Vec<Document>> {
    let mut set = named(name);
    set.insert("parentId", parent.stored());
    set.insert("moving", doc! { "$literal": document(moving)? });
    Ok(place(set, key, &["state", "trashedAt", "expiresAt"]))
}

/// Marks a row whose content is to become that of a document.
pub fn replaces(document: FileId) -> Document {
    doc! { "$set": { "replaces": document } }
}

/// Notes that the document has the content of a row.
pub fn becomes(document: FileId) -> Document {
    doc! { "$set": { "became": document } }
}

pub fn replace_nothing() -> Document {
    doc! { "$unset": { "replaces": "" } }
}

/// Gives a document the content of `source`. `version` keeps the earlier content.
pub fn exchange(source: &Row, version: &Row, earlier: &Row) -> Vec<Document> {
    let (content, mut unset) = source.content();
    let mut set: Document =
        content.into_iter().map(|(field, value)| (field, doc! { "$literal": value }.into())).collect();
    let exchange = doc! { "source": source.id, "version": version.id, "charged": earlier.charge().bytes };
    set.extend(doc! { "exchange": exchange, "contentAt": Timestamp::now() });
    unset.extend(["decodingSince", "decodings", "thumbnailsResent"]);
    changed(set, &unset)
}

pub fn accept_exchange() -> Document {
    doc! { "$set": { "exchange.accepted": true } }
}

/// Gives a document the content of the version back that keeps its earlier content.
pub fn undo_exchange(version: &Row, charged: i64) -> Vec<Document> {
    let (content, mut unset) = version.content();
    let mut set: Document =
        content.into_iter().map(|(field, value)| (field, doc! { "$literal": value }.into())).collect();
    set.extend(doc! { "charged": charged, "contentAt": version.content_at() });
    unset.extend(["exchange", "decodingSince", "decodings", "thumbnailsResent"]);
    changed(set, &unset)
}

pub fn end_exchange() -> Document {
    doc! { "$unset": { "exchange": "" } }
}

/// Sets the tombstone of a row whose content a document has now. The tombstone of an upload that the client may complete
/// again, or repeat, stays a while.
pub fn delete_source(document: FileId) -> Vec<Document> {
    consumed(document, 0_i64.into())
}

/// The same for a row with the content that the document had already. The quota counts the row until it is removed.
pub fn delete_double(document: FileId) -> Vec<Document> {
    consumed(document, charged_at_deletion().into())
}

fn consumed(document: FileId, charged: Bson) -> Vec<Document> {
    let may_be_repeated = doc! { "$or": [{ "$gte": ["$key", Key::UPLOADS] }, { "$eq": ["$isRepeatable", true] }] };
    let later = Timestamp::now() + limits::IN_FLIGHT_GRACE;
    let set = doc! {
        "state": "deleted",
        "expiresAt": { "$cond": [may_be_repeated, later, Timestamp::now()] },
        "charged": charged,
        "became": document,
    };
    vec![doc! { "$set": set }, doc! { "$unset": ["replaces", "nameKey", "trashedAt", "moving", "thumbnailsDueAt"] }]
}

/// Sets what the quota counts for a row.
pub fn charge(bytes: i64) -> Document {
    doc! { "$set": { "charged": bytes } }
}

/// Claims rows for a sweep.
pub fn claim(sweep: ObjectId) -> Document {
    doc! { "$set": { "claim": sweep, "claimedAt": Timestamp::now() } }
}

/// Marks a tombstone that does not count any more.
pub fn refunded() -> Document {
    doc! { "$set": { "charged": UNCOUNTED }, "$unset": { "claim": "", "claimedAt": "" } }
}

pub fn put_into(folder: FileId) -> Document {
    doc! { "$set": { "parentId": folder } }
}

/// Sets the tombstone of a row that is visible, in the trash, or a version.
pub fn delete() -> Vec<Document> {
    vec![
        doc! { "$set": { "state": "deleted", "expiresAt": Timestamp::now(), "charged": charged_at_deletion() } },
        doc! { "$unset": ["nameKey", "trashedAt"] },
    ]
}

/// Sets the tombstone of a row that is a version, to be removed at this time.
pub fn delete_at(at: Timestamp) -> Document {
    doc! { "$set": { "state": "deleted", "expiresAt": at }, "$unset": { "thumbnailsDueAt": "" } }
}

/// Sets the tombstone of a row that the quota does not count.
pub fn delete_uncounted() -> Document {
    doc! { "$set": { "state": "deleted", "expiresAt": Timestamp::now(), "charged": UNCOUNTED } }
}

/// What the quota counts for a row whose tombstone is set: an upload that was not counted yet never is.
fn charged_at_deletion() -> Document {
    let was_pending = doc! { "$eq": ["$state", "pending"] };
    doc! { "$ifNull": ["$charged", { "$cond": [was_pending, UNCOUNTED, "$$REMOVE"] }] }
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
    vec![
        doc! { "$set": { "state": "deleted", "expiresAt": expires_at, "charged": charged_at_deletion() } },
        doc! { "$unset": ["nameKey", "trashedAt"] },
    ]
}

/// Sets the tombstone of a row whose time is over. No attempt at an upload can follow.
pub fn delete_expired() -> Vec<Document> {
    vec![
        doc! { "$set": { "state": "deleted", "charged": charged_at_deletion() } },
        doc! { "$unset": ["isRepeatable", "nameKey", "trashedAt"] },
    ]
}

/// Keeps a tombstone for this time, after which no attempt at the row can follow. The row does not count any more.
pub fn keep_tombstone(period: Duration) -> Document {
    let set = doc! { "expiresAt": Timestamp::now() + period, "charged": UNCOUNTED };
    doc! { "$set": set, "$unset": { "isRepeatable": "", "claim": "", "claimedAt": "" } }
}

pub fn decoding_begins() -> Document {
    doc! { "$set": { "decodingSince": Timestamp::now() }, "$inc": { "decodings": 1 } }
}

pub fn decoding_ended() -> Document {
    doc! { "$unset": marks() }
}

/// Records the thumbnails of an image: a list of [`crate::files::ThumbnailFile`], and a [`crate::files::Picture`].
pub fn thumbnails_ready(made: Bson, picture: Bson) -> Document {
    let mut done = no_longer_due();
    done.extend(marks());
    done.extend(doc! { "thumbnailError": "" });
    doc! { "$set": { "thumbnails": "ready", "thumbnailFiles": made, "picture": picture }, "$unset": done }
}

/// Records what is known of an image whose thumbnails are those of a preview: a [`crate::files::Picture`].
pub fn picture_ready(picture: Bson) -> Document {
    let mut done = no_longer_due();
    done.extend(marks());
    done.extend(doc! { "thumbnailError": "" });
    doc! { "$set": { "thumbnails": "ready", "picture": picture }, "$unset": done }
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

pub fn set_crc32(crc32: u32) -> Document {
    doc! { "$set": { "crc32": i64::from(crc32) } }
}

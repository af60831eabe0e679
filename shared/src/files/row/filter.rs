//! Filters of rows, with their orders and projections, and the indexes that these need.

use mongodb::{
    IndexModel,
    bson::{Bson, Document, doc, oid::ObjectId},
    options::{Hint, IndexOptions},
};

use super::{Row, UNCOUNTED};
use crate::{
    files::Parent,
    ids::{FileId, UserId},
    limits,
    stores::s3::Key,
    time::Timestamp,
};

/// The index of earlier releases that allowed an object in one row only.
pub const UNIQUE_KEY_INDEX: &str = "key_1";

/// The keys of an index, of the hint by which queries name the index.
fn keys_of(hint: Hint) -> Document {
    match hint {
        Hint::Keys(keys) => keys,
        _ => Document::new(),
    }
}

pub fn indexes() -> Vec<IndexModel> {
    let only_where = |field: &str| {
        let partial = doc! { field: { "$exists": true } };
        IndexOptions::builder().partial_filter_expression(partial).build()
    };
    let invisible =
        IndexModel::builder().keys(doc! { "state": 1, "expiresAt": 1 }).options(only_where("state")).build();
    let incomplete = IndexModel::builder().keys(doc! { "userId": 1, "state": 1 }).options(only_where("state")).build();
    let overdue =
        IndexModel::builder().keys(doc! { "thumbnailsDueAt": 1 }).options(only_where("thumbnailsDueAt")).build();
    vec![IndexModel::builder().keys(pages()).build(), invisible, incomplete, overdue]
}

/// The indexes that came with the file manager: see [`crate::files::indexes`].
pub fn later_indexes() -> Vec<IndexModel> {
    let on = |hint, field: &str, is_unique: bool| {
        let mut options =
            IndexOptions::builder().partial_filter_expression(doc! { field: { "$exists": true } }).build();
        options.unique = is_unique.then_some(true);
        IndexModel::builder().keys(keys_of(hint)).options(options).build()
    };
    vec![
        on(key_index(), "key", false),
        on(name_key_index(), "nameKey", true),
        on(trash_index(), "trashedAt", false),
        on(versions_index(), "versionOf", false),
        on(moving_index(), "moving.at", false),
        on(thumbnails_index(), "thumbnailsId", false),
    ]
}

pub fn listing_index() -> Hint {
    Hint::Keys(by_owner())
}

pub fn state_index() -> Hint {
    Hint::Keys(doc! { "userId": 1, "state": 1 })
}

pub fn key_index() -> Hint {
    Hint::Keys(by_key())
}

pub fn name_key_index() -> Hint {
    Hint::Keys(doc! { "userId": 1, "parentId": 1, "nameKey": 1 })
}

pub fn trash_index() -> Hint {
    Hint::Keys(doc! { "userId": 1, "trashedAt": 1, "_id": 1 })
}

pub fn versions_index() -> Hint {
    Hint::Keys(doc! { "versionOf": 1, "_id": 1 })
}

pub fn moving_index() -> Hint {
    Hint::Keys(doc! { "moving.at": 1 })
}

pub fn thumbnails_index() -> Hint {
    Hint::Keys(by_thumbnails_id())
}

pub fn row(id: FileId) -> Document {
    doc! { "_id": id }
}

pub fn row_of(owner: UserId, id: FileId) -> Document {
    doc! { "_id": id, "userId": owner }
}

/// The same rows, if they have one of these revisions. A row without the field has revision 1.
pub fn with_revision(mut rows: Document, revisions: &[i64]) -> Document {
    let mut revisions: Vec<Option<i64>> = revisions.iter().copied().map(Some).collect();
    if revisions.contains(&Some(1)) {
        revisions.push(None);
    }
    rows.insert("revision", doc! { "$in": revisions });
    rows
}

/// The same for an id of any type.
pub fn row_of_any_id(owner: UserId, id: Bson) -> Document {
    doc! { "_id": { "$eq": id }, "userId": owner }
}

pub fn visible(id: FileId) -> Document {
    doc! { "_id": id, "state": null }
}

pub fn visible_of(owner: UserId, id: FileId) -> Document {
    doc! { "_id": id, "userId": owner, "state": null }
}

pub fn visible_inside(owner: UserId, folder: Parent) -> Document {
    doc! { "userId": owner, "parentId": inside(folder), "state": null }
}

/// The value of `parentId` that matches every row in this folder.
pub fn inside(folder: Parent) -> Bson {
    match folder {
        Parent::Root | Parent::LegacyRoot => doc! { "$in": [0, "0"] }.into(),
        Parent::Folder(id) => id.into(),
    }
}

/// The index of the pages of a folder.
pub fn pages() -> Document {
    doc! { "userId": 1, "parentId": 1, "_id": 1 }
}

/// The oldest first: an `ObjectId` begins with a time.
pub fn by_id() -> Document {
    doc! { "_id": 1 }
}

/// Rows that nobody sees. A comparison with a string uses the index; for `$exists` `MongoDB` reads each document.
pub fn invisible() -> Document {
    doc! { "state": { "$gte": "" } }
}

pub fn pending(id: FileId) -> Document {
    doc! { "_id": id, "state": "pending" }
}

pub fn pending_replacing(document: FileId, id: FileId) -> Document {
    doc! { "_id": id, "state": "pending", "replaces": document, "became": null }
}

pub fn pending_of(owner: UserId, id: FileId) -> Document {
    doc! { "_id": id, "userId": owner, "state": "pending" }
}

pub fn pending_without_upload_id(id: FileId) -> Document {
    doc! { "_id": id, "state": "pending", "uploadId": { "$exists": false } }
}

pub fn all_pending_of(owner: UserId) -> Document {
    doc! { "userId": owner, "state": "pending" }
}

pub fn not_deleted_of(owner: UserId) -> Document {
    doc! { "userId": owner, "state": { "$ne": "deleted" } }
}

/// Rows in a deleted folder that go with it: what is in the trash by itself stays there.
pub fn to_delete_inside(owner: UserId, folder: FileId) -> Document {
    doc! { "userId": owner, "parentId": folder, "state": { "$nin": ["deleted", "trashed"] } }
}

pub fn inside_folder(id: FileId, folder: FileId) -> Document {
    doc! { "_id": id, "parentId": folder }
}

pub fn inside_any(owner: UserId, folders: &[FileId]) -> Document {
    doc! { "userId": owner, "parentId": { "$in": folders } }
}

pub fn visible_inside_any(owner: UserId, folders: &[FileId]) -> Document {
    doc! { "userId": owner, "parentId": { "$in": folders }, "state": null }
}

/// Rows of this owner among these that users see.
pub fn visible_among(owner: UserId, ids: &[FileId]) -> Document {
    doc! { "_id": { "$in": ids }, "userId": owner, "state": null }
}

/// Rows with this object.
pub fn with_key(key: &Key) -> Document {
    doc! { "key": key.as_str() }
}

pub fn rows(ids: &[FileId]) -> Document {
    doc! { "_id": { "$in": ids } }
}

/// A row of any state but a tombstone.
pub fn live(id: FileId) -> Document {
    doc! { "_id": id, "state": { "$ne": "deleted" } }
}

pub fn live_among(ids: &[FileId]) -> Document {
    doc! { "_id": { "$in": ids }, "state": { "$ne": "deleted" } }
}

/// A row whose bytes are stored: a visible one, one in the trash, or a version.
pub fn stored_of(owner: UserId, id: FileId) -> Document {
    doc! { "_id": id, "userId": owner, "state": stored() }
}

fn stored() -> Document {
    doc! { "$in": [Bson::Null, Bson::from("trashed"), Bson::from("version")] }
}

pub fn stored_with_key(key: &Key) -> Document {
    doc! { "key": key.as_str(), "state": stored() }
}

pub fn live_with_keys(keys: &[&str]) -> Document {
    doc! { "key": { "$in": keys }, "state": { "$ne": "deleted" } }
}

/// Images with this object whose thumbnails have this id in their keys.
pub fn images_with_thumbnails(key: &Key, id: FileId) -> Document {
    let own = doc! { "_id": id, "thumbnailsId": null };
    doc! { "key": key.as_str(), "type": "image", "state": stored(), "$or": [{ "thumbnailsId": id }, own] }
}

/// Images with this object whose thumbnails are those of a preview.
pub fn images_with_preview(key: &Key) -> Document {
    doc! { "key": key.as_str(), "type": "image", "state": stored(), "preview.id": { "$exists": true } }
}

/// The document, visible or in the trash, if the last preview that it was given is this one, and is not made yet.
pub fn awaiting_preview(owner: UserId, document: FileId, preview: FileId) -> Document {
    let state = doc! { "$in": [Bson::Null, Bson::from("trashed")] };
    doc! { "_id": document, "userId": owner, "state": state, "preview.due": preview }
}

/// The same, if its thumbnails are still those that were read.
pub fn awaiting_preview_as(document: &Row, preview: FileId) -> Document {
    let mut waiting = awaiting_preview(document.user_id, document.id, preview);
    waiting.insert("thumbnailsId", document.stored_thumbnails_id());
    waiting
}

/// Documents among these that wait for one of these previews.
pub fn all_awaiting(documents: &[FileId], previews: &[FileId]) -> Document {
    doc! { "_id": { "$in": documents }, "preview.due": { "$in": previews } }
}

/// The row with the bytes of a preview, unless it has a tombstone.
pub fn preview(id: FileId) -> Document {
    doc! { "_id": id, "state": "version", "previewOf": { "$exists": true } }
}

/// A row without tombstone whose thumbnails have its own id in their keys.
pub fn live_with_own_thumbnails(id: FileId) -> Document {
    doc! { "_id": id, "state": { "$ne": "deleted" }, "thumbnailsId": null }
}

pub fn live_with_thumbnails_id(id: FileId) -> Document {
    doc! { "thumbnailsId": id, "state": { "$ne": "deleted" } }
}

/// The same for any of these ids.
pub fn live_with_any_thumbnails_id(ids: &[FileId]) -> Document {
    doc! { "thumbnailsId": { "$in": ids }, "state": { "$ne": "deleted" } }
}

/// Rows without tombstone among these whose thumbnails have their own id in their keys.
pub fn live_with_own_thumbnails_among(ids: &[FileId]) -> Document {
    doc! { "_id": { "$in": ids }, "state": { "$ne": "deleted" }, "thumbnailsId": null }
}

/// Rows with a tombstone among these that no sweep has claimed since this time.
pub fn unclaimed(ids: &[FileId], since: Timestamp) -> Document {
    let free = vec![doc! { "claimedAt": null }, doc! { "claimedAt": { "$lt": since } }];
    doc! { "_id": { "$in": ids }, "state": "deleted", "$or": free }
}

/// The row, visible or pending, where it was read.
pub fn same_place(row: &Row) -> Document {
    doc! {
        "_id": row.id,
        "userId": row.user_id,
        "parentId": row.parent_id(),
        "state": { "$in": [Bson::Null, Bson::from("pending")] },
    }
}

/// The row where it was read, if no move that began after this time has it.
pub fn not_moving(row: &Row, begun_after: Timestamp) -> Document {
    let mut free = same_place(row);
    free.insert("$or", vec![doc! { "moving": null }, doc! { "moving.at": { "$lt": begun_after } }]);
    free
}

pub fn moving(id: FileId, attempt: ObjectId) -> Document {
    doc! { "_id": id, "moving.id": attempt }
}

pub fn all_moving_of(owner: UserId) -> Document {
    doc! { "moving.at": { "$gte": Timestamp::from_millis(0) }, "userId": owner }
}

pub fn all_moving_into(owner: UserId, folder: FileId) -> Document {
    doc! { "moving.at": { "$gte": Timestamp::from_millis(0) }, "userId": owner, "parentId": folder }
}

pub fn moving_since_before(at: Timestamp) -> Document {
    doc! { "moving.at": { "$lt": at } }
}

/// Rows of any state in a folder with one of these keys of names.
pub fn with_name_key(owner: UserId, folder: Parent, keys: &[String]) -> Document {
    doc! { "userId": owner, "parentId": inside(folder), "nameKey": { "$in": keys } }
}

pub fn only_id() -> Document {
    doc! { "_id": 1 }
}

pub fn only_name() -> Document {
    doc! { "name": 1, "type": 1 }
}

pub fn only_name_key() -> Document {
    doc! { "nameKey": 1 }
}

pub fn only_key() -> Document {
    doc! { "key": 1 }
}

/// The fields of [`super::WithThumbnails`].
pub fn only_thumbnails_id() -> Document {
    doc! { "thumbnailsId": 1 }
}

pub fn trashed_of(owner: UserId, id: FileId) -> Document {
    doc! { "_id": id, "userId": owner, "state": "trashed" }
}

pub fn all_trashed_of(owner: UserId) -> Document {
    doc! { "userId": owner, "state": "trashed" }
}

pub fn trashed_before(owner: UserId, before: Option<Timestamp>) -> Document {
    let any = doc! { "$gte": Timestamp::from_millis(0) };
    let trashed_at = before.map_or(any, |at| doc! { "$lt": at });
    doc! { "userId": owner, "trashedAt": trashed_at, "state": "trashed" }
}

pub fn trashed_at_before_id(owner: UserId, at: Timestamp, id: FileId) -> Document {
    doc! { "userId": owner, "trashedAt": at, "_id": { "$lt": id }, "state": "trashed" }
}

pub fn latest_trashed() -> Document {
    doc! { "trashedAt": -1, "_id": -1 }
}

/// The document, if it still has the content that was read, and its preview.
pub fn with_content_of(document: &Row) -> Document {
    let key: Bson = match &document.key {
        Some(key) => key.as_str().into(),
        None => doc! { "$exists": false }.into(),
    };
    doc! { "_id": document.id, "state": null, "key": key, "exchange": null, "preview.id": document.stored_preview_id() }
}

pub fn exchanging(document: FileId, source: FileId) -> Document {
    doc! { "_id": document, "exchange.source": source }
}

/// The row, if no other document has its content.
pub fn free_for(owner: UserId, document: FileId, source: FileId) -> Document {
    let became = vec![Bson::Null, document.into()];
    doc! { "_id": source, "userId": owner, "state": { "$ne": "deleted" }, "became": { "$in": became } }
}

/// The row whose content is to become that of the document, or has become it. A sweep that finds the tombstone of the
/// latter finds the document too, which names the object.
pub fn source_of(document: FileId, source: FileId) -> Document {
    let is_free = doc! { "state": { "$ne": "deleted" }, "replaces": document, "became": null };
    doc! { "_id": source, "$or": [is_free, { "became": document }] }
}

/// The document, if its exchange with this source has not been accepted.
pub fn not_accepted(document: FileId, source: FileId) -> Document {
    doc! { "_id": document, "exchange.source": source, "exchange.accepted": { "$ne": true } }
}

/// A version that has not become the content of a document again, and is not taken off the counter.
pub fn unconsumed(version: FileId) -> Document {
    doc! { "_id": version, "became": null, "charged": { "$ne": UNCOUNTED } }
}

pub fn not_refunded(id: FileId) -> Document {
    doc! { "_id": id, "charged": { "$ne": UNCOUNTED } }
}

pub fn accepted(document: FileId, source: FileId) -> Document {
    doc! { "_id": document, "exchange.source": source, "exchange.accepted": true }
}

pub fn all_exchanging(documents: &[FileId]) -> Document {
    doc! { "_id": { "$in": documents }, "exchange.source": { "$exists": true } }
}

pub fn versions(ids: &[FileId]) -> Document {
    doc! { "_id": { "$in": ids }, "state": "version" }
}

pub fn versions_of(owner: UserId, document: FileId) -> Document {
    doc! {
        "versionOf": document,
        "userId": owner,
        "state": "version",
        "expiresAt": { "$gt": Timestamp::now() },
        "previewOf": null,
    }
}

/// The versions of these documents, with the bytes of their previews.
pub fn all_versions_of(documents: &[FileId]) -> Document {
    doc! { "versionOf": { "$in": documents }, "state": "version" }
}

/// Deleted rows of a user that may count still.
pub fn deleted_and_charged(owner: UserId) -> Document {
    doc! {
        "userId": owner,
        "state": "deleted",
        "charged": { "$ne": UNCOUNTED },
        "expiresAt": { "$lte": Timestamp::now() },
    }
}

/// A pipeline that sums what the quota counts: see [`Row::charge`].
pub fn sum_of_charges(owner: UserId) -> [Document; 2] {
    let number = |field: &str, other: Bson| doc! { "$cond": [{ "$isNumber": field }, field, other] };
    let is_uncounted = doc! { "$or": [
        { "$eq": ["$charged", UNCOUNTED] },
        { "$and": [{ "$eq": ["$state", "pending"] }, { "$not": [{ "$isNumber": "$charged" }] }] },
    ] };
    let bytes = doc! { "$max": [0_i64, number("$charged", number("$size", 0_i64.into()).into())] };
    let is_file = doc! { "$and": [
        { "$ne": ["$type", "folder"] },
        { "$eq": [{ "$type": "$versionOf" }, "missing"] },
        { "$not": [&is_uncounted] },
    ] };
    [
        doc! { "$match": { "userId": owner } },
        doc! { "$group": {
            "_id": null,
            "bytes": { "$sum": { "$cond": [is_uncounted, 0_i64, bytes] } },
            "count": { "$sum": { "$cond": [is_file, 1_i64, 0_i64] } },
        } },
    ]
}

/// A pipeline that sums the files of folders, and names the folders in them.
pub fn sums_inside(owner: UserId, folders: &[FileId]) -> [Document; 2] {
    let is_folder = doc! { "$eq": ["$type", "folder"] };
    let size = doc! { "$cond": [{ "$isNumber": "$size" }, "$size", 0_i64] };
    [
        doc! { "$match": visible_inside_any(owner, folders) },
        doc! { "$group": {
            "_id": null,
            "bytes": { "$sum": { "$cond": [&is_folder, 0_i64, size] } },
            "count": { "$sum": { "$cond": [&is_folder, 0_i64, 1_i64] } },
            "folders": { "$push": { "$cond": [is_folder, "$_id", "$$REMOVE"] } },
        } },
    ]
}

/// Rows with a tombstone among these.
pub fn deleted<Id: Clone + Into<Bson>>(ids: &[Id]) -> Document {
    doc! { "_id": { "$in": ids }, "state": "deleted" }
}

/// Invisible rows that the sweeper may take. All states are named, so that the index returns the rows in the order of
/// their times, without a sort.
pub fn expired(at: Timestamp) -> Document {
    doc! { "state": { "$in": ["pending", "deleted", "trashed", "version"] }, "expiresAt": { "$lte": at } }
}

/// Rows without a tombstone among these whose time is over.
pub fn expired_without_tombstone(at: Timestamp, ids: &[Bson]) -> Document {
    let states = ["pending", "trashed", "version"];
    doc! { "_id": { "$in": ids }, "state": { "$in": states }, "expiresAt": { "$lte": at } }
}

/// The first to expire first.
pub fn by_expiry() -> Document {
    doc! { "expiresAt": 1 }
}

/// All fields but those that a sweep does not need and that may be long.
pub fn for_sweep() -> Document {
    doc! { "name": 0, "thumbnailFiles": 0, "thumbnailError": 0 }
}

/// Rows that wait for the sweeper. A row without an expiry counts too, because it would wait for ever.
pub fn stale() -> Document {
    doc! { "state": { "$exists": true }, "expiresAt": { "$not": { "$gte": Timestamp::now() } } }
}

/// An image, unless more than `unfinished` decodings of it have begun and not ended.
pub fn decodable(owner: UserId, id: FileId, unfinished: u32) -> Document {
    let mut image = stored_of(owner, id);
    match unfinished {
        0 => image.insert("decodingSince", Bson::Null),
        some => image.insert("decodings", doc! { "$not": { "$gt": some } }),
    };
    image
}

/// The fields of [`super::Marks`].
pub fn only_marks() -> Document {
    doc! { "decodings": 1 }
}

/// These images, if they have no thumbnails yet.
pub fn not_ready(mut images: Document) -> Document {
    images.insert("thumbnails", doc! { "$ne": "ready" });
    images
}

/// Images whose thumbnails were overdue at this moment, and the rows of previews.
pub fn overdue(at: Timestamp) -> Document {
    let preview = doc! { "state": "version", "previewOf": { "$exists": true } };
    doc! { "thumbnailsDueAt": { "$lt": at }, "$or": [{ "state": null }, preview] }
}

pub fn overdue_among(at: Timestamp, images: &[FileId]) -> Document {
    let mut overdue = overdue(at);
    overdue.insert("_id", doc! { "$in": images });
    overdue
}

/// Overdue images whose job has been sent again too often.
pub fn overdue_and_resent(at: Timestamp) -> Document {
    doc! { "thumbnailsDueAt": { "$lt": at }, "state": null, "thumbnailsResent": { "$gte": limits::MAX_RESENDS } }
}

/// Rows of previews of which the same is true.
pub fn previews_overdue_and_resent(at: Timestamp) -> Document {
    doc! {
        "thumbnailsDueAt": { "$lt": at },
        "state": "version",
        "previewOf": { "$exists": true },
        "thumbnailsResent": { "$gte": limits::MAX_RESENDS },
    }
}

/// Images among these whose thumbnails are due at exactly this time.
pub fn due_at(at: Timestamp, images: &[FileId]) -> Document {
    doc! { "_id": { "$in": images }, "thumbnailsDueAt": at }
}

/// Images among these whose thumbnails are still due.
pub fn still_due(images: &[FileId]) -> Document {
    doc! { "_id": { "$in": images }, "thumbnailsDueAt": { "$exists": true } }
}

pub fn by_due_time() -> Document {
    doc! { "thumbnailsDueAt": 1 }
}

/// The fields of [`super::Owned`].
pub fn only_owner() -> Document {
    doc! { "userId": 1 }
}

/// Rows with one of these keys. Copies and versions share an object, so there may be several of each.
pub fn with_any_key(keys: &[&str]) -> Document {
    doc! { "key": { "$in": keys } }
}

/// Rows with this key whose bytes are not complete, or are deleted.
pub fn unfinished_with_key(key: &str) -> Document {
    doc! { "key": key, "state": { "$nin": complete() } }
}

/// The states of rows whose bytes are complete and not deleted.
fn complete() -> Vec<Bson> {
    vec![Bson::Null, "trashed".into(), "version".into()]
}

/// Rows after this key and row, in the order of [`by_key`], and, if `before` is given, with a key before that. The
/// bounds on `key` alone are for the index: `MongoDB` takes none from the `$or`.
pub fn after_key(key: &str, id: Option<FileId>, before: Option<&str>) -> Document {
    let mut between = doc! { "$gte": key };
    between.extend(before.map(|before| ("$lt".to_owned(), before.into())));
    let mut after = doc! { "key": between };
    match id {
        Some(id) => {
            after.insert("$or", vec![doc! { "key": { "$gt": key } }, doc! { "key": key, "_id": { "$gt": id } }])
        }
        None => None,
    };
    after
}

pub fn by_key() -> Document {
    doc! { "key": 1, "_id": 1 }
}

pub fn after_id(id: impl Into<Bson>) -> Document {
    doc! { "_id": { "$gt": id.into() } }
}

/// Rows whose thumbnails have this id in their keys, in place of their own.
pub fn with_thumbnails_of(image: FileId) -> Document {
    doc! { "thumbnailsId": image }
}

/// Rows after this one, in the order of [`by_thumbnails_id`].
pub fn after_thumbnails_id(image: impl Into<Bson>, id: Option<FileId>) -> Document {
    let image = image.into();
    let mut after = doc! { "thumbnailsId": { "$gte": &image } };
    match id {
        Some(id) => {
            let same = doc! { "thumbnailsId": &image, "_id": { "$gt": id } };
            after.insert("$or", vec![doc! { "thumbnailsId": { "$gt": image } }, same])
        }
        None => None,
    };
    after
}

pub fn by_thumbnails_id() -> Document {
    doc! { "thumbnailsId": 1, "_id": 1 }
}

/// The fields of [`super::Entry`].
pub fn only_entry() -> Document {
    doc! { "key": 1, "size": 1, "state": 1, "type": 1, "thumbnailFiles": 1, "thumbnailsId": 1 }
}

/// The steps of a pipeline that adds up the rows of a user: a [`super::Sum`].
pub fn sum_of(owner: UserId) -> [Document; 2] {
    let state = doc! { "$ifNull": ["$state", Bson::Null] };
    let is_charged = doc! { "$and": [{ "$eq": [&state, "pending"] }, { "$isNumber": "$charged" }] };
    let is_sure = doc! { "$or": [{ "$in": [&state, complete()] }, is_charged] };
    let is_version = doc! { "$ne": [{ "$type": "$versionOf" }, "missing"] };
    let is_file =
        doc! { "$and": [{ "$ne": ["$type", "folder"] }, { "$ne": [state, "version"] }, { "$not": [is_version] }] };
    let bytes = doc! { "$max": [0, { "$ifNull": ["$charged", "$size"] }] };
    let sum = |rows: &Document, of: Bson| doc! { "$sum": { "$cond": [rows, of, 0] } };
    let is_unsure = doc! { "$not": is_sure.clone() };
    let file = doc! { "$cond": [is_file, 1, 0] };
    [
        doc! { "$match": { "userId": owner } },
        doc! { "$group": {
            "_id": Bson::Null,
            "sureBytes": sum(&is_sure, bytes.clone().into()),
            "sureFiles": sum(&is_sure, file.clone().into()),
            "unsureBytes": sum(&is_unsure, bytes.into()),
            "unsureFiles": sum(&is_unsure, file.into()),
        } },
    ]
}

/// The order of the index that has the rows of a user together.
pub fn by_owner() -> Document {
    doc! { "userId": 1, "parentId": 1, "_id": 1 }
}

/// Documents of the original whose bytes have no object. A folder has no bytes, whatever its fields say.
pub fn not_adopted() -> Document {
    doc! {
        "localPath": { "$exists": true },
        "key": { "$exists": false },
        "state": null,
        "type": { "$ne": "folder" },
    }
}

/// A document of the original, if it still has this path and no object.
pub fn not_adopted_from(id: FileId, local_path: &str) -> Document {
    let mut unchanged = not_adopted();
    unchanged.extend(doc! { "_id": id, "localPath": local_path });
    unchanged
}

/// The document, if it has this object, visible or not.
pub fn adopted(id: FileId, key: &Key) -> Document {
    doc! { "_id": id, "key": key.as_str() }
}

/// The fields that an adoption needs.
pub fn for_adoption() -> Document {
    doc! { "name": 1, "type": 1, "localPath": 1 }
}

/// A pipeline that finds the id of a row of this owner's with the folder above it, whatever states they have.
pub fn inside_anywhere(owner: UserId, id: FileId, folder: FileId) -> [Document; 4] {
    [
        doc! { "$match": row_of(owner, id) },
        doc! { "$graphLookup": {
            "from": super::COLLECTION,
            "startWith": "$parentId",
            "connectFromField": "parentId",
            "connectToField": "_id",
            "maxDepth": limits::FOLDERS_READ_ABOVE - 2,
            "restrictSearchWithMatch": { "userId": owner },
            "as": "folders",
        } },
        doc! { "$match": { "folders._id": folder } },
        doc! { "$project": only_id() },
    ]
}

/// The steps of a pipeline that finds rows with the folders above each, unless the row has a tombstone, or a folder above
/// it is deleted, in the trash, or not complete yet.
///
/// A folder of another user, which the original allowed as a parent, ends the walk up: its content is not deleted with
/// this folder, nor with one above it. Nothing can be created below [`limits::MAX_FOLDER_DEPTH`] levels. Older rows may
/// be deeper; for these the walk ends after [`limits::FOLDERS_READ_ABOVE`] levels, so that no read takes long. A row that is so deep can be
/// read and deleted like any other. But a tombstone further up hides the row only when the sweeper, which goes down
/// level by level, has come near enough.
pub fn reachable(matching: Document) -> [Document; 4] {
    above(matching, &doc! { "$gt": ["$$folder.state", null] })
}

/// The step that keeps the rows below this folder.
pub fn below(folder: FileId) -> Document {
    doc! { "$match": { "folders._id": folder } }
}

/// The same, where only a tombstone counts, and what is in the trash is found.
pub fn not_deleted_above(matching: Document) -> [Document; 4] {
    above(matching, &doc! { "$eq": ["$$folder.state", "deleted"] })
}

fn above(matching: Document, hides: &Document) -> [Document; 4] {
    // A row in the root has no folders above it: the lookup starts with an empty list and finds nothing.
    let folder = doc! { "$cond": [{ "$eq": [{ "$type": "$parentId" }, "objectId"] }, "$parentId", []] };
    // The lowest folder for which the condition holds, in levels above the row.
    let lowest = |are: &Document| {
        let levels = doc! { "$filter": { "input": "$folders", "as": "folder", "cond": are } };
        let levels = doc! { "$map": { "input": levels, "as": "folder", "in": "$$folder.above" } };
        doc! { "$ifNull": [{ "$min": levels }, limits::FOLDERS_READ_ABOVE] }
    };
    let hidden = lowest(hides);
    let of_others = lowest(&doc! { "$ne": ["$$folder.userId", "$userId"] });
    [
        doc! { "$match": matching },
        doc! { "$match": { "state": { "$ne": "deleted" } } },
        doc! { "$graphLookup": {
            "from": super::COLLECTION,
            "startWith": folder,
            "connectFromField": "parentId",
            "connectToField": "_id",
            // The depth counts from 0, the folder of the row.
            "maxDepth": limits::FOLDERS_READ_ABOVE - 2,
            "depthField": "above",
            "as": "folders",
        } },
        doc! { "$match": { "$expr": { "$gte": [hidden, of_others] } } },
    ]
}

/// The last step of a pipeline that returns rows.
pub fn without_folders() -> [Document; 1] {
    [doc! { "$unset": "folders" }]
}

/// The last steps of a pipeline that returns rows with the accounts of their owners, without passwords.
pub fn with_account() -> [Document; 2] {
    let owner = doc! { "from": "users", "localField": "userId", "foreignField": "_id", "as": "owner" };
    [doc! { "$lookup": owner }, doc! { "$unset": ["folders", "owner.password"] }]
}

/// The last step of a pipeline that returns a [`super::Position`].
pub fn position() -> [Document; 1] {
    let is_folder = doc! { "$eq": ["$type", "folder"] };
    [doc! { "$project": { "_id": 0, "isFolder": is_folder, "level": { "$add": [{ "$size": "$folders" }, 1] } } }]
}

//! Filters of rows, with their orders and projections, and the indexes that these need.

use mongodb::{
    IndexModel,
    bson::{Bson, Document, doc},
    options::IndexOptions,
};

use crate::{
    files::Parent,
    ids::{FileId, UserId},
    limits,
    stores::s3::Key,
    time::Timestamp,
};

pub fn indexes() -> Vec<IndexModel> {
    let only_where = |field: &str| {
        let partial = doc! { field: { "$exists": true } };
        IndexOptions::builder().partial_filter_expression(partial).build()
    };
    let listing = IndexModel::builder().keys(pages()).build();
    let invisible =
        IndexModel::builder().keys(doc! { "state": 1, "expiresAt": 1 }).options(only_where("state")).build();
    let incomplete = IndexModel::builder().keys(doc! { "userId": 1, "state": 1 }).options(only_where("state")).build();
    let overdue =
        IndexModel::builder().keys(doc! { "thumbnailsDueAt": 1 }).options(only_where("thumbnailsDueAt")).build();
    let mut unique = only_where("key");
    unique.unique = Some(true);
    let objects = IndexModel::builder().keys(doc! { "key": 1 }).options(unique).build();
    vec![listing, invisible, incomplete, overdue, objects]
}

pub fn row(id: FileId) -> Document {
    doc! { "_id": id }
}

pub fn row_of(owner: UserId, id: FileId) -> Document {
    doc! { "_id": id, "userId": owner }
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
pub(super) fn inside(folder: Parent) -> Bson {
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

pub fn not_deleted_inside(owner: UserId, folder: FileId) -> Document {
    doc! { "userId": owner, "parentId": folder, "state": { "$ne": "deleted" } }
}

/// Rows with a tombstone among these.
pub fn deleted<Id: Clone + Into<Bson>>(ids: &[Id]) -> Document {
    doc! { "_id": { "$in": ids }, "state": "deleted" }
}

/// Invisible rows that the sweeper may take. Both states are named, so that the index returns the rows in the order of
/// their times, without a sort.
pub fn expired(at: Timestamp) -> Document {
    doc! { "state": { "$in": ["pending", "deleted"] }, "expiresAt": { "$lte": at } }
}

/// Uploads among these rows that are past their grace period.
pub fn expired_uploads(at: Timestamp, ids: &[Bson]) -> Document {
    doc! { "_id": { "$in": ids }, "state": "pending", "expiresAt": { "$lte": at } }
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
    let mut image = visible_of(owner, id);
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

/// Images whose thumbnails were overdue at this moment.
pub fn overdue(at: Timestamp) -> Document {
    doc! { "thumbnailsDueAt": { "$lt": at }, "state": null }
}

pub fn overdue_among(at: Timestamp, images: &[FileId]) -> Document {
    doc! { "thumbnailsDueAt": { "$lt": at }, "state": null, "_id": { "$in": images } }
}

/// Overdue images whose job has been sent again too often.
pub fn overdue_and_resent(at: Timestamp) -> Document {
    doc! { "thumbnailsDueAt": { "$lt": at }, "state": null, "thumbnailsResent": { "$gte": limits::MAX_RESENDS } }
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

/// Rows that may account for the object with this key: by the key, by the key that a form puts the bytes at, or as the
/// image of a thumbnail.
pub fn may_account_for(key: &str, image: Option<FileId>) -> Document {
    let mut rows = vec![with_key(key)];
    rows.extend(Key::without_form(key).map(with_key));
    rows.extend(image.map(row));
    doc! { "$or": rows }
}

pub fn with_key(key: &str) -> Document {
    doc! { "key": key }
}

/// Rows with a key after `after` and, if `before` is given, before that.
pub fn with_key_between(after: &str, before: Option<&str>) -> Document {
    let mut between = doc! { "$gt": after };
    between.extend(before.map(|before| ("$lt".to_owned(), before.into())));
    doc! { "key": between }
}

pub fn by_key() -> Document {
    doc! { "key": 1 }
}

pub fn after_id(id: impl Into<Bson>) -> Document {
    doc! { "_id": { "$gt": id.into() } }
}

/// The fields of [`super::Entry`].
pub fn only_entry() -> Document {
    doc! { "key": 1, "size": 1, "state": 1, "type": 1, "thumbnailFiles": 1 }
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

/// The steps of a pipeline that finds rows with the folders above each, unless there is a tombstone on the row or above
/// it.
///
/// A folder of another user, which the original allowed as a parent, ends the walk up: its content is not deleted with
/// this folder, nor with one above it. Nothing can be created below [`limits::MAX_FOLDER_DEPTH`] levels. Older rows may
/// be deeper; for these the walk ends after as many levels, so that no read takes long. A row that is so deep can be
/// read and deleted like any other. But a tombstone further up hides the row only when the sweeper, which goes down
/// level by level, has come near enough.
pub fn reachable(matching: Document) -> [Document; 4] {
    // A row in the root has no folders above it: the lookup starts with an empty list and finds nothing.
    let folder = doc! { "$cond": [{ "$eq": [{ "$type": "$parentId" }, "objectId"] }, "$parentId", []] };
    // The lowest folder for which the condition holds, in levels above the row.
    let lowest = |are: Document| {
        let levels = doc! { "$filter": { "input": "$folders", "as": "folder", "cond": are } };
        let levels = doc! { "$map": { "input": levels, "as": "folder", "in": "$$folder.above" } };
        doc! { "$ifNull": [{ "$min": levels }, limits::MAX_FOLDER_DEPTH] }
    };
    let tombstoned = lowest(doc! { "$eq": ["$$folder.state", "deleted"] });
    let of_others = lowest(doc! { "$ne": ["$$folder.userId", "$userId"] });
    [
        doc! { "$match": matching },
        doc! { "$match": { "state": { "$ne": "deleted" } } },
        doc! { "$graphLookup": {
            "from": super::COLLECTION,
            "startWith": folder,
            "connectFromField": "parentId",
            "connectToField": "_id",
            // The depth counts from 0, the folder of the row, so a row at the last level sees all folders above it.
            "maxDepth": limits::MAX_FOLDER_DEPTH - 2,
            "depthField": "above",
            "as": "folders",
        } },
        doc! { "$match": { "$expr": { "$gte": [tombstoned, of_others] } } },
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

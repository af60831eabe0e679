//! The ledger's own fields, which no client and no document of the original has. Only this module names these fields: a
//! test says in which state a row is, so a change of the schema edits one file.
//!
//! A function returns the fields of a row to plant, of a filter, or of a change: see [`with`] and [`set`].
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what is not there fails the test")]

use std::{
    fmt::{self, Display},
    ops::Deref,
};

use mongodb::{
    IndexModel,
    bson::{Bson, DateTime, Decimal128, Document, RawArrayBuf, RawDocumentBuf, doc, oid::ObjectId, rawdoc},
    options::IndexOptions,
};
use serde_json::json;

use crate::{Stack, User};

/// A state in which no listing and no request for a document shows a row.
#[derive(Clone, Copy, Debug)]
pub enum State {
    /// The bytes are not stored yet.
    Pending,
    /// The row is deleted, and the sweeper has not removed it yet.
    Tombstone,
    /// The row is in the trash.
    Trashed,
    /// The row has the content that a file had before.
    Version,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Tombstone, Self::Trashed, Self::Version];

    /// The states of rows that may have lost their object, or not have it yet.
    pub const WITHOUT_OBJECT: [Self; 2] = [Self::Pending, Self::Tombstone];

    /// The fields of a row that the sweeper takes after this time.
    pub fn until(self, expires_at: DateTime) -> Document {
        let mut fields = with(self.only(), doc! { "expiresAt": expires_at });
        if matches!(self, Self::Trashed) {
            fields.insert("trashedAt", DateTime::now());
        }
        fields
    }

    /// The field of a row that the sweeper never takes, because it has no time; and the filter for the state.
    pub fn only(self) -> Document {
        match self {
            Self::Pending => doc! { "state": "pending" },
            Self::Tombstone => doc! { "state": "deleted" },
            Self::Trashed => doc! { "state": "trashed" },
            Self::Version => doc! { "state": "version" },
        }
    }
}

/// A pending row that no sweep takes.
pub fn pending() -> Document {
    State::Pending.until(DateTime::MAX)
}

/// A tombstone that no sweep takes.
pub fn tombstone() -> Document {
    State::Tombstone.until(DateTime::MAX)
}

/// A tombstone that the next sweep takes.
pub fn due_tombstone() -> Document {
    State::Tombstone.until(DateTime::now())
}

/// The field of a row whose thumbnails are those of another image.
pub fn thumbnails_of(image: ObjectId) -> Document {
    doc! { "thumbnailsId": image }
}

/// The field of a row that the quota counts as this many bytes.
pub fn charged(bytes: i64) -> Document {
    doc! { "charged": bytes }
}

/// Counts a download of a link.
pub fn count_download() -> Document {
    doc! { "$inc": { "downloads": 1_i64 } }
}

/// The fields of an account that counts this.
pub fn counters(bytes: i64, files: i64) -> Document {
    doc! { "usedBytes": bytes, "usedFiles": files }
}

/// The field of an account with a quota of its own.
pub fn quota(bytes: i64) -> Document {
    doc! { "quotaBytes": bytes }
}

/// The change of an account that counts this less, whether it is stored or not.
pub fn uncount(bytes: i64, files: i64) -> Document {
    doc! { "$inc": counters(-bytes, -files) }
}

/// The filter for accounts that count something.
pub fn counting() -> Document {
    doc! { "usedBytes": { "$exists": true } }
}

/// The filter for accounts with a charge whose file may have no row yet.
pub fn with_charges() -> Document {
    doc! { "charges.0": { "$exists": true } }
}

/// The filter for accounts with charges, or with refunds whose rows may not be deleted yet.
pub fn with_charges_or_refunds() -> Document {
    doc! { "$or": [with_charges(), { "refunds.0": { "$exists": true } }] }
}

/// The change of accounts with charges: the charges are so old that no request can be about them any more.
pub fn old_charges() -> Document {
    doc! { "$set": { "charges.$[].at": DateTime::from_millis(0) } }
}

/// The field of accounts with charges or refunds that the sweeper looks at in its next run.
pub fn unsettled() -> Document {
    doc! { "unsettledAt": DateTime::from_millis(0) }
}

/// The field of an account that counts these bytes for a file without a row.
pub fn charge(file: ObjectId, bytes: i64) -> Document {
    doc! { "charges": [{ "file": file, "bytes": bytes, "at": DateTime::now() }] }
}

/// The field of an invisible row that the sweeper takes after this time.
pub fn expires_at(time: DateTime) -> Document {
    doc! { "expiresAt": time }
}

/// The fields of a copy of a row.
pub fn copied_from(original: ObjectId) -> Document {
    doc! { "copiedFrom": original }
}

/// The field of an invisible row whose grace period is over.
pub fn expired() -> Document {
    expires_at(DateTime::from_millis(0))
}

/// The fields of a row with an object.
pub fn object(key: &str, size: i64) -> Document {
    with(doc! { "key": key }, sized(size))
}

/// The fields of a row in the trash since a time, until another.
pub fn trashed(at: DateTime, expires_at: DateTime) -> Document {
    with(State::Trashed.until(expires_at), doc! { "trashedAt": at })
}

/// The fields of a row with a content that this file had before.
pub fn version_of(file: impl RowId, expires_at: DateTime) -> Document {
    with(State::Version.until(expires_at), doc! { "versionOf": file.object_id(), "parentId": Bson::Null })
}

/// The filter for the rows with the contents that this file had before.
pub fn versions_of(file: impl RowId) -> Document {
    with(State::Version.only(), doc! { "versionOf": file.object_id() })
}

/// The fields of a row with the bytes of a preview for this file.
pub fn preview_of(file: impl RowId) -> Document {
    doc! { "previewOf": file.object_id() }
}

/// The field of a file that waits for the preview of this row.
pub fn awaiting_preview(preview: impl RowId) -> Document {
    doc! { "preview.due": preview.object_id() }
}

/// The field of a file that has got the content of the row `source`, if the function died before it looked whether the
/// object of that row stays. `version` has the earlier content, which counts these bytes.
pub fn exchanging(source: ObjectId, version: impl RowId, bytes: i64) -> Document {
    doc! { "exchange": { "source": source, "version": version.object_id(), "charged": bytes } }
}

/// The same, if the function died after it looked.
pub fn accepted_exchange(source: ObjectId, version: impl RowId, bytes: i64) -> Document {
    doc! { "exchange": { "source": source, "version": version.object_id(), "charged": bytes, "accepted": true } }
}

/// The field of a row whose content is to become that of this document.
pub fn replacing(document: impl RowId) -> Document {
    doc! { "replaces": document.object_id() }
}

/// The field of a row whose place some function changes, since a time. A function that dies meanwhile leaves the field
/// behind. `from` is the folder that the row was in, as `parentId` has it, and `name` the name that the row had.
pub fn moving(from: impl Into<Bson>, name: &str, since: DateTime) -> Document {
    doc! { "moving": { "id": ObjectId::new(), "from": from.into(), "name": name, "at": since } }
}

/// The field of such a row for another time.
pub fn moving_since(time: DateTime) -> Document {
    doc! { "moving.at": time }
}

/// The filter for rows whose place some function changes.
pub fn being_moved() -> Document {
    doc! { "moving": { "$exists": true } }
}

/// The field of a row whose key is no text.
pub fn no_object(value: Document) -> Document {
    doc! { "key": value }
}

pub fn sized(size: i64) -> Document {
    doc! { "size": size }
}

pub fn updated_at(time: DateTime) -> Document {
    doc! { "updatedAt": time }
}

/// The change of a row to one of the original, or of a release that had no search.
pub fn without_words() -> Document {
    doc! { "$unset": { "words": "" } }
}

/// The fields of the orders of a listing, which a person may have given any value.
pub const SORTED_FIELDS: [&str; 3] = ["name", "size", "updatedAt"];

/// The fields of a row with these words.
pub fn worded(words: &[&str]) -> Document {
    doc! { "words": words }
}

/// The field of a row that comes before all others in this order of a listing. A cursor does not carry such a value.
pub fn in_front(sort: &str) -> Document {
    let number = "-1".parse::<Decimal128>().unwrap();
    match sort {
        "name" => doc! { "name": "0".repeat(2000) },
        "size" => doc! { "size": number },
        _ => doc! { "updatedAt": number },
    }
}

/// A visible file, as a function stores it. `minutes` is the time of its last change.
pub fn loaded_file(
    owner: ObjectId,
    folder: ObjectId,
    name: &str,
    size: i64,
    minutes: i64,
    words: &[String],
) -> RawDocumentBuf {
    let id = ObjectId::new();
    rawdoc! {
        "_id": id,
        "userId": owner,
        "name": name,
        "type": "file",
        "isPublic": false,
        "parentId": folder,
        "key": format!("files/{id}"),
        "size": size,
        "words": list(words),
        "updatedAt": DateTime::from_millis(1_700_000_000_000 + 60_000 * minutes),
    }
}

/// A visible folder, as a function stores it.
pub fn loaded_folder(id: ObjectId, owner: ObjectId, parent: ObjectId, name: &str, words: &[String]) -> RawDocumentBuf {
    rawdoc! {
        "_id": id,
        "userId": owner,
        "name": name,
        "type": "folder",
        "isPublic": false,
        "parentId": parent,
        "words": list(words),
        "updatedAt": DateTime::now(),
    }
}

fn list(words: &[String]) -> RawArrayBuf {
    words.iter().map(String::as_str).collect()
}

/// The indexes of an earlier release.
pub fn is_of_an_earlier_release(index: &str) -> bool {
    !index.starts_with("listing_") && !index.starts_with("search_")
}

/// The index of the pages of a folder.
pub fn pages() -> Document {
    doc! { "userId": 1, "parentId": 1, "_id": 1 }
}

/// The fields of an image whose thumbnails are to be made. The sweeper sends the job again after this time.
pub fn thumbnails_due(resend_at: DateTime) -> Document {
    doc! { "thumbnails": "due", "thumbnailsDueAt": resend_at }
}

/// The same for an image whose job the sweeper has sent again this many times.
pub fn thumbnails_resent(times: i32, resend_at: DateTime) -> Document {
    with(thumbnails_due(resend_at), doc! { "thumbnailsResent": times })
}

/// The fields of an image with thumbnails of these widths and sizes.
pub fn thumbnails_ready(thumbnails: &[(i32, i64)]) -> Document {
    let thumbnail = |(width, size): &(i32, i64)| {
        Bson::from(doc! { "width": width, "size": size, "contentType": "image/jpeg", "digest": "x" })
    };
    doc! { "thumbnails": "ready", "thumbnailFiles": thumbnails.iter().map(thumbnail).collect::<Vec<_>>() }
}

/// The fields of an image of which this many workers have died.
pub fn died_of(deaths: i32) -> Document {
    doc! { "decodingSince": DateTime::now(), "decodings": deaths }
}

/// The change of an image that another worker has completed.
pub fn completion() -> Document {
    doc! { "$set": { "thumbnails": "ready" }, "$unset": { "thumbnailsDueAt": "" } }
}

/// The change of a row whose size is unknown.
pub fn without_size() -> Document {
    doc! { "$unset": { "size": "" } }
}

/// The change of all images that are due, so that no sweep sends a job again.
pub fn resend_never() -> Document {
    doc! { "$set": { "thumbnailsDueAt": DateTime::MAX } }
}

/// The filter for one row.
pub fn row(id: impl RowId) -> Document {
    doc! { "_id": id.object_id() }
}

/// The filter for all rows of a user.
pub fn all_of(owner: ObjectId) -> Document {
    doc! { "userId": owner }
}

/// The filter for all rows of these users.
pub fn all_of_any(owners: &[ObjectId]) -> Document {
    doc! { "userId": { "$in": owners } }
}

/// The filter for rows that users see.
pub fn visible() -> Document {
    doc! { "state": Bson::Null }
}

/// The filter for pending rows and tombstones.
pub fn invisible() -> Document {
    doc! { "state": { "$exists": true } }
}

/// The filter for pending rows and tombstones, which the sweeper takes when their time is over.
pub fn unfinished() -> Document {
    doc! { "state": { "$in": ["pending", "deleted"] } }
}

/// The filter for rows that are no tombstones.
pub fn not_deleted() -> Document {
    doc! { "state": { "$ne": "deleted" } }
}

/// The filter for tombstones that no sweep takes before this time.
pub fn deleted_until_after(time: DateTime) -> Document {
    with(State::Tombstone.only(), doc! { "expiresAt": { "$gt": time } })
}

/// The filter for the copies of a document.
pub fn copies_of(document: impl RowId) -> Document {
    doc! { "copiedFrom": document.object_id() }
}

/// The filter for rows with an object.
pub fn with_object() -> Document {
    doc! { "key": { "$exists": true } }
}

/// The filter for rows with one of these objects.
pub fn with_objects(keys: &[String]) -> Document {
    doc! { "key": { "$in": keys } }
}

/// The filter for images with thumbnails.
pub fn ready() -> Document {
    doc! { "thumbnails": "ready" }
}

/// The filter for visible images without thumbnails.
pub fn due() -> Document {
    with(visible(), doc! { "thumbnails": "due" })
}

/// The filter for previews whose thumbnails are not made yet.
pub fn due_preview() -> Document {
    doc! { "state": "version", "previewOf": { "$exists": true } }
}

/// The filter for images whose job a sweep may send again.
pub fn resendable() -> Document {
    doc! { "thumbnailsDueAt": { "$exists": true } }
}

/// The filter for images whose job sweeps have sent again this many times.
pub fn resent(times: i32) -> Document {
    doc! { "thumbnailsResent": times }
}

/// The filter for images that a worker decodes now, or has died of.
pub fn being_decoded() -> Document {
    doc! { "decodingSince": { "$exists": true } }
}

/// The commands of the queries that must have an index.
pub fn queries() -> [Document; 5] {
    let listing = with(all_of(ObjectId::new()), with(visible(), doc! { "parentId": { "$in": [0, "0"] } }));
    let overdue = doc! { "thumbnailsDueAt": { "$lt": DateTime::now() }, "$or": [visible(), due_preview()] };
    let stale = with(invisible(), doc! { "expiresAt": { "$not": { "$gte": DateTime::now() } } });
    let claimed = doc! { "key": { "$in": ["x", "y"] } };
    [
        doc! { "find": "files", "filter": listing, "sort": { "_id": 1 } },
        doc! { "find": "files", "filter": overdue, "sort": { "thumbnailsDueAt": 1 } },
        sweep(),
        doc! { "find": "files", "filter": stale },
        doc! { "find": "files", "filter": claimed },
    ]
}

/// The command of the query by which a sweep finds its rows.
pub fn sweep() -> Document {
    let expired = doc! { "state": { "$in": ["pending", "deleted"] }, "expiresAt": { "$lte": DateTime::now() } };
    doc! { "find": "files", "filter": expired, "sort": { "expiresAt": 1 } }
}

/// The commands of the queries that read the whole ledger in an order.
pub fn scans() -> [Document; 4] {
    let id = ObjectId::new();
    let after = vec![doc! { "key": { "$gt": "x" } }, doc! { "key": "x", "_id": { "$gt": id } }];
    [
        (doc! { "key": { "$gte": "", "$lt": "thumbnails/" } }, doc! { "key": 1, "_id": 1 }),
        (doc! { "key": { "$gte": "x" }, "$or": after }, doc! { "key": 1, "_id": 1 }),
        (doc! { "thumbnailsId": { "$gte": id } }, doc! { "thumbnailsId": 1, "_id": 1 }),
        (doc! { "_id": { "$gt": id } }, doc! { "_id": 1 }),
    ]
    .map(|(filter, index)| doc! { "find": "files", "filter": filter, "sort": index.clone(), "hint": index })
}

/// A folder as the release a1049ed wrote it.
pub fn earlier_folder(id: ObjectId, owner: ObjectId, name: &str, parent: impl Into<Bson>) -> Document {
    doc! {
        "_id": id, "userId": owner, "name": name, "type": "folder", "isPublic": false, "parentId": parent.into(),
        "updatedAt": DateTime::now(),
    }
}

/// A file as the release a1049ed wrote it.
pub fn earlier_file(
    id: ObjectId,
    owner: ObjectId,
    name: &str,
    parent: impl Into<Bson>,
    key: &str,
    size: i64,
) -> Document {
    doc! {
        "_id": id, "userId": owner, "name": name, "type": "file", "isPublic": false, "parentId": parent.into(),
        "key": key, "size": size, "updatedAt": DateTime::now(),
    }
}

/// An image with thumbnails of these widths and sizes as the release a1049ed wrote it.
pub fn earlier_image(file: Document, thumbnails: &[(i32, i64)]) -> Document {
    with(with(file, doc! { "type": "image" }), thumbnails_ready(thumbnails))
}

/// An upload through a function that is not complete, as the release a1049ed wrote it.
pub fn earlier_upload(file: Document, expires_at: DateTime) -> Document {
    with(file, State::Pending.until(expires_at))
}

/// The unique index on the keys of the release a1049ed, for the rows of one user.
pub fn earlier_index(owner: ObjectId) -> IndexModel {
    let only_theirs = doc! { "key": { "$exists": true }, "userId": owner };
    let options = IndexOptions::builder().name(EARLIER_INDEX.to_owned()).unique(true);
    let options = options.partial_filter_expression(only_theirs).build();
    IndexModel::builder().keys(doc! { "key": 1 }).options(options).build()
}

/// The name of the unique index on the keys of the release a1049ed.
pub const EARLIER_INDEX: &str = "key_1";

/// A folder with folders in it, and files in each of these, that were planted as rows.
pub struct Tree {
    pub top: ObjectId,
    pub folders: Vec<ObjectId>,
    pub files: Vec<ObjectId>,
}

/// A document of the collection `tickets`.
pub fn ticket(owner: ObjectId, expires_at: DateTime) -> Document {
    doc! {
        "userId": owner, "isPublic": false, "maxBytes": 1_i64, "types": [], "filesLeft": 1_i64, "expiresAt": expires_at,
    }
}

/// The name of a row that only the original can have stored.
pub fn named(name: &str) -> Document {
    doc! { "name": name }
}

/// The filter for rows whose checksum a ZIP needed.
pub fn with_checksum() -> Document {
    doc! { "crc32": { "$exists": true } }
}

/// A document of the collection `zips`: a ZIP of these documents whose builder has died.
fn abandoned_zip(id: ObjectId, owner: ObjectId, documents: &[ObjectId]) -> Document {
    doc! {
        "_id": id, "userId": owner, "ids": documents, "name": "files.zip", "state": "due", "done": 0_i64,
        "dueAt": DateTime::from_millis(0), "expiresAt": DateTime::MAX,
    }
}

/// The fields of both documents.
#[must_use]
pub fn with(mut fields: Document, more: Document) -> Document {
    fields.extend(more);
    fields
}

/// The change that writes these fields.
pub fn set(fields: Document) -> Document {
    doc! { "$set": fields }
}

/// The id of a row, also as the API writes it.
pub trait RowId {
    fn object_id(&self) -> ObjectId;
}

impl RowId for ObjectId {
    fn object_id(&self) -> ObjectId {
        *self
    }
}

impl RowId for str {
    fn object_id(&self) -> ObjectId {
        self.parse().expect("an id is an ObjectId")
    }
}

impl RowId for String {
    fn object_id(&self) -> ObjectId {
        self.as_str().object_id()
    }
}

impl<T: RowId + ?Sized> RowId for &T {
    fn object_id(&self) -> ObjectId {
        (**self).object_id()
    }
}

/// A stored row. The fields of the original are those of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(Document);

impl Row {
    /// The key of the object.
    pub fn key(&self) -> &str {
        self.any_key().unwrap_or_else(|| panic!("no object: {self}"))
    }

    /// `None` for a folder.
    pub fn any_key(&self) -> Option<&str> {
        self.field("key", Bson::as_str)
    }

    pub fn size(&self) -> Option<i64> {
        self.field("size", Bson::as_i64)
    }

    pub fn is_visible(&self) -> bool {
        self.get("state").is_none_or(|state| *state == Bson::Null)
    }

    /// The document whose earlier content the row is; `None` if it is no version.
    pub fn version_of(&self) -> Option<ObjectId> {
        let is_version = self.field("state", Bson::as_str) == Some("version");
        self.field("versionOf", Bson::as_object_id).filter(|_| is_version)
    }

    /// The bytes that the quota counts for a row without a tombstone.
    pub fn charge(&self) -> i64 {
        self.field("charged", Bson::as_i64).or(self.size()).unwrap_or_default()
    }

    /// The id in the keys of an image's thumbnails.
    pub fn thumbnails_id(&self) -> Option<ObjectId> {
        self.field("thumbnailsId", Bson::as_object_id).or(self.field("_id", Bson::as_object_id))
    }

    /// True for an image, for the bytes of a preview, and for a file that has a preview's thumbnails.
    pub fn may_have_thumbnails(&self) -> bool {
        self.field("type", Bson::as_str) == Some("image")
            || self.0.contains_key("previewOf")
            || self.0.contains_key("thumbnailsId")
    }

    /// The words by which a search finds the row; `None` before they are stored.
    pub fn words(&self) -> Option<Vec<&str>> {
        let words = self.field("words", Bson::as_array)?;
        Some(words.iter().map(|word| word.as_str().expect("a word is a text")).collect())
    }

    pub fn is_tombstone(&self) -> bool {
        self.field("state", Bson::as_str) == Some("deleted")
    }

    pub fn is_trashed(&self) -> bool {
        self.field("state", Bson::as_str) == Some("trashed")
    }

    /// A row of an earlier release, or of the original, has no revision.
    pub fn revision(&self) -> Option<i64> {
        self.field("revision", Bson::as_i64)
    }

    /// The name as it is compared with others, in a row whose name was made unique.
    pub fn name_key(&self) -> Option<&str> {
        self.field("nameKey", Bson::as_str)
    }

    /// True while a function changes the place of the row.
    pub fn is_being_moved(&self) -> bool {
        self.contains_key("moving")
    }

    /// The bytes that the quota counts for the row. A row of an earlier release has no such field.
    pub fn charged(&self) -> Option<i64> {
        self.field("charged", Bson::as_i64)
    }

    pub fn trashed_at(&self) -> Option<DateTime> {
        self.time("trashedAt")
    }

    /// The time after which the sweeper takes an invisible row.
    pub fn expires_at(&self) -> DateTime {
        self.time("expiresAt").unwrap_or_else(|| panic!("it does not expire: {self}"))
    }

    /// The milliseconds from now until the sweeper takes an invisible row.
    pub fn expires_in(&self) -> i64 {
        self.expires_at().timestamp_millis() - DateTime::now().timestamp_millis()
    }

    /// `due`, `ready` or `failed`; empty for a row that is no image.
    pub fn thumbnails(&self) -> &str {
        self.field("thumbnails", Bson::as_str).unwrap_or_default()
    }

    pub fn thumbnail_error(&self) -> Option<&str> {
        self.field("thumbnailError", Bson::as_str)
    }

    /// The time after which the sweeper sends the job again.
    pub fn resend_at(&self) -> Option<DateTime> {
        self.time("thumbnailsDueAt")
    }

    /// The number of times that the sweeper has sent the job again.
    pub fn times_resent(&self) -> Option<i32> {
        self.field("thumbnailsResent", Bson::as_i32)
    }

    /// The time at which a worker began to decode the image. A worker that dies leaves it behind.
    pub fn decoding_since(&self) -> Option<DateTime> {
        self.time("decodingSince")
    }

    /// The number of workers that may have died of the image.
    pub fn decodings(&self) -> Option<i32> {
        self.field("decodings", Bson::as_i32)
    }

    fn time(&self, name: &str) -> Option<DateTime> {
        self.field(name, Bson::as_datetime).copied()
    }

    /// A field, which has a value of this type if it is there.
    fn field<'a, T>(&'a self, name: &str, value: impl FnOnce(&'a Bson) -> Option<T>) -> Option<T> {
        self.0.get(name).map(|field| value(field).unwrap_or_else(|| panic!("{name} has another type: {self}")))
    }
}

impl From<Document> for Row {
    fn from(document: Document) -> Self {
        Self(document)
    }
}

impl Deref for Row {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.0
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an account counts.
pub struct Account(Document);

impl Account {
    /// The bytes and the files; `None` if nothing was ever counted.
    pub fn counters(&self) -> Option<(i64, i64)> {
        let number = |name| self.0.get(name).and_then(|number| number.as_i64().or(number.as_i32().map(i64::from)));
        Some((number("usedBytes")?, number("usedFiles").unwrap_or_default()))
    }
}

impl Stack {
    /// # Panics
    /// There is no such account.
    pub async fn account(&self, user: ObjectId) -> Account {
        let found = self.users.find_one(doc! { "_id": user }).await.expect("MongoDB reads");
        Account(found.unwrap_or_else(|| panic!("no account {user}")))
    }

    pub async fn find_row(&self, id: impl RowId) -> Option<Row> {
        self.files.find_one(row(id)).await.expect("MongoDB reads").map(Row)
    }

    /// # Panics
    /// There is no such row.
    pub async fn row(&self, id: impl RowId) -> Row {
        let id = id.object_id();
        self.find_row(id).await.unwrap_or_else(|| panic!("no row {id}"))
    }

    /// Writes these fields of a row.
    pub async fn set_row(&self, id: impl RowId, fields: Document) {
        let changed = self.files.update_one(row(id), set(fields)).await.expect("MongoDB writes");
        assert_eq!(changed.matched_count, 1, "no such row");
    }

    pub async fn count_rows(&self, filter: Document) -> u64 {
        self.files.count_documents(filter).await.expect("MongoDB counts")
    }

    /// The keys of the objects of all rows.
    pub async fn keys_of_rows(&self) -> Vec<String> {
        let keys = self.files.distinct("key", doc! {}).await.expect("MongoDB reads");
        keys.iter().filter_map(Bson::as_str).map(str::to_owned).collect()
    }

    /// Plants rows of a user. The user's bytes are counted again by the next request that needs their sum.
    pub async fn plant(&self, owner: ObjectId, rows: impl IntoIterator<Item = Document>) {
        self.files.insert_many(rows).await.expect("MongoDB writes");
        self.forget_usage(owner).await;
    }

    /// The fields of rows that share an object with two new files of this user.
    pub async fn shared_object(&self, user: &User, bytes: &[u8]) -> Document {
        let file = user.upload("shared.txt", bytes).await;
        // A copy shows that rows may share an object, before planted rows do.
        user.copy(&file, json!({})).await.tagged(201);
        object(self.row(&file).await.key(), i64::try_from(bytes.len()).expect("a small file"))
    }

    /// Removes all rows of a user, and this object, where a sweep would take longer than a test may.
    pub async fn remove_all(&self, owner: ObjectId, object: &Document) {
        self.files.delete_many(all_of(owner)).await.expect("MongoDB deletes");
        self.forget_usage(owner).await;
        self.delete_object(object.get_str("key").expect("a key")).await;
    }

    /// Plants a folder with so many folders in it, and so many files in each of these. All files have these fields, too.
    pub async fn plant_tree(
        &self,
        owner: ObjectId,
        parent: impl Into<Bson>,
        folders: usize,
        files_of_each: usize,
        content: &Document,
    ) -> Tree {
        let ids = |count: usize| (0..count).map(|_| ObjectId::new()).collect::<Vec<_>>();
        let tree = Tree { top: ObjectId::new(), folders: ids(folders), files: ids(folders * files_of_each) };
        let row = |id: ObjectId, name: String, r#type: &str, parent: Bson| {
            doc! { "_id": id, "userId": owner, "name": name, "type": r#type, "isPublic": false, "parentId": parent }
        };
        let mut rows = vec![row(tree.top, "many".into(), "folder", parent.into())];
        for (n, folder) in tree.folders.iter().enumerate() {
            rows.push(row(*folder, format!("{n}"), "folder", tree.top.into()));
        }
        for (n, file) in tree.files.iter().enumerate() {
            let parent = tree.folders[n / files_of_each].into();
            rows.push(with(row(*file, format!("{n}.txt"), "file", parent), content.clone()));
        }
        self.plant(owner, rows).await;
        tree
    }

    /// Plants a ZIP that another builder has for ever, and returns its id.
    pub async fn plant_zip(&self, owner: ObjectId) -> String {
        let id = ObjectId::new();
        let zips = self.database.collection::<Document>("zips");
        let zip = with(abandoned_zip(id, owner, &[]), doc! { "dueAt": DateTime::MAX, "expiresAt": DateTime::MAX });
        zips.insert_one(zip).await.expect("MongoDB writes");
        id.to_hex()
    }

    /// Plants a ZIP of these documents whose builder has died, and returns its id.
    pub async fn plant_abandoned_zip(&self, owner: ObjectId, documents: &[ObjectId]) -> String {
        let id = ObjectId::new();
        let zips = self.database.collection::<Document>("zips");
        zips.insert_one(abandoned_zip(id, owner, documents)).await.expect("MongoDB writes");
        id.to_hex()
    }

    /// Lets the lease of a ZIP be over, as if its builder had died long ago.
    pub async fn end_lease(&self, zip: &str) {
        self.set_zip(zip, doc! { "dueAt": DateTime::from_millis(0) }).await;
    }

    /// Lets the time of a ZIP be over.
    pub async fn expire_zip(&self, zip: &str) {
        self.set_zip(zip, doc! { "expiresAt": DateTime::from_millis(0), "dueAt": DateTime::from_millis(0) }).await;
    }

    /// The key of a ZIP, once its plan is stored.
    pub async fn key_of_zip(&self, zip: &str) -> Option<String> {
        let zips = self.database.collection::<Document>("zips");
        let found = zips.find_one(row(zip)).await.expect("MongoDB reads").expect("a ZIP");
        found.get("key").and_then(Bson::as_str).map(str::to_owned)
    }

    pub async fn zip_exists(&self, zip: &str) -> bool {
        let zips = self.database.collection::<Document>("zips");
        zips.find_one(row(zip)).await.expect("MongoDB reads").is_some()
    }

    async fn set_zip(&self, zip: &str, fields: Document) {
        let zips = self.database.collection::<Document>("zips");
        let changed = zips.update_one(row(zip), set(fields)).await.expect("MongoDB writes");
        assert_eq!(changed.matched_count, 1, "no such ZIP");
    }

    /// Limits the bytes that a user may have.
    pub async fn set_quota(&self, user: ObjectId, bytes: i64) {
        let limited = self.users.update_one(doc! { "_id": user }, set(doc! { "quotaBytes": bytes }));
        assert_eq!(limited.await.expect("MongoDB writes").matched_count, 1, "no such user");
    }

    /// The state of a user of an earlier release, whose bytes nobody has counted yet.
    pub async fn forget_usage(&self, user: ObjectId) {
        let unset = doc! { "$unset": { "usedBytes": "", "usedFiles": "" } };
        self.users.update_one(doc! { "_id": user }, unset).await.expect("MongoDB writes");
    }

    /// Stores another sum of the bytes of a user than the rows have.
    pub async fn miscount(&self, user: ObjectId, bytes: i64) {
        let wrong = self.users.update_one(doc! { "_id": user }, doc! { "$inc": { "usedBytes": bytes } });
        assert_eq!(wrong.await.expect("MongoDB writes").modified_count, 1, "no such user");
    }

    /// The state of a user if a function died after the folder's copy `copy` was visible: the note that counted the copy is
    /// left. No sweep looks at the note before [`Self::age_reservations`].
    pub async fn plant_note_of_copy(&self, user: ObjectId, copy: &str, bytes: i64, files: i64) {
        let id = self.row(copy).await.0.get("chargeId").cloned().expect("a copy has the id of its note");
        let note = doc! {
            "id": id, "file": copy.object_id(), "bytes": bytes, "count": files, "at": DateTime::now(),
        };
        let noted = set(doc! { "charges": [note], "unsettledAt": DateTime::MAX });
        self.users.update_one(doc! { "_id": user }, noted).await.expect("MongoDB writes");
    }

    /// Lets the notes of a user's reservations be so old that their functions have died.
    pub async fn age_reservations(&self, user: ObjectId) {
        let long_ago = DateTime::from_millis(0);
        let noted = doc! { "_id": user, "unsettledAt": { "$exists": true } };
        let change = doc! { "$set": { "unsettledAt": long_ago, "charges.$[].at": long_ago } };
        let with_charges = with(noted.clone(), doc! { "charges": { "$exists": true } });
        self.users.update_one(with_charges, change).await.expect("MongoDB writes");
        self.users.update_one(noted, set(doc! { "unsettledAt": long_ago })).await.expect("MongoDB writes");
    }

    /// The stored sums of the bytes and files of a user, and the numbers of reservations and refunds that some function
    /// has begun and not ended.
    pub async fn ledger_of_usage(&self, user: ObjectId) -> (Option<i64>, Option<i64>, usize, usize) {
        let user = self.users.find_one(doc! { "_id": user }).await.expect("MongoDB reads").expect("a user");
        let count = |name: &str| user.get(name).and_then(Bson::as_array).map_or(0, Vec::len);
        (
            user.get("usedBytes").and_then(Bson::as_i64),
            user.get("usedFiles").and_then(Bson::as_i64),
            count("charges"),
            count("refunds"),
        )
    }

    /// The state of a request with an `Idempotency-Key` whose function died before it answered. `file` is the id of the
    /// file that the request creates.
    pub async fn forget_answer(&self, file: impl RowId) {
        let requests = self.database.collection::<Document>("requests");
        let unanswered = requests.update_one(doc! { "fileId": file.object_id() }, set(doc! { "isDone": false }));
        assert_eq!(unanswered.await.expect("MongoDB writes").matched_count, 1, "no such request");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    /// The fields of the ledger, of the documents of requests and of users that the original does not have.
    const FIELDS: [&str; 41] = [
        "became",
        "charged",
        "charges",
        "contentAt",
        "copiedFrom",
        "crc32",
        "decodings",
        "decodingSince",
        "dueAt",
        "exchange",
        "expiresAt",
        "fileId",
        "inParts",
        "isDone",
        "isRepeatable",
        "key",
        "maxBytes",
        "moving",
        "nameKey",
        "quotaBytes",
        "refunds",
        "replaces",
        "revision",
        "size",
        "state",
        "takenFrom",
        "thumbnailError",
        "thumbnailFiles",
        "thumbnails",
        "thumbnailsDueAt",
        "thumbnailsId",
        "thumbnailsResent",
        "ticketId",
        "trashedAt",
        "unsettledAt",
        "updatedAt",
        "uploadId",
        "usedBytes",
        "usedFiles",
        "versionOf",
        "words",
    ];

    /// Files that may name the fields, and why.
    const EXCEPTIONS: [(&str, &str); 3] = [
        ("e2e/src/ledger.rs", "this file"),
        ("e2e/tests/contract/deleting.rs", "fields that somebody edited by hand have values of no type of ours"),
        ("e2e/tests/contract/listing.rs", "as in deleting.rs"),
    ];

    /// Methods of a BSON document whose first argument is a field.
    const GETTERS: [&str; 10] = [
        "contains_key(",
        "distinct(",
        "get_array(",
        "get_bool(",
        "get_datetime(",
        "get_document(",
        "get_i32(",
        "get_i64(",
        "get_object_id(",
        "get_str(",
    ];

    #[test]
    fn only_the_ledgers_module_names_fields_of_the_ledger() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut named = Vec::new();
        for file in ["e2e/src", "e2e/tests", "chaos"].iter().flat_map(|folder| sources(&tests.join(folder))) {
            let name = file.strip_prefix(tests).unwrap().display().to_string();
            let fields = fields(&fs::read_to_string(&file).unwrap());
            if EXCEPTIONS.iter().any(|(exception, _)| *exception == name) {
                assert!(!fields.is_empty(), "{name} is no exception any more");
            } else {
                named.extend(fields.into_iter().map(|field| format!("{name}: {field}")));
            }
        }
        assert!(named.is_empty(), "these belong into ledger.rs: {named:#?}");
    }

    #[test]
    fn a_field_is_found_in_a_document_and_in_a_getter() {
        let source =
            r#"doc! { "state": "key", "$set": { "size": 1 } }; json!({ "state": 1 }); row.get_str("key"); x["key"]"#;
        assert_eq!(fields(source), ["state", "size", "key"]);
        assert_eq!(fields(r#"doc! { "name": "{\"state\": }", "userId": id }"#), [""; 0]);
    }

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        let mut found: Vec<_> =
            files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs")).collect();
        found.extend(folders.iter().flat_map(|folder| sources(folder)));
        found
    }

    /// The fields of [`FIELDS`] that a source names in the macro `doc!` or in one of [`GETTERS`].
    fn fields(source: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (at, _) in source.match_indices("doc! {") {
            found.extend(keys(&source[at + "doc! ".len()..]));
        }
        for getter in GETTERS {
            for (at, _) in source.match_indices(getter) {
                found.extend(quoted(&source[at + getter.len()..]).map(|(field, _)| field.to_owned()));
            }
        }
        found.retain(|field| FIELDS.contains(&field.as_str()));
        found
    }

    /// The keys of a document that begins here.
    fn keys(document: &str) -> Vec<String> {
        let (mut keys, mut depth, mut at) = (Vec::new(), 0, 0);
        while let Some(next) = document[at..].chars().next() {
            if let Some((text, length)) = quoted(&document[at..]) {
                at += length;
                if document[at..].starts_with(':') {
                    keys.push(text.to_owned());
                }
                continue;
            }
            depth += i32::from(next == '{') - i32::from(next == '}');
            if depth == 0 {
                break;
            }
            at += next.len_utf8();
        }
        keys
    }

    /// The string literal that begins here, and its length with the quotes.
    fn quoted(source: &str) -> Option<(&str, usize)> {
        let rest = source.strip_prefix('"')?;
        let mut is_escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        })?;
        Some((&rest[..end], end + 2))
    }
}

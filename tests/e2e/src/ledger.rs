//! The ledger's own fields, which no client and no document of the original has. Only this module names these fields: a
//! test says in which state a row is, so a change of the schema edits one file.
//!
//! A function returns the fields of a row to plant, of a filter, or of a change: see [`with`] and [`set`].
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what is not there fails the test")]

use std::{
    fmt::{self, Display},
    ops::Deref,
};

use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};

use crate::Stack;

/// A state in which nobody sees a row.
#[derive(Clone, Copy, Debug)]
pub enum State {
    /// The bytes are not stored yet.
    Pending,
    /// The row is deleted, and the sweeper has not removed it yet.
    Tombstone,
}

impl State {
    pub const ALL: [Self; 2] = [Self::Pending, Self::Tombstone];

    /// The fields of a row that the sweeper takes after this time.
    pub fn until(self, expires_at: DateTime) -> Document {
        with(self.only(), doc! { "expiresAt": expires_at })
    }

    /// The field of a row that the sweeper never takes, because it has no time; and the filter for the state.
    pub fn only(self) -> Document {
        match self {
            Self::Pending => doc! { "state": "pending" },
            Self::Tombstone => doc! { "state": "deleted" },
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

/// The field of an invisible row that the sweeper takes after this time.
pub fn expires_at(time: DateTime) -> Document {
    doc! { "expiresAt": time }
}

/// The field of an invisible row whose grace period is over.
pub fn expired() -> Document {
    expires_at(DateTime::from_millis(0))
}

/// The fields of a row with an object.
pub fn object(key: &str, size: i64) -> Document {
    with(doc! { "key": key }, sized(size))
}

/// The field of a row whose key is no text. Keys are unique, so `value` must be.
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

/// The filter for rows that are no tombstones.
pub fn not_deleted() -> Document {
    doc! { "state": { "$ne": "deleted" } }
}

/// The filter for tombstones that no sweep takes before this time.
pub fn deleted_until_after(time: DateTime) -> Document {
    with(State::Tombstone.only(), doc! { "expiresAt": { "$gt": time } })
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
    let overdue = with(visible(), doc! { "thumbnailsDueAt": { "$lt": DateTime::now() } });
    let stale = with(invisible(), doc! { "expiresAt": { "$not": { "$gte": DateTime::now() } } });
    let claimed = doc! { "$or": [{ "key": "x" }, { "key": "y" }, { "_id": ObjectId::new() }] };
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
pub fn scans() -> [Document; 3] {
    [
        (doc! { "key": { "$gt": "", "$lt": "thumbnails/" } }, doc! { "key": 1 }),
        (doc! { "key": { "$gt": "thumbnails/" } }, doc! { "key": 1 }),
        (doc! { "_id": { "$gt": ObjectId::new() } }, doc! { "_id": 1 }),
    ]
    .map(|(filter, sort)| doc! { "find": "files", "filter": filter, "sort": sort })
}

/// A document of the collection `tickets`.
pub fn ticket(owner: ObjectId, expires_at: DateTime) -> Document {
    doc! {
        "userId": owner, "isPublic": false, "maxBytes": 1_i64, "types": [], "filesLeft": 1_i64, "expiresAt": expires_at,
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

    /// The words by which a search finds the row; `None` before they are stored.
    pub fn words(&self) -> Option<Vec<&str>> {
        let words = self.field("words", Bson::as_array)?;
        Some(words.iter().map(|word| word.as_str().expect("a word is a text")).collect())
    }

    pub fn is_tombstone(&self) -> bool {
        self.field("state", Bson::as_str) == Some("deleted")
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

impl Stack {
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

    /// The fields of the ledger and of the documents of requests that the original does not have.
    const FIELDS: [&str; 20] = [
        "decodings",
        "decodingSince",
        "expiresAt",
        "fileId",
        "inParts",
        "isDone",
        "isRepeatable",
        "key",
        "maxBytes",
        "size",
        "state",
        "thumbnailError",
        "thumbnailFiles",
        "thumbnails",
        "thumbnailsDueAt",
        "thumbnailsResent",
        "ticketId",
        "updatedAt",
        "uploadId",
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

//! A document as it is stored: flat, in every form that a version of the original or a crash may have left. This module
//! and its children are the only ones that know the names of the fields.
//!
//! The original stores what it is sent (`isPublic: "yes"`, `name: 5`), and a person may edit a document by hand. So a
//! field of an unexpected form never makes reading a row fail: one row would fail a whole page of a listing, and a
//! whole run of the sweeper. The comment of each field says how it is read then.

use mongodb::bson::{
    Bson, Document, RawBsonRef, RawDocument, deserialize_from_bson, deserialize_from_slice, oid::ObjectId,
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use super::{
    Content, ContentKind, DeclaredSize, File, FileOrUpload, Incoming, Kind, Name, NewFile, Parent, Pending,
    ThumbnailFile, Thumbnails, words,
};
use crate::{
    Error,
    ids::{FileId, Id, TicketId, UserId},
    limits,
    stores::s3::Key,
    time::Timestamp,
};

pub mod filter;
pub mod search;
pub mod sorted;
pub mod update;

/// The collection of the rows.
pub const COLLECTION: &str = "files";

/// The fields up to `parentId` are the original's. The original ignores the other fields.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// [`NO_ID`] if the value is no `ObjectId`. No request can name such a row.
    #[serde(rename = "_id", default = "no_id", deserialize_with = "id")]
    pub id: FileId,
    /// [`NO_ID`] if the value is no `ObjectId`. The row has no owner then.
    #[serde(default = "no_id", deserialize_with = "id")]
    pub user_id: UserId,
    /// A value that is no string is shown as text.
    #[serde(default, deserialize_with = "text")]
    name: String,
    #[serde(default, deserialize_with = "lenient")]
    r#type: Type,
    /// Only `true` is true.
    #[serde(default, deserialize_with = "lenient")]
    is_public: bool,
    #[serde(default)]
    parent_id: Bson,
    /// The object in the bucket. Absent for a folder, and for content on the original's disk.
    #[serde(default, deserialize_with = "key", skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    size: Option<i64>,
    /// The words of the name. Only searches read them, and rows of the original lack them until the sweeper has come.
    #[serde(skip_deserializing)]
    words: Vec<String>,
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    updated_at: Option<Timestamp>,
    /// Absent, or `null`, in a visible row. An unknown state counts as `deleted`, so that nobody sees the row.
    #[serde(default, deserialize_with = "state", skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    /// The time from which the sweeper may take the row. Set where there is a `state`.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// True if other attempts may create the row with the same id.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    pub is_repeatable: bool,
    /// The most bytes that a pending upload may have, if its size was not declared. Then there is no `size`.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    max_bytes: Option<i64>,
    /// S3's id of a pending multipart upload.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    upload_id: Option<String>,
    /// True if a multipart upload may have been created at S3; stored before it is created. The field stays when the
    /// file becomes visible. Rows that are older than this field lack it.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    in_parts: Option<bool>,
    /// The ticket that counts a pending upload.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub ticket_id: Option<TicketId>,
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    thumbnails: Option<Progress>,
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    thumbnail_files: Vec<ThumbnailFile>,
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    thumbnail_error: Option<String>,
    /// The time at which the sweeper sends the job again. Set while thumbnails are `due`.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub thumbnails_due_at: Option<Timestamp>,
    /// Set while the worker decodes the image, and left behind by a worker that dies of it.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub decoding_since: Option<Timestamp>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Folder,
    File,
    Image,
    /// No type of the contract; never written. The row is shown as a file, the type that promises least.
    #[default]
    #[serde(skip)]
    Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// The bytes are not stored yet, or not known to be stored.
    Pending,
    /// A tombstone: the objects are to be deleted, then the row.
    Deleted,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Progress {
    Due,
    Ready,
    Failed,
}

impl Row {
    pub fn folder(new: NewFile) -> Self {
        Self {
            id: new.id,
            user_id: new.owner,
            words: words::of(&new.name),
            name: new.name.0,
            r#type: Type::Folder,
            is_public: new.is_public,
            parent_id: match new.parent {
                Parent::Root | Parent::LegacyRoot => Bson::Int32(0),
                Parent::Folder(id) => id.into(),
            },
            key: None,
            size: None,
            updated_at: Some(Timestamp::now()),
            state: None,
            expires_at: None,
            is_repeatable: new.is_repeatable,
            max_bytes: None,
            upload_id: None,
            in_parts: None,
            ticket_id: None,
            thumbnails: None,
            thumbnail_files: Vec::new(),
            thumbnail_error: None,
            thumbnails_due_at: None,
            decoding_since: None,
        }
    }

    pub fn pending(new: NewFile, kind: ContentKind, key: Key, incoming: Incoming, expires_at: Timestamp) -> Self {
        let (size, max_bytes) = match incoming.declared {
            DeclaredSize::Exactly(size) => (Some(size), None),
            DeclaredSize::AtMost(max) => (None, Some(max)),
        };
        Self {
            r#type: match kind {
                ContentKind::OfFile => Type::File,
                ContentKind::OfImage => Type::Image,
            },
            in_parts: key.is_of_upload().then_some(incoming.in_parts),
            ticket_id: incoming.ticket,
            key: Some(key),
            size: size.and_then(|size| size.try_into().ok()),
            max_bytes: max_bytes.and_then(|max| max.try_into().ok()),
            ..Self::folder(new).pending_until(expires_at)
        }
    }

    /// The same row, invisible until it is finished.
    pub fn pending_until(self, expires_at: Timestamp) -> Self {
        Self { state: Some(State::Pending), expires_at: Some(expires_at), ..self }
    }
}

impl Row {
    /// True if the row may have children. A row of an unknown type may have been a folder before somebody edited it.
    pub fn may_be_folder(&self) -> bool {
        matches!(self.r#type, Type::Folder | Type::Unknown)
    }

    /// True if the row may have thumbnails. A row of an unknown type may have been an image.
    pub fn may_be_image(&self) -> bool {
        matches!(self.r#type, Type::Image | Type::Unknown)
    }

    /// True if S3 may have parts under the key, even if the file is or was visible: a presigned `CreateMultipartUpload`
    /// can be sent again.
    pub fn may_be_in_parts(&self) -> bool {
        self.key.as_ref().is_some_and(Key::is_of_upload) && self.in_parts != Some(false)
    }
}

impl Row {
    /// Reads a row to delete it, or returns why it cannot be read.
    ///
    /// # Errors
    /// The row has a form that only a person can have stored. Its objects are not known, so the row must not be
    /// deleted.
    pub fn to_delete(stored: &RawDocument) -> Result<Self, &'static str> {
        let field = |name| stored.get(name).ok().flatten().unwrap_or(RawBsonRef::Null);
        if !matches!(field("_id"), RawBsonRef::ObjectId(_)) {
            return Err("its _id is no ObjectId");
        }
        let row: Self = deserialize_from_slice(stored.as_bytes()).map_err(|_| "it is no document of ours")?;
        if row.key.is_none() && field("key") != RawBsonRef::Null {
            return Err("its key is none of ours");
        }
        Ok(row)
    }

    /// True if a stored row has a tombstone.
    pub fn is_deleted(stored: &RawDocument) -> bool {
        matches!(stored.get("state"), Ok(Some(RawBsonRef::String("deleted"))))
    }
}

/// The marks of decodings that have begun and not ended.
#[derive(Deserialize)]
pub struct Marks {
    /// The number of decodings. A row that an earlier version marked lacks the number.
    #[serde(default = "one")]
    pub decodings: u32,
}

fn one() -> u32 {
    1
}

/// The fields of a row that its job needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owned {
    #[serde(rename = "_id")]
    pub id: FileId,
    pub user_id: UserId,
}

/// The level of a row, and whether it is a folder.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    pub is_folder: bool,
    /// The level: 1 in the root, one more for each folder above, never more than [`limits::MAX_FOLDER_DEPTH`].
    pub level: u32,
}

/// The fields of a row that concern the bucket. Like a `Row`, it can be read whatever the fields hold.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    #[serde(rename = "_id", default = "no_id", deserialize_with = "id")]
    pub id: FileId,
    #[serde(default, deserialize_with = "lenient")]
    pub key: Option<Key>,
    #[serde(default, deserialize_with = "whole")]
    pub size: Option<i64>,
    /// The state, of any type: only a row without a state is visible.
    #[serde(default)]
    pub state: Bson,
    #[serde(default, deserialize_with = "lenient")]
    pub r#type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub thumbnail_files: Vec<ThumbnailFile>,
}

/// A document of the original with a path on the original's disk.
pub struct Original {
    pub id: FileId,
    pub local_path: String,
    pub name: Option<String>,
    pub is_image: bool,
}

/// The fields are read one by one, because the original stored any value that it was sent. The error is the `_id` of a
/// document whose `_id` or path has another type than the original writes.
impl TryFrom<&Document> for Original {
    type Error = Bson;

    fn try_from(stored: &Document) -> Result<Self, Bson> {
        let (Ok(id), Ok(path)) = (stored.get_object_id("_id"), stored.get_str("localPath")) else {
            return Err(id_of(stored));
        };
        Ok(Self {
            id: id.into(),
            local_path: path.to_owned(),
            name: stored.get_str("name").ok().map(str::to_owned),
            is_image: stored.get_str("type").is_ok_and(|kind| kind == "image"),
        })
    }
}

/// The `_id` of a document, of any type.
pub fn id_of(stored: &Document) -> Bson {
    stored.get("_id").cloned().unwrap_or(Bson::Null)
}

impl TryFrom<Row> for FileOrUpload {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        match (&row.state, &row.key) {
            (None, _) => Ok(Self::Visible(row.into())),
            (Some(State::Pending), Some(key)) => {
                let number = |number: i64| number.try_into().unwrap_or_default();
                Ok(Self::Pending(Pending {
                    key: key.clone(),
                    declared: match row.size {
                        Some(size) => DeclaredSize::Exactly(number(size)),
                        None => DeclaredSize::AtMost(row.max_bytes.map_or(limits::MAX_FILE_BYTES, number)),
                    },
                    in_parts: row.may_be_in_parts(),
                    upload_id: row.upload_id.clone(),
                    file: row.into(),
                }))
            }
            (Some(_), _) => Err(Error::NotFound),
        }
    }
}

impl From<Row> for File {
    fn from(row: Row) -> Self {
        let parent = match row.parent_id {
            Bson::String(zero) if zero == "0" => Parent::LegacyRoot,
            // An id as text is shown as it is. No listing of a folder finds the row.
            Bson::String(id) => id.parse().map_or(Parent::Root, Parent::Folder),
            Bson::ObjectId(id) => Parent::Folder(id.into()),
            // The root as any number, or a value that is no place.
            _ => Parent::Root,
        };
        let content = match row.key {
            Some(key) => Content::Stored { key, size: row.size.unwrap_or_default().try_into().unwrap_or_default() },
            None => Content::OnLegacyDisk,
        };
        let kind = match row.r#type {
            Type::Folder => Kind::Folder,
            Type::File | Type::Unknown => Kind::File(content),
            Type::Image => Kind::Image(
                content,
                match row.thumbnails {
                    None => Thumbnails::Unknown,
                    Some(Progress::Due) => Thumbnails::Due,
                    Some(Progress::Ready) => Thumbnails::Ready(row.thumbnail_files),
                    Some(Progress::Failed) => Thumbnails::Failed(row.thumbnail_error.unwrap_or_default()),
                },
            ),
        };
        Self {
            id: row.id,
            owner: row.user_id,
            // The original never checked names, so the stored name is shown.
            name: Name(row.name),
            is_public: row.is_public,
            parent,
            kind,
            updated_at: row.updated_at,
        }
    }
}

/// The value for an id that cannot be read. No account and no document has this id, because an `ObjectId` begins with a
/// time.
pub const NO_ID: ObjectId = ObjectId::from_bytes([0; 12]);

fn no_id<Of>() -> Id<Of> {
    NO_ID.into()
}

fn id<'de, Of, D: Deserializer<'de>>(field: D) -> Result<Id<Of>, D::Error> {
    Ok(Bson::deserialize(field)?.as_object_id().unwrap_or(NO_ID).into())
}

/// A field of an unexpected form counts as absent.
fn lenient<'de, T: DeserializeOwned + Default, D: Deserializer<'de>>(field: D) -> Result<T, D::Error> {
    Ok(deserialize_from_bson(Bson::deserialize(field)?).unwrap_or_default())
}

/// A whole number in any of `MongoDB`'s forms. MongoDB's shell writes a double for a number above 32 bits.
fn whole<'de, D: Deserializer<'de>>(field: D) -> Result<Option<i64>, D::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    Ok(match Bson::deserialize(field)? {
        Bson::Int32(number) => Some(number.into()),
        Bson::Int64(number) => Some(number),
        #[expect(clippy::cast_possible_truncation, reason = "it is ruled out before")]
        Bson::Double(number) if number.abs() <= EXACT && number.fract() == 0.0 => Some(number as i64),
        _ => None,
    })
}

/// A key of a foreign form counts as absent.
fn key<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Key>, D::Error> {
    Ok(lenient::<Option<Key>, D>(field)?.filter(Key::is_of_row))
}

fn text<'de, D: Deserializer<'de>>(field: D) -> Result<String, D::Error> {
    Ok(match Bson::deserialize(field)? {
        Bson::String(text) => text,
        Bson::Null | Bson::Undefined => String::new(),
        other => other.to_string(),
    })
}

fn state<'de, D: Deserializer<'de>>(field: D) -> Result<Option<State>, D::Error> {
    Ok(match Bson::deserialize(field)? {
        Bson::Null | Bson::Undefined => None,
        Bson::String(state) if state == "pending" => Some(State::Pending),
        _ => Some(State::Deleted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::{DateTime, Decimal128, doc, serialize_to_vec};

    const ID: &str = "5f1e7d35c7ba06511e683b21";

    /// The row as the driver reads it.
    fn row(stored: &Document) -> Row {
        deserialize_from_slice(&serialize_to_vec(stored).unwrap()).unwrap_or_else(|error| panic!("{error} in {stored}"))
    }

    fn file(stored: &Document) -> File {
        row(stored).into()
    }

    /// Values that a person or another program may have stored in any field.
    fn odd() -> Vec<Bson> {
        vec![
            Bson::Null,
            Bson::Undefined,
            Bson::MinKey,
            "yes".into(),
            "".into(),
            1.into(),
            (-1_i64).into(),
            1.5.into(),
            f64::NAN.into(),
            true.into(),
            Bson::Array(vec![1.into(), doc! { "a": 1 }.into()]),
            doc! { "$ne": Bson::Null }.into(),
            DateTime::MAX.into(),
            ObjectId::parse_str(ID).unwrap().into(),
            Bson::Decimal128("0".parse::<Decimal128>().unwrap()),
        ]
    }

    #[test]
    fn a_row_is_read_whatever_its_fields_hold() {
        let whole = doc! {
            "_id": ObjectId::parse_str(ID).unwrap(), "userId": ObjectId::parse_str(ID).unwrap(), "name": "a.jpg",
            "type": "image", "isPublic": true, "parentId": 0, "key": "files/x", "size": 5, "updatedAt": DateTime::MAX,
            "expiresAt": DateTime::MAX, "isRepeatable": true, "maxBytes": 5, "uploadId": "x", "thumbnails": "ready",
            "thumbnailFiles": [{ "width": 100, "size": 5_i64, "contentType": "image/jpeg", "digest": "x" }],
            "thumbnailError": "x", "thumbnailsDueAt": DateTime::MAX, "decodingSince": DateTime::MAX, "state": "pending",
        };
        row(&whole);
        for field in whole.keys() {
            let mut without = whole.clone();
            without.remove(field);
            file(&without);
            for value in odd() {
                let mut other = whole.clone();
                other.insert(field, value);
                file(&other);
            }
        }
        file(&doc! {});
    }

    #[test]
    fn only_true_is_public() {
        assert!(file(&doc! { "isPublic": true }).is_public);
        for value in odd().into_iter().filter(|value| *value != Bson::Boolean(true)) {
            assert!(!file(&doc! { "isPublic": &value }).is_public, "{value}");
        }
    }

    #[test]
    fn a_name_that_is_no_string_is_shown_as_text() {
        for (name, shown) in [
            (Bson::from("a.txt"), "a.txt"),
            (5.into(), "5"),
            (1.5.into(), "1.5"),
            (true.into(), "true"),
            (doc! { "a": 1 }.into(), r#"{ "a": 1 }"#),
            (Bson::Array(vec!["a".into(), 1.into()]), r#"["a", 1]"#),
            (Bson::Null, ""),
        ] {
            assert_eq!(file(&doc! { "name": &name }).name.as_str(), shown, "{name}");
        }
        assert_eq!(file(&doc! {}).name.as_str(), "");
    }

    #[test]
    fn a_parent_that_is_no_place_is_the_root() {
        let folder = Parent::Folder(ID.parse().unwrap());
        for (parent, expected) in [
            (Bson::from(0), Parent::Root),
            (0_i64.into(), Parent::Root),
            (0.0.into(), Parent::Root),
            ("0".into(), Parent::LegacyRoot),
            (ObjectId::parse_str(ID).unwrap().into(), folder),
            (ID.into(), folder),
            ("".into(), Parent::Root),
            ("x".into(), Parent::Root),
            (Bson::Null, Parent::Root),
            (7.into(), Parent::Root),
            (Bson::Array(vec![0.into()]), Parent::Root),
        ] {
            assert_eq!(file(&doc! { "parentId": &parent }).parent, expected, "{parent}");
        }
    }

    #[test]
    fn an_unknown_type_is_a_file() {
        for r#type in odd().into_iter().chain(["Folder".into(), "directory".into()]) {
            let stored = doc! { "type": &r#type, "thumbnails": "ready" };
            assert_eq!(file(&stored).kind, Kind::File(Content::OnLegacyDisk), "{type}");
            let Kind::File(Content::Stored { size: 5, .. }) =
                file(&doc! { "type": &r#type, "key": "files/x", "size": 5 }).kind
            else {
                panic!("{type} loses its content")
            };
            let row = row(&stored);
            assert!(row.may_be_folder() && row.may_be_image(), "{type}");
        }
    }

    #[test]
    fn a_size_is_a_whole_number_in_any_form() {
        for size in [Bson::from(5), 5_i64.into(), 5.0.into()] {
            assert_eq!(row(&doc! { "size": &size }).size, Some(5), "{size}");
        }
        for size in [Bson::from(5.5), f64::INFINITY.into(), 1e300.into(), "5".into(), Bson::Null] {
            assert_eq!(row(&doc! { "size": &size }).size, None, "{size}");
        }
    }

    #[test]
    fn a_key_of_a_foreign_form_counts_as_absent() {
        for key in ["files/aB-_9", "uploads/5f1e7d35c7ba06511e683b21/aB-_9"] {
            assert_eq!(row(&doc! { "key": key }).key.unwrap().as_str(), key);
        }
        let long = format!("files/{}", "x".repeat(2000));
        for key in ["", "x", "files/", "thumbnails/x/500", "files/a b", "files/..", "files/\u{1}", "files/é", &long] {
            assert!(row(&doc! { "key": key }).key.is_none(), "{key:?}");
        }
    }

    #[test]
    fn nobody_sees_a_row_of_an_unknown_state() {
        let found = |state: Bson| FileOrUpload::try_from(row(&doc! { "state": state, "key": "files/x" }));
        assert!(matches!(found(Bson::Null), Ok(FileOrUpload::Visible(_))));
        assert!(matches!(found("pending".into()), Ok(FileOrUpload::Pending(_))));
        for state in ["deleted".into(), "archived".into(), Bson::from(5), true.into(), doc! {}.into()] {
            assert!(matches!(found(state), Err(Error::NotFound)));
        }
    }
}

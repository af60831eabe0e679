//! A document as it is stored: flat, in every form that a version of the original or a crash may have left. This module
//! and its children are the only ones that know the names of the fields.
//!
//! The original stores what it is sent (`isPublic: "yes"`, `name: 5`), and a person may edit a document by hand. So a
//! field of an unexpected form never makes reading a row fail: one row would fail a whole page of a listing, and a
//! whole run of the sweeper. The comment of each field says how it is read then.

use mongodb::bson::{
    Bson, Document, RawBsonRef, RawDocument, deserialize_from_bson, deserialize_from_slice, oid::ObjectId,
    serialize_to_vec,
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use super::{
    Content, ContentKind, DeclaredSize, File, FileOrUpload, Incoming, Kind, Name, NewFile, Parent, Pending, Picture,
    Preview, ThumbnailFile, Thumbnails, Trashed, words,
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
    /// The path on the disk of the original service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    local_path: Option<Bson>,
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    size: Option<i64>,
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
    /// Set together with the thumbnails.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    picture: Option<Box<Picture>>,
    /// The time at which the sweeper sends the job again. Set while thumbnails are `due`.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub thumbnails_due_at: Option<Timestamp>,
    /// Set while the worker decodes the image, and left behind by a worker that dies of it.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub decoding_since: Option<Timestamp>,
    /// Grows by one with each change that the owner makes. Absent in older rows: 1.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    /// The words of the name, for the search. Only written: queries compare them.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    words: Option<Vec<String>>,
    /// The name for comparisons, if no other row in the folder may have the same: see [`Name::key`].
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    name_key: Option<String>,
    /// The bytes that the owner's quota counts for this row. Absent in older rows: [`Row::charge`].
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    charged: Option<i64>,
    /// The note of the charge at the counter of the owner: see [`super::quota`].
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    charge_id: Option<ObjectId>,
    /// The document that this is a copy of.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    copied_from: Option<FileId>,
    /// The id in the keys of the thumbnails, if it is not the row's own. Rows with the same `key` share the thumbnails,
    /// but for those with a preview.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    thumbnails_id: Option<FileId>,
    /// The CRC-32 of the content, once a ZIP needed it.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    crc32: Option<i64>,
    /// The time at which the content became the row's, if that is not the time of the row's id.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    content_at: Option<Timestamp>,
    /// The document whose content a pending row is to become.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    replaces: Option<FileId>,
    /// The document that has the content of the row now. The row is about to be deleted, or is.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    became: Option<FileId>,
    /// The document whose earlier content a version is.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    version_of: Option<FileId>,
    /// The picture that the owner has given a document in place of its own.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    preview: Option<Box<GivenPreview>>,
    /// The document that the row has the bytes of a preview for: see [`super::previews`].
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    preview_of: Option<FileId>,
    /// The row that the document got other content from when the version was made.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    version_for: Option<FileId>,
    /// Set while the content of a row is exchanged.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
    /// Set while a sweep removes the row.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    claim: Option<ObjectId>,
    /// Set while the row is moved.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
    /// Set in a row in the trash.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    trashed_at: Option<Timestamp>,
}

/// A value as it is stored. (The functions of `bson` that make a document without bytes in between take a date for text.)
pub fn document(value: &impl Serialize) -> mongodb::error::Result<Document> {
    Ok(deserialize_from_slice(&serialize_to_vec(value)?)?)
}

/// What the quota counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charge {
    pub bytes: i64,
    /// The number of files and images.
    pub count: i64,
}

/// The value of `charged` in the tombstone of an upload that the quota never counted.
pub const UNCOUNTED: i64 = -1;

/// The fields that make up the content of a document.
const CONTENT: [&str; 13] = [
    "type",
    "key",
    "localPath",
    "size",
    "inParts",
    "thumbnails",
    "thumbnailFiles",
    "thumbnailError",
    "picture",
    "thumbnailsDueAt",
    "thumbnailsId",
    "crc32",
    "charged",
];

/// The preview of a document: see [`super::previews`].
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct GivenPreview {
    /// The row that the thumbnails of the document were made from. The preview counts if it is the document's
    /// `thumbnailsId`: an earlier release that exchanges the content leaves this field.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    id: Option<FileId>,
    /// The `ThumbHash` of that row's picture, in Base64.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    thumbhash: Option<String>,
    /// The row whose thumbnails are to be the document's when they are made.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    due: Option<FileId>,
    /// True if the last preview was no picture.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    failed: bool,
}

/// A move in progress: see [`super::moving`].
#[derive(Clone, Serialize, Deserialize)]
pub struct Moving {
    /// The id of the attempt. Only this attempt may finish the move.
    pub id: ObjectId,
    /// The place before the move: `parentId` as it was stored.
    pub from: Bson,
    /// The name before the move.
    pub name: String,
    pub at: Timestamp,
    /// Set if the row comes from the trash, and goes back there if the move fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trashed: Option<FromTrash>,
}

impl Moving {
    /// A new attempt at moving this row.
    pub fn begin(row: &Row) -> Self {
        let trashed = match (row.is_trashed(), row.trashed_at, row.expires_at) {
            (true, Some(trashed_at), Some(expires_at)) => Some(FromTrash { trashed_at, expires_at }),
            _ => None,
        };
        Self { id: ObjectId::new(), from: row.parent_id.clone(), name: row.name.clone(), at: Timestamp::now(), trashed }
    }
}

/// The fields of a row in the trash.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FromTrash {
    pub trashed_at: Timestamp,
    pub expires_at: Timestamp,
}

/// An exchange of content in progress: see [`super::versions`].
#[derive(Clone, Serialize, Deserialize)]
pub struct Exchange {
    /// The row that the content came from. It goes when the exchange is over.
    pub source: FileId,
    /// The version that keeps the earlier content.
    pub version: FileId,
    /// The bytes that the quota counts for the earlier content.
    pub charged: i64,
    /// True once it is certain that the object of the new content stays.
    #[serde(default)]
    pub accepted: bool,
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

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// The bytes are not stored yet, or not known to be stored.
    Pending,
    /// A tombstone: the objects are to be deleted, then the row.
    Deleted,
    /// In the trash, with everything below.
    Trashed,
    /// Earlier content of a document.
    Version,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Progress {
    Due,
    Ready,
    Failed,
}

impl Row {
    pub fn folder(new: NewFile) -> Self {
        let words = words::of(&new.name);
        Self {
            id: new.id,
            user_id: new.owner,
            name: new.name.0,
            r#type: Type::Folder,
            is_public: new.is_public,
            parent_id: match new.parent {
                Parent::Root | Parent::LegacyRoot => Bson::Int32(0),
                Parent::Folder(id) => id.into(),
            },
            key: None,
            local_path: None,
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
            picture: None,
            thumbnails_due_at: None,
            decoding_since: None,
            revision: Some(1),
            words: Some(words),
            name_key: None,
            charged: None,
            charge_id: None,
            copied_from: None,
            thumbnails_id: None,
            crc32: None,
            content_at: None,
            replaces: None,
            became: None,
            version_of: None,
            preview: None,
            preview_of: None,
            version_for: None,
            exchange: None,
            claim: None,
            moving: None,
            trashed_at: None,
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

    /// The row of a copy of `source`. The quota counts the copy by itself.
    pub fn copy(new: NewFile, source: &Self) -> Self {
        let copied = Self { copied_from: Some(source.id), ..Self::folder(new) };
        if matches!(source.r#type, Type::Folder) { copied } else { copied.with_content_of(source) }
    }

    /// The row of a version with the content of `document`, made for an exchange with the content of `source`. The quota
    /// counts the content for the document until the content of the document has been exchanged.
    pub fn version(document: &Self, source: FileId, expires_at: Timestamp) -> Self {
        let new = NewFile {
            id: FileId::new(),
            owner: document.user_id,
            name: Name(document.name.clone()),
            is_public: false,
            parent: Parent::Root,
            is_repeatable: false,
        };
        Self {
            state: Some(State::Version),
            expires_at: Some(expires_at),
            version_of: Some(document.id),
            version_for: Some(source),
            charged: Some(0),
            content_at: Some(document.content_at()),
            parent_id: Bson::Null,
            words: None,
            ..Self::folder(new).with_content_of(document)
        }
    }

    /// The row of the bytes of a preview, invisible for ever.
    pub fn preview(document: &File, size: u64, key: Key, expires_at: Timestamp) -> Self {
        let new = NewFile {
            id: FileId::new(),
            owner: document.owner,
            name: document.name.clone(),
            is_public: false,
            parent: Parent::Root,
            is_repeatable: false,
        };
        Self {
            version_of: Some(document.id),
            preview_of: Some(document.id),
            parent_id: Bson::Null,
            words: None,
            ..Self::pending(new, ContentKind::OfImage, key, Incoming::exactly(size), expires_at)
        }
    }

    /// A tombstone to put the rows below that an attempt at a copy has left.
    pub fn remains_of(copy: &Self) -> Self {
        let new = NewFile {
            id: copy.id.twin(),
            owner: copy.user_id,
            name: Name(copy.name.clone()),
            is_public: false,
            parent: Parent::Root,
            is_repeatable: false,
        };
        Self { state: Some(State::Deleted), expires_at: Some(Timestamp::now()), ..Self::folder(new) }
    }

    /// A tombstone with the content of `document`, which the quota does not count. The sweeper deletes the objects from
    /// `expires_at` on, unless another row has them.
    pub fn remains_of_content(document: &Self, expires_at: Timestamp) -> Self {
        let version = Self::version(document, document.id, expires_at);
        Self {
            state: Some(State::Deleted),
            version_of: None,
            version_for: None,
            content_at: None,
            charged: Some(UNCOUNTED),
            ..version
        }
    }

    pub fn with_name_key(self, name_key: Option<String>) -> Self {
        Self { name_key, ..self }
    }

    /// The same row, whose content is to become that of a document.
    pub fn replacing(self, document: FileId) -> Self {
        Self { replaces: Some(document), ..self }
    }

    /// The same row, counted by the quota with its declared size, and the note of that.
    pub fn charged(self, note: ObjectId) -> Self {
        Self { charged: self.size, charge_id: Some(note), ..self }
    }

    fn with_content_of(self, source: &Self) -> Self {
        Self {
            r#type: source.r#type,
            key: source.key.clone(),
            local_path: source.local_path.clone(),
            size: source.size,
            // The row that the bytes came to looks for their parts.
            in_parts: source.key.as_ref().filter(|key| key.is_of_upload()).map(|_| false),
            thumbnails: source.thumbnails,
            thumbnail_files: source.thumbnail_files.clone(),
            thumbnail_error: source.thumbnail_error.clone(),
            picture: source.picture.clone(),
            thumbnails_due_at: source.thumbnails_due_at,
            thumbnails_id: source.has_thumbnails().then(|| source.thumbnails_id()),
            preview: source.ready_preview().map(Box::new),
            crc32: source.crc32,
            charged: Some(source.size.unwrap_or_default()),
            ..self
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

    /// True if objects may have the row's [`Self::thumbnails_id`] in their keys.
    pub fn has_thumbnails(&self) -> bool {
        self.may_be_image() || self.ready_preview().is_some()
    }

    /// The id in the keys of the thumbnails.
    pub fn thumbnails_id(&self) -> FileId {
        self.thumbnails_id.unwrap_or(self.id)
    }

    /// The value of `thumbnailsId` as it is stored.
    pub fn stored_thumbnails_id(&self) -> Option<FileId> {
        self.thumbnails_id
    }

    /// The value of `preview.id` as it is stored.
    pub fn stored_preview_id(&self) -> Option<FileId> {
        self.preview.as_deref().and_then(|preview| preview.id)
    }

    /// The preview that the row has, without what is known of another one.
    fn ready_preview(&self) -> Option<GivenPreview> {
        let GivenPreview { id, thumbhash, .. } = self.preview.as_deref()?;
        let is_ready = id.is_some() && *id == self.thumbnails_id;
        is_ready.then(|| GivenPreview { id: *id, thumbhash: thumbhash.clone(), ..GivenPreview::default() })
    }

    /// The row whose thumbnails are to be this row's when they are made.
    pub fn due_preview(&self) -> Option<FileId> {
        self.preview.as_deref().and_then(|preview| preview.due)
    }

    /// The row as it is once it waits for this preview.
    pub fn awaiting(self, preview: FileId) -> Self {
        let id = self.stored_preview_id();
        let thumbhash = self.preview.and_then(|preview| preview.thumbhash);
        let waiting = GivenPreview { id, thumbhash, due: Some(preview), failed: false };
        Self { preview: Some(Box::new(waiting)), ..self }
    }

    /// The document that the row has the bytes of a preview for.
    pub fn preview_of(&self) -> Option<FileId> {
        self.preview_of
    }

    pub fn revision(&self) -> i64 {
        self.revision.unwrap_or(1)
    }

    pub fn crc32(&self) -> Option<u32> {
        self.crc32.and_then(|crc32| crc32.try_into().ok())
    }

    pub fn content_at(&self) -> Timestamp {
        self.content_at.unwrap_or_else(|| self.id.created_at())
    }

    pub fn is_folder(&self) -> bool {
        matches!(self.r#type, Type::Folder)
    }

    pub fn is_visible(&self) -> bool {
        self.state.is_none()
    }

    pub fn is_pending(&self) -> bool {
        self.state == Some(State::Pending)
    }

    pub fn is_trashed(&self) -> bool {
        self.state == Some(State::Trashed)
    }

    /// The time at which the sweeper takes an invisible row.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The document whose content the row is to become.
    pub fn replaces(&self) -> Option<FileId> {
        self.replaces
    }

    pub fn version_of(&self) -> Option<FileId> {
        self.version_of
    }

    pub fn charge_id(&self) -> Option<ObjectId> {
        self.charge_id
    }

    pub fn owner(&self) -> UserId {
        self.user_id
    }

    /// The document that has this row's content now.
    pub fn became(&self) -> Option<FileId> {
        self.became
    }

    pub fn name(&self) -> Name {
        Name(self.name.clone())
    }

    pub fn parent(&self) -> Parent {
        match &self.parent_id {
            Bson::String(zero) if zero == "0" => Parent::LegacyRoot,
            // An id as text is shown as it is. No listing of a folder finds the row.
            Bson::String(id) => id.parse().map_or(Parent::Root, Parent::Folder),
            Bson::ObjectId(id) => Parent::Folder((*id).into()),
            // The root as any number, or a value that is no place.
            _ => Parent::Root,
        }
    }

    /// True if a move has set the place of the row, or taken it out of the trash.
    pub fn has_moved(&self) -> bool {
        self.moving
            .as_ref()
            .is_some_and(|moving| moving.from != self.parent_id || (moving.trashed.is_some() && !self.is_trashed()))
    }

    pub fn is_claimed_by(&self, sweep: ObjectId) -> bool {
        self.claim == Some(sweep)
    }

    pub fn is_copy(&self) -> bool {
        self.copied_from.is_some()
    }

    /// The stored place of the row.
    pub fn parent_id(&self) -> &Bson {
        &self.parent_id
    }

    /// What the quota counts for the row. An upload whose size was not declared counts when its bytes are there: the
    /// field is absent before, and [`UNCOUNTED`] if the upload is deleted before. In older rows the field is absent,
    /// too; these count with their size if they are or were visible.
    pub fn charge(&self) -> Charge {
        let bytes = match (self.charged, self.state) {
            (Some(UNCOUNTED), _) | (None, Some(State::Pending)) => return Charge::default(),
            (Some(charged), _) => charged,
            (None, _) => self.size.unwrap_or_default(),
        };
        let is_counted = !self.is_folder() && self.version_of.is_none();
        Charge { bytes: bytes.max(0), count: is_counted.into() }
    }

    /// What the quota counts for a copy of the row.
    pub fn charge_of_copy(&self) -> Charge {
        if self.is_folder() {
            return Charge::default();
        }
        Charge { bytes: self.size.unwrap_or_default().max(0), count: 1 }
    }

    /// True if the quota counts the row already.
    pub fn is_charged(&self) -> bool {
        self.charged.is_some_and(|charged| charged != UNCOUNTED)
    }

    /// The content of the row as the fields to set in another row, and the fields to remove there.
    pub fn content(&self) -> (Document, Vec<&'static str>) {
        let row = document(self).unwrap_or_default();
        let (mut set, mut unset) = (Document::new(), Vec::new());
        for field in CONTENT {
            match row.get(field) {
                Some(value) => drop(set.insert(field, value)),
                None => unset.push(field),
            }
        }
        if self.has_thumbnails() {
            set.insert("thumbnailsId", self.thumbnails_id());
            unset.retain(|field| *field != "thumbnailsId");
        }
        match self.ready_preview().map(|preview| document(&preview)) {
            Some(Ok(preview)) => drop(set.insert("preview", preview)),
            Some(Err(_)) | None => unset.push("preview"),
        }
        (set, unset)
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
    /// The id in the keys of the thumbnails, which copies and versions share; absent if it is the row's own. Only an
    /// image and a document with a preview have it.
    #[serde(default, deserialize_with = "lenient")]
    pub thumbnails_id: Option<FileId>,
}

/// The sum of a user's rows, as the quota counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sum {
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub sure_bytes: i64,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub sure_files: i64,
    /// The bytes of rows that may be counted or not: tombstones, which the sweeper has not given back yet, and
    /// uploads that an earlier release began, which counted nothing.
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub unsure_bytes: i64,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub unsure_files: i64,
}

/// The id in the keys of a row's thumbnails, where nothing else is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WithThumbnails {
    #[serde(rename = "_id", default = "no_id", deserialize_with = "id")]
    id: FileId,
    #[serde(default, deserialize_with = "lenient")]
    thumbnails_id: Option<FileId>,
}

impl WithThumbnails {
    pub fn thumbnails_id(&self) -> FileId {
        self.thumbnails_id.unwrap_or(self.id)
    }
}

/// The id of a row, where nothing else is read.
#[derive(Deserialize)]
pub struct OnlyId {
    #[serde(rename = "_id", default = "no_id", deserialize_with = "id")]
    pub id: FileId,
}

/// A row as far as its name is compared.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedRow {
    #[serde(rename = "_id", default = "no_id", deserialize_with = "id")]
    pub id: FileId,
    #[serde(default, deserialize_with = "text")]
    name: String,
    #[serde(default, deserialize_with = "lenient")]
    r#type: Type,
    #[serde(default, deserialize_with = "lenient")]
    pub name_key: Option<String>,
}

impl NamedRow {
    pub fn name(&self) -> Name {
        Name(self.name.clone())
    }

    pub fn is_folder(&self) -> bool {
        matches!(self.r#type, Type::Folder)
    }
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

impl Row {
    /// The row as the worker sees it: what is in the trash counts as visible, and so do the stored bytes of a preview.
    pub fn into_stored(self) -> Result<FileOrUpload, Error> {
        let is_preview = self.preview_of.is_some() && self.state == Some(State::Version);
        if self.is_trashed() || is_preview { Ok(FileOrUpload::Visible(self.into())) } else { self.try_into() }
    }
}

impl TryFrom<Row> for FileOrUpload {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        match (&row.state, &row.key) {
            (None, _) => Ok(Self::Visible(row.into())),
            (Some(State::Pending), Some(key)) if row.preview_of.is_none() => {
                let number = |number: i64| number.try_into().unwrap_or_default();
                Ok(Self::Pending(Pending {
                    key: key.clone(),
                    declared: match row.size {
                        Some(size) => DeclaredSize::Exactly(number(size)),
                        None => DeclaredSize::AtMost(row.max_bytes.map_or(limits::MAX_FILE_BYTES, number)),
                    },
                    in_parts: row.may_be_in_parts(),
                    upload_id: row.upload_id.clone(),
                    replaces: row.replaces,
                    is_charged: row.is_charged(),
                    file: row.into(),
                }))
            }
            (Some(_), _) => Err(Error::NotFound),
        }
    }
}

impl From<Row> for File {
    fn from(row: Row) -> Self {
        let (revision, thumbnails_id, content_at) = (row.revision(), row.thumbnails_id(), row.content_at());
        let trashed = match (row.is_trashed(), row.trashed_at, row.expires_at) {
            (true, Some(at), Some(expires_at)) => Some(Trashed { at, expires_at }),
            _ => None,
        };
        let parent = row.parent();
        let preview = match (row.ready_preview(), row.preview) {
            (Some(GivenPreview { thumbhash, .. }), given) => Some(Preview {
                made: row.thumbnail_files.clone(),
                thumbhash,
                is_failed: given.is_some_and(|given| given.failed),
            }),
            (None, Some(given)) if given.failed => Some(Preview { made: Vec::new(), thumbhash: None, is_failed: true }),
            (None, _) => None,
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
            revision,
            trashed,
            copied_from: row.copied_from,
            thumbnails_id,
            content_at,
            picture: row.picture,
            preview: preview.map(Box::new),
            preview_of: row.preview_of,
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

/// The same for a number that counts as 0 if it is absent.
pub fn whole_or_zero<'de, D: Deserializer<'de>>(field: D) -> Result<i64, D::Error> {
    Ok(whole(field)?.unwrap_or_default())
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
        Bson::String(state) => Some(match state.as_str() {
            "pending" => State::Pending,
            "trashed" => State::Trashed,
            "version" => State::Version,
            _ => State::Deleted,
        }),
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
            "thumbnailError": "x", "picture": { "width": 5_i64, "height": 5_i64, "thumbhash": "x" },
            "thumbnailsDueAt": DateTime::MAX, "decodingSince": DateTime::MAX, "state": "pending",
            "preview": { "id": ObjectId::parse_str(ID).unwrap(), "thumbhash": "x", "failed": true },
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
    fn a_move_and_an_exchange_are_read_as_they_are_stored() {
        let (id, at) = (ObjectId::parse_str(ID).unwrap(), Timestamp::from_millis(1_795_348_800_123));
        let trashed = FromTrash { trashed_at: at, expires_at: at };
        let moving = Moving { id, from: id.into(), name: "a".into(), at, trashed: Some(trashed) };
        let exchange = Exchange { source: id.into(), version: id.into(), charged: 5, accepted: true };
        let stored = doc! { "moving": document(&moving).unwrap(), "exchange": document(&exchange).unwrap() };
        assert_eq!(stored.get_document("moving").unwrap().get_datetime("at").unwrap().timestamp_millis(), at.millis());
        let row = row(&stored);
        assert!(row.moving.is_some_and(|moving| moving.at == at && moving.trashed.is_some()));
        assert!(row.exchange.is_some_and(|exchange| exchange.charged == 5 && exchange.accepted));
    }

    #[test]
    fn the_content_of_a_row_is_what_is_stored_of_it() {
        let due = DateTime::from_millis(1_795_348_800_123);
        let stored = doc! {
            "_id": ObjectId::parse_str(ID).unwrap(), "type": "image", "key": "files/x", "size": 5_i64, "thumbnails": "due",
            "thumbnailsDueAt": due,
        };
        let (content, unset) = row(&stored).content();
        let mut expected = stored.clone();
        expected.insert("thumbnailsId", expected.get_object_id("_id").unwrap());
        expected.remove("_id");
        for (field, value) in &expected {
            assert_eq!(content.get(field), Some(value), "{field}");
        }
        assert_eq!(content.len(), expected.len(), "{content}");
        let missing =
            ["localPath", "inParts", "thumbnailFiles", "thumbnailError", "picture", "crc32", "charged", "preview"];
        assert_eq!(unset, missing);
    }

    #[test]
    fn only_a_preview_with_its_thumbnails_is_content() {
        let [id, other] = [FileId::new(), FileId::new()];
        let stored = |preview: Document| {
            row(&doc! { "type": "file", "key": "files/x", "thumbnailsId": id, "preview": preview }).content()
        };
        let ready = doc! { "id": id, "thumbhash": "x" };
        let (content, _) = stored(doc! { "id": id, "thumbhash": "x", "due": other, "failed": true });
        assert_eq!(content.get_document("preview").unwrap(), &ready);
        for other in [doc! { "due": id }, doc! { "failed": true }, doc! { "id": other }, doc! {}] {
            let (content, unset) = stored(other.clone());
            assert!(!content.contains_key("preview") && unset.contains(&"preview"), "{other}");
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

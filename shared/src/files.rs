//! The ledger: collection `files`, one document for each folder, file and image, and the protocol that keeps the ledger
//! and the bucket consistent.
//!
//! An object has a row before it is stored and until it is deleted. A file is [begun](Files::begin) as an invisible
//! `pending` row. Then its bytes are put, and [`finish`](Files::finish) makes the row visible. A crash in between
//! leaves an indexed row, which the sweeper finds. A row without a `state` is visible; the original's rows have no
//! `state` either.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    ids::{FileId, TicketId, UserId},
    limits,
    stores::s3::Key,
    time::Timestamp,
};

pub mod adoption;
mod copying;
mod counters;
pub mod idempotency;
mod indexes;
mod inventory;
mod items;
mod ledger;
mod lookup;
mod moving;
mod names;
mod naming;
mod previews;
mod quota;
mod revision;
mod row;
mod search;
mod sorted;
mod thumbnails;
mod tombstones;
mod trash;
pub mod usage_check;
mod versions;
mod words;

pub use inventory::{Expectation, ExpectedObject};
pub use items::{Item, ItemKind};
pub use ledger::Files;
pub use lookup::WithAccount;
pub use moving::Change;
pub use names::OnConflict;
pub use quota::{FolderUsage, Usage};
pub use revision::IfMatch;
pub use row::sorted::{Order, Sort, Types, View};
pub use search::{Found, Located, PathStep};
pub use sorted::{Cursor, Page};
pub use tombstones::Tombstone;
pub use versions::Version;

/// The folder of a file, or the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Stored as the number `0`.
    Root,
    /// The root as some versions of the original stored it, `"0"`. The form is kept, so that a listing echoes it.
    LegacyRoot,
    Folder(FileId),
}

/// The name of a file: no control characters, no `/`, at most [`limits::MAX_NAME_BYTES`].
#[derive(Clone, Debug, PartialEq)]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The media type of the name's extension, with the charset for text.
    pub fn content_type(&self) -> String {
        match mime_guess::from_path(&self.0).first_raw() {
            None => "application/octet-stream".into(),
            Some(text) if text.starts_with("text/") => format!("{text}; charset=utf-8"),
            Some(other) => other.into(),
        }
    }
}

#[cfg(test)]
impl Name {
    /// A name that the original has stored, which never checked names.
    pub(crate) fn of_original(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name.len() > limits::MAX_NAME_BYTES || name.contains(|c: char| c.is_control() || c == '/') {
            return Err(Error::Invalid("Invalid name"));
        }
        Ok(Self(name.to_owned()))
    }
}

/// A folder has no content, and only an image has thumbnails.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Folder,
    File(Content),
    Image(Content, Thumbnails),
}

/// The bytes of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// In the bucket, with `size` bytes.
    Stored { key: Key, size: u64 },
    /// On a disk of the original service, which we cannot read.
    OnLegacyDisk,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Thumbnails {
    Due,
    Ready(Vec<ThumbnailFile>),
    Failed(String),
    /// Not recorded: an image of the original service.
    Unknown,
}

/// A thumbnail in the bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThumbnailFile {
    /// The requested width, in pixels. The thumbnail is narrower if its source is.
    pub width: u32,
    /// The size, in bytes.
    pub size: u64,
    pub content_type: String,
    /// The digest of the bytes: see [`crate::digest::digest`].
    pub digest: String,
}

/// What the worker has found out about an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// The size in pixels, after the orientation is applied.
    pub width: u32,
    pub height: u32,
    /// The local time at which the picture was taken: RFC 3339, without a time zone if the camera has recorded none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// The `ThumbHash`, in Base64.
    pub thumbhash: String,
}

/// The outcome of the pictures that the owner has given a document in place of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The thumbnails; empty without a preview.
    pub made: Vec<ThumbnailFile>,
    /// The `ThumbHash` of the preview, in Base64.
    pub thumbhash: Option<String>,
    /// True if the last one was no picture. Then the thumbnails are those of an earlier one.
    pub is_failed: bool,
}

/// A visible document of the ledger.
#[derive(Clone, Debug)]
pub struct File {
    pub id: FileId,
    pub owner: UserId,
    pub name: Name,
    pub is_public: bool,
    pub parent: Parent,
    pub kind: Kind,
    /// Absent in documents of the original.
    pub updated_at: Option<Timestamp>,
    /// Begins at 1, and grows by one with each change of name, place, publicity, content or trash.
    pub revision: i64,
    /// Set if the document is in the trash.
    pub trashed: Option<Trashed>,
    pub copied_from: Option<FileId>,
    /// The id in the keys of the thumbnails.
    pub thumbnails_id: FileId,
    /// The time at which the content became the document's.
    pub content_at: Timestamp,
    /// Set if the document is an image with thumbnails. Absent in rows of earlier releases.
    pub picture: Option<Box<Picture>>,
    pub preview: Option<Box<Preview>>,
    /// Set in a row with the bytes of a preview: the document.
    pub preview_of: Option<FileId>,
}

/// When a document was put into the trash, and when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trashed {
    pub at: Timestamp,
    pub expires_at: Timestamp,
}

impl File {
    /// The key of the content, if the content is in the bucket.
    pub fn key(&self) -> Option<&Key> {
        match &self.kind {
            Kind::File(Content::Stored { key, .. }) | Kind::Image(Content::Stored { key, .. }, _) => Some(key),
            Kind::Folder | Kind::File(Content::OnLegacyDisk) | Kind::Image(Content::OnLegacyDisk, _) => None,
        }
    }

    /// The preview, if its thumbnails are made.
    pub fn ready_preview(&self) -> Option<&Preview> {
        self.preview.as_deref().filter(|preview| !preview.made.is_empty())
    }

    /// The thumbnails: those of the preview, if the owner has given one, else those of the image.
    pub fn thumbnails(&self) -> &[ThumbnailFile] {
        match (self.ready_preview(), &self.kind) {
            (Some(preview), _) => &preview.made,
            (None, Kind::Image(_, Thumbnails::Ready(made))) => made,
            (None, Kind::Folder | Kind::File(_) | Kind::Image(..)) => &[],
        }
    }

    /// True if the content of the file has this key.
    pub fn has_key(&self, place: &Key) -> bool {
        self.key() == Some(place)
    }
}

/// A document to create, complete but for its bytes.
pub struct NewFile {
    pub id: FileId,
    pub owner: UserId,
    pub name: Name,
    pub is_public: bool,
    pub parent: Parent,
    /// True if several attempts may create the document, all with this id.
    pub is_repeatable: bool,
}

impl NewFile {
    fn named(&self, name: Name) -> Self {
        Self { name, ..*self }
    }
}

/// The kind of a new document with bytes.
#[derive(Clone, Copy, PartialEq)]
pub enum ContentKind {
    OfFile,
    OfImage,
}

impl ContentKind {
    /// The kind by the extension of the name, for an upload without a type.
    pub fn of(name: &Name) -> Self {
        if name.content_type().starts_with("image/") { Self::OfImage } else { Self::OfFile }
    }
}

/// The size that a client declared for an upload, before the bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeclaredSize {
    Exactly(u64),
    AtMost(u64),
}

impl DeclaredSize {
    /// The most bytes that may come.
    pub fn most(self) -> u64 {
        match self {
            Self::Exactly(size) | Self::AtMost(size) => size,
        }
    }

    pub fn admits(self, size: u64) -> bool {
        match self {
            Self::Exactly(declared) => size == declared,
            Self::AtMost(max) => size <= max,
        }
    }
}

/// The expected size and form of an upload.
#[derive(Clone, Copy)]
pub struct Incoming {
    declared: DeclaredSize,
    /// True if a multipart upload may be created at S3.
    in_parts: bool,
    /// The ticket that counts the upload. The ticket gets its file back if the upload fails.
    ticket: Option<TicketId>,
}

impl Incoming {
    /// Exactly `size` bytes, as a multipart upload above the limit of a single `PUT`.
    pub fn exactly(size: u64) -> Self {
        Self { declared: DeclaredSize::Exactly(size), in_parts: size > limits::MAX_SINGLE_PUT_BYTES, ticket: None }
    }

    /// At most `max_bytes` bytes, by a form.
    pub fn by_form(max_bytes: u64) -> Self {
        Self { declared: DeclaredSize::AtMost(max_bytes), in_parts: false, ticket: None }
    }

    /// At most `max_bytes` bytes, as a multipart upload.
    pub fn in_parts(max_bytes: u64) -> Self {
        Self { declared: DeclaredSize::AtMost(max_bytes), in_parts: true, ticket: None }
    }

    /// The same without more than `left` bytes, if the size was not declared.
    #[must_use]
    pub fn limited_to(self, left: u64) -> Self {
        match self.declared {
            DeclaredSize::Exactly(_) => self,
            DeclaredSize::AtMost(max) => Self { declared: DeclaredSize::AtMost(max.min(left)), ..self },
        }
    }

    pub fn ticket(&self) -> Option<TicketId> {
        self.ticket
    }

    #[must_use]
    pub fn for_ticket(self, ticket: TicketId) -> Self {
        Self { ticket: Some(ticket), ..self }
    }
}

/// An upload whose bytes are not stored yet, or not known to be stored.
pub struct Pending {
    /// The file as it will be, without a size if none was declared.
    pub file: File,
    /// The key of the bytes.
    pub key: Key,
    pub declared: DeclaredSize,
    /// True if a multipart upload may have been created at S3.
    pub in_parts: bool,
    /// S3's id of the multipart upload, if a function has created it.
    pub upload_id: Option<String>,
    /// The document whose content the bytes are to become.
    pub replaces: Option<FileId>,
    /// True if the quota counts the upload already.
    pub is_charged: bool,
}

/// A row without a tombstone.
pub enum FileOrUpload {
    Visible(File),
    Pending(Pending),
}

impl FileOrUpload {
    pub fn pending(self) -> Result<Pending> {
        match self {
            Self::Pending(pending) => Ok(pending),
            Self::Visible(_) => Err(Error::Conflict("The upload is complete")),
        }
    }
}

/// The answer to a worker that wants to decode an image.
pub enum Decoding {
    Begins,
    /// So many decodings have begun and not ended: their workers died, or still run.
    Unfinished(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_comes_from_the_extension_of_the_name() {
        for (name, expected) in [
            ("notes.txt", "text/plain; charset=utf-8"),
            ("page.HTML", "text/html; charset=utf-8"),
            ("photo.jpeg", "image/jpeg"),
            ("archive.tar.gz", "application/gzip"),
            ("data.json", "application/json"),
            ("README", "application/octet-stream"),
            (".txt", "application/octet-stream"),
            ("a.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(name.parse::<Name>().unwrap().content_type(), expected, "{name}");
        }
    }

    #[test]
    fn s08_a_name_is_one_line_and_no_path() {
        for name in ["a\r\nb", "a/b", "../x", "a\0", "\u{85}", &"x".repeat(256), &"é".repeat(128)] {
            assert!(name.parse::<Name>().is_err(), "{name:?}");
        }
        for name in ["x", "a b; c\".txt", ".hidden", "..", "C:\\x", "\u{202e}gpj.exe", "🌍", &"x".repeat(255)] {
            assert!(name.parse::<Name>().is_ok(), "{name:?}");
        }
    }
}

//! A document as it is stored: flat, with every form that a version of the original or a crash may have left.

use mongodb::bson::{Bson, DateTime, oid::ObjectId};
use serde::{Deserialize, Serialize};

use super::{
    Announced, Bytes, Content, File, FileId, Found, Kind, Name, NewFile, Parent, Pending, ThumbnailFile, Thumbnails,
};
use crate::{Error, limits, objects::Key, users::UserId};

/// The fields up to `parentId` are the original's; it ignores the others.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    #[serde(rename = "_id")]
    pub id: ObjectId,
    pub user_id: ObjectId,
    name: String,
    r#type: Type,
    #[serde(default)]
    is_public: bool,
    parent_id: Bson,
    /// The object in the bucket; absent for a folder and for what the original keeps on a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updated_at: Option<DateTime>,
    /// Absent in a visible row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    /// When the sweeper may take it; where there is a `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime>,
    /// Set where other attempts at making it, under the same id, may be under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_repeatable: bool,
    /// Most bytes that a pending upload may turn out to have, where it has not said how many: no `size` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_bytes: Option<i64>,
    /// S3's id of a pending upload that comes in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thumbnails: Option<Progress>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    thumbnail_files: Vec<ThumbnailFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thumbnail_error: Option<String>,
    /// When the sweeper sends the job again; where thumbnails are `due`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnails_due_at: Option<DateTime>,
    /// Set while the worker decodes it, and left behind by a worker that dies of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoding_since: Option<DateTime>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Folder,
    File,
    Image,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// The bytes are on their way.
    Pending,
    /// A tombstone: the objects are to go, then the row.
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
            id: new.id.0,
            user_id: new.owner.0,
            name: new.name.0,
            r#type: Type::Folder,
            is_public: new.is_public,
            parent_id: match new.parent {
                Parent::Root | Parent::LegacyRoot => Bson::Int32(0),
                Parent::Folder(FileId(id)) => Bson::ObjectId(id),
            },
            key: None,
            size: None,
            updated_at: Some(DateTime::now()),
            state: None,
            expires_at: None,
            is_repeatable: new.is_repeatable,
            max_bytes: None,
            upload_id: None,
            thumbnails: None,
            thumbnail_files: Vec::new(),
            thumbnail_error: None,
            thumbnails_due_at: None,
            decoding_since: None,
        }
    }

    pub fn pending(new: NewFile, bytes: Bytes, key: Key, announced: Announced, expires_at: DateTime) -> Self {
        let (size, max_bytes) = match announced {
            Announced::Exactly(size) => (Some(size), None),
            Announced::AtMost(max) => (None, Some(max)),
        };
        Self {
            r#type: match bytes {
                Bytes::OfFile => Type::File,
                Bytes::OfImage => Type::Image,
            },
            key: Some(key),
            size: size.and_then(|size| size.try_into().ok()),
            max_bytes: max_bytes.and_then(|max| max.try_into().ok()),
            ..Self::folder(new).pending_until(expires_at)
        }
    }

    /// The same, invisible for now.
    pub fn pending_until(self, expires_at: DateTime) -> Self {
        Self { state: Some(State::Pending), expires_at: Some(expires_at), ..self }
    }
}

impl Row {
    pub fn is_folder(&self) -> bool {
        matches!(self.r#type, Type::Folder)
    }

    pub fn is_image(&self) -> bool {
        matches!(self.r#type, Type::Image)
    }

    /// Whether it is, or was when it was buried, an upload of which S3 may have parts.
    pub fn may_be_in_parts(&self) -> bool {
        self.upload_id.is_some() || self.max_bytes.is_some()
    }
}

impl TryFrom<Row> for Found {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        match (&row.state, &row.key) {
            (None, _) => Ok(Self::Visible(row.try_into()?)),
            (Some(State::Pending), Some(key)) => {
                let number = |number: i64| number.try_into().unwrap_or_default();
                Ok(Self::Pending(Pending {
                    key: key.clone(),
                    announced: match row.size {
                        Some(size) => Announced::Exactly(number(size)),
                        None => Announced::AtMost(row.max_bytes.map_or(limits::FILE_BYTES, number)),
                    },
                    upload_id: row.upload_id.clone(),
                    file: row.try_into()?,
                }))
            }
            (Some(_), _) => Err(Error::NotFound),
        }
    }
}

impl TryFrom<Row> for File {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let parent = match row.parent_id {
            Bson::Int32(0) | Bson::Int64(0) | Bson::Double(0.0) => Parent::Root,
            Bson::String(zero) if zero == "0" => Parent::LegacyRoot,
            Bson::ObjectId(id) => Parent::Folder(FileId(id)),
            other => return Err(Error::Internal(anyhow::anyhow!("file {} has a parentId of {other}", row.id))),
        };
        let content = match row.key {
            Some(key) => Content::Stored { key, size: row.size.unwrap_or_default().try_into().unwrap_or_default() },
            None => Content::Elsewhere,
        };
        let kind = match row.r#type {
            Type::Folder => Kind::Folder,
            Type::File => Kind::File(content),
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
        Ok(Self {
            id: FileId(row.id),
            owner: UserId(row.user_id),
            // Names of the original were never checked; what is stored is what is shown.
            name: Name(row.name),
            is_public: row.is_public,
            parent,
            kind,
            updated_at: row.updated_at,
        })
    }
}

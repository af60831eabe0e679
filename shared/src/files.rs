//! The ledger: collection `files`, one document for each folder, file and image, and the protocol that keeps
//! it and the bucket consistent.
//!
//! There is no object without a row before it and after it. A file is [begun](Files::begin) as an invisible
//! `pending` row, its bytes are put, and [`finish`](Files::finish) makes it visible; whoever dies in between
//! leaves an indexed row that the sweeper finds. Visible is a row without a `state`, which is also how the
//! original's rows look.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::extract::{FromRequestParts, Path};
use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Bson, DateTime, Document, doc, oid::ObjectId, serialize_to_bson},
    options::{IndexOptions, ReturnDocument},
};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::{Error, Result, limits, mongo::answer, objects::Key, users::UserId};

mod audit;
mod row;

pub use audit::{Claim, Expected};
use row::Row;

/// The identity of a file, folder or image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(pub ObjectId);

impl FromStr for FileId {
    type Err = Error;

    fn from_str(hex: &str) -> Result<Self> {
        ObjectId::parse_str(hex).map(Self).map_err(|_| Error::NotFound)
    }
}

/// The `{id}` of a route. A malformed one is not told apart from an unknown one.
impl<S: Send + Sync> FromRequestParts<S> for FileId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Error::NotFound)?;
        id.parse()
    }
}

/// Where a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Written as the number `0`.
    Root,
    /// The root as some versions of the original wrote it, `"0"`; kept, so that a listing echoes it.
    LegacyRoot,
    Folder(FileId),
}

impl Parent {
    /// What matches everything that lies there.
    fn matching(self) -> Bson {
        match self {
            Self::Root | Self::LegacyRoot => doc! { "$in": [0, "0"] }.into(),
            Self::Folder(FileId(id)) => id.into(),
        }
    }
}

/// What a file is called: no control characters, no `/`, at most [`limits::NAME_BYTES`].
#[derive(Clone, Debug, PartialEq)]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The media type that the name's extension stands for, with its charset where it is text.
    pub fn content_type(&self) -> String {
        match mime_guess::from_path(&self.0).first_raw() {
            None => "application/octet-stream".into(),
            Some(text) if text.starts_with("text/") => format!("{text}; charset=utf-8"),
            Some(other) => other.into(),
        }
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name.len() > limits::NAME_BYTES || name.contains(|c: char| c.is_control() || c == '/') {
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
    /// In the bucket, `size` bytes.
    Stored { key: Key, size: u64 },
    /// On a disk of the original service, out of our reach.
    Elsewhere,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Thumbnails {
    Due,
    Ready(Vec<ThumbnailFile>),
    Failed(String),
    /// An image of the original service, which does not say.
    Unknown,
}

/// A thumbnail as it lies in the bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThumbnailFile {
    /// What was asked for; the picture is narrower where its source is.
    pub width: u32,
    /// In bytes.
    pub size: u64,
    pub content_type: String,
    /// See [`crate::objects::digest`].
    pub digest: String,
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
    pub updated_at: Option<DateTime>,
}

/// A document to be made, complete but for its bytes.
pub struct NewFile {
    pub owner: UserId,
    pub name: Name,
    pub is_public: bool,
    pub parent: Parent,
}

/// Whether a new document with bytes is an image.
#[derive(Clone, Copy, PartialEq)]
pub enum Bytes {
    OfFile,
    OfImage,
}

/// A row whose bytes are not there yet.
pub struct Pending {
    id: ObjectId,
    /// Where the bytes go.
    pub key: Key,
}

/// A row that the sweeper has made invisible for good and that still has objects.
pub struct Doomed {
    pub id: FileId,
    pub key: Option<Key>,
}

#[derive(Clone)]
pub struct Files {
    rows: Collection<Row>,
    indexed: Arc<OnceCell<()>>,
    upload_grace: Duration,
    thumbnail_grace: Duration,
}

impl Files {
    pub fn of(database: &Database, config: &crate::Config) -> Self {
        Self {
            rows: database.collection("files"),
            indexed: Arc::default(),
            upload_grace: config.upload_grace,
            thumbnail_grace: config.thumbnail_grace,
        }
    }

    /// Whoever may see it.
    pub async fn find(&self, FileId(id): FileId) -> Result<File> {
        let row = answer(self.rows.find_one(doc! { "_id": id, "state": null })).await?;
        row.ok_or(Error::NotFound)?.try_into()
    }

    pub async fn owned_by(&self, owner: UserId, id: FileId) -> Result<File> {
        let row = answer(self.rows.find_one(owned(owner, id))).await?;
        row.ok_or(Error::NotFound)?.try_into()
    }

    /// One page of what the owner has there, oldest first.
    pub async fn page(&self, owner: UserId, parent: Parent, page: u64) -> Result<Vec<File>> {
        let skip = page.saturating_mul(limits::PAGE.into());
        if skip > limits::DEEPEST_ROW {
            return Ok(Vec::new());
        }
        let there = doc! { "userId": owner.0, "parentId": parent.matching(), "state": null };
        let rows = async {
            let page = self.rows.find(there).sort(doc! { "_id": 1 }).skip(skip).limit(limits::PAGE.into()).await?;
            page.try_collect::<Vec<Row>>().await
        };
        answer(rows).await?.into_iter().map(File::try_from).collect()
    }

    /// Whether a new file of this owner may lie there.
    ///
    /// # Errors
    /// `Parent not found`, also for somebody else's folder, and `Parent is not a folder`.
    pub async fn check_parent(&self, owner: UserId, parent: Parent) -> Result<()> {
        let Parent::Folder(id) = parent else { return Ok(()) };
        match self.owned_by(owner, id).await {
            Ok(File { kind: Kind::Folder, .. }) => Ok(()),
            Ok(_) => Err(Error::Invalid("Parent is not a folder")),
            Err(Error::NotFound) => Err(Error::Invalid("Parent not found")),
            Err(error) => Err(error),
        }
    }

    /// Makes a folder, visible at once.
    pub async fn create_folder(&self, new: NewFile) -> Result<File> {
        self.indexed.get_or_try_init(|| self.ensure_indexes()).await?;
        let row = Row::folder(new);
        answer(self.rows.insert_one(&row)).await?;
        row.try_into()
    }

    /// Step 1 of an upload: the invisible row.
    pub async fn begin(&self, new: NewFile, bytes: Bytes, size: u64) -> Result<Pending> {
        self.indexed.get_or_try_init(|| self.ensure_indexes()).await?;
        let key = Key::random()?;
        let row = Row::pending(new, bytes, key.clone(), size, from_now(self.upload_grace));
        answer(self.rows.insert_one(&row)).await?;
        Ok(Pending { id: row.id, key })
    }

    /// Step 3 of an upload: the bytes are there, the row becomes visible; an image's thumbnails become due.
    ///
    /// # Errors
    /// `Unavailable` if the upload took so long that the sweeper has taken the row.
    pub async fn finish(&self, pending: Pending, bytes: Bytes) -> Result<File> {
        let mut set = doc! { "updatedAt": DateTime::now() };
        if bytes == Bytes::OfImage {
            set.extend(doc! { "thumbnails": "due", "thumbnailsDueAt": from_now(self.thumbnail_grace) });
        }
        let still_pending = doc! { "_id": pending.id, "state": "pending" };
        let visible = doc! { "$set": set, "$unset": { "state": "", "expiresAt": "" } };
        let update = self.rows.find_one_and_update(still_pending, visible).return_document(ReturnDocument::After);
        let row = answer(update).await?;
        row.ok_or_else(|| Error::Unavailable(anyhow::anyhow!("the upload took longer than its grace period")))?
            .try_into()
    }

    pub async fn set_public(&self, owner: UserId, id: FileId, is_public: bool) -> Result<File> {
        let set = doc! { "$set": { "isPublic": is_public, "updatedAt": DateTime::now() } };
        let update = self.rows.find_one_and_update(owned(owner, id), set).return_document(ReturnDocument::After);
        answer(update).await?.ok_or(Error::NotFound)?.try_into()
    }

    /// How many documents are visible, without counting them.
    pub async fn count(&self) -> Result<u64> {
        let all = answer(self.rows.estimated_document_count()).await?;
        let invisible = answer(self.rows.count_documents(doc! { "state": { "$exists": true } })).await?;
        Ok(all.saturating_sub(invisible))
    }

    /// Marks that the image is being decoded. Whether it was marked already: by an attempt that died with its
    /// process, or by one that still runs. `NotFound` if the image has gone meanwhile.
    pub async fn decoding_begins(&self, file: &File) -> Result<bool> {
        let mark = doc! { "$set": { "decodingSince": DateTime::now() } };
        let before = answer(self.rows.find_one_and_update(owned(file.owner, file.id), mark)).await?;
        Ok(before.ok_or(Error::NotFound)?.decoding_since.is_some())
    }

    /// Takes the mark away again, where what failed after the decoding will be tried again.
    pub async fn decoding_survived(&self, file: &File) -> Result<()> {
        self.update_owned(file, doc! { "$unset": { "decodingSince": "" } }).await
    }

    /// The thumbnails are stored. `NotFound` if the image has gone meanwhile, and they with it must.
    pub async fn thumbnails_ready(&self, file: &File, made: &[ThumbnailFile]) -> Result<()> {
        let made = serialize_to_bson(&made).map_err(|error| Error::Internal(error.into()))?;
        let ready = doc! { "thumbnails": "ready", "thumbnailFiles": made };
        let done = doc! { "thumbnailsDueAt": "", "thumbnailError": "", "decodingSince": "" };
        self.update_owned(file, doc! { "$set": ready, "$unset": done }).await
    }

    /// The image can have no thumbnails, for a reason that its owner is told.
    pub async fn thumbnails_failed(&self, file: &File, reason: &str) -> Result<()> {
        let failed = doc! { "thumbnails": "failed", "thumbnailError": reason };
        self.update_owned(file, doc! { "$set": failed, "$unset": { "thumbnailsDueAt": "", "decodingSince": "" } }).await
    }

    async fn update_owned(&self, file: &File, update: Document) -> Result<()> {
        let done = answer(self.rows.update_one(owned(file.owner, file.id), update)).await?;
        if done.matched_count == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Images whose thumbnails have been due for longer than the grace period, their period begun anew.
    pub async fn take_overdue(&self) -> Result<Vec<(UserId, FileId)>> {
        let overdue = doc! { "thumbnailsDueAt": { "$lt": DateTime::now() }, "state": null };
        let rows = async {
            let rows = self.rows.find(overdue).sort(doc! { "thumbnailsDueAt": 1 }).limit(limits::SWEEP_ROWS).await?;
            rows.try_collect::<Vec<Row>>().await
        };
        let mut taken = Vec::new();
        for row in answer(rows).await? {
            let still = doc! { "_id": row.id, "thumbnailsDueAt": row.thumbnails_due_at };
            let later = doc! { "$set": { "thumbnailsDueAt": from_now(self.thumbnail_grace) } };
            if answer(self.rows.update_one(still, later)).await?.matched_count == 1 {
                taken.push((UserId(row.user_id), FileId(row.id)));
            }
        }
        Ok(taken)
    }

    /// Rows that nobody will finish: uploads past their grace period, which this buries, and what was buried
    /// before.
    pub async fn take_expired(&self) -> Result<Vec<Doomed>> {
        let expired = doc! { "state": { "$exists": true }, "expiresAt": { "$lt": DateTime::now() } };
        let rows = async {
            let rows = self.rows.find(expired).sort(doc! { "expiresAt": 1 }).limit(limits::SWEEP_ROWS).await?;
            rows.try_collect::<Vec<Row>>().await
        };
        let mut doomed = Vec::new();
        for row in answer(rows).await? {
            // From here on the upload can no longer finish.
            let still = doc! { "_id": row.id, "state": { "$exists": true } };
            let buried = doc! { "$set": { "state": "deleted" } };
            if answer(self.rows.update_one(still, buried)).await?.matched_count == 1 {
                doomed.push(Doomed { id: FileId(row.id), key: row.key });
            }
        }
        Ok(doomed)
    }

    /// Forgets a row whose objects are gone.
    pub async fn forget(&self, Doomed { id: FileId(id), .. }: Doomed) -> Result<()> {
        answer(self.rows.delete_one(doc! { "_id": id, "state": "deleted" })).await?;
        Ok(())
    }

    /// Once for each instance, before its first upload; `MongoDB` does it once for all.
    async fn ensure_indexes(&self) -> Result<()> {
        let only_where = |field: &str| {
            let partial = doc! { field: { "$exists": true } };
            IndexOptions::builder().partial_filter_expression(partial).build()
        };
        let listing = IndexModel::builder().keys(doc! { "userId": 1, "parentId": 1, "_id": 1 }).build();
        let invisible =
            IndexModel::builder().keys(doc! { "state": 1, "expiresAt": 1 }).options(only_where("state")).build();
        let overdue =
            IndexModel::builder().keys(doc! { "thumbnailsDueAt": 1 }).options(only_where("thumbnailsDueAt")).build();
        let mut unique = only_where("key");
        unique.unique = Some(true);
        let objects = IndexModel::builder().keys(doc! { "key": 1 }).options(unique).build();
        answer(self.rows.create_indexes([listing, invisible, overdue, objects])).await?;
        Ok(())
    }
}

fn owned(UserId(owner): UserId, FileId(id): FileId) -> Document {
    doc! { "_id": id, "userId": owner, "state": null }
}

fn from_now(period: Duration) -> DateTime {
    DateTime::from_system_time(std::time::SystemTime::now() + period)
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
    fn a_name_is_one_line_and_no_path() {
        for name in ["a\r\nb", "a/b", "../x", "a\0", "\u{85}", &"x".repeat(256), &"é".repeat(128)] {
            assert!(name.parse::<Name>().is_err(), "{name:?}");
        }
        for name in ["x", "a b; c\".txt", ".hidden", "..", "C:\\x", "\u{202e}gpj.exe", "🌍", &"x".repeat(255)] {
            assert!(name.parse::<Name>().is_ok(), "{name:?}");
        }
    }

    #[test]
    fn an_id_is_24_hex_digits() {
        assert!("5f1e7d35c7ba06511e683b21".parse::<FileId>().is_ok());
        for id in
            ["", "5f1e7d35c7ba06511e683b2", "5f1e7d35c7ba06511e683b211", "zzzzzzzzzzzz", "../../../../../../etc/pa"]
        {
            assert!(id.parse::<FileId>().is_err(), "{id}");
        }
    }
}

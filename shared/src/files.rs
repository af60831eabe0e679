//! The ledger: collection `files`, one document for each folder, file and image, and the protocol that keeps the ledger
//! and the bucket consistent.
//!
//! An object has a row before it is stored and until it is deleted. A file is [begun](Files::begin) as an invisible
//! `pending` row. Then its bytes are put, and [`finish`](Files::finish) makes the row visible. A crash in between
//! leaves an indexed row, which the sweeper finds. A row without a `state` is visible; the original's rows have no
//! `state` either.

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::extract::{FromRequestParts, Path};
use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Bson, Document, doc, serialize_to_bson},
    options::{IndexOptions, ReturnDocument},
};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::{
    Error, Result,
    body::Scalar,
    ids::{FileId, TicketId, UserId},
    limits,
    mongo::{is_duplicate, run},
    s3::Key,
    sessions::UnverifiedUser,
    time::Timestamp,
};

pub mod adoption;
mod inventory;
mod row;
mod tombstones;
mod view;

pub use inventory::{Expectation, ExpectedObject};
use row::Row;
use tombstones::Position;
pub use tombstones::Tombstone;
pub use tombstones::WithOwner;
pub use view::{FileView, ParentView};

/// The `{id}` of a route. A malformed id has the same answer as an unknown id.
impl<S: Send + Sync> FromRequestParts<S> for FileId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Error::NotFound)?;
        id.parse()
    }
}

/// The folder of a file, or the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Stored as the number `0`.
    Root,
    /// The root as some versions of the original stored it, `"0"`. The form is kept, so that a listing echoes it.
    LegacyRoot,
    Folder(FileId),
}

/// A `parentId` as a client sends it. The root has six forms; the sixth is an absent field.
impl TryFrom<Scalar> for Parent {
    type Error = Error;

    fn try_from(field: Scalar) -> Result<Self> {
        match field {
            Scalar::Null | Scalar::Bool(false) | Scalar::Number(0.0) => Ok(Self::Root),
            Scalar::Text(text) if text.is_empty() || text == "0" => Ok(Self::Root),
            Scalar::Text(text) => text.parse().map(Self::Folder).map_err(|_| Error::Invalid("Parent not found")),
            Scalar::Bool(true) | Scalar::Number(_) | Scalar::Nested => Err(Error::Invalid("Parent not found")),
        }
    }
}

impl Parent {
    /// A filter value that matches every row in this folder.
    fn matching(self) -> Bson {
        match self {
            Self::Root | Self::LegacyRoot => doc! { "$in": [0, "0"] }.into(),
            Self::Folder(id) => id.into(),
        }
    }
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
}

impl File {
    /// True if the content of the file has this key.
    pub fn has_key(&self, place: &Key) -> bool {
        match &self.kind {
            Kind::File(Content::Stored { key, .. }) | Kind::Image(Content::Stored { key, .. }, _) => key == place,
            Kind::Folder | Kind::File(Content::OnLegacyDisk) | Kind::Image(Content::OnLegacyDisk, _) => false,
        }
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

/// The marks of decodings that have begun and not ended.
#[derive(Deserialize)]
struct Marks {
    /// The number of decodings. A row that an earlier version marked lacks the number.
    #[serde(default = "one")]
    decodings: u32,
}

fn one() -> u32 {
    1
}

/// The fields of a row that its job needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owned {
    #[serde(rename = "_id")]
    id: FileId,
    user_id: UserId,
}

#[derive(Clone)]
pub struct Files {
    rows: Collection<Row>,
    indexed: Arc<OnceCell<()>>,
    upload_grace: Duration,
    direct_upload_grace: Duration,
    thumbnail_grace: Duration,
}

impl Files {
    pub fn of(database: &Database, config: &crate::Config) -> Self {
        Self {
            rows: database.collection("files"),
            indexed: Arc::default(),
            upload_grace: config.upload_grace,
            direct_upload_grace: config.direct_upload_grace,
            thumbnail_grace: config.thumbnail_grace,
        }
    }

    /// A file of any owner, with the owner's account.
    pub async fn find_with_owner(&self, id: FileId) -> Result<WithOwner> {
        self.reachable_with_owner(doc! { "_id": id, "state": null }).await?.ok_or(Error::NotFound)
    }

    /// A file of any owner.
    pub async fn find(&self, id: FileId) -> Result<File> {
        self.reachable(doc! { "_id": id, "state": null }).await?.map(File::from).ok_or(Error::NotFound)
    }

    pub async fn owned_by(&self, owner: UserId, id: FileId) -> Result<File> {
        self.reachable(owned(owner, id)).await?.map(File::from).ok_or(Error::NotFound)
    }

    /// A file of the user of a session that has not been verified yet. The owner's account is read together with the
    /// file, and verifies the session. `id` is the id in the path, or the error of a malformed one.
    ///
    /// # Errors
    /// `Unauthorized` if the session is not valid, whether or not the file exists.
    pub async fn find_of(&self, unverified: &UnverifiedUser, id: Result<FileId>) -> Result<File> {
        let found = match id {
            Ok(id) => self.reachable_with_owner(owned(unverified.id(), id)).await?,
            Err(_) => None,
        };
        let Some(found) = found else {
            unverified.verify_by_lookup().await?;
            return Err(Error::NotFound);
        };
        unverified.verify(found.owner()?)?;
        Ok(found.file)
    }

    /// The file, or the upload that is to become the file, of any owner.
    pub async fn find_any(&self, id: FileId) -> Result<FileOrUpload> {
        self.file_or_upload(doc! { "_id": id }).await
    }

    /// The owner's file, or the upload that is to become the file.
    pub async fn find_owned(&self, owner: UserId, id: FileId) -> Result<FileOrUpload> {
        self.file_or_upload(doc! { "_id": id, "userId": owner }).await
    }

    /// One page of the owner's documents in a folder, oldest first.
    pub async fn page(&self, owner: UserId, parent: Parent, page: u64) -> Result<Vec<File>> {
        let skip = page.saturating_mul(limits::PAGE_SIZE.into());
        if skip > limits::MAX_LISTING_OFFSET {
            return Ok(Vec::new());
        }
        // A folder without a row, which data of the original may have, still has its files. Only a tombstone makes the
        // listing empty.
        if let Parent::Folder(id) = parent
            && self.is_deleted(owner, id).await?
        {
            return Ok(Vec::new());
        }
        let there = doc! { "userId": owner, "parentId": parent.matching(), "state": null };
        let rows = async {
            let page = self.rows.find(there).sort(doc! { "_id": 1 }).skip(skip).limit(limits::PAGE_SIZE.into()).await?;
            page.try_collect::<Vec<Row>>().await
        };
        Ok(run(rows).await?.into_iter().map(File::from).collect())
    }

    /// Checks that a new file of this owner may be put into this folder.
    ///
    /// # Errors
    /// `Parent not found`, also for a folder of another user; `Parent is not a folder`; `Too deep: 100 levels at most`.
    pub async fn check_parent(&self, owner: UserId, parent: Parent) -> Result<()> {
        let Parent::Folder(id) = parent else { return Ok(()) };
        match self.position(owned(owner, id)).await? {
            None => Err(Error::Invalid("Parent not found")),
            Some(Position { is_folder: false, .. }) => Err(Error::Invalid("Parent is not a folder")),
            Some(Position { level: limits::MAX_FOLDER_DEPTH.., .. }) => {
                Err(Error::Invalid("Too deep: 100 levels at most"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Creates a folder. If an earlier attempt with the same id has created it, nothing changes.
    pub async fn create_folder(&self, new: NewFile) -> Result<File> {
        let (id, parent, row) = (new.id, new.parent, Row::folder(new));
        if !matches!(parent, Parent::Folder(_)) {
            return if self.insert(&row).await? { Ok(row.into()) } else { self.find(id).await };
        }
        // In two steps like a file: a folder above that is deleted meanwhile has the pending row inside, and takes it
        // along.
        self.insert(&row.pending_until(Timestamp::now() + self.upload_grace)).await?;
        self.check_parent_exists(parent, id).await?;
        let visible = doc! { "$unset": { "state": "", "expiresAt": "" } };
        let update = self.rows.find_one_and_update(still_pending(id), visible).return_document(ReturnDocument::After);
        match run(update).await? {
            Some(row) => Ok(row.into()),
            None => self.find(id).await,
        }
    }

    /// Step 1 of an upload that comes through a function: stores the invisible row. If an earlier attempt with the same
    /// id has begun or finished, its row stays.
    pub async fn begin(&self, new: NewFile, kind: ContentKind, size: u64) -> Result<FileOrUpload> {
        let key = Key::random()?;
        self.begin_at(key, new, kind, Incoming::exactly(size), self.upload_grace).await
    }

    /// Step 1 of an upload that the client sends to S3.
    ///
    /// # Errors
    /// `Conflict` if too many of the owner's uploads are incomplete, and no earlier attempt has begun this one.
    pub async fn begin_direct(&self, new: NewFile, kind: ContentKind, incoming: Incoming) -> Result<FileOrUpload> {
        if self.has_too_many_incomplete(new.owner).await? {
            self.find_owned(new.owner, new.id).await.map_err(|error| match error {
                Error::NotFound => {
                    Error::Conflict("1000 uploads are not complete: complete or delete some, or wait until they expire")
                }
                other => other,
            })?;
        }
        let key = Key::of_upload(new.id)?;
        self.begin_at(key, new, kind, incoming, self.direct_upload_grace).await
    }

    /// Counts on an index, up to the limit only. Uploads that begin at the same moment may exceed the limit by their
    /// number.
    async fn has_too_many_incomplete(&self, owner: UserId) -> Result<bool> {
        self.indexed.get_or_try_init(|| self.ensure_indexes()).await?;
        let incomplete = self.rows.count_documents(doc! { "userId": owner, "state": "pending" });
        let most = u64::from(limits::MAX_INCOMPLETE_UPLOADS);
        Ok(run(incomplete.limit(most)).await? >= most)
    }

    async fn begin_at(
        &self,
        key: Key,
        new: NewFile,
        kind: ContentKind,
        incoming: Incoming,
        grace: Duration,
    ) -> Result<FileOrUpload> {
        let (owner, id) = (new.owner, new.id);
        let row = Row::pending(new, kind, key, incoming, Timestamp::now() + grace);
        if self.insert(&row).await? {
            return row.try_into();
        }
        // The grace period of the earlier attempt may end before this attempt does. Then the sweeper would take the
        // row, and the bytes would be stored after that. So the grace period begins again.
        let begun_anew = doc! { "$set": { "expiresAt": Timestamp::now() + grace } };
        run(self.rows.update_one(doc! { "_id": id, "userId": owner, "state": "pending" }, begun_anew)).await?;
        self.find_owned(owner, id).await
    }

    /// `false` if a row with this id exists.
    async fn insert(&self, row: &Row) -> Result<bool> {
        self.indexed.get_or_try_init(|| self.ensure_indexes()).await?;
        match run(self.rows.insert_one(row)).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores S3's id of a multipart upload. `false` if the row has the id of another attempt already, or is not
    /// pending any more.
    pub async fn set_upload_id(&self, pending: &Pending, upload_id: &str) -> Result<bool> {
        let mut first = still_pending(pending.file.id);
        first.insert("uploadId", doc! { "$exists": false });
        let done = run(self.rows.update_one(first, doc! { "$set": { "uploadId": upload_id } })).await?;
        Ok(done.matched_count == 1)
    }

    /// Step 3 of an upload: all bytes are stored, and the row becomes visible. An image's thumbnails become due. `None`
    /// if the row is not pending any more.
    ///
    /// # Errors
    /// `Parent not found` if the folder has been deleted meanwhile.
    pub async fn finish(&self, pending: &Pending, size: u64) -> Result<Option<File>> {
        let mut set = doc! { "updatedAt": Timestamp::now(), "size": i64::try_from(size).unwrap_or(i64::MAX) };
        if let Kind::Image(..) = pending.file.kind {
            set.extend(doc! { "thumbnails": "due", "thumbnailsDueAt": Timestamp::now() + self.thumbnail_grace });
        }
        let unset = doc! { "state": "", "expiresAt": "", "maxBytes": "", "uploadId": "", "ticketId": "" };
        let visible = doc! { "$set": set, "$unset": unset };
        let still_pending = still_pending(pending.file.id);
        let update = self.rows.find_one_and_update(still_pending, visible).return_document(ReturnDocument::After);
        // A folder that is deleted after this check has the pending row inside, and takes it along.
        self.check_parent_exists(pending.file.parent, pending.file.id).await?;
        Ok(run(update).await?.map(File::from))
    }

    /// Ends the grace period of an upload, so that the next sweep removes it.
    pub async fn expire(&self, pending: &Pending) -> Result<()> {
        let expired = doc! { "$set": { "expiresAt": Timestamp::now() } };
        run(self.rows.update_one(still_pending(pending.file.id), expired)).await?;
        Ok(())
    }

    /// # Errors
    /// The errors of [`Self::find_of`].
    pub async fn set_public(&self, unverified: &UnverifiedUser, id: Result<FileId>, is_public: bool) -> Result<File> {
        // A file in a deleted folder does not exist any more, even before the sweeper reaches it.
        let File { owner, id, .. } = self.find_of(unverified, id).await?;
        let set = doc! { "$set": { "isPublic": is_public, "updatedAt": Timestamp::now() } };
        let update = self.rows.find_one_and_update(owned(owner, id), set).return_document(ReturnDocument::After);
        run(update).await?.map(File::from).ok_or(Error::NotFound)
    }

    /// The number of visible documents, without counting these. Only invisible documents are counted, by their index:
    /// the filter is a string comparison, because MongoDB reads each document for `$exists`. Documents in a deleted
    /// folder count until the sweeper reaches them.
    pub async fn count(&self) -> Result<u64> {
        let all = run(self.rows.estimated_document_count()).await?;
        let invisible = run(self.rows.count_documents(doc! { "state": { "$gte": "" } })).await?;
        Ok(all.saturating_sub(invisible))
    }

    /// Marks that a decoding of the image begins, unless more than `unfinished` decodings have begun and not ended.
    ///
    /// # Errors
    /// `NotFound` if the image has been deleted meanwhile.
    pub async fn mark_decoding(&self, file: &File, unfinished: u32) -> Result<Decoding> {
        let image = || owned(file.owner, file.id);
        let mut markable = image();
        match unfinished {
            0 => markable.insert("decodingSince", Bson::Null),
            some => markable.insert("decodings", doc! { "$not": { "$gt": some } }),
        };
        let mark = doc! { "$set": { "decodingSince": Timestamp::now() }, "$inc": { "decodings": 1 } };
        if run(self.rows.update_one(markable, mark)).await?.matched_count == 1 {
            return Ok(Decoding::Begins);
        }
        let rows = self.rows.clone_with_type::<Marks>();
        let marks = run(rows.find_one(image()).projection(doc! { "decodings": 1 })).await?.ok_or(Error::NotFound)?;
        Ok(Decoding::Unfinished(marks.decodings))
    }

    /// Removes the mark: the worker has survived the decoding, whatever its outcome. Does nothing if the image has been
    /// deleted.
    pub async fn clear_decoding(&self, file: &File) -> Result<()> {
        let unmarked = doc! { "$unset": { "decodingSince": "", "decodings": "" } };
        run(self.rows.update_one(owned(file.owner, file.id), unmarked)).await?;
        Ok(())
    }

    /// Records that the thumbnails are stored. `NotFound` if the image has been deleted meanwhile; then the thumbnails
    /// must be deleted too.
    pub async fn thumbnails_ready(&self, file: &File, made: &[ThumbnailFile]) -> Result<()> {
        let made = serialize_to_bson(&made).map_err(|error| Error::Internal(error.into()))?;
        let ready = doc! { "thumbnails": "ready", "thumbnailFiles": made };
        let mut done = no_longer_due();
        done.extend(doc! { "thumbnailError": "", "decodingSince": "", "decodings": "" });
        self.update_owned(file, doc! { "$set": ready, "$unset": done }).await
    }

    /// Records that the image cannot have thumbnails, with a reason for its owner. Does nothing if another job has made
    /// the thumbnails, or if the image has been deleted.
    pub async fn thumbnails_failed(&self, file: &File, reason: &str) -> Result<()> {
        let mut done = no_longer_due();
        done.extend(doc! { "decodingSince": "", "decodings": "" });
        self.fail(owned(file.owner, file.id), reason, done).await
    }

    /// Records the same for an image that workers have died of. The marks stay, so that no job decodes the image again.
    pub async fn give_up_decoding(&self, file: &File, reason: &str) -> Result<()> {
        self.fail(owned(file.owner, file.id), reason, no_longer_due()).await
    }

    async fn fail(&self, mut images: Document, reason: &str, unset: Document) -> Result<()> {
        images.insert("thumbnails", doc! { "$ne": "ready" });
        let failed = doc! { "$set": { "thumbnails": "failed", "thumbnailError": reason }, "$unset": unset };
        run(self.rows.update_many(images, failed)).await?;
        Ok(())
    }

    async fn update_owned(&self, file: &File, update: Document) -> Result<()> {
        let done = run(self.rows.update_one(owned(file.owner, file.id), update)).await?;
        if done.matched_count == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Takes images whose thumbnails were overdue at this moment, up to [`limits::SWEEP_BATCH`], and starts their grace
    /// period again.
    pub async fn take_overdue(&self, at: SystemTime) -> Result<Vec<(UserId, FileId)>> {
        let overdue = overdue(at);
        let rows = self.rows.clone_with_type::<Owned>();
        let some = async {
            let some = rows.find(overdue.clone()).sort(doc! { "thumbnailsDueAt": 1 }).limit(limits::SWEEP_BATCH);
            some.projection(doc! { "userId": 1 }).await?.try_collect::<Vec<Owned>>().await
        };
        let ids: Vec<FileId> = run(some).await?.iter().map(|row| row.id).collect();
        let later = Timestamp::now() + self.thumbnail_grace;
        let mut still = overdue;
        still.insert("_id", doc! { "$in": &ids });
        run(self.rows.update_many(still, doc! { "$set": { "thumbnailsDueAt": later } })).await?;
        // Another run may have taken some of the images meanwhile, and the worker may have finished some.
        let taken = doc! { "_id": { "$in": ids }, "thumbnailsDueAt": later };
        let rows = async { rows.find(taken).projection(doc! { "userId": 1 }).await?.try_collect::<Vec<Owned>>().await };
        Ok(run(rows).await?.into_iter().map(|row| (row.user_id, row.id)).collect())
    }

    /// Counts that the jobs of these images have been sent again. The time until the next sending doubles each time.
    pub async fn mark_resent(&self, images: &[FileId]) -> Result<()> {
        let grace = i64::try_from(self.thumbnail_grace.as_millis()).unwrap_or(i64::MAX);
        let resent = doc! { "$ifNull": ["$thumbnailsResent", 0] };
        let wait = doc! { "$multiply": [grace, { "$pow": [2, &resent] }] };
        let counted = doc! { "$set": {
            "thumbnailsResent": { "$add": [resent, 1] },
            "thumbnailsDueAt": { "$add": [Timestamp::now(), wait] },
        } };
        // Images that the worker has finished are left out.
        let still_due = doc! { "_id": { "$in": images }, "thumbnailsDueAt": { "$exists": true } };
        run(self.rows.update_many(still_due, vec![counted])).await?;
        Ok(())
    }

    /// Marks images as failed that were overdue at this moment, though their job has been sent again
    /// [`limits::MAX_RESENDS`] times.
    pub async fn give_up_overdue(&self, at: SystemTime) -> Result<()> {
        let mut resent = overdue(at);
        resent.insert("thumbnailsResent", doc! { "$gte": limits::MAX_RESENDS });
        self.fail(resent, "given up after many attempts", no_longer_due()).await
    }

    /// Creates the indexes, once for each instance before its first upload. `MongoDB` ignores an index that exists.
    async fn ensure_indexes(&self) -> Result<()> {
        let only_where = |field: &str| {
            let partial = doc! { field: { "$exists": true } };
            IndexOptions::builder().partial_filter_expression(partial).build()
        };
        let listing = IndexModel::builder().keys(doc! { "userId": 1, "parentId": 1, "_id": 1 }).build();
        let invisible =
            IndexModel::builder().keys(doc! { "state": 1, "expiresAt": 1 }).options(only_where("state")).build();
        let incomplete =
            IndexModel::builder().keys(doc! { "userId": 1, "state": 1 }).options(only_where("state")).build();
        let overdue =
            IndexModel::builder().keys(doc! { "thumbnailsDueAt": 1 }).options(only_where("thumbnailsDueAt")).build();
        let mut unique = only_where("key");
        unique.unique = Some(true);
        let objects = IndexModel::builder().keys(doc! { "key": 1 }).options(unique).build();
        run(self.rows.create_indexes([listing, invisible, incomplete, overdue, objects])).await?;
        Ok(())
    }
}

fn still_pending(id: FileId) -> Document {
    doc! { "_id": id, "state": "pending" }
}

fn owned(owner: UserId, id: FileId) -> Document {
    doc! { "_id": id, "userId": owner, "state": null }
}

/// The filter for images whose thumbnails were overdue at this moment.
fn overdue(at: SystemTime) -> Document {
    doc! { "thumbnailsDueAt": { "$lt": Timestamp::from(at) }, "state": null }
}

/// The fields to unset when the thumbnails of an image are not due any more.
fn no_longer_due() -> Document {
    doc! { "thumbnailsDueAt": "", "thumbnailsResent": "" }
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

    #[test]
    fn the_root_has_six_forms() {
        for root in [Scalar::Null, Scalar::Text(String::new()), Scalar::Bool(false), Scalar::Number(0.0)] {
            assert_eq!(Parent::try_from(root).unwrap(), Parent::Root);
        }
        assert_eq!(Parent::try_from(Scalar::Text("0".into())).unwrap(), Parent::Root);
        for other in [Scalar::Bool(true), Scalar::Number(1.0), Scalar::Nested, Scalar::Text("00".into())] {
            assert!(Parent::try_from(other).is_err());
        }
    }
}

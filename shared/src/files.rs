//! The ledger: collection `files`, one document for each folder, file and image, and the protocol that keeps
//! it and the bucket consistent.
//!
//! There is no object without a row before it and after it. A file is [begun](Files::begin) as an invisible
//! `pending` row, its bytes are put, and [`finish`](Files::finish) makes it visible; whoever dies in between
//! leaves an indexed row that the sweeper finds. Visible is a row without a `state`, which is also how the
//! original's rows look.

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::extract::{FromRequestParts, Path};
use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Bson, DateTime, Document, doc, oid::ObjectId, serialize_to_bson},
    options::{IndexOptions, ReturnDocument},
};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::{
    Error, Result,
    body::Scalar,
    limits,
    mongo::{is_duplicate, run},
    s3::Key,
    sessions::UnverifiedUser,
    users::UserId,
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

/// The identity of a file, folder or image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(pub ObjectId);

impl FileId {
    /// One that no other has.
    pub fn new() -> Self {
        Self(ObjectId::new())
    }
}

impl Default for FileId {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for FileId {
    type Err = Error;

    fn from_str(hex: &str) -> Result<Self> {
        // There is one form of each, as S3's keys and the lines of a log have it.
        if hex.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return Err(Error::NotFound);
        }
        ObjectId::parse_str(hex).map(Self).map_err(|_| Error::NotFound)
    }
}

/// The identity of the ticket that an upload came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TicketId(pub ObjectId);

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

/// A `parentId` as a client sends it: the root has six forms, the sixth that it is absent.
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
    /// What matches everything that lies there.
    fn matching(self) -> Bson {
        match self {
            Self::Root | Self::LegacyRoot => doc! { "$in": [0, "0"] }.into(),
            Self::Folder(FileId(id)) => id.into(),
        }
    }
}

/// What a file is called: no control characters, no `/`, at most [`limits::MAX_NAME_BYTES`].
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
    /// In the bucket, `size` bytes.
    Stored { key: Key, size: u64 },
    /// On a disk of the original service, out of our reach.
    OnLegacyDisk,
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
    /// See [`crate::s3::digest`].
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

impl File {
    /// Whether its bytes are there.
    pub fn has_key(&self, place: &Key) -> bool {
        match &self.kind {
            Kind::File(Content::Stored { key, .. }) | Kind::Image(Content::Stored { key, .. }, _) => key == place,
            Kind::Folder | Kind::File(Content::OnLegacyDisk) | Kind::Image(Content::OnLegacyDisk, _) => false,
        }
    }
}

/// A document to be made, complete but for its bytes.
pub struct NewFile {
    pub id: FileId,
    pub owner: UserId,
    pub name: Name,
    pub is_public: bool,
    pub parent: Parent,
    /// Whether there may be several attempts at making it, all under this id.
    pub is_repeatable: bool,
}

/// Whether a new document with bytes is an image.
#[derive(Clone, Copy, PartialEq)]
pub enum ContentKind {
    OfFile,
    OfImage,
}

impl ContentKind {
    /// For an upload that does not say: by what its name stands for.
    pub fn of(name: &Name) -> Self {
        if name.content_type().starts_with("image/") { Self::OfImage } else { Self::OfFile }
    }
}

/// What is known of the size of an upload before its bytes are there.
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

/// How the bytes of an upload are to come.
#[derive(Clone, Copy)]
pub struct Incoming {
    declared: DeclaredSize,
    /// Whether S3 may be asked to take them in parts.
    in_parts: bool,
    /// The ticket that counts the upload, and has its file back if nothing comes of it.
    ticket: Option<TicketId>,
}

impl Incoming {
    /// So many bytes, in parts if S3 is not to take them whole.
    pub fn exactly(size: u64) -> Self {
        Self { declared: DeclaredSize::Exactly(size), in_parts: size > limits::MAX_SINGLE_PUT_BYTES, ticket: None }
    }

    /// At most so many bytes, by a form.
    pub fn by_form(max_bytes: u64) -> Self {
        Self { declared: DeclaredSize::AtMost(max_bytes), in_parts: false, ticket: None }
    }

    /// At most so many bytes, in parts.
    pub fn in_parts(max_bytes: u64) -> Self {
        Self { declared: DeclaredSize::AtMost(max_bytes), in_parts: true, ticket: None }
    }

    #[must_use]
    pub fn for_ticket(self, ticket: TicketId) -> Self {
        Self { ticket: Some(ticket), ..self }
    }
}

/// An upload whose bytes are not there yet, or not known to be.
pub struct Pending {
    /// As it will be; without a size where none was declared.
    pub file: File,
    /// Where the bytes go.
    pub key: Key,
    pub declared: DeclaredSize,
    /// Whether S3 may have been asked to take it in parts.
    pub in_parts: bool,
    /// S3's id of the upload, where it comes in parts and a function has begun it.
    pub upload_id: Option<String>,
}

/// A row that has no tombstone.
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

/// Whether the decoding of an image begins.
pub enum Decoding {
    Begins,
    /// So many have begun before and not ended: their workers died, or still run.
    Unfinished(u32),
}

/// The marks of an image of which decodings have begun and not ended.
#[derive(Deserialize)]
struct Marks {
    /// How many. A row that an earlier version has marked does not say it.
    #[serde(default = "one")]
    decodings: u32,
}

fn one() -> u32 {
    1
}

/// A row as far as its job needs it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owned {
    #[serde(rename = "_id")]
    id: ObjectId,
    user_id: ObjectId,
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

    /// A file, whoever owns it, with the account of its owner.
    pub async fn find_with_owner(&self, FileId(id): FileId) -> Result<WithOwner> {
        self.reachable_with_owner(doc! { "_id": id, "state": null }).await?.ok_or(Error::NotFound)
    }

    /// A file, whoever owns it.
    pub async fn find(&self, FileId(id): FileId) -> Result<File> {
        self.reachable(doc! { "_id": id, "state": null }).await?.map(File::from).ok_or(Error::NotFound)
    }

    pub async fn owned_by(&self, owner: UserId, id: FileId) -> Result<File> {
        self.reachable(owned(owner, id)).await?.map(File::from).ok_or(Error::NotFound)
    }

    /// A file of somebody who claims to be its owner. Their account comes with the file.
    ///
    /// # Errors
    /// `Unauthorized` if the claim does not hold, whether or not there is such a file.
    pub async fn find_of(&self, unverified: &UnverifiedUser, id: FileId) -> Result<File> {
        let Some(found) = self.reachable_with_owner(owned(unverified.id(), id)).await? else {
            unverified.verify_by_lookup().await?;
            return Err(Error::NotFound);
        };
        unverified.verify(found.owner()?)?;
        Ok(found.file)
    }

    /// The file, or the upload that is to become it, whoever owns it.
    pub async fn find_any(&self, FileId(id): FileId) -> Result<FileOrUpload> {
        self.file_or_upload(doc! { "_id": id }).await
    }

    /// The owner's file, or the upload that is to become it.
    pub async fn find_owned(&self, UserId(owner): UserId, FileId(id): FileId) -> Result<FileOrUpload> {
        self.file_or_upload(doc! { "_id": id, "userId": owner }).await
    }

    /// One page of what the owner has there, oldest first.
    pub async fn page(&self, owner: UserId, parent: Parent, page: u64) -> Result<Vec<File>> {
        let skip = page.saturating_mul(limits::PAGE_SIZE.into());
        if skip > limits::MAX_LISTING_OFFSET {
            return Ok(Vec::new());
        }
        // A folder that the original forgot has its files still.
        if let Parent::Folder(FileId(id)) = parent
            && self.is_deleted(owner, id).await?
        {
            return Ok(Vec::new());
        }
        let there = doc! { "userId": owner.0, "parentId": parent.matching(), "state": null };
        let rows = async {
            let page = self.rows.find(there).sort(doc! { "_id": 1 }).skip(skip).limit(limits::PAGE_SIZE.into()).await?;
            page.try_collect::<Vec<Row>>().await
        };
        Ok(run(rows).await?.into_iter().map(File::from).collect())
    }

    /// Whether a new file of this owner may lie there.
    ///
    /// # Errors
    /// `Parent not found`, also for somebody else's folder; `Parent is not a folder`; `Too deep: 100 levels at most`.
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

    /// Makes a folder. One that was made before under the same id stays.
    pub async fn create_folder(&self, new: NewFile) -> Result<File> {
        let (id, parent, row) = (new.id, new.parent, Row::folder(new));
        if !matches!(parent, Parent::Folder(_)) {
            return if self.insert(&row).await? { Ok(row.into()) } else { self.find(id).await };
        }
        // In two steps, as a file, so that a folder that goes meanwhile takes it along.
        self.insert(&row.pending_until(from_now(self.upload_grace))).await?;
        self.check_parent_exists(parent, id).await?;
        let visible = doc! { "$unset": { "state": "", "expiresAt": "" } };
        let update = self.rows.find_one_and_update(still_pending(id), visible).return_document(ReturnDocument::After);
        match run(update).await? {
            Some(row) => Ok(row.into()),
            None => self.find(id).await,
        }
    }

    /// Step 1 of an upload that comes through a function: the invisible row. One that was begun, or finished, before under
    /// the same id stays.
    pub async fn begin(&self, new: NewFile, kind: ContentKind, size: u64) -> Result<FileOrUpload> {
        let key = Key::random()?;
        self.begin_at(key, new, kind, Incoming::exactly(size), self.upload_grace).await
    }

    /// The same for an upload that its client brings to S3, by a function's leave.
    ///
    /// # Errors
    /// `Conflict` if too many of the owner's uploads are incomplete, and this one has not begun before.
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

    /// Counts on an index, as far as the limit and no further. Uploads that begin at the same moment may exceed the limit
    /// by their number.
    async fn has_too_many_incomplete(&self, UserId(owner): UserId) -> Result<bool> {
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
        let row = Row::pending(new, kind, key, incoming, from_now(grace));
        if self.insert(&row).await? {
            return row.try_into();
        }
        // The grace period of the attempt before may end before this one does: the sweeper would take the row, and the
        // bytes would come after.
        let begun_anew = doc! { "$set": { "expiresAt": from_now(grace) } };
        run(self.rows.update_one(doc! { "_id": id.0, "userId": owner.0, "state": "pending" }, begun_anew)).await?;
        self.find_owned(owner, id).await
    }

    /// `false` if there is a row with this id.
    async fn insert(&self, row: &Row) -> Result<bool> {
        self.indexed.get_or_try_init(|| self.ensure_indexes()).await?;
        match run(self.rows.insert_one(row)).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Remembers S3's id of an upload that comes in parts. `false` if the row has the id of another attempt already, or is
    /// not pending any more.
    pub async fn set_upload_id(&self, pending: &Pending, upload_id: &str) -> Result<bool> {
        let mut first = still_pending(pending.file.id);
        first.insert("uploadId", doc! { "$exists": false });
        let done = run(self.rows.update_one(first, doc! { "$set": { "uploadId": upload_id } })).await?;
        Ok(done.matched_count == 1)
    }

    /// Step 3 of an upload: the bytes are there, so many of them, and the row becomes visible; an image's thumbnails become
    /// due. `None` if it is not pending any more.
    ///
    /// # Errors
    /// `Parent not found` if its folder has been deleted meanwhile.
    pub async fn finish(&self, pending: &Pending, size: u64) -> Result<Option<File>> {
        let mut set = doc! { "updatedAt": DateTime::now(), "size": i64::try_from(size).unwrap_or(i64::MAX) };
        if let Kind::Image(..) = pending.file.kind {
            set.extend(doc! { "thumbnails": "due", "thumbnailsDueAt": from_now(self.thumbnail_grace) });
        }
        let unset = doc! { "state": "", "expiresAt": "", "maxBytes": "", "uploadId": "", "ticketId": "" };
        let visible = doc! { "$set": set, "$unset": unset };
        let still_pending = still_pending(pending.file.id);
        let update = self.rows.find_one_and_update(still_pending, visible).return_document(ReturnDocument::After);
        // A folder that is deleted after this look has the pending row inside, and takes it along.
        self.check_parent_exists(pending.file.parent, pending.file.id).await?;
        Ok(run(update).await?.map(File::from))
    }

    /// Lets the sweeper take an upload at its next run.
    pub async fn expire(&self, pending: &Pending) -> Result<()> {
        let expired = doc! { "$set": { "expiresAt": DateTime::now() } };
        run(self.rows.update_one(still_pending(pending.file.id), expired)).await?;
        Ok(())
    }

    /// # Errors
    /// Those of [`Self::find_of`].
    pub async fn set_public(&self, unverified: &UnverifiedUser, id: FileId, is_public: bool) -> Result<File> {
        // A file in a deleted folder does not exist any more, even before the sweeper comes to it.
        let owner = self.find_of(unverified, id).await?.owner;
        let set = doc! { "$set": { "isPublic": is_public, "updatedAt": DateTime::now() } };
        let update = self.rows.find_one_and_update(owned(owner, id), set).return_document(ReturnDocument::After);
        run(update).await?.map(File::from).ok_or(Error::NotFound)
    }

    /// How many documents are visible, without counting them. Those that are not are counted by their index alone: of
    /// `$exists` MongoDB reads each document, of a state that is a string it does not. What lies in a deleted folder counts
    /// until the sweeper comes to it.
    pub async fn count(&self) -> Result<u64> {
        let all = run(self.rows.estimated_document_count()).await?;
        let invisible = run(self.rows.count_documents(doc! { "state": { "$gte": "" } })).await?;
        Ok(all.saturating_sub(invisible))
    }

    /// Marks that the image is being decoded, unless more decodings of it than `unfinished` have begun and not ended.
    ///
    /// # Errors
    /// `NotFound` if the image has gone meanwhile.
    pub async fn mark_decoding(&self, file: &File, unfinished: u32) -> Result<Decoding> {
        let image = || owned(file.owner, file.id);
        let mut markable = image();
        match unfinished {
            0 => markable.insert("decodingSince", Bson::Null),
            some => markable.insert("decodings", doc! { "$not": { "$gt": some } }),
        };
        let mark = doc! { "$set": { "decodingSince": DateTime::now() }, "$inc": { "decodings": 1 } };
        if run(self.rows.update_one(markable, mark)).await?.matched_count == 1 {
            return Ok(Decoding::Begins);
        }
        let rows = self.rows.clone_with_type::<Marks>();
        let marks = run(rows.find_one(image()).projection(doc! { "decodings": 1 })).await?.ok_or(Error::NotFound)?;
        Ok(Decoding::Unfinished(marks.decodings))
    }

    /// Takes the mark away again: the worker has survived the decoding, whatever came of it. Nothing happens if the image
    /// has gone.
    pub async fn clear_decoding(&self, file: &File) -> Result<()> {
        let unmarked = doc! { "$unset": { "decodingSince": "", "decodings": "" } };
        run(self.rows.update_one(owned(file.owner, file.id), unmarked)).await?;
        Ok(())
    }

    /// The thumbnails are stored. `NotFound` if the image has gone meanwhile, and they with it must.
    pub async fn thumbnails_ready(&self, file: &File, made: &[ThumbnailFile]) -> Result<()> {
        let made = serialize_to_bson(&made).map_err(|error| Error::Internal(error.into()))?;
        let ready = doc! { "thumbnails": "ready", "thumbnailFiles": made };
        let mut done = no_longer_due();
        done.extend(doc! { "thumbnailError": "", "decodingSince": "", "decodings": "" });
        self.update_owned(file, doc! { "$set": ready, "$unset": done }).await
    }

    /// The image can have no thumbnails, for a reason that its owner is told. Nothing happens if another job has made them,
    /// or if the image has gone.
    pub async fn thumbnails_failed(&self, file: &File, reason: &str) -> Result<()> {
        let mut done = no_longer_due();
        done.extend(doc! { "decodingSince": "", "decodings": "" });
        self.fail(owned(file.owner, file.id), reason, done).await
    }

    /// The same of an image that workers have died of. Its marks stay, so that no job decodes it again.
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

    /// Images whose thumbnails were overdue at this moment, up to [`limits::SWEEP_BATCH`], their grace period begun anew.
    pub async fn take_overdue(&self, at: SystemTime) -> Result<Vec<(UserId, FileId)>> {
        let overdue = overdue(at);
        let rows = self.rows.clone_with_type::<Owned>();
        let some = async {
            let some = rows.find(overdue.clone()).sort(doc! { "thumbnailsDueAt": 1 }).limit(limits::SWEEP_BATCH);
            some.projection(doc! { "userId": 1 }).await?.try_collect::<Vec<Owned>>().await
        };
        let ids: Vec<ObjectId> = run(some).await?.iter().map(|row| row.id).collect();
        let later = from_now(self.thumbnail_grace);
        let mut still = overdue;
        still.insert("_id", doc! { "$in": &ids });
        run(self.rows.update_many(still, doc! { "$set": { "thumbnailsDueAt": later } })).await?;
        // Another run may have taken some of them in between, and the worker may have done some.
        let taken = doc! { "_id": { "$in": ids }, "thumbnailsDueAt": later };
        let rows = async { rows.find(taken).projection(doc! { "userId": 1 }).await?.try_collect::<Vec<Owned>>().await };
        Ok(run(rows).await?.into_iter().map(|row| (UserId(row.user_id), FileId(row.id))).collect())
    }

    /// Counts that the jobs of these images have been sent again. Each image has twice as long as the time before until its
    /// job is sent the next time.
    pub async fn mark_resent(&self, images: &[FileId]) -> Result<()> {
        let ids: Vec<ObjectId> = images.iter().map(|id| id.0).collect();
        let grace = i64::try_from(self.thumbnail_grace.as_millis()).unwrap_or(i64::MAX);
        let resent = doc! { "$ifNull": ["$thumbnailsResent", 0] };
        let wait = doc! { "$multiply": [grace, { "$pow": [2, &resent] }] };
        let counted = doc! { "$set": {
            "thumbnailsResent": { "$add": [resent, 1] },
            "thumbnailsDueAt": { "$add": [DateTime::now(), wait] },
        } };
        // Only images that the worker has not done yet.
        let still_due = doc! { "_id": { "$in": ids }, "thumbnailsDueAt": { "$exists": true } };
        run(self.rows.update_many(still_due, vec![counted])).await?;
        Ok(())
    }

    /// Images that were overdue at this moment, though their job has been sent again [`limits::MAX_RESENDS`] times, fail.
    pub async fn give_up_overdue(&self, at: SystemTime) -> Result<()> {
        let mut resent = overdue(at);
        resent.insert("thumbnailsResent", doc! { "$gte": limits::MAX_RESENDS });
        self.fail(resent, "given up after many attempts", no_longer_due()).await
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

fn still_pending(FileId(id): FileId) -> Document {
    doc! { "_id": id, "state": "pending" }
}

fn owned(UserId(owner): UserId, FileId(id): FileId) -> Document {
    doc! { "_id": id, "userId": owner, "state": null }
}

/// Images whose thumbnails were overdue at this moment.
fn overdue(at: SystemTime) -> Document {
    doc! { "thumbnailsDueAt": { "$lt": DateTime::from_system_time(at) }, "state": null }
}

/// The fields of an image whose thumbnails are due.
fn no_longer_due() -> Document {
    doc! { "thumbnailsDueAt": "", "thumbnailsResent": "" }
}

fn from_now(period: Duration) -> DateTime {
    DateTime::from_system_time(SystemTime::now() + period)
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

    #[test]
    fn an_id_is_24_hex_digits_in_lower_case() {
        assert!("5f1e7d35c7ba06511e683b21".parse::<FileId>().is_ok());
        for id in [
            "",
            "5f1e7d35c7ba06511e683b2",
            "5f1e7d35c7ba06511e683b211",
            "5F1E7D35C7BA06511E683B21",
            "5f1e7d35c7ba06511e683B21",
            "zzzzzzzzzzzz",
            "../../../../../../etc/pa",
        ] {
            assert!(id.parse::<FileId>().is_err(), "{id}");
        }
    }
}

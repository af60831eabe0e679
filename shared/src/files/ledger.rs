//! The collection `files`, and the protocol of uploads in it.

use std::time::Duration;

use mongodb::{
    Database, IndexModel,
    bson::{Document, doc},
    options::{IndexOptions, ReturnDocument},
};

use super::{ContentKind, File, FileOrUpload, Incoming, Kind, NewFile, Parent, Pending, row::Row};
use crate::{
    Config, Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::{
        mongo::{Indexed, is_duplicate, run},
        s3::Key,
    },
    time::Timestamp,
};

#[derive(Clone)]
pub struct Files {
    pub(super) rows: Indexed<Row>,
    upload_grace: Duration,
    direct_upload_grace: Duration,
    pub(super) thumbnail_grace: Duration,
}

impl Files {
    pub fn of(database: &Database, config: &Config) -> Self {
        Self {
            rows: Indexed::new(database.collection("files"), indexes),
            upload_grace: config.upload_grace,
            direct_upload_grace: config.direct_upload_grace,
            thumbnail_grace: config.thumbnail_grace,
        }
    }

    /// Creates a folder. If an earlier attempt with the same id has created it, nothing changes.
    pub async fn create_folder(&self, new: NewFile) -> Result<File> {
        let (id, parent, row) = (new.id, new.parent, Row::folder(new));
        if !matches!(parent, Parent::Folder(_)) {
            return if self.insert(&row).await? { Ok(row.into()) } else { self.file(id).await };
        }
        // In two steps like a file: a folder above that is deleted meanwhile has the pending row inside, and takes it
        // along.
        self.insert(&row.pending_until(Timestamp::now() + self.upload_grace)).await?;
        self.check_parent_exists(parent, id).await?;
        let visible = doc! { "$unset": { "state": "", "expiresAt": "" } };
        let update = self.rows.find_one_and_update(still_pending(id), visible).return_document(ReturnDocument::After);
        match run(update).await? {
            Some(row) => Ok(row.into()),
            None => self.file(id).await,
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
            self.file_or_upload_of(new.owner, new.id).await.map_err(|error| match error {
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
        let incomplete = self.rows.indexed().await?.count_documents(doc! { "userId": owner, "state": "pending" });
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
        self.file_or_upload_of(owner, id).await
    }

    /// `false` if a row with this id exists.
    async fn insert(&self, row: &Row) -> Result<bool> {
        match run(self.rows.indexed().await?.insert_one(row)).await {
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

    /// Step 3 of an upload: all bytes are stored, and the row becomes visible. An image's thumbnails become due. Returns
    /// the file, whoever has finished it: another attempt at the request, the worker, or this call.
    ///
    /// # Errors
    /// `Parent not found` if the folder has been deleted meanwhile. `NotFound` if the upload has been deleted, by a
    /// request or by the sweeper.
    pub async fn finish(&self, pending: &Pending, size: u64) -> Result<File> {
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
        match run(update).await? {
            Some(row) => Ok(row.into()),
            None => self.file(pending.file.id).await,
        }
    }

    /// Ends the grace period of an upload, so that the next sweep removes it.
    pub async fn expire(&self, pending: &Pending) -> Result<()> {
        let expired = doc! { "$set": { "expiresAt": Timestamp::now() } };
        run(self.rows.update_one(still_pending(pending.file.id), expired)).await?;
        Ok(())
    }

    /// Publishes a file, or makes it private. `file` was just read: a file in a deleted folder does not exist any more,
    /// even before the sweeper reaches it.
    pub async fn set_public(&self, file: &File, is_public: bool) -> Result<File> {
        let set = doc! { "$set": { "isPublic": is_public, "updatedAt": Timestamp::now() } };
        let this = owned(file.owner, file.id);
        let update = self.rows.find_one_and_update(this, set).return_document(ReturnDocument::After);
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
}

pub(super) fn still_pending(id: FileId) -> Document {
    doc! { "_id": id, "state": "pending" }
}

pub(super) fn owned(owner: UserId, id: FileId) -> Document {
    doc! { "_id": id, "userId": owner, "state": null }
}

fn indexes() -> Vec<IndexModel> {
    let only_where = |field: &str| {
        let partial = doc! { field: { "$exists": true } };
        IndexOptions::builder().partial_filter_expression(partial).build()
    };
    let listing = IndexModel::builder().keys(doc! { "userId": 1, "parentId": 1, "_id": 1 }).build();
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

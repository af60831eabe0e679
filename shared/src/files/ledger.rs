//! The collection `files`, and the protocol of uploads in it.

use std::time::Duration;

use mongodb::{Database, options::ReturnDocument};

use super::{
    ContentKind, File, FileOrUpload, Incoming, Kind, NewFile, Parent, Pending,
    row::{self, Row, filter, update},
};
use crate::{
    Config, Error, Result,
    ids::UserId,
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
            rows: Indexed::new(database.collection(row::COLLECTION), filter::indexes),
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
        let update = self.rows.find_one_and_update(filter::pending(id), update::show_folder());
        let update = update.return_document(ReturnDocument::After);
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
        let incomplete = self.rows.indexed().await?.count_documents(filter::all_pending_of(owner));
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
        let begun_anew = update::expire(Timestamp::now() + grace);
        run(self.rows.update_one(filter::pending_of(owner, id), begun_anew)).await?;
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
        let first = filter::pending_without_upload_id(pending.file.id);
        let done = run(self.rows.update_one(first, update::set_upload_id(upload_id))).await?;
        Ok(done.matched_count == 1)
    }

    /// Step 3 of an upload: all bytes are stored, and the row becomes visible. An image's thumbnails become due.
    /// Returns the file, whoever has finished it: another attempt at the request, the worker, or this call.
    ///
    /// # Errors
    /// `Parent not found` if the folder has been deleted meanwhile. `NotFound` if the upload has been deleted, by a
    /// request or by the sweeper.
    pub async fn finish(&self, pending: &Pending, size: u64) -> Result<File> {
        let is_image = matches!(pending.file.kind, Kind::Image(..));
        let due_at = is_image.then(|| Timestamp::now() + self.thumbnail_grace);
        let update = self.rows.find_one_and_update(filter::pending(pending.file.id), update::show_upload(size, due_at));
        let update = update.return_document(ReturnDocument::After);
        // A folder that is deleted after this check has the pending row inside, and takes it along.
        self.check_parent_exists(pending.file.parent, pending.file.id).await?;
        match run(update).await? {
            Some(row) => Ok(row.into()),
            None => self.file(pending.file.id).await,
        }
    }

    /// Ends the grace period of an upload, so that the next sweep removes it.
    pub async fn expire(&self, pending: &Pending) -> Result<()> {
        run(self.rows.update_one(filter::pending(pending.file.id), update::expire(Timestamp::now()))).await?;
        Ok(())
    }

    /// Publishes a file, or makes it private. `file` was just read: a file in a deleted folder does not exist any more,
    /// even before the sweeper reaches it.
    pub async fn set_public(&self, file: &File, is_public: bool) -> Result<File> {
        let this = filter::visible_of(file.owner, file.id);
        let update = self.rows.find_one_and_update(this, update::set_public(is_public));
        run(update.return_document(ReturnDocument::After)).await?.map(File::from).ok_or(Error::NotFound)
    }

    /// The number of visible documents, without counting these. Only invisible documents are counted, by their index.
    /// Documents in a deleted folder count until the sweeper reaches them.
    pub async fn count(&self) -> Result<u64> {
        let all = run(self.rows.estimated_document_count()).await?;
        let invisible = run(self.rows.count_documents(filter::invisible())).await?;
        Ok(all.saturating_sub(invisible))
    }
}

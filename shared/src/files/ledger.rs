//! The collection `files`, and the protocol of uploads in it.

use std::time::Duration;

use futures_util::FutureExt;
use mongodb::{
    Database,
    bson::{Document, oid::ObjectId},
    options::ReturnDocument,
};

use super::{
    ContentKind, DeclaredSize, File, FileOrUpload, IfMatch, Incoming, Kind, Name, NewFile, OnConflict, Parent, Pending,
    counters::{Quota, charge_of},
    names::{Named, Wanted},
    row::{self, Row, filter, update},
};
use crate::{
    Config, Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::{
        mongo::{Indexed, is_duplicate, is_missing, run},
        s3::Key,
    },
    time::Timestamp,
};

#[derive(Clone)]
pub struct Files {
    pub(super) rows: Indexed<Row>,
    pub(super) upload_grace: Duration,
    direct_upload_grace: Duration,
    pub(super) thumbnail_grace: Duration,
    pub(super) trash_period: Duration,
    pub(super) version_period: Duration,
    /// The number of versions that a document keeps.
    pub(super) versions_kept: usize,
    pub(super) quota: Quota,
}

impl Files {
    pub fn of(database: &Database, config: &Config) -> Self {
        Self {
            rows: Indexed::new(database.collection(row::COLLECTION), filter::indexes),
            upload_grace: config.upload_grace,
            direct_upload_grace: config.direct_upload_grace,
            thumbnail_grace: config.thumbnail_grace,
            trash_period: config.trash_period,
            version_period: config.version_period,
            versions_kept: config.versions_kept,
            quota: Quota::of(database, config.quota_bytes),
        }
    }

    /// Creates a folder. If an earlier attempt with the same id has created it, nothing changes.
    pub async fn create_folder(&self, new: NewFile, on_conflict: OnConflict) -> Result<File> {
        let (owner, id, parent) = (new.owner, new.id, new.parent);
        let in_root = !matches!(parent, Parent::Folder(_));
        // In two steps like a file: a folder above that is deleted meanwhile has the pending row inside, and takes it
        // along.
        let row = |name: Name| {
            let row = Row::folder(new.named(name));
            if in_root { row } else { row.pending_until(Timestamp::now() + self.upload_grace) }
        };
        let wanted = Wanted { owner, folder: parent, name: &new.name, id, is_folder: true };
        let named = self.name(wanted, on_conflict, |name, key| self.insert_new(row(name).with_name_key(key)).boxed());
        let Named::Done(inserted) = named.await? else { return Err(Error::Conflict("A folder is not replaced")) };
        if in_root {
            return match inserted {
                Some(row) => Ok(row.into()),
                None => self.file(id).await,
            };
        }
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
    ///
    /// # Errors
    /// `OverQuota`; `The name is taken`; `A folder is not replaced`.
    pub async fn begin(
        &self,
        new: NewFile,
        kind: ContentKind,
        size: u64,
        on_conflict: OnConflict,
    ) -> Result<FileOrUpload> {
        let key = Key::random()?;
        // The futures of names and counters are large.
        Box::pin(self.begin_at(key, new, kind, Incoming::exactly(size), on_conflict, self.upload_grace)).await
    }

    /// Step 1 of an upload that the client sends to S3.
    ///
    /// # Errors
    /// `Conflict` if too many of the owner's uploads are incomplete, and no earlier attempt has begun this one. `OverQuota`;
    /// `The name is taken`; `A folder is not replaced`.
    pub async fn begin_direct(
        &self,
        new: NewFile,
        kind: ContentKind,
        incoming: Incoming,
        on_conflict: OnConflict,
    ) -> Result<FileOrUpload> {
        if self.has_too_many_incomplete(new.owner).await? {
            self.file_or_upload_of(new.owner, new.id).await.map_err(|error| match error {
                Error::NotFound => {
                    Error::Conflict("1000 uploads are not complete: complete or delete some, or wait until they expire")
                }
                other => other,
            })?;
        }
        let key = Key::of_upload(new.id)?;
        Box::pin(self.begin_at(key, new, kind, incoming, on_conflict, self.direct_upload_grace)).await
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
        on_conflict: OnConflict,
        grace: Duration,
    ) -> Result<FileOrUpload> {
        let (owner, id) = (new.owner, new.id);
        let note = match incoming.declared {
            DeclaredSize::Exactly(size) => Some(self.reserve(owner, id, charge_of(size)).await?),
            // The quota counts the upload when its size is known.
            DeclaredSize::AtMost(_) => None,
        };
        let row = |name: Name| {
            let row = Row::pending(new.named(name), kind, key.clone(), incoming, Timestamp::now() + grace);
            match note {
                Some(note) => row.charged(note),
                None => row,
            }
        };
        let wanted = Wanted { owner, folder: new.parent, name: &new.name, id, is_folder: false };
        let named = self.name(wanted, on_conflict, |name, key| self.insert_new(row(name).with_name_key(key)).boxed());
        let inserted = async {
            match named.await? {
                Named::Done(inserted) => Ok(inserted),
                Named::Replaces(document) => self.insert_new(row(new.name.clone()).replacing(document)).await,
            }
        };
        let inserted = inserted.await;
        if let (Some(note), Err(_) | Ok(None)) = (note, &inserted) {
            self.take_back(owner, id, note).await;
        }
        if let Some(row) = inserted? {
            return row.try_into();
        }
        // The grace period of the earlier attempt may end before this attempt does. Then the sweeper would take the
        // row, and the bytes would be stored after that. So the grace period begins again.
        let begun_anew = update::expire(Timestamp::now() + grace);
        run(self.rows.update_one(filter::pending_of(owner, id), begun_anew)).await?;
        match self.file_or_upload_of(owner, id).await {
            Err(Error::NotFound) => self.replaced_by(owner, id).await.map(FileOrUpload::Visible),
            found => found,
        }
    }

    /// The document whose content an upload has become.
    ///
    /// # Errors
    /// `NotFound` if the upload has become no document's content.
    pub async fn replaced_by(&self, owner: UserId, upload: FileId) -> Result<File> {
        let row = run(self.rows.find_one(filter::row_of(owner, upload))).await?;
        match row.as_ref().and_then(Row::became) {
            Some(document) => self.file_of(owner, document).await,
            None => Err(Error::NotFound),
        }
    }

    /// Takes a charge back that no row has stored. If this fails, the sweeper does it.
    pub(super) async fn take_back(&self, owner: UserId, id: FileId, note: ObjectId) {
        if let Err(error) = self.cancel_charge(owner, id, note).await {
            tracing::warn!(error = error.cause(), file = id.to_string(), "a charge is not taken back");
        }
    }

    /// Inserts a row and returns it; `None` if a row with this id exists.
    async fn insert_new(&self, row: Row) -> Result<Option<Row>> {
        Ok(self.insert(&row).await?.then_some(row))
    }

    /// `false` if a row with this id exists.
    ///
    /// # Errors
    /// Another row has the name's key: see [`is_duplicate`].
    pub(super) async fn insert(&self, row: &Row) -> Result<bool> {
        match run(self.rows.indexed().await?.insert_one(row)).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => {
                if run(self.rows.find_one(filter::row(row.id)).projection(filter::only_id())).await?.is_some() {
                    return Ok(false);
                }
                if !self.drop_unique_key(&error).await? {
                    return Err(error);
                }
                run(self.rows.insert_one(row)).await.map(|_| true)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the index of earlier releases that allowed an object in one row only. Returns whether it was there and
    /// is the cause of this error.
    pub(super) async fn drop_unique_key(&self, error: &Error) -> Result<bool> {
        if !error.cause().is_some_and(|cause| cause.contains(filter::UNIQUE_KEY_INDEX)) {
            return Ok(false);
        }
        match run(self.rows.drop_index(filter::UNIQUE_KEY_INDEX)).await {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(true),
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
    /// Returns the file, whoever has finished it: another attempt at the request, the worker, or this call. If the upload
    /// replaces the content of a document, returns that document.
    ///
    /// # Errors
    /// `Parent not found` if the folder has been deleted meanwhile. `NotFound` if the upload has been deleted, by a
    /// request or by the sweeper. `OverQuota` if the size was not declared and is too much.
    pub async fn finish(&self, pending: &Pending, size: u64) -> Result<File> {
        let (owner, id) = (pending.file.owner, pending.file.id);
        let note = if pending.is_charged { None } else { Some(self.reserve(owner, id, charge_of(size)).await?) };
        let finished = Box::pin(self.finish_charged(pending, size, note)).await;
        if let Some(note) = note {
            // Another attempt may have finished it, with a charge of its own.
            self.take_back(owner, id, note).await;
        }
        finished
    }

    async fn finish_charged(&self, pending: &Pending, size: u64, note: Option<ObjectId>) -> Result<File> {
        let (owner, id) = (pending.file.owner, pending.file.id);
        let is_image = matches!(pending.file.kind, Kind::Image(..));
        let due_at = is_image.then(|| Timestamp::now() + self.thumbnail_grace);
        if let Some(document) = pending.replaces {
            let stored = self.rows.update_one(filter::pending(id), update::store_upload(size, due_at, note));
            if run(stored).await?.matched_count == 0 {
                return self.finished(owner, id).await;
            }
            match self.replace_by(owner, document, id, &IfMatch::default()).await {
                // The document has been deleted meanwhile, so the upload becomes a file of its own.
                Err(Error::NotFound) => self.replace_nothing(document, id).await?,
                replaced => return replaced,
            }
        }
        let update = self.rows.find_one_and_update(filter::pending(id), update::show_upload(size, due_at, note));
        let update = update.return_document(ReturnDocument::After);
        // A folder that is deleted after this check has the pending row inside, and takes it along.
        self.check_parent_exists(pending.file.parent, id).await?;
        match run(update).await? {
            Some(row) => Ok(row.into()),
            None => self.finished(owner, id).await,
        }
    }

    /// The file that another attempt has made of an upload: a file of its own, or a document whose content it has become.
    async fn finished(&self, owner: UserId, id: FileId) -> Result<File> {
        match self.file(id).await {
            Err(Error::NotFound) => self.replaced_by(owner, id).await,
            found => found,
        }
    }

    /// Ends the grace period of an upload, so that the next sweep removes it.
    pub async fn expire(&self, pending: &Pending) -> Result<()> {
        run(self.rows.update_one(filter::pending(pending.file.id), update::expire(Timestamp::now()))).await?;
        Ok(())
    }

    /// Publishes a file, or makes it private. `file` was just read: a file in a deleted folder does not exist any more,
    /// even before the sweeper reaches it.
    ///
    /// # Errors
    /// `NotFound`; `Changed`.
    pub async fn set_public(&self, file: &File, is_public: bool, if_match: &IfMatch) -> Result<File> {
        if_match.check(file.revision)?;
        let this = filter::visible_of(file.owner, file.id);
        let update = self.rows.find_one_and_update(if_match.restrict(this.clone()), update::set_public(is_public));
        match run(update.return_document(ReturnDocument::After)).await? {
            Some(row) => Ok(row.into()),
            None => Err(self.why_unchanged(this).await?),
        }
    }

    /// The error for a change that matched no row: the row does not exist, or has another revision.
    pub(super) async fn why_unchanged(&self, row: Document) -> Result<Error> {
        let there = run(self.rows.find_one(row).projection(filter::only_id())).await?;
        Ok(if there.is_some() { Error::Changed } else { Error::NotFound })
    }

    /// The number of visible documents, without counting these. Only invisible documents are counted, by their index.
    /// Documents in a deleted folder count until the sweeper reaches them.
    pub async fn count(&self) -> Result<u64> {
        let all = run(self.rows.estimated_document_count()).await?;
        let invisible = run(self.rows.count_documents(filter::invisible())).await?;
        Ok(all.saturating_sub(invisible))
    }
}

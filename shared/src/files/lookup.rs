//! Reads of the ledger. A read checks every folder above a row, so a tombstone hides everything below it.

use futures_util::TryStreamExt;
use mongodb::{
    action::{Action, Find},
    bson::{Document, RawDocument, RawDocumentBuf, deserialize_from_slice},
    options::Hint,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    File, FileOrUpload, Parent,
    ledger::Files,
    row::{Position, Row, filter},
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::{
        mongo::{is_missing_index, run},
        s3::Key,
    },
};

/// A file and the account of its owner, both read at the same moment.
pub struct WithAccount {
    pub file: File,
    /// The file's row, with the account in it.
    row: RawDocumentBuf,
}

impl WithAccount {
    /// The account without its password; `None` if the account does not exist any more. The account is parsed only
    /// here, so that an account that cannot be read does not hide a public file.
    pub fn account<User: DeserializeOwned>(&self) -> Result<Option<User>> {
        #[derive(Deserialize)]
        struct Owner<User> {
            owner: Vec<User>,
        }
        Ok(read::<Owner<User>>(&self.row)?.owner.pop())
    }
}

pub(super) fn read<T: DeserializeOwned>(row: &RawDocument) -> Result<T> {
    deserialize_from_slice(row.as_bytes()).map_err(|error| Error::Internal(error.into()))
}

impl Files {
    /// The file of any owner, with the owner's account.
    pub async fn file_with_account(&self, id: FileId) -> Result<WithAccount> {
        self.reachable_with_account(filter::visible(id)).await?.ok_or(Error::NotFound)
    }

    /// The owner's file, with the owner's account.
    pub async fn file_of_with_account(&self, owner: UserId, id: FileId) -> Result<Option<WithAccount>> {
        self.reachable_with_account(filter::visible_of(owner, id)).await
    }

    /// The file of any owner.
    pub async fn file(&self, id: FileId) -> Result<File> {
        self.reachable(filter::visible(id)).await?.map(File::from).ok_or(Error::NotFound)
    }

    /// The owner's file.
    pub async fn file_of(&self, owner: UserId, id: FileId) -> Result<File> {
        self.reachable(filter::visible_of(owner, id)).await?.map(File::from).ok_or(Error::NotFound)
    }

    /// The owner's file, if it is below this folder.
    pub async fn file_below(&self, owner: UserId, folder: FileId, id: FileId) -> Result<File> {
        let last = [filter::below(folder)].into_iter().chain(filter::without_folders());
        let row: Option<Row> = self.find_reachable(filter::visible_of(owner, id), last).await?;
        row.map(File::from).ok_or(Error::NotFound)
    }

    /// The file, or the upload that is to become the file, of any owner.
    pub async fn file_or_upload(&self, id: FileId) -> Result<FileOrUpload> {
        self.reachable_file_or_upload(filter::row(id)).await
    }

    /// The owner's file, or the upload that is to become the file.
    pub async fn file_or_upload_of(&self, owner: UserId, id: FileId) -> Result<FileOrUpload> {
        self.reachable_file_or_upload(filter::row_of(owner, id)).await
    }

    /// The file, the upload that is to become the file, the document in the trash, or the bytes of a preview, whatever is
    /// above it: for the worker, which makes thumbnails of all these.
    pub async fn stored(&self, id: FileId) -> Result<FileOrUpload> {
        run(self.rows.find_one(filter::live(id))).await?.ok_or(Error::NotFound)?.into_stored()
    }

    /// A document of any state that has the object with this key, and no tombstone.
    pub async fn with_key(&self, key: &Key) -> Result<Option<File>> {
        let find = || run(self.rows.find_one(filter::stored_with_key(key)).hint(filter::key_index()));
        Ok(self.with_indexes(find).await?.map(File::from))
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
        let index = Hint::Keys(filter::pages());
        let rows = match self.page_by(Some(index), owner, parent, skip).await {
            // A database of the original has no index before the first upload.
            Err(error) if is_missing_index(&error) => self.page_by(None, owner, parent, skip).await?,
            answer => answer?,
        };
        Ok(rows.into_iter().map(File::from).collect())
    }

    async fn page_by(&self, index: Option<Hint>, owner: UserId, parent: Parent, skip: u64) -> Result<Vec<Row>> {
        let page = self.rows.find(filter::visible_inside(owner, parent)).sort(filter::by_id()).skip(skip);
        let page = page.optional(index, Find::hint);
        run(async { page.limit(limits::PAGE_SIZE.into()).await?.try_collect().await }).await
    }

    /// Checks that a new file of this owner may be put into this folder.
    ///
    /// # Errors
    /// `Parent not found`, also for a folder of another user; `Parent is not a folder`; `Too deep: 100 levels at most`.
    pub async fn check_parent(&self, owner: UserId, parent: Parent) -> Result<()> {
        let Parent::Folder(id) = parent else { return Ok(()) };
        match self.position(filter::visible_of(owner, id)).await? {
            None => Err(Error::Invalid("Parent not found")),
            Some(Position { is_folder: false, .. }) => Err(Error::Invalid("Parent is not a folder")),
            Some(Position { level: limits::MAX_FOLDER_DEPTH.., .. }) => {
                Err(Error::Invalid("Too deep: 100 levels at most"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Returns whether the folder exists, without a tombstone on it or above it.
    pub(super) async fn is_reachable(&self, folder: Document) -> Result<bool> {
        Ok(self.position(folder).await?.is_some())
    }

    /// Returns whether a folder exists, without a tombstone on it or above it. It may be in the trash.
    pub(super) async fn is_not_deleted(&self, folder: FileId) -> Result<bool> {
        let steps = filter::not_deleted_above(filter::row(folder)).into_iter().chain(filter::position());
        let found = async { self.rows.aggregate(steps).with_type::<Position>().await?.try_next().await };
        Ok(run(found).await?.is_some())
    }

    /// Returns whether a document of this owner's, of any state, is somewhere below a folder.
    pub async fn is_inside(&self, owner: UserId, id: FileId, folder: FileId) -> Result<bool> {
        let rows = self.rows.clone_with_type::<RawDocumentBuf>();
        let rows = rows.aggregate(filter::inside_anywhere(owner, id, folder)).hint(Hint::Keys(filter::by_id()));
        Ok(run(async { rows.await?.try_next().await }).await?.is_some())
    }

    /// The position of the matching row, unless there is a tombstone on it or above it.
    async fn position(&self, matching: Document) -> Result<Option<Position>> {
        self.find_reachable(matching, filter::position()).await
    }

    /// Returns whether a folder of this owner's is hidden, by itself or by a folder above it.
    pub(super) async fn is_deleted(&self, owner: UserId, folder: FileId) -> Result<bool> {
        if self.is_reachable(filter::visible_of(owner, folder)).await? {
            return Ok(false);
        }
        Ok(run(self.rows.find_one(filter::row_of(owner, folder))).await?.is_some())
    }

    /// The matching row, unless there is a tombstone on it or above it.
    pub(super) async fn reachable(&self, matching: Document) -> Result<Option<Row>> {
        self.find_reachable(matching, filter::without_folders()).await
    }

    /// The matching file with the account of its owner, unless there is a tombstone on it or above it.
    async fn reachable_with_account(&self, matching: Document) -> Result<Option<WithAccount>> {
        let row: Option<RawDocumentBuf> = self.find_reachable(matching, filter::with_account()).await?;
        let Some(row) = row else { return Ok(None) };
        let file: Row = read(&row)?;
        Ok(Some(WithAccount { file: file.into(), row }))
    }

    /// The matching file or upload, unless there is a tombstone on it or above it.
    async fn reachable_file_or_upload(&self, matching: Document) -> Result<FileOrUpload> {
        self.reachable(matching).await?.ok_or(Error::NotFound)?.try_into()
    }

    /// The first matching row, after the `last` steps of the pipeline; `None` if there is a tombstone on the row or
    /// above it.
    pub(super) async fn find_reachable<T>(
        &self,
        matching: Document,
        last: impl IntoIterator<Item = Document>,
    ) -> Result<Option<T>>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        let steps = filter::reachable(matching).into_iter().chain(last);
        let rows = self.rows.aggregate(steps).hint(Hint::Keys(filter::by_id()));
        run(async { rows.with_type::<T>().await?.try_next().await }).await
    }
}

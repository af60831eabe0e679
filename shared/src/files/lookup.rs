//! Reads of the ledger. A read checks every folder above a row, so a tombstone hides everything below it.

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, deserialize_from_slice, doc};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    File, FileOrUpload, Parent,
    ledger::{Files, owned},
    row::Row,
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::mongo::run,
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

fn read<T: DeserializeOwned>(row: &RawDocument) -> Result<T> {
    deserialize_from_slice(row.as_bytes()).map_err(|error| Error::Internal(error.into()))
}

/// The level of a row, and whether it is a folder.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    is_folder: bool,
    /// The level: 1 in the root, one more for each folder above, never more than [`limits::MAX_FOLDER_DEPTH`].
    level: u32,
}

impl Files {
    /// The file of any owner, with the owner's account.
    pub async fn file_with_account(&self, id: FileId) -> Result<WithAccount> {
        self.reachable_with_account(doc! { "_id": id, "state": null }).await?.ok_or(Error::NotFound)
    }

    /// The owner's file, with the owner's account.
    pub async fn file_of_with_account(&self, owner: UserId, id: FileId) -> Result<Option<WithAccount>> {
        self.reachable_with_account(owned(owner, id)).await
    }

    /// The file of any owner.
    pub async fn file(&self, id: FileId) -> Result<File> {
        self.reachable(doc! { "_id": id, "state": null }).await?.map(File::from).ok_or(Error::NotFound)
    }

    /// The owner's file.
    pub async fn file_of(&self, owner: UserId, id: FileId) -> Result<File> {
        self.reachable(owned(owner, id)).await?.map(File::from).ok_or(Error::NotFound)
    }

    /// The file, or the upload that is to become the file, of any owner.
    pub async fn file_or_upload(&self, id: FileId) -> Result<FileOrUpload> {
        self.reachable_file_or_upload(doc! { "_id": id }).await
    }

    /// The owner's file, or the upload that is to become the file.
    pub async fn file_or_upload_of(&self, owner: UserId, id: FileId) -> Result<FileOrUpload> {
        self.reachable_file_or_upload(doc! { "_id": id, "userId": owner }).await
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
        let there = doc! { "userId": owner, "parentId": inside(parent), "state": null };
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

    /// Returns whether the folder exists, without a tombstone on it or above it.
    pub(super) async fn is_reachable(&self, folder: Document) -> Result<bool> {
        Ok(self.position(folder).await?.is_some())
    }

    /// The position of the matching row, unless there is a tombstone on it or above it.
    async fn position(&self, matching: Document) -> Result<Option<Position>> {
        let position = doc! {
            "_id": 0, "isFolder": { "$eq": ["$type", "folder"] }, "level": { "$add": [{ "$size": "$folders" }, 1] },
        };
        self.find_reachable(matching, [doc! { "$project": position }]).await
    }

    /// Returns whether there is a tombstone of this owner's on a folder or above it.
    async fn is_deleted(&self, owner: UserId, folder: FileId) -> Result<bool> {
        let folder = doc! { "_id": folder, "userId": owner };
        if self.is_reachable(folder.clone()).await? {
            return Ok(false);
        }
        Ok(run(self.rows.find_one(folder)).await?.is_some())
    }

    /// The matching row, unless there is a tombstone on it or above it.
    async fn reachable(&self, matching: Document) -> Result<Option<Row>> {
        self.find_reachable(matching, [doc! { "$unset": "folders" }]).await
    }

    /// The matching file with the account of its owner, unless there is a tombstone on it or above it.
    async fn reachable_with_account(&self, matching: Document) -> Result<Option<WithAccount>> {
        let owner = doc! { "from": "users", "localField": "userId", "foreignField": "_id", "as": "owner" };
        let unset = doc! { "$unset": ["folders", "owner.password"] };
        let Some(row) = self.find_reachable::<RawDocumentBuf>(matching, [doc! { "$lookup": owner }, unset]).await?
        else {
            return Ok(None);
        };
        let file: Row = read(&row)?;
        Ok(Some(WithAccount { file: file.into(), row }))
    }

    /// The matching file or upload, unless there is a tombstone on it or above it.
    async fn reachable_file_or_upload(&self, matching: Document) -> Result<FileOrUpload> {
        self.reachable(matching).await?.ok_or(Error::NotFound)?.try_into()
    }

    /// The first matching row, with the folders above it, after the `last` steps of the pipeline; `None` if there is a
    /// tombstone on the row or above it.
    ///
    /// A folder of another user, which the original allowed as a parent, ends the walk up: its content is not deleted
    /// with this folder, nor with one above it. Nothing can be created below [`limits::MAX_FOLDER_DEPTH`] levels. Older
    /// rows may be deeper; for these the walk ends after as many levels, so that no read takes long. A row that is so
    /// deep can be read and deleted like any other. But a tombstone further up hides the row only when the sweeper,
    /// which goes down level by level, has come near enough.
    async fn find_reachable<T>(&self, matching: Document, last: impl IntoIterator<Item = Document>) -> Result<Option<T>>
    where
        T: DeserializeOwned + Send + Sync + Unpin,
    {
        // A row in the root has no folders above it: the lookup starts with an empty list and finds nothing.
        let folder = doc! { "$cond": [{ "$eq": [{ "$type": "$parentId" }, "objectId"] }, "$parentId", []] };
        // The lowest folder for which the condition holds, in levels above the row.
        let lowest = |are: Document| {
            let levels = doc! { "$filter": { "input": "$folders", "as": "folder", "cond": are } };
            let levels = doc! { "$map": { "input": levels, "as": "folder", "in": "$$folder.above" } };
            doc! { "$ifNull": [{ "$min": levels }, limits::MAX_FOLDER_DEPTH] }
        };
        let tombstoned = lowest(doc! { "$eq": ["$$folder.state", "deleted"] });
        let of_others = lowest(doc! { "$ne": ["$$folder.userId", "$userId"] });
        let steps = [
            doc! { "$match": matching },
            doc! { "$match": { "state": { "$ne": "deleted" } } },
            doc! { "$graphLookup": {
                "from": self.rows.name(),
                "startWith": folder,
                "connectFromField": "parentId",
                "connectToField": "_id",
                // The depth counts from 0, the folder of the row, so a row at the last level sees all folders above it.
                "maxDepth": limits::MAX_FOLDER_DEPTH - 2,
                "depthField": "above",
                "as": "folders",
            } },
            doc! { "$match": { "$expr": { "$gte": [tombstoned, of_others] } } },
        ];
        let steps = steps.into_iter().chain(last);
        run(async { self.rows.aggregate(steps).with_type::<T>().await?.try_next().await }).await
    }
}

/// A filter value that matches every row in this folder.
fn inside(folder: Parent) -> Bson {
    match folder {
        Parent::Root | Parent::LegacyRoot => doc! { "$in": [0, "0"] }.into(),
        Parent::Folder(id) => id.into(),
    }
}

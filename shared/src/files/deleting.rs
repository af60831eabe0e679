//! How rows go, with their objects: a tombstone makes a row, and everything below it, invisible at once; the objects and
//! then the row follow when the sweeper comes.

use futures_util::TryStreamExt;
use mongodb::bson::{DateTime, Document, doc, oid::ObjectId};

use super::{FileId, Files, Found, Parent, Pending, Row, from_now, owned, still_pending};
use crate::{
    Error, Result, limits,
    mongo::{answer, answer_within},
    objects::Key,
    users::UserId,
};

/// A row with a tombstone, and all that goes with it.
pub struct Doomed {
    id: FileId,
    owner: UserId,
    key: Option<Key>,
    /// Where its bytes may have begun to come to S3 in parts.
    parts: Option<Key>,
    is_folder: bool,
    is_image: bool,
    /// Another attempt at making it may be under way.
    may_come_again: bool,
}

impl Doomed {
    /// What there may be of it in the bucket.
    pub fn objects(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.key.iter().cloned().collect();
        keys.extend(self.key.as_ref().filter(|key| key.is_of_upload()).map(Key::of_form));
        if self.is_image {
            keys.extend(limits::THUMBNAIL_WIDTHS.map(|width| Key::of_thumbnail(self.id, width)));
        }
        keys
    }

    /// Where parts may have come.
    pub fn parts(&self) -> Option<&Key> {
        self.parts.as_ref()
    }
}

impl From<Row> for Doomed {
    fn from(row: Row) -> Self {
        Self {
            id: FileId(row.id),
            owner: UserId(row.user_id),
            parts: row.key.clone().filter(|_| row.may_be_in_parts()),
            is_folder: row.is_folder(),
            is_image: row.is_image(),
            may_come_again: row.is_repeatable,
            key: row.key,
        }
    }
}

fn tombstone() -> Document {
    doc! { "$set": { "state": "deleted", "expiresAt": DateTime::now() } }
}

impl Files {
    /// Deletes a file, an image, or a folder with everything in it.
    ///
    /// # Errors
    /// `NotFound` if it is not the owner's, or there no more.
    pub async fn delete(&self, owner: UserId, id: FileId) -> Result<()> {
        let done = answer(self.rows.update_one(owned(owner, id), tombstone())).await?;
        if done.matched_count == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Deletes everything that somebody has.
    pub async fn bury_all_of(&self, UserId(owner): UserId) -> Result<()> {
        let theirs = doc! { "userId": owner, "state": { "$ne": "deleted" } };
        answer_within(limits::MONGODB_BULK, self.rows.update_many(theirs, tombstone())).await?;
        Ok(())
    }

    /// Makes an upload one that will never be visible. `None` if it is visible already, or gone.
    pub async fn bury(&self, pending: &Pending) -> Result<Option<Doomed>> {
        let done = answer(self.rows.find_one_and_update(still_pending(pending.file.id), tombstone())).await?;
        // What was not visible has no thumbnails.
        Ok(done.map(|row| Doomed { is_image: false, ..row.into() }))
    }

    /// Rows that nobody will finish: uploads past their grace period, which this buries, and what was buried
    /// before.
    pub async fn take_expired(&self) -> Result<Vec<Doomed>> {
        let expired = doc! { "state": { "$exists": true }, "expiresAt": { "$lte": DateTime::now() } };
        let rows = async {
            let rows = self.rows.find(expired.clone()).sort(doc! { "expiresAt": 1 }).limit(limits::SWEEP_ROWS).await?;
            rows.try_collect::<Vec<Row>>().await
        };
        let rows = answer(rows).await?;
        // From here on no upload among them can finish. No attempt at one is under way: it would have begun its time anew.
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let mut still = expired;
        still.extend(doc! { "_id": { "$in": &ids }, "state": "pending" });
        let given_up = doc! { "$set": { "state": "deleted" }, "$unset": { "isRepeatable": "" } };
        answer(self.rows.update_many(still, given_up)).await?;
        // One of them may have been finished in between.
        let buried = doc! { "_id": { "$in": ids }, "state": "deleted" };
        let rows = async { self.rows.find(buried).await?.try_collect::<Vec<Row>>().await };
        Ok(answer(rows).await?.into_iter().map(Doomed::from).collect())
    }

    /// Forgets rows whose objects are gone. What lies in a folder of them is buried before. A row that may be made again
    /// stays a while, so that it is not, and to be taken once more with the bytes that may have come.
    pub async fn forget(&self, doomed: &[Doomed]) -> Result<()> {
        for folder in doomed.iter().filter(|row| row.is_folder) {
            let inside = doc! { "userId": folder.owner.0, "parentId": folder.id.0, "state": { "$ne": "deleted" } };
            answer_within(limits::MONGODB_BULK, self.rows.update_many(inside, tombstone())).await?;
        }
        let (kept, gone): (Vec<&Doomed>, Vec<&Doomed>) = doomed.iter().partition(|row| row.may_come_again);
        let buried = |rows: &[&Doomed]| {
            let ids: Vec<ObjectId> = rows.iter().map(|row| row.id.0).collect();
            doc! { "_id": { "$in": ids }, "state": "deleted" }
        };
        if !kept.is_empty() {
            let later = doc! { "$set": { "expiresAt": from_now(limits::LATE) }, "$unset": { "isRepeatable": "" } };
            answer(self.rows.update_many(buried(&kept), later)).await?;
        }
        answer(self.rows.delete_many(buried(&gone))).await?;
        Ok(())
    }

    /// Deletes what has come into a folder that has gone meanwhile: the sweeper may have been there before.
    ///
    /// # Errors
    /// `Parent not found` if it was so.
    pub(super) async fn check_still_in(&self, parent: Parent, id: FileId) -> Result<()> {
        let Parent::Folder(FileId(folder)) = parent else { return Ok(()) };
        if self.stands(folder).await? {
            return Ok(());
        }
        answer(self.rows.update_one(doc! { "_id": id.0 }, tombstone())).await?;
        Err(Error::Invalid("Parent not found"))
    }

    /// Whether there is such a folder, and no tombstone on it or above it.
    async fn stands(&self, folder: ObjectId) -> Result<bool> {
        Ok(self.reachable(doc! { "_id": folder }).await?.is_some())
    }

    /// Whether there is a tombstone on a folder or above it.
    pub(super) async fn is_deleted(&self, folder: ObjectId) -> Result<bool> {
        if self.stands(folder).await? {
            return Ok(false);
        }
        Ok(answer(self.rows.find_one(doc! { "_id": folder })).await?.is_some())
    }

    /// The row that this matches, unless there is a tombstone on it or above it.
    pub(super) async fn reachable(&self, matching: Document) -> Result<Option<Row>> {
        let steps = [
            doc! { "$match": matching },
            doc! { "$match": { "state": { "$ne": "deleted" } } },
            doc! { "$graphLookup": {
                "from": self.rows.name(),
                "startWith": "$parentId",
                "connectFromField": "parentId",
                "connectToField": "_id",
                "as": "folders",
            } },
            doc! { "$match": { "folders.state": { "$ne": "deleted" } } },
            doc! { "$unset": "folders" },
        ];
        let row = async { self.rows.aggregate(steps).with_type::<Row>().await?.try_next().await };
        answer(row).await
    }

    /// The same of the file that it is or will be.
    pub(super) async fn found(&self, matching: Document) -> Result<Found> {
        self.reachable(matching).await?.ok_or(Error::NotFound)?.try_into()
    }
}

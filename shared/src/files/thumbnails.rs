//! The thumbnails of images: which are due, made or impossible, and the marks of decodings.

use std::time::SystemTime;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc, serialize_to_bson};
use serde::Deserialize;

use super::{
    Decoding, File, ThumbnailFile,
    ledger::{Files, owned},
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::mongo::run,
    time::Timestamp,
};

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

impl Files {
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
}

/// The filter for images whose thumbnails were overdue at this moment.
fn overdue(at: SystemTime) -> Document {
    doc! { "thumbnailsDueAt": { "$lt": Timestamp::from(at) }, "state": null }
}

/// The fields to unset when the thumbnails of an image are not due any more.
fn no_longer_due() -> Document {
    doc! { "thumbnailsDueAt": "", "thumbnailsResent": "" }
}

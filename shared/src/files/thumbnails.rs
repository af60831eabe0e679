//! The thumbnails of images: which are due, made or impossible, and the marks of decodings.

use std::time::SystemTime;

use futures_util::TryStreamExt;
use mongodb::bson::{Document, serialize_to_bson};

use super::{
    Decoding, File, Picture, ThumbnailFile,
    ledger::Files,
    row::{Marks, Owned, filter, update},
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::mongo::run,
    time::Timestamp,
};

impl Files {
    /// Marks that a decoding of the image begins, unless more than `unfinished` decodings have begun and not ended.
    ///
    /// # Errors
    /// `NotFound` if the image has been deleted meanwhile.
    pub async fn mark_decoding(&self, file: &File, unfinished: u32) -> Result<Decoding> {
        let decodable = filter::decodable(file.owner, file.id, unfinished);
        if run(self.rows.update_one(decodable, update::decoding_begins())).await?.matched_count == 1 {
            return Ok(Decoding::Begins);
        }
        let rows = self.rows.clone_with_type::<Marks>();
        let image = rows.find_one(filter::stored_of(file.owner, file.id)).projection(filter::only_marks());
        let marks = run(image).await?.ok_or(Error::NotFound)?;
        Ok(Decoding::Unfinished(marks.decodings))
    }

    /// Removes the mark: the worker has survived the decoding, whatever its outcome. Does nothing if the image has been
    /// deleted.
    pub async fn clear_decoding(&self, file: &File) -> Result<()> {
        run(self.rows.update_one(filter::stored_of(file.owner, file.id), update::decoding_ended())).await?;
        Ok(())
    }

    /// Records that the thumbnails are stored. `NotFound` if the image has been deleted meanwhile; then the thumbnails
    /// must be deleted too. Copies and versions of the image have the same thumbnails. An image with a preview keeps the
    /// thumbnails of the preview, and only gets the facts about its own picture.
    pub async fn thumbnails_ready(&self, file: &File, made: &[ThumbnailFile], picture: &Picture) -> Result<()> {
        let key = file.key().ok_or(Error::NotFound)?;
        let stored = serialize_to_bson(&made).and_then(|made| Ok((made, serialize_to_bson(picture)?)));
        let (made, picture) = stored.map_err(|error| Error::Internal(error.into()))?;
        if file.ready_preview().is_none() {
            let images = filter::images_with_thumbnails(key, file.thumbnails_id);
            let ready = update::thumbnails_ready(made, picture.clone());
            if run(self.rows.update_many(images, ready)).await?.matched_count > 0 {
                return Ok(());
            }
        }
        let previewed = self.rows.update_many(filter::images_with_preview(key), update::picture_ready(picture));
        if run(previewed).await?.matched_count == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Returns whether a row without a tombstone has the thumbnails with this id in their keys.
    pub async fn has_thumbnails_of(&self, id: FileId) -> Result<bool> {
        if run(self.rows.find_one(filter::live_with_own_thumbnails(id)).projection(filter::only_id())).await?.is_some()
        {
            return Ok(true);
        }
        let others = || {
            let others = self.rows.find_one(filter::live_with_thumbnails_id(id)).hint(filter::thumbnails_index());
            run(others.projection(filter::only_id()))
        };
        Ok(self.with_indexes(others).await?.is_some())
    }

    /// Records that the image cannot have thumbnails, with a reason for its owner. Does nothing if another job has made
    /// the thumbnails, or if the image has been deleted.
    pub async fn thumbnails_failed(&self, file: &File, reason: &str) -> Result<()> {
        self.fail(filter::stored_of(file.owner, file.id), update::thumbnails_failed(reason)).await
    }

    /// Records the same for an image that workers have died of. The marks stay, so that no job decodes the image again.
    pub async fn give_up_decoding(&self, file: &File, reason: &str) -> Result<()> {
        self.fail(filter::stored_of(file.owner, file.id), update::thumbnails_failed_with_marks(reason)).await
    }

    async fn fail(&self, images: Document, failed: Document) -> Result<()> {
        run(self.rows.update_many(filter::not_ready(images), failed)).await?;
        Ok(())
    }

    /// Takes images whose thumbnails were overdue at this moment, up to [`limits::SWEEP_BATCH`], and starts their grace
    /// period again.
    pub async fn take_overdue(&self, at: SystemTime) -> Result<Vec<(UserId, FileId)>> {
        let (at, rows) = (at.into(), self.rows.clone_with_type::<Owned>());
        let some = async {
            let some = rows.find(filter::overdue(at)).sort(filter::by_due_time()).limit(limits::SWEEP_BATCH);
            some.projection(filter::only_owner()).await?.try_collect::<Vec<Owned>>().await
        };
        let ids: Vec<FileId> = run(some).await?.iter().map(|row| row.id).collect();
        let later = Timestamp::now() + self.thumbnail_grace;
        run(self.rows.update_many(filter::overdue_among(at, &ids), update::set_due(later))).await?;
        // Another run may have taken some of the images meanwhile, and the worker may have finished some.
        let taken = rows.find(filter::due_at(later, &ids)).projection(filter::only_owner());
        let rows = async { taken.await?.try_collect::<Vec<Owned>>().await };
        Ok(run(rows).await?.into_iter().map(|row| (row.user_id, row.id)).collect())
    }

    /// Counts that the jobs of these images have been sent again. The time until the next sending doubles each time.
    pub async fn mark_resent(&self, images: &[FileId]) -> Result<()> {
        // Images that the worker has finished are left out.
        run(self.rows.update_many(filter::still_due(images), update::job_resent(self.thumbnail_grace))).await?;
        Ok(())
    }

    /// Marks images and previews as failed that were overdue at this moment, though their job has been sent again
    /// [`limits::MAX_RESENDS`] times.
    pub async fn give_up_overdue(&self, at: SystemTime) -> Result<()> {
        let failed = update::thumbnails_failed_with_marks("given up after many attempts");
        self.fail(filter::overdue_and_resent(at.into()), failed).await?;
        // The sweep removes these, and tells their documents.
        let previews = filter::previews_overdue_and_resent(at.into());
        run(self.rows.update_many(previews, update::delete_at(Timestamp::now()))).await?;
        Ok(())
    }
}

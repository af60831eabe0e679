//! Previews: a picture that the owner gives a document, whose thumbnails stand in for those of the document.
//!
//! The bytes have a row of their own, which nobody sees: a version of the document that no list of versions shows. So
//! they are counted, swept and deleted like a version, and the worker makes their thumbnails like those of an image. (1)
//! The row is inserted, its bytes are stored, and it says so. (2) The document notes which preview it waits for. (3) The
//! worker makes the thumbnails, under the id of the row. (4) One update gives the document these thumbnails, if it still
//! waits for this preview. (5) The row gets a tombstone; the thumbnails stay, because the document has them.
//!
//! Every step can be repeated. A function that dies leaves a row whose job the sweeper sends again, and which expires. If
//! the document does not wait for the preview any more, row and thumbnails go.

use super::{
    File, IfMatch, Kind, ThumbnailFile, Tombstone,
    ledger::Files,
    row::{Charge, Row, filter, update},
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::{mongo::run, s3::Key},
    time::Timestamp,
};

/// A preview whose bytes are not stored yet.
pub struct NewPreview {
    pub id: FileId,
    /// The key of the bytes.
    pub key: Key,
    document: FileId,
    owner: UserId,
}

impl Files {
    /// Inserts the invisible row of a preview of this size.
    ///
    /// # Errors
    /// `A folder has no preview`; `Changed`; `OverQuota`.
    pub async fn begin_preview(&self, document: &File, size: u64, if_match: &IfMatch) -> Result<NewPreview> {
        if document.kind == Kind::Folder {
            return Err(Error::Invalid("A folder has no preview"));
        }
        if_match.check(document.revision)?;
        let key = Key::random()?;
        let row = Row::preview(document, size, key.clone(), Timestamp::now() + self.upload_grace);
        let (owner, id) = (document.owner, row.id);
        let charge = Charge { bytes: row.charge_of_copy().bytes, count: 0 };
        let note = self.reserve(owner, id, charge).await?;
        if let Err(error) = self.insert(&row.charged(note)).await {
            self.take_back(owner, id, note).await;
            return Err(error);
        }
        Ok(NewPreview { id, key, document: document.id, owner })
    }

    /// Lets the document wait for a preview whose bytes are stored, in place of an earlier one. Returns the document.
    ///
    /// # Errors
    /// `NotFound` if the document has been deleted meanwhile; `Changed`.
    pub async fn finish_preview(&self, preview: &NewPreview, if_match: &IfMatch) -> Result<File> {
        let NewPreview { id, document, owner, .. } = *preview;
        let now = Timestamp::now();
        let stored = update::show_preview(now + limits::PREVIEW_TTL, now + self.thumbnail_grace);
        if run(self.rows.update_one(filter::pending(id), stored)).await?.matched_count == 0 {
            return Err(Error::Unavailable(anyhow::anyhow!("the preview took longer than its grace period")));
        }
        let visible = filter::visible_of(owner, document);
        let waits = self.rows.find_one_and_update(if_match.restrict(visible.clone()), update::await_preview(id));
        let Some(before) = run(waits).await? else {
            self.delete_preview(id, now).await?;
            return Err(self.why_unchanged(visible).await?);
        };
        if let Some(earlier) = before.due_preview() {
            self.delete_preview(earlier, now).await?;
        }
        Ok(before.awaiting(id).into())
    }

    /// Gives the document of a preview its thumbnails, which are stored. Returns `false` if the document does not wait for
    /// it: it was given another one, or other content, or is deleted; or another job was faster.
    pub async fn preview_ready(&self, preview: &File, made: &[ThumbnailFile], thumbhash: &str) -> Result<bool> {
        let document = preview.preview_of.ok_or(Error::NotFound)?;
        let made = mongodb::bson::serialize_to_bson(&made).map_err(|error| Error::Internal(error.into()))?;
        let (mut is_taken, mut attempts) = (false, 0..limits::EXCHANGE_ATTEMPTS);
        while !is_taken {
            if attempts.next().is_none() {
                return Err(Error::Unavailable(anyhow::anyhow!("the document changes too often")));
            }
            let waiting = filter::awaiting_preview(preview.owner, document, preview.id);
            let Some(before) = run(self.rows.find_one(waiting)).await? else { break };
            // A copy, or an exchange of content, may be about to store a row with the thumbnails that the document had.
            // Unless one has by then, the sweeper deletes them.
            if before.has_thumbnails() {
                let remains = Row::remains_of_content(&before, Timestamp::now() + limits::IN_FLIGHT_GRACE);
                self.insert(&remains).await?;
            }
            let ready = update::preview_ready(preview.id, made.clone(), thumbhash);
            let done = self.rows.update_one(filter::awaiting_preview_as(&before, preview.id), ready);
            is_taken = run(done).await?.matched_count == 1;
        }
        // An exchange of content that has read the document before stores its earlier thumbnails, and not these.
        self.delete_preview(preview.id, Timestamp::now() + limits::IN_FLIGHT_GRACE).await?;
        Ok(is_taken)
    }

    /// Notes at the document of a preview that it was no picture, if the document waits for it.
    pub async fn preview_failed(&self, preview: &File) -> Result<()> {
        let document = preview.preview_of.ok_or(Error::NotFound)?;
        let waiting = filter::awaiting_preview(preview.owner, document, preview.id);
        run(self.rows.update_one(waiting, update::preview_failed())).await?;
        self.delete_preview(preview.id, Timestamp::now()).await
    }

    /// Sets the tombstone of the row of a preview, to be removed at this time.
    async fn delete_preview(&self, preview: FileId, at: Timestamp) -> Result<()> {
        run(self.rows.update_one(filter::preview(preview), update::delete_at(at))).await?;
        Ok(())
    }

    /// Notes at the documents of previews that they failed whose rows are about to be removed without an outcome.
    pub(super) async fn fail_previews(&self, tombstones: &[Tombstone]) -> Result<()> {
        let (documents, previews): (Vec<FileId>, Vec<FileId>) =
            tombstones.iter().filter_map(|row| Some((row.preview_of()?, row.id()))).unzip();
        if !previews.is_empty() {
            run(self.rows.update_many(filter::all_awaiting(&documents, &previews), update::preview_failed())).await?;
        }
        Ok(())
    }
}

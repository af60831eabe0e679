//! Deletion of rows and of their objects. A tombstone hides a row, and everything below it, at once. The sweeper then
//! deletes the objects, and after the objects the row.

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, RawDocumentBuf};

use super::{
    Parent, Pending,
    ledger::Files,
    row::{Row, filter, update},
};
use crate::{
    Error, Result,
    ids::{FileId, TicketId, UserId},
    limits,
    stores::{
        mongo::{id, id_to_string, run, run_within},
        s3::Key,
    },
    time::Timestamp,
};

/// A row with a tombstone, and everything that is deleted with it.
pub struct Tombstone {
    id: FileId,
    owner: UserId,
    key: Option<Key>,
    /// The key that parts may have been uploaded to.
    parts: Option<Key>,
    /// The ticket that counts the upload, if the upload never became visible.
    ticket: Option<TicketId>,
    is_folder: bool,
    is_image: bool,
    /// True if another attempt may be creating the row.
    is_repeatable: bool,
}

impl Tombstone {
    /// The objects of the row that may be in the bucket.
    pub fn objects(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.key.iter().cloned().collect();
        keys.extend(self.key.as_ref().filter(|key| key.is_of_upload()).map(Key::of_form));
        if self.is_image {
            keys.extend(limits::THUMBNAIL_WIDTHS.map(|width| Key::of_thumbnail(self.id, width)));
        }
        keys
    }

    /// The key that may have multipart uploads.
    pub fn multipart_key(&self) -> Option<&Key> {
        self.parts.as_ref()
    }

    /// The ticket to give the file back to, and the upload that it counted.
    pub fn ticketed(&self) -> Option<(TicketId, FileId)> {
        self.ticket.map(|ticket| (ticket, self.id))
    }
}

impl From<Row> for Tombstone {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            owner: row.user_id,
            parts: row.key.clone().filter(|_| row.may_be_in_parts()),
            ticket: row.ticket_id,
            is_folder: row.may_be_folder(),
            is_image: row.may_be_image(),
            is_repeatable: row.is_repeatable,
            key: row.key,
        }
    }
}

impl Files {
    /// Deletes a file, an image, or a folder with everything in it.
    ///
    /// Deleting sets one tombstone. Reads check every ancestor of a row, so the whole subtree is hidden at once. The
    /// sweeper removes the objects and the rows afterwards, level by level.
    ///
    /// # Errors
    /// `NotFound` if this owner has no such visible row.
    pub async fn delete(&self, owner: UserId, id: FileId) -> Result<()> {
        let done = run(self.rows.update_one(filter::visible_of(owner, id), update::delete())).await?;
        if done.matched_count == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Sets a tombstone on every row of a user.
    pub async fn tombstone_all(&self, owner: UserId) -> Result<()> {
        let theirs = filter::not_deleted_of(owner);
        run_within(limits::MONGODB_BULK_TIMEOUT, self.rows.update_many(theirs, update::delete_upload())).await?;
        Ok(())
    }

    /// Sets the tombstone of a pending upload, which then never becomes visible. `None` if the upload is visible
    /// already, or deleted.
    pub async fn tombstone(&self, pending: &Pending) -> Result<Option<Tombstone>> {
        let still_pending = filter::pending(pending.file.id);
        let done = run(self.rows.find_one_and_update(still_pending, update::delete_upload())).await?;
        // A row that was never visible has no thumbnails.
        Ok(done.map(|row| Tombstone { is_image: false, ..row.into() }))
    }

    /// Rows to purge: rows with a tombstone, and uploads past their grace period, which get a tombstone here. Empty if
    /// there are no more.
    ///
    /// A row that cannot be read is skipped for [`limits::UNREADABLE_ROW_DELAY`], with a line in the log. Otherwise the
    /// next query would find it again at once, and five hundred such rows would keep the sweeper from all others.
    pub async fn take_expired(&self) -> Result<Vec<Tombstone>> {
        loop {
            let found = self.expired().await?;
            if found.is_empty() {
                return Ok(Vec::new());
            }
            let (mut tombstones, mut unreadable) = (Vec::new(), Vec::new());
            for row in found {
                match Row::to_delete(&row) {
                    Ok(row) => tombstones.push(row.into()),
                    Err(reason) => {
                        let id = id(&row);
                        let row = id_to_string(&id);
                        tracing::warn!(row, reason, "the sweeper leaves a row alone that it cannot read");
                        unreadable.push(id);
                    }
                }
            }
            if !unreadable.is_empty() {
                let later = update::expire(Timestamp::now() + limits::UNREADABLE_ROW_DELAY);
                run(self.rows.update_many(filter::deleted(&unreadable), later)).await?;
            }
            if !tombstones.is_empty() {
                return Ok(tombstones);
            }
        }
    }

    /// Stored rows with a tombstone whose time is over, and uploads past their grace period, which get their tombstone
    /// here.
    async fn expired(&self) -> Result<Vec<RawDocumentBuf>> {
        let (now, rows) = (Timestamp::now(), self.rows.clone_with_type::<RawDocumentBuf>());
        let find = rows.find(filter::expired(now)).projection(filter::for_sweep()).sort(filter::by_expiry());
        let found: Vec<RawDocumentBuf> =
            run(async { find.limit(limits::SWEEP_BATCH).await?.try_collect().await }).await?;
        if found.iter().all(|row| Row::is_deleted(row)) {
            return Ok(found);
        }
        // After this update none of these uploads can finish. No attempt at one is running: it would have started the
        // grace period again.
        let ids: Vec<Bson> = found.iter().map(|row| id(row)).collect();
        run(self.rows.update_many(filter::expired_uploads(now, &ids), update::delete_expired_upload())).await?;
        // One of the uploads may have finished before the update.
        let tombstoned = rows.find(filter::deleted(&ids)).projection(filter::for_sweep());
        run(async { tombstoned.await?.try_collect().await }).await
    }

    /// Deletes rows whose objects are gone, after tombstoning a folder's children. Rows of idempotent requests keep
    /// their tombstone for [`limits::IN_FLIGHT_GRACE`], so that a late retry cannot recreate them. After that time they
    /// are taken again, together with bytes that the late retry may have stored.
    pub async fn purge(&self, tombstones: &[Tombstone]) -> Result<()> {
        for folder in tombstones.iter().filter(|row| row.is_folder) {
            let inside = filter::not_deleted_inside(folder.owner, folder.id);
            run_within(limits::MONGODB_BULK_TIMEOUT, self.rows.update_many(inside, update::delete_upload())).await?;
        }
        let (kept, gone): (Vec<&Tombstone>, Vec<&Tombstone>) = tombstones.iter().partition(|row| row.is_repeatable);
        let of = |rows: &[&Tombstone]| {
            let ids: Vec<FileId> = rows.iter().map(|row| row.id).collect();
            filter::deleted(&ids)
        };
        if !kept.is_empty() {
            run(self.rows.update_many(of(&kept), update::keep_tombstone(limits::IN_FLIGHT_GRACE))).await?;
        }
        run(self.rows.delete_many(of(&gone))).await?;
        Ok(())
    }

    /// Sets the tombstone of a row whose folder was deleted meanwhile, because the sweeper may have purged that folder
    /// already.
    ///
    /// # Errors
    /// `Parent not found` if the folder was deleted.
    pub(super) async fn check_parent_exists(&self, parent: Parent, id: FileId) -> Result<()> {
        let Parent::Folder(folder) = parent else { return Ok(()) };
        if self.is_reachable(filter::row(folder)).await? {
            return Ok(());
        }
        run(self.rows.update_one(filter::row(id), update::delete())).await?;
        Err(Error::Invalid("Parent not found"))
    }
}

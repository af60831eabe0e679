//! Deletion of rows and of their objects. A tombstone hides a row, and everything below it, at once. The sweeper then
//! deletes the objects, and after the objects the row.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, RawDocumentBuf, oid::ObjectId};
use serde::Deserialize;

use super::{
    File, IfMatch, Kind, Parent, Pending,
    ledger::Files,
    row::{Charge, Row, WithThumbnails, filter, update},
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

/// The key of a row.
#[derive(Deserialize)]
struct OfKey {
    key: Key,
}

/// The objects that rows without a tombstone have.
pub struct InUse {
    keys: HashSet<Key>,
    /// The ids in the keys of thumbnails. Rows with one key have the same, but for those with a preview.
    thumbnails: HashSet<FileId>,
}

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
    /// The id in the keys of the thumbnails, if the row may have some.
    thumbnails: Option<FileId>,
    /// The document that the row has the bytes of a preview for.
    preview_of: Option<FileId>,
    /// True if another attempt may be creating the row.
    is_repeatable: bool,
    /// What the quota counts for the row.
    charge: Charge,
    charge_id: Option<ObjectId>,
    /// Documents whose exchange of content the row may take part in.
    exchanges: Vec<FileId>,
    /// The row, if it is of a folder's copy that did not come to its end.
    unfinished_copy: Option<Box<Row>>,
}

impl Tombstone {
    pub fn id(&self) -> FileId {
        self.id
    }

    pub fn owner(&self) -> UserId {
        self.owner
    }

    pub(super) fn charge_id(&self) -> Option<ObjectId> {
        self.charge_id
    }

    pub(super) fn preview_of(&self) -> Option<FileId> {
        self.preview_of
    }

    pub(super) fn charge(&self) -> Charge {
        self.charge
    }

    /// The objects of the row that may be in the bucket, and that no other row names.
    pub fn objects(&self, in_use: &InUse) -> Vec<Key> {
        let of_upload = self.key.as_ref().filter(|key| key.is_of_upload());
        let mut keys: Vec<Key> = of_upload.map(Key::of_form).into_iter().collect();
        keys.extend(self.key.clone().filter(|key| !in_use.keys.contains(key)));
        if let Some(id) = self.thumbnails.filter(|id| !in_use.thumbnails.contains(id)) {
            keys.extend(limits::POSSIBLE_THUMBNAIL_WIDTHS.map(|width| Key::of_thumbnail(id, width)));
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
        let is_unfinished_copy = row.is_folder() && row.is_copy() && !row.is_charged();
        Self {
            id: row.id,
            owner: row.user_id,
            thumbnails: row.has_thumbnails().then(|| row.thumbnails_id()),
            preview_of: row.preview_of(),
            charge: row.charge(),
            charge_id: row.charge_id(),
            exchanges: [
                row.replaces(),
                row.version_of().filter(|_| row.preview_of().is_none()),
                row.exchange.as_ref().map(|_| row.id),
            ]
            .into_iter()
            .flatten()
            .collect(),
            parts: row.key.clone().filter(|_| row.may_be_in_parts()),
            ticket: row.ticket_id,
            is_folder: row.may_be_folder(),
            is_repeatable: row.is_repeatable,
            key: row.key.clone(),
            unfinished_copy: is_unfinished_copy.then(|| Box::new(row)),
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
    /// `Changed` if the row has another revision.
    pub async fn delete(&self, file: &File, if_match: &IfMatch) -> Result<()> {
        if file.kind == Kind::Folder {
            self.complete_moves(file.owner).await?;
        }
        let visible = filter::visible_of(file.owner, file.id);
        let done = run(self.rows.update_one(if_match.restrict(visible.clone()), update::delete())).await?;
        if done.matched_count == 0 { Err(self.why_unchanged(visible).await?) } else { Ok(()) }
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
        Ok(done.map(|row| Tombstone { thumbnails: None, ..row.into() }))
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
        run(self.rows.update_many(filter::expired_without_tombstone(now, &ids), update::delete_expired())).await?;
        // One of the uploads may have finished before the update.
        let tombstoned = rows.find(filter::deleted(&ids)).projection(filter::for_sweep());
        run(async { tombstoned.await?.try_collect().await }).await
    }

    /// Deletes rows whose objects are gone, after tombstoning a folder's children. Rows of idempotent requests keep
    /// their tombstone for [`limits::IN_FLIGHT_GRACE`], so that a late retry cannot recreate them. After that time they
    /// are taken again, together with bytes that the late retry may have stored.
    pub async fn purge(&self, tombstones: &[Tombstone]) -> Result<()> {
        for folder in tombstones.iter().filter(|row| row.is_folder) {
            if let Some(copy) = &folder.unfinished_copy {
                self.settle_copy_of(copy).await?;
            }
            self.tombstone_inside(folder.owner, folder.id).await?;
        }
        let documents: Vec<FileId> = tombstones.iter().filter(|row| !row.is_folder).map(|row| row.id).collect();
        self.delete_versions_of(&documents).await?;
        self.fail_previews(tombstones).await?;
        let claimed = self.claim(tombstones).await?;
        self.refund(&claimed).await?;
        let (kept, gone): (Vec<&Tombstone>, Vec<&Tombstone>) = claimed.iter().partition(|row| row.is_repeatable);
        let of = |rows: &[&Tombstone]| {
            let ids: Vec<FileId> = rows.iter().map(|row| row.id).collect();
            filter::deleted(&ids)
        };
        if !kept.is_empty() {
            run(self.rows.update_many(of(&kept), update::keep_tombstone(limits::IN_FLIGHT_GRACE))).await?;
        }
        run(self.rows.delete_many(of(&gone))).await?;
        self.forget_refunds(&claimed).await
    }

    /// Claims rows with a tombstone, as they are now, for [`limits::CLAIM_TTL`]: of two sweeps at the same time one takes
    /// a row off the counter of its owner. Rows that another sweep has claimed are left out.
    pub(super) async fn claim(&self, tombstones: &[Tombstone]) -> Result<Vec<Tombstone>> {
        let ids: Vec<FileId> = tombstones.iter().map(|row| row.id).collect();
        let (claim, now) = (ObjectId::new(), Timestamp::now());
        run(self.rows.update_many(filter::unclaimed(&ids, now - limits::CLAIM_TTL), update::claim(claim))).await?;
        let find = self.rows.find(filter::deleted(&ids)).projection(filter::for_sweep());
        let rows: Vec<Row> = run(async { find.await?.try_collect().await }).await?;
        let (mine, others): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.is_claimed_by(claim));
        if !others.is_empty() {
            // Otherwise this sweep would find them again at once.
            let others: Vec<FileId> = others.iter().map(|row| row.id).collect();
            run(self.rows.update_many(filter::deleted(&others), update::expire(now + limits::CLAIM_TTL))).await?;
        }
        if Timestamp::now() > now + limits::CLAIM_TTL / 2 {
            return Err(Error::timeout("MongoDB"));
        }
        Ok(mine.into_iter().map(Tombstone::from).collect())
    }

    /// Sets the tombstone of everything in a deleted folder, but for what is in the trash by itself. A move into the
    /// folder that did not come to its end is taken back before.
    pub(super) async fn tombstone_inside(&self, owner: UserId, folder: FileId) -> Result<()> {
        self.undo_moves_into(owner, folder).await?;
        let inside = self.rows.update_many(filter::to_delete_inside(owner, folder), update::delete_upload());
        run_within(limits::MONGODB_BULK_TIMEOUT, inside).await?;
        Ok(())
    }

    /// Those of these objects that a row without a tombstone names, and that must stay.
    pub async fn objects_in_use(&self, tombstones: &[Tombstone]) -> Result<InUse> {
        Ok(InUse { keys: self.keys_in_use(tombstones).await?, thumbnails: self.thumbnails_in_use(tombstones).await? })
    }

    async fn thumbnails_in_use(&self, tombstones: &[Tombstone]) -> Result<HashSet<FileId>> {
        let ids: Vec<FileId> = tombstones.iter().filter_map(|row| row.thumbnails).collect();
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let rows = self.rows.clone_with_type::<WithThumbnails>();
        let shared = || {
            let find = rows.find(filter::live_with_any_thumbnails_id(&ids)).hint(filter::thumbnails_index());
            let find = find.projection(filter::only_thumbnails_id());
            run(async { find.await?.try_collect::<Vec<WithThumbnails>>().await })
        };
        let mut found = self.with_indexes(shared).await?;
        let deleted: HashSet<FileId> = tombstones.iter().map(|row| row.id).collect();
        let others: Vec<FileId> = ids.iter().copied().filter(|id| !deleted.contains(id)).collect();
        if !others.is_empty() {
            let find = rows.find(filter::live_with_own_thumbnails_among(&others));
            let find = find.projection(filter::only_thumbnails_id());
            found.extend(run(async { find.await?.try_collect::<Vec<WithThumbnails>>().await }).await?);
        }
        Ok(found.iter().map(WithThumbnails::thumbnails_id).collect())
    }

    async fn keys_in_use(&self, tombstones: &[Tombstone]) -> Result<HashSet<Key>> {
        let keys: Vec<&str> = tombstones.iter().filter_map(|row| row.key.as_ref().map(Key::as_str)).collect();
        if keys.is_empty() {
            return Ok(HashSet::new());
        }
        let rows = self.rows.clone_with_type::<OfKey>();
        let rows: Vec<OfKey> = self
            .with_indexes(|| {
                let find = rows.find(filter::live_with_keys(&keys)).hint(filter::key_index());
                let find = find.projection(filter::only_key());
                run(async { find.await?.try_collect().await })
            })
            .await?;
        Ok(rows.into_iter().map(|row| row.key).collect())
    }

    /// Completes the exchanges of content that these rows take part in, and returns the rows with what the quota counts
    /// for them after that.
    pub async fn settle(&self, tombstones: Vec<Tombstone>) -> Result<Vec<Tombstone>> {
        let documents: Vec<FileId> = tombstones.iter().flat_map(|row| row.exchanges.iter().copied()).collect();
        if documents.is_empty() {
            return Ok(tombstones);
        }
        self.settle_exchanges(&documents).await?;
        self.with_charges(tombstones).await
    }

    /// The same rows as they are now.
    pub(super) async fn with_charges(&self, tombstones: Vec<Tombstone>) -> Result<Vec<Tombstone>> {
        let ids: Vec<FileId> = tombstones.iter().map(|row| row.id).collect();
        let find = self.rows.find(filter::deleted(&ids)).projection(filter::for_sweep());
        let rows: Vec<Row> = run(async { find.await?.try_collect().await }).await?;
        Ok(rows.into_iter().map(Tombstone::from).collect())
    }

    /// Sets the tombstone of a row whose folder was deleted meanwhile, because the sweeper may have purged that folder
    /// already.
    ///
    /// # Errors
    /// `Parent not found` if the folder was deleted.
    pub(super) async fn check_parent_exists(&self, parent: Parent, id: FileId) -> Result<()> {
        let mut parent = parent;
        for _ in 0..limits::MOVE_ATTEMPTS {
            let Parent::Folder(folder) = parent else { return Ok(()) };
            if self.is_not_deleted(folder).await? {
                return Ok(());
            }
            let still_inside = filter::inside_folder(id, folder);
            if run(self.rows.update_one(still_inside, update::delete_upload())).await?.matched_count > 0 {
                break;
            }
            // The row has been moved meanwhile, or deleted.
            match run(self.rows.find_one(filter::row(id))).await? {
                Some(row) if row.parent() != parent => parent = row.parent(),
                _ => break,
            }
        }
        Err(Error::Invalid("Parent not found"))
    }
}

//! What each user stores, counted in the user's document: bytes of files, images and versions, and the number of files
//! and images. The trash, pending uploads and versions count.
//!
//! Counters and rows are different documents, and a function may die between two updates. So a counter changes together
//! with a note in the same document. An upload is counted, with a note in `charges`, before its row says that it is
//! `charged`. A deleted row is taken off the counter, with a note in `refunds`, before the row is removed. The notes tell
//! a repeated step that it is done, and the sweeper which counts have no row. Both lists are short, because a step that
//! succeeds removes its notes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, oid::ObjectId};
use serde::Deserialize;

use super::{
    Tombstone,
    counters::{Counted, Counter, Note, number},
    ledger::Files,
    row::{Charge, Row, filter, update},
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::mongo::{run, run_within},
    time::Timestamp,
};

/// What a user stores, and may store.
pub struct Usage {
    pub bytes: u64,
    pub files: u64,
    /// `None` without a quota.
    pub quota_bytes: Option<u64>,
}

/// What a folder holds.
#[derive(Default)]
pub struct FolderUsage {
    pub bytes: u64,
    pub files: u64,
    pub folders: u64,
    /// False if there was more than could be counted.
    pub complete: bool,
}

impl Files {
    /// Counts bytes for a row that is to be charged. Does nothing if another attempt has counted them just now. Returns the
    /// id of the note, which the row has to store.
    ///
    /// # Errors
    /// `OverQuota`.
    pub(super) async fn reserve(&self, user: UserId, file: FileId, charge: Charge) -> Result<ObjectId> {
        for attempt in 0..limits::QUOTA_ATTEMPTS {
            if let Some(notes) = self.quota.reserve(user, file, charge).await? {
                let note = notes.last().map(|note| note.id);
                if notes.len() > limits::MAX_CHARGES {
                    self.settle_charges(user, notes).await?;
                }
                return note.ok_or_else(|| Error::Internal(anyhow::anyhow!("a note was not stored")));
            }
            let Some(counter) = self.quota.read(user).await? else {
                // The account has been deleted, and its rows go too.
                return Err(Error::NotFound);
            };
            if let Some(note) = counter.charges.iter().find(|note| note.file == file) {
                return Ok(note.id);
            }
            let Some(stored) = number(counter.used_bytes.as_ref()) else {
                self.count_from_rows(user).await?;
                continue;
            };
            let quota = self.quota.quota_of(&counter);
            let left = quota.map(|quota| quota.saturating_sub(stored.try_into().unwrap_or_default()));
            if left.is_none_or(|left| i128::from(charge.bytes) <= i128::from(left)) {
                // The counter has changed meanwhile.
                continue;
            }
            // What was deleted makes room, though the sweeper has not removed it yet.
            if attempt > 1 || !self.refund_deleted(user).await? {
                let left = left.unwrap_or_default();
                return Err(Error::OverQuota { left });
            }
        }
        Err(Error::Unavailable(anyhow::anyhow!("a counter changes too often")))
    }

    /// Counts the rows of a user who has no counter yet, with those that are deleted and not removed yet. A row is inserted,
    /// and removed, only when its owner has a counter. A counter that another request makes meanwhile stays.
    async fn count_from_rows(&self, user: UserId) -> Result<()> {
        let total = self.sum(user).await?;
        self.quota.set(user, total).await
    }

    async fn sum(&self, user: UserId) -> Result<Charge> {
        let rows = self.rows.indexed().await?.clone_with_type::<Document>();
        let sum = rows.aggregate(filter::sum_of_charges(user)).hint(filter::listing_index());
        let sum: Option<Document> =
            run_within(limits::MONGODB_BULK_TIMEOUT, async { sum.await?.try_next().await }).await?;
        let of = |field: &str| sum.as_ref().and_then(|sum| number(sum.get(field))).unwrap_or_default();
        Ok(Charge { bytes: of("bytes"), count: of("count") })
    }

    /// # Errors
    /// `NotFound` if the account has been deleted.
    pub async fn usage(&self, user: UserId) -> Result<Usage> {
        for _ in 0..limits::QUOTA_ATTEMPTS {
            let counter = self.quota.read(user).await?.ok_or(Error::NotFound)?;
            let Some(bytes) = number(counter.used_bytes.as_ref()) else {
                self.count_from_rows(user).await?;
                continue;
            };
            let files = number(counter.used_files.as_ref()).unwrap_or_default();
            return Ok(Usage {
                bytes: bytes.try_into().unwrap_or_default(),
                files: files.try_into().unwrap_or_default(),
                quota_bytes: self.quota.quota_of(&counter),
            });
        }
        Err(Error::Unavailable(anyhow::anyhow!("a counter changes too often")))
    }

    /// The bytes that a user may still store; `None` without a quota.
    ///
    /// # Errors
    /// `OverQuota` if there are none.
    pub async fn bytes_left(&self, user: UserId) -> Result<Option<u64>> {
        let left = |usage: &Usage| usage.quota_bytes.map(|quota| quota.saturating_sub(usage.bytes));
        let mut found = left(&self.usage(user).await?);
        if found == Some(0) && self.refund_deleted(user).await? {
            found = left(&self.usage(user).await?);
        }
        if found == Some(0) { Err(Error::OverQuota { left: 0 }) } else { Ok(found) }
    }

    /// Removes notes of charges whose rows say that they are charged. A note without such a row, older than
    /// [`limits::CHARGE_TTL`], is taken off the counter: its function has died.
    async fn settle_charges(&self, user: UserId, notes: Vec<Note>) -> Result<()> {
        if notes.is_empty() {
            return Ok(());
        }
        let ids: Vec<FileId> = notes.iter().map(|note| note.file).collect();
        let find = self.rows.find(filter::rows(&ids));
        let rows: Vec<Row> = run(async { find.await?.try_collect().await }).await?;
        let rows: BTreeMap<FileId, Row> = rows.into_iter().map(|row| (row.id, row)).collect();
        let old = Timestamp::now() - limits::CHARGE_TTL;
        let (mut charged, mut lost) = (Vec::new(), Vec::new());
        for note in notes {
            match rows.get(&note.file) {
                Some(row) if row.is_charged() && row.charge_id() == Some(note.id) => charged.push(note.id),
                // The note of a folder's copy covers all rows below: see `settle_copy`.
                Some(row) if row.is_folder() && !row.is_charged() => {}
                Some(_) | None if note.at < old => lost.push(note.id),
                Some(_) | None => {}
            }
        }
        self.quota.remove_notes(user, &charged, &lost, Charge::default()).await
    }

    /// Takes a charge back, unless the row has stored its note.
    pub(super) async fn cancel_charge(&self, user: UserId, file: FileId, note: ObjectId) -> Result<()> {
        match run(self.rows.find_one(filter::row(file))).await? {
            Some(row) if row.charge_id() == Some(note) => Ok(()),
            _ => self.quota.remove_notes(user, &[], &[note], Charge::default()).await,
        }
    }

    /// Removes the note of a charge whose row says that it is charged.
    pub(super) async fn end_charge(&self, user: UserId, note: ObjectId) -> Result<()> {
        self.quota.remove_notes(user, &[note], &[], Charge::default()).await
    }

    /// Takes what was not copied of a folder off the counters, if the copy's function died before it was done.
    pub(super) async fn settle_copy(&self, user: UserId, note: ObjectId, copied: Charge) -> Result<()> {
        self.quota.remove_notes(user, &[], &[note], copied).await
    }

    /// Takes rows that are about to be removed off the counters, each once.
    pub(super) async fn refund(&self, tombstones: &[Tombstone]) -> Result<()> {
        for (user, rows) in by_owner(tombstones) {
            // The counter of a user who has none is made from the rows, these included.
            if !self.quota.refund(user, &rows).await? && self.quota.read(user).await?.is_some() {
                self.count_from_rows(user).await?;
                self.quota.refund(user, &rows).await?;
            }
        }
        Ok(())
    }

    /// Removes the notes of refunds whose rows are removed, or say that they are refunded.
    pub(super) async fn forget_refunds(&self, tombstones: &[Tombstone]) -> Result<()> {
        for (user, rows) in by_owner(tombstones) {
            let files: Vec<FileId> = rows.iter().map(|row| row.file).collect();
            self.quota.forget(user, &files).await?;
        }
        Ok(())
    }

    /// Takes deleted rows of a user off the counter now, though the sweeper has not removed them: a user whose quota is
    /// used up deletes something to upload something else. Returns whether there were any.
    async fn refund_deleted(&self, user: UserId) -> Result<bool> {
        let (started, mut any) = (Instant::now(), false);
        while started.elapsed() < limits::REFUND_TIME {
            let rows = self.rows.indexed().await?.find(filter::deleted_and_charged(user));
            let find = rows.hint(filter::state_index()).limit(limits::SWEEP_BATCH);
            let rows: Vec<Row> = run(async { find.await?.try_collect().await }).await?;
            if rows.is_empty() {
                break;
            }
            any = true;
            let folders: Vec<FileId> = rows.iter().filter(|row| row.may_be_folder()).map(|row| row.id).collect();
            for folder in folders {
                self.tombstone_inside(user, folder).await?;
            }
            let tombstones = self.settle(rows.into_iter().map(Tombstone::from).collect()).await?;
            let tombstones = self.claim(&tombstones).await?;
            self.refund(&tombstones).await?;
            let ids: Vec<FileId> = tombstones.iter().map(Tombstone::id).collect();
            run(self.rows.update_many(filter::deleted(&ids), update::refunded())).await?;
            self.forget_refunds(&tombstones).await?;
        }
        Ok(any)
    }

    /// Completes what functions that died have left at the counters.
    pub async fn settle_counters(&self) -> Result<usize> {
        let users = self.quota.unsettled().await?;
        let count = users.len();
        for Counter { id, charges, refunds, .. } in users {
            self.settle_charges(id, charges).await?;
            if !refunds.is_empty() {
                let find = self.rows.find(filter::rows(&refunds));
                let there: Vec<Row> = run(async { find.await?.try_collect().await }).await?;
                let gone: Vec<FileId> =
                    refunds.into_iter().filter(|file| !there.iter().any(|row| row.id == *file)).collect();
                self.quota.forget(id, &gone).await?;
            }
        }
        Ok(count)
    }

    /// What a folder holds, as far as it can be counted in time.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn folder_usage(&self, owner: UserId, id: FileId) -> Result<FolderUsage> {
        let file = self.reachable(filter::visible_of(owner, id)).await?.ok_or(Error::NotFound)?;
        let mut usage = FolderUsage::default();
        if !file.is_folder() {
            let Charge { bytes, .. } = file.charge();
            return Ok(FolderUsage {
                bytes: bytes.try_into().unwrap_or_default(),
                files: 1,
                folders: 0,
                complete: true,
            });
        }
        let (started, mut level) = (Instant::now(), vec![id]);
        for _ in 0..limits::MAX_FOLDER_DEPTH {
            let mut below = Vec::new();
            for some in level.chunks(limits::FOLDERS_AT_ONCE) {
                let left = limits::FOLDER_USAGE_TIME.saturating_sub(started.elapsed());
                let counted = usage.files + usage.folders;
                if left.is_zero() || counted > limits::FOLDER_USAGE_ITEMS {
                    return Ok(usage);
                }
                let Some(sums) = self.sums_inside(owner, some, left).await? else { return Ok(usage) };
                usage.bytes += sums.bytes;
                usage.files += sums.files;
                below.extend(sums.folders);
            }
            usage.folders += below.len() as u64;
            if below.is_empty() {
                usage.complete = usage.files + usage.folders <= limits::FOLDER_USAGE_ITEMS;
                return Ok(usage);
            }
            level = below;
        }
        Ok(usage)
    }

    /// `None` if it takes longer than there is time.
    async fn sums_inside(&self, owner: UserId, folders: &[FileId], left: Duration) -> Result<Option<Sums>> {
        let rows = self.rows.clone_with_type::<Document>();
        let sums = rows.aggregate(filter::sums_inside(owner, folders)).hint(filter::listing_index());
        let sums = async { sums.with_type::<Sums>().await?.try_next().await };
        match tokio::time::timeout(left, run_within(limits::MONGODB_TIMEOUT, sums)).await {
            Ok(sums) => Ok(Some(sums?.unwrap_or_default())),
            Err(_) => Ok(None),
        }
    }
}

#[derive(Default, Deserialize)]
struct Sums {
    #[serde(deserialize_with = "count")]
    bytes: u64,
    #[serde(deserialize_with = "count", rename = "count")]
    files: u64,
    folders: Vec<FileId>,
}

fn count<'de, D: serde::Deserializer<'de>>(field: D) -> std::result::Result<u64, D::Error> {
    let value = Bson::deserialize(field)?;
    Ok(number(Some(&value)).and_then(|number| number.try_into().ok()).unwrap_or_default())
}

fn by_owner(tombstones: &[Tombstone]) -> BTreeMap<UserId, Vec<Counted>> {
    let mut owners = BTreeMap::<_, Vec<_>>::new();
    for row in tombstones {
        let counted = Counted { file: row.id(), charge: row.charge(), note: row.charge_id() };
        owners.entry(row.owner()).or_default().push(counted);
    }
    owners
}

//! Copies that copy no bytes. Objects never change, so a copy is a row that names the same object, and the object lives
//! as long as a row without a tombstone names it.
//!
//! The copy is inserted as an invisible row. A folder's copy has its rows below an invisible folder, which hides them.
//! Then the originals are read again: the sweeper may have looked for rows that name an object before the copy was
//! there. A copy whose original has a tombstone by now is deleted. At last the copy becomes visible, all at once.

use std::collections::{HashMap, HashSet};

use futures_util::{FutureExt, TryStreamExt};
use mongodb::{
    bson::{Document, oid::ObjectId},
    options::ReturnDocument,
};

use super::{
    Change, File, IfMatch, Name, NewFile, Parent,
    ledger::Files,
    moving::TOO_DEEP,
    names::{Named, Wanted},
    row::{Charge, OnlyId, Row, filter, update},
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::mongo::{run, run_within},
    time::Timestamp,
};

/// The outcome of inserting the row of a copy.
struct Inserted {
    /// False if an earlier attempt has inserted it.
    is_new: bool,
    /// The document whose content the copy is to replace.
    replaces: Option<FileId>,
}

impl Files {
    /// Copies a document; a folder with everything visible in it. `copy` is the id of the copy, the same at each attempt
    /// of a repeatable request.
    ///
    /// # Errors
    /// `NotFound`; `Parent not found`; `Parent is not a folder`; `A folder cannot be copied into itself`; `Too deep: 100
    /// levels at most`; `TooLarge`; `OverQuota`; `The name is taken`; `A folder is not replaced`.
    pub async fn copy(&self, owner: UserId, id: FileId, copy: Option<FileId>, change: Change) -> Result<File> {
        let original = self.reachable(filter::visible_of(owner, id)).await?.ok_or(Error::NotFound)?;
        let name = change.name.clone().unwrap_or_else(|| original.name());
        let parent = change.parent.unwrap_or_else(|| original.parent());
        let above = self.above(owner, parent).await?;
        if original.is_folder() && above.contains(id) {
            return Err(Error::Conflict("A folder cannot be copied into itself"));
        }
        let below = if original.is_folder() { self.subtree(&original, above.level()).await? } else { Vec::new() };
        let new = NewFile {
            id: copy.unwrap_or_default(),
            owner,
            name,
            is_public: false,
            parent,
            is_repeatable: copy.is_some(),
        };
        if original.is_folder() {
            self.copy_folder(&original, below, new, &change).await
        } else {
            self.copy_file(&original, new, &change).await
        }
    }

    async fn copy_file(&self, original: &Row, new: NewFile, change: &Change) -> Result<File> {
        let (owner, id, parent) = (new.owner, new.id, new.parent);
        let note = self.reserve(owner, id, original.charge_of_copy()).await?;
        let inserted = self.insert_copy(original, new, change, Some(note)).await;
        if !matches!(inserted, Ok(Inserted { is_new: true, .. })) {
            self.take_back(owner, id, note).await;
        }
        let Inserted { replaces, .. } = inserted?;
        if !self.has_no_tombstone(original.id).await? {
            run(self.rows.update_one(filter::pending(id), update::delete())).await?;
            return Err(Error::NotFound);
        }
        if let Some(document) = replaces {
            return self.replace_by(owner, document, id, &IfMatch::default()).await;
        }
        self.show_copy(owner, id, parent, note).await
    }

    /// Inserts the invisible row of a copy.
    async fn insert_copy(
        &self,
        original: &Row,
        new: NewFile,
        change: &Change,
        note: Option<ObjectId>,
    ) -> Result<Inserted> {
        let expires_at = Timestamp::now() + self.upload_grace;
        let is_folder = original.is_folder();
        let wanted = Wanted { owner: new.owner, folder: new.parent, name: &new.name, id: new.id, is_folder };
        let row = |name: Name| {
            let row = Row::copy(new.named(name), original).pending_until(expires_at);
            match note {
                Some(note) => row.charged(note),
                None => row,
            }
        };
        let named = self.name(wanted, change.on_conflict, |name, key| {
            let row = row(name).with_name_key(key);
            async move { self.insert(&row).await }.boxed()
        });
        Ok(match named.await? {
            Named::Done(is_new) => Inserted { is_new, replaces: None },
            Named::Replaces(document) => {
                let is_new = self.insert(&row(new.name.clone()).replacing(document)).await?;
                Inserted { is_new, replaces: Some(document) }
            }
        })
    }

    /// Makes the invisible row of a copy visible.
    async fn show_copy(&self, owner: UserId, id: FileId, parent: Parent, note: ObjectId) -> Result<File> {
        self.check_parent_exists(parent, id).await?;
        let update = self.rows.find_one_and_update(filter::pending(id), update::show_copy(note));
        match run(update.return_document(ReturnDocument::After)).await? {
            Some(row) => Ok(row.into()),
            // An earlier attempt has done it.
            None => self.file_of(owner, id).await,
        }
    }

    async fn has_no_tombstone(&self, id: FileId) -> Result<bool> {
        let live = run(self.rows.find_one(filter::live(id)).projection(filter::only_id())).await?;
        Ok(live.is_some())
    }

    async fn copy_folder(&self, original: &Row, below: Vec<Row>, new: NewFile, change: &Change) -> Result<File> {
        let (owner, id, parent) = (new.owner, new.id, new.parent);
        self.clear_earlier_attempt(&new).await?;
        if !self.insert_copy(original, new, change, None).await?.is_new
            && let Ok(copy) = self.file_of(owner, id).await
        {
            // An earlier attempt has done it.
            return Ok(copy);
        }
        let total = below.iter().map(Row::charge_of_copy).fold(Charge::default(), |sum, one| Charge {
            bytes: sum.bytes.saturating_add(one.bytes),
            count: sum.count + one.count,
        });
        let note = match self.reserve(owner, id, total).await {
            Ok(note) => note,
            Err(error) => {
                run(self.rows.update_one(filter::pending(id), update::delete())).await?;
                return Err(error);
            }
        };
        let mut copies = HashMap::from([(original.id, id)]);
        for some in below.chunks(limits::COPY_BATCH as usize) {
            let rows = some.iter().filter_map(|row| {
                let Parent::Folder(folder) = row.parent() else { return None };
                let new = NewFile {
                    id: FileId::new(),
                    owner,
                    name: row.name(),
                    is_public: false,
                    parent: Parent::Folder(*copies.get(&folder)?),
                    is_repeatable: false,
                };
                copies.insert(row.id, new.id);
                Some(Row::copy(new, row))
            });
            let mut rows: Vec<Row> = rows.collect();
            // By itself, because the index of an earlier release may refuse the first row that names an object again.
            if let Some(first) = rows.iter().position(|row| row.key.is_some()) {
                self.insert(&rows.swap_remove(first)).await?;
            }
            if !rows.is_empty() {
                run_within(limits::MONGODB_BULK_TIMEOUT, self.rows.insert_many(&rows)).await?;
            }
        }
        self.delete_copies_of_deleted((owner, id), &below, &copies).await?;
        let shown = self.show_copy(owner, id, parent, note).await?;
        self.end_charge(owner, note).await?;
        Ok(shown)
    }

    /// Deletes copies whose originals have a tombstone by now.
    async fn delete_copies_of_deleted(
        &self,
        (owner, copy): (UserId, FileId),
        below: &[Row],
        copies: &HashMap<FileId, FileId>,
    ) -> Result<()> {
        let mut uncounted = Charge::default();
        for some in below.chunks(limits::COPY_BATCH as usize) {
            let ids: Vec<FileId> = some.iter().map(|row| row.id).collect();
            let rows = self.rows.clone_with_type::<OnlyId>();
            let find = rows.find(filter::live_among(&ids)).projection(filter::only_id());
            let find = find.batch_size(limits::COPY_BATCH);
            let found: Vec<OnlyId> =
                run_within(limits::MONGODB_BULK_TIMEOUT, async { find.await?.try_collect().await }).await?;
            let live: HashSet<FileId> = found.into_iter().map(|row| row.id).collect();
            let gone: Vec<&Row> = some.iter().filter(|row| !live.contains(&row.id)).collect();
            if gone.is_empty() {
                continue;
            }
            let ids: Vec<FileId> = gone.iter().filter_map(|row| copies.get(&row.id).copied()).collect();
            // The note of the whole copy counts for them, so they do not count by themselves.
            run(self.rows.update_many(filter::rows(&ids), update::delete_uncounted())).await?;
            for one in gone.iter().map(|row| row.charge_of_copy()) {
                uncounted = Charge { bytes: uncounted.bytes + one.bytes, count: uncounted.count + one.count };
            }
        }
        if uncounted != Charge::default() {
            self.quota.reduce(owner, copy, uncounted).await?;
        }
        Ok(())
    }

    /// Removes what an earlier attempt at the same copy has left that died before it was done.
    ///
    /// # Errors
    /// `Unavailable` if the earlier attempt may still be running.
    async fn clear_earlier_attempt(&self, new: &NewFile) -> Result<()> {
        if !new.is_repeatable {
            return Ok(());
        }
        let Some(earlier) = run(self.rows.find_one(filter::pending(new.id))).await? else { return Ok(()) };
        let begun_at = earlier.expires_at().map(|at| at - self.upload_grace);
        if begun_at.is_none_or(|at| at > Timestamp::now() - limits::IN_FLIGHT_GRACE) {
            return Err(Error::Unavailable(anyhow::anyhow!("an earlier attempt may still be running")));
        }
        self.settle_copy_of(&earlier).await?;
        // The sweeper removes the rows of the earlier attempt below a folder of their own.
        let remains = Row::remains_of(&earlier);
        run(self.rows.replace_one(filter::row(remains.id), &remains).upsert(true)).await?;
        let inside = self.rows.update_many(filter::inside_any(new.owner, &[earlier.id]), update::put_into(remains.id));
        run_within(limits::MONGODB_BULK_TIMEOUT, inside).await?;
        let begun_anew = update::expire(Timestamp::now() + self.upload_grace);
        run(self.rows.update_one(filter::pending(earlier.id), begun_anew)).await?;
        Ok(())
    }

    /// Takes off the counter what the copy of a folder has not copied, before the copy is removed.
    pub(super) async fn settle_copy_of(&self, copy: &Row) -> Result<()> {
        if copy.is_charged() || !copy.is_copy() {
            return Ok(());
        }
        let Some(note) = self.quota.note(copy.owner(), copy.id).await? else { return Ok(()) };
        let mut copied = Charge::default();
        let mut level = vec![copy.id];
        for _ in 0..limits::MAX_FOLDER_DEPTH {
            let mut below = Vec::new();
            for some in level.chunks(limits::FOLDERS_AT_ONCE) {
                for row in self.rows_in(filter::inside_any(copy.owner(), some), limits::MAX_COPIED).await? {
                    let one = row.charge();
                    copied = Charge { bytes: copied.bytes + one.bytes, count: copied.count + one.count };
                    below.extend(row.is_folder().then_some(row.id));
                }
            }
            if below.is_empty() {
                break;
            }
            level = below;
        }
        self.settle_copy(copy.owner(), note.id, copied).await
    }

    /// Everything visible below a folder, level by level.
    ///
    /// # Errors
    /// `TooLarge` if there is too much; `Too deep: 100 levels at most` if the folder were at `level`.
    async fn subtree(&self, folder: &Row, level: u32) -> Result<Vec<Row>> {
        let (mut all, mut folders, mut level) = (Vec::<Row>::new(), vec![folder.id], level);
        while !folders.is_empty() {
            let mut below = Vec::new();
            for some in folders.chunks(limits::FOLDERS_AT_ONCE) {
                let left = limits::MAX_COPIED - all.len();
                for row in self.rows_in(filter::visible_inside_any(folder.owner(), some), left).await? {
                    below.extend(row.is_folder().then_some(row.id));
                    all.push(row);
                }
                if all.len() > limits::MAX_COPIED {
                    return Err(Error::TooLarge("The folder has more than 20000 items: copy its parts"));
                }
            }
            level += 1;
            if level > limits::MAX_FOLDER_DEPTH && !below.is_empty() {
                return Err(Error::Invalid(TOO_DEEP));
            }
            folders = below;
        }
        Ok(all)
    }

    /// The matching rows, and one more than `most` at most.
    async fn rows_in(&self, matching: Document, most: usize) -> Result<Vec<Row>> {
        let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        let find = self.rows.indexed().await?.find(matching).hint(filter::listing_index()).limit(limit);
        let find = find.batch_size(limits::COPY_BATCH);
        run_within(limits::MONGODB_BULK_TIMEOUT, async { find.await?.try_collect().await }).await
    }
}

//! The trash. A row in the trash hides everything below it, as a tombstone does, so both ways take one update.

use futures_util::{FutureExt, TryStreamExt};
use mongodb::options::ReturnDocument;

use super::{
    File, IfMatch, Name, OnConflict, Parent,
    ledger::Files,
    names::{Named, Wanted},
    row::{Moving, Row, filter, update},
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::mongo::{run, run_within},
    time::Timestamp,
};

impl Files {
    /// Puts a document into the trash, with everything below. Nothing changes if it is there already.
    ///
    /// # Errors
    /// `NotFound`, also for an upload that is not complete; `Changed`.
    pub async fn trash(&self, owner: UserId, id: FileId, if_match: &IfMatch) -> Result<File> {
        let row = run(self.rows.find_one(filter::row_of(owner, id))).await?.ok_or(Error::NotFound)?;
        if row.is_trashed() {
            if_match.check(row.revision())?;
            return Ok(row.into());
        }
        if !self.is_reachable(filter::visible_of(owner, id)).await? {
            // Another request may have put it into the trash just now.
            return self.trashed(owner, id).await.map_err(|_| Error::NotFound);
        }
        if_match.check(row.revision())?;
        if row.is_folder() {
            self.complete_moves(owner).await?;
        }
        let visible = if_match.restrict(filter::visible_of(owner, id));
        let update = self.rows.find_one_and_update(visible, update::trash(Timestamp::now() + self.trash_period));
        match run(update.return_document(ReturnDocument::After)).await? {
            Some(row) => Ok(row.into()),
            None => self.trashed(owner, id).await,
        }
    }

    /// The document, if another request has put it into the trash meanwhile.
    ///
    /// # Errors
    /// `NotFound`; `Changed` if it is not in the trash.
    async fn trashed(&self, owner: UserId, id: FileId) -> Result<File> {
        let row = run(self.rows.find_one(filter::row_of(owner, id))).await?.ok_or(Error::NotFound)?;
        match (row.is_trashed(), row.is_visible()) {
            (true, _) => Ok(row.into()),
            (false, true) => Err(Error::Changed),
            (false, false) => Err(Error::NotFound),
        }
    }

    /// One page of the trash, the latest first, and whether there is more. `after` is the last document of the page
    /// before.
    pub async fn trash_page(
        &self,
        owner: UserId,
        limit: u32,
        after: Option<(Timestamp, FileId)>,
    ) -> Result<(Vec<File>, bool)> {
        let mut found: Vec<Row> = Vec::new();
        // Two queries, because one with `$or` does not use the order of the index.
        let mut parts = vec![filter::trashed_before(owner, after.map(|(at, _)| at))];
        if let Some((at, id)) = after {
            parts.insert(0, filter::trashed_at_before_id(owner, at, id));
        }
        for part in parts {
            let missing = i64::from(limit) + 1 - i64::try_from(found.len()).unwrap_or(i64::MAX);
            if missing > 0 {
                let rows: Vec<Row> = self
                    .with_indexes(|| {
                        let find = self.rows.find(part.clone()).hint(filter::trash_index());
                        let find = find.sort(filter::latest_trashed()).limit(missing);
                        run(async { find.await?.try_collect().await })
                    })
                    .await?;
                found.extend(rows);
            }
        }
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        Ok((found.into_iter().map(File::from).collect(), has_more))
    }

    /// Takes a document out of the trash, to where it was or to another folder. Nothing changes if it is visible.
    ///
    /// # Errors
    /// `NotFound`; `Changed`; those of a move.
    pub async fn restore(
        &self,
        owner: UserId,
        id: FileId,
        if_match: &IfMatch,
        parent: Option<Parent>,
        on_conflict: OnConflict,
    ) -> Result<File> {
        let row = run(self.rows.find_one(filter::row_of(owner, id))).await?.ok_or(Error::NotFound)?;
        if !row.is_trashed() {
            let file = self.file_of(owner, id).await?;
            if_match.check(file.revision)?;
            return Ok(file);
        }
        if_match.check(row.revision())?;
        let (parent, name) = (parent.unwrap_or_else(|| row.parent()), row.name());
        let above = self.above(owner, parent).await?;
        self.check_height(&row, above.level()).await?;
        let wanted = Wanted { owner, folder: parent, name: &name, id, is_folder: row.is_folder() };
        let trashed = &row;
        let named = self.name(wanted, on_conflict, move |name, key| {
            async move { self.take_out(trashed, if_match, parent, &name, key.as_deref()).await }.boxed()
        });
        match named.await? {
            Named::Done(row) => Ok(row.into()),
            Named::Replaces(document) => self.replace_by(owner, document, id, &IfMatch::default()).await,
        }
    }

    async fn take_out(
        &self,
        row: &Row,
        if_match: &IfMatch,
        parent: Parent,
        name: &Name,
        key: Option<&str>,
    ) -> Result<Row> {
        let moving = Moving::begin(row);
        let trashed = if_match.restrict(filter::trashed_of(row.owner(), row.id));
        let update = self.rows.find_one_and_update(trashed, update::restore(parent, name, key, &moving)?);
        let Some(restored) = run(update.return_document(ReturnDocument::After)).await? else {
            // The sweeper may have deleted the document meanwhile.
            return Err(self.why_unchanged(filter::stored_of(row.owner(), row.id)).await?);
        };
        self.settle_move(&restored, &moving).await?;
        Ok(restored)
    }

    /// Deletes a document in the trash for good. `false` if it is not in the trash.
    pub async fn delete_trashed(&self, owner: UserId, id: FileId, if_match: &IfMatch) -> Result<bool> {
        let trashed = filter::trashed_of(owner, id);
        let deleted = self.rows.update_one(if_match.restrict(trashed.clone()), update::delete());
        if run(deleted).await?.matched_count == 1 {
            return Ok(true);
        }
        // The filter may have failed by the revision alone.
        match run(self.rows.find_one(trashed)).await? {
            Some(row) => if_match.check(row.revision()).map(|()| false),
            None => Ok(false),
        }
    }

    /// Deletes everything in the trash for good.
    pub async fn empty_trash(&self, owner: UserId) -> Result<()> {
        self.complete_moves(owner).await?;
        let all = self.rows.indexed().await?.update_many(filter::all_trashed_of(owner), update::delete());
        run_within(limits::MONGODB_BULK_TIMEOUT, all).await?;
        Ok(())
    }
}

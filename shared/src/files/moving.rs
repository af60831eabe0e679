//! Renaming and moving, without a transaction: at no time a cycle of folders, and no file is lost with its new folder.
//!
//! A move has five steps. (1) The row is flagged: `moving`. One move at a time has the flag; a flag that is older than
//! [`limits::MOVE_TTL`] may be taken over. (2) For a folder, all folders above the target are read. If the folder itself
//! is among them, the move would make a cycle. If one of them is flagged, that move may make a cycle together with this
//! one, so this one begins again. (3) One update sets name and place, if the flag is still this move's. (4) The target is
//! read again. If it was deleted meanwhile, the row goes back. (5) The flag is removed.
//!
//! A function that dies after (3) leaves the flag. The sweeper completes or takes back such a move, and always before it
//! deletes what lies in a deleted folder.

use std::time::Duration;

use futures_util::{FutureExt, TryStreamExt};
use mongodb::{
    bson::{Bson, Document, RawDocumentBuf, doc, oid::ObjectId},
    options::ReturnDocument,
};
use serde::Deserialize;
use tokio::time::sleep;

use super::{
    FileOrUpload, IfMatch, Name, OnConflict, Parent,
    ledger::Files,
    lookup::read,
    names::{Named, Wanted},
    row::{Moving, OnlyId, Row, filter, sorted, update},
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::mongo::run,
    time::Timestamp,
};

/// A new name, a new place, or both.
pub struct Change {
    pub name: Option<Name>,
    pub parent: Option<Parent>,
    pub on_conflict: OnConflict,
}

/// The folders above a place, from the place up.
pub(super) struct Above {
    pub folders: Vec<Row>,
}

impl Above {
    /// The level of a row in this place: 1 in the root.
    pub fn level(&self) -> u32 {
        u32::try_from(self.folders.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    pub fn contains(&self, id: FileId) -> bool {
        self.folders.iter().any(|folder| folder.id == id)
    }
}

/// The place that a row is to go to.
struct Target {
    parent: Parent,
    name: Name,
    key: Option<String>,
}

impl Files {
    /// Renames and moves a document, or an upload that is not complete yet. Both change in one step.
    ///
    /// # Errors
    /// `NotFound`; `Changed`; `Parent not found`; `Parent is not a folder`; `A folder cannot be moved into itself`; `Too
    /// deep: 100 levels at most`; `The name is taken`; `A folder is not replaced`.
    pub async fn change(&self, owner: UserId, id: FileId, if_match: &IfMatch, change: Change) -> Result<FileOrUpload> {
        for _ in 1..limits::MOVE_ATTEMPTS {
            match self.change_once(owner, id, if_match, &change).await {
                // Another request was faster. Only a client that names a revision has to know.
                Err(Error::Changed) if if_match.is_any() => {}
                outcome => return outcome,
            }
        }
        match self.change_once(owner, id, if_match, &change).await {
            Err(Error::Changed) if if_match.is_any() => Err(IN_PROGRESS),
            outcome => outcome,
        }
    }

    async fn change_once(
        &self,
        owner: UserId,
        id: FileId,
        if_match: &IfMatch,
        change: &Change,
    ) -> Result<FileOrUpload> {
        let row = self.reachable(filter::row_of(owner, id)).await?.ok_or(Error::NotFound)?;
        if !row.is_visible() && !row.is_pending() {
            return Err(Error::NotFound);
        }
        if_match.check(row.revision())?;
        let name = change.name.clone().unwrap_or_else(|| row.name());
        let place = row.parent();
        let parent = change.parent.unwrap_or(place);
        let wanted = Wanted { owner, folder: parent, name: &name, id, is_folder: row.is_folder() };
        let moved = &row;
        let named = self.name(wanted, change.on_conflict, move |name, key| {
            let target = Target { parent, name, key };
            async move {
                if parent.is(place) {
                    self.rename(moved, if_match, &target).await
                } else {
                    self.move_to(moved, if_match, &target).await
                }
            }
            .boxed()
        });
        match named.await? {
            Named::Done(row) => row.try_into(),
            Named::Replaces(document) if row.is_visible() => {
                self.check_parent(owner, parent).await?;
                let replaced = self.replace_by(owner, document, id, &IfMatch::default()).await?;
                Ok(FileOrUpload::Visible(replaced))
            }
            Named::Replaces(_) => Err(Error::Conflict("The name is taken")),
        }
    }

    async fn rename(&self, row: &Row, if_match: &IfMatch, target: &Target) -> Result<Row> {
        let same = if_match.restrict(filter::same_place(row));
        let update = self.rows.find_one_and_update(same, update::rename(&target.name, target.key.as_deref()));
        run(update.return_document(ReturnDocument::After)).await?.ok_or(Error::Changed)
    }

    async fn move_to(&self, row: &Row, if_match: &IfMatch, target: &Target) -> Result<Row> {
        for attempt in 0..limits::MOVE_ATTEMPTS {
            if attempt > 0 {
                sleep(wait(attempt)).await;
            }
            let moving = Moving::begin(row);
            let free = if_match.restrict(filter::not_moving(row, Timestamp::now() - limits::MOVE_TTL));
            if run(self.rows.update_one(free, update::begin_move(&moving)?)).await?.matched_count == 0 {
                self.check_unchanged(row, if_match).await?;
                continue;
            }
            let allowed = match self.check_target(row, target.parent).await {
                Ok(true) => self.commit_move(row, if_match, &moving, target).await,
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            match allowed {
                Ok(Some(moved)) => return Ok(moved),
                // Another move is in the way, or has taken over.
                Ok(None) => self.end_move(row.id, moving.id).await?,
                Err(error) => {
                    // The flag of a failed move must not delay the next one.
                    if let Err(error) = self.end_move(row.id, moving.id).await {
                        tracing::warn!(error = error.cause(), file = row.id.to_string(), "a move leaves its flag");
                    }
                    return Err(error);
                }
            }
        }
        Err(IN_PROGRESS)
    }

    /// Tells why a row that was just read has not got its flag.
    ///
    /// # Errors
    /// `NotFound` or `Changed`; none if another move has the flag.
    async fn check_unchanged(&self, row: &Row, if_match: &IfMatch) -> Result<()> {
        let now = self.reachable(filter::row(row.id)).await?.ok_or(Error::NotFound)?;
        if_match.check(now.revision())?;
        // Another move may have been faster.
        if now.parent_id() == row.parent_id() { Ok(()) } else { Err(Error::Changed) }
    }

    /// Step 2. `false` if another move is in the way.
    async fn check_target(&self, row: &Row, target: Parent) -> Result<bool> {
        let above = self.above(row.user_id, target).await?;
        if row.is_folder() {
            if above.contains(row.id) {
                return Err(Error::Conflict("A folder cannot be moved into itself"));
            }
            let since = Timestamp::now() - limits::MOVE_TTL;
            if above.folders.iter().any(|folder| folder.moving.as_ref().is_some_and(|moving| moving.at >= since)) {
                return Ok(false);
            }
        }
        self.check_height(row, above.level()).await?;
        Ok(true)
    }

    /// Steps 3 to 5. `None` if another move has taken the flag, or the row has been changed.
    async fn commit_move(
        &self,
        row: &Row,
        if_match: &IfMatch,
        moving: &Moving,
        target: &Target,
    ) -> Result<Option<Row>> {
        let flagged = if_match.restrict(filter::moving(row.id, moving.id));
        let update = update::commit_move(target.parent, &target.name, target.key.as_deref());
        let update = self.rows.find_one_and_update(flagged, update).return_document(ReturnDocument::After);
        let Some(moved) = run(update).await? else { return Ok(None) };
        self.settle_move(&moved, moving).await?;
        Ok(Some(moved))
    }

    /// Steps 4 and 5: completes a move whose place has been set, or takes it back.
    ///
    /// # Errors
    /// `Parent not found` if the target does not exist any more.
    pub(super) async fn settle_move(&self, moved: &Row, moving: &Moving) -> Result<()> {
        let stands = match moved.parent() {
            Parent::Root | Parent::LegacyRoot => true,
            Parent::Folder(folder) => self.is_reachable(filter::visible_of(moved.user_id, folder)).await?,
        };
        if stands {
            self.end_move(moved.id, moving.id).await
        } else if self.undo_move(moved.id, moving).await? {
            Err(Error::Invalid("Parent not found"))
        } else {
            // Whoever deleted the target completed the move before.
            Ok(())
        }
    }

    /// `false` if the move was completed meanwhile, by another attempt or by a deletion.
    async fn undo_move(&self, id: FileId, moving: &Moving) -> Result<bool> {
        let undone = self.rows.update_one(filter::moving(id, moving.id), update::undo_move(moving));
        Ok(run(undone).await?.matched_count == 1)
    }

    async fn end_move(&self, id: FileId, attempt: ObjectId) -> Result<()> {
        run(self.rows.update_one(filter::moving(id, attempt), update::end_move())).await?;
        Ok(())
    }

    /// Completes moves of this owner whose place has been set already. A deletion calls this before it deletes a folder:
    /// what has come into the folder goes with it, and what comes later goes back.
    pub(super) async fn complete_moves(&self, owner: UserId) -> Result<()> {
        for row in self.flagged(filter::all_moving_of(owner)).await? {
            if let Some(moving) = row.moving.as_ref().filter(|_| row.has_moved()) {
                // If the folder has gone already, the row goes back.
                self.settle_move(&row, moving).await.or_else(ignore_missing_parent)?;
            }
        }
        Ok(())
    }

    /// Completes or takes back moves whose function has died. Returns whether there may be more of them.
    pub async fn settle_moves(&self) -> Result<bool> {
        let dead = self.flagged(filter::moving_since_before(Timestamp::now() - limits::MOVE_TTL)).await?;
        for row in &dead {
            let Some(moving) = &row.moving else { continue };
            if row.has_moved() {
                self.settle_move(row, moving).await.or_else(ignore_missing_parent)?;
            } else {
                self.end_move(row.id, moving.id).await?;
            }
        }
        Ok(i64::try_from(dead.len()).is_ok_and(|count| count >= limits::SWEEP_BATCH))
    }

    /// Takes back moves into this folder, which is deleted, before its content is.
    pub(super) async fn undo_moves_into(&self, owner: UserId, folder: FileId) -> Result<()> {
        for row in self.flagged(filter::all_moving_into(owner, folder)).await? {
            if let Some(moving) = row.moving.as_ref().filter(|_| row.has_moved()) {
                self.undo_move(row.id, moving).await?;
            }
        }
        Ok(())
    }

    async fn flagged(&self, matching: Document) -> Result<Vec<Row>> {
        self.with_indexes(|| {
            let rows = self.rows.find(matching.clone()).hint(filter::moving_index()).limit(limits::SWEEP_BATCH);
            run(async { rows.await?.try_collect().await })
        })
        .await
    }

    /// The folders above a place, which must stand.
    ///
    /// # Errors
    /// `Parent not found`; `Parent is not a folder`; `Too deep: 100 levels at most`.
    pub(super) async fn above(&self, owner: UserId, place: Parent) -> Result<Above> {
        let Parent::Folder(id) = place else { return Ok(Above { folders: Vec::new() }) };
        let parent: Option<RawDocumentBuf> = self.find_reachable(filter::visible_of(owner, id), []).await?;
        let Some(parent) = parent else { return Err(Error::Invalid("Parent not found")) };
        let row: Row = read(&parent)?;
        if !row.is_folder() {
            return Err(Error::Invalid("Parent is not a folder"));
        }
        let WithFolders { folders } = read(&parent)?;
        let mut further = Vec::with_capacity(folders.len());
        for folder in &folders {
            let Distance { above } = read(folder)?;
            further.push((above, read::<Row>(folder)?));
        }
        further.sort_by_key(|(above, _)| *above);
        let above = Above { folders: std::iter::once(row).chain(further.into_iter().map(|(_, row)| row)).collect() };
        if above.level() > limits::MAX_FOLDER_DEPTH {
            return Err(Error::Invalid(TOO_DEEP));
        }
        Ok(above)
    }

    /// Checks that nothing in a folder would be below [`limits::MAX_FOLDER_DEPTH`] levels if the folder were at `level`.
    /// Its folders are read level by level.
    ///
    /// # Errors
    /// `Too deep: 100 levels at most`, `The folder has more than 100000 folders: move its parts`.
    pub(super) async fn check_height(&self, row: &Row, level: u32) -> Result<()> {
        if !row.is_folder() {
            return Ok(());
        }
        let (mut folders, mut level, mut count) = (vec![row.id], level, 0);
        loop {
            let mut below = Vec::new();
            for some in folders.chunks(limits::FOLDERS_AT_ONCE) {
                below.extend(self.folders_in(row.user_id, some).await?);
            }
            count += below.len();
            if count > limits::MAX_FOLDERS_MOVED {
                return Err(Error::Conflict("The folder has more than 100000 folders: move its parts"));
            }
            if below.is_empty() {
                return Ok(());
            }
            level += 1;
            if level > limits::MAX_FOLDER_DEPTH {
                return Err(Error::Invalid(TOO_DEEP));
            }
            folders = below;
        }
    }

    async fn folders_in(&self, owner: UserId, folders: &[FileId]) -> Result<Vec<FileId>> {
        let folders = sorted::named(owner, doc! { "$in": folders }.into(), &["folder"], None);
        let rows = self.rows.clone_with_type::<OnlyId>();
        let found: Vec<OnlyId> = self
            .with_indexes(|| {
                let find = rows.find(folders.clone()).collation(sorted::collation()).hint(sorted::by_name());
                let find = find.projection(filter::only_id()).batch_size(limits::COPY_BATCH);
                run(async { find.await?.try_collect().await })
            })
            .await?;
        Ok(found.into_iter().map(|row| row.id).collect())
    }
}

const IN_PROGRESS: Error = Error::Conflict("Another move is in progress: try again");

pub(super) const TOO_DEEP: &str = "Too deep: 100 levels at most";

/// The folders that were read with a row.
#[derive(Deserialize)]
struct WithFolders {
    folders: Vec<RawDocumentBuf>,
}

/// The number of levels that a folder is above the row.
#[derive(Deserialize)]
struct Distance {
    above: i64,
}

fn ignore_missing_parent(error: Error) -> Result<()> {
    match error {
        Error::Invalid(_) => Ok(()),
        other => Err(other),
    }
}

/// The time before another attempt, different for each of several.
fn wait(attempt: u32) -> Duration {
    let random = u32::from(ObjectId::new().bytes()[11]);
    limits::MOVE_RETRY.saturating_mul(attempt) + Duration::from_millis(u64::from(random) / 4)
}

impl Parent {
    /// True if both name the same place.
    pub(super) fn is(self, other: Self) -> bool {
        matches!((self, other), (Self::Root | Self::LegacyRoot, Self::Root | Self::LegacyRoot)) || self == other
    }

    /// The value of `parentId` that is stored for the place.
    pub(super) fn stored(self) -> Bson {
        match self {
            Self::Root => Bson::Int32(0),
            Self::LegacyRoot => "0".into(),
            Self::Folder(id) => id.into(),
        }
    }
}

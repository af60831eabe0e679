//! Typical mistakes of a file store. The workload makes them in place of the product, to test that the checker finds
//! each.

use std::{collections::BTreeSet, str::FromStr, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use e2e::{
    Stack,
    ledger::{self, Row, due_tombstone, set, with},
    unique,
};
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::json;
use tokio::time::sleep;

use crate::{Anomaly, checker};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// An upload is acknowledged, and its function dies before it stores the bytes.
    AckBeforePut,
    /// An upload is acknowledged although the sweeper has deleted it in the meantime.
    NoFlipCheck,
    /// A row is deleted, and the function dies before it deletes the object.
    DeleteWithoutTombstone,
    /// An object is stored, and its function dies before it writes the row.
    ObjectBeforeRow,
    /// A repeated request is executed again.
    NoIdempotency,
    /// A mistake of the workload: it counts a 5xx as a refusal.
    FailureTakenForRefusal,
    /// A move looks for a circle first and sets the new place afterwards, and so does another one at the same time.
    CheckThenSetMove,
    /// A copy is stored, and the original and its object are deleted before: the copy does not look again.
    CopyWithoutLook,
    /// The sweeper deletes the object of a deleted file, and a copy still has the object.
    SharedObjectDeleted,
    /// The sweeper dies after it has given back what is counted for a deleted file, and then gives it back again.
    RefundTwice,
    /// An upload is not counted.
    NotCounted,
    /// The object of the earlier content is deleted when a file is replaced.
    VersionDeleted,
    /// A function counts the download of a visitor and dies before it sets the grant, and the visitor's next request is
    /// counted again.
    CounterBeforeGrant,
    /// The thumbnails of a preview, which the file has taken, are deleted with the row of the preview.
    PreviewDeleted,
}

impl Mutation {
    pub const ALL: [Self; 14] = [
        Self::AckBeforePut,
        Self::NoFlipCheck,
        Self::DeleteWithoutTombstone,
        Self::ObjectBeforeRow,
        Self::NoIdempotency,
        Self::FailureTakenForRefusal,
        Self::CheckThenSetMove,
        Self::CopyWithoutLook,
        Self::SharedObjectDeleted,
        Self::RefundTwice,
        Self::NotCounted,
        Self::VersionDeleted,
        Self::CounterBeforeGrant,
        Self::PreviewDeleted,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::AckBeforePut => "ack-before-put",
            Self::NoFlipCheck => "no-flip-check",
            Self::DeleteWithoutTombstone => "delete-without-tombstone",
            Self::ObjectBeforeRow => "object-before-row",
            Self::NoIdempotency => "no-idempotency",
            Self::FailureTakenForRefusal => "5xx-is-failed",
            Self::CheckThenSetMove => "check-then-set-move",
            Self::CopyWithoutLook => "copy-without-look",
            Self::SharedObjectDeleted => "shared-object-deleted",
            Self::RefundTwice => "refund-twice",
            Self::NotCounted => "not-counted",
            Self::VersionDeleted => "version-deleted",
            Self::CounterBeforeGrant => "counter-before-grant",
            Self::PreviewDeleted => "preview-deleted",
        }
    }

    /// The anomaly that the checker must report.
    pub fn anomaly(self) -> Anomaly {
        match self {
            Self::AckBeforePut | Self::CopyWithoutLook | Self::SharedObjectDeleted | Self::VersionDeleted => {
                Anomaly::MissingObject
            }
            Self::NoFlipCheck => Anomaly::Lost,
            Self::DeleteWithoutTombstone | Self::ObjectBeforeRow => Anomaly::Orphan,
            Self::NoIdempotency => Anomaly::Duplicated,
            Self::FailureTakenForRefusal => Anomaly::Unrequested,
            Self::CheckThenSetMove => Anomaly::Cycle,
            Self::RefundTwice | Self::NotCounted => Anomaly::WrongQuota,
            Self::CounterBeforeGrant => Anomaly::WrongDownloads,
            Self::PreviewDeleted => Anomaly::WrongThumbnails,
        }
    }

    /// True for a mistake that is made with entries of its own, between two operations. The others are made in place of
    /// the product, in the middle of an operation.
    pub fn needs_entries(self) -> bool {
        matches!(
            self,
            Self::CheckThenSetMove
                | Self::CopyWithoutLook
                | Self::SharedObjectDeleted
                | Self::RefundTwice
                | Self::NotCounted
                | Self::VersionDeleted
                | Self::CounterBeforeGrant
                | Self::PreviewDeleted
        )
    }
}

impl FromStr for Mutation {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|mutation| mutation.name() == name)
            .ok_or_else(|| anyhow!("no mutation {name}; there are {names}"))
    }
}

/// Deletes the object of a visible file.
pub async fn delete_object(stack: &Stack, id: ObjectId) -> Result<()> {
    let key = key_of(stack, id).await?;
    stack.s3.delete_object().bucket(&stack.bucket).key(key).send().await?;
    Ok(())
}

/// Deletes the thumbnails of a file's preview, as soon as the file has them.
pub async fn delete_preview(stack: &Stack, id: ObjectId) -> Result<()> {
    for _ in 0..100 {
        let row = stack.files.find_one(with(ledger::row(id), ledger::visible())).await?.context("no such row")?;
        if let Some(preview) = Row::from(row).thumbnails_id().filter(|thumbnails| *thumbnails != id) {
            for width in [500, 250, 100] {
                let key = format!("thumbnails/{preview}/{width}");
                stack.s3.delete_object().bucket(&stack.bucket).key(key).send().await?;
            }
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    bail!("the file gets no preview")
}

/// Makes the sweeper delete a file.
pub async fn tombstone(stack: &Stack, id: ObjectId) -> Result<()> {
    match stack.files.update_one(ledger::row(id), set(due_tombstone())).await?.modified_count {
        1 => Ok(()),
        _ => bail!("no such row"),
    }
}

/// Deletes the row of a file and keeps its object.
pub async fn delete_row(stack: &Stack, id: ObjectId) -> Result<()> {
    match stack.files.delete_one(with(ledger::row(id), ledger::with_object())).await?.deleted_count {
        1 => Ok(()),
        _ => bail!("no such row"),
    }
}

/// Makes each of two folders the parent of the other.
pub async fn move_into_each_other(stack: &Stack, one: ObjectId, other: ObjectId) -> Result<()> {
    for (folder, parent) in [(one, other), (other, one)] {
        let moved = stack.files.update_one(ledger::row(folder), set(doc! { "parentId": parent })).await?;
        ensure!(moved.modified_count == 1, "no such folder");
    }
    Ok(())
}

/// Deletes a file with its object, and stores a copy of its row. Returns the id of the copy.
pub async fn copy_after_deletion(stack: &Stack, original: ObjectId) -> Result<ObjectId> {
    let row = stack.files.find_one(with(ledger::row(original), ledger::visible())).await?.context("no such row")?;
    delete_object(stack, original).await?;
    tombstone(stack, original).await?;
    let copy = ObjectId::new();
    let of_copy = with(doc! { "_id": copy, "isPublic": false }, ledger::copied_from(original));
    stack.files.insert_one(with(row, of_copy)).await?;
    Ok(copy)
}

/// Counts a file of this size less.
pub async fn uncount(stack: &Stack, user: ObjectId, size: u64) -> Result<()> {
    let account = with(doc! { "_id": user }, ledger::counting());
    let counted = stack.users.update_one(account, ledger::uncount(i64::try_from(size)?, 1)).await?;
    ensure!(counted.modified_count == 1, "nothing is counted");
    Ok(())
}

/// Counts a download of a link once more.
pub async fn count_again(stack: &Stack, link: ObjectId) -> Result<()> {
    let counted = stack.links().update_one(doc! { "_id": link }, ledger::count_download()).await?;
    ensure!(counted.modified_count == 1, "no such link");
    Ok(())
}

/// The key of a visible file's object.
pub async fn key_of(stack: &Stack, id: ObjectId) -> Result<String> {
    let row = stack.files.find_one(with(ledger::row(id), ledger::visible())).await?.context("no such row")?;
    Ok(Row::from(row).key().to_owned())
}

/// Stores an object without a row.
pub async fn put_orphan(stack: &Stack) {
    stack.put_object(&format!("files/{}", unique("orphan")), b"orphan".to_vec()).await;
}

/// Removes the data that the mutations have left, because nothing else would: `fsck` runs after all tests. The accounts go
/// first, so that nothing is counted for them any more.
pub async fn clean_up(stack: &Stack, people: &[ObjectId], earlier_orphans: &BTreeSet<String>) -> Result<()> {
    stack.users.delete_many(doc! { "_id": { "$in": people } }).await?;
    stack.files.update_many(ledger::all_of_any(people), set(due_tombstone())).await?;
    stack.invoke("sweeper", &json!({})).await;
    for orphan in checker::orphans(stack).await?.difference(earlier_orphans) {
        stack.s3.delete_object().bucket(&stack.bucket).key(orphan).send().await?;
    }
    Ok(())
}

//! The mistakes that a file storage makes, done by the history in the product's place, so that the checker can show that
//! it notices each.

use std::{collections::BTreeSet, str::FromStr};

use anyhow::{Context, Result, anyhow, bail};
use e2e::{Stack, unique};
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use serde_json::json;

use crate::{Anomaly, checker};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// An upload is acknowledged, and its function dies before it puts the bytes.
    AckBeforePut,
    /// An upload is acknowledged that the sweeper has taken meanwhile.
    NoFlipCheck,
    /// A row is deleted, and the function dies before it deletes the object.
    DeleteWithoutTombstone,
    /// An object is put, and the function dies before it writes the row.
    ObjectBeforeRow,
    /// A request that comes again is done again.
    NoIdempotency,
    /// The history's own: who hears a 5xx takes it for a refusal.
    FailureTakenForRefusal,
}

impl Mutation {
    pub const ALL: [Self; 6] = [
        Self::AckBeforePut,
        Self::NoFlipCheck,
        Self::DeleteWithoutTombstone,
        Self::ObjectBeforeRow,
        Self::NoIdempotency,
        Self::FailureTakenForRefusal,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::AckBeforePut => "ack-before-put",
            Self::NoFlipCheck => "no-flip-check",
            Self::DeleteWithoutTombstone => "delete-without-tombstone",
            Self::ObjectBeforeRow => "object-before-row",
            Self::NoIdempotency => "no-idempotency",
            Self::FailureTakenForRefusal => "5xx-is-failed",
        }
    }

    /// What the checker must say of it.
    pub fn anomaly(self) -> Anomaly {
        match self {
            Self::AckBeforePut => Anomaly::MissingObject,
            Self::NoFlipCheck => Anomaly::Lost,
            Self::DeleteWithoutTombstone | Self::ObjectBeforeRow => Anomaly::Orphan,
            Self::NoIdempotency => Anomaly::Duplicated,
            Self::FailureTakenForRefusal => Anomaly::Unrequested,
        }
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

/// Takes the object of a visible file away.
pub async fn delete_object(stack: &Stack, id: ObjectId) -> Result<()> {
    let row = stack.files.find_one(doc! { "_id": id, "state": null }).await?.context("no such row")?;
    stack.s3.delete_object().bucket(&stack.bucket).key(row.get_str("key")?).send().await?;
    Ok(())
}

/// Has the sweeper take a file.
pub async fn tombstone(stack: &Stack, id: ObjectId) -> Result<()> {
    let tombstone = doc! { "$set": { "state": "deleted", "expiresAt": DateTime::now() } };
    match stack.files.update_one(doc! { "_id": id }, tombstone).await?.modified_count {
        1 => Ok(()),
        _ => bail!("no such row"),
    }
}

/// Forgets a file's row and leaves its object.
pub async fn delete_row(stack: &Stack, id: ObjectId) -> Result<()> {
    match stack.files.delete_one(doc! { "_id": id, "key": { "$exists": true } }).await?.deleted_count {
        1 => Ok(()),
        _ => bail!("no such row"),
    }
}

/// Puts an object that no row knows.
pub async fn put_orphan(stack: &Stack) {
    stack.put_object(&format!("files/{}", unique("orphan")), b"orphan".to_vec()).await;
}

/// Removes what the mistakes of these people have left, as nothing else would: the bucket and the ledger are compared after
/// all tests.
pub async fn clean_up(stack: &Stack, people: &[ObjectId], strangers: &BTreeSet<String>) -> Result<()> {
    let theirs = doc! { "userId": { "$in": people } };
    let tombstone = doc! { "$set": { "state": "deleted", "expiresAt": DateTime::now() } };
    stack.files.update_many(theirs, tombstone).await?;
    stack.invoke("sweeper", &json!({})).await;
    for orphan in checker::orphans(stack).await?.difference(strangers) {
        stack.s3.delete_object().bucket(&stack.bucket).key(orphan).send().await?;
    }
    Ok(())
}

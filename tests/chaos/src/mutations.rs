//! Typical mistakes of a file store. The workload makes them in place of the product, to test that the checker finds
//! each.

use std::{collections::BTreeSet, str::FromStr};

use anyhow::{Context, Result, anyhow, bail};
use e2e::{
    Stack,
    ledger::{self, Row, due_tombstone, set, with},
    unique,
};
use mongodb::bson::oid::ObjectId;
use serde_json::json;

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

    /// The anomaly that the checker must report.
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

/// Deletes the object of a visible file.
pub async fn delete_object(stack: &Stack, id: ObjectId) -> Result<()> {
    let row = stack.files.find_one(with(ledger::row(id), ledger::visible())).await?.context("no such row")?;
    stack.s3.delete_object().bucket(&stack.bucket).key(Row::from(row).key()).send().await?;
    Ok(())
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

/// Stores an object without a row.
pub async fn put_orphan(stack: &Stack) {
    stack.put_object(&format!("files/{}", unique("orphan")), b"orphan".to_vec()).await;
}

/// Removes the data that the mutations have left, because nothing else would: `fsck` runs after all tests.
pub async fn clean_up(stack: &Stack, people: &[ObjectId], earlier_orphans: &BTreeSet<String>) -> Result<()> {
    stack.files.update_many(ledger::all_of_any(people), set(due_tombstone())).await?;
    stack.invoke("sweeper", &json!({})).await;
    for orphan in checker::orphans(stack).await?.difference(earlier_orphans) {
        stack.s3.delete_object().bucket(&stack.bucket).key(orphan).send().await?;
    }
    Ok(())
}

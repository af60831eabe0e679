//! The counters of what users store, in the documents of the users: see [`super::quota`].

use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Bson, Document, doc, oid::ObjectId},
    options::{IndexOptions, ReturnDocument},
};
use serde::Deserialize;

use super::row::Charge;
use crate::{
    Result,
    ids::{FileId, UserId},
    limits,
    stores::mongo::{Indexed, run},
    time::Timestamp,
};

/// The counters of the users: fields of the collection of accounts.
#[derive(Clone)]
pub struct Quota {
    counters: Indexed<Counter>,
    /// The bytes that a user may store who has no quota of their own; 0 for any number.
    pub default_bytes: u64,
}

/// The counters in the document of a user. A value that is no number counts as absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counter {
    #[serde(rename = "_id")]
    pub id: UserId,
    #[serde(default)]
    pub used_bytes: Option<Bson>,
    #[serde(default)]
    pub used_files: Option<Bson>,
    #[serde(default)]
    quota_bytes: Option<Bson>,
    #[serde(default)]
    pub charges: Vec<Note>,
    #[serde(default)]
    pub refunds: Vec<FileId>,
}

/// A row to take off the counter.
pub struct Counted {
    pub file: FileId,
    pub charge: Charge,
    /// The note of the row's charge, which may be there still.
    pub note: Option<ObjectId>,
}

/// A count whose row may not say yet that it is charged.
#[derive(Clone, Deserialize)]
pub struct Note {
    pub id: ObjectId,
    pub file: FileId,
    pub at: Timestamp,
}

pub fn number(value: Option<&Bson>) -> Option<i64> {
    match value? {
        Bson::Int32(number) => Some((*number).into()),
        Bson::Int64(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "a counter is a whole number far below 2^53")]
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

fn indexes() -> Vec<IndexModel> {
    let unsettled = doc! { "unsettledAt": { "$exists": true } };
    let options = IndexOptions::builder().partial_filter_expression(unsettled).build();
    vec![IndexModel::builder().keys(doc! { "unsettledAt": 1 }).options(options).build()]
}

impl Quota {
    pub fn of(database: &Database, default_bytes: u64) -> Self {
        Self { counters: Indexed::new(database.collection("users"), indexes), default_bytes }
    }

    fn untyped(&self) -> Collection<Document> {
        self.counters.clone_with_type()
    }

    pub async fn read(&self, user: UserId) -> Result<Option<Counter>> {
        let fields = doc! { "usedBytes": 1, "usedFiles": 1, "quotaBytes": 1, "charges": 1, "refunds": 1 };
        run(self.counters.find_one(doc! { "_id": user }).projection(fields)).await
    }

    pub fn quota_of(&self, counter: &Counter) -> Option<u64> {
        let own = number(counter.quota_bytes.as_ref()).and_then(|bytes| u64::try_from(bytes).ok());
        Some(own.unwrap_or(self.default_bytes)).filter(|bytes| *bytes > 0)
    }

    /// Sets the counter of a user who has none. A counter that another request has set meanwhile stays.
    pub async fn set(&self, user: UserId, total: Charge) -> Result<()> {
        let uncounted = doc! { "_id": user, "usedBytes": { "$not": { "$type": "number" } } };
        let counters = doc! { "usedBytes": total.bytes, "usedFiles": total.count };
        run(self.untyped().update_one(uncounted, doc! { "$set": counters })).await?;
        Ok(())
    }

    /// Users with notes, those with the oldest first.
    pub async fn unsettled(&self) -> Result<Vec<Counter>> {
        let unsettled = doc! { "unsettledAt": { "$lte": Timestamp::now() } };
        let users = self.counters.indexed().await?.find(unsettled).sort(doc! { "unsettledAt": 1 });
        let users = users.projection(doc! { "charges": 1, "refunds": 1 }).limit(limits::SWEEP_BATCH);
        run(async { users.await?.try_collect().await }).await
    }

    /// Counts a charge, with its note. Returns all notes; `None` if the counter is missing or has no room, or the file is
    /// counted already.
    pub async fn reserve(&self, user: UserId, file: FileId, charge: Charge) -> Result<Option<Vec<Note>>> {
        let default = i64::try_from(self.default_bytes).unwrap_or(i64::MAX);
        let own = doc! { "$cond": [{ "$isNumber": "$quotaBytes" }, "$quotaBytes", default] };
        let after = doc! { "$add": ["$usedBytes", charge.bytes] };
        let room = doc! { "$or": [{ "$lte": [&own, 0] }, { "$eq": [charge.bytes, 0_i64] }, { "$lte": [after, &own] }] };
        let counted = doc! {
            "_id": user,
            "usedBytes": { "$type": "number" },
            "charges.file": { "$ne": file },
            "$expr": room,
        };
        let note = doc! { "id": ObjectId::new(), "file": file, "bytes": charge.bytes, "count": charge.count, "at": Timestamp::now() };
        let pipeline = vec![
            doc! { "$set": {
                "usedBytes": { "$add": ["$usedBytes", charge.bytes] },
                "usedFiles": { "$add": ["$usedFiles", charge.count] },
                "charges": { "$concatArrays": [{ "$ifNull": ["$charges", []] }, [note]] },
            } },
            settled(),
        ];
        let update = self.counters.find_one_and_update(counted, pipeline).return_document(ReturnDocument::After);
        Ok(run(update.projection(doc! { "charges": 1 })).await?.map(|counter| counter.charges))
    }

    /// Removes notes, and takes those of `lost` off the counters, but for what is `kept`.
    pub async fn remove_notes(
        &self,
        user: UserId,
        charged: &[ObjectId],
        lost: &[ObjectId],
        kept: Charge,
    ) -> Result<()> {
        if charged.is_empty() && lost.is_empty() {
            return Ok(());
        }
        let those = |ids: &[ObjectId], negate: bool| {
            let is_in = doc! { "$in": ["$$note.id", ids] };
            let condition = if negate {
                doc! { "$not": [is_in] }
            } else {
                is_in
            };
            doc! { "$filter": { "input": { "$ifNull": ["$charges", []] }, "as": "note", "cond": condition } }
        };
        let sum = |field: &str, kept: i64| {
            let each = doc! { "$map": { "input": those(lost, false), "as": "note", "in": format!("$$note.{field}") } };
            let any = doc! { "$ne": [those(lost, false), []] };
            doc! { "$subtract": [{ "$sum": each }, { "$cond": [any, kept, 0_i64] }] }
        };
        let all: Vec<ObjectId> = charged.iter().chain(lost).copied().collect();
        let change = vec![
            doc! { "$set": {
                "usedBytes": less("$usedBytes", sum("bytes", kept.bytes).into()),
                "usedFiles": less("$usedFiles", sum("count", kept.count).into()),
                "charges": those(&all, true),
            } },
            settled(),
        ];
        run(self.untyped().update_one(doc! { "_id": user, "usedBytes": { "$type": "number" } }, change)).await?;
        Ok(())
    }

    /// Takes a part of a charge off the counter, and off its note. Does nothing without the note.
    pub async fn reduce(&self, user: UserId, file: FileId, by: Charge) -> Result<()> {
        let less_of = |field: &str, by: i64| doc! { "$subtract": [format!("$$note.{field}"), by] };
        let reduced = doc! { "$mergeObjects": [
            "$$note",
            { "bytes": less_of("bytes", by.bytes), "count": less_of("count", by.count) },
        ] };
        let is_this = doc! { "$eq": ["$$note.file", file] };
        let notes = doc! { "$map": {
            "input": "$charges",
            "as": "note",
            "in": { "$cond": [is_this, reduced, "$$note"] },
        } };
        let change = doc! { "$set": {
            "usedBytes": less("$usedBytes", by.bytes.into()),
            "usedFiles": less("$usedFiles", by.count.into()),
            "charges": notes,
        } };
        let owner = doc! { "_id": user, "usedBytes": { "$type": "number" }, "charges.file": file };
        run(self.untyped().update_one(owner, vec![change])).await?;
        Ok(())
    }

    /// The note of a charge.
    pub async fn note(&self, user: UserId, file: FileId) -> Result<Option<Note>> {
        let counter = self.read(user).await?;
        Ok(counter.and_then(|counter| counter.charges.into_iter().find(|note| note.file == file)))
    }

    /// Takes rows off the counter, each once, with a note. `false` if the user has no counter.
    pub async fn refund(&self, user: UserId, rows: &[Counted]) -> Result<bool> {
        let counted = rows.iter().filter(|row| row.charge != Charge::default());
        let items: Vec<Document> = counted
            .map(|Counted { file, charge, .. }| doc! { "file": file, "bytes": charge.bytes, "count": charge.count })
            .collect();
        let notes: Vec<ObjectId> = rows.iter().filter_map(|row| row.note).collect();
        if items.is_empty() && notes.is_empty() {
            return Ok(true);
        }
        let already = doc! { "$in": ["$$item.file", { "$ifNull": ["$refunds", []] }] };
        let new = doc! { "$filter": { "input": &items, "as": "item", "cond": { "$not": [already] } } };
        let sum = |field: &str| {
            doc! { "$sum": { "$map": { "input": &new, "as": "item", "in": format!("$$item.{field}") } } }
        };
        let files: Vec<&Bson> = items.iter().filter_map(|item| item.get("file")).collect();
        let change = vec![
            doc! { "$set": {
                "usedBytes": less("$usedBytes", sum("bytes").into()),
                "usedFiles": less("$usedFiles", sum("count").into()),
                // The note of a row's charge goes with the row: without the row it would count as lost.
                "charges": without(notes),
                "refunds": { "$setUnion": [{ "$ifNull": ["$refunds", []] }, files] },
            } },
            settled(),
        ];
        let users = self.untyped();
        let counted = doc! { "_id": user, "usedBytes": { "$type": "number" } };
        Ok(run(users.update_one(counted, change)).await?.matched_count == 1)
    }

    /// Removes the notes of refunds.
    pub async fn forget(&self, user: UserId, files: &[FileId]) -> Result<()> {
        let rest = doc! { "$setDifference": [{ "$ifNull": ["$refunds", []] }, files] };
        let noted = doc! { "_id": user, "refunds": { "$in": files } };
        run(self.untyped().update_one(noted, vec![doc! { "$set": { "refunds": rest } }, settled()])).await?;
        Ok(())
    }
}

/// The notes of charges but for these.
fn without(notes: Vec<ObjectId>) -> Document {
    let is_one = doc! { "$in": ["$$note.id", notes] };
    doc! { "$filter": { "input": { "$ifNull": ["$charges", []] }, "as": "note", "cond": { "$not": [is_one] } } }
}

/// The fields of an update pipeline that keep `unsettledAt` as long as there are notes.
fn settled() -> Document {
    let empty = |list: &str| doc! { "$eq": [{ "$ifNull": [list, []] }, []] };
    let now = doc! { "$ifNull": ["$unsettledAt", "$$NOW"] };
    let none = doc! { "$and": [empty("$charges"), empty("$refunds")] };
    doc! { "$set": {
        "charges": { "$cond": [empty("$charges"), "$$REMOVE", "$charges"] },
        "refunds": { "$cond": [empty("$refunds"), "$$REMOVE", "$refunds"] },
        "unsettledAt": { "$cond": [none, "$$REMOVE", now] },
    } }
}

fn less(counter: &str, by: Bson) -> Document {
    doc! { "$max": [0_i64, { "$subtract": [counter, by] }] }
}

/// The charge of one file.
pub fn charge_of(bytes: u64) -> Charge {
    Charge { bytes: i64::try_from(bytes).unwrap_or(i64::MAX), count: 1 }
}

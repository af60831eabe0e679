//! The counters of the quota beside the rows that they count. Collection `users` has a counter of bytes and one of files
//! for each user who has stored something since there is a quota.

use futures_util::{Stream, TryStreamExt};
use mongodb::{
    Collection, Database,
    bson::{Bson, Document, doc},
    options::Hint,
};
use serde::{Deserialize, Serialize};

use super::row::{self, Sum, filter, whole_or_zero};
use crate::{
    Result,
    ids::UserId,
    limits,
    stores::{
        mongo::{run, run_within},
        paginate::paginate,
    },
};

/// What a user stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    pub bytes: i64,
    pub files: i64,
}

/// The counters of a user that differ from the user's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub user: UserId,
    /// The values of the counters.
    pub counted: Stored,
    /// The sum of the rows without a tombstone.
    pub found: Stored,
}

/// The fields of an account that concern the quota.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    #[serde(deserialize_with = "whole_or_zero")]
    used_bytes: i64,
    #[serde(default, deserialize_with = "whole_or_zero")]
    used_files: i64,
    /// What is counted for files that may have no row yet.
    #[serde(default)]
    charges: Vec<Charge>,
    /// The rows that were given back and may not be deleted yet.
    #[serde(default)]
    refunds: Vec<Bson>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Charge {
    #[serde(default, deserialize_with = "whole_or_zero")]
    bytes: i64,
}

/// The collections `users` and `files`, to compare them.
#[derive(Clone)]
pub struct Counters {
    accounts: Collection<Account>,
    rows: Collection<Sum>,
}

impl Counters {
    pub fn of(database: &Database) -> Self {
        Self { accounts: database.collection("users"), rows: database.collection(row::COLLECTION) }
    }

    /// The users who have counters.
    pub fn users(&self) -> impl Stream<Item = Result<UserId>> {
        paginate(move |after: Option<UserId>| async move {
            let after = after.map_or(Bson::ObjectId(row::NO_ID), Bson::from);
            let counted = doc! { "_id": { "$gt": after }, "usedBytes": { "$exists": true } };
            let accounts = self.accounts.clone_with_type::<Id>();
            let find = accounts.find(counted).projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 });
            let find = find.hint(Hint::Keys(doc! { "_id": 1 })).limit(limits::FSCK_ROWS.into());
            let found = async { find.await?.try_collect::<Vec<Id>>().await };
            let users: Vec<UserId> =
                run_within(limits::MONGODB_BULK_TIMEOUT, found).await?.into_iter().map(|account| account.id).collect();
            let last = users.last().copied();
            Ok((users, last))
        })
    }

    /// The difference between a user's counters and rows; `None` if there is none, or if the counters change all the
    /// time.
    ///
    /// A charge is counted before its row exists, and given back before its tombstone is deleted. So the counters may
    /// exceed the sum by as much as the charges and the tombstones have, and are never below the sum.
    pub async fn difference(&self, user: UserId) -> Result<Option<Difference>> {
        for _ in 0..limits::FSCK_USAGE_ATTEMPTS {
            let Some(account) = self.account(user).await? else { return Ok(None) };
            let sum = self.sum(user).await?;
            // The sum is of rows that were read one after the other. It can be compared only if nothing was counted
            // meanwhile.
            if self.account(user).await?.as_ref() == Some(&account) {
                return Ok(account.difference(user, sum));
            }
        }
        Ok(None)
    }

    /// `None` if the user has no account any more, or no counters.
    async fn account(&self, user: UserId) -> Result<Option<Account>> {
        let counted = doc! { "_id": user, "usedBytes": { "$exists": true } };
        let fields = doc! { "_id": 0, "usedBytes": 1, "usedFiles": 1, "charges": 1, "refunds": 1 };
        run(self.accounts.find_one(counted).projection(fields)).await
    }

    async fn sum(&self, user: UserId) -> Result<Sum> {
        let steps: [Document; 2] = filter::sum_of(user);
        let sum = self.rows.aggregate(steps).hint(Hint::Keys(filter::by_owner())).with_type::<Sum>();
        let sum = run_within(limits::FSCK_USAGE_TIMEOUT, async { sum.await?.try_next().await }).await?;
        Ok(sum.unwrap_or_default())
    }
}

#[derive(Deserialize)]
struct Id {
    #[serde(rename = "_id")]
    id: UserId,
}

impl Account {
    fn difference(&self, user: UserId, sum: Sum) -> Option<Difference> {
        let charged: i64 = self.charges.iter().map(|charge| charge.bytes).sum();
        let most_bytes = sum.sure_bytes + sum.unsure_bytes + charged;
        // A charge may be of a folder with any number of files.
        let most_files = if self.charges.is_empty() { sum.sure_files + sum.unsure_files } else { i64::MAX };
        let is_right = (sum.sure_bytes..=most_bytes).contains(&self.used_bytes)
            && (sum.sure_files..=most_files).contains(&self.used_files);
        (!is_right).then_some(Difference {
            user,
            counted: Stored { bytes: self.used_bytes, files: self.used_files },
            found: Stored { bytes: sum.sure_bytes, files: sum.sure_files },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_right(bytes: i64, files: i64, charges: &[i64], sum: Sum) -> bool {
        let charges = charges.iter().map(|&bytes| Charge { bytes }).collect();
        let account = Account { used_bytes: bytes, used_files: files, charges, refunds: Vec::new() };
        account.difference(UserId::new(), sum).is_none()
    }

    #[test]
    fn counters_are_those_of_the_rows_and_of_what_is_under_way() {
        let settled = Sum { sure_bytes: 100, sure_files: 3, ..Sum::default() };
        assert!(is_right(100, 3, &[], settled));
        for (bytes, files) in [(99, 3), (101, 3), (100, 2), (100, 4)] {
            assert!(!is_right(bytes, files, &[], settled), "{bytes} bytes, {files} files");
        }
        let with_tombstones = Sum { unsure_bytes: 10, unsure_files: 1, ..settled };
        for (bytes, files, expected) in [(100, 3, true), (110, 4, true), (99, 3, false), (111, 4, false)] {
            assert_eq!(is_right(bytes, files, &[], with_tombstones), expected, "{bytes} bytes, {files} files");
        }
        for (bytes, expected) in [(100, true), (105, true), (106, false), (99, false)] {
            assert_eq!(is_right(bytes, 4, &[5], settled), expected, "{bytes} bytes");
        }
    }
}

//! Compares the ledger with the bucket, both ways, and the counters of the quota with the ledger. The comparison only
//! reads, and holds one page of each at a time.
//!
//! Both change while they are read, so every difference is checked again before it counts. The check reads the two in
//! the order in which the protocol of [`shared::files`] cannot make a difference: a row exists before its object, and
//! is deleted after the object. So fsck is safe on a live system, and a finding that two runs report is real.

use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use futures_util::TryStreamExt;
use serde::Serialize;
use shared::{
    Result,
    archives::Zips,
    files::{
        Expectation, ExpectedObject, Files,
        usage_check::{Counters, Difference},
    },
    ids::{FileId, UserId},
    limits,
    stores::{
        Stores,
        s3::{Key, MultipartUpload, ObjectSummary, Objects},
    },
};
use tokio::time::timeout;

mod merge;

use merge::{Merged, merge};

pub struct Fsck {
    files: Files,
    counters: Counters,
    zips: Zips,
    objects: Objects,
}

#[derive(Default, Serialize)]
pub struct Report {
    /// Objects and multipart uploads without a row.
    orphans: Findings<Orphan>,
    /// Rows that are visible, in the trash or versions, and whose object is missing or has another size.
    dangling: Findings<Dangling>,
    /// Rows past their grace period, which the next sweep takes.
    stale: Findings<Stale>,
    /// Users whose counters differ from the sum of their rows.
    usage: Findings<Difference>,
    /// True if everything was compared before the function's time was over.
    complete: bool,
}

#[derive(Serialize)]
struct Findings<T> {
    count: u64,
    /// At most [`limits::FSCK_FINDINGS`].
    first: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Orphan {
    key: String,
    /// Set for a multipart upload, whose parts are no object yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_id: Option<String>,
}

#[derive(Serialize)]
struct Dangling {
    id: FileId,
    key: Key,
    /// The size in the row.
    size: Option<u64>,
    /// The size of the object; `None` without an object.
    found: Option<u64>,
}

#[derive(Serialize)]
struct Stale {
    id: FileId,
}

impl Fsck {
    pub fn new(files: Files, counters: Counters, zips: Zips, stores: &Stores) -> Self {
        Self { files, counters, zips, objects: Objects::connect(stores, limits::S3_LISTING) }
    }

    /// Compares everything, or as much as there is time for before the deadline.
    ///
    /// # Errors
    /// A store is down. An object or a row that could not be read does not count as missing.
    pub async fn check(&self, request_id: &str, deadline: SystemTime) -> Result<Report> {
        let mut report = Report::default();
        let left = deadline.duration_since(SystemTime::now()).unwrap_or_default().saturating_sub(limits::FSCK_REPORT);
        let outcome = in_time(left, Box::pin(self.compare(&mut report))).await;
        let Report { orphans, dangling, stale, usage, .. } = &report;
        match outcome {
            Ok(complete) => {
                let (orphans, dangling, stale, usage) = (orphans.count, dangling.count, stale.count, usage.count);
                tracing::info!(request_id, orphans, dangling, stale, complete, usage, "fsck");
                Ok(Report { complete, ..report })
            }
            Err(error) => {
                tracing::error!(request_id, error = error.cause(), "fsck");
                Err(error)
            }
        }
    }

    /// The slowest comparison comes last.
    async fn compare(&self, report: &mut Report) -> Result<()> {
        let (count, first) = self.files.stale().await?;
        report.stale = Findings { count, first: first.into_iter().map(|id| Stale { id }).collect() };

        let mut users = pin!(self.counters.users());
        while let Some(user) = users.try_next().await? {
            report.usage.extend(self.difference(user).await?);
        }

        let mut uploads = pin!(self.objects.list_multipart_uploads(""));
        while let Some(upload) = uploads.try_next().await? {
            if self.is_abandoned(&upload).await? {
                report.orphans.add(Orphan { key: upload.key, upload_id: Some(upload.upload_id) });
            }
        }

        let by_key = |object: &ObjectSummary, expected: &ExpectedObject| object.key.as_str().cmp(expected.key.as_str());
        let expected_objects = self.files.expected_objects().await?;
        merge(self.objects.list_objects(), expected_objects, by_key, async |merged| {
            match merged {
                Merged::Both(ObjectSummary { size, .. }, expected)
                    if expected.content == Expectation::Bytes(Some(size)) => {}
                Merged::Both(_, expected) | Merged::Right(expected) => {
                    report.dangling.extend(self.dangling(expected).await?);
                }
                Merged::Left(ObjectSummary { key, .. }) => {
                    if self.is_orphan(&key).await? {
                        report.orphans.add(Orphan { key, upload_id: None });
                    }
                }
            }
            Ok(())
        })
        .await
    }

    /// Checks again that an object has no row. A listed object that is no orphan had a row at that time. If this row
    /// has been deleted since, the object was deleted before the row, so it is gone now.
    async fn is_orphan(&self, key: &str) -> Result<bool> {
        Ok(!self.is_of_zip(key).await?
            && !self.files.is_referenced(key).await?
            && self.objects.summary(key).await?.is_some())
    }

    /// True if a ZIP accounts for an object or a multipart upload: the sweeper removes the ZIP with all of its objects.
    async fn is_of_zip(&self, key: &str) -> Result<bool> {
        match Key::parse_zip(key) {
            Some((zip, _)) => self.zips.exists(zip).await,
            None => Ok(false),
        }
    }

    /// The same check for a multipart upload.
    async fn is_abandoned(&self, MultipartUpload { key, upload_id }: &MultipartUpload) -> Result<bool> {
        if self.is_of_zip(key).await? || self.files.expects_multipart(key).await? {
            return Ok(false);
        }
        let mut uploads = pin!(self.objects.list_multipart_uploads(key));
        while let Some(upload) = uploads.try_next().await? {
            if upload.key == *key && upload.upload_id == *upload_id {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checks again that the counters of a user differ. A file that is being replaced has two rows for a moment.
    async fn difference(&self, user: UserId) -> Result<Option<Difference>> {
        let Some(found) = self.counters.difference(user).await? else { return Ok(None) };
        Ok(self.counters.difference(user).await?.filter(|again| *again == found))
    }

    /// Checks again that the object of a row is missing. If the object has been deleted since, the row got its
    /// tombstone before.
    async fn dangling(&self, expected: ExpectedObject) -> Result<Option<Dangling>> {
        let Expectation::Bytes(size) = expected.content else { return Ok(None) };
        let found = self.objects.summary(expected.key.as_str()).await?.map(|object| object.size);
        if found.is_some() && found == size || !self.files.is_unchanged(&expected).await? {
            return Ok(None);
        }
        Ok(Some(Dangling { id: expected.row, key: expected.key, size, found }))
    }
}

/// True if the work ended in the time that is left.
async fn in_time(left: Duration, work: impl Future<Output = Result<()>>) -> Result<bool> {
    match timeout(left, work).await {
        Ok(done) => done.map(|()| true),
        Err(_) => Ok(false),
    }
}

impl<T> Findings<T> {
    fn add(&mut self, finding: T) {
        self.count += 1;
        if self.first.len() < limits::FSCK_FINDINGS as usize {
            self.first.push(finding);
        }
    }

    fn extend(&mut self, findings: impl IntoIterator<Item = T>) {
        findings.into_iter().for_each(|finding| self.add(finding));
    }
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_findings_are_counted_and_the_first_are_named() {
        let mut findings = Findings::default();
        findings.extend(0..limits::FSCK_FINDINGS + 5);
        assert_eq!(findings.count, u64::from(limits::FSCK_FINDINGS) + 5);
        assert_eq!(findings.first, (0..limits::FSCK_FINDINGS).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn findings_before_the_deadline_are_kept() {
        let mut found = 0;
        let work = async {
            found += 1;
            std::future::pending::<()>().await;
            Ok(())
        };
        assert!(!in_time(Duration::from_millis(1), work).await.unwrap());
        assert_eq!(found, 1);
        assert!(in_time(Duration::from_mins(1), async { Ok(()) }).await.unwrap());
    }
}

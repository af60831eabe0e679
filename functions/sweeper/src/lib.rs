//! Finishes what a crash left unfinished. The sweeper runs on a schedule, and finds its work by an index, never by
//! scanning. On request it scans: [`fsck`] shows that nothing else is left behind.

#![forbid(unsafe_code)]

use std::time::{Instant, SystemTime};

use serde::Serialize;
use shared::{
    Result,
    account_deletion::AccountDeletions,
    archives::Zips,
    files::{Files, Tombstone, usage_check::Counters},
    ids::FileId,
    limits,
    links::Revocations,
    stores::{Stores, lambda::Invoker, queue::JobQueue, redis::Redis, s3::Objects},
    uploads::{Uploads, tickets::FilesLeft},
};

pub mod fsck;

use fsck::Fsck;

pub struct App {
    files: Files,
    uploads: Uploads,
    links: Revocations,
    jobs: JobQueue,
    account_deletions: AccountDeletions,
    zips: Zips,
    objects: Objects,
    archives: Invoker,
    redis: Redis,
    pub fsck: Fsck,
}

/// The result of one run.
#[derive(Serialize)]
pub struct Swept {
    /// Rows removed with their objects: deleted rows, and uploads that nobody finished.
    expired: usize,
    /// Jobs that were sent again.
    overdue: usize,
    /// Rows of the original, or of an earlier release, that searches find now.
    indexed: usize,
}

impl App {
    pub async fn new(stores: &Stores) -> anyhow::Result<Self> {
        let database = stores.mongodb.connect().await?;
        let files = Files::of(&database, &stores.config);
        let objects = Objects::connect(stores, limits::S3_INLINE_TIMEOUT);
        Ok(Self {
            uploads: Uploads::new(files.clone(), objects.clone(), FilesLeft::of(&database)),
            fsck: Fsck::new(files.clone(), Counters::of(&database), Zips::of(&database), stores),
            zips: Zips::of(&database),
            objects,
            archives: Invoker::of_archives(stores),
            links: Revocations::of(&database),
            files,
            jobs: JobQueue::connect(stores),
            account_deletions: AccountDeletions::of(&database, &stores.config),
            redis: Redis::connect(stores)?,
        })
    }

    /// One run, in parts. A part runs even if another part fails, because the cause of a failure may last for
    /// days. The next run does what this run could not do.
    ///
    /// # Errors
    /// The first failure of a part, most often because a store is down. The log has all failures, and the schedule is
    /// the retry.
    pub async fn sweep(&self, request_id: &str) -> Result<Swept> {
        self.use_redis().await;
        let started = Instant::now();
        // Indexes of a large ledger take minutes once, for which nothing else waits.
        let (indexed, (unsettled, overdue, account_deletions, zips, expired)) = tokio::join!(self.indexed(), async {
            // Moves and counters come first: a deletion must find them settled.
            let unsettled = self.unsettled(started).await;
            let (overdue, account_deletions) = (self.overdue(started).await, self.account_deletions.sweep().await);
            let zips = self.zips.sweep(&self.objects, &self.archives).await;
            // A backlog of deletions may take all the time of a run, so it comes last.
            (unsettled, overdue, account_deletions, zips, Box::pin(self.expired(started)).await)
        });
        let failures = [
            unsettled.as_ref().err(),
            expired.as_ref().err(),
            overdue.as_ref().err(),
            account_deletions.as_ref().err(),
            zips.as_ref().err(),
            indexed.as_ref().err(),
        ];
        let parts = ["unsettled", "expired", "overdue", "departures", "zips", "indexed"];
        for (part, error) in parts.into_iter().zip(failures) {
            if let Some(error) = error {
                tracing::error!(request_id, part, error = error.cause(), "sweep");
            }
        }
        let swept = Swept { expired: expired?, overdue: overdue?, indexed: indexed? };
        account_deletions?;
        zips?;
        unsettled?;
        let Swept { expired, overdue, indexed } = swept;
        tracing::info!(request_id, expired, overdue, indexed, "sweep");
        Ok(swept)
    }

    /// Completes moves and counters that functions which died have left.
    async fn unsettled(&self, started: Instant) -> Result<()> {
        while started.elapsed() < limits::SWEEP_TIME && self.files.settle_moves().await? {}
        self.files.settle_counters().await?;
        Ok(())
    }

    /// Builds the indexes that an earlier release lacks, then stores the words of rows that have none.
    async fn indexed(&self) -> Result<usize> {
        self.files.build_indexes().await?;
        self.files.store_words().await
    }

    async fn expired(&self, started: Instant) -> Result<usize> {
        let mut count = 0;
        // Purging a folder tombstones its children, so there may be more rows after the last batch.
        while started.elapsed() < limits::SWEEP_TIME {
            let tombstones = self.files.take_expired().await?;
            if tombstones.is_empty() {
                break;
            }
            count += tombstones.len();
            self.links.revoke_with(&tombstones).await?;
            let documents: Vec<FileId> = tombstones.iter().map(Tombstone::id).collect();
            self.zips.delete_all_with(&documents).await?;
            self.uploads.purge(tombstones).await?;
        }
        Ok(count)
    }

    /// Sends the overdue jobs again, each job once, as many as there is time for.
    async fn overdue(&self, started: Instant) -> Result<usize> {
        let now = SystemTime::now();
        self.files.give_up_overdue(now).await?;
        let mut count = 0;
        while started.elapsed() < limits::SWEEP_TIME {
            let overdue = self.files.take_overdue(now).await?;
            if overdue.is_empty() {
                break;
            }
            let mut sent = Vec::with_capacity(overdue.len());
            let outcome = self.jobs.send_all(&overdue, &mut sent).await;
            // Only jobs that the queue took count: an image must not fail because the queue is down.
            self.files.mark_resent(&sent).await?;
            count += sent.len();
            outcome?;
        }
        Ok(count)
    }

    /// Sends Redis a command and ignores the outcome: Upstash archives a free database that gets no command for some
    /// weeks, and without users nothing else calls Redis.
    async fn use_redis(&self) {
        if !self.redis.ping().await {
            tracing::warn!("Redis does not answer");
        }
    }
}

//! Finishes what a crash left half done: runs on a schedule, finds its work by an index, never by scanning. When asked, it
//! scans: [`fsck`] shows that nothing else is left behind.

#![forbid(unsafe_code)]

use std::time::{Instant, SystemTime};

use serde::Serialize;
use shared::{
    Config, Result, departures::Departures, files::Files, jobs::Jobs, limits, mongo, objects::Objects, sessions::Redis,
    uploads::Uploads,
};

pub mod fsck;

use fsck::Fsck;

pub struct App {
    files: Files,
    uploads: Uploads,
    jobs: Jobs,
    departures: Departures,
    redis: Redis,
    pub fsck: Fsck,
}

/// What one run did.
#[derive(Serialize)]
pub struct Swept {
    /// Rows removed with their objects: of what was deleted, and of uploads that nobody finished.
    expired: usize,
    /// Jobs that were sent again.
    overdue: usize,
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        let database = mongo::connect(config).await?;
        let files = Files::of(&database, config);
        let objects = Objects::connect(config, limits::S3_INLINE);
        Ok(Self {
            uploads: Uploads::new(files.clone(), objects),
            fsck: Fsck::new(files.clone(), config),
            files,
            jobs: Jobs::connect(config),
            departures: Departures::of(&database, config),
            redis: Redis::connect(config)?,
        })
    }

    /// One run. A row that cannot be finished now is found again by the next.
    ///
    /// # Errors
    /// A store that is down; the schedule is the retry.
    pub async fn sweep(&self, request_id: &str) -> Result<Swept> {
        self.use_redis().await;
        let outcome: Result<Swept> = async {
            let swept = Swept { expired: self.expired().await?, overdue: self.overdue().await? };
            self.departures.sweep().await?;
            Ok(swept)
        }
        .await;
        match &outcome {
            Ok(Swept { expired, overdue }) => tracing::info!(request_id, expired, overdue, "sweep"),
            Err(error) => tracing::error!(request_id, error = error.cause(), "sweep"),
        }
        outcome
    }

    async fn expired(&self) -> Result<usize> {
        let started = Instant::now();
        let mut count = 0;
        // What is in a folder follows the folder, so there may be more after the last.
        while started.elapsed() < limits::SWEEP {
            let doomed = self.files.take_expired().await?;
            if doomed.is_empty() {
                break;
            }
            self.uploads.remove(&doomed).await?;
            count += doomed.len();
        }
        Ok(count)
    }

    /// Sends the jobs again that are overdue now, each once, as many as there is time for.
    async fn overdue(&self) -> Result<usize> {
        let (started, now) = (Instant::now(), SystemTime::now());
        self.files.give_up_overdue(now).await?;
        let mut count = 0;
        while started.elapsed() < limits::SWEEP {
            let overdue = self.files.take_overdue(now).await?;
            if overdue.is_empty() {
                break;
            }
            let mut sent = Vec::with_capacity(overdue.len());
            let outcome = self.jobs.send_all(&overdue, &mut sent).await;
            // What the queue did not take does not count: the image is not given up for the queue's fault.
            self.files.resent(&sent).await?;
            count += sent.len();
            outcome?;
        }
        Ok(count)
    }

    /// Sends Redis a command, whatever comes of it: Upstash archives a free database that gets none for some weeks, and
    /// while nobody uses the product nobody else asks Redis anything.
    async fn use_redis(&self) {
        if !self.redis.answers().await {
            tracing::warn!("Redis does not answer");
        }
    }
}

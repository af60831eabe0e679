//! Finishes what a crash left half done: runs on a schedule, finds its work by an index, never by scanning. When asked, it
//! scans: [`fsck`] shows that nothing else is left behind.

use serde::Serialize;
use shared::{
    Config, Result,
    files::{Doomed, Files},
    jobs::Jobs,
    limits, mongo,
    objects::{Key, Objects},
};

pub mod fsck;

use fsck::Fsck;

pub struct App {
    files: Files,
    objects: Objects,
    jobs: Jobs,
    pub fsck: Fsck,
}

/// What one run did.
#[derive(Serialize)]
pub struct Swept {
    /// Rows of uploads that nobody finished, removed with their objects.
    expired: usize,
    /// Jobs that were sent again.
    overdue: usize,
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        let files = Files::of(&mongo::connect(config).await?, config);
        Ok(Self {
            fsck: Fsck::new(files.clone(), config),
            files,
            objects: Objects::connect(config, limits::S3_INLINE),
            jobs: Jobs::connect(config),
        })
    }

    /// One run. A row that cannot be finished now is found again by the next.
    ///
    /// # Errors
    /// A store that is down; the schedule is the retry.
    pub async fn sweep(&self, request_id: &str) -> Result<Swept> {
        let outcome: Result<Swept> =
            async { Ok(Swept { expired: self.expired().await?, overdue: self.overdue().await? }) }.await;
        match &outcome {
            Ok(Swept { expired, overdue }) => tracing::info!(request_id, expired, overdue, "sweep"),
            Err(error) => tracing::error!(request_id, error = error.cause(), "sweep"),
        }
        outcome
    }

    async fn expired(&self) -> Result<usize> {
        let doomed = self.files.take_expired().await?;
        let count = doomed.len();
        for row in doomed {
            self.delete_objects(&row).await?;
            self.files.forget(row).await?;
        }
        Ok(count)
    }

    async fn delete_objects(&self, row: &Doomed) -> Result<()> {
        if let Some(key) = &row.key {
            self.objects.delete(key).await?;
        }
        for width in limits::THUMBNAIL_WIDTHS {
            self.objects.delete(&Key::of_thumbnail(row.id, width)).await?;
        }
        Ok(())
    }

    async fn overdue(&self) -> Result<usize> {
        let overdue = self.files.take_overdue().await?;
        for &(owner, file) in &overdue {
            self.jobs.send(owner, file).await?;
        }
        Ok(overdue.len())
    }
}

//! Makes ZIPs in the background: see [`shared::archives`]. Who inserts the row of a ZIP starts this function, with an
//! asynchronous invocation; the sweeper starts it again for a ZIP whose builder has died.

#![forbid(unsafe_code)]

use std::time::{Instant, SystemTime};

use shared::{
    Result,
    archives::{Builder, Job, Outcome},
    files::Files,
    limits,
    stores::{Stores, lambda::Invoker, s3::Objects},
};

pub struct App {
    builder: Builder,
}

impl App {
    pub async fn new(stores: &Stores) -> anyhow::Result<Self> {
        let database = stores.mongodb.connect().await?;
        let files = Files::of(&database, &stores.config);
        let objects = Objects::connect(stores, limits::ZIP_S3_TIMEOUT);
        Ok(Self { builder: Builder::new(&database, files, objects, Invoker::of_archives(stores)) })
    }

    /// # Errors
    /// A store failed. Lambda starts the function again.
    pub async fn build(&self, request_id: &str, Job { zip }: Job, deadline: SystemTime) -> Result<Outcome> {
        let started = Instant::now();
        let outcome = self.builder.build(zip, deadline).await;
        tracing::info!(
            request_id,
            zip = zip.to_string(),
            outcome = outcome.as_ref().map_or("stopped", |outcome| outcome.as_str()),
            error = outcome.as_ref().err().and_then(shared::Error::cause),
            duration_ms = started.elapsed().as_secs_f64() * 1000.0,
            "zip"
        );
        outcome
    }
}

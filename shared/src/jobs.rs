//! The queue: jobs for the thumbnail worker.

use aws_sdk_sqs::Client;
use serde_json::json;

use crate::{Config, Result, files::FileId, users::UserId};

#[derive(Clone)]
pub struct Jobs {
    sqs: Client,
    queue_url: String,
}

impl Jobs {
    pub fn connect(config: &Config) -> Self {
        Self { sqs: config.aws.sqs(), queue_url: config.queue_url.clone() }
    }

    /// Asks for the thumbnails of an image.
    pub async fn send(&self, UserId(user): UserId, FileId(file): FileId) -> Result<()> {
        let job = json!({ "userId": user.to_hex(), "fileId": file.to_hex() });
        self.sqs.send_message().queue_url(&self.queue_url).message_body(job.to_string()).send().await?;
        Ok(())
    }
}

//! The SQS queue of jobs for the thumbnail worker.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    types::{BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, SendMessageBatchRequestEntry},
};
use serde_json::json;

use super::Stores;
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
};

#[derive(Clone)]
pub struct JobQueue {
    sqs: Client,
    queue_url: String,
}

impl JobQueue {
    pub fn connect(stores: &Stores) -> Self {
        Self { sqs: stores.aws.sqs(), queue_url: stores.config.queue_url.clone() }
    }

    /// Sends the thumbnail job of an image.
    pub async fn send(&self, user: UserId, file: FileId) -> Result<()> {
        self.sqs.send_message().queue_url(&self.queue_url).message_body(job(user, file)).send().await?;
        Ok(())
    }

    /// Sends the thumbnail jobs of many images, [`limits::QUEUE_BATCH`] at a time. Images whose jobs the queue has
    /// taken are added to `sent`, also if it fails before it has taken all.
    pub async fn send_all(&self, images: &[(UserId, FileId)], sent: &mut Vec<FileId>) -> Result<()> {
        for some in images.chunks(limits::QUEUE_BATCH) {
            let entries = some.iter().enumerate().map(|(n, &(user, file))| {
                SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(job(user, file)).build()
            });
            let entries = entries.collect::<Result<_, _>>().map_err(|error| Error::Internal(error.into()))?;
            let batch = self.sqs.send_message_batch().queue_url(&self.queue_url).set_entries(Some(entries));
            let outcome = batch.send().await?;
            let taken = outcome.successful().iter().filter_map(|entry| some.get(entry.id().parse::<usize>().ok()?));
            sent.extend(taken.map(|&(_, file)| file));
            none_failed(outcome.failed())?;
        }
        Ok(())
    }

    /// Sets the time until received messages come again if they are not done by then. Each message is given by its
    /// receipt handle. The queue's own visibility timeout does not count for these messages any more.
    pub async fn retry_after(&self, messages: &[(&str, Duration)]) -> Result<()> {
        for some in messages.chunks(limits::QUEUE_BATCH) {
            let entries = some.iter().enumerate().map(|(n, &(handle, after))| {
                let entry =
                    ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string()).receipt_handle(handle);
                entry.visibility_timeout(after.as_secs().try_into().unwrap_or(i32::MAX)).build()
            });
            let entries = entries.collect::<Result<_, _>>().map_err(|error| Error::Internal(error.into()))?;
            let change = self.sqs.change_message_visibility_batch().queue_url(&self.queue_url);
            none_failed(change.set_entries(Some(entries)).send().await?.failed())?;
        }
        Ok(())
    }
}

fn job(user: UserId, file: FileId) -> String {
    json!({ "userId": user, "fileId": file }).to_string()
}

/// An error if SQS refused a part of a batch: SQS answers 200 to such a batch.
fn none_failed(failed: &[BatchResultErrorEntry]) -> Result<()> {
    match failed.first() {
        None => Ok(()),
        Some(first) => {
            let (count, code) = (failed.len(), first.code());
            Err(Error::Unavailable(anyhow::anyhow!("SQS refused {count} of a batch: {code}")))
        }
    }
}

//! Makes the thumbnails of images. A message fails or is done alone, whatever else is in its batch, and done
//! twice it leaves the same as done once.

use std::time::Instant;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use bytes::Bytes;
use lambda_runtime::LambdaEvent;
use serde::Deserialize;
use shared::{
    Config, Error, Result,
    files::{Content, File, FileId, Files, Kind, ThumbnailFile},
    limits, mongo,
    objects::{self, Key, Objects},
    users::UserId,
};

pub mod picture;

use picture::Thumbnail;

pub struct App {
    files: Files,
    objects: Objects,
}

/// A message that asks for an image's thumbnails.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    #[serde(default)]
    file_id: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
}

/// Why a message is not done.
enum Failure {
    /// It would fail again: done with, for this reason.
    Permanent(String),
    /// A store's fault: the queue brings it again.
    Transient(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) | Error::Internal(_) => Self::Transient(error),
            Error::Unauthorized
            | Error::NotFound
            | Error::MethodNotAllowed
            | Error::Invalid(_)
            | Error::TooLarge(_) => Self::Permanent(error.to_string()),
        }
    }
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            files: Files::of(&mongo::connect(config).await?, config),
            objects: Objects::connect(config, limits::S3_WORKER),
        })
    }

    /// One batch. Only transient failures are reported, so that only they come again.
    pub async fn work(&self, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        for message in event.payload.records {
            let started = Instant::now();
            let outcome = self.done(&message).await;
            let (outcome, error) = match outcome {
                Ok(outcome) => (outcome, None),
                Err(Failure::Permanent(reason)) => ("failed", Some(reason)),
                Err(Failure::Transient(error)) => {
                    let mut failure = BatchItemFailure::default();
                    failure.item_identifier = message.message_id.clone().unwrap_or_default();
                    response.batch_item_failures.push(failure);
                    ("retried", error.cause())
                }
            };
            tracing::info!(
                request_id = event.context.request_id,
                message_id = message.message_id,
                outcome,
                error,
                duration_ms = started.elapsed().as_secs_f64() * 1000.0,
                "job"
            );
        }
        response
    }

    async fn done(&self, message: &SqsMessage) -> Result<&'static str, Failure> {
        let body = message.body.as_deref().unwrap_or_default();
        if is_test_event(body) {
            return Ok("ignored");
        }
        let (owner, id) = parse(body).map_err(|reason| Failure::Permanent(reason.into()))?;
        let file = match self.files.owned_by(owner, id).await {
            Err(Error::NotFound) => {
                self.clean_up_after(id).await?;
                return Err(Failure::Permanent("File not found".into()));
            }
            found => found?,
        };
        let Kind::Image(Content::Stored { key, size }, _) = &file.kind else {
            return Err(Failure::Permanent("File not found".into()));
        };
        match self.make(&file, key, *size, receives(message)).await {
            Ok(()) => Ok("ready"),
            Err(Failure::Permanent(reason)) => match self.files.thumbnails_failed(&file, &reason).await {
                Err(Error::NotFound) => Err(Failure::Permanent("File not found".into())),
                recorded => recorded.map_err(Failure::from).and(Err(Failure::Permanent(reason))),
            },
            Err(transient) => Err(transient),
        }
    }

    /// Deletes the thumbnails of an image that has been deleted. This attempt or an earlier one may have put them there
    /// after the sweeper had been.
    async fn clean_up_after(&self, id: FileId) -> Result<(), Error> {
        match self.files.find(id).await {
            Err(Error::NotFound) => {
                for width in limits::THUMBNAIL_WIDTHS {
                    self.objects.delete(&Key::of_thumbnail(id, width)).await?;
                }
                Ok(())
            }
            // It is somebody else's.
            found => found.map(drop),
        }
    }

    async fn make(&self, file: &File, key: &Key, size: u64, receives: u32) -> Result<(), Failure> {
        if size > limits::SOURCE_BYTES {
            return Err(Failure::Permanent("too large".into()));
        }
        let source = self.objects.get(key, limits::SOURCE_BYTES).await?;
        let died_before = self.files.decoding_begins(file).await?;
        if died_before && receives >= limits::DECODE_RECEIVES {
            return Err(Failure::Permanent("the decoder does not survive it".into()));
        }
        let made = self.decode_and_store(file, source).await;
        if let Err(Failure::Transient(_)) = made
            && let Err(error) = self.files.decoding_survived(file).await
        {
            tracing::warn!(error = error.cause(), "a mark is left behind");
        }
        made
    }

    async fn decode_and_store(&self, file: &File, source: Bytes) -> Result<(), Failure> {
        let thumbnails = tokio::task::spawn_blocking(move || picture::thumbnails(&source))
            .await
            .map_err(|panic| Failure::Permanent(format!("damaged image: {panic}")))?
            .map_err(|refusal| Failure::Permanent(refusal.to_string()))?;
        let mut made = Vec::with_capacity(thumbnails.len());
        for Thumbnail { width, bytes, content_type } in thumbnails {
            let (size, digest) = (bytes.len() as u64, objects::digest(&bytes));
            self.objects.put(&Key::of_thumbnail(file.id, width), bytes.into(), content_type).await?;
            made.push(ThumbnailFile { width, size, content_type: content_type.into(), digest });
        }
        match self.files.thumbnails_ready(file, &made).await {
            // Deleted meanwhile: what was put must go again, or nothing would know of it.
            Err(Error::NotFound) => {
                self.clean_up_after(file.id).await?;
                Err(Failure::Permanent("File not found".into()))
            }
            done => Ok(done?),
        }
    }
}

/// How often the queue has handed it out, this time included.
fn receives(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// S3 sends one when a notification is set up.
fn is_test_event(body: &str) -> bool {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "Event")]
        event: String,
    }
    serde_json::from_str::<Event>(body).is_ok_and(|event| event.event == "s3:TestEvent")
}

fn parse(body: &str) -> Result<(UserId, FileId), &'static str> {
    let job: Job = serde_json::from_str(body).map_err(|_| "Invalid JSON")?;
    let file = job.file_id.filter(|id| !id.is_empty()).ok_or("Missing fileId")?;
    let user = job.user_id.filter(|id| !id.is_empty()).ok_or("Missing userId")?;
    let user: FileId = user.parse().map_err(|_| "File not found")?;
    Ok((UserId(user.0), file.parse().map_err(|_| "File not found")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_names_a_file_and_its_user() {
        let id = "5f1e7d35c7ba06511e683b21";
        for (body, expected) in [
            (String::new(), "Invalid JSON"),
            ("{}".into(), "Missing fileId"),
            (format!(r#"{{"userId":"{id}"}}"#), "Missing fileId"),
            (format!(r#"{{"fileId":"{id}","userId":""}}"#), "Missing userId"),
            (format!(r#"{{"fileId":"x","userId":"{id}"}}"#), "File not found"),
            (format!(r#"{{"fileId":"{id}","userId":"x"}}"#), "File not found"),
        ] {
            assert_eq!(parse(&body).unwrap_err(), expected, "{body}");
        }
        assert!(parse(&format!(r#"{{"fileId":"{id}","userId":"{id}","extra":1}}"#)).is_ok());
    }

    #[test]
    fn a_test_event_of_s3_is_no_job() {
        assert!(is_test_event(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#));
        assert!(!is_test_event(r#"{"fileId":"x"}"#));
    }
}

//! Makes the thumbnails of images, and finishes the uploads that S3 says have come. A message fails or is done alone,
//! whatever else is in its batch, and done twice it leaves the same as done once.

#![forbid(unsafe_code)]

use std::time::Instant;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use bytes::Bytes;
use lambda_runtime::LambdaEvent;
use shared::{
    Config, Error, Result,
    files::{Content, File, FileId, Files, Found, Kind, ThumbnailFile, Thumbnails},
    limits, mongo,
    objects::{self, Key, Objects},
    users::UserId,
};

mod message;
pub mod picture;

use message::{Message, Object};
use picture::Thumbnail;

pub struct App {
    files: Files,
    objects: Objects,
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
            | Error::TooLarge(_)
            | Error::Conflict(_)
            | Error::Unprocessable(_)
            | Error::TooManyFailures { .. } => Self::Permanent(error.to_string()),
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
        match Message::parse(body).map_err(|reason| Failure::Permanent(reason.into()))? {
            Message::Test => Ok("ignored"),
            Message::Job(owner, id) => self.job(owner, id, receives(message)).await,
            Message::Arrived(objects) => {
                let mut outcome = Ok("ignored");
                for object in objects {
                    match self.arrived(&object, receives(message)).await {
                        // The others come again with it, and are the same done twice.
                        Err(Failure::Transient(error)) => return Err(Failure::Transient(error)),
                        other => outcome = other,
                    }
                }
                outcome
            }
        }
    }

    async fn job(&self, owner: UserId, id: FileId, receives: u32) -> Result<&'static str, Failure> {
        match self.files.owned_by(owner, id).await {
            Ok(file) => self.image(&file, receives).await,
            Err(Error::NotFound) => {
                self.clean_up_after(id).await?;
                Err(Failure::Permanent("File not found".into()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An object has come, perhaps long ago, or again, or for nobody: what no row asks for is deleted.
    async fn arrived(&self, object: &Object, receives: u32) -> Result<&'static str, Failure> {
        let Some((id, key, is_form)) = Key::parse_upload(&object.key) else {
            return Err(Failure::Permanent("an object that is no upload".into()));
        };
        let put = if is_form { key.of_form() } else { key.clone() };
        let file = match self.files.find_any(id).await {
            Ok(Found::Pending(pending)) if pending.key == key => {
                if is_form && matches!(self.objects.size(&key).await, Err(Error::NotFound)) {
                    // If it is not what this message is about, the message about what it is now follows.
                    self.objects.copy_new(&put, &object.etag, &key).await?;
                }
                let size = match self.objects.size(&key).await {
                    Err(Error::NotFound) => return Ok("ignored"),
                    size => size?,
                };
                if !pending.announced.admits(size) {
                    // The sweeper takes the row.
                    self.files.bury(&pending).await?;
                    self.objects.delete_all(&[put, key]).await?;
                    return Err(Failure::Permanent("another size than announced".into()));
                }
                match self.files.finish(&pending, size).await? {
                    Some(file) => file,
                    None => self.files.find(id).await?,
                }
            }
            Ok(Found::Visible(file)) if file.is_at(&key) => file,
            Ok(_) | Err(Error::NotFound) => {
                self.objects.delete(&put).await?;
                return Ok("deleted");
            }
            Err(error) => return Err(error.into()),
        };
        if is_form {
            self.objects.delete(&put).await?;
        }
        match file.kind {
            Kind::Image(_, Thumbnails::Due) => self.image(&file, receives).await,
            Kind::Image(..) | Kind::File(_) | Kind::Folder => Ok("arrived"),
        }
    }

    async fn image(&self, file: &File, receives: u32) -> Result<&'static str, Failure> {
        let Kind::Image(Content::Stored { key, size }, _) = &file.kind else {
            return Err(Failure::Permanent("File not found".into()));
        };
        match self.make(file, key, *size, receives).await {
            Ok(()) => Ok("ready"),
            Err(Failure::Permanent(reason)) => match self.files.thumbnails_failed(file, &reason).await {
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

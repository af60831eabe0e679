//! Makes the thumbnails of images, and finishes the uploads that S3 says have come. A message fails or is done alone,
//! whatever else is in its batch, and done twice it leaves the same as done once.

#![forbid(unsafe_code)]

use std::{
    cmp::Reverse,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use bytes::Bytes;
use lambda_runtime::LambdaEvent;
use shared::{
    Config, Error, Result,
    files::{Content, Decoding, File, FileId, FileOrUpload, Files, Kind, ThumbnailFile, Thumbnails},
    limits, mongo,
    queue::JobQueue,
    s3::{self, Key, Objects},
    users::UserId,
};
use tokio::time::timeout;

mod message;
pub mod picture;
mod turns;

use message::{Message, Object};
use picture::Thumbnail;
use turns::{Attempt, in_turns, may_come_later};

pub struct App {
    files: Files,
    objects: Objects,
    jobs: JobQueue,
    /// See [`Config::job_retry`].
    retry: Duration,
}

/// Why a message is not done.
enum Failure {
    /// It would fail again: done with, for this reason.
    Permanent(String),
    /// A store's fault: the queue brings it again.
    Transient(Error),
    /// A worker has died of its image before: its turn comes later.
    PutOff,
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
            | Error::PreconditionFailed
            | Error::Unprocessable(_)
            | Error::TooManyFailures { .. }
            | Error::TooManySignUps { .. } => Self::Permanent(error.to_string()),
        }
    }
}

/// A message as far as it is done without decoding anything.
enum Fetched {
    Done(&'static str),
    Image(File, Bytes),
}

/// A message as it came this time.
#[derive(Clone, Copy)]
struct Receive<'a> {
    /// How often the queue has handed it out, this time included.
    number: u32,
    /// Decodings of its image that may have begun and not ended. See [`turns`].
    unfinished: u32,
    /// When Lambda ends the worker.
    deadline: SystemTime,
    /// The format of its image, once the image has been read, for the metrics.
    format: &'a OnceLock<&'static str>,
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            files: Files::of(&mongo::connect(config).await?, config),
            objects: Objects::connect(config, limits::S3_WORKER_TIMEOUT),
            jobs: JobQueue::connect(config),
            retry: config.job_retry,
        })
    }

    /// One batch. Only transient failures are reported, so that only they come again.
    pub async fn work(&self, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
        let LambdaEvent { payload: SqsEvent { records: mut batch, .. }, context } = event;
        // Messages with the fewest receives left come first: the worker may die of a message that follows.
        batch.sort_by_key(|message| Reverse(receives(message)));
        self.retry_after(&batch).await;
        let is_last_receive = batch.iter().any(|message| receives(message) >= limits::MAX_RECEIVES);

        let (deadline, mut response) = (context.deadline(), SqsBatchResponse::default());
        let left_over = in_turns(batch, is_last_receive, async |message, unfinished| {
            let started = Instant::now();
            let format = OnceLock::new();
            let receive = Receive { number: receives(message), unfinished, deadline, format: &format };
            let (outcome, error) = match Box::pin(self.done(message, receive)).await {
                Ok(outcome) => (outcome, None),
                Err(Failure::Permanent(reason)) => ("failed", Some(reason)),
                Err(Failure::Transient(error)) => {
                    let mut failure = BatchItemFailure::default();
                    failure.item_identifier = message.message_id.clone().unwrap_or_default();
                    response.batch_item_failures.push(failure);
                    ("retried", error.cause())
                }
                Err(Failure::PutOff) => return Attempt::PutOff,
            };
            log(&context.request_id, message, outcome, format.get().copied(), error.as_deref(), started.elapsed());
            Attempt::Over
        })
        .await;
        for message in left_over {
            log(&context.request_id, &message, "left to the sweeper", None, None, Duration::ZERO);
        }
        response
    }

    /// Lets the messages come again soon, one after the other, however this ends for them. What is done by then does not.
    async fn retry_after(&self, batch: &[SqsMessage]) {
        let handles = batch.iter().enumerate().filter_map(|(place, message)| {
            let after = comes_again_after(self.retry, receives(message), place);
            Some((message.receipt_handle.as_deref()?, after))
        });
        if let Err(error) = self.jobs.retry_after(&handles.collect::<Vec<_>>()).await {
            // The messages come again after the queue's visibility timeout.
            tracing::warn!(error = error.cause(), "the queue's time stays");
        }
    }

    async fn done(&self, message: &SqsMessage, receive: Receive<'_>) -> Result<&'static str, Failure> {
        let body = message.body.as_deref().unwrap_or_default();
        match Message::parse(body).map_err(|reason| Failure::Permanent(reason.into()))? {
            Message::Test => Ok("ignored"),
            Message::Job(owner, id) => self.job(self.wanted(owner, id, receive), receive).await,
            Message::Arrived(objects) => {
                let (mut outcome, mut is_put_off) = (Ok("ignored"), false);
                for object in objects {
                    match self.job(self.arrived(&object, receive), receive).await {
                        // The others come again with it, and are the same done twice.
                        Err(Failure::Transient(error)) => return Err(Failure::Transient(error)),
                        Err(Failure::PutOff) => is_put_off = true,
                        other => outcome = other,
                    }
                }
                if is_put_off { Err(Failure::PutOff) } else { outcome }
            }
        }
    }

    /// Whatever takes time is bounded, so that Lambda ends the worker only if a decoder hangs.
    async fn job(
        &self,
        fetch: impl Future<Output = Result<Fetched, Failure>>,
        receive: Receive<'_>,
    ) -> Result<&'static str, Failure> {
        let left = receive.deadline.duration_since(SystemTime::now()).unwrap_or_default();
        if left < limits::JOB + limits::DEADLINE_MARGIN {
            return Err(Failure::Transient(Error::Unavailable(anyhow::anyhow!("no time is left in this batch"))));
        }
        // A call of an SDK is a large future; boxed, it makes no larger ones of what it is part of.
        match within(limits::JOB_FETCH, Box::pin(fetch)).await? {
            Fetched::Done(outcome) => Ok(outcome),
            Fetched::Image(file, source) => self.thumbnails(&file, source, receive).await,
        }
    }

    async fn wanted(&self, owner: UserId, id: FileId, receive: Receive<'_>) -> Result<Fetched, Failure> {
        match self.files.owned_by(owner, id).await {
            Ok(file) => self.image(file, receive).await,
            Err(Error::NotFound) => {
                self.clean_up_after(id).await?;
                Err(Failure::Permanent("File not found".into()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An object has come, perhaps long ago, or again, or for nobody: what no row asks for is deleted.
    async fn arrived(&self, object: &Object, receive: Receive<'_>) -> Result<Fetched, Failure> {
        let Some((id, key, is_form)) = Key::parse_upload(&object.key) else {
            return Err(Failure::Permanent("an object that is no upload".into()));
        };
        let put = if is_form { key.of_form() } else { key.clone() };
        let file = match self.files.find_any(id).await {
            Ok(FileOrUpload::Pending(pending)) if pending.key == key => {
                if is_form && matches!(self.objects.size(&key).await, Err(Error::NotFound)) {
                    // If it is not what this message is about, the message about what it is now follows.
                    self.objects.copy_if_absent(&put, &object.etag, &key).await?;
                }
                let size = match self.objects.size(&key).await {
                    Err(Error::NotFound) => return Ok(Fetched::Done("ignored")),
                    size => size?,
                };
                if !pending.declared.admits(size) {
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
            Ok(FileOrUpload::Visible(file)) if file.has_key(&key) => file,
            Ok(_) | Err(Error::NotFound) => {
                self.objects.delete(&put).await?;
                return Ok(Fetched::Done("deleted"));
            }
            Err(error) => return Err(error.into()),
        };
        if is_form {
            self.objects.delete(&put).await?;
        }
        // Other uploads may be open under the key: a client that has lost the answer to its begin begins again.
        if object.is_of_parts() {
            self.objects.abort_multipart_uploads(&key).await?;
        }
        match file.kind {
            Kind::Image(_, Thumbnails::Due) => self.image(file, receive).await,
            Kind::Image(..) | Kind::File(_) | Kind::Folder => Ok(Fetched::Done("arrived")),
        }
    }

    /// The source of an image that is to be decoded.
    async fn image(&self, file: File, receive: Receive<'_>) -> Result<Fetched, Failure> {
        let Kind::Image(Content::Stored { key, size }, thumbnails) = &file.kind else {
            return Err(Failure::Permanent("File not found".into()));
        };
        // Thumbnails and failures of an earlier attempt stay: another job made them, or this job before its worker died.
        match thumbnails {
            Thumbnails::Ready(_) if receive.number > 1 => return Ok(Fetched::Done("ready")),
            Thumbnails::Failed(reason) if receive.number > 1 => return Err(Failure::Permanent(reason.clone())),
            Thumbnails::Ready(_) | Thumbnails::Failed(_) | Thumbnails::Due | Thumbnails::Unknown => {}
        }
        if *size > limits::SOURCE_BYTES {
            return Err(self.failed(&file, "too large".into()).await);
        }
        match self.objects.get(key, limits::SOURCE_BYTES).await.map_err(Failure::from) {
            Ok(source) => Ok(Fetched::Image(file, source)),
            Err(Failure::Permanent(reason)) => Err(self.failed(&file, reason).await),
            Err(transient) => Err(transient),
        }
    }

    /// Records that an image can have no thumbnails.
    async fn failed(&self, file: &File, reason: String) -> Failure {
        match self.files.thumbnails_failed(file, &reason).await {
            Ok(()) => Failure::Permanent(reason),
            Err(error) => error.into(),
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

    /// Decodes an image and stores its thumbnails. The image is marked for as long as it is decoded and no longer: a worker
    /// that dies while it waits for a store has not died of the image.
    async fn thumbnails(&self, file: &File, source: Bytes, receive: Receive<'_>) -> Result<&'static str, Failure> {
        match self.files.mark_decoding(file, receive.unfinished).await {
            Ok(Decoding::Begins) => {}
            Ok(Decoding::Unfinished(some)) if may_come_later(some) => return Err(Failure::PutOff),
            Ok(Decoding::Unfinished(_)) => {
                let reason = "the decoder does not survive it";
                self.files.give_up_decoding(file, reason).await?;
                return Err(Failure::Permanent(reason.into()));
            }
            Err(Error::NotFound) => return Err(Failure::Permanent("File not found".into())),
            Err(error) => return Err(error.into()),
        }
        receive.format.get_or_init(|| picture::format(&source));
        let decoded = tokio::task::spawn_blocking(move || picture::thumbnails(&source)).await;
        let decoded = match decoded {
            Ok(decoded) => decoded.map_err(|refusal| refusal.to_string()),
            Err(panic) => Err(format!("damaged image: {panic}")),
        };
        let recorded = Box::pin(async {
            match decoded {
                Ok(thumbnails) => self.store(file, thumbnails).await.map(|()| "ready"),
                Err(reason) => Err(self.failed(file, reason).await),
            }
        });
        within(limits::JOB_STORE, recorded).await
    }

    async fn store(&self, file: &File, thumbnails: Vec<Thumbnail>) -> Result<(), Failure> {
        if let Err(error) = self.files.clear_decoding(file).await {
            tracing::warn!(error = error.cause(), "a mark is left behind");
        }
        let mut made = Vec::with_capacity(thumbnails.len());
        for Thumbnail { width, bytes, content_type } in thumbnails {
            let (size, digest) = (bytes.len() as u64, s3::digest(&bytes));
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

async fn within<T>(time: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(time, work).await.unwrap_or_else(|_| Err(Failure::Transient(Error::timeout("a store"))))
}

/// How often the queue has handed it out, this time included.
fn receives(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// How long after it was received for the so many-th time a message comes again that has this place in its batch.
fn comes_again_after(retry: Duration, receives: u32, place: usize) -> Duration {
    let doublings = receives.saturating_sub(1).min(limits::RETRY_DOUBLINGS);
    let apart = limits::RETRY_APART.saturating_mul(u32::try_from(place).unwrap_or(u32::MAX));
    retry.saturating_mul(1 << doublings).saturating_add(apart)
}

fn log(
    request_id: &str,
    message: &SqsMessage,
    outcome: &str,
    format: Option<&str>,
    error: Option<&str>,
    took: Duration,
) {
    tracing::info!(
        request_id,
        message_id = message.message_id,
        receives = receives(message),
        outcome,
        format,
        error,
        duration_ms = took.as_secs_f64() * 1000.0,
        "job"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_comes_again_later_each_time_and_apart_from_its_neighbours() {
        let retry = Duration::from_secs(40);
        let seconds = |receives, place| comes_again_after(retry, receives, place).as_secs();
        assert_eq!([1, 2, 3, 4, 5].map(|receives| seconds(receives, 0)), [40, 80, 160, 320, 320]);
        assert_eq!([0, 1, 2, 3, 4].map(|place| seconds(1, place)), [40, 42, 44, 46, 48]);
    }
}

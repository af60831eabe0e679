//! The worker of the job queue. It makes the thumbnails of images, and finishes uploads when S3 reports their objects.
//! Each message of a batch succeeds or fails alone. The worker is idempotent: a message that is handled twice leaves the
//! same state as a message that is handled once.

#![forbid(unsafe_code)]

use std::{
    cmp::Reverse,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use lambda_runtime::LambdaEvent;
use shared::{
    Error, Result,
    digest::digest,
    files::{Content, Decoding, File, FileOrUpload, Files, Kind, Picture, ThumbnailFile, Thumbnails},
    ids::{FileId, UserId},
    limits,
    stores::{
        Stores,
        queue::JobQueue,
        s3::{Key, Objects},
    },
    uploads::{Arrival, Uploads, tickets::FilesLeft},
};
use thumbnailer::{Format, Made, Request, Thumbnail};
use tokio::time::timeout;

mod message;
mod poison;

use message::{CreatedObject, Message};
use poison::{Attempt, may_decode_again, suspects_last};

/// How long decoding one image takes at most, unless the image was made to be slow. The decoder of such an image stops only
/// when Lambda ends the worker. This leaves the mark, and after the second mark the image fails.
const JOB_DECODE: Duration = thumbnailer::limits::PNG_ROWS_TIMEOUT;

/// How long one job takes at most, marking its image included. The worker begins no job if less time is left, so that
/// Lambda does not end the worker during a job. The worker's timeout in `template.yaml` leaves 6 s beside this time, in
/// which the usual jobs of a batch begin.
const JOB: Duration = limits::JOB_FETCH
    .saturating_add(limits::MONGODB_TIMEOUT)
    .saturating_add(JOB_DECODE)
    .saturating_add(limits::JOB_STORE);

pub struct App {
    files: Files,
    objects: Objects,
    uploads: Uploads,
    jobs: JobQueue,
    /// See [`shared::Config::job_retry`].
    retry_delay: Duration,
    /// See [`shared::Config::thumbnail_widths`].
    thumbnail_widths: Arc<[u32]>,
    /// See [`shared::Config::heic`].
    heic: bool,
}

/// The end of a message, as the log and the metrics name it.
#[derive(Clone, Copy)]
enum Outcome {
    /// The image has thumbnails.
    Ready,
    /// The upload is finished, and its file needs no thumbnails.
    Arrived,
    /// No row refers to the object, so the worker deleted it.
    Deleted,
    /// The message asks for nothing, or its object no longer exists.
    Ignored,
    /// Another attempt would fail, too.
    Failed,
    /// The queue delivers the message again.
    Retried,
    /// The row stays due, and the sweeper sends a new message.
    LeftToSweeper,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Arrived => "arrived",
            Self::Deleted => "deleted",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::LeftToSweeper => "left to the sweeper",
        }
    }
}

/// The reason why a message is not handled.
enum Failure {
    /// Another attempt would fail for the same reason, so the message is not delivered again.
    Permanent(String),
    /// A store failed, so the queue delivers the message again.
    Transient(Error),
    /// A worker has died while it decoded the image. The batch's other messages come first.
    Deferred,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.is_store_fault() { Self::Transient(error) } else { Self::Permanent(error.to_string()) }
    }
}

/// The state of a message before anything is decoded.
enum Fetched {
    /// The message needs no decoding.
    Finished(Outcome),
    /// The image is to be decoded, from these bytes.
    Source(Box<File>, Bytes),
}

/// One delivery of a message.
#[derive(Clone, Copy)]
struct Delivery<'a> {
    /// The number of times that the queue has delivered the message, this time included.
    receive_count: u32,
    /// The image is decoded only if at most so many earlier decodings of it began and did not end. See [`poison`].
    allowed_unfinished: u32,
    /// The time at which Lambda ends the worker.
    deadline: SystemTime,
    /// The format of the image for the metrics, once the source has been read.
    format: &'a OnceLock<&'static str>,
}

impl App {
    pub async fn new(stores: &Stores) -> anyhow::Result<Self> {
        let database = stores.mongodb.connect().await?;
        let files = Files::of(&database, &stores.config);
        let objects = Objects::connect(stores, limits::S3_WORKER_TIMEOUT);
        Ok(Self {
            uploads: Uploads::new(files.clone(), objects.clone(), FilesLeft::of(&database)),
            files,
            objects,
            jobs: JobQueue::connect(stores),
            retry_delay: stores.config.job_retry,
            thumbnail_widths: stores.config.thumbnail_widths.0.clone(),
            heic: stores.config.heic,
        })
    }

    /// Handles one batch. The response names only the messages with transient failures, so the queue delivers only those
    /// again.
    pub async fn handle_batch(&self, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
        let LambdaEvent { payload: SqsEvent { records: mut batch, .. }, context } = event;
        // Messages with the fewest receives left come first, because a later message may end the worker.
        batch.sort_by_key(|message| Reverse(receive_count(message)));
        self.set_visibility_timeouts(&batch).await;
        let is_last_receive = batch.iter().any(|message| receive_count(message) >= limits::MAX_RECEIVES);

        let (deadline, mut response) = (context.deadline(), SqsBatchResponse::default());
        let left_over = suspects_last(batch, is_last_receive, async |message, allowed_unfinished| {
            let started = Instant::now();
            let format = OnceLock::new();
            let receive_count = receive_count(message);
            let delivery = Delivery { receive_count, allowed_unfinished, deadline, format: &format };
            let (outcome, error) = match Box::pin(self.handle_message(message, delivery)).await {
                Ok(outcome) => (outcome, None),
                Err(Failure::Permanent(reason)) => (Outcome::Failed, Some(reason)),
                Err(Failure::Transient(error)) => {
                    let mut failure = BatchItemFailure::default();
                    failure.item_identifier = message.message_id.clone().unwrap_or_default();
                    response.batch_item_failures.push(failure);
                    (Outcome::Retried, error.cause())
                }
                Err(Failure::Deferred) => return Attempt::Deferred,
            };
            log(&context.request_id, message, outcome, format.get().copied(), error.as_deref(), started.elapsed());
            Attempt::Finished
        })
        .await;
        for message in left_over {
            log(&context.request_id, &message, Outcome::LeftToSweeper, None, None, Duration::ZERO);
        }
        response
    }

    /// Sets the visibility timeout of each message, so that the messages that are not handled in this batch come again soon
    /// and one after the other, even if the worker dies. The queue does not deliver a handled message again.
    async fn set_visibility_timeouts(&self, batch: &[SqsMessage]) {
        let handles = batch.iter().enumerate().filter_map(|(position, message)| {
            let timeout = visibility_timeout(self.retry_delay, receive_count(message), position);
            Some((message.receipt_handle.as_deref()?, timeout))
        });
        if let Err(error) = self.jobs.retry_after(&handles.collect::<Vec<_>>()).await {
            // The messages come again after the visibility timeout of the queue.
            tracing::warn!(error = error.cause(), "the queue's time stays");
        }
    }

    async fn handle_message(&self, message: &SqsMessage, delivery: Delivery<'_>) -> Result<Outcome, Failure> {
        let body = message.body.as_deref().unwrap_or_default();
        match Message::parse(body).map_err(|reason| Failure::Permanent(reason.into()))? {
            Message::TestEvent => Ok(Outcome::Ignored),
            Message::ThumbnailJob(owner, id) => self.run_job(self.thumbnail_job(owner, id, delivery), delivery).await,
            Message::ObjectsCreated(objects) => {
                let (mut outcome, mut is_deferred) = (Ok(Outcome::Ignored), false);
                for object in objects {
                    match self.run_job(self.object_created(&object, delivery), delivery).await {
                        // The other objects come again with the message. Handling them twice is harmless.
                        Err(Failure::Transient(error)) => return Err(Failure::Transient(error)),
                        Err(Failure::Deferred) => is_deferred = true,
                        other => outcome = other,
                    }
                }
                if is_deferred { Err(Failure::Deferred) } else { outcome }
            }
        }
    }

    /// Runs one job within its time limits. Every step has a limit, so Lambda ends the worker only if a decoder hangs.
    async fn run_job(
        &self,
        fetch: impl Future<Output = Result<Fetched, Failure>>,
        delivery: Delivery<'_>,
    ) -> Result<Outcome, Failure> {
        let left = delivery.deadline.duration_since(SystemTime::now()).unwrap_or_default();
        if left < JOB + limits::DEADLINE_MARGIN {
            return Err(Failure::Transient(Error::Unavailable(anyhow::anyhow!("no time is left in this batch"))));
        }
        // The future of an SDK call is large. A box keeps the futures that contain it small.
        match with_timeout(limits::JOB_FETCH, Box::pin(fetch)).await? {
            Fetched::Finished(outcome) => Ok(outcome),
            Fetched::Source(file, source) => self.make_thumbnails(&file, source, delivery).await,
        }
    }

    /// Fetches the source of the image that a job names.
    async fn thumbnail_job(&self, owner: UserId, id: FileId, delivery: Delivery<'_>) -> Result<Fetched, Failure> {
        match self.files.stored(id).await {
            Ok(FileOrUpload::Visible(file)) if file.owner == owner => self.fetch_source(file, delivery).await,
            Ok(_) | Err(Error::NotFound) => {
                self.delete_thumbnails_of_deleted(id).await?;
                Err(Failure::Permanent("File not found".into()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Handles S3's report of a new object. An image that has become complete is decoded.
    async fn object_created(&self, object: &CreatedObject, delivery: Delivery<'_>) -> Result<Fetched, Failure> {
        match self.uploads.object_created(&object.key, &object.etag).await? {
            Arrival::Complete(file) if matches!(file.kind, Kind::Image(_, Thumbnails::Due)) => {
                self.fetch_source(*file, delivery).await
            }
            Arrival::Complete(_) => Ok(Fetched::Finished(Outcome::Arrived)),
            Arrival::Gone => Ok(Fetched::Finished(Outcome::Ignored)),
            Arrival::Unexpected => Ok(Fetched::Finished(Outcome::Deleted)),
            Arrival::OverQuota => Err(Failure::Permanent("over the quota of its owner".into())),
            Arrival::WrongSize => Err(Failure::Permanent("another size than announced".into())),
            Arrival::NoUpload => Err(Failure::Permanent("an object that is no upload".into())),
        }
    }

    /// Reads the source of an image that is to be decoded.
    async fn fetch_source(&self, file: File, delivery: Delivery<'_>) -> Result<Fetched, Failure> {
        let Kind::Image(Content::Stored { key, size }, thumbnails) = &file.kind else {
            return Err(Failure::Permanent("File not found".into()));
        };
        // On a later delivery, thumbnails and failures that exist are kept: another job recorded them, or this job did
        // before its worker died.
        match thumbnails {
            Thumbnails::Ready(_) if delivery.receive_count > 1 => return Ok(Fetched::Finished(Outcome::Ready)),
            Thumbnails::Failed(reason) if delivery.receive_count > 1 => return Err(Failure::Permanent(reason.clone())),
            Thumbnails::Ready(_) | Thumbnails::Failed(_) | Thumbnails::Due | Thumbnails::Unknown => {}
        }
        if *size > limits::SOURCE_BYTES {
            return Err(self.record_failure(&file, "too large".into()).await);
        }
        match self.objects.get(key, limits::SOURCE_BYTES).await.map_err(Failure::from) {
            Ok(source) => Ok(Fetched::Source(Box::new(file), source)),
            Err(Failure::Permanent(reason)) => Err(self.record_failure(&file, reason).await),
            Err(transient) => Err(transient),
        }
    }

    /// Records that an image or a preview can have no thumbnails.
    async fn record_failure(&self, file: &File, reason: String) -> Failure {
        let recorded = match file.preview_of {
            Some(_) => self.files.preview_failed(file).await,
            None => self.files.thumbnails_failed(file, &reason).await,
        };
        match recorded {
            Ok(()) => Failure::Permanent(reason),
            Err(error) => error.into(),
        }
    }

    /// Deletes the thumbnails of an image whose row no longer exists. This attempt or an earlier one may have put them
    /// into S3 after the sweeper deleted the row.
    async fn delete_thumbnails_of_deleted(&self, id: FileId) -> Result<(), Error> {
        // A row of another user may have the id, and copies and versions may have the thumbnails.
        if !self.files.has_thumbnails_of(id).await? {
            for width in limits::POSSIBLE_THUMBNAIL_WIDTHS {
                self.objects.delete(&Key::of_thumbnail(id, width)).await?;
            }
        }
        Ok(())
    }

    /// Decodes an image and stores its thumbnails. The row is marked only while the image is decoded, because a worker
    /// that dies while it waits for a store has not died of the image.
    async fn make_thumbnails(&self, file: &File, source: Bytes, delivery: Delivery<'_>) -> Result<Outcome, Failure> {
        let format = Format::detect(&source);
        if file.preview_of.is_some() && !matches!(format, Some(Format::Jpeg | Format::Png | Format::WebP)) {
            return Err(self.record_failure(file, "unsupported format".into()).await);
        }
        match self.files.mark_decoding(file, delivery.allowed_unfinished).await {
            Ok(Decoding::Begins) => {}
            Ok(Decoding::Unfinished(decodings)) if may_decode_again(decodings) => return Err(Failure::Deferred),
            Ok(Decoding::Unfinished(_)) => {
                let reason = "the decoder does not survive it";
                if file.preview_of.is_some() {
                    return Err(self.record_failure(file, reason.into()).await);
                }
                self.files.give_up_decoding(file, reason).await?;
                return Err(Failure::Permanent(reason.into()));
            }
            Err(Error::NotFound) => return Err(Failure::Permanent("File not found".into())),
            Err(error) => return Err(error.into()),
        }
        delivery.format.get_or_init(|| format.map_or("other", Format::name));
        let (widths, heic) = (Arc::clone(&self.thumbnail_widths), self.heic);
        let decode = move || thumbnailer::make(&source, Request { widths: &widths, heic });
        let decoded = match tokio::task::spawn_blocking(decode).await {
            Ok(decoded) => decoded.map_err(|error| error.to_string()),
            Err(panic) => Err(format!("damaged image: {panic}")),
        };
        let record_outcome = Box::pin(async {
            match decoded {
                Ok(made) => self.store_thumbnails(file, made).await.map(|()| Outcome::Ready),
                Err(reason) => Err(self.record_failure(file, reason).await),
            }
        });
        with_timeout(limits::JOB_STORE, record_outcome).await
    }

    async fn store_thumbnails(&self, file: &File, made: Made) -> Result<(), Failure> {
        let Made { mut thumbnails, width, height, taken_at, thumbhash } = made;
        if let Err(error) = self.files.clear_decoding(file).await {
            tracing::warn!(error = error.cause(), "a mark is left behind");
        }
        if file.ready_preview().is_some() {
            // The image has the thumbnails of a preview, under whose id these would be stored.
            thumbnails.clear();
        }
        let mut stored = Vec::with_capacity(thumbnails.len());
        for Thumbnail { width, bytes, content_type } in thumbnails {
            let (size, digest) = (bytes.len() as u64, digest(&bytes));
            self.objects.put(&Key::of_thumbnail(file.thumbnails_id, width), bytes.into(), content_type).await?;
            stored.push(ThumbnailFile { width, size, content_type: content_type.into(), digest });
        }
        let picture = Picture { width, height, taken_at, thumbhash: STANDARD.encode(thumbhash) };
        if file.preview_of.is_some() {
            return self.finish_preview(file, &stored, &picture.thumbhash).await;
        }
        match self.files.thumbnails_ready(file, &stored, &picture).await {
            // The image was deleted in the meantime. No row refers to the thumbnails, so the worker deletes them.
            Err(Error::NotFound) => {
                self.delete_thumbnails_of_deleted(file.thumbnails_id).await?;
                Err(Failure::Permanent("File not found".into()))
            }
            recorded => Ok(recorded?),
        }
    }
}

impl App {
    /// Gives a document the thumbnails of its preview. If the document does not have them after that, they go.
    async fn finish_preview(&self, file: &File, made: &[ThumbnailFile], thumbhash: &str) -> Result<(), Failure> {
        if self.files.preview_ready(file, made, thumbhash).await? || self.files.has_thumbnails_of(file.id).await? {
            return Ok(());
        }
        self.delete_thumbnails_of_deleted(file.id).await?;
        Err(Failure::Permanent("the document has another preview, or other content".into()))
    }
}

async fn with_timeout<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(Failure::Transient(Error::timeout("a store"))))
}

/// The number of times that the queue has delivered the message, this time included.
fn receive_count(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// The visibility timeout of a message at this position of its batch. It doubles with each receive.
fn visibility_timeout(retry_delay: Duration, receive_count: u32, position: usize) -> Duration {
    let doublings = receive_count.saturating_sub(1).min(limits::RETRY_DOUBLINGS);
    let apart = limits::RETRY_APART.saturating_mul(u32::try_from(position).unwrap_or(u32::MAX));
    retry_delay.saturating_mul(1 << doublings).saturating_add(apart)
}

fn log(
    request_id: &str,
    message: &SqsMessage,
    outcome: Outcome,
    format: Option<&str>,
    error: Option<&str>,
    took: Duration,
) {
    tracing::info!(
        request_id,
        message_id = message.message_id,
        receives = receive_count(message),
        outcome = outcome.as_str(),
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
    fn the_retry_delay_doubles_and_separates_the_messages_of_a_batch() {
        let retry_delay = Duration::from_secs(40);
        let seconds = |receive_count, position| visibility_timeout(retry_delay, receive_count, position).as_secs();
        assert_eq!([1, 2, 3, 4, 5].map(|receive_count| seconds(receive_count, 0)), [40, 80, 160, 320, 320]);
        assert_eq!([0, 1, 2, 3, 4].map(|position| seconds(1, position)), [40, 42, 44, 46, 48]);
    }
}

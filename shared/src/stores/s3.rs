//! One private S3 bucket for all bytes. The ledger knows which objects the bucket should hold.

use std::{
    ops::Range,
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_object::GetObjectError,
    primitives::{ByteStream, Length},
    types::{AnnotationDirective, Delete, ObjectIdentifier},
};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;

use super::{
    Stores,
    aws::{Aws, Connections, in_quick_attempts},
};
use crate::{Error, Result, config::origin, ids::ZipId, limits, logging::log_call};

mod direct;
pub mod key;
mod list;
mod multipart;
mod presign;
mod sign;

pub use key::Key;
pub use list::{MultipartUpload, ObjectSummary};
pub use multipart::{Part, most_parts, part_size};
pub use presign::{PresignedPost, PresignedRequest, ResponseOverrides};
use sign::Signer;

#[derive(Clone)]
pub struct Objects {
    s3: Client,
    connections: Connections,
    signer: Arc<Signer>,
    bucket: String,
    timeout: Duration,
}

impl Objects {
    /// `timeout` limits one operation, all attempts together.
    pub fn connect(stores: &Stores, timeout: Duration) -> Self {
        Self::of(&stores.aws, stores.config.bucket.clone(), timeout)
    }

    /// The client for a program that needs no other configuration.
    pub fn of(aws: &Aws, bucket: String, timeout: Duration) -> Self {
        Self {
            s3: aws.s3(timeout),
            connections: aws.connections(),
            signer: Arc::new(Signer::new(&aws.credentials, &aws.region, aws.s3_endpoint.as_deref(), &bucket)),
            bucket,
            timeout,
        }
    }

    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The origin of all requests to objects that clients send, for the policy of a page.
    pub async fn origin(&self) -> Result<String> {
        let url = self.signer.bucket_url().await?;
        Ok(origin(&url).to_owned())
    }

    pub async fn put(&self, key: &Key, bytes: Bytes, content_type: &str) -> Result<()> {
        let put = async {
            if self.put_directly(key, bytes.clone(), content_type).await {
                return Ok(());
            }
            let put = self.s3.put_object().bucket(&self.bucket).key(key.as_str());
            put.content_type(content_type).body(ByteStream::from(bytes)).send().await?;
            Ok(())
        };
        let started = Instant::now();
        let answer = tokio::time::timeout(self.timeout, put).await.unwrap_or_else(|_| Err(Error::timeout("S3")));
        log_call("S3", "put", started, &answer);
        answer
    }

    /// Puts a file of this machine's disk, without holding it in memory. Returns its size.
    ///
    /// # Errors
    /// `Internal` if the file cannot be read, `Unavailable` if S3 does not take all of the bytes.
    pub async fn put_file(&self, key: &Key, path: &Path, content_type: &str) -> Result<u64> {
        let unreadable = |error: anyhow::Error| Error::Internal(error.context(path.display().to_string()));
        let size = std::fs::metadata(path).map_err(|error| unreadable(error.into()))?.len();
        let body = ByteStream::read_from().path(path).length(Length::Exact(size)).build().await;
        let body = body.map_err(|error| unreadable(error.into()))?;
        let put = self.s3.put_object().bucket(&self.bucket).key(key.as_str());
        put.content_type(content_type).body(body).send().await?;
        Ok(size)
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// `NotFound` if there is no object. `TooLarge` if it has more than `limit` bytes; then no byte is read.
    pub async fn get(&self, key: &Key, limit: u64) -> Result<Bytes> {
        let read = async {
            if let Some(bytes) = self.get_directly(key, limit).await {
                return Ok(bytes);
            }
            let get = self.s3.get_object().bucket(&self.bucket).key(key.as_str());
            let object = get.customize().config_override(in_quick_attempts()).send().await.map_err(not_found)?;
            let size = object.content_length.unwrap_or(0).unsigned_abs();
            if size > limit {
                return Err(Error::TooLarge("too large"));
            }
            gather(object.body, size).await
        };
        // The SDK's own timeout ends with the headers.
        let started = Instant::now();
        let answer = tokio::time::timeout(self.timeout, read).await.unwrap_or_else(|_| Err(Error::timeout("S3")));
        log_call("S3", "get", started, &answer);
        answer
    }

    /// Reads a part of an object, which has all of these bytes.
    ///
    /// # Errors
    /// `NotFound` if there is no object.
    pub async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let size = range.end.saturating_sub(range.start);
        if size == 0 {
            return Ok(Bytes::new());
        }
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let read = async {
            if let Some(bytes) = self.get_range_directly(key, &header, size).await {
                return Ok(bytes);
            }
            let get = self.s3.get_object().bucket(&self.bucket).key(key.as_str()).range(&header);
            let object = get.customize().config_override(in_quick_attempts()).send().await.map_err(not_found)?;
            if object.content_length.unwrap_or(0).unsigned_abs() != size {
                return Err(Error::Internal(anyhow::anyhow!("an object is shorter than its row says")));
            }
            gather(object.body, size).await
        };
        let started = Instant::now();
        let answer = tokio::time::timeout(self.timeout, read).await.unwrap_or_else(|_| Err(Error::timeout("S3")));
        log_call("S3", "get a range", started, &answer);
        answer
    }

    /// The size of an object; `NotFound` if there is no object.
    pub async fn size(&self, key: &Key) -> Result<u64> {
        let started = Instant::now();
        let answer = self.summary(key.as_str()).await;
        log_call("S3", "look up", started, &answer);
        Ok(answer?.ok_or(Error::NotFound)?.size)
    }

    /// Copies an object if the target does not exist, and if the source still has this `ETag`, given without quotes.
    /// Returns `false` if one of these does not hold.
    pub async fn copy_if_absent(&self, from: &Key, etag: &str, to: &Key) -> Result<bool> {
        let copy = self.s3.copy_object().bucket(&self.bucket).key(to.as_str()).if_none_match("*");
        let copy =
            copy.copy_source(format!("{}/{}", self.bucket, from.as_str())).copy_source_if_match(format!("\"{etag}\""));
        // By default S3 also copies annotations, and may require permissions to read and write them. Uploads have no
        // annotations.
        match copy.annotation_directive(AnnotationDirective::Exclude).send().await {
            Ok(_) => Ok(true),
            // 409: another request is writing to the target.
            Err(error)
                if matches!(error.code(), Some("PreconditionFailed" | "NoSuchKey" | "ConditionalRequestConflict")) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes up to a thousand objects. A missing object counts as deleted.
    pub async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        let keys = keys.iter().map(|key| ObjectIdentifier::builder().key(key.as_str()).build());
        let keys: Vec<_> =
            keys.collect::<std::result::Result<_, _>>().map_err(|error| Error::Internal(error.into()))?;
        let delete = Delete::builder().set_objects(Some(keys)).quiet(true).build();
        let delete = delete.map_err(|error| Error::Internal(error.into()))?;
        let done = self.s3.delete_objects().bucket(&self.bucket).delete(delete).send().await?;
        match done.errors.unwrap_or_default().first() {
            None => Ok(()),
            Some(error) => Err(Error::Unavailable(anyhow::anyhow!("S3 does not delete: {error:?}"))),
        }
    }

    /// Deletes all objects of a ZIP but the one that is kept, and aborts its multipart uploads.
    pub async fn delete_zip(&self, id: ZipId, kept: Option<&Key>) -> Result<()> {
        let prefix = Key::of_all_of_zip(id);
        let of_zip = |key: &str| Key::parse_zip(key).map(|(_, key)| key);
        {
            let mut uploads = pin!(self.list_multipart_uploads(&prefix));
            while let Some(upload) = uploads.try_next().await? {
                self.abort_multipart_upload(&upload.key, &upload.upload_id).await?;
            }
        }
        let listed = self.list_objects_under(&prefix).try_chunks(limits::DELETED_AT_ONCE);
        let mut listed = pin!(listed);
        while let Some(objects) = listed.try_next().await.map_err(|error| error.1)? {
            let keys: Vec<Key> =
                objects.iter().filter_map(|object| of_zip(&object.key)).filter(|key| Some(key) != kept).collect();
            self.delete_all(&keys).await?;
        }
        Ok(())
    }

    /// Deletes an object. A missing object counts as deleted.
    pub async fn delete(&self, key: &Key) -> Result<()> {
        let delete = self.s3.delete_object().bucket(&self.bucket).key(key.as_str());
        delete.customize().config_override(in_quick_attempts()).send().await?;
        Ok(())
    }
}

/// Collects `size` bytes as they arrive. The SDK's own collector would hold them twice for a moment.
async fn gather(mut body: ByteStream, size: u64) -> Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(size.try_into().unwrap_or_default());
    while let Some(some) = body.next().await {
        bytes.extend_from_slice(&some.map_err(|error| Error::Unavailable(error.into()))?);
    }
    Ok(bytes.freeze())
}

fn not_found(error: SdkError<GetObjectError>) -> Error {
    if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) { Error::NotFound } else { error.into() }
}

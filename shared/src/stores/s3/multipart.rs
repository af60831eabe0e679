//! S3's multipart uploads.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Config,
    config::{RequestChecksumCalculation, timeout::TimeoutConfig},
    error::ProvideErrorMetadata,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, future, stream};
use tokio::time::timeout;

use super::{Key, MultipartUpload, Objects};
use crate::{Error, Result, limits, logging::log_call};

/// A part that S3 has.
pub struct Part {
    /// The part number, from 1.
    pub number: u16,
    /// The size, in bytes.
    pub size: u64,
    /// The `ETag`, in quotes.
    pub etag: String,
}

/// The size of every part but the last, for a file of this size: large enough that no more parts are needed than S3
/// takes.
pub fn part_size(size: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    let least = size.div_ceil(limits::MAX_PARTS.into()).div_ceil(MIB) * MIB;
    least.max(limits::PART_BYTES)
}

/// The most parts that a file of at most `max_bytes` can have. A client sends one part of an empty file.
pub fn most_parts(max_bytes: u64) -> u64 {
    max_bytes.div_ceil(limits::MIN_PART_BYTES).clamp(1, limits::MAX_PARTS.into())
}

impl Objects {
    /// Creates a multipart upload, and returns its id.
    pub async fn create_multipart_upload(&self, key: &Key, content_type: &str) -> Result<String> {
        let create = self.s3.create_multipart_upload().bucket(&self.bucket).key(key.as_str());
        let upload = create.content_type(content_type).send().await?;
        upload.upload_id.ok_or_else(|| Error::Unavailable(anyhow::anyhow!("S3 gave no upload id")))
    }

    /// The uploaded parts, by number.
    ///
    /// # Errors
    /// `NotFound` if the upload does not exist yet or any more.
    pub async fn list_parts(&self, key: &Key, upload_id: &str) -> Result<Vec<Part>> {
        let list = async {
            let list = self.s3.list_parts().bucket(&self.bucket).key(key.as_str()).upload_id(upload_id);
            let (mut parts, mut pages) = (Vec::new(), list.into_paginator().send());
            while let Some(page) = pages.next().await {
                let page = match page {
                    Err(error) if error.code() == Some("NoSuchUpload") => return Err(Error::NotFound),
                    page => page?,
                };
                parts.extend(page.parts.unwrap_or_default().into_iter().filter_map(|part| {
                    Some(Part {
                        number: part.part_number?.try_into().ok()?,
                        size: part.size?.unsigned_abs(),
                        etag: part.e_tag?,
                    })
                }));
            }
            Ok(parts)
        };
        timeout(limits::LIST_PARTS_TIMEOUT, list).await.map_err(|_| Error::timeout("S3"))?
    }

    /// Uploads a part. The bytes are signed, so S3 stores no others.
    ///
    /// # Errors
    /// `NotFound` if the upload does not exist any more.
    pub async fn upload_part(&self, key: &Key, upload_id: &str, number: u16, bytes: Bytes) -> Result<()> {
        let put = self.s3.upload_part().bucket(&self.bucket).key(key.as_str()).upload_id(upload_id);
        let put = put.part_number(number.into()).body(ByteStream::from(bytes));
        // S3 refuses the checksum of a part if the upload was created without one.
        let plain = Config::builder().request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        let started = Instant::now();
        let answer = match put.customize().config_override(plain).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchUpload") => Err(Error::NotFound),
            Err(error) => Err(error.into()),
        };
        log_call("S3", "upload a part", started, &answer);
        answer
    }

    /// Copies bytes of another object as a part, within S3.
    ///
    /// # Errors
    /// `NotFound` if the other object, or the upload, does not exist any more.
    pub async fn copy_part(
        &self,
        (key, upload_id): (&Key, &str),
        number: u16,
        from: &Key,
        range: Range<u64>,
    ) -> Result<()> {
        let copy = self.s3.upload_part_copy().bucket(&self.bucket).key(key.as_str()).upload_id(upload_id);
        let copy = copy.part_number(number.into()).copy_source(format!("{}/{}", self.bucket, from.as_str()));
        let copy = copy.copy_source_range(format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let patience = TimeoutConfig::builder().operation_timeout(limits::ZIP_COPY_TIMEOUT).build();
        let patient = Config::builder().timeout_config(patience);
        let started = Instant::now();
        let answer = match copy.customize().config_override(patient).send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some("NoSuchUpload" | "NoSuchKey")) => Err(Error::NotFound),
            Err(error) => Err(error.into()),
        };
        log_call("S3", "copy a part", started, &answer);
        answer
    }

    /// Completes a multipart upload. `NotFound` if the upload does not exist any more, perhaps because it was completed
    /// before.
    pub async fn complete_multipart_upload(&self, key: &Key, upload_id: &str, parts: &[Part]) -> Result<()> {
        self.complete_within(limits::COMPLETE_MULTIPART_TIMEOUT, key, upload_id, parts).await
    }

    /// The same with another timeout.
    pub async fn complete_within(&self, patience: Duration, key: &Key, upload_id: &str, parts: &[Part]) -> Result<()> {
        let parts =
            parts.iter().map(|part| CompletedPart::builder().part_number(part.number.into()).e_tag(&part.etag).build());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let complete = self.s3.complete_multipart_upload().bucket(&self.bucket).key(key.as_str()).upload_id(upload_id);
        let patience = TimeoutConfig::builder().operation_timeout(patience).build();
        let patient = Config::builder().timeout_config(patience);
        match complete.multipart_upload(parts).customize().config_override(patient).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchUpload") => Err(Error::NotFound),
            Err(error) => Err(error.into()),
        }
    }

    /// Aborts every multipart upload to this key, and so deletes its parts.
    pub async fn abort_multipart_uploads(&self, key: &Key) -> Result<()> {
        self.abort_multipart_uploads_of(vec![key.clone()]).await
    }

    /// Aborts every multipart upload to these keys.
    pub async fn abort_multipart_uploads_of(&self, keys: Vec<Key>) -> Result<()> {
        let begun = stream::iter(keys).map(|key| Box::pin(self.uploads_under(key)));
        let begun = begun.flatten_unordered(limits::ABORTED_AT_ONCE);
        let abort =
            |upload: MultipartUpload| async move { self.abort_multipart_upload(&upload.key, &upload.upload_id).await };
        begun.try_for_each_concurrent(limits::ABORTED_AT_ONCE, abort).await
    }

    /// The multipart uploads to a key. S3's listing also has keys that only begin with this key.
    fn uploads_under(&self, key: Key) -> impl Stream<Item = Result<MultipartUpload>> {
        self.list_multipart_uploads(key.as_str()).try_filter(move |upload| future::ready(upload.key == key.as_str()))
    }

    /// Aborts one multipart upload. A missing upload counts as aborted.
    pub async fn abort_multipart_upload(&self, key: &str, upload_id: &str) -> Result<()> {
        let abort = self.s3.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload_id);
        match abort.send().await {
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
            aborted => {
                aborted?;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_has_more_parts_than_s3_takes() {
        const GIB: u64 = 1 << 30;
        for size in [limits::MAX_SINGLE_PUT_BYTES + 1, GIB, 156 * GIB, 157 * GIB, limits::MAX_FILE_BYTES] {
            let part = part_size(size);
            assert!((limits::PART_BYTES..=5 * GIB).contains(&part), "{size}: {part}");
            assert!(size.div_ceil(part) <= limits::MAX_PARTS.into(), "{size}: {part}");
        }
        assert_eq!(part_size(GIB), limits::PART_BYTES);
    }

    #[test]
    fn a_file_has_as_many_parts_as_uppy_makes_of_it_and_no_more() {
        const LEAST: u64 = limits::MIN_PART_BYTES;
        let of_uppy = |size: u64| size.div_ceil(LEAST.max(size.div_ceil(10_000)));
        for (size, parts) in [(0, 1), (1, 1), (LEAST, 1), (LEAST + 1, 2), (LEAST * 10_000, 10_000)] {
            assert_eq!(most_parts(size), parts, "{size}");
            assert_eq!(of_uppy(size).max(1), parts, "{size}");
        }
        for size in [LEAST * 10_000 + 1, 1 << 40, limits::MAX_FILE_BYTES] {
            assert_eq!(most_parts(size), 10_000, "{size}");
            assert!(of_uppy(size) <= 10_000, "{size}");
        }
    }
}

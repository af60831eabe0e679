//! The bytes: one private S3 bucket. Which objects it should hold, the ledger knows.

use aws_sdk_s3::{
    Client, error::SdkError, operation::get_object::GetObjectError, presigning::PresigningConfig,
    primitives::ByteStream,
};
use axum::body::Bytes;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

use crate::{Config, Error, Result, files::FileId, limits};

mod listing;

pub use listing::{Listed, Multipart};

/// Where an object lies. Made of random bytes or of ids, never of what a client sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// A new place for the bytes of a file.
    pub fn random() -> Result<Self> {
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|error| Error::Internal(anyhow::anyhow!("{error}")))?;
        Ok(Self(format!("files/{}", URL_SAFE_NO_PAD.encode(random))))
    }

    /// The place of a thumbnail: the same for the same image and width, so that making it twice makes one.
    pub fn of_thumbnail(FileId(id): FileId, width: u32) -> Self {
        Self(format!("thumbnails/{}/{width}", id.to_hex()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names bytes, or a key, by what they are: the same for the same and for no others.
pub fn digest(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..16])
}

/// What S3 says of an object beside its bytes, when it answers a signed request.
pub struct Answering<'a> {
    pub content_type: &'a str,
    pub disposition: &'a str,
    pub caching: &'a str,
}

#[derive(Clone)]
pub struct Objects {
    s3: Client,
    bucket: String,
    timeout: Duration,
}

impl Objects {
    /// `timeout` is for one operation, all attempts together.
    pub fn connect(config: &Config, timeout: Duration) -> Self {
        Self { s3: config.aws.s3(timeout), bucket: config.bucket.clone(), timeout }
    }

    pub async fn put(&self, key: &Key, bytes: Bytes, content_type: &str) -> Result<()> {
        let put = self.s3.put_object().bucket(&self.bucket).key(key.as_str());
        put.content_type(content_type).body(ByteStream::from(bytes)).send().await?;
        Ok(())
    }

    /// Reads an object whole.
    ///
    /// # Errors
    /// `NotFound` if it is not there, `TooLarge` if it has more than `limit` bytes, of which none is read then.
    pub async fn get(&self, key: &Key, limit: u64) -> Result<Bytes> {
        let get = self.s3.get_object().bucket(&self.bucket).key(key.as_str());
        let read = async {
            let mut object = get.send().await.map_err(not_found)?;
            let size = object.content_length.unwrap_or(0).unsigned_abs();
            if size > limit {
                return Err(Error::TooLarge("too large"));
            }
            // Gathered by the SDK, the bytes would stand in memory twice for a moment.
            let mut bytes = BytesMut::with_capacity(size.try_into().unwrap_or_default());
            while let Some(some) = object.body.next().await {
                bytes.extend_from_slice(&some.map_err(|error| Error::Unavailable(error.into()))?);
            }
            Ok(bytes.freeze())
        };
        // The SDK's own timeout ends with the headers.
        tokio::time::timeout(self.timeout, read).await.map_err(|_| Error::timeout("S3"))?
    }

    /// A URL with which anybody may read an object for [`limits::DOWNLOAD_URL`].
    pub async fn signed_get(&self, key: &Key, answering: Answering<'_>) -> Result<String> {
        let get = self.s3.get_object().bucket(&self.bucket).key(key.as_str());
        let get = get.response_content_type(answering.content_type).response_cache_control(answering.caching);
        let get = get.response_content_disposition(answering.disposition);
        let lifetime = PresigningConfig::expires_in(limits::DOWNLOAD_URL);
        let lifetime = lifetime.map_err(|error| Error::Internal(error.into()))?;
        Ok(get.presigned(lifetime).await?.uri().to_owned())
    }

    /// Deletes an object; one that is not there is deleted already.
    pub async fn delete(&self, key: &Key) -> Result<()> {
        self.s3.delete_object().bucket(&self.bucket).key(key.as_str()).send().await?;
        Ok(())
    }
}

fn not_found(error: SdkError<GetObjectError>) -> Error {
    if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) { Error::NotFound } else { error.into() }
}

//! Presigned requests, which clients send to S3 themselves. Each is valid for one key and for a short time, and cannot
//! overwrite: `PUT` and `CompleteMultipartUpload` carry `If-None-Match: *`. Forms cannot carry it, so a form writes to
//! `<key>/form` and the worker copies that object once.
//!
//! The SDK presigns only six operations, and none of `CreateMultipartUpload`, `CompleteMultipartUpload` and `ListParts`
//! (aws-sdk-s3 1.157), and no form.

use serde::{Serialize, Serializer, ser::SerializeMap};
use utoipa::ToSchema;

use super::{Key, Objects};
use crate::{Result, limits, time::Timestamp};

/// The headers that S3 sends with an object when it answers a presigned request.
pub struct ResponseOverrides<'a> {
    pub content_type: &'a str,
    pub disposition: &'a str,
    pub caching: &'a str,
}

/// A presigned request.
#[derive(Serialize, ToSchema)]
#[schema(as = SignedRequest)]
pub struct PresignedRequest {
    pub url: String,
    /// The signed headers, to send with the request.
    #[schema(value_type = HashMap<String, String>)]
    #[serde(serialize_with = "in_order")]
    pub headers: Vec<(&'static str, String)>,
}

/// Without this header a request could be sent again, and change content that others have seen.
const ONLY_NEW: (&str, &str) = ("If-None-Match", "*");

/// A form that puts an object. A browser posts it, with the bytes in a field `file` after the other fields.
#[derive(Serialize, ToSchema)]
pub struct PresignedPost {
    pub url: String,
    #[schema(value_type = HashMap<String, String>)]
    #[serde(serialize_with = "in_order")]
    pub fields: Vec<(&'static str, String)>,
}

fn in_order<S: Serializer>(fields: &[(&'static str, String)], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(fields.len()))?;
    for (name, value) in fields {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

impl Objects {
    /// Presigns a URL with which anybody can read an object for [`limits::DOWNLOAD_URL_TTL`].
    pub async fn presign_get(&self, key: &Key, overrides: ResponseOverrides<'_>) -> Result<String> {
        let query = [
            ("response-cache-control", overrides.caching),
            ("response-content-disposition", overrides.disposition),
            ("response-content-type", overrides.content_type),
        ];
        self.signer.url("GET", key, &query, &[], limits::DOWNLOAD_URL_TTL).await
    }

    /// Presigns a `PUT` of an object of this type and size, for [`limits::UPLOAD_URL_TTL`].
    pub async fn presign_put(&self, key: &Key, content_type: &str, size: u64) -> Result<PresignedRequest> {
        let headers = vec![("Content-Type", content_type.to_owned()), (ONLY_NEW.0, ONLY_NEW.1.to_owned())];
        let size = size.to_string();
        let signed = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signed: Vec<_> = signed.chain([("Content-Length", size.as_str())]).collect();
        let url = self.signer.url("PUT", key, &[], &signed, limits::UPLOAD_URL_TTL).await?;
        Ok(PresignedRequest { url, headers })
    }

    /// Presigns `UploadPart`, for a part of this size if the size is given.
    pub async fn presign_upload_part(
        &self,
        key: &Key,
        upload_id: &str,
        number: u16,
        size: Option<u64>,
    ) -> Result<String> {
        let query = [("partNumber", number.to_string()), ("uploadId", upload_id.to_owned())];
        let query = query.each_ref().map(|(name, value)| (*name, value.as_str()));
        let size = size.map(|size| size.to_string());
        let signed: Vec<_> = size.as_deref().map(|size| ("Content-Length", size)).into_iter().collect();
        self.signer.url("PUT", key, &query, &signed, limits::UPLOAD_URL_TTL).await
    }

    /// Presigns `CreateMultipartUpload` for an object of this type.
    pub async fn presign_create_multipart_upload(&self, key: &Key, content_type: &str) -> Result<PresignedRequest> {
        let headers = vec![("Content-Type", content_type.to_owned())];
        let signed = [("Content-Type", content_type)];
        let url = self.signer.url("POST", key, &[("uploads", "")], &signed, limits::UPLOAD_URL_TTL).await?;
        Ok(PresignedRequest { url, headers })
    }

    /// Presigns `CompleteMultipartUpload`, which succeeds only where there is no object.
    pub async fn presign_complete_multipart_upload(&self, key: &Key, upload_id: &str) -> Result<PresignedRequest> {
        let query = [("uploadId", upload_id)];
        let url = self.signer.url("POST", key, &query, &[ONLY_NEW], limits::UPLOAD_URL_TTL).await?;
        Ok(PresignedRequest { url, headers: vec![(ONLY_NEW.0, ONLY_NEW.1.to_owned())] })
    }

    /// Presigns `ListParts` (`GET`) or `AbortMultipartUpload` (`DELETE`).
    pub async fn presign_multipart_upload(&self, method: &str, key: &Key, upload_id: &str) -> Result<PresignedRequest> {
        let url = self.signer.url(method, key, &[("uploadId", upload_id)], &[], limits::UPLOAD_URL_TTL).await?;
        Ok(PresignedRequest { url, headers: Vec::new() })
    }

    /// Signs a form that puts an object of this type and of at most `max_bytes`, for [`limits::UPLOAD_URL_TTL`].
    pub async fn presign_post(&self, key: &Key, content_type: &str, max_bytes: u64) -> Result<PresignedPost> {
        let (url, fields) = self.signer.form(key, content_type, max_bytes, Timestamp::now()).await?;
        Ok(PresignedPost { url, fields })
    }
}

//! Reads or writes one object with one plain request, signed like the presigned requests of clients.
//!
//! The SDK's client takes almost three times the instructions for the same request, which made it the most expensive
//! part of reading or storing a small file. A plain request is sent once. If it fails, for whatever reason, the SDK
//! sends its own request, so retries and meaningful errors stay with the SDK.

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::client::{
    http::HttpConnector,
    orchestrator::{HttpRequest, HttpResponse},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::{Key, Objects, gather};
use crate::limits;

impl Objects {
    /// Reads a whole object. `None` if the request fails, or the object has more than `limit` bytes.
    pub(super) async fn get_directly(&self, key: &Key, limit: u64) -> Option<Bytes> {
        let url = self.signer.url("GET", key, &[], &[], limits::DOWNLOAD_URL_TTL).await.ok()?;
        let answer = self.send("GET", &url, &[], SdkBody::empty(), 200).await?;
        let size = answer.headers().get("content-length")?.parse().ok().filter(|size| *size <= limit)?;
        gather(ByteStream::new(answer.into_body()), size).await.ok()
    }

    /// Reads `size` bytes of an object. `None` if the request fails, or the answer has another size.
    pub(super) async fn get_range_directly(&self, key: &Key, range: &str, size: u64) -> Option<Bytes> {
        let url = self.signer.url("GET", key, &[], &[], limits::DOWNLOAD_URL_TTL).await.ok()?;
        let answer = self.send("GET", &url, &[("range", range)], SdkBody::empty(), 206).await?;
        answer.headers().get("content-length")?.parse::<u64>().ok().filter(|sent| *sent == size)?;
        gather(ByteStream::new(answer.into_body()), size).await.ok().filter(|bytes| bytes.len() as u64 == size)
    }

    /// Stores an object, and returns whether S3 has stored it. S3 compares the bytes with their checksum, and stores no
    /// others.
    pub(super) async fn put_directly(&self, key: &Key, bytes: Bytes, content_type: &str) -> bool {
        let checksum = STANDARD.encode(Sha256::digest(&bytes));
        let headers = [("content-type", content_type), ("x-amz-checksum-sha256", checksum.as_str())];
        match self.signer.url("PUT", key, &[], &headers, limits::DOWNLOAD_URL_TTL).await {
            Ok(url) => match self.send("PUT", &url, &headers, bytes.into(), 200).await {
                // An answer that breaks off counts as none.
                Some(answer) => ByteStream::new(answer.into_body()).collect().await.is_ok(),
                None => false,
            },
            Err(_) => false,
        }
    }

    /// Sends a request, and returns its answer if that has the expected status.
    async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&'static str, &str)],
        body: SdkBody,
        expected: u16,
    ) -> Option<HttpResponse> {
        let mut request = HttpRequest::new(body);
        request.set_method(method).ok()?;
        request.set_uri(url).ok()?;
        for (name, value) in headers {
            request.headers_mut().try_insert(*name, (*value).to_owned()).ok()?;
        }
        let answer =
            timeout(limits::AWS_ATTEMPT_TIMEOUT, self.connections.connector().call(request)).await.ok()?.ok()?;
        (answer.status().as_u16() == expected).then_some(answer)
    }
}

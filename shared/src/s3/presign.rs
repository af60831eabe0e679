//! Presigned requests, which clients send to S3 themselves. Each is valid for one key and for a short time, and cannot
//! overwrite: `PUT` and `CompleteMultipartUpload` carry `If-None-Match: *`. Forms cannot carry it, so a form writes to
//! `<key>/form` and the worker copies that object once.

use std::time::Duration;

use anyhow::anyhow;
use aws_credential_types::Credentials;
use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sigv4::{
    http_request::{
        PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use axum::http::Request;
use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Key, Objects};
use crate::{Error, Result, limits, time::Timestamp};

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
#[derive(Debug, Serialize, ToSchema)]
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
        self.signer.form(key, content_type, max_bytes, Timestamp::now()).await
    }
}

/// Every character that a signed query must escape.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Signs requests for one bucket with the credentials of the function. A signature expires with these credentials.
pub struct Signer {
    credentials: Credentials,
    region: String,
    bucket: String,
    /// The endpoint of S3, if it is not the region's.
    endpoint: Option<String>,
    resolver: DefaultResolver,
}

impl Signer {
    pub fn new(credentials: &Credentials, region: &str, endpoint: Option<&str>, bucket: &str) -> Self {
        Self {
            credentials: credentials.clone(),
            region: region.to_owned(),
            bucket: bucket.to_owned(),
            endpoint: endpoint.map(str::to_owned),
            resolver: DefaultResolver::new(),
        }
    }

    /// The URL of the bucket, without a slash at the end.
    async fn bucket_url(&self) -> Result<String> {
        let params = Params::builder().region(&self.region).bucket(&self.bucket).set_endpoint(self.endpoint.clone());
        let params = params.build().map_err(|error| Error::Internal(error.into()))?;
        let endpoint = self.resolver.resolve_endpoint(&params).await;
        let endpoint = endpoint.map_err(|error| Error::Internal(anyhow!("no endpoint of S3: {error}")))?;
        Ok(endpoint.url().trim_end_matches('/').to_owned())
    }

    /// A presigned URL for one request with these headers and any body.
    pub(super) async fn url(
        &self,
        method: &str,
        key: &Key,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        lifetime: Duration,
    ) -> Result<String> {
        let mut url = format!("{}/{}", self.bucket_url().await?, key.as_str());
        for (at, (name, value)) in query.iter().enumerate() {
            let separator = if at == 0 { '?' } else { '&' };
            url.extend([separator].into_iter().chain(name.chars()).chain(['=']));
            url.extend(utf8_percent_encode(value, UNRESERVED));
        }
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(lifetime);
        // S3 requires that paths are signed as they are sent.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(Timestamp::now().into())
            .settings(settings)
            .build()
            .map_err(|error| Error::Internal(error.into()))?;
        let request = SignableRequest::new(method, &url, headers.iter().copied(), SignableBody::UnsignedPayload)
            .map_err(|error| Error::Internal(error.into()))?;
        let signed = sign(request, &params.into()).map_err(|error| Error::Internal(error.into()))?;
        let mut request = Request::get(url).body(()).map_err(|error| Error::Internal(error.into()))?;
        signed.into_parts().0.apply_to_request_http1x(&mut request);
        Ok(request.uri().to_string())
    }

    async fn form(&self, key: &Key, content_type: &str, max_bytes: u64, now: Timestamp) -> Result<PresignedPost> {
        let expiration = (now + limits::UPLOAD_URL_TTL).in_whole_seconds().to_rfc3339()?;
        let date: String = now.in_whole_seconds().to_rfc3339()?.chars().filter(char::is_ascii_alphanumeric).collect();
        let scope = format!("{}/{}/s3/aws4_request", &date[..8], self.region);

        let mut fields = vec![
            ("key", key.as_str().to_owned()),
            ("content-type", content_type.to_owned()),
            ("success_action_status", "201".to_owned()),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("x-amz-credential", format!("{}/{scope}", self.credentials.access_key_id())),
            ("x-amz-date", date),
        ];
        fields.extend(self.credentials.session_token().map(|token| ("x-amz-security-token", token.to_owned())));
        let mut conditions = vec![json!({ "bucket": self.bucket }), json!(["content-length-range", 0, max_bytes])];
        conditions.extend(fields.iter().map(|(name, value)| {
            Value::Object([((*name).to_owned(), Value::from(value.as_str()))].into_iter().collect())
        }));
        let policy = json!({ "expiration": expiration, "conditions": conditions });
        let policy = STANDARD.encode(policy.to_string());
        let signature = sign_policy(&policy, &self.credentials, &self.region, now);
        fields.extend([("policy", policy), ("x-amz-signature", signature)]);
        Ok(PresignedPost { url: self.bucket_url().await?, fields })
    }
}

/// The signature of a form's policy, which is base64. See "Authenticating Requests: Browser-Based Uploads Using POST"
/// of Amazon S3's API reference.
fn sign_policy(policy: &str, credentials: &Credentials, region: &str, time: Timestamp) -> String {
    let key = v4::generate_signing_key(credentials.secret_access_key(), time.into(), region, "s3");
    v4::calculate_signature(key, policy.as_bytes())
}

#[cfg(test)]
mod tests {
    use mongodb::bson::DateTime;

    use super::*;
    use crate::ids::FileId;

    /// The example of Amazon S3's API reference, "Browser-Based Upload using HTTP POST (Using AWS Signature Version
    /// 4)".
    #[test]
    fn a_policy_is_signed_as_in_the_published_example() {
        let policy = [
            r#"{ "expiration": "2015-12-30T12:00:00.000Z","#,
            r#"  "conditions": ["#,
            r#"    {"bucket": "sigv4examplebucket"},"#,
            r#"    ["starts-with", "$key", "user/user1/"],"#,
            r#"    {"acl": "public-read"},"#,
            r#"    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},"#,
            r#"    ["starts-with", "$Content-Type", "image/"],"#,
            r#"    {"x-amz-meta-uuid": "14365123651274"},"#,
            r#"    {"x-amz-server-side-encryption": "AES256"},"#,
            r#"    ["starts-with", "$x-amz-meta-tag", ""],"#,
            "",
            r#"    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},"#,
            r#"    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},"#,
            r#"    {"x-amz-date": "20151229T000000Z" }"#,
            "  ]",
            "}",
        ];
        let policy = STANDARD.encode(policy.join("\r\n"));
        let day = DateTime::parse_rfc3339_str("2015-12-29T00:00:00Z").unwrap().into();
        assert_eq!(
            sign_policy(&policy, &example(), "us-east-1", day),
            "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
        );
    }

    #[tokio::test]
    async fn a_policy_names_every_field_of_its_form() {
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", Some("session".into()), None, "test");
        let signer = Signer::new(&credentials, "eu-west-3", None, "bucket");
        let day = DateTime::parse_rfc3339_str("2015-12-29T12:34:56.789Z").unwrap().into();
        let key = Key::of_upload(FileId::new()).unwrap().of_form();
        let form = signer.form(&key, "text/plain; charset=utf-8", 1000, day).await.unwrap();
        assert_eq!(form.url, "https://bucket.s3.eu-west-3.amazonaws.com");

        let field = |name: &str| form.fields.iter().find(|(field, _)| *field == name).unwrap().1.as_str();
        assert_eq!(field("x-amz-credential"), "AKIAIOSFODNN7EXAMPLE/20151229/eu-west-3/s3/aws4_request");
        let policy: Value = serde_json::from_slice(&STANDARD.decode(field("policy")).unwrap()).unwrap();
        assert_eq!(policy["expiration"], "2015-12-29T12:49:56Z");
        let conditions = policy["conditions"].as_array().unwrap();
        assert_eq!(conditions[..2], [json!({ "bucket": "bucket" }), json!(["content-length-range", 0, 1000])]);
        let mut named: Vec<_> =
            conditions[2..].iter().map(|one| one.as_object().unwrap().iter().next().unwrap()).collect();
        for (name, value) in &form.fields {
            if !["policy", "x-amz-signature"].contains(name) {
                let at = named.iter().position(|(key, allowed)| key == name && *allowed == value);
                named.remove(at.unwrap_or_else(|| panic!("{name} is not in the policy")));
            }
        }
        assert!(named.is_empty(), "{named:?}");
    }

    #[tokio::test]
    async fn a_url_is_signed_for_its_method_key_query_and_headers() {
        let signer = Signer::new(&example(), "us-east-1", None, "examplebucket");
        let key = Key::of_upload(FileId::new()).unwrap();
        let url = signer.url("PUT", &key, &[("uploadId", "a/b +")], &[("Content-Length", "7")], limits::UPLOAD_URL_TTL);
        let url = url.await.unwrap();
        let place = format!("https://examplebucket.s3.us-east-1.amazonaws.com/{}?uploadId=a%2Fb%20%2B&", key.as_str());
        assert!(url.starts_with(&place), "{url}");
        for part in ["X-Amz-Expires=900", "X-Amz-SignedHeaders=content-length%3Bhost", "X-Amz-Signature="] {
            assert!(url.contains(part), "{part} in {url}");
        }
    }

    fn example() -> Credentials {
        Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "example")
    }
}

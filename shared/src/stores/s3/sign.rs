//! Signatures of requests to S3, by AWS Signature Version 4. The SDK presigns only six operations (`aws-sdk-s3` 1.157),
//! and neither a form nor the creation, completion or listing of a multipart upload.

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
use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::key::Key;
use crate::{Error, Result, limits, time::Timestamp};

/// Every character that a signed query must escape.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URL of a form, and its fields in order.
type Form = (String, Vec<(&'static str, String)>);

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
    pub(super) async fn bucket_url(&self) -> Result<String> {
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
        for (name, value) in query {
            add_query(&mut url, name, value);
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
        let (_, signature) = signed.into_parts().0.into_parts();
        for (name, value) in &signature {
            add_query(&mut url, name, value);
        }
        Ok(url)
    }

    /// The URL and the fields of a form that puts an object of this type and of at most `max_bytes`.
    pub(super) async fn form(&self, key: &Key, content_type: &str, max_bytes: u64, now: Timestamp) -> Result<Form> {
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
        Ok((self.bucket_url().await?, fields))
    }
}

/// Adds a parameter to the query of a URL.
fn add_query(url: &mut String, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(name);
    url.push('=');
    url.extend(utf8_percent_encode(value, UNRESERVED));
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
        let (url, fields) = signer.form(&key, "text/plain; charset=utf-8", 1000, day).await.unwrap();
        assert_eq!(url, "https://bucket.s3.eu-west-3.amazonaws.com");

        let field = |name: &str| fields.iter().find(|(field, _)| *field == name).unwrap().1.as_str();
        assert_eq!(field("x-amz-credential"), "AKIAIOSFODNN7EXAMPLE/20151229/eu-west-3/s3/aws4_request");
        let policy: Value = serde_json::from_slice(&STANDARD.decode(field("policy")).unwrap()).unwrap();
        assert_eq!(policy["expiration"], "2015-12-29T12:49:56Z");
        let conditions = policy["conditions"].as_array().unwrap();
        assert_eq!(conditions[..2], [json!({ "bucket": "bucket" }), json!(["content-length-range", 0, 1000])]);
        let mut named: Vec<_> =
            conditions[2..].iter().map(|one| one.as_object().unwrap().iter().next().unwrap()).collect();
        for (name, value) in &fields {
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

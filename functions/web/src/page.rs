//! The page of the app and its files, with the policy that keeps them apart from what users upload to the same origin.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use shared::{
    Error, Result,
    http::{ApiUrl, content::is_in_if_none_match, openapi::NotFound},
};

use crate::{
    BucketOrigin,
    assets::{Asset, ETAG, INDEX},
};

/// The page and each file are for this origin alone.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), \
             microphone=(), midi=(), payment=(), publickey-credentials-get=(), serial=(), usb=(), xr-spatial-tracking=()",
        ),
    ),
];

/// The policy of the page. Scripts, styles and workers come from the folder of the app alone, because what users have
/// uploaded has the same origin. Content may come from the bucket, to which the API redirects, and uploads go there. No
/// script makes HTML of a text; one policy of trusted types names the address of the worker that reads PDFs.
fn policy(origin: &str, bucket: &str) -> Result<HeaderValue> {
    let app = format!("{origin}/app/");
    let policy = format!(
        "default-src 'none'; script-src {app}; style-src {app}; img-src 'self' blob: data: {bucket}; \
         media-src 'self' blob: {bucket}; connect-src 'self' {bucket}; font-src {app}; manifest-src {app}; \
         worker-src {app}; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; \
         require-trusted-types-for 'script'; trusted-types pdf-worker"
    );
    HeaderValue::try_from(policy).map_err(|error| Error::Internal(error.into()))
}

/// The web app
///
/// A page for people, which uses this API.
#[utoipa::path(
    get,
    path = "/",
    tag = "Web app",
    operation_id = "showApp",
    responses(
        (
            status = 200,
            description = "The page, compressed with brotli or gzip",
            body = String,
            content_type = "text/html",
            headers(("ETag" = String), ("Content-Security-Policy" = String))
        ),
        (status = 304, description = "The client has this page already", headers(("ETag" = String))),
    ),
    security(()),
)]
pub async fn show(
    ApiUrl(origin): ApiUrl,
    State(BucketOrigin(bucket)): State<BucketOrigin>,
    asked: HeaderMap,
) -> Result<Response> {
    let mut response =
        if is_in_if_none_match(&asked, ETAG) { StatusCode::NOT_MODIFIED.into_response() } else { file(&INDEX, &asked) };
    let headers = response.headers_mut();
    headers.extend(SECURITY_HEADERS);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy(&origin, &bucket)?);
    headers.insert(header::ETAG, HeaderValue::from_static(ETAG));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// The files of the web app
#[utoipa::path(
    get,
    path = "/app/{file}",
    tag = "Web app",
    operation_id = "showAppFile",
    params(("file" = String, Path, description = "A name that the page uses, with a digest of the content")),
    responses(
        (
            status = 200,
            description = "The file, compressed with brotli or gzip. It never changes",
            content((String = "text/javascript"), (String = "text/css"), (String = "image/svg+xml"))
        ),
        NotFound,
    ),
    security(()),
)]
pub async fn asset(
    ApiUrl(origin): ApiUrl,
    State(BucketOrigin(bucket)): State<BucketOrigin>,
    name: Result<Path<String>, PathRejection>,
    asked: HeaderMap,
) -> Result<Response> {
    let Ok(Path(name)) = name else { return Err(Error::NotFound) };
    let asset = Asset::named(&name).ok_or(Error::NotFound)?;
    let mut response = file(asset, &asked);
    let headers = response.headers_mut();
    headers.extend(SECURITY_HEADERS);
    // A worker has the policy of its own file.
    headers.insert(header::CONTENT_SECURITY_POLICY, policy(&origin, &bucket)?);
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Ok(response)
}

fn file(asset: &'static Asset, asked: &HeaderMap) -> Response {
    let (bytes, coding) = asset.bytes(asked);
    let mut response = bytes.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    response.headers_mut().extend(coding.map(|coding| (header::CONTENT_ENCODING, HeaderValue::from_static(coding))));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s05_the_policy_runs_only_what_is_in_the_folder_of_the_app() {
        let (origin, bucket) = ("https://files.example.com", "https://bucket.s3.eu-central-1.amazonaws.com");
        let policy = policy(origin, bucket).unwrap();
        let policy = policy.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        for kind in ["script", "style", "font", "manifest", "worker"] {
            assert!(policy.contains(&format!("; {kind}-src {origin}/app/;")), "{kind} of {policy}");
        }
        assert!(policy.contains(&format!("; connect-src 'self' {bucket};")), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }
}

//! The responses with pages, and the policy of each.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::Markup;
use shared::Error;

use super::{assets, notice, notice::Notice, password};

/// A page with its policy: nothing runs, nothing comes from elsewhere, and no other site frames it.
#[derive(Debug)]
pub struct Page {
    status: StatusCode,
    content: Markup,
    /// The directives beside the common ones.
    policy: String,
}

const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

impl Page {
    /// A page that shows content of the link, which may come from S3 by a redirect.
    pub fn with_content(content: Markup, s3: &str) -> Self {
        let policy = format!("img-src 'self' {s3}; media-src 'self' {s3}");
        Self { status: StatusCode::OK, content, policy }
    }

    /// The page with Uppy, which sends files to S3, and shows those that were chosen. The script may only come from the
    /// folder of the assets, because what users have uploaded has the same origin.
    pub fn with_uploader(content: Markup, api: &str, s3: &str) -> Self {
        let folder = assets::FOLDER;
        let policy = format!("script-src {api}{folder}; connect-src 'self' {s3}; img-src 'self' data: blob:");
        Self { status: StatusCode::OK, content, policy }
    }

    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The page that asks for the password.
    pub fn refused(content: Markup) -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, content)
    }

    fn plain(status: StatusCode, content: Markup) -> Self {
        Self { status, content, policy: "img-src 'self'".into() }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let Self { status, content, policy } = self;
        let Ok(policy) = HeaderValue::try_from(format!("{POLICY}; {policy}")) else {
            return Error::Internal(anyhow::anyhow!("no policy: {policy}")).into_response();
        };
        let headers: [(HeaderName, HeaderValue); 5] = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (OPENER, HeaderValue::from_static("same-origin")),
            (ROBOTS, HeaderValue::from_static("noindex, nofollow")),
        ];
        (status, headers, content.into_string()).into_response()
    }
}

/// An error as a page.
#[derive(Debug)]
pub struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let content = match &error {
            Error::PasswordRequired => password::page(None),
            error => notice::page(&Notice::of(error)),
        };
        // The status, the header `Retry-After`, and the cause for the log are those of the error in JSON.
        let (head, _) = error.into_response().into_parts();
        let mut response = Page::plain(head.status, content).into_response();
        response
            .headers_mut()
            .extend(head.headers.get(header::RETRY_AFTER).map(|time| (header::RETRY_AFTER, time.clone())));
        response.extensions_mut().extend(head.extensions);
        response
    }
}

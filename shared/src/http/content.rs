//! The response with the content of a file or of one of its thumbnails. The ledger knows everything but the bytes, so
//! S3 is asked for the bytes only. S3 itself sends the client content above 4 MiB, and ranges.

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{Params, auth::SEC_FETCH_SITE};
use crate::{
    Error, Result,
    files::File,
    limits,
    stores::s3::{Objects, ResponseOverrides},
};

pub mod openapi;
mod representation;

pub use representation::is_in_if_none_match;
use representation::{Disposition, Precondition, Representation, value, wants_range};

/// Sent with every content: an upload of a user must not act in the name of this origin.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// The use that a browser has for the content.
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The uses of content that a page of this origin may have: none of them lets an upload act in the name of the origin.
/// Other uses are scripts, styles, workers and frames, and what browsers may invent. Pages of other origins put only
/// their own visitors at risk, and clients of the original embed public files there.
const PASSIVE: [&str; 6] = ["audio", "document", "empty", "image", "track", "video"];

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The caches and pages that may keep and embed the content that a response carries.
#[derive(Clone, Copy)]
pub enum Caching {
    Public,
    Private,
    /// The browser that asks may keep thumbnails, if the request names the version of the file: signing out of the web app
    /// clears its cache.
    ByCookie,
}

impl Caching {
    /// The caching of a file that its owner or, if it is public, anybody reads.
    pub fn of(file: &File) -> Self {
        if file.is_public { Self::Public } else { Self::Private }
    }

    /// The same for a file that was asked for with the cookie of the web app, or without it.
    #[must_use]
    pub fn by_cookie(self, is_by_cookie: bool) -> Self {
        match self {
            Self::Private if is_by_cookie => Self::ByCookie,
            caching => caching,
        }
    }

    /// The headers `Cache-Control` and `Cross-Origin-Resource-Policy`.
    fn headers(self, asked: &ContentRequest) -> (&'static str, &'static str) {
        match self {
            Self::Public => ("public, max-age=60", "cross-origin"),
            Self::ByCookie if asked.has_version && !asked.size.is_empty() => {
                ("private, max-age=86400, immutable", "same-origin")
            }
            Self::Private | Self::ByCookie => ("private, no-store", "same-origin"),
        }
    }
}

/// A request for the content of a file.
pub struct ContentRequest {
    method: Method,
    headers: HeaderMap,
    /// The width of a thumbnail; empty for the content itself.
    size: String,
    /// True if the URL is another one for other content.
    has_version: bool,
    disposition: Disposition,
}

impl<S: Send + Sync> FromRequestParts<S> for ContentRequest {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        if is_active(&parts.headers) {
            return Err(Error::NotFound);
        }
        let params = Params::from_request_parts(parts, state).await?;
        let is_download = params.get("download") == Some("1");
        Ok(Self {
            method: parts.method.clone(),
            headers: parts.headers.clone(),
            size: params.get("size").unwrap_or_default().to_owned(),
            has_version: params.get("v").is_some_and(|version| !version.is_empty()),
            disposition: if is_download { Disposition::Attachment } else { Disposition::Inline },
        })
    }
}

impl ContentRequest {
    /// True if the request asks for the content itself: not for its headers, nor for a thumbnail.
    pub fn is_for_content(&self) -> bool {
        self.method != Method::HEAD && self.size.is_empty()
    }

    /// The response with the content of a file, or with a thumbnail.
    pub async fn respond(&self, file: &File, caching: Caching, objects: &Objects) -> Result<Response> {
        let representation = Representation::of(file, &self.size)?;
        let (caching, policy) = caching.headers(self);

        match representation.precondition(&self.headers) {
            Precondition::Holds => {}
            Precondition::Failed => return Err(Error::PreconditionFailed),
            Precondition::NotModified => return not_modified(&representation, caching),
        }
        let too_large = representation.size > limits::MAX_INLINE_BYTES as u64;
        if self.method != Method::HEAD && (too_large || wants_range(&self.headers)) {
            return redirect(objects, &representation, self.disposition, caching).await;
        }
        let body = if self.method == Method::HEAD {
            Body::empty()
        } else {
            Body::from(objects.get(&representation.key, limits::MAX_INLINE_BYTES as u64).await?)
        };
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.extend(SECURITY_HEADERS);
        headers.extend(representation.validators()?);
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::CONTENT_TYPE, value(&representation.content_type)?);
        headers.insert(header::CONTENT_LENGTH, representation.size.into());
        headers.insert(header::CONTENT_DISPOSITION, value(&representation.disposition(self.disposition))?);
        // The content is sent as it is stored. Earlier versions sent this header too, so it stays part of the answer.
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        headers.insert(RESOURCE_POLICY, HeaderValue::from_static(policy));
        Ok(response)
    }
}

/// True if a page of this origin asks for content to let it act: see [`PASSIVE`]. Only browsers send these headers, and no
/// script can set them.
fn is_active(headers: &HeaderMap) -> bool {
    let is_ours = headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "same-origin");
    is_ours && headers.get(SEC_FETCH_DEST).is_some_and(|wanted| !PASSIVE.iter().any(|passive| wanted == passive))
}

fn not_modified(representation: &Representation, caching: &'static str) -> Result<Response> {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    response.headers_mut().extend(representation.validators()?);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    Ok(response)
}

/// Sends the client to S3. The redirect must not be cached, even for a public file: its URL expires earlier.
async fn redirect(
    objects: &Objects,
    representation: &Representation,
    disposition: Disposition,
    caching: &str,
) -> Result<Response> {
    let disposition = representation.s3_disposition(disposition);
    let overrides =
        ResponseOverrides { content_type: &representation.content_type, disposition: &disposition, caching };
    let url = objects.presign_get(&representation.key, overrides).await?;
    Ok((StatusCode::FOUND, [(header::LOCATION, url)]).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s05_a_page_of_this_origin_gets_no_content_that_acts() {
        let asked = |headers: &[(HeaderName, &'static str)]| {
            is_active(&headers.iter().map(|(name, text)| (name.clone(), HeaderValue::from_static(text))).collect())
        };
        for wanted in [
            "script",
            "style",
            "worker",
            "sharedworker",
            "serviceworker",
            "frame",
            "iframe",
            "embed",
            "object",
            "audioworklet",
            "paintworklet",
            "xslt",
            "manifest",
            "json",
            "fencedframe",
            "something new",
            "",
        ] {
            assert!(asked(&[(SEC_FETCH_SITE, "same-origin"), (SEC_FETCH_DEST, wanted)]), "{wanted}");
            for site in ["same-site", "cross-site", "none"] {
                assert!(!asked(&[(SEC_FETCH_SITE, site), (SEC_FETCH_DEST, wanted)]), "{wanted} of {site}");
            }
            assert!(!asked(&[(SEC_FETCH_DEST, wanted)]), "{wanted}");
        }
        for wanted in PASSIVE {
            assert!(!asked(&[(SEC_FETCH_SITE, "same-origin"), (SEC_FETCH_DEST, wanted)]), "{wanted}");
        }
        assert!(!asked(&[(SEC_FETCH_SITE, "same-origin")]) && !asked(&[]));
    }
}

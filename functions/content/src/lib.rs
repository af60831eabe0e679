//! The bytes of a file, or one of its thumbnails. All but the bytes is known to the ledger, so that S3 is asked for
//! nothing else; more than fits into an answer, and parts, the client gets from S3 itself.

#![forbid(unsafe_code)]

use axum::{
    Router,
    body::Body,
    extract::{FromRef, Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use shared::{
    Config, Error, Result,
    error::ErrorView,
    files::{File, FileId, Files},
    limits, mongo,
    openapi::{Id, ServiceErrors},
    s3::{Objects, ResponseOverrides},
    sessions::{Redis, Sessions, Viewer},
    users::Users,
};

pub mod openapi;
mod representation;

use representation::{Disposition, Precondition, Representation, wants_range};

#[derive(Clone, FromRef)]
pub struct App {
    files: Files,
    objects: Objects,
    sessions: Sessions,
}

pub fn router(app: App) -> Router {
    Router::new().route("/files/{id}/data", get(data)).with_state(app)
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        let database = mongo::connect(config).await?;
        Ok(Self {
            files: Files::of(&database, config),
            objects: Objects::connect(config, limits::S3_INLINE_TIMEOUT),
            sessions: Sessions::new(Redis::connect(config)?, Users::of(&database)),
        })
    }
}

/// Sent with every content: somebody's upload must not act in the name of this origin.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The content of a file, or a thumbnail
///
/// A private file needs its owner's token. A public file needs none; an invalid token is ignored. Where the answer is a
/// redirect, send the token as `X-Token`, or not to S3: S3 refuses a signed URL beside a header `Authorization`. `HEAD`
/// answers alike; how large a file is its document says.
#[utoipa::path(
    get,
    path = "/files/{id}/data",
    tag = "Content",
    operation_id = "readContent",
    params(("id" = Id, Path), openapi::Asked, openapi::Conditions),
    responses(
        (
            status = 200,
            description = "The bytes, of the type that the file's name stands for",
            content(("*/*")),
            headers(
                ("ETag" = String),
                ("Last-Modified" = String),
                ("Content-Disposition" = String),
                ("Cache-Control" = String, description = "Nobody may keep what is private"),
            )
        ),
        (
            status = 302,
            description = "More than 4 MiB, and any `Range`, come from S3, with an `ETag` of S3's own. The page `/docs` cannot \
                           follow, because it may ask this API alone",
            headers(("Location" = String, description = "Good for a minute"))
        ),
        (status = 304, description = "The client has it already", headers(("ETag" = String), ("Last-Modified" = String))),
        (status = 400, description = "`A folder doesn't have content`", body = ErrorView),
        (status = 404, description = "`Not found`: there is none, or it is somebody else's and private", body = ErrorView),
        (status = 412, description = "`Precondition failed`: `If-Match` or `If-Unmodified-Since` says otherwise", body = ErrorView),
        ServiceErrors,
    ),
    security((), ("token" = []), ("bearer" = [])),
)]
async fn data(
    id: FileId,
    viewer: Viewer,
    method: Method,
    asked: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
    State(files): State<Files>,
    State(objects): State<Objects>,
) -> Result<Response> {
    let file = find(&files, id, viewer).await?;
    let given = |name: &str| query.iter().rfind(|(key, _)| key == name).map_or("", |(_, value)| value);
    let representation = Representation::of(&file, given("size"))?;
    let disposition = if given("download") == "1" { Disposition::Attachment } else { Disposition::Inline };
    let (caching, policy) =
        if file.is_public { ("public, max-age=60", "cross-origin") } else { ("private, no-store", "same-origin") };

    match representation.precondition(&asked) {
        Precondition::Holds => {}
        Precondition::Failed => return Err(Error::PreconditionFailed),
        Precondition::NotModified => {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            response.headers_mut().extend(representation.validators()?);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
            return Ok(response);
        }
    }
    let too_large = representation.size > limits::MAX_INLINE_BYTES as u64;
    if method != Method::HEAD && (too_large || wants_range(&asked)) {
        let disposition = representation.s3_disposition(disposition);
        let overrides =
            ResponseOverrides { content_type: &representation.content_type, disposition: &disposition, caching };
        let url = objects.presign_get(&representation.key, overrides).await?;
        // Not to be kept, whatever may be of the file: the URL does not live as long.
        return Ok((StatusCode::FOUND, [(header::LOCATION, url)]).into_response());
    }
    let body = if method == Method::HEAD {
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
    headers.insert(header::CONTENT_DISPOSITION, value(&representation.disposition(disposition))?);
    // Without it `lambda_http` would send text as a string, and bytes that are not UTF-8 would be replaced.
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static(policy));
    Ok(response)
}

/// A file that is public, or the viewer's. Who the viewer is costs Redis a question, for a private file and for an unknown id
/// alike: so neither the time of the answer nor an outage of Redis tells the two apart. The owner's account comes with the
/// file, and only an owner may see what is private, so that no other account is asked for.
async fn find(files: &Files, id: FileId, viewer: Viewer) -> Result<File> {
    let found = match files.find_with_owner(id).await {
        Ok(found) if found.file.is_public => return Ok(found.file),
        Ok(found) => Some(found),
        Err(Error::NotFound) => None,
        Err(error) => return Err(error),
    };
    let unverified = viewer.unverified().await?;
    let (Some(found), Some(unverified)) = (found, unverified) else { return Err(Error::NotFound) };
    if unverified.id() != found.file.owner {
        return Err(Error::NotFound);
    }
    match unverified.verify(found.owner()?) {
        Ok(()) => Ok(found.file),
        Err(Error::Unauthorized) => Err(Error::NotFound),
        Err(error) => Err(error),
    }
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|error| Error::Internal(error.into()))
}

//! The bytes of a file or of one of its thumbnails. The ledger knows everything but the bytes, so S3 is asked for the
//! bytes only. S3 itself sends the client content above 4 MiB, and ranges.

#![forbid(unsafe_code)]

use axum::{
    Router,
    body::Body,
    extract::{FromRef, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use shared::{
    Error, Result,
    accounts::{keys::Keys, sessions::Sessions, users::Users},
    files::{File, Files},
    http::{
        KeyGuard, Params, VersionPath,
        auth::Viewer,
        error::ErrorView,
        openapi::{AuthErrors, NotFound, ServiceErrors},
    },
    ids::{FileId, UserId},
    limits,
    stores::{
        Stores,
        redis::Redis,
        s3::{Objects, ResponseOverrides},
    },
};

pub mod openapi;
mod representation;

use representation::{Disposition, Precondition, Representation, wants_range};

#[derive(Clone, FromRef)]
pub struct App {
    key_guard: KeyGuard,
    files: Files,
    objects: Objects,
    sessions: Sessions,
}

pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/files/{id}/data", get(data))
        .route("/files/{id}/versions/{version}/data", get(version_data))
        .with_state(app.clone());
    app.key_guard.with_keys(routes)
}

impl App {
    pub async fn new(stores: &Stores) -> anyhow::Result<Self> {
        let database = stores.mongodb.connect().await?;
        let files = Files::of(&database, &stores.config);
        Ok(Self {
            key_guard: KeyGuard::new(Keys::of(&database), files.clone()),
            files,
            objects: Objects::connect(stores, limits::S3_INLINE_TIMEOUT),
            sessions: Sessions::new(Redis::connect(stores)?, Users::of(&database)),
        })
    }
}

/// Sent with every content: an upload of a user must not act in the name of this origin.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The content of a file, or a thumbnail
///
/// A private file needs its owner's token. A public file needs none; an invalid token is ignored. If the answer is a
/// redirect, do not send the header `Authorization` to S3, which refuses a presigned URL together with it; a token in
/// `X-Token` does no harm. `HEAD` answers with the same headers, but never with a redirect. The size of a file is in
/// its document.
#[utoipa::path(
    get,
    path = "/files/{id}/data",
    tag = "Content",
    operation_id = "readContent",
    params(("id" = FileId, Path), openapi::Asked, openapi::Conditions),
    responses(
        (
            status = 200,
            description = "The bytes. The file's extension decides the `Content-Type`",
            content(("*/*")),
            headers(
                ("ETag" = String),
                ("Last-Modified" = String),
                ("Content-Disposition" = String),
                ("Cache-Control" = String, description = "Private content must not be cached"),
            )
        ),
        (
            status = 302,
            description = "More than 4 MiB, or a request with `Range`: S3 sends the bytes, with its own `ETag`. The \
                           page `/docs` cannot follow this redirect, because it may call only this API",
            headers(("Location" = String, description = "A presigned URL of S3. Good for a minute"))
        ),
        (
            status = 304,
            description = "The client has this content already",
            headers(("ETag" = String), ("Last-Modified" = String))
        ),
        (status = 400, description = "`A folder doesn't have content`", body = ErrorView),
        (
            status = 404,
            description = "`Not found`: no such file or thumbnail, or a private file of somebody else",
            body = ErrorView
        ),
        (
            status = 412,
            description = "`Precondition failed`: `If-Match` or `If-Unmodified-Since` does not hold",
            body = ErrorView
        ),
        ServiceErrors,
    ),
    security((), ("token" = []), ("bearer" = [])),
)]
async fn data(
    id: FileId,
    viewer: Viewer,
    method: Method,
    asked: HeaderMap,
    params: Params,
    State(files): State<Files>,
    State(objects): State<Objects>,
) -> Result<Response> {
    let file = find(&files, id, viewer).await?;
    respond(&file, &method, &asked, &params, &objects).await
}

/// The content of a version, or a thumbnail
///
/// Only the owner may read a version. In all else it is read as the content of a document.
#[utoipa::path(
    get,
    path = "/files/{id}/versions/{version}/data",
    tag = "Content",
    operation_id = "readVersion",
    params(("id" = FileId, Path), ("version" = FileId, Path), openapi::Asked, openapi::Conditions),
    responses(
        (
            status = 200,
            description = "The bytes",
            content(("*/*")),
            headers(
                ("ETag" = String),
                ("Last-Modified" = String),
                ("Content-Disposition" = String),
                ("Cache-Control" = String),
            )
        ),
        (
            status = 302,
            description = "More than 4 MiB, or a request with `Range`: S3 sends the bytes",
            headers(("Location" = String, description = "A presigned URL of S3. Good for a minute"))
        ),
        (
            status = 304,
            description = "The client has this content already",
            headers(("ETag" = String), ("Last-Modified" = String))
        ),
        (
            status = 412,
            description = "`Precondition failed`: `If-Match` or `If-Unmodified-Since` does not hold",
            body = ErrorView
        ),
        AuthErrors,
        NotFound,
    ),
)]
async fn version_data(
    owner: UserId,
    VersionPath { document, version }: VersionPath,
    method: Method,
    asked: HeaderMap,
    params: Params,
    State(files): State<Files>,
    State(objects): State<Objects>,
) -> Result<Response> {
    let version = files.version(owner, document, version).await?;
    respond(&version.file, &method, &asked, &params, &objects).await
}

/// The response with the content of a file, or with a thumbnail.
async fn respond(
    file: &File,
    method: &Method,
    asked: &HeaderMap,
    params: &Params,
    objects: &Objects,
) -> Result<Response> {
    let representation = Representation::of(file, params.get("size").unwrap_or_default())?;
    let disposition = if params.get("download") == Some("1") { Disposition::Attachment } else { Disposition::Inline };
    let (caching, policy) =
        if file.is_public { ("public, max-age=60", "cross-origin") } else { ("private, no-store", "same-origin") };

    match representation.precondition(asked) {
        Precondition::Holds => {}
        Precondition::Failed => return Err(Error::PreconditionFailed),
        Precondition::NotModified => return not_modified(&representation, caching),
    }
    let too_large = representation.size > limits::MAX_INLINE_BYTES as u64;
    if *method != Method::HEAD && (too_large || wants_range(asked)) {
        return redirect(objects, &representation, disposition, caching).await;
    }
    let body = if *method == Method::HEAD {
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
    // The content is sent as it is stored. Earlier versions sent this header too, so it stays part of the answer.
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static(policy));
    Ok(response)
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

/// A file that is public, or that belongs to the viewer. For a private file and for an unknown id alike, Redis is asked
/// for the session. So neither the time of the answer nor an outage of Redis tells the two apart. The owner's account
/// comes with the file. Only the owner may see a private file, so no other account is read.
async fn find(files: &Files, id: FileId, viewer: Viewer) -> Result<File> {
    let found = match files.file_with_account(id).await {
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
    match unverified.verify(found.account()?) {
        Ok(()) => Ok(found.file),
        Err(Error::Unauthorized) => Err(Error::NotFound),
        Err(error) => Err(error),
    }
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|error| Error::Internal(error.into()))
}

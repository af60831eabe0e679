//! The bytes of a file or of one of its thumbnails, sent by [`shared::http::content`].

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::{FromRef, State},
    response::Response,
    routing::get,
};
use shared::{
    Error, Result,
    accounts::{keys::Keys, sessions::Sessions, users::Users},
    files::{File, Files},
    http::{
        KeyGuard, VersionPath,
        auth::{ContentOwner, ContentViewer},
        content::{
            Caching, ContentRequest,
            openapi::{Asked, Conditions},
        },
        error::ErrorView,
        openapi::{AuthErrors, NotFound, ServiceErrors},
    },
    ids::FileId,
    limits,
    stores::{Stores, redis::Redis, s3::Objects},
};

pub mod openapi;

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

/// The content of a file, or a thumbnail
///
/// A private file needs its owner's token, or without a token the cookie of the web app. A public file needs none; an
/// invalid token is ignored. If the answer is a
/// redirect, do not send the header `Authorization` to S3, which refuses a presigned URL together with it; a token in
/// `X-Token` does no harm. `HEAD` answers with the same headers, but never with a redirect. The size of a file is in
/// its document.
#[utoipa::path(
    get,
    path = "/files/{id}/data",
    tag = "Content",
    operation_id = "readContent",
    params(("id" = FileId, Path), Asked, Conditions),
    responses(
        (
            status = 200,
            description = "The bytes. The file's extension decides the `Content-Type`",
            content(("*/*")),
            headers(
                ("ETag" = String),
                ("Last-Modified" = String),
                ("Content-Disposition" = String),
                ("Cache-Control" = String, description = "Private content must not be cached; see `v`"),
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
    security((), ("token" = []), ("bearer" = []), ("cookie" = [])),
)]
async fn data(
    id: FileId,
    viewer: ContentViewer,
    asked: ContentRequest,
    State(files): State<Files>,
    State(objects): State<Objects>,
) -> Result<Response> {
    let is_by_cookie = viewer.is_by_cookie();
    let file = find(&files, id, viewer).await?;
    asked.respond(&file, Caching::of(&file).by_cookie(is_by_cookie), &objects).await
}

/// The content of a version, or a thumbnail
///
/// Only the owner may read a version. In all else it is read as the content of a document.
#[utoipa::path(
    get,
    path = "/files/{id}/versions/{version}/data",
    tag = "Content",
    operation_id = "readVersion",
    params(("id" = FileId, Path), ("version" = FileId, Path), Asked, Conditions),
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
    security(("token" = []), ("bearer" = []), ("cookie" = [])),
)]
async fn version_data(
    ContentOwner { user, is_by_cookie }: ContentOwner,
    VersionPath { document, version }: VersionPath,
    asked: ContentRequest,
    State(files): State<Files>,
    State(objects): State<Objects>,
) -> Result<Response> {
    let version = files.version(user, document, version).await?;
    asked.respond(&version.file, Caching::of(&version.file).by_cookie(is_by_cookie), &objects).await
}

/// A file that is public, or that belongs to the viewer. For a private file and for an unknown id alike, Redis is asked
/// for the session. So neither the time of the answer nor an outage of Redis tells the two apart. The owner's account
/// comes with the file. Only the owner may see a private file, so no other account is read.
async fn find(files: &Files, id: FileId, viewer: ContentViewer) -> Result<File> {
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

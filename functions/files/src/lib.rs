//! Folders, files and images: create, list, search, show, publish, delete; and ZIPs of them.

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{self, get, post, put},
};
use shared::{
    Error, Result,
    accounts::{keys::Keys, sessions::Sessions, users::Users},
    archives::Zips,
    files::{ContentKind, File, FileOrUpload, Files, IfMatch, Incoming, NewFile, OnConflict, idempotency::Idempotency},
    http::{
        ApiUrl, DocumentResponse, FileView, Json, KeyGuard,
        auth::OwnedFile,
        error::ErrorView,
        openapi::{AuthErrors, NotFound},
    },
    ids::{FileId, UserId},
    limits,
    stores::{Stores, lambda::Invoker, queue::JobQueue, redis::Redis, s3::Objects},
    uploads::{Uploads, tickets::FilesLeft},
};

mod batch;
mod change;
mod create;
mod list;
pub mod openapi;
mod preview;
mod search;
mod trash;
mod versions;
mod view;
mod zips;

use create::{Create, Payload, Upload};
use list::Created;
use view::FolderUsageView;

#[derive(Clone, FromRef)]
pub struct App {
    key_guard: KeyGuard,
    files: Files,
    objects: Objects,
    uploads: Uploads,
    idempotency: Idempotency,
    jobs: JobQueue,
    zips: Zips,
    archives: Invoker,
    sessions: Sessions,
}

pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/files", get(list::list).post(create))
        .route("/files/batch", post(batch::batch))
        .route("/files/{id}", get(show).patch(change::patch).delete(delete))
        .route("/files/{id}/publish", put(publish))
        .route("/files/{id}/unpublish", put(unpublish))
        .route("/files/{id}/path", get(search::path))
        .route("/files/{id}/usage", get(usage))
        .route("/files/{id}/copy", post(change::copy))
        .route("/files/{id}/preview", put(preview::put))
        .route("/files/{id}/trash", put(trash::put))
        .route("/files/{id}/restore", put(trash::restore))
        .route("/files/{id}/versions", get(versions::list))
        .route("/files/{id}/versions/{version}", routing::delete(versions::delete))
        .route("/files/{id}/versions/{version}/restore", put(versions::restore))
        .route("/trash", get(trash::list).delete(trash::empty))
        .route("/search", get(search::search))
        .route("/zips", post(zips::create))
        .route("/zips/{id}", get(zips::show))
        .route("/zips/{id}/data", get(zips::data))
        // No limit here: Lambda's own limit of 6 MB is above what inline data can need.
        .layer(DefaultBodyLimit::disable())
        .with_state(app.clone());
    app.key_guard.with_keys(routes)
}

impl App {
    pub async fn new(stores: &Stores) -> anyhow::Result<Self> {
        let database = stores.mongodb.connect().await?;
        let files = Files::of(&database, &stores.config);
        let objects = Objects::connect(stores, limits::S3_INLINE_TIMEOUT);
        Ok(Self {
            key_guard: KeyGuard::new(Keys::of(&database), files.clone()),
            uploads: Uploads::new(files.clone(), objects.clone(), FilesLeft::of(&database)),
            files,
            objects,
            idempotency: Idempotency::of(&database),
            jobs: JobQueue::connect(stores),
            zips: Zips::of(&database),
            archives: Invoker::of_archives(stores),
            sessions: Sessions::new(Redis::connect(stores)?, Users::of(&database)),
        })
    }
}

/// Creates a folder, a file or an image
///
/// The content of a file is in `data`. Or the request has only a `size`, and the client sends the content to S3 itself:
/// then the answer has the requests for S3, and the file is invisible until all of its content is there.
#[utoipa::path(
    post,
    path = "/files",
    tag = "Files",
    operation_id = "createFile",
    params(openapi::IdempotencyHeader),
    request_body = openapi::NewFile,
    responses(
        (status = 201, description = "The new document", body = Created),
        (
            status = 400,
            description = "`Missing name`, `Missing type`, `Missing data`, `Invalid name`, `Invalid data`, `Invalid \
                           size`, `Invalid onConflict`, `Parent not found`, `Parent is not a folder`, `Too deep: 100 levels at most`, \
                           `Invalid JSON`, `Invalid Idempotency-Key: 1 to 255 characters of ASCII`",
            body = ErrorView
        ),
        (
            status = 409,
            description = "`The file this request created was deleted`, `The name is taken`, `A folder is not replaced`, \
                           `1000 uploads are not complete: complete or delete some, or wait until they expire`",
            body = ErrorView
        ),
        (
            status = 413,
            description = "`data is larger than 4 MiB (4194304 bytes), the limit of an upload inside JSON: send size \
                           in place of data`, `size is larger than 5 TiB (5497558138880 bytes), the limit of a file`",
            body = ErrorView
        ),
        (status = 422, description = "`This Idempotency-Key was used for another request`", body = ErrorView),
        (status = 507, description = "`Over quota: 0 bytes left`, with the number of bytes", body = ErrorView),
        AuthErrors,
    ),
)]
async fn create(
    owner: UserId,
    ApiUrl(api): ApiUrl,
    State(app): State<App>,
    Create { fields, idempotent }: Create,
) -> Result<Response> {
    let upload = Upload::try_from(fields)?;
    app.files.check_parent(owner, upload.parent).await?;
    let attempt = match idempotent {
        Some(request) => Some(app.idempotency.begin(owner, request).await?),
        None => None,
    };
    let made = match &attempt {
        Some(attempt) if attempt.is_done => app.answered(owner, attempt.file).await,
        attempt => app.make(owner, attempt.as_ref().map(|attempt| attempt.file), upload).await,
    };
    let created = match made.map_err(|error| match error {
        Error::NotFound => Error::Conflict("The file this request created was deleted"),
        other => other,
    })? {
        FileOrUpload::Visible(file) => Created { file: file.into(), upload: None },
        FileOrUpload::Pending(mut pending) => {
            let instructions = app.uploads.instructions(&mut pending, &api).await?;
            let file = FileView::from(pending.file).replacing(pending.replaces);
            Created { file, upload: Some(instructions) }
        }
    };
    if let Some(attempt) = attempt {
        app.idempotency.complete(&attempt).await?;
    }
    Ok((StatusCode::CREATED, [(header::ETAG, created.file.etag())], Json(created)).into_response())
}

/// A folder, a file or an image
#[utoipa::path(
    get,
    path = "/files/{id}",
    tag = "Files",
    operation_id = "showFile",
    params(("id" = FileId, Path)),
    responses((status = 200, description = "The document", body = FileView), AuthErrors, NotFound),
)]
async fn show(OwnedFile(file): OwnedFile) -> DocumentResponse {
    file.into()
}

/// The usage of a folder
#[utoipa::path(
    get,
    path = "/files/{id}/usage",
    tag = "Files",
    operation_id = "showUsage",
    params(("id" = FileId, Path)),
    responses((status = 200, description = "The sum of all levels", body = FolderUsageView), AuthErrors, NotFound),
)]
async fn usage(owner: UserId, id: FileId, State(files): State<Files>) -> Result<Json<FolderUsageView>> {
    Ok(Json(files.folder_usage(owner, id).await?.into()))
}

/// Makes the content public
#[utoipa::path(
    put,
    path = "/files/{id}/publish",
    tag = "Files",
    operation_id = "publishFile",
    params(("id" = FileId, Path), openapi::IfMatchHeader),
    responses(
        (status = 200, description = "The document", body = FileView),
        (status = 412, description = "`The file was changed meanwhile`", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
async fn publish(
    OwnedFile(file): OwnedFile,
    if_match: IfMatch,
    State(files): State<Files>,
) -> Result<DocumentResponse> {
    Ok(files.set_public(&file, true, &if_match).await?.into())
}

/// Makes the content private
#[utoipa::path(
    put,
    path = "/files/{id}/unpublish",
    tag = "Files",
    operation_id = "unpublishFile",
    params(("id" = FileId, Path), openapi::IfMatchHeader),
    responses(
        (status = 200, description = "The document", body = FileView),
        (status = 412, description = "`The file was changed meanwhile`", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
async fn unpublish(
    OwnedFile(file): OwnedFile,
    if_match: IfMatch,
    State(files): State<Files>,
) -> Result<DocumentResponse> {
    Ok(files.set_public(&file, false, &if_match).await?.into())
}

/// Deletes a folder, a file or an image
///
/// Deleting a folder deletes everything in it. Nothing deleted is reachable from here on. An upload whose bytes are
/// still on their way to S3 is canceled.
#[utoipa::path(
    delete,
    path = "/files/{id}",
    tag = "Files",
    operation_id = "deleteFile",
    params(("id" = FileId, Path), openapi::IfMatchHeader),
    responses(
        (status = 204, description = "The document is deleted"),
        (status = 412, description = "`The file was changed meanwhile`", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
async fn delete(owner: UserId, id: FileId, if_match: IfMatch, State(app): State<App>) -> Result<StatusCode> {
    app.delete(owner, id, &if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl App {
    async fn delete(&self, owner: UserId, id: FileId, if_match: &IfMatch) -> Result<()> {
        match self.files.file_or_upload_of(owner, id).await {
            Ok(FileOrUpload::Pending(pending)) => {
                if_match.check(pending.file.revision)?;
                if self.uploads.cancel(&pending).await? {
                    return Ok(());
                }
                // The file has become visible just now.
                self.files.delete(&pending.file, if_match).await
            }
            Ok(FileOrUpload::Visible(file)) => self.files.delete(&file, if_match).await,
            Err(Error::NotFound) if self.files.delete_trashed(owner, id, if_match).await? => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The document of a request with an `Idempotency-Key` that has been answered before.
    async fn answered(&self, owner: UserId, id: FileId) -> Result<FileOrUpload> {
        match self.files.file_or_upload_of(owner, id).await {
            Err(Error::NotFound) => self.files.replaced_by(owner, id).await.map(FileOrUpload::Visible),
            found => found,
        }
    }
}

impl App {
    /// Creates the file; pending for a direct upload. `id` is fixed for an idempotent request.
    async fn make(&self, owner: UserId, id: Option<FileId>, upload: Upload) -> Result<FileOrUpload> {
        let new = NewFile {
            is_repeatable: id.is_some(),
            id: id.unwrap_or_default(),
            owner,
            name: upload.name,
            is_public: upload.is_public,
            parent: upload.parent,
        };
        let on_conflict = upload.on_conflict;
        match upload.payload {
            Payload::Folder => Ok(FileOrUpload::Visible(self.files.create_folder(new, on_conflict).await?)),
            Payload::Inline(kind, data) => Ok(FileOrUpload::Visible(self.store(new, kind, data, on_conflict).await?)),
            Payload::Direct(kind, size) => {
                self.files.begin_direct(new, kind, Incoming::exactly(size), on_conflict).await
            }
        }
    }

    /// Stores the row, then the bytes, makes the row visible, and sends the job: see [`shared::files`].
    async fn store(&self, new: NewFile, kind: ContentKind, data: Vec<u8>, on_conflict: OnConflict) -> Result<File> {
        let (content_type, size) = (new.name.content_type(), data.len() as u64);
        let pending = match self.files.begin(new, kind, size, on_conflict).await? {
            FileOrUpload::Pending(pending) => pending,
            // An earlier attempt at the same request has stored it.
            FileOrUpload::Visible(file) => return Ok(file),
        };
        self.objects.put(&pending.key, data.into(), &content_type).await?;
        let file = self.files.finish(&pending, size).await.map_err(|error| match error {
            // The sweeper was faster.
            Error::NotFound => Error::Unavailable(anyhow::anyhow!("the upload took longer than its grace period")),
            other => other,
        })?;
        if kind == ContentKind::OfImage {
            self.send_job(file.owner, file.id).await;
        }
        Ok(file)
    }

    /// Sends the job for an image. The row says that thumbnails are due, so the sweeper sends a job that cannot be sent
    /// now.
    async fn send_job(&self, owner: UserId, id: FileId) {
        if let Err(error) = self.jobs.send(owner, id).await {
            tracing::warn!(error = error.cause(), file = id.to_string(), "a job was not sent");
        }
    }
}

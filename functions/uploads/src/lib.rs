//! Uploads that clients send to S3 themselves: their missing parts and their completion, tickets for clients without a
//! session, and the requests of stock clients. The bytes never pass through this function.

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, Path, State, rejection::PathRejection},
    http::StatusCode,
    routing::{delete, get, post},
};
use shared::{
    Error, Result,
    accounts::{keys::Keys, sessions::Sessions, users::Users},
    files::{FileOrUpload, Files},
    http::{
        ApiUrl, DocumentResponse, FileView, Json, KeyGuard, NewTicketView,
        body::{Fields, Object},
        error::ErrorView,
        openapi::{AuthErrors, NotFound, TooLarge},
    },
    ids::{FileId, UserId},
    limits,
    stores::{Stores, redis::Redis, s3::Objects},
    uploads::{
        MultipartInstructions, Uploads,
        tickets::{FilesLeft, Tickets},
    },
};

mod companion;
pub mod openapi;
mod sign;
mod ticket;

use sign::{SignRequest, SignedRequest};
use ticket::{TicketRequest, TicketView};

#[derive(Clone, FromRef)]
pub struct App {
    key_guard: KeyGuard,
    files: Files,
    objects: Objects,
    uploads: Uploads,
    tickets: Tickets,
    users: Users,
    sessions: Sessions,
}

pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/files/{id}/parts", get(parts))
        .route("/files/{id}/complete", post(complete))
        .route("/uploads/tickets", get(issued).post(issue))
        .route("/uploads/tickets/{ticket}", delete(revoke))
        .route("/uploads/sign", post(sign))
        .layer(DefaultBodyLimit::max(limits::MAX_BODY_BYTES))
        .nest("/uploads/{ticket}/s3", companion::router())
        .with_state(app.clone());
    app.key_guard.with_keys(routes)
}

impl App {
    pub async fn new(stores: &Stores) -> anyhow::Result<Self> {
        let database = stores.mongodb.connect().await?;
        let (files, users) = (Files::of(&database, &stores.config), Users::of(&database));
        let objects = Objects::connect(stores, limits::S3_INLINE_TIMEOUT);
        Ok(Self {
            key_guard: KeyGuard::new(Keys::of(&database), files.clone()),
            uploads: Uploads::new(files.clone(), objects.clone(), FilesLeft::of(&database)),
            files,
            objects,
            tickets: Tickets::of(&database, &stores.config)?,
            sessions: Sessions::new(Redis::connect(stores)?, users.clone()),
            users,
        })
    }
}

/// The uploaded and the missing parts of a multipart upload
#[utoipa::path(
    get,
    path = "/files/{id}/parts",
    tag = "Uploads",
    operation_id = "missingParts",
    params(("id" = FileId, Path)),
    responses(
        (status = 200, description = "The next hundred, signed for 15 minutes", body = MultipartInstructions),
        (status = 409, description = "`The upload is complete`", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
async fn parts(
    owner: UserId,
    id: FileId,
    ApiUrl(api): ApiUrl,
    State(app): State<App>,
) -> Result<Json<MultipartInstructions>> {
    let pending = app.files.file_or_upload_of(owner, id).await?.pending()?;
    Ok(Json(app.uploads.missing_parts(&pending, &api).await?))
}

/// Completes an upload
///
/// Send this when all bytes are at S3. Without it, the upload completes when S3 sends its message. A repeated request
/// has the same answer.
#[utoipa::path(
    post,
    path = "/files/{id}/complete",
    tag = "Uploads",
    operation_id = "completeUpload",
    params(("id" = FileId, Path)),
    responses(
        (
            status = 200,
            description = "The file is complete and visible. An upload with `onConflict` `replace` answers the document \
                           whose content it has become",
            body = FileView
        ),
        (
            status = 400,
            description = "`Invalid parts: all but the last must have 5 MiB or more`, `Invalid parts`: S3 does not \
                           complete the upload with them",
            body = ErrorView
        ),
        (
            status = 409,
            description = "`The bytes are not there: send them, then complete`, `Parts are missing: send them, then \
                           complete`, `The size is not the one announced: begin the upload again`",
            body = ErrorView
        ),
        (status = 413, description = "`The upload is larger than it may be: begin again with less`", body = ErrorView),
        (status = 507, description = "`Over quota: 0 bytes left`, with the number of bytes", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
async fn complete(owner: UserId, id: FileId, State(app): State<App>) -> Result<DocumentResponse> {
    let file = match app.files.file_or_upload_of(owner, id).await {
        Ok(FileOrUpload::Pending(pending)) => app.uploads.complete(&pending, None).await?,
        Ok(FileOrUpload::Visible(file)) => file,
        // The upload has become the content of a document, perhaps.
        Err(Error::NotFound) => app.files.replaced_by(owner, id).await?,
        Err(error) => return Err(error),
    };
    Ok(file.into())
}

/// Issues a ticket, which lets somebody else upload
#[utoipa::path(
    post,
    path = "/uploads/tickets",
    tag = "Uploads",
    operation_id = "issueTicket",
    request_body = Option<openapi::NewTicket>,
    responses(
        (status = 201, description = "The new ticket", body = NewTicketView),
        (
            status = 400,
            description = "`Parent not found`, `Parent is not a folder`, `Too deep: 100 levels at most`, \
                           `Invalid maxBytes`, `Invalid maxFiles`, \
                           `Invalid types: media types such as image/png or image/*`, \
                           `Invalid expiresIn: 1 to 86400 seconds`, `Invalid onConflict`, `Invalid JSON`",
            body = ErrorView
        ),
        TooLarge,
        AuthErrors,
    ),
)]
async fn issue(
    owner: UserId,
    ApiUrl(api): ApiUrl,
    State(app): State<App>,
    Object(request): Object<TicketRequest>,
) -> Result<(StatusCode, Json<NewTicketView>)> {
    let options = request.checked(owner)?;
    app.files.check_parent(owner, options.scope.parent).await?;
    let issued = app.tickets.issue(options.scope, options.max_files, options.lifetime).await?;
    Ok((StatusCode::CREATED, Json(NewTicketView::new(issued, &api))))
}

/// The valid tickets, newest first
#[utoipa::path(
    get,
    path = "/uploads/tickets",
    tag = "Uploads",
    operation_id = "listTickets",
    responses((status = 200, description = "Of all tickets at most a thousand", body = Vec<TicketView>), AuthErrors),
)]
async fn issued(owner: UserId, State(tickets): State<Tickets>) -> Result<Json<Vec<TicketView>>> {
    Ok(Json(tickets.issued_by(owner).await?.into_iter().map(TicketView::from).collect()))
}

/// Revokes a ticket
#[utoipa::path(
    delete,
    path = "/uploads/tickets/{ticket}",
    tag = "Uploads",
    operation_id = "revokeTicket",
    params(openapi::TicketOrId),
    responses((status = 204, description = "The ticket is not valid any more"), AuthErrors, NotFound),
)]
async fn revoke(
    owner: UserId,
    ticket: Result<Path<String>, PathRejection>,
    State(tickets): State<Tickets>,
) -> Result<StatusCode> {
    // A path that is not UTF-8 is no ticket.
    let Ok(Path(ticket)) = ticket else { return Err(Error::NotFound) };
    tickets.revoke(owner, &ticket).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs a request to S3
///
/// For Uppy's `signRequest`, on a page that has a session token.
#[utoipa::path(
    post,
    path = "/uploads/sign",
    tag = "Uploads",
    operation_id = "signRequest",
    request_body = openapi::SignRequest,
    responses(
        (status = 200, description = "The presigned request. Send it to S3", body = SignedRequest),
        (
            status = 400,
            description = "`Missing method`, `Missing key`, `Missing uploadId`, `Invalid method: PUT, POST, GET or \
                           DELETE`, `Invalid part: uploadId, and partNumber from 1 to 10000`, `Invalid name`, `Parent \
                           not found`, `Parent is not a folder`, `Too deep: 100 levels at most`, `Invalid onConflict`, \
                           `Invalid JSON`",
            body = ErrorView
        ),
        (
            status = 409,
            description = "`1000 uploads are not complete: complete or delete some, or wait until they expire`, `The \
                           name is taken`, `A folder is not replaced`",
            body = ErrorView
        ),
        (status = 507, description = "`Over quota: 0 bytes left`, with the number of bytes", body = ErrorView),
        TooLarge,
        AuthErrors,
        NotFound,
    ),
)]
async fn sign(owner: UserId, State(app): State<App>, fields: Fields) -> Result<Json<SignedRequest>> {
    Ok(Json(app.sign(owner, SignRequest::try_from(fields)?).await?))
}

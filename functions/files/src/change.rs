//! Renaming, moving and copying.

use axum::{extract::State, http::StatusCode};
use shared::{
    Error, Result,
    files::{Change, File, FileOrUpload, Files, IfMatch, OnConflict, Parent},
    http::{
        DocumentResponse, FileView,
        body::Fields,
        error::ErrorView,
        openapi::{AuthErrors, NotFound},
    },
    ids::{FileId, UserId},
};

use crate::{App, create::Create, openapi};

/// The new name and the new place of a document in a body.
pub fn change(fields: &mut Fields, default: OnConflict) -> Result<Change> {
    Ok(Change {
        name: fields.text("name").map(|name| name.parse()).transpose()?,
        on_conflict: fields.on_conflict(default)?,
        parent: fields.present("parentId").map(Parent::try_from).transpose()?,
    })
}

/// Renames and moves a document
///
/// Both take effect in one step. A folder moves with everything below it, and ids, tickets and thumbnails stay. An upload
/// that is not complete yet can be renamed and moved too.
#[utoipa::path(
    patch,
    path = "/files/{id}",
    tag = "Files",
    operation_id = "changeFile",
    params(("id" = FileId, Path), openapi::IfMatchHeader),
    request_body = openapi::Change,
    responses(
        (status = 200, description = "The document", body = FileView),
        (
            status = 400,
            description = "`Missing name or parentId`, `Invalid name`, `Invalid onConflict`, `Parent not found`, \
                           `Parent is not a folder`, `Too deep: 100 levels at most`, `Invalid JSON`",
            body = ErrorView
        ),
        (
            status = 409,
            description = "`A folder cannot be moved into itself`, `Another move is in progress: try again`, \
                           `The folder has more than 100000 folders: move its parts`, `The name is taken`, \
                           `A folder is not replaced`",
            body = ErrorView
        ),
        (status = 412, description = "`The file was changed meanwhile`", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
pub async fn patch(
    owner: UserId,
    id: Result<FileId>,
    if_match: IfMatch,
    State(files): State<Files>,
    mut fields: Fields,
) -> Result<DocumentResponse> {
    let change = change(&mut fields, OnConflict::Keep)?;
    if change.name.is_none() && change.parent.is_none() {
        return Err(Error::Invalid("Missing name or parentId"));
    }
    match files.change(owner, id?, &if_match, change).await? {
        FileOrUpload::Visible(file) => Ok(file.into()),
        FileOrUpload::Pending(pending) => {
            let view = FileView::from(pending.file).replacing(pending.replaces);
            Ok(DocumentResponse(StatusCode::OK, view))
        }
    }
}

/// Copies a document
///
/// A folder is copied with everything visible in it, all at once or not at all. No bytes are copied: a copy has the same
/// object in S3, which stays until the last document that has it is deleted. Copies are private.
#[utoipa::path(
    post,
    path = "/files/{id}/copy",
    tag = "Files",
    operation_id = "copyFile",
    params(("id" = FileId, Path), openapi::IdempotencyHeader),
    request_body = Option<openapi::Copy>,
    responses(
        (status = 201, description = "The copy", body = FileView),
        (
            status = 400,
            description = "`Invalid name`, `Invalid onConflict`, `Parent not found`, `Parent is not a folder`, `Too deep: \
                           100 levels at most`, `Invalid JSON`, `Invalid Idempotency-Key: 1 to 255 characters of ASCII`",
            body = ErrorView
        ),
        (
            status = 409,
            description = "`A folder cannot be copied into itself`, `The name is taken`, `A folder is not replaced`, \
                           `The file this request created was deleted`",
            body = ErrorView
        ),
        (status = 413, description = "`The folder has more than 20000 items: copy its parts`", body = ErrorView),
        (status = 422, description = "`This Idempotency-Key was used for another request`", body = ErrorView),
        (status = 507, description = "`Over quota: 0 bytes left`", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
pub async fn copy(
    owner: UserId,
    id: Result<FileId>,
    State(app): State<App>,
    Create { mut fields, idempotent }: Create,
) -> Result<DocumentResponse> {
    fields.must_be_object()?;
    let change = change(&mut fields, OnConflict::Rename)?;
    let id = id?;
    let attempt = match idempotent {
        Some(request) => {
            // An unknown document must not use up the key.
            app.files.file_of(owner, id).await?;
            Some(app.idempotency.begin(owner, request).await?)
        }
        None => None,
    };
    let copy = match &attempt {
        Some(attempt) if attempt.is_done => app.copied(owner, attempt.file).await.map_err(|error| match error {
            Error::NotFound => Error::Conflict("The file this request created was deleted"),
            other => other,
        })?,
        attempt => app.files.copy(owner, id, attempt.as_ref().map(|attempt| attempt.file), change).await?,
    };
    if let Some(attempt) = attempt {
        app.idempotency.complete(&attempt).await?;
    }
    Ok(DocumentResponse(StatusCode::CREATED, copy.into()))
}

impl App {
    /// The copy of a request with an `Idempotency-Key` that has been answered before.
    async fn copied(&self, owner: UserId, id: FileId) -> Result<File> {
        match self.files.file_of(owner, id).await {
            Err(Error::NotFound) => self.files.replaced_by(owner, id).await,
            found => found,
        }
    }
}

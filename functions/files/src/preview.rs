//! The pictures that owners give their documents.

use axum::{extract::State, http::StatusCode};
use shared::{
    Error, Result,
    files::IfMatch,
    http::{
        DocumentResponse, FileView,
        body::Fields,
        error::ErrorView,
        openapi::{AuthErrors, NotFound},
    },
    ids::{FileId, UserId},
    limits,
};

use crate::{App, create::decode, openapi};

const TOO_LARGE: &str = "data is larger than 1 MiB (1048576 bytes), the limit of a preview";

/// Gives a document a preview
///
/// The preview is a picture that stands for the content: a frame of a film, the first page of a text. Thumbnails are made
/// of it in the background, and the document says `preview: true` when `size` of `/data` names them. If it is no picture,
/// the document says `preview: "failed"`. A preview does not change the revision, and new content drops it. It counts in
/// the quota until its thumbnails are made.
#[utoipa::path(
    put,
    path = "/files/{id}/preview",
    tag = "Files",
    operation_id = "setPreview",
    params(("id" = FileId, Path), openapi::IfMatchHeader),
    request_body = openapi::NewPreview,
    responses(
        (status = 202, description = "The document, which has the preview soon", body = FileView),
        (
            status = 400,
            description = "`Missing data`, `Invalid data`, `A folder has no preview`, `Invalid JSON`",
            body = ErrorView
        ),
        (status = 412, description = "`The file was changed meanwhile`", body = ErrorView),
        (
            status = 413,
            description = "`data is larger than 1 MiB (1048576 bytes), the limit of a preview`",
            body = ErrorView
        ),
        (status = 507, description = "`Over quota: 0 bytes left`, with the number of bytes", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
pub async fn put(
    owner: UserId,
    id: Result<FileId>,
    if_match: IfMatch,
    State(app): State<App>,
    mut fields: Fields,
) -> Result<DocumentResponse> {
    let data = fields.text("data").ok_or(Error::Invalid("Missing data"))?;
    let data = decode(data, limits::MAX_PREVIEW_BYTES, TOO_LARGE)?;
    let document = app.files.file_of(owner, id?).await?;
    let preview = app.files.begin_preview(&document, data.len() as u64, &if_match).await?;
    app.objects.put(&preview.key, data.into(), "application/octet-stream").await?;
    let document = app.files.finish_preview(&preview, &if_match).await?;
    app.send_job(owner, preview.id).await;
    Ok(DocumentResponse(StatusCode::ACCEPTED, document.into()))
}

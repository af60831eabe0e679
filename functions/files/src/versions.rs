//! The earlier contents of a document.

use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use shared::{
    Result,
    files::{Files, IfMatch, Version},
    http::{
        DocumentResponse, FileView, Json, VersionPath,
        error::ErrorView,
        openapi::{AuthErrors, NotFound},
    },
    ids::{FileId, UserId},
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::openapi;

/// Earlier content of a document.
#[derive(Serialize, ToSchema)]
#[schema(as = Version)]
#[serde(rename_all = "camelCase")]
pub struct VersionView {
    id: FileId,
    /// The size of the content, in bytes.
    #[schema(value_type = u64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// The time at which the content became the document's.
    created_at: Timestamp,
}

impl From<Version> for VersionView {
    fn from(version: Version) -> Self {
        Self { id: version.id, size: version.size, created_at: version.created_at }
    }
}

/// The earlier contents of a document
///
/// `onConflict` `replace` makes the content that a file had a version. A document keeps its last ten versions, for thirty
/// days, unless the deployment has other numbers. Versions count in the quota.
#[utoipa::path(
    get,
    path = "/files/{id}/versions",
    tag = "Files",
    operation_id = "listVersions",
    params(("id" = FileId, Path)),
    responses((status = 200, description = "The newest first", body = Vec<VersionView>), AuthErrors, NotFound),
)]
pub async fn list(owner: UserId, id: FileId, State(files): State<Files>) -> Result<Json<Vec<VersionView>>> {
    Ok(Json(files.versions(owner, id).await?.into_iter().map(VersionView::from).collect()))
}

/// Makes a version the content of its document
///
/// The present content becomes a version.
#[utoipa::path(
    put,
    path = "/files/{id}/versions/{version}/restore",
    tag = "Files",
    operation_id = "restoreVersion",
    params(("id" = FileId, Path), ("version" = FileId, Path), openapi::IfMatchHeader),
    responses(
        (status = 200, description = "The document", body = FileView),
        (status = 412, description = "`The file was changed meanwhile`", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
pub async fn restore(
    owner: UserId,
    VersionPath { document, version }: VersionPath,
    if_match: IfMatch,
    State(files): State<Files>,
) -> Result<DocumentResponse> {
    Ok(files.restore_version(owner, document, version, &if_match).await?.into())
}

/// Deletes a version
#[utoipa::path(
    delete,
    path = "/files/{id}/versions/{version}",
    tag = "Files",
    operation_id = "deleteVersion",
    params(("id" = FileId, Path), ("version" = FileId, Path)),
    responses((status = 204, description = "The version is deleted"), AuthErrors, NotFound),
)]
pub async fn delete(
    owner: UserId,
    VersionPath { document, version }: VersionPath,
    State(files): State<Files>,
) -> Result<StatusCode> {
    files.delete_version(owner, document, version).await?;
    Ok(StatusCode::NO_CONTENT)
}

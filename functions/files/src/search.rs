//! `GET /search` and `GET /files/{id}/path`.

use axum::{extract::State, http::HeaderName, response::IntoResponse};
use serde::Serialize;
use shared::{
    Error, Result,
    files::{Files, Found, Located, PathStep},
    http::{
        FileView, Json, Params,
        error::ErrorView,
        listing::{limit, types},
        openapi::{AuthErrors, NotFound},
    },
    ids::{FileId, UserId},
    limits,
};
use utoipa::ToSchema;

use crate::openapi;

const X_INCOMPLETE: HeaderName = HeaderName::from_static("x-incomplete");

/// A folder above a document, or the document itself.
#[derive(Serialize, ToSchema)]
#[schema(as = PathStep)]
pub struct StepView {
    id: FileId,
    name: String,
}

impl From<PathStep> for StepView {
    fn from(step: PathStep) -> Self {
        Self { id: step.id, name: step.name.as_str().to_owned() }
    }
}

/// A document that a search has found.
#[derive(Serialize, ToSchema)]
#[schema(as = Found)]
pub struct FoundView {
    #[serde(flatten)]
    file: FileView,
    /// From below the root to the document itself.
    path: Vec<StepView>,
}

impl From<Located> for FoundView {
    fn from(Located { file, path }: Located) -> Self {
        Self { file: file.into(), path: path.into_iter().map(StepView::from).collect() }
    }
}

/// The path of a document
#[utoipa::path(
    get,
    path = "/files/{id}/path",
    tag = "Files",
    operation_id = "showPath",
    params(("id" = FileId, Path)),
    responses(
        (status = 200, description = "From below the root to the document itself", body = Vec<StepView>),
        AuthErrors,
        NotFound
    ),
)]
pub async fn path(owner: UserId, id: FileId, State(files): State<Files>) -> Result<Json<Vec<StepView>>> {
    let Located { path, .. } = files.located(owner, id).await?;
    Ok(Json(path.into_iter().map(StepView::from).collect()))
}

/// Documents by the words of their names
///
/// Each word of `q` must begin a word of the name. Case, accents and the order of the words make no difference:
/// `IMG_2041.jpg` is found by `img 20`, `2041` and `jpg`. Of a name the first 16 words count, and of a word the first 32
/// bytes.
#[utoipa::path(
    get,
    path = "/search",
    tag = "Files",
    operation_id = "search",
    params(openapi::Search),
    responses(
        (
            status = 200,
            description = "The newest of the first thousand that match, newest first",
            body = Vec<FoundView>,
            headers(("X-Incomplete" = bool, description = "`true` if there was no time to look at every name")),
        ),
        (status = 400, description = "`Missing q`, `Invalid q`, `Invalid type`, `Invalid limit`", body = ErrorView),
        AuthErrors
    ),
)]
pub async fn search(owner: UserId, params: Params, State(files): State<Files>) -> Result<impl IntoResponse> {
    let query = params.get("q").filter(|query| !query.is_empty()).ok_or(Error::Invalid("Missing q"))?;
    if query.len() > limits::MAX_QUERY_BYTES {
        return Err(Error::Invalid("Invalid q"));
    }
    let (types, limit) = (types(&params)?, limit(&params, limits::FOUND, limits::MAX_FOUND)?);
    let Found { files, is_incomplete } = files.search(owner, query, types, limit).await?;
    let header = is_incomplete.then_some([(X_INCOMPLETE, "true")]);
    Ok((header, Json(files.into_iter().map(FoundView::from).collect::<Vec<_>>())))
}

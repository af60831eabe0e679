//! ZIPs of documents, which function `archives` makes.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use shared::{
    Result,
    archives::{Scope, Zips},
    files::Files,
    http::{
        Json, ZipView,
        auth::ContentOwner,
        body::Object,
        error::ErrorView,
        openapi::{AuthErrors, NotFound, TooLarge},
        zipped_ids,
    },
    ids::{UserId, ZipId},
    stores::{lambda::Invoker, s3::Objects},
};

use crate::openapi;

/// The body of `POST /zips`.
#[derive(Deserialize)]
pub struct ZipRequest {
    #[serde(default)]
    ids: serde_json::Value,
}

/// Makes a ZIP of documents, with everything in the folders among them
///
/// The ZIP is made in the background: ask for its state until it is `ready`. It has what is visible when its list is made,
/// a moment after the request; the content of a file that is deleted later may still be in it. It is kept for a day, and
/// does not count in the quota.
///
/// No name in a ZIP leads out of its folder: `.` and `..` become `_` and `__`, backslashes, colons and control characters
/// `_`. Of names in a folder that are equal but for case all but the first get a number.
#[utoipa::path(
    post,
    path = "/zips",
    tag = "ZIPs",
    operation_id = "createZip",
    request_body = openapi::NewZip,
    responses(
        (status = 202, description = "The ZIP, which is not ready yet", body = ZipView),
        (status = 400, description = "`Invalid ids: 1 to 1000`, `Invalid JSON`", body = ErrorView),
        (
            status = 409,
            description = "`10 ZIPs are being made: wait until one is ready`, `100 ZIPs were made within a day: wait until \
                           one is gone`",
            body = ErrorView
        ),
        TooLarge,
        AuthErrors,
        NotFound,
    ),
)]
pub async fn create(
    owner: UserId,
    State(zips): State<Zips>,
    State(files): State<Files>,
    State(archives): State<Invoker>,
    Object(request): Object<ZipRequest>,
) -> Result<Response> {
    let items = files.items(owner, &zipped_ids(&request.ids)?).await?;
    let zip = zips.make(Scope { owner, link: None }, &items, &archives).await?;
    Ok((StatusCode::ACCEPTED, Json(ZipView::from(zip))).into_response())
}

/// The state of a ZIP
#[utoipa::path(
    get,
    path = "/zips/{id}",
    tag = "ZIPs",
    operation_id = "showZip",
    params(("id" = ZipId, Path)),
    responses((status = 200, description = "The ZIP", body = ZipView), AuthErrors, NotFound),
)]
pub async fn show(owner: UserId, id: ZipId, State(zips): State<Zips>) -> Result<Json<ZipView>> {
    Ok(Json(zips.show(Scope { owner, link: None }, id).await?.into()))
}

/// The content of a ZIP
///
/// S3 sends it, and answers `Range` and `If-Range`, so that a download can be resumed: with a new request to this route,
/// because a presigned URL is good for a minute.
#[utoipa::path(
    get,
    path = "/zips/{id}/data",
    tag = "ZIPs",
    operation_id = "readZip",
    params(("id" = ZipId, Path)),
    responses(
        (
            status = 302,
            description = "S3 sends the bytes. The page `/docs` cannot follow this redirect, because it may call only this API",
            headers(("Location" = String, description = "A presigned URL of S3. Good for a minute"))
        ),
        (status = 409, description = "`Not ready`: also if there will be no ZIP", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
    security(("token" = []), ("bearer" = []), ("cookie" = [])),
)]
pub async fn data(
    ContentOwner { user: owner, .. }: ContentOwner,
    id: ZipId,
    State(zips): State<Zips>,
    State(objects): State<Objects>,
) -> Result<Response> {
    let url = zips.show(Scope { owner, link: None }, id).await?.url(&objects).await?;
    Ok((StatusCode::FOUND, [(header::LOCATION, url)]).into_response())
}

//! ZIPs of what a link leads to, for whoever has its token. They are made as the owner's are, and seen through the link
//! alone.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use shared::{
    Error, Result,
    archives::{Scope, Zip, Zips},
    http::{
        Json, ZipView,
        auth::Visit,
        body::Object,
        error::ErrorView,
        openapi::{ServiceErrors, TooLarge},
        zipped_ids,
    },
    ids::{FileId, OfZip, ZipId},
    links::{Links, Opened},
    stores::s3::Objects,
};

use crate::{
    App,
    openapi::{self, Key, LinkErrors, OfLink},
    shared_files::SharedId,
};

/// The body of `POST /shared/{token}/zips`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ZipRequest {
    ids: serde_json::Value,
}

/// Makes a ZIP of what a link leads to
///
/// Without `ids` the ZIP has all of it. The ZIP is made in the background: ask for its state until it is `ready`. If the
/// link has `maxDownloads`, the first download of the ZIP counts.
#[utoipa::path(
    post,
    path = "/shared/{token}/zips",
    tag = "Links",
    operation_id = "createSharedZip",
    params(OfLink, Key),
    request_body = Option<openapi::NewSharedZip>,
    responses(
        (status = 202, description = "The ZIP, which is not ready yet", body = ZipView),
        (status = 400, description = "`Invalid ids: 1 to 1000`, `Invalid JSON`", body = ErrorView),
        (
            status = 409,
            description = "`10 ZIPs are being made: wait until one is ready`, `100 ZIPs were made within a day: wait until \
                           one is gone`",
            body = ErrorView
        ),
        LinkErrors,
        TooLarge,
        ServiceErrors,
    ),
    security((), ("linkPassword" = [])),
)]
pub async fn create(
    visit: Visit,
    State(app): State<App>,
    request: Result<Object<ZipRequest>>,
) -> Result<(StatusCode, Json<ZipView>)> {
    let opened = app.links.open(&visit.token, &visit.credentials, &visit.visitor.address).await?;
    let Object(request) = request?;
    let ids = match &request.ids {
        serde_json::Value::Null => vec![opened.file.id],
        ids => zipped_ids(ids)?,
    };
    for id in &ids {
        app.links.find_file(&opened, *id).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(app.make(&opened, &ids).await?.into())))
}

impl App {
    /// Begins a ZIP of these documents, which are what the link leads to or in it.
    ///
    /// # Errors
    /// `NotFound` if the link takes uploads; the errors of [`Zips::make`].
    pub async fn make(&self, opened: &Opened, ids: &[FileId]) -> Result<Zip> {
        if opened.link.takes_uploads() {
            return Err(Error::NotFound);
        }
        let items = self.files.items(opened.link.owner, ids).await?;
        self.zips.make(scope(opened), &items, &self.archives).await
    }
}

fn scope(opened: &Opened) -> Scope {
    Scope { owner: opened.link.owner, link: Some(opened.link.id) }
}

/// The state of a ZIP of a link
#[utoipa::path(
    get,
    path = "/shared/{token}/zips/{id}",
    tag = "Links",
    operation_id = "showSharedZip",
    params(OfLink, ("id" = ZipId, Path), Key),
    responses((status = 200, description = "The ZIP", body = ZipView), LinkErrors, ServiceErrors),
    security((), ("linkPassword" = [])),
)]
pub async fn show(
    visit: Visit,
    id: Result<SharedId<OfZip>>,
    State(links): State<Links>,
    State(zips): State<Zips>,
) -> Result<Json<ZipView>> {
    Ok(Json(find(&visit, id, &links, &zips).await?.1.into()))
}

/// The link and the ZIP of a request. A visitor whose download has used up the link still sees the ZIP.
pub async fn find(visit: &Visit, id: Result<SharedId<OfZip>>, links: &Links, zips: &Zips) -> Result<(Opened, Zip)> {
    let opened = links.open_for_download(&visit.token, &visit.credentials, &visit.visitor.address).await?;
    let SharedId(id) = id?;
    let zip = zips.show(scope(&opened), id).await?;
    Ok((opened, zip))
}

/// The content of a ZIP of a link
///
/// S3 sends it, and answers `Range` and `If-Range`. If the link has `maxDownloads`, the first request of a visitor counts,
/// and the others within an hour do not, so that a download can be resumed.
#[utoipa::path(
    get,
    path = "/shared/{token}/zips/{id}/data",
    tag = "Links",
    operation_id = "readSharedZip",
    params(OfLink, ("id" = ZipId, Path), Key),
    responses(
        (
            status = 302,
            description = "S3 sends the bytes",
            headers(("Location" = String, description = "A presigned URL of S3. Good for a minute"))
        ),
        (status = 409, description = "`Not ready`: also if there will be no ZIP", body = ErrorView),
        LinkErrors,
        ServiceErrors,
    ),
    security((), ("linkPassword" = [])),
)]
pub async fn data(
    visit: Visit,
    id: Result<SharedId<OfZip>>,
    State(links): State<Links>,
    State(zips): State<Zips>,
    State(objects): State<Objects>,
) -> Result<Response> {
    let (opened, zip) = find(&visit, id, &links, &zips).await?;
    // The count tells files apart by their ids, and the id of a ZIP is no file's.
    let permit = links.claim(&opened.link, FileId::from_bytes(zip.id.bytes()), &visit.visitor).await?;
    let url = zip.url(&objects).await?;
    links.count(&opened.link, permit).await?;
    Ok((StatusCode::FOUND, [(header::LOCATION, url)]).into_response())
}

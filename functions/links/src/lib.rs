//! Links: their owners create, list, change and delete them, and whoever has the token of a link reads what it leads to,
//! or uploads into its folder, without a session.

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::StatusCode,
    routing::{get, post},
};
use shared::{
    Error, Result,
    accounts::{keys::Keys, sessions::Sessions, users::Users},
    archives::Zips,
    files::Files,
    http::{
        ApiUrl, Json, KeyGuard, Params,
        body::Object,
        error::ErrorView,
        openapi::{AuthErrors, NotFound, TooLarge},
    },
    ids::{LinkId, UserId},
    limits,
    links::Links,
    stores::{Stores, lambda::Invoker, redis::Redis, s3::Objects},
    uploads::{Uploads, tickets::FilesLeft},
};

pub mod openapi;
mod pages;
mod request;
mod shared_files;
mod view;
mod zips;

use request::{ChangeRequest, LinkRequest};
use view::LinkView;

#[derive(Clone, FromRef)]
pub struct App {
    key_guard: KeyGuard,
    links: Links,
    files: Files,
    zips: Zips,
    archives: Invoker,
    objects: Objects,
    uploads: Uploads,
    sessions: Sessions,
    users: Users,
}

pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/links", get(list).post(create))
        .route("/links/{id}", get(show).patch(change).delete(delete))
        .route("/shared/{token}", get(shared_files::show))
        .route("/shared/{token}/unlock", post(shared_files::unlock))
        .route("/shared/{token}/files", get(shared_files::list))
        .route("/shared/{token}/files/{id}/data", get(shared_files::data))
        .route("/shared/{token}/ticket", post(shared_files::ticket))
        .route("/shared/{token}/zips", post(zips::create))
        .route("/shared/{token}/zips/{id}", get(zips::show))
        .route("/shared/{token}/zips/{id}/data", get(zips::data))
        .layer(DefaultBodyLimit::max(limits::MAX_BODY_BYTES))
        .merge(pages::router())
        .with_state(app.clone());
    app.key_guard.with_keys(routes)
}

impl App {
    pub async fn new(stores: &Stores) -> anyhow::Result<Self> {
        let database = stores.mongodb.connect().await?;
        let (files, users) = (Files::of(&database, &stores.config), Users::of(&database));
        let redis = Redis::connect(stores)?;
        let objects = Objects::connect(stores, limits::S3_INLINE_TIMEOUT);
        Ok(Self {
            key_guard: KeyGuard::new(Keys::of(&database), files.clone()),
            links: Links::of(&database, redis.clone(), files.clone(), &stores.config)?,
            uploads: Uploads::new(files.clone(), objects.clone(), FilesLeft::of(&database)),
            files,
            zips: Zips::of(&database),
            archives: Invoker::of_archives(stores),
            objects,
            sessions: Sessions::new(redis, users.clone()),
            users,
        })
    }
}

/// Creates a link to a file or a folder
///
/// The holder of the `token` can read the file, or everything in the folder, until the link expires, is used up or is
/// deleted. A link of the kind `upload` lets others upload into the folder, and see nothing of it.
#[utoipa::path(
    post,
    path = "/links",
    tag = "Links",
    operation_id = "createLink",
    request_body = openapi::NewLink,
    responses(
        (status = 201, description = "The new link", body = LinkView),
        (
            status = 400,
            description = "`Missing fileId`, `Invalid kind`, `Invalid password`, `Invalid expiresIn: 1 to 315360000 \
                           seconds`, `Invalid maxDownloads`, `Invalid maxBytes`, `Invalid maxFiles`, `Invalid types: \
                           media types such as image/png or image/*`, `Only a folder takes uploads`, `Invalid JSON`",
            body = ErrorView
        ),
        (status = 409, description = "`You have 10000 links: delete some`", body = ErrorView),
        TooLarge,
        AuthErrors,
        NotFound,
    ),
)]
async fn create(
    owner: UserId,
    ApiUrl(api): ApiUrl,
    State(links): State<Links>,
    Object(request): Object<LinkRequest>,
) -> Result<(StatusCode, Json<LinkView>)> {
    let link = links.create(request.checked(owner)?).await?;
    let token = links.token(&link);
    Ok((StatusCode::CREATED, Json(LinkView::new(link, token, &api))))
}

/// The links, newest first
#[utoipa::path(
    get,
    path = "/links",
    tag = "Links",
    operation_id = "listLinks",
    params(openapi::OfFile),
    responses((status = 200, description = "Of all links at most a thousand", body = Vec<LinkView>), AuthErrors),
)]
async fn list(
    owner: UserId,
    ApiUrl(api): ApiUrl,
    params: Params,
    State(links): State<Links>,
) -> Result<Json<Vec<LinkView>>> {
    let file = match params.get("fileId").filter(|id| !id.is_empty()).map(str::parse) {
        None => None,
        Some(Ok(id)) => Some(id),
        // Nothing has a malformed id, and so no links.
        Some(Err(_)) => return Ok(Json(Vec::new())),
    };
    let found = links.of_owner(owner, file).await?.into_iter();
    Ok(Json(found.map(|link| LinkView::of(&links, link, &api)).collect()))
}

/// A link
#[utoipa::path(
    get,
    path = "/links/{id}",
    tag = "Links",
    operation_id = "showLink",
    params(("id" = LinkId, Path)),
    responses((status = 200, description = "The link", body = LinkView), AuthErrors, NotFound),
)]
async fn show(owner: UserId, id: LinkId, ApiUrl(api): ApiUrl, State(links): State<Links>) -> Result<Json<LinkView>> {
    let link = links.get(owner, id).await?;
    Ok(Json(LinkView::of(&links, link, &api)))
}

/// Changes a link
///
/// A field that is absent leaves a property as it is, and `null` removes it. A new password ends all keys that were given
/// for the old one. The file and the kind of a link do not change.
#[utoipa::path(
    patch,
    path = "/links/{id}",
    tag = "Links",
    operation_id = "changeLink",
    params(("id" = LinkId, Path)),
    request_body = openapi::LinkChange,
    responses(
        (status = 200, description = "The link", body = LinkView),
        (
            status = 400,
            description = "`Nothing to change`, `Invalid password`, `Invalid expiresIn: 1 to 315360000 seconds`, \
                           `Invalid maxDownloads`, `Invalid maxBytes`, `Invalid maxFiles`, `Invalid types: media types \
                           such as image/png or image/*`, `Invalid JSON`",
            body = ErrorView
        ),
        TooLarge,
        AuthErrors,
        NotFound,
    ),
)]
async fn change(
    owner: UserId,
    id: Result<LinkId>,
    ApiUrl(api): ApiUrl,
    State(links): State<Links>,
    Object(request): Object<ChangeRequest>,
) -> Result<Json<LinkView>> {
    let change = request.checked()?;
    if change.is_empty() {
        return Err(Error::Invalid("Nothing to change"));
    }
    let link = links.change(owner, id?, change).await?;
    Ok(Json(LinkView::of(&links, link, &api)))
}

/// Deletes a link
#[utoipa::path(
    delete,
    path = "/links/{id}",
    tag = "Links",
    operation_id = "deleteLink",
    params(("id" = LinkId, Path)),
    responses((status = 204, description = "The link is not valid any more"), AuthErrors, NotFound),
)]
async fn delete(owner: UserId, id: LinkId, State(links): State<Links>, State(zips): State<Zips>) -> Result<StatusCode> {
    links.delete(owner, id).await?;
    // Nobody sees the ZIPs without the link. ZIPs that stay, because this fails, expire.
    zips.delete_all_of_link(owner, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! The routes for whoever has the token of a link. The token is the credential; a password or a key may be needed too.

use axum::{
    extract::{FromRequestParts, Path, State},
    http::{HeaderName, StatusCode, request::Parts},
    response::Response,
};
use shared::{
    Error, Result,
    accounts::users::Users,
    http::{
        ApiUrl, Json, NewTicketView, Params,
        auth::Visit,
        body::Fields,
        content::{
            Caching, ContentRequest,
            openapi::{Asked, Conditions},
        },
        error::ErrorView,
        listing::{Sorted, next_link},
        openapi::{ServiceErrors, TooLarge},
    },
    ids::{FileId, Id, OfFile},
    links::{Credentials, Links},
    stores::s3::Objects,
};

use crate::{
    openapi::{self, Key, LinkErrors, OfLink},
    view::{SharedFileView, SharedView, UnlockKeyView},
};

/// The file or folder of a link
///
/// If the link has a password, send it with `Authorization: Basic` and any user name, or send a key that
/// `POST /shared/{token}/unlock` has given.
#[utoipa::path(
    get,
    path = "/shared/{token}",
    tag = "Links",
    operation_id = "showShared",
    params(OfLink, Key),
    responses(
        (status = 200, description = "The file or folder", body = SharedView),
        LinkErrors,
        ServiceErrors,
    ),
    security((), ("linkPassword" = [])),
)]
pub async fn show(visit: Visit, State(links): State<Links>) -> Result<Json<SharedView>> {
    let opened = links.open(&visit.token, &visit.credentials, &visit.visitor.address).await?;
    Ok(Json(opened.into()))
}

/// Exchanges the password of a link for a key
///
/// The key opens the link for an hour, or until the password changes. A page can put it into URLs.
#[utoipa::path(
    post,
    path = "/shared/{token}/unlock",
    tag = "Links",
    operation_id = "unlockShared",
    params(OfLink),
    request_body = openapi::Unlock,
    responses(
        (status = 200, description = "The key", body = UnlockKeyView),
        (status = 400, description = "`Missing password`, `Invalid password`, `Invalid JSON`", body = ErrorView),
        LinkErrors,
        TooLarge,
        ServiceErrors,
    ),
    security(()),
)]
pub async fn unlock(visit: Visit, State(links): State<Links>, body: Result<Fields>) -> Result<Json<UnlockKeyView>> {
    let address = &visit.visitor.address;
    let password = body
        .and_then(|mut fields| fields.text("password").ok_or(Error::Invalid("Missing password"))?.parse().map(Some));
    let password = match password {
        Ok(password) => password,
        Err(error) => {
            // A token that names no link is told before a body that cannot be read.
            return match links.admit(&visit.token, &Credentials::default(), address).await {
                Ok(_) | Err(Error::PasswordRequired) => Err(error),
                Err(unknown) => Err(unknown),
            };
        }
    };
    let opened = links.open(&visit.token, &Credentials { password, key: None }, address).await?;
    let (key, expires_at) = links.unlock_key(&opened.link);
    Ok(Json(UnlockKeyView { key, expires_at }))
}

/// The content of a shared folder
///
/// A sorted list, as the owner's. The list of a link that leads to a file has this file alone.
#[utoipa::path(
    get,
    path = "/shared/{token}/files",
    tag = "Links",
    operation_id = "listShared",
    params(OfLink, Key, openapi::Listing),
    responses(
        (
            status = 200,
            description = "As many as `limit` says, sorted",
            body = Vec<SharedFileView>,
            headers(("Link" = String, description = "The next part, if there is more: `<URL>; rel=\"next\"`")),
        ),
        (
            status = 400,
            description = "`Invalid sort`, `Invalid order`, `Invalid limit`, `Invalid type`, `Invalid cursor`: a cursor \
                           is valid for one folder, sort, order and type",
            body = ErrorView
        ),
        LinkErrors,
        ServiceErrors,
    ),
    security((), ("linkPassword" = [])),
)]
pub async fn list(
    visit: Visit,
    api: Result<ApiUrl>,
    params: Params,
    State(links): State<Links>,
) -> Result<(Option<[(HeaderName, String); 1]>, Json<Vec<SharedFileView>>)> {
    let opened = links.open(&visit.token, &visit.credentials, &visit.visitor.address).await?;
    let folder = match params.get("parentId") {
        None | Some("") => None,
        Some(id) => Some(id.parse()?),
    };
    let folder = links.find_folder(&opened, folder).await?;
    let sorted = Sorted::read(&params)?;
    let Some(folder) = folder else { return Ok((None, Json(vec![opened.file.into()]))) };
    let view = sorted.view(opened.link.owner, folder);
    let page = links.list(view, sorted.cursor(view)?, sorted.limit).await?;
    let next = match page.next {
        Some(next) => {
            let path = format!("/shared/{}/files", visit.token);
            Some(next_link(&api?, &path, &params, &next.text(view)?))
        }
        None => None,
    };
    Ok((next, Json(page.files.into_iter().map(SharedFileView::from).collect())))
}

/// The `{id}` of a route that has a token too.
pub struct SharedId<Of>(pub Id<Of>);

impl<S: Send + Sync, Of> FromRequestParts<S> for SharedId<Of> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((_, id)) = path.map_err(|_| Error::NotFound)?;
        id.parse().map(Self)
    }
}

/// The content of a shared file, or a thumbnail
///
/// If the link has `maxDownloads`, the first `GET` of the content counts. Other requests of the same visitor for the same
/// file within an hour do not, so that ranges and repeated requests count once. Everything else is as for
/// `GET /files/{id}/data`.
#[utoipa::path(
    get,
    path = "/shared/{token}/files/{id}/data",
    tag = "Links",
    operation_id = "readShared",
    params(OfLink, ("id" = FileId, Path), Key, Asked, Conditions),
    responses(
        (
            status = 200,
            description = "The bytes. The file's extension decides the `Content-Type`",
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
            description = "More than 4 MiB, or a request with `Range`: S3 sends the bytes, with its own `ETag`",
            headers(("Location" = String, description = "A presigned URL of S3. Good for a minute"))
        ),
        (
            status = 304,
            description = "The client has this content already",
            headers(("ETag" = String), ("Last-Modified" = String))
        ),
        (status = 400, description = "`A folder doesn't have content`", body = ErrorView),
        (
            status = 412,
            description = "`Precondition failed`: `If-Match` or `If-Unmodified-Since` does not hold",
            body = ErrorView
        ),
        LinkErrors,
        ServiceErrors,
    ),
    security((), ("linkPassword" = [])),
)]
pub async fn data(
    Visit { token, credentials, visitor }: Visit,
    id: Result<SharedId<OfFile>>,
    asked: ContentRequest,
    State(links): State<Links>,
    State(objects): State<Objects>,
) -> Result<Response> {
    let opened = links.open_for_download(&token, &credentials, &visitor.address).await?;
    let SharedId(id) = id?;
    let file = links.find_file(&opened, id).await?;
    // A link that is used up serves only visitors who have been counted, whatever they ask for.
    let permit = if asked.is_for_content() || opened.link.is_used_up() {
        Some(links.claim(&opened.link, file.id, &visitor).await?)
    } else {
        None
    };
    let response = asked.respond(&file, Caching::Private, &objects).await?;
    let is_sent = [StatusCode::OK, StatusCode::FOUND].contains(&response.status());
    if let Some(permit) = permit
        && (opened.link.is_used_up() || is_sent)
    {
        links.count(&opened.link, permit).await?;
    }
    Ok(response)
}

/// Issues a ticket for an upload through a link
///
/// All tickets of a link count their files together. Whoever uploads learns nothing about the folder: a name that the
/// folder has already gets a number.
#[utoipa::path(
    post,
    path = "/shared/{token}/ticket",
    tag = "Links",
    operation_id = "issueSharedTicket",
    params(OfLink, Key),
    responses(
        (status = 201, description = "The new ticket", body = NewTicketView),
        (status = 400, description = "`Too deep: 100 levels at most`", body = ErrorView),
        LinkErrors,
        ServiceErrors,
    ),
    security((), ("linkPassword" = [])),
)]
pub async fn ticket(
    visit: Visit,
    ApiUrl(api): ApiUrl,
    State(links): State<Links>,
    State(users): State<Users>,
) -> Result<(StatusCode, Json<NewTicketView>)> {
    let opened = links.open(&visit.token, &visit.credentials, &visit.visitor.address).await?;
    users.with_id(opened.link.owner).await?.ok_or(Error::NotFound)?;
    let issued = links.ticket(&opened).await?;
    Ok((StatusCode::CREATED, Json(NewTicketView::new(issued, &api))))
}

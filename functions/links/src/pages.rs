//! The public pages of links: HTML that works without JavaScript. Only the page that takes uploads has a script, which puts
//! Uppy in the place of a form.
//!
//! A browser that has typed the password of a link keeps the key in a cookie for the path of the link. So the key is in no
//! URL, where histories and proxies would keep it, and no script can read it; and all that a page loads with the key is
//! below that path, too.

use axum::{
    Form, Router,
    extract::{
        DefaultBodyLimit, FromRequestParts, Path, State,
        rejection::{FormRejection, PathRejection},
    },
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use maud::html;
use serde::Deserialize;
use shared::{
    Error, Result,
    accounts::users::Users,
    archives::Zips,
    files::{self, Content, File},
    http::{
        ApiUrl, Json, NewTicketView, Params,
        auth::{Visit, sent_cookies},
        content::{
            ContentRequest,
            openapi::{Asked, Conditions},
        },
        error::ErrorView,
        listing::Sorted,
        openapi::ServiceErrors,
    },
    ids::{FileId, OfFile, OfZip, ZipId},
    limits,
    links::{Credentials, Kind, Links, Opened},
    stores::s3::Objects,
    time::Timestamp,
};

use crate::{
    App,
    openapi::{LinkErrors, OfLink},
    shared_files::{self, SharedId},
    zips,
};

mod assets;
mod file;
mod folder;
mod form;
mod format;
mod layout;
mod notice;
mod parts;
mod password;
mod response;
#[cfg(test)]
mod tests;
mod upload;
mod view;
mod zip;

use assets::Asset;
use response::{Failure, Page};
use view::{ContentView, EntryView, FolderView, LinkView, RequestView, StepView, ZipView};

pub use form::{__path_send, send};

/// The cookie with the key of a link. Browsers take a name with this prefix only with `Secure`.
const COOKIE: &str = "__Secure-link";

pub fn router() -> Router<App> {
    let form = post(send).layer(DefaultBodyLimit::max(limits::FORM_BYTES));
    Router::new()
        .route("/s/assets/{file}", get(asset))
        .route("/s/{token}", get(show).post(unlock).layer(DefaultBodyLimit::max(limits::MAX_BODY_BYTES)))
        .route("/s/{token}/files", form)
        .route("/s/{token}/files/{id}/data", get(data))
        .route("/s/{token}/ticket", post(ticket))
        .route("/s/{token}/zips", post(create_zip).layer(DefaultBodyLimit::max(limits::MAX_BODY_BYTES)))
        .route("/s/{token}/zips/{id}", get(show_zip))
        .route("/s/{token}/zips/{id}/data", get(zip_data))
}

/// A request to a page of a link: the key comes from the cookie, and from nowhere else.
pub struct PageVisit(Visit);

impl<S: Send + Sync> FromRequestParts<S> for PageVisit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let visit = Visit::from_request_parts(parts, state).await?;
        let key = sent_cookies(&parts.headers, COOKIE).next().map(str::to_owned);
        Ok(Self(Visit { credentials: Credentials { password: None, key }, ..visit }))
    }
}

impl PageVisit {
    async fn open(&self, links: &Links) -> Result<Opened> {
        links.open(&self.0.token, &self.0.credentials, &self.0.visitor.address).await
    }

    fn path(&self) -> String {
        format!("/s/{}", self.0.token)
    }

    fn view(&self, opened: &Opened, api: &str) -> LinkView {
        LinkView {
            path: self.path(),
            api: api.to_owned(),
            expires_at: opened.link.expires_at.and_then(|at| at.to_rfc3339().ok()),
            is_counted: matches!(opened.link.kind, Kind::Download { max_downloads: Some(_) }),
            has_password: opened.link.has_password(),
        }
    }
}

/// The page of a link
///
/// The page shows a file, a folder or a form for uploads, or asks for the password. `folder` and `file` name what is
/// shown of a shared folder.
#[utoipa::path(
    get,
    path = "/s/{token}",
    tag = "Pages",
    operation_id = "showLinkPage",
    params(OfLink, crate::openapi::Shown),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 400, description = "A page: the query is not understood", body = String, content_type = "text/html"),
        crate::openapi::PageErrors,
    ),
    security(()),
)]
pub async fn show(
    visit: PageVisit,
    ApiUrl(api): ApiUrl,
    params: Params,
    State(links): State<Links>,
    State(objects): State<Objects>,
) -> Result<Page, Failure> {
    let opened = visit.open(&links).await?;
    let link = visit.view(&opened, &api);
    let s3 = objects.origin().await?;
    if let Some(mut request) = request(&opened) {
        request.sent = params.get("sent").and_then(|sent| sent.parse().ok());
        return Ok(Page::with_uploader(upload::page(&link, &request, limits::MAX_INLINE_BYTES as u64), &api, &s3));
    }
    let wanted = match (params.get("folder"), params.get("file")) {
        (Some(id), _) | (None, Some(id)) => Some(id.parse::<FileId>()?),
        (None, None) => None,
    };
    let (file, steps) = match wanted {
        Some(id) if id != opened.file.id => {
            let way = links.way(&opened, id).await?;
            (way.file, way.path)
        }
        _ => (opened.file.clone(), Vec::new()),
    };
    let mut steps: Vec<StepView> = steps
        .into_iter()
        .map(|step| StepView { id: step.id.to_string(), name: step.name.as_str().to_owned() })
        .collect();
    let root = opened.file.name.as_str();
    if file.kind != files::Kind::Folder {
        let last = steps.pop();
        let above = last.map_or_else(|| html! {}, |last| folder::way(&link, root, &steps, Some(&last.name)));
        return Ok(Page::with_content(file::page(&link, &entry(file), &above), &s3));
    }
    // Only the cursor comes from the query: a page has one order.
    let cursor = params.get("cursor").map(|cursor| ("cursor".to_owned(), cursor.to_owned()));
    let is_continued = cursor.is_some();
    let query = Params::from(cursor.into_iter().collect::<Vec<_>>());
    let sorted = Sorted::read(&query)?;
    let view = sorted.view(opened.link.owner, files::Parent::Folder(file.id));
    let page = links.list(view, sorted.cursor(view)?, sorted.limit).await?;
    let folder = FolderView {
        root: root.to_owned(),
        steps,
        next: page.next.map(|next| next.text(view)).transpose()?,
        entries: page.files.into_iter().map(entry).collect(),
        is_continued,
    };
    let download_all = (!folder.entries.is_empty()).then(|| zip::form(&link, &file.id.to_string()));
    Ok(Page::with_content(folder::page(&link, &folder, download_all.as_ref()), &s3))
}

fn entry(file: File) -> EntryView {
    let changed_at = file.updated_at.unwrap_or_else(|| file.id.created_at());
    let has_thumbnails = !file.thumbnails().is_empty();
    let content = match file.kind {
        files::Kind::Folder => None,
        files::Kind::File(content) | files::Kind::Image(content, _) => Some(content),
    };
    EntryView {
        id: file.id.to_string(),
        // A person may have stored a date that has no text.
        changed_at: changed_at.to_rfc3339().unwrap_or_default(),
        content: match content {
            None => ContentView::Folder,
            Some(content) => ContentView::File {
                size: match content {
                    Content::Stored { size, .. } => Some(size),
                    Content::OnLegacyDisk => None,
                },
                content_type: file.name.content_type(),
                has_thumbnails,
            },
        },
        name: file.name.as_str().to_owned(),
    }
}

/// The page of a link that takes uploads; `None` for another link.
fn request(opened: &Opened) -> Option<RequestView> {
    let Kind::Upload { limits, .. } = &opened.link.kind else { return None };
    Some(RequestView {
        name: opened.file.name.as_str().to_owned(),
        max_bytes: Some(limits.max_bytes).filter(|most| *most < limits::MAX_FILE_BYTES),
        max_files: limits.max_files.map(u64::from),
        types: limits.types.clone(),
        sent: None,
        refusal: None,
    })
}

#[derive(Deserialize)]
pub struct Typed {
    password: String,
}

/// Opens a link with its password
///
/// For the form of the page. The key is sent as a cookie for the path of the link.
#[utoipa::path(
    post,
    path = "/s/{token}",
    tag = "Pages",
    operation_id = "unlockLinkPage",
    params(OfLink, crate::openapi::Shown),
    request_body(content = crate::openapi::Unlock, content_type = "application/x-www-form-urlencoded"),
    responses(
        (
            status = 303,
            description = "To the page",
            headers(("Location" = String), ("Set-Cookie" = String, description = "The key"))
        ),
        crate::openapi::PageErrors,
    ),
    security(()),
)]
pub async fn unlock(
    visit: PageVisit,
    params: Params,
    State(links): State<Links>,
    typed: Result<Form<Typed>, FormRejection>,
) -> Result<Response, Failure> {
    let path = visit.path();
    let Visit { token, visitor, .. } = visit.0;
    // A text that cannot be a password is a wrong password.
    let password = typed.ok().and_then(|Form(typed)| typed.password.parse().ok());
    let opened = match links.open(&token, &Credentials { password, key: None }, &visitor.address).await {
        Err(Error::PasswordRequired) => {
            return Ok(Page::refused(password::page(Some("This is not the password."))).into_response());
        }
        opened => opened?,
    };
    let mut response = see_other(&match (params.get("folder"), params.get("file")) {
        (Some(folder), _) => format!("{path}?folder={}", folder.parse::<FileId>()?),
        (None, Some(file)) => format!("{path}?file={}", file.parse::<FileId>()?),
        (None, None) => path.clone(),
    })?;
    if opened.link.has_password() {
        let (key, expires_at) = links.unlock_key(&opened.link);
        let seconds = (expires_at.millis() - Timestamp::now().millis()).max(0) / 1000;
        let cookie = format!("{COOKIE}={key}; Path={path}; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax");
        response.headers_mut().insert(header::SET_COOKIE, text(&cookie)?);
    }
    Ok(response)
}

/// The content of a shared file, for the pages
///
/// As `GET /shared/{token}/files/{id}/data`, with the key in the cookie.
#[utoipa::path(
    get,
    path = "/s/{token}/files/{id}/data",
    tag = "Pages",
    operation_id = "readForLinkPage",
    params(OfLink, ("id" = FileId, Path), Asked, Conditions),
    responses(
        (status = 200, description = "The bytes", content(("*/*"))),
        (status = 302, description = "S3 sends the bytes", headers(("Location" = String))),
        (status = 304, description = "The client has this content already"),
        (status = 400, description = "A page: a folder has no content", body = String, content_type = "text/html"),
        (status = 412, description = "A page: a condition does not hold", body = String, content_type = "text/html"),
        crate::openapi::PageErrors,
    ),
    security(()),
)]
pub async fn data(
    PageVisit(visit): PageVisit,
    id: Result<SharedId<OfFile>>,
    asked: Result<ContentRequest>,
    links: State<Links>,
    objects: State<Objects>,
) -> Result<Response, Failure> {
    Ok(shared_files::data(visit, id, asked?, links, objects).await?)
}

/// Issues a ticket for an upload, for the script of the page
///
/// As `POST /shared/{token}/ticket`, with the key in the cookie.
#[utoipa::path(
    post,
    path = "/s/{token}/ticket",
    tag = "Pages",
    operation_id = "issueTicketForLinkPage",
    params(OfLink),
    responses(
        (status = 201, description = "The new ticket", body = NewTicketView),
        (status = 400, description = "`Too deep: 100 levels at most`", body = ErrorView),
        LinkErrors,
        ServiceErrors,
    ),
    security(()),
)]
pub async fn ticket(
    PageVisit(visit): PageVisit,
    api: ApiUrl,
    links: State<Links>,
    users: State<Users>,
) -> Result<(StatusCode, Json<NewTicketView>)> {
    shared_files::ticket(visit, api, links, users).await
}

#[derive(Deserialize)]
pub struct Wanted {
    folder: String,
}

/// Makes a ZIP of a shared folder
///
/// For the form of the page.
#[utoipa::path(
    post,
    path = "/s/{token}/zips",
    tag = "Pages",
    operation_id = "createZipForLinkPage",
    params(OfLink),
    request_body(content = crate::openapi::ZippedFolder, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "To the page of the ZIP", headers(("Location" = String))),
        (status = 409, description = "A page: too many ZIPs", body = String, content_type = "text/html"),
        crate::openapi::PageErrors,
    ),
    security(()),
)]
pub async fn create_zip(
    visit: PageVisit,
    State(app): State<App>,
    wanted: Result<Form<Wanted>, FormRejection>,
) -> Result<Response, Failure> {
    let opened = visit.open(&app.links).await?;
    let folder = wanted.ok().and_then(|Form(wanted)| wanted.folder.parse().ok()).ok_or(Error::NotFound)?;
    let file = app.links.find_file(&opened, folder).await?;
    let zip = app.make(&opened, &[file.id]).await?;
    Ok(see_other(&format!("{}/zips/{}", visit.path(), zip.id))?)
}

/// The page of a ZIP
#[utoipa::path(
    get,
    path = "/s/{token}/zips/{id}",
    tag = "Pages",
    operation_id = "showZipPage",
    params(OfLink, ("id" = ZipId, Path)),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        crate::openapi::PageErrors,
    ),
    security(()),
)]
pub async fn show_zip(
    visit: PageVisit,
    id: Result<SharedId<OfZip>>,
    ApiUrl(api): ApiUrl,
    State(links): State<Links>,
    State(zips): State<Zips>,
    State(objects): State<Objects>,
) -> Result<Page, Failure> {
    let (opened, zip) = zips::find(&visit.0, id, &links, &zips).await?;
    let link = visit.view(&opened, &api);
    let view = ZipView { id: zip.id.to_string(), state: zip.state, bytes: zip.bytes, done: zip.done, error: zip.error };
    Ok(Page::with_content(zip::page(&link, &view), &objects.origin().await?))
}

/// The content of a ZIP, for its page
///
/// As `GET /shared/{token}/zips/{id}/data`, with the key in the cookie.
#[utoipa::path(
    get,
    path = "/s/{token}/zips/{id}/data",
    tag = "Pages",
    operation_id = "readZipForLinkPage",
    params(OfLink, ("id" = ZipId, Path)),
    responses(
        (status = 302, description = "S3 sends the bytes", headers(("Location" = String))),
        (status = 409, description = "A page: the ZIP is not ready", body = String, content_type = "text/html"),
        crate::openapi::PageErrors,
    ),
    security(()),
)]
pub async fn zip_data(
    PageVisit(visit): PageVisit,
    id: Result<SharedId<OfZip>>,
    links: State<Links>,
    zips: State<Zips>,
    objects: State<Objects>,
) -> Result<Response, Failure> {
    Ok(zips::data(visit, id, links, zips, objects).await?)
}

/// The styles and the script of the pages
#[utoipa::path(
    get,
    path = "/s/assets/{file}",
    tag = "Pages",
    operation_id = "showPageAsset",
    params(("file" = String, Path, description = "A name that a page uses, with a digest of the content")),
    responses(
        (
            status = 200,
            description = "The file, compressed with gzip",
            content((String = "text/javascript"), (String = "text/css"), (String = "image/svg+xml"))
        ),
        shared::http::openapi::NotFound,
    ),
    security(()),
)]
pub async fn asset(file: Result<Path<String>, PathRejection>) -> Result<Response> {
    let Ok(Path(file)) = file else { return Err(Error::NotFound) };
    let asset = Asset::named(&file).ok_or(Error::NotFound)?;
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        // Every browser can decompress it.
        (header::CONTENT_ENCODING, HeaderValue::from_static("gzip")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    ];
    Ok((headers, asset.bytes).into_response())
}

fn see_other(path: &str) -> Result<Response> {
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, text(path)?)]).into_response())
}

fn text(text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|error| Error::Internal(error.into()))
}

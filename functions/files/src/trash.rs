//! The trash.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::{
    Error, Result,
    files::{Files, IfMatch, OnConflict, Parent},
    http::{
        ApiUrl, DocumentResponse, FileView, Json, Params,
        body::Fields,
        error::ErrorView,
        openapi::{AuthErrors, NotFound},
    },
    ids::{FileId, UserId},
    limits,
    time::Timestamp,
};

use crate::openapi;

/// Puts a document into the trash
///
/// The document and everything below it is gone from all listings and searches at once. It can be restored until
/// `expiresAt`, and counts in the quota until then.
#[utoipa::path(
    put,
    path = "/files/{id}/trash",
    tag = "Files",
    operation_id = "trashFile",
    params(("id" = FileId, Path), openapi::IfMatchHeader),
    responses(
        (status = 200, description = "The document", body = FileView),
        (status = 412, description = "`The file was changed meanwhile`", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
pub async fn put(owner: UserId, id: FileId, if_match: IfMatch, State(files): State<Files>) -> Result<DocumentResponse> {
    Ok(files.trash(owner, id, &if_match).await?.into())
}

/// Takes a document out of the trash
///
/// The document goes back to its folder, or to another one. Ids, tickets and thumbnails are as before.
#[utoipa::path(
    put,
    path = "/files/{id}/restore",
    tag = "Files",
    operation_id = "restoreFile",
    params(("id" = FileId, Path), openapi::IfMatchHeader),
    request_body = Option<openapi::Restore>,
    responses(
        (status = 200, description = "The document", body = FileView),
        (
            status = 400,
            description = "`Parent not found`: send `parentId`; `Parent is not a folder`, `Too deep: 100 levels at most`, \
                           `Invalid onConflict`, `Invalid JSON`",
            body = ErrorView
        ),
        (status = 409, description = "`The name is taken`, `A folder is not replaced`", body = ErrorView),
        (status = 412, description = "`The file was changed meanwhile`", body = ErrorView),
        AuthErrors,
        NotFound,
    ),
)]
pub async fn restore(
    owner: UserId,
    id: Result<FileId>,
    if_match: IfMatch,
    State(files): State<Files>,
    mut fields: Fields,
) -> Result<DocumentResponse> {
    fields.must_be_object()?;
    let on_conflict = fields.on_conflict(OnConflict::Keep)?;
    let parent = fields.present("parentId").map(Parent::try_from).transpose()?;
    Ok(files.restore(owner, id?, &if_match, parent, on_conflict).await?.into())
}

/// The trash
///
/// The documents that were put into the trash, the latest first. What is below them is not listed.
#[utoipa::path(
    get,
    path = "/trash",
    tag = "Files",
    operation_id = "listTrash",
    params(openapi::TrashPage),
    responses(
        (
            status = 200,
            description = "A page of documents. If there are more, `Link` has the URL of the next page",
            body = Vec<FileView>,
            headers(("Link" = String, description = "`<URL>; rel=\"next\"`"))
        ),
        (status = 400, description = "`Invalid limit`, `Invalid cursor`", body = ErrorView),
        AuthErrors,
    ),
)]
pub async fn list(owner: UserId, ApiUrl(api): ApiUrl, params: Params, State(files): State<Files>) -> Result<Response> {
    let limit = limit(&params)?;
    let after = params.get("cursor").map(|cursor| decode(owner, cursor)).transpose()?;
    let (page, has_more) = files.trash_page(owner, limit, after).await?;
    let last = page.last().and_then(|file| Some((file.trashed?.at, file.id)));
    let page: Vec<FileView> = page.into_iter().map(FileView::from).collect();
    let mut response = Json(page).into_response();
    if let Some((at, id)) = last.filter(|_| has_more) {
        let link = format!("<{api}/trash?limit={limit}&cursor={}>; rel=\"next\"", encode(owner, at, id));
        let link = HeaderValue::try_from(link).map_err(|error| Error::Internal(error.into()))?;
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// Deletes everything in the trash for good
#[utoipa::path(
    delete,
    path = "/trash",
    tag = "Files",
    operation_id = "emptyTrash",
    responses((status = 202, description = "The trash is empty. The storage is freed by the next sweep"), AuthErrors),
)]
pub async fn empty(owner: UserId, State(files): State<Files>) -> Result<StatusCode> {
    files.empty_trash(owner).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The parameter `limit`.
fn limit(params: &Params) -> Result<u32> {
    match params.get("limit") {
        None => Ok(limits::PAGE_DEFAULT),
        Some(limit) => limit
            .parse()
            .ok()
            .filter(|limit| (1..=limits::MAX_PAGE).contains(limit))
            .ok_or(Error::Invalid("Invalid limit")),
    }
}

/// A cursor has the owner, so that a cursor of somebody else is refused, and the last document of a page.
fn encode(owner: UserId, at: Timestamp, id: FileId) -> String {
    let cursor = [&owner.bytes()[..], &at.millis().to_be_bytes(), &id.bytes()].concat();
    URL_SAFE_NO_PAD.encode(cursor)
}

fn decode(owner: UserId, cursor: &str) -> Result<(Timestamp, FileId)> {
    let decoded = || {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
        let (user, rest) = bytes.split_at(12);
        let (at, id) = rest.split_at(8);
        let at = Timestamp::from_millis(i64::from_be_bytes(at.try_into().ok()?));
        (user == owner.bytes()).then_some((at, FileId::from_bytes(id.try_into().ok()?)))
    };
    decoded().ok_or(Error::Invalid("Invalid cursor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_user_only() {
        let (owner, other, id, at) = (UserId::new(), UserId::new(), FileId::new(), Timestamp::now());
        let cursor = encode(owner, at, id);
        assert_eq!(decode(owner, &cursor).unwrap(), (at, id));
        assert!(decode(other, &cursor).is_err());
        for changed in ["", "x", &cursor[1..], &format!("{cursor}A")] {
            assert!(decode(owner, changed).is_err(), "{changed}");
        }
    }
}

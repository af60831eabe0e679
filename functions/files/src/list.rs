//! The answer to `POST /files`, and `GET /files`.

use axum::{extract::State, response::IntoResponse};
use serde::Serialize;
use shared::{
    Error, Result,
    files::{Files, Parent},
    http::{
        ApiUrl, FileView, Json, Params,
        error::ErrorView,
        listing::{OF_SORTED, Sorted, next_link},
        openapi::AuthErrors,
    },
    ids::UserId,
    uploads::Instructions,
};
use utoipa::ToSchema;

use crate::openapi;

/// The new document. For an upload that the client sends to S3, also the requests to send; the file is invisible until
/// its content is there.
#[derive(Serialize, ToSchema)]
pub struct Created {
    #[serde(flatten)]
    pub file: FileView,
    #[schema(value_type = Instructions)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<Instructions>,
}

/// The content of a folder
///
/// With none of `limit`, `cursor`, `sort`, `order` and `type` the answer is a page of twenty, oldest first. With one of
/// them it is a part of a sorted list: folders come first, and documents with the same value come in the order of their
/// ids. `Link` has the URL of the next part. Documents that come or go meanwhile move no other document.
#[utoipa::path(
    get,
    path = "/files",
    tag = "Files",
    operation_id = "listFiles",
    params(openapi::Listing),
    responses(
        (
            status = 200,
            description = "Twenty a page, oldest first; or as many as `limit` says, sorted",
            body = Vec<FileView>,
            headers(("Link" = String, description = "The next part, if there is more: `<URL>; rel=\"next\"`")),
        ),
        (
            status = 400,
            description = "`Use cursor or page`, `Invalid sort`, `Invalid order`, `Invalid limit`, `Invalid type`, \
                           `Invalid cursor`: a cursor is valid for one folder, sort, order and type",
            body = ErrorView
        ),
        AuthErrors
    ),
)]
pub async fn list(
    owner: UserId,
    api: Result<ApiUrl>,
    params: Params,
    State(files): State<Files>,
) -> Result<impl IntoResponse> {
    let listing = Listing(params);
    let sorted = listing.sorted()?;
    let Some(folder) = listing.parent() else { return Ok((None, Json(Vec::new()))) };
    let (found, link) = match sorted {
        None => (files.page(owner, folder, listing.page()).await?, None),
        Some(sorted) => {
            let view = sorted.view(owner, folder);
            let page = files.sorted(view, sorted.cursor(view)?, sorted.limit).await?;
            let link = match page.next {
                Some(next) => Some(next_link(&api?, "/files", &listing.0, &next.text(view)?)),
                None => None,
            };
            (page.files, link)
        }
    };
    Ok((link, Json(found.into_iter().map(FileView::from).collect::<Vec<_>>())))
}

/// The query.
pub struct Listing(pub Params);

impl Listing {
    /// The folder; `None` for a parent that cannot exist and so holds nothing.
    pub fn parent(&self) -> Option<Parent> {
        match self.0.get("parentId") {
            None | Some("" | "0") => Some(Parent::Root),
            Some(id) => id.parse().ok().map(Parent::Folder),
        }
    }

    /// The page, from 0. Anything but a non-negative integer is the first page. A number too large for a `u64` is past
    /// every end.
    pub fn page(&self) -> u64 {
        match self.0.get("page") {
            Some(page) if !page.is_empty() && page.bytes().all(|byte| byte.is_ascii_digit()) => {
                page.parse().unwrap_or(u64::MAX)
            }
            _ => 0,
        }
    }

    /// `None` without a parameter of a sorted listing.
    fn sorted(&self) -> Result<Option<Sorted<'_>>> {
        let Self(params) = self;
        if params.get("cursor").is_none() && OF_SORTED.iter().all(|name| params.get(name).is_none()) {
            return Ok(None);
        }
        if params.get("page").is_some() {
            return Err(Error::Invalid("Use cursor or page"));
        }
        Sorted::read(params).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> u64 {
        Listing(vec![("page".into(), text.into())].into()).page()
    }

    #[test]
    fn a_page_is_a_non_negative_integer_or_the_first() {
        assert_eq!(page("7"), 7);
        for text in ["", "-1", "1.5", "1e3", "abc", "+1", " 1", "0x1"] {
            assert_eq!(page(text), 0, "{text:?}");
        }
        assert_eq!(page("99999999999999999999999"), u64::MAX);
    }
}

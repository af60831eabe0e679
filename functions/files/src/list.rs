//! The answer to `POST /files`, and `GET /files`.

use std::str::FromStr;

use axum::{
    extract::State,
    http::{HeaderName, header},
    response::IntoResponse,
};
use serde::Serialize;
use shared::{
    Error, Result,
    files::{Cursor, Files, Order, Parent, Sort, Types, View},
    http::{ApiUrl, FileView, Json, Params, error::ErrorView, openapi::AuthErrors},
    ids::UserId,
    limits,
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
        Some(Sorted { sort, order, types, limit, cursor }) => {
            let view = View { owner, folder, sort, order, types };
            let cursor = cursor.map(|cursor| Cursor::parse(cursor, view)).transpose()?;
            let page = files.sorted(view, cursor, limit).await?;
            let link = match page.next {
                Some(next) => Some(listing.next(&api?, &next.text(view)?)),
                None => None,
            };
            (page.files, link)
        }
    };
    Ok((link, Json(found.into_iter().map(FileView::from).collect::<Vec<_>>())))
}

/// The query.
pub struct Listing(pub Params);

/// The query of a sorted listing.
struct Sorted<'a> {
    sort: Sort,
    order: Order,
    types: Types,
    limit: usize,
    cursor: Option<&'a str>,
}

/// The parameters of which one makes a listing sorted, but for the cursor.
const OF_SORTED: [&str; 4] = ["sort", "order", "type", "limit"];

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
        let cursor = params.get("cursor");
        if cursor.is_none() && OF_SORTED.iter().all(|name| params.get(name).is_none()) {
            return Ok(None);
        }
        if params.get("page").is_some() {
            return Err(Error::Invalid("Use cursor or page"));
        }
        Ok(Some(Sorted {
            sort: match params.get("sort") {
                None | Some("name") => Sort::Name,
                Some("size") => Sort::Size,
                Some("date") => Sort::Date,
                Some(_) => return Err(Error::Invalid("Invalid sort")),
            },
            order: match params.get("order") {
                None | Some("asc") => Order::Ascending,
                Some("desc") => Order::Descending,
                Some(_) => return Err(Error::Invalid("Invalid order")),
            },
            limit: limit(params, limits::LISTED, limits::MAX_LISTED)?,
            types: types(params)?,
            cursor,
        }))
    }

    /// The header that leads to the next part. The parameters are valid, so they need no encoding.
    fn next(&self, ApiUrl(api): &ApiUrl, cursor: &str) -> [(HeaderName, String); 1] {
        let Self(params) = self;
        let mut url = format!("{api}/files?");
        for name in ["parentId"].iter().chain(&OF_SORTED) {
            if let Some(value) = params.get(name) {
                url.extend([name, "=", value, "&"]);
            }
        }
        [(header::LINK, format!("<{url}cursor={cursor}>; rel=\"next\""))]
    }
}

/// The parameter `limit`, or its default.
pub fn limit(params: &Params, default: usize, most: usize) -> Result<usize> {
    let Some(text) = params.get("limit") else { return Ok(default) };
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = usize::from_str(text).ok().filter(|limit| is_number && (1..=most).contains(limit));
    limit.ok_or(Error::Invalid("Invalid limit"))
}

/// The parameter `type`: one type, or several with commas between them; all without the parameter.
pub fn types(params: &Params) -> Result<Types> {
    let Some(names) = params.get("type") else { return Ok(Types::ALL) };
    let mut types = Types::NONE;
    for name in names.split(',') {
        match name {
            "folder" => types.folders = true,
            "file" => types.files = true,
            "image" => types.images = true,
            _ => return Err(Error::Invalid("Invalid type")),
        }
    }
    Ok(types)
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

    #[test]
    fn f29_a_limit_is_a_number_of_documents() {
        let limit = |text: &str| limit(&vec![("limit".into(), text.into())].into(), 100, 1000);
        assert_eq!((limit("1").unwrap(), limit("1000").unwrap(), limit("007").unwrap()), (1, 1000, 7));
        for text in ["", "0", "1001", "-1", "+1", "1.0", "x", " 1", "99999999999999999999999"] {
            assert!(matches!(limit(text), Err(Error::Invalid("Invalid limit"))), "{text:?}");
        }
    }

    #[test]
    fn f31_types_are_names_with_commas_between_them() {
        let types = |text: &str| types(&vec![("type".into(), text.into())].into());
        let some = Types { folders: true, files: false, images: true };
        assert_eq!((types("folder,image").unwrap(), types("image,folder,image").unwrap()), (some, some));
        for text in ["", "folder,", ",", "Folder", "folder image", "directory"] {
            assert!(matches!(types(text), Err(Error::Invalid("Invalid type"))), "{text:?}");
        }
    }
}

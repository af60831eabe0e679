//! The answer to `POST /files`, and the query of `GET /files`.

use serde::Serialize;
use shared::{
    files::Parent,
    http::{FileView, Params},
    uploads::Instructions,
};
use utoipa::ToSchema;

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

/// `?parentId=&page=`.
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

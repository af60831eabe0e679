//! The answer to `POST /files`, and the query of `GET /files`.

use serde::{Deserialize, Serialize};
use shared::{files::Parent, http::FileView, uploads::Instructions};
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

/// `?parentId=&page=`. If a parameter is there twice, the last one counts, here as in the gateway.
#[derive(Deserialize)]
#[serde(from = "Vec<(String, String)>")]
pub struct Listing {
    parent_id: Option<String>,
    page: Option<String>,
}

impl From<Vec<(String, String)>> for Listing {
    fn from(mut query: Vec<(String, String)>) -> Self {
        let mut take = |name| query.iter().rposition(|(key, _)| key == name).map(|at| query.remove(at).1);
        Self { parent_id: take("parentId"), page: take("page") }
    }
}

impl Listing {
    /// The folder; `None` for a parent that cannot exist and so holds nothing.
    pub fn parent(&self) -> Option<Parent> {
        match self.parent_id.as_deref() {
            None | Some("" | "0") => Some(Parent::Root),
            Some(id) => id.parse().ok().map(Parent::Folder),
        }
    }

    /// The page, from 0. Anything but a non-negative integer is the first page. A number too large for a `u64` is past
    /// every end.
    pub fn page(&self) -> u64 {
        match self.page.as_deref() {
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
        Listing { parent_id: None, page: Some(text.into()) }.page()
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
    fn the_last_of_two_parameters_counts() {
        for twice in
            [[("page", "1"), ("parentId", "x"), ("page", "2")], [("parentId", "x"), ("page", "1"), ("page", "2")]]
        {
            let listing = Listing::from(twice.map(|(key, value)| (key.into(), value.into())).to_vec());
            assert_eq!(listing.page(), 2);
            assert_eq!(listing.parent(), None);
        }
    }
}

//! Documents as a client sees them, and how it asks for a list of them.

use serde::{Deserialize, Serialize};
use shared::files::{Content, File, FileId, Kind, Parent, Thumbnails};

/// The first six keys are the original's, in its order; more may follow, never before.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileView {
    id: String,
    user_id: String,
    name: String,
    r#type: &'static str,
    is_public: bool,
    parent_id: ParentView,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnails: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail_error: Option<String>,
}

/// `0` for the root, else 24 hex digits.
#[derive(Serialize)]
#[serde(untagged)]
enum ParentView {
    Root(u8),
    Text(String),
}

impl From<File> for FileView {
    fn from(file: File) -> Self {
        let (r#type, content, thumbnails) = match file.kind {
            Kind::Folder => ("folder", None, None),
            Kind::File(content) => ("file", Some(content), None),
            Kind::Image(content, thumbnails) => ("image", Some(content), Some(thumbnails)),
        };
        let (thumbnails, thumbnail_error) = match thumbnails {
            Some(Thumbnails::Due) => (Some("due"), None),
            Some(Thumbnails::Ready(_)) => (Some("ready"), None),
            Some(Thumbnails::Failed(reason)) => (Some("failed"), Some(reason)),
            Some(Thumbnails::Unknown) | None => (None, None),
        };
        Self {
            id: file.id.0.to_hex(),
            user_id: file.owner.0.to_hex(),
            content_type: content.is_some().then(|| file.name.content_type()),
            name: file.name.as_str().to_owned(),
            r#type,
            is_public: file.is_public,
            parent_id: match file.parent {
                Parent::Root => ParentView::Root(0),
                Parent::LegacyRoot => ParentView::Text("0".into()),
                Parent::Folder(FileId(id)) => ParentView::Text(id.to_hex()),
            },
            size: match content {
                Some(Content::Stored { size, .. }) => Some(size),
                Some(Content::Elsewhere) | None => None,
            },
            created_at: file.id.0.timestamp().try_to_rfc3339_string().ok(),
            updated_at: file.updated_at.and_then(|date| date.try_to_rfc3339_string().ok()),
            thumbnails,
            thumbnail_error,
        }
    }
}

/// `?parentId=&page=`. Of a parameter that is there twice, the gateway and this take the last.
#[derive(Deserialize)]
#[serde(from = "Vec<(String, String)>")]
pub struct Listing {
    parent_id: Option<String>,
    page: Option<String>,
}

impl From<Vec<(String, String)>> for Listing {
    fn from(mut query: Vec<(String, String)>) -> Self {
        let mut take = |name| query.iter().rposition(|(key, _)| key == name).map(|at| query.swap_remove(at).1);
        Self { parent_id: take("parentId"), page: take("page") }
    }
}

impl Listing {
    /// Which folder; `None` for a parent that cannot exist and so holds nothing.
    pub fn parent(&self) -> Option<Parent> {
        match self.parent_id.as_deref() {
            None | Some("" | "0") => Some(Parent::Root),
            Some(id) => id.parse().ok().map(Parent::Folder),
        }
    }

    /// Which page, from 0. What is no non-negative integer is the first page; one too large for a `u64` is past
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
    fn of_two_parameters_the_last_counts() {
        let twice = [("page", "1"), ("parentId", "x"), ("page", "2")];
        let listing = Listing::from(twice.map(|(key, value)| (key.into(), value.into())).to_vec());
        assert_eq!(listing.page(), 2);
        assert_eq!(listing.parent(), None);
    }
}

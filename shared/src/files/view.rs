//! Documents as a client sees them.

use serde::Serialize;

use super::{Content, File, FileId, Kind, Parent, Thumbnails};

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

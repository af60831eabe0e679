//! Links, and what they lead to, as clients see them.

use serde::Serialize;
use shared::{
    files::{Content, File, Kind as FileKind},
    ids::{FileId, LinkId},
    links::{Kind, Link, Links, Opened, UploadLimits},
    time::Timestamp,
};
use utoipa::ToSchema;

#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = LinkKind)]
#[serde(rename_all = "lowercase")]
enum KindView {
    Download,
    Upload,
}

impl From<&Kind> for KindView {
    fn from(kind: &Kind) -> Self {
        match kind {
            Kind::Download { .. } => Self::Download,
            Kind::Upload { .. } => Self::Upload,
        }
    }
}

/// A link as its owner sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Link)]
#[serde(rename_all = "camelCase")]
pub struct LinkView {
    id: LinkId,
    /// The page for visitors.
    url: String,
    /// The secret of the link. Whoever has it can use the link.
    #[schema(pattern = "^[A-Za-z0-9_-]{38}$")]
    token: String,
    kind: KindView,
    file_id: FileId,
    has_password: bool,
    /// `null` if the link does not expire.
    expires_at: Option<Timestamp>,
    /// `null` if there is no limit.
    max_downloads: Option<u32>,
    /// The downloads that have been counted: each visitor once an hour for each file.
    downloads: u64,
    /// `null` if nobody has used the link.
    last_used_at: Option<Timestamp>,
    created_at: Timestamp,
    /// The size limit of each uploaded file, in bytes. Only a link that takes uploads has it.
    #[schema(value_type = u64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    /// The number of files that may be uploaded, by all visitors together. Absent without a limit.
    #[schema(value_type = u32)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_files: Option<u32>,
    /// Media types, or classes such as `image/*`; empty if any type is allowed. Only a link that takes uploads has it.
    #[schema(value_type = Vec<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<Vec<String>>,
}

impl LinkView {
    pub fn of(links: &Links, link: Link, api: &str) -> Self {
        let token = links.token(&link);
        Self::new(link, token, api)
    }

    pub fn new(link: Link, token: String, api: &str) -> Self {
        let (kind, has_password) = (KindView::from(&link.kind), link.has_password());
        let (max_downloads, uploads) = match link.kind {
            Kind::Download { max_downloads } => (max_downloads, None),
            Kind::Upload { limits, .. } => (None, Some(limits)),
        };
        let (max_bytes, max_files, types) = match uploads {
            Some(UploadLimits { max_bytes, max_files, types }) => (Some(max_bytes), max_files, Some(types)),
            None => (None, None, None),
        };
        Self {
            id: link.id,
            url: format!("{api}/s/{token}"),
            token,
            kind,
            file_id: link.file,
            has_password,
            expires_at: link.expires_at,
            max_downloads,
            downloads: link.downloads,
            last_used_at: link.last_used_at,
            created_at: link.id.created_at(),
            max_bytes,
            max_files,
            types,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SharedType)]
#[serde(rename_all = "lowercase")]
enum TypeView {
    Folder,
    File,
    Image,
}

/// The file or folder of a link, as visitors see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Shared)]
#[serde(rename_all = "camelCase")]
pub struct SharedView {
    name: String,
    r#type: TypeView,
    kind: KindView,
    /// The size of the content, in bytes; `null` for a folder.
    size: Option<u64>,
    /// The `Content-Type` of the content; `null` for a folder.
    content_type: Option<String>,
    has_password: bool,
    /// `null` if the link does not expire.
    expires_at: Option<Timestamp>,
}

impl From<Opened> for SharedView {
    fn from(Opened { link, file }: Opened) -> Self {
        let file = SharedFileView::from(file);
        Self {
            name: file.name,
            r#type: file.r#type,
            kind: (&link.kind).into(),
            size: file.size,
            content_type: file.content_type,
            has_password: link.has_password(),
            expires_at: link.expires_at,
        }
    }
}

/// A file or a folder behind a link. Nothing in it tells who the owner is.
#[derive(Serialize, ToSchema)]
#[schema(as = SharedFile)]
#[serde(rename_all = "camelCase")]
pub struct SharedFileView {
    id: FileId,
    name: String,
    r#type: TypeView,
    /// The size of the content, in bytes; `null` for a folder.
    size: Option<u64>,
    /// The `Content-Type` of the content; `null` for a folder.
    content_type: Option<String>,
    created_at: Timestamp,
    /// `null` in documents of the original.
    updated_at: Option<Timestamp>,
    /// True if the content can be read in the sizes `500`, `250` and `100` as well.
    has_thumbnails: bool,
}

impl From<File> for SharedFileView {
    fn from(file: File) -> Self {
        let has_thumbnails = !file.thumbnails().is_empty();
        let (r#type, content) = match file.kind {
            FileKind::Folder => (TypeView::Folder, None),
            FileKind::File(content) => (TypeView::File, Some(content)),
            FileKind::Image(content, _) => (TypeView::Image, Some(content)),
        };
        Self {
            id: file.id,
            content_type: content.is_some().then(|| file.name.content_type()),
            name: file.name.as_str().to_owned(),
            r#type,
            size: match content {
                Some(Content::Stored { size, .. }) => Some(size),
                Some(Content::OnLegacyDisk) | None => None,
            },
            created_at: file.id.created_at(),
            // A person may have stored a date that has no text.
            updated_at: file.updated_at.filter(|at| at.to_rfc3339().is_ok()),
            has_thumbnails,
        }
    }
}

/// A key that opens a link in place of its password.
#[derive(Serialize, ToSchema)]
#[schema(as = UnlockKey)]
#[serde(rename_all = "camelCase")]
pub struct UnlockKeyView {
    /// The value of the parameter `key`.
    #[schema(pattern = "^[A-Za-z0-9_-]{27}$")]
    pub key: String,
    pub expires_at: Timestamp,
}

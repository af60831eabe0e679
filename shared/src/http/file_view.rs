//! Documents as clients see them.

use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOf, RefOr, Schema, schema::Type},
};

use crate::{
    files::{Content, File, Kind, Parent, Preview, Thumbnails},
    ids::{FileId, UserId},
    time::Timestamp,
};

/// The first six keys are the original's, in its order. New keys come after them, never before.
#[derive(Serialize, ToSchema)]
#[schema(as = File, description = "A folder, a file or an image.")]
#[serde(rename_all = "camelCase")]
pub struct FileView {
    id: FileId,
    /// The id of the owner.
    user_id: UserId,
    name: String,
    r#type: TypeView,
    /// True if anybody may read the content.
    is_public: bool,
    parent_id: ParentView,
    /// The size of the content, in bytes.
    #[schema(value_type = u64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// The `Content-Type` of the content.
    #[schema(value_type = String)]
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    created_at: Timestamp,
    #[schema(value_type = Timestamp)]
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<Timestamp>,
    #[schema(value_type = ThumbnailsView)]
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnails: Option<ThumbnailsView>,
    /// The reason why there are no thumbnails.
    #[schema(value_type = String)]
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail_error: Option<String>,
    /// Begins at 1, and grows by one with each change of name, place, publicity, content or trash. `ETag` has it too.
    #[schema(minimum = 1)]
    revision: i64,
    /// The time at which the document was put into the trash.
    #[schema(value_type = Timestamp)]
    #[serde(skip_serializing_if = "Option::is_none")]
    trashed_at: Option<Timestamp>,
    /// The time at which the document in the trash is deleted.
    #[schema(value_type = Timestamp)]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// The document that this is a copy of.
    #[schema(value_type = FileId)]
    #[serde(skip_serializing_if = "Option::is_none")]
    copied_from: Option<FileId>,
    /// The document whose content an upload is to become.
    #[schema(value_type = FileId)]
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<FileId>,
    /// The size of an image with thumbnails in pixels, after its orientation is applied.
    #[schema(value_type = u32, minimum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[schema(value_type = u32, minimum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    /// The local time at which the picture was taken, from its EXIF data. RFC 3339, without a time zone if the camera has
    /// recorded none.
    #[schema(value_type = String, example = "2026-11-29T07:28:35+01:00")]
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_at: Option<String>,
    /// A blurred form of the preview, or of an image with thumbnails: the
    /// [ThumbHash](https://evanw.github.io/thumbhash/), in Base64.
    #[schema(value_type = String, max_length = 40)]
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbhash: Option<String>,
    /// `true` if the document has a preview: then `size` of `/data` names its widths. `"failed"` if the last one was no
    /// picture; an earlier one stays.
    #[schema(value_type = PreviewView)]
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<PreviewView>,
}

impl FileView {
    /// The entity tag of the document.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.revision)
    }

    /// The view of an upload that is to become the content of a document.
    #[must_use]
    pub fn replacing(self, document: Option<FileId>) -> Self {
        Self { replaces: document, ..self }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = FileType)]
#[serde(rename_all = "lowercase")]
enum TypeView {
    Folder,
    File,
    Image,
}

/// The state of the thumbnails of an image.
#[derive(Serialize, ToSchema)]
#[schema(as = Thumbnails)]
#[serde(rename_all = "lowercase")]
enum ThumbnailsView {
    Due,
    Ready,
    Failed,
}

/// `true` or `"failed"`.
#[derive(Serialize)]
#[serde(untagged)]
enum PreviewView {
    Ready(bool),
    Failed(&'static str),
}

impl PartialSchema for PreviewView {
    fn schema() -> RefOr<Schema> {
        let ready = ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true]));
        let failed = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["failed"]));
        OneOf::builder().item(ready).item(failed).into()
    }
}

impl ToSchema for PreviewView {
    fn name() -> std::borrow::Cow<'static, str> {
        "Preview".into()
    }
}

/// `0` for the root, else 24 hex digits.
#[derive(Serialize)]
#[serde(untagged)]
pub enum ParentView {
    Root(u8),
    LegacyRoot(&'static str),
    Folder(FileId),
}

impl PartialSchema for ParentView {
    fn schema() -> RefOr<Schema> {
        let root = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([0]));
        let legacy = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["0"]));
        OneOf::builder()
            .description(Some("The id of the folder; `0` for the root, or `\"0\"` in documents of the original."))
            .item(root)
            .item(legacy)
            .item(FileId::schema())
            .into()
    }
}

impl ToSchema for ParentView {
    fn name() -> std::borrow::Cow<'static, str> {
        "Parent".into()
    }
}

impl From<Parent> for ParentView {
    fn from(parent: Parent) -> Self {
        match parent {
            Parent::Root => Self::Root(0),
            Parent::LegacyRoot => Self::LegacyRoot("0"),
            Parent::Folder(id) => Self::Folder(id),
        }
    }
}

impl From<File> for FileView {
    fn from(file: File) -> Self {
        let (r#type, content, thumbnails) = match file.kind {
            Kind::Folder => (TypeView::Folder, None, None),
            Kind::File(content) => (TypeView::File, Some(content), None),
            Kind::Image(content, thumbnails) => (TypeView::Image, Some(content), Some(thumbnails)),
        };
        let (thumbnails, thumbnail_error) = match thumbnails {
            Some(Thumbnails::Due) => (Some(ThumbnailsView::Due), None),
            Some(Thumbnails::Ready(_)) => (Some(ThumbnailsView::Ready), None),
            Some(Thumbnails::Failed(reason)) => (Some(ThumbnailsView::Failed), Some(reason)),
            Some(Thumbnails::Unknown) | None => (None, None),
        };
        // An earlier release that replaces the content leaves the facts of the earlier content.
        let picture = file.picture.filter(|_| matches!(thumbnails, Some(ThumbnailsView::Ready)));
        let size = picture.as_ref().map(|picture| (picture.width, picture.height));
        let (taken_at, thumbhash) = picture.map(|picture| (picture.taken_at, picture.thumbhash)).unzip();
        let (preview, of_preview) = match file.preview.map(|preview| *preview) {
            Some(Preview { is_failed: true, thumbhash, .. }) => (Some(PreviewView::Failed("failed")), thumbhash),
            Some(Preview { thumbhash, .. }) => (Some(PreviewView::Ready(true)), thumbhash),
            None => (None, None),
        };
        Self {
            id: file.id,
            user_id: file.owner,
            content_type: content.is_some().then(|| file.name.content_type()),
            name: file.name.as_str().to_owned(),
            r#type,
            is_public: file.is_public,
            parent_id: file.parent.into(),
            size: match content {
                Some(Content::Stored { size, .. }) => Some(size),
                Some(Content::OnLegacyDisk) | None => None,
            },
            created_at: file.id.created_at(),
            // A person may have stored a date that has no text.
            updated_at: file.updated_at.filter(|at| at.to_rfc3339().is_ok()),
            thumbnails,
            thumbnail_error,
            revision: file.revision,
            trashed_at: file.trashed.map(|trashed| trashed.at),
            expires_at: file.trashed.map(|trashed| trashed.expires_at),
            copied_from: file.copied_from,
            replaces: None,
            width: size.map(|(width, _)| width),
            height: size.map(|(_, height)| height),
            taken_at: taken_at.flatten(),
            thumbhash: of_preview.or(thumbhash),
            preview,
        }
    }
}

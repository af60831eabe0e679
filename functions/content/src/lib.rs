//! The bytes of a file, or one of its thumbnails.

use axum::{
    Router,
    body::Body,
    extract::{FromRef, Query, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use shared::{
    Config, Error, Result,
    files::{Content, File, FileId, Files, Kind, Thumbnails},
    limits, mongo,
    objects::{Key, Objects},
    sessions::{Redis, Sessions, Viewer},
    users::Users,
};

#[derive(Clone, FromRef)]
pub struct App {
    files: Files,
    objects: Objects,
    sessions: Sessions,
}

pub fn router(app: App) -> Router {
    Router::new().route("/files/{id}/data", get(data)).with_state(app)
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        let database = mongo::connect(config).await?;
        Ok(Self {
            files: Files::of(&database, config),
            objects: Objects::connect(config, limits::S3_INLINE),
            sessions: Sessions::new(Redis::connect(config)?, Users::of(&database)),
        })
    }
}

/// Sent with every content: somebody's upload must not act in the name of this origin.
const SHUT: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

async fn data(
    id: FileId,
    viewer: Viewer,
    Query(query): Query<Vec<(String, String)>>,
    State(files): State<Files>,
    State(objects): State<Objects>,
) -> Result<Response> {
    let file = files.find(id).await?;
    if !file.is_public && !viewer.is(file.owner).await? {
        return Err(Error::NotFound);
    }
    let size = query.iter().rfind(|(key, _)| key == "size").map_or("", |(_, value)| value);
    let source = Source::of(&file, size)?;
    let object = objects.get(&source.key, limits::INLINE_BYTES as u64).await?;
    let content_type = source.content_type.or(object.content_type).and_then(|text| HeaderValue::try_from(text).ok());

    let mut response = Body::from(object.bytes).into_response();
    let headers = response.headers_mut();
    headers.extend(SHUT);
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    // Without it `lambda_http` would send text as a string, and bytes that are not UTF-8 would be replaced.
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
    let (caching, policy) =
        if file.is_public { ("public, max-age=60", "cross-origin") } else { ("private, no-store", "same-origin") };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static(policy));
    Ok(response)
}

/// What to send.
struct Source {
    key: Key,
    /// `None` where the object itself says, as a thumbnail does.
    content_type: Option<String>,
}

impl Source {
    /// The original for an empty `size`, a thumbnail for a width that there is.
    fn of(file: &File, size: &str) -> Result<Self> {
        let (content, thumbnails) = match &file.kind {
            Kind::Folder => return Err(Error::Invalid("A folder doesn't have content")),
            Kind::File(content) => (content, None),
            Kind::Image(content, thumbnails) => (content, Some(thumbnails)),
        };
        if size.is_empty() {
            return match content {
                Content::Stored { key, .. } => {
                    Ok(Self { key: key.clone(), content_type: Some(file.name.content_type()) })
                }
                Content::Elsewhere => Err(Error::NotFound),
            };
        }
        let width = limits::THUMBNAIL_WIDTHS.into_iter().find(|width| width.to_string() == size);
        match (width, thumbnails) {
            (Some(width), Some(Thumbnails::Ready)) => {
                Ok(Self { key: Key::of_thumbnail(file.id, width), content_type: None })
            }
            _ => Err(Error::NotFound),
        }
    }
}

//! Folders, files and images: making, listing, showing, publishing.

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, Query, State},
    http::StatusCode,
    routing::{get, put},
};
use shared::{
    Config, Result,
    api::Json,
    body::Fields,
    files::{Bytes, FileId, Files, NewFile},
    jobs::Jobs,
    limits, mongo,
    objects::Objects,
    sessions::{Redis, Sessions},
    users::{UserId, Users},
};

mod upload;
mod view;

use upload::{Payload, Upload};
use view::{FileView, Listing};

#[derive(Clone, FromRef)]
pub struct App {
    files: Files,
    objects: Objects,
    jobs: Jobs,
    sessions: Sessions,
}

pub fn router(app: App) -> Router {
    Router::new()
        .route("/files", get(list).post(create))
        .route("/files/{id}", get(show))
        .route("/files/{id}/publish", put(publish))
        .route("/files/{id}/unpublish", put(unpublish))
        // Lambda's own limit of 6 MB is above what inline data can need.
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        let database = mongo::connect(config).await?;
        Ok(Self {
            files: Files::of(&database, config),
            objects: Objects::connect(config, limits::S3_INLINE),
            jobs: Jobs::connect(config),
            sessions: Sessions::new(Redis::connect(config)?, Users::of(&database)),
        })
    }
}

async fn list(
    owner: UserId,
    Query(listing): Query<Listing>,
    State(files): State<Files>,
) -> Result<Json<Vec<FileView>>> {
    let Some(parent) = listing.parent() else { return Ok(Json(Vec::new())) };
    let page = files.page(owner, parent, listing.page()).await?;
    Ok(Json(page.into_iter().map(FileView::from).collect()))
}

async fn create(owner: UserId, State(app): State<App>, fields: Fields) -> Result<(StatusCode, Json<FileView>)> {
    let upload = Upload::try_from(fields)?;
    app.files.check_parent(owner, upload.parent).await?;
    let new = NewFile { owner, name: upload.name, is_public: upload.is_public, parent: upload.parent };
    let file = match upload.payload {
        Payload::Folder => app.files.create_folder(new).await?,
        Payload::File(data) => app.store(new, Bytes::OfFile, data).await?,
        Payload::Image(data) => {
            let image = app.store(new, Bytes::OfImage, data).await?;
            // The row says that thumbnails are due, so that a job that cannot be sent now is sent by the sweeper.
            if let Err(error) = app.jobs.send(owner, image.id).await {
                tracing::warn!(error = error.cause(), file = image.id.0.to_hex(), "a job was not sent");
            }
            image
        }
    };
    Ok((StatusCode::CREATED, Json(file.into())))
}

async fn show(owner: UserId, id: FileId, State(files): State<Files>) -> Result<Json<FileView>> {
    Ok(Json(files.owned_by(owner, id).await?.into()))
}

async fn publish(owner: UserId, id: FileId, State(files): State<Files>) -> Result<Json<FileView>> {
    Ok(Json(files.set_public(owner, id, true).await?.into()))
}

async fn unpublish(owner: UserId, id: FileId, State(files): State<Files>) -> Result<Json<FileView>> {
    Ok(Json(files.set_public(owner, id, false).await?.into()))
}

impl App {
    /// Row, bytes, flip: see [`shared::files`].
    async fn store(&self, new: NewFile, kind: Bytes, data: Vec<u8>) -> Result<shared::files::File> {
        let content_type = new.name.content_type();
        let pending = self.files.begin(new, kind, data.len() as u64).await?;
        self.objects.put(&pending.key, data.into(), &content_type).await?;
        self.files.finish(pending, kind).await
    }
}

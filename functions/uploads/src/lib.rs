//! Uploads that clients bring to S3 themselves: the parts and the end of one, tickets for who has no session, and what
//! stock clients ask for. The bytes never come here.

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, Path, State},
    http::StatusCode,
    routing::{delete, get, post},
};
use shared::{
    Config, Result,
    api::{ApiUrl, Json},
    body::{Fields, Object},
    files::{FileId, FileView, Files, Found},
    limits, mongo,
    objects::Objects,
    sessions::{Redis, Sessions},
    tickets::Tickets,
    uploads::{InParts, Uploads},
    users::{UserId, Users},
};

mod companion;
mod sign;
mod ticket;

use sign::{SignRequest, SignedRequest};
use ticket::{Issued, Wanted};

#[derive(Clone, FromRef)]
pub struct App {
    files: Files,
    objects: Objects,
    uploads: Uploads,
    tickets: Tickets,
    users: Users,
    sessions: Sessions,
}

pub fn router(app: App) -> Router {
    Router::new()
        .route("/files/{id}/parts", get(parts))
        .route("/files/{id}/complete", post(complete))
        .route("/uploads/tickets", post(issue))
        .route("/uploads/tickets/{ticket}", delete(revoke))
        .route("/uploads/sign", post(sign))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .nest("/uploads/{ticket}/s3", companion::router())
        .with_state(app)
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        let database = mongo::connect(config).await?;
        let (files, users) = (Files::of(&database, config), Users::of(&database));
        let objects = Objects::connect(config, limits::S3_INLINE);
        Ok(Self {
            uploads: Uploads::new(files.clone(), objects.clone()),
            files,
            objects,
            tickets: Tickets::of(&database, config)?,
            sessions: Sessions::new(Redis::connect(config)?, users.clone()),
            users,
        })
    }
}

async fn parts(owner: UserId, id: FileId, api: ApiUrl, State(app): State<App>) -> Result<Json<InParts>> {
    let pending = app.files.find_own(owner, id).await?.pending()?;
    Ok(Json(app.uploads.missing_parts(&pending, &api).await?))
}

async fn complete(owner: UserId, id: FileId, State(app): State<App>) -> Result<Json<FileView>> {
    let file = match app.files.find_own(owner, id).await? {
        Found::Pending(pending) => app.uploads.complete(&pending, None).await?,
        Found::Visible(file) => file,
    };
    Ok(Json(file.into()))
}

async fn issue(
    owner: UserId,
    ApiUrl(api): ApiUrl,
    State(app): State<App>,
    Object(wanted): Object<Wanted>,
) -> Result<(StatusCode, Json<Issued>)> {
    let wanted = wanted.checked(owner)?;
    app.files.check_parent(owner, wanted.scope.parent).await?;
    let issued = app.tickets.issue(wanted.scope, wanted.max_files, wanted.lifetime).await?;
    Ok((StatusCode::CREATED, Json(Issued::new(issued, &api))))
}

async fn revoke(owner: UserId, Path(ticket): Path<String>, State(tickets): State<Tickets>) -> Result<StatusCode> {
    tickets.revoke(owner, &ticket).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sign(owner: UserId, State(app): State<App>, fields: Fields) -> Result<Json<SignedRequest>> {
    Ok(Json(app.sign(owner, SignRequest::try_from(fields)?).await?))
}

//! Is it alive, how much does it hold, and how is it used?

#![forbid(unsafe_code)]

use axum::{Router, extract::State, routing::get};
use mongodb::Database;
use serde::Serialize;
use shared::{Config, Result, files::Files, http::Json, mongo, openapi::ServiceErrors, sessions::Redis, users::Users};
use utoipa::ToSchema;

mod docs;
pub mod openapi;

#[derive(Clone)]
pub struct App {
    database: Database,
    redis: Redis,
    users: Users,
    files: Files,
}

pub fn router(app: App) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/stats", get(stats))
        .route("/openapi.json", get(docs::openapi))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .with_state(app)
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        let database = mongo::connect(config).await?;
        Ok(Self {
            redis: Redis::connect(config)?,
            users: Users::of(&database),
            files: Files::of(&database, config),
            database,
        })
    }
}

/// Which stores answer.
#[derive(Serialize, ToSchema)]
struct Health {
    redis: bool,
    db: bool,
}

/// How many accounts there are, and how many folders, files and images.
#[derive(Serialize, ToSchema)]
struct Stats {
    users: u64,
    files: u64,
}

/// Which stores answer
///
/// Within a second, also while one is down: both are asked at once, so that the answer takes as long as the slower one.
#[utoipa::path(
    get,
    path = "/status",
    tag = "Status",
    operation_id = "showStatus",
    responses((status = 200, description = "`false` for a store that does not answer", body = Health)),
    security(()),
)]
async fn status(State(app): State<App>) -> Json<Health> {
    let (redis, db) = tokio::join!(app.redis.ping(), mongo::ping(&app.database));
    Json(Health { redis, db })
}

/// How much there is
#[utoipa::path(
    get,
    path = "/stats",
    tag = "Status",
    operation_id = "showStats",
    responses((status = 200, description = "Accounts; folders, files and images", body = Stats), ServiceErrors),
    security(()),
)]
async fn stats(State(app): State<App>) -> Result<Json<Stats>> {
    let (users, files) = tokio::try_join!(app.users.count(), app.files.count())?;
    Ok(Json(Stats { users, files }))
}

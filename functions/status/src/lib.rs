//! Health, statistics and documentation of the API.

#![forbid(unsafe_code)]

use axum::{Router, extract::State, routing::get};
use mongodb::Database;
use serde::Serialize;
use shared::{
    Result,
    accounts::users::Users,
    files::Files,
    http::{Json, openapi::ServiceErrors},
    stores::{Stores, mongo, redis::Redis},
};
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
    pub async fn new(stores: &Stores) -> anyhow::Result<Self> {
        let database = stores.mongodb.connect().await?;
        Ok(Self {
            redis: Redis::connect(stores)?,
            users: Users::of(&database),
            files: Files::of(&database, &stores.config),
            database,
        })
    }
}

/// The stores that answer.
#[derive(Serialize, ToSchema)]
struct Health {
    redis: bool,
    db: bool,
}

/// The number of accounts, and of folders, files and images together.
#[derive(Serialize, ToSchema)]
struct Stats {
    users: u64,
    files: u64,
}

/// The stores that answer
///
/// The answer comes within a second, also while a store is down. Both stores are asked at once, so that the answer
/// takes as long as the slower one.
#[utoipa::path(
    get,
    path = "/status",
    tag = "Status",
    operation_id = "showStatus",
    responses((status = 200, description = "`false` for a store that does not answer in time", body = Health)),
    security(()),
)]
async fn status(State(app): State<App>) -> Json<Health> {
    let (redis, db) = tokio::join!(app.redis.ping(), mongo::ping(&app.database));
    Json(Health { redis, db })
}

/// Counts of accounts and files
#[utoipa::path(
    get,
    path = "/stats",
    tag = "Status",
    operation_id = "showStats",
    responses((status = 200, description = "The numbers of accounts and of documents", body = Stats), ServiceErrors),
    security(()),
)]
async fn stats(State(app): State<App>) -> Result<Json<Stats>> {
    let (users, files) = tokio::try_join!(app.users.count(), app.files.count())?;
    Ok(Json(Stats { users, files }))
}

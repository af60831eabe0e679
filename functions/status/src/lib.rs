//! Is it alive, and how much does it hold?

#![forbid(unsafe_code)]

use axum::{Router, extract::State, routing::get};
use mongodb::Database;
use serde::Serialize;
use shared::{Config, Result, api::Json, files::Files, mongo, sessions::Redis, users::Users};

#[derive(Clone)]
pub struct App {
    database: Database,
    redis: Redis,
    users: Users,
    files: Files,
}

pub fn router(app: App) -> Router {
    Router::new().route("/status", get(status)).route("/stats", get(stats)).with_state(app)
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
#[derive(Serialize)]
struct Health {
    redis: bool,
    db: bool,
}

/// How many accounts there are, and how many folders, files and images.
#[derive(Serialize)]
struct Stats {
    users: u64,
    files: u64,
}

/// Both stores are asked at once, so that the answer takes as long as the slower one.
async fn status(State(app): State<App>) -> Json<Health> {
    let (redis, db) = tokio::join!(app.redis.answers(), mongo::answers(&app.database));
    Json(Health { redis, db })
}

async fn stats(State(app): State<App>) -> Result<Json<Stats>> {
    let (users, files) = tokio::try_join!(app.users.count(), app.files.count())?;
    Ok(Json(Stats { users, files }))
}

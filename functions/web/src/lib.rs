//! The web app: its page and files, and the cookie by which a browser keeps a session.

#![forbid(unsafe_code)]

use std::sync::Arc;

use axum::{
    Router,
    extract::FromRef,
    routing::{get, post},
};
use shared::{
    accounts::cookies::Cookies,
    stores::{OnlyRedis, redis::Redis},
};

mod assets;
pub mod openapi;
mod page;
mod session;

#[derive(Clone, FromRef)]
pub struct App {
    cookies: Cookies,
    bucket: BucketOrigin,
}

/// The origin of the bucket, for the policy of the page.
#[derive(Clone)]
struct BucketOrigin(Arc<str>);

pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(page::show))
        .route("/app/{file}", get(page::asset))
        .route("/web/session", post(session::keep).delete(session::end))
        .route("/web/session/refresh", post(session::refresh))
        .with_state(app)
}

impl App {
    /// # Errors
    /// The URL of Redis is malformed.
    pub fn new(stores: &OnlyRedis) -> anyhow::Result<Self> {
        let bucket = BucketOrigin(stores.bucket_origin.as_str().into());
        Ok(Self { cookies: Cookies::new(Redis::alone(stores)?), bucket })
    }
}

//! The function `status` with two more routes, which panic. It is built as the functions are, because the build decides
//! whether a panic ends one request or the process. No deployed function has such a route.

#![forbid(unsafe_code)]

use axum::routing::get;
use lambda_http::Error;
use shared::{http, logging, stores::Stores};
use status::{App, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stores = Stores::load().await?;
    logging::init("panics", &stores.config.log);
    let routes = async |stores| {
        let routes = router(App::new(stores).await?);
        Ok(routes.route("/panic", get(panics)).route("/panic/elsewhere", get(a_thread_panics)))
    };
    http::serve(&stores, routes).await
}

async fn panics() {
    panic!("a secret");
}

/// Panics as a decoder of the worker does: on a thread of its own, so that only the image fails.
async fn a_thread_panics() -> String {
    match tokio::task::spawn_blocking(|| panic!("a secret")).await {
        Ok(()) => "it has not panicked".to_owned(),
        Err(panic) => format!("damaged image: {panic}"),
    }
}

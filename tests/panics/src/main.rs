//! The function `status` with two routes more, which panic, built as the functions are: whether a panic ends one request or
//! the process depends on how a function is built. No function that is deployed has such a route.

#![forbid(unsafe_code)]

use axum::routing::get;
use lambda_http::Error;
use shared::{Config, api, logging};
use status::{App, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::load().await?;
    logging::init("panics", &config);
    let routes = async |config| {
        let routes = router(App::new(config).await?);
        Ok(routes.route("/panic", get(panics)).route("/panic/elsewhere", get(a_thread_panics)))
    };
    api::serve(&config, routes).await
}

async fn panics() {
    panic!("a secret");
}

/// As the worker has it: a decoder runs on a thread of its own, and what it did not survive is said of the image alone.
async fn a_thread_panics() -> String {
    match tokio::task::spawn_blocking(|| panic!("a secret")).await {
        Ok(()) => "it has not panicked".to_owned(),
        Err(panic) => format!("damaged image: {panic}"),
    }
}

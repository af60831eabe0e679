#![forbid(unsafe_code)]

use std::convert::Infallible;

use lambda_runtime::{Error, run, service_fn};
use shared::{Config, logging, reconnect::Reconnecting};
use thumbnails::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::load().await?;
    logging::init("thumbnails", &config);
    let app = Reconnecting::new(&config, App::new).await?;
    run(service_fn(async |event| Ok::<_, Infallible>(app.get().await.handle_batch(event).await))).await
}

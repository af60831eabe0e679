#![forbid(unsafe_code)]

use std::convert::Infallible;

use lambda_runtime::{Error, run, service_fn};
use shared::{
    logging,
    stores::{Stores, reconnect::Reconnecting},
};
use thumbnails::App;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stores = Stores::load().await?;
    logging::init("thumbnails", &stores.config.log);
    let app = Reconnecting::new(&stores, App::new).await?;
    run(service_fn(async |event| Ok::<_, Infallible>(app.get().await.handle_batch(event).await))).await
}

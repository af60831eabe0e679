#![forbid(unsafe_code)]

use lambda_http::Error;
use shared::{http, logging, stores::Stores};
use uploads::{App, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stores = Stores::load().await?;
    logging::init("uploads", &stores.config.log);
    http::serve(&stores, async |stores| Ok(router(App::new(stores).await?))).await
}

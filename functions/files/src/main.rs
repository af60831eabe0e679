#![forbid(unsafe_code)]

use files::{App, router};
use lambda_http::Error;
use shared::{Config, http, logging};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::load().await?;
    logging::init("files", &config);
    http::serve(&config, async |config| Ok(router(App::new(config).await?))).await
}

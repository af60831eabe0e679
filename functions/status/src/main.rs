#![forbid(unsafe_code)]

use lambda_http::Error;
use shared::{Config, http, logging};
use status::{App, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::load().await?;
    logging::init("status", &config);
    http::serve(&config, async |config| Ok(router(App::new(config).await?))).await
}

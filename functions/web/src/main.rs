#![forbid(unsafe_code)]

use lambda_http::Error;
use shared::{http, logging, stores::OnlyRedis};
use web::{App, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stores = OnlyRedis::load().await?;
    logging::init("web", &stores.config.log);
    http::serve_with_redis(router(App::new(&stores)?)).await
}

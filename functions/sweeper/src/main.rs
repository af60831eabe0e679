use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::{Config, logging};
use sweeper::{App, Swept};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::load().await?;
    logging::init(config.log_level);
    let app = App::new(&config).await?;
    run(service_fn(async |event: LambdaEvent<Value>| -> Result<Swept, Error> {
        Ok(app.sweep(&event.context.request_id).await?)
    }))
    .await
}

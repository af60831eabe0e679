#![forbid(unsafe_code)]

use archives::App;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::{
    archives::Job,
    logging,
    stores::{Stores, reconnect::Reconnecting},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stores = Stores::load().await?;
    logging::init("archives", &stores.config.log);
    let app = Reconnecting::new(&stores, App::new).await?;
    run(service_fn(async |LambdaEvent { payload, context }: LambdaEvent<Job>| -> Result<(), Error> {
        app.get().await.build(&context.request_id, payload, context.deadline()).await?;
        Ok(())
    }))
    .await
}

#![forbid(unsafe_code)]

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::Serialize;
use serde_json::Value;
use shared::{
    logging,
    stores::{Stores, reconnect::Reconnecting},
};
use sweeper::{App, Swept, fsck::Report};

#[derive(Serialize)]
#[serde(untagged)]
enum Done {
    Checked(Report),
    Swept(Swept),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stores = Stores::load().await?;
    logging::init("sweeper", &stores.config.log);
    let app = Reconnecting::new(&stores, App::new).await?;
    run(service_fn(async |LambdaEvent { payload, context }: LambdaEvent<Value>| -> Result<Done, Error> {
        let app = app.get().await;
        // Any other event is from the schedule.
        if payload["fsck"] == true {
            return Ok(Done::Checked(app.fsck.check(&context.request_id, context.deadline()).await?));
        }
        Ok(Done::Swept(Box::pin(app.sweep(&context.request_id)).await?))
    }))
    .await
}

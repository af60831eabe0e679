//! The smallest Lambda function in Rust, as a baseline for `cargo local bench`.

#![forbid(unsafe_code)]

use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(|_: LambdaEvent<serde_json::Value>| async { Ok::<_, Error>("Hello") })).await
}

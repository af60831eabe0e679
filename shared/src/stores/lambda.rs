//! Asynchronous invocations of a function.

use std::time::Instant;

use anyhow::anyhow;
use serde::Serialize;
use tokio::time::timeout;

use super::{Stores, signed::Service};
use crate::{Error, Result, limits, logging::log_call};

/// The header that makes Lambda answer before the function has run.
const ASYNCHRONOUS: (&str, &str) = ("x-amz-invocation-type", "Event");

/// Starts one function.
#[derive(Clone)]
pub struct Invoker {
    lambda: Service,
    /// The name of the function; `None` where the function that starts others is not told it.
    function: Option<String>,
}

impl Invoker {
    /// The function that builds ZIPs.
    pub fn of_archives(stores: &Stores) -> Self {
        Self {
            lambda: Service::new("lambda", &stores.aws, stores.aws.lambda_endpoint.as_deref()),
            function: stores.config.archives_function.clone(),
        }
    }

    /// Lets the function run with this event, and does not wait for its end. The function may run more than once.
    pub async fn start(&self, event: &impl Serialize) -> Result<()> {
        let event = serde_json::to_vec(event).map_err(|error| Error::Internal(error.into()))?;
        let started = Instant::now();
        let mut answer = Ok(());
        for _ in 0..limits::INVOKE_ATTEMPTS {
            answer = match timeout(limits::AWS_ATTEMPT_TIMEOUT, self.send(&event)).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::timeout("Lambda")),
            };
            if answer.is_ok() {
                break;
            }
        }
        log_call("Lambda", "invoke", started, &answer);
        answer
    }

    async fn send(&self, event: &[u8]) -> Result<()> {
        let function =
            self.function.as_deref().ok_or_else(|| Error::Internal(anyhow!("ARCHIVES_FUNCTION is not set")))?;
        let path = format!("/2015-03-31/functions/{function}/invocations");
        match self.lambda.post(&path, &[ASYNCHRONOUS], event).await.map(|answer| answer.status().as_u16()) {
            Ok(202) => Ok(()),
            Ok(status) => Err(Error::Unavailable(anyhow!("Lambda answered {status}"))),
            Err(error) => Err(Error::Unavailable(error.context("Lambda did not answer"))),
        }
    }
}

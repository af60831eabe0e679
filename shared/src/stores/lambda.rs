//! Asynchronous invocations of a function. One signed request is enough, so the SDK of Lambda is left out, which would be
//! larger than everything that uses it.

use std::time::Instant;

use anyhow::anyhow;
use aws_credential_types::Credentials;
use aws_sdk_s3::primitives::SdkBody;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    Stores,
    aws::{Connections, domain},
};
use crate::{Error, Result, limits, logging::log_call, time::Timestamp};

/// The header that makes Lambda answer before the function has run.
const ASYNCHRONOUS: (&str, &str) = ("x-amz-invocation-type", "Event");

/// Starts one function.
#[derive(Clone)]
pub struct Invoker {
    connections: Connections,
    credentials: Credentials,
    region: String,
    endpoint: String,
    /// The name of the function; `None` where the function that starts others is not told it.
    function: Option<String>,
}

impl Invoker {
    /// The function that builds ZIPs.
    pub fn of_archives(stores: &Stores) -> Self {
        let region = stores.aws.region.clone();
        let own = || format!("https://lambda.{region}.{}", domain(&region));
        Self {
            connections: stores.aws.connections(),
            credentials: stores.aws.credentials.clone(),
            endpoint: stores.aws.lambda_endpoint.clone().unwrap_or_else(own),
            region,
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
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.endpoint.trim_end_matches('/'));
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("lambda")
            .time(Timestamp::now().into())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| Error::Internal(error.into()))?;
        let signable = SignableRequest::new("POST", &url, [ASYNCHRONOUS].into_iter(), SignableBody::Bytes(event))
            .map_err(|error| Error::Internal(error.into()))?;
        let signed = sign(signable, &params.into()).map_err(|error| Error::Internal(error.into()))?;
        let (signature, _) = signed.into_parts().0.into_parts();

        let malformed = |error| Error::Internal(anyhow!("no request to Lambda: {error}"));
        let mut request = HttpRequest::new(SdkBody::from(event));
        request.set_method("POST").map_err(|error| malformed(error.to_string()))?;
        request.set_uri(url).map_err(|error| malformed(error.to_string()))?;
        let signature = signature.iter().map(|header| (header.name().to_owned(), header.value().to_owned()));
        let headers = signature.chain([(ASYNCHRONOUS.0.to_owned(), ASYNCHRONOUS.1.to_owned())]);
        for (name, value) in headers {
            request.headers_mut().try_insert(name, value).map_err(|error| malformed(error.to_string()))?;
        }
        let answer = self.connections.connector().call(request).await;
        match answer.map(|answer| answer.status().as_u16()) {
            Ok(202) => Ok(()),
            Ok(status) => Err(Error::Unavailable(anyhow!("Lambda answered {status}"))),
            Err(error) => Err(Error::Unavailable(anyhow!("Lambda did not answer: {error}"))),
        }
    }
}

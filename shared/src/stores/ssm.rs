//! The secrets of the stores, which SSM keeps as parameters. Its SDK is left out: this module needs one request of it,
//! and the SDK takes 22 MB of source, and 0.9 to 1.5 MB of each function (`aws-sdk-ssm` 1.133).

use std::{
    error::Error as StdError,
    io,
    time::{Duration, Instant},
};

use anyhow::{Context, Error, Result, anyhow};
use aws_sdk_s3::primitives::ByteStream;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::{aws::Aws, signed::Service};
use crate::limits;

/// The protocol `awsJson1_1`, and the operation in it.
const HEADERS: [(&str, &str); 2] =
    [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "AmazonSSM.GetParameters")];

/// The codes with which services of AWS refuse a call because there are too many.
const THROTTLED: [&str; 4] = ["ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetParameters {
    names: Vec<String>,
    with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    name: String,
    value: String,
}

/// The body of an error.
#[derive(Default, Deserialize)]
struct Refusal {
    /// The code, which may have a namespace before it: `com.amazonaws.ssm#InternalServerError`.
    #[serde(rename = "__type", default)]
    code: String,
    #[serde(default, alias = "Message")]
    message: String,
}

/// An attempt that has failed.
struct Failed {
    /// True if the same request may succeed later.
    may_pass: bool,
    cause: Error,
}

/// The names and the values of the parameters that SSM has of these, at most ten. SSM is asked again for longer than
/// other services, because an instance without its secrets cannot start.
///
/// # Errors
/// SSM has not answered within [`limits::SSM_TIMEOUT`], or has refused the request.
pub(super) async fn parameters(aws: &Aws, names: Vec<String>) -> Result<Vec<(String, String)>> {
    let ssm = Service::new("ssm", aws, aws.endpoint.as_deref());
    let request = serde_json::to_vec(&GetParameters { names, with_decryption: true })?;
    let ends = Instant::now() + limits::SSM_TIMEOUT;
    let (mut pause, longest) = limits::SSM_BACKOFF;
    loop {
        let left = ends.saturating_duration_since(Instant::now()).min(limits::SSM_ATTEMPT_TIMEOUT);
        let attempt = timeout(left, attempt(&ssm, &request)).await;
        let failed = match attempt {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(failed)) => failed,
            Err(_) => Failed { may_pass: true, cause: anyhow!("no answer within {left:?}") },
        };
        let wait = jittered(pause)?;
        if !failed.may_pass || Instant::now() + wait >= ends {
            return Err(failed.cause).context("reading the URLs of MongoDB and Redis from SSM");
        }
        sleep(wait).await;
        pause = longest.min(2 * pause);
    }
}

async fn attempt(ssm: &Service, request: &[u8]) -> Result<Vec<(String, String)>, Failed> {
    let later = |cause| Failed { may_pass: true, cause };
    let never = |cause| Failed { may_pass: false, cause };
    let answer = match ssm.post("/", &HEADERS, request).await {
        Ok(answer) => answer,
        // Another attempt would be refused too, and in the end the error would only name the timeout.
        Err(error) if is_refusal(error.as_ref()) => return Err(never(error)),
        Err(error) => return Err(later(error)),
    };
    let status = answer.status().as_u16();
    let body = ByteStream::new(answer.into_body()).collect().await.map_err(|error| later(error.into()))?.into_bytes();
    if status == 200 {
        let Found { parameters } = serde_json::from_slice(&body).map_err(|error| never(error.into()))?;
        return Ok(parameters.into_iter().map(|parameter| (parameter.name, parameter.value)).collect());
    }
    let Refusal { code, message } = serde_json::from_slice(&body).unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let cause = anyhow!("SSM answered {status} {code}: {message}");
    let may_pass = status >= 500 || status == 429 || THROTTLED.contains(&code);
    Err(Failed { may_pass, cause })
}

/// A random part of a pause, of at least half of it, so that instances that start together do not ask together again.
fn jittered(pause: Duration) -> Result<Duration> {
    let mut byte = [0];
    getrandom::fill(&mut byte)?;
    Ok(pause.mul_f64(0.5 + f64::from(byte[0]) / 512.0))
}

/// True if the cause of an error is a certificate. An I/O error holds its cause inside, and not as its source.
fn is_refusal(error: &(dyn StdError + 'static)) -> bool {
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    matches!(error.downcast_ref::<rustls::Error>(), Some(rustls::Error::InvalidCertificate(_)))
        || inside.is_some_and(|inside| is_refusal(inside))
        || error.source().is_some_and(is_refusal)
}

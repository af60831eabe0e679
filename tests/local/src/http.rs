//! Requests to the loopback: whether a service is ready, and the few calls of AWS that are not worth the start of a
//! tool.

use std::fmt;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::stack::{ACCESS_KEY_ID, REGION};

/// A GET with the authorization of an S3 request.
pub async fn get(url: &str) -> Result<StatusCode> {
    let request = Request::get(url).header("authorization", authorization("s3")).body(Full::default())?;
    Ok(client().request(request).await?.status())
}

/// Calls an AWS service that speaks JSON 1.1.
pub async fn call(endpoint: &str, service: &str, target: &str, body: &Value) -> Result<()> {
    answer(endpoint, service, target, body).await.map(drop)
}

/// Calls an AWS service that speaks JSON 1.1, and returns its answer.
pub async fn query(endpoint: &str, service: &str, target: &str, body: &Value) -> Result<Value> {
    let answer = answer(endpoint, service, target, body).await?;
    serde_json::from_slice(answer.body()).with_context(|| format!("{target} answers no JSON"))
}

async fn answer(endpoint: &str, service: &str, target: &str, body: &Value) -> Result<Response<Bytes>> {
    let request = Request::post(endpoint)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", target)
        .header("authorization", authorization(service))
        .body(Full::from(body.to_string()))?;
    send(request).await.with_context(|| format!("{target} failed"))
}

/// Invokes a function and returns its result.
pub async fn invoke(endpoint: &str, function: &str, event: &Value) -> Result<Value> {
    let request = Request::post(format!("{endpoint}/2015-03-31/functions/{function}/invocations"))
        .header("authorization", authorization("lambda"))
        .body(Full::from(event.to_string()))?;
    let answer = send(request).await.with_context(|| format!("{function} cannot be invoked"))?;
    let returned = String::from_utf8_lossy(answer.body());
    ensure!(!answer.headers().contains_key("x-amz-function-error"), "{function} failed: {returned}");
    serde_json::from_str(&returned).with_context(|| format!("{function} returned {returned}"))
}

pub async fn create_bucket(endpoint: &str, name: &str) -> Result<()> {
    let request = Request::builder()
        .method(Method::PUT)
        .uri(format!("{endpoint}/{name}"))
        .header("authorization", authorization("s3"))
        .body(Full::default())?;
    send(request).await.with_context(|| format!("creating the bucket {name} failed")).map(drop)
}

/// The answer to a request of the API.
pub struct Answer {
    pub status: u16,
    body: Bytes,
}

impl Answer {
    /// The body, of an answer that says that all is well.
    pub fn json(&self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "{self}");
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {self}"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// Sends a request to the API.
pub async fn ask(
    method: Method,
    url: &str,
    headers: impl Iterator<Item = (&str, &str)>,
    body: Option<&Value>,
) -> Result<Answer> {
    let mut request = Request::builder().method(method).uri(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = body.map(ToString::to_string).unwrap_or_default();
    let (head, body) = client().request(request.body(Full::from(body))?).await?.into_parts();
    Ok(Answer { status: head.status.as_u16(), body: body.collect().await?.to_bytes() })
}

/// The emulator reads the account and the service from this header. It checks no signature of its root key.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/20260101/{REGION}/{service}/aws4_request, \
         SignedHeaders=host, Signature=0"
    )
}

async fn send(request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
    let (head, body) = client().request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    ensure!(head.status.is_success(), "{}: {}", head.status, String::from_utf8_lossy(&body));
    Ok(Response::from_parts(head, body))
}

fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

//! Our functions: each runs as on Lambda and gets events from a Runtime API of its own, in the format of the gateway
//! (HTTP API, payload 2.0).

use std::fs::File;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::super::{TICKET_KEY, function};
use super::{Answer, Request, Service, cpu_time, peak};
use crate::Project;
use crate::stack::{Record, Stack};

const PATIENCE: Duration = Duration::from_secs(10);
const HOST: &str = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com";

/// The functions that own the paths of the bench.
const NAMES: [&str; 5] = ["status", "users", "auth", "content", "files"];

pub struct Functions(Vec<Function>);

struct Function {
    name: &'static str,
    /// The process ends when this value is dropped.
    process: Child,
    /// The invocations that the function answers next.
    events: mpsc::UnboundedSender<Invocation>,
}

struct Invocation {
    event: Bytes,
    answer: oneshot::Sender<Bytes>,
}

/// The value that a function returns to the gateway.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Returned {
    status_code: u16,
    headers: serde_json::Map<String, Value>,
    #[serde(default)]
    body: String,
    is_base64_encoded: bool,
}

impl Functions {
    pub async fn start(project: &Project, stack: &Stack, record: &Record) -> Result<Self> {
        let mut functions = Vec::new();
        for name in NAMES {
            functions.push(Function::start(name, project, stack, record).await?);
        }
        Ok(Self(functions))
    }

    /// The peak memory of the largest function, in MB.
    pub fn peak(&self) -> Result<f64> {
        let peaks: Result<Vec<f64>> = self.0.iter().map(|function| peak(function.pid()?)).collect();
        Ok(peaks?.into_iter().fold(0.0, f64::max))
    }

    fn of(&self, path: &str) -> Result<&Function> {
        let name = match path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
            ["status"] => "status",
            ["users", ..] => "users",
            ["connect"] => "auth",
            ["files", _, "data"] => "content",
            ["files", ..] => "files",
            _ => bail!("no function owns {path}"),
        };
        self.0.iter().find(|function| function.name == name).with_context(|| format!("{name} does not run"))
    }
}

impl Service for Functions {
    async fn ask(&self, request: &Request) -> Result<(Answer, Duration)> {
        let function = self.of(&request.path)?;
        let event = event(request).to_string().into();
        let (sender, answer) = oneshot::channel();
        let started = Instant::now();
        function.events.send(Invocation { event, answer: sender }).context("its Runtime API has ended")?;
        let answer = timeout(PATIENCE, answer).await;
        let took = started.elapsed();
        let answer = answer.ok().and_then(Result::ok).with_context(|| format!("{} does not answer", function.name))?;
        let Returned { status_code, headers, body, is_base64_encoded } = serde_json::from_slice(&answer)
            .with_context(|| format!("{} does not answer as the gateway asks", function.name))?;
        let content_type = headers.get("content-type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let body = if is_base64_encoded { STANDARD.decode(body)?.into() } else { body.into() };
        Ok((Answer { status: status_code, content_type, body }, took))
    }

    fn cpu_time(&self, path: &str) -> Result<Duration> {
        cpu_time(self.of(path)?.pid()?)
    }
}

impl Function {
    async fn start(name: &'static str, project: &Project, stack: &Stack, record: &Record) -> Result<Self> {
        let bootstrap = project.path(&format!("target/lambda/{name}/bootstrap"));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let log = File::options().create(true).append(true).open(stack.log(name)).context("cannot open a log")?;
        let process = function(name, &bootstrap, listener.local_addr()?)
            .env("AWS_ENDPOINT_URL", &record.aws_endpoint)
            .env("BUCKET", &record.bucket)
            .env("QUEUE_URL", &record.queue_url)
            .env("MONGODB_URI", &record.mongodb_uri)
            .env("REDIS_URL", &record.redis_url)
            .env("TICKET_KEY", TICKET_KEY)
            .stdin(Stdio::null())
            .stdout(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (events, receiver) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, receiver));
        Ok(Self { name, process, events })
    }

    fn pid(&self) -> Result<u32> {
        self.process.id().with_context(|| format!("{} has ended", self.name))
    }
}

/// The part of Lambda's Runtime API that a function uses if it does not fail: `GET …/next` waits for an event, `POST
/// …/response` brings the answer.
async fn serve(listener: TcpListener, events: mpsc::UnboundedReceiver<Invocation>) {
    let events = Arc::new(tokio::sync::Mutex::new(events));
    let waiting = Arc::new(Mutex::new(None::<oneshot::Sender<Bytes>>));
    while let Ok((stream, _)) = listener.accept().await {
        // Without this, Nagle's algorithm delays the small packets of both sides.
        stream.set_nodelay(true).ok();
        let (events, waiting) = (events.clone(), waiting.clone());
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let (events, waiting) = (events.clone(), waiting.clone());
            async move {
                if request.method() == Method::GET {
                    let invocation = events.lock().await.recv().await.context("the bench has ended")?;
                    if let Ok(mut waiting) = waiting.lock() {
                        *waiting = Some(invocation.answer);
                    }
                    return next(invocation.event);
                }
                let body = request.into_body().collect().await?.to_bytes();
                if let Some(waiting) = waiting.lock().ok().and_then(|mut waiting| waiting.take()) {
                    // The receiver is gone if the bench has run into its timeout.
                    waiting.send(body).ok();
                }
                let accepted = Response::builder().status(StatusCode::ACCEPTED);
                Ok(accepted.header("content-type", "application/json").body(Full::from("{\"status\":\"OK\"}\n"))?)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        // An error here is expected: the function is killed while the connection is open.
        tokio::spawn(async { connection.await.ok() });
    }
}

fn next(event: Bytes) -> Result<Response<Full<Bytes>>> {
    let deadline = SystemTime::now() + Duration::from_secs(29);
    let deadline = deadline.duration_since(UNIX_EPOCH)?.as_millis();
    Ok(Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        .header("lambda-runtime-deadline-ms", deadline.to_string())
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:files-manager")
        .header("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0")
        .body(Full::new(event))?)
}

/// The event that API Gateway's HTTP API makes from a request, payload format 2.0.
fn event(request: &Request) -> Value {
    let Request { method, path, auth, body } = request;
    let mut headers = json!({
        "accept": "*/*",
        "content-length": body.len().to_string(),
        "host": HOST,
        "user-agent": "curl/8.5.0",
        "x-amzn-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
        "x-forwarded-for": "203.0.113.7",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    });
    if let Some((name, value)) = auth {
        headers[*name] = json!(value);
    }
    let route = match path.split('/').collect::<Vec<_>>()[..] {
        ["", "files", _] => "/files/{id}".to_owned(),
        ["", "files", _, rest] => format!("/files/{{id}}/{rest}"),
        _ => path.clone(),
    };
    let route = format!("{method} {route}");
    let mut event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": HOST,
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": "$default",
            "time": "10/Mar/2026:05:16:23 +0000",
            "timeEpoch": 1_773_119_783_000_u64,
        },
        "isBase64Encoded": false,
    });
    if let Some(id) = path.strip_prefix("/files/").and_then(|rest| rest.split('/').next()) {
        event["pathParameters"] = json!({ "id": id });
    }
    if !body.is_empty() {
        event["headers"]["content-type"] = json!("application/json");
        event["body"] = json!(body);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_the_route_and_its_id() {
        let auth = Some(("x-token", "secret".to_owned()));
        let request = Request { method: Method::PUT, path: "/files/7f/publish".into(), auth, body: String::new() };
        let event = event(&request);
        assert_eq!(event["routeKey"], "PUT /files/{id}/publish");
        assert_eq!(event["pathParameters"]["id"], "7f");
        assert_eq!(event["headers"]["x-token"], "secret");
        assert_eq!(event["body"], Value::Null);
    }
}

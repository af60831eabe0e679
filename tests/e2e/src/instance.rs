//! One instance of a function, which a test runs as Lambda does: the built program, and a Runtime API that gives it one
//! event after the other. So a test can put a proxy between the function and its stores, and freeze the instance
//! between two events.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what is not there fails the test")]

use std::{
    collections::HashMap,
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use stack::Record;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    net::TcpListener,
    process::{Child, Command},
    sync::{Notify, mpsc, oneshot},
    time::timeout,
};

use crate::{Answer, Stack, aws::gateway_event, unique};

/// A time limit for a start that is longer than Lambda's for a cold start.
const START: Duration = Duration::from_secs(15);

/// The time limit of a function for an event.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The names of all functions: a folder of `functions/` is a function.
pub fn functions() -> Vec<String> {
    let entries = fs::read_dir(project().join("functions")).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders.map(|folder| folder.file_name().into_string().unwrap()).collect()
}

/// The program of a function of the stack.
pub fn deployed(function: &str) -> PathBuf {
    let (_, mut record) = Record::from_environment().unwrap_or_else(|error| panic!("{error:#}"));
    record.programs.remove(function).unwrap_or_else(|| panic!("stack.json has no program {function}"))
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// The environment variables with the addresses of a function's stores.
pub type Environment = HashMap<&'static str, String>;

const VARIABLES: [&str; 7] = [
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "MONGODB_URI",
    "REDIS_URL",
    "BUCKET",
    "QUEUE_URL",
];

fn environment(values: [&str; VARIABLES.len()]) -> Environment {
    VARIABLES.into_iter().zip(values.map(str::to_owned)).collect()
}

/// The variables for a function without stores: nothing listens at these addresses.
pub fn without_stores() -> Environment {
    environment([
        "http://127.0.0.1:1",
        "test",
        "test",
        "mongodb://127.0.0.1:1/files_manager",
        "redis://127.0.0.1:1",
        "bucket",
        "http://127.0.0.1:1/000000000000/queue",
    ])
}

/// The variables with the stores of a stack.
pub fn stores_of(stack: &Stack) -> Environment {
    environment([
        &stack.aws_endpoint,
        stack.credentials.access_key_id(),
        stack.credentials.secret_access_key(),
        &stack.mongodb_uri,
        &stack.redis_url,
        &stack.bucket,
        &stack.queue_url,
    ])
}

/// An instance. Its process ends when this is dropped.
pub struct Instance {
    process: Child,
    lambda: Arc<Lambda>,
}

/// The Runtime API of the instance.
struct Lambda {
    events: mpsc::UnboundedSender<(String, Value)>,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<(String, Value)>>,
    /// The receivers of the answers by the ids of the events.
    answers: Mutex<HashMap<String, oneshot::Sender<Result<Value, Value>>>>,
    /// Notified when the function asks for its first event.
    started: Notify,
    printed: Mutex<Vec<String>>,
}

/// An answer to a request, and the id that Lambda gave the request.
pub struct Handled {
    pub request_id: String,
    pub answer: Answer,
}

impl Instance {
    /// Starts a program, and returns when it asks for its first event.
    ///
    /// # Errors
    /// The output of a program that ended before that.
    pub async fn start(program: &Path, environment: &Environment) -> Result<Self, String> {
        let (events, waiting) = mpsc::unbounded_channel();
        let lambda = Arc::new(Lambda {
            events,
            waiting: waiting.into(),
            answers: Mutex::default(),
            started: Notify::new(),
            printed: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let runtime_api = listener.local_addr().unwrap().to_string();
        serve(listener, {
            let lambda = lambda.clone();
            move |request| {
                let lambda = lambda.clone();
                async move { lambda.answer(request).await }
            }
        });
        let mut process = Command::new(program)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "us-east-1")
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let printed = [
            tokio::spawn(read(process.stdout.take().unwrap(), lambda.clone())),
            tokio::spawn(read(process.stderr.take().unwrap(), lambda.clone())),
        ];
        let ended = tokio::select! {
            () = lambda.started.notified() => None,
            ended = process.wait() => Some(ended.unwrap().to_string()),
            () = tokio::time::sleep(START) => Some("it does not ask for work".to_owned()),
        };
        let Some(ended) = ended else { return Ok(Self { process, lambda }) };
        let _ = process.kill().await;
        for reader in printed {
            reader.await.unwrap();
        }
        Err(format!("{ended}\n{}", lambda.printed().join("\n")))
    }

    pub fn pid(&self) -> Pid {
        let pid = self.process.id().expect("it runs");
        Pid::from_raw(pid.try_into().unwrap()).unwrap()
    }

    /// Stops the process until it is [thawed](Self::thaw), as Lambda does with an instance without an event.
    pub fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    pub fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// All lines that the process has printed.
    pub fn printed(&self) -> Vec<String> {
        self.lambda.printed()
    }

    /// Sends the instance a request in the gateway's event format.
    pub async fn request(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Handled {
        let mut headers = json!({ "content-type": "application/json" });
        if let Some(token) = token {
            headers["x-token"] = json!(token);
        }
        let mut event = gateway_event("127.0.0.1", method, path, &headers);
        if !body.is_null() {
            event["body"] = json!(body.to_string());
        }
        let started = Instant::now();
        let (request_id, outcome) = self.invoke(&event).await;
        let returned = outcome.unwrap_or_else(|error| panic!("{method} {path} failed: {error}"));
        let headers = returned["headers"].as_object().unwrap().iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value.as_str().unwrap()).unwrap())
        });
        let body = returned["body"].as_str().unwrap_or_default();
        let answer = Answer {
            status: returned["statusCode"].as_u64().unwrap().try_into().unwrap(),
            headers: headers.collect::<HeaderMap>(),
            body: if returned["isBase64Encoded"] == true { crate::decoded(body) } else { body.into() },
            took: started.elapsed(),
        };
        Handled { request_id, answer }
    }

    /// Sends the instance an event. Returns the id of the event, and the function's result or reported error.
    pub async fn invoke(&self, event: &Value) -> (String, Result<Value, Value>) {
        let (id, (sender, answer)) = (unique("request"), oneshot::channel());
        self.lambda.answers.lock().unwrap().insert(id.clone(), sender);
        self.lambda.events.send((id.clone(), event.clone())).unwrap();
        let Ok(outcome) = timeout(TIMEOUT, answer).await else {
            panic!("no answer within {TIMEOUT:?}; it printed {}", self.printed().join("\n"))
        };
        (id, outcome.expect("an answer"))
    }
}

impl Lambda {
    async fn answer(&self, request: Request<Incoming>) -> Served {
        let path = request.uri().path().trim_start_matches("/2018-06-01/runtime/").to_owned();
        if path == "invocation/next" {
            self.started.notify_one();
            let (id, event) = self.waiting.lock().await.recv().await.expect("the test goes on");
            let deadline = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + TIMEOUT;
            return Response::builder()
                .header("lambda-runtime-aws-request-id", id)
                .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
                .header(
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:us-east-1:000000000000:function:function",
                )
                .body(Full::from(event.to_string()))
                .unwrap();
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let returned: Value = serde_json::from_slice(&body).unwrap_or_default();
        let parts: Vec<&str> = path.split('/').collect();
        if let ["invocation", id, how] = parts[..]
            && let Some(waiting) = self.answers.lock().unwrap().remove(id)
        {
            // The receiver is gone if the test has failed.
            let _ = waiting.send(if how == "response" { Ok(returned) } else { Err(returned) });
        }
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::ACCEPTED;
        response
    }

    fn printed(&self) -> Vec<String> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn read(output: impl AsyncRead + Unpin, lambda: Arc<Lambda>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        lambda.printed.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// The answer of a server of a test.
pub type Served = Response<Full<Bytes>>;

/// A JSON answer in the format of AWS's JSON services.
pub fn served_json(status: u16, body: &Value) -> Served {
    let answer = Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
    answer.body(Full::from(body.to_string())).unwrap()
}

/// Serves HTTP until the test ends.
pub fn serve<F>(listener: TcpListener, answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = Served> + Send,
{
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let answer = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                // An error here is expected: the function may end while the connection is open.
                connection.await.ok();
            });
        }
    });
}

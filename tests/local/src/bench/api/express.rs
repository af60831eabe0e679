//! The Express server of tests/local/express, which has the routes of the original.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Answer, Request, Service, cpu_time, peak};
use crate::stack::{Record, Stack};
use crate::{Project, subprocess};

const PATIENCE: Duration = Duration::from_secs(10);

pub struct Express {
    /// The process ends when this value is dropped.
    process: Child,
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Deserialize)]
struct Versions {
    node: String,
    express: String,
    mongodb: String,
}

impl Express {
    pub async fn start(project: &Project, stack: &Stack, record: &Record, modules: &Path) -> Result<Self> {
        let log = File::create(stack.log("express")).context("cannot write a log")?;
        let mut process = node(project, modules)
            .env("NODE_ENV", "production")
            .env("MONGODB_URI", record.mongodb_uri.replace("/files_manager", "/files_manager_of_express"))
            .env("REDIS_URL", &record.redis_url)
            .env("FOLDER_PATH", stack.path("tmp/express"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start node")?;
        let mut lines = BufReader::new(process.stdout.take().context("it has no standard output")?).lines();
        let port = timeout(PATIENCE, lines.next_line()).await.context("Express does not start")??;
        let port = port.with_context(|| format!("Express does not start, see {}", stack.log("express").display()))?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { process, url: format!("http://127.0.0.1:{port}"), client })
    }

    /// The versions of Node.js and of the most important packages.
    pub async fn versions(project: &Project, modules: &Path) -> Result<String> {
        let versions = subprocess::output(node(project, modules).arg("versions")).await?;
        let Versions { node, express, mongodb } = serde_json::from_str(&versions).context("no versions")?;
        Ok(format!("Express {express} with mongodb {mongodb} on Node.js {node}"))
    }

    fn pid(&self) -> Result<u32> {
        self.process.id().context("Express has ended")
    }

    /// The peak memory of the server, in MB.
    pub fn peak(&self) -> Result<f64> {
        peak(self.pid()?)
    }
}

impl Service for Express {
    async fn ask(&self, request: &Request) -> Result<(Answer, Duration)> {
        let mut sent = hyper::Request::builder()
            .method(request.method.clone())
            .uri(format!("{}{}", self.url, request.path))
            .header("accept", "*/*")
            .header("user-agent", "curl/8.5.0");
        if let Some((name, value)) = &request.auth {
            sent = sent.header(*name, value);
        }
        if !request.body.is_empty() {
            sent = sent.header(CONTENT_TYPE, "application/json");
        }
        let sent = sent.body(Full::from(request.body.clone()))?;
        let started = Instant::now();
        let answered = async {
            let (head, body) = self.client.request(sent).await?.into_parts();
            anyhow::Ok((head, body.collect().await?.to_bytes()))
        };
        let (head, body) = timeout(PATIENCE, answered).await.context("Express does not answer")??;
        let took = started.elapsed();
        let content_type = head.headers.get(CONTENT_TYPE).map(|value| value.to_str().map(str::to_owned));
        let content_type = content_type.transpose()?.unwrap_or_default();
        Ok((Answer { status: head.status.as_u16(), content_type, body }, took))
    }

    fn cpu_time(&self, _: &str) -> Result<Duration> {
        cpu_time(self.pid()?)
    }
}

fn node(project: &Project, modules: &Path) -> Command {
    let mut node = Command::new("node");
    node.arg(project.path("tests/local/express/server.js")).env("NODE_PATH", modules);
    node
}

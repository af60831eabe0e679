//! `cargo local bench` measures the size of each function, the time from exec to its first request for work, and its
//! memory at that moment. Every cold start pays for all three. A broken limit fails the command.

pub mod api;
mod comparison;
mod json_lines;
pub mod thumbnails;

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ::stack::memory_kb;
use anyhow::{Context, Result, bail};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::build::{Profile, Scope, build};
use crate::progress::line;
use crate::stack::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use crate::{Project, subprocess};

const RUNS: usize = 20;

/// In MB. A sixth of a function are the unwind tables and the code that unwinds a panic. The largest are `links` and `files`:
/// 12.3 MB.
const MAX_SIZE: f64 = 12.8;
/// In MB. The thumbnails function decodes ten formats: 15.7 MB.
const MAX_SIZE_OF_THUMBNAILS: f64 = 16.5;
/// In MB. The function of the web app has Redis alone, and the files of the app: 4.7 MB.
const MAX_SIZE_OF_WEB: f64 = 6.0;
const MAX_RSS: f64 = 16.0;
const MAX_START: Duration = Duration::from_millis(15);
const MAX_START_OF_WEB: Duration = Duration::from_millis(5);
/// The start includes the one call that reads the stores' URLs and the ticket key from SSM.
const MAX_START_WITH_SSM: Duration = Duration::from_millis(30);

pub async fn bench(project: &Project) -> Result<ExitCode> {
    let build = build(project, Profile::Release, Scope::Bench).await?;
    let [(_, hello)] = &build.programs[..] else { bail!("the build has no program to compare with") };
    let bench = Bench::start().await?;
    let mut broken = Vec::new();

    line("\n| function | size | exec to first `/next` | with the SSM call | RSS there |");
    line("|---|---:|---:|---:|---:|");
    for name in project.functions()? {
        let bootstrap = project.path(&format!("target/lambda/{name}/bootstrap"));
        let size = megabytes(fs::metadata(&bootstrap).with_context(|| format!("{name} is not built"))?.len());
        let plain = bench.measure(&name, &bootstrap, Secrets::Given).await?;
        let with_ssm = bench.measure(&name, &bootstrap, Secrets::InSsm).await?;
        let rss = plain.rss.max(with_ssm.rss);
        let starts = format!("{} | {}", ms(plain.start), ms(with_ssm.start));
        line(format!("| {name} | {size:.1} MB | {starts} | {rss:.1} MB |"));
        let mut check = |good: bool, what: String| {
            if !good {
                broken.push(format!("{name}: {what}"));
            }
        };
        let (max_size, max_start) = match name.as_str() {
            "thumbnails" => (MAX_SIZE_OF_THUMBNAILS, MAX_START),
            "web" => (MAX_SIZE_OF_WEB, MAX_START_OF_WEB),
            _ => (MAX_SIZE, MAX_START),
        };
        check(size <= max_size, format!("{size:.1} MB is more than {max_size} MB"));
        check(plain.start <= max_start, format!("it starts in {}, not in {}", ms(plain.start), ms(max_start)));
        check(
            with_ssm.start <= MAX_START_WITH_SSM,
            format!("with the SSM call it starts in {}, not in {}", ms(with_ssm.start), ms(MAX_START_WITH_SSM)),
        );
        check(rss <= MAX_RSS, format!("{rss:.1} MB of memory is more than {MAX_RSS} MB"));
    }
    let size = megabytes(fs::metadata(hello).context("hello is not built")?.len());
    let least = bench.measure("hello", hello, Secrets::Given).await?;
    line(format!("| (hello world) | {size:.1} MB | {} | | {:.1} MB |", ms(least.start), least.rss));
    line(format!("\nMedian of {RUNS}."));

    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{}", broken.join("; "))
}

#[derive(Clone, Copy)]
enum Secrets {
    Given,
    InSsm,
}

struct Measurement {
    start: Duration,
    /// In MB.
    rss: f64,
}

/// The servers that a function calls before its first request: Lambda's Runtime API and SSM.
struct Bench {
    runtime: TcpListener,
    ssm: String,
}

impl Bench {
    async fn start() -> Result<Self> {
        let runtime = TcpListener::bind("127.0.0.1:0").await?;
        let ssm = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", ssm.local_addr()?);
        tokio::spawn(answer_get_parameters(ssm));
        Ok(Self { runtime, ssm: url })
    }

    async fn measure(&self, name: &str, bootstrap: &Path, secrets: Secrets) -> Result<Measurement> {
        let mut starts = Vec::new();
        let mut sizes = Vec::new();
        for _ in 0..RUNS {
            let run = timeout(Duration::from_secs(10), self.run(name, bootstrap, secrets));
            let run = run.await.with_context(|| format!("{name} does not ask for work"))??;
            starts.push(run.start);
            sizes.push(run.rss);
        }
        starts.sort();
        sizes.sort_by(f64::total_cmp);
        Ok(Measurement { start: starts[RUNS / 2], rss: sizes[RUNS / 2] })
    }

    async fn run(&self, name: &str, bootstrap: &Path, secrets: Secrets) -> Result<Measurement> {
        let mut function = function(name, bootstrap, self.runtime.local_addr()?);
        function
            .env("AWS_ENDPOINT_URL", &self.ssm)
            .env("BUCKET", "bucket")
            .env("QUEUE_URL", "http://127.0.0.1:1/000000000000/queue")
            .envs(match secrets {
                Secrets::Given => [("MONGODB_URI", MONGODB_URI), ("REDIS_URL", REDIS_URL), ("TICKET_KEY", TICKET_KEY)],
                Secrets::InSsm => [
                    ("MONGODB_URI_PARAMETER", "/mongodb"),
                    ("REDIS_URL_PARAMETER", "/redis"),
                    ("TICKET_KEY_PARAMETER", "/ticket-key"),
                ],
            })
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let started = Instant::now();
        let mut child = function.spawn().with_context(|| format!("cannot start {name}"))?;
        let (mut stream, _) = tokio::select! {
            connected = self.runtime.accept() => connected?,
            ended = child.wait() => bail!("{name} does not start: {}", ended?),
        };
        let mut words = [0; 256];
        let length = stream.read(&mut words).await?;
        let start = started.elapsed();
        let first = String::from_utf8_lossy(&words[..length]);
        if !first.starts_with("GET /2018-06-01/runtime/invocation/next") {
            bail!("{name} does not start; its first words are {first:?}");
        }
        let rss = megabytes(memory(child.id().context("it has ended")?, "VmRSS")?);
        child.kill().await?;
        Ok(Measurement { start, rss })
    }
}

/// A function as Lambda starts it, without the variables of its stores.
fn function(name: &str, bootstrap: &Path, runtime_api: SocketAddr) -> Command {
    let mut function = Command::new(bootstrap);
    function
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .envs(::stack::ALLOCATOR);
    function
}

/// Nothing listens there: a function connects only when it has work.
const MONGODB_URI: &str = "mongodb://127.0.0.1:1/files_manager";
const REDIS_URL: &str = "redis://127.0.0.1:1";
const TICKET_KEY: &str = "a key that no ticket is signed with";

async fn answer_get_parameters(listener: TcpListener) {
    let answer = service_fn(|_: Request<Incoming>| async {
        let parameters = serde_json::json!({
            "Parameters": [
                { "Name": "/mongodb", "Value": MONGODB_URI, "Type": "SecureString" },
                { "Name": "/redis", "Value": REDIS_URL, "Type": "SecureString" },
                { "Name": "/ticket-key", "Value": TICKET_KEY, "Type": "SecureString" },
            ],
            "InvalidParameters": [],
        });
        let mut response = Response::new(Full::<Bytes>::from(parameters.to_string()));
        let json = hyper::header::HeaderValue::from_static("application/x-amz-json-1.1");
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
        Ok::<_, Infallible>(response)
    });
    while let Ok((stream, _)) = listener.accept().await {
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        // An error here is expected: the function is killed while the connection is open.
        tokio::spawn(async { connection.await.ok() });
    }
}

/// A field of [`memory_kb`] in bytes.
fn memory(pid: u32, field: &str) -> Result<u64> {
    memory_kb(pid, field).map(|kb| kb * 1024).with_context(|| format!("no {field} of process {pid}"))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn geometric_mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value.ln();
        count += 1.0;
    }
    f64::exp(sum / count)
}

/// The current date, for example 2026-03-10.
async fn date() -> Result<String> {
    Ok(subprocess::output(Command::new("date").arg("+%F")).await?.trim().to_owned())
}

/// The number of cores and the model of this machine's processor.
fn machine() -> Result<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = available_parallelism()?;
    Ok(format!("{cores} cores of {}", model.trim_start_matches(['\t', ' ', ':'])))
}

#[expect(clippy::cast_precision_loss, reason = "a few million bytes are exact")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::{Project, geometric_mean};

    #[test]
    fn the_template_gives_the_functions_the_variables_of_the_allocator() {
        let template = std::fs::read_to_string(Project::here().path("template.yaml")).unwrap();
        for (name, value) in ::stack::ALLOCATOR {
            assert!(template.contains(&format!("\n        {name}: \"{value}\"\n")), "{name}");
        }
    }

    #[test]
    fn twice_and_half_are_one_in_the_geometric_mean() {
        assert!((geometric_mean([2.0, 0.5].into_iter()) - 1.0).abs() < 1e-9);
    }
}

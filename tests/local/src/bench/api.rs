//! `cargo local bench api` measures the processor time and the wall time of a request, beside the same request to an
//! Express server with the routes of the original. Both servers use the same MongoDB and Redis. The command prints a
//! table and writes `.local/measurements/bench-api.json`. A broken limit fails it.

mod express;
mod functions;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use self::express::Express;
use self::functions::Functions;
use super::{date, geometric_mean, machine, median, megabytes, memory};
use crate::Project;
use crate::progress::{line, notice, step};
use crate::stack::{Record, Stack};

/// Requests before the measurement, because V8 compiles code only after many calls.
const WARM: u32 = 300;
/// Both servers take turns, so that a disturbance of the machine affects both.
const ROUNDS: u32 = 7;
/// Requests of one round. Their processor time is measured together and divided by this number.
const REQUESTS: u32 = 100;

/// The largest share of Express' processor time that is allowed: for the geometric mean of all routes, and for any one
/// route. Runs on 2026-11-24 gave means of 0.36 to 0.40, and 0.61 for `/status`, where Express asks no store and a
/// function asks two.
const MAX_MEAN: f64 = 0.5;
const MAX_OF_ANY: f64 = 0.8;
/// The largest share of Express' peak memory that the largest function may have. The measured share was 0.10.
const MAX_MEMORY: f64 = 0.12;

/// Documents on a page of a listing.
const PAGE: usize = 20;
const EMAIL: &str = "bob@example.com";
const PASSWORD: &str = "toto1234!";
const SMALL: &str = "notes.txt";
const LARGE: &str = "data.bin";

const LEGEND: &str = "
User and system time of the process that answers, for one request at a time: the median of 7 rounds of 100 requests, in turn.
Ours is a function behind Lambda's Runtime API, with events and answers as the gateway's; Express is called over one HTTP
connection. What MongoDB, Redis and S3 take is in the wall time alone. Memory is VmHWM after all of it.";

/// The routes, in the order in which they are measured.
const ROUTES: [Route; 8] = [
    Route { name: "status", method: Method::GET, path: "/status" },
    Route { name: "the user", method: Method::GET, path: "/users/me" },
    Route { name: "a document", method: Method::GET, path: "/files/{small}" },
    Route { name: "a listing of 20", method: Method::GET, path: "/files" },
    Route { name: "1 kB of content", method: Method::GET, path: "/files/{small}/data" },
    Route { name: "1 MB of content", method: Method::GET, path: "/files/{large}/data" },
    Route { name: "publishing", method: Method::PUT, path: "/files/{small}/publish" },
    Route { name: "an upload of 1 kB", method: Method::POST, path: "/files" },
];

struct Route {
    name: &'static str,
    method: Method,
    /// The path, with the files of [`Account`] in braces.
    path: &'static str,
}

/// Measures on a running stack. `modules` is the folder in which Node.js finds Express. `only` is a part of the names
/// or paths of the routes to measure.
pub async fn bench(project: &Project, stack: &Stack, record: &Record, modules: &Path, only: &str) -> Result<ExitCode> {
    let routes: Vec<_> = ROUTES.iter().filter(|route| route.name.contains(only) || route.path.contains(only)).collect();
    ensure!(!routes.is_empty(), "no route has {only:?} in its name or its path");
    let (ours, theirs) = step("Accounts and files", async {
        // These instances are dropped after the setup: hashing a password takes more memory than everything that is
        // measured.
        let ours = Account::open(&Functions::start(project, stack, record).await?).await?;
        let functions = Functions::start(project, stack, record).await?;
        let express = Express::start(project, stack, record, modules).await?;
        let theirs = Account::open(&express).await?;
        Ok(((functions, ours), (express, theirs)))
    })
    .await?;
    let versions = Express::versions(project, modules).await?;

    line("\n| | route | ours, CPU ms | wall ms | Express, CPU ms | wall ms | ours / Express |");
    line("|---|---|---:|---:|---:|---:|---:|");
    let mut measurements = Vec::new();
    for route in routes {
        let measured = measure(route, (&ours.0, &ours.1), (&theirs.0, &theirs.1)).await;
        let measurement = measured.with_context(|| format!("{} {}", route.method, route.path))?;
        line(measurement.cells());
        measurements.push(measurement);
    }
    let memory = Memory { ours_mb: ours.0.peak()?, theirs_mb: theirs.0.peak()? };
    let report = Report {
        date: date().await?,
        machine: machine()?,
        geometric_mean: geometric_mean(measurements.iter().map(|measurement| measurement.ratio)),
        routes: measurements,
        memory,
    };
    line(LEGEND);
    line(format!("\n- processor time: {:.2} of Express' (geometric mean)", report.geometric_mean));
    line(format!(
        "- peak of memory: {:.0} MB in the largest function, {:.0} MB in Express",
        report.memory.ours_mb, report.memory.theirs_mb
    ));
    line(format!("\n{}, {}, {versions}.", report.date, report.machine));
    if !only.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let folder = project.local("measurements");
    fs::create_dir_all(&folder)?;
    let json = serde_json::to_vec_pretty(&report)?;
    fs::write(folder.join("bench-api.json"), json).context("cannot write into .local")?;
    let broken = report.broken_limits();
    for limit in &broken {
        notice(format!("broken limit: {limit}"));
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A server that the bench sends requests to.
trait Service {
    /// The answer, and the time until all of it was received.
    async fn ask(&self, request: &Request) -> Result<(Answer, Duration)>;

    /// The user and system time so far of the process that answers requests for this path.
    fn cpu_time(&self, path: &str) -> Result<Duration>;
}

struct Request {
    method: Method,
    path: String,
    /// A header: its name in lower case, and its value.
    auth: Option<(&'static str, String)>,
    /// JSON, or an empty text.
    body: String,
}

struct Answer {
    status: u16,
    content_type: String,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context("the answer is no JSON")
    }
}

/// The answer that every server must give.
struct Expected {
    status: u16,
    content_type: &'static str,
    body: Body,
}

enum Body {
    /// The object may have more keys.
    Json(Value),
    Bytes(Bytes),
}

impl Expected {
    fn check(&self, answer: &Answer) -> Result<()> {
        let Answer { status, content_type, body } = answer;
        let text = || String::from_utf8_lossy(&body[..body.len().min(1000)]).into_owned();
        ensure!(*status == self.status, "the status is {status} and not {}: {}", self.status, text());
        ensure!(content_type == self.content_type, "the type is {content_type} and not {}", self.content_type);
        match &self.body {
            Body::Json(expected) => ensure!(is_in(expected, &answer.json()?), "{} has not all of {expected}", text()),
            Body::Bytes(expected) => ensure!(expected == body, "{} bytes are not the right ones", body.len()),
        }
        Ok(())
    }
}

/// True if `found` has everything that `expected` has. Its objects may have other keys too.
fn is_in(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| is_in(value, found)))
        }
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(value, found)| is_in(value, found))
        }
        (expected, found) => expected == found,
    }
}

/// An account at a server, with a full page of files.
struct Account {
    token: String,
    /// The ids of [`SMALL`] and [`LARGE`].
    small: String,
    large: String,
}

impl Account {
    async fn open(service: &impl Service) -> Result<Self> {
        let sign_up = json!({ "email": EMAIL, "password": PASSWORD });
        post(service, "/users", None, &sign_up).await?;
        let credentials = format!("Basic {}", STANDARD.encode(format!("{EMAIL}:{PASSWORD}")));
        let connect = Request {
            method: Method::GET,
            path: "/connect".to_owned(),
            auth: Some(("authorization", credentials)),
            body: String::new(),
        };
        let (answer, _) = service.ask(&connect).await?;
        let mut account = Self { token: text(&answer.json()?, "token")?, small: String::new(), large: String::new() };
        for name in names() {
            let made = post(service, "/files", Some(account.auth()), &upload(&name, &content_of(&name))).await?;
            let id = text(&made, "id")?;
            match name.as_str() {
                SMALL => account.small = id,
                LARGE => account.large = id,
                _ => {}
            }
        }
        Ok(account)
    }

    fn auth(&self) -> (&'static str, String) {
        ("x-token", self.token.clone())
    }

    fn request(&self, route: &Route) -> Request {
        let path = route.path.replace("{small}", &self.small).replace("{large}", &self.large);
        let body =
            if route.method == Method::POST { upload(SMALL, &content_of(SMALL)).to_string() } else { String::new() };
        Request { method: route.method.clone(), path, auth: Some(self.auth()), body }
    }
}

async fn post(service: &impl Service, path: &str, auth: Option<(&'static str, String)>, body: &Value) -> Result<Value> {
    let request = Request { method: Method::POST, path: path.to_owned(), auth, body: body.to_string() };
    let (answer, _) = service.ask(&request).await?;
    let body = answer.json()?;
    ensure!(answer.status == 201, "POST {path} is answered with {}: {body}", answer.status);
    Ok(body)
}

fn text(answer: &Value, key: &str) -> Result<String> {
    answer[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {answer}"))
}

/// The names of all files on the page, oldest first.
fn names() -> Vec<String> {
    let others = (2..PAGE).map(|number| format!("notes-{number}.txt"));
    [SMALL, LARGE].into_iter().map(str::to_owned).chain(others).collect()
}

/// 1 kB or 1 MB of bytes that look random, so that they are not text.
fn content_of(name: &str) -> Bytes {
    let length = if name == LARGE { 1_000_000 } else { 1_000 };
    let mut state = 1_u32;
    let bytes = (0..length).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    bytes.collect()
}

fn upload(name: &str, content: &[u8]) -> Value {
    json!({ "name": name, "type": "file", "data": STANDARD.encode(content) })
}

fn document(name: &str, is_public: bool) -> Value {
    json!({ "name": name, "type": "file", "isPublic": is_public, "parentId": 0 })
}

fn expected(route: &Route) -> Result<Expected> {
    let json =
        |status, body| Expected { status, content_type: "application/json; charset=utf-8", body: Body::Json(body) };
    let content = |name, content_type| Expected { status: 200, content_type, body: Body::Bytes(content_of(name)) };
    Ok(match (&route.method, route.path) {
        (&Method::GET, "/status") => json(200, json!({ "redis": true, "db": true })),
        (&Method::GET, "/users/me") => json(200, json!({ "email": EMAIL })),
        (&Method::GET, "/files/{small}") => json(200, document(SMALL, false)),
        (&Method::GET, "/files") => json(200, names().iter().map(|name| document(name, false)).collect()),
        (&Method::GET, "/files/{small}/data") => content(SMALL, "text/plain; charset=utf-8"),
        (&Method::GET, "/files/{large}/data") => content(LARGE, "application/octet-stream"),
        (&Method::PUT, "/files/{small}/publish") => json(200, document(SMALL, true)),
        (&Method::POST, "/files") => json(201, document(SMALL, false)),
        (method, path) => bail!("nobody knows what {method} {path} answers"),
    })
}

async fn measure<A: Service, B: Service>(
    route: &Route,
    (ours, our_account): (&A, &Account),
    (theirs, their_account): (&B, &Account),
) -> Result<RouteMeasurement> {
    let expected = expected(route)?;
    let (our_request, their_request) = (our_account.request(route), their_account.request(route));
    run(ours, &our_request, &expected, WARM).await.context("ours")?;
    run(theirs, &their_request, &expected, WARM).await.context("Express")?;
    let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_costs.push(run(ours, &our_request, &expected, REQUESTS).await.context("ours")?);
        their_costs.push(run(theirs, &their_request, &expected, REQUESTS).await.context("Express")?);
    }
    let of = |costs: &[Cost], part: fn(&Cost) -> f64| median(costs.iter().map(part));
    let (ours_cpu_ms, theirs_cpu_ms) = (of(&our_costs, |cost| cost.cpu), of(&their_costs, |cost| cost.cpu));
    Ok(RouteMeasurement {
        name: route.name,
        method: route.method.to_string(),
        path: route.path.replace("{small}", "{id}").replace("{large}", "{id}"),
        ours_cpu_ms,
        theirs_cpu_ms,
        ratio: ours_cpu_ms / theirs_cpu_ms,
        ours_wall_ms: of(&our_costs, |cost| cost.wall),
        theirs_wall_ms: of(&their_costs, |cost| cost.wall),
    })
}

/// The cost of one request, in milliseconds.
struct Cost {
    cpu: f64,
    wall: f64,
}

/// Sends the request `times` times, one after the other, and checks each answer.
async fn run(service: &impl Service, request: &Request, expected: &Expected, times: u32) -> Result<Cost> {
    let before = service.cpu_time(&request.path)?;
    let mut wall = Duration::ZERO;
    for _ in 0..times {
        let (answer, took) = service.ask(request).await?;
        expected.check(&answer)?;
        wall += took;
    }
    let cpu = service.cpu_time(&request.path)?.saturating_sub(before);
    let each = |all: Duration| all.as_secs_f64() * 1e3 / f64::from(times);
    Ok(Cost { cpu: each(cpu), wall: each(wall) })
}

/// The user and system time of a process so far, in all its threads. `/proc/<pid>/stat` counts in steps of 10 ms, but
/// the scheduler counts the time of each thread in nanoseconds. Threads that have ended are missing, but they do no
/// work here.
fn cpu_time(pid: u32) -> Result<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).context("the process has ended")?;
    let mut all = Duration::ZERO;
    for thread in threads.flatten() {
        // The thread may have ended in the meantime.
        let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
        all += Duration::from_nanos(nanoseconds.context("no processor time in schedstat")?);
    }
    Ok(all)
}

/// The peak memory of a process, in MB.
fn peak(pid: u32) -> Result<f64> {
    Ok(megabytes(memory(pid, "VmHWM")?))
}

#[derive(Serialize)]
struct Report {
    date: String,
    machine: String,
    routes: Vec<RouteMeasurement>,
    geometric_mean: f64,
    memory: Memory,
}

#[derive(Serialize)]
struct RouteMeasurement {
    name: &'static str,
    method: String,
    path: String,
    ours_cpu_ms: f64,
    theirs_cpu_ms: f64,
    ratio: f64,
    ours_wall_ms: f64,
    theirs_wall_ms: f64,
}

#[derive(Serialize)]
struct Memory {
    ours_mb: f64,
    theirs_mb: f64,
}

impl RouteMeasurement {
    fn cells(&self) -> String {
        let Self { name, method, path, ours_cpu_ms, theirs_cpu_ms, ratio, ours_wall_ms, theirs_wall_ms } = self;
        format!(
            "| {name} | `{method} {path}` | {ours_cpu_ms:.3} | {ours_wall_ms:.2} | {theirs_cpu_ms:.3} | {theirs_wall_ms:.2} \
             | {ratio:.2} |"
        )
    }
}

impl Report {
    fn broken_limits(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for RouteMeasurement { method, path, name, ratio, .. } in &self.routes {
            if *ratio > MAX_OF_ANY {
                broken.push(format!("{method} {path} ({name}): {ratio:.2} of Express' time is more than {MAX_OF_ANY}"));
            }
        }
        if self.geometric_mean > MAX_MEAN {
            broken.push(format!("on average {:.2} of Express' time is more than {MAX_MEAN}", self.geometric_mean));
        }
        let Memory { ours_mb, theirs_mb } = self.memory;
        if ours_mb > MAX_MEMORY * theirs_mb {
            broken.push(format!("{ours_mb:.1} MB of memory is more than {MAX_MEMORY} of Express' {theirs_mb:.1} MB"));
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_have_more_keys_and_nothing_else() {
        let expected = json!([{ "name": "a", "parentId": 0 }]);
        assert!(is_in(&expected, &json!([{ "name": "a", "parentId": 0, "id": "1" }])));
        for other in [json!([]), json!([{ "name": "a" }]), json!([{ "name": "a", "parentId": "0" }]), json!(null)] {
            assert!(!is_in(&expected, &other), "{other}");
        }
    }

    #[test]
    fn it_is_known_what_each_route_answers() {
        for route in &ROUTES {
            assert!(expected(route).is_ok(), "{}", route.path);
        }
    }

    #[test]
    fn the_processor_time_of_a_process_grows_with_its_work() {
        let before = cpu_time(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while cpu_time(std::process::id()).unwrap() < before + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}

//! The commands that run a stack: `up` keeps one for a person, `test`, `chaos`, `schemathesis` and `bench api` make one
//! for themselves, `down` ends one.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::process::Command;
use tokio::time::sleep;

use crate::build::{Build, build, build_programs};
use crate::cli::UpOptions;
use crate::deploy::{self, Deployment};
use crate::gateway_proxy::GatewayProxy;
use crate::progress::{line, notice, seconds, step};
use crate::services::{self, EMULATOR, FAULT_PROXY, MONGODB, Purpose, REDIS, port_of};
use crate::stack::{
    ACCESS_KEY_ID, Opened, REGION, Record, SECRET_ACCESS_KEY, Stack, free_port, remove_old_test_stacks,
};
use crate::subprocess::{self, ProcessGroup};
use crate::tools::{self, Tools};
use crate::{Project, bench, bucket_backup, fsck, http, interrupted, promises, schemathesis, test_images};

/// Short times, so that a test sees the sweeper at work without waiting for minutes. An upload is kept long enough that
/// the sweep of one test does not take the slow upload of another. A test that needs an expired upload changes the row.
/// All tests use the loopback address, so its limits are high. The tests of limits set them in the function's
/// environment.
const TEST_PARAMETERS: [&str; 5] = [
    "UploadGraceSeconds=30",
    "DirectUploadGraceSeconds=300",
    "ThumbnailGraceSeconds=1",
    "FailuresPerAddress=1000000",
    "SignUpsPerAddress=1000000",
];

pub async fn up(project: &Project, options: &UpOptions) -> Result<ExitCode> {
    let stack = match Stack::open(project.local("up")).await? {
        Opened::Stack(stack) => stack,
        Opened::InUse { pid, .. } => {
            bail!("`cargo local up` is already running (process {pid}); `cargo local down` ends it")
        }
    };
    let proxy = GatewayProxy::open(options.port).await?;
    stack.empty("logs")?;
    if options.fresh {
        stack.empty("data")?;
        stack.remove_file(Deployment::FILE)?;
    }
    let result = tokio::select! {
        result = serve(project, &stack, proxy) => result,
        signal = interrupted() => signal,
    };
    stop(&stack).await?;
    result.map(|()| ExitCode::SUCCESS)
}

pub async fn down(project: &Project) -> Result<ExitCode> {
    remove_old_test_stacks(project).await?;
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        // `Stack::open` ends the services that were left behind.
        match Stack::open(project.local("up")).await? {
            Opened::Stack(_) => break,
            Opened::InUse { pid, start_time } => ::stack::terminate(pid, start_time),
        }
        if Instant::now() >= deadline {
            bail!("`cargo local up` does not end; see its terminal");
        }
        sleep(Duration::from_millis(100)).await;
    }
    line("Nothing of `cargo local up` runs any more; its data is kept.");
    Ok(ExitCode::SUCCESS)
}

pub async fn test(project: &Project, args: &[String]) -> Result<ExitCode> {
    throw_away(project, async |stack| run_tests(project, stack, args).await).await
}

/// Runs random workloads with faults: see tests/chaos.
pub async fn chaos(project: &Project, args: &[String]) -> Result<ExitCode> {
    throw_away(project, async |stack| run_chaos(project, stack, args).await).await
}

/// Tests for this time whether all answers agree with the description of the API.
pub async fn schemathesis(project: &Project, time: Duration) -> Result<ExitCode> {
    throw_away(project, async |stack| {
        let tools = Tools::install(project).await?;
        let programs = tools::schemathesis(project).await?;
        let build = build(project, &tools).await?;
        let record = start_for_tests(project, stack, &tools, build).await?;
        schemathesis::run(project, &programs, stack, &record, time).await
    })
    .await
}

/// Measures requests, beside those to the original: see [`bench::api`].
pub async fn bench_requests(project: &Project, only: &str) -> Result<ExitCode> {
    throw_away(project, async |stack| {
        let tools = Tools::install(project).await?;
        let modules = tools::express(project).await?;
        drop(build(project, &tools).await?);
        let mut record = record(stack, &GatewayProxy::open(0).await?, Purpose::Bench)?;
        start(project, stack, &tools, &mut record, Purpose::Bench).await?;
        "files".clone_into(&mut record.bucket);
        // A function needs a queue URL. No message is sent there.
        record.queue_url = format!("{}/000000000000/jobs", record.aws_endpoint);
        http::create_bucket(&record.aws_endpoint, &record.bucket).await?;
        bench::api::bench(project, stack, &record, &modules, only).await
    })
    .await
}

/// Runs a task with a stack in a new folder, which is removed if the task succeeds.
async fn throw_away(project: &Project, task: impl AsyncFnOnce(&Stack) -> Result<ExitCode>) -> Result<ExitCode> {
    remove_old_test_stacks(project).await?;
    let folder = format!("test-{}", std::process::id());
    let Opened::Stack(stack) = Stack::open(project.local(&folder)).await? else {
        bail!("{folder} is in use by another process");
    };
    let result = tokio::select! {
        result = task(&stack) => result,
        signal = interrupted() => signal.map(|()| ExitCode::from(130)),
    };
    stop(&stack).await?;
    match result {
        Ok(code) if code == ExitCode::SUCCESS => stack.remove().map(|()| code),
        result => {
            for rest in ["data", "tmp"] {
                fs::remove_dir_all(stack.path(rest)).ok();
            }
            notice(format!("The logs of the stack are in {}.", stack.path("logs").display()));
            result
        }
    }
}

async fn serve(project: &Project, stack: &Stack, proxy: GatewayProxy) -> Result<()> {
    let started = Instant::now();
    let tools = Tools::install(project).await?;
    let build = build(project, &tools).await?;
    let mut record = record(stack, &proxy, Purpose::Use)?;
    record.mongodb_uri = from_environment("MONGODB_URI").unwrap_or(record.mongodb_uri);
    record.redis_url = from_environment("REDIS_URL").unwrap_or(record.redis_url);
    let deployment = Deployment::read(stack).filter(|deployment| deployment.is_at(&record.aws_endpoint));
    if deployment.is_none() {
        stack.remove_file(Deployment::FILE)?;
        bucket_backup::set_aside(stack)?;
    }
    start(project, stack, &tools, &mut record, Purpose::Use).await?;
    let deployment = match deployment.filter(|deployment| deployment.is_of(&build)) {
        Some(deployment) => deployment,
        None => deploy_and_save(project, stack, &tools, &build, &mut record).await?,
    };
    drop(build);
    let port = proxy.port();
    open(stack, &mut record, proxy, &deployment)?;
    line(invitation(stack, port, started.elapsed()));
    watch(stack).await
}

async fn run_tests(project: &Project, stack: &Stack, args: &[String]) -> Result<ExitCode> {
    let tools = Tools::install(project).await?;
    let build = build(project, &tools).await?;
    let [images, panics] = build_programs(project, &tools, &build).await?;
    test_images::fetch(project).await?;
    let browser = tools::browser(project).await?;
    let record = start_for_tests(project, stack, &tools, build).await?;
    promises::clear_passed(project);
    let mut tests = subprocess::cargo();
    tests.args(["test", "--workspace"]).args(args);
    tests.env("FILES_MANAGER_IMAGES", images).env("FILES_MANAGER_PANICS", panics);
    tests.envs(browser.map(|packages| ("FILES_MANAGER_BROWSER", packages)));
    match run_beside(project, stack, tests).await? {
        // `fsck` runs only after all tests: some tests alone may leave data that another test removes.
        0 if args.is_empty() => {
            let code = fsck::afterwards(&record).await?;
            if code == ExitCode::SUCCESS {
                promises::mark_passed(project)?;
            }
            Ok(code)
        }
        code => Ok(ExitCode::from(code)),
    }
}

async fn run_chaos(project: &Project, stack: &Stack, args: &[String]) -> Result<ExitCode> {
    let tools = Tools::install(project).await?;
    let build = build(project, &tools).await?;
    let record = start_for_tests(project, stack, &tools, build).await?;
    let mut histories = subprocess::cargo();
    histories.args(["run", "--quiet", "--package", "chaos", "--"]).args(args);
    match run_beside(project, stack, histories).await? {
        0 => fsck::afterwards(&record).await,
        code => Ok(ExitCode::from(code)),
    }
}

/// Runs a program with the path of the stack's record in its environment, and returns its exit code.
async fn run_beside(project: &Project, stack: &Stack, mut program: Command) -> Result<u8> {
    program.current_dir(project.path("")).env(::stack::VARIABLE, stack.record_path());
    let figures = project.local("measurements");
    fs::create_dir_all(&figures)?;
    program.env("FILES_MANAGER_MEASUREMENTS", figures);
    let status = ProcessGroup::spawn(&mut program)?.wait().await?;
    // A program that was ended by a signal has no exit code.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Starts and deploys a stack for the tests.
async fn start_for_tests(project: &Project, stack: &Stack, tools: &Tools, build: Build) -> Result<Record> {
    let proxy = GatewayProxy::open(0).await?;
    let mut record = record(stack, &proxy, Purpose::Test)?;
    start(project, stack, tools, &mut record, Purpose::Test).await?;
    let deploy = deploy::deploy(project, tools, &build, &TEST_PARAMETERS, stack);
    let (deployment, ()) =
        step(deploy::STEP, async { tokio::try_join!(deploy, fault_proxy_until_ready(&record)) }).await?;
    drop(build);
    open(stack, &mut record, proxy, &deployment)?;
    Ok(record)
}

/// The record of a stack before it runs: its addresses, with the same ports as last time if they are still free.
fn record(stack: &Stack, proxy: &GatewayProxy, purpose: Purpose) -> Result<Record> {
    let before = stack.record();
    let mut taken = Vec::new();
    let mut address = |before: &str| -> Result<_> {
        let listener = free_port(port_of(before))?;
        let address = listener.local_addr()?;
        taken.push(listener);
        Ok(address)
    };
    let faults = match purpose {
        Purpose::Use | Purpose::Bench => None,
        Purpose::Test => Some(format!("http://{}", address("")?)),
    };
    Ok(Record {
        api: format!("http://127.0.0.1:{}", proxy.port()),
        mongodb_uri: format!("mongodb://{}/files_manager", address(&before.mongodb_uri)?),
        redis_url: format!("redis://{}", address(&before.redis_url)?),
        aws_endpoint: format!("http://{}", address(&before.aws_endpoint)?),
        region: REGION.to_owned(),
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        faults,
        ..Record::default()
    })
}

async fn start(project: &Project, stack: &Stack, tools: &Tools, record: &mut Record, purpose: Purpose) -> Result<()> {
    let port = |url: &str| port_of(url).with_context(|| format!("no port in {url}"));
    let given = |name| purpose == Purpose::Use && from_environment(name).is_some();
    let emulator_port = port(&record.aws_endpoint)?;
    if !given("MONGODB_URI") {
        let program = services::mongodb(stack, tools, port(&record.mongodb_uri)?)?;
        services::start(stack, record, MONGODB, program)?;
    }
    if !given("REDIS_URL") {
        let program = services::redis(stack, tools, port(&record.redis_url)?, purpose)?;
        services::start(stack, record, REDIS, program)?;
    }
    if let Some(faults) = record.faults.clone() {
        let program = services::fault_proxy(project, stack, tools, port(&faults)?, emulator_port);
        services::start(stack, record, FAULT_PROXY, program)?;
    }
    let program = services::emulator(project, stack, tools, emulator_port, purpose, record.faults.as_deref());
    services::start(stack, record, EMULATOR, program)?;

    if let Some(mongodb) = record.processes.get(MONGODB) {
        let port = port(&record.mongodb_uri)?;
        step("MongoDB", mongodb.until("MongoDB", async || services::mongodb_is_ready(port).await)).await?;
    }
    if let Some(redis) = record.processes.get(REDIS) {
        let port = port(&record.redis_url)?;
        step("Redis", redis.until("Redis", async || services::redis_is_ready(port).await)).await?;
    }
    step("AWS emulator", async {
        emulator_until_ready(record).await?;
        deploy::put_secrets(record).await
    })
    .await
}

async fn emulator_until_ready(record: &Record) -> Result<()> {
    let emulator = record.processes.get(EMULATOR).context("the emulator was not started")?;
    let port = port_of(&record.aws_endpoint).context("the emulator has no port")?;
    emulator.until("the AWS emulator", async || services::emulator_is_ready(port).await).await
}

async fn fault_proxy_until_ready(record: &Record) -> Result<()> {
    let faults = record.processes.get(FAULT_PROXY).context("the fault proxy was not started")?;
    let port = record.faults.as_deref().and_then(port_of).context("the fault proxy has no port")?;
    faults.until("the fault proxy", async || services::fault_proxy_is_ready(port).await).await?;
    // The proxy loads its data about SQS too.
    let proxy = format!("http://127.0.0.1:{port}");
    http::call(&proxy, "sqs", "AmazonSQS.ListQueues", &json!({})).await
}

/// Deploys, then restarts the emulator. The emulator saves its state only when it ends, and from now on a `kill -9` of
/// all processes must not lose the stack. Objects are saved at once.
async fn deploy_and_save(
    project: &Project,
    stack: &Stack,
    tools: &Tools,
    build: &Build,
    record: &mut Record,
) -> Result<Deployment> {
    stack.remove_file(Deployment::FILE)?;
    let deployment = step(deploy::STEP, deploy::deploy(project, tools, build, &[], stack)).await?;
    step("AWS emulator (again, its state saved)", async {
        let emulator = record.processes.get(EMULATOR).context("the emulator was not started")?.clone();
        emulator.stop().await;
        bucket_backup::restore(stack, deployment.bucket())?;
        services::start(stack, record, EMULATOR, emulator.program)?;
        emulator_until_ready(record).await
    })
    .await?;
    deployment.write(stack)?;
    Ok(deployment)
}

/// Starts the proxy and completes the record.
fn open(stack: &Stack, record: &mut Record, proxy: GatewayProxy, deployment: &Deployment) -> Result<()> {
    let emulator = port_of(&record.aws_endpoint).context("the emulator has no port")?;
    proxy.serve(emulator, &deployment.api)?;
    deployment.add_to(record);
    stack.write(record)
}

/// Reports a service that ends by itself. The other services continue, because the functions must survive that.
async fn watch(stack: &Stack) -> Result<()> {
    let mut ended = Vec::new();
    loop {
        for (name, process) in stack.record().processes {
            if !process.is_running() && !ended.contains(&process.pid) {
                let log = process.program.log.display();
                notice(format!(
                    "{name} (process {}) has ended, see {log}; Ctrl-C and `cargo local up` start it again",
                    process.pid
                ));
                ended.push(process.pid);
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
}

async fn stop(stack: &Stack) -> Result<()> {
    line("");
    step("Stopping", async {
        stack.stop().await;
        Ok(())
    })
    .await
}

fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn invitation(stack: &Stack, port: u16, took: Duration) -> String {
    let api = format!("http://localhost:{port}");
    format!(
        r#"
Files Manager answers at {api} after {took}, until Ctrl-C. Try, in another terminal:

  curl {api}/status
  curl {api}/users -H 'Content-Type: application/json' -d '{{"email":"bob@dylan.com","password":"toto1234!"}}'
  TOKEN=$(curl -s {api}/connect -u 'bob@dylan.com:toto1234!' | cut -d '"' -f 4)
  curl {api}/files -H "X-Token: $TOKEN" -H 'Content-Type: application/json' \
    -d '{{"name":"hello.txt","type":"file","data":"SGVsbG8h"}}'

README.md goes on from there. The logs are in {logs}, the stores' addresses in {record}."#,
        took = seconds(took),
        logs = stack.path("logs").display(),
        record = stack.record_path().display(),
    )
}

//! The commands that run a stack: `up` keeps one for a person, `test`, `chaos`, `schemathesis` and `bench api` make one
//! for themselves, `down` ends one.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::build::{self, Build, Profile, Scope, build};
use crate::cli::{TestOptions, UpOptions, ZipsOptions};
use crate::demo::{self, Filled};
use crate::deploy::{self, Deployment};
use crate::gateway_proxy::GatewayProxy;
use crate::progress::{line, notice, seconds, step};
use crate::services::{self, EMULATOR, FAULT_PROXY, MONGODB, Purpose, REDIS, port_of};
use crate::stack::{
    ACCESS_KEY_ID, Opened, REGION, Record, SECRET_ACCESS_KEY, Stack, free_port, remove_old_test_stacks,
};
use crate::subprocess::{self, ProcessGroup};
use crate::tools::{self, Sam, Tools};
use crate::watch::Watch;
use crate::{Project, bench, bucket_backup, failures, fsck, http, interrupted, promises, schemathesis, test_images};

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
        result = serve(project, &stack, options, proxy) => result,
        signal = interrupted() => signal,
    };
    line("");
    step("Stopping", async {
        stack.stop().await;
        Ok(())
    })
    .await?;
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

pub async fn test(project: &Project, options: &TestOptions) -> Result<ExitCode> {
    if options.cargo_args.is_empty() {
        let names = ["", "-histories", TIMED];
        throw_away_all(project, names, async |stacks| Box::pin(run_tests(project, stacks, options)).await).await
    } else {
        throw_away_all(project, [""], async |stacks| Box::pin(run_tests(project, stacks, options)).await).await
    }
}

/// Runs random workloads with faults: see tests/chaos.
pub async fn chaos(project: &Project, profile: Profile, args: &[String]) -> Result<ExitCode> {
    throw_away(project, async |stack| Box::pin(run_chaos(project, stack, profile, args)).await).await
}

/// Tests for this time whether all answers agree with the description of the API.
pub async fn schemathesis(project: &Project, profile: Profile, time: Duration) -> Result<ExitCode> {
    throw_away(project, async |stack| {
        let (tools, programs, build) = tokio::try_join!(
            Tools::install(project),
            tools::schemathesis(project),
            build(project, profile, Scope::Functions)
        )?;
        let record = step("Stack", start_for_tests(project, stack, &tools, &build)).await?;
        drop(build);
        schemathesis::run(project, &programs, stack, &record, time).await
    })
    .await
}

/// Measures requests, beside those to the original: see [`bench::api`].
pub async fn bench_requests(project: &Project, only: &str) -> Result<ExitCode> {
    throw_away(project, async |stack| {
        let tools = Tools::install(project).await?;
        let modules = tools::express(project).await?;
        drop(build(project, Profile::Release, Scope::Functions).await?);
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

/// Measures large folders: see tests/scale.
pub async fn bench_scale(project: &Project, profile: Profile) -> Result<ExitCode> {
    throw_away(project, async |stack| {
        let program = Program { name: "scale", args: &[], step: "Large folders (cargo build)" };
        let (_, code) = Box::pin(run_program(project, stack, profile, program)).await?;
        Ok(ExitCode::from(code))
    })
    .await
}

/// Measures ZIPs: see tests/scale.
pub async fn bench_zips(project: &Project, options: &ZipsOptions) -> Result<ExitCode> {
    throw_away(project, async |stack| {
        let args = [options.files.to_string(), options.mib.to_string()];
        let program = Program { name: "zips", args: &args, step: "ZIPs (cargo build)" };
        let (_, code) = Box::pin(run_program(project, stack, options.profile, program)).await?;
        Ok(ExitCode::from(code))
    })
    .await
}

/// Runs a task with a stack in a new folder, which is removed if the task succeeds.
async fn throw_away(project: &Project, task: impl AsyncFnOnce(&Stack) -> Result<ExitCode>) -> Result<ExitCode> {
    throw_away_all(project, [""], async |[stack]| task(stack).await).await
}

/// Runs a task with stacks in new folders, which are removed if the task succeeds. Of several stacks, [`TIMED`] comes first
/// where all want the processors.
async fn throw_away_all<const N: usize>(
    project: &Project,
    names: [&str; N],
    task: impl AsyncFnOnce(&[Stack; N]) -> Result<ExitCode>,
) -> Result<ExitCode> {
    remove_old_test_stacks(project).await?;
    let mut stacks = Vec::new();
    for name in names {
        let folder = format!("test-{}{name}", std::process::id());
        let Opened::Stack(mut stack) = Stack::open(project.local(&folder)).await? else {
            bail!("{folder} is in use by another process");
        };
        stack.is_nice = N > 1 && name != TIMED;
        stacks.push(stack);
    }
    let stacks: [Stack; N] = stacks.try_into().ok().context("a stack for each name")?;
    let result = tokio::select! {
        // A task may take the interruption for its end.
        biased;
        result = task(&stacks) => result,
        signal = interrupted() => signal.map(|()| ExitCode::from(130)),
    };
    for stack in &stacks {
        stack.kill().await;
    }
    if result.as_ref().is_ok_and(|code| *code == ExitCode::SUCCESS) {
        stacks.into_iter().try_for_each(Stack::remove)?;
    } else {
        for stack in &stacks {
            for rest in ["data", "tmp"] {
                fs::remove_dir_all(stack.path(rest)).ok();
            }
            notice(format!("Logs of a stack are in {}.", stack.path("logs").display()));
        }
    }
    result
}

async fn serve(project: &Project, stack: &Stack, options: &UpOptions, proxy: GatewayProxy) -> Result<()> {
    let started = Instant::now();
    let build = build(project, options.profile, Scope::Functions);
    let (tools, build) = tokio::try_join!(Tools::install(project), build)?;
    let mut record = record(stack, &proxy, Purpose::Use)?;
    record.mongodb_uri = from_environment("MONGODB_URI").unwrap_or(record.mongodb_uri);
    record.redis_url = from_environment("REDIS_URL").unwrap_or(record.redis_url);
    let deployment = Deployment::read(stack).filter(|deployment| deployment.is_at(&record.aws_endpoint));
    if deployment.is_none() {
        stack.remove_file(Deployment::FILE)?;
        bucket_backup::set_aside(stack)?;
    }
    start(project, stack, &tools, &mut record, Purpose::Use).await?;
    let parameters: &[&str] = if options.debug { &["LogLevel=debug"] } else { &[] };
    let deployment = match deployment.filter(|deployment| deployment.is_of(&build, parameters)) {
        Some(deployment) => deployment,
        None => deploy_and_save(project, stack, &tools, &build, parameters, &mut record).await?,
    };
    let fingerprint = build.fingerprint.clone();
    drop(build);
    let port = proxy.port();
    open(stack, &mut record, proxy, &deployment)?;
    line(invitation(stack, port, started.elapsed()));
    if options.demo {
        line("");
        let filled = step("Demo account", demo::fill(&record.api)).await?;
        line(demo_account(port, &filled));
    }
    if options.watch {
        line("\nAn edit in functions/, shared/ or template.yaml is built and deployed at once.");
        let watch = Watch { project, tools: &tools, stack, profile: options.profile, parameters };
        tokio::try_join!(report_ended(stack), watch.deploy_edits(fingerprint)).map(drop)
    } else {
        report_ended(stack).await
    }
}

/// Test programs that need a stack for themselves, because they kill and stop its services.
const ALONE: [&str; 2] = ["histories", "outages"];

/// The test program that runs on the stack of the others in two parts: the web app when the others have ended, and the rest
/// when the histories have ended. A fourth group beside three would take the processors from tests that have time limits.
const BROWSER: &str = "browser";

/// The tests of the web app in this program.
const APP: &str = "app::";

/// The name of the stack for the tests of `outages`, which compare times. The stack and the tests come first where all want
/// the processors.
const TIMED: &str = "-outages";

/// Runs the tests of the options on one stack, or all tests on a stack for the programs that need one for themselves and
/// one for the rest.
async fn run_tests<const N: usize>(project: &Project, stacks: &[Stack; N], options: &TestOptions) -> Result<ExitCode> {
    let TestOptions { keep, profile, cargo_args } = options;
    // The tests of the template and of the deployment use SAM. A build of what ships installs it by itself.
    let sam = async {
        match profile {
            Profile::Local => Sam::install(project).await.map(drop),
            Profile::Release => Ok(()),
        }
    };
    let (finished, of_functions) = oneshot::channel();
    let prepare = async {
        let (tools, build, (), (), browser, pages, app) = tokio::try_join!(
            Tools::install(project),
            build(project, *profile, Scope::Tests),
            sam,
            test_images::fetch(project),
            tools::browser(project),
            tools::pages(project),
            tools::app(project)
        )?;
        let _ = finished.send(());
        let programs = build.programs.iter().map(|(name, path)| (*name, path.clone()));
        let packages = [("browser", browser), ("pages", pages), ("app", app)];
        let packages = packages.into_iter().filter_map(|(name, folder)| Some((name, folder?)));
        let environment: Vec<_> = programs.chain(packages).map(|(name, path)| (variable(name), path)).collect();
        let start = step("Stacks for the tests", async {
            let mut records = Vec::new();
            for stack in stacks {
                records.push(start_for_tests(project, stack, &tools, &build).await?);
            }
            Ok(records)
        });
        let records = start.await?;
        anyhow::Ok((tools, build, environment, records))
    };
    let ((tools, build, environment, records), ()) =
        tokio::try_join!(prepare, compile_tests(project, *profile, of_functions))?;
    let fingerprint = build.fingerprint.clone();
    drop(build);
    promises::clear_passed(project);

    let run = async |stack, args: &[String], name| run_group(project, stack, args, &environment, name).await;
    let ended = if let [first, for_histories, for_outages] = &stacks[..] {
        let Groups { others, app, browser, histories, outages } = Groups::of(project).await?;
        let others_and_app =
            async { anyhow::Ok([run(first, &others, None).await?, run(first, &app, Some("app")).await?]) };
        let histories_and_browser = async {
            let histories = run(for_histories, &histories, Some("histories")).await?;
            anyhow::Ok([histories, run(first, &browser, Some(BROWSER)).await?])
        };
        let outages = async { anyhow::Ok([run(for_outages, &outages, Some("outages")).await?]) };
        let (others, histories, outages) = tokio::try_join!(others_and_app, histories_and_browser, outages)?;
        others.into_iter().chain(histories).chain(outages).collect()
    } else {
        vec![run(&stacks[0], cargo_args, None).await?]
    };
    let mut code = ExitCode::from(ended.iter().map(|group| group.code).find(|code| *code != 0).unwrap_or_default());
    let failed: Vec<_> = ended.into_iter().flat_map(|group| group.failures).collect();
    if !failed.is_empty() {
        line(format!("\n{} tests failed:\n\n{}", failed.len(), failed.join("\n")));
    }
    // `fsck` runs only after all tests: some tests alone may leave data that another test removes.
    if code == ExitCode::SUCCESS && cargo_args.is_empty() {
        for record in &records {
            if fsck::afterwards(record).await? != ExitCode::SUCCESS {
                code = ExitCode::FAILURE;
            }
        }
        // A promise is shown by what ships.
        if code == ExitCode::SUCCESS && *profile == Profile::Release {
            promises::mark_passed(project)?;
        }
    }
    if *keep {
        for other in &stacks[1..] {
            other.stop().await;
        }
        let watch =
            Watch { project, tools: &tools, stack: &stacks[0], profile: *profile, parameters: &TEST_PARAMETERS };
        keep_until_interrupted(&watch, fingerprint, &environment).await?;
    }
    Ok(code)
}

/// The arguments of each `cargo test` of a whole run.
struct Groups {
    others: Vec<String>,
    app: Vec<String>,
    browser: Vec<String>,
    histories: Vec<String>,
    outages: Vec<String>,
}

impl Groups {
    async fn of(project: &Project) -> Result<Self> {
        let mut cargo = subprocess::cargo();
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(project.path(""));
        let metadata: Value = serde_json::from_str(&subprocess::output(&mut cargo).await?)?;
        let targets = metadata["packages"].as_array().into_iter().flatten();
        let targets = targets.flat_map(|package| package["targets"].as_array().into_iter().flatten());
        let mut others = ["--no-fail-fast", "--lib"].map(str::to_owned).to_vec();
        for target in targets.filter(|target| target["test"] == true) {
            let name = target["name"].as_str().unwrap_or_default();
            match target["kind"][0].as_str() {
                Some(kind @ ("bin" | "test")) if name != BROWSER && !ALONE.contains(&name) => {
                    others.extend([format!("--{kind}"), name.to_owned()]);
                }
                _ => {}
            }
        }
        let only = |name: &str, of: &[&str]| ["--test", name].iter().chain(of).map(|&arg| arg.to_owned()).collect();
        Ok(Self {
            others,
            app: only(BROWSER, &["--", APP]),
            browser: only(BROWSER, &["--", "--skip", APP]),
            histories: only(ALONE[0], &[]),
            outages: only(ALONE[1], &[]),
        })
    }
}

/// Compiles all tests, so that the groups do not wait for each other's compilation. Tests of what ships are compiled beside
/// it, in another folder and with less processor time, because the last functions leave processors free. Tests of a quick
/// build share its folder, so they come after it.
async fn compile_tests(project: &Project, profile: Profile, functions: oneshot::Receiver<()>) -> Result<()> {
    let mut cargo = match profile {
        Profile::Local => {
            functions.await.context("the functions are not built")?;
            subprocess::cargo()
        }
        Profile::Release => subprocess::nice_cargo(),
    };
    cargo.args(["test", "--workspace", "--no-run"]);
    // A build of functions, which may run at the same time, has a log of its own.
    build::run(project, &mut cargo, "Tests (cargo test --no-run)", "build-tests.log").await
}

/// Runs a group of tests on a stack. The output of a group with a name is printed when the group has ended.
async fn run_group(
    project: &Project,
    stack: &Stack,
    args: &[String],
    environment: &[(String, PathBuf)],
    name: Option<&str>,
) -> Result<Group> {
    let mut tests = if stack.is_nice { subprocess::nice_cargo() } else { subprocess::cargo() };
    tests.args(["test", "--workspace"]).args(args).envs(environment.iter().map(|(name, path)| (name, path)));
    let log = stack.log(name.unwrap_or("tests"));
    let file = File::create(&log).context("cannot open a log")?;
    let code = if name.is_some() {
        tests.stdout(file.try_clone()?).stderr(file);
        let code = run_beside(project, stack, tests).await?;
        line(format!("\n{}", fs::read_to_string(&log).unwrap_or_default()));
        code
    } else {
        let (reader, writer) = io::pipe().context("cannot open a pipe")?;
        tests.stdout(writer.try_clone()?).stderr(writer);
        if io::stdout().is_terminal() {
            tests.env("CARGO_TERM_COLOR", "always");
        }
        let copied = tokio::task::spawn_blocking(move || copy_to_both(reader, file));
        let code = run_beside(project, stack, tests).await?;
        copied.await.context("cannot copy the output of the tests")??;
        code
    };
    Ok(Group { code, failures: failures::failures(&fs::read_to_string(&log).unwrap_or_default()) })
}

/// How a group of tests ended.
struct Group {
    code: u8,
    failures: Vec<String>,
}

/// Copies the output of a program to the standard output and into a log.
fn copy_to_both(mut reader: impl Read, mut log: File) -> Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        log.write_all(&buffer[..read])?;
        io::stdout().write_all(&buffer[..read])?;
        io::stdout().flush()?;
    }
}

/// The variable in which the tests find a path.
fn variable(name: &str) -> String {
    format!("FILES_MANAGER_{}", name.to_uppercase())
}

/// Keeps a stack until Ctrl-C. `fingerprint` is of the sources that the stack runs.
async fn keep_until_interrupted(
    watch: &Watch<'_>,
    fingerprint: String,
    environment: &[(String, PathBuf)],
) -> Result<()> {
    let stack = watch.stack;
    let file = stack.path("env");
    let of_all_programs =
        [(variable("stack"), stack.record_path()), (variable("measurements"), watch.project.local("measurements"))];
    let mut lines = String::new();
    for (name, path) in environment.iter().chain(&of_all_programs) {
        writeln!(lines, "export {name}='{}'", path.display())?;
    }
    fs::write(&file, lines).context("cannot write into .local")?;
    line(format!(
        "\nThe stack runs until Ctrl-C, and edits in functions/ and shared/ are deployed at once. In another terminal:\n\n  \
         source {}\n  cargo test --workspace --test contract -- NAME",
        file.display()
    ));
    tokio::select! {
        ended = report_ended(stack) => ended,
        watched = watch.deploy_edits(fingerprint) => watched,
        signal = interrupted() => signal,
    }
}

async fn run_chaos(project: &Project, stack: &Stack, profile: Profile, args: &[String]) -> Result<ExitCode> {
    let program = Program { name: "chaos", args, step: "Random workloads (cargo build)" };
    match run_program(project, stack, profile, program).await? {
        (record, 0) => fsck::afterwards(&record).await,
        (_, code) => Ok(ExitCode::from(code)),
    }
}

/// A program of the workspace that works with a running stack.
struct Program<'a> {
    name: &'a str,
    args: &'a [String],
    /// The name of its compilation.
    step: &'a str,
}

/// Starts a stack, and runs the program beside it. Returns the exit code of the program.
async fn run_program(project: &Project, stack: &Stack, profile: Profile, program: Program<'_>) -> Result<(Record, u8)> {
    let (tools, build) = tokio::try_join!(Tools::install(project), build(project, profile, Scope::Functions))?;
    let record = step("Stack", start_for_tests(project, stack, &tools, &build)).await?;
    drop(build);
    // With the features of the whole workspace, as everything else here is compiled.
    let mut cargo = subprocess::cargo();
    build::run(project, cargo.args(["build", "--workspace", "--bin", program.name]), program.step, build::LOG).await?;
    let mut command = Command::new(build::target(project).join(program.name));
    command.args(program.args);
    let code = run_beside(project, stack, command).await?;
    Ok((record, code))
}

/// Runs a program with the path of the stack's record in its environment, and returns its exit code.
async fn run_beside(project: &Project, stack: &Stack, mut program: Command) -> Result<u8> {
    program.current_dir(project.path("")).env(::stack::VARIABLE, stack.record_path());
    let figures = project.local("measurements");
    fs::create_dir_all(&figures)?;
    program.env(variable("measurements"), figures);
    let status = ProcessGroup::spawn(&mut program)?.wait().await?;
    // A program that was ended by a signal has no exit code.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Starts and deploys a stack for the tests.
async fn start_for_tests(project: &Project, stack: &Stack, tools: &Tools, build: &Build) -> Result<Record> {
    let proxy = GatewayProxy::open(0).await?;
    let mut record = record(stack, &proxy, Purpose::Test)?;
    record.build.clone_from(&build.folder);
    record.programs.clone_from(&build.functions);
    record.is_release = build.profile == Profile::Release;
    start(project, stack, tools, &mut record, Purpose::Test).await?;
    // The futures of programs that run to their end are large.
    let deploy = Box::pin(deploy::deploy(project, tools, build, &TEST_PARAMETERS, stack));
    let deploy = async { tokio::try_join!(deploy, fault_proxy_until_ready(&record)) };
    let (deployment, ()) = step_of(Purpose::Test, deploy::STEP, deploy).await?;
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
        step_of(purpose, "MongoDB", mongodb.until("MongoDB", async || services::mongodb_is_ready(port).await)).await?;
    }
    if let Some(redis) = record.processes.get(REDIS) {
        let port = port(&record.redis_url)?;
        step_of(purpose, "Redis", redis.until("Redis", async || services::redis_is_ready(port).await)).await?;
    }
    step_of(purpose, "AWS emulator", async {
        emulator_until_ready(record).await?;
        deploy::put_secrets(record).await
    })
    .await
}

/// A step of its own, but for the tests, whose stacks start as one step.
async fn step_of<T>(purpose: Purpose, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    if purpose == Purpose::Test { work.await } else { step(what, work).await }
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
    parameters: &[&str],
    record: &mut Record,
) -> Result<Deployment> {
    stack.remove_file(Deployment::FILE)?;
    let deployment = step(deploy::STEP, deploy::deploy(project, tools, build, parameters, stack)).await?;
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
async fn report_ended(stack: &Stack) -> Result<()> {
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

fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn demo_account(port: u16, filled: &Filled) -> String {
    let about = match filled {
        Filled::Made(files) => format!("has {files} new files"),
        Filled::Before => "was there already".to_owned(),
    };
    let (email, password) = (demo::EMAIL, demo::PASSWORD);
    format!(
        "\nThe demo account {about}. Sign in at http://localhost:{port}/\n\n  e-mail:   {email}\n  password: {password}\n\n\
         Thumbnails of its photographs are made in the background."
    )
}

fn invitation(stack: &Stack, port: u16, took: Duration) -> String {
    let api = format!("http://localhost:{port}");
    format!(
        r#"
Files Manager answers at {api} after {took}, until Ctrl-C. Open {api}/ in a browser, or try, in
another terminal:

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

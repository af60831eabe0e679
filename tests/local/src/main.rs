//! `cargo local`: the whole product on this machine, without AWS and without Docker. One command sets up the pinned
//! tools, builds the functions, starts MongoDB, Redis and an AWS emulator, deploys `template.yaml` into it and serves
//! the API; another does the same into a folder of its own and runs the tests there.

#![forbid(unsafe_code)]

mod aws_limits;
mod bench;
mod bucket_backup;
mod build;
mod cost;
mod deploy;
mod fsck;
mod gateway_proxy;
mod http;
mod lint;
mod logs;
mod progress;
mod promises;
mod schemathesis;
mod service_process;
mod services;
mod stack;
mod stack_commands;
mod subprocess;
mod test_images;
mod tools;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use cost::Readme;
use subprocess::ProcessGroup;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
Files Manager on this machine, without AWS and without Docker.

  cargo local up [--fresh] [--port 5000]   build, deploy and serve the API until Ctrl-C; data is kept
                                           --fresh throws the data away first
                                           MONGODB_URI and REDIS_URL, where set, are used as they are
  cargo local down                         stop an `up` that runs or was left behind
  cargo local fsck                         compare the ledger of the `up` that runs with its bucket
  cargo local logs [FUNCTION] [-f]         what the functions of the `up` that runs have logged in the last 15 minutes;
                                           -f goes on with new lines until Ctrl-C
  cargo local test [-- ARGS]               run every test on a throw-away stack; ARGS go to `cargo test`
  cargo local chaos [--seed N] [--seeds COUNT] [--writes N] [--mutation NAME]
                                           random histories with kill -9, hanging processes and a failing S3, and
                                           whether everything that was acknowledged is there in the end
                                           --seed is that of the first history, --writes what each acknowledges,
                                           --mutation plants one of the mistakes that must be noticed
  cargo local promises                     write what the last `test`, and the last `chaos`, measured into
                                           tests/PROMISES.md
  cargo local openapi                      write the description of the API anew, from the sources
  cargo local schemathesis [--minutes 2]   ask a throw-away stack whether it answers as that says
  cargo local lint                         check template.yaml, as it stands and as AWS expands it, and
                                           the licences, sources and versions of the dependencies
  cargo local cost [--write]               what the stack costs unused, and what requests cost; fails where something
                                           costs while nobody uses it, or README.md says something else
                                           --write takes over what `bench api` measured, and writes README.md
  cargo local bench                        size, start and memory of each function
  cargo local bench api [--only TEXT]      processor time, time and memory of requests, beside those to a server as the
                                           original's, made with Express
                                           --only takes the routes with TEXT in their names or paths
  cargo local bench thumbnails [--only TEXT]
                                           time, memory and likeness of thumbnails, beside those of sharp
                                           --only takes the pictures with TEXT in their names";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()).await {
        Ok(code) => code,
        Err(error) => {
            // The cause first, what to do about it after, on one line.
            progress::notice(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(mut args: Vec<String>) -> Result<ExitCode> {
    let command = if args.is_empty() { String::new() } else { args.remove(0) };
    let project = Project::here();
    match command.as_str() {
        "up" => match UpOptions::parse(&args) {
            Some(options) => stack_commands::up(&project, &options).await,
            None => Ok(usage()),
        },
        "test" => match args.split_first() {
            None => stack_commands::test(&project, &[]).await,
            Some((separator, args)) if separator == "--" => stack_commands::test(&project, args).await,
            Some(_) => Ok(usage()),
        },
        "chaos" => stack_commands::chaos(&project, &args).await,
        "down" if args.is_empty() => stack_commands::down(&project).await,
        "fsck" if args.is_empty() => fsck::fsck(&project).await,
        "logs" => match logs::Options::parse(&args) {
            Some(options) => tokio::select! {
                shown = logs::logs(&project, &options) => shown.map(|()| ExitCode::SUCCESS),
                signal = interrupted() => signal.map(|()| ExitCode::SUCCESS),
            },
            None => Ok(usage()),
        },
        "promises" if args.is_empty() => promises::promises(&project),
        "openapi" if args.is_empty() => describe(&project).await,
        "schemathesis" => match minutes(&args) {
            Some(time) => stack_commands::schemathesis(&project, time).await,
            None => Ok(usage()),
        },
        "lint" if args.is_empty() => lint::lint(&project).await,
        "cost" => match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => cost::cost(&project, Readme::Compare).await,
            ["--write"] => cost::cost(&project, Readme::Write).await,
            _ => Ok(usage()),
        },
        "bench" if args.first().is_some_and(|of| of == "api") => match only(&args[1..]) {
            Some(only) => stack_commands::bench_requests(&project, only).await,
            None => Ok(usage()),
        },
        "bench" => tokio::select! {
            measured = bench(&project, &args) => measured,
            // Ends what is being built or measured.
            signal = interrupted() => signal.map(|()| ExitCode::from(130)),
        },
        "help" | "--help" | "-h" => {
            progress::line(USAGE);
            Ok(ExitCode::SUCCESS)
        }
        _ => Ok(usage()),
    }
}

async fn bench(project: &Project, args: &[String]) -> Result<ExitCode> {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => bench::bench(project).await,
        ["thumbnails", ..] => match only(&args[1..]) {
            Some(only) => bench::thumbnails::bench(project, only).await,
            None => Ok(usage()),
        },
        _ => Ok(usage()),
    }
}

/// What a bench is to measure; an empty text for everything.
fn only(args: &[String]) -> Option<&str> {
    match args {
        [] => Some(""),
        [option, text] if option == "--only" => Some(text),
        _ => None,
    }
}

/// Writes what the build takes for the description of the API.
async fn describe(project: &Project) -> Result<ExitCode> {
    let mut cargo = subprocess::cargo();
    cargo.args(["run", "--quiet", "--package", "openapi"]).current_dir(project.path(""));
    let status = ProcessGroup::spawn(&mut cargo)?.wait().await?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How long `schemathesis` is to take.
fn minutes(args: &[String]) -> Option<Duration> {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(Duration::from_mins(2)),
        ["--minutes", minutes] => minutes.parse().ok().filter(|minutes| *minutes > 0).map(Duration::from_mins),
        _ => None,
    }
}

fn usage() -> ExitCode {
    progress::notice(USAGE);
    ExitCode::from(2)
}

pub struct UpOptions {
    pub fresh: bool,
    pub port: u16,
}

impl UpOptions {
    fn parse(args: &[String]) -> Option<Self> {
        let mut options = Self { fresh: false, port: 5000 };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--fresh" => options.fresh = true,
                "--port" => options.port = args.next()?.parse().ok()?,
                _ => return None,
            }
        }
        Some(options)
    }
}

/// The checkout this program belongs to.
pub struct Project {
    root: PathBuf,
}

impl Project {
    fn here() -> Self {
        // As Cargo says now: the checkout may have been moved since this was compiled.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&package).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned();
        Self { root }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Their names: a folder of `functions/` is a function.
    pub fn functions(&self) -> Result<Vec<String>> {
        let folders = std::fs::read_dir(self.path("functions")).context("cannot read functions/")?;
        let mut names: Vec<_> =
            folders.flatten().map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }

    /// Everything this program makes except Cargo's and SAM's own output; git ignores it.
    pub fn local(&self, relative: &str) -> PathBuf {
        self.root.join(".local").join(relative)
    }
}

/// Resolves when somebody wants this program to end.
pub async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("cannot watch for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    }
}

/// `first` in front of the PATH of this program.
pub fn path_with(first: &Path) -> OsString {
    let mut path = first.as_os_str().to_owned();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::UpOptions;

    fn parse(line: &str) -> Option<(bool, u16)> {
        let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        UpOptions::parse(&args).map(|options| (options.fresh, options.port))
    }

    #[test]
    fn up_understands_its_options_and_no_others() {
        assert_eq!(parse(""), Some((false, 5000)));
        assert_eq!(parse("--port 5001 --fresh"), Some((true, 5001)));
        assert_eq!(parse("--port"), None);
        assert_eq!(parse("--port 70000"), None);
        assert_eq!(parse("--frehs"), None);
    }
}

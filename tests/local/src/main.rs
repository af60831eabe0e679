//! `cargo local` runs the whole product on this machine, without AWS and without Docker. `up` installs the pinned
//! tools, builds the functions, starts MongoDB, Redis and an AWS emulator, deploys `template.yaml` into it and serves
//! the API. `test` does the same in a folder of its own and runs the tests there.

#![forbid(unsafe_code)]

mod aws_limits;
mod bench;
mod bucket_backup;
mod build;
mod cli;
mod cost;
mod demo;
mod deploy;
mod failures;
mod fsck;
mod gateway_proxy;
mod http;
mod lint;
mod logs;
mod progress;
mod promises;
mod schemathesis;
mod services;
mod stack;
mod stack_commands;
mod subprocess;
mod test_images;
mod tools;
mod watch;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use cli::Command;
use subprocess::ProcessGroup;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            progress::notice(error);
            return ExitCode::from(2);
        }
    };
    match run(command).await {
        Ok(code) => code,
        Err(error) => {
            // One line: first the cause, then the remedy.
            progress::notice(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    let project = Project::here();
    match command {
        Command::Up(options) => stack_commands::up(&project, &options).await,
        Command::Down => stack_commands::down(&project).await,
        Command::Fsck => fsck::fsck(&project).await,
        Command::Logs(options) => tokio::select! {
            shown = logs::logs(&project, &options) => shown.map(|()| ExitCode::SUCCESS),
            signal = interrupted() => signal.map(|()| ExitCode::SUCCESS),
        },
        Command::Test(options) => stack_commands::test(&project, &options).await,
        Command::Chaos { profile, args } => stack_commands::chaos(&project, profile, &args).await,
        Command::Promises => promises::promises(&project),
        Command::OpenApi => describe(&project).await,
        Command::Schemathesis { profile, time } => stack_commands::schemathesis(&project, profile, time).await,
        Command::Lint => lint::lint(&project).await,
        Command::Cost(readme) => cost::cost(&project, readme).await,
        Command::Bench => unless_interrupted(bench::bench(&project)).await,
        Command::BenchApi { only } => stack_commands::bench_requests(&project, &only).await,
        Command::BenchScale { profile } => stack_commands::bench_scale(&project, profile).await,
        Command::BenchZips(options) => stack_commands::bench_zips(&project, &options).await,
        Command::BenchThumbnails { only } => unless_interrupted(bench::thumbnails::bench(&project, &only)).await,
        Command::Help(text) => {
            progress::line(text);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Ctrl-C ends the builds and the measurements of a benchmark.
async fn unless_interrupted(bench: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    tokio::select! {
        measured = bench => measured,
        signal = interrupted() => signal.map(|()| ExitCode::from(130)),
    }
}

/// Writes the description of the API, which the build of `status` includes.
async fn describe(project: &Project) -> Result<ExitCode> {
    let mut cargo = subprocess::cargo();
    cargo.args(["run", "--quiet", "--package", "openapi"]).current_dir(project.path(""));
    let status = ProcessGroup::spawn(&mut cargo)?.wait().await?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The checkout that this program belongs to.
pub struct Project {
    root: PathBuf,
}

impl Project {
    fn here() -> Self {
        // Cargo's variable of this run comes first: the checkout may have been moved since this was compiled.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&package).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned();
        Self { root }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The names of the functions: each folder of `functions/` is a function.
    pub fn functions(&self) -> Result<Vec<String>> {
        let folders = std::fs::read_dir(self.path("functions")).context("cannot read functions/")?;
        let folders = folders.flatten().filter(|entry| entry.path().is_dir());
        let mut names: Vec<_> = folders.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }

    /// The folder of everything that this program writes, except the output of Cargo and SAM. Git ignores it.
    pub fn local(&self, relative: &str) -> PathBuf {
        self.root.join(".local").join(relative)
    }
}

/// Resolves when Ctrl-C or a signal asks this program to end.
pub async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("cannot watch for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    }
}

/// The PATH of this program with `first` in front.
pub fn path_with(first: &Path) -> OsString {
    let mut path = first.as_os_str().to_owned();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

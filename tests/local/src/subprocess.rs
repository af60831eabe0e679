//! Programs that run to their end: pip, cargo, sam, python. Their output goes to a log, which the error names if they
//! fail.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use ::stack::tail;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::progress;

/// A program in a new process group. Dropping it, by Ctrl-C or an error, ends its child processes too.
pub struct ProcessGroup(Child);

impl ProcessGroup {
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let program = command.as_std().get_program().to_owned();
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", Path::new(&program).display()))?;
        Ok(Self(child))
    }

    pub async fn wait(mut self) -> Result<ExitStatus> {
        self.0.wait().await.context("cannot wait for a program")
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // Without an id it has already ended.
        if let Some(pid) = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process_group(pid, Signal::TERM);
        }
    }
}

/// Cargo, without the variables that Cargo sets for this program. The build script of `ring` runs again if one of them
/// changes, and then everything that depends on `ring` is compiled again.
pub fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    without_cargos_variables(&mut cargo);
    cargo
}

/// Removes these variables from the environment of a program that calls Cargo.
pub fn without_cargos_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
}

/// Runs a program to its end and writes its output into `log`. `step` is the name of its progress line.
pub async fn run(command: &mut Command, step: &str, log: &Path) -> Result<()> {
    let program = program_name(command.as_std().get_program());
    let mut group = ProcessGroup::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let file = File::options().create(true).append(true).open(log).context("cannot open a log")?;
    let (out, err) = (group.0.stdout.take(), group.0.stderr.take());
    tokio::try_join!(copy(out, &file, step), copy(err, &file, step))?;
    let status = group.wait().await?;
    if !status.success() {
        bail!("{program} failed ({status}): {}, see {}", reason(log), log.display());
    }
    Ok(())
}

/// Runs a program to its end and returns its output.
pub async fn output(command: &mut Command) -> Result<String> {
    let program = program_name(command.as_std().get_program());
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = output.await.with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed ({}): {}", output.status, error.lines().last().unwrap_or_default());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The line of a log that most likely has the cause of a failure: the last error, or else the last line.
fn reason(log: &Path) -> String {
    let lines = tail(log, 40);
    let error = lines.iter().rev().find(|line| line.to_lowercase().contains("error"));
    error.or(lines.last()).map(|line| line.trim().to_owned()).unwrap_or_default()
}

async fn copy(from: Option<impl AsyncRead + Unpin>, mut log: &File, step: &str) -> Result<()> {
    let Some(from) = from else { return Ok(()) };
    let mut lines = BufReader::new(from).split(b'\n');
    while let Some(mut line) = lines.next_segment().await.context("cannot read a program's output")? {
        progress::note(step, &String::from_utf8_lossy(&line));
        line.push(b'\n');
        log.write_all(&line).context("cannot write a log")?;
    }
    Ok(())
}

fn program_name(program: &OsStr) -> String {
    let path = PathBuf::from(program);
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.display().to_string())
}

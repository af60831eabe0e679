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
use tokio::io::{AsyncRead, AsyncReadExt};
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

/// The words before a command that give it less processor time than commands without them, where both want it.
pub const NICE: [&str; 3] = ["nice", "-n", "10"];

/// [`cargo`] with less processor time.
pub fn nice_cargo() -> Command {
    let [nice, arguments @ ..] = NICE;
    let mut cargo = Command::new(nice);
    cargo.args(arguments).arg("cargo");
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

/// Copies the output of a program into its log, without Cargo's progress bar, which becomes the note of the step.
async fn copy(from: Option<impl AsyncRead + Unpin>, log: &File, step: &str) -> Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let (mut buffer, mut line) = (vec![0; 16 * 1024], Vec::new());
    loop {
        let read = from.read(&mut buffer).await.context("cannot read a program's output")?;
        for &byte in &buffer[..read] {
            line.push(byte);
            if byte == b'\n' || byte == b'\r' {
                end_of(&mut line, log, step)?;
            }
        }
        if read == 0 {
            return end_of(&mut line, log, step);
        }
    }
}

fn end_of(line: &mut Vec<u8>, mut log: &File, step: &str) -> Result<()> {
    if let Some((done, all)) = crates(&String::from_utf8_lossy(line)) {
        progress::note(step, format!("{done}/{all} crates"));
    } else if line != b"\r" {
        log.write_all(line).context("cannot write a log")?;
    }
    line.clear();
    Ok(())
}

/// The numbers of finished and of all crates in Cargo's progress bar, such as `Building [==> ] 12/345: serde`.
fn crates(line: &str) -> Option<(u32, u32)> {
    let (_, bar) = line.split_once("Building [")?;
    let (_, numbers) = bar.split_once("] ")?;
    let (done, rest) = numbers.split_once('/')?;
    let all = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    Some((done.parse().ok()?, all.parse().ok()?))
}

fn program_name(program: &OsStr) -> String {
    let path = PathBuf::from(program);
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::crates;

    #[test]
    fn the_bar_of_cargo_says_how_many_crates_are_done() {
        assert_eq!(crates("\u{1b}[K    Building [====>      ] 12/345: serde, syn\r"), Some((12, 345)));
        assert_eq!(crates("    Building [=========>] 345/345"), Some((345, 345)));
        assert_eq!(crates("   Compiling serde v1.0.0"), None);
        assert_eq!(crates("error: Building [a]"), None);
    }
}

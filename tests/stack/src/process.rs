//! The long-running services of a stack. A service is identified by its process id *and* the time at which it started,
//! so that another process which later gets the same id is never touched.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(20);
/// The time in which the emulator writes its state and MongoDB closes its files.
const GRACE: Duration = Duration::from_secs(15);

/// The command that starts a service. A fault test kills the service and starts it again with this.
#[derive(Clone, Serialize, Deserialize)]
pub struct Program {
    pub argv: Vec<String>,
    /// The whole environment. Nothing is inherited, because the emulator passes its own environment on to the
    /// functions.
    pub env: BTreeMap<String, String>,
    pub log: PathBuf,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct ServiceProcess {
    pub pid: u32,
    /// Field 22 of `/proc/<pid>/stat`, in clock ticks since boot.
    pub start_time: u64,
    #[serde(flatten)]
    pub program: Program,
}

impl ServiceProcess {
    /// Starts a service as the leader of a new process group. So Ctrl-C does not reach it, and its child processes can
    /// be ended with it. Tokio reaps the process when it ends, as long as a runtime of this program runs.
    pub fn start(program: Program) -> Result<Self> {
        let log = File::options().create(true).append(true).open(&program.log).context("cannot open a log")?;
        let child = Command::new(&program.argv[0])
            .args(&program.argv[1..])
            .env_clear()
            .envs(&program.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot open a log")?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.argv[0]))?;
        let pid = child.id().context("a part ended at once")?;
        let Some(stat) = Stat::of(pid) else {
            bail!("{} ended at once, see {}", program.argv[0], program.log.display())
        };
        Ok(Self { pid, start_time: stat.start_time, program })
    }

    pub fn is_running(&self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.start_time == self.start_time && !stat.is_zombie)
    }

    /// Ends the service and its child processes: first with SIGTERM, so that it can save its data, then with SIGKILL.
    pub async fn stop(&self) {
        self.signal(Signal::TERM);
        if !self.has_ended_within(GRACE).await {
            self.signal(Signal::KILL);
        }
    }

    /// Ends the service and its child processes with SIGKILL.
    pub async fn end(&self) {
        self.signal(Signal::KILL);
        self.has_ended_within(GRACE).await;
    }

    async fn has_ended_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.group().is_empty() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL).await;
        }
        true
    }

    /// Sends a signal to the service alone, and not to its child processes. Fails if the service has ended.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        ensure!(self.is_running(), "process {} has ended", self.pid);
        let pid = Pid::from_raw(self.pid.cast_signed()).context("no process id")?;
        kill_process(pid, signal).with_context(|| format!("cannot send a signal to process {}", self.pid))
    }

    fn signal(&self, signal: Signal) {
        // An error is no problem: the process has ended in the meantime.
        if let Some(pid) = Pid::from_raw(self.pid.cast_signed())
            && !self.group().is_empty()
        {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// The living processes of this service's group. The kernel gives the id of a group to no new process while the
    /// group exists. So if the leader has another start time, the old group is gone.
    fn group(&self) -> Vec<u32> {
        if Stat::of(self.pid).is_some_and(|leader| leader.start_time != self.start_time) {
            return Vec::new();
        }
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| {
            Stat::of(*pid)
                .is_some_and(|stat| stat.group == self.pid && stat.start_time >= self.start_time && !stat.is_zombie)
        })
        .collect()
    }

    /// Waits until `ready` returns true. Fails when the service ends, or after a minute.
    pub async fn until(&self, name: &str, mut ready: impl AsyncFnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if ready().await {
                return Ok(());
            }
            let log = &self.program.log;
            if !self.is_running() {
                bail!("{name} ended at once: {}, see {}", tail(log, 3).join(" | "), log.display());
            }
            if Instant::now() >= deadline {
                bail!("{name} is not ready after a minute, see {}", log.display());
            }
            sleep(POLL).await;
        }
    }
}

/// Ends a process that is no service, such as another `cargo local`.
pub fn terminate(pid: u32, start_time: u64) {
    if Stat::of(pid).is_some_and(|stat| stat.start_time == start_time)
        && let Some(pid) = Pid::from_raw(pid.cast_signed())
    {
        let _ = kill_process(pid, Signal::TERM);
    }
}

pub struct Stat {
    pub start_time: u64,
    group: u32,
    is_zombie: bool,
}

impl Stat {
    /// `None` if there is no such process.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may have any characters. The fields after it are numbered from 3.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3);
        Some(Self {
            start_time: field(22)?.parse().ok()?,
            group: field(5)?.parse().ok()?,
            is_zombie: matches!(*field(3)?, "Z" | "X"),
        })
    }
}

/// A field of `/proc/<pid>/status` in kB: `VmRSS` is the resident memory of a process, `VmHWM` its peak. `None` if the
/// process has ended.
pub fn memory_kb(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

/// The last `count` lines of a log.
pub fn tail(log: &Path, count: usize) -> Vec<String> {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Program, ServiceProcess};

    #[tokio::test]
    async fn a_process_is_known_by_its_start_too_and_stops_with_all_it_started() {
        let log = std::env::temp_dir().join(format!("stack-test-{}.log", std::process::id()));
        let argv = ["/bin/sh", "-c", "sleep 60 & sleep 60"].map(str::to_owned).to_vec();
        let process = ServiceProcess::start(Program { argv, env: BTreeMap::new(), log: log.clone() }).unwrap();
        assert!(process.is_running());
        let later = ServiceProcess { start_time: process.start_time + 1, ..process.clone() };
        assert!(!later.is_running());
        later.stop().await;
        assert!(process.is_running());

        process.stop().await;
        assert!(!process.is_running());
        assert!(process.group().is_empty());
        std::fs::remove_file(log).unwrap();
    }
}

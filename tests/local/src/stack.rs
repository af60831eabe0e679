//! A stack's folder: its lock, its record `stack.json`, its data and its logs. The record is written before anything
//! waits for a service, so that the next command after a `kill -9` finds the services that it must end.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::Project;
use crate::service_process::{ServiceProcess, Stat};

pub const REGION: &str = "us-east-1";
/// The emulator's root account.
pub const ACCESS_KEY_ID: &str = "test";
pub const SECRET_ACCESS_KEY: &str = "test";

const RECORD: &str = "stack.json";

/// The order in which services are stopped: first the functions with the emulator, then the services that they use.
const ORDER: [&str; 4] = ["emulator", "faults", "redis", "mongodb"];

/// The content of `stack.json`. The tests read it to find the stack, and write it when they have restarted a service.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Record {
    pub api: String,
    pub mongodb_uri: String,
    pub redis_url: String,
    pub aws_endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub bucket: String,
    pub queue_url: String,
    pub dead_letter_queue_url: String,
    /// The URL of the fault proxy between the functions and S3 and SQS. Its control API is under `/_microburst/`.
    pub faults: Option<String>,
    /// The names of the deployed functions, by the names of their folders.
    pub functions: BTreeMap<String, String>,
    pub processes: BTreeMap<String, ServiceProcess>,
}

pub struct Stack {
    folder: PathBuf,
    /// The lock is held while this value lives. It ends with this process, even after a `kill -9`.
    _lock: File,
}

pub enum Opened {
    Stack(Stack),
    /// Another `cargo local` uses the folder: its process id and the time at which it started.
    InUse {
        pid: u32,
        start_time: u64,
    },
}

impl Stack {
    /// Locks the folder and ends the services that a killed `cargo local` left running in it.
    pub async fn open(folder: PathBuf) -> Result<Opened> {
        fs::create_dir_all(folder.join("logs")).with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join("lock");
        let mut lock = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = fs::read_to_string(&path).unwrap_or_default();
                let mut owner = owner.split_whitespace();
                let pid = owner.next().and_then(|pid| pid.parse().ok()).unwrap_or_default();
                let start_time = owner.next().and_then(|time| time.parse().ok()).unwrap_or_default();
                return Ok(Opened::InUse { pid, start_time });
            }
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the stack's folder"),
        }
        lock.set_len(0)?;
        let pid = std::process::id();
        writeln!(lock, "{pid} {}", Stat::of(pid).map_or(0, |stat| stat.start_time))?;
        let stack = Self { folder, _lock: lock };
        stack.stop().await;
        stack.empty("tmp")?;
        Ok(Opened::Stack(stack))
    }

    /// The record of the stack in a folder, if a `cargo local` uses it. The stack may still be starting.
    pub fn in_use(folder: &Path) -> Option<Record> {
        let lock = File::open(folder.join("lock")).ok()?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read(&folder.join(RECORD))),
            _ => None,
        }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    pub fn record_path(&self) -> PathBuf {
        self.folder.join(RECORD)
    }

    /// An empty record if the stack was never started.
    pub fn record(&self) -> Record {
        read(&self.record_path())
    }

    pub fn write(&self, record: &Record) -> Result<()> {
        write_whole(&self.record_path(), &serde_json::to_vec_pretty(record)?)
    }

    /// Ends every service of the record. The record is read again, because a test may have restarted a service.
    pub async fn stop(&self) {
        let mut record = self.record();
        for name in ORDER {
            if let Some(process) = record.processes.remove(name) {
                process.stop().await;
            }
        }
    }

    /// Makes an empty folder in the stack's folder.
    pub fn empty(&self, relative: &str) -> Result<()> {
        let path = self.path(relative);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        self.ensure(relative)
    }

    /// Removes a file of the stack, if it exists.
    pub fn remove_file(&self, relative: &str) -> Result<()> {
        match fs::remove_file(self.path(relative)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("cannot write into .local"),
            _ => Ok(()),
        }
    }

    pub fn ensure(&self, relative: &str) -> Result<()> {
        let path = self.path(relative);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))
    }

    /// Removes the stack's folder with its lock.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}

fn read(record: &Path) -> Record {
    serde_json::from_slice(&fs::read(record).unwrap_or_default()).unwrap_or_default()
}

/// Ends and removes the stacks of tests that were killed, and removes the logs of tests that failed.
pub async fn remove_old_test_stacks(project: &Project) -> Result<()> {
    let Ok(folders) = fs::read_dir(project.local("")) else { return Ok(()) };
    for folder in folders.flatten() {
        if folder.file_name().to_string_lossy().starts_with("test-")
            && folder.path().join("lock").exists()
            && let Opened::Stack(stack) = Stack::open(folder.path()).await?
        {
            stack.remove()?;
        }
    }
    Ok(())
}

/// Replaces a file in one step, so that a reader, also one after a crash, sees the old text or the new one.
pub fn write_whole(path: &Path, text: &[u8]) -> Result<()> {
    let draft = path.with_extension("new");
    fs::write(&draft, text).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))
}

/// A free port of the loopback: `before`, if it is still free. The port stays in use until the listener is dropped, so
/// that the next call returns another.
pub fn free_port(before: Option<u16>) -> Result<TcpListener> {
    let listen = |port| TcpListener::bind(("127.0.0.1", port));
    let listener = before.and_then(|port| listen(port).ok()).map_or_else(|| listen(0), Ok);
    listener.context("no free port on 127.0.0.1")
}

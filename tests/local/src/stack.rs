//! A stack's folder: its lock, its record `stack.json`, its data and its logs. The record is written before anything
//! waits for a service, so that the next command after a `kill -9` finds the services that it must end.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::path::PathBuf;

use ::stack::{LOCK, RECORD, Stat};
pub use ::stack::{Record, write_whole};
use anyhow::{Context, Result};

use crate::Project;

pub const REGION: &str = "us-east-1";
/// The emulator's root account.
pub const ACCESS_KEY_ID: &str = "test";
pub const SECRET_ACCESS_KEY: &str = "test";

/// The order in which services are stopped: first the functions with the emulator, then the services that they use.
const ORDER: [&str; 4] = ["emulator", "faults", "redis", "mongodb"];

pub struct Stack {
    folder: PathBuf,
    /// The lock is held while this value lives. It ends with this process, even after a `kill -9`.
    _lock: File,
    /// True if the services of the stack get less processor time than those of other stacks.
    pub is_nice: bool,
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
        let path = folder.join(LOCK);
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
        let stack = Self { folder, _lock: lock, is_nice: false };
        stack.stop().await;
        stack.empty("tmp")?;
        Ok(Opened::Stack(stack))
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
        Record::read(&self.record_path()).unwrap_or_default()
    }

    pub fn write(&self, record: &Record) -> Result<()> {
        record.write(&self.record_path())
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

    /// Ends every service of the record at once: the data of the stack is not needed any more.
    pub async fn kill(&self) {
        for process in self.record().processes.values() {
            process.end().await;
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

/// Ends and removes the stacks of tests that were killed, and removes the logs of tests that failed.
pub async fn remove_old_test_stacks(project: &Project) -> Result<()> {
    let Ok(folders) = fs::read_dir(project.local("")) else { return Ok(()) };
    for folder in folders.flatten() {
        if folder.file_name().to_string_lossy().starts_with("test-")
            && folder.path().join(LOCK).exists()
            && let Opened::Stack(stack) = Stack::open(folder.path()).await?
        {
            stack.remove()?;
        }
    }
    Ok(())
}

/// A free port of the loopback: `before`, if it is still free. The port stays in use until the listener is dropped, so
/// that the next call returns another.
pub fn free_port(before: Option<u16>) -> Result<TcpListener> {
    let listen = |port| TcpListener::bind(("127.0.0.1", port));
    let listener = before.and_then(|port| listen(port).ok()).map_or_else(|| listen(0), Ok);
    listener.context("no free port on 127.0.0.1")
}

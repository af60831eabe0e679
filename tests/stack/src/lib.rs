//! A stack as `stack.json` describes it, and the processes of its services. `cargo local` starts a stack and writes the
//! description. The tests read the description to find the stack, and write it when they have restarted a service.

#![forbid(unsafe_code)]

mod process;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

pub use process::{Program, ServiceProcess, Stat, memory_kb, tail, terminate};

/// The environment variable with the path of a running stack's description.
pub const VARIABLE: &str = "FILES_MANAGER_STACK";

/// The name of the description in a stack's folder.
pub const RECORD: &str = "stack.json";
/// The file in a stack's folder that a `cargo local` locks while it uses the folder.
pub const LOCK: &str = "lock";

/// The environment variables of the C library's allocator that `template.yaml` gives to all functions. A program that measures
/// what a function does must run with the same ones.
pub const ALLOCATOR: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "16777216"), ("MALLOC_TRIM_THRESHOLD_", "33554432")];

/// The content of `stack.json`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
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
    /// The folder with the template and the functions that are deployed.
    pub build: PathBuf,
    /// The program of each function, by the name of its folder.
    pub programs: BTreeMap<String, PathBuf>,
    /// True if the functions are built as they ship.
    pub is_release: bool,
    pub processes: BTreeMap<String, ServiceProcess>,
}

impl Record {
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        write_whole(path, &serde_json::to_vec_pretty(self)?)
    }

    /// The record of the stack in a folder, if a `cargo local` uses the folder. The record of a stack that is starting
    /// is incomplete.
    pub fn in_use(folder: &Path) -> Option<Self> {
        let lock = File::open(folder.join(LOCK)).ok()?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(Self::read(&folder.join(RECORD)).unwrap_or_default()),
            _ => None,
        }
    }

    /// The path and the record of the stack that [`VARIABLE`] names.
    pub fn from_environment() -> Result<(PathBuf, Self)> {
        let path = std::env::var_os(VARIABLE).map(PathBuf::from);
        let path = path.with_context(|| format!("{VARIABLE} names no stack: run the tests with `cargo local test`"))?;
        let record = Self::read(&path)?;
        Ok((path, record))
    }

    /// The process of a service that the stack runs itself.
    pub fn process(&self, service: &str) -> Result<&ServiceProcess> {
        self.processes.get(service).with_context(|| format!("the stack does not run {service}"))
    }
}

/// Replaces a file in one step, so that a reader, also one after a crash, sees the old text or the new one.
pub fn write_whole(path: &Path, text: &[u8]) -> Result<()> {
    let draft = path.with_extension("new");
    fs::write(&draft, text).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))
}

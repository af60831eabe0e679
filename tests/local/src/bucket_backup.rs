//! Keeps the objects of S3 while the stack is deployed from nothing. The emulator writes each object to disk at once,
//! but the rest of its state only when it ends. If that state is lost, a new stack cannot create its bucket, because
//! the bucket's folder exists. So the objects are moved aside while the stack is created, and moved back under the same
//! name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::deploy::ARTIFACTS;
use crate::stack::Stack;

/// Relative to the stack's folder. Objects are files `<account>/<bucket>/<key>` below it.
pub const OBJECTS: &str = "data/s3";
pub const STATE: &str = "data/state";
const ASIDE: &str = "data/s3-aside";

/// A bucket that is aside already is not replaced: it comes from an earlier deployment that did not finish, and has the
/// right objects.
pub fn set_aside(stack: &Stack) -> Result<()> {
    for (account, bucket, path) in buckets(&stack.path(OBJECTS)) {
        let aside = stack.path(ASIDE).join(&account).join(&bucket);
        if bucket != ARTIFACTS && !aside.exists() {
            rename(&path, &aside)?;
        }
    }
    stack.empty(OBJECTS)?;
    stack.empty(STATE)
}

/// The emulator must not run: it reads its objects when it starts. The packed functions are removed, because the
/// emulator has copies of them.
pub fn restore(stack: &Stack, bucket: &str) -> Result<()> {
    for (_, name, path) in buckets(&stack.path(OBJECTS)) {
        if name == ARTIFACTS {
            remove(&path)?;
        }
    }
    for (account, name, aside) in buckets(&stack.path(ASIDE)) {
        if name == bucket {
            let path = stack.path(OBJECTS).join(account).join(name);
            if path.exists() {
                // The new bucket is empty.
                remove(&path)?;
            }
            rename(&aside, &path)?;
        }
    }
    Ok(())
}

/// Account, name and folder of each bucket.
fn buckets(folder: &Path) -> Vec<(String, String, PathBuf)> {
    let mut buckets = Vec::new();
    for (account, path) in entries(folder) {
        buckets.extend(entries(&path).into_iter().map(|(bucket, path)| (account.clone(), bucket, path)));
    }
    buckets
}

fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect()
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    let moved = || format!("cannot move {} to {}", from.display(), to.display());
    fs::create_dir_all(to.parent().unwrap_or(to)).with_context(moved)?;
    fs::rename(from, to).with_context(moved)
}

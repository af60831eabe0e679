//! The code that makes thumbnails, as a program of its own: no picture breaks it, and every picture is shown right. It
//! needs no stack but what `cargo local test` prepares: the program, which `FILES_MANAGER_PICTURES` names, and in
//! `.local` the pictures.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

mod bombs;
mod formats;
mod malformed;
mod runner;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Most memory that a picture may take, in kB, idle and all.
const MEMORY_KB: u64 = 256 << 10;

/// A folder of pictures that `cargo local test` has fetched or made.
fn local(folder: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local").join(folder);
    assert!(folder.is_dir(), "no {}: `cargo local test` fetches it, once", folder.display());
    folder
}

/// Every file in a folder and the folders in it, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A file's name.
fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// What stands behind the last dot of a name.
fn extension(name: &str) -> &str {
    name.rsplit('.').next().unwrap()
}

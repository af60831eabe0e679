//! Tests the thumbnail code as a program of its own: no image breaks it, and every image is shown right. The tests need
//! no stack, but `cargo local test` prepares the program, which `FILES_MANAGER_IMAGES` names, and the images in
//! `.local`.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

mod bombs;
mod formats;
mod malformed;
mod runner;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The largest memory of the process for an image, in kB, with the memory of the idle process.
const MEMORY_KB: u64 = 256 << 10;

/// A folder of images that `cargo local test` has fetched or made.
fn local(folder: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local").join(folder);
    assert!(folder.is_dir(), "no {}: `cargo local test` fetches it, once", folder.display());
    folder
}

/// All files in a folder and its subfolders, sorted.
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

/// The extension of a name.
fn extension(name: &str) -> &str {
    name.rsplit('.').next().unwrap()
}

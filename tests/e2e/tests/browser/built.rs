//! What esbuild has made of sources that are here, and is committed because a build of the functions needs no Node.js.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use e2e::unique;
use tokio::process::Command;

/// Asserts that `build.js` of a folder makes the files of its `dist`, byte for byte.
pub async fn is_what_its_sources_make(folder: &str, packages: OsString) {
    let folder = project(folder);
    let built = std::env::temp_dir().join(unique("built"));
    let mut node = Command::new("node");
    node.arg(folder.join("build.js")).arg(&built).env("NODE_PATH", packages);
    assert!(node.status().await.unwrap().success());
    let committed = folder.join("dist");
    assert_eq!(files(&built), files(&committed));
    for file in files(&built) {
        let same = fs::read(built.join(&file)).unwrap() == fs::read(committed.join(&file)).unwrap();
        assert!(same, "{} is not what the sources make: `node build.js` writes it anew", file.display());
    }
    fs::remove_dir_all(built).unwrap();
}

fn files(folder: &Path) -> Vec<OsString> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    files
}

fn project(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative)
}

#[tokio::test]
async fn the_web_app_is_what_its_sources_make() {
    let Some(packages) = std::env::var_os("FILES_MANAGER_APP") else { return };
    is_what_its_sources_make("functions/web/app", packages).await;
}

/// esbuild drops the types without looking at them.
#[tokio::test]
async fn the_types_of_the_web_app_are_right() {
    let Some(packages) = std::env::var_os("FILES_MANAGER_APP") else { return };
    // The compiler looks for packages beside the sources, so it gets a copy of these beside the packages.
    let copy = Path::new(&packages).parent().unwrap().join(unique("types"));
    for folder in ["app/src", "sdk"] {
        copy_all(&project("functions/web").join(folder), &copy.join(folder));
    }
    fs::copy(project("functions/web/app/tsconfig.json"), copy.join("app/tsconfig.json")).unwrap();
    let mut compiler = Command::new("node");
    compiler.arg(Path::new(&packages).join("typescript/bin/tsc")).args(["--noEmit", "--project", "app"]);
    let checked = compiler.current_dir(&copy).output().await.unwrap();
    fs::remove_dir_all(&copy).unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.file_name() == Some(OsStr::new("node_modules")) {
            continue;
        }
        if path.is_dir() {
            copy_all(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

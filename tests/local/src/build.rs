//! The functions as AWS gets them: one build of all of them by cargo-lambda, which uses every core, then `sam build`,
//! which finds them fresh and only lays them out in `.aws-sam`.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::tools::Tools;
use crate::{Project, progress, subprocess};

/// What the functions and the layout of the build are made of.
const SOURCES: [&str; 6] = ["Cargo.toml", "Cargo.lock", "shared", "functions", "template.yaml", "samconfig.toml"];

/// Programs of the tests, each a folder of `tests/`, that are built as a function is: `pictures`, and `panics`.
const PROGRAMS: [&str; 2] = ["pictures", "panics"];

const PROGRAMS_STEP: &str = "Programs of the tests (cargo lambda build)";

/// A finished build. As long as it is held no other `cargo local` builds, so that what is being deployed stays whole.
pub struct Build {
    pub template: PathBuf,
    /// Changes with the sources.
    pub fingerprint: String,
    _lock: File,
}

pub async fn build(project: &Project, tools: &Tools) -> Result<Build> {
    let lock = lock(project).await?;
    let template = project.path(".aws-sam/build/template.yaml");
    let stamp = project.local("built");
    let fingerprint = fingerprint(project)?;
    if template.exists() && fs::read_to_string(&stamp).is_ok_and(|built| built == fingerprint) {
        progress::skipped("Functions", "fresh");
        return Ok(Build { template, fingerprint, _lock: lock });
    }
    if !project.path("target/lambda").exists() {
        progress::line(
            "  The first build of the functions takes about 10 minutes on 2 cores; later ones take seconds.",
        );
    }
    let log = project.local("build.log");
    // Only the last build is of interest.
    let _ = fs::remove_file(&log);
    let step = "Functions (cargo lambda build)";
    progress::step(step, async {
        let mut cargo = subprocess::cargo();
        cargo.args(["lambda", "build", "--release"]).current_dir(project.path("")).env("PATH", tools.path());
        subprocess::run(&mut cargo, step, &log).await
    })
    .await?;
    let step = "Package (sam build)";
    progress::step(step, async {
        let mut sam = Command::new(tools.sam("sam"));
        subprocess::without_cargos_variables(&mut sam);
        sam.args(["build"]).current_dir(project.path("")).env("PATH", tools.path()).env("SAM_CLI_TELEMETRY", "0");
        subprocess::run(&mut sam, step, &log).await
    })
    .await?;
    fs::write(&stamp, &fingerprint).context("cannot write into .local")?;
    Ok(Build { template, fingerprint, _lock: lock })
}

/// Builds the programs of the tests, while nobody else builds; where each of them lies.
pub async fn build_programs(project: &Project, tools: &Tools, build: &Build) -> Result<[PathBuf; 2]> {
    let programs = PROGRAMS.map(|name| project.path(&format!("target/lambda/{name}/bootstrap")));
    let stamp = project.local("built-programs");
    let mut fingerprint = build.fingerprint.clone();
    for name in PROGRAMS {
        add(&project.path(&format!("tests/{name}")), &mut fingerprint)?;
    }
    if programs.iter().all(|program| program.exists())
        && fs::read_to_string(&stamp).is_ok_and(|built| built == fingerprint)
    {
        progress::skipped(PROGRAMS_STEP, "fresh");
        return Ok(programs);
    }
    progress::step(PROGRAMS_STEP, async {
        let mut cargo = subprocess::cargo();
        cargo.args(["lambda", "build", "--release"]);
        // With the functions beside them, which are built already, their dependencies have the features that they have there,
        // and are not compiled again.
        for package in project.functions()?.iter().map(String::as_str).chain(PROGRAMS) {
            cargo.args(["--package", package]);
        }
        cargo.current_dir(project.path("")).env("PATH", tools.path());
        subprocess::run(&mut cargo, PROGRAMS_STEP, &project.local("build.log")).await
    })
    .await?;
    fs::write(&stamp, &fingerprint).context("cannot write into .local")?;
    Ok(programs)
}

async fn lock(project: &Project) -> Result<File> {
    let path = project.local("build.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    progress::line("  Another `cargo local` is building or deploying; this one waits for it.");
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // A thread that is not waited for when this program ends: the lock may take minutes to come.
    std::thread::spawn(move || sender.send(file.lock().map(|()| file)));
    receiver.await.context("cannot lock the build")?.context("cannot lock the build")
}

/// Every source file with its size and the time it changed.
fn fingerprint(project: &Project) -> Result<String> {
    let mut text = String::new();
    for source in SOURCES {
        add(&project.path(source), &mut text)?;
    }
    Ok(text)
}

fn add(path: &Path, text: &mut String) -> Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.is_dir() {
        let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        return paths.iter().try_for_each(|path| add(path, text));
    }
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    writeln!(text, "{} {} {}", path.display(), metadata.len(), changed.as_nanos())?;
    Ok(())
}

//! Builds the functions as AWS gets them: cargo-lambda builds all of them at once and uses every core. `sam build` then
//! finds them fresh and only copies them to `.aws-sam`.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::tools::Tools;
use crate::{Project, progress, subprocess};

/// The files that the functions and the layout of the build depend on.
const SOURCES: [&str; 6] = ["Cargo.toml", "Cargo.lock", "shared", "functions", "template.yaml", "samconfig.toml"];

/// Programs of the tests that are built as functions are. Each is a folder of `tests/`.
const PROGRAMS: [&str; 2] = ["images", "panics"];

const PROGRAMS_STEP: &str = "Programs of the tests (cargo lambda build)";

/// A finished build. While this value lives no other `cargo local` builds, so that the files that are being deployed do
/// not change.
pub struct Build {
    pub template: PathBuf,
    /// Changes when a source changes.
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
    // The log is only of the last build.
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

/// Builds the programs of the tests while no other `cargo local` builds, and returns their paths.
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
        // The functions, which are built already, are named too: then the dependencies have the same features as
        // before, and are not compiled again.
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
    // The lock may take minutes to come, so a thread waits for it that does not delay the end of this program.
    std::thread::spawn(move || sender.send(file.lock().map(|()| file)));
    receiver.await.context("cannot lock the build")?.context("cannot lock the build")
}

/// The size and the modification time of every source file.
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

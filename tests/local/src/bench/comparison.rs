//! The comparison of `cargo local bench thumbnails`: three processes make thumbnails for the whole run. They take turns
//! at each image, so that a disturbance of the machine affects all three. Each works in one thread.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::json_lines::JsonLinesProgram;
use super::{build_program, median};
use crate::tools::Sam;
use crate::{Project, subprocess};

const MOST_ROUNDS: u32 = 7;
const FEWEST_ROUNDS: u32 = 3;
/// The time limit of all rounds of an image, in milliseconds. The fewest rounds may take longer.
const BUDGET: f64 = 7_000.0;
/// The shortest measurement, in milliseconds of processor time: beside it the start and the end of a measurement are
/// negligible.
const SHORTEST: f64 = 20.0;

const IMPLEMENTATIONS: [Implementation; 3] = [Implementation::Ours, Implementation::Sequential, Implementation::Once];

#[derive(Clone, Copy)]
enum Implementation {
    /// tests/images: the function's own code, built as a function is.
    Ours,
    /// sharp, called once for each thumbnail, as most programs do.
    Sequential,
    /// sharp, used by an expert: it decodes once.
    Once,
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
    /// The SSIM of our thumbnails and of sharp's, the widest first.
    pub our_ssim: [f64; 3],
    pub sharps_ssim: [f64; 3],
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
    thumbnails: [&'a Path; 2],
}

impl Comparison {
    pub async fn prepare(project: &Project, sharp: PathBuf, python: &Path) -> Result<Self> {
        let programs = Programs::prepare(project, sharp).await?;
        let [ours, sequential, once] =
            IMPLEMENTATIONS.map(|implementation| JsonLinesProgram::start(&mut programs.command(implementation)));
        let mut ssim = Command::new(python);
        ssim.arg(project.path("tests/images/bench/ssim.py")).arg(project.local("bench-images/references"));
        Ok(Self {
            workers: [ours?, sequential?, once?],
            ssim: JsonLinesProgram::start(&mut ssim)?,
            thumbnails: project.local("thumbnails"),
            programs,
        })
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
        let comparison = SsimRequest { source, thumbnails: [&folders[0], &folders[1]] };
        let [our_ssim, sharps_ssim] = self.ssim.ask(&comparison).await.context("SSIM")?;
        Ok(Outcome {
            ours: Usage::new(&ours, our_time),
            sequential: Usage::new(&sequential, sequential_time),
            once: Usage::new(&once, once_time),
            our_ssim,
            sharps_ssim,
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
        let affordable = |rounds: &u32| f64::from(*rounds) * round <= BUDGET;
        let rounds = (FEWEST_ROUNDS..=MOST_ROUNDS).rev().find(affordable).unwrap_or(FEWEST_ROUNDS);
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
}

impl Programs {
    async fn prepare(project: &Project, modules: PathBuf) -> Result<Self> {
        let sam = Sam::install(project).await?;
        let step = "Thumbnails (cargo lambda build)";
        Ok(Self {
            ours: build_program(project, &sam, step, "images", &["--package", "images"]).await?,
            modules,
            script: project.path("tests/images/bench/sharp/thumbnails.js"),
        })
    }

    fn command(&self, implementation: Implementation) -> Command {
        match implementation {
            Implementation::Ours => Command::new(&self.ours),
            Implementation::Sequential | Implementation::Once => {
                let mut node = self.sharp();
                node.arg(implementation.name());
                node
            }
        }
    }

    fn sharp(&self) -> Command {
        let mut node = Command::new("node");
        node.arg(&self.script).env("NODE_PATH", &self.modules).env("UV_THREADPOOL_SIZE", "1");
        node
    }
}

//! Runs the thumbnailer of the worker without its queue and its stores, to measure it, and to give it images that are made
//! to break it. It reads lines of JSON, `{"source": path, "repeat": 1, "out": folder or none}`, and answers each with a line
//! that has the cost of all repeats together.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use thumbnailer::Request;

/// The widths of the thumbnails, as the worker makes them.
const WIDTHS: [u32; 3] = [500, 250, 100];

#[derive(Deserialize)]
struct Job {
    source: PathBuf,
    #[serde(default = "once")]
    repeat: u32,
    /// The folder that the thumbnails are written into, as `500`, `250` and `100` with the extension of their format.
    out: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// True if the codec is built as it ships.
    is_release: bool,
    /// User and system time of all threads.
    cpu_ms: f64,
    wall_ms: f64,
    /// The peak memory of this process so far, and its memory before it read the source.
    peak_kb: u64,
    idle_kb: u64,
    /// The reason why there are no thumbnails.
    error: Option<String>,
    /// The sizes of the thumbnails, the widest first.
    bytes: Vec<usize>,
}

fn main() -> Result<()> {
    for line in stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?).context("a job is a line of JSON")?;
        let report = serde_json::to_string(&run(&job)?)?;
        writeln!(stdout(), "{report}")?;
    }
    Ok(())
}

fn run(job: &Job) -> Result<Report> {
    let idle_kb = memory("VmRSS:")?;
    let source = fs::read(&job.source).with_context(|| format!("cannot read {}", job.source.display()))?;
    let (started, cpu) = (Instant::now(), cpu_ms());
    let mut result = thumbnailer::make(&source, Request { widths: &WIDTHS, heic: true });
    for _ in 1..job.repeat {
        result = thumbnailer::make(&source, Request { widths: &WIDTHS, heic: true });
    }
    let (cpu_ms, wall_ms) = (cpu_ms() - cpu, started.elapsed().as_secs_f64() * 1e3);
    let (thumbnails, error) = match result {
        Ok(made) => (made.thumbnails, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    if let Some(folder) = &job.out {
        for thumbnail in &thumbnails {
            let extension = thumbnail.content_type.trim_start_matches("image/");
            fs::write(folder.join(format!("{}.{extension}", thumbnail.width)), &thumbnail.bytes)?;
        }
    }
    let bytes = thumbnails.iter().map(|thumbnail| thumbnail.bytes.len()).collect();
    Ok(Report {
        is_release: !cfg!(debug_assertions),
        cpu_ms,
        wall_ms,
        peak_kb: memory("VmHWM:")?,
        idle_kb,
        error,
        bytes,
    })
}

fn once() -> u32 {
    1
}

/// The CPU time of all threads.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a process does not run for a hundred years")]
    let ms = time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6;
    ms
}

fn memory(field: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("it is not in /proc/self/status")?;
    line.trim().trim_end_matches(" kB").parse().context("no number in /proc/self/status")
}

//! `cargo local bench thumbnails` measures the processor time and memory of thumbnails, and their SSIM to the image,
//! beside those that sharp makes. It prints a table. A broken limit fails the command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use super::comparison::{Comparison, Outcome, Usage};
use super::{date, geometric_mean, machine};
use crate::progress::line;
use crate::{Project, progress, subprocess, tools};

const WIDTHS: [u32; 3] = [500, 250, 100];

/// The kinds of images, and the largest share of sharp's time that the geometric mean of each kind may have.
const KINDS: [Kind; 5] = [
    Kind { id: "jpeg", name: "baseline JPEG", max_of_three: 0.40, max_of_one: 0.90 },
    Kind { id: "progressive", name: "progressive JPEG", max_of_three: 0.35, max_of_one: f64::INFINITY },
    Kind { id: "png", name: "PNG", max_of_three: 0.40, max_of_one: f64::INFINITY },
    Kind { id: "webp", name: "WebP", max_of_three: 0.60, max_of_one: f64::INFINITY },
    Kind { id: "gif", name: "GIF", max_of_three: 1.0, max_of_one: f64::INFINITY },
];
/// The largest share of the time of sharp's three calls that any one JPEG may take.
const MAX_OF_ANY_JPEG: f64 = 0.6;
/// The largest difference by which the SSIM of a thumbnail may be below that of sharp's.
const MAX_LOSS: f64 = 0.002;
/// In MB.
const MAX_PEAK: f64 = 96.0;
/// The limit for a baseline JPEG of up to 24 megapixels, in MB.
const MAX_PEAK_OF_JPEG: f64 = 48.0;

const HEADER: &str = "
| image | MP | ours, CPU ms | wall ms | sharp ×3, CPU ms | sharp ×1, CPU ms | ours / ×3 | ours / ×1 | ours, peak MB \
| sharp, peak MB | our lowest SSIM | worst SSIM − sharp's | bytes / sharp's |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

const LEGEND: &str = "
CPU is user and system time of one thread that makes all three thumbnails: the median of several rounds, in which ours and
sharp take turns. ×3 is one call of sharp for each thumbnail, ×1 decodes once. Memory, SSIM and bytes are compared with ×3.
Peak is VmHWM of a process that does nothing else. SSIM compares the luma of a thumbnail with a Lanczos reduction of the
whole image.";

struct Kind {
    id: &'static str,
    name: &'static str,
    max_of_three: f64,
    max_of_one: f64,
}

/// `only` is a part of the names of the images to measure.
pub async fn bench(project: &Project, only: &str) -> Result<ExitCode> {
    let sharp = tools::sharp(project).await?;
    let python = tools::imaging(project).await?;
    let mut images = list(project, &python).await?;
    images.retain(|image| image.name.contains(only));
    ensure!(!images.is_empty(), "no image has {only:?} in its name");
    let mut comparison = Comparison::prepare(project, sharp, &python).await?;

    let mut rows = Vec::new();
    let mut broken = Vec::new();
    line(HEADER);
    for image in images {
        let source = project.local("bench-images/images").join(&image.file);
        match comparison.measure(&image.name, &source).await {
            Ok(outcome) => {
                let row = Row { image, outcome };
                line(row.cells());
                broken.extend(row.broken_limits());
                rows.push(row);
            }
            Err(error) => {
                line(format!("| {} | {:.1} | {error:#} |", image.name, image.megapixels));
                broken.push(format!("{}: {error:#}", image.name));
            }
        }
    }
    line(LEGEND);
    line(format!("\n{}.\n", circumstances(&comparison).await?));
    broken.extend(summary(&rows));

    for limit in &broken {
        progress::notice(format!("broken limit: {limit}"));
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Deserialize)]
struct BenchImage {
    name: String,
    kind: String,
    file: PathBuf,
    megapixels: f64,
}

/// Makes the images, if they are not made, and returns the list of them.
async fn list(project: &Project, python: &Path) -> Result<Vec<BenchImage>> {
    #[derive(Deserialize)]
    struct List {
        images: Vec<BenchImage>,
    }

    let folder = project.local("bench-images");
    fs::create_dir_all(&folder).context("cannot create .local/bench-images")?;
    let step = "Images (two minutes the first time)";
    let mut make = Command::new(python);
    make.arg(project.path("tests/images/bench/bench_images.py")).arg(&folder);
    progress::step(step, subprocess::run(&mut make, step, &project.local("bench-images.log"))).await?;
    let text = fs::read_to_string(folder.join("images.json")).context("cannot read the list of images")?;
    let list: List = serde_json::from_str(&text).context("the list of images is damaged")?;
    Ok(list.images)
}

struct Row {
    image: BenchImage,
    outcome: Outcome,
}

impl Row {
    fn cells(&self) -> String {
        let BenchImage { name, megapixels, .. } = &self.image;
        let Outcome { ours, sequential, once, our_ssim, .. } = &self.outcome;
        let lowest = our_ssim.iter().copied().fold(1.0, f64::min);
        let cells = [
            name.clone(),
            format!("{megapixels:.1}"),
            format!("{:.1}", ours.cpu),
            format!("{:.1}", ours.wall),
            format!("{:.1}", sequential.cpu),
            format!("{:.1}", once.cpu),
            format!("{:.2}", self.of_three()),
            format!("{:.2}", self.of_one()),
            format!("{:.0}", ours.peak),
            format!("{:.0}", sequential.peak),
            format!("{lowest:.4}"),
            format!("{:+.4}", self.worst_difference()),
            format!("{:.2}", ours.bytes / sequential.bytes),
        ];
        format!("| {} |", cells.join(" | "))
    }

    fn of_three(&self) -> f64 {
        self.outcome.ours.cpu / self.outcome.sequential.cpu
    }

    fn of_one(&self) -> f64 {
        self.outcome.ours.cpu / self.outcome.once.cpu
    }

    /// The difference of our SSIM from sharp's, for each of [`WIDTHS`].
    fn differences(&self) -> [f64; 3] {
        let Outcome { our_ssim, sharps_ssim, .. } = self.outcome;
        std::array::from_fn(|width| our_ssim[width] - sharps_ssim[width])
    }

    fn worst_difference(&self) -> f64 {
        self.differences().into_iter().fold(f64::INFINITY, f64::min)
    }

    fn is_jpeg(&self) -> bool {
        ["jpeg", "progressive"].contains(&self.image.kind.as_str())
    }

    fn broken_limits(&self) -> Vec<String> {
        let BenchImage { name, kind, megapixels, .. } = &self.image;
        let mut broken = Vec::new();
        let part = self.of_three();
        if self.is_jpeg() && part > MAX_OF_ANY_JPEG {
            broken.push(format!("{name}: {part:.2} of sharp's time is more than {MAX_OF_ANY_JPEG}"));
        }
        let max_peak = if kind == "jpeg" && *megapixels <= 24.0 { MAX_PEAK_OF_JPEG } else { MAX_PEAK };
        let peak = self.outcome.ours.peak;
        if peak > max_peak {
            broken.push(format!("{name}: {peak:.0} MB of memory is more than {max_peak} MB"));
        }
        for (width, difference) in WIDTHS.into_iter().zip(self.differences()) {
            if difference < -MAX_LOSS {
                broken.push(format!("{name}: SSIM at {width} is {:.4} less than sharp's", -difference));
            }
        }
        broken
    }
}

/// Prints the summary and returns the broken limits.
fn summary(rows: &[Row]) -> Vec<String> {
    let mut broken = Vec::new();
    for Kind { id, name, max_of_three, max_of_one } in KINDS {
        let of_kind: Vec<_> = rows.iter().filter(|row| row.image.kind == id).collect();
        if of_kind.is_empty() {
            continue;
        }
        let of_three = geometric_mean(of_kind.iter().map(|row| row.of_three()));
        let of_one = geometric_mean(of_kind.iter().map(|row| row.of_one()));
        line(format!(
            "- {name}: {of_three:.2} of sharp ×3, {of_one:.2} of sharp ×1 (geometric means of {})",
            of_kind.len()
        ));
        for (part, max, of) in [(of_three, max_of_three, "×3"), (of_one, max_of_one, "×1")] {
            if part > max {
                broken.push(format!("{name}: {part:.2} of the time of sharp {of} is more than {max}"));
            }
        }
    }
    let jpegs = rows.iter().filter(|row| row.is_jpeg());
    if let Some(worst) = jpegs.max_by(|a, b| a.of_three().total_cmp(&b.of_three())) {
        line(format!("- slowest JPEG: {:.2} of sharp ×3 ({})", worst.of_three(), worst.image.name));
    }
    if let Some(worst) = rows.iter().min_by(|a, b| a.worst_difference().total_cmp(&b.worst_difference())) {
        line(format!("- worst SSIM − sharp's: {:+.4} ({})", worst.worst_difference(), worst.image.name));
    }
    if rows.is_empty() {
        return broken;
    }
    let idle = |usage: fn(&Outcome) -> &Usage| {
        let idle = rows.iter().map(|row| usage(&row.outcome).idle);
        idle.fold(0.0, f64::max)
    };
    line(format!(
        "- memory before the image is read: ours {:.0} MB, sharp's {:.0} MB",
        idle(|outcome| &outcome.ours),
        idle(|outcome| &outcome.sequential)
    ));
    broken
}

/// The date and the machine of this run.
async fn circumstances(comparison: &Comparison) -> Result<String> {
    let (date, machine) = (date().await?, machine()?);
    let versions = comparison.versions().await?;
    Ok(format!(
        "{date}, {machine}, sharp {} with libvips {} on Node.js {}",
        versions.sharp, versions.libvips, versions.node
    ))
}

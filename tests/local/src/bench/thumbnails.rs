//! `cargo local bench thumbnails` measures the processor time and memory of thumbnails, and their SSIM to the image,
//! beside those that sharp makes, and for formats that sharp does not read, beside those of other programs, as far as these
//! are installed. It prints a table of each. A broken limit fails the command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use super::comparison::{Comparison, Other, Outcome, Usage};
use super::{date, geometric_mean, machine};
use crate::progress::line;
use crate::{Project, progress, subprocess, tools};

const WIDTHS: [u32; 3] = [500, 250, 100];

/// The kinds of images, and the largest share of the other time that the geometric mean of each kind may have.
const KINDS: [Kind; 10] = [
    Kind { id: "jpeg", name: "baseline JPEG", other: Other::Sharp, max_of_three: 0.36, max_of_one: 0.80 },
    Kind { id: "progressive", name: "progressive JPEG", other: Other::Sharp, max_of_three: 0.35, max_of_one: ANY },
    Kind { id: "png", name: "PNG", other: Other::Sharp, max_of_three: 0.40, max_of_one: ANY },
    Kind { id: "webp", name: "WebP", other: Other::Sharp, max_of_three: 0.60, max_of_one: ANY },
    Kind { id: "gif", name: "GIF", other: Other::Sharp, max_of_three: 1.0, max_of_one: ANY },
    Kind { id: "tiff", name: "TIFF", other: Other::Sharp, max_of_three: 0.45, max_of_one: 1.2 },
    Kind { id: "heic", name: "HEIC", other: Other::HeifThumbnailer, max_of_three: 0.32, max_of_one: 0.90 },
    Kind { id: "bmp", name: "BMP", other: Other::ImageMagick, max_of_three: 0.06, max_of_one: 0.16 },
    Kind { id: "ico", name: "ICO", other: Other::ImageMagick, max_of_three: 0.05, max_of_one: 0.06 },
    Kind { id: "jxl", name: "JPEG XL", other: Other::Djxl, max_of_three: 0.23, max_of_one: 0.70 },
];
const ANY: f64 = f64::INFINITY;
/// The largest share of the time of sharp's three calls that any one JPEG may take.
const MAX_OF_ANY_JPEG: f64 = 0.6;
/// The largest difference by which the SSIM of a thumbnail may be below that of sharp's.
const MAX_LOSS: f64 = 0.002;
/// The lowest SSIM of a thumbnail of a format that sharp does not read.
const MIN_SSIM: f64 = 0.94;
/// In MB.
const MAX_PEAK: f64 = 96.0;
/// The limit for a baseline JPEG of up to 24 megapixels, in MB.
const MAX_PEAK_OF_JPEG: f64 = 48.0;

const HEADER: &str = "
| image | MP | ours, CPU ms | wall ms | sharp ×3, CPU ms | sharp ×1, CPU ms | ours / ×3 | ours / ×1 | ours, peak MB \
| sharp, peak MB | our lowest SSIM | worst SSIM − sharp's | bytes / sharp's |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

const HEADER_OF_PROGRAMS: &str = "
| image | MP | program | ours, CPU ms | wall ms | program ×3, CPU ms | program ×1, CPU ms | ours / ×3 | ours / ×1 \
| ours, peak MB | program, peak MB | our lowest SSIM | program's lowest SSIM |
|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

const LEGEND: &str = "
CPU is user and system time of one thread that makes all three thumbnails: the median of several rounds, in which ours and
sharp take turns. ×3 is one call of sharp for each thumbnail, ×1 decodes once. Memory, SSIM and bytes are compared with ×3.
Peak is VmHWM of a process that does nothing else. SSIM compares the luma of a thumbnail with a Lanczos reduction of the
whole image.";

const LEGEND_OF_PROGRAMS: &str = "
Formats that sharp does not read. The time of a program is that of its processes from their start to their end. ×3 is one
process for each thumbnail. ×1 is ImageMagick decoding once for all three, heif-thumbnailer making only the widest, and djxl
decoding once; djxl makes no thumbnails.";

struct Kind {
    id: &'static str,
    name: &'static str,
    other: Other,
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
    for other in Other::ALL {
        let (of_other, rest) = images.into_iter().partition(|image: &BenchImage| image.other() == Some(other));
        images = rest;
        broken.extend(compare(project, &mut comparison, other, of_other, &mut rows).await?);
    }
    legend(&comparison, &rows).await?;
    broken.extend(summary(&rows));

    for limit in &broken {
        progress::notice(format!("broken limit: {limit}"));
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures images beside one other implementation, prints a row of each, and returns the broken limits.
async fn compare(
    project: &Project,
    comparison: &mut Comparison,
    other: Other,
    images: Vec<BenchImage>,
    rows: &mut Vec<Row>,
) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    if images.is_empty() {
        return Ok(broken);
    }
    if !other.is_installed() {
        progress::notice(format!("{} is not installed, so that its images are not measured", other.name()));
        return Ok(broken);
    }
    if other == Other::Sharp {
        line(HEADER);
    } else if rows.iter().all(|row| row.other == Other::Sharp) {
        line(HEADER_OF_PROGRAMS);
    }
    comparison.set_other(other)?;
    for image in images {
        let source = project.local("bench-images/images").join(&image.file);
        match comparison.measure(&image.name, &source).await {
            Ok(outcome) => {
                let row = Row { image, other, outcome };
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
    Ok(broken)
}

/// Prints what the tables mean, and with which versions they were measured.
async fn legend(comparison: &Comparison, rows: &[Row]) -> Result<()> {
    line(LEGEND);
    let mut circumstances = circumstances(comparison).await?;
    if rows.iter().any(|row| row.other != Other::Sharp) {
        line(LEGEND_OF_PROGRAMS);
        circumstances = format!("{circumstances}; {}", comparison.program_versions().await?);
    }
    line(format!("\n{circumstances}.\n"));
    Ok(())
}

#[derive(Deserialize)]
struct BenchImage {
    name: String,
    kind: String,
    file: PathBuf,
    megapixels: f64,
}

impl BenchImage {
    fn other(&self) -> Option<Other> {
        KINDS.iter().find(|kind| kind.id == self.kind).map(|kind| kind.other)
    }
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
    make.arg("-B").arg(project.path("tests/images/bench/bench_images.py")).arg(&folder);
    progress::step(step, subprocess::run(&mut make, step, &project.local("bench-images.log"))).await?;
    let text = fs::read_to_string(folder.join("images.json")).context("cannot read the list of images")?;
    let list: List = serde_json::from_str(&text).context("the list of images is damaged")?;
    Ok(list.images)
}

struct Row {
    image: BenchImage,
    other: Other,
    outcome: Outcome,
}

impl Row {
    fn cells(&self) -> String {
        let BenchImage { name, megapixels, .. } = &self.image;
        let Outcome { ours, sequential, once, our_ssim, other_ssim } = &self.outcome;
        let lowest = |ssim: &[f64; 3]| format!("{:.4}", lowest(ssim));
        let mut cells = vec![name.clone(), format!("{megapixels:.1}")];
        if self.other != Other::Sharp {
            cells.push(self.other.name().to_owned());
        }
        cells.extend([
            format!("{:.1}", ours.cpu),
            format!("{:.1}", ours.wall),
            format!("{:.1}", sequential.cpu),
            format!("{:.1}", once.cpu),
            format!("{:.2}", self.of_three()),
            format!("{:.2}", self.of_one()),
            format!("{:.0}", ours.peak),
            format!("{:.0}", sequential.peak),
            lowest(our_ssim),
        ]);
        match (self.worst_difference(), other_ssim) {
            (Some(difference), _) => {
                cells.extend([format!("{difference:+.4}"), format!("{:.2}", ours.bytes / sequential.bytes)]);
            }
            (None, Some(ssim)) => cells.push(lowest(ssim)),
            (None, None) => cells.push("none".to_owned()),
        }
        format!("| {} |", cells.join(" | "))
    }

    fn of_three(&self) -> f64 {
        self.outcome.ours.cpu / self.outcome.sequential.cpu
    }

    fn of_one(&self) -> f64 {
        self.outcome.ours.cpu / self.outcome.once.cpu
    }

    /// The difference of our SSIM from sharp's, for each of [`WIDTHS`]. None beside another implementation.
    fn differences(&self) -> Option<[f64; 3]> {
        let Outcome { our_ssim, other_ssim, .. } = self.outcome;
        let sharps_ssim = other_ssim.filter(|_| self.other == Other::Sharp)?;
        Some(std::array::from_fn(|width| our_ssim[width] - sharps_ssim[width]))
    }

    fn worst_difference(&self) -> Option<f64> {
        self.differences().map(|differences| lowest(&differences))
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
        for (width, difference) in WIDTHS.into_iter().zip(self.differences().into_iter().flatten()) {
            if difference < -MAX_LOSS {
                broken.push(format!("{name}: SSIM at {width} is {:.4} less than sharp's", -difference));
            }
        }
        let ssim = lowest(&self.outcome.our_ssim);
        if self.other != Other::Sharp && ssim < MIN_SSIM {
            broken.push(format!("{name}: SSIM {ssim:.4} is less than {MIN_SSIM}"));
        }
        broken
    }
}

fn lowest(ssim: &[f64; 3]) -> f64 {
    ssim.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Prints the summary and returns the broken limits.
fn summary(rows: &[Row]) -> Vec<String> {
    let mut broken = Vec::new();
    for Kind { id, name, other, max_of_three, max_of_one } in KINDS {
        let of_kind: Vec<_> = rows.iter().filter(|row| row.image.kind == id).collect();
        if of_kind.is_empty() {
            continue;
        }
        let other = other.name();
        let of_three = geometric_mean(of_kind.iter().map(|row| row.of_three()));
        let of_one = geometric_mean(of_kind.iter().map(|row| row.of_one()));
        line(format!(
            "- {name}: {of_three:.2} of {other} ×3, {of_one:.2} of {other} ×1 ({})",
            if let [_] = of_kind[..] {
                "one image".to_owned()
            } else {
                format!("geometric means of {}", of_kind.len())
            }
        ));
        for (part, max, of) in [(of_three, max_of_three, "×3"), (of_one, max_of_one, "×1")] {
            if part > max {
                broken.push(format!("{name}: {part:.2} of the time of {other} {of} is more than {max}"));
            }
        }
    }
    let jpegs = rows.iter().filter(|row| row.is_jpeg());
    if let Some(worst) = jpegs.max_by(|a, b| a.of_three().total_cmp(&b.of_three())) {
        line(format!("- slowest JPEG: {:.2} of sharp ×3 ({})", worst.of_three(), worst.image.name));
    }
    let differences = rows.iter().filter_map(|row| Some((row.worst_difference()?, &row.image.name)));
    if let Some((difference, name)) = differences.min_by(|a, b| a.0.total_cmp(&b.0)) {
        line(format!("- worst SSIM − sharp's: {difference:+.4} ({name})"));
    }
    let beside_sharp = || rows.iter().filter(|row| row.other == Other::Sharp);
    if beside_sharp().next().is_none() {
        return broken;
    }
    let idle = |usage: fn(&Outcome) -> &Usage| {
        let idle = beside_sharp().map(|row| usage(&row.outcome).idle);
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

//! R21: a decompression bomb is refused quickly and in little memory.

use std::path::Path;

use e2e::record_measurement;

use crate::{
    MEMORY_KB, files, local, name,
    runner::{Report, Runner},
};

/// The limits for a bomb. The memory is beside that of the idle process.
const WALL_MS: f64 = 5.0;

/// A quick build may take so many times as long.
const QUICK_BUILD: f64 = 20.0;
const BOMB_KB: u64 = 32 << 10;

/// Runs each bomb in a new process that has decoded a valid image before. Returns the least time and the most memory of
/// several runs.
fn cost(bomb: &str) -> (Report, f64, u64) {
    let mut wall = f64::INFINITY;
    let mut memory = 0;
    let mut last = None;
    for _ in 0..7 {
        let mut runner = Runner::start();
        let warm = runner.make(&local("fixtures").join("seeds/tiny.png"), None).unwrap();
        assert_eq!((warm.error, warm.bytes.len()), (None, 3));
        let report =
            runner.make(&local("fixtures/bombs").join(bomb), None).unwrap_or_else(|end| panic!("{bomb}: {end}"));
        wall = wall.min(report.wall_ms);
        memory = memory.max(report.peak_kb.saturating_sub(report.idle_kb));
        last = Some(report);
    }
    (last.unwrap(), wall, memory)
}

#[test]
fn r21_a_bomb_is_refused_quickly_and_in_little_memory() {
    // `None`: a small image beside data that is never decoded may be shown.
    let pixels = Some("too many pixels: ");
    let too_much = Some("damaged image: it has more data than its rows need");
    let groups = Some("damaged image: too many groups of codes: 65536");
    let expected = [
        ("324-megapixels-1-bit.png", pixels),
        ("324-megapixels-8-bit.png", pixels),
        ("5000-frames.gif", None),
        ("baseline-65535.jpg", pixels),
        ("clear-codes.gif", too_much),
        ("deflate-blocks.png", too_much),
        ("deflate-blocks.tif", Some("damaged image: rows are missing, or have more data than they need")),
        ("empty-idat.png", too_much),
        ("extents.heic", Some("damaged image: an item is longer than the file")),
        ("grid-65535.heic", pixels),
        ("header-of-100000.png", Some("too many pixels: 100000 x 100000, the limit is 200 million and 16384 a side")),
        ("huffman-tables.jpg", Some("damaged image: more than 64 Huffman tables for a scan")),
        ("item-65535.heic", pixels),
        ("items.heic", Some("damaged image: its iinf box")),
        ("itxt.png", None),
        ("mask-65535.bmp", pixels),
        ("png-100000.ico", pixels),
        ("prefix-code-groups-1024.webp", groups),
        ("prefix-code-groups.webp", groups),
        ("profile-tags.jpg", None),
        ("profile.png", Some("damaged image: ")),
        ("progressive-65535.jpg", pixels),
        ("screen-65535.gif", pixels),
        ("shared-tiles.heic", Some("damaged image: the tiles do not fit the grid")),
        ("size-of-30-bits.jxl", pixels),
        ("strip-65535.tif", pixels),
        ("two-sizes.heic", Some("damaged image: two sizes")),
        ("vp8.webp", pixels),
        ("vp8l.webp", Some("")),
        ("vp8x-16-million.webp", Some("")),
        ("vp8x.webp", pixels),
        ("ztxt.png", None),
    ];
    let bombs = files(&local("fixtures/bombs"));
    assert!(bombs.iter().map(|path| name(path)).eq(expected.map(|(name, _)| name)), "{bombs:?}");

    let mut broken = Vec::new();
    let (mut slowest, mut largest) = (0.0_f64, 0);
    for (bomb, reason) in expected {
        let (report, wall, memory) = cost(bomb);
        println!("{bomb}: {wall:.2} ms, {memory} kB, {:?}", report.error);
        (slowest, largest) = (slowest.max(wall), largest.max(memory));
        let good = match (reason, &report.error) {
            (reason, Some(error)) => {
                error.len() > "damaged image: ".len() && error.starts_with(reason.unwrap_or_default())
            }
            (Some(_), None) => false,
            (None, None) => report.bytes.len() == 3,
        };
        if !good {
            broken.push(format!("{bomb}: {:?}", report.error));
        }
        if wall >= if report.is_release { WALL_MS } else { QUICK_BUILD * WALL_MS } {
            broken.push(format!("{bomb} takes {wall:.1} ms"));
        }
        if memory >= BOMB_KB {
            broken.push(format!("{bomb} takes {memory} kB"));
        }
    }
    let count = expected.len();
    record_measurement(
        "R21",
        "bombs",
        format_args!("{count} bombs: at most {slowest:.2} ms and {largest} kB above idle"),
    );
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn r21_a_legal_image_of_the_most_pixels_fits() {
    let expected = [
        "250-megapixels-progressive.jpg",
        "250-megapixels.jpg",
        "250-megapixels.png",
        "baseline.jpg",
        "gradient.gif",
        "grid.heic",
        "interlaced.png",
        "jpeg-strip.tif",
        "lossless.webp",
        "lossy.webp",
        "one-strip.tif",
        "palette.bmp",
        "progressive.jpg",
        "rgb.png",
        "rgba16.png",
    ];
    let largest = fit("large", &expected);
    record_measurement(
        "R21",
        "legal",
        format_args!("{} images of 49 to 250 MP: peak of at most {} MB", expected.len(), largest >> 10),
    );
}

#[test]
fn r21_a_legal_image_that_is_narrow_fits() {
    // Noise of 999 x 16384 pixels, which is reduced only when the whole image is decoded.
    let largest = fit("narrow", &["noise.webp"]);
    record_measurement("R21", "narrow", format_args!("999 x 16384 noise: peak of {} MB", largest >> 10));
}

#[test]
fn r21_a_legal_image_without_tiles_fits() {
    // HEIC of 32 million samples.
    let largest = fit("whole", &["420.heic", "444.heic", "alpha.heic"]);
    record_measurement("R21", "whole", format_args!("HEIC without tiles: peak of at most {} MB", largest >> 10));
}

/// Asserts that all images of a folder get thumbnails in less memory than [`MEMORY_KB`]. Returns the largest peak, in
/// kB.
#[track_caller]
fn fit(folder: &str, expected: &[&str]) -> u64 {
    let images = files(&local("fixtures").join(folder));
    assert!(images.iter().map(|path| name(path)).eq(expected.iter().copied()), "{images:?}");
    let mut broken = Vec::new();
    let mut largest = 0;
    for path in &images {
        match made(path) {
            Ok(report) => {
                println!("{}: {:.0} ms, {} kB", name(path), report.wall_ms, report.peak_kb);
                largest = largest.max(report.peak_kb);
                if report.bytes.len() != 3 {
                    broken.push(format!("{}: {:?}", name(path), report.error));
                }
                if report.peak_kb >= MEMORY_KB {
                    broken.push(format!("{} takes {} MB", name(path), report.peak_kb / 1024));
                }
            }
            Err(end) => broken.push(format!("{}: {end}", name(path))),
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    largest
}

/// Makes the thumbnails of an image in a new process. It has three tries, because other processes may have used the time
/// that a decoder may take.
fn made(path: &Path) -> Result<Report, String> {
    let mut report = Runner::start().make(path, None)?;
    for _ in 0..2 {
        if report.error.as_ref().is_some_and(|error| error.contains("takes too long")) {
            report = Runner::start().make(path, None)?;
        }
    }
    Ok(report)
}

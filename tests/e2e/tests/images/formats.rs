//! Every kind of image is shown as Pillow shows it, upright and in sRGB, and its metadata is not published.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use image::RgbaImage;
use serde::Deserialize;

use crate::{extension, files, local, name, runner::Runner};

/// The expected content of an image: patches in rows, each of one colour.
#[derive(Deserialize)]
struct Expected {
    width: u32,
    height: u32,
    columns: u32,
    rows: u32,
    colors: Vec<Vec<[u8; 4]>>,
}

/// A folder for the thumbnails of one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The thumbnails of an image as they are stored, the widest first, each with its extension.
fn thumbnails(runner: &mut Runner, image: &Path, folder: &Path) -> Result<Vec<(String, Vec<u8>)>, String> {
    for before in files(folder) {
        fs::remove_file(before).unwrap();
    }
    let report = runner.make(image, Some(folder)).unwrap_or_else(|end| panic!("{}: {end}", image.display()));
    if let Some(error) = report.error {
        return Err(error);
    }
    let mut made: Vec<_> = files(folder).into_iter().map(|path| (name(&path).to_owned(), path)).collect();
    made.sort_by_key(|(name, _)| {
        name.split('.').next().and_then(|width| width.parse::<i32>().ok()).map(|width| -width)
    });
    Ok(made.into_iter().map(|(name, path)| (name, fs::read(path).unwrap())).collect())
}

/// The largest difference of a thumbnail's colours from the expected ones, and its patch.
fn difference(seen: &RgbaImage, expected: &Expected) -> (u8, String) {
    let mut worst = (0, String::new());
    for (row, y) in expected.colors.iter().zip(0..) {
        for (&color, x) in row.iter().zip(0..) {
            let middle = |at: u32, count: u32, size: u32| (2 * at + 1) * size / (2 * count);
            let (at_x, at_y) = (middle(x, expected.columns, seen.width()), middle(y, expected.rows, seen.height()));
            let there = seen.get_pixel(at_x, at_y).0;
            // A transparent patch has no colour.
            let channels = if color[3] == 0 { 3..4 } else { 0..4 };
            let off = channels.map(|channel| there[channel].abs_diff(color[channel])).max().unwrap();
            if off > worst.0 {
                worst = (off, format!("{there:?} and not {color:?} in patch {x}, {y}"));
            }
        }
    }
    worst
}

/// Asserts that all three thumbnails of every chosen image are right.
fn are_shown_right(what: &str, at_least: usize, chosen: impl Fn(&str) -> bool) {
    let fixtures = local("fixtures/formats");
    let expected: BTreeMap<String, Expected> =
        serde_json::from_slice(&fs::read(fixtures.join("expected.json")).unwrap()).unwrap();
    let chosen: Vec<_> = expected.iter().filter(|(name, _)| chosen(name)).collect();
    assert!(chosen.len() >= at_least, "{} images only", chosen.len());
    let (mut runner, folder) = (Runner::start(), folder(what));
    let mut wrong = Vec::new();
    for (name, expected) in chosen {
        let made = match thumbnails(&mut runner, &fixtures.join(name), &folder) {
            Ok(made) => made,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        assert_eq!(made.len(), 3, "of {name}");
        for ((file, bytes), target) in made.iter().zip([500, 250, 100]) {
            let seen = image::load_from_memory(bytes).unwrap().into_rgba8();
            let width = expected.width.min(target);
            let size = (width, (2 * width * expected.height + expected.width) / (2 * expected.width));
            if seen.dimensions() != size {
                wrong.push(format!("{name}, {file}: {:?} and not {size:?}", seen.dimensions()));
                continue;
            }
            // A small JPEG mixes the colours of neighbouring patches.
            let tolerance = match (extension(file) == "png", target) {
                (true, _) => 6,
                (false, 100) => 24,
                (false, _) => 10,
            };
            let (off, how) = difference(&seen, expected);
            if off > tolerance {
                wrong.push(format!("{name}, {file}: {how}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// True for an image with a colour profile.
fn has_profile(name: &str) -> bool {
    ["display-p3.", "adobe-rgb.", "swapped.", "srgb."].iter().any(|profile| name.starts_with(profile))
}

fn is_turned(name: &str) -> bool {
    name.starts_with("exif-")
}

#[test]
fn a_photo_is_upright_however_the_camera_was_held() {
    are_shown_right("turned", 12, is_turned);
}

#[test]
fn a_color_profile_is_applied() {
    are_shown_right("profiles", 18, has_profile);
}

#[test]
fn every_kind_of_jpeg_is_shown_right() {
    are_shown_right("jpeg", 15, |name| extension(name) == "jpg" && !is_turned(name) && !has_profile(name));
}

#[test]
fn every_kind_of_png_is_shown_right() {
    are_shown_right("png", 50, |name| extension(name) == "png" && !is_turned(name) && !has_profile(name));
}

#[test]
fn every_kind_of_gif_is_shown_right() {
    are_shown_right("gif", 5, |name| extension(name) == "gif");
}

#[test]
fn every_kind_of_webp_is_shown_right() {
    are_shown_right("webp", 5, |name| extension(name) == "webp" && !is_turned(name) && !has_profile(name));
}

#[test]
fn every_kind_of_heic_is_shown_right() {
    are_shown_right("heic", 30, |name| extension(name) == "heic" && !has_profile(name));
}

#[test]
fn every_kind_of_tiff_is_shown_right() {
    are_shown_right("tiff", 30, |name| extension(name) == "tif" && !is_turned(name) && !has_profile(name));
}

#[test]
fn every_kind_of_bmp_is_shown_right() {
    are_shown_right("bmp", 9, |name| extension(name) == "bmp");
}

#[test]
fn every_kind_of_icon_is_shown_right() {
    are_shown_right("ico", 3, |name| extension(name) == "ico");
}

#[test]
fn every_kind_of_jpeg_xl_is_shown_right() {
    are_shown_right("jxl", 4, |name| extension(name) == "jxl" && !is_turned(name) && !has_profile(name));
}

#[test]
fn every_image_of_the_png_suite_has_thumbnails() {
    let mut suite = files(&local("corpora/crates/spng-sys-0.2.0-alpha.3/libspng/tests/images"));
    suite.retain(|path| extension(name(path)) == "png");
    assert!(suite.len() >= 175, "{} images only", suite.len());
    let mut runner = Runner::start();
    let mut wrong = Vec::new();
    for path in &suite {
        let report = runner.make(path, None).unwrap_or_else(|end| panic!("{}: {end}", path.display()));
        // The names of intentionally broken images begin with an x.
        if report.error.is_some() != name(path).starts_with('x') {
            wrong.push(format!("{}: {:?}", name(path), report.error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The markers of a JPEG's segments.
fn segments(jpeg: &[u8]) -> Vec<u8> {
    let mut markers = Vec::new();
    let mut at = 2;
    while jpeg[at + 1] != 0xda {
        assert_eq!(jpeg[at], 0xff);
        markers.push(jpeg[at + 1]);
        at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    }
    markers
}

/// The names of a PNG's chunks.
fn chunks(png: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 8;
    while at < png.len() {
        names.push(String::from_utf8_lossy(&png[at + 4..at + 8]).into_owned());
        at += 12 + u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
    }
    names
}

#[test]
fn a_thumbnail_has_no_metadata() {
    let (mut runner, folder) = (Runner::start(), folder("secrets"));
    let secrets = files(&local("fixtures/secrets"));
    assert_eq!(secrets.len(), 5);
    for path in secrets {
        let source = fs::read(&path).unwrap();
        let holds = |bytes: &[u8], secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(holds(&source, b"sentinel"), "{} has a secret", path.display());
        for (file, bytes) in thumbnails(&mut runner, &path, &folder).unwrap() {
            assert!(!holds(&bytes, b"sentine"), "{}, {file}", path.display());
            if extension(&file) == "png" {
                let pixels_only = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"];
                let chunks = chunks(&bytes);
                assert!(
                    chunks.iter().all(|name| pixels_only.contains(&name.as_str())),
                    "{}: {chunks:?}",
                    path.display()
                );
            } else {
                // Only JFIF's header, tables and the frame: no segment of another application and no comment.
                let segments = segments(&bytes);
                let pixels_only = |marker: &u8| matches!(marker, 0xe0 | 0xdb | 0xc0 | 0xc2 | 0xc4 | 0xdd);
                assert!(segments.iter().all(pixels_only), "{}: {segments:x?}", path.display());
                assert!(bytes.ends_with(b"\xff\xd9"), "{}", path.display());
            }
        }
    }
}

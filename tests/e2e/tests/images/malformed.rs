//! R22: malformed files never crash.

use std::{
    fs,
    ops::AddAssign,
    path::{Path, PathBuf},
};

use e2e::{fixtures::crc32, record_measurement};

use crate::{MEMORY_KB, extension, files, local, name, runner::Runner};

/// The longest time for any image.
const WALL_MS: f64 = 2000.0;

/// The results of many images.
#[derive(Debug, Default)]
struct Tally {
    images: usize,
    with_thumbnails: usize,
    /// The images that broke a promise, and how.
    broken: Vec<String>,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.images += other.images;
        self.with_thumbnails += other.with_thumbnails;
        self.broken.extend(other.broken);
    }
}

/// Runs all images in one process, as a function does, and starts a new one when it ends or has used too much memory.
struct Judge {
    runner: Runner,
    tally: Tally,
}

impl Judge {
    fn new() -> Self {
        Self { runner: Runner::start(), tally: Tally::default() }
    }

    fn see(&mut self, path: &Path) {
        self.tally.images += 1;
        match self.broken_by(path) {
            Ok(made) => self.tally.with_thumbnails += usize::from(made),
            Err(how) => {
                self.tally.broken.push(format!("{}: {how}", path.display()));
                self.runner = Runner::start();
            }
        }
    }

    /// The same for an image that is generated. It is saved if it breaks a promise.
    fn see_made(&mut self, name: &str, bytes: &[u8]) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, bytes).unwrap();
        let before = self.tally.broken.len();
        self.see(&path);
        if self.tally.broken.len() == before {
            fs::remove_file(path).unwrap();
        }
    }

    /// True if the image has thumbnails; an error if it breaks a promise.
    fn broken_by(&mut self, path: &Path) -> Result<bool, String> {
        let mut report = self.runner.make(path, None)?;
        // It has three tries, because other processes may have used the machine.
        for _ in 0..2 {
            if report.wall_ms >= WALL_MS {
                report = self.runner.make(path, None)?;
            }
        }
        match (&report.error, report.bytes.len()) {
            _ if report.wall_ms >= WALL_MS => Err(format!("{:.0} ms", report.wall_ms)),
            _ if report.peak_kb >= MEMORY_KB => Err(format!("{} MB", report.peak_kb / 1024)),
            (Some(error), 0) if !error.is_empty() => Ok(false),
            (None, 3) => Ok(true),
            odd => Err(format!("{odd:?}")),
        }
    }
}

fn all_of(paths: &[PathBuf]) -> Tally {
    let mut judge = Judge::new();
    for path in paths {
        judge.see(path);
    }
    judge.tally
}

#[track_caller]
fn is_harmless(corpus: &str, tally: &Tally, at_least: usize, with_thumbnails: usize) {
    println!("{corpus}: {} images, {} with thumbnails", tally.images, tally.with_thumbnails);
    assert!(tally.broken.is_empty(), "{corpus}: {:#?}", tally.broken);
    assert!(tally.images >= at_least, "{corpus} has {} images only", tally.images);
    assert!(tally.with_thumbnails >= with_thumbnails, "{corpus}: {} have thumbnails", tally.with_thumbnails);
    let broken = tally.broken.len();
    record_measurement("R22", corpus, format_args!("{} images, {broken} crashed or took more than 2 s", tally.images));
}

#[test]
fn r22_malformed_files_never_crash_of_pillow() {
    let tally = all_of(&files(&local("corpora/pillow-12.3.0/Tests/images")));
    is_harmless("Pillow", &tally, 1050, 600);
}

#[test]
fn r22_malformed_files_never_crash_of_libpng() {
    let image = local("corpora/crates/sdl3-image-src-3.4.8/SDL_image");
    let tally = all_of(&[files(&image.join("external/libpng/contrib")), files(&image.join("test"))].concat());
    is_harmless("libpng", &tally, 250, 150);
}

#[test]
fn r22_malformed_files_never_crash_of_libspng() {
    let tests = local("corpora/crates/spng-sys-0.2.0-alpha.3/libspng/tests");
    let tally = all_of(&[files(&tests.join("crashers")), files(&tests.join("images"))].concat());
    is_harmless("libspng", &tally, 200, 150);
}

#[test]
fn r22_malformed_files_never_crash_of_a_fuzzer() {
    let mut judge = Judge::new();
    for path in files(&local("corpora/crates/png-0.16.0/seed")) {
        judge.see(&path);
        // A fuzzer found it with a decoder that ignored the checksums.
        judge.see_made(&format!("{}.png", name(&path)), &with_checksums(fs::read(&path).unwrap()));
    }
    // None of these images is complete.
    is_harmless("a fuzzer's PNGs", &judge.tally, 2 * 800, 0);
}

#[test]
fn r22_malformed_files_never_crash_nor_do_hollow_ones() {
    let tally = all_of(&files(&local("fixtures/hollow")));
    is_harmless("hollow", &tally, 20, 0);
}

#[test]
fn r22_malformed_files_never_crash_nor_do_costly_ones() {
    let tally = all_of(&files(&local("fixtures/costly")));
    is_harmless("costly", &tally, 1, 0);
}

/// A random generator with the same numbers in each run.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % sides
    }
}

/// The seed with a few changed bytes: random ones, flipped bits, or extreme values of sizes and lengths.
fn flipped(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.roll(6) {
        // Half of the changes are in the headers.
        let within = if dice.roll(2) == 0 { bytes.len() } else { bytes.len().min(200) };
        let at = dice.roll(within);
        bytes[at] = match dice.roll(3) {
            0 => u8::try_from(dice.roll(256)).unwrap(),
            1 => bytes[at] ^ 1 << dice.roll(8),
            _ => [0, 1, 0x7f, 0x80, 0xff][dice.roll(5)],
        };
    }
    bytes
}

/// The PNG with correct checksums, so that a decoder accepts its damaged chunks.
fn with_checksums(mut png: Vec<u8>) -> Vec<u8> {
    let mut at = 8;
    while let Some(length) = png.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(end) = at.checked_add(8 + length).filter(|end| end + 4 <= png.len()) else { break };
        let checksum = crc32(&png[at + 4..end]).to_be_bytes();
        png[end..end + 4].copy_from_slice(&checksum);
        at = end + 4;
    }
    png
}

/// Tests the seed cut off at 64 positions and damaged in 500 ways.
fn damaged(seed: &Path) -> Tally {
    let whole = fs::read(seed).unwrap();
    let mut judge = Judge::new();
    judge.see(seed);
    assert_eq!(judge.tally.with_thumbnails, 1, "{} is whole: {:?}", seed.display(), judge.tally);
    for place in 0..64 {
        judge.see_made(&format!("cut-off-{place}-{}", name(seed)), &whole[..whole.len() * place / 64]);
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for way in 0..500 {
        let mut bytes = flipped(&whole, &mut dice);
        if bytes.starts_with(b"\x89PNG") && way % 4 != 0 {
            bytes = with_checksums(bytes);
        }
        judge.see_made(&format!("damaged-{way}-{}", name(seed)), &bytes);
    }
    judge.tally
}

fn whatever_damages_a(format: &str) {
    let seeds: Vec<_> =
        files(&local("fixtures/seeds")).into_iter().filter(|seed| extension(name(seed)) == format).collect();
    assert!(seeds.len() >= 2, "{seeds:?}");
    let mut tally = Tally::default();
    for seed in &seeds {
        tally += damaged(seed);
    }
    is_harmless(&format!("damaged {format}"), &tally, seeds.len() * 565, seeds.len());
}

#[test]
fn r22_a_damaged_jpeg_never_crashes() {
    whatever_damages_a("jpg");
}

#[test]
fn r22_a_damaged_png_never_crashes() {
    whatever_damages_a("png");
}

#[test]
fn r22_a_damaged_gif_never_crashes() {
    whatever_damages_a("gif");
}

#[test]
fn r22_a_damaged_webp_never_crashes() {
    whatever_damages_a("webp");
}

#[test]
fn r22_a_damaged_heic_never_crashes() {
    whatever_damages_a("heic");
}

#[test]
fn r22_a_damaged_tiff_never_crashes() {
    whatever_damages_a("tif");
}

#[test]
fn r22_a_damaged_bmp_never_crashes() {
    whatever_damages_a("bmp");
}

#[test]
fn r22_a_damaged_icon_never_crashes() {
    whatever_damages_a("ico");
}

#[test]
fn r22_a_damaged_jpeg_xl_never_crashes() {
    whatever_damages_a("jxl");
}

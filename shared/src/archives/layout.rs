//! The parts of a ZIP at S3. Nothing is compressed, so the place of every byte is known before a byte is read: the parts
//! follow from the plan alone, and may be made in any order, by any number of builders.
//!
//! A part is either gathered in memory or copied by S3 from one object. All parts but the last need
//! [`limits::MIN_PART_BYTES`]. So before the copied part of a large file, the part in memory must be long enough: it takes
//! as many bytes from the beginning of the file as it lacks, and S3 copies the rest. A file whose rest were too short is
//! gathered whole.

use std::ops::Range;

use anyhow::anyhow;

use super::{
    format::{end_len, write_end},
    plan::{Checksums, Entry, Plan},
};
use crate::{Error, Result, limits};

/// A piece of a part in memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// The record before the content of an entry.
    Header(usize),
    /// Bytes of the content of an entry.
    Content(usize, Range<u64>),
    /// The directory, with the records after it.
    Directory,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Gathered { pieces: Vec<Piece>, size: u64 },
    Copied { entry: usize, range: Range<u64> },
}

impl Part {
    pub fn size(&self) -> u64 {
        match self {
            Self::Gathered { size, .. } => *size,
            Self::Copied { range, .. } => range.end - range.start,
        }
    }
}

pub struct Layout {
    pub parts: Vec<Part>,
    /// The place of the record before each entry.
    pub offsets: Vec<u64>,
    /// The place of the directory, and its length without the records after it.
    pub directory: (u64, u64),
    /// The size of the ZIP.
    pub size: u64,
}

/// The limits of S3 and of the memory of the builder. `copied` is at least twice `least`, so that a half is not too
/// short.
#[derive(Clone, Copy)]
struct Sizes {
    least: u64,
    gathered: u64,
    copied: u64,
    copies: usize,
}

/// The reason why there is no ZIP.
pub const TOO_MANY_PARTS: &str = "The ZIP would have more parts than S3 takes: take a part of it";

impl Layout {
    /// # Errors
    /// `TooLarge` if there is no layout with as few parts as S3 takes.
    pub fn of(plan: &Plan) -> Result<Self> {
        let total: u64 = plan.entries.iter().map(|entry| entry.size).sum();
        let copied = limits::ZIP_COPY_BYTES.max(total.div_ceil(limits::MAX_ZIP_COPIES as u64 / 2));
        // A copied file takes at least two parts. Where many files are a little larger than a part must be, fewer parts are
        // needed if these are gathered.
        for copies in [limits::MAX_ZIP_COPIES, limits::MAX_ZIP_COPIES / 4, 0] {
            for gathered in limits::ZIP_PART_BYTES {
                let sizes = Sizes { least: limits::MIN_PART_BYTES, gathered, copied, copies };
                let layout = Self::with(&plan.entries, sizes);
                if layout.parts.len() <= limits::MAX_PARTS.into() {
                    return Ok(layout);
                }
            }
        }
        Err(Error::TooLarge(TOO_MANY_PARTS))
    }

    fn with(entries: &[Entry], sizes: Sizes) -> Self {
        let mut parts = Parts::new(sizes);
        let mut copied = Copied::of(entries, sizes);
        let (mut offsets, mut at) = (Vec::with_capacity(entries.len()), 0);
        for (number, entry) in entries.iter().enumerate() {
            offsets.push(at);
            let header = entry.header().local_len();
            at += header + entry.size;
            parts.gather(Piece::Header(number), header);
            if copied.has(entry.size) && parts.copy(number, entry.size) {
                continue;
            }
            parts.gather_content(number, entry.size);
        }
        let directory = entries.iter().zip(&offsets).map(|(entry, offset)| entry.header().central_len(*offset)).sum();
        let end = end_len(entries.len() as u64, directory, at);
        parts.gather(Piece::Directory, directory + end);
        parts.flush();
        Self { parts: parts.done, offsets, directory: (at, directory), size: at + directory + end }
    }

    /// Writes the directory, with the records after it.
    ///
    /// # Errors
    /// `Internal` if a checksum is not known.
    pub fn write_directory(&self, plan: &Plan, checksums: &Checksums, out: &mut Vec<u8>) -> Result<()> {
        for (number, (entry, offset)) in plan.entries.iter().zip(&self.offsets).enumerate() {
            let crc32 = checksums.get(number);
            let crc32 = crc32.ok_or_else(|| Error::Internal(anyhow!("a checksum of a ZIP is not known")))?;
            entry.header().write_central(crc32, *offset, out);
        }
        let (offset, size) = self.directory;
        write_end(plan.entries.len() as u64, size, offset, out);
        Ok(())
    }
}

/// The files that S3 copies: the largest.
struct Copied {
    /// All files that are larger are copied.
    above: u64,
    /// So many files of just this size are copied, the first ones.
    equal: usize,
}

impl Copied {
    fn of(entries: &[Entry], sizes: Sizes) -> Self {
        let mut large: Vec<u64> = entries.iter().map(|entry| entry.size).filter(|size| *size >= sizes.least).collect();
        if large.len() <= sizes.copies {
            return Self { above: sizes.least.saturating_sub(1), equal: 0 };
        }
        large.sort_unstable();
        let largest = &large[large.len() - sizes.copies..];
        let Some(&above) = largest.first() else { return Self { above: u64::MAX, equal: 0 } };
        Self { above, equal: largest.iter().take_while(|size| **size == above).count() }
    }

    fn has(&mut self, size: u64) -> bool {
        if size == self.above && self.equal > 0 {
            self.equal -= 1;
            return true;
        }
        size > self.above
    }
}

struct Parts {
    sizes: Sizes,
    done: Vec<Part>,
    /// The part that is being gathered.
    pieces: Vec<Piece>,
    size: u64,
}

impl Parts {
    fn new(sizes: Sizes) -> Self {
        Self { sizes, done: Vec::new(), pieces: Vec::new(), size: 0 }
    }

    fn gather(&mut self, piece: Piece, size: u64) {
        self.pieces.push(piece);
        self.size += size;
    }

    fn flush(&mut self) {
        if !self.pieces.is_empty() {
            self.done.push(Part::Gathered {
                pieces: std::mem::take(&mut self.pieces),
                size: std::mem::take(&mut self.size),
            });
        }
    }

    /// Gathers the content of an entry. A small file is never in two parts, so that its checksum, which comes before it, is
    /// known once the part is gathered.
    fn gather_content(&mut self, entry: usize, size: u64) {
        if size < self.sizes.least {
            if size > 0 {
                self.gather(Piece::Content(entry, 0..size), size);
            }
            if self.size >= self.sizes.gathered {
                self.flush();
            }
            return;
        }
        let mut at = 0;
        while at < size {
            let some = (size - at).min(self.sizes.gathered.saturating_sub(self.size).max(1));
            self.gather(Piece::Content(entry, at..at + some), some);
            at += some;
            if self.size >= self.sizes.gathered {
                self.flush();
            }
        }
    }

    /// Lets S3 copy the content of an entry, but for the first bytes. Returns `false` if the rest is too short.
    fn copy(&mut self, entry: usize, size: u64) -> bool {
        let first = self.sizes.least.saturating_sub(self.size);
        if size.saturating_sub(first) < self.sizes.least {
            return false;
        }
        if first > 0 {
            self.gather(Piece::Content(entry, 0..first), first);
        }
        self.flush();
        // In pieces of about the same size, so that the last is not too short.
        let count = (size - first).div_ceil(self.sizes.copied.max(self.sizes.least));
        let mut at = first;
        for left in (1..=count).rev() {
            let end = at + (size - at) / left;
            self.done.push(Part::Copied { entry, range: at..end });
            at = end;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::{Seek, SeekFrom, Write},
        path::Path,
        process::Command,
    };

    use super::*;
    use crate::{stores::s3::Key, time::Timestamp};

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn plan(sizes: impl IntoIterator<Item = u64>) -> Plan {
        let mut plan = Plan::default();
        for (n, size) in sizes.into_iter().enumerate() {
            let key = Some(Key::random().unwrap());
            plan.add(Entry { path: n.to_string(), key, size, crc32: None, modified: Timestamp::now() }).unwrap();
        }
        plan
    }

    /// Checks that the parts are the ZIP: each byte once, in order, and no part too short or too long.
    fn check(layout: &Layout, entries: &[Entry], least: u64) {
        let (mut at, mut headers, mut contents, mut has_directory) = (0, 0, vec![0; entries.len()], false);
        for (n, part) in layout.parts.iter().enumerate() {
            assert!(part.size() >= least || n + 1 == layout.parts.len(), "part {n} has {}", part.size());
            assert!(part.size() <= limits::MAX_PART_BYTES);
            let pieces = match part {
                Part::Gathered { pieces, .. } => pieces.clone(),
                Part::Copied { entry, range } => vec![Piece::Content(*entry, range.clone())],
            };
            let begin = at;
            for piece in pieces {
                assert!(!has_directory);
                match piece {
                    Piece::Header(entry) => {
                        assert_eq!((entry, at), (headers, layout.offsets[entry]));
                        headers += 1;
                        at += entries[entry].header().local_len();
                    }
                    Piece::Content(entry, range) => {
                        assert_eq!((entry + 1, range.start), (headers, contents[entry]));
                        let is_whole = range.start == 0 && range.end == entries[entry].size;
                        assert!(entries[entry].size >= least || is_whole, "a small file is in two parts");
                        contents[entry] = range.end;
                        at += range.end - range.start;
                    }
                    Piece::Directory => {
                        assert_eq!(at, layout.directory.0);
                        has_directory = true;
                        at = layout.size;
                    }
                }
            }
            assert_eq!(at - begin, part.size());
        }
        assert!(has_directory && headers == entries.len());
        assert_eq!(contents, entries.iter().map(|entry| entry.size).collect::<Vec<_>>());
        assert!(layout.size >= layout.directory.0 + layout.directory.1 + 22);
    }

    #[test]
    fn f54_parts_are_the_zip_for_any_sizes() {
        // A generator by Lehmer, so that a failure can be repeated.
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state * 48_271 % 0x7FFF_FFFF;
            state % below
        };
        for _ in 0..2000 {
            let sizes = Sizes { least: 500, gathered: 500 + random(1000), copied: 1000 + random(2000), copies: 4 };
            let most = [1, 400, 1200, 6000][usize::try_from(random(4)).unwrap()];
            let count = random(30);
            let plan = plan((0..count).map(|_| random(most)));
            check(&Layout::with(&plan.entries, sizes), &plan.entries, 500);
        }
    }

    /// Zeros take no room on the disk, and the parts that S3 copies are not written.
    #[test]
    fn f54_a_zip_of_more_than_4_gib_opens() {
        let sizes = [5, 4 * GIB + 7, 9, 0, 12 * MIB];
        let plan = plan(sizes);
        let layout = Layout::of(&plan).unwrap();
        let mut checksums = Checksums::of(&plan);
        for (entry, size) in sizes.into_iter().enumerate() {
            let zeros = vec![0; 1 << 20];
            let (mut hasher, mut whole) = (crc32fast::Hasher::new(), crc32fast::Hasher::new());
            whole.update(&zeros);
            // The zeros of each bit of the size.
            let mut rest = size / MIB;
            while rest > 0 {
                if rest % 2 == 1 {
                    hasher.combine(&whole);
                }
                whole.combine(&whole.clone());
                rest /= 2;
            }
            hasher.update(&zeros[..usize::try_from(size % MIB).unwrap()]);
            checksums.set(entry, hasher.finalize());
        }
        // Reading zeros that no disk has takes no memory there, and elsewhere 4 GiB of it.
        let folder = Path::new("/dev/shm");
        let folder = if folder.is_dir() { folder.to_owned() } else { std::env::temp_dir() };
        let path = folder.join(format!("files-manager-{}.zip", std::process::id()));
        let mut file = File::create(&path).unwrap();
        for (entry, offset) in layout.offsets.iter().enumerate() {
            let mut header = Vec::new();
            plan.entries[entry].header().write_local(checksums.get(entry).unwrap(), &mut header);
            file.seek(SeekFrom::Start(*offset)).unwrap();
            file.write_all(&header).unwrap();
        }
        let mut directory = Vec::new();
        layout.write_directory(&plan, &checksums, &mut directory).unwrap();
        file.seek(SeekFrom::Start(layout.directory.0)).unwrap();
        file.write_all(&directory).unwrap();
        assert_eq!(file.metadata().unwrap().len(), layout.size);

        let script = "import sys, zipfile; archive = zipfile.ZipFile(sys.argv[1]); assert archive.testzip() is None; \
                      print([entry.file_size for entry in archive.infolist()])";
        let read = Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
        let printed = String::from_utf8_lossy(&read.stdout).trim().to_owned();
        // Other readers of ZIPs, where they are installed. Unzip would take 24 s for the content of the large entry, which the
        // others read in 2 s.
        let without_the_large = &["0", "2", "3", "4"][..];
        for (program, test, entries) in [("unzip", "-tq", without_the_large), ("7zz", "t", &[]), ("7z", "t", &[])] {
            if let Ok(tested) = Command::new(program).arg(test).arg(&path).args(entries).output() {
                assert!(tested.status.success(), "{program}: {}", String::from_utf8_lossy(&tested.stdout));
            }
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(printed, format!("{sizes:?}"), "{}", String::from_utf8_lossy(&read.stderr));
    }

    #[test]
    fn f56_a_large_file_is_copied_but_for_its_first_bytes() {
        let plan = plan([GIB; 10]);
        let layout = Layout::of(&plan).unwrap();
        check(&layout, &plan.entries, limits::MIN_PART_BYTES);
        let gathered: u64 =
            layout.parts.iter().filter(|part| matches!(part, Part::Gathered { .. })).map(Part::size).sum();
        assert!(gathered <= 10 * limits::MIN_PART_BYTES + 10_000, "{gathered}");
        assert_eq!(layout.parts.len(), 10 + 10 * 4 + 1);
    }

    #[test]
    fn f54_zips_of_any_shape_have_as_few_parts_as_s3_takes() {
        for (count, size, zip64) in [
            (0, 0, false),
            (1, 0, false),
            (1, 5 * MIB, false),
            (1, 10 * MIB, false),
            (70_000, 100, true),
            (200_000, MIB, true),
            (4000, 11 * MIB, true),
            (4001, 11 * MIB, true),
            (100_000, 6 * MIB, true),
            (4000, GIB, true),
            (1, 5 * (GIB << 10) - 2 * GIB, true),
        ] {
            let plan = plan(std::iter::repeat_n(size, count));
            let layout = Layout::of(&plan).unwrap();
            check(&layout, &plan.entries, limits::MIN_PART_BYTES);
            assert!(layout.parts.len() <= 10_000);
            assert_eq!(layout.size > u32::MAX.into() || count > 65_534, zip64, "{count} of {size}");
        }
        // More than ten thousand parts of the largest size in memory.
        assert!(matches!(Layout::of(&plan(std::iter::repeat_n(150 * MIB, 20_000))), Err(Error::TooLarge(_))));
    }
}

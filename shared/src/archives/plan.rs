//! The list of what a ZIP contains, in the order of its entries. It is an object beside the ZIP, because it does not fit
//! into a document of `MongoDB`, and never changes: so every builder of the ZIP makes the same bytes.

use serde::{Deserialize, Serialize};

use super::format::Header;
use crate::{Error, Result, limits, stores::s3::Key, time::Timestamp};

/// An entry of a ZIP.
pub struct Entry {
    /// The path, with `/` at the end for a folder.
    pub path: String,
    /// The object; `None` for a folder.
    pub key: Option<Key>,
    pub size: u64,
    /// The checksum, if a row had it.
    pub crc32: Option<u32>,
    pub modified: Timestamp,
}

impl Entry {
    pub fn header(&self) -> Header<'_> {
        Header { path: &self.path, size: self.size, modified: self.modified }
    }
}

#[derive(Default)]
pub struct Plan {
    pub entries: Vec<Entry>,
    /// The bytes of all paths.
    paths: usize,
    /// The bytes of all contents.
    bytes: u64,
}

/// An entry as it is stored, a line each.
#[derive(Serialize, Deserialize)]
struct Line(String, Option<Key>, u64, Option<u32>, i64);

/// The reasons why there is no ZIP.
pub const TOO_MANY: &str = "The ZIP would have more than 200000 entries, or too long paths: take a part of it";
pub const TOO_LARGE: &str = "The ZIP would be larger than 5 TiB: take a part of it";

impl Plan {
    /// Adds an entry.
    ///
    /// # Errors
    /// `TooLarge` if the ZIP would have too many entries, or too many bytes.
    pub fn add(&mut self, entry: Entry) -> Result<()> {
        self.paths += entry.path.len();
        self.bytes = self.bytes.saturating_add(entry.size);
        // A record has 16 bits for the length of a path.
        let is_too_long = entry.path.len() > u16::MAX.into();
        if is_too_long || self.entries.len() >= limits::MAX_ZIP_ENTRIES || self.paths > limits::MAX_ZIP_PATHS {
            return Err(Error::TooLarge(TOO_MANY));
        }
        // The records take far less than the rest.
        if self.bytes > limits::MAX_ZIP_BYTES - (1 << 30) {
            return Err(Error::TooLarge(TOO_LARGE));
        }
        self.entries.push(entry);
        Ok(())
    }

    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut lines = Vec::new();
        for Entry { path, key, size, crc32, modified } in &self.entries {
            let line = (path, key, size, crc32, modified.millis());
            serde_json::to_writer(&mut lines, &line).map_err(|error| Error::Internal(error.into()))?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    pub fn decode(stored: &[u8]) -> Result<Self> {
        let mut plan = Self::default();
        for line in stored.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let Line(path, key, size, crc32, modified) =
                serde_json::from_slice(line).map_err(|error| Error::Internal(error.into()))?;
            plan.add(Entry { path, key, size, crc32, modified: Timestamp::from_millis(modified) })?;
        }
        Ok(plan)
    }
}

/// The checksums of the entries, as far as they are known. They are an object beside the ZIP, too.
#[derive(Clone, Default)]
pub struct Checksums {
    known: Vec<Option<u32>>,
    /// Files of which a part has been read: the entry, the bytes that were read, and their checksum.
    begun: Vec<(u32, u64, u32)>,
    /// True if something is known that is not stored.
    pub is_changed: bool,
}

/// A checksum as it is stored: whether it is known, and its four bytes.
const CHECKSUM_BYTES: usize = 5;
const BEGUN_BYTES: usize = 16;

impl Checksums {
    /// The checksums that are known without reading a byte.
    pub fn of(plan: &Plan) -> Self {
        let known = |entry: &Entry| entry.crc32.or((entry.size == 0).then_some(0));
        Self { known: plan.entries.iter().map(known).collect(), begun: Vec::new(), is_changed: false }
    }

    pub fn get(&self, entry: usize) -> Option<u32> {
        self.known.get(entry).copied().flatten()
    }

    pub fn set(&mut self, entry: usize, crc32: u32) {
        self.begun.retain(|(begun, ..)| *begun as usize != entry);
        self.is_changed = true;
        if let Some(known) = self.known.get_mut(entry) {
            *known = Some(crc32);
        }
    }

    /// The bytes that have been read of an entry, and their checksum.
    pub fn begun(&self, entry: usize) -> (u64, u32) {
        let found = self.begun.iter().find(|(begun, ..)| *begun as usize == entry);
        found.map_or((0, 0), |&(_, read, crc32)| (read, crc32))
    }

    pub fn set_begun(&mut self, entry: usize, read: u64, crc32: u32) {
        let Ok(entry) = u32::try_from(entry) else { return };
        self.begun.retain(|(begun, ..)| *begun != entry);
        self.begun.push((entry, read, crc32));
        self.is_changed = true;
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CHECKSUM_BYTES * self.known.len() + BEGUN_BYTES * self.begun.len());
        for known in &self.known {
            bytes.push(known.is_some().into());
            bytes.extend(known.unwrap_or_default().to_le_bytes());
        }
        for (entry, read, crc32) in &self.begun {
            bytes.extend(entry.to_le_bytes());
            bytes.extend(read.to_le_bytes());
            bytes.extend(crc32.to_le_bytes());
        }
        bytes
    }

    /// Adds what is stored for a ZIP with this plan. What is too short counts as absent.
    pub fn add(&mut self, stored: &[u8]) {
        let Some((known, begun)) = stored.split_at_checked(CHECKSUM_BYTES * self.known.len()) else { return };
        for (entry, stored) in self.known.iter_mut().zip(known.chunks_exact(CHECKSUM_BYTES)) {
            if let [1, crc32 @ ..] = stored
                && let Ok(crc32) = crc32.try_into()
            {
                *entry = Some(u32::from_le_bytes(crc32));
            }
        }
        for stored in begun.chunks_exact(BEGUN_BYTES) {
            let number = |at: usize| stored[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
            let read = u64::from(number(4)) | u64::from(number(8)) << 32;
            self.begun.push((number(0), read, number(12)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, size: u64, crc32: Option<u32>) -> Entry {
        let key = (!path.ends_with('/')).then(|| Key::random().unwrap());
        Entry { path: path.into(), key, size, crc32, modified: Timestamp::from_millis(1_795_348_800_123) }
    }

    fn plan(entries: impl IntoIterator<Item = Entry>) -> Plan {
        let mut plan = Plan::default();
        entries.into_iter().try_for_each(|entry| plan.add(entry)).unwrap();
        plan
    }

    #[test]
    fn a_plan_is_read_as_it_was_stored() {
        let plan = plan([entry("a/", 0, None), entry("a/\u{2028}\n\"é.txt", 5, Some(7)), entry("b", 1 << 42, None)]);
        let read = Plan::decode(&plan.encode().unwrap()).unwrap();
        assert_eq!(read.entries.len(), 3);
        for (read, planned) in read.entries.iter().zip(&plan.entries) {
            assert_eq!((&read.path, &read.key, read.size), (&planned.path, &planned.key, planned.size));
            assert_eq!((read.crc32, read.modified), (planned.crc32, planned.modified));
        }
    }

    #[test]
    fn a_plan_has_limits() {
        let mut one = Plan::default();
        assert!(matches!(one.add(entry(&"x".repeat(65_536), 1, None)), Err(Error::TooLarge(TOO_MANY))));
        let mut large = Plan::default();
        large.add(entry("a", limits::MAX_ZIP_BYTES / 2, None)).unwrap();
        assert!(matches!(large.add(entry("b", limits::MAX_ZIP_BYTES / 2, None)), Err(Error::TooLarge(TOO_LARGE))));
        let mut many = Plan::default();
        for _ in 0..limits::MAX_ZIP_ENTRIES {
            many.add(entry("a/", 0, None)).unwrap();
        }
        assert!(matches!(many.add(entry("a/", 0, None)), Err(Error::TooLarge(TOO_MANY))));
    }

    #[test]
    fn checksums_are_read_as_they_were_stored() {
        let plan =
            plan([entry("a/", 0, None), entry("a/b", 5, Some(7)), entry("c", 1 << 42, None), entry("d", 3, None)]);
        let mut checksums = Checksums::of(&plan);
        assert_eq!([0, 1, 2, 3].map(|at| checksums.get(at)), [Some(0), Some(7), None, None]);
        checksums.set(3, u32::MAX);
        checksums.set_begun(2, 1 << 33, 5);
        let mut read = Checksums::of(&plan);
        read.add(&checksums.encode());
        assert_eq!([0, 1, 2, 3].map(|at| read.get(at)), [Some(0), Some(7), None, Some(u32::MAX)]);
        assert_eq!((read.begun(2), read.begun(3)), ((1 << 33, 5), (0, 0)));
        read.set(2, 9);
        assert_eq!((read.get(2), read.begun(2)), (Some(9), (0, 0)));
        let mut damaged = Checksums::of(&plan);
        damaged.add(&[1; 3]);
        assert_eq!(damaged.get(3), None);
    }
}

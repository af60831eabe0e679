//! The records of a ZIP file, as PKWARE's APPNOTE 6.3.9 has them: entries are stored without compression, with ZIP64 only
//! where a number needs it, because macOS' Archive Utility mistrusts it elsewhere.
//!
//! The writer is our own, because the crates for ZIP write content too. Here most content is copied by S3 and never seen,
//! and the records around it are written before it, in any order. So sizes and checksums come before the content, and no
//! entry has a data descriptor, without which Archive Utility cannot unpack a stored entry.

use crate::time::Timestamp;

/// Bit 11: names are UTF-8.
const UTF8: u16 = 1 << 11;
const STORED: u16 = 0;

/// The versions of the format that an entry needs: 2.0 for folders, 4.5 for ZIP64.
const NEEDS_2_0: u16 = 20;
const NEEDS_4_5: u16 = 45;

/// Made on Unix, so that the permissions count.
const MADE_BY: u16 = 3 << 8 | NEEDS_4_5;
const FILE: u32 = 0o100_644 << 16;
/// With MS-DOS' attribute of a folder.
const FOLDER: u32 = 0o040_755 << 16 | 0x10;

const LOCAL_BYTES: u64 = 30;
const CENTRAL_BYTES: u64 = 46;
/// The extra field with the time in seconds since 1970: the time of MS-DOS has no zone.
const TIME_BYTES: u16 = 9;
/// The first value that takes a ZIP64 field.
const LARGE: u64 = 0xFFFF_FFFF;
const MANY: u64 = 0xFFFF;

/// An entry without its content.
#[derive(Clone, Copy)]
pub struct Header<'a> {
    /// The path, with `/` at the end for a folder.
    pub path: &'a str,
    pub size: u64,
    pub modified: Timestamp,
}

impl Header<'_> {
    fn is_large(&self) -> bool {
        self.size >= LARGE
    }

    /// The length of the record before the content.
    pub fn local_len(&self) -> u64 {
        let zip64 = if self.is_large() { 20 } else { 0 };
        LOCAL_BYTES + self.path.len() as u64 + zip64 + u64::from(TIME_BYTES)
    }

    /// The record before the content.
    pub fn write_local(&self, crc32: u32, out: &mut Vec<u8>) {
        let mut extra = Vec::with_capacity(29);
        if self.is_large() {
            put_zip64(&[self.size, self.size], &mut extra);
        }
        self.put_time(&mut extra);
        out.extend(b"PK\x03\x04");
        self.put_common(crc32, self.is_large(), &extra, out);
        out.extend(self.path.as_bytes());
        out.extend(extra);
    }

    /// The length of the record in the directory.
    pub fn central_len(&self, offset: u64) -> u64 {
        let large = [self.size, self.size, offset].into_iter().filter(|&value| value >= LARGE).count() as u64;
        let zip64 = if large == 0 { 0 } else { 4 + 8 * large };
        CENTRAL_BYTES + self.path.len() as u64 + zip64 + u64::from(TIME_BYTES)
    }

    /// The record in the directory. `offset` is that of the record before the content.
    pub fn write_central(&self, crc32: u32, offset: u64, out: &mut Vec<u8>) {
        let mut extra = Vec::with_capacity(37);
        let large: Vec<u64> = [self.size, self.size, offset].into_iter().filter(|&value| value >= LARGE).collect();
        if !large.is_empty() {
            put_zip64(&large, &mut extra);
        }
        self.put_time(&mut extra);
        out.extend(b"PK\x01\x02");
        out.extend(MADE_BY.to_le_bytes());
        self.put_common(crc32, !large.is_empty(), &extra, out);
        // No comment, the first disk, no internal attributes.
        out.extend([0; 6]);
        out.extend(if self.path.ends_with('/') { FOLDER } else { FILE }.to_le_bytes());
        out.extend(small(offset).to_le_bytes());
        out.extend(self.path.as_bytes());
        out.extend(extra);
    }

    /// The fields that both records have, from the version to the length of the extra fields.
    fn put_common(&self, crc32: u32, is_zip64: bool, extra: &[u8], out: &mut Vec<u8>) {
        let (date, time) = dos_time(self.modified);
        for number in [if is_zip64 { NEEDS_4_5 } else { NEEDS_2_0 }, UTF8, STORED, time, date] {
            out.extend(number.to_le_bytes());
        }
        for number in [crc32, small(self.size), small(self.size)] {
            out.extend(number.to_le_bytes());
        }
        for length in [self.path.len(), extra.len()] {
            // The plan has no longer path.
            out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
        }
    }

    fn put_time(&self, extra: &mut Vec<u8>) {
        let seconds = i32::try_from(self.modified.millis() / 1000).unwrap_or(i32::MAX);
        extra.extend(b"UT");
        extra.extend(5_u16.to_le_bytes());
        // Only the time of the last change.
        extra.push(1);
        extra.extend(seconds.to_le_bytes());
    }
}

/// The length of the records after the directory, which begins at `offset` and has `size` bytes.
pub fn end_len(entries: u64, size: u64, offset: u64) -> u64 {
    if is_zip64(entries, size, offset) { 56 + 20 + 22 } else { 22 }
}

/// The records after the directory.
pub fn write_end(entries: u64, size: u64, offset: u64, out: &mut Vec<u8>) {
    if is_zip64(entries, size, offset) {
        out.extend(b"PK\x06\x06");
        // The length of the rest of this record.
        out.extend(44_u64.to_le_bytes());
        out.extend(MADE_BY.to_le_bytes());
        out.extend(NEEDS_4_5.to_le_bytes());
        // The number of this disk, and of that of the directory.
        out.extend([0; 8]);
        for number in [entries, entries, size, offset] {
            out.extend(number.to_le_bytes());
        }
        out.extend(b"PK\x06\x07");
        out.extend([0; 4]);
        out.extend((offset + size).to_le_bytes());
        out.extend(1_u32.to_le_bytes());
    }
    out.extend(b"PK\x05\x06");
    out.extend([0; 4]);
    let count = u16::try_from(entries).unwrap_or(u16::MAX);
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(small(size).to_le_bytes());
    out.extend(small(offset).to_le_bytes());
    // No comment.
    out.extend([0; 2]);
}

fn is_zip64(entries: u64, size: u64, offset: u64) -> bool {
    entries >= MANY || size >= LARGE || offset >= LARGE
}

fn put_zip64(values: &[u64], extra: &mut Vec<u8>) {
    extra.extend(1_u16.to_le_bytes());
    extra.extend(u16::try_from(8 * values.len()).unwrap_or_default().to_le_bytes());
    for value in values {
        extra.extend(value.to_le_bytes());
    }
}

/// A value as a record without ZIP64 has it: all ones if the value is in the ZIP64 field.
fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The date and the time of MS-DOS, in UTC: from 1980 to 2107, in steps of two seconds.
fn dos_time(at: Timestamp) -> (u16, u16) {
    const FIRST: i64 = 315_532_800;
    const LAST: i64 = 4_354_819_198;
    let seconds = (at.millis() / 1000).clamp(FIRST, LAST);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // The civil date of a day, by Howard Hinnant's algorithm; an era has 400 years, and a year begins in March.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let date = (year - 1980) << 9 | month << 5 | day;
    let time = (of_day / 3600) << 11 | (of_day / 60 % 60) << 5 | (of_day % 60 / 2);
    (u16::try_from(date).unwrap_or_default(), u16::try_from(time).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn records_have_the_lengths_that_were_said() {
        for size in [0, 5, LARGE - 1, LARGE, LARGE + 1, 1 << 42] {
            for offset in [0, LARGE - 1, LARGE, 1 << 42] {
                let header = Header { path: "a/é.txt", size, modified: at(1_795_348_800_123) };
                let (mut local, mut central) = (Vec::new(), Vec::new());
                header.write_local(7, &mut local);
                header.write_central(7, offset, &mut central);
                assert_eq!(
                    (local.len() as u64, central.len() as u64),
                    (header.local_len(), header.central_len(offset))
                );
            }
        }
        for entries in [0, MANY - 1, MANY, 200_000] {
            for (size, offset) in [(1, 1), (1, LARGE), (LARGE, 1)] {
                let mut end = Vec::new();
                write_end(entries, size, offset, &mut end);
                assert_eq!(end.len() as u64, end_len(entries, size, offset));
            }
        }
    }

    #[test]
    #[expect(clippy::decimal_bitwise_operands, reason = "the numbers are of dates")]
    fn a_time_is_that_of_ms_dos() {
        for (millis, date, time) in [
            // 2026-11-22T12:00:00.123Z
            (1_795_348_800_123, (46 << 9 | 11 << 5 | 22), 12 << 11),
            // 2024-02-29T23:59:58Z
            (1_709_251_198_000, (44 << 9 | 2 << 5 | 29), (23 << 11 | 59 << 5 | 29)),
            // Before the first, and after the last.
            (0, (1 << 5 | 1), 0),
            (-5_000, (1 << 5 | 1), 0),
            (i64::from(u32::MAX) * 2000, (127 << 9 | 12 << 5 | 31), (23 << 11 | 59 << 5 | 29)),
        ] {
            assert_eq!(dos_time(at(millis)), (date, time), "{millis}");
        }
    }
}

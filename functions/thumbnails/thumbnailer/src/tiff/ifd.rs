//! Image file directories: the fields of a picture, by the number of their tag.

use crate::limits::MAX_TIFF_FIELDS;

use super::{ImageError, damaged};

/// A directory in a file, which may be of classic TIFF or `BigTIFF`.
#[derive(Clone, Copy)]
pub struct Ifd<'a> {
    source: &'a [u8],
    pub is_big_endian: bool,
    is_big_tiff: bool,
    /// The entries, each of [`Self::entry_bytes`].
    entries: &'a [u8],
}

/// The values of one field.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    pub bytes: &'a [u8],
    /// The bytes of one value.
    size: usize,
    is_big_endian: bool,
}

impl<'a> Ifd<'a> {
    /// The first directory of a file.
    pub fn first(source: &'a [u8]) -> Result<Self, ImageError> {
        let is_big_endian = source.starts_with(b"MM");
        let header = Values { bytes: source, size: 2, is_big_endian };
        let is_big_tiff = header.get(1) == Some(43);
        if is_big_tiff && header.get(2) != Some(8) {
            return Err(damaged("its header"));
        }
        let at = if is_big_tiff { Values { size: 8, ..header }.get(1) } else { Values { size: 4, ..header }.get(1) };
        Self { source, is_big_endian, is_big_tiff, entries: &[] }.at(at.unwrap_or_default())
    }

    /// The directory at this offset of the same file.
    pub fn at(self, offset: u64) -> Result<Self, ImageError> {
        let directory = usize::try_from(offset).ok().and_then(|at| self.source.get(at..));
        let directory = directory.ok_or_else(|| damaged("its directory"))?;
        let count_bytes = if self.is_big_tiff { 8 } else { 2 };
        let count = self.values(directory, count_bytes).get(0).ok_or_else(|| damaged("its directory"))?;
        if count > MAX_TIFF_FIELDS {
            return Err(damaged("too many fields"));
        }
        // The directory may be cut off at the end of the file.
        let entries = directory.get(count_bytes..).unwrap_or_default();
        let bytes = entries.len().min(count as usize * self.entry_bytes());
        Ok(Self { entries: &entries[..bytes], ..self })
    }

    fn entry_bytes(&self) -> usize {
        if self.is_big_tiff { 20 } else { 12 }
    }

    fn values(&self, bytes: &'a [u8], size: usize) -> Values<'a> {
        Values { bytes, size, is_big_endian: self.is_big_endian }
    }

    /// The values of a field. None if the directory has no such field, or if the values are outside of the file.
    pub fn get(&self, tag: u16) -> Option<Values<'a>> {
        let mut entries = self.entries.chunks_exact(self.entry_bytes());
        let entry = entries.find(|entry| self.values(entry, 2).get(0) == Some(tag.into()))?;
        let size = match self.values(entry, 2).get(1)? {
            // BYTE, ASCII, SBYTE, UNDEFINED.
            1 | 2 | 6 | 7 => 1,
            // SHORT, SSHORT.
            3 | 8 => 2,
            // LONG, SLONG, FLOAT, IFD.
            4 | 9 | 11 | 13 => 4,
            // RATIONAL, SRATIONAL, DOUBLE, LONG8, SLONG8, IFD8.
            5 | 10 | 12 | 16..=18 => 8,
            _ => return None,
        };
        let (count, inline) = if self.is_big_tiff {
            (self.values(&entry[4..], 8).get(0)?, &entry[12..])
        } else {
            (self.values(&entry[4..], 4).get(0)?, &entry[8..])
        };
        let bytes = usize::try_from(count).ok()?.checked_mul(size)?;
        let stored = if bytes <= inline.len() {
            inline
        } else {
            let at = self.values(inline, inline.len()).get(0)?;
            self.source.get(usize::try_from(at).ok()?..)?
        };
        Some(self.values(stored.get(..bytes)?, size))
    }

    /// The first value of a field.
    pub fn number(&self, tag: u16) -> Option<u64> {
        self.get(tag)?.get(0)
    }

    /// The bytes of a text without the zeros at its end.
    pub fn text(&self, tag: u16) -> Option<Vec<u8>> {
        let bytes = self.get(tag)?.bytes;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Some(bytes[..end].to_vec())
    }
}

impl Values<'_> {
    pub fn len(&self) -> usize {
        self.bytes.len() / self.size
    }

    /// A value as an unsigned number.
    pub fn get(&self, index: usize) -> Option<u64> {
        let bytes = self.bytes.get(index.checked_mul(self.size)?..)?.get(..self.size)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.is_big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    pub fn iter(&self) -> impl Iterator<Item = u64> {
        (0..self.len()).map_while(|index| self.get(index))
    }
}

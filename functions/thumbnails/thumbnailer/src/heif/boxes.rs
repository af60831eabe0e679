//! The boxes of a HEIF file (ISO/IEC 14496-12 and 23008-12), as HEIC has them. Nothing is copied: items, properties
//! and references are parts of the file.

use std::{borrow::Cow, collections::BTreeMap};

use crate::limits::{MAX_HEIF_ENTRIES, MAX_HEIF_META_BYTES};

use super::super::{ImageError, damaged};

/// The content of the `meta` box.
pub struct Meta<'a> {
    /// The whole file.
    pub source: &'a [u8],
    pub primary: u32,
    /// The types of the items by their IDs.
    kinds: BTreeMap<u32, [u8; 4]>,
    locations: BTreeMap<u32, Location<'a>>,
    properties: Vec<([u8; 4], &'a [u8])>,
    /// The one-based indices of the properties of each item, of one or two bytes each.
    associations: BTreeMap<u32, (usize, &'a [u8])>,
    references: Vec<Reference<'a>>,
    /// The content of the `idat` box.
    idat: &'a [u8],
}

/// Where the data of an item is.
struct Location<'a> {
    /// 0: offsets are from the beginning of the file. 1: from the beginning of the `idat` box.
    method: u8,
    base: u64,
    /// The number of bytes of an offset, and of a length.
    widths: (usize, usize),
    extents: &'a [u8],
}

struct Reference<'a> {
    kind: [u8; 4],
    from: u32,
    /// The IDs of the items that are referred to, of two or four bytes each.
    to: &'a [u8],
    id_bytes: usize,
}

impl<'a> Meta<'a> {
    pub fn parse(source: &'a [u8]) -> Result<Self, ImageError> {
        let (_, body) = boxes(source).find(|(kind, _)| kind == b"meta").ok_or_else(|| damaged("it has no meta box"))?;
        if body.len() > MAX_HEIF_META_BYTES {
            return Err(damaged("its meta box is too long"));
        }
        let mut meta = Self {
            source,
            primary: 0,
            kinds: BTreeMap::new(),
            locations: BTreeMap::new(),
            properties: Vec::new(),
            associations: BTreeMap::new(),
            references: Vec::new(),
            idat: &[],
        };
        for (kind, body) in boxes(body.get(4..).unwrap_or_default()) {
            let read = match &kind {
                b"pitm" => meta.read_primary(body),
                b"iinf" => meta.read_items(body),
                b"iloc" => meta.read_locations(body),
                b"iprp" => meta.read_properties(body),
                b"iref" => meta.read_references(body),
                b"idat" => {
                    meta.idat = body;
                    Some(())
                }
                _ => Some(()),
            };
            read.ok_or_else(|| damaged(format!("its {} box", String::from_utf8_lossy(&kind))))?;
        }
        Ok(meta)
    }

    fn read_primary(&mut self, body: &[u8]) -> Option<()> {
        let mut reader = Reader(body);
        let version = reader.version()?;
        self.primary = reader.id(if version == 0 { 2 } else { 4 })?;
        Some(())
    }

    fn read_items(&mut self, body: &[u8]) -> Option<()> {
        let mut reader = Reader(body);
        let version = reader.version()?;
        reader.take(if version == 0 { 2 } else { 4 })?;
        for (_, body) in boxes(reader.0).filter(|(kind, _)| kind == b"infe") {
            let mut reader = Reader(body);
            // Older versions have no item types.
            let version @ 2.. = reader.version()? else { continue };
            let id = reader.id(if version == 2 { 2 } else { 4 })?;
            reader.take(2)?;
            self.kinds.insert(id, *reader.take(4)?.first_chunk()?);
            is_allowed(self.kinds.len())?;
        }
        Some(())
    }

    fn read_locations(&mut self, body: &'a [u8]) -> Option<()> {
        let mut reader = Reader(body);
        let version = reader.version()?;
        let sizes = reader.take(2)?;
        let [offset, length, base, index] =
            [sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15].map(usize::from);
        let index = if version == 0 { 0 } else { index };
        if [offset, length, base, index].iter().any(|size| ![0, 4, 8].contains(size)) || index != 0 {
            return None;
        }
        let id_bytes = if version < 2 { 2 } else { 4 };
        for _ in 0..reader.uint(id_bytes)? {
            let id = reader.id(id_bytes)?;
            let method = if version == 0 { 0 } else { reader.take(2)?[1] & 15 };
            // The data is in this file, and not in another.
            reader.take(2)?;
            let base = reader.uint(base)?;
            let count = reader.uint(2)? as usize;
            if offset + length == 0 && count > 1 {
                return None;
            }
            let extents = reader.take(count * (offset + length))?;
            self.locations.insert(id, Location { method, base, widths: (offset, length), extents });
            is_allowed(self.locations.len())?;
        }
        Some(())
    }

    fn read_properties(&mut self, body: &'a [u8]) -> Option<()> {
        for (kind, body) in boxes(body) {
            match &kind {
                b"ipco" => {
                    for property in boxes(body) {
                        self.properties.push(property);
                        is_allowed(self.properties.len())?;
                    }
                }
                b"ipma" => {
                    let mut reader = Reader(body);
                    let head = reader.take(4)?;
                    let (id_bytes, index_bytes) = (if head[0] == 0 { 2 } else { 4 }, 1 + usize::from(head[3] & 1));
                    for _ in 0..reader.uint(4)? {
                        let id = reader.id(id_bytes)?;
                        let count = reader.uint(1)? as usize;
                        self.associations.insert(id, (index_bytes, reader.take(count * index_bytes)?));
                        is_allowed(self.associations.len())?;
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    fn read_references(&mut self, body: &'a [u8]) -> Option<()> {
        let mut reader = Reader(body);
        let id_bytes = if reader.version()? == 0 { 2 } else { 4 };
        for (kind, body) in boxes(reader.0) {
            let mut reader = Reader(body);
            let from = reader.id(id_bytes)?;
            let count = reader.uint(2)? as usize;
            self.references.push(Reference { kind, from, to: reader.take(count * id_bytes)?, id_bytes });
            is_allowed(self.references.len())?;
        }
        Some(())
    }

    /// The type of an item.
    pub fn kind(&self, id: u32) -> Option<&[u8; 4]> {
        self.kinds.get(&id)
    }

    /// The properties of an item, in the order in which they are applied.
    pub fn properties(&self, id: u32) -> impl Iterator<Item = (&[u8; 4], &'a [u8])> {
        let (index_bytes, indices) = self.associations.get(&id).copied().unwrap_or((1, &[]));
        indices.chunks_exact(index_bytes).filter_map(move |index| {
            // The highest bit says whether a reader must know the property.
            let index = index.iter().fold(0, |index, byte| index << 8 | usize::from(*byte))
                & ((1 << (8 * index_bytes - 1)) - 1);
            self.properties.get(index.checked_sub(1)?).map(|(kind, body)| (kind, *body))
        })
    }

    pub fn property(&self, id: u32, kind: [u8; 4]) -> Option<&'a [u8]> {
        self.properties(id).find(|(other, _)| **other == kind).map(|(_, body)| body)
    }

    /// The items that an item refers to.
    pub fn referred_by(&self, id: u32, kind: [u8; 4]) -> impl Iterator<Item = u32> {
        self.references
            .iter()
            .filter(move |reference| reference.from == id && reference.kind == kind)
            .flat_map(|reference| reference.to.chunks_exact(reference.id_bytes).map(to_id))
    }

    /// The items that refer to an item.
    pub fn referring_to(&self, id: u32, kind: [u8; 4]) -> impl Iterator<Item = u32> {
        self.references
            .iter()
            .filter(move |reference| {
                reference.kind == kind && reference.to.chunks_exact(reference.id_bytes).any(|to| to_id(to) == id)
            })
            .map(|reference| reference.from)
    }

    /// The data of an item. It has no more bytes than the file.
    pub fn data(&self, id: u32) -> Result<Cow<'a, [u8]>, ImageError> {
        let parts = self.extents(id).ok_or_else(|| damaged("an item without data"))?;
        match &parts[..] {
            [part] => Ok(Cow::Borrowed(part)),
            _ if parts.iter().map(|part| part.len()).sum::<usize>() > self.source.len() => {
                Err(damaged("an item is longer than the file"))
            }
            _ => Ok(Cow::Owned(parts.concat())),
        }
    }

    fn extents(&self, id: u32) -> Option<Vec<&'a [u8]>> {
        let Location { method, base, widths, extents } = self.locations.get(&id)?;
        let whole = match method {
            0 => self.source,
            1 => self.idat,
            _ => return None,
        };
        let part = |reader: &mut Reader| {
            let offset = usize::try_from(base.checked_add(reader.uint(widths.0)?)?).ok()?;
            let from = whole.get(offset..)?;
            match usize::try_from(reader.uint(widths.1)?).ok()? {
                // The whole rest.
                0 => Some(from),
                length => from.get(..length),
            }
        };
        match widths.0 + widths.1 {
            0 => Some(vec![part(&mut Reader(&[]))?]),
            bytes => extents.chunks_exact(bytes).map(|extent| part(&mut Reader(extent))).collect(),
        }
    }
}

/// None if there are more entries than the limit.
fn is_allowed(entries: usize) -> Option<()> {
    (entries <= MAX_HEIF_ENTRIES).then_some(())
}

fn to_id(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |id, byte| id << 8 | u32::from(*byte))
}

/// The types and bodies of the boxes. Stops at a truncated box.
fn boxes(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, after) = rest.split_first_chunk()?;
        let (kind, mut after) = after.split_first_chunk()?;
        let length = match u32::from_be_bytes(*size) as usize {
            // The last box of the file.
            0 => after.len(),
            1 => {
                let (size, body) = after.split_first_chunk()?;
                after = body;
                usize::try_from(u64::from_be_bytes(*size)).ok()?.checked_sub(16)?
            }
            size => size.checked_sub(8)?,
        };
        let (body, after) = after.split_at_checked(length)?;
        rest = after;
        Some((*kind, body))
    })
}

/// Reads big-endian numbers. Returns none at the end of the bytes.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A number of up to eight bytes.
    pub fn uint(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take(4).map(to_id)
    }

    fn id(&mut self, bytes: usize) -> Option<u32> {
        self.take(bytes).map(to_id)
    }

    /// The version of a full box. Its flags are skipped.
    fn version(&mut self) -> Option<u8> {
        self.take(4).map(|head| head[0])
    }
}

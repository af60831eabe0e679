//! Lossless WebP, decoded row by row. A backward reference reaches a million pixels at most, so memory holds only those
//! pixels, and never the whole picture. Names are those of the WebP Lossless Bitstream Specification.
//!
//! The decoder is our own for its memory: for a photograph of 24 megapixels a process that makes three thumbnails has 26 MB,
//! and a process that only decodes with `image-webp` 0.2.4 has 177 MB (`VmHWM`, 2026-11-29); the limit is 50 megapixels.
//! The first takes 0.55 s of processor time with the thumbnails, the second 0.35 s without.

use crate::limits::{MAX_WEBP_CODE_ENTRIES, MAX_WEBP_PREFIX_CODE_GROUPS};
use crate::{ImageError, damaged};

/// The longest distance of a backward reference, in pixels. It is a power of two.
const WINDOW: usize = 1 << 20;

/// Codes up to this length are decoded by one table lookup.
const LOOKUP_BITS: u32 = 9;

/// The pixel that each short distance code refers to: the rows back in the high four bits, and 8 minus the columns back in
/// the low four bits.
const DISTANCE_MAP: [u8; 120] = [
    0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37, 0x39, 0x15, 0x1b, 0x36,
    0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a, 0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34,
    0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d, 0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67,
    0x69, 0x12, 0x1e, 0x66, 0x6a, 0x22, 0x2e, 0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77, 0x79,
    0x53, 0x5d, 0x11, 0x1f, 0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b, 0x31, 0x3f, 0x63, 0x6d, 0x52,
    0x5e, 0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72, 0x7e, 0x61,
    0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
];

/// A decoder of one picture. Pixels are `0xAARRGGBB`.
pub struct Lossless<'a> {
    pixels: EntropyCoded<'a>,
    /// In the order of the file, in which the encoder applied them. The decoder inverts the last one first.
    transforms: Vec<Transform>,
    row: Vec<u32>,
}

impl<'a> Lossless<'a> {
    /// Reads the transforms and the prefix codes, from the data that follows the size.
    pub fn new(data: &'a [u8], (width, height): (u32, u32)) -> Result<Self, ImageError> {
        let mut bits = BitReader { data, buffer: 0, count: 0, missing: 0 };
        let mut transforms: Vec<Transform> = Vec::new();
        let (width, height) = (width as usize, height as usize);
        let mut packed_width = width;
        while bits.read(1) == 1 {
            let transform = Transform::read(&mut bits, packed_width, height)?;
            if transforms.iter().any(|other| std::mem::discriminant(other) == std::mem::discriminant(&transform)) {
                return Err(damaged("a transform twice"));
            }
            if let Transform::ColorIndexing { bits, .. } = transform {
                packed_width = packed_width.div_ceil(1 << bits);
            }
            transforms.push(transform);
        }
        let pixels = EntropyCoded::new(bits, packed_width, height, true)?;
        Ok(Self { pixels, transforms, row: Vec::with_capacity(width) })
    }

    /// Decodes the next row.
    pub fn read_row(&mut self) -> Result<&[u32], ImageError> {
        self.row.clear();
        let y = self.pixels.y;
        self.pixels.read_row(&mut self.row)?;
        for transform in self.transforms.iter_mut().rev() {
            transform.inverse(y, &mut self.row);
        }
        Ok(&self.row)
    }
}

/// The bits of the stream, the lowest bit first. After the end of the stream it returns zeros.
#[derive(Clone)]
struct BitReader<'a> {
    data: &'a [u8],
    buffer: u64,
    /// The number of bits in the buffer.
    count: u32,
    /// The number of zeros that were added after the end of the stream.
    missing: u32,
}

impl BitReader<'_> {
    /// Ensures at least 32 bits in the buffer.
    #[inline]
    fn fill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some((four, rest)) = self.data.split_first_chunk() {
            self.buffer |= u64::from(u32::from_le_bytes(*four)) << self.count;
            self.count += 32;
            self.data = rest;
        } else {
            self.fill_slowly();
        }
    }

    #[cold]
    fn fill_slowly(&mut self) {
        while self.count < 32 {
            if let Some((byte, rest)) = self.data.split_first() {
                self.buffer |= u64::from(*byte) << self.count;
                self.data = rest;
            } else {
                self.missing += 8;
            }
            self.count += 8;
        }
    }

    /// Reads the next bits, up to 24.
    #[inline]
    fn read(&mut self, bits: u32) -> u32 {
        self.fill();
        let value = self.buffer as u32 & ((1 << bits) - 1);
        self.consume(bits);
        value
    }

    #[inline]
    fn consume(&mut self, bits: u32) {
        self.buffer >>= bits;
        self.count -= bits;
    }

    /// Fails if more bits were read than the stream has.
    fn check(&self) -> Result<(), ImageError> {
        if self.missing > self.count { Err(damaged("data is missing")) } else { Ok(()) }
    }
}

/// The prefix code of one alphabet.
#[derive(Default)]
struct PrefixCode {
    /// Indexed by the next bits: the symbol, and the length of its code in the low four bits; 0 for a longer code.
    table: Vec<u16>,
    mask: u32,
    /// Only if some codes are too long for the table. A box keeps the tables of many groups close together in memory.
    long: Option<Box<LongCodes>>,
}

struct LongCodes {
    /// The number of codes of each length, and the symbols, from the shortest code to the longest.
    counts: [u16; 16],
    symbols: Vec<u16>,
}

impl PrefixCode {
    fn read(bits: &mut BitReader, alphabet: usize) -> Result<Self, ImageError> {
        let mut lengths = vec![0_u8; alphabet];
        if bits.read(1) == 1 {
            let has_two_symbols = bits.read(1) == 1;
            let size = if bits.read(1) == 1 { 8 } else { 1 };
            for size in [size, 8].into_iter().take(1 + usize::from(has_two_symbols)) {
                let symbol = bits.read(size) as usize;
                *lengths.get_mut(symbol).ok_or_else(|| damaged("a symbol"))? = 1;
            }
            return Self::new(&lengths);
        }
        let mut code_length_code_lengths = [0; 19];
        let code_length_order = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let count = 4 + bits.read(4) as usize;
        for at in code_length_order.into_iter().take(count) {
            code_length_code_lengths[at] = bits.read(3) as u8;
        }
        let code_length_code = Self::new(&code_length_code_lengths)?;
        let mut left = alphabet;
        if bits.read(1) == 1 {
            let size = 2 + 2 * bits.read(3);
            left = 2 + bits.read(size) as usize;
        }
        let (mut at, mut previous_length) = (0, 8);
        while at < alphabet && left > 0 {
            left -= 1;
            let (length, times) = match code_length_code.read_symbol(bits)? {
                length @ 0..16 => (length as u8, 1),
                16 => (previous_length, 3 + bits.read(2) as usize),
                17 => (0, 3 + bits.read(3) as usize),
                _ => (0, 11 + bits.read(7) as usize),
            };
            if length != 0 {
                previous_length = length;
            }
            lengths.get_mut(at..at + times).ok_or_else(|| damaged("too many symbols"))?.fill(length);
            at += times;
        }
        bits.check()?;
        Self::new(&lengths)
    }

    fn new(lengths: &[u8]) -> Result<Self, ImageError> {
        let mut code = Self::default();
        let mut all: Vec<(u8, u16)> = lengths.iter().copied().zip(0..).filter(|(length, _)| *length > 0).collect();
        all.sort_unstable();
        if let [(_, only)] = all[..] {
            // A code with a single symbol takes no bits.
            code.table = vec![only << 4];
            return Ok(code);
        }
        let longest = all.last().map(|(length, _)| u32::from(*length));
        let longest = longest.ok_or_else(|| damaged("a code without symbols"))?;
        let lookup_bits = longest.min(LOOKUP_BITS);
        code.mask = (1 << lookup_bits) - 1;
        code.table = vec![0; 1 << lookup_bits];
        let (mut next, mut previous_length) = (0_u32, 0);
        for &(length, symbol) in &all {
            let length = u32::from(length);
            next <<= length - previous_length;
            previous_length = length;
            if next >> length != 0 {
                return Err(damaged("too many codes"));
            }
            if length <= lookup_bits {
                let reversed = next.reverse_bits() >> (32 - length);
                for at in (reversed as usize..code.table.len()).step_by(1 << length) {
                    code.table[at] = symbol << 4 | length as u16;
                }
            }
            next += 1;
        }
        if next != 1 << previous_length {
            return Err(damaged("codes are missing"));
        }
        if longest > LOOKUP_BITS {
            let mut counts = [0; 16];
            for &(length, _) in &all {
                counts[usize::from(length & 15)] += 1;
            }
            let symbols = all.into_iter().map(|(_, symbol)| symbol).collect();
            code.long = Some(Box::new(LongCodes { counts, symbols }));
        }
        Ok(code)
    }

    /// The entries of two bytes in its tables.
    fn entries(&self) -> usize {
        self.table.len() + self.long.as_ref().map_or(0, |long| long.symbols.len())
    }

    #[inline]
    fn read_symbol(&self, bits: &mut BitReader) -> Result<u16, ImageError> {
        bits.fill();
        let entry = self.table[(bits.buffer as u32 & self.mask) as usize];
        if entry != 0 || self.mask == 0 {
            bits.consume(u32::from(entry & 15));
            return Ok(entry >> 4);
        }
        self.read_long_symbol(bits)
    }

    #[cold]
    fn read_long_symbol(&self, bits: &mut BitReader) -> Result<u16, ImageError> {
        let LongCodes { counts, symbols } = self.long.as_deref().ok_or_else(|| damaged("a code"))?;
        let (mut code, mut first, mut index) = (0_usize, 0_usize, 0_usize);
        for count in counts[1..].iter().copied().map(usize::from) {
            code |= bits.read(1) as usize;
            if code < first + count {
                return symbols.get(index + code - first).copied().ok_or_else(|| damaged("a code"));
            }
            (index, first, code) = (index + count, (first + count) << 1, code << 1);
        }
        Err(damaged("a code that means nothing"))
    }
}

/// The prefix codes of green (which has lengths and the colour cache, too), red, blue, alpha, and distances.
struct PrefixCodeGroup([PrefixCode; 5]);

/// An entropy-coded image: pixels as the stream contains them, before the transforms are inverted.
struct EntropyCoded<'a> {
    bits: BitReader<'a>,
    width: usize,
    height: usize,
    y: usize,
    groups: Vec<PrefixCodeGroup>,
    /// The prefix code group of each block of pixels, the number of blocks across, and the base-2 logarithm of their side.
    entropy_image: Vec<u16>,
    blocks_across: usize,
    block_bits: u32,
    color_cache: Vec<u32>,
    cache_bits: u32,
    /// The last decoded pixels, and the number of all decoded pixels.
    window: Vec<u32>,
    position: usize,
}

impl<'a> EntropyCoded<'a> {
    fn new(mut bits: BitReader<'a>, width: usize, height: usize, is_argb_image: bool) -> Result<Self, ImageError> {
        let cache_bits = if bits.read(1) == 1 { bits.read(4) } else { 0 };
        if cache_bits > 11 {
            return Err(damaged("a colour cache"));
        }
        let (mut entropy_image, mut blocks_across, mut block_bits) = (Vec::new(), 0, 0);
        if is_argb_image && bits.read(1) == 1 {
            block_bits = 2 + bits.read(3);
            blocks_across = width.div_ceil(1 << block_bits);
            let pixels = read_sub_image(&mut bits, blocks_across, height.div_ceil(1 << block_bits))?;
            entropy_image = pixels.into_iter().map(|pixel| (pixel >> 8) as u16).collect();
        }
        let color_cache = if cache_bits > 0 { vec![0; 1 << cache_bits] } else { Vec::new() };
        let count = usize::from(entropy_image.iter().copied().max().unwrap_or(0)) + 1;
        // A block uses one group, so if there are more groups than blocks, some groups are never used.
        if count > MAX_WEBP_PREFIX_CODE_GROUPS || count > entropy_image.len().max(1) {
            return Err(damaged(format_args!("too many groups of codes: {count}")));
        }
        let (mut groups, mut entries) = (Vec::with_capacity(count), 0);
        for _ in 0..count {
            let mut group = PrefixCodeGroup(Default::default());
            for (code, alphabet) in group.0.iter_mut().zip([280 + color_cache.len(), 256, 256, 256, 40]) {
                *code = PrefixCode::read(&mut bits, alphabet)?;
                entries += code.entries();
            }
            if entries > MAX_WEBP_CODE_ENTRIES {
                return Err(damaged("too many codes"));
            }
            groups.push(group);
        }
        let window = vec![0; WINDOW.min((width * height).next_power_of_two())];
        Ok(Self {
            bits,
            width,
            height,
            y: 0,
            groups,
            entropy_image,
            blocks_across,
            block_bits,
            color_cache,
            cache_bits,
            window,
            position: 0,
        })
    }

    /// Decodes the next row and appends it to `row`.
    fn read_row(&mut self, row: &mut Vec<u32>) -> Result<(), ImageError> {
        let (start, end) = (self.y * self.width, (self.y + 1) * self.width);
        // A copy may have continued after the end of its row.
        while self.position < end {
            let x = self.position - start;
            let block = (self.y >> self.block_bits) * self.blocks_across + (x >> self.block_bits);
            let group = self.entropy_image.get(block).copied().unwrap_or(0);
            // The end of the pixels that use the same group.
            let until = if self.blocks_across == 0 {
                end
            } else {
                end.min(start + (((x >> self.block_bits) + 1) << self.block_bits))
            };
            self.decode_pixels(usize::from(group), until)?;
        }
        self.bits.check()?;
        row.extend((start..end).map(|at| self.window[at & (self.window.len() - 1)]));
        self.y += 1;
        Ok(())
    }

    /// Decodes pixels with one group, up to `until` or beyond it.
    fn decode_pixels(&mut self, group: usize, until: usize) -> Result<(), ImageError> {
        let PrefixCodeGroup([green, red, blue, alpha, distance]) = &self.groups[group];
        let mask = self.window.len() - 1;
        let bits = &mut self.bits;
        while self.position < until {
            let symbol = green.read_symbol(bits)?;
            let pixel = match symbol {
                0..256 => {
                    let red = u32::from(red.read_symbol(bits)?);
                    let blue = u32::from(blue.read_symbol(bits)?);
                    u32::from(alpha.read_symbol(bits)?) << 24 | red << 16 | u32::from(symbol) << 8 | blue
                }
                256..280 => {
                    let length = read_prefix_coded(bits, u32::from(symbol) - 256);
                    let prefix = distance.read_symbol(bits)?;
                    let code = read_prefix_coded(bits, prefix.into());
                    let distance = pixel_distance(code, self.width);
                    if distance > self.position
                        || distance > self.window.len()
                        || self.position + length > self.width * self.height
                    {
                        return Err(damaged("a copy of nothing"));
                    }
                    // A row is taken from the window when it is complete, and no copy overwrites it before: a length is
                    // at most 4096, and the window is longer than that and a row together, or as long as the picture.
                    for at in self.position..self.position + length {
                        let pixel = self.window[(at - distance) & mask];
                        self.window[at & mask] = pixel;
                        insert_into_cache(&mut self.color_cache, self.cache_bits, pixel);
                    }
                    self.position += length;
                    continue;
                }
                _ => {
                    *self.color_cache.get(usize::from(symbol) - 280).ok_or_else(|| damaged("a colour of the cache"))?
                }
            };
            self.window[self.position & mask] = pixel;
            insert_into_cache(&mut self.color_cache, self.cache_bits, pixel);
            self.position += 1;
        }
        Ok(())
    }
}

/// Reads a picture of lower resolution, which holds the parameters of blocks of the main picture.
fn read_sub_image(bits: &mut BitReader, width: usize, height: usize) -> Result<Vec<u32>, ImageError> {
    let mut coded = EntropyCoded::new(bits.clone(), width, height, false)?;
    let mut pixels = Vec::with_capacity(width * height);
    for _ in 0..height {
        coded.read_row(&mut pixels)?;
    }
    *bits = coded.bits;
    Ok(pixels)
}

/// Reads a length or a distance: a prefix code, and the extra bits that follow it.
#[inline]
fn read_prefix_coded(bits: &mut BitReader, prefix: u32) -> usize {
    if prefix < 4 {
        return prefix as usize + 1;
    }
    let extra = (prefix - 2) >> 1;
    (((2 + (prefix & 1)) << extra) + bits.read(extra) + 1) as usize
}

/// The distance in pixels that a distance code stands for.
#[inline]
fn pixel_distance(code: usize, width: usize) -> usize {
    match DISTANCE_MAP.get(code - 1) {
        Some(at) => (width * usize::from(at >> 4) + 8).saturating_sub(usize::from(at & 15)).max(1),
        None => code - DISTANCE_MAP.len(),
    }
}

#[inline]
fn insert_into_cache(cache: &mut [u32], bits: u32, pixel: u32) {
    if bits > 0 {
        cache[(pixel.wrapping_mul(0x1e35_a7bd) >> (32 - bits)) as usize] = pixel;
    }
}

/// A transform by which the encoder made the pixels easier to compress.
enum Transform {
    /// Each pixel minus its prediction from its neighbours. Each block has one of 14 predictors.
    Predictor { bits: u32, blocks: usize, modes: Vec<u32>, row_above: Vec<u32> },
    /// Red and blue minus parts of green and red. Each block has its own factors.
    Color { bits: u32, blocks: usize, factors: Vec<u32> },
    /// Red and blue minus green.
    SubtractGreen,
    /// Indices into a table of colours. If the table is small, one pixel packs several indices.
    ColorIndexing { bits: u32, colors: Vec<u32>, width: usize },
}

const BLACK: u32 = 0xff00_0000;

impl Transform {
    fn read(bits: &mut BitReader, width: usize, height: usize) -> Result<Self, ImageError> {
        let kind = bits.read(2);
        Ok(match kind {
            0 | 1 => {
                let size = 2 + bits.read(3);
                let blocks = width.div_ceil(1 << size);
                let data = read_sub_image(bits, blocks, height.div_ceil(1 << size))?;
                if kind == 0 {
                    Self::Predictor { bits: size, blocks, modes: data, row_above: Vec::with_capacity(width) }
                } else {
                    Self::Color { bits: size, blocks, factors: data }
                }
            }
            2 => Self::SubtractGreen,
            _ => {
                let count = bits.read(8) as usize + 1;
                let mut colors = read_sub_image(bits, count, 1)?;
                for at in 1..count {
                    colors[at] = add_pixels(colors[at], colors[at - 1]);
                }
                let bits = match count {
                    0..=2 => 3,
                    3..=4 => 2,
                    5..=16 => 1,
                    _ => 0,
                };
                Self::ColorIndexing { bits, colors, width }
            }
        })
    }

    fn inverse(&mut self, y: usize, row: &mut Vec<u32>) {
        match self {
            Self::Predictor { bits, blocks, modes, row_above } => {
                inverse_predictor(y, row, row_above, *bits, &modes[(y >> *bits) * *blocks..]);
                row_above.clone_from(row);
            }
            Self::Color { bits, blocks, factors } => {
                let factors = &factors[(y >> *bits) * *blocks..];
                for (pixels, factors) in row.chunks_mut(1 << *bits).zip(factors) {
                    let [green_to_red, green_to_blue, red_to_blue, _] = factors.to_le_bytes();
                    for pixel in pixels {
                        let [blue, green, red, alpha] = pixel.to_le_bytes();
                        let red = red.wrapping_add(color_transform_delta(green_to_red, green));
                        let blue = blue
                            .wrapping_add(color_transform_delta(green_to_blue, green))
                            .wrapping_add(color_transform_delta(red_to_blue, red));
                        *pixel = u32::from_le_bytes([blue, green, red, alpha]);
                    }
                }
            }
            Self::SubtractGreen => {
                for pixel in row {
                    let green = *pixel >> 8 & 0xff;
                    *pixel = add_pixels(*pixel, green << 16 | green);
                }
            }
            Self::ColorIndexing { bits, colors, width } => {
                let size = 8 >> *bits;
                let (packed, mask) = (std::mem::take(row), (1 << size) - 1);
                row.extend((0..*width).map(|x| {
                    let shift = (x & ((1 << *bits) - 1)) as u32 * size;
                    let index = packed[x >> *bits] >> 8 >> shift & mask;
                    colors.get(index as usize).copied().unwrap_or(0)
                }));
            }
        }
    }
}

/// The part of one channel that the encoder subtracted from another.
#[inline]
fn color_transform_delta(factor: u8, color: u8) -> u8 {
    ((i32::from(factor.cast_signed()) * i32::from(color.cast_signed())) >> 5) as u8
}

/// Inverts the predictor transform of one row: adds to each pixel its prediction.
fn inverse_predictor(y: usize, row: &mut [u32], above: &[u32], bits: u32, modes: &[u32]) {
    let Some(first) = row.first_mut() else { return };
    *first = add_pixels(*first, if y == 0 { BLACK } else { above[0] });
    let first = *first;
    if y == 0 {
        for x in 1..row.len() {
            row[x] = add_pixels(row[x], row[x - 1]);
        }
        return;
    }
    for (block, mode) in modes.iter().enumerate().take(row.len().div_ceil(1 << bits)) {
        let range = (block << bits).max(1)..((block + 1) << bits).min(row.len());
        let mut apply = |predictor: fn(u32, u32, u32, u32) -> u32| {
            for x in range.clone() {
                // Right of the last pixel above, the prediction uses the first pixel of this row.
                let right = above.get(x + 1).copied().unwrap_or(first);
                row[x] = add_pixels(row[x], predictor(row[x - 1], above[x], right, above[x - 1]));
            }
        };
        match mode >> 8 & 15 {
            1 => apply(|left, _, _, _| left),
            2 => apply(|_, top, _, _| top),
            3 => apply(|_, _, right, _| right),
            4 => apply(|_, _, _, corner| corner),
            5 => apply(|left, top, right, _| average2(average2(left, right), top)),
            6 => apply(|left, _, _, corner| average2(left, corner)),
            7 => apply(|left, top, _, _| average2(left, top)),
            8 => apply(|_, top, _, corner| average2(corner, top)),
            9 => apply(|_, top, right, _| average2(top, right)),
            10 => apply(|left, top, right, corner| average2(average2(left, corner), average2(top, right))),
            11 => apply(|left, top, _, corner| {
                let left_difference: u32 =
                    map_channels(top, corner, u8::abs_diff).to_le_bytes().map(u32::from).iter().sum();
                let top_difference: u32 =
                    map_channels(left, corner, u8::abs_diff).to_le_bytes().map(u32::from).iter().sum();
                if left_difference < top_difference { left } else { top }
            }),
            12 => apply(|left, top, _, corner| {
                let [left, top, corner] = [left, top, corner].map(|pixel| pixel.to_le_bytes().map(i32::from));
                clamp_channels(|channel| left[channel] + top[channel] - corner[channel])
            }),
            13 => apply(|left, top, _, corner| {
                let [average, corner] = [average2(left, top), corner].map(|pixel| pixel.to_le_bytes().map(i32::from));
                clamp_channels(|channel| average[channel] + (average[channel] - corner[channel]) / 2)
            }),
            _ => apply(|_, _, _, _| BLACK),
        }
    }
}

/// The sum of each channel, modulo 256.
#[inline]
fn add_pixels(a: u32, b: u32) -> u32 {
    let (odd, even) = (0xff00_ff00, 0x00ff_00ff);
    ((a & odd).wrapping_add(b & odd) & odd) | (((a & even) + (b & even)) & even)
}

/// The average of each channel, rounded down.
#[inline]
fn average2(a: u32, b: u32) -> u32 {
    (((a ^ b) & 0xfefe_fefe) >> 1) + (a & b)
}

#[inline]
fn map_channels(a: u32, b: u32, map: fn(u8, u8) -> u8) -> u32 {
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    u32::from_le_bytes(std::array::from_fn(|channel| map(a[channel], b[channel])))
}

#[inline]
fn clamp_channels(value: impl Fn(usize) -> i32) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|channel| value(channel).clamp(0, 255) as u8))
}

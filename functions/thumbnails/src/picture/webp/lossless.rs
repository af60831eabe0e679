//! Lossless WebP, row by row: what a picture refers back to reaches a million pixels at most, so that only those stand
//! in memory, and never the picture. Names are those of the format's specification.

use shared::limits::{WEBP_CODE_ENTRIES, WEBP_GROUPS};

use crate::picture::{Refusal, damaged};

/// How far a copy may reach back, in pixels; a power of two.
const WINDOW: usize = 1 << 20;

/// The longest code that is found with one look into a table.
const LOOK: u32 = 9;

/// Where a short distance code points: rows back in the high four bits, columns back from 8 in the low ones.
const NEIGHBOURS: [u8; 120] = [
    0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37, 0x39, 0x15, 0x1b, 0x36,
    0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a, 0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34,
    0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d, 0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67,
    0x69, 0x12, 0x1e, 0x66, 0x6a, 0x22, 0x2e, 0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77, 0x79,
    0x53, 0x5d, 0x11, 0x1f, 0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b, 0x31, 0x3f, 0x63, 0x6d, 0x52,
    0x5e, 0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72, 0x7e, 0x61,
    0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
];

/// A picture on its way. Pixels are `0xAARRGGBB`.
pub struct Lossless<'a> {
    pixels: EntropyCoded<'a>,
    /// As they were read, which is the order of the encoder; they are undone from the last on.
    transforms: Vec<Transform>,
    row: Vec<u32>,
}

impl<'a> Lossless<'a> {
    /// A picture whose size is known, from what follows it.
    pub fn new(data: &'a [u8], (width, height): (u32, u32)) -> Result<Self, Refusal> {
        let mut bits = Bits { data, buffer: 0, count: 0, missing: 0 };
        let mut transforms: Vec<Transform> = Vec::new();
        let (width, height) = (width as usize, height as usize);
        let mut packed = width;
        while bits.take(1) == 1 {
            let transform = Transform::read(&mut bits, packed, height)?;
            if transforms.iter().any(|other| std::mem::discriminant(other) == std::mem::discriminant(&transform)) {
                return Err(damaged("a transform twice"));
            }
            if let Transform::Palette { bits, .. } = transform {
                packed = packed.div_ceil(1 << bits);
            }
            transforms.push(transform);
        }
        let pixels = EntropyCoded::new(bits, packed, height, true)?;
        Ok(Self { pixels, transforms, row: Vec::with_capacity(width) })
    }

    /// The next row.
    pub fn row(&mut self) -> Result<&[u32], Refusal> {
        self.row.clear();
        let y = self.pixels.y;
        self.pixels.row(&mut self.row)?;
        for transform in self.transforms.iter_mut().rev() {
            transform.undo(y, &mut self.row);
        }
        Ok(&self.row)
    }
}

/// The bits of the stream, the lowest first; zeros after its end.
#[derive(Clone)]
struct Bits<'a> {
    data: &'a [u8],
    buffer: u64,
    count: u32,
    missing: u32,
}

impl Bits<'_> {
    /// At least 32 bits in the buffer.
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

    /// The next bits, up to 24.
    #[inline]
    fn take(&mut self, bits: u32) -> u32 {
        self.fill();
        let taken = self.buffer as u32 & ((1 << bits) - 1);
        self.skip(bits);
        taken
    }

    #[inline]
    fn skip(&mut self, bits: u32) {
        self.buffer >>= bits;
        self.count -= bits;
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.missing > self.count { Err(damaged("data is missing")) } else { Ok(()) }
    }
}

/// The code of one alphabet.
#[derive(Default)]
struct Code {
    /// By the next bits: a symbol, and the length of its code below; 0 for a longer one.
    table: Vec<u16>,
    mask: u32,
    /// Only where codes are too long for the table. Apart from it, so that the tables of many groups are close together.
    long: Option<Box<LongCodes>>,
}

struct LongCodes {
    /// How many codes there are of each length, and the symbols, from the shortest code to the longest.
    counts: [u16; 16],
    symbols: Vec<u16>,
}

impl Code {
    fn read(bits: &mut Bits, alphabet: usize) -> Result<Self, Refusal> {
        let mut lengths = vec![0_u8; alphabet];
        if bits.take(1) == 1 {
            let two = bits.take(1) == 1;
            let size = if bits.take(1) == 1 { 8 } else { 1 };
            for size in [size, 8].into_iter().take(1 + usize::from(two)) {
                let symbol = bits.take(size) as usize;
                *lengths.get_mut(symbol).ok_or_else(|| damaged("a symbol"))? = 1;
            }
            return Self::new(&lengths);
        }
        let mut of_lengths = [0; 19];
        let order = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let count = 4 + bits.take(4) as usize;
        for at in order.into_iter().take(count) {
            of_lengths[at] = bits.take(3) as u8;
        }
        let of_lengths = Self::new(&of_lengths)?;
        let mut left = alphabet;
        if bits.take(1) == 1 {
            let size = 2 + 2 * bits.take(3);
            left = 2 + bits.take(size) as usize;
        }
        let (mut at, mut before) = (0, 8);
        while at < alphabet && left > 0 {
            left -= 1;
            let (length, times) = match of_lengths.symbol(bits)? {
                length @ 0..16 => (length as u8, 1),
                16 => (before, 3 + bits.take(2) as usize),
                17 => (0, 3 + bits.take(3) as usize),
                _ => (0, 11 + bits.take(7) as usize),
            };
            if length != 0 {
                before = length;
            }
            lengths.get_mut(at..at + times).ok_or_else(|| damaged("too many symbols"))?.fill(length);
            at += times;
        }
        bits.check()?;
        Self::new(&lengths)
    }

    fn new(lengths: &[u8]) -> Result<Self, Refusal> {
        let mut code = Self::default();
        let mut all: Vec<(u8, u16)> = lengths.iter().copied().zip(0..).filter(|(length, _)| *length > 0).collect();
        all.sort_unstable();
        if let [(_, only)] = all[..] {
            // It takes no bits.
            code.table = vec![only << 4];
            return Ok(code);
        }
        let longest = all.last().map(|(length, _)| u32::from(*length));
        let longest = longest.ok_or_else(|| damaged("a code without symbols"))?;
        let look = longest.min(LOOK);
        code.mask = (1 << look) - 1;
        code.table = vec![0; 1 << look];
        let (mut next, mut length_before) = (0_u32, 0);
        for &(length, symbol) in &all {
            let length = u32::from(length);
            next <<= length - length_before;
            length_before = length;
            if next >> length != 0 {
                return Err(damaged("too many codes"));
            }
            if length <= look {
                let reversed = next.reverse_bits() >> (32 - length);
                for at in (reversed as usize..code.table.len()).step_by(1 << length) {
                    code.table[at] = symbol << 4 | length as u16;
                }
            }
            next += 1;
        }
        if next != 1 << length_before {
            return Err(damaged("codes are missing"));
        }
        if longest > LOOK {
            let mut counts = [0; 16];
            for &(length, _) in &all {
                counts[usize::from(length & 15)] += 1;
            }
            let symbols = all.into_iter().map(|(_, symbol)| symbol).collect();
            code.long = Some(Box::new(LongCodes { counts, symbols }));
        }
        Ok(code)
    }

    fn entries(&self) -> usize {
        self.table.len() + self.long.as_ref().map_or(0, |long| long.symbols.len())
    }

    #[inline]
    fn symbol(&self, bits: &mut Bits) -> Result<u16, Refusal> {
        bits.fill();
        let entry = self.table[(bits.buffer as u32 & self.mask) as usize];
        if entry != 0 || self.mask == 0 {
            bits.skip(u32::from(entry & 15));
            return Ok(entry >> 4);
        }
        self.long_symbol(bits)
    }

    #[cold]
    fn long_symbol(&self, bits: &mut Bits) -> Result<u16, Refusal> {
        let LongCodes { counts, symbols } = self.long.as_deref().ok_or_else(|| damaged("a code"))?;
        let (mut code, mut first, mut index) = (0_usize, 0_usize, 0_usize);
        for count in counts[1..].iter().copied().map(usize::from) {
            code |= bits.take(1) as usize;
            if code < first + count {
                return symbols.get(index + code - first).copied().ok_or_else(|| damaged("a code"));
            }
            (index, first, code) = (index + count, (first + count) << 1, code << 1);
        }
        Err(damaged("a code that means nothing"))
    }
}

/// Codes for green (also lengths and the colour cache), red, blue, alpha and distances.
struct Group([Code; 5]);

/// Pixels as they stand in the stream, before the transforms are undone.
struct EntropyCoded<'a> {
    bits: Bits<'a>,
    width: usize,
    height: usize,
    y: usize,
    groups: Vec<Group>,
    /// Which group a block of pixels uses, the blocks across, and the power of two of their side.
    group_of: Vec<u16>,
    blocks: usize,
    block_bits: u32,
    cache: Vec<u32>,
    cache_bits: u32,
    /// The pixels last decoded; how many there were in all.
    window: Vec<u32>,
    done: usize,
}

impl<'a> EntropyCoded<'a> {
    fn new(mut bits: Bits<'a>, width: usize, height: usize, is_picture: bool) -> Result<Self, Refusal> {
        let cache_bits = if bits.take(1) == 1 { bits.take(4) } else { 0 };
        if cache_bits > 11 {
            return Err(damaged("a colour cache"));
        }
        let (mut group_of, mut blocks, mut block_bits) = (Vec::new(), 0, 0);
        if is_picture && bits.take(1) == 1 {
            block_bits = 2 + bits.take(3);
            blocks = width.div_ceil(1 << block_bits);
            let all = image(&mut bits, blocks, height.div_ceil(1 << block_bits))?;
            group_of = all.into_iter().map(|pixel| (pixel >> 8) as u16).collect();
        }
        let cache = if cache_bits > 0 { vec![0; 1 << cache_bits] } else { Vec::new() };
        let count = usize::from(group_of.iter().copied().max().unwrap_or(0)) + 1;
        // A block has one group, so that of more groups than blocks some are never used.
        if count > WEBP_GROUPS || count > group_of.len().max(1) {
            return Err(damaged(format_args!("too many groups of codes: {count}")));
        }
        let (mut groups, mut entries) = (Vec::with_capacity(count), 0);
        for _ in 0..count {
            let mut group = Group(Default::default());
            for (code, alphabet) in group.0.iter_mut().zip([280 + cache.len(), 256, 256, 256, 40]) {
                *code = Code::read(&mut bits, alphabet)?;
                entries += code.entries();
            }
            if entries > WEBP_CODE_ENTRIES {
                return Err(damaged("too many codes"));
            }
            groups.push(group);
        }
        let window = vec![0; WINDOW.min((width * height).next_power_of_two())];
        Ok(Self { bits, width, height, y: 0, groups, group_of, blocks, block_bits, cache, cache_bits, window, done: 0 })
    }

    /// Adds the next row.
    fn row(&mut self, row: &mut Vec<u32>) -> Result<(), Refusal> {
        let (start, end) = (self.y * self.width, (self.y + 1) * self.width);
        // A copy may have gone beyond the end of its row.
        while self.done < end {
            let x = self.done - start;
            let block = (self.y >> self.block_bits) * self.blocks + (x >> self.block_bits);
            let group = self.group_of.get(block).copied().unwrap_or(0);
            // As far as the group is the same.
            let until =
                if self.blocks == 0 { end } else { end.min(start + (((x >> self.block_bits) + 1) << self.block_bits)) };
            self.pixels(usize::from(group), until)?;
        }
        self.bits.check()?;
        row.extend((start..end).map(|at| self.window[at & (self.window.len() - 1)]));
        self.y += 1;
        Ok(())
    }

    /// Decodes pixels of one group until `until` at least.
    fn pixels(&mut self, group: usize, until: usize) -> Result<(), Refusal> {
        let Group([green, red, blue, alpha, distance]) = &self.groups[group];
        let mask = self.window.len() - 1;
        let bits = &mut self.bits;
        while self.done < until {
            let symbol = green.symbol(bits)?;
            let pixel = match symbol {
                0..256 => {
                    let red = u32::from(red.symbol(bits)?);
                    let blue = u32::from(blue.symbol(bits)?);
                    u32::from(alpha.symbol(bits)?) << 24 | red << 16 | u32::from(symbol) << 8 | blue
                }
                256..280 => {
                    let length = number(bits, u32::from(symbol) - 256);
                    let prefix = distance.symbol(bits)?;
                    let code = number(bits, prefix.into());
                    let back = distance_of(code, self.width);
                    if back > self.done || back > self.window.len() || self.done + length > self.width * self.height {
                        return Err(damaged("a copy of nothing"));
                    }
                    // No row is taken before it is whole, and none is written over before it is taken: a length is
                    // at most 4096, and the window is longer than that and a row, or as long as the picture.
                    for at in self.done..self.done + length {
                        let pixel = self.window[(at - back) & mask];
                        self.window[at & mask] = pixel;
                        remember(&mut self.cache, self.cache_bits, pixel);
                    }
                    self.done += length;
                    continue;
                }
                _ => *self.cache.get(usize::from(symbol) - 280).ok_or_else(|| damaged("a colour of the cache"))?,
            };
            self.window[self.done & mask] = pixel;
            remember(&mut self.cache, self.cache_bits, pixel);
            self.done += 1;
        }
        Ok(())
    }
}

/// A small picture that says something of the large one.
fn image(bits: &mut Bits, width: usize, height: usize) -> Result<Vec<u32>, Refusal> {
    let mut coded = EntropyCoded::new(bits.clone(), width, height, false)?;
    let mut pixels = Vec::with_capacity(width * height);
    for _ in 0..height {
        coded.row(&mut pixels)?;
    }
    *bits = coded.bits;
    Ok(pixels)
}

/// A length or a distance: a prefix and bits after it.
#[inline]
fn number(bits: &mut Bits, prefix: u32) -> usize {
    if prefix < 4 {
        return prefix as usize + 1;
    }
    let extra = (prefix - 2) >> 1;
    (((2 + (prefix & 1)) << extra) + bits.take(extra) + 1) as usize
}

/// How many pixels back a distance code points.
#[inline]
fn distance_of(code: usize, width: usize) -> usize {
    match NEIGHBOURS.get(code - 1) {
        Some(at) => (width * usize::from(at >> 4) + 8).saturating_sub(usize::from(at & 15)).max(1),
        None => code - NEIGHBOURS.len(),
    }
}

#[inline]
fn remember(cache: &mut [u32], bits: u32, pixel: u32) {
    if bits > 0 {
        cache[(pixel.wrapping_mul(0x1e35_a7bd) >> (32 - bits)) as usize] = pixel;
    }
}

/// What the encoder did to make pixels alike.
enum Transform {
    /// Each pixel less what its neighbours let expect, in one of 14 ways for each block.
    Predictor { bits: u32, blocks: usize, modes: Vec<u32>, before: Vec<u32> },
    /// Red and blue less parts of green and red, for each block.
    Color { bits: u32, blocks: usize, factors: Vec<u32> },
    /// Red and blue less green.
    Green,
    /// Indices of colours, several in a pixel if there are few.
    Palette { bits: u32, colors: Vec<u32>, width: usize },
}

const BLACK: u32 = 0xff00_0000;

impl Transform {
    fn read(bits: &mut Bits, width: usize, height: usize) -> Result<Self, Refusal> {
        let kind = bits.take(2);
        Ok(match kind {
            0 | 1 => {
                let size = 2 + bits.take(3);
                let blocks = width.div_ceil(1 << size);
                let data = image(bits, blocks, height.div_ceil(1 << size))?;
                if kind == 0 {
                    Self::Predictor { bits: size, blocks, modes: data, before: Vec::with_capacity(width) }
                } else {
                    Self::Color { bits: size, blocks, factors: data }
                }
            }
            2 => Self::Green,
            _ => {
                let count = bits.take(8) as usize + 1;
                let mut colors = image(bits, count, 1)?;
                for at in 1..count {
                    colors[at] = sum(colors[at], colors[at - 1]);
                }
                let bits = match count {
                    0..=2 => 3,
                    3..=4 => 2,
                    5..=16 => 1,
                    _ => 0,
                };
                Self::Palette { bits, colors, width }
            }
        })
    }

    fn undo(&mut self, y: usize, row: &mut Vec<u32>) {
        match self {
            Self::Predictor { bits, blocks, modes, before } => {
                predict(y, row, before, *bits, &modes[(y >> *bits) * *blocks..]);
                before.clone_from(row);
            }
            Self::Color { bits, blocks, factors } => {
                let factors = &factors[(y >> *bits) * *blocks..];
                for (pixels, factors) in row.chunks_mut(1 << *bits).zip(factors) {
                    let [green_to_red, green_to_blue, red_to_blue, _] = factors.to_le_bytes();
                    for pixel in pixels {
                        let [blue, green, red, alpha] = pixel.to_le_bytes();
                        let red = red.wrapping_add(part(green_to_red, green));
                        let blue = blue.wrapping_add(part(green_to_blue, green)).wrapping_add(part(red_to_blue, red));
                        *pixel = u32::from_le_bytes([blue, green, red, alpha]);
                    }
                }
            }
            Self::Green => {
                for pixel in row {
                    let green = *pixel >> 8 & 0xff;
                    *pixel = sum(*pixel, green << 16 | green);
                }
            }
            Self::Palette { bits, colors, width } => {
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

/// A part of one colour that was taken from another.
#[inline]
fn part(factor: u8, color: u8) -> u8 {
    ((i32::from(factor.cast_signed()) * i32::from(color.cast_signed())) >> 5) as u8
}

/// Adds to each pixel of a row what the ones before it let expect.
fn predict(y: usize, row: &mut [u32], above: &[u32], bits: u32, modes: &[u32]) {
    let Some(first) = row.first_mut() else { return };
    *first = sum(*first, if y == 0 { BLACK } else { above[0] });
    let first = *first;
    if y == 0 {
        for x in 1..row.len() {
            row[x] = sum(row[x], row[x - 1]);
        }
        return;
    }
    for (block, mode) in modes.iter().enumerate().take(row.len().div_ceil(1 << bits)) {
        let range = (block << bits).max(1)..((block + 1) << bits).min(row.len());
        let mut each = |expected: fn(u32, u32, u32, u32) -> u32| {
            for x in range.clone() {
                // After the last one above comes the first of this row.
                let right = above.get(x + 1).copied().unwrap_or(first);
                row[x] = sum(row[x], expected(row[x - 1], above[x], right, above[x - 1]));
            }
        };
        match mode >> 8 & 15 {
            1 => each(|left, _, _, _| left),
            2 => each(|_, top, _, _| top),
            3 => each(|_, _, right, _| right),
            4 => each(|_, _, _, corner| corner),
            5 => each(|left, top, right, _| mean(mean(left, right), top)),
            6 => each(|left, _, _, corner| mean(left, corner)),
            7 => each(|left, top, _, _| mean(left, top)),
            8 => each(|_, top, _, corner| mean(corner, top)),
            9 => each(|_, top, right, _| mean(top, right)),
            10 => each(|left, top, right, corner| mean(mean(left, corner), mean(top, right))),
            11 => each(|left, top, _, corner| {
                let to_left: u32 = each_channel(top, corner, u8::abs_diff).to_le_bytes().map(u32::from).iter().sum();
                let to_top: u32 = each_channel(left, corner, u8::abs_diff).to_le_bytes().map(u32::from).iter().sum();
                if to_left < to_top { left } else { top }
            }),
            12 => each(|left, top, _, corner| {
                let [left, top, corner] = [left, top, corner].map(|pixel| pixel.to_le_bytes().map(i32::from));
                clamped(|channel| left[channel] + top[channel] - corner[channel])
            }),
            13 => each(|left, top, _, corner| {
                let [mean, corner] = [mean(left, top), corner].map(|pixel| pixel.to_le_bytes().map(i32::from));
                clamped(|channel| mean[channel] + (mean[channel] - corner[channel]) / 2)
            }),
            _ => each(|_, _, _, _| BLACK),
        }
    }
}

/// Of each channel, modulo 256.
#[inline]
fn sum(a: u32, b: u32) -> u32 {
    let (odd, even) = (0xff00_ff00, 0x00ff_00ff);
    ((a & odd).wrapping_add(b & odd) & odd) | (((a & even) + (b & even)) & even)
}

/// Of each channel, rounded down.
#[inline]
fn mean(a: u32, b: u32) -> u32 {
    (((a ^ b) & 0xfefe_fefe) >> 1) + (a & b)
}

#[inline]
fn each_channel(a: u32, b: u32, of: fn(u8, u8) -> u8) -> u32 {
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    u32::from_le_bytes(std::array::from_fn(|channel| of(a[channel], b[channel])))
}

#[inline]
fn clamped(of: impl Fn(usize) -> i32) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|channel| of(channel).clamp(0, 255) as u8))
}

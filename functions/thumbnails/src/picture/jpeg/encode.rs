//! Baseline JPEG with chroma at half the size and Huffman tables made for the picture, as libjpeg writes it when told
//! to optimize: what every reader knows. In one pass over the pixels, which leaves symbols, and one over the symbols.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::ZIGZAG;
use crate::picture::{Colors, Pixels};

/// Quality of JPEG thumbnails, of 100: the default of sharp and libvips.
const QUALITY: u16 = 80;

/// Steps of quantization at quality 50, by frequency: ITU-T T.81, tables K.1 and K.2.
const LUMA_STEPS: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA_STEPS: [u16; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99,
];

/// `picture` as a file; its sides are at most 65535 pixels.
pub fn encoded(picture: &Pixels, colors: Colors) -> Vec<u8> {
    let is_grey = colors == Colors::Grey;
    let quantizers = [Quantizer::new(&LUMA_STEPS), Quantizer::new(&CHROMA_STEPS)];
    let mut symbols = Symbols::default();
    if is_grey {
        let grey = Plane::luma(picture, 8);
        for y in 0..grey.height / 8 {
            for x in 0..grey.width / 8 {
                symbols.add(0, 0, &quantizers[0].quantized(&grey.block(x, y)));
            }
        }
    } else {
        let (luma, [cb, cr]) = (Plane::luma(picture, 16), Plane::chroma(picture));
        for y in 0..cb.height / 8 {
            for x in 0..cb.width / 8 {
                for (right, down) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    symbols.add(0, 0, &quantizers[0].quantized(&luma.block(2 * x + right, 2 * y + down)));
                }
                symbols.add(1, 1, &quantizers[1].quantized(&cb.block(x, y)));
                symbols.add(2, 1, &quantizers[1].quantized(&cr.block(x, y)));
            }
        }
    }
    file(picture, is_grey, &quantizers, &symbols)
}

/// One component, padded to whole blocks by its last pixels.
struct Plane {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Plane {
    /// Padded to a multiple of `unit`.
    fn luma(picture: &Pixels, unit: usize) -> Self {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let mut plane = Self::new(width.next_multiple_of(unit), height.next_multiple_of(unit));
        for (row, pixels) in plane.rows().zip(picture.rgba.chunks_exact(width)) {
            for (luma, &[r, g, b, _]) in row.iter_mut().zip(pixels) {
                // Of a grey pixel it is exactly its level.
                let sum = 19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b);
                *luma = ((sum + (1 << 15)) >> 16) as u8;
            }
        }
        plane.pad(width, height);
        plane
    }

    /// Blue and red, each the mean of 2 x 2 pixels.
    fn chroma(picture: &Pixels) -> [Self; 2] {
        let width = picture.width as usize;
        let (across, down) = (width.div_ceil(2), picture.height.div_ceil(2) as usize);
        let new = || Self::new(across.next_multiple_of(8), down.next_multiple_of(8));
        let [mut cb, mut cr] = [new(), new()];
        let rows: Vec<&[[u8; 4]]> = picture.rgba.chunks_exact(width).collect();
        for ((two, cb), cr) in rows.chunks(2).zip(cb.rows()).zip(cr.rows()) {
            let (upper, lower) = (two[0], two[two.len() - 1]);
            for (((upper, lower), cb), cr) in upper.chunks(2).zip(lower.chunks(2)).zip(cb).zip(cr) {
                let last = upper.len() - 1;
                let sum = |channel: usize| -> i32 {
                    [upper[0], upper[last], lower[0], lower[last]].map(|pixel| i32::from(pixel[channel])).iter().sum()
                };
                let (r, g, b) = (sum(0), sum(1), sum(2));
                // 128 and a half less a little, so that it stays below 256.
                let middle = (128 << 18) + (1 << 17) - 1;
                *cb = ((-11_059 * r - 21_709 * g + 32_768 * b + middle) >> 18) as u8;
                *cr = ((32_768 * r - 27_439 * g - 5_329 * b + middle) >> 18) as u8;
            }
        }
        cb.pad(across, down);
        cr.pad(across, down);
        [cb, cr]
    }

    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![0; width * height] }
    }

    fn rows(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.pixels.chunks_exact_mut(self.width)
    }

    fn pad(&mut self, width: usize, height: usize) {
        for row in self.rows().take(height) {
            let last = row[width - 1];
            row[width..].fill(last);
        }
        let last = (height - 1) * self.width;
        for row in height..self.height {
            self.pixels.copy_within(last..last + self.width, row * self.width);
        }
    }

    /// By row, then column; 0 is the middle of the range.
    #[inline]
    fn block(&self, x: usize, y: usize) -> [[f32; 8]; 8] {
        std::array::from_fn(|row| {
            let at = (8 * y + row) * self.width + 8 * x;
            let mut pixels = [0; 8];
            pixels.copy_from_slice(&self.pixels[at..at + 8]);
            pixels.map(|pixel| f32::from(pixel) - 128.0)
        })
    }
}

struct Quantizer {
    /// As they stand in the file, in its order.
    steps: [u8; 64],
    /// What a frequency, as the transform leaves it, is multiplied with.
    factors: [[f32; 8]; 8],
}

impl Quantizer {
    fn new(steps: &[u16; 64]) -> Self {
        let scaled = steps.map(|step| ((step * (200 - 2 * QUALITY) + 50) / 100).clamp(1, 255) as u8);
        // The scales of Arai, Agui and Nakajima: 1 for the first, then cos(k pi / 16) sqrt(2).
        let scale = |k: usize| match k {
            0 => 1.0,
            k => (k as f32 * std::f32::consts::PI / 16.0).cos() * std::f32::consts::SQRT_2,
        };
        let factor =
            |row: usize, column: usize| 1.0 / (8.0 * scale(row) * scale(column) * f32::from(scaled[8 * row + column]));
        Self {
            steps: ZIGZAG.map(|at| scaled[usize::from(at)]),
            factors: std::array::from_fn(|row| std::array::from_fn(|column| factor(row, column))),
        }
    }

    /// The coefficients of a block, by frequency.
    #[inline]
    fn quantized(&self, block: &[[f32; 8]; 8]) -> [[i32; 8]; 8] {
        let columns = transposed(&transformed(block));
        let frequencies = transposed(&transformed(&columns));
        // Adding 1.5 * 2^23 rounds, and leaves the integer in the low bits.
        let rounding = 12_582_912.0_f32;
        let mut coefficients = [[0; 8]; 8];
        for ((row, frequencies), factors) in coefficients.iter_mut().zip(&frequencies).zip(&self.factors) {
            for ((coefficient, frequency), factor) in row.iter_mut().zip(frequencies).zip(factors) {
                *coefficient = (frequency * factor + rounding).to_bits().wrapping_sub(rounding.to_bits()).cast_signed();
            }
        }
        coefficients
    }
}

/// The cosine transform of each column, as Arai, Agui and Nakajima have it, each frequency at a scale of its own.
#[inline]
fn transformed(rows: &[[f32; 8]; 8]) -> [[f32; 8]; 8] {
    let [mut r0, mut r1, mut r2, mut r3, mut r4, mut r5, mut r6, mut r7] = *rows;
    for lane in 0..8 {
        let (a0, a7) = (r0[lane] + r7[lane], r0[lane] - r7[lane]);
        let (a1, a6) = (r1[lane] + r6[lane], r1[lane] - r6[lane]);
        let (a2, a5) = (r2[lane] + r5[lane], r2[lane] - r5[lane]);
        let (a3, a4) = (r3[lane] + r4[lane], r3[lane] - r4[lane]);
        // The even part.
        let (b0, b3, b1, b2) = (a0 + a3, a0 - a3, a1 + a2, a1 - a2);
        (r0[lane], r4[lane]) = (b0 + b1, b0 - b1);
        let turned = (b2 + b3) * 0.707_106_77;
        (r2[lane], r6[lane]) = (b3 + turned, b3 - turned);
        // The odd part.
        let (c0, c1, c2) = (a4 + a5, a5 + a6, a6 + a7);
        let common = (c0 - c2) * 0.382_683_43;
        let low = 0.541_196_1 * c0 + common;
        let high = 1.306_563 * c2 + common;
        let middle = c1 * 0.707_106_77;
        let (d0, d1) = (a7 + middle, a7 - middle);
        (r5[lane], r3[lane]) = (d1 + low, d1 - low);
        (r1[lane], r7[lane]) = (d0 + high, d0 - high);
    }
    [r0, r1, r2, r3, r4, r5, r6, r7]
}

#[inline]
fn transposed(rows: &[[f32; 8]; 8]) -> [[f32; 8]; 8] {
    std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
}

/// What is to be written, as symbols of four tables: DC and the others, of luma and of chroma.
#[derive(Default)]
struct Symbols {
    /// The table in the highest byte, the symbol in the next, the bits of the value in the other two.
    all: Vec<u32>,
    counts: [Counts; 4],
    /// The last DC of each component.
    dc: [i32; 3],
}

struct Counts([u32; 256]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl Symbols {
    #[inline]
    fn add(&mut self, component: usize, kind: u32, coefficients: &[[i32; 8]; 8]) {
        let coefficients = coefficients.as_flattened();
        let difference = coefficients[0] - self.dc[component];
        self.dc[component] = coefficients[0];
        self.push(2 * kind, 0, difference);
        let mut nonzero = 0_u64;
        for (k, at) in ZIGZAG.iter().enumerate() {
            nonzero |= u64::from(coefficients[usize::from(at & 63)] != 0) << k;
        }
        nonzero &= !1;
        let mut last = 0;
        while nonzero != 0 {
            let k = nonzero.trailing_zeros();
            nonzero &= nonzero - 1;
            let mut run = k - last - 1;
            while run > 15 {
                self.push(2 * kind + 1, 15, 0);
                run -= 16;
            }
            self.push(2 * kind + 1, run, coefficients[usize::from(ZIGZAG[k as usize & 63] & 63)]);
            last = k;
        }
        if last < 63 {
            self.push(2 * kind + 1, 0, 0);
        }
    }

    #[inline]
    fn push(&mut self, table: u32, run: u32, value: i32) {
        let size = 32 - value.unsigned_abs().leading_zeros();
        // Negative values are written less one.
        let bits = (value - i32::from(value < 0)).cast_unsigned() & ((1 << size) - 1);
        let symbol = run << 4 | size;
        self.counts[table as usize & 3].0[symbol as usize & 255] += 1;
        self.all.push(table << 24 | symbol << 16 | bits);
    }
}

/// The codes of one table.
struct Codes {
    /// How many there are of each length from 1 to 16.
    lengths: [u8; 16],
    /// From the most frequent to the rarest.
    symbols: Vec<u8>,
    /// By symbol: the code, and its length.
    by_symbol: [(u16, u8); 256],
}

impl Codes {
    /// ITU-T T.81, K.2.
    fn new(counts: &Counts) -> Self {
        // One more, the rarest, takes the code of all ones, which is not allowed.
        let real: Vec<u8> = (0..=255).filter(|symbol| counts.0[usize::from(*symbol)] > 0).collect();
        let leaves = real.iter().map(|symbol| counts.0[usize::from(*symbol)]).chain([1]);
        let mut heap: BinaryHeap<_> = leaves.enumerate().map(|(node, count)| Reverse((count, node))).collect();
        let mut parents = vec![0; heap.len()];
        while let (Some(Reverse((rarest, a))), Some(Reverse((rare, b)))) = (heap.pop(), heap.pop()) {
            (parents[a], parents[b]) = (parents.len(), parents.len());
            heap.push(Reverse((rarest + rare, parents.len())));
            parents.push(0);
        }
        // A parent comes after its children, the root last.
        let mut lengths = vec![0_usize; parents.len()];
        for node in (0..parents.len() - 1).rev() {
            lengths[node] = lengths[parents[node]] + 1;
        }
        let leaves = &lengths[..=real.len()];
        let mut of_length = [0_usize; 258];
        for length in leaves {
            of_length[*length] += 1;
        }
        // No code may be longer than 16: two that are move up beside one that is shorter.
        for length in (17..258).rev() {
            while of_length[length] > 0 {
                let shorter = (1..length - 1).rev().find(|shorter| of_length[*shorter] > 0).unwrap_or(1);
                of_length[length] -= 2;
                of_length[length - 1] += 1;
                of_length[shorter + 1] += 2;
                of_length[shorter] -= 1;
            }
        }
        if let Some(longest) = (1..=16).rev().find(|length| of_length[*length] > 0) {
            of_length[longest] -= 1;
        }
        let mut symbols: Vec<(usize, u8)> = leaves.iter().copied().zip(real).collect();
        symbols.sort_unstable();
        let symbols: Vec<u8> = symbols.into_iter().map(|(_, symbol)| symbol).collect();
        let (mut codes, mut code, mut next) = ([(0, 0); 256], 0, symbols.iter());
        for length in 1..=16 {
            for symbol in next.by_ref().take(of_length[usize::from(length)]) {
                codes[usize::from(*symbol)] = (code, length);
                code += 1;
            }
            code <<= 1;
        }
        Self { lengths: std::array::from_fn(|length| of_length[length + 1] as u8), symbols, by_symbol: codes }
    }
}

fn file(picture: &Pixels, is_grey: bool, quantizers: &[Quantizer; 2], symbols: &Symbols) -> Vec<u8> {
    let kinds = if is_grey { 1 } else { 2 };
    let codes = symbols.counts.each_ref().map(Codes::new);
    let mut file = vec![0xff, 0xd8];
    segment(&mut file, 0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    for (kind, quantizer) in (0..kinds).zip(quantizers) {
        segment(&mut file, super::QUANTIZATION, &[&[kind][..], &quantizer.steps].concat());
    }
    let [_, _, high, low] = picture.height.to_be_bytes();
    let [_, _, wide, narrow] = picture.width.to_be_bytes();
    let components: &[u8] = if is_grey { &[1, 1, 0x11, 0] } else { &[3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1] };
    segment(&mut file, 0xc0, &[&[8, high, low, wide, narrow][..], components].concat());
    for (name, codes) in [0x00, 0x10, 0x01, 0x11].into_iter().zip(&codes).take(2 * usize::from(kinds)) {
        segment(&mut file, super::HUFFMAN, &[&[name][..], &codes.lengths, &codes.symbols].concat());
    }
    let components: &[u8] = if is_grey { &[1, 1, 0] } else { &[3, 1, 0, 2, 0x11, 3, 0x11] };
    segment(&mut file, super::START_OF_SCAN, &[components, &[0, 63, 0]].concat());

    let (mut buffer, mut count) = (0_u64, 0);
    for symbol in &symbols.all {
        let [bits_low, bits_high, name, table] = symbol.to_le_bytes();
        let (code, length) = codes[usize::from(table & 3)].by_symbol[usize::from(name)];
        let size = u32::from(name & 15);
        let bits = u64::from(u16::from_le_bytes([bits_low, bits_high]));
        buffer = buffer << (u32::from(length) + size) | u64::from(code) << size | bits;
        count += u32::from(length) + size;
        if count >= 32 {
            count -= 32;
            put(&mut file, ((buffer >> count) as u32).to_be_bytes());
        }
    }
    // Ones fill the last byte.
    buffer = buffer << 7 | 0x7f;
    count += 7;
    while count >= 8 {
        count -= 8;
        put(&mut file, [(buffer >> count) as u8]);
    }
    file.extend([0xff, super::END_OF_IMAGE]);
    file
}

/// After a byte of ones a zero says that it is no marker.
#[inline]
fn put<const N: usize>(file: &mut Vec<u8>, bytes: [u8; N]) {
    if bytes.contains(&0xff) {
        file.extend(bytes.iter().flat_map(|&byte| [byte, 0].into_iter().take(1 + usize::from(byte == 0xff))));
    } else {
        file.extend(bytes);
    }
}

fn segment(file: &mut Vec<u8>, marker: u8, body: &[u8]) {
    file.extend([0xff, marker]);
    file.extend((body.len() as u16 + 2).to_be_bytes());
    file.extend(body);
}

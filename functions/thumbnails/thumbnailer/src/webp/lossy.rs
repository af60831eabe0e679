//! Lossy WebP: a key frame of VP8 (RFC 6386), decoded one row of macroblocks after the other, so that memory never holds the
//! whole picture. Names are those of the RFC.
//!
//! The decoder leaves the loop filter out, as libwebp does where it shrinks a picture to three quarters or less. Prediction
//! uses samples as they are before the filter, so no error grows.
//!
//! The decoder is our own for its time and its memory: with `image-webp` 0.2.4, which applies the filter and returns whole
//! planes, the processor time of three thumbnails is 1.6 times as long for a photograph of 1 megapixel, 1.9 times for 8 and
//! 2.6 times for 20, and the peak memory for 20 megapixels is 39 MB instead of 7 MB (2026-11-29).

use crate::{ImageError, damaged};

use bits::BoolDecoder;
use predict::{LEFT, Mode, START, Samples, SubblockMode};

mod bits;
mod predict;
mod tables;

/// The coefficient in raster order, by its position in the file.
const ZIGZAG: [u8; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// The band of each coefficient. The last entry stands after the last coefficient, where no probability is used.
const BANDS: [usize; 17] = [0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 0];

/// The probabilities of one coefficient, by its context.
type Contexts = [[u8; 11]; 3];

/// The types of blocks, by which probabilities are chosen.
const LUMA_AFTER_FIRST: usize = 0;
const LUMA_FIRSTS: usize = 1;
const CHROMA: usize = 2;
const LUMA: usize = 3;

/// A decoder of one picture.
pub struct Lossy<'a> {
    header: Header,
    modes: BoolDecoder<'a>,
    /// Each row of macroblocks has its coefficients in one partition, in turns.
    partitions: Vec<BoolDecoder<'a>>,
    above: Vec<Neighbor>,
    /// The last two rows of macroblocks: row `n` is at `n % 2`.
    rows: [MacroblockRow; 2],
    next_row: usize,
    /// The size in macroblocks.
    across: usize,
    down: usize,
}

/// The samples of a row of macroblocks: 16 rows of luma, and 8 rows of each chroma component.
struct MacroblockRow {
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
}

/// The state of the macroblock above or to the left that decoding a macroblock needs.
#[derive(Clone, Copy, Default)]
struct Neighbor {
    /// True for each block with coefficients: four of luma, two of each chroma component, and the block of first coefficients.
    has_coefficients: [u8; 9],
    modes: [u8; 4],
}

#[derive(Clone, Copy, Default)]
struct Steps {
    luma: [u16; 2],
    luma_firsts: [u16; 2],
    chroma: [u16; 2],
}

struct Header {
    /// If the segment of each macroblock is coded, the probabilities of its bits.
    segment_probabilities: Option<[u8; 3]>,
    /// The quantization steps of each segment: of the first coefficient, and of the others.
    steps: [Steps; 4],
    /// If macroblocks without coefficients are marked, the probability that one is not marked.
    skip_probability: Option<u8>,
    /// By block type and coefficient.
    coefficients: Box<[[Contexts; 17]; 4]>,
}

impl<'a> Lossy<'a> {
    /// Reads the headers. `size` is the size in the frame's header.
    pub fn new(frame: &'a [u8], size: (u32, u32)) -> Result<Self, ImageError> {
        let [tag_low, tag_middle, tag_high, _, _, _, _, _, _, _, data @ ..] = frame else {
            return Err(damaged("its header"));
        };
        let tag = u32::from_le_bytes([*tag_low, *tag_middle, *tag_high, 0]);
        if tag & 1 != 0 || tag >> 1 & 7 > 3 {
            return Err(ImageError::UnsupportedFormat);
        }
        let (first, data) = data.split_at_checked((tag >> 5) as usize).ok_or_else(|| damaged("data is missing"))?;
        let mut bits = BoolDecoder::new(first);
        let (header, partition_count) = Header::read(&mut bits)?;
        let partitions = partitions(data, partition_count)?;
        let (across, down) = (size.0.div_ceil(16) as usize, size.1.div_ceil(16) as usize);
        let row =
            || MacroblockRow { luma: vec![0; 256 * across], chroma: [vec![0; 64 * across], vec![0; 64 * across]] };
        let rows = [row(), row()];
        let above = vec![Neighbor::default(); across];
        Ok(Self { header, modes: bits, partitions, above, rows, next_row: 0, across, down })
    }

    /// Decodes rows of macroblocks until row `y` of the picture is there, and the chroma rows around it.
    pub fn decode_to(&mut self, y: usize) -> Result<(), ImageError> {
        while self.next_row < self.down && self.next_row <= (y + 1) / 16 {
            self.decode_macroblock_row()?;
        }
        Ok(())
    }

    /// A row of luma, padded to whole macroblocks. It must be decoded, and less than 16 rows back.
    pub fn luma(&self, y: usize) -> &[u8] {
        let stride = 16 * self.across;
        &self.rows[y / 16 % 2].luma[y % 16 * stride..][..stride]
    }

    /// A row of Cb (0) or Cr (1), as [`Self::luma`].
    pub fn chroma(&self, component: usize, y: usize) -> &[u8] {
        let stride = 8 * self.across;
        &self.rows[y / 8 % 2].chroma[component][y % 8 * stride..][..stride]
    }

    fn decode_macroblock_row(&mut self) -> Result<(), ImageError> {
        let y = self.next_row;
        let partition = y % self.partitions.len();
        let (mut modes, mut bits) = (self.modes, self.partitions[partition]);
        let mut left = Neighbor::default();
        let mut samples = MacroblockSamples::new(y == 0);
        let [even, odd] = &mut self.rows;
        let (row, row_above) = if y.is_multiple_of(2) { (even, odd) } else { (odd, even) };
        for x in 0..self.across {
            let above = &mut self.above[x];
            let macroblock = Macroblock::read(&mut modes, &self.header, above, &mut left);
            let mut residual = Residual::default();
            if macroblock.is_skipped {
                skip_coefficients(&macroblock, above, &mut left);
            } else {
                residual.read(&mut bits, &self.header, &macroblock, above, &mut left);
            }
            if modes.is_past_end() || bits.is_past_end() {
                return Err(damaged("data is missing"));
            }
            samples.enter(row_above, (x, y), self.across);
            samples.reconstruct(&macroblock, &residual, (x, y));
            samples.leave(row, x, self.across);
        }
        (self.modes, self.partitions[partition]) = (modes, bits);
        self.next_row += 1;
        Ok(())
    }
}

/// The partitions of coefficients. Their sizes precede them, except that of the last one.
fn partitions(data: &[u8], count: usize) -> Result<Vec<BoolDecoder<'_>>, ImageError> {
    let missing = || damaged("data is missing");
    let (sizes, mut data) = data.split_at_checked(3 * (count - 1)).ok_or_else(missing)?;
    let mut partitions = Vec::with_capacity(count);
    for size in sizes.as_chunks::<3>().0 {
        let size = u32::from_le_bytes([size[0], size[1], size[2], 0]) as usize;
        let (partition, rest) = data.split_at_checked(size).ok_or_else(missing)?;
        partitions.push(BoolDecoder::new(partition));
        data = rest;
    }
    partitions.push(BoolDecoder::new(data));
    Ok(partitions)
}

impl Header {
    /// Reads the header of the first partition. Returns the number of the other partitions, too.
    fn read(bits: &mut BoolDecoder) -> Result<(Self, usize), ImageError> {
        if bits.read(128) {
            // A colour space that no encoder writes.
            return Err(ImageError::UnsupportedFormat);
        }
        // Whether samples need no clamping. They are always clamped.
        bits.read(128);
        let segments = Segments::read(bits);
        // The loop filter: its type, its level, its sharpness, and its adjustments.
        bits.read(128);
        bits.read_literal(6);
        bits.read_literal(3);
        if bits.read(128) && bits.read(128) {
            for _ in 0..8 {
                bits.read_optional_signed(6);
            }
        }
        let partition_count = 1 << bits.read_literal(2);
        let steps = segments.steps(bits);
        // Whether the probabilities stay for the next frame. There is none.
        bits.read(128);
        let mut coefficients = tables::COEFFICIENT_PROBABILITIES;
        for (probability, update) in coefficients.iter_mut().zip(tables::UPDATE_PROBABILITIES) {
            if bits.read(update) {
                *probability = bits.read_literal(8);
            }
        }
        let (contexts, _) = coefficients.as_chunks::<11>();
        let by_band =
            |kind: usize, band: usize| std::array::from_fn(|context| contexts[(kind * 8 + band) * 3 + context]);
        let coefficients = Box::new(std::array::from_fn(|kind| BANDS.map(|band| by_band(kind, band))));
        let skip_probability = bits.read(128).then(|| bits.read_literal(8));
        if bits.is_past_end() {
            return Err(damaged("data is missing"));
        }
        Ok((
            Self { segment_probabilities: segments.probabilities, steps, skip_probability, coefficients },
            partition_count,
        ))
    }
}

/// Segments: groups of macroblocks that have quantizers of their own.
#[derive(Default)]
struct Segments {
    is_enabled: bool,
    probabilities: Option<[u8; 3]>,
    /// The quantizer of each segment. Unless they are absolute, they are added to that of the frame.
    quantizers: [i32; 4],
    is_absolute: bool,
}

impl Segments {
    fn read(bits: &mut BoolDecoder) -> Self {
        let mut segments = Self { is_enabled: bits.read(128), ..Self::default() };
        if !segments.is_enabled {
            return segments;
        }
        let has_probabilities = bits.read(128);
        if bits.read(128) {
            segments.is_absolute = bits.read(128);
            segments.quantizers = std::array::from_fn(|_| bits.read_optional_signed(7));
            // The levels of the loop filter.
            for _ in 0..4 {
                bits.read_optional_signed(6);
            }
        }
        if has_probabilities {
            let probabilities = std::array::from_fn(|_| if bits.read(128) { bits.read_literal(8) } else { 255 });
            segments.probabilities = Some(probabilities);
        }
        segments
    }

    /// Reads the quantizer indices, and looks up the steps of each segment.
    fn steps(&self, bits: &mut BoolDecoder) -> [Steps; 4] {
        let base = i32::from(bits.read_literal(7));
        // What is added to the index: for the first coefficient of luma, for both kinds of the block of first coefficients,
        // and for both kinds of chroma.
        let added: [i32; 5] = std::array::from_fn(|_| bits.read_optional_signed(4));
        let dc = |index: i32| tables::DC_STEPS[index.clamp(0, 127) as usize];
        let ac = |index: i32| tables::AC_STEPS[index.clamp(0, 127) as usize];
        self.quantizers.map(|quantizer| {
            let index = match (self.is_enabled, self.is_absolute) {
                (false, _) => base,
                (true, false) => base + quantizer,
                (true, true) => quantizer,
            };
            Steps {
                luma: [dc(index + added[0]), ac(index)],
                luma_firsts: [2 * dc(index + added[1]), (u32::from(ac(index + added[2])) * 155 / 100).max(8) as u16],
                chroma: [dc(index + added[3]).min(132), ac(index + added[4])],
            }
        })
    }
}

/// The header of a macroblock.
struct Macroblock {
    segment: usize,
    is_skipped: bool,
    /// The mode of all luma, or of each subblock.
    luma: LumaModes,
    chroma: Mode,
}

enum LumaModes {
    Whole(Mode),
    Subblocks([SubblockMode; 16]),
}

impl Macroblock {
    fn read(bits: &mut BoolDecoder, header: &Header, above: &mut Neighbor, left: &mut Neighbor) -> Self {
        let segment = match header.segment_probabilities {
            Some([first, low, _]) if !bits.read(first) => usize::from(bits.read(low)),
            Some([_, _, high]) => 2 + usize::from(bits.read(high)),
            None => 0,
        };
        let is_skipped = header.skip_probability.is_some_and(|probability| bits.read(probability));
        let luma = if bits.read(145) {
            let (mode, as_subblock) = match bits.read(156) {
                true if bits.read(128) => (Mode::TrueMotion, SubblockMode::TrueMotion),
                true => (Mode::Horizontal, SubblockMode::Horizontal),
                false if bits.read(163) => (Mode::Vertical, SubblockMode::Vertical),
                false => (Mode::Dc, SubblockMode::Dc),
            };
            (above.modes, left.modes) = ([as_subblock as u8; 4], [as_subblock as u8; 4]);
            LumaModes::Whole(mode)
        } else {
            let mut modes = [SubblockMode::Dc; 16];
            for (row, left) in modes.as_chunks_mut::<4>().0.iter_mut().zip(&mut left.modes) {
                for (mode, above) in row.iter_mut().zip(&mut above.modes) {
                    *mode = read_subblock_mode(bits, *above, *left);
                    (*above, *left) = (*mode as u8, *mode as u8);
                }
            }
            LumaModes::Subblocks(modes)
        };
        let chroma = match () {
            () if !bits.read(142) => Mode::Dc,
            () if !bits.read(114) => Mode::Vertical,
            () if !bits.read(183) => Mode::Horizontal,
            () => Mode::TrueMotion,
        };
        Self { segment, is_skipped, luma, chroma }
    }
}

fn read_subblock_mode(bits: &mut BoolDecoder, above: u8, left: u8) -> SubblockMode {
    let (probabilities, _) = tables::MODE_PROBABILITIES.as_chunks::<9>();
    let p = &probabilities[10 * usize::from(above) + usize::from(left)];
    match () {
        () if !bits.read(p[0]) => SubblockMode::Dc,
        () if !bits.read(p[1]) => SubblockMode::TrueMotion,
        () if !bits.read(p[2]) => SubblockMode::Vertical,
        () if !bits.read(p[3]) => match () {
            () if !bits.read(p[4]) => SubblockMode::Horizontal,
            () if !bits.read(p[5]) => SubblockMode::RightDown,
            () => SubblockMode::VerticalRight,
        },
        () if !bits.read(p[6]) => SubblockMode::LeftDown,
        () if !bits.read(p[7]) => SubblockMode::VerticalLeft,
        () if !bits.read(p[8]) => SubblockMode::HorizontalDown,
        () => SubblockMode::HorizontalUp,
    }
}

/// Marks a macroblock without coefficients.
fn skip_coefficients(macroblock: &Macroblock, above: &mut Neighbor, left: &mut Neighbor) {
    for neighbor in [above, left] {
        neighbor.has_coefficients[..8].fill(0);
        if matches!(macroblock.luma, LumaModes::Whole(_)) {
            neighbor.has_coefficients[8] = 0;
        }
    }
}

/// The coefficients of a macroblock: 16 blocks of luma, then four of Cb and four of Cr.
#[derive(Default)]
struct Residual {
    coefficients: [[i16; 16]; 24],
    /// The number of coefficients of each block up to its last one that is not zero; at least 1 if the first is not zero.
    lengths: [u8; 24],
}

impl Residual {
    fn read(
        &mut self,
        bits: &mut BoolDecoder,
        header: &Header,
        macroblock: &Macroblock,
        above: &mut Neighbor,
        left: &mut Neighbor,
    ) {
        let steps = &header.steps[macroblock.segment];
        let (above, left) = (&mut above.has_coefficients, &mut left.has_coefficients);
        let is_whole = matches!(macroblock.luma, LumaModes::Whole(_));
        if is_whole {
            let mut firsts = [0; 16];
            let probabilities = &header.coefficients[LUMA_FIRSTS];
            let length = read_block(bits, probabilities, above[8] + left[8], steps.luma_firsts, 0, &mut firsts);
            (above[8], left[8]) = (u8::from(length > 0), u8::from(length > 0));
            if length > 0 {
                let firsts = predict::inverse_wht(&firsts);
                for ((block, length), first) in self.coefficients.iter_mut().zip(&mut self.lengths).zip(firsts) {
                    block[0] = first;
                    *length = u8::from(first != 0);
                }
            }
        }
        let (kind, first) = if is_whole { (LUMA_AFTER_FIRST, 1) } else { (LUMA, 0) };
        for y in 0..4 {
            for x in 0..4 {
                let block = 4 * y + x;
                let (above, left) = (&mut above[x], &mut left[y]);
                let coefficients = &mut self.coefficients[block];
                let probabilities = &header.coefficients[kind];
                let length = read_block(bits, probabilities, *above + *left, steps.luma, first, coefficients);
                (*above, *left) = (u8::from(length > first), u8::from(length > first));
                if length > first {
                    self.lengths[block] = length as u8;
                }
            }
        }
        for component in 0..2 {
            for block in 0..4 {
                let (above, left) =
                    (&mut above[4 + 2 * component + block % 2], &mut left[4 + 2 * component + block / 2]);
                let block = 16 + 4 * component + block;
                let coefficients = &mut self.coefficients[block];
                let probabilities = &header.coefficients[CHROMA];
                let length = read_block(bits, probabilities, *above + *left, steps.chroma, 0, coefficients);
                (*above, *left) = (u8::from(length > 0), u8::from(length > 0));
                self.lengths[block] = length as u8;
            }
        }
    }
}

/// Reads the coefficients of a block from `first` on. Returns the index after the last one.
#[inline]
fn read_block(
    outer: &mut BoolDecoder,
    probabilities: &[Contexts; 17],
    context: u8,
    steps: [u16; 2],
    first: usize,
    coefficients: &mut [i16; 16],
) -> usize {
    // A copy stays in registers.
    let mut bits = *outer;
    let mut at = first;
    let mut p = &probabilities[at][usize::from(context.min(2))];
    'block: while at < 16 && bits.read(p[0]) {
        while !bits.read(p[1]) {
            at += 1;
            p = &probabilities[at][0];
            if at == 16 {
                break 'block;
            }
        }
        let next = &probabilities[at + 1];
        let value = if bits.read(p[2]) {
            let value = read_large_value(&mut bits, p);
            p = &next[2];
            value
        } else {
            p = &next[1];
            1
        };
        let value = if bits.read(128) { -value } else { value };
        let step = i32::from(steps[usize::from(at > 0)]);
        coefficients[usize::from(ZIGZAG[at & 15] & 15)] = (value * step) as i16;
        at += 1;
    }
    *outer = bits;
    at
}

/// The rest of a value of at least 2.
#[inline]
fn read_large_value(bits: &mut BoolDecoder, p: &[u8; 11]) -> i32 {
    if !bits.read(p[3]) {
        return if bits.read(p[4]) { 3 + i32::from(bits.read(p[5])) } else { 2 };
    }
    if !bits.read(p[6]) {
        if !bits.read(p[7]) {
            return 5 + i32::from(bits.read(159));
        }
        let high = i32::from(bits.read(165));
        return 7 + 2 * high + i32::from(bits.read(145));
    }
    let (base, probabilities): (i32, &[u8]) = if bits.read(p[8]) {
        if bits.read(p[10]) {
            (67, &[254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129])
        } else {
            (35, &[180, 157, 141, 134, 130])
        }
    } else if bits.read(p[9]) {
        (19, &[176, 155, 140, 135])
    } else {
        (11, &[173, 148, 140])
    };
    base + probabilities.iter().fold(0, |value, probability| 2 * value + i32::from(bits.read(*probability)))
}

/// The samples of a macroblock, with those above it and to its left.
struct MacroblockSamples {
    luma: Samples<17>,
    chroma: [Samples<9>; 2],
    /// The luma samples above the next macroblock.
    above_right: [u8; 4],
}

impl MacroblockSamples {
    /// The samples outside the picture: 127 above it, and 129 to its left.
    fn new(is_first_row: bool) -> Self {
        let mut samples = Self { luma: [[129; 32]; 17], chroma: [[[129; 32]; 9]; 2], above_right: [127; 4] };
        if is_first_row {
            samples.luma[0] = [127; 32];
            for chroma in &mut samples.chroma {
                chroma[0] = [127; 32];
            }
        }
        samples
    }

    /// Copies the samples above macroblock `x`. Those to its left are there.
    fn enter(&mut self, row_above: &MacroblockRow, (x, y): (usize, usize), across: usize) {
        if y == 0 {
            return;
        }
        let above = &row_above.luma[15 * 16 * across..];
        self.luma[0][START..].copy_from_slice(&above[16 * x..16 * x + 16]);
        self.above_right = match above.get(16 * x + 16..16 * x + 20) {
            Some(right) => std::array::from_fn(|column| right[column]),
            None => [self.luma[0][31]; 4],
        };
        for (samples, above) in self.chroma.iter_mut().zip(&row_above.chroma) {
            samples[0][START..START + 8].copy_from_slice(&above[7 * 8 * across + 8 * x..][..8]);
        }
    }

    fn reconstruct(&mut self, macroblock: &Macroblock, residual: &Residual, (x, y): (usize, usize)) {
        let (has_above, has_left) = (y > 0, x > 0);
        if let LumaModes::Whole(mode) = macroblock.luma {
            predict::predict::<16, 17>(&mut self.luma, mode, has_above, has_left);
        }
        for (block, (coefficients, length)) in residual.coefficients.iter().zip(residual.lengths).take(16).enumerate() {
            let at = (block % 4, block / 4);
            if let LumaModes::Subblocks(modes) = &macroblock.luma {
                predict::predict_subblock(&mut self.luma, at, modes[block], self.above_right);
            }
            if length > 0 {
                let place = (START + 4 * at.0, 1 + 4 * at.1);
                predict::add_inverse_dct(&mut self.luma, place, coefficients, length == 1);
            }
        }
        for (component, samples) in self.chroma.iter_mut().enumerate() {
            predict::predict::<8, 9>(samples, macroblock.chroma, has_above, has_left);
            for block in 0..4 {
                let index = 16 + 4 * component + block;
                if residual.lengths[index] > 0 {
                    let place = (START + 4 * (block % 2), 1 + 4 * (block / 2));
                    let is_dc_only = residual.lengths[index] == 1;
                    predict::add_inverse_dct(samples, place, &residual.coefficients[index], is_dc_only);
                }
            }
        }
    }

    /// Copies the samples into the row, and the last column to where the next macroblock finds its left samples.
    fn leave(&mut self, row: &mut MacroblockRow, x: usize, across: usize) {
        for (to, samples) in row.luma.chunks_exact_mut(16 * across).zip(&self.luma[1..]) {
            to[16 * x..16 * x + 16].copy_from_slice(&samples[START..]);
        }
        for samples in &mut self.luma {
            samples[LEFT] = samples[START + 15];
        }
        for (row, samples) in row.chroma.iter_mut().zip(&mut self.chroma) {
            for (to, samples) in row.chunks_exact_mut(8 * across).zip(&samples[1..]) {
                to[8 * x..8 * x + 8].copy_from_slice(&samples[START..START + 8]);
            }
            for samples in samples {
                samples[LEFT] = samples[START + 7];
            }
        }
    }
}

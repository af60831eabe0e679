//! Scans: the coded blocks of one or more components, as a whole or some frequencies and bits of them.

use shared::limits::JPEG_COEFFICIENT_SCANS;

use super::{
    Component, Frame, Plane, Refusal, Tables, ZIGZAG, damaged,
    huffman::{Bits, Codes, Table},
    idct::Waves,
};

/// A component as far as it is decoded.
pub struct Reduced {
    /// N: a block becomes N x N pixels.
    size: usize,
    /// By the order of coefficients: where it stands among the N x N that are wanted, or [`NOWHERE`].
    places: [u8; 64],
    /// The last coefficient that is wanted.
    last: u32,
    /// Blocks, across and down: those that a scan of this component alone has, and those of whole MCUs.
    blocks: (u32, u32),
    padded: (u32, u32),
    plane: Plane,
    /// Of a progressive image: the wanted coefficients of each block, and of all of them, by their order, which are
    /// not zero.
    coefficients: Vec<i16>,
    nonzero: Vec<u64>,
    /// How many scans have coded each coefficient, by its order.
    scans: [u32; 64],
}

/// The place in a block's [f32; 64] where a coefficient is put that nobody reads; N x N of them end before it unless
/// all are wanted.
const NOWHERE: u8 = 63;

impl Reduced {
    pub fn new(frame: &Frame, component: &Component, size: usize) -> Self {
        let places = ZIGZAG.map(|at| {
            let (row, column) = (usize::from(at / 8), usize::from(at % 8));
            if row < size && column < size { (row * size + column) as u8 } else { NOWHERE }
        });
        let last = ZIGZAG.iter().rposition(|at| usize::from(at / 8) < size && usize::from(at % 8) < size);
        let (width, height) = frame.extent(component);
        let blocks = ((width / 8.0).ceil() as u32, (height / 8.0).ceil() as u32);
        let mcus = frame.mcus();
        let padded = (mcus.0 * component.sampling.0, mcus.1 * component.sampling.1);
        let shrunk = |extent: f64| extent * size as f64 / 8.0;
        let extent = (shrunk(width), shrunk(height));
        let mut reduced = Self {
            size,
            places,
            last: last.unwrap_or_default() as u32,
            blocks,
            padded,
            plane: Plane { width: extent.0.ceil() as u32, height: extent.1.ceil() as u32, extent, pixels: Vec::new() },
            coefficients: Vec::new(),
            nonzero: Vec::new(),
            scans: [0; 64],
        };
        if frame.is_progressive {
            let blocks = padded.0 as usize * padded.1 as usize;
            reduced.coefficients = vec![0; blocks * size * size];
            if size > 1 {
                reduced.nonzero = vec![0; blocks];
            }
        } else {
            reduced.plane.pixels = vec![0; reduced.plane.width as usize * reduced.plane.height as usize];
        }
        reduced
    }

    /// Counts a scan that codes a band of coefficients of this component.
    ///
    /// # Errors
    /// `Damaged` for scans that add nothing, for each costs the time of a whole picture: a second one of a component
    /// that is not progressive, or more of a coefficient than it has bits.
    fn count_scan(&mut self, band: (u32, u32), is_progressive: bool) -> Result<(), Refusal> {
        let most = if is_progressive { JPEG_COEFFICIENT_SCANS } else { 1 };
        for scans in &mut self.scans[band.0 as usize..=band.1 as usize] {
            *scans += 1;
            if *scans > most {
                return Err(damaged("a component is repeated"));
            }
        }
        Ok(())
    }

    /// The plane, when all scans are read.
    pub fn end(mut self, component: &Component) -> Result<Plane, Refusal> {
        let Some(quantization) = component.quantization.filter(|_| self.scans[0] > 0) else {
            return Err(damaged("a component is missing"));
        };
        if !self.coefficients.is_empty() {
            self.plane.pixels = vec![0; self.plane.width as usize * self.plane.height as usize];
            match self.size {
                1 => self.transform::<1>(&quantization),
                2 => self.transform::<2>(&quantization),
                3 => self.transform::<3>(&quantization),
                4 => self.transform::<4>(&quantization),
                5 => self.transform::<5>(&quantization),
                6 => self.transform::<6>(&quantization),
                7 => self.transform::<7>(&quantization),
                _ => self.transform::<8>(&quantization),
            }
        }
        Ok(self.plane)
    }

    /// Of a progressive image.
    fn transform<const N: usize>(&mut self, quantization: &[u16; 64]) {
        let waves = Waves::<N>::default();
        let mut steps = [0.0; 64];
        for (place, step) in self.places.iter().zip(quantization) {
            if *place != NOWHERE || N == 8 {
                steps[usize::from(*place)] = f32::from(*step);
            }
        }
        let coefficients = std::mem::take(&mut self.coefficients);
        for (block, coefficients) in coefficients.chunks_exact(N * N).enumerate() {
            let mut dequantized = [[0.0; N]; N];
            for (value, (coefficient, step)) in
                dequantized.as_flattened_mut().iter_mut().zip(coefficients.iter().zip(&steps))
            {
                *value = f32::from(*coefficient) * step;
            }
            let (x, y) = (block as u32 % self.padded.0, block as u32 / self.padded.0);
            put(&mut self.plane, x, y, &waves.pixels(&dequantized, N));
        }
    }
}

/// Puts a block into a plane, whose edge may cut it.
#[inline]
fn put<const N: usize>(plane: &mut Plane, x: u32, y: u32, pixels: &[[u8; N]; N]) {
    let (width, left, top) = (plane.width as usize, x as usize * N, y as usize * N);
    if left >= width {
        return;
    }
    let across = N.min(width - left);
    let rows = plane.pixels.chunks_exact_mut(width).skip(top);
    for (row, pixels) in rows.zip(pixels) {
        if across == N {
            row[left..left + N].copy_from_slice(pixels);
        } else {
            row[left..].copy_from_slice(&pixels[..across]);
        }
    }
}

/// The header of a scan.
struct Parameters {
    /// The components by their index, with their tables for DC and the others.
    components: Vec<(usize, usize, usize)>,
    /// The band of coefficients, both ends included.
    band: (u32, u32),
    /// The bit that the scan before gave last, 0 if this is the first; and the one that this scan gives last.
    bits: (u32, u32),
}

impl Parameters {
    fn new(header: &[u8], frame: &Frame) -> Result<Self, Refusal> {
        let wrong = || damaged("a scan's header");
        let (&count, rest) = header.split_first().ok_or_else(wrong)?;
        let (named, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or_else(wrong)?;
        let [from, to, bits, ..] = *rest else { return Err(wrong()) };
        let mut components: Vec<(usize, usize, usize)> = Vec::new();
        for named in named.chunks_exact(2) {
            let index = frame.components.iter().position(|component| component.id == named[0]).ok_or_else(wrong)?;
            if components.iter().any(|(other, ..)| *other == index) {
                return Err(wrong());
            }
            components.push((index, usize::from(named[1] >> 4), usize::from(named[1] & 15)));
        }
        let (band, bits) = if frame.is_progressive {
            ((from.into(), to.into()), (u32::from(bits >> 4), u32::from(bits & 15)))
        } else {
            ((0, 63), (0, 0))
        };
        let is_right = !components.is_empty()
            && band.0 <= band.1
            && band.1 <= 63
            && bits.1 <= 13
            && (bits.0 == 0 || bits.0 == bits.1 + 1)
            // DC and the others do not share a progressive scan, nor do components that of the others.
            && (!frame.is_progressive || if band.0 == 0 { band.1 == 0 } else { components.len() == 1 });
        if is_right { Ok(Self { components, band, bits }) } else { Err(wrong()) }
    }
}

/// Reads one scan; returns where it ends.
pub fn read(
    header: &[u8],
    frame: &mut Frame,
    tables: &mut Tables,
    all: &mut [Reduced],
    data: &[u8],
    at: usize,
) -> Result<usize, Refusal> {
    let parameters = Parameters::new(header, frame)?;
    for (index, ..) in &parameters.components {
        let component = &mut frame.components[*index];
        if component.quantization.is_none() {
            component.quantization = tables.quantization[component.quantization_table];
        }
        all[*index].count_scan(parameters.band, frame.is_progressive)?;
    }
    tables.defined = 0;
    if let [(index, ..)] = parameters.components[..]
        && parameters.band.0 > 0
        && all[index].size == 1
    {
        // Nothing in it is wanted.
        return Ok(at);
    }
    tables.build(&parameters, frame.is_progressive)?;
    let mut reader = Reader { bits: Bits::new(data, at), data, tables, left: tables.restart_interval, restarts: 0 };
    if frame.is_progressive {
        reader.progressive(&parameters, frame, all)?;
    } else {
        reader.baseline(&parameters, frame, all)?;
    }
    Ok(reader.bits.end())
}

struct Reader<'a> {
    bits: Bits<'a>,
    data: &'a [u8],
    tables: &'a Tables<'a>,
    /// MCUs until the next restart; 0 where there are none.
    left: u32,
    restarts: u8,
}

impl Tables<'_> {
    /// Builds the codes that a scan needs.
    fn build(&mut self, parameters: &Parameters, is_progressive: bool) -> Result<(), Refusal> {
        for &(_, dc, ac) in &parameters.components {
            // Only the first scan of progressive DC has codes; the others have bits.
            if parameters.band.0 == 0
                && parameters.bits.0 == 0
                && let Some(Some(table)) = self.dc.get_mut(dc)
            {
                table.build(false)?;
            }
            if parameters.band.1 > 0
                && let Some(Some(table)) = self.ac.get_mut(ac)
            {
                table.build(!is_progressive)?;
            }
        }
        Ok(())
    }
}

fn table<'a>(tables: &'a [Option<Table>; 4], index: usize) -> Result<&'a Codes, Refusal> {
    let table = tables.get(index).and_then(Option::as_ref).and_then(Table::codes);
    table.ok_or_else(|| damaged("a Huffman table is missing"))
}

/// What one component of a sequential scan needs.
struct Lane<'a> {
    index: usize,
    dc: &'a Codes,
    ac: &'a Codes,
    /// The DC coefficient of the block before.
    before: i32,
    /// Blocks of it in an MCU.
    sampling: (u32, u32),
    /// By the order of coefficients.
    steps: [f32; 64],
}

impl Reader<'_> {
    /// Before each MCU: whether the bits start anew here.
    #[inline]
    fn restarts(&mut self) -> Result<bool, Refusal> {
        if self.tables.restart_interval == 0 {
            return Ok(false);
        }
        if self.left > 0 {
            self.left -= 1;
            return Ok(false);
        }
        self.restart()?;
        self.left = self.tables.restart_interval - 1;
        Ok(true)
    }

    #[cold]
    fn restart(&mut self) -> Result<(), Refusal> {
        self.check()?;
        let at = self.bits.end();
        let rest = self.data.get(at..).unwrap_or_default();
        let fill = rest.iter().take_while(|byte| **byte == 0xff).count();
        if fill == 0 || rest.get(fill) != Some(&(0xd0 + self.restarts)) {
            return Err(damaged("a restart is missing"));
        }
        self.restarts = (self.restarts + 1) % 8;
        self.bits = Bits::new(self.data, at + fill + 1);
        Ok(())
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.bits.is_exhausted() { Err(damaged("data is missing")) } else { Ok(()) }
    }

    /// All coefficients of all blocks, transformed at once.
    fn baseline(&mut self, parameters: &Parameters, frame: &Frame, all: &mut [Reduced]) -> Result<(), Refusal> {
        let mut lanes = Vec::with_capacity(parameters.components.len());
        for &(index, dc, ac) in &parameters.components {
            let component = &frame.components[index];
            let steps = component.quantization.ok_or_else(|| damaged("a quantization table is missing"))?;
            lanes.push(Lane {
                index,
                dc: table(&self.tables.dc, dc)?,
                ac: table(&self.tables.ac, ac)?,
                before: 0,
                sampling: component.sampling,
                steps: steps.map(f32::from),
            });
        }
        let (across, down) = match &mut lanes[..] {
            // A component alone comes block by block.
            [lane] => {
                lane.sampling = (1, 1);
                all[lane.index].blocks
            }
            _ => frame.mcus(),
        };
        let transforms = Transforms::default();
        for y in 0..down {
            for x in 0..across {
                if self.restarts()? {
                    for lane in &mut lanes {
                        lane.before = 0;
                    }
                }
                for lane in &mut lanes {
                    let reduced = &mut all[lane.index];
                    for row in 0..lane.sampling.1 {
                        for column in 0..lane.sampling.0 {
                            let at = (x * lane.sampling.0 + column, y * lane.sampling.1 + row);
                            transforms.block(&mut self.bits, lane, reduced, at)?;
                        }
                    }
                }
            }
            self.check()?;
        }
        Ok(())
    }

    /// Some frequencies, or a bit of them, of all blocks.
    fn progressive(&mut self, parameters: &Parameters, frame: &Frame, all: &mut [Reduced]) -> Result<(), Refusal> {
        if parameters.band.0 > 0 {
            let &[(index, _, ac)] = &parameters.components[..] else { return Err(damaged("a scan's header")) };
            let codes = table(&self.tables.ac, ac)?;
            return match parameters.bits {
                (0, bit) => self.first_bits(&mut all[index], codes, parameters.band, bit),
                (_, bit) => self.next_bit(&mut all[index], codes, parameters.band, bit),
            };
        }
        let (first, bit) = (parameters.bits.0 == 0, parameters.bits.1);
        let mut lanes = Vec::with_capacity(parameters.components.len());
        for &(index, dc, _) in &parameters.components {
            let codes = if first { Some(table(&self.tables.dc, dc)?) } else { None };
            lanes.push((index, codes, 0_i32, frame.components[index].sampling));
        }
        let (across, down) = match &mut lanes[..] {
            [(index, _, _, sampling)] => {
                *sampling = (1, 1);
                all[*index].blocks
            }
            _ => frame.mcus(),
        };
        for y in 0..down {
            for x in 0..across {
                if self.restarts()? {
                    for (_, _, before, _) in &mut lanes {
                        *before = 0;
                    }
                }
                for (index, codes, before, sampling) in &mut lanes {
                    let reduced = &mut all[*index];
                    for row in 0..sampling.1 {
                        for column in 0..sampling.0 {
                            let block = (y * sampling.1 + row) * reduced.padded.0 + x * sampling.0 + column;
                            let dc = &mut reduced.coefficients[block as usize * reduced.size * reduced.size];
                            self.bits.fill();
                            match codes {
                                Some(codes) => {
                                    *before = before.wrapping_add(dc_difference(&mut self.bits, codes)?);
                                    *dc = (*before << bit) as i16;
                                }
                                None => *dc |= (self.bits.take(1) << bit) as i16,
                            }
                        }
                    }
                }
            }
            self.check()?;
        }
        Ok(())
    }

    /// The higher bits of a band of frequencies.
    fn first_bits(&mut self, reduced: &mut Reduced, codes: &Codes, band: (u32, u32), bit: u32) -> Result<(), Refusal> {
        // How many blocks from here on have nothing in this band.
        let mut empty = 0;
        for y in 0..reduced.blocks.1 {
            for x in 0..reduced.blocks.0 {
                if self.restarts()? {
                    empty = 0;
                }
                if empty > 0 {
                    empty -= 1;
                    continue;
                }
                let block = (y * reduced.padded.0 + x) as usize;
                let mut nonzero = reduced.nonzero[block];
                let mut k = band.0;
                while k <= band.1 {
                    self.bits.fill();
                    let symbol = self.bits.symbol(codes)?;
                    let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                    if size == 0 {
                        if run < 15 {
                            empty = empty_blocks(&mut self.bits, run) - 1;
                            break;
                        }
                        k += 16;
                        continue;
                    }
                    k += run;
                    if k > band.1 {
                        return Err(damaged("a block of more than 64 coefficients"));
                    }
                    let value = self.bits.value(size);
                    nonzero |= 1 << k;
                    reduced.set(block, k, (value << bit) as i16);
                    k += 1;
                }
                reduced.nonzero[block] = nonzero;
            }
            self.check()?;
        }
        Ok(())
    }

    /// One more bit of a band of frequencies: whether each coefficient that is not zero grows, and which of the others
    /// begin.
    fn next_bit(&mut self, reduced: &mut Reduced, codes: &Codes, band: (u32, u32), bit: u32) -> Result<(), Refusal> {
        let one = 1_i16 << bit;
        // How many blocks from here on get no new coefficients in this band.
        let mut empty = 0;
        for y in 0..reduced.blocks.1 {
            for x in 0..reduced.blocks.0 {
                if self.restarts()? {
                    empty = 0;
                }
                let block = (y * reduced.padded.0 + x) as usize;
                let mut k = band.0;
                while empty == 0 && k <= band.1 {
                    self.bits.fill();
                    let symbol = self.bits.symbol(codes)?;
                    let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                    if size == 0 && run < 15 {
                        empty = empty_blocks(&mut self.bits, run);
                        break;
                    }
                    if size > 1 {
                        return Err(damaged("a bit of more than one bit"));
                    }
                    let value = if size == 1 && self.bits.take(1) == 0 { -one } else { one };
                    // Where the new one goes: after `run` zeros; all that are passed and not zero get their bit.
                    let zeros = !reduced.nonzero[block] & (u64::MAX << k) & (u64::MAX >> (63 - band.1));
                    let place = nth_one(zeros, run);
                    let end = place.unwrap_or(band.1 + 1);
                    self.grow(reduced, block, (k, end), one);
                    if size == 1 {
                        let place = place.ok_or_else(|| damaged("a block of more than 64 coefficients"))?;
                        reduced.nonzero[block] |= 1 << place;
                        reduced.set(block, place, value);
                    }
                    k = end + 1;
                }
                if empty > 0 {
                    self.grow(reduced, block, (k, band.1 + 1), one);
                    empty -= 1;
                }
            }
            self.check()?;
        }
        Ok(())
    }

    /// One bit for each coefficient in a range, its end not included, that is not zero.
    #[inline]
    fn grow(&mut self, reduced: &mut Reduced, block: usize, range: (u32, u32), one: i16) {
        if range.0 >= range.1 {
            return;
        }
        let mut nonzero = reduced.nonzero[block] & (u64::MAX << range.0) & (u64::MAX >> (64 - range.1));
        while nonzero != 0 {
            let k = nonzero.trailing_zeros();
            nonzero &= nonzero - 1;
            self.bits.fill();
            if self.bits.take(1) == 1
                && let Some(coefficient) = reduced.coefficient(block, k)
                // Twice the same bit is a fault that must not count twice.
                && *coefficient & one == 0
            {
                *coefficient = coefficient.wrapping_add(if *coefficient < 0 { -one } else { one });
            }
        }
    }
}

impl Reduced {
    #[inline]
    fn coefficient(&mut self, block: usize, k: u32) -> Option<&mut i16> {
        let place = self.places[k as usize];
        if place == NOWHERE && self.size < 8 {
            return None;
        }
        self.coefficients.get_mut(block * self.size * self.size + usize::from(place))
    }

    #[inline]
    fn set(&mut self, block: usize, k: u32, value: i16) {
        if let Some(coefficient) = self.coefficient(block, k) {
            *coefficient = value;
        }
    }
}

/// Where the one is that has `before` others below it.
#[inline]
fn nth_one(mut ones: u64, before: u32) -> Option<u32> {
    for _ in 0..before {
        ones &= ones.wrapping_sub(1);
    }
    (ones != 0).then(|| ones.trailing_zeros())
}

/// How many blocks are empty, this one included.
fn empty_blocks(bits: &mut Bits, run: u32) -> u32 {
    if run == 0 { 1 } else { (1 << run) + bits.take(run) }
}

#[inline]
fn dc_difference(bits: &mut Bits, codes: &Codes) -> Result<i32, Refusal> {
    match bits.symbol(codes)? {
        size @ 0..=15 => Ok(bits.value(size.into())),
        _ => Err(damaged("a coefficient of more than 16 bits")),
    }
}

/// The transforms of a sequential scan, which come at once.
#[derive(Default)]
struct Transforms {
    w2: Waves<2>,
    w3: Waves<3>,
    w4: Waves<4>,
    w5: Waves<5>,
    w6: Waves<6>,
    w7: Waves<7>,
    w8: Waves<8>,
}

impl Transforms {
    #[inline]
    fn block(&self, bits: &mut Bits, lane: &mut Lane, reduced: &mut Reduced, at: (u32, u32)) -> Result<(), Refusal> {
        match reduced.size {
            1 => {
                bits.fill();
                lane.before = lane.before.wrapping_add(dc_difference(bits, lane.dc)?);
                bits.pass(lane.ac, 1)?;
                put(&mut reduced.plane, at.0, at.1, &[[flat(lane.before, lane.steps[0])]]);
                Ok(())
            }
            2 => block(&self.w2, bits, lane, reduced, at),
            3 => block(&self.w3, bits, lane, reduced, at),
            4 => block(&self.w4, bits, lane, reduced, at),
            5 => block(&self.w5, bits, lane, reduced, at),
            6 => block(&self.w6, bits, lane, reduced, at),
            7 => block(&self.w7, bits, lane, reduced, at),
            _ => block(&self.w8, bits, lane, reduced, at),
        }
    }
}

/// The pixels of a block that has nothing but DC.
#[inline]
fn flat(dc: i32, step: f32) -> u8 {
    (dc as f32 * step / 8.0 + 128.5).clamp(0.0, 255.0) as u8
}

#[inline]
fn block<const N: usize>(
    waves: &Waves<N>,
    bits: &mut Bits,
    lane: &mut Lane,
    reduced: &mut Reduced,
    at: (u32, u32),
) -> Result<(), Refusal> {
    bits.fill();
    lane.before = lane.before.wrapping_add(dc_difference(bits, lane.dc)?);
    let mut coefficients = [0.0_f32; 64];
    coefficients[0] = lane.before as f32 * lane.steps[0];
    let mut highest = 0;
    let mut k = 1;
    let ended = loop {
        if k > reduced.last {
            break false;
        }
        bits.fill();
        let symbol = bits.symbol(lane.ac)?;
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 {
            if run < 15 {
                break true;
            }
            k += 16;
            continue;
        }
        k += run;
        if k > 63 {
            return Err(damaged("a block of more than 64 coefficients"));
        }
        let place = reduced.places[k as usize];
        coefficients[usize::from(place & 63)] = bits.value(size) as f32 * lane.steps[k as usize];
        highest = highest.max(if place == NOWHERE && N < 8 { 0 } else { place });
        k += 1;
    };
    if !ended {
        bits.pass(lane.ac, k)?;
    }
    let pixels = if highest == 0 {
        [[flat(lane.before, lane.steps[0]); N]; N]
    } else {
        let (wanted, _) = coefficients.split_at(N * N);
        let mut square = [[0.0; N]; N];
        square.as_flattened_mut().copy_from_slice(wanted);
        waves.pixels(&square, usize::from(highest) / N + 1)
    };
    put(&mut reduced.plane, at.0, at.1, &pixels);
    Ok(())
}

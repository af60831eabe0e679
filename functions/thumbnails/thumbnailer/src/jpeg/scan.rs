//! Scans: the entropy-coded blocks of one or more components. A scan of a sequential image has all coefficients of a block;
//! a scan of a progressive image has some coefficients, or some of their bits. Names are those of ITU-T T.81.

use crate::limits::MAX_JPEG_SCANS_PER_COEFFICIENT;

use super::{
    Component, Frame, ImageError, Plane, Tables, ZIGZAG, damaged,
    huffman::{BitReader, HuffmanSpec, HuffmanTable},
    idct::{CosineBasis, dc_only_pixel},
};

/// A component that is decoded at a reduced size, and the data of it that the scans so far have given.
pub struct ReducedComponent {
    /// N: a block becomes N x N pixels.
    size: usize,
    /// Indexed by zig-zag index: the position of the coefficient among the N x N that are needed, or [`DISCARDED`].
    positions: [u8; 64],
    /// The zig-zag index of the last coefficient that is needed.
    last_needed: u32,
    /// The number of blocks across and down in a scan of this component alone, and in whole MCUs.
    blocks: (u32, u32),
    padded_blocks: (u32, u32),
    plane: Plane,
    /// Of a progressive image: the needed coefficients of each block, and for each block a bit mask, by zig-zag index, of all
    /// its coefficients that are not zero.
    coefficients: Vec<i16>,
    nonzero: Vec<u64>,
    /// Indexed by zig-zag index: the number of scans that have coded the coefficient.
    scans: [u32; 64],
}

/// The position in a block's [f32; 64] of the coefficients that are not needed. The N x N needed ones end before it, unless
/// N is 8 and all coefficients are needed.
const DISCARDED: u8 = 63;

impl ReducedComponent {
    pub fn new(frame: &Frame, component: &Component, size: usize) -> Self {
        let positions = ZIGZAG.map(|at| {
            let (row, column) = (usize::from(at / 8), usize::from(at % 8));
            if row < size && column < size { (row * size + column) as u8 } else { DISCARDED }
        });
        let last_needed = ZIGZAG.iter().rposition(|at| usize::from(at / 8) < size && usize::from(at % 8) < size);
        let (width, height) = frame.extent(component);
        let blocks = ((width / 8.0).ceil() as u32, (height / 8.0).ceil() as u32);
        let mcus = frame.mcus();
        let padded_blocks = (mcus.0 * component.sampling.0, mcus.1 * component.sampling.1);
        let reduce = |extent: f64| extent * size as f64 / 8.0;
        let extent = (reduce(width), reduce(height));
        let mut reduced = Self {
            size,
            positions,
            last_needed: last_needed.unwrap_or_default() as u32,
            blocks,
            padded_blocks,
            plane: Plane {
                width: extent.0.ceil() as u32,
                height: extent.1.ceil() as u32,
                origin: (0.0, 0.0),
                extent,
                pixels: Vec::new(),
            },
            coefficients: Vec::new(),
            nonzero: Vec::new(),
            scans: [0; 64],
        };
        if frame.is_progressive {
            let blocks = padded_blocks.0 as usize * padded_blocks.1 as usize;
            reduced.coefficients = vec![0; blocks * size * size];
            if size > 1 {
                reduced.nonzero = vec![0; blocks];
            }
        } else {
            reduced.plane.pixels = vec![0; reduced.plane.width as usize * reduced.plane.height as usize];
        }
        reduced
    }

    /// Counts a scan that codes the coefficients from `ss` to `se` of this component.
    ///
    /// # Errors
    /// `Damaged` if the scan adds nothing, because each scan costs the time of a whole picture: a second scan of a component
    /// of a sequential image, or more scans of a coefficient than it has bits.
    fn count_scan(&mut self, ss: u32, se: u32, is_progressive: bool) -> Result<(), ImageError> {
        let max_scans = if is_progressive { MAX_JPEG_SCANS_PER_COEFFICIENT } else { 1 };
        for scans in &mut self.scans[ss as usize..=se as usize] {
            *scans += 1;
            if *scans > max_scans {
                return Err(damaged("a component is repeated"));
            }
        }
        Ok(())
    }

    /// The plane, after all scans are decoded.
    pub fn into_plane(mut self, component: &Component) -> Result<Plane, ImageError> {
        let Some(quantization) = component.quantization.filter(|_| self.scans[0] > 0) else {
            return Err(damaged("a component is missing"));
        };
        if !self.coefficients.is_empty() {
            self.plane.pixels = vec![0; self.plane.width as usize * self.plane.height as usize];
            match self.size {
                1 => self.inverse_dct::<1>(&quantization),
                2 => self.inverse_dct::<2>(&quantization),
                3 => self.inverse_dct::<3>(&quantization),
                4 => self.inverse_dct::<4>(&quantization),
                5 => self.inverse_dct::<5>(&quantization),
                6 => self.inverse_dct::<6>(&quantization),
                7 => self.inverse_dct::<7>(&quantization),
                _ => self.inverse_dct::<8>(&quantization),
            }
        }
        Ok(self.plane)
    }

    /// Transforms the coefficients of a progressive image.
    fn inverse_dct<const N: usize>(&mut self, quantization: &[u16; 64]) {
        let (basis, steps) = (CosineBasis::<N>::default(), by_frequency(quantization));
        let coefficients = std::mem::take(&mut self.coefficients);
        for (block, coefficients) in coefficients.chunks_exact(N * N).enumerate() {
            let mut square = [[0; 8]; 8];
            for (row, coefficients) in square.iter_mut().zip(coefficients.chunks_exact(N)) {
                for (value, coefficient) in row.iter_mut().zip(coefficients) {
                    *value = i32::from(*coefficient);
                }
            }
            let (x, y) = (block as u32 % self.padded_blocks.0, block as u32 / self.padded_blocks.0);
            write_block(&mut self.plane, x, y, &basis.inverse_dct(&square, &steps, N));
        }
    }
}

/// A quantization table, indexed by vertical and then by horizontal frequency.
fn by_frequency(quantization: &[u16; 64]) -> [[f32; 8]; 8] {
    let mut steps = [[0.0; 8]; 8];
    for (at, step) in ZIGZAG.iter().zip(quantization) {
        steps[usize::from(at / 8)][usize::from(at % 8)] = f32::from(*step);
    }
    steps
}

/// Writes the first N pixels of each row of a block into a plane. The edge of the plane may cut the block.
#[inline]
fn write_block<const N: usize>(plane: &mut Plane, x: u32, y: u32, pixels: &[[u8; 8]; N]) {
    let (width, left, top) = (plane.width as usize, x as usize * N, y as usize * N);
    if left >= width {
        return;
    }
    let across = N.min(width - left);
    let mut at = top * width + left;
    for pixels in pixels {
        let Some(row) = plane.pixels.get_mut(at..at + across) else { return };
        if across == N {
            row.copy_from_slice(&pixels[..N]);
        } else {
            row.copy_from_slice(&pixels[..across]);
        }
        at += width;
    }
}

/// The header of a scan.
struct ScanHeader {
    /// The index of each component, and of its DC table and AC table.
    components: Vec<(usize, usize, usize)>,
    /// Start and end of the spectral selection: the first and the last coefficient.
    ss: u32,
    se: u32,
    /// Successive approximation, high and low: the lowest bit of the preceding scan (0 in a first scan), and of this one.
    ah: u32,
    al: u32,
}

impl ScanHeader {
    fn new(header: &[u8], frame: &Frame) -> Result<Self, ImageError> {
        let invalid = || damaged("a scan's header");
        let (&count, rest) = header.split_first().ok_or_else(invalid)?;
        let (named, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or_else(invalid)?;
        let [ss, se, ah_al, ..] = *rest else { return Err(invalid()) };
        let mut components: Vec<(usize, usize, usize)> = Vec::new();
        for named in named.chunks_exact(2) {
            let index = frame.components.iter().position(|component| component.id == named[0]).ok_or_else(invalid)?;
            if components.iter().any(|(other, ..)| *other == index) {
                return Err(invalid());
            }
            components.push((index, usize::from(named[1] >> 4), usize::from(named[1] & 15)));
        }
        let (ss, se, ah, al) = if frame.is_progressive {
            (ss.into(), se.into(), u32::from(ah_al >> 4), u32::from(ah_al & 15))
        } else {
            (0, 63, 0, 0)
        };
        let is_valid = !components.is_empty()
            && ss <= se
            && se <= 63
            && al <= 13
            && (ah == 0 || ah == al + 1)
            // A progressive scan has DC or AC coefficients, and AC coefficients of one component only.
            && (!frame.is_progressive || if ss == 0 { se == 0 } else { components.len() == 1 });
        if is_valid { Ok(Self { components, ss, se, ah, al }) } else { Err(invalid()) }
    }
}

/// Decodes one scan. Returns the position of its end.
pub fn read_scan(
    header: &[u8],
    frame: &mut Frame,
    tables: &mut Tables,
    reduced: &mut [ReducedComponent],
    data: &[u8],
    at: usize,
) -> Result<usize, ImageError> {
    let header = ScanHeader::new(header, frame)?;
    for (index, ..) in &header.components {
        let component = &mut frame.components[*index];
        if component.quantization.is_none() {
            component.quantization = tables.quantization[component.quantization_table];
        }
        reduced[*index].count_scan(header.ss, header.se, frame.is_progressive)?;
    }
    tables.defined_since_scan = 0;
    if let [(index, ..)] = header.components[..]
        && header.ss > 0
        && reduced[index].size == 1
    {
        // No AC coefficient is needed.
        return Ok(at);
    }
    tables.build(&header, frame.is_progressive)?;
    let bits = BitReader::new(data, at);
    let mut decoder = ScanDecoder { bits, data, tables, mcus_to_restart: tables.restart_interval, next_restart: 0 };
    if frame.is_progressive {
        decoder.progressive(&header, frame, reduced)?;
    } else {
        decoder.sequential(&header, frame, reduced)?;
    }
    Ok(decoder.bits.position())
}

struct ScanDecoder<'a> {
    bits: BitReader<'a>,
    data: &'a [u8],
    tables: &'a Tables<'a>,
    /// The number of MCUs until the next restart; 0 if there are no restarts.
    mcus_to_restart: u32,
    /// The m of the next `RSTm` marker.
    next_restart: u8,
}

impl Tables<'_> {
    /// Builds the Huffman tables that a scan needs.
    fn build(&mut self, header: &ScanHeader, is_progressive: bool) -> Result<(), ImageError> {
        for &(_, dc, ac) in &header.components {
            // Of the progressive DC scans, only the first has Huffman codes. The others have plain bits.
            if header.ss == 0
                && header.ah == 0
                && let Some(Some(table)) = self.dc.get_mut(dc)
            {
                table.build(false)?;
            }
            if header.se > 0
                && let Some(Some(table)) = self.ac.get_mut(ac)
            {
                table.build(!is_progressive)?;
            }
        }
        Ok(())
    }
}

fn huffman_table<'a>(tables: &'a [Option<HuffmanSpec>; 4], index: usize) -> Result<&'a HuffmanTable, ImageError> {
    let table = tables.get(index).and_then(Option::as_ref).and_then(HuffmanSpec::table);
    table.ok_or_else(|| damaged("a Huffman table is missing"))
}

/// The state of one component in a sequential scan.
struct ScanComponent<'a> {
    index: usize,
    dc: &'a HuffmanTable,
    ac: &'a HuffmanTable,
    /// The DC coefficient of the preceding block.
    dc_predictor: i32,
    /// The number of its blocks in an MCU, across and down.
    sampling: (u32, u32),
    /// The quantization table, as [`by_frequency`] returns it.
    quantization: [[f32; 8]; 8],
}

impl ScanDecoder<'_> {
    /// Reads a restart marker if one is due before this MCU. Returns whether one was read.
    #[inline]
    fn restart_if_due(&mut self) -> Result<bool, ImageError> {
        if self.tables.restart_interval == 0 {
            return Ok(false);
        }
        if self.mcus_to_restart > 0 {
            self.mcus_to_restart -= 1;
            return Ok(false);
        }
        self.restart()?;
        self.mcus_to_restart = self.tables.restart_interval - 1;
        Ok(true)
    }

    #[cold]
    fn restart(&mut self) -> Result<(), ImageError> {
        self.check()?;
        let at = self.bits.position();
        let rest = self.data.get(at..).unwrap_or_default();
        let fill = rest.iter().take_while(|byte| **byte == 0xff).count();
        if fill == 0 || rest.get(fill) != Some(&(0xd0 + self.next_restart)) {
            return Err(damaged("a restart is missing"));
        }
        self.next_restart = (self.next_restart + 1) % 8;
        self.bits = BitReader::new(self.data, at + fill + 1);
        Ok(())
    }

    /// Fails if more bits were read than the scan has.
    fn check(&self) -> Result<(), ImageError> {
        if self.bits.is_past_end() { Err(damaged("data is missing")) } else { Ok(()) }
    }

    /// Decodes all coefficients of all blocks, and transforms each block at once.
    fn sequential(
        &mut self,
        header: &ScanHeader,
        frame: &Frame,
        reduced: &mut [ReducedComponent],
    ) -> Result<(), ImageError> {
        let mut components = Vec::with_capacity(header.components.len());
        for &(index, dc, ac) in &header.components {
            let component = &frame.components[index];
            let quantization = component.quantization.ok_or_else(|| damaged("a quantization table is missing"))?;
            components.push(ScanComponent {
                index,
                dc: huffman_table(&self.tables.dc, dc)?,
                ac: huffman_table(&self.tables.ac, ac)?,
                dc_predictor: 0,
                sampling: component.sampling,
                quantization: by_frequency(&quantization),
            });
        }
        let (across, down) = match &mut components[..] {
            // The MCUs of a scan of one component are single blocks.
            [component] => {
                component.sampling = (1, 1);
                reduced[component.index].blocks
            }
            _ => frame.mcus(),
        };
        let bases = CosineBases::default();
        for y in 0..down {
            for x in 0..across {
                if self.restart_if_due()? {
                    for component in &mut components {
                        component.dc_predictor = 0;
                    }
                }
                for component in &mut components {
                    let reduced = &mut reduced[component.index];
                    for row in 0..component.sampling.1 {
                        for column in 0..component.sampling.0 {
                            let at = (x * component.sampling.0 + column, y * component.sampling.1 + row);
                            bases.decode_block(&mut self.bits, component, reduced, at)?;
                        }
                    }
                }
            }
            self.check()?;
        }
        Ok(())
    }

    /// Decodes some coefficients, or some of their bits, of all blocks.
    fn progressive(
        &mut self,
        header: &ScanHeader,
        frame: &Frame,
        reduced: &mut [ReducedComponent],
    ) -> Result<(), ImageError> {
        let &ScanHeader { ss, se, ah, al, .. } = header;
        if ss > 0 {
            let &[(index, _, ac)] = &header.components[..] else { return Err(damaged("a scan's header")) };
            let (table, reduced) = (huffman_table(&self.tables.ac, ac)?, &mut reduced[index]);
            return match ah {
                0 => self.ac_first(reduced, table, ss, se, al),
                _ => self.ac_refine(reduced, table, ss, se, al),
            };
        }
        self.dc_scan(header, frame, reduced)
    }

    /// Decodes the DC coefficients of all blocks: in the first scan their bits from `al` on, in a refinement scan bit `al`.
    fn dc_scan(
        &mut self,
        header: &ScanHeader,
        frame: &Frame,
        reduced: &mut [ReducedComponent],
    ) -> Result<(), ImageError> {
        let &ScanHeader { ah, al, .. } = header;
        let mut components = Vec::with_capacity(header.components.len());
        for &(index, dc, _) in &header.components {
            let table = if ah == 0 { Some(huffman_table(&self.tables.dc, dc)?) } else { None };
            components.push((index, table, 0_i32, frame.components[index].sampling));
        }
        let (across, down) = match &mut components[..] {
            [(index, _, _, sampling)] => {
                *sampling = (1, 1);
                reduced[*index].blocks
            }
            _ => frame.mcus(),
        };
        for y in 0..down {
            for x in 0..across {
                if self.restart_if_due()? {
                    for (_, _, dc_predictor, _) in &mut components {
                        *dc_predictor = 0;
                    }
                }
                for (index, table, dc_predictor, sampling) in &mut components {
                    let reduced = &mut reduced[*index];
                    for row in 0..sampling.1 {
                        for column in 0..sampling.0 {
                            let block = (y * sampling.1 + row) * reduced.padded_blocks.0 + x * sampling.0 + column;
                            let dc = &mut reduced.coefficients[block as usize * reduced.size * reduced.size];
                            self.bits.fill();
                            match table {
                                Some(table) => {
                                    let diff = decode_dc_diff(&mut self.bits, table)?;
                                    *dc_predictor = dc_predictor.wrapping_add(diff);
                                    *dc = (*dc_predictor << al) as i16;
                                }
                                None => *dc |= (self.bits.receive(1) << al) as i16,
                            }
                        }
                    }
                }
            }
            self.check()?;
        }
        Ok(())
    }

    /// Decodes the first scan of a band of AC coefficients: their bits from `al` on.
    fn ac_first(
        &mut self,
        reduced: &mut ReducedComponent,
        table: &HuffmanTable,
        ss: u32,
        se: u32,
        al: u32,
    ) -> Result<(), ImageError> {
        // EOBRUN: the number of blocks from here on that have no coefficients in this band.
        let mut eob_run = 0;
        for y in 0..reduced.blocks.1 {
            for x in 0..reduced.blocks.0 {
                if self.restart_if_due()? {
                    eob_run = 0;
                }
                if eob_run > 0 {
                    eob_run -= 1;
                    continue;
                }
                let block = (y * reduced.padded_blocks.0 + x) as usize;
                let mut nonzero = reduced.nonzero[block];
                let mut k = ss;
                while k <= se {
                    self.bits.fill();
                    let symbol = self.bits.decode(table)?;
                    let (rrrr, ssss) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                    if ssss == 0 {
                        if rrrr < 15 {
                            eob_run = eob_run_length(&mut self.bits, rrrr) - 1;
                            break;
                        }
                        k += 16;
                        continue;
                    }
                    k += rrrr;
                    if k > se {
                        return Err(damaged("a block of more than 64 coefficients"));
                    }
                    let value = self.bits.receive_extend(ssss);
                    nonzero |= 1 << k;
                    reduced.set(block, k, (value << al) as i16);
                    k += 1;
                }
                reduced.nonzero[block] = nonzero;
            }
            self.check()?;
        }
        Ok(())
    }

    /// Decodes a refinement scan of a band of AC coefficients: bit `al` of each coefficient that is not zero, and the other
    /// coefficients that become nonzero.
    fn ac_refine(
        &mut self,
        reduced: &mut ReducedComponent,
        table: &HuffmanTable,
        ss: u32,
        se: u32,
        al: u32,
    ) -> Result<(), ImageError> {
        let one = 1_i16 << al;
        // EOBRUN: the number of blocks from here on that get no new nonzero coefficients in this band.
        let mut eob_run = 0;
        for y in 0..reduced.blocks.1 {
            for x in 0..reduced.blocks.0 {
                if self.restart_if_due()? {
                    eob_run = 0;
                }
                let block = (y * reduced.padded_blocks.0 + x) as usize;
                let mut k = ss;
                while eob_run == 0 && k <= se {
                    self.bits.fill();
                    let symbol = self.bits.decode(table)?;
                    let (rrrr, ssss) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                    if ssss == 0 && rrrr < 15 {
                        eob_run = eob_run_length(&mut self.bits, rrrr);
                        break;
                    }
                    if ssss > 1 {
                        return Err(damaged("a bit of more than one bit"));
                    }
                    let value = if ssss == 1 && self.bits.receive(1) == 0 { -one } else { one };
                    // The new coefficient comes after `rrrr` zeros. The nonzero coefficients before it get their bits.
                    let zeros = !reduced.nonzero[block] & (u64::MAX << k) & (u64::MAX >> (63 - se));
                    let new = nth_set_bit(zeros, rrrr);
                    let end = new.unwrap_or(se + 1);
                    self.refine_nonzero(reduced, block, (k, end), one);
                    if ssss == 1 {
                        let new = new.ok_or_else(|| damaged("a block of more than 64 coefficients"))?;
                        reduced.nonzero[block] |= 1 << new;
                        reduced.set(block, new, value);
                    }
                    k = end + 1;
                }
                if eob_run > 0 {
                    self.refine_nonzero(reduced, block, (k, se + 1), one);
                    eob_run -= 1;
                }
            }
            self.check()?;
        }
        Ok(())
    }

    /// Reads one bit for each nonzero coefficient in a range, which excludes its end.
    #[inline]
    fn refine_nonzero(&mut self, reduced: &mut ReducedComponent, block: usize, range: (u32, u32), one: i16) {
        if range.0 >= range.1 {
            return;
        }
        let mut nonzero = reduced.nonzero[block] & (u64::MAX << range.0) & (u64::MAX >> (64 - range.1));
        while nonzero != 0 {
            let k = nonzero.trailing_zeros();
            nonzero &= nonzero - 1;
            self.bits.fill();
            if self.bits.receive(1) == 1
                && let Some(coefficient) = reduced.coefficient(block, k)
                // A damaged file may code the same bit twice. The second time adds nothing.
                && *coefficient & one == 0
            {
                *coefficient = coefficient.wrapping_add(if *coefficient < 0 { -one } else { one });
            }
        }
    }
}

impl ReducedComponent {
    #[inline]
    fn coefficient(&mut self, block: usize, k: u32) -> Option<&mut i16> {
        let position = self.positions[k as usize];
        if position == DISCARDED && self.size < 8 {
            return None;
        }
        self.coefficients.get_mut(block * self.size * self.size + usize::from(position))
    }

    #[inline]
    fn set(&mut self, block: usize, k: u32, value: i16) {
        if let Some(coefficient) = self.coefficient(block, k) {
            *coefficient = value;
        }
    }
}

/// The index of the set bit that has `n` other set bits below it.
#[inline]
fn nth_set_bit(mut bits: u64, n: u32) -> Option<u32> {
    for _ in 0..n {
        bits &= bits.wrapping_sub(1);
    }
    (bits != 0).then(|| bits.trailing_zeros())
}

/// The length of an EOB run, this block included.
fn eob_run_length(bits: &mut BitReader, rrrr: u32) -> u32 {
    if rrrr == 0 { 1 } else { (1 << rrrr) + bits.receive(rrrr) }
}

/// DIFF: the difference of a DC coefficient from its predictor.
#[inline]
fn decode_dc_diff(bits: &mut BitReader, table: &HuffmanTable) -> Result<i32, ImageError> {
    match bits.decode(table)? {
        ssss @ 0..=15 => Ok(bits.receive_extend(ssss.into())),
        _ => Err(damaged("a coefficient of more than 16 bits")),
    }
}

/// The cosine bases of all sizes, because the components of a sequential scan may have different sizes.
#[derive(Default)]
struct CosineBases {
    n2: CosineBasis<2>,
    n3: CosineBasis<3>,
    n4: CosineBasis<4>,
    n5: CosineBasis<5>,
    n6: CosineBasis<6>,
    n7: CosineBasis<7>,
    n8: CosineBasis<8>,
}

impl CosineBases {
    #[inline]
    fn decode_block(
        &self,
        bits: &mut BitReader,
        component: &mut ScanComponent,
        reduced: &mut ReducedComponent,
        at: (u32, u32),
    ) -> Result<(), ImageError> {
        match reduced.size {
            1 => {
                bits.fill();
                component.dc_predictor = component.dc_predictor.wrapping_add(decode_dc_diff(bits, component.dc)?);
                bits.skip_coefficients(component.ac, 1)?;
                let pixel = dc_only_pixel(component.dc_predictor, component.quantization[0][0]);
                write_block(&mut reduced.plane, at.0, at.1, &[[pixel; 8]]);
                Ok(())
            }
            2 => decode_block(&self.n2, bits, component, reduced, at),
            3 => decode_block(&self.n3, bits, component, reduced, at),
            4 => decode_block(&self.n4, bits, component, reduced, at),
            5 => decode_block(&self.n5, bits, component, reduced, at),
            6 => decode_block(&self.n6, bits, component, reduced, at),
            7 => decode_block(&self.n7, bits, component, reduced, at),
            _ => decode_block(&self.n8, bits, component, reduced, at),
        }
    }
}

/// [`ZIGZAG`], with room for the index that a damaged block reaches.
const ZIGZAG_PADDED: [u8; 128] = {
    let mut padded = [63; 128];
    let mut k = 0;
    while k < 64 {
        padded[k] = ZIGZAG[k];
        k += 1;
    }
    padded
};

/// Decodes one block of a sequential scan.
#[inline]
fn decode_block<const N: usize>(
    basis: &CosineBasis<N>,
    reader: &mut BitReader,
    component: &mut ScanComponent,
    reduced: &mut ReducedComponent,
    at: (u32, u32),
) -> Result<(), ImageError> {
    let mut bits = *reader;
    bits.fill();
    component.dc_predictor = component.dc_predictor.wrapping_add(decode_dc_diff(&mut bits, component.dc)?);
    let mut coefficients = [[0; 8]; 8];
    coefficients[0][0] = component.dc_predictor;
    let mut highest_position = 0;
    let mut k = 1;
    bits.refill();
    let is_ended = loop {
        if k > reduced.last_needed {
            break false;
        }
        let (rrrr, value) = bits.decode_coefficient(component.ac)?;
        if value == 0 {
            if rrrr < 15 {
                break true;
            }
            k += 16;
            continue;
        }
        k += rrrr;
        let position = ZIGZAG_PADDED[k as usize & 127];
        coefficients.as_flattened_mut()[usize::from(position & 63)] = value;
        highest_position = highest_position.max(position);
        k += 1;
    };
    if !is_ended {
        // A block of more than 64 coefficients fails here.
        bits.skip_coefficients(component.ac, k)?;
    }
    *reader = bits;
    let pixels = if highest_position == 0 {
        [[dc_only_pixel(component.dc_predictor, component.quantization[0][0]); 8]; N]
    } else {
        let rows = usize::from(highest_position) / 8 + 1;
        basis.inverse_dct(&coefficients, &component.quantization, rows)
    };
    write_block(&mut reduced.plane, at.0, at.1, &pixels);
    Ok(())
}

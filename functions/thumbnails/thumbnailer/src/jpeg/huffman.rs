//! Huffman tables, and the bit stream of a scan.

#![expect(
    clippy::inline_always,
    reason = "calls in the loop over coefficients cost a tenth of the time of a whole job on a photograph of 6 megapixels"
)]

use super::{ImageError, damaged};

/// Codes up to this length are decoded by one table lookup.
const LOOKUP_BITS: u32 = 11;

/// The bits that one lookup examines when coefficients are skipped.
const SKIP_LOOKUP_BITS: u32 = 13;

/// A Huffman table specification: the content of a DHT segment. The table is built for the first scan that needs it,
/// because a file may define thousands of tables that no scan needs.
pub struct HuffmanSpec<'a> {
    /// BITS of ITU-T T.81: the number of codes of each length from 1 to 16.
    bits: &'a [u8; 16],
    /// HUFFVAL of ITU-T T.81: the symbols of the codes, from the shortest code to the longest.
    huffval: &'a [u8],
    table: Option<HuffmanTable>,
}

impl<'a> HuffmanSpec<'a> {
    pub fn new(bits: &'a [u8; 16], huffval: &'a [u8]) -> Self {
        Self { bits, huffval, table: None }
    }

    /// Builds the table, unless an earlier scan has built it. [`BitReader::skip_coefficients`] needs `with_skips`.
    ///
    /// # Errors
    /// `Damaged` if no code has these lengths.
    pub fn build(&mut self, with_skips: bool) -> Result<(), ImageError> {
        if self.table.is_none() {
            let table = HuffmanTable::new(self.bits, self.huffval)?;
            self.table = Some(if with_skips { table.with_skips() } else { table });
        }
        Ok(())
    }

    /// The table, if it is built.
    pub fn table(&self) -> Option<&HuffmanTable> {
        self.table.as_ref()
    }
}

/// A Huffman table, for DC or AC coefficients.
pub struct HuffmanTable {
    /// Indexed by the next [`LOOKUP_BITS`] bits.
    short: Box<[ShortCode; 1 << LOOKUP_BITS]>,
    /// Indexed by the next [`SKIP_LOOKUP_BITS`] bits: the skip over all codes that lie in these bits.
    skips: Box<[Skip; 1 << SKIP_LOOKUP_BITS]>,
    /// Indexed by length: MAXCODE of ITU-T T.81 plus one, shifted to the top of 16 bits.
    code_ends: [u32; 17],
    /// Indexed by length: VALPTR minus MINCODE of ITU-T T.81, which added to a code gives the index of its symbol.
    offsets: [i32; 17],
    huffval: Vec<u8>,
}

/// A code of at most [`LOOKUP_BITS`] bits. A longer code has the length 0 here. The alignment makes indexing a shift.
#[derive(Clone, Copy, Default)]
#[repr(align(4))]
struct ShortCode {
    symbol: u8,
    length: u8,
    /// The number of bits of the code, and of the value after it whose number of bits is the lower half of the symbol.
    bits: u8,
}

/// A step over coefficients whose values are not needed.
#[derive(Clone, Copy, Default)]
struct Skip {
    /// The number of bits of the codes and of the values after them.
    bits: u8,
    /// The number of coefficients, zeros included. [`END_OF_BLOCK`] is added if the block ends. [`NOT_ONE`] if not even one
    /// code lies in the bits.
    coefficients: u8,
}

/// The flag for an EOB code, in [`Skip::coefficients`].
const END_OF_BLOCK: u8 = 0x80;

/// More coefficients than a block has, in [`Skip::coefficients`].
const NOT_ONE: u8 = 0x40;

impl HuffmanTable {
    /// Builds the table from BITS and HUFFVAL of a DHT segment.
    fn new(bits: &[u8; 16], huffval: &[u8]) -> Result<Self, ImageError> {
        let mut table = Self {
            short: Box::new([ShortCode::default(); 1 << LOOKUP_BITS]),
            skips: Box::new([Skip::default(); 1 << SKIP_LOOKUP_BITS]),
            code_ends: [0; 17],
            offsets: [0; 17],
            huffval: huffval.to_vec(),
        };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(bits) {
            table.offsets[length as usize] = i32::try_from(index).unwrap_or_default() - code.cast_signed();
            for &symbol in huffval.get(index..index + usize::from(count)).ok_or_else(|| damaged("a Huffman table"))? {
                if length <= LOOKUP_BITS {
                    let first = (code << (LOOKUP_BITS - length)) as usize;
                    let entry = ShortCode { symbol, length: length as u8, bits: length as u8 + (symbol & 15) };
                    let range = table.short.get_mut(first..first + (1 << (LOOKUP_BITS - length)));
                    range.ok_or_else(|| damaged("a Huffman table"))?.fill(entry);
                }
                code += 1;
            }
            index += usize::from(count);
            if code > 1 << length {
                return Err(damaged("a Huffman table"));
            }
            table.code_ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// Prepares [`BitReader::skip_coefficients`]. Only the AC coefficients of sequential scans need it.
    fn with_skips(mut self) -> Self {
        for window in 0..1 << SKIP_LOOKUP_BITS {
            self.skips[window] = self.skip_over(window as u32);
        }
        self
    }

    /// The skip over as many codes as lie completely in a window of [`SKIP_LOOKUP_BITS`] bits.
    fn skip_over(&self, window: u32) -> Skip {
        let mut skip = Skip::default();
        while u32::from(skip.bits) < SKIP_LOOKUP_BITS {
            let rest = (window << skip.bits) & ((1 << SKIP_LOOKUP_BITS) - 1);
            let ShortCode { symbol, length, bits } = self.short[(rest >> (SKIP_LOOKUP_BITS - LOOKUP_BITS)) as usize];
            if length == 0 || u32::from(skip.bits) + u32::from(length) > SKIP_LOOKUP_BITS {
                break;
            }
            let (rrrr, ssss) = (symbol >> 4, symbol & 15);
            if ssss == 0 && rrrr < 15 {
                skip.bits += length;
                skip.coefficients |= END_OF_BLOCK;
                break;
            }
            // One step must not skip a whole block.
            if skip.coefficients + rrrr + 1 > 63 {
                break;
            }
            skip.bits += bits;
            skip.coefficients += rrrr + 1;
        }
        if skip.bits == 0 {
            skip.coefficients = NOT_ONE;
        }
        skip
    }

    /// The symbol and the length of a code of more than [`LOOKUP_BITS`] bits, which `buffer` begins with.
    #[cold]
    fn decode_long(&self, buffer: u64) -> Result<(u8, u32), ImageError> {
        let next = (buffer >> 48) as u32;
        for length in LOOKUP_BITS + 1..=16 {
            if next < self.code_ends[length as usize] {
                let code = (next >> (16 - length)).cast_signed();
                let index = usize::try_from(code + self.offsets[length as usize]).ok();
                let symbol = index.and_then(|index| self.huffval.get(index));
                return symbol.map(|symbol| (*symbol, length)).ok_or_else(|| damaged("a code that means nothing"));
            }
        }
        Err(damaged("a code that means nothing"))
    }
}

/// Reads the bits of a scan up to its next marker, and zeros after that. The loops over coefficients work on a copy, whose
/// address no call takes, so that its fields stay in registers: this saves a tenth of the time of a whole job on a photograph
/// of 24 megapixels.
#[derive(Clone, Copy)]
pub struct BitReader<'a> {
    data: &'a [u8],
    /// The position of the next byte that is not in the buffer.
    at: usize,
    /// The next bits, from the highest bit on.
    buffer: u64,
    /// The number of valid bits in the buffer.
    count: u32,
    /// The number of zeros that were added after the end of the data.
    missing: u32,
}

impl<'a> BitReader<'a> {
    pub fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, buffer: 0, count: 0, missing: 0 }
    }

    /// Ensures at least 32 bits in the buffer, which is more than any code and its value take.
    #[inline]
    pub fn fill(&mut self) {
        if self.count < 32 {
            self.refill();
        }
    }

    /// Ensures at least 48 bits in the buffer: a code and its value, and after these the bits of a lookup.
    #[inline(always)]
    pub fn refill(&mut self) {
        if let Some(next) = self.data.get(self.at..self.at + 8) {
            let next = u64::from_be_bytes(next.try_into().unwrap_or_default());
            // If a byte is 0xff, the highest bit of that byte stays set.
            let inverted = !next;
            if inverted.wrapping_sub(0x0101_0101_0101_0101) & next & 0x8080_8080_8080_8080 == 0 {
                self.buffer |= next >> self.count;
                let bytes = (63 - self.count) / 8;
                self.at += bytes as usize;
                self.count += 8 * bytes;
                return;
            }
        }
        if self.count < 48 {
            *self = self.filled_bytewise();
        }
    }

    #[cold]
    fn filled_bytewise(mut self) -> Self {
        // Below the valid bits, the buffer may contain the beginning of the next byte.
        self.buffer &= !(u64::MAX >> self.count);
        while self.count < 56 {
            let byte = match self.data.get(self.at..) {
                Some([0xff, 0, ..]) => {
                    self.at += 2;
                    0xff
                }
                Some([byte, ..]) if *byte != 0xff => {
                    self.at += 1;
                    *byte
                }
                _ => {
                    self.missing += 8;
                    0
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    #[inline]
    fn consume(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// RECEIVE of ITU-T T.81: the next `bits` bits, from 1 to 16. The buffer must contain them; see [`Self::fill`].
    #[inline]
    pub fn receive(&mut self, bits: u32) -> u32 {
        let received = (self.buffer >> (64 - bits)) as u32;
        self.consume(bits);
        received
    }

    /// DECODE of ITU-T T.81: the next symbol. [`Self::fill`] must come before it, and is enough for the symbol and a value
    /// of up to 16 bits after it.
    #[inline]
    pub fn decode(&mut self, table: &HuffmanTable) -> Result<u8, ImageError> {
        let code = table.short[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
        if code.length > 0 {
            self.consume(code.length.into());
            return Ok(code.symbol);
        }
        let (symbol, length) = table.decode_long(self.buffer)?;
        self.consume(length);
        Ok(symbol)
    }

    /// RECEIVE and EXTEND of ITU-T T.81: a signed value of `ssss` bits.
    #[inline]
    pub fn receive_extend(&mut self, ssss: u32) -> i32 {
        if ssss == 0 {
            return 0;
        }
        extend(self.receive(ssss), ssss)
    }

    /// The next AC coefficient, as RRRR and its value, which is 0 for EOB and ZRL. [`Self::refill`] must come before the first
    /// one of a block.
    #[inline(always)]
    pub fn decode_coefficient(&mut self, table: &HuffmanTable) -> Result<(u32, i32), ImageError> {
        let code = table.short[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
        // The processor reads the table and refills the buffer at the same time. At least 16 bits are left for the next one.
        self.refill();
        if code.length == 0 {
            let (symbol, length) = table.decode_long(self.buffer)?;
            self.consume(length);
            return Ok((u32::from(symbol >> 4), self.receive_extend(u32::from(symbol & 15))));
        }
        let after_code = self.buffer << code.length;
        // The next lookup needs this shift alone, and not the value.
        self.consume(code.bits.into());
        let (rrrr, ssss) = (u32::from(code.symbol >> 4), u32::from(code.symbol & 15));
        if ssss == 0 {
            return Ok((rrrr, 0));
        }
        Ok((rrrr, extend((after_code >> (64 - ssss)) as u32, ssss)))
    }

    /// Skips the rest of a block, from coefficient `k` on.
    #[inline(always)]
    pub fn skip_coefficients(&mut self, table: &HuffmanTable, mut k: u32) -> Result<(), ImageError> {
        let mut bits = *self;
        bits.refill();
        while k < 64 {
            let skip = table.skips[(bits.buffer >> (64 - SKIP_LOOKUP_BITS)) as usize];
            // As in `decode_coefficient`.
            bits.refill();
            let next = k + u32::from(skip.coefficients);
            if next < 64 {
                bits.consume(skip.bits.into());
                k = next;
                continue;
            }
            // A full block has no EOB code: an EOB code after 64 coefficients would belong to the next block.
            if (u32::from(END_OF_BLOCK)..u32::from(END_OF_BLOCK) + 64).contains(&next) {
                bits.consume(skip.bits.into());
                *self = bits;
                return Ok(());
            }
            let symbol = bits.decode(table)?;
            let (rrrr, ssss) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if ssss == 0 && rrrr < 15 {
                *self = bits;
                return Ok(());
            }
            bits.consume(ssss);
            k += rrrr + 1;
        }
        *self = bits;
        if k > 64 { Err(damaged("a block of more than 64 coefficients")) } else { Ok(()) }
    }

    /// Returns whether more bits were read than the scan has.
    pub fn is_past_end(&self) -> bool {
        self.missing > self.count
    }

    /// The position of the next marker, once the bits before it are read.
    pub fn position(&self) -> usize {
        self.at
    }
}

/// EXTEND of ITU-T T.81: the signed value that `ssss` bits, from 1 to 16, stand for.
#[inline(always)]
fn extend(bits: u32, ssss: u32) -> i32 {
    let bits = bits.cast_signed();
    if bits < 1 << (ssss - 1) { bits - (1 << ssss) + 1 } else { bits }
}

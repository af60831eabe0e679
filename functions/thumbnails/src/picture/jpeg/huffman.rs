//! Huffman codes, and the stream of bits that they stand in.

use super::{Refusal, damaged};

/// Codes up to this length are found with one look into a table.
const LOOK: u32 = 10;

/// How far the table looks that passes over coefficients.
const PASS: u32 = 12;

/// A Huffman table: what its DHT segment says. Its codes are built for the first scan that needs the table, because a
/// file may define thousands of tables that no scan needs.
pub struct Table<'a> {
    /// BITS of ITU-T T.81: how many codes there are of each length from 1 to 16.
    counts: &'a [u8; 16],
    /// HUFFVAL of ITU-T T.81: what the codes stand for, from the shortest code to the longest.
    symbols: &'a [u8],
    codes: Option<Codes>,
}

impl<'a> Table<'a> {
    pub fn new(counts: &'a [u8; 16], symbols: &'a [u8]) -> Self {
        Self { counts, symbols, codes: None }
    }

    /// Builds the codes, unless a scan before has built them. `with_passes`: for [`Bits::pass`], too.
    ///
    /// # Errors
    /// `Damaged` where the lengths are not those of a code.
    pub fn build(&mut self, with_passes: bool) -> Result<(), Refusal> {
        if self.codes.is_none() {
            let codes = Codes::new(self.counts, self.symbols)?;
            self.codes = Some(if with_passes { codes.with_passes() } else { codes });
        }
        Ok(())
    }

    /// The codes, if they are built.
    pub fn codes(&self) -> Option<&Codes> {
        self.codes.as_ref()
    }
}

/// The codes of one table, for coefficients of either sort.
pub struct Codes {
    /// By the next [`LOOK`] bits: the length of the code in the high byte, its symbol in the low one; 0 for a longer code.
    short: Box<[u16; 1 << LOOK]>,
    /// By the next [`PASS`] bits: how many bits and how many coefficients all codes take that begin there and whose end
    /// is in sight; 0 where not even one does.
    pass: Box<[Pass; 1 << PASS]>,
    /// By length: the first code that is too large for it, its bits shifted to the top of 16.
    limits: [u32; 17],
    /// By length: what to add to a code to get the place of its symbol.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// A step over coefficients whose values nobody wants.
#[derive(Clone, Copy, Default)]
struct Pass {
    /// Codes and the values after them.
    bits: u8,
    /// How many coefficients, zeros included; [`END`] is added where the block ends.
    coefficients: u8,
}

/// The code that ends a block, in [`Pass::coefficients`].
const END: u8 = 0x80;

impl Codes {
    /// From the body of a DHT segment: how many codes there are of each length from 1 to 16, and their symbols.
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, Refusal> {
        let mut codes = Self {
            short: Box::new([0; 1 << LOOK]),
            pass: Box::new([Pass::default(); 1 << PASS]),
            limits: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            codes.offsets[length as usize] = i32::try_from(index).unwrap_or_default() - code.cast_signed();
            for &symbol in symbols.get(index..index + usize::from(count)).ok_or_else(|| damaged("a Huffman table"))? {
                if length <= LOOK {
                    let first = (code << (LOOK - length)) as usize;
                    let entry = (length as u16) << 8 | u16::from(symbol);
                    let range = codes.short.get_mut(first..first + (1 << (LOOK - length)));
                    range.ok_or_else(|| damaged("a Huffman table"))?.fill(entry);
                }
                code += 1;
            }
            index += usize::from(count);
            if code > 1 << length {
                return Err(damaged("a Huffman table"));
            }
            codes.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(codes)
    }

    /// Prepares [`Bits::pass`]; needed only for coefficients that are not DC, in sequential scans.
    fn with_passes(mut self) -> Self {
        for window in 0..1 << PASS {
            self.pass[window] = self.chain(window as u32);
        }
        self
    }

    /// As many codes as can be seen whole in a window of [`PASS`] bits.
    fn chain(&self, window: u32) -> Pass {
        let mut chain = Pass::default();
        while u32::from(chain.bits) < PASS {
            let rest = (window << chain.bits) & ((1 << PASS) - 1);
            let entry = self.short[(rest >> (PASS - LOOK)) as usize];
            let (length, symbol) = ((entry >> 8) as u8, entry as u8);
            if entry == 0 || u32::from(chain.bits) + u32::from(length) > PASS {
                break;
            }
            let (run, size) = (symbol >> 4, symbol & 15);
            if size == 0 && run < 15 {
                chain.bits += length;
                chain.coefficients |= END;
                break;
            }
            // A step must not pass over a whole block.
            if chain.coefficients + run + 1 > 63 {
                break;
            }
            chain.bits += length + size;
            chain.coefficients += run + 1;
        }
        chain
    }
}

/// The bits of a scan, up to its next marker; zeros after that.
pub struct Bits<'a> {
    data: &'a [u8],
    /// Of the next byte that is not in the buffer.
    at: usize,
    /// The next bits, the first at the top.
    buffer: u64,
    /// How many of them are valid.
    count: u32,
    /// How many of the bits given out or in the buffer were never there.
    missing: u32,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, buffer: 0, count: 0, missing: 0 }
    }

    /// At least 32 bits in the buffer: more than any code and its value take.
    #[inline]
    pub fn fill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(next) = self.data.get(self.at..self.at + 8) {
            let next = u64::from_be_bytes(next.try_into().unwrap_or_default());
            // Whether a byte of it is 0xff: the highest bit of that byte stays set.
            let inverted = !next;
            if inverted.wrapping_sub(0x0101_0101_0101_0101) & next & 0x8080_8080_8080_8080 == 0 {
                self.buffer |= next >> self.count;
                let bytes = (63 - self.count) / 8;
                self.at += bytes as usize;
                self.count += 8 * bytes;
                return;
            }
        }
        self.fill_slowly();
    }

    #[cold]
    fn fill_slowly(&mut self) {
        // What stands below the valid bits is the beginning of the byte that comes next, or nothing.
        self.buffer &= !(u64::MAX >> self.count);
        while self.count <= 56 {
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
    }

    #[inline]
    fn skip(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// The next `bits` bits, from 1 to 16; of those that [`Self::fill`] has put there.
    #[inline]
    pub fn take(&mut self, bits: u32) -> u32 {
        let taken = (self.buffer >> (64 - bits)) as u32;
        self.skip(bits);
        taken
    }

    /// The next symbol. [`Self::fill`] before it; a value of up to 16 bits may be taken after it.
    #[inline]
    pub fn symbol(&mut self, codes: &Codes) -> Result<u8, Refusal> {
        let entry = codes.short[(self.buffer >> (64 - LOOK)) as usize];
        if entry != 0 {
            self.skip(u32::from(entry >> 8));
            return Ok(entry as u8);
        }
        self.long_symbol(codes)
    }

    #[cold]
    fn long_symbol(&mut self, codes: &Codes) -> Result<u8, Refusal> {
        let next = (self.buffer >> 48) as u32;
        for length in LOOK + 1..=16 {
            if next < codes.limits[length as usize] {
                let code = (next >> (16 - length)).cast_signed();
                self.skip(length);
                let symbol = usize::try_from(code + codes.offsets[length as usize]).ok();
                let symbol = symbol.and_then(|index| codes.symbols.get(index));
                return symbol.copied().ok_or_else(|| damaged("a code that means nothing"));
            }
        }
        Err(damaged("a code that means nothing"))
    }

    /// A value of `size` bits, as JPEG writes them: without a sign bit, negative ones less one.
    #[inline]
    pub fn value(&mut self, size: u32) -> i32 {
        if size == 0 {
            return 0;
        }
        let bits = self.take(size).cast_signed();
        if bits < 1 << (size - 1) { bits - (1 << size) + 1 } else { bits }
    }

    /// Passes over the rest of a block, from coefficient `k`.
    #[inline]
    pub fn pass(&mut self, codes: &Codes, mut k: u32) -> Result<(), Refusal> {
        while k < 64 {
            self.fill();
            let pass = codes.pass[(self.buffer >> (64 - PASS)) as usize];
            let coefficients = u32::from(pass.coefficients & !END);
            if pass.bits != 0 && k + coefficients <= 64 {
                if pass.coefficients & END != 0 {
                    // A block that is full already has no end of its own; the code belongs to the next one.
                    if k + coefficients < 64 {
                        self.skip(u32::from(pass.bits));
                        return Ok(());
                    }
                } else {
                    self.skip(u32::from(pass.bits));
                    k += coefficients;
                    continue;
                }
            }
            let symbol = self.symbol(codes)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 && run < 15 {
                return Ok(());
            }
            self.skip(size);
            k += run + 1;
        }
        if k > 64 { Err(damaged("a block of more than 64 coefficients")) } else { Ok(()) }
    }

    /// Whether more bits were taken than there are.
    pub fn is_exhausted(&self) -> bool {
        self.missing > self.count
    }

    /// Where the next marker is; the bits before it are over.
    pub fn end(&self) -> usize {
        self.at
    }
}

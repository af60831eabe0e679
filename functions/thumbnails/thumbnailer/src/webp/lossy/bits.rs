//! The boolean entropy decoder of VP8 (RFC 6386, section 7).

/// Zero bytes that may be read after the end of the data. An encoder may leave out bytes that are zero.
const MAX_MISSING: u32 = 2;

/// Reads booleans from a partition.
#[derive(Clone, Copy)]
pub struct BoolDecoder<'a> {
    data: &'a [u8],
    /// The bits that have been read and not yet decoded. The lowest `count` of them lie below the byte that is compared
    /// with the split.
    value: u64,
    count: i32,
    /// The range of RFC 6386 minus one, from 127 to 254 between two booleans.
    range: u32,
    /// The number of zero bytes that were added after the end of the data.
    missing: u32,
}

impl<'a> BoolDecoder<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, value: 0, count: -8, range: 254, missing: 0 }
    }

    /// Returns a boolean that is false with a probability of `probability` / 256.
    #[expect(clippy::inline_always, reason = "the state stays in registers; without it the decoder is slower")]
    #[inline(always)]
    pub fn read(&mut self, probability: u8) -> bool {
        if self.count < 0 {
            self.fill();
        }
        let split = (self.range * u32::from(probability)) >> 8;
        let is_set = (self.value >> self.count) as u32 > split;
        let range = if is_set {
            self.value -= u64::from(split + 1) << self.count;
            self.range - split
        } else {
            split + 1
        };
        // The range has eight bits again after the shift.
        let shift = range.leading_zeros() - 24;
        self.range = (range << shift) - 1;
        self.count -= shift.cast_signed();
        is_set
    }

    /// Returns an unsigned number of `bits` bits, the highest first.
    pub fn read_literal(&mut self, bits: u32) -> u8 {
        (0..bits).fold(0, |value, _| value << 1 | u8::from(self.read(128)))
    }

    /// Returns a signed number of `bits` bits, or 0 if a flag says that there is none.
    pub fn read_optional_signed(&mut self, bits: u32) -> i32 {
        if !self.read(128) {
            return 0;
        }
        let magnitude = i32::from(self.read_literal(bits));
        if self.read(128) { -magnitude } else { magnitude }
    }

    /// Adds seven bytes, or one byte near the end of the data.
    #[inline]
    fn fill(&mut self) {
        if let Some((next, _)) = self.data.split_first_chunk() {
            self.value = self.value << 56 | u64::from_be_bytes(*next) >> 8;
            self.count += 56;
            self.data = &self.data[7..];
        } else {
            self.fill_byte();
        }
    }

    #[cold]
    fn fill_byte(&mut self) {
        let byte = if let Some((byte, rest)) = self.data.split_first() {
            self.data = rest;
            *byte
        } else {
            self.missing = self.missing.saturating_add(1);
            0
        };
        self.value = self.value << 8 | u64::from(byte);
        self.count += 8;
    }

    /// Returns whether more data was read than there is.
    pub fn is_past_end(&self) -> bool {
        self.missing > MAX_MISSING
    }
}

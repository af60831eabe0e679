//! The compressions of strips and tiles. Each row is unpacked when it is needed, so that memory never holds a whole strip.

use std::{cell::Cell, convert::Infallible, rc::Rc, slice};

use fax::decoder::{DecodeStatus, Group3Decoder, Group4Decoder};
use flate2::{Decompress, FlushDecompress, Status};
use weezl::{BitOrder, LzwStatus, decode as lzw};

use crate::limits::{READ_SLACK_BYTES, TIFF_ROW_SLACK_BYTES};

use super::{ImageError, damaged};

/// Unpacks the rows of one strip or tile after the other.
pub struct Unpacker<'a> {
    /// The data of the strip that has not been read.
    rest: &'a [u8],
    /// The number of bytes of it that the rows so far can need. Compressed data may go on without ever giving a pixel.
    granted: usize,
    codec: Codec<'a>,
}

enum Codec<'a> {
    None { is_reversed: bool },
    PackBits(PackBits),
    Lzw(Box<lzw::Decoder>),
    Deflate(Box<Decompress>),
    Fax { is_group_4: bool, is_reversed: bool, width: u16, decoder: FaxDecoder<'a> },
}

impl<'a> Unpacker<'a> {
    /// An unpacker for a value of the field `Compression`, and rows of this width in pixels.
    ///
    /// # Errors
    /// `UnsupportedFormat` for other compressions.
    pub fn new(compression: u64, width: u32, is_reversed: bool, has_two_dimensions: bool) -> Result<Self, ImageError> {
        let fax = |is_group_4| {
            let width = u16::try_from(width).map_err(damaged)?;
            Ok::<_, ImageError>(Codec::Fax { is_group_4, is_reversed, width, decoder: FaxDecoder::Ended })
        };
        let codec = match compression {
            1 => Codec::None { is_reversed },
            3 if !has_two_dimensions => fax(false)?,
            4 => fax(true)?,
            5 if !is_reversed => {
                let configuration = lzw::Configuration::with_tiff_size_switch(BitOrder::Msb, 8);
                Codec::Lzw(Box::new(configuration.with_yield_on_full_buffer(true).build()))
            }
            8 | 32946 if !is_reversed => Codec::Deflate(Box::new(Decompress::new(true))),
            32773 if !is_reversed => Codec::PackBits(PackBits::default()),
            _ => return Err(ImageError::UnsupportedFormat),
        };
        Ok(Self { rest: &[], granted: 0, codec })
    }

    /// Starts a strip or tile.
    pub fn start(&mut self, data: &'a [u8]) -> Result<(), ImageError> {
        (self.rest, self.granted) = (data, READ_SLACK_BYTES);
        match &mut self.codec {
            Codec::None { .. } => {}
            Codec::PackBits(packbits) => *packbits = PackBits::default(),
            Codec::Lzw(decoder) => decoder.reset(),
            Codec::Deflate(decoder) => decoder.reset(true),
            Codec::Fax { is_group_4, is_reversed, width, decoder } => {
                *decoder = FaxDecoder::new(data, *is_group_4, *is_reversed, *width)?;
            }
        }
        Ok(())
    }

    /// Unpacks the next row.
    pub fn read_row(&mut self, row: &mut [u8]) -> Result<(), ImageError> {
        // Data that does not compress grows, but by less than this.
        self.granted = self.granted.saturating_add(2 * row.len() + TIFF_ROW_SLACK_BYTES);
        let rest = &self.rest[..self.rest.len().min(self.granted)];
        let read = match &mut self.codec {
            Codec::None { is_reversed } => {
                row.copy_from_slice(rest.get(..row.len()).ok_or_else(too_short)?);
                if *is_reversed {
                    for byte in row.iter_mut() {
                        *byte = byte.reverse_bits();
                    }
                }
                row.len()
            }
            Codec::PackBits(packbits) => packbits.read_row(rest, row)?,
            Codec::Lzw(decoder) => read_lzw(decoder, rest, row)?,
            Codec::Deflate(decoder) => read_deflate(decoder, rest, row)?,
            Codec::Fax { decoder, .. } => {
                decoder.read_row(row)?;
                0
            }
        };
        self.rest = &self.rest[read..];
        self.granted -= read;
        Ok(())
    }
}

fn too_short() -> ImageError {
    damaged("rows are missing, or have more data than they need")
}

/// Fills a row. Returns the number of bytes that were read.
fn read_lzw(decoder: &mut lzw::Decoder, data: &[u8], row: &mut [u8]) -> Result<usize, ImageError> {
    let (mut read, mut filled) = (0, 0);
    while filled < row.len() {
        let result = decoder.decode_bytes(&data[read..], &mut row[filled..]);
        read += result.consumed_in;
        filled += result.consumed_out;
        match result.status.map_err(damaged)? {
            LzwStatus::Ok if result.consumed_in + result.consumed_out > 0 => {}
            _ if filled == row.len() => {}
            _ => return Err(too_short()),
        }
    }
    Ok(read)
}

/// Fills a row. Returns the number of bytes that were read.
fn read_deflate(decoder: &mut Decompress, data: &[u8], row: &mut [u8]) -> Result<usize, ImageError> {
    let (mut read, mut filled) = (0, 0);
    while filled < row.len() {
        let before = (decoder.total_in(), decoder.total_out());
        let status = decoder.decompress(&data[read..], &mut row[filled..], FlushDecompress::None).map_err(damaged)?;
        let (consumed, written) = (decoder.total_in() - before.0, decoder.total_out() - before.1);
        read += consumed as usize;
        filled += written as usize;
        if filled < row.len() && (status == Status::StreamEnd || consumed + written == 0) {
            return Err(too_short());
        }
    }
    Ok(read)
}

/// The run that a row has begun. Runs should end with their row, but not all do.
#[derive(Default)]
struct PackBits {
    count: usize,
    repeated: Option<u8>,
}

impl PackBits {
    /// Fills a row. Returns the number of bytes that were read.
    fn read_row(&mut self, data: &[u8], row: &mut [u8]) -> Result<usize, ImageError> {
        let (mut read, mut filled) = (0, 0);
        while filled < row.len() {
            if self.count == 0 {
                let head = *data.get(read).ok_or_else(too_short)?;
                read += 1;
                (self.count, self.repeated) = match head {
                    0..=127 => (usize::from(head) + 1, None),
                    // This value means nothing.
                    128 => continue,
                    129.. => {
                        let value = *data.get(read).ok_or_else(too_short)?;
                        read += 1;
                        (257 - usize::from(head), Some(value))
                    }
                };
            }
            let count = self.count.min(row.len() - filled);
            let to = &mut row[filled..filled + count];
            if let Some(value) = self.repeated {
                to.fill(value);
            } else {
                to.copy_from_slice(data.get(read..read + count).ok_or_else(too_short)?);
                read += count;
            }
            filled += count;
            self.count -= count;
        }
        Ok(read)
    }
}

/// A decoder of ITU-T T.4 (Group 3, one dimension) or T.6 (Group 4), and the bytes that it may still read.
enum FaxDecoder<'a> {
    /// The data has ended. The rows that are left are white, because some encoders leave out white lines at the end.
    Ended,
    Group3(Group3Decoder<FaxBytes<'a>>, Rc<Cell<usize>>),
    /// Also whether there was a line.
    Group4(Group4Decoder<FaxBytes<'a>>, Rc<Cell<usize>>, bool),
}

impl<'a> FaxDecoder<'a> {
    fn new(data: &'a [u8], is_group_4: bool, is_reversed: bool, width: u16) -> Result<Self, ImageError> {
        let granted = Rc::new(Cell::new(READ_SLACK_BYTES));
        let bytes = FaxBytes {
            data: data.iter(),
            padding: if is_group_4 { &[] } else { &END_OF_LINE },
            granted: Rc::clone(&granted),
            is_reversed,
        };
        Ok(if is_group_4 {
            let Ok(decoder) = Group4Decoder::new(bytes, width);
            Self::Group4(decoder, granted, false)
        } else {
            Self::Group3(Group3Decoder::new(bytes).map_err(|_| damaged("it does not begin with a line"))?, granted)
        })
    }

    /// Unpacks a row of bits, which are 1 for black.
    fn read_row(&mut self, row: &mut [u8]) -> Result<(), ImageError> {
        row.fill(0);
        let granted = FAX_BITS_PER_PIXEL * row.len() + TIFF_ROW_SLACK_BYTES;
        let (status, transitions) = match self {
            Self::Ended => return Ok(()),
            Self::Group3(decoder, bytes) => {
                bytes.set(bytes.get() + granted);
                (decoder.advance(), decoder.transitions())
            }
            Self::Group4(decoder, bytes, has_lines) => {
                bytes.set(bytes.get() + granted);
                let status = decoder.advance();
                let is_end = matches!(status, Ok(DecodeStatus::End));
                if is_end && !*has_lines {
                    return Err(too_short());
                }
                *has_lines = true;
                (status, if is_end { &[][..] } else { decoder.transition() })
            }
        };
        let has_ended = status.map_err(|_| damaged("a line"))? == DecodeStatus::End;
        // White and black alternate. The last run lasts until the end of the line.
        for pair in transitions.chunks(2) {
            if let [from, rest @ ..] = pair {
                let to = rest.first().map_or(row.len() * 8, |to| usize::from(*to));
                blacken(row, usize::from(*from), to.min(row.len() * 8));
            }
        }
        if has_ended {
            *self = Self::Ended;
        }
        Ok(())
    }
}

/// The longest code of a pixel in bits.
const FAX_BITS_PER_PIXEL: usize = 8;

/// The mark at the end of a line of Group 3, twice. Some encoders leave it out after the last line.
const END_OF_LINE: [u8; 3] = [0x00, 0x10, 0x01];

/// Sets the bits of a row from one column to another.
fn blacken(row: &mut [u8], from: usize, to: usize) {
    let mut x = from;
    while x < to {
        if x.is_multiple_of(8) && to - x >= 8 {
            row[x / 8] = 0xff;
            x += 8;
        } else {
            row[x / 8] |= 0x80 >> (x % 8);
            x += 1;
        }
    }
}

/// The bytes of a strip, as many as are granted.
struct FaxBytes<'a> {
    data: slice::Iter<'a, u8>,
    /// Bytes after the data, because the decoder looks ahead.
    padding: &'static [u8],
    granted: Rc<Cell<usize>>,
    is_reversed: bool,
}

impl Iterator for FaxBytes<'_> {
    type Item = Result<u8, Infallible>;

    fn next(&mut self) -> Option<Self::Item> {
        self.granted.set(self.granted.get().checked_sub(1)?);
        if let Some(byte) = self.data.next() {
            return Some(Ok(if self.is_reversed { byte.reverse_bits() } else { *byte }));
        }
        let (byte, rest) = self.padding.split_first()?;
        self.padding = rest;
        Some(Ok(*byte))
    }
}

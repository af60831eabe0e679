//! Pictures that are coded as AV1, with the decoder of the crate `re_rav1d`.

use re_rav1d::dav1d::{Decoder, InloopFilterType, PixelLayout, PlanarImageComponent as Component, Settings};

use crate::limits::{MAX_AV1_BYTES, MAX_AV1_FRAMES};

use super::{
    super::{ImageError, damaged},
    Cicp, Header, Quality, Subsampling,
    frame::{Frame, Plane},
};

/// Types of open bitstream units.
const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

/// What the sequence header says.
pub struct Sequence {
    size: (u32, u32),
    depth: u32,
    subsampling: Subsampling,
    cicp: Cicp,
    /// The number of frames that the data has.
    frames: u32,
}

impl Sequence {
    /// Finds the sequence header in the data of an item.
    pub fn parse(data: &[u8]) -> Result<Self, ImageError> {
        let (mut sequence, mut frames) = (None, 0);
        let mut rest = data;
        while !rest.is_empty() {
            let (kind, body, after) = next_unit(rest).ok_or_else(|| damaged("an open bitstream unit"))?;
            match kind {
                SEQUENCE_HEADER if sequence.is_some() => return Err(damaged("two sequence headers")),
                SEQUENCE_HEADER => sequence = Some(body),
                FRAME_HEADER | FRAME => frames += 1,
                _ => {}
            }
            if frames > MAX_AV1_FRAMES {
                return Err(damaged("too many frames"));
            }
            rest = after;
        }
        let sequence = sequence.ok_or_else(|| damaged("it has no sequence header"))?;
        read_sequence(&mut Bits::new(sequence), frames).ok_or_else(|| damaged("its sequence header"))
    }

    /// `size` is the size that the container says.
    pub fn header(&self, size: (u32, u32)) -> Result<Header, ImageError> {
        if self.size != size {
            return Err(damaged("two sizes"));
        }
        let (width, height) = size;
        let pixels = u64::from(width) * u64::from(height);
        let chroma = self.subsampling.map_or(0, |(x, y)| 2 * pixels / u64::from(x * y));
        let bytes = (pixels + chroma) * u64::from(self.depth.div_ceil(8)) * u64::from(self.frames);
        if bytes > MAX_AV1_BYTES {
            return Err(ImageError::TooManyPixels { width, height, limit: pixels * MAX_AV1_BYTES / bytes });
        }
        Ok(Header { subsampling: self.subsampling, cicp: self.cicp })
    }

    pub fn decode(&self, data: Vec<u8>, quality: Quality) -> Result<Frame, ImageError> {
        let mut settings = Settings::new();
        settings.set_n_threads(1);
        settings.set_max_frame_delay(1);
        // A thumbnail is too small to show grain.
        settings.set_apply_grain(false);
        settings.set_all_layers(false);
        settings.set_frame_size_limit(self.size.0 * self.size.1);
        if quality == Quality::Fast {
            // These filters change samples only after all samples are predicted, and a picture that is made much smaller
            // does not show them.
            settings.set_inloop_filters(InloopFilterType::empty());
        }
        let mut decoder = Decoder::with_settings(&settings).map_err(damaged)?;
        decoder.send_data(data, None, None, None).map_err(damaged)?;
        let picture = decoder.get_picture().map_err(damaged)?;
        let layout = match self.subsampling {
            None => PixelLayout::I400,
            Some((1, 1)) => PixelLayout::I444,
            Some((_, 1)) => PixelLayout::I422,
            Some(_) => PixelLayout::I420,
        };
        let depth = picture.bits_per_component().map_or(0, |bits| bits.0 as u32);
        if (picture.width(), picture.height()) != self.size || picture.pixel_layout() != layout || depth != self.depth {
            return Err(damaged("two sequence headers"));
        }
        let components = [Component::Y, Component::U, Component::V];
        let count = if self.subsampling.is_some() { 3 } else { 1 };
        let planes = components[..count].iter().map(|component| {
            let stride = picture.stride(*component) / depth.div_ceil(8);
            Plane::bytes(picture.plane(*component), stride as usize, depth)
        });
        let size = (self.size.0 as usize, self.size.1 as usize);
        Ok(Frame::new(size, self.subsampling, planes.collect()))
    }
}

/// The type and the body of the first open bitstream unit, and what follows it.
fn next_unit(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, mut rest) = data.split_first()?;
    if head & 4 != 0 {
        rest = rest.get(1..)?;
    }
    let mut length = rest.len();
    if head & 2 != 0 {
        length = 0;
        for at in 0.. {
            let (byte, after) = rest.split_first()?;
            rest = after;
            length |= usize::from(byte & 127) << (7 * at);
            if byte & 128 == 0 {
                break;
            }
            // Lengths have 32 bits at most.
            if at == 4 {
                return None;
            }
        }
    }
    let (body, after) = rest.split_at_checked(length)?;
    Some((head >> 3 & 15, body, after))
}

/// Reads a sequence header up to its colours, in the order of the AV1 specification, 5.5.
fn read_sequence(bits: &mut Bits, frames: u32) -> Option<Sequence> {
    let (profile, _still_picture, is_reduced) = (bits.read(3)?, bits.flag()?, bits.flag()?);
    if is_reduced {
        bits.read(5)?;
    } else {
        skip_operating_points(bits)?;
    }
    let (width_bits, height_bits) = (bits.read(4)? + 1, bits.read(4)? + 1);
    let size = (bits.read(width_bits)? + 1, bits.read(height_bits)? + 1);
    // Frame IDs.
    if !is_reduced && bits.flag()? {
        bits.read(7)?;
    }
    // Superblocks of 128 x 128 samples, and two filters of intra prediction.
    bits.read(3)?;
    if !is_reduced {
        skip_inter_tools(bits)?;
    }
    // Super-resolution, CDEF and loop restoration.
    bits.read(3)?;
    let (depth, subsampling, cicp) = read_colors(bits, profile)?;
    Some(Sequence { size, depth, subsampling, cicp, frames })
}

fn skip_operating_points(bits: &mut Bits) -> Option<()> {
    let mut delay_bits = None;
    // The timing information.
    if bits.flag()? {
        bits.read(32)?;
        bits.read(32)?;
        if bits.flag()? {
            bits.skip_uvlc()?;
        }
        // The model of the decoder.
        if bits.flag()? {
            delay_bits = Some(bits.read(5)? + 1);
            bits.read(32)?;
            bits.read(10)?;
        }
    }
    let has_display_delay = bits.flag()?;
    for _ in 0..=bits.read(5)? {
        bits.read(12)?;
        if bits.read(5)? > 7 {
            bits.read(1)?;
        }
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.read(delay_bits)?;
            bits.read(delay_bits)?;
            bits.read(1)?;
        }
        if has_display_delay && bits.flag()? {
            bits.read(4)?;
        }
    }
    Some(())
}

fn skip_inter_tools(bits: &mut Bits) -> Option<()> {
    bits.read(4)?;
    let has_order_hints = bits.flag()?;
    if has_order_hints {
        bits.read(2)?;
    }
    let chooses_screen_content_tools = bits.flag()?;
    // Whether motion vectors are integers, which only screen content tools have.
    if (chooses_screen_content_tools || bits.flag()?) && !bits.flag()? {
        bits.read(1)?;
    }
    if has_order_hints {
        bits.read(3)?;
    }
    Some(())
}

/// The bits of a sample, the subsampling, and the meaning of the colours.
fn read_colors(bits: &mut Bits, profile: u32) -> Option<(u32, Subsampling, Cicp)> {
    let is_deep = bits.flag()?;
    let depth = match (is_deep, profile) {
        (true, 2) => 10 + 2 * bits.read(1)?,
        (true, _) => 10,
        (false, _) => 8,
    };
    let is_grey = profile != 1 && bits.flag()?;
    let [primaries, transfer, matrix] =
        if bits.flag()? { [bits.read(8)?, bits.read(8)?, bits.read(8)?] } else { [2; 3] };
    let cicp = |full_range| Cicp { primaries: primaries as u16, matrix: matrix as u16, full_range };
    if is_grey {
        return Some((depth, None, cicp(bits.flag()?)));
    }
    // RGB as the sequence header of sRGB has it.
    if [primaries, transfer, matrix] == [1, 13, 0] {
        return Some((depth, Some((1, 1)), cicp(true)));
    }
    let full_range = bits.flag()?;
    let subsampling = match (profile, depth) {
        (0, _) => (2, 2),
        (1, _) => (1, 1),
        (_, 12) if bits.flag()? => (2, 1 + bits.read(1)?),
        (_, 12) => (1, 1),
        _ => (2, 1),
    };
    Some((depth, Some(subsampling), cicp(full_range)))
}

/// Bits, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A number of up to 32 bits.
    fn read(&mut self, count: u32) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }

    fn flag(&mut self) -> Option<bool> {
        self.read(1).map(|bit| bit == 1)
    }

    /// Skips a number whose length is the number of zeros before it.
    fn skip_uvlc(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        if zeros < 32 { self.read(zeros).map(|_| ()) } else { Some(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of pictures of 64 x 48 pixels that libavif has written, up to their frames.
    const COLORS_420: &[u8] = b"\x12\x00\x0a\x09\x18\x15\x7f\xbd\xa2\x02\x1a\x0d\x08";
    const COLORS_444: &[u8] = b"\x12\x00\x0a\x09\x38\x15\x7f\xbd\xa4\x04\x34\x1a\x40";
    const GREY: &[u8] = b"\x12\x00\x0a\x09\x18\x15\x7f\xbd\xa6\x02\x1a\x0d\x40";

    #[test]
    fn the_sequence_header_says_how_the_samples_are_stored() {
        for (data, subsampling) in [(COLORS_420, Some((2, 2))), (COLORS_444, Some((1, 1))), (GREY, None)] {
            let sequence = Sequence::parse(data).unwrap();
            assert_eq!((sequence.size, sequence.depth, sequence.frames), ((64, 48), 8, 0));
            assert_eq!(sequence.subsampling, subsampling);
            let Cicp { primaries, matrix, full_range } = sequence.cicp;
            assert_eq!((primaries, matrix, full_range), (1, 6, true));
            assert!(sequence.header((64, 48)).is_ok());
            assert!(sequence.header((64, 47)).is_err());
            for length in 0..data.len() {
                assert!(Sequence::parse(&data[..length]).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn one_sequence_header_and_few_frames_are_allowed() {
        let frame = b"\x1a\x01\0";
        let with_frames = |count| Sequence::parse(&[COLORS_420, &frame.repeat(count)].concat());
        assert_eq!(with_frames(4).unwrap().frames, 4);
        assert!(with_frames(5).is_err());
        assert!(Sequence::parse(&COLORS_420.repeat(2)).is_err());
        // A length of more than five bytes.
        assert!(Sequence::parse(b"\x0a\xff\xff\xff\xff\xff\x00").is_err());
    }
}

//! WebP; of an animation, its first frame. Lossless pictures are decoded row by row. For lossy pictures the library's
//! decoder returns whole planes, which take half the bytes of the pixels.

use image_webp::vp8::{Frame as Vp8Frame, Vp8Decoder};

use crate::limits::{MAX_PROFILE_BYTES, MAX_SOURCE_PIXELS};

use super::{
    ColorType, Decoded, ImageError, OutputFormat, Target, check_size, damaged,
    exif::Exif,
    planes::{self, ColorSpace, Plane},
    resize,
    shrink::Shrinker,
};
use lossless::Lossless;

mod lossless;

pub fn decode(source: &[u8], max_width: u32) -> Result<Decoded, ImageError> {
    let Container { canvas, offset, size, bitstream, icc, exif } = Container::parse(source)?;
    let Exif { orientation, taken_at } = exif;
    let target = Target::new(canvas, orientation, max_width);
    let is_covered = offset == (0, 0) && size == canvas;
    let icc = icc.map(<[u8]>::to_vec);
    if let (Bitstream::Lossy { vp8, alpha: None }, true) = (&bitstream, is_covered) {
        let planes = shrink_planes(decode_vp8(vp8, size)?, &target);
        let pixels = planes::merge(planes, ColorSpace::LimitedYCbCr, target.size)?;
        return Ok(Decoded { target, pixels, color_type: ColorType::Rgb, icc, taken_at, format: OutputFormat::Jpeg });
    }
    let has_alpha = !is_covered || !matches!(bitstream, Bitstream::Lossless { has_alpha: false, .. });
    let (color_type, channels, format) =
        if has_alpha { (ColorType::Rgba, 4, OutputFormat::Png) } else { (ColorType::Rgb, 3, OutputFormat::Jpeg) };
    let mut shrinker = Shrinker::new(&target, channels);
    let mut rows = Rows::new(&bitstream, size)?;
    // Pixels that the frame does not cover stay transparent.
    let mut row = vec![0; canvas.0 as usize * channels];
    for y in 0..size.1 as usize {
        row.fill(0);
        let covered = row.chunks_exact_mut(channels).skip(offset.0 as usize);
        rows.read_row(y, covered)?;
        shrinker.add_row(offset.1 as usize + y, &mut row);
    }
    let pixels = resize::rgba(&shrinker.into_pixels(), target.size, has_alpha)?.rgba;
    Ok(Decoded { target, pixels, color_type, icc, taken_at, format })
}

/// The content of the file: one picture, its place on a canvas, and the metadata.
struct Container<'a> {
    canvas: (u32, u32),
    offset: (u32, u32),
    size: (u32, u32),
    bitstream: Bitstream<'a>,
    icc: Option<&'a [u8]>,
    exif: Exif,
}

enum Bitstream<'a> {
    Lossy { vp8: &'a [u8], alpha: Option<&'a [u8]> },
    Lossless { stream: &'a [u8], has_alpha: bool },
}

impl<'a> Container<'a> {
    fn parse(source: &'a [u8]) -> Result<Self, ImageError> {
        let (mut canvas, mut icc, mut exif) = (None, None, None);
        let (mut picture, mut offset, mut alpha) = (None, (0, 0), None);
        for (name, body) in chunks(source.get(12..).unwrap_or_default()) {
            match (name, body) {
                (b"VP8X", [_, _, _, _, size @ ..]) => canvas = two_u24(size).map(|(w, h)| (w + 1, h + 1)),
                (b"ICCP", _) => icc = Some(body).filter(|icc| icc.len() <= MAX_PROFILE_BYTES),
                // If there are several, the first one counts, as in JPEG.
                (b"EXIF", _) if exif.is_none() => {
                    exif = Some(Exif::parse(body.strip_prefix(b"Exif\0\0").unwrap_or(body)));
                }
                (b"ALPH", _) => alpha = Some(body),
                (b"VP8 " | b"VP8L", _) if picture.is_none() => picture = Some(parse_bitstream(*name, body, alpha)?),
                // A frame: its offset in units of two pixels, its size, its duration, then its own chunks.
                (b"ANMF", [head @ .., _, _, _, _]) if picture.is_none() && body.len() >= 16 => {
                    let (x, y) = two_u24(head).unwrap_or_default();
                    offset = (2 * x, 2 * y);
                    let mut alpha = None;
                    for (name, body) in chunks(&body[16..]) {
                        match name {
                            b"ALPH" => alpha = Some(body),
                            b"VP8 " | b"VP8L" => picture = Some(parse_bitstream(*name, body, alpha)?),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        // The canvas is checked before the picture, because a file with a false header may contain no picture.
        if let Some((width, height)) = canvas {
            check_size(width, height, MAX_SOURCE_PIXELS)?;
        }
        let (size, bitstream) = picture.ok_or_else(|| damaged("it has no picture"))?;
        check_size(size.0, size.1, MAX_SOURCE_PIXELS)?;
        let canvas = canvas.unwrap_or(size);
        if offset.0 + size.0 > canvas.0 || offset.1 + size.1 > canvas.1 {
            return Err(damaged("a frame beside its canvas"));
        }
        Ok(Self { canvas, offset, size, bitstream, icc, exif: exif.unwrap_or_default() })
    }
}

/// The size and the bitstream of one picture, from the chunk that contains it.
fn parse_bitstream<'a>(
    name: [u8; 4],
    body: &'a [u8],
    alpha: Option<&'a [u8]>,
) -> Result<((u32, u32), Bitstream<'a>), ImageError> {
    if name == *b"VP8L" {
        let [0x2f, a, b, c, d, ref stream @ ..] = *body else { return Err(damaged("its header")) };
        let header = u32::from_le_bytes([a, b, c, d]);
        let size = ((header & 0x3fff) + 1, (header >> 14 & 0x3fff) + 1);
        if header >> 29 != 0 {
            return Err(ImageError::UnsupportedFormat);
        }
        return Ok((size, Bitstream::Lossless { stream, has_alpha: header >> 28 == 1 }));
    }
    let [_, _, _, 0x9d, 0x01, 0x2a, a, b, c, d, ..] = *body else { return Err(damaged("its header")) };
    let u14 = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Ok(((u14(a, b), u14(c, d)), Bitstream::Lossy { vp8: body, alpha }))
}

/// The names and bodies of the chunks. Stops at a truncated chunk.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (name, after) = rest.split_first_chunk()?;
        let (size, after) = after.split_first_chunk()?;
        let (body, after) = after.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        // A body of odd length is padded.
        rest = after.get(body.len() % 2..).unwrap_or_default();
        Some((name, body))
    })
}

/// Two little-endian numbers of 24 bits.
fn two_u24(bytes: &[u8]) -> Option<(u32, u32)> {
    let [a, b, c, d, e, f, ..] = *bytes else { return None };
    Some((u32::from_le_bytes([a, b, c, 0]), u32::from_le_bytes([d, e, f, 0])))
}

fn decode_vp8(vp8: &[u8], size: (u32, u32)) -> Result<Vp8Frame, ImageError> {
    let frame = Vp8Decoder::decode_frame(vp8).map_err(damaged)?;
    if (u32::from(frame.width), u32::from(frame.height)) == size { Ok(frame) } else { Err(damaged("two sizes")) }
}

/// Bytes from one row of the luma plane to the next, which is a whole number of macroblocks of 16 pixels. Chroma planes
/// have half.
fn stride(frame: &Vp8Frame) -> usize {
    usize::from(frame.width).next_multiple_of(16)
}

fn shrink_planes(frame: Vp8Frame, target: &Target) -> Vec<Plane> {
    let (stride, source_size) = (stride(&frame), target.source_size);
    let half = Target {
        source_size: (source_size.0.div_ceil(2), source_size.1.div_ceil(2)),
        size: (target.size.0.div_ceil(2), target.size.1.div_ceil(2)),
        ..*target
    };
    let shrink = |mut plane: Vec<u8>, target: &Target, stride: usize| {
        let mut shrinker = Shrinker::new(target, 1);
        let (width, height) = (target.source_size.0 as usize, target.source_size.1 as usize);
        for (y, row) in plane.chunks_exact_mut(stride).take(height).enumerate() {
            shrinker.add_row(y, &mut row[..width]);
        }
        shrinker.into_plane()
    };
    let mut planes = vec![shrink(frame.ybuf, target, stride)];
    for chroma in [frame.ubuf, frame.vbuf] {
        let mut plane = shrink(chroma, &half, stride / 2);
        // If the size of the picture is odd, the last chroma sample covers one pixel instead of two.
        let covered = |extent: f64, full: u32, half: u32| extent * f64::from(full) / 2.0 / f64::from(half);
        plane.extent = (
            covered(plane.extent.0, source_size.0, half.source_size.0),
            covered(plane.extent.1, source_size.1, half.source_size.1),
        );
        planes.push(plane);
    }
    planes
}

/// The rows of a picture, as RGB or RGBA.
enum Rows<'a> {
    Lossless(Lossless<'a>),
    Lossy { frame: Vp8Frame, alpha: Option<AlphaPlane<'a>> },
}

impl<'a> Rows<'a> {
    fn new(bitstream: &Bitstream<'a>, size: (u32, u32)) -> Result<Self, ImageError> {
        Ok(match *bitstream {
            Bitstream::Lossless { stream, .. } => Self::Lossless(Lossless::new(stream, size)?),
            Bitstream::Lossy { vp8, alpha } => {
                let alpha = alpha.map(|chunk| AlphaPlane::new(chunk, size)).transpose()?;
                Self::Lossy { frame: decode_vp8(vp8, size)?, alpha }
            }
        })
    }

    fn read_row<'r>(&mut self, y: usize, row: impl Iterator<Item = &'r mut [u8]>) -> Result<(), ImageError> {
        match self {
            Self::Lossless(lossless) => {
                for (to, pixel) in row.zip(lossless.read_row()?) {
                    let [blue, green, red, alpha] = pixel.to_le_bytes();
                    to.copy_from_slice(&[red, green, blue, alpha][..to.len()]);
                }
            }
            Self::Lossy { frame, alpha } => {
                let stride = stride(frame);
                let alpha_row = alpha.as_mut().map(|alpha| alpha.read_row(y)).transpose()?;
                let luma = &frame.ybuf[y * stride..][..frame.width.into()];
                let (u, v) = (Chroma::new(&frame.ubuf, frame, y), Chroma::new(&frame.vbuf, frame, y));
                for (x, (to, luma)) in row.zip(luma).enumerate() {
                    let [r, g, b] = planes::limited_ycbcr_to_rgb(*luma, u.at(x), v.at(x));
                    let alpha = alpha_row.map_or(255, |row| row[x]);
                    to.copy_from_slice(&[r, g, b, alpha][..to.len()]);
                }
            }
        }
        Ok(())
    }
}

/// One chroma component of a row, upsampled to full size: each value is weighted from the four samples around it.
struct Chroma<'a> {
    near: &'a [u8],
    far: &'a [u8],
}

impl<'a> Chroma<'a> {
    fn new(plane: &'a [u8], frame: &Vp8Frame, y: usize) -> Self {
        let (stride, width) = (stride(frame) / 2, usize::from(frame.width).div_ceil(2));
        let last = usize::from(frame.height).div_ceil(2) - 1;
        let far = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(last) };
        Self { near: &plane[y / 2 * stride..][..width], far: &plane[far * stride..][..width] }
    }

    #[inline]
    fn at(&self, x: usize) -> u8 {
        let near = x / 2;
        let far = if x.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(self.near.len() - 1) };
        let [a, b, c, d] = [self.near[near], self.near[far], self.far[near], self.far[far]].map(u32::from);
        ((9 * a + 3 * b + 3 * c + d + 8) / 16) as u8
    }
}

/// The alpha of a lossy picture, which is in a chunk of its own (ALPH).
struct AlphaPlane<'a> {
    stream: AlphaStream<'a>,
    filter: u8,
    row: Vec<u8>,
}

enum AlphaStream<'a> {
    Raw(&'a [u8]),
    /// The green channel of a lossless picture.
    Lossless(Box<Lossless<'a>>),
}

impl<'a> AlphaPlane<'a> {
    fn new(chunk: &'a [u8], size: (u32, u32)) -> Result<Self, ImageError> {
        let (&header, data) = chunk.split_first().ok_or_else(|| damaged("its alpha"))?;
        let stream = match header & 3 {
            0 => AlphaStream::Raw(data),
            1 => AlphaStream::Lossless(Box::new(Lossless::new(data, size)?)),
            _ => return Err(damaged("its alpha")),
        };
        Ok(Self { stream, filter: header >> 2 & 3, row: vec![0; size.0 as usize] })
    }

    fn read_row(&mut self, y: usize) -> Result<&[u8], ImageError> {
        let above = self.row.clone();
        let width = above.len();
        match &mut self.stream {
            AlphaStream::Raw(data) => {
                let row = data.get(y * width..(y + 1) * width).ok_or_else(|| damaged("its alpha"))?;
                self.row.copy_from_slice(row);
            }
            AlphaStream::Lossless(lossless) => {
                for (alpha, pixel) in self.row.iter_mut().zip(lossless.read_row()?) {
                    *alpha = (pixel >> 8) as u8;
                }
            }
        }
        if self.filter == 0 {
            return Ok(&self.row);
        }
        for x in 0..width {
            // At the edges only one neighbour exists, and the first value has none.
            let left = if x > 0 { self.row[x - 1] } else { above[0] };
            let predicted = match (self.filter, x, y) {
                (_, 0, 0) => 0,
                (_, _, 0) | (1, ..) => left,
                (_, 0, _) | (2, ..) => above[x],
                _ => (i32::from(left) + i32::from(above[x]) - i32::from(above[x - 1])).clamp(0, 255) as u8,
            };
            self.row[x] = self.row[x].wrapping_add(predicted);
        }
        Ok(&self.row)
    }
}

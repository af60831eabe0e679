//! WebP; of an animation, its first frame. Pictures are decoded row by row. Only a lossy picture that is hardly shrunk is
//! decoded by the library, which applies the loop filter and returns whole planes.

use image_webp::vp8::{Frame as Vp8Frame, Vp8Decoder};

use crate::limits::{MAX_PROFILE_BYTES, MAX_SOURCE_PIXELS};

use super::{
    ColorType, Content, Decoded, ImageError, OutputFormat, Target, check_size, damaged,
    exif::Exif,
    planes::{ColorSpace, Plane, limited_ycbcr_to_rgb},
    shrink::Shrinker,
};
use lossless::Lossless;
use lossy::Lossy;

mod lossless;
mod lossy;

/// The largest scale of a lossy picture that is decoded without the loop filter. The limit is that of libwebp.
const MAX_UNFILTERED_SCALE: f64 = 0.75;

pub fn decode(source: &[u8], max_width: u32) -> Result<Decoded, ImageError> {
    let Container { canvas, offset, size, bitstream, icc, exif } = Container::parse(source)?;
    let Exif { orientation, taken_at } = exif;
    let target = Target::new(canvas, orientation, max_width);
    let is_covered = offset == (0, 0) && size == canvas;
    let icc = icc.map(<[u8]>::to_vec);
    if let (Bitstream::Lossy { vp8, alpha: None }, true) = (&bitstream, is_covered) {
        let planes = shrink_planes(LossyRows::new(vp8, size, target.scale)?, &target)?;
        let (content, color_type) = (Content::Planes(planes, ColorSpace::LimitedYCbCr), ColorType::Rgb);
        return Ok(Decoded { target, content, color_type, icc, taken_at, format: OutputFormat::Jpeg });
    }
    let has_alpha = !is_covered || !matches!(bitstream, Bitstream::Lossless { has_alpha: false, .. });
    let (color_type, channels, format) =
        if has_alpha { (ColorType::Rgba, 4, OutputFormat::Png) } else { (ColorType::Rgb, 3, OutputFormat::Jpeg) };
    let mut shrinker = Shrinker::new(&target, channels);
    let mut rows = Rows::new(&bitstream, size, target.scale)?;
    // Pixels that the frame does not cover stay transparent.
    let mut row = vec![0; canvas.0 as usize * channels];
    for y in 0..size.1 as usize {
        row.fill(0);
        let covered = row.chunks_exact_mut(channels).skip(offset.0 as usize);
        rows.read_row(y, covered)?;
        shrinker.add_row(offset.1 as usize + y, &mut row);
    }
    let pixels = shrinker.resize(target.size)?;
    Ok(Decoded { target, content: Content::Pixels(pixels), color_type, icc, taken_at, format })
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

/// The rows of a lossy picture, in planes.
enum LossyRows<'a> {
    Unfiltered(Box<Lossy<'a>>),
    Whole(Vp8Frame),
}

impl<'a> LossyRows<'a> {
    fn new(vp8: &'a [u8], size: (u32, u32), scale: f64) -> Result<Self, ImageError> {
        if scale <= MAX_UNFILTERED_SCALE {
            return Ok(Self::Unfiltered(Box::new(Lossy::new(vp8, size)?)));
        }
        let frame = Vp8Decoder::decode_frame(vp8).map_err(damaged)?;
        let is_whole = (u32::from(frame.width), u32::from(frame.height)) == size;
        if is_whole { Ok(Self::Whole(frame)) } else { Err(damaged("two sizes")) }
    }

    /// Decodes row `y`, and the chroma rows around it.
    fn decode_to(&mut self, y: usize) -> Result<(), ImageError> {
        match self {
            Self::Unfiltered(lossy) => lossy.decode_to(y),
            Self::Whole(_) => Ok(()),
        }
    }

    /// A row of luma. Rows are padded to whole macroblocks.
    fn luma(&self, y: usize) -> &[u8] {
        match self {
            Self::Unfiltered(lossy) => lossy.luma(y),
            Self::Whole(frame) => &frame.ybuf[y * stride(frame)..][..stride(frame)],
        }
    }

    /// A row of Cb (0) or Cr (1).
    fn chroma(&self, component: usize, y: usize) -> &[u8] {
        match self {
            Self::Unfiltered(lossy) => lossy.chroma(component, y),
            Self::Whole(frame) => {
                let (plane, stride) = ([&frame.ubuf, &frame.vbuf][component], stride(frame) / 2);
                &plane[y * stride..][..stride]
            }
        }
    }
}

/// Bytes from one row of the luma plane to the next, which is a whole number of macroblocks of 16 pixels. Chroma planes
/// have half.
fn stride(frame: &Vp8Frame) -> usize {
    usize::from(frame.width).next_multiple_of(16)
}

fn shrink_planes(mut rows: LossyRows, target: &Target) -> Result<Vec<Plane>, ImageError> {
    let source_size = target.source_size;
    let half = Target {
        source_size: (source_size.0.div_ceil(2), source_size.1.div_ceil(2)),
        size: (target.size.0.div_ceil(2), target.size.1.div_ceil(2)),
        ..*target
    };
    let mut luma = Shrinker::new(target, 1);
    let mut chroma = [Shrinker::new(&half, 1), Shrinker::new(&half, 1)];
    for y in 0..source_size.1 as usize {
        rows.decode_to(y)?;
        luma.add_opaque_row(y, &rows.luma(y)[..source_size.0 as usize]);
        if y.is_multiple_of(2) {
            for (component, shrinker) in chroma.iter_mut().enumerate() {
                shrinker.add_opaque_row(y / 2, &rows.chroma(component, y / 2)[..half.source_size.0 as usize]);
            }
        }
    }
    let mut planes = vec![luma.into_plane()];
    for shrinker in chroma {
        let mut plane = shrinker.into_plane();
        // If the size of the picture is odd, the last chroma sample covers one pixel instead of two.
        let covered = |extent: f64, full: u32, half: u32| extent * f64::from(full) / 2.0 / f64::from(half);
        plane.extent = (
            covered(plane.extent.0, source_size.0, half.source_size.0),
            covered(plane.extent.1, source_size.1, half.source_size.1),
        );
        planes.push(plane);
    }
    Ok(planes)
}

/// The rows of a picture, as RGB or RGBA.
enum Rows<'a> {
    Lossless(Lossless<'a>),
    Lossy { planes: LossyRows<'a>, size: (u32, u32), alpha: Option<AlphaPlane<'a>> },
}

impl<'a> Rows<'a> {
    fn new(bitstream: &Bitstream<'a>, size: (u32, u32), scale: f64) -> Result<Self, ImageError> {
        Ok(match *bitstream {
            Bitstream::Lossless { stream, .. } => Self::Lossless(Lossless::new(stream, size)?),
            Bitstream::Lossy { vp8, alpha } => {
                let alpha = alpha.map(|chunk| AlphaPlane::new(chunk, size)).transpose()?;
                Self::Lossy { planes: LossyRows::new(vp8, size, scale)?, size, alpha }
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
            Self::Lossy { planes, size, alpha } => {
                planes.decode_to(y)?;
                let alpha_row = alpha.as_mut().map(|alpha| alpha.read_row(y)).transpose()?;
                let luma = &planes.luma(y)[..size.0 as usize];
                let [u, v] = [0, 1].map(|component| Chroma::new(planes, component, *size, y));
                for (x, (to, luma)) in row.zip(luma).enumerate() {
                    let [r, g, b] = limited_ycbcr_to_rgb(*luma, u.at(x), v.at(x));
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
    fn new(planes: &'a LossyRows, component: usize, size: (u32, u32), y: usize) -> Self {
        let (width, last) = (size.0.div_ceil(2) as usize, size.1.div_ceil(2) as usize - 1);
        let far = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(last) };
        let row = |y: usize| &planes.chroma(component, y)[..width];
        Self { near: row(y / 2), far: row(far) }
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

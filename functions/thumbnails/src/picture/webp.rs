//! WebP, of an animation its first frame. Lossless pictures come row by row; of lossy ones the decoder gives whole planes,
//! which have half the bytes of the pixels.

use image::metadata::Orientation;
use image_webp::vp8::{Frame as Yuv, Vp8Decoder};
use shared::limits::PROFILE_BYTES;

use super::{
    Colors, Format, Refusal, Target, Widest, checked_size, damaged,
    planes::{self, Model, Plane},
    resize,
    shrink::Shrinker,
};
use lossless::Lossless;

mod lossless;

pub fn widest(source: &[u8]) -> Result<Widest, Refusal> {
    let Container { canvas, offset, size, data, icc, orientation } = Container::of(source)?;
    let target = Target::of(canvas, orientation);
    let is_covered = offset == (0, 0) && size == canvas;
    let icc = icc.map(<[u8]>::to_vec);
    if let (Data::Lossy { vp8, alpha: None }, true) = (&data, is_covered) {
        let planes = shrunk(yuv(vp8, size)?, &target);
        let pixels = planes::pixels(planes, Model::LimitedYCbCr, target.size)?;
        return Ok(Widest { target, pixels, colors: Colors::Rgb, icc, format: Format::Jpeg });
    }
    let has_alpha = !is_covered || !matches!(data, Data::Lossless { has_alpha: false, .. });
    let (colors, channels, format) =
        if has_alpha { (Colors::Rgba, 4, Format::Png) } else { (Colors::Rgb, 3, Format::Jpeg) };
    let mut shrinker = Shrinker::new(&target, channels);
    let mut rows = Rows::new(&data, size)?;
    // What the frame does not cover stays transparent.
    let mut row = vec![0; canvas.0 as usize * channels];
    for y in 0..size.1 as usize {
        row.fill(0);
        let there = row.chunks_exact_mut(channels).skip(offset.0 as usize);
        rows.next(y, there)?;
        shrinker.row(offset.1 as usize + y, &mut row);
    }
    let pixels = resize::rgba(&shrinker.pixels(), target.size, has_alpha)?.rgba;
    Ok(Widest { target, pixels, colors, icc, format })
}

/// The file: a picture somewhere on a canvas, and what is said about it.
struct Container<'a> {
    canvas: (u32, u32),
    offset: (u32, u32),
    size: (u32, u32),
    data: Data<'a>,
    icc: Option<&'a [u8]>,
    orientation: Orientation,
}

enum Data<'a> {
    Lossy { vp8: &'a [u8], alpha: Option<&'a [u8]> },
    Lossless { stream: &'a [u8], has_alpha: bool },
}

impl<'a> Container<'a> {
    fn of(source: &'a [u8]) -> Result<Self, Refusal> {
        let (mut canvas, mut icc, mut orientation) = (None, None, None);
        let (mut picture, mut offset, mut alpha) = (None, (0, 0), None);
        for (name, body) in chunks(source.get(12..).unwrap_or_default()) {
            match (name, body) {
                (b"VP8X", [_, _, _, _, size @ ..]) => canvas = two_of_24_bits(size).map(|(w, h)| (w + 1, h + 1)),
                (b"ICCP", _) => icc = Some(body).filter(|icc| icc.len() <= PROFILE_BYTES),
                // Of several chunks the first orientation counts, as in JPEG.
                (b"EXIF", _) if orientation.is_none() => {
                    orientation = Orientation::from_exif_chunk(body.strip_prefix(b"Exif\0\0").unwrap_or(body));
                }
                (b"ALPH", _) => alpha = Some(body),
                (b"VP8 " | b"VP8L", _) if picture.is_none() => picture = Some(coded(*name, body, alpha)?),
                // A frame: where it stands, in units of two pixels, its size, its duration, then chunks of its own.
                (b"ANMF", [head @ .., _, _, _, _]) if picture.is_none() && body.len() >= 16 => {
                    let (x, y) = two_of_24_bits(head).unwrap_or_default();
                    offset = (2 * x, 2 * y);
                    let mut alpha = None;
                    for (name, body) in chunks(&body[16..]) {
                        match name {
                            b"ALPH" => alpha = Some(body),
                            b"VP8 " | b"VP8L" => picture = Some(coded(*name, body, alpha)?),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        // The canvas first: a header that lies has perhaps nothing after it.
        if let Some((width, height)) = canvas {
            checked_size(width, height)?;
        }
        let (size, data) = picture.ok_or_else(|| damaged("it has no picture"))?;
        checked_size(size.0, size.1)?;
        let canvas = canvas.unwrap_or(size);
        if offset.0 + size.0 > canvas.0 || offset.1 + size.1 > canvas.1 {
            return Err(damaged("a frame beside its canvas"));
        }
        let orientation = orientation.unwrap_or(Orientation::NoTransforms);
        Ok(Self { canvas, offset, size, data, icc, orientation })
    }
}

/// The size and the data of one picture, from the chunk that holds it.
fn coded<'a>(name: [u8; 4], body: &'a [u8], alpha: Option<&'a [u8]>) -> Result<((u32, u32), Data<'a>), Refusal> {
    if name == *b"VP8L" {
        let [0x2f, a, b, c, d, ref stream @ ..] = *body else { return Err(damaged("its header")) };
        let header = u32::from_le_bytes([a, b, c, d]);
        let size = ((header & 0x3fff) + 1, (header >> 14 & 0x3fff) + 1);
        if header >> 29 != 0 {
            return Err(Refusal::UnsupportedFormat);
        }
        return Ok((size, Data::Lossless { stream, has_alpha: header >> 28 == 1 }));
    }
    let [_, _, _, 0x9d, 0x01, 0x2a, a, b, c, d, ..] = *body else { return Err(damaged("its header")) };
    let of = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Ok(((of(a, b), of(c, d)), Data::Lossy { vp8: body, alpha }))
}

/// Names and bodies, as far as they are whole.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (name, after) = rest.split_first_chunk()?;
        let (size, after) = after.split_first_chunk()?;
        let (body, after) = after.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        // An odd one is padded.
        rest = after.get(body.len() % 2..).unwrap_or_default();
        Some((name, body))
    })
}

fn two_of_24_bits(bytes: &[u8]) -> Option<(u32, u32)> {
    let [a, b, c, d, e, f, ..] = *bytes else { return None };
    Some((u32::from_le_bytes([a, b, c, 0]), u32::from_le_bytes([d, e, f, 0])))
}

fn yuv(vp8: &[u8], size: (u32, u32)) -> Result<Yuv, Refusal> {
    let yuv = Vp8Decoder::decode_frame(vp8).map_err(damaged)?;
    if (u32::from(yuv.width), u32::from(yuv.height)) == size { Ok(yuv) } else { Err(damaged("two sizes")) }
}

/// Bytes from one row of the luma plane to the next: whole macroblocks, of 16 pixels. Those of chroma have half.
fn stride(yuv: &Yuv) -> usize {
    usize::from(yuv.width).next_multiple_of(16)
}

fn shrunk(yuv: Yuv, target: &Target) -> Vec<Plane> {
    let (stride, full) = (stride(&yuv), target.full);
    let half = Target {
        full: (full.0.div_ceil(2), full.1.div_ceil(2)),
        size: (target.size.0.div_ceil(2), target.size.1.div_ceil(2)),
        ..*target
    };
    let shrunk = |mut plane: Vec<u8>, target: &Target, stride: usize| {
        let mut shrinker = Shrinker::new(target, 1);
        let (width, height) = (target.full.0 as usize, target.full.1 as usize);
        for (y, row) in plane.chunks_exact_mut(stride).take(height).enumerate() {
            shrinker.row(y, &mut row[..width]);
        }
        shrinker.plane()
    };
    let mut planes = vec![shrunk(yuv.ybuf, target, stride)];
    for chroma in [yuv.ubuf, yuv.vbuf] {
        let mut plane = shrunk(chroma, &half, stride / 2);
        // Of an odd size the last one stands for half a pixel.
        let of = |extent: f64, full: u32, half: u32| extent * f64::from(full) / 2.0 / f64::from(half);
        plane.extent = (of(plane.extent.0, full.0, half.full.0), of(plane.extent.1, full.1, half.full.1));
        planes.push(plane);
    }
    planes
}

/// The rows of a picture, as RGB or RGBA.
enum Rows<'a> {
    Lossless(Lossless<'a>),
    Lossy { yuv: Yuv, alpha: Option<Opacity<'a>> },
}

impl<'a> Rows<'a> {
    fn new(data: &Data<'a>, size: (u32, u32)) -> Result<Self, Refusal> {
        Ok(match *data {
            Data::Lossless { stream, .. } => Self::Lossless(Lossless::new(stream, size)?),
            Data::Lossy { vp8, alpha } => {
                let alpha = alpha.map(|chunk| Opacity::new(chunk, size)).transpose()?;
                Self::Lossy { yuv: yuv(vp8, size)?, alpha }
            }
        })
    }

    fn next<'r>(&mut self, y: usize, row: impl Iterator<Item = &'r mut [u8]>) -> Result<(), Refusal> {
        match self {
            Self::Lossless(lossless) => {
                for (to, pixel) in row.zip(lossless.row()?) {
                    let [blue, green, red, alpha] = pixel.to_le_bytes();
                    to.copy_from_slice(&[red, green, blue, alpha][..to.len()]);
                }
            }
            Self::Lossy { yuv, alpha } => {
                let stride = stride(yuv);
                let opacity = alpha.as_mut().map(|alpha| alpha.row(y)).transpose()?;
                let luma = &yuv.ybuf[y * stride..][..yuv.width.into()];
                let (u, v) = (Chroma::new(&yuv.ubuf, yuv, y), Chroma::new(&yuv.vbuf, yuv, y));
                for (x, (to, luma)) in row.zip(luma).enumerate() {
                    let [r, g, b] = planes::rgb_of_limited(*luma, u.at(x), v.at(x));
                    let alpha = opacity.map_or(255, |row| row[x]);
                    to.copy_from_slice(&[r, g, b, alpha][..to.len()]);
                }
            }
        }
        Ok(())
    }
}

/// One component of a row at full size: each value is weighted from the four around it.
struct Chroma<'a> {
    near: &'a [u8],
    far: &'a [u8],
}

impl<'a> Chroma<'a> {
    fn new(plane: &'a [u8], yuv: &Yuv, y: usize) -> Self {
        let (stride, width) = (stride(yuv) / 2, usize::from(yuv.width).div_ceil(2));
        let last = usize::from(yuv.height).div_ceil(2) - 1;
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

/// The alpha of a lossy picture, which has a chunk of its own.
struct Opacity<'a> {
    stream: OpacityStream<'a>,
    filter: u8,
    row: Vec<u8>,
}

enum OpacityStream<'a> {
    Plain(&'a [u8]),
    /// In its green.
    Lossless(Box<Lossless<'a>>),
}

impl<'a> Opacity<'a> {
    fn new(chunk: &'a [u8], size: (u32, u32)) -> Result<Self, Refusal> {
        let (&header, data) = chunk.split_first().ok_or_else(|| damaged("its alpha"))?;
        let stream = match header & 3 {
            0 => OpacityStream::Plain(data),
            1 => OpacityStream::Lossless(Box::new(Lossless::new(data, size)?)),
            _ => return Err(damaged("its alpha")),
        };
        Ok(Self { stream, filter: header >> 2 & 3, row: vec![0; size.0 as usize] })
    }

    fn row(&mut self, y: usize) -> Result<&[u8], Refusal> {
        let above = self.row.clone();
        let width = above.len();
        match &mut self.stream {
            OpacityStream::Plain(data) => {
                let row = data.get(y * width..(y + 1) * width).ok_or_else(|| damaged("its alpha"))?;
                self.row.copy_from_slice(row);
            }
            OpacityStream::Lossless(lossless) => {
                for (alpha, pixel) in self.row.iter_mut().zip(lossless.row()?) {
                    *alpha = (pixel >> 8) as u8;
                }
            }
        }
        if self.filter == 0 {
            return Ok(&self.row);
        }
        for x in 0..width {
            // What is expected; at the edges there is one neighbour, and for the very first none.
            let left = if x > 0 { self.row[x - 1] } else { above[0] };
            let expected = match (self.filter, x, y) {
                (_, 0, 0) => 0,
                (_, _, 0) | (1, ..) => left,
                (_, 0, _) | (2, ..) => above[x],
                _ => (i32::from(left) + i32::from(above[x]) - i32::from(above[x - 1])).clamp(0, 255) as u8,
            };
            self.row[x] = self.row[x].wrapping_add(expected);
        }
        Ok(&self.row)
    }
}

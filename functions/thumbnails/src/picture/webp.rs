//! WebP, of an animation its first frame.

use std::io::Cursor;

use image::metadata::Orientation;
use image_webp::{WebPDecoder, vp8::Vp8Decoder};

use super::{
    Colors, Format, Refusal, Target, Widest, checked_size, damaged,
    planes::{self, Model, Plane},
    resize,
    shrink::Shrinker,
};

/// Most memory that the decoder may take beside the pixels, in bytes: colour profiles, EXIF.
const METADATA_BYTES: usize = 16 << 20;

pub fn widest(source: &[u8]) -> Result<Widest, Refusal> {
    let mut decoder = WebPDecoder::new(Cursor::new(source)).map_err(damaged)?;
    let full = decoder.dimensions();
    checked_size(full.0, full.1)?;
    decoder.set_memory_limit(METADATA_BYTES);
    let icc = decoder.icc_profile().map_err(damaged)?;
    let exif = decoder.exif_metadata().map_err(damaged)?;
    let orientation = exif.as_deref().and_then(Orientation::from_exif_chunk);
    let target = Target::of(full, orientation.unwrap_or(Orientation::NoTransforms));

    let planes = if decoder.has_alpha() || decoder.is_animated() { None } else { lossy(source, &target)? };
    if let Some(planes) = planes {
        let pixels = planes::pixels(planes, Model::LimitedYCbCr, target.size)?;
        return Ok(Widest { target, pixels, colors: Colors::Rgb, icc, format: Format::Jpeg });
    }
    let (colors, channels, format) =
        if decoder.has_alpha() { (Colors::Rgba, 4, Format::Png) } else { (Colors::Rgb, 3, Format::Jpeg) };
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or_else(|| damaged("its size"))?];
    decoder.read_image(&mut pixels).map_err(damaged)?;
    let mut shrinker = Shrinker::new(&target, channels);
    for (y, row) in pixels.chunks_exact_mut(full.0 as usize * channels).enumerate() {
        shrinker.row(y, row);
    }
    drop(pixels);
    let pixels = resize::rgba(&shrinker.pixels(), target.size, colors.has_alpha())?.rgba;
    Ok(Widest { target, pixels, colors, icc, format })
}

/// The planes of a still, opaque, lossy image, which need half the memory of its pixels; none if it is lossless.
fn lossy(source: &[u8], target: &Target) -> Result<Option<Vec<Plane>>, Refusal> {
    let Some(chunk) = chunk(source, *b"VP8 ") else { return Ok(None) };
    let frame = Vp8Decoder::decode_frame(chunk).map_err(damaged)?;
    let full = target.full;
    if (u32::from(frame.width), u32::from(frame.height)) != full {
        return Err(damaged("two sizes"));
    }
    // Rows are stored in whole macroblocks, of 16 pixels.
    let stride = full.0.next_multiple_of(16) as usize;
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
    let mut planes = vec![shrunk(frame.ybuf, target, stride)];
    for chroma in [frame.ubuf, frame.vbuf] {
        let mut plane = shrunk(chroma, &half, stride / 2);
        // Of an odd size the last one stands for half a pixel.
        let of = |extent: f64, full: u32, half: u32| extent * f64::from(full) / 2.0 / f64::from(half);
        plane.extent = (of(plane.extent.0, full.0, half.full.0), of(plane.extent.1, full.1, half.full.1));
        planes.push(plane);
    }
    Ok(Some(planes))
}

/// The body of the first chunk of a kind.
fn chunk(source: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    let mut rest = source.get(12..)?;
    loop {
        let (header, body) = rest.split_first_chunk::<8>()?;
        let [name @ .., a, b, c, d] = *header;
        let size = u32::from_le_bytes([a, b, c, d]) as usize;
        if name == kind {
            return body.get(..size);
        }
        rest = body.get(size.next_multiple_of(2)..)?;
    }
}

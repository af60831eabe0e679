//! PNG, shrunk row by row.

use ::png::{ColorType, Decoder, Limits, Transformations};
use fdeflate::{BoundedDecompressionError, decompress_to_vec_bounded};
use image::metadata::Orientation;
use shared::limits::{PNG_AHEAD_BYTES, PNG_CHUNK_BYTES, PNG_PROFILE_BYTES, PNG_ROW_SPARE_BYTES, PNG_ROWS};

use super::{
    Colors, Format, Refusal, Target, Widest, checked_size, damaged, resize,
    shrink::Shrinker,
    supply::{Supplied, Supply},
};

/// The passes of an interlaced image: the first column, the distance of columns, the first row, the distance of rows.
const ADAM7: [[usize; 4]; 7] =
    [[0, 8, 0, 8], [4, 8, 0, 8], [0, 4, 4, 8], [2, 4, 0, 4], [0, 2, 2, 4], [1, 2, 0, 2], [0, 1, 1, 2]];

pub fn widest(source: &[u8]) -> Result<Widest, Refusal> {
    let supply = Supply::of(source);
    let limits = Limits { bytes: PNG_CHUNK_BYTES };
    let mut decoder = Decoder::new_with_limits(Supplied::new(source, &supply), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let full = decoder.read_header_info().map_err(damaged)?.size();
    checked_size(full.0, full.1)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let is_interlaced = info.interlaced;
    let orientation = info.exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
    let icc = profile(source)?;
    let target = Target::of(full, orientation.unwrap_or(Orientation::NoTransforms));
    let (colors, channels) = match reader.output_color_type().0 {
        ColorType::Grayscale => (Colors::Grey, 1),
        ColorType::GrayscaleAlpha => (Colors::GreyAlpha, 2),
        ColorType::Rgba => (Colors::Rgba, 4),
        ColorType::Rgb | ColorType::Indexed => (Colors::Rgb, 3),
    };
    let mut shrinker = Shrinker::new(&target, channels);
    let (width, height) = (full.0 as usize, full.1 as usize);
    let mut row = vec![0; width * channels];
    // Two bytes a sample at most, and as much again: data that does not compress grows, but not by that much.
    let granted = |pixels: usize| 4 * channels * pixels + PNG_ROW_SPARE_BYTES;
    supply.begin_rows(Some(PNG_ROWS));
    supply.grant((granted(width) * height).min(PNG_AHEAD_BYTES));
    for [left, across, top, down] in if is_interlaced { &ADAM7[..] } else { &[[0, 1, 0, 1]] }.iter().copied() {
        let pixels = width.saturating_sub(left).div_ceil(across);
        if pixels == 0 {
            continue;
        }
        for y in (top..height).step_by(down) {
            supply.grant(granted(pixels));
            reader.read_row(&mut row).map_err(damaged)?.ok_or_else(|| damaged("rows are missing"))?;
            if across == 1 {
                shrinker.row(y, &mut row);
            } else {
                shrinker.part(y, left, across, &mut row[..pixels * channels]);
            }
        }
    }
    // What is left is the checksum of the last rows.
    if reader.read_row(&mut row).map_err(damaged)?.is_some() {
        return Err(damaged("it has too many rows"));
    }
    let pixels = resize::rgba(&shrinker.pixels(), target.size, colors.has_alpha())?.rgba;
    Ok(Widest { target, pixels, colors, icc, format: Format::Png })
}

/// The colour profile; none if it is broken. The decoder would say nothing of one that is too long.
fn profile(source: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let mut rest = source.get(8..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((chunk, after)) = after.split_at_checked(4 + length) else { break };
        match chunk.split_first_chunk() {
            Some((b"iCCP", body)) => {
                // A name, a zero, the method of compression, of which there is one.
                let compressed = body.iter().position(|byte| *byte == 0).and_then(|end| body.get(end + 2..));
                let compressed = compressed.unwrap_or_default();
                let too_long = || damaged("its colour profile has more than 2 MiB");
                if compressed.len() > PNG_PROFILE_BYTES {
                    return Err(too_long());
                }
                return match decompress_to_vec_bounded(compressed, PNG_PROFILE_BYTES) {
                    Ok(profile) => Ok(Some(profile)),
                    Err(BoundedDecompressionError::OutputTooLarge { .. }) => Err(too_long()),
                    Err(BoundedDecompressionError::DecompressionError { .. }) => Ok(None),
                };
            }
            // It stands before the pixels.
            Some((b"IDAT", _)) => break,
            _ => rest = after.get(4..).unwrap_or_default(),
        }
    }
    Ok(None)
}

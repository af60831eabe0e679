//! PNG, shrunk row by row.

use std::io::Cursor;

use ::png::{ColorType, Decoder, Limits, Transformations};
use image::metadata::Orientation;

use super::{Colors, Format, Refusal, Target, Widest, checked_size, damaged, resize, shrink::Shrinker};

/// Most memory for chunks, in bytes: colour profiles, which come compressed. The largest in use have two or three MB.
const CHUNK_BYTES: usize = 4 << 20;

/// The passes of an interlaced image: the first column, the distance of columns, the first row, the distance of rows.
const ADAM7: [[usize; 4]; 7] =
    [[0, 8, 0, 8], [4, 8, 0, 8], [0, 4, 4, 8], [2, 4, 0, 4], [0, 2, 2, 4], [1, 2, 0, 2], [0, 1, 1, 2]];

pub fn widest(source: &[u8]) -> Result<Widest, Refusal> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(source), Limits { bytes: CHUNK_BYTES });
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let full = decoder.read_header_info().map_err(damaged)?.size();
    checked_size(full.0, full.1)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let (is_interlaced, icc) = (info.interlaced, info.icc_profile.as_deref().map(<[u8]>::to_vec));
    let orientation = info.exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
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
    for [left, across, top, down] in if is_interlaced { &ADAM7[..] } else { &[[0, 1, 0, 1]] }.iter().copied() {
        let pixels = width.saturating_sub(left).div_ceil(across);
        if pixels == 0 {
            continue;
        }
        for y in (top..height).step_by(down) {
            reader.read_row(&mut row).map_err(damaged)?.ok_or_else(|| damaged("rows are missing"))?;
            if across == 1 {
                shrinker.row(y, &mut row);
            } else {
                shrinker.part(y, left, across, &mut row[..pixels * channels]);
            }
        }
    }
    let pixels = resize::rgba(&shrinker.pixels(), target.size, colors.has_alpha())?.rgba;
    Ok(Widest { target, pixels, colors, icc, format: Format::Png })
}

//! PNG. Each row is shrunk when it is decoded.

use ::png::{Decoder, Limits, Transformations};
use fdeflate::{BoundedDecompressionError, decompress_to_vec_bounded};

use crate::limits::{
    MAX_PNG_CHUNK_BYTES, MAX_PNG_PROFILE_BYTES, MAX_PNG_ROW_BYTES, MAX_STREAMED_PIXELS, PNG_READ_AHEAD_BYTES,
    PNG_ROW_SLACK_BYTES, PNG_ROWS_TIMEOUT,
};

use super::{
    ColorType, Content, Decoded, ImageError, OutputFormat, Target,
    bounded_reader::{BoundedReader, ReadBudget},
    check_size, damaged,
    exif::Exif,
    shrink::Shrinker,
};

/// The passes of an interlaced image: first column, distance between columns, first row, distance between rows.
const ADAM7: [[usize; 4]; 7] =
    [[0, 8, 0, 8], [4, 8, 0, 8], [0, 4, 4, 8], [2, 4, 0, 4], [0, 2, 2, 4], [1, 2, 0, 2], [0, 1, 1, 2]];

pub fn decode(source: &[u8], max_width: u32) -> Result<Decoded, ImageError> {
    let budget = ReadBudget::whole_file(source);
    let limits = Limits { bytes: MAX_PNG_CHUNK_BYTES };
    let mut decoder = Decoder::new_with_limits(BoundedReader::new(source, &budget), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let header = decoder.read_header_info().map_err(damaged)?;
    let size = header.size();
    let max_pixels = MAX_STREAMED_PIXELS.min(MAX_PNG_ROW_BYTES / header.bits_per_pixel().div_ceil(8) as u64);
    check_size(size.0, size.1, max_pixels)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let is_interlaced = info.interlaced;
    let Exif { orientation, taken_at } = info.exif_metadata.as_deref().map(Exif::parse).unwrap_or_default();
    let icc = color_profile(source)?;
    let target = Target::new(size, orientation, max_width);
    let (color_type, channels) = match reader.output_color_type().0 {
        ::png::ColorType::Grayscale => (ColorType::Grey, 1),
        ::png::ColorType::GrayscaleAlpha => (ColorType::GreyAlpha, 2),
        ::png::ColorType::Rgba => (ColorType::Rgba, 4),
        ::png::ColorType::Rgb | ::png::ColorType::Indexed => (ColorType::Rgb, 3),
    };
    let mut shrinker = Shrinker::new(&target, channels);
    let (width, height) = (size.0 as usize, size.1 as usize);
    let mut row = vec![0; width * channels];
    // A sample has two bytes at most. Twice that is granted, because data that does not compress grows, but by less.
    let row_bytes = |pixels: usize| 4 * channels * pixels + PNG_ROW_SLACK_BYTES;
    budget.start_rows(Some(PNG_ROWS_TIMEOUT));
    budget.grant((row_bytes(width) * height).min(PNG_READ_AHEAD_BYTES));
    for [first_column, column_step, first_row, row_step] in
        if is_interlaced { &ADAM7[..] } else { &[[0, 1, 0, 1]] }.iter().copied()
    {
        let pixels = width.saturating_sub(first_column).div_ceil(column_step);
        if pixels == 0 {
            continue;
        }
        for y in (first_row..height).step_by(row_step) {
            budget.grant(row_bytes(pixels));
            reader.read_row(&mut row).map_err(damaged)?.ok_or_else(|| damaged("rows are missing"))?;
            if column_step == 1 {
                shrinker.add_row(y, &mut row);
            } else {
                shrinker.add_pixels(y, first_column, column_step, &mut row[..pixels * channels]);
            }
        }
    }
    // After the last row only the checksum of the data follows.
    if reader.read_row(&mut row).map_err(damaged)?.is_some() {
        return Err(damaged("it has too many rows"));
    }
    let pixels = shrinker.resize(target.size)?;
    Ok(Decoded { target, content: Content::Pixels(pixels), color_type, icc, taken_at, format: OutputFormat::Png })
}

/// The colour profile, or none if its data is broken. The decoder of the library ignores a profile that is too long
/// without an error, so the chunk is read here.
fn color_profile(source: &[u8]) -> Result<Option<Vec<u8>>, ImageError> {
    let mut rest = source.get(8..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((chunk, after)) = after.split_at_checked(4 + length) else { break };
        match chunk.split_first_chunk() {
            Some((b"iCCP", body)) => {
                // The chunk begins with a name, a zero byte, and the compression method, of which there is only one.
                let compressed = body.iter().position(|byte| *byte == 0).and_then(|end| body.get(end + 2..));
                let compressed = compressed.unwrap_or_default();
                let too_long = || damaged("its colour profile has more than 2 MiB");
                if compressed.len() > MAX_PNG_PROFILE_BYTES {
                    return Err(too_long());
                }
                return match decompress_to_vec_bounded(compressed, MAX_PNG_PROFILE_BYTES) {
                    Ok(profile) => Ok(Some(profile)),
                    Err(BoundedDecompressionError::OutputTooLarge { .. }) => Err(too_long()),
                    Err(BoundedDecompressionError::DecompressionError { .. }) => Ok(None),
                };
            }
            // A profile must stand before the pixels.
            Some((b"IDAT", _)) => break,
            _ => rest = after.get(4..).unwrap_or_default(),
        }
    }
    Ok(None)
}

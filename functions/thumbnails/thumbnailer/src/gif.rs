//! The first frame of a GIF. Each line is shrunk when it is decoded.

use ::gif::{ColorOutput, DecodeOptions};
use image::metadata::Orientation;

use crate::limits::MAX_SOURCE_PIXELS;

use super::{
    ColorType, Content, Decoded, ImageError, OutputFormat, Target,
    bounded_reader::{BoundedReader, ReadBudget},
    check_size, damaged, resize,
    shrink::Shrinker,
};

/// The passes of an interlaced frame: first line, distance between lines.
const PASSES: [(usize, usize); 4] = [(0, 8), (4, 8), (2, 4), (1, 2)];

pub fn decode(source: &[u8], max_width: u32) -> Result<Decoded, ImageError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let budget = ReadBudget::whole_file(source);
    let mut decoder = options.read_info(BoundedReader::new(source, &budget)).map_err(damaged)?;
    let screen = check_size(decoder.width().into(), decoder.height().into(), MAX_SOURCE_PIXELS)?;
    let frame = decoder.next_frame_info().map_err(damaged)?.ok_or_else(|| damaged("it has no frame"))?;
    check_size(frame.width.into(), frame.height.into(), MAX_SOURCE_PIXELS)?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    let (transparent, is_interlaced) = (frame.transparent, frame.interlaced);
    let (width, height) = (screen.0 as usize, screen.1 as usize);
    let is_covered = left == 0 && top == 0 && frame_width >= width && frame_height >= height;
    let palette = rgba_palette(decoder.palette().map_err(damaged)?, transparent);
    let icc = decoder.icc_profile().map(<[u8]>::to_vec);

    let target = Target::new(screen, Orientation::NoTransforms, max_width);
    let color_type = if is_covered && transparent.is_none() { ColorType::Rgb } else { ColorType::Rgba };
    let channels = if color_type.has_alpha() { 4 } else { 3 };
    let mut shrinker = Shrinker::new(&target, channels);
    let mut line = vec![0; frame_width];
    let mut row = vec![0; width * channels];
    budget.start_rows(None);
    for (first_line, step) in if is_interlaced { &PASSES[..] } else { &[(0, 1)] }.iter().copied() {
        for y in (first_line..frame_height).step_by(step) {
            // A pixel takes a code of 12 bits at most, and every 255 bytes have a length byte before them. Codes that clear
            // the table need no more bytes: either they are few, or the codes after them are shorter.
            budget.grant(frame_width + frame_width / 2 + frame_width / 100 + 1);
            if !decoder.fill_buffer(&mut line).map_err(damaged)? {
                return Err(damaged("lines are missing"));
            }
            if top + y >= height {
                continue;
            }
            row.fill(0);
            let covered = row.chunks_exact_mut(channels).skip(left);
            for (pixel, index) in covered.zip(&line) {
                pixel.copy_from_slice(&palette[usize::from(*index)][..channels]);
            }
            shrinker.add_row(top + y, &mut row);
        }
    }
    let pixels = resize::rgba(shrinker.into_pixels(), target.size, color_type.has_alpha())?.rgba;
    Ok(Decoded { target, content: Content::Pixels(pixels), color_type, icc, taken_at: None, format: OutputFormat::Png })
}

/// The RGBA colours by index. Colours that the file does not define are black.
fn rgba_palette(rgb: &[u8], transparent: Option<u8>) -> [[u8; 4]; 256] {
    let mut palette = [[0, 0, 0, 255]; 256];
    for (color, rgb) in palette.iter_mut().zip(rgb.as_chunks::<3>().0) {
        color[..3].copy_from_slice(rgb);
    }
    if let Some(index) = transparent {
        palette[usize::from(index)] = [0; 4];
    }
    palette
}

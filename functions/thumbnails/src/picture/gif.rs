//! The first frame of a GIF, shrunk line by line.

use ::gif::{ColorOutput, DecodeOptions};
use image::metadata::Orientation;

use super::{
    Colors, Format, Refusal, Target, Widest, checked_size, damaged, resize,
    shrink::Shrinker,
    supply::{Supplied, Supply},
};

/// The lines of an interlaced frame: the first and the distance of each pass.
const PASSES: [(usize, usize); 4] = [(0, 8), (4, 8), (2, 4), (1, 2)];

pub fn widest(source: &[u8]) -> Result<Widest, Refusal> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let supply = Supply::of(source);
    let mut decoder = options.read_info(Supplied::new(source, &supply)).map_err(damaged)?;
    let screen = checked_size(decoder.width().into(), decoder.height().into())?;
    let frame = decoder.next_frame_info().map_err(damaged)?.ok_or_else(|| damaged("it has no frame"))?;
    checked_size(frame.width.into(), frame.height.into())?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    let (transparent, is_interlaced) = (frame.transparent, frame.interlaced);
    let (width, height) = (screen.0 as usize, screen.1 as usize);
    let is_covered = left == 0 && top == 0 && frame_width >= width && frame_height >= height;
    let palette = palette(decoder.palette().map_err(damaged)?, transparent);
    let icc = decoder.icc_profile().map(<[u8]>::to_vec);

    let target = Target::of(screen, Orientation::NoTransforms);
    let colors = if is_covered && transparent.is_none() { Colors::Rgb } else { Colors::Rgba };
    let channels = if colors.has_alpha() { 4 } else { 3 };
    let mut shrinker = Shrinker::new(&target, channels);
    let mut line = vec![0; frame_width];
    let mut row = vec![0; width * channels];
    supply.begin_rows(None);
    for (first, distance) in if is_interlaced { &PASSES[..] } else { &[(0, 1)] }.iter().copied() {
        for y in (first..frame_height).step_by(distance) {
            // A code of 12 bits for each pixel, and a byte before every 255 of them. Codes that only clear the table are
            // few, or replace pixels of shorter codes.
            supply.grant(frame_width + frame_width / 2 + frame_width / 100 + 1);
            if !decoder.fill_buffer(&mut line).map_err(damaged)? {
                return Err(damaged("lines are missing"));
            }
            if top + y >= height {
                continue;
            }
            row.fill(0);
            let there = row.chunks_exact_mut(channels).skip(left);
            for (pixel, index) in there.zip(&line) {
                pixel.copy_from_slice(&palette[usize::from(*index)][..channels]);
            }
            shrinker.row(top + y, &mut row);
        }
    }
    let pixels = resize::rgba(&shrinker.pixels(), target.size, colors.has_alpha())?.rgba;
    Ok(Widest { target, pixels, colors, icc, format: Format::Png })
}

/// RGBA by index; what the file leaves out is black.
fn palette(rgb: &[u8], transparent: Option<u8>) -> [[u8; 4]; 256] {
    let mut palette = [[0, 0, 0, 255]; 256];
    for (color, rgb) in palette.iter_mut().zip(rgb.as_chunks::<3>().0) {
        color[..3].copy_from_slice(rgb);
    }
    if let Some(index) = transparent {
        palette[usize::from(index)] = [0; 4];
    }
    palette
}

//! ICO and CUR: the largest picture of the file, which is a PNG, or a BMP with a mask. The crate `image` would decode an icon
//! of 256 x 256 pixels with 3 MB in all; this module is little more than the parts of the BMP decoder that it shares.

use image::metadata::Orientation;

use crate::limits::MAX_ICON_PIXELS;

use super::{
    ColorType, Content, Decoded, ImageError, OutputFormat, Target, bmp::Bitmap, check_size, damaged, png, resize,
    shrink::Shrinker,
};

/// The header before the directory, and each entry of the directory.
const HEADER_BYTES: usize = 6;
const ENTRY_BYTES: usize = 16;

/// True if a file with the signature of an icon has a directory. Other formats begin with the same four bytes.
pub fn has_directory(source: &[u8]) -> bool {
    let [_, _, _, _, low, high, _, _, _, 0, ..] = *source else { return false };
    let count = usize::from(u16::from_le_bytes([low, high]));
    count > 0 && source.len() >= HEADER_BYTES + count * ENTRY_BYTES
}

pub fn decode(source: &[u8], max_width: u32) -> Result<Decoded, ImageError> {
    let picture = largest(source).ok_or_else(|| damaged("it has no picture"))?;
    if picture.starts_with(b"\x89PNG\r\n\x1a\n") {
        return png::decode(picture, max_width);
    }
    let bitmap = Bitmap::parse(picture, true)?;
    let size = check_size(bitmap.width, bitmap.height, MAX_ICON_PIXELS)?;
    let (width, height) = (size.0 as usize, size.1 as usize);
    let pixels = bitmap.pixels_in(picture);
    let mut rgba = vec![[0; 4]; width * height];
    bitmap.for_each_row(pixels, |y, row| rgba[y * width..][..width].copy_from_slice(row))?;
    // The mask counts only if no pixel has alpha.
    let has_alpha = bitmap.has_alpha() && rgba.iter().any(|pixel| pixel[3] != 0);
    let mask = pixels.get(bitmap.stride(bitmap.bits) * height..).unwrap_or_default();
    if !has_alpha {
        // The mask is a bitmap of one bit, from the lowest row to the highest. The rows that are missing hide nothing.
        let rows = mask.chunks(bitmap.stride(1)).map(Some).chain(std::iter::repeat(None));
        for (row, mask) in rgba.chunks_exact_mut(width).rev().zip(rows) {
            for (x, pixel) in row.iter_mut().enumerate() {
                let byte = mask.and_then(|mask| mask.get(x / 8)).copied().unwrap_or_default();
                pixel[3] = if byte >> (7 - x % 8) & 1 == 0 { 255 } else { 0 };
            }
        }
    }
    let target = Target::new(size, Orientation::NoTransforms, max_width);
    let mut shrinker = Shrinker::new(&target, 4);
    for (y, row) in rgba.chunks_exact_mut(width).enumerate() {
        shrinker.add_row(y, row.as_flattened_mut());
    }
    let pixels = resize::rgba(shrinker.into_pixels(), target.size, true)?.rgba;
    Ok(Decoded {
        target,
        content: Content::Pixels(pixels),
        color_type: ColorType::Rgba,
        icc: None,
        taken_at: None,
        format: OutputFormat::Png,
    })
}

/// The data of the picture with the most pixels; of several, the one with the most bits.
fn largest(source: &[u8]) -> Option<&[u8]> {
    let [_, _, kind, _, low, high, directory @ ..] = source else { return None };
    let count = usize::from(u16::from_le_bytes([*low, *high]));
    let entries = directory.as_chunks::<ENTRY_BYTES>().0.iter().take(count);
    let largest = entries.max_by_key(|entry| {
        // A side of 256 pixels is stored as 0. A cursor has the place of its tip instead of the number of bits.
        let side = |side: u8| if side == 0 { 256 } else { u32::from(side) };
        let bits = if *kind == 1 { u16::from_le_bytes([entry[6], entry[7]]) } else { 0 };
        (side(entry[0]) * side(entry[1]), bits)
    })?;
    let [.., a, b, c, d, e, f, g, h] = *largest;
    let (size, at) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let rest = source.get(at as usize..)?;
    // Some programs write a size without the pixels. A size beyond the end of the file means that rows are missing.
    Some(if size > 64 { &rest[..rest.len().min(size as usize)] } else { rest })
}

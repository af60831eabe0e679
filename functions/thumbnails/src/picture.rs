//! From the bytes of an image to the bytes of its thumbnails. Pure: no store, no clock.

use std::io::Cursor;

use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images::Image};
use image::{
    ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbaImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
    metadata::Orientation,
};
use shared::limits::{SOURCE_PIXELS, SOURCE_SIDE, THUMBNAIL_WIDTHS};

/// Quality of JPEG thumbnails, of 100: the encoder's and sharp's default.
const JPEG_QUALITY: u8 = 80;

/// Most memory that a decoder may ask for beside the pixels, in bytes: colour profiles, comments.
const METADATA_BYTES: u64 = 16 << 20;

pub struct Thumbnail {
    /// Of [`THUMBNAIL_WIDTHS`]; the picture is narrower where its source is.
    pub width: u32,
    pub bytes: Vec<u8>,
    pub content_type: &'static str,
}

/// Why an image has no thumbnails. `Display` is what its owner is told.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("unsupported format")]
    UnsupportedFormat,
    #[error("too many pixels: {0} x {1}, the limit is 50 million and 16384 a side")]
    TooManyPixels(u32, u32),
    #[error("damaged image: {0}")]
    Damaged(String),
}

/// One thumbnail for each width, the largest first.
///
/// # Errors
/// A format other than JPEG, PNG, GIF and WebP, by content and not by name; more pixels in the header than the
/// limits allow, before anything is decoded; damaged data.
pub fn thumbnails(source: &[u8]) -> Result<Vec<Thumbnail>, Refusal> {
    let (picture, format) = decode(source)?;
    let color = picture.color();
    let is_jpeg = match format {
        ImageFormat::Jpeg => true,
        ImageFormat::WebP => !color.has_alpha(),
        _ => false,
    };
    let (source_width, source_height) = (picture.width(), picture.height());
    let mut larger = Image::from_vec_u8(source_width, source_height, picture.into_rgba8().into_raw(), PixelType::U8x4)
        .map_err(damaged)?;
    let mut made = Vec::with_capacity(THUMBNAIL_WIDTHS.len());
    // Each is made of the one before it, which has all that it needs and far fewer pixels than the source.
    for width in THUMBNAIL_WIDTHS {
        let (w, h) = fitted(source_width, source_height, width);
        if (w, h) != (larger.width(), larger.height()) {
            larger = resized(&larger, w, h)?;
        }
        let picture = colored_as(color, &larger)?;
        let mut bytes = Vec::new();
        let (encoded, content_type) = if is_jpeg {
            (picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)), "image/jpeg")
        } else {
            (picture.write_with_encoder(PngEncoder::new(&mut bytes)), "image/png")
        };
        encoded.map_err(damaged)?;
        made.push(Thumbnail { width, bytes, content_type });
    }
    Ok(made)
}

/// The size of a thumbnail: the width asked for or the source's own if that is smaller, the aspect kept.
fn fitted(width: u32, height: u32, target: u32) -> (u32, u32) {
    if width <= target {
        return (width, height);
    }
    // Round half up, in integers; at least a pixel.
    let scaled = (2 * u64::from(target) * u64::from(height) + u64::from(width)) / (2 * u64::from(width));
    (target, u32::try_from(scaled).unwrap_or(u32::MAX).max(1))
}

fn decode(source: &[u8]) -> Result<(DynamicImage, ImageFormat), Refusal> {
    let reader = ImageReader::new(Cursor::new(source)).with_guessed_format().map_err(|_| Refusal::UnsupportedFormat)?;
    let format = reader.format().ok_or(Refusal::UnsupportedFormat)?;
    if !matches!(format, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Gif | ImageFormat::WebP) {
        return Err(Refusal::UnsupportedFormat);
    }
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if width > SOURCE_SIDE || height > SOURCE_SIDE || u64::from(width) * u64::from(height) > SOURCE_PIXELS {
        return Err(Refusal::TooManyPixels(width, height));
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(decoder.total_bytes() + METADATA_BYTES);
    decoder.set_limits(limits).map_err(damaged)?;
    if format == ImageFormat::Jpeg && !has_end(source) {
        return Err(damaged("it has no end"));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok((picture, format))
}

/// Whether a JPEG was not cut off: the decoder would fill what is missing with grey. After the last header an `FF` is
/// always followed by `00` or a restart marker, so that `FF D9` there is the end.
fn has_end(jpeg: &[u8]) -> bool {
    coded_data(jpeg).unwrap_or(jpeg).windows(2).any(|marker| marker == [0xff, 0xd9])
}

/// What follows the headers of a JPEG, which may hold a whole other one as a preview.
fn coded_data(jpeg: &[u8]) -> Option<&[u8]> {
    let mut rest = jpeg.get(2..)?;
    loop {
        rest = match *rest {
            [0xff, 0xda, ..] => return Some(rest),
            [0xff, 0xff, ..] => rest.get(1..)?,
            [0xff, _, high, low, ..] => rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..)?,
            _ => return None,
        };
    }
}

/// Lanczos; colours are weighted by their alpha, so that transparent ones do not bleed.
fn resized(source: &Image, width: u32, height: u32) -> Result<Image<'static>, Refusal> {
    let mut target = Image::new(width, height, PixelType::U8x4);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3)).use_alpha(true);
    Resizer::new().resize(source, &mut target, &options).map_err(damaged)?;
    Ok(target)
}

/// With 8 bits of each channel that the source has, and no others.
fn colored_as(color: ColorType, image: &Image) -> Result<DynamicImage, Refusal> {
    let pixels = RgbaImage::from_raw(image.width(), image.height(), image.buffer().to_vec());
    let picture = DynamicImage::ImageRgba8(pixels.ok_or_else(|| damaged("its pixels do not fit its size"))?);
    Ok(match (color.has_color(), color.has_alpha()) {
        (false, false) => picture.into_luma8().into(),
        (false, true) => picture.into_luma_alpha8().into(),
        (true, false) => picture.into_rgb8().into(),
        (true, true) => picture,
    })
}

fn damaged(error: impl std::fmt::Display) -> Refusal {
    Refusal::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    #[test]
    fn the_aspect_is_kept_and_a_half_is_rounded_up() {
        for ((width, height), sizes) in [
            ((1200, 801), [(500, 334), (250, 167), (100, 67)]),
            ((471, 512), [(471, 512), (250, 272), (100, 109)]),
            ((1000, 501), [(500, 251), (250, 125), (100, 50)]),
            ((16_384, 1), [(500, 1), (250, 1), (100, 1)]),
            ((1, 16_384), [(1, 16_384), (1, 16_384), (1, 16_384)]),
        ] {
            assert_eq!(THUMBNAIL_WIDTHS.map(|target| fitted(width, height, target)), sizes);
        }
    }

    #[test]
    fn what_is_no_image_is_an_unsupported_format() {
        for source in [&b""[..], b"hello", b"<svg/>", b"BM\x00\x00", b"\0\0\0\x20ftypheic"] {
            assert!(matches!(thumbnails(source), Err(Refusal::UnsupportedFormat)), "{source:?}");
        }
    }

    #[test]
    fn a_jpeg_that_was_cut_off_is_damaged() {
        let mut jpeg = Vec::new();
        DynamicImage::new_rgb8(64, 64).write_with_encoder(JpegEncoder::new(&mut jpeg)).unwrap();
        // A preview in a header has an end of its own.
        let preview = [&[0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9][..], &jpeg[2..]].concat();
        let mut whole = jpeg[..2].to_vec();
        whole.extend(preview);
        assert!(thumbnails(&whole).is_ok());
        whole.truncate(whole.len() - 2);
        assert!(matches!(thumbnails(&whole), Err(Refusal::Damaged(_))));
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_decoding() {
        let mut png = Vec::new();
        PngEncoder::new(&mut png).write_image(&[0; 4], 1, 1, ExtendedColorType::Rgba8).unwrap();
        // Width and height stand at bytes 16 and 20; the checksum of that chunk at 29 covers them.
        png[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(thumbnails(&png), Err(Refusal::TooManyPixels(100_000, 100_000))));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
        })
    }
}

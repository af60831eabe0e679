//! From the bytes of an image to the bytes of its thumbnails. Pure: no store, and no clock but for the time that the rows
//! of a PNG may take. An image is shrunk while it is decoded, so that what it costs depends on its thumbnails' pixels as
//! far as its format allows.

#![allow(clippy::many_single_char_names, reason = "colour components have the names that their standards give them")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "pixels are converted all the time, and every number here is bounded by the limits on sizes"
)]

use image::{DynamicImage, ImageFormat, RgbaImage, metadata::Orientation};
use shared::limits::{SOURCE_PIXELS, SOURCE_SIDE, THUMBNAIL_WIDTHS};

mod color;
mod encode;
mod gif;
mod jpeg;
mod planes;
mod png;
mod resize;
mod shrink;
mod supply;
mod webp;

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

/// The format of an image by its first bytes, as the metrics name it.
pub fn format(source: &[u8]) -> &'static str {
    match image::guess_format(source) {
        Ok(ImageFormat::Jpeg) => "jpeg",
        Ok(ImageFormat::Png) => "png",
        Ok(ImageFormat::Gif) => "gif",
        Ok(ImageFormat::WebP) => "webp",
        _ => "other",
    }
}

/// One thumbnail for each width, the largest first.
///
/// # Errors
/// A format other than JPEG, PNG, GIF and WebP, by content and not by name; more pixels in the header than the
/// limits allow, before anything is decoded; damaged data.
pub fn thumbnails(source: &[u8]) -> Result<Vec<Thumbnail>, Refusal> {
    let widest = match image::guess_format(source) {
        Ok(ImageFormat::Jpeg) => jpeg::widest(source)?,
        Ok(ImageFormat::Png) => png::widest(source)?,
        Ok(ImageFormat::Gif) => gif::widest(source)?,
        Ok(ImageFormat::WebP) => webp::widest(source)?,
        _ => return Err(Refusal::UnsupportedFormat),
    };
    let Target { full, orientation, .. } = widest.target;
    let full = turned(full, orientation);
    let (colors, format) = (widest.colors.in_srgb(), widest.format);
    let mut picture = upright(color::srgb(widest)?, orientation)?;
    let mut made = Vec::with_capacity(THUMBNAIL_WIDTHS.len());
    // Each is made of the one before it, which has all that it needs and far fewer pixels than the source.
    for width in THUMBNAIL_WIDTHS {
        let size = fitted(full, width);
        if size != (picture.width, picture.height) {
            picture = resize::rgba(&picture, size, colors.has_alpha())?;
        }
        made.push(encode::encoded(&picture, width, colors, format)?);
    }
    Ok(made)
}

/// The widest thumbnail, as its format gave it: on its side perhaps, and in colours of its own.
struct Widest {
    target: Target,
    pixels: Vec<[u8; 4]>,
    colors: Colors,
    icc: Option<Vec<u8>>,
    format: Format,
}

/// What of a pixel's four bytes counts.
#[derive(Clone, Copy, PartialEq)]
enum Colors {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    /// Ink.
    Cmyk,
}

impl Colors {
    fn has_alpha(self) -> bool {
        matches!(self, Self::GreyAlpha | Self::Rgba)
    }

    fn in_srgb(self) -> Self {
        if self == Self::Cmyk { Self::Rgb } else { self }
    }
}

/// What a thumbnail is.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Jpeg,
    Png,
}

/// RGBA pixels. `extent` is how much of them is the image: the last may stand for less than a whole one.
struct Pixels {
    width: u32,
    height: u32,
    extent: (f64, f64),
    rgba: Vec<[u8; 4]>,
}

/// What an image is to become while it is decoded: its widest thumbnail.
#[derive(Clone, Copy)]
struct Target {
    /// The size of the image as it is stored.
    full: (u32, u32),
    orientation: Orientation,
    /// The size of the thumbnail before it is turned upright.
    size: (u32, u32),
    /// How much smaller that is, at most 1.
    scale: f64,
}

impl Target {
    fn of(full: (u32, u32), orientation: Orientation) -> Self {
        let upright = turned(full, orientation);
        let scale = (f64::from(THUMBNAIL_WIDTHS[0]) / f64::from(upright.0)).min(1.0);
        Self { full, orientation, size: turned(fitted(upright, THUMBNAIL_WIDTHS[0]), orientation), scale }
    }
}

/// A size as it is after an orientation is applied, or before.
fn turned((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    }
}

fn upright(pixels: Pixels, orientation: Orientation) -> Result<Pixels, Refusal> {
    if orientation == Orientation::NoTransforms {
        return Ok(pixels);
    }
    let image = RgbaImage::from_raw(pixels.width, pixels.height, pixels.rgba.into_flattened());
    let mut image = DynamicImage::ImageRgba8(image.ok_or_else(|| damaged("its pixels do not fit its size"))?);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let rgba = image.into_rgba8().into_raw().as_chunks().0.to_vec();
    Ok(Pixels { width, height, extent: (width.into(), height.into()), rgba })
}

/// The size of a thumbnail: the width asked for or the source's own if that is smaller, the aspect kept.
fn fitted((width, height): (u32, u32), target: u32) -> (u32, u32) {
    if width <= target {
        return (width, height);
    }
    // Round half up, in integers; at least a pixel.
    let scaled = (2 * u64::from(target) * u64::from(height) + u64::from(width)) / (2 * u64::from(width));
    (target, u32::try_from(scaled).unwrap_or(u32::MAX).max(1))
}

/// The size in a header, before anything is done for it.
fn checked_size(width: u32, height: u32) -> Result<(u32, u32), Refusal> {
    if width > SOURCE_SIDE || height > SOURCE_SIDE || u64::from(width) * u64::from(height) > SOURCE_PIXELS {
        return Err(Refusal::TooManyPixels(width, height));
    }
    if width == 0 || height == 0 { Err(damaged("it has no pixels")) } else { Ok((width, height)) }
}

fn damaged(error: impl std::fmt::Display) -> Refusal {
    Refusal::Damaged(error.to_string())
}
#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    use super::*;

    #[test]
    fn the_aspect_is_kept_and_a_half_is_rounded_up() {
        for (size, sizes) in [
            ((1200, 801), [(500, 334), (250, 167), (100, 67)]),
            ((471, 512), [(471, 512), (250, 272), (100, 109)]),
            ((1000, 501), [(500, 251), (250, 125), (100, 50)]),
            ((16_384, 1), [(500, 1), (250, 1), (100, 1)]),
            ((1, 16_384), [(1, 16_384), (1, 16_384), (1, 16_384)]),
        ] {
            assert_eq!(THUMBNAIL_WIDTHS.map(|target| fitted(size, target)), sizes);
        }
    }

    #[test]
    fn what_is_no_image_is_an_unsupported_format() {
        for source in [&b""[..], b"hello", b"<svg/>", b"BM\x00\x00", b"\0\0\0\x20ftypheic"] {
            assert!(matches!(thumbnails(source), Err(Refusal::UnsupportedFormat)), "{source:?}");
        }
    }

    /// A picture of waves that get shorter, with an edge, as a JPEG.
    fn jpeg(width: u16, height: u16, set: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
        let (mut jpeg, mut pixels) = (Vec::new(), Vec::new());
        for y in 0..u32::from(height) {
            for x in 0..u32::from(width) {
                let wave = (x * x / 64 + y * y / 32) as u8;
                pixels.extend([wave, if x > y { 200 } else { 10 }, (x + y) as u8]);
            }
        }
        let mut encoder = Encoder::new(&mut jpeg, 90);
        set(&mut encoder);
        encoder.encode(&pixels, width, height, ColorType::Rgb).unwrap();
        jpeg
    }

    fn bytes(source: &[u8]) -> Vec<Vec<u8>> {
        thumbnails(source).unwrap().into_iter().map(|thumbnail| thumbnail.bytes).collect()
    }

    #[test]
    fn it_does_not_matter_in_what_scans_a_jpeg_is_stored() {
        // At every N/8, of sizes that no block divides.
        for width in [499, 507, 601, 717, 811, 1003, 1337, 2001, 4001] {
            for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2, SamplingFactor::F_1_2]
            {
                let at_once = bytes(&jpeg(width, 301, |encoder| encoder.set_sampling_factor(sampling)));
                let by_frequency = jpeg(width, 301, |encoder| {
                    encoder.set_sampling_factor(sampling);
                    encoder.set_progressive(true);
                });
                let by_component = jpeg(width, 301, |encoder| {
                    encoder.set_sampling_factor(sampling);
                    encoder.set_optimized_huffman_tables(true);
                });
                let with_restarts = jpeg(width, 301, |encoder| {
                    encoder.set_sampling_factor(sampling);
                    encoder.set_restart_interval(7);
                });
                assert!(at_once == bytes(&by_frequency), "{width} {sampling:?}");
                assert!(at_once == bytes(&by_component), "{width} {sampling:?}");
                assert!(at_once == bytes(&with_restarts), "{width} {sampling:?}");
            }
        }
    }

    /// A JPEG whose first scan comes a number of times.
    fn with_scans(jpeg: &[u8], times: usize) -> Vec<u8> {
        let at = |from: usize, is_it: fn(u8) -> bool| {
            from + jpeg[from..].windows(2).position(|two| two[0] == 0xff && is_it(two[1])).unwrap()
        };
        let start = at(0, |marker| marker == 0xda);
        let end = at(start + 2, |marker| !matches!(marker, 0 | 0xd0..=0xd7));
        [&jpeg[..start], &jpeg[start..end].repeat(times), &jpeg[end..]].concat()
    }

    #[test]
    fn a_jpeg_that_repeats_a_scan_is_damaged() {
        let at_once = jpeg(640, 480, |_| {});
        let by_component = jpeg(640, 480, |encoder| {
            encoder.set_optimized_huffman_tables(true);
        });
        let by_frequency = jpeg(640, 480, |encoder| {
            encoder.set_progressive(true);
        });
        // A coefficient has 14 bits, each of which may have a progressive scan.
        for (jpeg, most) in [(at_once, 1), (by_component, 1), (by_frequency, 14)] {
            assert!(thumbnails(&with_scans(&jpeg, most)).is_ok());
            let refusal = thumbnails(&with_scans(&jpeg, most + 1)).err().unwrap();
            assert_eq!(refusal.to_string(), "damaged image: a component is repeated");
        }
    }

    #[test]
    fn a_jpeg_may_define_tables_that_no_scan_needs() {
        let jpeg = jpeg(640, 480, |_| {});
        // DHT: AC table 3, of one code that would have to be longer, for symbol 1.
        let table = [&[0x13, 3][..], &[0; 15], &[1, 2, 3]].concat();
        let with_tables = |count: usize| {
            let length = u16::try_from(2 + table.len()).unwrap().to_be_bytes();
            let segment = [&[0xff, 0xc4][..], &length, &table].concat();
            [&jpeg[..2], &segment.repeat(count), &jpeg[2..]].concat()
        };
        // The encoder defines four.
        assert!(bytes(&with_tables(60)) == bytes(&jpeg));
        let refusal = thumbnails(&with_tables(61)).err().unwrap();
        assert_eq!(refusal.to_string(), "damaged image: more than 64 Huffman tables for a scan");
    }

    #[test]
    fn a_jpeg_that_was_cut_off_is_damaged() {
        for is_progressive in [false, true] {
            let jpeg = jpeg(640, 480, |encoder| encoder.set_progressive(is_progressive));
            // A preview in a header has an end of its own.
            let preview = [&[0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9][..], &jpeg[2..]].concat();
            let mut whole = jpeg[..2].to_vec();
            whole.extend(preview);
            assert!(thumbnails(&whole).is_ok());
            for length in [whole.len() - 2, whole.len() - 100, whole.len() / 2, 600, 20, 3] {
                assert!(matches!(thumbnails(&whole[..length]), Err(Refusal::Damaged(_))), "{length}");
            }
        }
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_decoding() {
        let mut png = Vec::new();
        let encoder = ::png::Encoder::new(&mut png, 1, 1);
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
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

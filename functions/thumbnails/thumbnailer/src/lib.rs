//! Makes thumbnails: the bytes of an image in, the bytes of its thumbnails out. The code has no I/O, and reads the clock
//! only to limit the time that the rows of a PNG take. An image is shrunk while it is decoded, so that time and memory
//! depend on the pixels of the thumbnails, as far as the format allows, and not on the pixels of the source.

#![forbid(unsafe_code)]
#![allow(clippy::many_single_char_names, reason = "colour components have the names that their standards give them")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "pixel values are converted everywhere, and the limits on sizes bound every number here"
)]

use image::metadata::Orientation;

pub use format::Format;
use limits::{MAX_SOURCE_SIDE, MAX_THUMBNAIL_PIXELS};
use picture::Picture;
use planes::{ColorSpace, Plane};

mod bmp;
mod bounded_reader;
mod color;
mod encode;
mod exif;
mod format;
mod gif;
mod heif;
mod ico;
mod jpeg;
mod jxl;
pub mod limits;
mod picture;
mod planes;
mod png;
mod resize;
mod shrink;
mod thumbhash;
mod tiff;
mod webp;

/// The thumbnails that are wanted.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The widths in pixels, the widest first.
    pub widths: &'a [u32],
    /// True if pictures that are coded as HEVC, as those of HEIC are, may be decoded. Patents on HEVC may forbid that.
    pub heic: bool,
}

/// The thumbnails of a picture, and what is told about the picture.
pub struct Made {
    pub thumbnails: Vec<Thumbnail>,
    /// The size of the picture in pixels, after its orientation is applied.
    pub width: u32,
    pub height: u32,
    /// The local time at which the picture was taken: RFC 3339, without a time zone if the camera has recorded none.
    pub taken_at: Option<String>,
    /// The [ThumbHash](https://evanw.github.io/thumbhash/), of 25 bytes at most.
    pub thumbhash: Vec<u8>,
}

pub struct Thumbnail {
    /// The requested width. If the source is narrower, the picture has the width of the source.
    pub width: u32,
    pub bytes: Vec<u8>,
    pub content_type: &'static str,
}

/// The reason why an image has no thumbnails. The owner of the image reads the `Display` text.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("unsupported format")]
    UnsupportedFormat,
    #[error("HEIC is switched off")]
    HeicOff,
    #[error("too many pixels: {width} x {height}, the limit is {} million and {MAX_SOURCE_SIDE} a side", limit / 1_000_000)]
    TooManyPixels { width: u32, height: u32, limit: u64 },
    #[error("damaged image: {0}")]
    Damaged(String),
}

/// Makes one thumbnail for each of the widths.
///
/// # Errors
/// `UnsupportedFormat` if the bytes have no [`Format`], whatever the file is called. `HeicOff` if the request forbids the
/// format. `TooManyPixels` if the size in the header is above the limits; nothing is decoded then. `Damaged` if the data is
/// damaged.
pub fn make(source: &[u8], Request { widths, heic }: Request<'_>) -> Result<Made, ImageError> {
    let widest = widths.first().copied().unwrap_or(1);
    let decoded = match Format::detect(source).ok_or(ImageError::UnsupportedFormat)? {
        Format::Jpeg => jpeg::decode(source, widest)?,
        Format::Png => png::decode(source, widest)?,
        Format::Gif => gif::decode(source, widest)?,
        Format::WebP => webp::decode(source, widest)?,
        Format::Heic => heif::decode(source, widest, heic)?,
        Format::Tiff => tiff::decode(source, widest)?,
        Format::Bmp => bmp::decode(source, widest)?,
        Format::Ico => ico::decode(source, widest)?,
        Format::Jxl => jxl::decode(source, widest)?,
    };
    let Target { source_size, orientation, .. } = decoded.target;
    let (width, height) = oriented_size(source_size, orientation);
    let taken_at = decoded.taken_at.clone();
    let mut picture = Picture::new(decoded)?;
    let mut thumbnails = Vec::with_capacity(widths.len());
    // Each thumbnail is made from the larger one before it, which has every detail that the smaller one needs and far
    // fewer pixels than the source.
    for &thumbnail_width in widths {
        picture = picture.resize(fit_width((width, height), thumbnail_width))?;
        thumbnails.push(encode::encode(&picture, thumbnail_width)?);
    }
    let thumbhash = thumbhash::of(picture)?;
    Ok(Made { thumbnails, width, height, taken_at, thumbhash })
}

/// The widest thumbnail as it was decoded: before its orientation is applied, and in its own colours.
struct Decoded {
    target: Target,
    content: Content,
    color_type: ColorType,
    /// The colour profile (ICC).
    icc: Option<Vec<u8>>,
    /// See [`Made::taken_at`].
    taken_at: Option<String>,
    format: OutputFormat,
}

enum Content {
    /// Pixels of the size of the target.
    Pixels(Vec<[u8; 4]>),
    /// Components that are not yet resized to the target.
    Planes(Vec<Plane>, ColorSpace),
}

/// The meaning of the four bytes of a pixel. Grey levels stand in red, green and blue alike.
#[derive(Clone, Copy, PartialEq)]
enum ColorType {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    /// Four inks instead of RGBA.
    Cmyk,
}

impl ColorType {
    fn has_alpha(self) -> bool {
        matches!(self, Self::GreyAlpha | Self::Rgba)
    }

    /// The colour type after the conversion to sRGB.
    fn in_srgb(self) -> Self {
        if self == Self::Cmyk { Self::Rgb } else { self }
    }
}

/// The file format of the thumbnails.
#[derive(Clone, Copy, PartialEq)]
enum OutputFormat {
    Jpeg,
    Png,
}

/// RGBA pixels. `extent` is the part of them that the image covers: the last row and column may cover less than a pixel.
struct Pixels {
    width: u32,
    height: u32,
    extent: (f64, f64),
    rgba: Vec<[u8; 4]>,
}

/// The widest thumbnail of an image. The decoders shrink the image to it.
#[derive(Clone, Copy)]
struct Target {
    /// The size of the image as the file stores it, before its orientation is applied.
    source_size: (u32, u32),
    orientation: Orientation,
    /// The size of the thumbnail before its orientation is applied.
    size: (u32, u32),
    /// The width of the thumbnail divided by the width of the image, at most 1.
    scale: f64,
}

impl Target {
    fn new(source_size: (u32, u32), orientation: Orientation, max_width: u32) -> Self {
        let oriented = oriented_size(source_size, orientation);
        let scale = (f64::from(max_width) / f64::from(oriented.0)).min(1.0);
        Self { source_size, orientation, size: oriented_size(fit_width(oriented, max_width), orientation), scale }
    }
}

/// The size after an orientation is applied. The same function gives the size before it.
fn oriented_size((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    }
}

/// The size of a thumbnail: this width, or the width of the source if that is smaller, with the aspect ratio kept. Only a
/// thumbnail that is wider than 500 pixels can reach [`MAX_THUMBNAIL_PIXELS`], and is narrower then.
fn fit_width((width, height): (u32, u32), target: u32) -> (u32, u32) {
    let most = (MAX_THUMBNAIL_PIXELS as f64 * f64::from(width) / f64::from(height.max(1))).sqrt();
    let target = target.min((most as u32).max(1));
    if width <= target {
        return (width, height);
    }
    // The height is rounded half up, in integers, to at least one pixel.
    let scaled = (2 * u64::from(target) * u64::from(height) + u64::from(width)) / (2 * u64::from(width));
    (target, u32::try_from(scaled).unwrap_or(u32::MAX).max(1))
}

/// Checks the size in a header. Nothing is allocated for an image before this check.
fn check_size(width: u32, height: u32, limit: u64) -> Result<(u32, u32), ImageError> {
    if width > MAX_SOURCE_SIDE || height > MAX_SOURCE_SIDE || u64::from(width) * u64::from(height) > limit {
        return Err(ImageError::TooManyPixels { width, height, limit });
    }
    if width == 0 || height == 0 { Err(damaged("it has no pixels")) } else { Ok((width, height)) }
}

fn damaged(error: impl std::fmt::Display) -> ImageError {
    ImageError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    use super::*;

    const WIDTHS: [u32; 3] = [500, 250, 100];

    fn thumbnails(source: &[u8]) -> Result<Vec<Thumbnail>, ImageError> {
        make(source, Request { widths: &WIDTHS, heic: true }).map(|made| made.thumbnails)
    }

    #[test]
    fn the_aspect_ratio_is_kept_and_a_half_is_rounded_up() {
        for (size, sizes) in [
            ((1200, 801), [(500, 334), (250, 167), (100, 67)]),
            ((471, 512), [(471, 512), (250, 272), (100, 109)]),
            ((1000, 501), [(500, 251), (250, 125), (100, 50)]),
            ((16_384, 1), [(500, 1), (250, 1), (100, 1)]),
            ((1, 16_384), [(1, 16_384), (1, 16_384), (1, 16_384)]),
        ] {
            assert_eq!(WIDTHS.map(|target| fit_width(size, target)), sizes);
        }
    }

    #[test]
    fn only_a_wide_thumbnail_is_bounded_by_its_pixels() {
        let tallest = fit_width((500, MAX_SOURCE_SIDE), 500);
        assert_eq!(tallest, (500, MAX_SOURCE_SIDE));
        for width in [501, 1600, 3000] {
            let (width, height) = fit_width((width, MAX_SOURCE_SIDE), 1600);
            let pixels = u64::from(width) * u64::from(height);
            assert!((8_100_000..=MAX_THUMBNAIL_PIXELS).contains(&pixels), "{width} x {height}");
        }
        assert_eq!(fit_width((4000, 3000), 1600), (1600, 1200));
    }

    #[test]
    fn other_bytes_are_an_unsupported_format() {
        for source in [&b""[..], b"hello", b"<svg/>", b"BM\x00\x00", b"\0\0\0\x14ftypisom\0\0\0\0isom"] {
            assert!(matches!(thumbnails(source), Err(ImageError::UnsupportedFormat)), "{source:?}");
        }
    }

    /// A JPEG of waves that get shorter, and of one edge.
    fn encode_jpeg(width: u16, height: u16, set: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
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

    fn thumbnail_bytes(source: &[u8]) -> Vec<Vec<u8>> {
        thumbnails(source).unwrap().into_iter().map(|thumbnail| thumbnail.bytes).collect()
    }

    #[test]
    fn the_scans_of_a_jpeg_do_not_change_its_thumbnails() {
        // Widths that lead to every N/8, and that are no multiples of a block.
        for width in [499, 507, 601, 717, 811, 1003, 1337, 2001, 4001] {
            for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2, SamplingFactor::F_1_2]
            {
                let one_scan =
                    thumbnail_bytes(&encode_jpeg(width, 101, |encoder| encoder.set_sampling_factor(sampling)));
                let by_frequency = encode_jpeg(width, 101, |encoder| {
                    encoder.set_sampling_factor(sampling);
                    encoder.set_progressive(true);
                });
                let by_component = encode_jpeg(width, 101, |encoder| {
                    encoder.set_sampling_factor(sampling);
                    encoder.set_optimized_huffman_tables(true);
                });
                let with_restarts = encode_jpeg(width, 101, |encoder| {
                    encoder.set_sampling_factor(sampling);
                    encoder.set_restart_interval(7);
                });
                assert!(one_scan == thumbnail_bytes(&by_frequency), "{width} {sampling:?}");
                assert!(one_scan == thumbnail_bytes(&by_component), "{width} {sampling:?}");
                assert!(one_scan == thumbnail_bytes(&with_restarts), "{width} {sampling:?}");
            }
        }
    }

    /// The JPEG with its first scan repeated to `count` copies.
    fn with_repeated_scan(jpeg: &[u8], count: usize) -> Vec<u8> {
        let find_marker = |from: usize, matches: fn(u8) -> bool| {
            from + jpeg[from..].windows(2).position(|two| two[0] == 0xff && matches(two[1])).unwrap()
        };
        let start = find_marker(0, |marker| marker == 0xda);
        let end = find_marker(start + 2, |marker| !matches!(marker, 0 | 0xd0..=0xd7));
        [&jpeg[..start], &jpeg[start..end].repeat(count), &jpeg[end..]].concat()
    }

    #[test]
    fn a_jpeg_that_repeats_a_scan_is_damaged() {
        let one_scan = encode_jpeg(640, 480, |_| {});
        let by_component = encode_jpeg(640, 480, |encoder| {
            encoder.set_optimized_huffman_tables(true);
        });
        let by_frequency = encode_jpeg(640, 480, |encoder| {
            encoder.set_progressive(true);
        });
        // A coefficient has 14 bits, and a progressive JPEG may have one scan for each of them.
        for (jpeg, most) in [(one_scan, 1), (by_component, 1), (by_frequency, 14)] {
            assert!(thumbnails(&with_repeated_scan(&jpeg, most)).is_ok());
            let error = thumbnails(&with_repeated_scan(&jpeg, most + 1)).err().unwrap();
            assert_eq!(error.to_string(), "damaged image: a component is repeated");
        }
    }

    #[test]
    fn a_jpeg_may_define_unused_huffman_tables() {
        let jpeg = encode_jpeg(640, 480, |_| {});
        // DHT: AC table 3, with three codes of length 1. Only two such codes exist, so building this table would fail.
        let table = [&[0x13, 3][..], &[0; 15], &[1, 2, 3]].concat();
        let with_tables = |count: usize| {
            let length = u16::try_from(2 + table.len()).unwrap().to_be_bytes();
            let segment = [&[0xff, 0xc4][..], &length, &table].concat();
            [&jpeg[..2], &segment.repeat(count), &jpeg[2..]].concat()
        };
        // The encoder itself defines four tables.
        assert!(thumbnail_bytes(&with_tables(60)) == thumbnail_bytes(&jpeg));
        let error = thumbnails(&with_tables(61)).err().unwrap();
        assert_eq!(error.to_string(), "damaged image: more than 64 Huffman tables for a scan");
    }

    #[test]
    fn a_truncated_jpeg_is_damaged() {
        for is_progressive in [false, true] {
            let jpeg = encode_jpeg(640, 480, |encoder| encoder.set_progressive(is_progressive));
            // An APP1 segment that contains a preview with its own EOI marker.
            let preview = [&[0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9][..], &jpeg[2..]].concat();
            let mut whole = jpeg[..2].to_vec();
            whole.extend(preview);
            assert!(thumbnails(&whole).is_ok());
            for length in [whole.len() - 2, whole.len() - 100, whole.len() / 2, 600, 20, 3] {
                assert!(matches!(thumbnails(&whole[..length]), Err(ImageError::Damaged(_))), "{length}");
            }
        }
    }

    #[test]
    fn a_header_with_too_many_pixels_is_refused_before_decoding() {
        let mut png = Vec::new();
        let encoder = ::png::Encoder::new(&mut png, 1, 1);
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
        // Bytes 16 and 20 hold width and height. The checksum of their chunk is at byte 29.
        png[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(thumbnails(&png), Err(ImageError::TooManyPixels { .. })));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
        })
    }
}

//! Images to upload, and the decoder of thumbnails.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what is not there fails the test")]

use std::{fs, io::Cursor, path::Path};

use exif::{Field, In, Rational, Tag, Value, experimental::Writer};
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage,
    codecs::jpeg::JpegEncoder,
};

/// An image with a different colour in every part.
pub fn gradient(width: u32, height: u32) -> DynamicImage {
    let shade = |at: u32, of: u32| u8::try_from(at * 255 / of).unwrap();
    RgbImage::from_fn(width, height, |x, y| Rgb([shade(x, width), shade(y, height), 128])).into()
}

/// A blue image with a transparent right half.
pub fn half_transparent(width: u32, height: u32) -> DynamicImage {
    RgbaImage::from_fn(width, height, |x, _| Rgba([0, 0, 255, if x < width / 2 { 255 } else { 0 }])).into()
}

pub fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    encode(&gradient(width, height), ImageFormat::Jpeg)
}

/// A JPEG of one colour.
pub fn one_color(width: u32, height: u32, color: [u8; 3]) -> Vec<u8> {
    encode(&RgbImage::from_pixel(width, height, Rgb(color)).into(), ImageFormat::Jpeg)
}

/// An image of 49 megapixels of 64 bits, which takes long to decode.
pub fn slow() -> Vec<u8> {
    made("large/rgba16.png")
}

/// One of the images of every format.
pub fn test_image(name: &str) -> Vec<u8> {
    made(&format!("formats/{name}"))
}

/// An image that `cargo local test` has made.
fn made(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local/fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A JPEG as from a camera in upright position: red on its left and blue on its right, with the EXIF orientation 6,
/// which turns it clockwise, so that red is on top.
pub fn lying_on_its_side(width: u32, height: u32) -> Vec<u8> {
    const TURN_CLOCKWISE: [u8; 26] = [
        b'I', b'I', 42, 0, 8, 0, 0, 0, // little endian, the first directory follows
        1, 0, // one entry:
        0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, // orientation, one short, 6
        0, 0, 0, 0, // no other directory
    ];
    let stored =
        RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.set_exif_metadata(TURN_CLOCKWISE.to_vec()).unwrap();
    encoder.write_image(&stored, width, height, ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// What a camera knows about its owner.
pub const OWNER: &str = "Ada Photographer";
pub const SERIAL_NUMBER: &str = "SN-20261129";

/// The JPEG of a camera that was held upright, taken on 29 November 2026 at 07:28:35, one hour before UTC, at a place.
pub fn photograph(width: u32, height: u32) -> Vec<u8> {
    let text = |text: &str| Value::Ascii(vec![text.as_bytes().to_vec()]);
    let place = |degrees: u32| Value::Rational([degrees, 28, 38].map(|num| Rational { num, denom: 1 }).to_vec());
    let fields = [
        (Tag::Orientation, Value::Short(vec![6])),
        (Tag::DateTime, text("2026:12:24 18:00:00")),
        (Tag::DateTimeOriginal, text("2026:11:29 07:28:35")),
        (Tag::OffsetTimeOriginal, text("+01:00")),
        (Tag::Artist, text(OWNER)),
        (Tag::BodySerialNumber, text(SERIAL_NUMBER)),
        (Tag::GPSLatitudeRef, text("N")),
        (Tag::GPSLatitude, place(51)),
        (Tag::GPSLongitudeRef, text("E")),
        (Tag::GPSLongitude, place(7)),
    ];
    let fields = fields.map(|(tag, value)| Field { tag, ifd_num: In::PRIMARY, value });
    let (mut writer, mut tiff) = (Writer::new(), Cursor::new(Vec::new()));
    for field in &fields {
        writer.push_field(field);
    }
    writer.write(&mut tiff, false).unwrap();
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.set_exif_metadata(tiff.into_inner()).unwrap();
    encoder.write_image(gradient(width, height).as_bytes(), width, height, ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// A PNG of one pixel whose header, with a correct checksum, claims 100,000 × 100,000 pixels.
pub fn bomb() -> Vec<u8> {
    let mut png = encode(&gradient(1, 1), ImageFormat::Png);
    png[16..24].copy_from_slice(&[100_000_u32.to_be_bytes(), 100_000_u32.to_be_bytes()].concat());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

/// The checksum of a PNG chunk.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

pub struct DecodedImage {
    pub content_type: &'static str,
    pub width: u32,
    pub height: u32,
    pub pixels: RgbaImage,
}

/// Decodes an image by its content.
pub fn decode_image(bytes: &[u8]) -> DecodedImage {
    let format = image::guess_format(bytes).unwrap();
    let decoded = image::load_from_memory(bytes).unwrap();
    let (width, height) = (decoded.width(), decoded.height());
    DecodedImage { content_type: format.to_mime_type(), width, height, pixels: decoded.into_rgba8() }
}

//! JPEG, decoded only as far as a thumbnail needs. Each component is decoded to the smallest N/8 of its size that still has
//! enough pixels: only the lowest N x N frequencies of a block are transformed, and the codes of the others are skipped
//! without decoding their values. A progressive image keeps only those frequencies in memory. A whole job takes about half
//! the time that libvips takes with libjpeg-turbo (see `functions/thumbnails/README.md`), in safe Rust alone. Names are
//! those of ITU-T T.81.

use crate::limits::{MAX_JPEG_HUFFMAN_TABLES, MAX_JPEG_SCANS, MAX_PROFILE_BYTES, MAX_STREAMED_PIXELS};

use super::{
    ColorType, Content, Decoded, ImageError, OutputFormat, Target, check_size, damaged,
    exif::Exif,
    planes::{self, ColorSpace, Plane},
};

mod encode;
mod huffman;
mod idct;
mod scan;

pub use encode::encode;
use huffman::HuffmanSpec;
use scan::ReducedComponent;

/// Luma is decoded to this many times the width and height of the thumbnail. Without a margin, fine detail is less sharp than
/// after full decoding (SSIM up to 0.0065 lower; with a third more pixels, 0.0006). Chroma shows no difference.
const LUMA_MARGIN: f64 = 4.0 / 3.0;

/// The zig-zag sequence of T.81: the frequency of each coefficient in the order of the file, `8 * vertical + horizontal`.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// The content of the segments before the first scan.
struct Header {
    size: (u32, u32),
    color_space: ColorSpace,
    exif: Exif,
    icc: Option<Vec<u8>>,
}

pub fn decode(source: &[u8], max_width: u32) -> Result<Decoded, ImageError> {
    let mut decoder = Decoder::read_headers(source)?;
    let (icc, Exif { orientation, taken_at }) = (decoder.header.icc.take(), decoder.header.exif.clone());
    let Header { size, color_space, .. } = decoder.header;
    let target = Target::new(size, orientation, max_width);
    let color_type = match color_space {
        ColorSpace::Grey => ColorType::Grey,
        ColorSpace::Cmyk { .. } | ColorSpace::Ycck { .. } => ColorType::Cmyk,
        ColorSpace::YCbCr | ColorSpace::LimitedYCbCr | ColorSpace::Rgb => ColorType::Rgb,
    };
    let content = Content::Planes(decoder.decode(target.scale, target.scale * LUMA_MARGIN)?, color_space);
    Ok(Decoded { target, content, color_type, icc, taken_at, format: OutputFormat::Jpeg })
}

/// Decodes a JPEG that is the whole of another picture, which says what the components of the JPEG mean.
///
/// # Errors
/// `Damaged` if the JPEG does not have the size of the target, or other components.
pub fn decode_whole(source: &[u8], color_space: ColorSpace, target: &Target) -> Result<Vec<[u8; 4]>, ImageError> {
    let decoder = read_part(source, color_space, target.source_size)?;
    planes::merge(decoder.decode(target.scale, target.scale * LUMA_MARGIN)?, color_space, target.size)
}

/// Decodes a JPEG of `size` that is a part of another picture, at N eighths of that size, rounded up.
///
/// # Errors
/// As those of [`decode_whole`].
pub fn decode_eighths(
    source: &[u8],
    color_space: ColorSpace,
    size: (u32, u32),
    n: u32,
) -> Result<Vec<[u8; 4]>, ImageError> {
    let decoder = read_part(source, color_space, size)?;
    let reduced = ((size.0 * n).div_ceil(8), (size.1 * n).div_ceil(8));
    planes::merge(decoder.decode(f64::from(n) / 8.0, f64::from(n) / 8.0)?, color_space, reduced)
}

fn read_part(source: &[u8], color_space: ColorSpace, size: (u32, u32)) -> Result<Decoder<'_>, ImageError> {
    let mut decoder = Decoder::read_headers(source)?;
    let components = match color_space {
        ColorSpace::Grey => 1,
        ColorSpace::Cmyk { .. } | ColorSpace::Ycck { .. } => 4,
        ColorSpace::YCbCr | ColorSpace::LimitedYCbCr | ColorSpace::Rgb => 3,
    };
    if decoder.header.size != size || decoder.frame.components.len() != components {
        return Err(damaged("a JPEG of another size or colour type"));
    }
    decoder.header.color_space = color_space;
    Ok(decoder)
}

/// The smallest N for which N eighths are `scale` times the width and height of an image, and [`LUMA_MARGIN`] times more.
pub fn eighths(scale: f64) -> u32 {
    smallest_eighths(scale * LUMA_MARGIN)
}

fn smallest_eighths(scale: f64) -> u32 {
    // The subtraction of a billionth keeps an exact eighth from being rounded up to the next one.
    ((8.0 * scale - 1e-9).ceil() as u32).clamp(1, 8)
}

/// A JPEG whose segments before the first scan have been read.
struct Decoder<'a> {
    header: Header,
    tables: Tables<'a>,
    frame: Frame,
    segments: Segments<'a>,
    /// The body of the first scan's header.
    first_scan: &'a [u8],
}

/// The tables, and what else the segments between scans may change.
#[derive(Default)]
struct Tables<'a> {
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<HuffmanSpec<'a>>; 4],
    ac: [Option<HuffmanSpec<'a>>; 4],
    /// The number of Huffman tables that DHT segments have defined since the last scan.
    defined_since_scan: u32,
    /// In MCUs; 0 if there are no restarts.
    restart_interval: u32,
}

struct Frame {
    width: u32,
    height: u32,
    is_progressive: bool,
    components: Vec<Component>,
    /// Hmax and Vmax of T.81: the largest sampling factors of the components.
    max_sampling: (u32, u32),
}

#[derive(Clone)]
struct Component {
    id: u8,
    /// H and V of T.81.
    sampling: (u32, u32),
    /// The index of the table, and the table as it was at the first scan of this component.
    quantization_table: usize,
    quantization: Option<[u16; 64]>,
}

impl Frame {
    /// The number of MCUs across and down.
    fn mcus(&self) -> (u32, u32) {
        (self.width.div_ceil(8 * self.max_sampling.0), self.height.div_ceil(8 * self.max_sampling.1))
    }

    /// The size of a component in its own samples. The last row and column may cover less than a whole sample.
    fn extent(&self, component: &Component) -> (f64, f64) {
        let extent = |size: u32, sampling: u32, max_sampling: u32| {
            f64::from(size) * f64::from(sampling) / f64::from(max_sampling)
        };
        (
            extent(self.width, component.sampling.0, self.max_sampling.0),
            extent(self.height, component.sampling.1, self.max_sampling.1),
        )
    }
}

/// Reads the segments of the file. Each has a marker and a body.
struct Segments<'a> {
    source: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    fn next(&mut self) -> Result<(u8, &'a [u8]), ImageError> {
        loop {
            let rest = self.source.get(self.at..).unwrap_or_default();
            // Bytes before a marker are ignored. Any number of fill bytes (0xff) may precede it.
            let marker = rest.windows(2).position(|two| two[0] == 0xff && !matches!(two[1], 0 | 0xff));
            let at = marker.ok_or_else(|| damaged("it has no end"))?;
            let (marker, rest) = (rest[at + 1], &rest[at + 2..]);
            self.at += at + 2;
            match marker {
                EOI => return Ok((marker, &[])),
                // TEM, RSTm and SOI have no body and are ignored here.
                0x01 | 0xd0..=0xd8 => {}
                _ => {
                    let [high, low, ..] = *rest else { return Err(damaged("it has no end")) };
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    let body = rest.get(2..length).ok_or_else(|| damaged("a segment"))?;
                    self.at += length;
                    return Ok((marker, body));
                }
            }
        }
    }
}

/// Define quantization tables.
const DQT: u8 = 0xdb;
/// Define Huffman tables.
const DHT: u8 = 0xc4;
/// Define the restart interval.
const DRI: u8 = 0xdd;
/// Start of scan.
const SOS: u8 = 0xda;
/// End of image.
const EOI: u8 = 0xd9;

impl<'a> Decoder<'a> {
    /// Reads the segments up to the first scan.
    ///
    /// # Errors
    /// `UnsupportedFormat` for arithmetic coding, lossless and hierarchical frames, and samples of 12 bits;
    /// `TooManyPixels`; `Damaged`.
    fn read_headers(source: &'a [u8]) -> Result<Self, ImageError> {
        let mut segments = Segments { source, at: 2 };
        let mut tables = Tables::default();
        let (mut frame, mut adobe, mut has_jfif) = (None, None, false);
        let (mut icc, mut exif) = (IccSegments::default(), None);
        let first_scan = loop {
            let (marker, body) = segments.next()?;
            match marker {
                0xc0..=0xc2 if frame.is_none() => frame = Some(Frame::new(body, marker == 0xc2)?),
                0xc0..=0xc2 => return Err(damaged("two frames")),
                0xc3 | 0xc5..=0xcf if marker != DHT && marker != 0xc8 && marker != 0xcc => {
                    return Err(ImageError::UnsupportedFormat);
                }
                SOS => break body,
                EOI => return Err(damaged("it has no picture")),
                0xe0 => has_jfif |= body.starts_with(b"JFIF\0"),
                // If there are several Exif segments, the first one counts, as in other decoders.
                0xe1 if exif.is_none() => exif = body.strip_prefix(b"Exif\0\0").map(Exif::parse),
                0xe2 => icc.add(body),
                0xee => adobe = body.strip_prefix(b"Adobe").and_then(|adobe| adobe.get(6)).copied().or(adobe),
                _ => tables.read_segment(marker, body)?,
            }
        };
        let frame = frame.ok_or_else(|| damaged("a scan before its frame"))?;
        let color_space = frame.color_space(adobe, has_jfif)?;
        let (size, exif) = ((frame.width, frame.height), exif.unwrap_or_default());
        let header = Header { size, color_space, exif, icc: icc.into_profile() };
        Ok(Self { header, tables, frame, segments, first_scan })
    }

    /// Decodes the planes, in the order of the components, at the smallest N/8 that gives `luma_scale` times the width and
    /// height of the image, and for chroma half of `scale`, because a JPEG thumbnail stores chroma at half its size.
    fn decode(mut self, scale: f64, luma_scale: f64) -> Result<Vec<Plane>, ImageError> {
        let has_chroma = matches!(self.header.color_space, ColorSpace::YCbCr | ColorSpace::Ycck { .. });
        let mut reduced: Vec<ReducedComponent> = Vec::new();
        for (index, component) in self.frame.components.iter().enumerate() {
            let scale = if has_chroma && matches!(index, 1 | 2) { scale / 2.0 } else { luma_scale };
            let (h, v) = component.sampling;
            let subsampling = f64::from(self.frame.max_sampling.0) / f64::from(h);
            let subsampling = subsampling.max(f64::from(self.frame.max_sampling.1) / f64::from(v));
            let size = smallest_eighths(scale * subsampling) as usize;
            reduced.push(ReducedComponent::new(&self.frame, component, size));
        }
        let mut scan_header = self.first_scan;
        for _ in 0..MAX_JPEG_SCANS {
            let (data, at) = (self.segments.source, self.segments.at);
            self.segments.at = scan::read_scan(scan_header, &mut self.frame, &mut self.tables, &mut reduced, data, at)?;
            scan_header = loop {
                let (marker, body) = self.segments.next()?;
                match marker {
                    SOS => break body,
                    EOI => {
                        return reduced
                            .into_iter()
                            .zip(&self.frame.components)
                            .map(|(reduced, component)| reduced.into_plane(component))
                            .collect();
                    }
                    _ => self.tables.read_segment(marker, body)?,
                }
            };
        }
        Err(damaged("too many scans"))
    }
}

impl Frame {
    fn new(body: &[u8], is_progressive: bool) -> Result<Self, ImageError> {
        let [precision, y_high, y_low, x_high, x_low, count, ref components @ ..] = *body else {
            return Err(damaged("a frame"));
        };
        let (height, width) = (u16::from_be_bytes([y_high, y_low]).into(), u16::from_be_bytes([x_high, x_low]).into());
        if precision != 8 || !matches!(count, 1 | 3 | 4) {
            return Err(ImageError::UnsupportedFormat);
        }
        check_size(width, height, MAX_STREAMED_PIXELS)?;
        let components = components.get(..3 * usize::from(count)).ok_or_else(|| damaged("a frame"))?;
        let components = components.chunks_exact(3).map(|component| {
            let sampling = (u32::from(component[1] >> 4), u32::from(component[1] & 15));
            if !(1..=4).contains(&sampling.0) || !(1..=4).contains(&sampling.1) || component[2] > 3 {
                return Err(damaged("a frame"));
            }
            Ok(Component { id: component[0], sampling, quantization_table: component[2].into(), quantization: None })
        });
        let mut components: Vec<_> = components.collect::<Result<_, _>>()?;
        // The sampling factors of a single component have no meaning.
        if let [component] = &mut components[..] {
            component.sampling = (1, 1);
        }
        let max_sampling = components.iter().fold((1, 1), |max_sampling, Component { sampling, .. }| {
            (sampling.0.max(max_sampling.0), sampling.1.max(max_sampling.1))
        });
        Ok(Self { width, height, is_progressive, components, max_sampling })
    }

    /// The colour space, guessed as libjpeg does.
    fn color_space(&self, adobe: Option<u8>, has_jfif: bool) -> Result<ColorSpace, ImageError> {
        let inverted = adobe.is_some();
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        Ok(match (ids.len(), adobe) {
            (1, _) => ColorSpace::Grey,
            (3, _) if has_jfif => ColorSpace::YCbCr,
            (3, Some(0)) => ColorSpace::Rgb,
            (3, None) if ids == *b"RGB" => ColorSpace::Rgb,
            (3, _) => ColorSpace::YCbCr,
            (4, None | Some(0)) => ColorSpace::Cmyk { inverted },
            (4, Some(_)) => ColorSpace::Ycck { inverted },
            _ => return Err(ImageError::UnsupportedFormat),
        })
    }
}

impl<'a> Tables<'a> {
    fn read_segment(&mut self, marker: u8, mut body: &'a [u8]) -> Result<(), ImageError> {
        match marker {
            DQT => {
                while let [kind, rest @ ..] = body {
                    // Pq: the precision of the values, one byte or two.
                    let pq = usize::from(kind >> 4 != 0);
                    let values = rest.get(..64 << pq).ok_or_else(|| damaged("a quantization table"))?;
                    let table = self.quantization.get_mut(usize::from(kind & 15));
                    *table.ok_or_else(|| damaged("a quantization table"))? = Some(std::array::from_fn(|k| match pq {
                        0 => u16::from(values[k]),
                        _ => u16::from_be_bytes([values[2 * k], values[2 * k + 1]]),
                    }));
                    body = &rest[64 << pq..];
                }
            }
            DHT => {
                while let [kind, rest @ ..] = body {
                    self.defined_since_scan += 1;
                    if self.defined_since_scan > MAX_JPEG_HUFFMAN_TABLES {
                        return Err(damaged(format_args!(
                            "more than {MAX_JPEG_HUFFMAN_TABLES} Huffman tables for a scan"
                        )));
                    }
                    let (bits, rest) = rest.split_first_chunk().ok_or_else(|| damaged("a Huffman table"))?;
                    let count = bits.iter().map(|&count| usize::from(count)).sum();
                    let huffval = rest.get(..count).ok_or_else(|| damaged("a Huffman table"))?;
                    let tables = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
                    let table = tables.get_mut(usize::from(kind & 15));
                    *table.ok_or_else(|| damaged("a Huffman table"))? = Some(HuffmanSpec::new(bits, huffval));
                    body = &rest[count..];
                }
            }
            DRI => match *body {
                [high, low, ..] => self.restart_interval = u16::from_be_bytes([high, low]).into(),
                _ => return Err(damaged("a restart interval")),
            },
            // Comments and application data are ignored.
            _ => {}
        }
        Ok(())
    }
}

/// The APP2 segments of a colour profile, which is divided into numbered pieces.
#[derive(Default)]
struct IccSegments<'a> {
    pieces: Vec<(u8, &'a [u8])>,
}

impl<'a> IccSegments<'a> {
    /// Pieces after the 255th are ignored, because piece numbers end there.
    fn add(&mut self, body: &'a [u8]) {
        if let Some([number, _, piece @ ..]) = body.strip_prefix(b"ICC_PROFILE\0")
            && self.pieces.len() < usize::from(u8::MAX)
        {
            self.pieces.push((*number, piece));
        }
    }

    /// The profile, or none if its pieces are empty or have more than [`MAX_PROFILE_BYTES`].
    fn into_profile(mut self) -> Option<Vec<u8>> {
        if self.pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>() > MAX_PROFILE_BYTES {
            return None;
        }
        self.pieces.sort_by_key(|(number, _)| *number);
        let profile: Vec<u8> = self.pieces.into_iter().flat_map(|(_, piece)| piece).copied().collect();
        (!profile.is_empty()).then_some(profile)
    }
}

//! JPEG, decoded no further than a thumbnail needs. Each component comes out at the smallest N/8 of its size that still
//! has the pixels: of a block only the lowest N x N frequencies are transformed, and the codes of the others are passed
//! over without decoding their values. A progressive image keeps only those frequencies in memory. A whole
//! job takes about half the time that libvips takes with libjpeg-turbo (see the README), without a line that is not safe.

use image::metadata::Orientation;
use shared::limits::{JPEG_HUFFMAN_TABLES, JPEG_SCANS, PROFILE_BYTES};

use super::{
    Colors, Format, Refusal, Target, Widest, checked_size, damaged,
    planes::{self, Model, Plane},
};

mod encode;
mod huffman;
mod idct;
mod scan;

pub use encode::encoded;
use huffman::Table;
use scan::Reduced;

/// How many more pixels each way luma keeps than its thumbnail has. With no more, what is fine in a picture is less
/// sharp than full decoding makes it (SSIM up to 0.0065 lower, with a third more 0.0006); chroma shows no difference.
const MARGIN: f64 = 4.0 / 3.0;

/// The order in which a block's coefficients are stored: by frequency, `8 * vertical + horizontal`.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// What stands before the first scan.
struct Header {
    size: (u32, u32),
    model: Model,
    orientation: Orientation,
    icc: Option<Vec<u8>>,
}

pub fn widest(source: &[u8]) -> Result<Widest, Refusal> {
    let mut jpeg = Jpeg::open(source)?;
    let icc = jpeg.header.icc.take();
    let Header { size, model, orientation, .. } = jpeg.header;
    let target = Target::of(size, orientation);
    let colors = match model {
        Model::Grey => Colors::Grey,
        Model::Cmyk { .. } | Model::Ycck { .. } => Colors::Cmyk,
        Model::YCbCr | Model::LimitedYCbCr | Model::Rgb => Colors::Rgb,
    };
    let pixels = planes::pixels(jpeg.decode(target.scale)?, model, target.size)?;
    Ok(Widest { target, pixels, colors, icc, format: Format::Jpeg })
}

/// A JPEG on its way.
struct Jpeg<'a> {
    header: Header,
    tables: Tables<'a>,
    frame: Frame,
    segments: Segments<'a>,
    /// The body of the first scan's header.
    first_scan: &'a [u8],
}

/// What segments between scans may change.
#[derive(Default)]
struct Tables<'a> {
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<Table<'a>>; 4],
    ac: [Option<Table<'a>>; 4],
    /// How many Huffman tables DHT segments have defined since the last scan.
    defined: u32,
    /// Of how many MCUs.
    restart_interval: u32,
}

struct Frame {
    width: u32,
    height: u32,
    is_progressive: bool,
    components: Vec<Component>,
    /// The largest sampling factors.
    most: (u32, u32),
}

#[derive(Clone)]
struct Component {
    id: u8,
    sampling: (u32, u32),
    /// Which table, and the table as it stood at the first scan that had this component.
    quantization_table: usize,
    quantization: Option<[u16; 64]>,
}

impl Frame {
    /// MCUs, across and down.
    fn mcus(&self) -> (u32, u32) {
        (self.width.div_ceil(8 * self.most.0), self.height.div_ceil(8 * self.most.1))
    }

    /// The size of a component in its own samples; those of the last may stand for less.
    fn extent(&self, component: &Component) -> (f64, f64) {
        let of = |size: u32, sampling: u32, most: u32| f64::from(size) * f64::from(sampling) / f64::from(most);
        (of(self.width, component.sampling.0, self.most.0), of(self.height, component.sampling.1, self.most.1))
    }
}

/// The segments of the file: a marker and a body each.
struct Segments<'a> {
    source: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    fn next(&mut self) -> Result<(u8, &'a [u8]), Refusal> {
        loop {
            let rest = self.source.get(self.at..).unwrap_or_default();
            // Whatever stands before a marker means nothing, and any number of 0xff may.
            let marker = rest.windows(2).position(|two| two[0] == 0xff && !matches!(two[1], 0 | 0xff));
            let at = marker.ok_or_else(|| damaged("it has no end"))?;
            let (marker, rest) = (rest[at + 1], &rest[at + 2..]);
            self.at += at + 2;
            match marker {
                END_OF_IMAGE => return Ok((marker, &[])),
                // They have no body and mean nothing here: TEM, the restarts, another beginning.
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

const QUANTIZATION: u8 = 0xdb;
const HUFFMAN: u8 = 0xc4;
const RESTART_INTERVAL: u8 = 0xdd;
const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

impl<'a> Jpeg<'a> {
    /// Reads up to the first scan.
    ///
    /// # Errors
    /// `UnsupportedFormat` for arithmetic coding, lossless and hierarchical frames, and samples of 12 bits;
    /// `TooManyPixels`; `Damaged`.
    fn open(source: &'a [u8]) -> Result<Self, Refusal> {
        let mut segments = Segments { source, at: 2 };
        let mut tables = Tables::default();
        let (mut frame, mut adobe, mut has_jfif) = (None, None, false);
        let (mut icc, mut orientation) = (Icc::default(), None);
        let first_scan = loop {
            let (marker, body) = segments.next()?;
            match marker {
                0xc0..=0xc2 if frame.is_none() => frame = Some(Frame::new(body, marker == 0xc2)?),
                0xc0..=0xc2 => return Err(damaged("two frames")),
                0xc3 | 0xc5..=0xcf if marker != HUFFMAN && marker != 0xc8 && marker != 0xcc => {
                    return Err(Refusal::UnsupportedFormat);
                }
                START_OF_SCAN => break body,
                END_OF_IMAGE => return Err(damaged("it has no picture")),
                0xe0 => has_jfif |= body.starts_with(b"JFIF\0"),
                // Of several Exif segments the first orientation counts, as in other decoders.
                0xe1 if orientation.is_none() => {
                    orientation = body.strip_prefix(b"Exif\0\0").and_then(Orientation::from_exif_chunk);
                }
                0xe2 => icc.add(body),
                0xee => adobe = body.strip_prefix(b"Adobe").and_then(|adobe| adobe.get(6)).copied().or(adobe),
                _ => tables.read(marker, body)?,
            }
        };
        let frame = frame.ok_or_else(|| damaged("a scan before its frame"))?;
        let model = frame.model(adobe, has_jfif)?;
        let orientation = orientation.unwrap_or(Orientation::NoTransforms);
        let header = Header { size: (frame.width, frame.height), model, orientation, icc: icc.whole() };
        Ok(Self { header, tables, frame, segments, first_scan })
    }

    /// The planes in the order of the components, each at the smallest N/8 that has `scale` times the pixels of the
    /// image and [`MARGIN`]; chroma, of which a JPEG thumbnail has half as many each way, at half that, and no margin.
    fn decode(mut self, scale: f64) -> Result<Vec<Plane>, Refusal> {
        let has_chroma = matches!(self.header.model, Model::YCbCr | Model::Ycck { .. });
        let mut reduced: Vec<Reduced> = Vec::new();
        for (index, component) in self.frame.components.iter().enumerate() {
            let scale = if has_chroma && matches!(index, 1 | 2) { scale / 2.0 } else { scale * MARGIN };
            let (across, down) = component.sampling;
            let most = f64::from(self.frame.most.0) / f64::from(across);
            let most = most.max(f64::from(self.frame.most.1) / f64::from(down));
            // A billionth less, so that an exact eighth is not rounded up to the next.
            let size = ((8.0 * scale * most - 1e-9).ceil() as usize).clamp(1, 8);
            reduced.push(Reduced::new(&self.frame, component, size));
        }
        let mut scan_header = self.first_scan;
        for _ in 0..JPEG_SCANS {
            let (data, at) = (self.segments.source, self.segments.at);
            self.segments.at = scan::read(scan_header, &mut self.frame, &mut self.tables, &mut reduced, data, at)?;
            scan_header = loop {
                let (marker, body) = self.segments.next()?;
                match marker {
                    START_OF_SCAN => break body,
                    END_OF_IMAGE => {
                        return reduced.into_iter().zip(&self.frame.components).map(|(s, c)| s.end(c)).collect();
                    }
                    _ => self.tables.read(marker, body)?,
                }
            };
        }
        Err(damaged("too many scans"))
    }
}

impl Frame {
    fn new(body: &[u8], is_progressive: bool) -> Result<Self, Refusal> {
        let [precision, high, low, wide, narrow, count, ref components @ ..] = *body else {
            return Err(damaged("a frame"));
        };
        let (height, width) = (u16::from_be_bytes([high, low]).into(), u16::from_be_bytes([wide, narrow]).into());
        if precision != 8 || !matches!(count, 1 | 3 | 4) {
            return Err(Refusal::UnsupportedFormat);
        }
        checked_size(width, height)?;
        let components = components.get(..3 * usize::from(count)).ok_or_else(|| damaged("a frame"))?;
        let components = components.chunks_exact(3).map(|component| {
            let sampling = (u32::from(component[1] >> 4), u32::from(component[1] & 15));
            if !(1..=4).contains(&sampling.0) || !(1..=4).contains(&sampling.1) || component[2] > 3 {
                return Err(damaged("a frame"));
            }
            Ok(Component { id: component[0], sampling, quantization_table: component[2].into(), quantization: None })
        });
        let mut components: Vec<_> = components.collect::<Result<_, _>>()?;
        // What a lone component says of its sampling means nothing.
        if let [component] = &mut components[..] {
            component.sampling = (1, 1);
        }
        let most = components
            .iter()
            .fold((1, 1), |most, Component { sampling, .. }| (sampling.0.max(most.0), sampling.1.max(most.1)));
        Ok(Self { width, height, is_progressive, components, most })
    }

    /// As libjpeg guesses it.
    fn model(&self, adobe: Option<u8>, has_jfif: bool) -> Result<Model, Refusal> {
        let inverted = adobe.is_some();
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        Ok(match (ids.len(), adobe) {
            (1, _) => Model::Grey,
            (3, _) if has_jfif => Model::YCbCr,
            (3, Some(0)) => Model::Rgb,
            (3, None) if ids == *b"RGB" => Model::Rgb,
            (3, _) => Model::YCbCr,
            (4, None | Some(0)) => Model::Cmyk { inverted },
            (4, Some(_)) => Model::Ycck { inverted },
            _ => return Err(Refusal::UnsupportedFormat),
        })
    }
}

impl<'a> Tables<'a> {
    fn read(&mut self, marker: u8, mut body: &'a [u8]) -> Result<(), Refusal> {
        match marker {
            QUANTIZATION => {
                while let [kind, rest @ ..] = body {
                    let wide = usize::from(kind >> 4 != 0);
                    let values = rest.get(..64 << wide).ok_or_else(|| damaged("a quantization table"))?;
                    let table = self.quantization.get_mut(usize::from(kind & 15));
                    *table.ok_or_else(|| damaged("a quantization table"))? =
                        Some(std::array::from_fn(|k| match wide {
                            0 => u16::from(values[k]),
                            _ => u16::from_be_bytes([values[2 * k], values[2 * k + 1]]),
                        }));
                    body = &rest[64 << wide..];
                }
            }
            HUFFMAN => {
                while let [kind, rest @ ..] = body {
                    self.defined += 1;
                    if self.defined > JPEG_HUFFMAN_TABLES {
                        return Err(damaged(format_args!("more than {JPEG_HUFFMAN_TABLES} Huffman tables for a scan")));
                    }
                    let (counts, rest) = rest.split_first_chunk().ok_or_else(|| damaged("a Huffman table"))?;
                    let count = counts.iter().map(|&count| usize::from(count)).sum();
                    let symbols = rest.get(..count).ok_or_else(|| damaged("a Huffman table"))?;
                    let tables = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
                    let table = tables.get_mut(usize::from(kind & 15));
                    *table.ok_or_else(|| damaged("a Huffman table"))? = Some(Table::new(counts, symbols));
                    body = &rest[count..];
                }
            }
            RESTART_INTERVAL => match *body {
                [high, low, ..] => self.restart_interval = u16::from_be_bytes([high, low]).into(),
                _ => return Err(damaged("a restart interval")),
            },
            // Comments, data of applications.
            _ => {}
        }
        Ok(())
    }
}

/// A colour profile, which comes in numbered pieces.
#[derive(Default)]
struct Icc<'a> {
    pieces: Vec<(u8, &'a [u8])>,
}

impl<'a> Icc<'a> {
    /// Pieces after the 255th are ignored: no number is left for them.
    fn add(&mut self, body: &'a [u8]) {
        if let Some([number, _, piece @ ..]) = body.strip_prefix(b"ICC_PROFILE\0")
            && self.pieces.len() < usize::from(u8::MAX)
        {
            self.pieces.push((*number, piece));
        }
    }

    /// The profile, or none where its pieces are empty or have more than [`PROFILE_BYTES`].
    fn whole(mut self) -> Option<Vec<u8>> {
        if self.pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>() > PROFILE_BYTES {
            return None;
        }
        self.pieces.sort_by_key(|(number, _)| *number);
        let whole: Vec<u8> = self.pieces.into_iter().flat_map(|(_, piece)| piece).copied().collect();
        (!whole.is_empty()).then_some(whole)
    }
}

//! TIFF; of several pages, the first. The strips or tiles are unpacked row by row, and each row is shrunk when it is
//! unpacked: scanners write a whole page as one strip. JPEG data has the decoder of JPEG files. Names are those of TIFF 6.0.
//!
//! The crate `tiff` unpacks a strip whole. Measured on 2026-11-29: for a picture of 49 megapixels in one LZW strip, decoding
//! alone has a peak memory of 152 MB in `tiff` 0.11.3, and takes 0.41 s of processor time. The whole job takes 9 MB here,
//! besides the file.

use std::time::Instant;

use exif::Tag;
use image::metadata::Orientation;

use crate::limits::{
    MAX_PROFILE_BYTES, MAX_SOURCE_PIXELS, MAX_TIFF_JPEG_PIXELS, MAX_TIFF_JPEG_TILE_PIXELS, MAX_TIFF_SAMPLES,
    MIN_TIFF_TILE_PIXELS, TIFF_ROWS_TIMEOUT,
};

use super::{
    ColorType, Content, Decoded, ImageError, OutputFormat, Pixels, Target, check_size,
    color::unpremultiply,
    damaged, jpeg,
    planes::{ColorSpace, ycbcr_to_rgb},
    resize,
    shrink::Shrinker,
};
use ifd::{Ifd, Values};
use unpack::Unpacker;

mod ifd;
mod unpack;

const IMAGE_WIDTH: u16 = 256;
const IMAGE_LENGTH: u16 = 257;
const BITS_PER_SAMPLE: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC_INTERPRETATION: u16 = 262;
const FILL_ORDER: u16 = 266;
const STRIP_OFFSETS: u16 = 273;
const ORIENTATION: u16 = 274;
const SAMPLES_PER_PIXEL: u16 = 277;
const ROWS_PER_STRIP: u16 = 278;
const STRIP_BYTE_COUNTS: u16 = 279;
const PLANAR_CONFIGURATION: u16 = 284;
const T4_OPTIONS: u16 = 292;
const PREDICTOR: u16 = 317;
const COLOR_MAP: u16 = 320;
const TILE_WIDTH: u16 = 322;
const TILE_LENGTH: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTE_COUNTS: u16 = 325;
const EXTRA_SAMPLES: u16 = 338;
const SAMPLE_FORMAT: u16 = 339;
const JPEG_TABLES: u16 = 347;
const YCBCR_SUBSAMPLING: u16 = 530;
const EXIF_IFD: u16 = 34665;
const ICC_PROFILE: u16 = 34675;

/// The value of `Compression` for strips and tiles that are whole JPEG files, but for their tables.
const JPEG_COMPRESSION: u64 = 7;

pub fn decode(source: &[u8], max_width: u32) -> Result<Decoded, ImageError> {
    let image = Image::parse(source)?;
    let exif = image.ifd.number(EXIF_IFD).and_then(|at| image.ifd.at(at).ok());
    let taken_at = exif.and_then(|exif| super::exif::time(|tag: Tag| exif.text(tag.number())));
    let orientation = image.ifd.number(ORIENTATION).and_then(|value| Orientation::from_exif(value.try_into().ok()?));
    let target = Target::new(image.size, orientation.unwrap_or(Orientation::NoTransforms), max_width);
    let icc = image.ifd.get(ICC_PROFILE).map(|icc| icc.bytes).filter(|icc| icc.len() <= MAX_PROFILE_BYTES);
    let icc = icc.map(<[u8]>::to_vec);
    let (color_type, is_jpeg) = (image.color_type(), image.compression == JPEG_COMPRESSION);
    let format = match image.color {
        Color::Palette(_) => OutputFormat::Png,
        _ if color_type.has_alpha() || image.bits == 1 => OutputFormat::Png,
        _ => OutputFormat::Jpeg,
    };
    if is_jpeg {
        image.check_jpeg()?;
    }
    if is_jpeg && image.is_one_strip() {
        let pixels = jpeg::decode_whole(&image.jpeg(0)?, image.jpeg_color_space(), &target)?;
        return Ok(Decoded { target, content: Content::Pixels(pixels), color_type, icc, taken_at, format });
    }
    let pixels = if is_jpeg { image.shrink_jpegs(&target)? } else { image.shrink_rows(&target)? };
    let content = Content::Pixels(resize::rgba(pixels, target.size, color_type.has_alpha())?.rgba);
    Ok(Decoded { target, content, color_type, icc, taken_at, format })
}

/// The meaning of the samples.
enum Color {
    Grey { is_white_zero: bool },
    Palette(Vec<[u8; 3]>),
    Rgb,
    Cmyk,
    YCbCr,
}

#[derive(Clone, Copy, PartialEq)]
enum Alpha {
    /// The colours are multiplied by it.
    Associated,
    Unassociated,
}

/// The fields of a page.
struct Image<'a> {
    source: &'a [u8],
    ifd: Ifd<'a>,
    size: (u32, u32),
    bits: usize,
    /// Samples of a pixel, and how many of them stand together: all, or one if each plane is stored on its own.
    samples: usize,
    samples_together: usize,
    compression: u64,
    color: Color,
    alpha: Option<Alpha>,
    has_predictor: bool,
    is_tiled: bool,
    /// The size of a tile; strips are tiles of the width of the image.
    tile: (u32, u32),
    offsets: Values<'a>,
    byte_counts: Option<Values<'a>>,
}

impl<'a> Image<'a> {
    fn parse(source: &'a [u8]) -> Result<Self, ImageError> {
        let ifd = Ifd::first(source)?;
        let number = |tag, default| ifd.number(tag).unwrap_or(default);
        let pixels = |tag| number(tag, 0).try_into().unwrap_or(u32::MAX);
        let size = check_size(pixels(IMAGE_WIDTH), pixels(IMAGE_LENGTH), MAX_SOURCE_PIXELS)?;
        let (samples, compression) = (number(SAMPLES_PER_PIXEL, 1), number(COMPRESSION, 1));
        let bits = bits(&ifd, samples)?;
        let color = color(&ifd, samples, compression, bits)?;
        let samples = samples as usize;
        let alpha = alpha(&ifd, &color, samples);
        let is_planar = number(PLANAR_CONFIGURATION, 1) == 2 && samples > 1;
        let has_predictor = match (compression, number(PREDICTOR, 1)) {
            (5 | 8 | 32946, 2) if bits.is_multiple_of(8) => true,
            (5 | 8 | 32946, 2..) => return Err(ImageError::UnsupportedFormat),
            _ => false,
        };
        let is_tiled = ifd.get(TILE_WIDTH).is_some();
        let tile = if is_tiled {
            (pixels(TILE_WIDTH), pixels(TILE_LENGTH))
        } else {
            let rows = number(ROWS_PER_STRIP, u64::MAX).min(size.1.into());
            (size.0, rows as u32)
        };
        let tile = check_size(tile.0, tile.1, MAX_SOURCE_PIXELS)?;
        if is_tiled && u64::from(tile.0) * u64::from(tile.1) < MIN_TIFF_TILE_PIXELS {
            return Err(damaged("its tiles are too small"));
        }
        let (offsets, byte_counts) =
            if is_tiled { (TILE_OFFSETS, TILE_BYTE_COUNTS) } else { (STRIP_OFFSETS, STRIP_BYTE_COUNTS) };
        Ok(Self {
            source,
            ifd,
            size,
            bits,
            samples,
            samples_together: if is_planar { 1 } else { samples },
            compression,
            color,
            alpha,
            has_predictor,
            is_tiled,
            tile,
            offsets: ifd.get(offsets).ok_or_else(|| damaged("it has no pixels"))?,
            byte_counts: ifd.get(byte_counts),
        })
    }

    fn color_type(&self) -> ColorType {
        match (&self.color, self.alpha) {
            (Color::Grey { .. }, None) => ColorType::Grey,
            (Color::Grey { .. }, Some(_)) => ColorType::GreyAlpha,
            (Color::Rgb, Some(_)) => ColorType::Rgba,
            (Color::Cmyk, _) => ColorType::Cmyk,
            _ => ColorType::Rgb,
        }
    }

    /// The channels of the result.
    fn channels(&self) -> usize {
        match &self.color {
            Color::Palette(_) => 3,
            color => color.samples() + usize::from(self.alpha.is_some()),
        }
    }

    /// The numbers of tiles across and down.
    fn tiles(&self) -> (usize, usize) {
        (self.size.0.div_ceil(self.tile.0) as usize, self.size.1.div_ceil(self.tile.1) as usize)
    }

    /// Calls `each` with the index of each tile, its position, and the part of its size that the image covers.
    fn for_each_tile(
        &self,
        mut each: impl FnMut(usize, (usize, usize), (usize, usize)) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let (across, down) = self.tiles();
        for index in 0..across * down {
            let x = index % across * self.tile.0 as usize;
            let y = index / across * self.tile.1 as usize;
            each(index, (x, y), ((self.tile.0 as usize).min(width - x), (self.tile.1 as usize).min(height - y)))?;
        }
        Ok(())
    }

    /// The data of a strip or tile.
    fn data(&self, index: usize) -> Result<&'a [u8], ImageError> {
        let offset = self.offsets.get(index).and_then(|at| usize::try_from(at).ok());
        let rest = offset.and_then(|at| self.source.get(at..)).ok_or_else(|| damaged("a strip is missing"))?;
        // Some old programs left the sizes out.
        let size = self.byte_counts.and_then(|counts| counts.get(index)).and_then(|size| usize::try_from(size).ok());
        Ok(&rest[..rest.len().min(size.filter(|size| *size > 0).unwrap_or(usize::MAX))])
    }

    fn shrinker(&self, target: &Target) -> Shrinker {
        match self.color_type() {
            ColorType::Cmyk => Shrinker::of_inks(target),
            _ => Shrinker::new(target, self.channels()),
        }
    }

    /// Unpacks all strips or tiles.
    fn shrink_rows(&self, target: &Target) -> Result<Pixels, ImageError> {
        let mut shrinker = self.shrinker(target);
        let number = |tag, default| self.ifd.number(tag).unwrap_or(default);
        let is_reversed = number(FILL_ORDER, 1) == 2;
        let has_two_dimensions = number(T4_OPTIONS, 0) & 1 == 1;
        let planes = self.samples / self.samples_together;
        let mut unpackers = Vec::new();
        for _ in 0..planes {
            unpackers.push(Unpacker::new(self.compression, self.tile.0, is_reversed, has_two_dimensions)?);
        }
        let tile_width = self.tile.0 as usize;
        let mut packed = vec![0; (tile_width * self.samples_together * self.bits).div_ceil(8)];
        let mut samples = vec![0; tile_width * self.samples];
        let mut pixels = vec![0; tile_width * self.channels()];
        let samples_of_byte = self.samples_of_byte();
        let tiles = self.tiles().0 * self.tiles().1;
        let is_whole_row = self.tile.0 == self.size.0;
        let deadline = Deadline::new();
        self.for_each_tile(|index, (x, y), (width, height)| {
            for (plane, unpacker) in unpackers.iter_mut().enumerate() {
                unpacker.start(self.data(index + plane * tiles)?)?;
            }
            for y in y..y + height {
                deadline.check()?;
                for (plane, unpacker) in unpackers.iter_mut().enumerate() {
                    unpacker.read_row(&mut packed)?;
                    self.undo_predictor(&mut packed);
                    self.unpack_samples(&packed, plane, samples_of_byte.as_deref(), &mut samples);
                }
                self.convert(&samples[..width * self.samples], &mut pixels);
                let part = &mut pixels[..width * self.channels()];
                if is_whole_row { shrinker.add_row(y, part) } else { shrinker.add_part(x, y, part) }
            }
            Ok(())
        })?;
        Ok(shrinker.into_pixels())
    }

    /// Adds the differences of horizontal differencing.
    fn undo_predictor(&self, packed: &mut [u8]) {
        if !self.has_predictor {
            return;
        }
        let (bytes, distance) = (self.bits / 8, self.samples_together * self.bits / 8);
        match (bytes, distance) {
            (1, 1) => return add_differences::<1>(packed),
            (1, 3) => return add_differences::<3>(packed),
            (1, 4) => return add_differences::<4>(packed),
            _ => {}
        }
        for at in (distance..packed.len()).step_by(bytes) {
            // Bytes are added from the lowest one on, and carry into the next one.
            let mut carry = false;
            for byte in 0..bytes {
                let at = at + if self.ifd.is_big_endian { bytes - 1 - byte } else { byte };
                let sum = u16::from(packed[at]) + u16::from(packed[at - distance]) + u16::from(carry);
                packed[at] = sum as u8;
                carry = sum > 255;
            }
        }
    }

    /// The samples of each byte, where a byte has several whole samples.
    fn samples_of_byte(&self) -> Option<Box<[[u8; 8]; 256]>> {
        if !matches!(self.bits, 1 | 2 | 4) {
            return None;
        }
        let mut table = Box::new([[0; 8]; 256]);
        for (byte, samples) in (0..=255).zip(table.iter_mut()) {
            self.unpack_bits(&[byte], samples.iter_mut().take(8 / self.bits));
        }
        Some(table)
    }

    /// Writes the samples of a row as bytes: indexes of the palette, or values up to 255.
    fn unpack_samples(
        &self,
        packed: &[u8],
        plane: usize,
        samples_of_byte: Option<&[[u8; 8]; 256]>,
        samples: &mut [u8],
    ) {
        let step = self.samples / self.samples_together;
        match samples_of_byte {
            Some(table) if step == 1 => {
                for (to, byte) in samples.chunks_mut(8 / self.bits).zip(packed) {
                    to.copy_from_slice(&table[usize::from(*byte)][..to.len()]);
                }
                return;
            }
            None if step == 1 && self.bits == 8 => return samples.copy_from_slice(packed),
            _ => {}
        }
        let samples = samples.iter_mut().skip(plane).step_by(step);
        match self.bits {
            8 => samples.zip(packed).for_each(|(to, sample)| *to = *sample),
            16.. => {
                let bytes = self.bits / 8;
                let highest = if self.ifd.is_big_endian { 0 } else { bytes - 1 };
                samples.zip(packed.iter().skip(highest).step_by(bytes)).for_each(|(to, sample)| *to = *sample);
            }
            _ => self.unpack_bits(packed, samples),
        }
    }

    /// Writes samples that are not whole bytes.
    fn unpack_bits<'b>(&self, packed: &[u8], samples: impl Iterator<Item = &'b mut u8>) {
        let bits = self.bits;
        let most = if matches!(self.color, Color::Palette(_)) { 255 } else { (1 << bits) - 1 };
        for (index, to) in samples.enumerate() {
            let mut sample = 0_u32;
            for at in index * bits..(index + 1) * bits {
                sample = sample << 1 | u32::from(packed[at / 8] >> (7 - at % 8) & 1);
            }
            *to = (sample * 255 / most) as u8;
        }
    }

    /// Converts the samples of a row to the channels of the result.
    fn convert(&self, samples: &[u8], pixels: &mut [u8]) {
        let channels = self.channels();
        let all = pixels.chunks_exact_mut(channels).zip(samples.chunks_exact(self.samples));
        match &self.color {
            Color::Palette(palette) => {
                all.for_each(|(to, from)| to.copy_from_slice(&palette[usize::from(from[0])]));
            }
            Color::YCbCr => all.for_each(|(to, from)| to.copy_from_slice(&ycbcr_to_rgb(from[0], from[1], from[2]))),
            Color::Grey { is_white_zero: true } if self.samples == 1 => {
                pixels.iter_mut().zip(samples).for_each(|(to, from)| *to = 255 - *from);
            }
            Color::Grey { is_white_zero: true } => all.for_each(|(to, from)| {
                to.copy_from_slice(&from[..channels]);
                to[0] = 255 - to[0];
            }),
            Color::Grey { .. } | Color::Rgb | Color::Cmyk if self.samples == channels => {
                pixels[..samples.len()].copy_from_slice(samples);
            }
            Color::Grey { .. } | Color::Rgb | Color::Cmyk => {
                all.for_each(|(to, from)| to.copy_from_slice(&from[..channels]));
            }
        }
        if self.alpha == Some(Alpha::Associated) {
            for pixel in pixels.chunks_exact_mut(channels) {
                if let [colors @ .., alpha] = pixel {
                    for color in colors {
                        *color = unpremultiply((*color).into(), (*alpha).into());
                    }
                }
            }
        }
    }

    /// Checks that the JPEG data is of a kind that is supported.
    fn check_jpeg(&self) -> Result<(), ImageError> {
        let is_supported = self.samples_together == self.samples
            && self.samples == self.color.samples()
            && !matches!(self.color, Color::Palette(_) | Color::Grey { is_white_zero: true })
            // Blocks of eight rows would be decoded again and again for smaller strips.
            && (self.tile.1.is_multiple_of(8) || self.tile.1 == self.size.1);
        if is_supported { Ok(()) } else { Err(ImageError::UnsupportedFormat) }
    }

    fn is_one_strip(&self) -> bool {
        self.tile == self.size
    }

    fn jpeg_color_space(&self) -> ColorSpace {
        match self.color {
            Color::Rgb => ColorSpace::Rgb,
            Color::YCbCr => ColorSpace::YCbCr,
            Color::Cmyk => ColorSpace::Cmyk { inverted: false },
            Color::Grey { .. } | Color::Palette(_) => ColorSpace::Grey,
        }
    }

    /// The JPEG of a strip or tile, with the tables that all of them share.
    fn jpeg(&self, index: usize) -> Result<Vec<u8>, ImageError> {
        let data = self.data(index)?;
        let tables = self.ifd.get(JPEG_TABLES).map(|tables| tables.bytes).unwrap_or_default();
        let tables = tables.strip_suffix(b"\xff\xd9").unwrap_or(tables);
        let tables = tables.get(2..).unwrap_or_default();
        let data = data.strip_prefix(b"\xff\xd8").ok_or_else(|| damaged("a strip is no JPEG"))?;
        Ok([b"\xff\xd8", tables, data].concat())
    }

    /// Decodes all strips or tiles, at as many eighths of their size as a JPEG file would have, if their sides are multiples
    /// of eight.
    fn shrink_jpegs(&self, target: &Target) -> Result<Pixels, ImageError> {
        check_size(self.size.0, self.size.1, MAX_TIFF_JPEG_PIXELS)?;
        check_size(self.tile.0, self.tile.1, MAX_TIFF_JPEG_TILE_PIXELS)?;
        let are_multiples = self.tile.1.is_multiple_of(8) && (!self.is_tiled || self.tile.0.is_multiple_of(8));
        let n = if are_multiples { jpeg::eighths(target.scale) } else { 8 };
        let reduced = |side: usize| (side * n as usize).div_ceil(8);
        let (width, height) = (reduced(self.size.0 as usize), reduced(self.size.1 as usize));
        let mut shrinker = self.shrinker(&Target { source_size: (width as u32, height as u32), ..*target });
        let channels = self.channels();
        let mut part = Vec::new();
        let deadline = Deadline::new();
        self.for_each_tile(|index, (x, y), covered| {
            deadline.check()?;
            let size = if self.is_tiled { self.tile } else { (covered.0 as u32, covered.1 as u32) };
            let pixels = jpeg::decode_eighths(&self.jpeg(index)?, self.jpeg_color_space(), size, n)?;
            let rows = pixels.chunks_exact(reduced(size.0 as usize)).take(reduced(covered.1));
            for (row, y) in rows.zip(reduced(y)..) {
                part.clear();
                part.extend(row[..reduced(covered.0)].iter().flat_map(|pixel| &pixel[..channels]));
                if covered.0 as u32 == self.size.0 {
                    shrinker.add_row(y, &mut part);
                } else {
                    shrinker.add_part(reduced(x), y, &mut part);
                }
            }
            Ok(())
        })?;
        let mut pixels = shrinker.into_pixels();
        // The last row and column may cover less than a pixel.
        let covered = |side: u32, reduced: usize| f64::from(side * n) / 8.0 / reduced as f64;
        pixels.extent.0 *= covered(self.size.0, width);
        pixels.extent.1 *= covered(self.size.1, height);
        Ok(pixels)
    }
}

/// Adds to each sample of 8 bits the sample before it of the same channel.
fn add_differences<const CHANNELS: usize>(row: &mut [u8]) {
    let mut sums = [0_u8; CHANNELS];
    for pixel in row.as_chunks_mut::<CHANNELS>().0 {
        for (sum, sample) in sums.iter_mut().zip(pixel) {
            *sum = sum.wrapping_add(*sample);
            *sample = *sum;
        }
    }
}

/// The time at which unpacking has to end.
struct Deadline(Instant);

impl Deadline {
    fn new() -> Self {
        Self(Instant::now() + TIFF_ROWS_TIMEOUT)
    }

    fn check(&self) -> Result<(), ImageError> {
        if self.0 < Instant::now() { Err(damaged("its data takes too long to unpack")) } else { Ok(()) }
    }
}

impl Color {
    /// The samples of a pixel without extra samples.
    fn samples(&self) -> usize {
        match self {
            Self::Grey { .. } | Self::Palette(_) => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Cmyk => 4,
        }
    }
}

/// The bits of a sample, which are the same for all samples.
fn bits(ifd: &Ifd<'_>, samples: u64) -> Result<usize, ImageError> {
    let is_unsigned = ifd
        .get(SAMPLE_FORMAT)
        .is_none_or(|formats| formats.iter().take(samples as usize).all(|format| matches!(format, 1 | 4)));
    let bits = ifd.number(BITS_PER_SAMPLE).unwrap_or(1);
    let is_uniform =
        ifd.get(BITS_PER_SAMPLE).is_none_or(|all| all.iter().take(samples as usize).all(|other| other == bits));
    let is_supported = is_unsigned && is_uniform && (1..=MAX_TIFF_SAMPLES).contains(&samples);
    match bits {
        1..=8 | 10 | 12 | 14 | 16 | 32 if is_supported => Ok(bits as usize),
        _ => Err(ImageError::UnsupportedFormat),
    }
}

fn color(ifd: &Ifd<'_>, samples: u64, compression: u64, bits: usize) -> Result<Color, ImageError> {
    let default = match samples {
        3.. => 2,
        // Fax machines write black as 1.
        _ => u64::from(!matches!(compression, 2..=4)),
    };
    let color = match ifd.number(PHOTOMETRIC_INTERPRETATION).unwrap_or(default) {
        0 => Color::Grey { is_white_zero: true },
        1 => Color::Grey { is_white_zero: false },
        2 => Color::Rgb,
        3 if bits <= 8 => Color::Palette(palette(ifd, bits)?),
        5 => Color::Cmyk,
        6 if compression == JPEG_COMPRESSION => Color::YCbCr,
        // Without JPEG, chroma is subsampled by two unless the field says otherwise.
        6 if ifd.get(YCBCR_SUBSAMPLING).is_some_and(|factors| factors.iter().all(|factor| factor == 1)) => Color::YCbCr,
        _ => return Err(ImageError::UnsupportedFormat),
    };
    if samples < color.samples() as u64 { Err(damaged("its samples")) } else { Ok(color) }
}

fn alpha(ifd: &Ifd<'_>, color: &Color, samples: usize) -> Option<Alpha> {
    if samples <= color.samples() || !matches!(color, Color::Grey { .. } | Color::Rgb) {
        return None;
    }
    match ifd.get(EXTRA_SAMPLES) {
        // The field is required, but old programs left it out.
        None if samples == 4 => Some(Alpha::Unassociated),
        None => None,
        Some(extra) => match extra.get(0) {
            Some(1) => Some(Alpha::Associated),
            Some(2) => Some(Alpha::Unassociated),
            _ => None,
        },
    }
}

/// The colours by index: all reds, then all greens, then all blues, of 16 bits each.
fn palette(ifd: &Ifd<'_>, bits: usize) -> Result<Vec<[u8; 3]>, ImageError> {
    let map = ifd.get(COLOR_MAP).ok_or_else(|| damaged("it has no palette"))?;
    let count = 1 << bits;
    // Some old programs wrote values of 8 bits.
    let shift = if map.iter().take(3 * count).all(|value| value < 256) { 0 } else { 8 };
    let color = |index: usize| [0, 1, 2].map(|channel| (map.get(channel * count + index).unwrap_or(0) >> shift) as u8);
    let mut palette: Vec<_> = (0..count).map(color).collect();
    palette.resize(256, [0; 3]);
    Ok(palette)
}

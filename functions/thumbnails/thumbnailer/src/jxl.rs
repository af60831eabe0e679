//! JPEG XL; of an animation, its first frame. A large picture is rendered in bands, because the library needs many bytes for
//! each pixel that it renders at once. Of a photograph that is large enough, only the LF image is decoded. Names are those of ISO/IEC 18181.

use std::{borrow::Cow, time::Instant};

use image::metadata::Orientation;
use jxl_bitstream::Bitstream;
use jxl_color::icc;
use jxl_oxide::{
    AllocTracker, CropInfo, EnumColourEncoding, ExtraChannelType, ImageHeader, InitializeResult, JxlImage, PixelFormat,
    Render, RenderingIntent,
    color::{ColourEncoding, ColourSpace, TransferFunction},
    frame::Encoding,
};
use jxl_oxide_common::Bundle;

use crate::limits::{
    JXL_BAND_PIXELS, JXL_TIMEOUT, MAX_JXL_BYTES, MAX_JXL_EXTRA_CHANNELS, MAX_JXL_FRAMES, MAX_JXL_PIXELS,
    MAX_JXL_PROFILE_BYTES, MAX_JXL_WHOLE_PIXELS, MAX_PROFILE_TAGS, MAX_SOURCE_PIXELS,
};

use super::{
    ColorType, Content, Decoded, ImageError, OutputFormat, Target, check_size, color::unpremultiply, damaged,
    exif::Exif, resize, shrink::Shrinker,
};

mod lf;

/// Bytes of the codestream that are read first to find the size of the picture, and bytes that are read at a time later.
const HEADER_BYTES: usize = 4 << 10;
const STEP_BYTES: usize = 64 << 10;

/// The largest side of a group of a `VarDCT` frame. Bands are whole groups.
const GROUP_SIDE: u32 = 256;

pub fn decode(source: &[u8], max_width: u32) -> Result<Decoded, ImageError> {
    let Container { codestream, exif } = Container::parse(source);
    let header_bytes = check_header(&codestream)?;
    let mut image = load(&codestream, header_bytes)?;
    if let Some(decoded) = decode_lf(&image, max_width, exif.taken_at.clone())? {
        return Ok(decoded);
    }
    let is_banded = check_frames(&image)?;
    let metadata = &image.image_header().metadata;
    let (is_xyb, is_grey) = (metadata.xyb_encoded, metadata.grayscale());
    let alpha = metadata.ec_info.iter().find(|extra| extra.is_alpha());
    let is_associated =
        alpha.is_some_and(|alpha| matches!(alpha.ty, ExtraChannelType::Alpha { alpha_associated: true }));
    if is_xyb {
        let intent = RenderingIntent::Relative;
        let srgb = if is_grey { EnumColourEncoding::gray_srgb(intent) } else { EnumColourEncoding::srgb(intent) };
        image.request_color_encoding(srgb);
    }
    let color_type = match image.pixel_format() {
        PixelFormat::Gray => ColorType::Grey,
        PixelFormat::Graya => ColorType::GreyAlpha,
        PixelFormat::Rgb => ColorType::Rgb,
        PixelFormat::Rgba => ColorType::Rgba,
        PixelFormat::Cmyk | PixelFormat::Cmyka => ColorType::Cmyk,
    };
    // The library turns the picture upright.
    let target = Target::new((image.width(), image.height()), Orientation::NoTransforms, max_width);
    let icc = if is_xyb { None } else { Some(image.rendered_icc()) };
    let pixels = render(&mut image, &target, color_type, is_associated, is_banded)?;
    let format = if color_type.has_alpha() { OutputFormat::Png } else { OutputFormat::Jpeg };
    Ok(Decoded { target, content: Content::Pixels(pixels), color_type, icc, taken_at: exif.taken_at, format })
}

/// Decodes the LF image alone, if it has at least as many pixels as the thumbnail.
fn decode_lf(image: &JxlImage, max_width: u32, taken_at: Option<String>) -> Result<Option<Decoded>, ImageError> {
    let header = image.image_header();
    let orientation = u8::try_from(header.metadata.orientation).ok().and_then(Orientation::from_exif);
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let target = Target::new((header.size.width, header.size.height), orientation, max_width);
    let is_enough = target.scale * f64::from(lf::BLOCK_SIDE) <= 1.0;
    let Some(frame) = lf::frame(image).filter(|_| is_enough) else { return Ok(None) };
    let pixels = resize::rgba(lf::decode(frame)?, target.size, false)?.rgba;
    let (color_type, format) = (ColorType::Rgb, OutputFormat::Jpeg);
    Ok(Some(Decoded { target, content: Content::Pixels(pixels), color_type, icc: None, taken_at, format }))
}

/// The content of a file: a codestream alone, or in boxes.
struct Container<'a> {
    codestream: Cow<'a, [u8]>,
    exif: Exif,
}

impl<'a> Container<'a> {
    fn parse(source: &'a [u8]) -> Self {
        if source.starts_with(&[0xff, 0x0a]) {
            return Self { codestream: source.into(), exif: Exif::default() };
        }
        let (mut codestream, mut exif) = (Cow::default(), None);
        for (kind, body) in boxes(source) {
            match (kind, body) {
                (b"jxlc", _) => codestream = Cow::Borrowed(body),
                // A part of the codestream: its number, then its bytes. The parts stand in order.
                (b"jxlp", [_, _, _, _, part @ ..]) => codestream.to_mut().extend_from_slice(part),
                // The offset of the TIFF structure, then that many bytes, then the structure.
                (b"Exif", [a, b, c, d, tiff @ ..]) if exif.is_none() => {
                    let offset = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                    exif = Some(tiff.get(offset..).map(Exif::parse).unwrap_or_default());
                }
                _ => {}
            }
        }
        Self { codestream, exif: exif.unwrap_or_default() }
    }
}

/// The kinds and bodies of the boxes. The last box may be cut off.
fn boxes(mut rest: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, after) = rest.split_first_chunk()?;
        let (kind, after) = after.split_first_chunk()?;
        let (size, body) = match u32::from_be_bytes(*size) {
            0 => (after.len(), after),
            1 => {
                let (size, body) = after.split_first_chunk()?;
                (usize::try_from(u64::from_be_bytes(*size).checked_sub(16)?).ok()?, body)
            }
            size => (size.checked_sub(8)? as usize, after),
        };
        let (body, after) = body.split_at(body.len().min(size));
        rest = after;
        Some((kind, body))
    })
}

/// Checks the header and the colour profile before the library sees them. Returns how many bytes contain both.
fn check_header(codestream: &[u8]) -> Result<usize, ImageError> {
    let mut length = HEADER_BYTES.min(codestream.len());
    loop {
        match parse_header(&codestream[..length])? {
            Some(()) => return Ok(length),
            None if length == codestream.len() || length > MAX_JXL_PROFILE_BYTES => {
                return Err(damaged("its header is cut off"));
            }
            // Each try reads the profile from its start.
            None => length = (8 * length).min(codestream.len()),
        }
    }
}

/// Checks the header that these bytes begin with. Returns none if it is cut off.
fn parse_header(codestream: &[u8]) -> Result<Option<()>, ImageError> {
    let mut bitstream = Bitstream::new(codestream);
    let header = match ImageHeader::parse(&mut bitstream, ()) {
        Ok(header) => header,
        Err(error) if error.unexpected_eof() => return Ok(None),
        Err(error) => return Err(damaged(error)),
    };
    check_size(header.width_with_orientation(), header.height_with_orientation(), MAX_SOURCE_PIXELS)?;
    if header.metadata.ec_info.len() > MAX_JXL_EXTRA_CHANNELS || header.metadata.preview.is_some() {
        return Err(ImageError::UnsupportedFormat);
    }
    if let ColourEncoding::Enum(encoding) = &header.metadata.colour_encoding {
        return check_encoding(encoding, header.metadata.xyb_encoded).map(Some);
    }
    match bitstream.clone().read_u64() {
        Ok(size) if size <= MAX_JXL_PROFILE_BYTES as u64 => {}
        Ok(_) => return Err(damaged("its colour profile is too long")),
        Err(error) if error.unexpected_eof() => return Ok(None),
        Err(error) => return Err(damaged(error)),
    }
    match icc::read_icc(&mut bitstream) {
        Ok(encoded) => check_profile(&encoded).map(Some),
        Err(error) if error.unexpected_eof() => Ok(None),
        Err(error) => Err(damaged(error)),
    }
}

/// Checks that a colour encoding without a profile says what the colours mean, as libjxl requires. For other encodings the
/// library panics when it writes their profile.
fn check_encoding(encoding: &EnumColourEncoding, xyb_encoded: bool) -> Result<(), ImageError> {
    let is_space_valid = match encoding.colour_space {
        ColourSpace::Rgb | ColourSpace::Grey => true,
        ColourSpace::Xyb => xyb_encoded,
        ColourSpace::Unknown => false,
    };
    let is_tf_valid = match encoding.tf {
        TransferFunction::Unknown => false,
        // From 1/8192 to 1, in units of a ten millionth.
        TransferFunction::Gamma { g, .. } => (10_000_000_u32.div_ceil(8192)..=10_000_000).contains(&g),
        _ => true,
    };
    if is_space_valid && is_tf_valid { Ok(()) } else { Err(damaged("its colour encoding")) }
}

/// Checks the encoded colour profile: its length, and that its tags are inside of it. The library does not check the sum of
/// the offset and the length of a tag.
fn check_profile(encoded: &[u8]) -> Result<(), ImageError> {
    // The encoded profile begins with its decoded length, with seven bits in each byte, the lowest first.
    let bytes = encoded.iter().take(9).enumerate();
    let mut length = 0_u64;
    for (index, byte) in bytes {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            break;
        }
    }
    if length > MAX_JXL_PROFILE_BYTES as u64 {
        return Err(damaged("its colour profile is too long"));
    }
    let profile = icc::decode_icc(encoded).map_err(damaged)?;
    let Some((count, tags)) = profile.get(128..).and_then(<[u8]>::split_first_chunk) else { return Ok(()) };
    let count = u32::from_be_bytes(*count);
    let is_inside = |tag: &[u8; 12]| {
        let [_, _, _, _, a, b, c, d, e, f, g, h] = *tag;
        let end = u32::from_be_bytes([a, b, c, d]).checked_add(u32::from_be_bytes([e, f, g, h]));
        end.is_some_and(|end| end as usize <= profile.len())
    };
    if count > MAX_PROFILE_TAGS || !tags.as_chunks().0.iter().take(count as usize).all(is_inside) {
        return Err(damaged("its colour profile"));
    }
    Ok(())
}

/// Loads the first frame that is shown.
fn load(codestream: &[u8], header_bytes: usize) -> Result<JxlImage, ImageError> {
    // The library copies the codestream.
    let tracker = AllocTracker::with_limit(MAX_JXL_BYTES.saturating_sub(2 * codestream.len()));
    let mut uninit = JxlImage::builder().alloc_tracker(tracker).build_uninit();
    let (header, rest) = codestream.split_at(header_bytes);
    if uninit.feed_bytes(header).map_err(damaged)? != header.len() {
        return Err(damaged("its header"));
    }
    let InitializeResult::Initialized(mut image) = uninit.try_init().map_err(damaged)? else {
        return Err(damaged("its header is cut off"));
    };
    for step in rest.chunks(STEP_BYTES) {
        if image.num_loaded_keyframes() > 0 || image.is_loading_done() {
            break;
        }
        if image.feed_bytes(step).map_err(damaged)? != step.len() {
            break;
        }
        if image.num_loaded_frames() > MAX_JXL_FRAMES {
            return Err(damaged("too many frames"));
        }
    }
    if image.num_loaded_keyframes() == 0 { Err(damaged("it has no whole frame")) } else { Ok(image) }
}

/// Checks the pixels of the frames that the first keyframe consists of, because each of them is rendered. Returns true if
/// the picture is rendered in bands: the library renders parts of a single `VarDCT` frame alone, but not of its extra
/// channels.
fn check_frames(image: &JxlImage) -> Result<bool, ImageError> {
    let frames = (0..=image.num_loaded_frames()).filter_map(|index| image.frame(index));
    let frames: Vec<_> = frames.map(|frame| frame.header()).collect();
    let is_single = matches!(frames[..], [frame] if frame.encoding == Encoding::VarDct && !frame.have_crop);
    let is_banded = is_single && image.image_header().metadata.ec_info.is_empty();
    let pixels =
        frames.iter().map(|frame| u64::from(frame.color_sample_width()) * u64::from(frame.color_sample_height()));
    let (width, height) = (image.width(), image.height());
    let pixels = pixels.fold(u64::from(width) * u64::from(height), u64::saturating_add);
    // The picture itself counts once, and its only frame again.
    let limit = if is_banded { MAX_JXL_PIXELS } else { MAX_JXL_WHOLE_PIXELS };
    if pixels > 2 * limit { Err(ImageError::TooManyPixels { width, height, limit }) } else { Ok(is_banded) }
}

fn render(
    image: &mut JxlImage,
    target: &Target,
    color_type: ColorType,
    is_associated: bool,
    is_banded: bool,
) -> Result<Vec<[u8; 4]>, ImageError> {
    let (width, height) = target.source_size;
    let (channels, mut shrinker) = match color_type {
        ColorType::Grey => (1, Shrinker::new(target, 1)),
        ColorType::GreyAlpha => (2, Shrinker::new(target, 2)),
        ColorType::Rgb => (3, Shrinker::new(target, 3)),
        ColorType::Rgba => (4, Shrinker::new(target, 4)),
        ColorType::Cmyk => (4, Shrinker::of_inks(target)),
    };
    let deadline = Instant::now() + JXL_TIMEOUT;
    let band = if is_banded { (JXL_BAND_PIXELS / width / GROUP_SIDE).max(1) * GROUP_SIDE } else { height };
    for top in (0..height).step_by(band as usize) {
        if deadline < Instant::now() {
            return Err(damaged("its data takes too long to decode"));
        }
        let region = CropInfo { width, height: band.min(height - top), left: 0, top };
        image.set_image_region(region);
        let render = image.render_frame(0).map_err(damaged)?;
        add_band(&render, region, channels, is_associated, color_type, &mut shrinker)?;
    }
    Ok(resize::rgba(shrinker.into_pixels(), target.size, color_type.has_alpha())?.rgba)
}

fn add_band(
    render: &Render,
    region: CropInfo,
    channels: usize,
    is_associated: bool,
    color_type: ColorType,
    shrinker: &mut Shrinker,
) -> Result<(), ImageError> {
    let mut stream = render.stream();
    let read = stream.channels() as usize;
    if stream.width() != region.width || stream.height() < region.height || read < channels {
        return Err(damaged("its pixels do not fit its size"));
    }
    // CMYK may have alpha too, which is left out.
    let mut samples = vec![0_u8; region.width as usize * read];
    let mut row = vec![0; region.width as usize * channels];
    for y in region.top..region.top + region.height {
        if stream.write_to_buffer(&mut samples) != samples.len() {
            return Err(damaged("rows are missing"));
        }
        for (to, from) in row.chunks_exact_mut(channels).zip(samples.chunks_exact(read)) {
            to.copy_from_slice(&from[..channels]);
            match (color_type, &mut *to) {
                // The library gives 0 for full ink.
                (ColorType::Cmyk, inks) => inks.iter_mut().for_each(|ink| *ink = 255 - *ink),
                (_, [colors @ .., alpha]) if is_associated && color_type.has_alpha() => {
                    for color in colors {
                        *color = unpremultiply((*color).into(), (*alpha).into());
                    }
                }
                _ => {}
            }
        }
        shrinker.add_row(y as usize, &mut row);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a picture of 8 x 8 pixels. Each value has a number of bits.
    fn header(xyb_encoded: u32, colour_space: &[(u32, u32)], transfer_function: &[(u32, u32)]) -> Vec<u8> {
        let mut bits = Vec::new();
        let mut push = |values: &[(u32, u32)]| {
            for &(value, count) in values {
                bits.extend((0..count).map(|bit| (value >> bit & 1) as u8));
            }
        };
        // The signature, and the size: its eighths, and a square.
        push(&[(0x0aff, 16), (1, 1), (0, 5), (1, 3)]);
        // No defaults, no extra fields, 8 bits, 16-bit buffers suffice, no extra channels.
        push(&[(0, 1), (0, 1), (0, 1), (0, 2), (1, 1), (0, 2), (xyb_encoded, 1)]);
        // No default, no profile.
        push(&[(0, 1), (0, 1)]);
        push(colour_space);
        if colour_space != XYB {
            // White point and primaries of sRGB.
            push(&[(1, 2), (1, 2)]);
        }
        push(transfer_function);
        // The rendering intent, no extensions, and default matrices.
        push(&[(1, 2), (0, 2), (1, 1)]);
        bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |sum, bit| sum << 1 | bit)).chain([0; 8]).collect()
    }

    const RGB: &[(u32, u32)] = &[(0, 2)];
    const XYB: &[(u32, u32)] = &[(2, 2), (0, 4)];
    const UNKNOWN_SPACE: &[(u32, u32)] = &[(2, 2), (1, 4)];
    const SRGB: &[(u32, u32)] = &[(0, 1), (2, 2), (11, 4)];

    fn gamma(g: u32) -> [(u32, u32); 2] {
        [(1, 1), (g, 24)]
    }

    #[test]
    fn colours_without_a_meaning_are_damaged() {
        let unknown = &[(0, 1), (2, 2), (0, 4)];
        for (xyb_encoded, space, tf) in
            [(0, RGB, SRGB), (1, RGB, SRGB), (1, XYB, SRGB), (0, RGB, &gamma(4_545_455)), (0, RGB, &gamma(1221))]
        {
            let seen = parse_header(&header(xyb_encoded, space, tf));
            assert!(matches!(seen, Ok(Some(()))), "{space:?} {tf:?}: {seen:?}");
        }
        for (xyb_encoded, space, tf) in [
            (0, RGB, &unknown[..]),
            (1, RGB, unknown),
            (0, UNKNOWN_SPACE, SRGB),
            (0, XYB, SRGB),
            (0, RGB, &gamma(0)),
            (0, RGB, &gamma(1220)),
            (0, RGB, &gamma(10_000_001)),
        ] {
            let error = parse_header(&header(xyb_encoded, space, tf)).unwrap_err().to_string();
            assert_eq!(error, "damaged image: its colour encoding", "{space:?} {tf:?}");
        }
    }
}

//! Thumbnails as files, without any metadata.

use ::png::{BitDepth, Compression, Filter};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

use super::{Colors, Format, Pixels, Refusal, Thumbnail, damaged};

/// Quality of JPEG thumbnails, of 100: the default of sharp and libvips.
const JPEG_QUALITY: u8 = 80;

pub fn encoded(picture: &Pixels, width: u32, colors: Colors, format: Format) -> Result<Thumbnail, Refusal> {
    let (bytes, content_type) = match format {
        Format::Jpeg => (jpeg(picture, colors)?, "image/jpeg"),
        Format::Png => (png(picture, colors)?, "image/png"),
    };
    Ok(Thumbnail { width, bytes, content_type })
}

fn jpeg(picture: &Pixels, colors: Colors) -> Result<Vec<u8>, Refusal> {
    let size = |pixels: u32| u16::try_from(pixels).map_err(damaged);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, JPEG_QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    // Its defaults are faster, and blur colours or give larger files.
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.set_optimized_huffman_tables(true);
    let (width, height) = (size(picture.width)?, size(picture.height)?);
    match colors {
        Colors::Grey => encoder.encode(&channels(picture, |[grey, ..]| [grey]), width, height, ColorType::Luma),
        _ => encoder.encode(picture.rgba.as_flattened(), width, height, ColorType::Rgba),
    }
    .map_err(damaged)?;
    Ok(bytes)
}

fn png(picture: &Pixels, colors: Colors) -> Result<Vec<u8>, Refusal> {
    let (color_type, data) = match colors {
        Colors::Grey => (::png::ColorType::Grayscale, channels(picture, |[grey, ..]| [grey])),
        Colors::GreyAlpha => (::png::ColorType::GrayscaleAlpha, channels(picture, |[grey, _, _, alpha]| [grey, alpha])),
        Colors::Rgb | Colors::Cmyk => (::png::ColorType::Rgb, channels(picture, |[r, g, b, _]| [r, g, b])),
        Colors::Rgba => (::png::ColorType::Rgba, picture.rgba.as_flattened().to_vec()),
    };
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, picture.width, picture.height);
    encoder.set_color(color_type);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(Filter::Adaptive);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&data)).map_err(damaged)?;
    Ok(bytes)
}

fn channels<const N: usize>(picture: &Pixels, of: fn([u8; 4]) -> [u8; N]) -> Vec<u8> {
    picture.rgba.iter().flat_map(|&pixel| of(pixel)).collect()
}

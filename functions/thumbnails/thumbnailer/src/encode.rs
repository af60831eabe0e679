//! Encodes thumbnails as files without metadata.

use ::png::{BitDepth, Compression, Filter};

use super::{ColorType, ImageError, Pixels, Thumbnail, damaged, jpeg, picture::Picture};

pub fn encode(picture: &Picture, width: u32) -> Result<Thumbnail, ImageError> {
    let (bytes, content_type) = match picture {
        Picture::Subsampled(picture) => (jpeg::encode(picture), "image/jpeg"),
        Picture::Pixels(picture, color_type) => (encode_png(picture, *color_type)?, "image/png"),
    };
    Ok(Thumbnail { width, bytes, content_type })
}

fn encode_png(picture: &Pixels, color_type: ColorType) -> Result<Vec<u8>, ImageError> {
    let (png_type, data) = match color_type {
        ColorType::Grey => (::png::ColorType::Grayscale, map_pixels(picture, |[grey, ..]| [grey])),
        ColorType::GreyAlpha => {
            (::png::ColorType::GrayscaleAlpha, map_pixels(picture, |[grey, _, _, alpha]| [grey, alpha]))
        }
        ColorType::Rgb | ColorType::Cmyk => (::png::ColorType::Rgb, map_pixels(picture, |[r, g, b, _]| [r, g, b])),
        ColorType::Rgba => (::png::ColorType::Rgba, picture.rgba.as_flattened().to_vec()),
    };
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, picture.width, picture.height);
    encoder.set_color(png_type);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Adaptive);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&data)).map_err(damaged)?;
    Ok(bytes)
}

fn map_pixels<const N: usize>(picture: &Pixels, map: fn([u8; 4]) -> [u8; N]) -> Vec<u8> {
    picture.rgba.iter().flat_map(|&pixel| map(pixel)).collect()
}

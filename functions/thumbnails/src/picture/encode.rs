//! Thumbnails as files, without any metadata.

use ::png::{BitDepth, Compression, Filter};

use super::{Colors, Format, Pixels, Refusal, Thumbnail, damaged, jpeg};

pub fn encoded(picture: &Pixels, width: u32, colors: Colors, format: Format) -> Result<Thumbnail, Refusal> {
    let (bytes, content_type) = match format {
        Format::Jpeg => (jpeg::encoded(picture, colors), "image/jpeg"),
        Format::Png => (png(picture, colors)?, "image/png"),
    };
    Ok(Thumbnail { width, bytes, content_type })
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
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Adaptive);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&data)).map_err(damaged)?;
    Ok(bytes)
}

fn channels<const N: usize>(picture: &Pixels, of: fn([u8; 4]) -> [u8; N]) -> Vec<u8> {
    picture.rgba.iter().flat_map(|&pixel| of(pixel)).collect()
}

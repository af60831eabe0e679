//! Resizes pictures and planes by Lanczos convolution.

use fast_image_resize::{
    Filter, FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer,
    images::TypedImage,
    pixels::{U8, U8x2, U8x3, U8x4},
};

use super::{ImageError, Pixels, damaged, planes::Plane};

/// Resizes RGBA pixels. If there is alpha, each colour is weighted by it, so that the colours of transparent pixels do not
/// bleed into their neighbours.
pub fn rgba(mut source: Pixels, size: (u32, u32), has_alpha: bool) -> Result<Pixels, ImageError> {
    let options = options((0.0, 0.0), source.extent, size).use_alpha(has_alpha);
    let rgba = convolve::<U8x4>(source.rgba.as_flattened_mut(), (source.width, source.height), size, &options)?;
    let rgba = rgba.as_chunks().0.to_vec();
    Ok(Pixels { width: size.0, height: size.1, extent: (size.0.into(), size.1.into()), rgba })
}

/// Resizes one component.
pub fn plane(mut source: Plane, size: (u32, u32)) -> Result<Vec<u8>, ImageError> {
    let is_whole = source.origin == (0.0, 0.0) && source.extent == (source.width.into(), source.height.into());
    if is_whole && (source.width, source.height) == size {
        return Ok(source.pixels);
    }
    let options = options(source.origin, source.extent, size).use_alpha(false);
    convolve::<U8>(&mut source.pixels, (source.width, source.height), size, &options)
}

/// Resizes interleaved pixels of 1 to 4 channels. The last of 2 or 4 is alpha.
pub fn interleaved(mut source: Plane, channels: usize, size: (u32, u32)) -> Result<Vec<u8>, ImageError> {
    let options = options(source.origin, source.extent, size).use_alpha(channels.is_multiple_of(2));
    let from = (source.width, source.height);
    match channels {
        1 => plane(source, size),
        2 => convolve::<U8x2>(&mut source.pixels, from, size, &options),
        3 => convolve::<U8x3>(&mut source.pixels, from, size, &options),
        _ => convolve::<U8x4>(&mut source.pixels, from, size, &options),
    }
}

fn options(origin: (f64, f64), extent: (f64, f64), size: (u32, u32)) -> ResizeOptions {
    // Chroma is enlarged from half the size, and Lanczos would add ringing there.
    let lanczos = || Filter::new("Lanczos3", lanczos3, 3.0).map_or(FilterType::Lanczos3, FilterType::Custom);
    let filter = if extent.0 < f64::from(size.0) { FilterType::Bilinear } else { lanczos() };
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(origin.0, origin.1, extent.0, extent.1)
}

/// The Lanczos window of three lobes, which is `FilterType::Lanczos3`, with one sine instead of two: the sine of three times
/// an angle follows from that of the angle.
fn lanczos3(x: f64) -> f64 {
    if x.abs() >= 3.0 {
        return 0.0;
    }
    let angle = x * (std::f64::consts::PI / 3.0);
    if angle.abs() < 1e-6 {
        return 1.0;
    }
    let sine = sine_up_to_pi(angle.abs());
    let squared = sine * sine;
    squared * (3.0 - 4.0 * squared) / (3.0 * angle * angle)
}

/// The sine of an angle from 0 to pi, by its series. The error is below 6e-8.
fn sine_up_to_pi(angle: f64) -> f64 {
    let angle = angle.min(std::f64::consts::PI - angle);
    let squared = angle * angle;
    let series = [1.0, -1.0 / 6.0, 1.0 / 120.0, -1.0 / 5_040.0, 1.0 / 362_880.0, -1.0 / 39_916_800.0];
    angle * series.iter().rev().fold(0.0, |sum, factor| sum * squared + factor)
}

/// Resizes pixels. The source is mutable so that the same type holds it, the result and the images between both: the crate
/// then compiles its loops once, which halves the time to compile this package.
fn convolve<P: PixelTrait>(
    source: &mut [u8],
    from: (u32, u32),
    to: (u32, u32),
    options: &ResizeOptions,
) -> Result<Vec<u8>, ImageError> {
    let mut resized = vec![0; to.0 as usize * to.1 as usize * P::size()];
    let source = TypedImage::<P>::from_buffer(from.0, from.1, source).map_err(damaged)?;
    let mut target = TypedImage::<P>::from_buffer(to.0, to.1, &mut resized).map_err(damaged)?;
    Resizer::new().resize_typed(&source, &mut target, options).map_err(damaged)?;
    drop(target);
    Ok(resized)
}

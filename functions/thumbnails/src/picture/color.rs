//! Colours as the web expects them: sRGB.

use moxcms::{ColorProfile, DataColorSpace, Layout, ParsingOptions, TransformOptions};
use shared::limits::{PROFILE_BYTES, PROFILE_TAGS};

use super::{Colors, Pixels, Refusal, Widest, damaged};

/// The pixels in sRGB. A profile that is broken, or made for other colours, is ignored, as browsers do.
pub fn srgb(widest: Widest) -> Result<Pixels, Refusal> {
    let Widest { target, mut pixels, colors, icc, .. } = widest;
    let profile = icc.and_then(|icc| profile(&icc));
    let profile = profile.filter(|profile| {
        profile.color_space
            == match colors {
                Colors::Grey | Colors::GreyAlpha => DataColorSpace::Gray,
                Colors::Rgb | Colors::Rgba => DataColorSpace::Rgb,
                Colors::Cmyk => DataColorSpace::Cmyk,
            }
    });
    let is_converted = match profile {
        Some(profile) => converted(&profile, colors, &mut pixels).is_ok(),
        None => false,
    };
    if colors == Colors::Cmyk && !is_converted {
        for [c, m, y, k] in &mut pixels {
            let left = |ink: u8| ((255 - u16::from(ink)) * (255 - u16::from(*k)) / 255) as u8;
            (*c, *m, *y) = (left(*c), left(*m), left(*y));
            *k = 255;
        }
    }
    let (width, height) = target.size;
    if pixels.len() != width as usize * height as usize {
        return Err(damaged("its pixels do not fit its size"));
    }
    Ok(Pixels { width, height, extent: (width.into(), height.into()), rgba: pixels })
}

/// A profile that can be read, and whose size is that of a profile in use.
fn profile(icc: &[u8]) -> Option<ColorProfile> {
    // The table of tags stands behind a header of 128 bytes, and begins with their number.
    let tags = u32::from_be_bytes(*icc.get(128..)?.first_chunk()?);
    let options = ParsingOptions { max_profile_size: PROFILE_BYTES, ..ParsingOptions::default() };
    if tags > PROFILE_TAGS { None } else { ColorProfile::new_from_slice_with_options(icc, options).ok() }
}

fn converted(profile: &ColorProfile, colors: Colors, pixels: &mut [[u8; 4]]) -> Result<(), moxcms::CmsError> {
    let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
    if matches!(colors, Colors::Grey | Colors::GreyAlpha) {
        let transform = profile.create_transform_8bit(Layout::Gray, &srgb, Layout::Rgb, options)?;
        let levels: [u8; 256] = std::array::from_fn(|level| level as u8);
        let mut converted = [[0; 3]; 256];
        transform.transform(&levels, converted.as_flattened_mut())?;
        for [r, g, b, _] in pixels {
            *r = converted[usize::from(*r)][0];
            (*g, *b) = (*r, *r);
        }
        return Ok(());
    }
    let transform = profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgba, options)?;
    let mut converted = vec![[0; 4]; pixels.len()];
    transform.transform(pixels.as_flattened(), converted.as_flattened_mut())?;
    pixels.copy_from_slice(&converted);
    Ok(())
}

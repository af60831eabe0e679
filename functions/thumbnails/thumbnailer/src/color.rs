//! Converts colours to sRGB, which browsers expect.

use moxcms::{ColorProfile, DataColorSpace, Layout, ParsingOptions, TransformOptions};

use crate::limits::{MAX_PROFILE_BYTES, MAX_PROFILE_TAGS};

use super::{ColorType, Content, Decoded, ImageError, Pixels, damaged, planes};

/// The colour that has been multiplied by this alpha; or, from a sum of such colours and the sum of their alphas, the
/// average of the colours.
pub fn unpremultiply(color: u16, alpha: u16) -> u8 {
    let straight = (u32::from(color) * 255 + u32::from(alpha) / 2).checked_div(alpha.into());
    straight.unwrap_or(0).min(255) as u8
}

/// Converts the pixels to sRGB. A profile that is broken or made for another colour type is ignored, as browsers do.
pub fn to_srgb(decoded: Decoded) -> Result<Pixels, ImageError> {
    let Decoded { target, content, color_type, icc, .. } = decoded;
    let mut pixels = match content {
        Content::Pixels(pixels) => pixels,
        Content::Planes(planes, color_space) => planes::merge(planes, color_space, target.size)?,
    };
    let profile = icc.and_then(|icc| parse_profile(&icc));
    let profile = profile.filter(|profile| {
        profile.color_space
            == match color_type {
                ColorType::Grey | ColorType::GreyAlpha => DataColorSpace::Gray,
                ColorType::Rgb | ColorType::Rgba => DataColorSpace::Rgb,
                ColorType::Cmyk => DataColorSpace::Cmyk,
            }
    });
    let is_converted = match profile {
        Some(profile) => apply_profile(&profile, color_type, &mut pixels).is_ok(),
        None => false,
    };
    if color_type == ColorType::Cmyk && !is_converted {
        for [c, m, y, k] in &mut pixels {
            let reflected = |ink: u8| ((255 - u16::from(ink)) * (255 - u16::from(*k)) / 255) as u8;
            (*c, *m, *y) = (reflected(*c), reflected(*m), reflected(*y));
            *k = 255;
        }
    }
    let (width, height) = target.size;
    if pixels.len() != width as usize * height as usize {
        return Err(damaged("its pixels do not fit its size"));
    }
    Ok(Pixels { width, height, extent: (width.into(), height.into()), rgba: pixels })
}

/// Parses a profile. Returns none if the profile is broken or larger than the limits.
fn parse_profile(icc: &[u8]) -> Option<ColorProfile> {
    // The tag table follows a header of 128 bytes, and begins with the number of tags.
    let tags = u32::from_be_bytes(*icc.get(128..)?.first_chunk()?);
    let options = ParsingOptions { max_profile_size: MAX_PROFILE_BYTES, ..ParsingOptions::default() };
    if tags > MAX_PROFILE_TAGS { None } else { ColorProfile::new_from_slice_with_options(icc, options).ok() }
}

fn apply_profile(
    profile: &ColorProfile,
    color_type: ColorType,
    pixels: &mut [[u8; 4]],
) -> Result<(), moxcms::CmsError> {
    let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
    if matches!(color_type, ColorType::Grey | ColorType::GreyAlpha) {
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

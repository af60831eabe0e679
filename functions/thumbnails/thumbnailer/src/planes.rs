//! Colour components in planes of their own sizes, as JPEG and lossy WebP store them.

use super::{ImageError, resize};

/// One colour component, shrunk.
pub struct Plane {
    pub width: u32,
    pub height: u32,
    /// The part of the plane that the image covers, in pixels: the last row and column may cover less than a pixel.
    pub extent: (f64, f64),
    pub pixels: Vec<u8>,
}

/// The meaning of the components.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ColorSpace {
    Grey,
    /// Full range, as in JFIF.
    YCbCr,
    /// Limited range (16 to 235), as in video and WebP.
    LimitedYCbCr,
    Rgb,
    /// Ink. If `inverted`, 255 means no ink, as Adobe writes it.
    Cmyk {
        inverted: bool,
    },
    /// CMY as `YCbCr`, then K.
    Ycck {
        inverted: bool,
    },
}

/// Merges planes into pixels of this size: RGBA, or CMYK where 255 means full ink.
pub fn merge(planes: Vec<Plane>, color_space: ColorSpace, size: (u32, u32)) -> Result<Vec<[u8; 4]>, ImageError> {
    let planes: Vec<Vec<u8>> = planes.into_iter().map(|plane| resize::plane(plane, size)).collect::<Result<_, _>>()?;
    let merge_three = |a: &[u8], b: &[u8], c: &[u8], to_rgb: fn(u8, u8, u8) -> [u8; 3]| {
        let pixels = a.iter().zip(b).zip(c).map(|((&a, &b), &c)| {
            let [r, g, b] = to_rgb(a, b, c);
            [r, g, b, 255]
        });
        pixels.collect()
    };
    Ok(match (color_space, &planes[..]) {
        (ColorSpace::YCbCr, [y, cb, cr]) => merge_three(y, cb, cr, ycbcr_to_rgb),
        (ColorSpace::LimitedYCbCr, [y, cb, cr]) => merge_three(y, cb, cr, limited_ycbcr_to_rgb),
        (ColorSpace::Rgb, [r, g, b]) => merge_three(r, g, b, |r, g, b| [r, g, b]),
        (ColorSpace::Cmyk { inverted }, [c, m, y, k]) => {
            let inversion = if inverted { 255 } else { 0 };
            let all = c.iter().zip(m).zip(y.iter().zip(k));
            all.map(|((c, m), (y, k))| [c, m, y, k].map(|value| value ^ inversion)).collect()
        }
        (ColorSpace::Ycck { inverted }, [y, cb, cr, k]) => {
            let inversion = if inverted { 255 } else { 0 };
            let all = y.iter().zip(cb).zip(cr.iter().zip(k));
            let all = all.map(|((&y, &cb), (&cr, &k))| {
                // YCbCr gives red, green and blue, which are the inverse of the stored inks.
                let [r, g, b] = ycbcr_to_rgb(y, cb, cr);
                [255 - r, 255 - g, 255 - b, k].map(|value| value ^ inversion)
            });
            all.collect()
        }
        (_, [grey, ..]) => grey.iter().map(|&grey| [grey, grey, grey, 255]).collect(),
        (_, []) => Vec::new(),
    })
}

/// ITU-T T.871, in fixed point with 16 fraction bits.
#[inline]
fn ycbcr_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = ((i32::from(y) << 16) + (1 << 15), i32::from(cb) - 128, i32::from(cr) - 128);
    [y + 91_881 * cr, y - 22_554 * cb - 46_802 * cr, y + 116_130 * cb].map(from_fixed_point)
}

/// ITU-R BT.601, in fixed point with 16 fraction bits.
#[inline]
pub fn limited_ycbcr_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = ((i32::from(y) - 16) * 76_309 + (1 << 15), i32::from(cb) - 128, i32::from(cr) - 128);
    [y + 104_597 * cr, y - 25_675 * cb - 53_279 * cr, y + 132_201 * cb].map(from_fixed_point)
}

#[inline]
fn from_fixed_point(value: i32) -> u8 {
    (value >> 16).clamp(0, 255) as u8
}

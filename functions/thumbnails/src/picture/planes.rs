//! Colours in planes, each at a size of its own, as JPEG and lossy WebP store them.

use super::{Refusal, resize};

/// One component of the colours, shrunk.
pub struct Plane {
    pub width: u32,
    pub height: u32,
    /// How much of it is the image, in pixels: the last one may stand for less than a whole one.
    pub extent: (f64, f64),
    pub pixels: Vec<u8>,
}

/// What the components are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    Grey,
    /// Of the whole range, as JFIF has it.
    YCbCr,
    /// Of the range of television, as WebP has it.
    LimitedYCbCr,
    Rgb,
    /// Ink, or what is left of white if `inverted`, as Adobe writes it.
    Cmyk {
        inverted: bool,
    },
    /// CMY as `YCbCr`, then K.
    Ycck {
        inverted: bool,
    },
}

/// Pixels of one size: RGBA, or CMYK as ink.
pub fn pixels(planes: Vec<Plane>, model: Model, size: (u32, u32)) -> Result<Vec<[u8; 4]>, Refusal> {
    let planes: Vec<Vec<u8>> = planes.into_iter().map(|plane| resize::plane(plane, size)).collect::<Result<_, _>>()?;
    let three = |a: &[u8], b: &[u8], c: &[u8], to: fn(u8, u8, u8) -> [u8; 3]| {
        let pixels = a.iter().zip(b).zip(c).map(|((&a, &b), &c)| {
            let [r, g, b] = to(a, b, c);
            [r, g, b, 255]
        });
        pixels.collect()
    };
    Ok(match (model, &planes[..]) {
        (Model::YCbCr, [y, cb, cr]) => three(y, cb, cr, rgb),
        (Model::LimitedYCbCr, [y, cb, cr]) => three(y, cb, cr, rgb_of_limited),
        (Model::Rgb, [r, g, b]) => three(r, g, b, |r, g, b| [r, g, b]),
        (Model::Cmyk { inverted }, [c, m, y, k]) => {
            let ink = if inverted { 255 } else { 0 };
            let all = c.iter().zip(m).zip(y.iter().zip(k));
            all.map(|((c, m), (y, k))| [c, m, y, k].map(|left| left ^ ink)).collect()
        }
        (Model::Ycck { inverted }, [y, cb, cr, k]) => {
            let ink = if inverted { 255 } else { 0 };
            let all = y.iter().zip(cb).zip(cr.iter().zip(k));
            let all = all.map(|((&y, &cb), (&cr, &k))| {
                // What YCbCr gives is red, green and blue, the inverse of the ink that is stored.
                let [r, g, b] = rgb(y, cb, cr);
                [255 - r, 255 - g, 255 - b, k].map(|left| left ^ ink)
            });
            all.collect()
        }
        (_, [grey, ..]) => grey.iter().map(|&grey| [grey, grey, grey, 255]).collect(),
        (_, []) => Vec::new(),
    })
}

/// ITU-T T.871, in 16 bits of fraction.
#[inline]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = ((i32::from(y) << 16) + (1 << 15), i32::from(cb) - 128, i32::from(cr) - 128);
    [y + 91_881 * cr, y - 22_554 * cb - 46_802 * cr, y + 116_130 * cb].map(clamped)
}

/// ITU-R BT.601, in 16 bits of fraction.
#[inline]
pub fn rgb_of_limited(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = ((i32::from(y) - 16) * 76_309 + (1 << 15), i32::from(cb) - 128, i32::from(cr) - 128);
    [y + 104_597 * cr, y - 25_675 * cb - 53_279 * cr, y + 132_201 * cb].map(clamped)
}

#[inline]
fn clamped(value: i32) -> u8 {
    (value >> 16).clamp(0, 255) as u8
}

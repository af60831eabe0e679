//! Colour components in planes of their own sizes, as JPEG and lossy WebP store them.

use std::iter;

use super::{ImageError, resize};

/// One colour component, shrunk.
pub struct Plane {
    pub width: u32,
    pub height: u32,
    /// The part of the plane that the image covers, in pixels: its upper left corner and its size. The image may cover less
    /// than a whole pixel of the rows and columns at the edges.
    pub origin: (f64, f64),
    pub extent: (f64, f64),
    pub pixels: Vec<u8>,
}

impl Plane {
    /// The same plane with an image of a larger extent, which repeats the pixels at an edge: at the left or upper one where
    /// `at_start` is true, at the right or lower one elsewhere.
    pub fn extended(self, extent: (f64, f64), at_start: (bool, bool)) -> Self {
        let side = |size: u32, origin: f64, extents: (f64, f64), at_start: bool| {
            let added = extents.1 - extents.0;
            if at_start {
                let before = (added - origin).ceil().max(0.0);
                (origin - added + before, before as usize, 0)
            } else {
                (origin, 0, (origin + extents.1 - f64::from(size)).ceil().max(0.0) as usize)
            }
        };
        let (left, columns_before, columns_after) =
            side(self.width, self.origin.0, (self.extent.0, extent.0), at_start.0);
        let (top, rows_before, rows_after) = side(self.height, self.origin.1, (self.extent.1, extent.1), at_start.1);
        let extended = Self { origin: (left, top), extent, ..self };
        if columns_before + columns_after + rows_before + rows_after == 0 {
            return extended;
        }
        let (width, height) = (extended.width as usize, extended.height as usize);
        let mut pixels =
            Vec::with_capacity((columns_before + width + columns_after) * (rows_before + height + rows_after));
        for y in 0..rows_before + height + rows_after {
            let y = y.saturating_sub(rows_before).min(height - 1);
            let row = &extended.pixels[y * width..][..width];
            pixels.extend(iter::repeat_n(row[0], columns_before));
            pixels.extend(row);
            pixels.extend(iter::repeat_n(row[width - 1], columns_after));
        }
        let width = (columns_before + width + columns_after) as u32;
        let height = (rows_before + height + rows_after) as u32;
        Self { width, height, pixels, ..extended }
    }
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

impl ColorSpace {
    /// Returns whether the components are luma and chroma, or luma alone.
    pub fn is_luma_and_chroma(self) -> bool {
        matches!(self, Self::Grey | Self::YCbCr | Self::LimitedYCbCr)
    }
}

/// Merges planes into pixels of this size: RGBA, or CMYK where 255 means full ink.
pub fn merge(planes: Vec<Plane>, color_space: ColorSpace, size: (u32, u32)) -> Result<Vec<[u8; 4]>, ImageError> {
    let planes = resize_all(planes, size)?;
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

/// Merges luma and chroma, or luma alone, into RGBA pixels of this size.
pub fn merge_by_matrix(planes: Vec<Plane>, matrix: &Matrix, size: (u32, u32)) -> Result<Vec<[u8; 4]>, ImageError> {
    let planes = resize_all(planes, size)?;
    Ok(match &planes[..] {
        [y, cb, cr] => {
            let pixels = y.iter().zip(cb).zip(cr).map(|((&y, &cb), &cr)| {
                let [r, g, b] = matrix.rgb([y, cb, cr]);
                [r, g, b, 255]
            });
            pixels.collect()
        }
        [y, ..] => y.iter().map(|&y| matrix.grey(y)).collect(),
        [] => Vec::new(),
    })
}

fn resize_all(planes: Vec<Plane>, size: (u32, u32)) -> Result<Vec<Vec<u8>>, ImageError> {
    planes.into_iter().map(|plane| resize::plane(plane, size)).collect()
}

/// The matrix that leads from luma and chroma to red, green and blue, in fixed point with 16 fraction bits.
pub struct Matrix {
    /// The numbers to subtract from luma, and from the first and the second component of chroma.
    zeros: [i32; 3],
    /// The factors for red, green and blue.
    factors: [[i32; 3]; 3],
}

impl Matrix {
    /// `matrix` and `primaries` are code points of ITU-T H.273. Unspecified values mean ITU-R BT.601, as in libheif and
    /// libavif. None if the relation is no matrix.
    pub fn new(matrix: u16, primaries: u16, full_range: bool) -> Option<Self> {
        let (black, luma, chroma) = if full_range { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        let (red, blue) = match (matrix, primaries) {
            (0, _) => {
                // The components are green, blue and red.
                let factors = [[0.0, 0.0, luma], [luma, 0.0, 0.0], [0.0, luma, 0.0]];
                return Some(Self::fixed_point([black; 3], factors));
            }
            (8, _) => {
                let factors = [[luma, -chroma, chroma], [luma, chroma, 0.0], [luma, -chroma, -chroma]];
                return Some(Self::fixed_point([black, 128, 128], factors));
            }
            (1, _) | (12, 1) => (0.2126, 0.0722),
            (4, _) => (0.3, 0.11),
            (7, _) => (0.212, 0.087),
            (9, _) | (12, 9) => (0.2627, 0.0593),
            (12, 12) => (0.228_97, 0.079_29),
            (2 | 3 | 5 | 6 | 12 | 15.., _) => (0.299, 0.114),
            _ => return None,
        };
        let green = 1.0 - red - blue;
        let (cr, cb) = (2.0 * (1.0 - red) * chroma, 2.0 * (1.0 - blue) * chroma);
        let factors = [[luma, 0.0, cr], [luma, -cb * blue / green, -cr * red / green], [luma, cb, 0.0]];
        Some(Self::fixed_point([black, 128, 128], factors))
    }

    fn fixed_point(zeros: [i32; 3], factors: [[f64; 3]; 3]) -> Self {
        Self { zeros, factors: factors.map(|row| row.map(|factor| (factor * 65_536.0).round() as i32)) }
    }

    #[inline]
    pub fn rgb(&self, components: [u8; 3]) -> [u8; 3] {
        let [y, cb, cr] = [0, 1, 2].map(|at| i32::from(components[at]) - self.zeros[at]);
        self.factors.map(|row| from_fixed_point(y * row[0] + cb * row[1] + cr * row[2] + (1 << 15)))
    }

    /// The pixel of luma alone.
    fn grey(&self, y: u8) -> [u8; 4] {
        let grey = from_fixed_point((i32::from(y) - self.zeros[0]) * self.factors[1][0] + (1 << 15));
        [grey, grey, grey, 255]
    }
}

/// ITU-T T.871, in fixed point with 16 fraction bits.
#[inline]
pub fn ycbcr_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = ((i32::from(y) << 16) + (1 << 15), i32::from(cb) - 128, i32::from(cr) - 128);
    [y + 91_881 * cr, y - 22_554 * cb - 46_802 * cr, y + 116_130 * cb].map(from_fixed_point)
}

/// ITU-R BT.601, in fixed point with 16 fraction bits.
#[inline]
pub fn limited_ycbcr_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = ((i32::from(y) - 16) * 76_309 + (1 << 15), i32::from(cb) - 128, i32::from(cr) - 128);
    [y + 104_597 * cr, y - 25_675 * cb - 53_279 * cr, y + 132_201 * cb].map(from_fixed_point)
}

/// Converts luma or chroma of limited range to full range.
pub fn expand_range(pixels: &mut [u8], is_chroma: bool) {
    let (zero, middle, range) = if is_chroma { (128, 128.0, 224.0) } else { (16, 0.0, 219.0) };
    let expand = |value: usize| ((value as f64 - f64::from(zero)) * 255.0 / range + middle).round().clamp(0.0, 255.0);
    let table: [u8; 256] = std::array::from_fn(|value| expand(value) as u8);
    for pixel in pixels {
        *pixel = table[usize::from(*pixel)];
    }
}

#[inline]
fn from_fixed_point(value: i32) -> u8 {
    (value >> 16).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_leads_to_the_colors_of_its_standard() {
        for (matrix, full_range, components, rgb) in [
            (6, true, [76, 85, 255], [254, 0, 0]),
            (6, false, [81, 90, 240], [254, 0, 0]),
            (1, false, [235, 128, 128], [255, 255, 255]),
            (1, false, [63, 102, 240], [255, 0, 0]),
            (9, true, [255, 128, 128], [255, 255, 255]),
            (0, true, [10, 20, 30], [30, 10, 20]),
            (0, false, [235, 16, 16], [0, 255, 0]),
            (8, true, [128, 128, 128], [128, 128, 128]),
        ] {
            let seen = Matrix::new(matrix, 1, full_range).unwrap().rgb(components);
            let is_close = seen.iter().zip(rgb).all(|(seen, expected)| seen.abs_diff(expected) <= 1);
            assert!(is_close, "{matrix} {full_range}: {seen:?}, not {rgb:?}");
        }
        assert!(Matrix::new(14, 9, false).is_none());
    }
}

//! The picture that the thumbnails are made of, one after the other, in the form that their file format stores.

use image::{DynamicImage, GrayImage, RgbaImage, metadata::Orientation};

use super::{
    ColorType, Content, Decoded, ImageError, OutputFormat, Pixels, Target, color, damaged, oriented_size,
    planes::{self, ColorSpace, Plane, ycbcr_to_rgb},
    resize,
};

pub enum Picture {
    /// For JPEG thumbnails.
    Subsampled(Subsampled),
    /// For PNG thumbnails: pixels of this colour type.
    Pixels(Pixels, ColorType),
}

/// The components that a JPEG thumbnail stores: luma and chroma of ITU-T T.871, with chroma at half the width and height.
/// A picture that was decoded as luma and chroma does not become RGB.
pub struct Subsampled {
    pub size: (u32, u32),
    pub luma: Vec<u8>,
    /// Cb and Cr, for an odd side with half a sample too many; none for a grey picture.
    pub chroma: Option<[Vec<u8>; 2]>,
}

impl Picture {
    /// The decoded picture in sRGB, with its orientation applied.
    pub fn new(decoded: Decoded) -> Result<Self, ImageError> {
        let Decoded { target, format, .. } = decoded;
        let color_type = decoded.color_type.in_srgb();
        let pixels = match decoded.content {
            Content::Planes(planes, color_space)
                if format == OutputFormat::Jpeg && decoded.icc.is_none() && color_space.is_luma_and_chroma() =>
            {
                return Ok(Self::Subsampled(Subsampled::of_planes(planes, color_space, &target)?));
            }
            content => color::to_srgb(Decoded { content, ..decoded })?,
        };
        let pixels = orient_pixels(pixels, target.orientation)?;
        Ok(match format {
            OutputFormat::Jpeg => Self::Subsampled(Subsampled::of_pixels(&pixels, color_type == ColorType::Grey)),
            OutputFormat::Png => Self::Pixels(pixels, color_type),
        })
    }

    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Subsampled(picture) => picture.size,
            Self::Pixels(pixels, _) => (pixels.width, pixels.height),
        }
    }

    pub fn resize(self, size: (u32, u32)) -> Result<Self, ImageError> {
        if self.size() == size {
            return Ok(self);
        }
        Ok(match self {
            Self::Subsampled(picture) => Self::Subsampled(picture.resize(size)?),
            Self::Pixels(pixels, color_type) => {
                Self::Pixels(resize::rgba(pixels, size, color_type.has_alpha())?, color_type)
            }
        })
    }

    pub fn into_rgba(self) -> Vec<[u8; 4]> {
        match self {
            Self::Subsampled(picture) => picture.to_rgba(),
            Self::Pixels(pixels, _) => pixels.rgba,
        }
    }
}

impl Subsampled {
    /// The picture of components that are Y, Cb and Cr, or Y alone.
    fn of_planes(planes: Vec<Plane>, color_space: ColorSpace, target: &Target) -> Result<Self, ImageError> {
        let reversed = reversed_sides(target.orientation);
        let resized = planes.into_iter().enumerate().map(|(index, plane)| {
            let (size, mut pixels) = if index == 0 {
                (target.size, resize::plane(plane, target.size)?)
            } else {
                (chroma_size(target.size), resize_chroma(plane, target.size, reversed)?)
            };
            if color_space == ColorSpace::LimitedYCbCr {
                planes::expand_range(&mut pixels, index > 0);
            }
            orient_plane(pixels, size, target.orientation)
        });
        let mut resized = resized.collect::<Result<Vec<_>, _>>()?.into_iter();
        let luma = resized.next().ok_or_else(|| damaged("it has no components"))?;
        let chroma = resized.next().zip(resized.next()).map(|(cb, cr)| [cb, cr]);
        Ok(Self { size: oriented_size(target.size, target.orientation), luma, chroma })
    }

    fn of_pixels(pixels: &Pixels, is_grey: bool) -> Self {
        let luma = pixels.rgba.iter().map(|&[r, g, b, _]| {
            // The luma of a grey pixel is exactly its level.
            let sum = 19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b);
            ((sum + (1 << 15)) >> 16) as u8
        });
        let (luma, chroma) = (luma.collect(), (!is_grey).then(|| chroma_of(pixels)));
        Self { size: (pixels.width, pixels.height), luma, chroma }
    }

    fn resize(self, size: (u32, u32)) -> Result<Self, ImageError> {
        let plane =
            |(width, height): (u32, u32), extent, pixels| Plane { width, height, origin: (0.0, 0.0), extent, pixels };
        let extent = (f64::from(self.size.0), f64::from(self.size.1));
        let luma = resize::plane(plane(self.size, extent, self.luma), size)?;
        let chroma = match self.chroma {
            Some(chroma) => {
                let half = chroma_size(self.size);
                let [cb, cr] = chroma.map(|pixels| {
                    resize_chroma(plane(half, (extent.0 / 2.0, extent.1 / 2.0), pixels), size, (false, false))
                });
                Some([cb?, cr?])
            }
            None => None,
        };
        Ok(Self { size, luma, chroma })
    }

    fn to_rgba(&self) -> Vec<[u8; 4]> {
        let (width, across) = (self.size.0 as usize, chroma_size(self.size).0 as usize);
        let pixels = self.luma.iter().enumerate().map(|(at, &y)| {
            let [r, g, b] = self.chroma.as_ref().map_or([y; 3], |[cb, cr]| {
                let at = at / width / 2 * across + at % width / 2;
                ycbcr_to_rgb(y, cb[at], cr[at])
            });
            [r, g, b, 255]
        });
        pixels.collect()
    }
}

/// The size of the chroma of a picture of this size.
pub fn chroma_size((width, height): (u32, u32)) -> (u32, u32) {
    (width.div_ceil(2), height.div_ceil(2))
}

/// Resizes chroma for a picture of this size. `reversed` says which sides will be turned around later: the additional half
/// sample of an odd side belongs at the right or lower edge of the turned picture.
fn resize_chroma(plane: Plane, size: (u32, u32), reversed: (bool, bool)) -> Result<Vec<u8>, ImageError> {
    let half = chroma_size(size);
    let enlarged = |extent: f64, half: u32, size: u32| extent * f64::from(2 * half) / f64::from(size);
    let extent = (enlarged(plane.extent.0, half.0, size.0), enlarged(plane.extent.1, half.1, size.1));
    resize::plane(plane.extended(extent, reversed), half)
}

/// Cb and Cr, each the mean of 2 x 2 pixels.
fn chroma_of(pixels: &Pixels) -> [Vec<u8>; 2] {
    let rows: Vec<&[[u8; 4]]> = pixels.rgba.chunks_exact(pixels.width as usize).collect();
    let (across, down) = chroma_size((pixels.width, pixels.height));
    let [mut cb, mut cr] = [(); 2].map(|()| Vec::with_capacity(across as usize * down as usize));
    for pair in rows.chunks(2) {
        let (upper, lower) = (pair[0], pair[pair.len() - 1]);
        for (upper, lower) in upper.chunks(2).zip(lower.chunks(2)) {
            let last = upper.len() - 1;
            let sum = |channel: usize| -> i32 {
                [upper[0], upper[last], lower[0], lower[last]].map(|pixel| i32::from(pixel[channel])).iter().sum()
            };
            let (r, g, b) = (sum(0), sum(1), sum(2));
            // 128.5 minus a very small number, so that the result stays below 256.
            let middle = (128 << 18) + (1 << 17) - 1;
            cb.push(((-11_059 * r - 21_709 * g + 32_768 * b + middle) >> 18) as u8);
            cr.push(((32_768 * r - 27_439 * g - 5_329 * b + middle) >> 18) as u8);
        }
    }
    [cb, cr]
}

/// Returns for the width and the height of a picture whether its orientation puts the end of that side first.
fn reversed_sides(orientation: Orientation) -> (bool, bool) {
    match orientation {
        Orientation::NoTransforms | Orientation::Rotate90FlipH => (false, false),
        Orientation::FlipHorizontal | Orientation::Rotate270 => (true, false),
        Orientation::FlipVertical | Orientation::Rotate90 => (false, true),
        Orientation::Rotate180 | Orientation::Rotate270FlipH => (true, true),
    }
}

fn orient_plane(pixels: Vec<u8>, (width, height): (u32, u32), orientation: Orientation) -> Result<Vec<u8>, ImageError> {
    if orientation == Orientation::NoTransforms {
        return Ok(pixels);
    }
    let mut image = DynamicImage::ImageLuma8(GrayImage::from_raw(width, height, pixels).ok_or_else(misfit)?);
    image.apply_orientation(orientation);
    Ok(image.into_luma8().into_raw())
}

fn orient_pixels(pixels: Pixels, orientation: Orientation) -> Result<Pixels, ImageError> {
    if orientation == Orientation::NoTransforms {
        return Ok(pixels);
    }
    let image = RgbaImage::from_raw(pixels.width, pixels.height, pixels.rgba.into_flattened());
    let mut image = DynamicImage::ImageRgba8(image.ok_or_else(misfit)?);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let rgba = image.into_rgba8().into_raw().as_chunks().0.to_vec();
    Ok(Pixels { width, height, extent: (width.into(), height.into()), rgba })
}

fn misfit() -> ImageError {
    damaged("its pixels do not fit its size")
}

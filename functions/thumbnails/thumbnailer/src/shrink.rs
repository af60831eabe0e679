//! Shrinks a picture by a whole number while its rows are decoded, so that memory never holds the picture at its full size.
//! The result has at least twice the width and height of the target, if the source has; Lanczos resizing does the rest.

use crate::limits::MAX_SHRUNK_PIXELS;

use super::{ImageError, Pixels, Target, color::unpremultiply, planes::Plane, resize};

/// A box filter: it averages boxes of pixels. Rows may come in any order, and in parts.
pub struct Shrinker {
    /// The size of the source.
    width: usize,
    height: usize,
    /// 1 for grey, 2 for grey with alpha, 3 for RGB, 4 for RGBA or CMYK.
    channels: usize,
    has_alpha: bool,
    /// The side of a box, in pixels.
    factor: usize,
    /// The size of the result.
    size: (usize, usize),
    /// The pixels, if a box is a single pixel.
    unshrunk: Vec<u8>,
    /// The sums of larger boxes. 16 bits are just enough for a box of 16 x 16 pixels. Colours are premultiplied by alpha.
    sums: Vec<u16>,
    /// The sum of each source column over the rows of one row of boxes, and the index of that row of boxes.
    band: Vec<u16>,
    band_index: usize,
}

impl Shrinker {
    pub fn new(target: &Target, channels: usize) -> Self {
        let (width, height) = target.source_size;
        let max_factor = (width / target.size.0).min(height / target.size.1).max(1);
        let mut factor = (width / (2 * target.size.0)).min(height / (2 * target.size.1)).max(1);
        while factor < max_factor && u64::from(width / factor) * u64::from(height / factor) > MAX_SHRUNK_PIXELS {
            factor += 1;
        }
        let size = (width.div_ceil(factor) as usize, height.div_ceil(factor) as usize);
        let (width, factor) = (width as usize, factor as usize);
        let values = size.0 * size.1 * channels;
        let (unshrunk, sums, band) = if factor == 1 { (values, 0, 0) } else { (0, values, width * channels) };
        Self {
            width,
            height: height as usize,
            channels,
            has_alpha: channels.is_multiple_of(2),
            factor,
            size,
            unshrunk: vec![0; unshrunk],
            sums: vec![0; sums],
            band: vec![0; band],
            band_index: 0,
        }
    }

    /// A shrinker of CMYK, whose fourth channel is not alpha.
    pub fn of_inks(target: &Target) -> Self {
        Self { has_alpha: false, ..Self::new(target, 4) }
    }

    /// Adds a whole row of the source. Its colours are premultiplied.
    pub fn add_row(&mut self, y: usize, row: &mut [u8]) {
        self.premultiply(row);
        self.add_opaque_row(y, row);
    }

    /// Adds a whole row of the source that has no alpha.
    pub fn add_opaque_row(&mut self, y: usize, row: &[u8]) {
        if self.factor == 1 {
            self.unshrunk[y * row.len()..][..row.len()].copy_from_slice(row);
            return;
        }
        if y / self.factor != self.band_index {
            self.flush_band();
            self.band_index = y / self.factor;
        }
        for (sum, value) in self.band.iter_mut().zip(row) {
            *sum += u16::from(*value);
        }
    }

    /// Adds every `step`th pixel of a row, from `start` on.
    pub fn add_pixels(&mut self, y: usize, start: usize, step: usize, row: &mut [u8]) {
        self.premultiply(row);
        match self.channels {
            1 => self.scatter::<1>(y, start, step, row),
            2 => self.scatter::<2>(y, start, step, row),
            3 => self.scatter::<3>(y, start, step, row),
            _ => self.scatter::<4>(y, start, step, row),
        }
    }

    fn scatter<const CHANNELS: usize>(&mut self, y: usize, start: usize, step: usize, row: &[u8]) {
        let top = y / self.factor * self.size.0;
        let (row, _) = row.as_chunks::<CHANNELS>();
        if self.factor == 1 {
            let (pixels, _) = self.unshrunk.as_chunks_mut::<CHANNELS>();
            for (to, pixel) in pixels[top + start..].iter_mut().step_by(step).zip(row) {
                *to = *pixel;
            }
            return;
        }
        let (sums, _) = self.sums.as_chunks_mut::<CHANNELS>();
        let (boxes, columns) = (step / self.factor, step % self.factor);
        let (mut at, mut column) = (top + start / self.factor, start % self.factor);
        for pixel in row {
            for (sum, value) in sums[at].iter_mut().zip(pixel) {
                *sum += u16::from(*value);
            }
            at += boxes;
            column += columns;
            if column >= self.factor {
                column -= self.factor;
                at += 1;
            }
        }
    }

    /// Adds the pixels of a row from column `x` on.
    pub fn add_part(&mut self, x: usize, y: usize, part: &mut [u8]) {
        if self.factor == 1 {
            self.unshrunk[(y * self.width + x) * self.channels..][..part.len()].copy_from_slice(part);
            return;
        }
        self.premultiply(part);
        match self.channels {
            1 => self.add_boxes::<1>(x, y, part),
            2 => self.add_boxes::<2>(x, y, part),
            3 => self.add_boxes::<3>(x, y, part),
            _ => self.add_boxes::<4>(x, y, part),
        }
    }

    fn add_boxes<const CHANNELS: usize>(&mut self, x: usize, y: usize, part: &[u8]) {
        let from = (y / self.factor * self.size.0 + x / self.factor) * CHANNELS;
        let (sums, _) = self.sums[from..].as_chunks_mut::<CHANNELS>();
        let (pixels, _) = part.as_chunks::<CHANNELS>();
        // The first box may begin before the part.
        let (first, rest) = pixels.split_at(pixels.len().min(self.factor - x % self.factor));
        for (sum, pixels) in sums.iter_mut().zip(std::iter::once(first).chain(rest.chunks(self.factor))) {
            for pixel in pixels {
                for (sum, value) in sum.iter_mut().zip(pixel) {
                    *sum += u16::from(*value);
                }
            }
        }
    }

    /// Premultiplies colours by their alpha, if pixels are to be averaged.
    fn premultiply(&self, row: &mut [u8]) {
        if self.factor > 1 && self.has_alpha {
            for pixel in row.chunks_exact_mut(self.channels) {
                if let [colors @ .., alpha] = pixel {
                    let alpha = u16::from(*alpha);
                    for color in colors {
                        *color = ((u16::from(*color) * alpha + 127) / 255) as u8;
                    }
                }
            }
        }
    }

    fn flush_band(&mut self) {
        if self.factor == 1 {
            return;
        }
        match self.channels {
            1 => self.add_band::<1>(),
            2 => self.add_band::<2>(),
            3 => self.add_band::<3>(),
            _ => self.add_band::<4>(),
        }
        self.band.fill(0);
    }

    fn add_band<const CHANNELS: usize>(&mut self) {
        let from = self.band_index * self.size.0 * CHANNELS;
        let (sums, _) = self.sums[from..from + self.size.0 * CHANNELS].as_chunks_mut::<CHANNELS>();
        let (pixels, _) = self.band.as_chunks::<CHANNELS>();
        for (sum, pixels) in sums.iter_mut().zip(pixels.chunks(self.factor)) {
            for pixel in pixels {
                for (sum, value) in sum.iter_mut().zip(pixel) {
                    *sum += value;
                }
            }
        }
    }

    /// The result as RGBA.
    pub fn into_pixels(self) -> Pixels {
        let channels = self.channels;
        let Plane { width, height, extent, pixels, .. } = self.into_plane();
        Pixels { width, height, extent, rgba: to_rgba(&pixels, channels) }
    }

    /// The result, resized to this size, as RGBA.
    pub fn resize(self, size: (u32, u32)) -> Result<Vec<[u8; 4]>, ImageError> {
        let has_alpha = self.has_alpha;
        match self.channels {
            1 => Ok(to_rgba(&resize::plane(self.into_plane(), size)?, 1)),
            3 => resize::rgb(self.into_plane(), size),
            _ => Ok(resize::rgba(self.into_pixels(), size, has_alpha)?.rgba),
        }
    }

    /// The result with its channels interleaved; for one channel, a plane.
    pub fn into_plane(mut self) -> Plane {
        self.flush_band();
        let pixels = match self.channels {
            _ if self.factor == 1 => std::mem::take(&mut self.unshrunk),
            1 => self.averages::<1>(),
            2 => self.averages::<2>(),
            3 => self.averages::<3>(),
            _ => self.averages::<4>(),
        };
        Plane {
            width: self.size.0 as u32,
            height: self.size.1 as u32,
            origin: (0.0, 0.0),
            extent: self.extent(),
            pixels,
        }
    }

    fn extent(&self) -> (f64, f64) {
        (self.width as f64 / self.factor as f64, self.height as f64 / self.factor as f64)
    }

    fn averages<const CHANNELS: usize>(&self) -> Vec<u8> {
        let mut averages = vec![[0; CHANNELS]; self.size.0 * self.size.1];
        let (sums, _) = self.sums.as_chunks::<CHANNELS>();
        let rows = averages.chunks_exact_mut(self.size.0).zip(sums.chunks_exact(self.size.0));
        for (y, (averages, sums)) in rows.enumerate() {
            // The boxes at the lower and right edge may be smaller.
            let down = self.factor.min(self.height - y * self.factor);
            let last = self.size.0 - 1;
            let (whole, cut) = averages.split_at_mut(last);
            average(whole, &sums[..last], self.factor * down, self.has_alpha);
            average(cut, &sums[last..], (self.width - last * self.factor) * down, self.has_alpha);
        }
        averages.into_flattened()
    }
}

/// Divides the sums of boxes of `count` pixels, and their colours by their alpha.
fn average<const CHANNELS: usize>(
    averages: &mut [[u8; CHANNELS]],
    sums: &[[u16; CHANNELS]],
    count: usize,
    has_alpha: bool,
) {
    let count = count as u32;
    // The reciprocal, rounded up: with 32 fraction bits the quotient of a sum of 17 bits is exact.
    let reciprocal = (1_u64 << 32).div_ceil(u64::from(count));
    for (average, sums) in averages.iter_mut().zip(sums) {
        for (average, sum) in average.iter_mut().zip(sums) {
            *average = ((u64::from(u32::from(*sum) + count / 2) * reciprocal) >> 32) as u8;
        }
        if has_alpha
            && count > 1
            && let ([colors @ .., _], [sums @ .., alpha]) = (&mut average[..], &sums[..])
        {
            for (color, sum) in colors.iter_mut().zip(sums) {
                *color = unpremultiply(*sum, *alpha);
            }
        }
    }
}

/// Pixels of 1 to 4 channels as RGBA.
fn to_rgba(pixels: &[u8], channels: usize) -> Vec<[u8; 4]> {
    match channels {
        1 => pixels.iter().map(|&grey| [grey, grey, grey, 255]).collect(),
        2 => pixels.as_chunks().0.iter().map(|&[grey, alpha]| [grey, grey, grey, alpha]).collect(),
        3 => pixels.as_chunks().0.iter().map(|&[r, g, b]| [r, g, b, 255]).collect(),
        _ => pixels.as_chunks().0.to_vec(),
    }
}

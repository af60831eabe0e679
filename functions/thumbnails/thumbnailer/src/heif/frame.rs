//! The decoded samples of one coded picture, read row by row as 8 bits.

use re_rav1d::dav1d;

use super::Subsampling;

/// The planes of a picture: luma, or luma and two planes of chroma.
pub struct Frame {
    pub size: (usize, usize),
    pub subsampling: Subsampling,
    planes: Vec<Plane>,
}

pub struct Plane {
    samples: Samples,
    /// Samples from one row to the next.
    stride: usize,
    /// The index of the first sample.
    origin: usize,
    /// The bits of a sample.
    depth: u32,
}

enum Samples {
    Words(Vec<i32>),
    /// One byte for 8 bits, and two bytes, the lower first, for more.
    Bytes(dav1d::Plane),
}

impl Frame {
    pub fn new(size: (usize, usize), subsampling: Subsampling, planes: Vec<Plane>) -> Self {
        Self { size, subsampling, planes }
    }

    /// Copies the beginning of a row of a plane. Samples that the plane does not have stay as they are.
    pub fn copy_row(&self, plane: usize, y: usize, row: &mut [u8]) {
        if let Some(plane) = self.planes.get(plane) {
            plane.copy_row(y, row);
        }
    }
}

impl Plane {
    pub fn words(samples: Vec<i32>, stride: usize, origin: usize, depth: u32) -> Self {
        Self { samples: Samples::Words(samples), stride, origin, depth }
    }

    pub fn bytes(samples: dav1d::Plane, stride: usize, depth: u32) -> Self {
        Self { samples: Samples::Bytes(samples), stride, origin: 0, depth }
    }

    fn copy_row(&self, y: usize, row: &mut [u8]) {
        let (from, shift) = (self.origin + y * self.stride, self.depth.saturating_sub(8));
        match &self.samples {
            Samples::Words(samples) => {
                let samples = samples.get(from..).unwrap_or_default();
                for (value, sample) in row.iter_mut().zip(samples) {
                    *value = (sample >> shift).clamp(0, 255) as u8;
                }
            }
            Samples::Bytes(samples) if shift == 0 => {
                let samples = samples.get(from..).unwrap_or_default();
                for (value, sample) in row.iter_mut().zip(samples) {
                    *value = *sample;
                }
            }
            Samples::Bytes(samples) => {
                let (samples, _) = samples.get(2 * from..).unwrap_or_default().as_chunks();
                for (value, sample) in row.iter_mut().zip(samples) {
                    *value = (u16::from_le_bytes(*sample) >> shift).min(255) as u8;
                }
            }
        }
    }
}

//! The decoded samples of one coded picture, read row by row as 8 bits.

use super::Subsampling;

/// The planes of a picture: luma, or luma and two planes of chroma.
pub struct Frame {
    pub size: (usize, usize),
    pub subsampling: Subsampling,
    planes: Vec<Plane>,
}

pub struct Plane {
    samples: Vec<i32>,
    /// Samples from one row to the next.
    stride: usize,
    /// The index of the first sample.
    origin: usize,
    /// The bits of a sample.
    depth: u32,
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
    pub fn new(samples: Vec<i32>, stride: usize, origin: usize, depth: u32) -> Self {
        Self { samples, stride, origin, depth }
    }

    fn copy_row(&self, y: usize, row: &mut [u8]) {
        let (from, shift) = (self.origin + y * self.stride, self.depth.saturating_sub(8));
        for (value, sample) in row.iter_mut().zip(self.samples.get(from..).unwrap_or_default()) {
            *value = (sample >> shift).clamp(0, 255) as u8;
        }
    }
}

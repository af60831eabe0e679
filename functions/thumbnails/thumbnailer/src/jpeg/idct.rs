//! The inverse discrete cosine transform of a block of 8 x 8 coefficients into N x N pixels. A block that is shrunk needs
//! only its lowest N x N frequencies.

use std::f32::consts::PI;

/// The cosine basis functions of `N` pixels.
pub struct CosineBasis<const N: usize> {
    /// Indexed by frequency, then by pixel.
    by_frequency: [[f32; N]; N],
}

impl<const N: usize> Default for CosineBasis<N> {
    fn default() -> Self {
        let value = |frequency: usize, pixel: usize| {
            let scale = if frequency == 0 { 0.125_f32.sqrt() } else { 0.5 };
            scale * ((2 * pixel + 1) as f32 * frequency as f32 * PI / (2 * N) as f32).cos()
        };
        Self { by_frequency: std::array::from_fn(|frequency| std::array::from_fn(|pixel| value(frequency, pixel))) }
    }
}

impl<const N: usize> CosineBasis<N> {
    /// Transforms coefficients, which are indexed by vertical and then by horizontal frequency, into pixels. All coefficients
    /// in rows from `rows` on must be zero.
    #[inline]
    pub fn inverse_dct(&self, coefficients: &[[f32; N]; N], rows: usize) -> [[u8; N]; N] {
        let mut columns = [[0.0_f32; N]; N];
        for (basis, frequencies) in self.by_frequency.iter().zip(coefficients).take(rows) {
            for (column, factor) in columns.iter_mut().zip(basis) {
                for (sum, coefficient) in column.iter_mut().zip(frequencies) {
                    *sum += factor * coefficient;
                }
            }
        }
        columns.map(|column| {
            // 128 is the level shift of T.81. The half makes the conversion to integers round.
            let mut row = [128.5_f32; N];
            for (basis, amplitude) in self.by_frequency.iter().zip(column) {
                for (sum, factor) in row.iter_mut().zip(basis) {
                    *sum += factor * amplitude;
                }
            }
            row.map(|pixel| pixel.clamp(0.0, 255.0) as u8)
        })
    }
}

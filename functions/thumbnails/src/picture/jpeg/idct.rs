//! The inverse cosine transform of a block of 8 x 8 coefficients into N x N pixels: of a block that is to be shrunk
//! only the lowest N x N frequencies count.

use std::f32::consts::PI;

/// The waves of `N` pixels.
pub struct Waves<const N: usize> {
    /// By frequency, then pixel.
    by_frequency: [[f32; N]; N],
}

impl<const N: usize> Default for Waves<N> {
    fn default() -> Self {
        let wave = |frequency: usize, pixel: usize| {
            let scale = if frequency == 0 { 0.125_f32.sqrt() } else { 0.5 };
            scale * ((2 * pixel + 1) as f32 * frequency as f32 * PI / (2 * N) as f32).cos()
        };
        Self { by_frequency: std::array::from_fn(|frequency| std::array::from_fn(|pixel| wave(frequency, pixel))) }
    }
}

impl<const N: usize> Waves<N> {
    /// `coefficients` by vertical, then horizontal frequency, of which rows from `rows` on are all zero.
    #[inline]
    pub fn pixels(&self, coefficients: &[[f32; N]; N], rows: usize) -> [[u8; N]; N] {
        let mut columns = [[0.0_f32; N]; N];
        for (waves, frequencies) in self.by_frequency.iter().zip(coefficients).take(rows) {
            for (column, wave) in columns.iter_mut().zip(waves) {
                for (sum, coefficient) in column.iter_mut().zip(frequencies) {
                    *sum += wave * coefficient;
                }
            }
        }
        columns.map(|column| {
            // 128 is the middle of the range; the half rounds.
            let mut row = [128.5_f32; N];
            for (waves, amplitude) in self.by_frequency.iter().zip(column) {
                for (sum, wave) in row.iter_mut().zip(waves) {
                    *sum += wave * amplitude;
                }
            }
            row.map(|pixel| pixel.clamp(0.0, 255.0) as u8)
        })
    }
}

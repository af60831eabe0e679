//! Intra prediction and the inverse transform of VP8 (RFC 6386, sections 12 and 14). A prediction reads the samples above and
//! to the left, as they are before the loop filter.

/// The samples of one component of a macroblock. The first row holds the samples above. Column [`LEFT`] holds the samples to
/// the left.
pub type Samples<const ROWS: usize> = [[u8; 32]; ROWS];

/// The column to the left of a macroblock.
pub const LEFT: usize = 15;

/// The first column of a macroblock.
pub const START: usize = 16;

/// The modes of a whole macroblock, and of its chroma.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Dc,
    Vertical,
    Horizontal,
    TrueMotion,
}

/// The modes of a subblock of 4 x 4 samples, in the order of the tables of probabilities. Those after `Horizontal` are named
/// for the direction that they predict from.
#[derive(Clone, Copy, PartialEq)]
pub enum SubblockMode {
    Dc,
    TrueMotion,
    Vertical,
    Horizontal,
    LeftDown,
    RightDown,
    VerticalRight,
    VerticalLeft,
    HorizontalDown,
    HorizontalUp,
}

/// Predicts a component of `SIZE` x `SIZE` samples. `ROWS` is `SIZE` + 1. A picture has no samples above its first row
/// and none to the left of its first column.
pub fn predict<const SIZE: usize, const ROWS: usize>(
    samples: &mut Samples<ROWS>,
    mode: Mode,
    has_above: bool,
    has_left: bool,
) {
    let (above_row, rows) = samples.split_at_mut(1);
    let above: [u8; SIZE] = std::array::from_fn(|x| above_row[0][START + x]);
    match mode {
        Mode::Dc => {
            let sum_above: u32 = above.iter().map(|&sample| u32::from(sample)).sum();
            let sum_left: u32 = rows.iter().map(|row| u32::from(row[LEFT])).sum();
            let size = SIZE as u32;
            let mean = match (has_above, has_left) {
                (true, true) => (sum_above + sum_left + size) / (2 * size),
                (true, false) => (sum_above + size / 2) / size,
                (false, true) => (sum_left + size / 2) / size,
                (false, false) => 128,
            };
            for row in rows {
                row[START..START + SIZE].fill(mean as u8);
            }
        }
        Mode::Vertical => {
            for row in rows {
                row[START..START + SIZE].copy_from_slice(&above);
            }
        }
        Mode::Horizontal => {
            for row in rows {
                let left = row[LEFT];
                row[START..START + SIZE].fill(left);
            }
        }
        Mode::TrueMotion => {
            let corner = i16::from(above_row[0][LEFT]);
            for row in rows {
                let difference = i16::from(row[LEFT]) - corner;
                for (sample, above) in row[START..START + SIZE].iter_mut().zip(above) {
                    *sample = (i16::from(above) + difference).clamp(0, 255) as u8;
                }
            }
        }
    }
}

/// Predicts the subblock at `x`, `y` of a luma macroblock. The subblocks at the right edge use the samples above the next
/// macroblock.
#[inline]
pub fn predict_subblock(samples: &mut Samples<17>, (x, y): (usize, usize), mode: SubblockMode, above_right: [u8; 4]) {
    let (top, left) = (4 * y, START + 4 * x);
    let above = &samples[top];
    let right = if x == 3 { above_right } else { std::array::from_fn(|column| above[left + 4 + column]) };
    let [a, b, c, d]: [u8; 4] = std::array::from_fn(|column| above[left + column]);
    let [e, f, g, h] = right;
    let corner = above[left - 1];
    let [i, j, k, l]: [u8; 4] = std::array::from_fn(|row| samples[top + 1 + row][left - 1]);
    let predicted: [[u8; 4]; 4] = match mode {
        SubblockMode::Dc => {
            let sum: u16 = [a, b, c, d, i, j, k, l].into_iter().map(u16::from).sum();
            [[((sum + 4) >> 3) as u8; 4]; 4]
        }
        SubblockMode::TrueMotion => [i, j, k, l].map(|left| {
            let difference = i16::from(left) - i16::from(corner);
            [a, b, c, d].map(|above| (i16::from(above) + difference).clamp(0, 255) as u8)
        }),
        SubblockMode::Vertical => [[mean3(corner, a, b), mean3(a, b, c), mean3(b, c, d), mean3(c, d, e)]; 4],
        SubblockMode::Horizontal => {
            [mean3(corner, i, j), mean3(i, j, k), mean3(j, k, l), mean3(k, l, l)].map(|value| [value; 4])
        }
        SubblockMode::LeftDown => diagonal([
            mean3(a, b, c),
            mean3(b, c, d),
            mean3(c, d, e),
            mean3(d, e, f),
            mean3(e, f, g),
            mean3(f, g, h),
            mean3(g, h, h),
        ]),
        SubblockMode::RightDown => {
            let [m, n, o, p] = diagonal([
                mean3(l, k, j),
                mean3(k, j, i),
                mean3(j, i, corner),
                mean3(i, corner, a),
                mean3(corner, a, b),
                mean3(a, b, c),
                mean3(b, c, d),
            ]);
            [p, o, n, m]
        }
        SubblockMode::VerticalRight => {
            let even = [mean2(corner, a), mean2(a, b), mean2(b, c), mean2(c, d)];
            let odd = [mean3(i, corner, a), mean3(corner, a, b), mean3(a, b, c), mean3(b, c, d)];
            [even, odd, shifted(mean3(j, i, corner), even), shifted(mean3(k, j, i), odd)]
        }
        SubblockMode::VerticalLeft => {
            let even = [mean2(a, b), mean2(b, c), mean2(c, d), mean2(d, e)];
            let odd = [mean3(a, b, c), mean3(b, c, d), mean3(c, d, e), mean3(d, e, f)];
            [even, odd, [even[1], even[2], even[3], mean3(e, f, g)], [odd[1], odd[2], odd[3], mean3(f, g, h)]]
        }
        SubblockMode::HorizontalDown => {
            let first = [mean2(i, corner), mean3(i, corner, a), mean3(corner, a, b), mean3(a, b, c)];
            let second = [mean2(j, i), mean3(j, i, corner), first[0], first[1]];
            let third = [mean2(k, j), mean3(k, j, i), second[0], second[1]];
            [first, second, third, [mean2(l, k), mean3(l, k, j), third[0], third[1]]]
        }
        SubblockMode::HorizontalUp => {
            let first = [mean2(i, j), mean3(i, j, k), mean2(j, k), mean3(j, k, l)];
            let second = [first[2], first[3], mean2(k, l), mean3(k, l, l)];
            [first, second, [second[2], second[3], l, l], [l; 4]]
        }
    };
    for (row, predicted) in samples[top + 1..top + 5].iter_mut().zip(predicted) {
        row[left..left + 4].copy_from_slice(&predicted);
    }
}

/// Four rows, each of which begins one value after the row above.
fn diagonal(values: [u8; 7]) -> [[u8; 4]; 4] {
    std::array::from_fn(|row| std::array::from_fn(|column| values[row + column]))
}

fn shifted(first: u8, [a, b, c, _]: [u8; 4]) -> [u8; 4] {
    [first, a, b, c]
}

#[inline]
fn mean2(a: u8, b: u8) -> u8 {
    ((u16::from(a) + u16::from(b) + 1) >> 1) as u8
}

#[inline]
fn mean3(a: u8, b: u8, c: u8) -> u8 {
    ((u16::from(a) + 2 * u16::from(b) + u16::from(c) + 2) >> 2) as u8
}

/// Adds the inverse transform of a block to its prediction. `top` and `left` are the place of the block in the samples.
#[inline]
pub fn add_inverse_dct<const ROWS: usize>(
    samples: &mut Samples<ROWS>,
    (left, top): (usize, usize),
    coefficients: &[i16; 16],
    is_dc_only: bool,
) {
    let residual =
        if is_dc_only { [[(coefficients[0].wrapping_add(4)) >> 3; 4]; 4] } else { inverse_dct(coefficients) };
    for (row, residual) in samples[top..top + 4].iter_mut().zip(residual) {
        for (sample, residual) in row[left..left + 4].iter_mut().zip(residual) {
            *sample = i16::from(*sample).saturating_add(residual).clamp(0, 255) as u8;
        }
    }
}

/// Sixteen bits are enough for the values of every encoder. Larger values wrap.
#[inline]
fn inverse_dct(coefficients: &[i16; 16]) -> [[i16; 4]; 4] {
    let rows: [[i16; 4]; 4] = std::array::from_fn(|row| std::array::from_fn(|column| coefficients[4 * row + column]));
    let mut columns = transpose(&inverse_dct_of_columns(&rows));
    // Four is half of the eight that the result is divided by.
    columns[0] = columns[0].map(|value| value.wrapping_add(4));
    transpose(&inverse_dct_of_columns(&columns)).map(|row| row.map(|value| value >> 3))
}

#[inline]
fn inverse_dct_of_columns(rows: &[[i16; 4]; 4]) -> [[i16; 4]; 4] {
    // sqrt(2) cos(pi / 8) minus one, and sqrt(2) sin(pi / 8), each times 65536.
    let cosine = |value: i16| value.wrapping_add(((i32::from(value) * 20_091) >> 16) as i16);
    let sine = |value: i16| ((i32::from(value) * 35_468) >> 16) as i16;
    let mut columns = [[0; 4]; 4];
    for lane in 0..4 {
        let [first, second, third, fourth] = [rows[0][lane], rows[1][lane], rows[2][lane], rows[3][lane]];
        let (a, b) = (first.wrapping_add(third), first.wrapping_sub(third));
        let c = sine(second).wrapping_sub(cosine(fourth));
        let d = cosine(second).wrapping_add(sine(fourth));
        columns[0][lane] = a.wrapping_add(d);
        columns[1][lane] = b.wrapping_add(c);
        columns[2][lane] = b.wrapping_sub(c);
        columns[3][lane] = a.wrapping_sub(d);
    }
    columns
}

#[inline]
fn transpose(rows: &[[i16; 4]; 4]) -> [[i16; 4]; 4] {
    std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
}

/// The inverse Walsh-Hadamard transform: the first coefficient of each of the 16 luma blocks.
pub fn inverse_wht(coefficients: &[i16; 16]) -> [i16; 16] {
    let mut columns = [0_i32; 16];
    for i in 0..4 {
        let [first, second, third, fourth] = [0, 4, 8, 12].map(|row| i32::from(coefficients[row + i]));
        let (a, b, c, d) = (first + fourth, second + third, second - third, first - fourth);
        (columns[i], columns[4 + i], columns[8 + i], columns[12 + i]) = (a + b, c + d, a - b, d - c);
    }
    let mut result = [0; 16];
    for (row, result) in columns.as_chunks::<4>().0.iter().zip(result.as_chunks_mut::<4>().0) {
        let (a, b, c, d) = (row[0] + row[3], row[1] + row[2], row[1] - row[2], row[0] - row[3]);
        *result = [a + b, c + d, a - b, d - c].map(|value| ((value + 3) >> 3) as i16);
    }
    result
}

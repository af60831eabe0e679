//! Pictures that are drawn: a sky, a sun or a moon, and hills behind hills.

use anyhow::Result;
use jpeg_encoder::{ColorType, Encoder};

const WIDTH: usize = 1000;
const HEIGHT: usize = 667;

type Colour = [f64; 3];

/// The colours of an album: the sky above and at the horizon, the sun, the farthest and the nearest hill.
const PALETTES: [[Colour; 5]; 5] = [
    [[60., 130., 210.], [205., 228., 245.], [255., 250., 225.], [150., 178., 200.], [34., 82., 60.]],
    [[90., 150., 200.], [250., 225., 205.], [255., 240., 210.], [120., 165., 190.], [20., 70., 105.]],
    [[235., 150., 90.], [255., 222., 170.], [255., 245., 200.], [225., 160., 110.], [120., 55., 35.]],
    [[45., 35., 90.], [245., 130., 95.], [255., 215., 140.], [125., 70., 110.], [25., 18., 45.]],
    [[8., 14., 38.], [40., 130., 115.], [225., 235., 240.], [25., 50., 75.], [5., 10., 20.]],
];

const HILLS: u32 = 5;

/// A hill: its highest row in each column, and its colours from there downwards.
struct Hill {
    tops: Vec<usize>,
    shades: Vec<[u8; 3]>,
}

/// A photograph of an album, as JPEG. The same numbers give the same bytes. This program is compiled without optimization,
/// so a pixel takes its colour from a table.
pub fn landscape(album: u32, number: u32) -> Result<Vec<u8>> {
    let palette = PALETTES[album as usize % PALETTES.len()];
    let [above, horizon, ..] = palette;
    let seed = album * 7919 + number * 104_729;
    let sky: Vec<[u8; 3]> =
        (0..HEIGHT).map(|y| mixed(above, horizon, (real(y) / (0.6 * real(HEIGHT))).min(1.0)).map(byte)).collect();
    let mut pixels = vec![[0; 3]; WIDTH * HEIGHT];
    for row in 0..HEIGHT {
        pixels[row * WIDTH..][..WIDTH].fill(sky[row]);
    }
    shine(&mut pixels, palette, seed);
    for hill in (0..HILLS).map(|hill| Hill::new(hill, palette, seed)) {
        for (x, top) in hill.tops.iter().enumerate() {
            for (y, shade) in (*top..HEIGHT).zip(&hill.shades) {
                pixels[y * WIDTH + x] = *shade;
            }
        }
    }
    let mut jpeg = Vec::new();
    let (width, height) = (u16::try_from(WIDTH)?, u16::try_from(HEIGHT)?);
    Encoder::new(&mut jpeg, 82).encode(pixels.as_flattened(), width, height, ColorType::Rgb)?;
    Ok(jpeg)
}

/// Draws the sun with its light around it.
fn shine(pixels: &mut [[u8; 3]], [_, _, sun, ..]: [Colour; 5], seed: u32) {
    let at = (real(WIDTH) * (0.15 + 0.7 * chance(seed + 1)), real(HEIGHT) * (0.12 + 0.25 * chance(seed + 2)));
    let radius = 20.0 + 30.0 * chance(seed + 3);
    for (place, pixel) in pixels.iter_mut().enumerate() {
        let (x, y) = (real(place % WIDTH) - at.0, real(place / WIDTH) - at.1);
        if x.abs().max(y.abs()) < 5.0 * radius {
            let share = ((x.hypot(y) - radius) / (4.0 * radius)).clamp(0.0, 1.0).powf(0.4);
            *pixel = mixed(sun, pixel.map(f64::from), share).map(byte);
        }
    }
}

impl Hill {
    /// The nearest hill has the highest number.
    fn new(hill: u32, [_, horizon, _, far, near]: [Colour; 5], seed: u32) -> Self {
        let depth = f64::from(hill) / f64::from(HILLS - 1);
        let of = |what| 40.0 * chance(seed + 10 * (hill + 1) + what);
        let waves = [(0.005, 58.0, of(1)), (0.016, 21.0, of(2)), (0.06, 6.0 * depth, of(3))];
        let base = real(HEIGHT) * (0.45 + 0.42 * depth);
        let height = |x: f64| waves.iter().map(|(often, high, phase)| high * (often * x + phase).sin()).sum::<f64>();
        let tops = (0..WIDTH).map(|x| row(base - height(real(x)))).collect();
        // Mist lies at the foot of each hill.
        let shade = |below| mixed(mixed(far, near, depth), horizon, (real(below) / 580.0).min(0.35)).map(byte);
        Self { tops, shades: (0..HEIGHT).map(shade).collect() }
    }
}

fn mixed(from: Colour, to: Colour, share: f64) -> Colour {
    [0, 1, 2].map(|of| from[of] + (to[of] - from[of]) * share)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is in the range of a byte")]
fn byte(value: f64) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is in the picture")]
fn row(value: f64) -> usize {
    value.clamp(0.0, real(HEIGHT)) as usize
}

#[expect(clippy::cast_precision_loss, reason = "a picture has less than a million pixels")]
fn real(value: usize) -> f64 {
    value as f64
}

/// A number from 0 to 1 that looks like chance, and is the same for the same seed.
fn chance(seed: u32) -> f64 {
    let mut bits = seed.wrapping_mul(0x9e37_79b9) ^ 0x5bd1_e995;
    for _ in 0..3 {
        bits ^= bits >> 15;
        bits = bits.wrapping_mul(0x85eb_ca6b);
        bits ^= bits >> 13;
    }
    f64::from(bits) / f64::from(u32::MAX)
}

/// A PDF of one page with a line of text.
pub fn pdf(text: &str) -> Vec<u8> {
    let page = format!("BT /F1 24 Tf 72 760 Td ({text}) Tj ET");
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>".to_owned(),
        format!("<</Length {}>>\nstream\n{page}\nendstream", page.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
    ];
    let (mut pdf, mut table) = ("%PDF-1.4\n".to_owned(), "0000000000 65535 f \n".to_owned());
    for (number, object) in (1..).zip(&objects) {
        table.push_str(&[&format!("{:010}", pdf.len()), " 00000 n \n"].concat());
        pdf.push_str(&[&number.to_string(), " 0 obj\n", object, "\nendobj\n"].concat());
    }
    let count = objects.len() + 1;
    let at = pdf.len();
    format!("{pdf}xref\n0 {count}\n{table}trailer\n<</Size {count}/Root 1 0 R>>\nstartxref\n{at}\n%%EOF\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_the_same_again_and_another_for_another_number() {
        let picture = landscape(1, 1).unwrap();
        assert!(picture.starts_with(&[0xff, 0xd8]) && picture.len() < 300_000, "{} bytes", picture.len());
        assert!(picture == landscape(1, 1).unwrap());
        assert!(picture != landscape(1, 2).unwrap() && picture != landscape(2, 1).unwrap());
    }

    #[test]
    fn the_table_of_a_pdf_says_where_its_objects_are() {
        let pdf = String::from_utf8(pdf("A letter")).unwrap();
        let (_, table) = pdf.split_once("xref\n0 6\n").unwrap();
        for (number, line) in table.lines().take(6).enumerate().skip(1) {
            let at: usize = line[..10].parse().unwrap();
            assert!(pdf[at..].starts_with(&format!("{number} 0 obj")), "{line}");
        }
    }
}

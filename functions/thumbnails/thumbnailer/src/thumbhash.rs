//! The `ThumbHash` of a picture: a blurred preview in 25 bytes or less, which a page shows until the picture is there.

use super::{ImageError, picture::Picture};

/// The longest side of the picture that is hashed. A hash has at most seven frequencies in each direction, which 32 pixels
/// hold; the 100 pixels that the library allows take ten times as long (0.4 ms).
const SIDE: u32 = 32;

/// The hash of a picture of any size.
pub fn of(picture: Picture) -> Result<Vec<u8>, ImageError> {
    let (width, height) = picture.size();
    let longest = width.max(height);
    let fit = |side: u32| if longest <= SIDE { side } else { (side * SIDE / longest).max(1) };
    let (width, height) = (fit(width), fit(height));
    let pixels = picture.resize((width, height))?.into_rgba();
    Ok(thumbhash::rgba_to_thumb_hash(width as usize, height as usize, pixels.as_flattened()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ColorType, Pixels},
        *,
    };

    fn hash(width: u32, height: u32, color: impl Fn(u32, u32) -> [u8; 4]) -> Vec<u8> {
        let rgba = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| color(x, y)).collect();
        let pixels = Pixels { width, height, extent: (width.into(), height.into()), rgba };
        of(Picture::Pixels(pixels, ColorType::Rgba)).unwrap()
    }

    #[test]
    fn a_hash_has_the_colors_and_the_shape_of_its_picture() {
        let hash = hash(100, 50, |x, _| if x < 50 { [200, 20, 20, 255] } else { [20, 20, 200, 255] });
        let (width, height, rgba) = thumbhash::thumb_hash_to_rgba(&hash).unwrap();
        assert!(hash.len() <= 25 && width == 32 && (14..=18).contains(&height), "{width} x {height}");
        let [left, right] = [4, 28].map(|x| rgba[(height / 2 * width + x) * 4..][..4].to_vec());
        assert!(left[0] > 150 && left[2] < 80, "{left:?}");
        assert!(right[0] < 80 && right[2] > 150, "{right:?}");
    }

    #[test]
    fn every_shape_has_a_hash() {
        for (width, height) in [(1, 1), (1, 16_384), (500, 1), (33, 32), (100, 100)] {
            for alpha in [0, 255] {
                assert!(!hash(width, height, |x, y| [x as u8, y as u8, 0, alpha]).is_empty());
            }
        }
    }
}

//! The format of a picture, by its first bytes, whatever the file is called.

use super::ico;

/// The formats that have thumbnails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Jpeg,
    Png,
    Gif,
    WebP,
    Heic,
    Tiff,
    Bmp,
    Ico,
    Jxl,
}

impl Format {
    /// The format whose signature the file begins with.
    pub fn detect(source: &[u8]) -> Option<Self> {
        match source {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [_, _, _, size, b'f', b't', b'y', b'p', brands @ ..] => Self::of_brands(brands, usize::from(*size)),
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            // The size of the information header tells a bitmap from text that begins with these letters.
            [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, 12..=124, 0, 0, 0, ..] => Some(Self::Bmp),
            [0, 0, 1 | 2, 0, ..] if ico::has_directory(source) => Some(Self::Ico),
            [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', b'\r', b'\n', 0x87, b'\n', ..] => Some(Self::Jxl),
            _ => None,
        }
    }

    /// The name of the format in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::WebP => "webp",
            Self::Heic => "heic",
            Self::Tiff => "tiff",
            Self::Bmp => "bmp",
            Self::Ico => "ico",
            Self::Jxl => "jxl",
        }
    }

    /// The format of a HEIF file by its brands: the main brand, a version, then the other brands. `size` is the lowest byte
    /// of the size of the box, which is enough for the brands that files have.
    fn of_brands(brands: &[u8], size: usize) -> Option<Self> {
        let (brands, _) = brands.get(..size.saturating_sub(8)).unwrap_or(brands).as_chunks::<4>();
        let format = |brand: &[u8; 4]| match brand {
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => Some(Self::Heic),
            _ => None,
        };
        let (main, others) = brands.split_first()?;
        match main {
            // Any HEIF file. The other brands tell how its pictures are coded.
            b"mif1" | b"mif2" | b"msf1" | b"miaf" => others.iter().find_map(format),
            main => format(main),
        }
    }
}

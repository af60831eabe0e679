//! The files of the app, as the build script has compressed them.

use axum::http::{HeaderMap, header};

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A file of the app.
pub struct Asset {
    /// The name, which has a digest of the content.
    name: &'static str,
    pub content_type: &'static str,
    body: Body,
}

enum Body {
    Packed {
        /// Only of small files.
        brotli: Option<&'static [u8]>,
        gzip: &'static [u8],
    },
    /// Compressed by its own format.
    #[allow(dead_code, reason = "an app may have no such file")]
    Plain(&'static [u8]),
}

impl Asset {
    /// The file with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.name == name)
    }

    /// The bytes for a client that accepts these codings, and their coding. Without brotli it is gzip, which every client
    /// can decompress.
    pub fn bytes(&self, asked: &HeaderMap) -> (&'static [u8], Option<&'static str>) {
        match self.body {
            Body::Packed { brotli: Some(brotli), .. } if accepts_brotli(asked) => (brotli, Some("br")),
            Body::Packed { gzip, .. } => (gzip, Some("gzip")),
            Body::Plain(bytes) => (bytes, None),
        }
    }
}

/// True if `Accept-Encoding` names brotli, and not with a weight of zero.
fn accepts_brotli(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("br") && !matches!(weight, Some(Ok(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn asked(codings: &'static str) -> HeaderMap {
        [(header::ACCEPT_ENCODING, codings.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn brotli_comes_only_where_it_is_accepted() {
        for (codings, accepted) in [
            ("br", true),
            ("gzip, deflate, br, zstd", true),
            ("gzip;q=1.0, BR;q=0.5", true),
            ("br;q=0", false),
            ("br; q=0.000", false),
            ("gzip", false),
            ("*", false),
            ("brotli", false),
            ("", false),
        ] {
            assert_eq!(accepts_brotli(&asked(codings)), accepted, "{codings}");
        }
        assert!(!accepts_brotli(&HeaderMap::new()));
    }

    #[test]
    fn both_codings_of_a_file_have_its_bytes() {
        for asset in ASSETS.iter().chain([&INDEX]) {
            let path = format!("{}/app/dist/{}", env!("CARGO_MANIFEST_DIR"), asset.name);
            let plain = std::fs::read(path).unwrap();
            for codings in ["br", "gzip"] {
                let (bytes, coding) = asset.bytes(&asked(codings));
                let mut unpacked = Vec::new();
                match coding {
                    Some("br") => brotli_decompressor::BrotliDecompress(&mut &*bytes, &mut unpacked).unwrap(),
                    Some("gzip") => drop(GzDecoder::new(bytes).read_to_end(&mut unpacked).unwrap()),
                    other => assert_eq!(other, None, "of {}", asset.name),
                }
                assert!(coding.is_none() || unpacked == plain, "{codings} of {}", asset.name);
            }
        }
    }

    #[test]
    fn a_file_is_found_by_its_whole_name() {
        assert!(ASSETS.iter().all(|asset| Asset::named(asset.name).is_some()));
        for other in ["", "index.html", "main.js", "../Cargo.toml", "main-AAAAAAA0.js"] {
            assert!(Asset::named(other).is_none(), "{other}");
        }
    }
}

//! The styles and the script of the pages. A name has a digest of the content, so a browser keeps a file for ever, and
//! gets another file under another name after a release.

/// A file that the pages use, compressed by the build script.
pub struct Asset {
    /// The name in the path, with a digest.
    name: &'static str,
    pub content_type: &'static str,
    pub bytes: &'static [u8],
}

/// The folder of the assets. No token of a link has this form.
pub const FOLDER: &str = "/s/assets/";

macro_rules! asset {
    ($file:literal, $content_type:literal, $digest:literal) => {
        Asset {
            name: env!($digest),
            content_type: $content_type,
            bytes: include_bytes!(concat!(env!("OUT_DIR"), "/", $file, ".gz")),
        }
    };
}

pub const STYLE: Asset = asset!("style.css", "text/css; charset=utf-8", "STYLE");
pub const UPLOADER_STYLE: Asset = asset!("upload.css", "text/css; charset=utf-8", "UPLOADER_STYLE");
pub const UPLOADER: Asset = asset!("upload.js", "text/javascript; charset=utf-8", "UPLOADER");
pub const ICON: Asset = asset!("icon.svg", "image/svg+xml", "ICON");

impl Asset {
    pub fn path(&self) -> String {
        format!("{FOLDER}{}", self.name)
    }

    /// The asset with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        [&STYLE, &UPLOADER_STYLE, &UPLOADER, &ICON].into_iter().find(|asset| asset.name == name)
    }
}

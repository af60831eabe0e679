//! Takes what the page of `/docs` needs out of the archive of Swagger UI. It stays packed: what a zip archive calls
//! deflated is gzip with another head and tail.

#![forbid(unsafe_code)]

use std::{
    env,
    error::Error,
    fs,
    io::{Cursor, Read},
    path::Path,
};

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::{CompressionMethod, ZipArchive};

const FILES: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

/// Deflated; no name, no time, of no particular system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = env::var("OUT_DIR")?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for name in FILES {
        let path = format!("/dist/{name}");
        let at = archive.file_names_raw().position(|file| file.ends_with(path.as_bytes()));
        let mut file = archive.by_index_raw(at.ok_or_else(|| format!("Swagger UI has no {name}"))?)?;
        if file.compression() != CompressionMethod::DEFLATE {
            return Err(format!("{name} is not deflated").into());
        }
        let mut gzip = HEAD.to_vec();
        file.read_to_end(&mut gzip)?;
        gzip.extend(file.crc32().to_le_bytes());
        gzip.extend(u32::try_from(file.size())?.to_le_bytes());
        fs::write(Path::new(&folder).join(format!("{name}.gz")), gzip)?;
    }
    Ok(())
}

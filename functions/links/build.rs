//! Compresses the styles and the script of the pages, and gives each a name with a digest of its content.

#![forbid(unsafe_code)]

use std::{env, error::Error, fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

/// The variable with the name of each file, for `src/pages/assets.rs`.
const FILES: [(&str, &str); 4] = [
    ("STYLE", "page/dist/style.css"),
    ("UPLOADER_STYLE", "page/dist/upload.css"),
    ("UPLOADER", "page/dist/upload.js"),
    ("ICON", "page/src/icon.svg"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = env::var("OUT_DIR")?;
    for (variable, path) in FILES {
        println!("cargo::rerun-if-changed={path}");
        let bytes = fs::read(path)?;
        let (stem, extension) = path.rsplit('/').next().and_then(|name| name.split_once('.')).ok_or(path)?;
        let digest = u64::from_be_bytes(Sha256::digest(&bytes)[..8].try_into()?);
        println!("cargo::rustc-env={variable}={stem}-{digest:016x}.{extension}");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&bytes)?;
        fs::write(Path::new(&folder).join(format!("{stem}.{extension}.gz")), gzip.finish()?)?;
    }
    Ok(())
}

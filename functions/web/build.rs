//! Embeds the files of the app: compresses each with gzip, and small ones with brotli too, and writes a table of them for
//! `src/assets.rs`.

#![forbid(unsafe_code)]

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use brotli::enc::BrotliEncoderParams;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

const DIST: &str = "app/dist";

/// The only file that has no digest in its name.
const INDEX: &str = "index.html";

/// The type of each extension, and whether files of the type get smaller.
const TYPES: [(&str, &str, bool); 9] = [
    ("css", "text/css; charset=utf-8", true),
    ("html", "text/html; charset=utf-8", true),
    ("js", "text/javascript; charset=utf-8", true),
    ("mjs", "text/javascript; charset=utf-8", true),
    ("png", "image/png", false),
    ("svg", "image/svg+xml", true),
    ("wasm", "application/wasm", true),
    ("webmanifest", "application/manifest+json", true),
    ("woff2", "font/woff2", false),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={DIST}");
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    let mut paths = fs::read_dir(DIST)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    let (mut table, mut index) = (String::new(), None);
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a name is not UTF-8")?;
        let entry = embed(&folder, &path, name)?;
        if name == INDEX {
            let digest = &Sha256::digest(fs::read(&path)?)[..16];
            let digest = digest.iter().fold(String::new(), |digest, byte| format!("{digest}{byte:02x}"));
            index =
                Some(format!("pub static INDEX: Asset = {entry};\npub const ETAG: &str = \"W/\\\"{digest}\\\"\";\n"));
        } else if has_digest(name) {
            writeln!(table, "    {entry},")?;
        } else {
            return Err(format!("{DIST}/{name} has no digest in its name, and browsers would keep it for ever").into());
        }
    }
    let index = index.ok_or(format!("{DIST} has no {INDEX}"))?;
    fs::write(folder.join("assets.rs"), format!("{index}static ASSETS: &[Asset] = &[\n{table}];\n"))?;
    Ok(())
}

/// Writes the compressed forms of a file, and returns the expression of the file for the table.
fn embed(folder: &Path, path: &Path, name: &str) -> Result<String, Box<dyn Error>> {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = TYPES.iter().find(|(of, ..)| *of == extension);
    let (_, content_type, shrinks) = known.ok_or_else(|| format!("{name} has no known type: see build.rs"))?;
    let bytes = fs::read(path)?;
    let body = if *shrinks {
        let include = |form: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.{form}\"))");
        fs::write(folder.join(format!("{name}.gz")), gzip(&bytes)?)?;
        let brotli = if bytes.len() > LARGE {
            "None".to_owned()
        } else {
            fs::write(folder.join(format!("{name}.br")), brotli(&bytes)?)?;
            format!("Some({})", include("br"))
        };
        format!("Body::Packed {{ brotli: {brotli}, gzip: {} }}", include("gz"))
    } else {
        format!("Body::Plain(include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{DIST}/{name}\")))")
    };
    Ok(format!("Asset {{ name: {name:?}, content_type: {content_type:?}, body: {body} }}"))
}

/// Files of more bytes have no brotli form. Only a visit that opens a PDF loads such files: 550 kB as gzip, and 480 kB as
/// brotli, which would make each cold start load 480 kB more.
const LARGE: usize = 128 << 10;

fn brotli(mut bytes: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let params = BrotliEncoderParams { size_hint: bytes.len(), ..Default::default() };
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut bytes, &mut packed, &params)?;
    Ok(packed)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes)?;
    gzip.finish()
}

/// True for a name as esbuild makes it: `main-ABCDEFGH.js`.
fn has_digest(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or("", |(stem, _)| stem);
    let digest = stem.rsplit_once('-').map_or("", |(_, digest)| digest);
    digest.len() == 8 && digest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

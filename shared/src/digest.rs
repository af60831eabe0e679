//! Digests, and texts that nobody can guess.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// A digest that identifies bytes or a key: equal for equal input only.
pub fn digest(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..16])
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn sha1_hex(bytes: &[u8]) -> String {
    hex(&Sha1::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The URL-safe base64 of so many random bytes.
pub fn random_text<const BYTES: usize>() -> Result<String> {
    let mut random = [0; BYTES];
    getrandom::fill(&mut random).map_err(|error| Error::Internal(anyhow::anyhow!("{error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

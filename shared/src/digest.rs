//! Digests, and texts that nobody can guess.

use std::fmt::Write;

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::{Config, Error, Result};

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

/// The key of the parameter `TicketKey`. The key signs tickets and links, and what belongs to them.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// # Errors
    /// The key is missing or too short.
    pub fn of(config: &Config) -> anyhow::Result<Self> {
        let key = config.ticket_key.as_deref();
        let key =
            key.context("set TICKET_KEY, or TICKET_KEY_PARAMETER to the name of an SSM parameter that holds it")?;
        ensure!(key.len() >= 32, "TICKET_KEY is shorter than 32 characters: make one with `openssl rand -base64 32`");
        Ok(Self(Hmac::new_from_slice(key.as_bytes()).context("TICKET_KEY")?))
    }

    /// The MAC of a list of pieces, of which the first says what the list is. Each piece follows its length, so that
    /// different lists never give the same bytes.
    pub fn mac(&self, pieces: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for piece in pieces {
            mac.update(&(piece.len() as u64).to_be_bytes());
            mac.update(piece);
        }
        mac
    }

    /// The same in hex.
    pub fn text(&self, pieces: &[&[u8]]) -> String {
        hex(&self.mac(pieces).finalize().into_bytes())
    }
}

/// The URL-safe base64 of so many random bytes.
pub fn random_text<const BYTES: usize>() -> Result<String> {
    let mut random = [0; BYTES];
    getrandom::fill(&mut random).map_err(|error| Error::Internal(anyhow::anyhow!("{error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

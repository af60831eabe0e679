//! The token of a link, and the key that opens a link in place of its password. Both are signed and not stored.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;

use super::Link;
use crate::{digest::MacKey, ids::LinkId, limits, time::Timestamp};

/// The bytes of a MAC that a token and a key have: too many to guess, few enough for a short URL.
const MAC_BYTES: usize = 16;

/// The token of a link: the 12 bytes of its id, and the MAC.
pub fn token(key: &MacKey, link: LinkId) -> String {
    let mut bytes = link.bytes().to_vec();
    bytes.extend(cut(key, &[b"link", &link.bytes()]));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The link of a token; `None` if the token is forged.
pub fn link_of(key: &MacKey, token: &str) -> Option<LinkId> {
    let bytes: [u8; 12 + MAC_BYTES] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (id, mac) = bytes.split_first_chunk::<12>()?;
    key.mac(&[b"link", id]).verify_truncated_left(mac).ok()?;
    Some(LinkId::from_bytes(*id))
}

/// A new key for a link, with its expiry: the expiry in 4 bytes, and the MAC. The MAC covers the hash of the password, so
/// a changed password ends all keys.
pub fn unlock_key(key: &MacKey, link: &Link) -> (String, Timestamp) {
    let expires_at = (Timestamp::now() + limits::UNLOCK_TTL).in_whole_seconds();
    let seconds = u32::try_from(expires_at.millis() / 1000).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = seconds.to_vec();
    bytes.extend(cut(key, &unlock(link, &link.id.bytes(), &seconds)));
    (URL_SAFE_NO_PAD.encode(bytes), expires_at)
}

/// True if this key opens the link.
pub fn unlocks(key: &MacKey, link: &Link, sent: &str) -> bool {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(sent) else { return false };
    let Some((seconds, mac)) = bytes.split_first_chunk::<4>() else { return false };
    let is_in_time = i64::from(u32::from_be_bytes(*seconds)) * 1000 > Timestamp::now().millis();
    let signed = key.mac(&unlock(link, &link.id.bytes(), seconds));
    mac.len() == MAC_BYTES && is_in_time && signed.verify_truncated_left(mac).is_ok()
}

fn unlock<'a>(link: &'a Link, id: &'a [u8], seconds: &'a [u8]) -> [&'a [u8]; 4] {
    [b"unlock", id, link.password.as_deref().unwrap_or_default().as_bytes(), seconds]
}

fn cut(key: &MacKey, pieces: &[&[u8]]) -> [u8; MAC_BYTES] {
    let mut mac = [0; MAC_BYTES];
    mac.copy_from_slice(&key.mac(pieces).finalize().into_bytes()[..MAC_BYTES]);
    mac
}

//! The keys of objects: the only place that knows their forms.
//!
//! - `files/<random>`: bytes that came through a function.
//! - `uploads/<file>/<random>`: bytes that a client sent to S3; with `/form` at the end, those that a form put there.
//! - `thumbnails/<image>/<width>`: a thumbnail.
//! - `zips/<zip>/<random>`: a ZIP; with `/plan` and `/checksums` at the end, what its builder needs to go on.

use std::ops::Range;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{
    Result,
    digest::random_text,
    ids::{FileId, ZipId},
};

const FILES: &str = "files/";
const UPLOADS: &str = "uploads/";
const THUMBNAILS: &str = "thumbnails/";
const ZIPS: &str = "zips/";
const FORM: &str = "/form";
const PLAN: &str = "/plan";
const CHECKSUMS: &str = "/checksums";

/// The random bytes of a key: 192 bits, in 32 characters.
const RANDOM_BYTES: usize = 24;

/// Far more characters than a key of ours has after its first folder. S3 allows 1024 bytes.
const LONGEST: usize = 512;

/// The key of an object, made of random bytes or of ids, never of text from a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[schema(
    as = ObjectKey,
    pattern = "^uploads/[0-9a-f]{24}/[A-Za-z0-9_-]{32}$",
    description = "The key of an object in S3. It names an upload in the requests that follow."
)]
#[serde(transparent)]
pub struct Key(String);

/// A key that was parsed.
#[derive(Debug, PartialEq)]
pub enum ParsedKey {
    Upload(UploadKey),
    /// The key of a thumbnail of this image.
    Thumbnail(FileId),
}

/// The key of an object that a client sent to S3.
#[derive(Debug, PartialEq)]
pub struct UploadKey {
    pub file: FileId,
    /// The key of the file's bytes.
    pub key: Key,
    /// True if a form put the object there, beside the file's own key.
    pub is_form: bool,
}

impl Key {
    /// The keys of bytes that came through a function, as a range: `0` is the character after `/`.
    pub const THROUGH_A_FUNCTION: Range<&str> = FILES.."files0";

    /// The keys of bytes that clients send to S3 begin with this text.
    pub const UPLOADS: &str = UPLOADS;

    /// The keys of thumbnails begin with this text.
    pub const THUMBNAILS: &str = THUMBNAILS;

    /// A new key for bytes that come through a function.
    pub fn random() -> Result<Self> {
        Ok(Self(format!("{FILES}{}", random_text::<RANDOM_BYTES>()?)))
    }

    /// A new key for bytes that a client sends to S3. The key names the file, so S3's message about the object leads to
    /// the row.
    pub fn of_upload(id: FileId) -> Result<Self> {
        Ok(Self(format!("{UPLOADS}{id}/{}", random_text::<RANDOM_BYTES>()?)))
    }

    /// The key for the bytes that the original service keeps on its disk for a document. A document always has the same
    /// key.
    pub fn of_adopted(id: FileId) -> Self {
        let digest = Sha256::digest(format!("adopted {id}"));
        Self(format!("{FILES}{}", URL_SAFE_NO_PAD.encode(&digest[..RANDOM_BYTES])))
    }

    /// The key that a form puts the bytes of an upload at. A form can be posted again as long as it is valid. So its
    /// object becomes the content of the file only by being copied, once, to the file's own key.
    #[must_use]
    pub fn of_form(&self) -> Self {
        Self(format!("{}{FORM}", self.0))
    }

    /// The key of a thumbnail. An image and a width always have the same key, so a repeated job overwrites its own
    /// object.
    pub fn of_thumbnail(id: FileId, width: u32) -> Self {
        Self(format!("{THUMBNAILS}{id}/{width}"))
    }

    /// A new key for a ZIP. A ZIP that is begun anew gets another key, so that a builder which is late does not write to
    /// the object of its successor.
    pub fn of_zip(id: ZipId) -> Result<Self> {
        Ok(Self(format!("{ZIPS}{id}/{}", random_text::<RANDOM_BYTES>()?)))
    }

    /// The key of the list of what the ZIP contains.
    #[must_use]
    pub fn of_plan(&self) -> Self {
        Self(format!("{}{PLAN}", self.0))
    }

    /// The key of the checksums that the builder of the ZIP has computed.
    #[must_use]
    pub fn of_checksums(&self) -> Self {
        Self(format!("{}{CHECKSUMS}", self.0))
    }

    /// All keys of a ZIP begin with this text.
    pub fn of_all_of_zip(id: ZipId) -> String {
        format!("{ZIPS}{id}/")
    }

    /// Parses any key of a ZIP. `None` for any other key.
    pub fn parse_zip(key: &str) -> Option<(ZipId, Self)> {
        let (zip, _) = key.strip_prefix(ZIPS)?.split_once('/')?;
        Some((zip.parse().ok()?, Self(key.to_owned())))
    }

    /// True if a client sends the object to S3 itself.
    pub fn is_of_upload(&self) -> bool {
        self.0.starts_with(UPLOADS)
    }

    /// True for a key that a row of ours may have. S3 has no object at any other, and such a key would make S3 refuse a
    /// whole batch.
    pub fn is_of_row(&self) -> bool {
        let random = self.0.strip_prefix(FILES).or_else(|| self.0.strip_prefix(UPLOADS));
        let is_random = |b: u8| b.is_ascii_alphanumeric() || b"-_/".contains(&b);
        random.is_some_and(|random| !random.is_empty() && random.len() <= LONGEST && random.bytes().all(is_random))
    }

    /// Parses the key of an upload or of a thumbnail. `None` for any other key.
    pub fn parse(key: &str) -> Option<ParsedKey> {
        if let Some(thumbnail) = key.strip_prefix(THUMBNAILS) {
            let (image, _) = thumbnail.split_once('/')?;
            return image.parse().ok().map(ParsedKey::Thumbnail);
        }
        let (own, is_form) = Self::without_form(key).map_or((key, false), |own| (own, true));
        let (file, random) = own.strip_prefix(UPLOADS)?.split_once('/')?;
        let is_random = random.len() == 32 && random.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let file = is_random.then(|| file.parse().ok()).flatten()?;
        Some(ParsedKey::Upload(UploadKey { file, key: Self(own.to_owned()), is_form }))
    }

    /// Parses the key of an upload.
    pub fn parse_upload(key: &str) -> Option<UploadKey> {
        match Self::parse(key)? {
            ParsedKey::Upload(upload) => Some(upload),
            ParsedKey::Thumbnail(_) => None,
        }
    }

    /// The file's own key, of the key that a form puts the bytes at.
    pub fn without_form(key: &str) -> Option<&str> {
        key.strip_suffix(FORM)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Decodes a key as S3 encodes it in listings and messages, like a field of an HTML form: a space is a plus sign.
pub fn decode(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5f1e7d35c7ba06511e683b21";

    #[test]
    fn a_thumbnail_names_its_image() {
        assert_eq!(Key::parse(&format!("thumbnails/{ID}/500")), Some(ParsedKey::Thumbnail(ID.parse().unwrap())));
        for key in ["thumbnails/x/500", "thumbnails/", &format!("thumbnails/{ID}"), &format!("files/{ID}/500")] {
            assert_eq!(Key::parse(key), None, "{key}");
        }
    }

    #[test]
    fn an_upload_names_its_file_and_its_own_key() {
        let file: FileId = ID.parse().unwrap();
        let key = Key::of_upload(file).unwrap();
        for (text, is_form) in [(key.clone(), false), (key.of_form(), true)] {
            let parsed = Key::parse_upload(text.as_str()).unwrap();
            assert_eq!(parsed, UploadKey { file, key: key.clone(), is_form });
        }
        let random = "x".repeat(32);
        for other in [
            format!("uploads/{ID}/{random}/form/form"),
            format!("uploads/{ID}/{}", &random[1..]),
            format!("uploads/x/{random}"),
            format!("files/{ID}/{random}"),
            format!("thumbnails/{ID}/500"),
        ] {
            assert_eq!(Key::parse_upload(&other), None, "{other}");
        }
    }

    #[test]
    fn a_key_of_a_zip_names_the_zip() {
        let id: ZipId = ID.parse().unwrap();
        let key = Key::of_zip(id).unwrap();
        for key in [key.of_plan(), key.of_checksums(), key] {
            assert!(key.as_str().starts_with(&Key::of_all_of_zip(id)));
            assert_eq!(Key::parse_zip(key.as_str()), Some((id, key.clone())));
            assert!(!key.is_of_row());
        }
        for key in ["zips/", "zips/x/y", &format!("zips/{ID}"), &format!("files/{ID}/x")] {
            assert_eq!(Key::parse_zip(key), None, "{key}");
        }
    }

    #[test]
    fn all_keys_of_the_range_came_through_a_function() {
        let range = Key::THROUGH_A_FUNCTION;
        assert!(range.contains(&Key::random().unwrap().as_str()));
        for other in [Key::of_upload(FileId::new()).unwrap(), Key::of_thumbnail(FileId::new(), 100)] {
            assert!(!range.contains(&other.as_str()));
        }
    }
}

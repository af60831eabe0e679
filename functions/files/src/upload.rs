//! What `POST /files` was asked for, once it has a meaning.

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use shared::{
    Error, Result,
    body::{Fields, Scalar},
    files::{Name, Parent},
    limits,
};

pub struct Upload {
    pub name: Name,
    pub is_public: bool,
    pub parent: Parent,
    pub payload: Payload,
}

pub enum Payload {
    Folder,
    File(Vec<u8>),
    Image(Vec<u8>),
}

impl TryFrom<Fields> for Upload {
    type Error = Error;

    /// In the contract's order: what is missing before what is wrong, the parent last.
    fn try_from(mut fields: Fields) -> Result<Self> {
        let name = fields.text("name").ok_or(Error::Invalid("Missing name"))?;
        let into_payload: fn(Vec<u8>) -> Payload = match fields.text("type").as_deref() {
            Some("folder") => |_| Payload::Folder,
            Some("file") => Payload::File,
            Some("image") => Payload::Image,
            _ => return Err(Error::Invalid("Missing type")),
        };
        let is_folder = matches!(into_payload(Vec::new()), Payload::Folder);
        let data = if is_folder { String::new() } else { fields.text("data").ok_or(Error::Invalid("Missing data"))? };
        Ok(Self {
            name: name.parse()?,
            payload: into_payload(decode(data)?),
            is_public: fields.take("isPublic") == Scalar::Bool(true),
            parent: parent(fields.take("parentId"))?,
        })
    }
}

fn parent(field: Scalar) -> Result<Parent> {
    match field {
        Scalar::Null | Scalar::Bool(false) | Scalar::Number(0.0) => Ok(Parent::Root),
        Scalar::Text(text) if text.is_empty() || text == "0" => Ok(Parent::Root),
        Scalar::Text(text) => text.parse().map(Parent::Folder).map_err(|_| Error::Invalid("Parent not found")),
        Scalar::Bool(true) | Scalar::Number(_) | Scalar::Nested => Err(Error::Invalid("Parent not found")),
    }
}

/// Takes what Node's decoder takes and people send: both alphabets, padding or none, white space between.
fn decode(data: String) -> Result<Vec<u8>> {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let mut text = data.into_bytes();
    text.retain(|byte| !byte.is_ascii_whitespace());
    for byte in &mut text {
        match byte {
            b'+' => *byte = b'-',
            b'/' => *byte = b'_',
            _ => {}
        }
    }
    let bytes = BASE64.decode(text).map_err(|_| Error::Invalid("Invalid data"))?;
    if bytes.len() > limits::INLINE_BYTES {
        return Err(Error::TooLarge("data is larger than 4 MiB (4194304 bytes), the limit of an upload inside JSON"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(data: &str) -> Result<Vec<u8>> {
        decode(data.into())
    }

    #[test]
    fn both_alphabets_padding_or_none_and_white_space_mean_the_same() {
        for data in ["+/++/w==", "-_--_w==", "+/-+_w", " +/\r\n+-\t/w = = "] {
            assert_eq!(decoded(data).unwrap(), [0xfb, 0xff, 0xbe, 0xff], "{data:?}");
        }
    }

    #[test]
    fn anything_else_is_invalid_data() {
        for data in ["a", "!!!!", "SGVsbG8*", "data:text/plain;base64,SGVsbG8=", "SGVs=bG8", "é"] {
            assert!(matches!(decoded(data), Err(Error::Invalid("Invalid data"))), "{data:?}");
        }
    }

    #[test]
    fn the_limit_is_exact() {
        use base64::engine::general_purpose::STANDARD;
        assert!(decoded(&STANDARD.encode(vec![0; limits::INLINE_BYTES])).is_ok());
        assert!(matches!(decoded(&STANDARD.encode(vec![0; limits::INLINE_BYTES + 1])), Err(Error::TooLarge(_))));
    }

    #[test]
    fn the_root_has_six_forms() {
        for root in [Scalar::Null, Scalar::Text(String::new()), Scalar::Bool(false), Scalar::Number(0.0)] {
            assert_eq!(parent(root).unwrap(), Parent::Root);
        }
        assert_eq!(parent(Scalar::Text("0".into())).unwrap(), Parent::Root);
        for other in [Scalar::Bool(true), Scalar::Number(1.0), Scalar::Nested, Scalar::Text("00".into())] {
            assert!(parent(other).is_err());
        }
    }
}

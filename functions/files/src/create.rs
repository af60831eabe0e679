//! The body of `POST /files`, parsed.

use axum::extract::{FromRequest, Request};
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use shared::{
    Error, Result,
    files::{ContentKind, Name, OnConflict, Parent, idempotency::IdempotentRequest},
    http::body::{Fields, Scalar},
    limits,
};

/// The body of a request that creates something, and its `Idempotency-Key` if there is one.
pub struct Create {
    pub fields: Fields,
    pub idempotent: Option<IdempotentRequest>,
}

impl<S: Send + Sync> FromRequest<S> for Create {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| Error::Internal(error.into()))?;
        // A key that is no text is as invalid as an empty one.
        let key = parts.headers.get("idempotency-key").map(|key| key.to_str().unwrap_or_default());
        // The same body may be sent to two paths.
        let path = parts.uri.path().strip_prefix("/files").unwrap_or_default();
        let request = [path.as_bytes(), &bytes].concat();
        let idempotent = key.map(|key| IdempotentRequest::new(key, &request)).transpose()?;
        let fields = Fields::from_request(Request::from_parts(parts, bytes.into()), state).await?;
        Ok(Self { fields, idempotent })
    }
}

pub struct Upload {
    pub name: Name,
    pub is_public: bool,
    pub parent: Parent,
    pub on_conflict: OnConflict,
    pub payload: Payload,
}

pub enum Payload {
    Folder,
    /// The bytes from `data`.
    Inline(ContentKind, Vec<u8>),
    /// A number of bytes that the client will send to S3 itself.
    Direct(ContentKind, u64),
}

impl TryFrom<Fields> for Upload {
    type Error = Error;

    /// Errors come in the contract's order: missing fields before wrong fields, the parent last.
    fn try_from(mut fields: Fields) -> Result<Self> {
        let name = fields.text("name").ok_or(Error::Invalid("Missing name"))?;
        let bytes = match fields.text("type").as_deref() {
            Some("folder") => None,
            Some("file") => Some(ContentKind::OfFile),
            Some("image") => Some(ContentKind::OfImage),
            _ => return Err(Error::Invalid("Missing type")),
        };
        let content = match (fields.text("data"), fields.take("size")) {
            (Some(data), _) => Some(Given::Data(data)),
            (None, Scalar::Null) => None,
            (None, size) => Some(Given::Size(size)),
        };
        if bytes.is_some() && content.is_none() {
            return Err(Error::Invalid("Missing data"));
        }
        Ok(Self {
            name: name.parse()?,
            payload: match (bytes, content) {
                (Some(bytes), Some(Given::Data(data))) => {
                    Payload::Inline(bytes, decode(data, limits::MAX_INLINE_BYTES, TOO_LARGE)?)
                }
                (Some(bytes), Some(Given::Size(size))) => Payload::Direct(bytes, file_size(&size)?),
                (None, _) | (_, None) => Payload::Folder,
            },
            is_public: fields.take("isPublic") == Scalar::Bool(true),
            on_conflict: fields.on_conflict(OnConflict::Keep)?,
            parent: Parent::try_from(fields.take("parentId"))?,
        })
    }
}

/// The content of a file as the client gives it.
enum Given {
    Data(String),
    Size(Scalar),
}

fn file_size(field: &Scalar) -> Result<u64> {
    let size = field.as_integer().ok_or(Error::Invalid("Invalid size"))?;
    if size > limits::MAX_FILE_BYTES {
        return Err(Error::TooLarge("size is larger than 5 TiB (5497558138880 bytes), the limit of a file"));
    }
    Ok(size)
}

const TOO_LARGE: &str =
    "data is larger than 4 MiB (4194304 bytes), the limit of an upload inside JSON: send size in place of data";

/// Decodes base64 as Node does, for what clients send: both alphabets, with or without padding, with white space.
///
/// # Errors
/// `Invalid data`; this text if the bytes are more than `most`.
pub fn decode(data: String, most: usize, too_large: &'static str) -> Result<Vec<u8>> {
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
    if bytes.len() > most { Err(Error::TooLarge(too_large)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(data: &str) -> Result<Vec<u8>> {
        decode(data.into(), limits::MAX_INLINE_BYTES, TOO_LARGE)
    }

    #[test]
    fn both_alphabets_with_or_without_padding_and_white_space_decode_alike() {
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
        assert!(decoded(&STANDARD.encode(vec![0; limits::MAX_INLINE_BYTES])).is_ok());
        assert!(matches!(decoded(&STANDARD.encode(vec![0; limits::MAX_INLINE_BYTES + 1])), Err(Error::TooLarge(_))));
    }

    #[test]
    fn a_size_is_a_number_of_bytes_up_to_the_limit_of_a_file() {
        for (size, expected) in [(0.0, 0), (7.0, 7), (5_497_558_138_880.0, limits::MAX_FILE_BYTES)] {
            assert_eq!(file_size(&Scalar::Number(size)).unwrap(), expected);
        }
        assert!(matches!(file_size(&Scalar::Number(5_497_558_138_881.0)), Err(Error::TooLarge(_))));
        for size in [Scalar::Number(-1.0), Scalar::Number(1.5), Scalar::Number(f64::NAN), Scalar::Text("7".into())] {
            assert!(matches!(file_size(&size), Err(Error::Invalid("Invalid size"))), "{size:?}");
        }
    }
}

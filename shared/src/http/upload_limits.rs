//! The limits of uploads through a ticket or a link, as a body has them, and the view of a new ticket.

use std::ops::RangeInclusive;

use serde::Serialize;
use utoipa::ToSchema;

use super::body::Scalar;
use crate::{Error, Result, limits, time::Timestamp};

/// # Errors
/// `Invalid maxBytes`.
pub fn max_bytes(field: &Scalar) -> Result<Option<u64>> {
    number(field, "Invalid maxBytes", 0..=limits::MAX_FILE_BYTES)
}

/// # Errors
/// `Invalid maxFiles`.
pub fn max_files(field: &Scalar) -> Result<Option<u32>> {
    count(field, "Invalid maxFiles")
}

/// A number of at least 1; `None` if the field is absent.
pub fn count(field: &Scalar, invalid: &'static str) -> Result<Option<u32>> {
    Ok(number(field, invalid, 1..=u32::MAX.into())?.and_then(|count| count.try_into().ok()))
}

/// Media types in lower case.
///
/// # Errors
/// `Invalid types: media types such as image/png or image/*`.
pub fn media_types(types: Vec<String>) -> Result<Vec<String>> {
    if types.len() > limits::MAX_TICKET_TYPES || !types.iter().all(|one| is_media_type(one)) {
        return Err(Error::Invalid("Invalid types: media types such as image/png or image/*"));
    }
    Ok(types.into_iter().map(|one| one.to_ascii_lowercase()).collect())
}

/// A whole number within these bounds; `None` if the field is absent.
pub fn number(field: &Scalar, invalid: &'static str, bounds: RangeInclusive<u64>) -> Result<Option<u64>> {
    match field {
        Scalar::Null => Ok(None),
        field => field.as_integer().filter(|number| bounds.contains(number)).map(Some).ok_or(Error::Invalid(invalid)),
    }
}

/// True for `type/subtype` and `type/*`.
fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part.len() <= 127
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    text.split_once('/').is_some_and(|(class, kind)| is_token(class) && (kind == "*" || is_token(kind)))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Ticket)]
#[serde(rename_all = "camelCase")]
pub struct NewTicketView {
    /// The ticket permits only uploads within its limits. Keep it secret.
    #[schema(pattern = "^[A-Za-z0-9_-]{64}$")]
    ticket: String,
    /// The value of Uppy's option `companionEndpoint`.
    companion_endpoint: String,
    expires_at: Timestamp,
}

impl NewTicketView {
    pub fn new((ticket, expires_at): (String, Timestamp), api: &str) -> Self {
        Self { companion_endpoint: format!("{api}/uploads/{ticket}"), ticket, expires_at }
    }
}

/// The schemas of the limits.
pub mod schema {
    use utoipa::openapi::{
        Object, ObjectBuilder, Schema,
        schema::{ArrayBuilder, SchemaType, Type},
    };

    use crate::{http::openapi::file_size, limits};

    pub fn max_bytes() -> Object {
        let mut bytes = file_size();
        bytes.schema_type = SchemaType::from_iter([Type::Integer, Type::Null]);
        bytes.description = Some(
            "The size limit of each file. S3 checks the limit of a file that is put whole. For a multipart upload the \
             request that completes it checks the limit, and until then S3 may have taken a part of up to \
             5 GiB for every 5 MiB of it."
                .into(),
        );
        bytes
    }

    pub fn max_files() -> Object {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
            .description(Some("The number of uploads that may begin. Uploads that fail do not count."))
            .minimum(Some(1))
            .maximum(Some(u32::MAX))
            .build()
    }

    pub fn types() -> Schema {
        let token = "[A-Za-z0-9!#$&^_.+-]{1,127}";
        let one = ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^{token}/({token}|[*])$")));
        let mut types = ArrayBuilder::new()
            .description(Some(
                "Media types, or classes such as `image/*`. The extension of the file name decides the type.",
            ))
            .items(one)
            .max_items(Some(limits::MAX_TICKET_TYPES))
            .examples([serde_json::json!(["image/*", "application/pdf"])])
            .build();
        types.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
        types.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_may_be_a_class_of_them() {
        for one in ["image/png", "image/*", "application/vnd.ms-excel", "image/svg+xml"] {
            assert!(is_media_type(one), "{one}");
        }
        for one in ["", "image", "image/", "/png", "*/*", "*", "image/png; charset=utf-8", "image/p*", "a/b/c"] {
            assert!(!is_media_type(one), "{one}");
        }
    }
}

//! The parts of the `OpenAPI` description that several functions share: schemas with one meaning everywhere, and error
//! responses. A field that a handler reads by hand has its schema here or in the function's own `openapi`, built from
//! the limits that the field is checked against.

use serde_json::Value;
use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, OneOf, RefOr, Schema,
        schema::{SchemaType, Type},
    },
};

use super::error::{ErrorView, ErrorWithMessage};
use crate::{ids::FileId, limits};

/// The id of a folder. An absent field, `null`, `""`, `false`, `0` and `"0"` mean the root.
pub struct ParentId;

impl PartialSchema for ParentId {
    fn schema() -> RefOr<Schema> {
        let root = ObjectBuilder::new().schema_type(SchemaType::AnyValue).enum_values(Some([
            ().into(),
            "".into(),
            false.into(),
            0.into(),
            Value::from("0"),
        ]));
        OneOf::builder()
            .description(Some(
                "The id of a folder. An absent field, `null`, `\"\"`, `false`, `0` and `\"0\"` mean the root.",
            ))
            .item(root)
            .item(FileId::schema())
            .into()
    }
}

impl ToSchema for ParentId {}

/// The schema of a field that counts as missing: not a string, or an empty string.
pub fn missing() -> Schema {
    let types = [Type::Null, Type::Boolean, Type::Number, Type::Array, Type::Object];
    OneOf::builder()
        .description(Some("Counts as missing: not a string, or an empty string."))
        .item(ObjectBuilder::new().schema_type(SchemaType::from_iter(types)))
        .item(ObjectBuilder::new().schema_type(Type::String).max_length(Some(0)))
        .into()
}

/// The schema of a file name that may be missing.
pub fn optional_name() -> Schema {
    OneOf::builder().item(FileName::schema()).item(missing()).into()
}

/// The schema of a flag: only `true` is true.
pub fn lenient_bool() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some("`true` is true, anything else is false."))
        .default(Some(false.into()))
        .examples([true, false])
        .build()
}

/// The schema of `onConflict`.
pub fn on_conflict() -> Object {
    let values = ["keep", "fail", "rename", "replace"].map(Value::from);
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "What happens if the folder has the name already. `keep`: both have the name. `fail`: 409. `rename`: the new \
             document gets a number. `replace`: the existing file gets the new content, and its content becomes a version.",
        ))
        .enum_values(Some(values.into_iter().chain([Value::Null])))
        .build()
}

/// The schema of a file name.
pub struct FileName;

impl PartialSchema for FileName {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(format!(
                "At most {} bytes of UTF-8, without `/` and control characters. The extension decides the \
                 `Content-Type` of the content. Names may repeat in a folder.",
                limits::MAX_NAME_BYTES
            )))
            .min_length(Some(1))
            .max_length(Some(limits::MAX_NAME_BYTES))
            .pattern(Some(r"^[^/\x00-\x1f\x7f-\x9f]+$"))
            .examples(["photo.jpg"])
            .into()
    }
}

impl ToSchema for FileName {}

/// The schema of a new password.
pub fn new_password() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(format!("At most {} bytes of UTF-8. Every byte counts.", limits::MAX_PASSWORD_BYTES)))
        .min_length(Some(1))
        .max_length(Some(limits::MAX_PASSWORD_BYTES))
        .examples(["toto1234!"])
        .build()
}

/// The schema of a file size.
pub fn file_size() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some("The size in bytes; at most 5 TiB."))
        .minimum(Some(0))
        .maximum(Some(limits::MAX_FILE_BYTES))
        .build()
}

/// Errors of any request.
#[derive(IntoResponses)]
pub enum ServiceErrors {
    /// `Internal server error`
    #[response(status = 500)]
    Internal(ErrorView),
    /// `Service unavailable`: a store is down or hangs. The same request may succeed in a moment.
    #[response(status = 503, headers(("Retry-After" = u64, description = "Seconds to wait")))]
    Unavailable(ErrorView),
}

/// Errors of any request with a token.
#[derive(IntoResponses)]
pub enum AuthErrors {
    /// `Unauthorized`: there is no token, or the token is unknown or has expired, or its user has no account any more.
    #[response(status = 401)]
    Unauthorized(ErrorView),
    /// `This key may not do that`: the token is an API key without the scope, or a key of one folder.
    #[response(status = 403)]
    Forbidden(ErrorView),
    /// `Internal server error`
    #[response(status = 500)]
    Internal(ErrorView),
    /// `Service unavailable`: a store is down or hangs. The same request may succeed in a moment.
    #[response(status = 503, headers(("Retry-After" = u64, description = "Seconds to wait")))]
    Unavailable(ErrorView),
}

/// `Not found`: the id is unknown or malformed, or belongs to somebody else.
#[derive(IntoResponses)]
#[response(status = 404)]
pub struct NotFound(pub ErrorView);

/// `The body is larger than this endpoint takes: 64 KiB, or 1 MiB for a list of parts`
#[derive(IntoResponses)]
#[response(status = 413)]
pub struct TooLarge(pub ErrorView);

/// Errors of a request with a password.
#[derive(IntoResponses)]
pub enum PasswordErrors {
    /// `Too many failed logins: wait a minute`: ten within a minute for this account from this network, or for this
    /// session. A network that has not logged in to this account for 30 days gets this error also after too many
    /// failures for the account from all networks, or from this network for all accounts.
    #[response(status = 429, headers(("Retry-After" = u64, description = "Seconds to wait")))]
    TooMany(ErrorView),
}

/// Errors of any request with a ticket.
#[derive(IntoResponses)]
pub enum TicketErrors {
    /// `Unauthorized`: the ticket is malformed, has expired or was revoked, or its user has no account any more.
    #[response(status = 401)]
    Unauthorized(ErrorWithMessage),
    /// `Internal server error`
    #[response(status = 500)]
    Internal(ErrorWithMessage),
    /// `Service unavailable`: a store is down or hangs. The same request may succeed in a moment.
    #[response(status = 503, headers(("Retry-After" = u64, description = "Seconds to wait")))]
    Unavailable(ErrorWithMessage),
}

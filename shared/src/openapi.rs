//! What the description of the API (`OpenAPI`) says alike of several functions: words that mean the same everywhere, and what
//! any request may be answered. A field that a handler takes apart by hand has its schema here or in the function's own
//! `openapi`, made of the limits that it is checked against.

use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, OneOf, RefOr, Schema,
        schema::{SchemaType, Type},
    },
};

use crate::{
    error::{ErrorView, ErrorWithMessage},
    limits,
};

/// What names an account, a file or a session.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{24}$", example = "5f1e7d35c7ba06511e683b21")]
pub struct Id(pub String);

/// A moment, by RFC 3339.
#[derive(ToSchema)]
#[schema(format = DateTime, example = "2026-11-22T12:00:00.123Z")]
pub struct Timestamp(pub String);

/// Where to: the id of a folder. Nothing, `null`, `""`, `false`, `0` and `"0"` are the root.
pub struct ParentId;

impl PartialSchema for ParentId {
    fn schema() -> RefOr<Schema> {
        let root = ObjectBuilder::new().schema_type(SchemaType::AnyValue).enum_values(Some([
            ().into(),
            "".into(),
            false.into(),
            0.into(),
            serde_json::Value::from("0"),
        ]));
        OneOf::builder()
            .description(Some("The id of a folder. Nothing, `null`, `\"\"`, `false`, `0` and `\"0\"` are the root."))
            .item(root)
            .item(Id::schema())
            .into()
    }
}

impl ToSchema for ParentId {}

/// Anything that counts as missing: not a string, or one without content.
pub fn missing() -> Schema {
    let types = [Type::Null, Type::Boolean, Type::Number, Type::Array, Type::Object];
    OneOf::builder()
        .description(Some("Missing, as anything is that is no string, or one without content."))
        .item(ObjectBuilder::new().schema_type(SchemaType::from_iter(types)))
        .item(ObjectBuilder::new().schema_type(Type::String).max_length(Some(0)))
        .into()
}

/// A flag.
pub fn lenient_bool() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some("`true` is true, anything else is false."))
        .default(Some(false.into()))
        .examples([true, false])
        .build()
}

/// What a file may be called.
pub struct FileName;

impl PartialSchema for FileName {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(format!(
                "At most {} bytes of UTF-8, without `/` and control characters. Its extension says what the content is \
                 served as. Names may repeat in a folder.",
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

/// A password that is to be.
pub fn new_password() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(format!("At most {} bytes of UTF-8; every one counts.", limits::MAX_PASSWORD_BYTES)))
        .min_length(Some(1))
        .max_length(Some(limits::MAX_PASSWORD_BYTES))
        .examples(["toto1234!"])
        .build()
}

/// A count of bytes.
pub fn file_size() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some("In bytes; at most 5 TiB."))
        .minimum(Some(0))
        .maximum(Some(limits::MAX_FILE_BYTES))
        .build()
}

/// What any request may be answered.
#[derive(IntoResponses)]
pub enum ServiceErrors {
    /// `Internal server error`
    #[response(status = 500)]
    Internal(ErrorView),
    /// `Service unavailable`: a store is down or hangs. The same request may work in a moment.
    #[response(status = 503, headers(("Retry-After" = u64, description = "In so many seconds")))]
    Unavailable(ErrorView),
}

/// What any request may be answered that needs a token.
#[derive(IntoResponses)]
pub enum AuthErrors {
    /// `Unauthorized`: there is no token, or it is unknown, has expired, or its user is no more.
    #[response(status = 401)]
    Unauthorized(ErrorView),
    /// `Internal server error`
    #[response(status = 500)]
    Internal(ErrorView),
    /// `Service unavailable`: a store is down or hangs. The same request may work in a moment.
    #[response(status = 503, headers(("Retry-After" = u64, description = "In so many seconds")))]
    Unavailable(ErrorView),
}

/// `Not found`: it is unknown, malformed, or somebody else's.
#[derive(IntoResponses)]
#[response(status = 404)]
pub struct NotFound(pub ErrorView);

/// `The body is larger than this endpoint takes: 64 KiB, or 1 MiB for a list of parts`
#[derive(IntoResponses)]
#[response(status = 413)]
pub struct TooLarge(pub ErrorView);

/// What a request with a password may be answered.
#[derive(IntoResponses)]
pub enum PasswordErrors {
    /// `Too many failed logins: wait a minute`: ten within a minute for this account from this network, or for this session;
    /// or, from a network that has not logged in to this account for 30 days, too many for it or from there.
    #[response(status = 429, headers(("Retry-After" = u64, description = "In so many seconds")))]
    TooMany(ErrorView),
}

/// What any request with a ticket may be answered.
#[derive(IntoResponses)]
pub enum TicketErrors {
    /// `Unauthorized`: the ticket is none, has expired, was revoked, or its user is no more.
    #[response(status = 401)]
    Unauthorized(ErrorWithMessage),
    /// `Internal server error`
    #[response(status = 500)]
    Internal(ErrorWithMessage),
    /// `Service unavailable`: a store is down or hangs. The same request may work in a moment.
    #[response(status = 503, headers(("Retry-After" = u64, description = "In so many seconds")))]
    Unavailable(ErrorWithMessage),
}

//! The `OpenAPI` description of this function's routes, and of the bodies that handlers read field by field.

use shared::{
    accounts::keys::KeyScope,
    http::{
        error::ErrorView,
        openapi::{ParentId, new_password},
    },
    limits,
};
use utoipa::{
    IntoResponses, OpenApi, ToSchema,
    openapi::{
        Array, ArrayBuilder, Object, ObjectBuilder,
        schema::{SchemaType, Type},
    },
};

#[derive(OpenApi)]
#[openapi(paths(
    crate::sign_up,
    crate::me,
    crate::usage,
    crate::leave,
    crate::change_password,
    crate::sessions,
    crate::end_other_sessions,
    crate::end_session,
    crate::keys::list,
    crate::keys::create,
    crate::keys::delete,
))]
pub struct Api;

#[derive(ToSchema)]
pub struct SignUp {
    #[schema(schema_with = new_email)]
    pub email: String,
    #[schema(schema_with = new_password)]
    pub password: String,
}

fn new_email() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(format!(
            "Compared byte for byte. At most {} bytes of UTF-8, without `:` and control characters.",
            limits::MAX_EMAIL_BYTES
        )))
        .min_length(Some(1))
        .max_length(Some(limits::MAX_EMAIL_BYTES))
        .pattern(Some(r"^[^:\x00-\x1f\x7f-\x9f]+$"))
        .examples(["bob@example.com"])
        .build()
}

/// Errors of a sign-up only.
#[derive(IntoResponses)]
pub enum SignUpErrors {
    /// `Too many sign-ups from your network: try again later`
    #[response(status = 429, headers(("Retry-After" = u64, description = "Seconds to wait")))]
    TooMany(ErrorView),
}

#[derive(ToSchema)]
pub struct Proof {
    /// The password of the account.
    #[schema(min_length = 1, example = "toto1234!")]
    pub password: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewPassword {
    /// The current password of the account.
    #[schema(min_length = 1, example = "toto1234!")]
    pub password: String,
    #[schema(schema_with = new_password)]
    pub new_password: String,
}

/// An API key to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewKey {
    #[schema(schema_with = key_name)]
    pub name: String,
    #[schema(schema_with = scopes)]
    pub scopes: Vec<String>,
    /// The folder that the key is limited to; the root for no limit.
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = key_seconds, required = false)]
    pub expires_in: u32,
}

fn key_name() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(format!(
            "Tells keys apart. At most {} bytes of UTF-8, without control characters.",
            limits::MAX_KEY_NAME_BYTES
        )))
        .min_length(Some(1))
        .max_length(Some(limits::MAX_KEY_NAME_BYTES))
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]+$"))
        .examples(["backup of the office"])
        .build()
}

fn scopes() -> Array {
    let scope = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(KeyScope::ALL.map(KeyScope::as_str)));
    ArrayBuilder::new()
        .items(scope)
        .description(Some("The rights of the key, each once."))
        .min_items(Some(1))
        .max_items(Some(KeyScope::ALL.len()))
        .unique_items(true)
        .build()
}

fn key_seconds() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .description(Some("The lifetime of the key in seconds; a key without it does not expire."))
        .minimum(Some(1))
        .maximum(Some(limits::MAX_KEY_SECONDS))
        .build()
}

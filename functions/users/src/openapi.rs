//! The `OpenAPI` description of this function's routes, and of the bodies that handlers read field by field.

use shared::{
    http::{error::ErrorView, openapi::new_password},
    limits,
};
use utoipa::{
    IntoResponses, OpenApi, ToSchema,
    openapi::{Object, ObjectBuilder, schema::Type},
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

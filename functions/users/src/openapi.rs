//! The description of this function's routes, and of the bodies that they take apart field by field.

use shared::openapi::new_password;
use utoipa::{OpenApi, ToSchema};

#[derive(OpenApi)]
#[openapi(paths(
    crate::sign_up,
    crate::me,
    crate::leave,
    crate::change_password,
    crate::sessions,
    crate::end_other_sessions,
    crate::end_session,
))]
pub struct Api;

#[derive(ToSchema)]
pub struct SignUp {
    /// Compared byte for byte, and not looked at otherwise.
    #[schema(min_length = 1, example = "bob@example.com")]
    pub email: String,
    #[schema(schema_with = new_password)]
    pub password: String,
}

#[derive(ToSchema)]
pub struct Proof {
    /// The account's.
    #[schema(min_length = 1, example = "toto1234!")]
    pub password: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewPassword {
    /// The account's, until now.
    #[schema(min_length = 1, example = "toto1234!")]
    pub password: String,
    #[schema(schema_with = new_password)]
    pub new_password: String,
}

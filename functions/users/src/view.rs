//! Accounts and sessions as their owner sees them.

use serde::Serialize;
use shared::{
    openapi::{Id, Timestamp},
    sessions::{Session, Token},
    users::User,
};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub struct UserView {
    #[schema(value_type = Id)]
    id: String,
    email: String,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self { id: user.id().0.to_hex(), email: user.email }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    #[schema(value_type = Id)]
    id: String,
    #[schema(value_type = Timestamp)]
    created_at: Option<String>,
    #[schema(value_type = Timestamp)]
    expires_at: Option<String>,
    /// True for the session of this request.
    current: bool,
}

impl SessionView {
    pub fn of(session: &Session, token: &Token) -> Self {
        Self {
            id: session.id().to_owned(),
            created_at: session.created_at().try_to_rfc3339_string().ok(),
            expires_at: session.expires_at().try_to_rfc3339_string().ok(),
            current: session.is_of(token),
        }
    }
}

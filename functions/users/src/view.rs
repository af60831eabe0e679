//! Accounts and sessions as their owner sees them.

use serde::Serialize;
use shared::{
    accounts::{sessions::Session, token::Token, users::User},
    files::Usage,
    ids::{SessionId, UserId},
    time::Timestamp,
};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub struct UserView {
    id: UserId,
    email: String,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self { id: user.id(), email: user.email }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    id: SessionId,
    created_at: Timestamp,
    expires_at: Timestamp,
    /// True for the session of this request.
    current: bool,
}

impl SessionView {
    pub fn of(session: &Session, token: &Token) -> Self {
        Self {
            id: session.id(),
            created_at: session.created_at(),
            expires_at: session.expires_at(),
            current: session.is_of(token),
        }
    }
}

/// The usage of an account.
#[derive(Serialize, ToSchema)]
#[schema(as = Usage)]
#[serde(rename_all = "camelCase")]
pub struct UsageView {
    bytes: u64,
    files: u64,
    /// The bytes that the user may store; `null` for any number.
    quota_bytes: Option<u64>,
}

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> Self {
        Self { bytes: usage.bytes, files: usage.files, quota_bytes: usage.quota_bytes }
    }
}

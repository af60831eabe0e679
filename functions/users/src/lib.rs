//! Accounts.

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::Serialize;
use shared::{
    Config, Error, Result,
    api::Json,
    body::Fields,
    limits, mongo,
    passwords::{Password, Passwords},
    sessions::{Redis, Sessions},
    users::{User, Users},
};

#[derive(Clone, FromRef)]
pub struct App {
    users: Users,
    sessions: Sessions,
    passwords: Passwords,
}

pub fn router(app: App) -> Router {
    Router::new()
        .route("/users", post(sign_up))
        .route("/users/me", get(me))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .with_state(app)
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        let users = Users::of(&mongo::connect(config).await?);
        let sessions = Sessions::new(Redis::connect(config)?, users.clone());
        Ok(Self { users, sessions, passwords: Passwords::new(config.password_hash) })
    }
}

/// Who wants to join.
struct SignUp {
    email: String,
    password: Password,
}

impl TryFrom<Fields> for SignUp {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self> {
        let email = fields.text("email").ok_or(Error::Invalid("Missing email"))?;
        let password = fields.text("password").ok_or(Error::Invalid("Missing password"))?;
        Ok(Self { email, password: password.parse()? })
    }
}

/// An account as its owner sees it.
#[derive(Serialize)]
struct UserView {
    id: String,
    email: String,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self { id: user.id().0.to_hex(), email: user.email }
    }
}

async fn sign_up(
    State(users): State<Users>,
    State(passwords): State<Passwords>,
    fields: Fields,
) -> Result<(StatusCode, Json<UserView>)> {
    let SignUp { email, password } = fields.try_into()?;
    // Refused before the costly hash where that is possible; the unique index is what decides.
    if users.with_email(&email).await?.is_some() {
        return Err(Error::Invalid("Already exist"));
    }
    let user = users.create(email, passwords.hash(password).await?).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

async fn me(user: User) -> Json<UserView> {
    Json(user.into())
}

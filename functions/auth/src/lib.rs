//! Sessions: a login opens one, and it lasts a day.

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::{FromRef, State},
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use base64::{Engine, engine::DecodePaddingMode, engine::general_purpose::GeneralPurpose};
use serde_json::{Value, json};
use shared::{
    Config, Error, Result,
    api::Json,
    mongo,
    passwords::{Password, Passwords, Verdict},
    sessions::{Redis, Sessions, Token},
    users::{UserId, Users},
};

#[derive(Clone, FromRef)]
pub struct App {
    users: Users,
    sessions: Sessions,
    passwords: Passwords,
}

pub fn router(app: App) -> Router {
    Router::new().route("/connect", get(connect)).route("/disconnect", get(disconnect)).with_state(app)
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        let users = Users::of(&mongo::connect(config).await?);
        let sessions = Sessions::new(Redis::connect(config)?, users.clone());
        Ok(Self { users, sessions, passwords: Passwords::new(config.password_hash) })
    }
}

/// `Authorization: Basic base64(email:password)`.
struct Login {
    email: String,
    password: Password,
}

impl TryFrom<&HeaderMap> for Login {
    type Error = Error;

    fn try_from(headers: &HeaderMap) -> Result<Self> {
        Self::read(headers).ok_or(Error::Unauthorized)
    }
}

impl Login {
    /// `None` for no header, another scheme, no base64, no colon, or a password that is too long to be one.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let (scheme, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let credentials = String::from_utf8(BASE64.decode(credentials.trim()).ok()?).ok()?;
        let (email, password) = credentials.split_once(':')?;
        Some(Self { email: email.to_owned(), password: password.parse().ok()? })
    }
}

/// Padding is optional, as in the original's decoder.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

async fn connect(State(app): State<App>, headers: HeaderMap) -> Result<Json<Value>> {
    let login = Login::try_from(&headers)?;
    let user = app.users.with_email(&login.email).await?;
    let stored = user.as_ref().map(|user| user.password.clone());
    let verdict = app.passwords.check(login.password, stored).await?;
    let user = user.ok_or(Error::Unauthorized)?;
    match verdict {
        Verdict::Wrong => return Err(Error::Unauthorized),
        Verdict::Right => {}
        // The next login tries again if this write fails.
        Verdict::RightWith(hash) => {
            if let Err(error) = app.users.replace_password(&user, &hash).await {
                tracing::warn!(error = error.cause(), "a legacy password was not replaced");
            }
        }
    }
    let token = app.sessions.open(user.id()).await?;
    Ok(Json(json!({ "token": token.reveal() })))
}

async fn disconnect(_: UserId, token: Token, State(sessions): State<Sessions>) -> Result<StatusCode> {
    sessions.end(&token).await?;
    Ok(StatusCode::NO_CONTENT)
}

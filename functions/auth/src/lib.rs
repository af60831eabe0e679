//! Login and logout. A login opens a session, which lasts a day.

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::{FromRef, State},
    http::{HeaderMap, StatusCode},
};
use serde::Serialize;
use shared::{
    Error, Result,
    accounts::{
        keys::Keys,
        passwords::{Password, Passwords, Verdict},
        rate_limit::{Address, RateLimit},
        sessions::Sessions,
        token::Token,
        users::{User, Users},
    },
    files::Files,
    http::{
        Json, KeyGuard,
        auth::basic,
        error::ErrorView,
        get_only,
        openapi::{AuthErrors, PasswordErrors, ServiceErrors},
    },
    ids::UserId,
    stores::{Stores, redis::Redis},
};
use utoipa::ToSchema;

pub mod openapi;

#[derive(Clone, FromRef)]
pub struct App {
    key_guard: KeyGuard,
    users: Users,
    sessions: Sessions,
    passwords: Passwords,
    rate_limit: RateLimit,
}

pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/connect", get_only(connect))
        .route("/disconnect", get_only(disconnect))
        .with_state(app.clone());
    app.key_guard.with_keys(routes)
}

impl App {
    pub async fn new(stores: &Stores) -> anyhow::Result<Self> {
        let database = stores.mongodb.connect().await?;
        let users = Users::of(&database);
        let redis = Redis::connect(stores)?;
        Ok(Self {
            key_guard: KeyGuard::new(Keys::of(&database), Files::of(&database, &stores.config)),
            sessions: Sessions::new(redis.clone(), users.clone()),
            users,
            passwords: Passwords::new(stores.config.password_hash),
            rate_limit: RateLimit::new(redis, &stores.config),
        })
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
    /// `None` without a header of the scheme, or for a password that is too long.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let (email, password) = basic(headers)?;
        Some(Self { email, password: password.parse().ok()? })
    }
}

#[derive(Serialize, ToSchema)]
struct Connected {
    /// Send the token as `X-Token`, or as `Authorization: Bearer`. The token is valid for 24 hours.
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    token: String,
}

/// Opens a session
///
/// Each session has its own token, and older sessions stay open.
#[utoipa::path(
    get,
    path = "/connect",
    tag = "Sessions",
    operation_id = "connect",
    responses(
        (status = 200, description = "A session for 24 hours", body = Connected),
        (status = 401, description = "`Unauthorized`: e-mail or password are missing or wrong", body = ErrorView),
        PasswordErrors,
        ServiceErrors,
    ),
    security(("password" = [])),
)]
async fn connect(address: Address, State(app): State<App>, headers: HeaderMap) -> Result<Json<Connected>> {
    let Login { email, password } = Login::try_from(&headers)?;
    let attempt = app.rate_limit.login(&email, &address).await?;
    let user = app.users.with_email(&email).await?;
    let stored = user.as_ref().map(|user| user.password.clone());
    let (user, replacement) = match (user, app.passwords.check(password.clone(), stored).await?) {
        (Some(user), Verdict::Right) => (user, None),
        (Some(user), Verdict::RightButLegacy(hash)) => (user, Some(hash)),
        (None, _) | (Some(_), Verdict::Wrong) => return Err(attempt.failed().await),
    };
    let admitted = attempt.succeeded().await?;
    if let Some(hash) = &replacement
        // The next login tries again if this write fails.
        && let Err(error) = app.users.replace_password(&user, hash).await
    {
        tracing::warn!(error = error.cause(), "a legacy password was not replaced");
    }
    let token = app.sessions.open(user.id(), admitted).await?;
    if let Err(refused) = app.still_opens(&user, password, replacement.as_deref()).await {
        // If this fails, the session stays, but nobody knows its token.
        app.sessions.end(user.id(), &token).await?;
        return Err(refused);
    }
    Ok(Json(Connected { token: token.reveal().to_owned() }))
}

/// Ends this session
#[utoipa::path(
    get,
    path = "/disconnect",
    tag = "Sessions",
    operation_id = "disconnect",
    responses((status = 204, description = "The token is not valid any more"), AuthErrors),
)]
async fn disconnect(user: UserId, token: Token, State(sessions): State<Sessions>) -> Result<StatusCode> {
    sessions.end(user, &token).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl App {
    /// Checks that the password which opened a session is still valid.
    ///
    /// A password change stores the new password first, and then ends the sessions that exist. A login with the old
    /// password may run at the same time, and open its session after the others were ended. So a login reads the
    /// account again after it has opened its session. If the new password was stored before this read, the login finds
    /// it here. If it was stored after this read, the session was already there to be ended.
    ///
    async fn still_opens(&self, user: &User, password: Password, replacement: Option<&str>) -> Result<()> {
        let now = self.users.with_id(user.id()).await?.ok_or(Error::Unauthorized)?;
        if now.password == user.password || Some(&*now.password) == replacement {
            return Ok(());
        }
        // Another login may have replaced a legacy form of the same password.
        match self.passwords.check(password, Some(now.password)).await? {
            Verdict::Right | Verdict::RightButLegacy(_) => Ok(()),
            Verdict::Wrong => Err(Error::Unauthorized),
        }
    }
}

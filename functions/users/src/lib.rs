//! Accounts, and the sessions of who has one.

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::StatusCode,
    routing::{delete, get, post, put},
};
use shared::{
    Config, Error, Result,
    account_deletion::AccountDeletions,
    body::Fields,
    error::ErrorView,
    http::Json,
    limits, mongo,
    openapi::{AuthErrors, Id, NotFound, PasswordErrors, ServiceErrors, TooLarge},
    passwords::{Password, Passwords, Verdict},
    rate_limit::{Address, RateLimit},
    sessions::{Redis, SessionId, Sessions, Token},
    tickets::Grants,
    users::{Email, User, UserId, Users},
};

pub mod openapi;
mod view;

use view::{SessionView, UserView};

#[derive(Clone, FromRef)]
pub struct App {
    users: Users,
    sessions: Sessions,
    passwords: Passwords,
    rate_limit: RateLimit,
    grants: Grants,
    account_deletions: AccountDeletions,
}

pub fn router(app: App) -> Router {
    Router::new()
        .route("/users", post(sign_up))
        .route("/users/me", get(me).delete(leave))
        .route("/users/me/password", put(change_password))
        .route("/users/me/sessions", get(sessions).delete(end_other_sessions))
        .route("/users/me/sessions/{id}", delete(end_session))
        .layer(DefaultBodyLimit::max(limits::MAX_BODY_BYTES))
        .with_state(app)
}

impl App {
    pub async fn new(config: &Config) -> anyhow::Result<Self> {
        let database = mongo::connect(config).await?;
        let users = Users::of(&database);
        let redis = Redis::connect(config)?;
        Ok(Self {
            sessions: Sessions::new(redis.clone(), users.clone()),
            users,
            passwords: Passwords::new(config.password_hash),
            rate_limit: RateLimit::new(redis, config),
            grants: Grants::of(&database),
            account_deletions: AccountDeletions::of(&database, config),
        })
    }
}

/// Who wants to join.
struct SignUp {
    email: Email,
    password: Password,
}

impl TryFrom<Fields> for SignUp {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self> {
        let email = fields.text("email").ok_or(Error::Invalid("Missing email"))?;
        let password = fields.text("password").ok_or(Error::Invalid("Missing password"))?;
        Ok(Self { email: email.parse()?, password: password.parse()? })
    }
}

/// Who wants another password.
struct Change {
    current: Current,
    new: Password,
}

impl TryFrom<Fields> for Change {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self> {
        let current = Current::try_from(&mut fields)?;
        let new = fields.text("newPassword").ok_or(Error::Invalid("Missing newPassword"))?;
        Ok(Self { current, new: new.parse()? })
    }
}

/// What somebody says is their password. `None` where it is too long to be one.
struct Current(Option<Password>);

impl TryFrom<&mut Fields> for Current {
    type Error = Error;

    fn try_from(fields: &mut Fields) -> Result<Self> {
        let password = fields.text("password").ok_or(Error::Invalid("Missing password"))?;
        Ok(Self(password.parse().ok()))
    }
}

/// Opens an account
#[utoipa::path(
    post,
    path = "/users",
    tag = "Accounts",
    operation_id = "signUp",
    request_body = openapi::SignUp,
    responses(
        (status = 201, description = "The account", body = UserView),
        (
            status = 400,
            description = "`Missing email`, `Missing password`, `Invalid email`: it is too long, or has a colon or a control \
                           character, `Invalid password`: it is too long, `Already exist`, `Invalid JSON`",
            body = ErrorView
        ),
        TooLarge,
        openapi::SignUpErrors,
        ServiceErrors,
    ),
    security(()),
)]
async fn sign_up(address: Address, State(app): State<App>, fields: Fields) -> Result<(StatusCode, Json<UserView>)> {
    let SignUp { email, password } = fields.try_into()?;
    let (counted, known) = tokio::join!(app.rate_limit.sign_up(&address), app.users.with_email(email.as_str()));
    counted?;
    // Refused before the costly hash where that is possible; the unique index is what decides.
    if known?.is_some() {
        return Err(Error::Invalid("Already exist"));
    }
    let user = app.users.create(email, app.passwords.hash(password).await?).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// Whose token it is
#[utoipa::path(
    get,
    path = "/users/me",
    tag = "Accounts",
    operation_id = "showMe",
    responses((status = 200, description = "The account", body = UserView), AuthErrors),
)]
async fn me(user: User) -> Json<UserView> {
    Json(user.into())
}

/// Ends the account and all it has
///
/// Up to the moment when the account goes it can be asked for again with the same token.
#[utoipa::path(
    delete,
    path = "/users/me",
    tag = "Accounts",
    operation_id = "leave",
    request_body = openapi::Proof,
    responses(
        (status = 204, description = "There is nothing of it any more, and its e-mail is free"),
        (status = 400, description = "`Missing password`, `Invalid JSON`", body = ErrorView),
        AuthErrors,
        TooLarge,
        PasswordErrors,
    ),
)]
async fn leave(user: User, token: Token, State(app): State<App>, mut fields: Fields) -> Result<StatusCode> {
    app.prove(&token, &user, Current::try_from(&mut fields)?).await?;
    let id = user.id();
    tokio::try_join!(app.account_deletions.delete_data(id), app.sessions.end_others(id, &token))?;
    app.account_deletions.delete_account(id).await?;
    // Without their user they are worth nothing; they need only not lie about until they expire.
    if let Err(error) = tokio::try_join!(app.sessions.end_all(id), app.rate_limit.forget(&user.email)) {
        tracing::warn!(error = error.cause(), "sessions or networks of an account that has gone are left to expire");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Changes the password, and ends all other sessions and all tickets
#[utoipa::path(
    put,
    path = "/users/me/password",
    tag = "Accounts",
    operation_id = "changePassword",
    request_body = openapi::NewPassword,
    responses(
        (status = 204, description = "From now on it is the new one"),
        (
            status = 400,
            description = "`Missing password`, `Missing newPassword`, `Invalid password`: the new one is too long, `Invalid JSON`",
            body = ErrorView
        ),
        (status = 409, description = "`The password has been changed meanwhile`", body = ErrorView),
        AuthErrors,
        TooLarge,
        PasswordErrors,
    ),
)]
async fn change_password(user: User, token: Token, State(app): State<App>, fields: Fields) -> Result<StatusCode> {
    let Change { current, new } = fields.try_into()?;
    app.prove(&token, &user, current).await?;
    let hash = app.passwords.hash(new).await?;
    // Once before, so that nothing stays behind if the second time fails: the old password would not do to ask again.
    app.end_what_others_have(user.id(), &token).await?;
    if !app.users.change_password(&user, &hash, &token).await? {
        return Err(Error::Conflict("The password has been changed meanwhile"));
    }
    app.end_what_others_have(user.id(), &token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The open sessions, newest first
#[utoipa::path(
    get,
    path = "/users/me/sessions",
    tag = "Sessions",
    operation_id = "listSessions",
    responses((status = 200, description = "At most a thousand", body = Vec<SessionView>), AuthErrors),
)]
async fn sessions(user: UserId, token: Token, State(sessions): State<Sessions>) -> Result<Json<Vec<SessionView>>> {
    let open = sessions.of(user).await?;
    Ok(Json(open.iter().map(|session| SessionView::of(session, &token)).collect()))
}

/// Ends all sessions but this one
#[utoipa::path(
    delete,
    path = "/users/me/sessions",
    tag = "Sessions",
    operation_id = "endOtherSessions",
    responses((status = 204, description = "Their tokens are good for nothing any more"), AuthErrors),
)]
async fn end_other_sessions(user: UserId, token: Token, State(app): State<App>) -> Result<StatusCode> {
    tokio::try_join!(app.sessions.end_others(user, &token), app.users.sessions_ended(user, &token))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a session
#[utoipa::path(
    delete,
    path = "/users/me/sessions/{id}",
    tag = "Sessions",
    operation_id = "endSession",
    params(("id" = Id, Path, description = "As the list of sessions has it")),
    responses((status = 204, description = "Its token is good for nothing any more"), AuthErrors, NotFound),
)]
async fn end_session(user: UserId, id: SessionId, State(sessions): State<Sessions>) -> Result<StatusCode> {
    sessions.end_by_id(user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl App {
    /// That who has the token knows the password too.
    async fn prove(&self, token: &Token, user: &User, Current(password): Current) -> Result<()> {
        let attempt = self.rate_limit.reauthentication(token).await?;
        let Some(password) = password else { return Err(attempt.failed().await) };
        match self.passwords.check(password, Some(user.password.clone())).await? {
            Verdict::Right | Verdict::RightButLegacy(_) => attempt.succeeded().await.map(drop),
            Verdict::Wrong => Err(attempt.failed().await),
        }
    }

    /// Ends all sessions but this one, and all tickets: whoever knew the old password may have issued some.
    async fn end_what_others_have(&self, user: UserId, token: &Token) -> Result<()> {
        tokio::try_join!(self.sessions.end_others(user, token), self.grants.revoke_all_of(user))?;
        Ok(())
    }
}

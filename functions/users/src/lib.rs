//! Accounts and their sessions.

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::StatusCode,
    routing::{delete, get, post, put},
};
use shared::{
    Error, Result,
    account_deletion::AccountDeletions,
    accounts::{
        passwords::{Password, Passwords, Verdict},
        rate_limit::{Address, RateLimit},
        sessions::Sessions,
        token::Token,
        users::{Email, User, Users},
    },
    files::Files,
    http::{
        Json,
        body::Fields,
        error::ErrorView,
        openapi::{AuthErrors, NotFound, PasswordErrors, ServiceErrors, TooLarge},
    },
    ids::{SessionId, UserId},
    limits,
    stores::{Stores, redis::Redis},
    uploads::tickets::Grants,
};

pub mod openapi;
mod view;

use view::{SessionView, UsageView, UserView};

#[derive(Clone, FromRef)]
pub struct App {
    users: Users,
    sessions: Sessions,
    passwords: Passwords,
    rate_limit: RateLimit,
    grants: Grants,
    files: Files,
    account_deletions: AccountDeletions,
}

pub fn router(app: App) -> Router {
    Router::new()
        .route("/users", post(sign_up))
        .route("/users/me", get(me).delete(leave))
        .route("/users/me/usage", get(usage))
        .route("/users/me/password", put(change_password))
        .route("/users/me/sessions", get(sessions).delete(end_other_sessions))
        .route("/users/me/sessions/{id}", delete(end_session))
        .layer(DefaultBodyLimit::max(limits::MAX_BODY_BYTES))
        .with_state(app)
}

impl App {
    pub async fn new(stores: &Stores) -> anyhow::Result<Self> {
        let database = stores.mongodb.connect().await?;
        let users = Users::of(&database);
        let redis = Redis::connect(stores)?;
        Ok(Self {
            sessions: Sessions::new(redis.clone(), users.clone()),
            users,
            passwords: Passwords::new(stores.config.password_hash),
            rate_limit: RateLimit::new(redis, &stores.config),
            grants: Grants::of(&database),
            files: Files::of(&database, &stores.config),
            account_deletions: AccountDeletions::of(&database, &stores.config),
        })
    }
}

/// The body of `POST /users`.
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

/// The body of `PUT /users/me/password`.
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

/// The current password as the client sends it. `None` for a password that is too long to be one.
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
            description = "`Missing email`, `Missing password`, `Invalid email`: too long, or with a colon or a \
                           control character, `Invalid password`: too long, `Already exist`, `Invalid JSON`",
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
    // A known e-mail is refused before the costly hash where possible. The unique index decides.
    if known?.is_some() {
        return Err(Error::Invalid("Already exist"));
    }
    let user = app.users.create(email, app.passwords.hash(password).await?).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// The account of the token
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

/// The usage of the account
///
/// Files, images, versions, the trash and uploads that are not complete count. What was deleted counts until the next
/// sweep, or until an upload needs the room.
#[utoipa::path(
    get,
    path = "/users/me/usage",
    tag = "Accounts",
    operation_id = "showMyUsage",
    responses((status = 200, description = "The counters", body = UsageView), AuthErrors),
)]
async fn usage(user: UserId, State(files): State<Files>) -> Result<Json<UsageView>> {
    match files.usage(user).await {
        Ok(usage) => Ok(Json(usage.into())),
        // The account has been deleted just now.
        Err(Error::NotFound) => Err(Error::Unauthorized),
        Err(error) => Err(error),
    }
}

/// Deletes the account and everything in it
///
/// If the request fails, it can be repeated with the same token until the account is deleted.
#[utoipa::path(
    delete,
    path = "/users/me",
    tag = "Accounts",
    operation_id = "leave",
    request_body = openapi::Proof,
    responses(
        (status = 204, description = "The account is deleted, and its e-mail is free again"),
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
    // Sessions without an account are not valid. Deleting the sessions here only spares Redis from keeping them until
    // they expire.
    if let Err(error) = tokio::try_join!(app.sessions.end_all(id), app.rate_limit.forget(&user.email)) {
        tracing::warn!(error = error.cause(), "sessions or networks of an account that has gone are left to expire");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Changes the password, ends all other sessions and revokes all tickets
#[utoipa::path(
    put,
    path = "/users/me/password",
    tag = "Accounts",
    operation_id = "changePassword",
    request_body = openapi::NewPassword,
    responses(
        (status = 204, description = "The password is changed"),
        (
            status = 400,
            description = "`Missing password`, `Missing newPassword`, `Invalid password`: the new password is too \
                           long, `Invalid JSON`",
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
    // Sessions and tickets end before the change too, so that none of them stays if ending them after the change fails:
    // the client could not repeat the request with the old password.
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
    responses((status = 204, description = "The tokens of these sessions are not valid any more"), AuthErrors),
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
    params(("id" = SessionId, Path, description = "The `id` from the list of sessions")),
    responses((status = 204, description = "The token of the session is not valid any more"), AuthErrors, NotFound),
)]
async fn end_session(user: UserId, id: SessionId, State(sessions): State<Sessions>) -> Result<StatusCode> {
    sessions.end_by_id(user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl App {
    /// Checks that the holder of the token knows the password too.
    async fn prove(&self, token: &Token, user: &User, Current(password): Current) -> Result<()> {
        let attempt = self.rate_limit.reauthentication(token).await?;
        let Some(password) = password else { return Err(attempt.failed().await) };
        match self.passwords.check(password, Some(user.password.clone())).await? {
            Verdict::Right | Verdict::RightButLegacy(_) => attempt.succeeded().await.map(drop),
            Verdict::Wrong => Err(attempt.failed().await),
        }
    }

    /// Ends all sessions but this one, and revokes all tickets: somebody who knew the old password may have issued
    /// tickets.
    async fn end_what_others_have(&self, user: UserId, token: &Token) -> Result<()> {
        tokio::try_join!(self.sessions.end_others(user, token), self.grants.revoke_issued_by(user))?;
        Ok(())
    }
}

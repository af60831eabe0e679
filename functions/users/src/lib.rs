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
    api::Json,
    body::Fields,
    departures::Departures,
    error::ErrorView,
    limits, mongo,
    openapi::{Failures, Id, NotFound, OfPasswords, OfUsers, TooLarge},
    passwords::{Password, Passwords, Verdict},
    sessions::{Redis, SessionId, Sessions, Token},
    throttle::Throttle,
    users::{User, UserId, Users},
};

pub mod openapi;
mod view;

use view::{SessionView, UserView};

#[derive(Clone, FromRef)]
pub struct App {
    users: Users,
    sessions: Sessions,
    passwords: Passwords,
    throttle: Throttle,
    departures: Departures,
}

pub fn router(app: App) -> Router {
    Router::new()
        .route("/users", post(sign_up))
        .route("/users/me", get(me).delete(leave))
        .route("/users/me/password", put(change_password))
        .route("/users/me/sessions", get(sessions).delete(end_other_sessions))
        .route("/users/me/sessions/{id}", delete(end_session))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
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
            throttle: Throttle::new(redis, config),
            departures: Departures::of(&database, config),
        })
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
            description = "`Missing email`, `Missing password`, `Invalid password`: it is too long, `Already exist`, `Invalid JSON`",
            body = ErrorView
        ),
        TooLarge,
        Failures,
    ),
    security(()),
)]
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

/// Whose token it is
#[utoipa::path(
    get,
    path = "/users/me",
    tag = "Accounts",
    operation_id = "showMe",
    responses((status = 200, description = "The account", body = UserView), OfUsers),
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
        OfUsers,
        TooLarge,
        OfPasswords,
    ),
)]
async fn leave(user: User, token: Token, State(app): State<App>, mut fields: Fields) -> Result<StatusCode> {
    app.prove(&user, Current::try_from(&mut fields)?).await?;
    let id = user.id();
    tokio::try_join!(app.departures.strip(id), app.sessions.end_others(id, &token))?;
    app.departures.remove(id).await?;
    // Without their user they are worth nothing; they need only not lie about for a day.
    if let Err(error) = app.sessions.end_all(id).await {
        tracing::warn!(error = error.cause(), "sessions of an account that has gone are left to expire");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Changes the password, and ends all other sessions
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
        OfUsers,
        TooLarge,
        OfPasswords,
    ),
)]
async fn change_password(user: User, token: Token, State(app): State<App>, fields: Fields) -> Result<StatusCode> {
    let Change { current, new } = fields.try_into()?;
    app.prove(&user, current).await?;
    let hash = app.passwords.hash(new).await?;
    // Once before, so that no session stays behind if the second time fails: the old password would not do to ask again.
    app.sessions.end_others(user.id(), &token).await?;
    if !app.users.replace_password(&user, &hash).await? {
        return Err(Error::Conflict("The password has been changed meanwhile"));
    }
    app.sessions.end_others(user.id(), &token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The open sessions, newest first
#[utoipa::path(
    get,
    path = "/users/me/sessions",
    tag = "Sessions",
    operation_id = "listSessions",
    responses((status = 200, description = "At most a thousand", body = Vec<SessionView>), OfUsers),
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
    responses((status = 204, description = "Their tokens are good for nothing any more"), OfUsers),
)]
async fn end_other_sessions(user: UserId, token: Token, State(sessions): State<Sessions>) -> Result<StatusCode> {
    sessions.end_others(user, &token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a session
#[utoipa::path(
    delete,
    path = "/users/me/sessions/{id}",
    tag = "Sessions",
    operation_id = "endSession",
    params(("id" = Id, Path, description = "As the list of sessions has it")),
    responses((status = 204, description = "Its token is good for nothing any more"), OfUsers, NotFound),
)]
async fn end_session(user: UserId, id: SessionId, State(sessions): State<Sessions>) -> Result<StatusCode> {
    sessions.end_called(user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl App {
    /// That who has the token knows the password too.
    async fn prove(&self, user: &User, Current(password): Current) -> Result<()> {
        let attempt = self.throttle.check(&user.email).await?;
        let Some(password) = password else { return Err(attempt.failed().await) };
        match self.passwords.check(password, Some(user.password.clone())).await? {
            Verdict::Right | Verdict::RightWith(_) => attempt.succeeded().await,
            Verdict::Wrong => Err(attempt.failed().await),
        }
    }
}

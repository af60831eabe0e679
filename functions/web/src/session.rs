//! The session of a browser. The app has the token in memory, and the browser a cookie, by which the app gets the token
//! again after a reload.

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::{
    Error, Result,
    accounts::{
        cookies::{Cookies, KeptSession},
        token::Token,
    },
    http::{
        Json,
        auth::{COOKIE, FromTheApp, SessionLog},
        openapi::{AuthErrors, ServiceErrors},
    },
};
use utoipa::ToSchema;

use crate::openapi::{self, NoSession, NotFromTheApp};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// The attributes of the cookie, but for its lifetime. The browser sends the cookie to this host alone, and only where a
/// page of this host asks.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// Gives a session a cookie
///
/// For the web app, which then needs to keep no token. The session lasts seven days after the last `POST
/// /web/session/refresh`, and 30 days after the sign-in at most. A session has one cookie: a repeated request replaces it.
/// The cookie reads the content of files and ZIPs, and is good for `/web/session` and `/web/session/refresh`, but for nothing
/// else.
#[utoipa::path(
    post,
    path = "/web/session",
    tag = "Web app",
    operation_id = "keepSession",
    responses(
        (
            status = 204,
            description = "The browser has the cookie",
            headers(("Set-Cookie" = String, description = "`__Host-session`"))
        ),
        AuthErrors,
    ),
)]
pub async fn keep(token: Token, State(cookies): State<Cookies>, log: SessionLog) -> Result<Response> {
    let kept = cookies.keep(token).await?;
    log.note(&kept.session);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set(&kept)?)]).into_response())
}

#[derive(Serialize, ToSchema)]
pub struct Refreshed {
    /// The token of the session.
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    token: String,
}

/// The token of the cookie's session
///
/// For the web app after a reload. The session is prolonged.
#[utoipa::path(
    post,
    path = "/web/session/refresh",
    tag = "Web app",
    operation_id = "refreshSession",
    params(openapi::FromTheApp),
    responses(
        (
            status = 200,
            description = "The session goes on",
            body = Refreshed,
            headers(("Set-Cookie" = String, description = "The same cookie with its new lifetime"))
        ),
        NoSession,
        NotFromTheApp,
        ServiceErrors,
    ),
    security(("cookie" = [])),
)]
pub async fn refresh(
    FromTheApp(cookie): FromTheApp,
    State(cookies): State<Cookies>,
    log: SessionLog,
) -> Result<Response> {
    let kept = cookies.refresh(cookie.ok_or(Error::Unauthorized)?).await?;
    log.note(&kept.session);
    let refreshed = Refreshed { token: kept.token.reveal().to_owned() };
    Ok(([(header::SET_COOKIE, set(&kept)?)], Json(refreshed)).into_response())
}

/// Ends the cookie and its session
///
/// The browser forgets the cookie and what it has cached, also if the session had ended already.
#[utoipa::path(
    delete,
    path = "/web/session",
    tag = "Web app",
    operation_id = "endKeptSession",
    params(openapi::FromTheApp),
    responses(
        (
            status = 204,
            description = "There is no session any more",
            headers(("Set-Cookie" = String), ("Clear-Site-Data" = String))
        ),
        NotFromTheApp,
        ServiceErrors,
    ),
    security((), ("cookie" = [])),
)]
pub async fn end(FromTheApp(cookie): FromTheApp, State(cookies): State<Cookies>) -> Result<Response> {
    if let Some(cookie) = cookie {
        cookies.end(&cookie).await?;
    }
    let headers = [
        (header::SET_COOKIE, value(&format!("{COOKIE}=; {ATTRIBUTES}; Max-Age=0"))?),
        (CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\", \"cookies\"")),
    ];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// `Set-Cookie` with the cookie of a session.
fn set(kept: &KeptSession) -> Result<HeaderValue> {
    let (cookie, seconds) = (kept.cookie.reveal(), kept.left.as_secs());
    value(&format!("{COOKIE}={cookie}; {ATTRIBUTES}; Max-Age={seconds}"))
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|error| Error::Internal(error.into()))
}

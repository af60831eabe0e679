//! Authentication: every extractor that tells who sends a request. Add one as a parameter of a handler to require it.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::{FromRef, FromRequestParts, RawPathParams},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
};
use base64::{Engine, engine::DecodePaddingMode, engine::general_purpose::GeneralPurpose};
use lambda_http::{RequestExt, request::RequestContext};

use super::{Params, error::WithMessage};
use crate::{
    Error, Result,
    accounts::{
        cookies::Cookie,
        keys::ApiKey,
        open_sessions::StoredSession,
        rate_limit::Address,
        sessions::{Credential, Sessions},
        token::Token,
        users::User,
    },
    files::{File, Files},
    ids::{FileId, UserId},
    links::{Credentials, Visitor},
    uploads::tickets::{Ticket, Tickets},
};

/// The user of a request, for its log line.
#[derive(Clone, Default)]
pub(super) struct LogUser(Arc<OnceLock<UserId>>);

impl LogUser {
    /// The slot of this request.
    fn of(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or_default()
    }

    fn note_user(&self, user: UserId) {
        self.0.get_or_init(|| user);
    }

    pub(super) fn get(&self) -> Option<UserId> {
        self.0.get().copied()
    }
}

/// The API key of a request, in the extensions of the request, once `KeyGuard` has looked at it.
#[derive(Clone)]
pub(super) struct KeyFound(pub Result<Arc<ApiKey>, Refused>);

/// A key that may not read the content that the request asks for. Everybody may read public content.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    BeyondScope,
    OutsideFolder,
    /// The key is of nobody any more.
    Unknown,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::BeyondScope => Self::Forbidden("This key may not do that"),
            Refused::OutsideFolder => Self::NotFound,
            Refused::Unknown => Self::Unauthorized,
        }
    }
}

/// The token in `X-Token`, or else in `Authorization: Bearer`.
pub(super) fn sent_token(headers: &HeaderMap) -> Option<Token> {
    let bearer = || {
        let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    };
    // Some clients always send the header. A header without a value counts as absent.
    let token = headers.get("x-token").and_then(|token| token.to_str().ok()).filter(|token| !token.is_empty());
    token.or_else(bearer).filter(|token| !token.is_empty()).map(|token| Token::sent(token.to_owned()))
}

/// The cookie of the web app. Browsers take a name with this prefix only with `Secure`, for all paths and this host alone.
pub const COOKIE: &str = "__Host-session";

/// The header, with its value, that the app sends together with its cookie. A page of another origin can send no such
/// header.
pub const FROM_THE_APP: (&str, &str) = ("x-requested-with", "files-manager");

/// The values of the cookies of this name, as a browser sends them.
pub fn sent_cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let pairs = lines.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(sent, _)| *sent == name).map(|(_, value)| value)
}

/// The cookie of the web app. A browser that tells us that a page of another origin asks has none, although such a
/// request has the cookie only if the page is of the same site.
fn session_cookie(headers: &HeaderMap) -> Option<Cookie> {
    if !matches!(headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes), None | Some(b"same-origin" | b"none")) {
        return None;
    }
    let mut sent = sent_cookies(headers, COOKIE);
    // Somebody else has set one of two cookies with this name.
    sent.next().filter(|_| sent.next().is_none()).and_then(Cookie::sent)
}

/// How the page that asks is related to this origin, as the browser says.
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The session or the API key that a token stands for. The account is not checked.
///
/// # Errors
/// `Unauthorized`; for a key, also [`Refused`].
async fn credential(token: &Token, key: Option<KeyFound>, sessions: &Sessions) -> Result<Credential> {
    if !token.is_key() {
        return sessions.stored(token).await.map(Credential::Session);
    }
    let KeyFound(found) = key.ok_or(Error::Unauthorized)?;
    Ok(Credential::Key(found?))
}

/// The name and the password of `Authorization: Basic`. `None` without a header, for another scheme, for no base64, or
/// without a colon.
pub fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(BASE64.decode(credentials.trim()).ok()?).ok()?;
    credentials.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

/// Padding is optional, as in the original's decoder.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        sent_token(&parts.headers).ok_or(Error::Unauthorized)
    }
}

/// Requires a valid session, or an API key that allows the request.
impl<S> FromRequestParts<S> for User
where
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let token = Token::from_request_parts(parts, state).await?;
        let sessions = Sessions::from_ref(state);
        let user = sessions.verify(&credential(&token, parts.extensions.get().cloned(), &sessions).await?).await?;
        LogUser::of(parts).note_user(user.id());
        Ok(user)
    }
}

/// Requires a valid session, or an API key that allows the request.
impl<S> FromRequestParts<S> for UserId
where
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Ok(User::from_request_parts(parts, state).await?.id())
    }
}

/// The file of the `{id}` of a route, which belongs to the user of the session. The owner's account is read together
/// with the file, and verifies the session: one query to `MongoDB` and not two.
///
/// Without a valid session the error is `Unauthorized`, whether or not the file exists.
pub struct OwnedFile(pub File);

impl<S> FromRequestParts<S> for OwnedFile
where
    Files: FromRef<S>,
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let viewer = Viewer::from_request_parts(parts, state).await?;
        let unverified = viewer.unverified().await?.ok_or(Error::Unauthorized)?;
        let found = match FileId::from_request_parts(parts, state).await {
            Ok(id) => Files::from_ref(state).file_of_with_account(unverified.id(), id).await?,
            Err(_) => None,
        };
        let Some(found) = found else {
            unverified.verify_by_lookup().await?;
            return Err(Error::NotFound);
        };
        unverified.verify(found.account()?)?;
        Ok(Self(found.file))
    }
}

/// A user with a session or an API key, whose account has not been checked. A handler that reads the account together
/// with something else saves a query to `MongoDB`.
pub struct UnverifiedUser {
    credential: Credential,
    sessions: Sessions,
    log: LogUser,
}

impl UnverifiedUser {
    /// The id of the user, if the session or the key is valid.
    pub fn id(&self) -> UserId {
        self.credential.user()
    }

    /// Checks the session or the key against the account that [`Self::id`] has now.
    ///
    /// # Errors
    /// `Unauthorized` if the account does not exist, or its user has ended the session.
    pub fn verify(&self, account: Option<User>) -> Result<()> {
        self.log.note_user(self.credential.verify(account)?.id());
        Ok(())
    }

    /// Reads the account and checks the session against it.
    ///
    /// # Errors
    /// The errors of [`Self::verify`].
    async fn verify_by_lookup(&self) -> Result<()> {
        self.log.note_user(self.sessions.verify(&self.credential).await?.id());
        Ok(())
    }
}

/// A user who may be anonymous. Redis is asked only where the user matters.
pub struct Viewer {
    token: Option<Token>,
    key: Option<KeyFound>,
    /// Only where content is read, and only without a token.
    cookie: Option<Cookie>,
    sessions: Sessions,
    log: LogUser,
}

impl Viewer {
    /// The user of the viewer's token or cookie, not verified; `None` without any, or if it is of no session and no API
    /// key.
    ///
    /// # Errors
    /// An API key that does not allow the request.
    pub async fn unverified(self) -> Result<Option<UnverifiedUser>> {
        let Self { token, key, cookie, sessions, log } = self;
        let found = match (token, cookie) {
            (Some(token), _) => credential(&token, key, &sessions).await,
            (None, Some(cookie)) => sessions.stored_of(&cookie).await.map(Credential::Session),
            (None, None) => return Ok(None),
        };
        match found {
            Ok(credential) => Ok(Some(UnverifiedUser { credential, sessions, log })),
            Err(Error::Unauthorized) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<S> FromRequestParts<S> for Viewer
where
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Ok(Self {
            token: sent_token(&parts.headers),
            key: parts.extensions.get().cloned(),
            cookie: None,
            sessions: Sessions::from_ref(state),
            log: LogUser::of(parts),
        })
    }
}

/// A viewer of content, who may have the cookie of the web app where there is no token. A browser sends the cookie by
/// itself, so only routes that read content, and change nothing, take this.
pub struct ContentViewer(Viewer);

impl ContentViewer {
    /// True if the cookie decides.
    pub fn is_by_cookie(&self) -> bool {
        self.0.cookie.is_some()
    }

    /// As [`Viewer::unverified`].
    pub async fn unverified(self) -> Result<Option<UnverifiedUser>> {
        self.0.unverified().await
    }
}

impl<S> FromRequestParts<S> for ContentViewer
where
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let viewer = Viewer::from_request_parts(parts, state).await?;
        // A token decides alone, also if it is of nobody.
        let cookie = if viewer.token.is_none() { session_cookie(&parts.headers) } else { None };
        Ok(Self(Viewer { cookie, ..viewer }))
    }
}

/// Requires a valid session, an API key that allows the request, or the cookie of the web app. As [`ContentViewer`], only
/// for routes that read content.
pub struct ContentOwner {
    pub user: UserId,
    pub is_by_cookie: bool,
}

impl<S> FromRequestParts<S> for ContentOwner
where
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let viewer = ContentViewer::from_request_parts(parts, state).await?;
        let is_by_cookie = viewer.is_by_cookie();
        let unverified = viewer.unverified().await?.ok_or(Error::Unauthorized)?;
        unverified.verify_by_lookup().await?;
        Ok(Self { user: unverified.id(), is_by_cookie })
    }
}

/// Notes the user of a session that is not verified, for the log line of the request.
#[derive(Clone)]
pub struct SessionLog(LogUser);

impl SessionLog {
    pub fn note(&self, session: &StoredSession) {
        self.0.note_user(session.user);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionLog {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self(LogUser::of(parts)))
    }
}

/// Requires the header [`FROM_THE_APP`], and has the cookie of the app.
pub struct FromTheApp(pub Option<Cookie>);

impl<S: Send + Sync> FromRequestParts<S> for FromTheApp {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let (name, value) = FROM_THE_APP;
        if parts.headers.get(name).is_none_or(|sent| sent != value) {
            return Err(Error::Forbidden("Missing X-Requested-With: files-manager"));
        }
        Ok(Self(session_cookie(&parts.headers)))
    }
}

/// The network of a request, as the gateway reports it; a client can put anything into a header.
impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let source_ip = match parts.extensions.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref(),
            _ => None,
        };
        Ok(Self::of(source_ip.unwrap_or_default()))
    }
}

/// A request to a link: the `{token}` of the route, and who asks with what.
pub struct Visit {
    pub token: String,
    pub credentials: Credentials,
    pub visitor: Visitor,
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        // A path that is not UTF-8 has no token.
        let path = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::NotFound)?;
        let token = path.iter().find(|(name, _)| *name == "token").map(|(_, token)| token.to_owned());
        let params = Params::from_request_parts(parts, state).await?;
        let key = params.get("key").filter(|key| !key.is_empty()).map(str::to_owned);
        // A password that is too long is no password of a link.
        let password = basic(&parts.headers).and_then(|(_, password)| password.parse().ok());
        let agent = parts.headers.get(header::USER_AGENT).map(|agent| agent.as_bytes().to_vec()).unwrap_or_default();
        let address = Address::from_request_parts(parts, state).await?;
        Ok(Self {
            token: token.unwrap_or_default(),
            credentials: Credentials { password, key },
            visitor: Visitor { address, agent },
        })
    }
}

/// The `{ticket}` of a route.
impl<S> FromRequestParts<S> for Ticket
where
    Tickets: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = WithMessage;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WithMessage> {
        let path = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::Unauthorized)?;
        let text = path.iter().find(|(name, _)| *name == "ticket").map(|(_, text)| text);
        Ok(Tickets::from_ref(state).verify(text.unwrap_or_default())?)
    }
}

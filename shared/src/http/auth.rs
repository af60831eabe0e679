//! Authentication: every extractor that tells who sends a request. Add one as a parameter of a handler to require it.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::{FromRef, FromRequestParts, RawPathParams},
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine, engine::DecodePaddingMode, engine::general_purpose::GeneralPurpose};
use lambda_http::{RequestExt, request::RequestContext};

use super::{Params, error::WithMessage};
use crate::{
    Error, Result,
    accounts::{
        keys::ApiKey,
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
    sessions: Sessions,
    log: LogUser,
}

impl Viewer {
    /// The user of the viewer's token, not verified; `None` without a token, or if the token is of no session and no API
    /// key.
    ///
    /// # Errors
    /// An API key that does not allow the request.
    pub async fn unverified(self) -> Result<Option<UnverifiedUser>> {
        let Self { token: Some(token), key, sessions, log } = self else { return Ok(None) };
        match credential(&token, key, &sessions).await {
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
            sessions: Sessions::from_ref(state),
            log: LogUser::of(parts),
        })
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

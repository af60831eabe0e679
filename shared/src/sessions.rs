//! Who is asking: tokens, kept in Redis by their SHA-256 for a day.

use std::{fmt::Write, sync::OnceLock};

use anyhow::Context;
use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use redis::{
    Cmd, FromRedisValue,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::{
    Config, Error, Result, limits,
    users::{User, UserId, Users},
};

/// A session's secret, as the client holds it. Not `Debug`: it must not reach a log.
pub struct Token(String);

impl Token {
    fn random() -> Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| Error::Internal(anyhow::anyhow!("{error}")))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(secret)))
    }

    /// `X-Token`, or else `Authorization: Bearer`.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let bearer = || {
            let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        };
        let token = headers.get("x-token").and_then(|token| token.to_str().ok()).or_else(bearer)?;
        (!token.is_empty()).then(|| Self(token.to_owned()))
    }

    /// The key in Redis: a digest, so that who reads Redis cannot take part in a session.
    fn key(&self) -> String {
        let mut key = String::from("auth_");
        for byte in Sha256::digest(self.0.as_bytes()) {
            // Writing to a String cannot fail.
            let _ = write!(key, "{byte:02x}");
        }
        key
    }

    /// What the client is given, once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The sessions, and with them the accounts: a session is worth nothing without its user.
#[derive(Clone)]
pub struct Sessions {
    redis: Redis,
    users: Users,
}

impl Sessions {
    pub fn new(redis: Redis, users: Users) -> Self {
        Self { redis, users }
    }

    /// Opens a session; older ones of the user stay.
    pub async fn open(&self, UserId(user): UserId) -> Result<Token> {
        let token = Token::random()?;
        let seconds = limits::SESSION.as_secs();
        self.redis.ask::<()>(Cmd::set_ex(token.key(), user.to_hex(), seconds)).await?;
        Ok(token)
    }

    /// Ends one session, and no other.
    pub async fn end(&self, token: &Token) -> Result<()> {
        self.redis.ask::<()>(Cmd::del(token.key())).await
    }

    /// Whose session it is.
    ///
    /// # Errors
    /// `Unauthorized` for a token that is unknown, expired, or of a user who is no more.
    pub async fn user(&self, token: &Token) -> Result<User> {
        let id: Option<String> = self.redis.ask(Cmd::get(token.key())).await?;
        let id = id.and_then(|hex| hex.parse().ok()).ok_or(Error::Unauthorized)?;
        self.users.with_id(UserId(id)).await?.ok_or(Error::Unauthorized)
    }
}

/// The connection to Redis; it connects when first used and again whenever it broke.
#[derive(Clone)]
pub struct Redis(ConnectionManager);

impl Redis {
    /// # Errors
    /// A URL that has no meaning.
    pub fn connect(config: &Config) -> anyhow::Result<Self> {
        let client = redis::Client::open(config.redis_url.as_str()).context("REDIS_URL")?;
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(limits::REDIS))
            .set_response_timeout(Some(limits::REDIS))
            .set_number_of_retries(1);
        Ok(Self(ConnectionManager::new_lazy_with_config(client, settings).context("REDIS_URL")?))
    }

    /// Whether Redis answers.
    pub async fn answers(&self) -> bool {
        matches!(timeout(limits::STATUS, self.twice::<String>(&Cmd::ping())).await, Ok(Ok(_)))
    }

    async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Result<T> {
        match timeout(limits::REDIS, self.twice(&command)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Error::timeout("Redis")),
        }
    }

    /// A connection that the other side closed while this instance slept is found dead only by using it, so
    /// that a command which met one is sent again. All of ours may be.
    async fn twice<T: FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        let mut connection = self.0.clone();
        match command.query_async(&mut connection).await {
            Err(error) if error.is_io_error() || error.is_connection_dropped() => {
                command.query_async(&mut connection).await
            }
            outcome => outcome,
        }
    }
}

/// Where a request's user is left for its log line.
#[derive(Clone, Default)]
pub struct Seen(pub std::sync::Arc<OnceLock<UserId>>);

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Self::of(&parts.headers).ok_or(Error::Unauthorized)
    }
}

impl<S> FromRequestParts<S> for User
where
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let token = Token::from_request_parts(parts, state).await?;
        let user = Sessions::from_ref(state).user(&token).await?;
        if let Some(seen) = parts.extensions.get::<Seen>() {
            seen.0.get_or_init(|| user.id());
        }
        Ok(user)
    }
}

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

/// Somebody who need not say who they are: asked only where it matters.
pub struct Viewer {
    token: Option<Token>,
    sessions: Sessions,
    seen: Option<Seen>,
}

impl Viewer {
    /// Whether they are this user. A bad token is nobody's.
    pub async fn is(&self, owner: UserId) -> Result<bool> {
        let Some(token) = &self.token else { return Ok(false) };
        match self.sessions.user(token).await {
            Ok(user) => {
                if let Some(seen) = &self.seen {
                    seen.0.get_or_init(|| user.id());
                }
                Ok(user.id() == owner)
            }
            Err(Error::Unauthorized) => Ok(false),
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
            token: Token::of(&parts.headers),
            sessions: Sessions::from_ref(state),
            seen: parts.extensions.get().cloned(),
        })
    }
}

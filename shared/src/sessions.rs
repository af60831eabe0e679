//! Sessions: Redis keeps each token by its SHA-256 for a day, and a list of the sessions of each user.

use std::sync::{Arc, OnceLock};

use anyhow::Context;
use axum::{
    extract::{FromRef, FromRequestParts, Path},
    http::{HeaderMap, header, request::Parts},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    RedisResult, TlsCertificates, aio::MultiplexedConnection, pipe,
};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    Config, Error, Result,
    digest::{random_text, sha256_hex},
    ids::{SessionId, UserId},
    limits,
    rate_limit::LoginPermit,
    time::Timestamp,
    users::{User, Users},
};

/// The secret of a session, as the client holds it. Not `Debug`, because it must not reach a log.
pub struct Token(String);

impl Token {
    fn random() -> Result<Self> {
        random_text::<32>().map(Self)
    }

    /// The token in `X-Token`, or else in `Authorization: Bearer`.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let bearer = || {
            let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        };
        // Some clients always send the header. A header without a value counts as absent.
        let token = headers.get("x-token").and_then(|token| token.to_str().ok()).filter(|token| !token.is_empty());
        token.or_else(bearer).filter(|token| !token.is_empty()).map(|token| Self(token.to_owned()))
    }

    /// The key in Redis: a digest, so that a reader of Redis cannot take over a session.
    pub(crate) fn digest(&self) -> String {
        sha256_hex(self.0.as_bytes())
    }

    pub(crate) fn session_id(&self) -> SessionId {
        id_of(&self.digest())
    }

    /// The token for the client, sent once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The sessions. Checking a session needs the accounts, because a session without an account is not valid.
#[derive(Clone)]
pub struct Sessions {
    redis: Redis,
    users: Users,
}

impl Sessions {
    pub fn new(redis: Redis, users: Users) -> Self {
        Self { redis, users }
    }

    /// Opens a session. Older sessions of the user stay, except those beyond [`limits::MAX_SESSIONS`].
    pub async fn open(&self, user: UserId, permit: LoginPermit) -> Result<Token> {
        let token = Token::random()?;
        let (digest, index, seconds) = (token.digest(), index(user), limits::SESSION_TTL.as_secs());
        let now = Timestamp::now().millis();
        let mut commands = pipe();
        commands.atomic().set_ex(key(&digest), user.to_string(), seconds).ignore();
        commands.zrembyscore(&index, "-inf", now - CLOCK_SKEW_MS).ignore();
        commands.zadd(&index, digest, now + lifetime()).ignore();
        // The list lasts as long as the newest session.
        commands.expire(&index, i64::try_from(seconds).unwrap_or(i64::MAX)).ignore();
        // Reads the sessions beyond the limit, at most as many as the limit: a list from before the limit shrinks with
        // each login.
        commands.zrevrange(&index, limits::MAX_SESSIONS, limits::MAX_SESSIONS + MOST_LISTED);
        permit.remember(&mut commands);
        let (beyond,): (Vec<String>,) = self.redis.query_all(&commands).await?;
        if !beyond.is_empty()
            && let Err(error) = self.end_some(user, &beyond).await
        {
            tracing::warn!(error = error.cause(), "the oldest sessions of a user are left to the next login");
        }
        Ok(token)
    }

    /// Ends one session only.
    pub async fn end(&self, user: UserId, token: &Token) -> Result<()> {
        self.end_some(user, &[token.digest()]).await
    }

    /// Ends the session with this id. `NotFound` if the user has no such session.
    pub async fn end_by_id(&self, user: UserId, id: &SessionId) -> Result<()> {
        let sessions = self.of(user).await?;
        let session = sessions.into_iter().find(|session| session.id() == *id).ok_or(Error::NotFound)?;
        self.end_some(user, &[session.digest]).await
    }

    /// Ends all sessions of a user but this one.
    pub async fn end_others(&self, user: UserId, token: &Token) -> Result<()> {
        self.end_all_but(user, Some(&token.digest())).await
    }

    pub async fn end_all(&self, user: UserId) -> Result<()> {
        self.end_all_but(user, None).await
    }

    async fn end_all_but(&self, user: UserId, kept: Option<&str>) -> Result<()> {
        let ended = async {
            loop {
                let mut some: Vec<String> = self.redis.query(Cmd::zrange(index(user), 0, MOST_LISTED)).await?;
                some.retain(|digest| Some(digest.as_str()) != kept);
                if some.is_empty() {
                    return Ok(());
                }
                self.end_some(user, &some).await?;
            }
        };
        timeout(limits::END_SESSIONS_TIMEOUT, ended).await.unwrap_or_else(|_| Err(Error::timeout("Redis")))
    }

    async fn end_some(&self, user: UserId, digests: &[String]) -> Result<()> {
        let keys: Vec<String> = digests.iter().map(|digest| key(digest)).collect();
        let mut commands = pipe();
        commands.atomic().del(keys).ignore().zrem(index(user), digests).ignore();
        self.redis.query_all(&commands).await
    }

    /// The open sessions of a user, newest first.
    pub async fn of(&self, user: UserId) -> Result<Vec<Session>> {
        let mut commands = pipe();
        commands.atomic().zrembyscore(index(user), "-inf", Timestamp::now().millis() - CLOCK_SKEW_MS).ignore();
        commands.zrevrange_withscores(index(user), 0, MOST_LISTED);
        let (listed,): (Vec<(String, i64)>,) = self.redis.query_all(&commands).await?;
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        // A listed session may be gone: expired by the clock of Redis, or evicted.
        let keys: Vec<String> = listed.iter().map(|(digest, _)| key(digest)).collect();
        let users: Vec<Option<String>> = self.redis.query(Cmd::mget(keys)).await?;
        let theirs = user.to_string();
        let open = listed.into_iter().zip(users).filter(|(_, user)| user.as_ref() == Some(&theirs));
        Ok(open.map(|((digest, expires_at), _)| Session { digest, expires_at }).collect())
    }

    /// The user of the session.
    ///
    /// # Errors
    /// `Unauthorized` for a token that is unknown or expired, whose user has no account any more, or whose session the
    /// user has ended together with all others.
    pub async fn user(&self, token: &Token) -> Result<User> {
        let stored = self.stored(token).await?;
        stored.verify(self.users.with_id(stored.user).await?)
    }

    /// The session as Redis has it; the account is not checked.
    ///
    /// # Errors
    /// `Unauthorized` for a token that is unknown or expired.
    async fn stored(&self, token: &Token) -> Result<StoredSession> {
        let key = key(&token.digest());
        // A session is never prolonged, so its remaining lifetime tells when it was opened.
        let (id, left): (Option<String>, i64) = self.redis.query_all(pipe().get(&key).pttl(&key)).await?;
        let user = id.and_then(|hex| hex.parse().ok()).ok_or(Error::Unauthorized)?;
        let opened_at = Timestamp::from_millis(Timestamp::now().millis() - lifetime() + left);
        Ok(StoredSession { user, session: token.session_id(), opened_at })
    }
}

/// A session as Redis has it. Only the account tells whether the user still exists and has not ended the session.
struct StoredSession {
    user: UserId,
    session: SessionId,
    opened_at: Timestamp,
}

impl StoredSession {
    fn verify(&self, account: Option<User>) -> Result<User> {
        let user = account.filter(|user| user.id() == self.user).ok_or(Error::Unauthorized)?;
        if user.has_ended(&self.session, self.opened_at) { Err(Error::Unauthorized) } else { Ok(user) }
    }
}

/// A session as its user may see it. The session's secret is not in it, so nobody can use it as a token.
pub struct Session {
    digest: String,
    /// The expiry, in milliseconds since 1970.
    expires_at: i64,
}

impl Session {
    pub fn id(&self) -> SessionId {
        id_of(&self.digest)
    }

    pub fn created_at(&self) -> Timestamp {
        // A session is never prolonged.
        Timestamp::from_millis(self.expires_at - lifetime())
    }

    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.expires_at)
    }

    pub fn is_of(&self, token: &Token) -> bool {
        self.digest == token.digest()
    }
}

/// The `{id}` of a route.
impl<S: Send + Sync> FromRequestParts<S> for SessionId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Error::NotFound)?;
        Ok(Self(id))
    }
}

/// The last index in a list of [`limits::MAX_SESSIONS`].
const MOST_LISTED: isize = limits::MAX_SESSIONS - 1;

/// Tolerated clock skew against Redis: a live session must never be pruned from its user's list.
const CLOCK_SKEW_MS: i64 = 60_000;

/// The lifetime of a session, in milliseconds.
fn lifetime() -> i64 {
    i64::try_from(limits::SESSION_TTL.as_millis()).unwrap_or(i64::MAX)
}

fn id_of(digest: &str) -> SessionId {
    SessionId(digest.get(..24).unwrap_or_default().to_owned())
}

/// The key of a session in Redis. Its value is the user's id.
fn key(digest: &str) -> String {
    format!("auth_{digest}")
}

/// The key of a user's list of sessions in Redis: a sorted set of digests by expiry.
fn index(user: UserId) -> String {
    format!("sessions_{user}")
}

/// The connection to Redis, which connects when first used, and again whenever the connection broke.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    settings: AsyncConnectionConfig,
    /// The last connection that answered.
    connection: Arc<Mutex<Option<MultiplexedConnection>>>,
}

impl Redis {
    /// # Errors
    /// The URL is malformed.
    pub fn connect(config: &Config) -> anyhow::Result<Self> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limits::REDIS_TIMEOUT))
            .set_response_timeout(Some(limits::REDIS_TIMEOUT));
        let url = config.redis_url.as_str().into_connection_info().context("REDIS_URL")?;
        let client = match (url.addr(), &config.authorities) {
            (ConnectionAddr::TcpTls { .. }, Some(authorities)) => {
                let root_cert = Some(authorities.pem.clone());
                Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert })
            }
            _ => Client::open(url),
        };
        Ok(Self { client: client.context("REDIS_URL")?, settings, connection: Arc::default() })
    }

    /// Returns whether Redis answers.
    pub async fn ping(&self) -> bool {
        matches!(
            timeout(limits::STATUS_TIMEOUT, self.with_retry::<(String,)>(pipe().add_command(Cmd::ping()))).await,
            Ok(Ok(_))
        )
    }

    async fn query<T: FromRedisValue>(&self, command: Cmd) -> Result<T> {
        let (answer,) = self.query_all(pipe().add_command(command)).await?;
        Ok(answer)
    }

    /// Sends several commands in one round trip.
    pub(crate) async fn query_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        match timeout(limits::REDIS_TIMEOUT, self.with_retry(commands)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Error::timeout("Redis")),
        }
    }

    /// A connection that was lost while this instance slept is found dead only by using it: it breaks, or no answer
    /// comes. Then the commands are sent again on a new connection. All of our commands may be sent twice.
    async fn with_retry<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        let before = self.connection.lock().await.clone();
        if let Some(connection) = before {
            match timeout(limits::REDIS_ATTEMPT_TIMEOUT, self.once(commands, connection)).await {
                Ok(outcome) if !is_lost(&outcome) => return outcome,
                _ => *self.connection.lock().await = None,
            }
        }
        let connection = self.client.get_multiplexed_async_connection_with_config(&self.settings).await?;
        self.once(commands, connection).await
    }

    /// Sends the commands once. A connection that works is kept for the next commands.
    async fn once<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        mut connection: MultiplexedConnection,
    ) -> RedisResult<T> {
        let outcome = commands.query_async(&mut connection).await;
        if !is_lost(&outcome) {
            *self.connection.lock().await = Some(connection);
        }
        outcome
    }
}

/// True if there was no answer, not even an error of Redis.
fn is_lost<T>(outcome: &RedisResult<T>) -> bool {
    outcome.as_ref().is_err_and(RedisError::is_io_error)
}

/// The user of a request, for its log line.
#[derive(Clone, Default)]
pub struct LogUser(pub Arc<OnceLock<UserId>>);

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
        if let Some(seen) = parts.extensions.get::<LogUser>() {
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

/// A user whose session is in Redis, but whose account has not been checked. A handler that reads the account together
/// with something else saves a query to MongoDB.
pub struct UnverifiedUser {
    stored: StoredSession,
    users: Users,
    seen: Option<LogUser>,
}

impl UnverifiedUser {
    /// The id of the user, if the session is valid.
    pub fn id(&self) -> UserId {
        self.stored.user
    }

    /// Checks the session against the account that [`Self::id`] has now.
    ///
    /// # Errors
    /// `Unauthorized` if the account does not exist, or its user has ended the session.
    pub fn verify(&self, account: Option<User>) -> Result<()> {
        let user = self.stored.verify(account)?;
        if let Some(seen) = &self.seen {
            seen.0.get_or_init(|| user.id());
        }
        Ok(())
    }

    /// Reads the account and checks the session against it.
    ///
    /// # Errors
    /// The errors of [`Self::verify`].
    pub async fn verify_by_lookup(&self) -> Result<()> {
        self.verify(self.users.with_id(self.stored.user).await?)
    }
}

impl<S> FromRequestParts<S> for UnverifiedUser
where
    Sessions: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let viewer = Viewer::from_request_parts(parts, state).await?;
        viewer.unverified().await?.ok_or(Error::Unauthorized)
    }
}

/// A user who may be anonymous. Redis is asked only where the user matters.
pub struct Viewer {
    token: Option<Token>,
    sessions: Sessions,
    seen: Option<LogUser>,
}

impl Viewer {
    /// The user of the viewer's token, not verified; `None` without a token, or if Redis does not know the token.
    pub async fn unverified(self) -> Result<Option<UnverifiedUser>> {
        let Some(token) = &self.token else { return Ok(None) };
        match self.sessions.stored(token).await {
            Ok(stored) => Ok(Some(UnverifiedUser { stored, users: self.sessions.users, seen: self.seen })),
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
            token: Token::of(&parts.headers),
            sessions: Sessions::from_ref(state),
            seen: parts.extensions.get().cloned(),
        })
    }
}

//! Sessions: Redis keeps each token by its SHA-256 for a day, and a list of the sessions of each user.

use std::sync::Arc;

use redis::{Cmd, pipe};
use tokio::time::timeout;

use super::{
    keys::ApiKey,
    rate_limit::LoginPermit,
    token::{Token, session_id},
    users::{User, Users},
};
use crate::{
    Error, Result,
    ids::{SessionId, UserId},
    limits,
    stores::redis::Redis,
    time::Timestamp,
};

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

    /// Reads the account, and checks the session or the key against it.
    ///
    /// # Errors
    /// The errors of [`Credential::verify`].
    pub async fn verify(&self, credential: &Credential) -> Result<User> {
        credential.verify(self.users.with_id(credential.user()).await?)
    }

    /// The session as Redis has it; the account is not checked.
    ///
    /// # Errors
    /// `Unauthorized` for a token that is unknown or expired.
    pub async fn stored(&self, token: &Token) -> Result<StoredSession> {
        let key = key(&token.digest());
        // A session is never prolonged, so its remaining lifetime tells when it was opened.
        let (id, left): (Option<String>, i64) = self.redis.query_all(pipe().get(&key).pttl(&key)).await?;
        let user = id.and_then(|hex| hex.parse().ok()).ok_or(Error::Unauthorized)?;
        let opened_at = Timestamp::from_millis(Timestamp::now().millis() - lifetime() + left);
        Ok(StoredSession { user, session: token.session_id(), opened_at })
    }
}

/// The right of a request to act for a user. Only the account tells whether the user still exists and has not ended the
/// right.
pub enum Credential {
    Session(StoredSession),
    Key(Arc<ApiKey>),
}

impl Credential {
    pub fn user(&self) -> UserId {
        match self {
            Self::Session(session) => session.user,
            Self::Key(key) => key.user_id,
        }
    }

    /// Checks the session or the key against the account of its user, and returns the account.
    ///
    /// # Errors
    /// `Unauthorized` if the account does not exist, or its user has ended the session or the key.
    pub fn verify(&self, account: Option<User>) -> Result<User> {
        match self {
            Self::Session(session) => session.verify(account),
            Self::Key(key) => key.verify(account),
        }
    }
}

/// A session as Redis has it. Only the account tells whether the user still exists and has not ended the session.
pub struct StoredSession {
    pub user: UserId,
    session: SessionId,
    opened_at: Timestamp,
}

impl StoredSession {
    /// Checks the session against the account of its user, and returns the account.
    ///
    /// # Errors
    /// `Unauthorized` if the account does not exist, or its user has ended the session.
    pub fn verify(&self, account: Option<User>) -> Result<User> {
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
        session_id(&self.digest)
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

/// The last index in a list of [`limits::MAX_SESSIONS`].
const MOST_LISTED: isize = limits::MAX_SESSIONS - 1;

/// Tolerated clock skew against Redis: a live session must never be pruned from its user's list.
const CLOCK_SKEW_MS: i64 = 60_000;

/// The lifetime of a session, in milliseconds.
fn lifetime() -> i64 {
    i64::try_from(limits::SESSION_TTL.as_millis()).unwrap_or(i64::MAX)
}

/// The key of a session in Redis. Its value is the user's id.
fn key(digest: &str) -> String {
    format!("auth_{digest}")
}

/// The key of a user's list of sessions in Redis: a sorted set of digests by expiry.
fn index(user: UserId) -> String {
    format!("sessions_{user}")
}

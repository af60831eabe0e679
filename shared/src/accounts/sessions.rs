//! Sessions: Redis keeps each token by its SHA-256 for a day, or longer for the web app, and a list of the sessions of each
//! user.

use std::{cmp::Reverse, sync::Arc};

use redis::{Cmd, pipe};
use tokio::time::timeout;

use super::{
    cookies::{Cookie, Cookies},
    keys::ApiKey,
    open_sessions::{Entry, Kept, OpenSessions, StoredSession, index, key, lifetime},
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
    open: OpenSessions,
    cookies: Cookies,
    users: Users,
}

impl Sessions {
    pub fn new(redis: Redis, users: Users) -> Self {
        let (open, cookies) = (OpenSessions::new(redis.clone()), Cookies::new(redis.clone()));
        Self { redis, open, cookies, users }
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
        // The list lasts as long as any session may.
        commands.expire(&index, i64::try_from(limits::COOKIE_TTL.as_secs()).unwrap_or(i64::MAX)).ignore();
        // Reads the sessions beyond the limit, at most as many as the limit: a list from before the limit shrinks with
        // each login.
        commands.zrevrange(&index, limits::MAX_SESSIONS, limits::MAX_SESSIONS + MOST_LISTED);
        permit.remember(&mut commands);
        let (beyond,): (Vec<String>,) = self.redis.query_all(&commands).await?;
        if !beyond.is_empty()
            && let Err(error) = self.open.end_some(user, &beyond).await
        {
            tracing::warn!(error = error.cause(), "the oldest sessions of a user are left to the next login");
        }
        Ok(token)
    }

    /// Ends one session only.
    pub async fn end(&self, user: UserId, token: &Token) -> Result<()> {
        self.open.end(user, token).await
    }

    /// Ends the session with this id. `NotFound` if the user has no such session.
    pub async fn end_by_id(&self, user: UserId, id: &SessionId) -> Result<()> {
        let sessions = self.of(user).await?;
        let session = sessions.into_iter().find(|session| session.id() == *id).ok_or(Error::NotFound)?;
        self.open.end_some(user, &[session.digest]).await
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
                self.open.end_some(user, &some).await?;
            }
        };
        timeout(limits::END_SESSIONS_TIMEOUT, ended).await.unwrap_or_else(|_| Err(Error::timeout("Redis")))
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
        let values: Vec<Option<String>> = self.redis.query(Cmd::mget(keys)).await?;
        let open = listed.into_iter().zip(values).filter_map(|((digest, expires_at), value)| {
            let entry = Entry::read(&value?).filter(|entry| entry.user == user)?;
            Some(Session { digest, expires_at, kept: entry.kept })
        });
        let mut sessions: Vec<Session> = open.collect();
        // The list is in the order of expiry.
        sessions.sort_by_key(|session| Reverse(session.created_at()));
        Ok(sessions)
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
        self.open.stored(token).await
    }

    /// The session of a cookie as Redis has it; the account is not checked.
    ///
    /// # Errors
    /// `Unauthorized` for a cookie that is unknown, or whose session has ended.
    pub async fn stored_of(&self, cookie: &Cookie) -> Result<StoredSession> {
        let (_, session) = self.cookies.find(cookie).await?;
        Ok(session)
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

/// A session as its user may see it. The session's secret is not in it, so nobody can use it as a token.
pub struct Session {
    digest: String,
    /// The expiry, in milliseconds since 1970.
    expires_at: i64,
    /// `None` for a session without a cookie.
    kept: Option<Kept>,
}

impl Session {
    pub fn id(&self) -> SessionId {
        session_id(&self.digest)
    }

    pub fn created_at(&self) -> Timestamp {
        // A session without a cookie is never prolonged.
        let opened_at = || Timestamp::from_millis(self.expires_at - lifetime());
        self.kept.as_ref().map_or_else(opened_at, |kept| kept.opened_at)
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

//! The sessions as Redis has them, for functions that use no other store.

use redis::{Cmd, cmd, pipe};

use super::{token::Token, users::User};
use crate::{
    Error, Result,
    ids::{SessionId, UserId},
    limits,
    stores::redis::Redis,
    time::Timestamp,
};

/// The open sessions. Only [`super::sessions`] can tell whether the account of a session still exists.
#[derive(Clone)]
pub struct OpenSessions {
    pub(super) redis: Redis,
}

impl OpenSessions {
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// The session as Redis has it; the account is not checked.
    ///
    /// # Errors
    /// `Unauthorized` for a token that is unknown or expired.
    pub async fn stored(&self, token: &Token) -> Result<StoredSession> {
        let key = key(&token.digest());
        let (value, left): (Option<String>, i64) = self.redis.query_all(pipe().get(&key).pttl(&key)).await?;
        let entry = value.as_deref().and_then(Entry::read).ok_or(Error::Unauthorized)?;
        // A session without a cookie is never prolonged, so its remaining lifetime tells when it was opened.
        let opened_at = || Timestamp::from_millis(Timestamp::now().millis() - lifetime() + left);
        Ok(StoredSession {
            user: entry.user,
            session: token.session_id(),
            opened_at: entry.kept.as_ref().map_or_else(opened_at, |kept| kept.opened_at),
            cookie: entry.kept.map(|kept| kept.cookie),
        })
    }

    /// Ends one session only.
    pub async fn end(&self, user: UserId, token: &Token) -> Result<()> {
        self.end_some(user, &[token.digest()]).await
    }

    pub(super) async fn end_some(&self, user: UserId, digests: &[String]) -> Result<()> {
        let keys: Vec<String> = digests.iter().map(|digest| key(digest)).collect();
        let mut commands = pipe();
        commands.atomic().del(keys).ignore().zrem(index(user), digests).ignore();
        self.redis.query_all(&commands).await
    }

    /// The commands that give a session its cookie and a new expiry. They change nothing if the session has ended, also
    /// a moment ago: then the first answer is nil.
    pub(super) fn prolong(token: &Token, user: UserId, kept: Kept, now: Timestamp, left: i64) -> [Cmd; 2] {
        let digest = token.digest();
        let mut set = cmd("SET");
        set.arg(key(&digest)).arg(Entry { user, kept: Some(kept) }.text()).arg("XX").arg("PX").arg(left);
        let mut list = cmd("ZADD");
        list.arg(index(user)).arg("XX").arg(now.millis() + left).arg(digest);
        [set, list]
    }
}

/// A session as Redis has it. Only the account tells whether the user still exists and has not ended the session.
pub struct StoredSession {
    pub user: UserId,
    pub(super) session: SessionId,
    pub(super) opened_at: Timestamp,
    /// The digest of the session's cookie.
    pub(super) cookie: Option<String>,
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

/// The value of a session in Redis: the user's id, and for a session with a cookie the time at which the session was
/// opened, in milliseconds, and the digest of the cookie. An earlier release does not know the longer form, and refuses
/// the session.
pub(super) struct Entry {
    pub user: UserId,
    pub kept: Option<Kept>,
}

/// The stored facts about a session that has a cookie.
pub(super) struct Kept {
    pub opened_at: Timestamp,
    pub cookie: String,
}

impl Entry {
    pub fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(' ').collect();
        let (user, kept) = match parts[..] {
            [user] => (user, None),
            [user, opened_at, cookie] => {
                let opened_at = Timestamp::from_millis(opened_at.parse().ok()?);
                (user, Some(Kept { opened_at, cookie: cookie.to_owned() }))
            }
            _ => return None,
        };
        Some(Self { user: user.parse().ok()?, kept })
    }

    pub fn text(&self) -> String {
        match &self.kept {
            None => self.user.to_string(),
            Some(Kept { opened_at, cookie }) => format!("{} {} {cookie}", self.user, opened_at.millis()),
        }
    }
}

/// The lifetime of a session without a cookie, in milliseconds.
pub(super) fn lifetime() -> i64 {
    i64::try_from(limits::SESSION_TTL.as_millis()).unwrap_or(i64::MAX)
}

/// The key of a session in Redis.
pub(super) fn key(digest: &str) -> String {
    format!("auth_{digest}")
}

/// The key of a user's list of sessions in Redis: a sorted set of digests by expiry.
pub(super) fn index(user: UserId) -> String {
    format!("sessions_{user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_session_has_one_of_two_forms() {
        const USER: &str = "5f1e7d35c7ba06511e683b21";
        for text in [USER.to_owned(), format!("{USER} 1700000000000 abc")] {
            let entry = Entry::read(&text).unwrap();
            assert_eq!((entry.text(), entry.user.to_string()), (text, USER.to_owned()));
        }
        for other in ["", "x", " ", &format!("{USER} "), &format!("{USER} 1 a b"), &format!("{USER} x a")] {
            assert!(Entry::read(other).is_none(), "{other:?}");
        }
    }
}

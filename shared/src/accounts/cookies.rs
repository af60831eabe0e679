//! The cookies of the web app. A browser keeps one in place of a token, where no script can read it.
//!
//! Redis has neither the cookie nor the token: the key of an entry is the digest of the cookie, and the value is the token
//! combined with another digest of the cookie by exclusive or. A cookie is for one token, so this is a one-time pad. Whoever
//! has the cookie gets the token by it, and the token is looked up as any other. So whatever ends a session ends its cookie.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use redis::{Cmd, pipe};
use sha2::{Digest, Sha256};

use super::{
    open_sessions::{Kept, OpenSessions, StoredSession},
    token::{self, Token},
};
use crate::{
    Error, Result,
    digest::{random_text, sha256_hex},
    limits,
    stores::redis::Redis,
    time::Timestamp,
};

/// The secret of a cookie, as the browser holds it. Not `Debug`, because it must not reach a log.
#[derive(Clone)]
pub struct Cookie {
    text: String,
    bytes: [u8; BYTES],
}

const BYTES: usize = 32;

impl Cookie {
    fn random() -> Result<Self> {
        let text = random_text::<BYTES>()?;
        Self::sent(&text).ok_or_else(|| Error::Internal(anyhow::anyhow!("a cookie is not what it was made as")))
    }

    /// A cookie that a browser sends, which may be of no session. `None` for a text that is no cookie.
    pub fn sent(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        Some(Self { text: text.to_owned(), bytes })
    }

    pub fn reveal(&self) -> &str {
        &self.text
    }

    fn digest(&self) -> String {
        sha256_hex(&self.bytes)
    }

    /// Hides a token, and finds a hidden token.
    fn combine(&self, mut token: [u8; token::BYTES]) -> [u8; token::BYTES] {
        let pad = Sha256::new().chain_update(b"token").chain_update(self.bytes).finalize();
        for (byte, of_pad) in token.iter_mut().zip(pad) {
            *byte ^= of_pad;
        }
        token
    }
}

/// A session that a browser keeps.
pub struct KeptSession {
    pub session: StoredSession,
    pub token: Token,
    pub cookie: Cookie,
    /// The remaining lifetime.
    pub left: Duration,
}

#[derive(Clone)]
pub struct Cookies {
    redis: Redis,
    sessions: OpenSessions,
}

impl Cookies {
    pub fn new(redis: Redis) -> Self {
        Self { sessions: OpenSessions::new(redis.clone()), redis }
    }

    /// Gives a session a cookie, and prolongs the session. A cookie that the session has already ends.
    ///
    /// # Errors
    /// `Unauthorized` for a token that is unknown or expired. `Forbidden` for an API key.
    pub async fn keep(&self, token: Token) -> Result<KeptSession> {
        if token.is_key() {
            return Err(Error::Forbidden("This key may not do that"));
        }
        let session = self.sessions.stored(&token).await?;
        self.prolong(token, session, Cookie::random()?).await
    }

    /// Prolongs the session of a cookie.
    ///
    /// # Errors
    /// The errors of [`Self::find`].
    pub async fn refresh(&self, cookie: Cookie) -> Result<KeptSession> {
        let (token, session) = self.find(&cookie).await?;
        self.prolong(token, session, cookie).await
    }

    /// Ends the session of a cookie, if there is one.
    pub async fn end(&self, cookie: &Cookie) -> Result<()> {
        match self.find(cookie).await {
            Ok((token, session)) => {
                self.sessions.end(session.user, &token).await?;
                self.redis.query(Cmd::del(key(&cookie.digest()))).await
            }
            Err(Error::Unauthorized) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The session of a cookie as Redis has it, with its token; the account is not checked.
    ///
    /// # Errors
    /// `Unauthorized` for a cookie that is unknown or was replaced, or whose session has ended.
    pub async fn find(&self, cookie: &Cookie) -> Result<(Token, StoredSession)> {
        let digest = cookie.digest();
        let hidden: Option<Vec<u8>> = self.redis.query(Cmd::get(key(&digest))).await?;
        let hidden = hidden.and_then(|hidden| hidden.try_into().ok()).ok_or(Error::Unauthorized)?;
        let token = Token::of_bytes(cookie.combine(hidden));
        let session = self.sessions.stored(&token).await?;
        if session.cookie.as_ref() == Some(&digest) { Ok((token, session)) } else { Err(Error::Unauthorized) }
    }

    /// A session with a cookie lasts a week after its last use by the app, and a month at most.
    async fn prolong(&self, token: Token, session: StoredSession, cookie: Cookie) -> Result<KeptSession> {
        let (now, digest) = (Timestamp::now(), cookie.digest());
        let longest = session.opened_at + limits::COOKIE_TTL;
        let until = longest.millis().min((now + limits::COOKIE_IDLE_TTL).millis());
        // Redis takes no lifetime of zero.
        let left = (until - now.millis()).max(1);
        let hidden = cookie.combine(token.bytes().ok_or(Error::Unauthorized)?);
        let kept = Kept { opened_at: session.opened_at, cookie: digest.clone() };
        let [set, list] = OpenSessions::prolong(&token, session.user, kept, now, left);
        let mut commands = pipe();
        commands.atomic().add_command(set).add_command(list).ignore();
        commands.pset_ex(key(&digest), &hidden[..], left.unsigned_abs()).ignore();
        if let Some(before) = session.cookie.as_ref().filter(|before| **before != digest) {
            commands.del(key(before)).ignore();
        }
        let (is_open,): (Option<String>,) = self.redis.query_all(&commands).await?;
        is_open.ok_or(Error::Unauthorized)?;
        Ok(KeptSession { session, token, cookie, left: Duration::from_millis(left.unsigned_abs()) })
    }
}

/// The key of a cookie in Redis. Its value is the hidden token.
fn key(digest: &str) -> String {
    format!("cookie_{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s04_a_token_is_hidden_by_its_cookie_alone() {
        let (cookie, other) = (Cookie::random().unwrap(), Cookie::random().unwrap());
        let token = Token::random().unwrap().bytes().unwrap();
        let hidden = cookie.combine(token);
        assert_eq!(cookie.combine(hidden), token);
        assert_ne!(other.combine(hidden), token);
        assert_ne!(hidden, token);
        assert!(!cookie.digest().contains(cookie.reveal()));
    }

    #[test]
    fn a_cookie_has_one_form() {
        let cookie = Cookie::random().unwrap();
        let text = cookie.reveal();
        assert!(Cookie::sent(text).is_some_and(|sent| sent.bytes == cookie.bytes));
        let (longer, padded, quoted) = (format!("{text}A"), format!("{text}="), format!("\"{text}\""));
        // The last character of 43 has two bits too many, which are zero.
        let loose = format!("{}B", "A".repeat(42));
        for other in ["", " ", &text[1..], &longer, &padded, &quoted, &loose, &"/".repeat(43), &"é".repeat(43)] {
            assert!(Cookie::sent(other).is_none(), "{other:?}");
        }
    }
}

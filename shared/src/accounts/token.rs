//! The tokens of sessions.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    Result,
    digest::{random_text, sha256_hex},
    ids::SessionId,
};

/// The random bytes of a token.
pub(super) const BYTES: usize = 32;

/// The secret of a session, as the client holds it. Not `Debug`, because it must not reach a log.
pub struct Token(String);

impl Token {
    pub(super) fn random() -> Result<Self> {
        random_text::<BYTES>().map(Self)
    }

    /// A token that a client sends. It may be of no session.
    pub fn sent(text: String) -> Self {
        Self(text)
    }

    pub(super) fn of_bytes(bytes: [u8; BYTES]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The random bytes; `None` for a text that is no token.
    pub(super) fn bytes(&self) -> Option<[u8; BYTES]> {
        URL_SAFE_NO_PAD.decode(&self.0).ok()?.try_into().ok()
    }

    /// The key in Redis: a digest, so that a reader of Redis cannot take over a session.
    pub(super) fn digest(&self) -> String {
        sha256_hex(self.0.as_bytes())
    }

    pub(super) fn session_id(&self) -> SessionId {
        session_id(&self.digest())
    }

    /// The token for the client, sent once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The id of the session whose token has this digest.
pub(super) fn session_id(digest: &str) -> SessionId {
    SessionId(digest.get(..24).unwrap_or_default().to_owned())
}

//! The tokens of sessions.

use crate::{
    Result,
    digest::{random_text, sha256_hex},
    ids::SessionId,
};

/// The secret of a session, as the client holds it. Not `Debug`, because it must not reach a log.
pub struct Token(String);

impl Token {
    pub(super) fn random() -> Result<Self> {
        random_text::<32>().map(Self)
    }

    /// A token that a client sends. It may be of no session.
    pub fn sent(text: String) -> Self {
        Self(text)
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

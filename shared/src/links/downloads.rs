//! The count of downloads. Each visitor counts once for each file within an hour, whatever ranges the visitor asks for and
//! however many requests come at once.
//!
//! The count is in the document of the link, and in Redis is what a visitor has for an hour: first a claim, an id that the
//! requests of this visitor for this file share, then a grant, which says that the claim is counted.
//!
//! 1. The claim is set in Redis, unless there is one: so of requests at the same time all have the same claim.
//! 2. The bytes are read from S3, or the request to S3 is signed. If this fails, nothing is counted.
//! 3. One update of the link counts the claim, if the link has a download left, and stores the claim in the same document.
//!    If the document has the claim already, the same update counts nothing, and the visitor is admitted too.
//! 4. The grant takes the place of the claim in Redis, and the bytes are sent.
//!
//! A crash or a failure before step 3 counts nothing: the claim admits nobody by itself. After step 3 the retry of the
//! visitor finds its claim in the document of the link, and is admitted without another count, also if the answer of
//! `MongoDB` was lost. `MongoDB` acknowledges only what is on disk, so no bytes are sent for a count that a crash takes
//! back. If Redis loses the claim or the grant, or [`limits::CLAIMS_KEPT`] other claims were counted before a retry, the
//! visitor counts once more: one too many may be counted, and never one too many sent.

use mongodb::bson::oid::ObjectId;
use redis::{Cmd, pipe};

use super::{Link, Links, row};
use crate::{Error, Result, accounts::rate_limit::Address, digest::MacKey, ids::FileId, limits, stores::mongo::run};

pub(super) const USED_UP: Error = Error::Gone("The link is used up");

/// The value of a grant in Redis.
const COUNTED: &str = "counted";

/// Who asks, as far as the count tells visitors apart.
pub struct Visitor {
    pub address: Address,
    /// The header `User-Agent`.
    pub agent: Vec<u8>,
}

/// The permission to download a file, which a count must confirm before any bytes are sent.
#[must_use]
pub struct Permit {
    /// The key in Redis.
    key: String,
    state: State,
}

enum State {
    Granted,
    Claimed(ObjectId),
}

impl Links {
    /// Step 1 of a download: claims a count for this visitor.
    ///
    /// # Errors
    /// `The link is used up`.
    pub async fn claim(&self, link: &Link, file: FileId, visitor: &Visitor) -> Result<Permit> {
        let key = key(&self.key, link, file, visitor);
        let stored = if link.is_used_up() {
            // Only a visitor who has been here before may have been counted.
            self.redis.query::<Option<String>>(Cmd::get(&key)).await?.ok_or(USED_UP)?
        } else {
            let (own, seconds) = (ObjectId::new().to_hex(), limits::GRANT_TTL.as_secs());
            let mut commands = pipe();
            commands.atomic().cmd("SET").arg(&key).arg(&own).arg("NX").arg("EX").arg(seconds).ignore().get(&key);
            let (stored,): (Option<String>,) = self.redis.query_all(&commands).await?;
            stored.unwrap_or(own)
        };
        // A value of another form is no claim that has been counted.
        let claim = || ObjectId::parse_str(&stored).unwrap_or_default();
        let state = if stored == COUNTED { State::Granted } else { State::Claimed(claim()) };
        Ok(Permit { key, state })
    }

    /// Steps 3 and 4: counts the claim, unless it is counted.
    ///
    /// # Errors
    /// `The link is used up`.
    pub async fn count(&self, link: &Link, permit: Permit) -> Result<()> {
        let Permit { key, state: State::Claimed(claim) } = permit else { return Ok(()) };
        let done = run(self.rows.update_one(row::admitting(link.id, claim), row::count(claim))).await?;
        if done.matched_count == 0 {
            return Err(USED_UP);
        }
        let granted = Cmd::set_ex(&key, COUNTED, limits::GRANT_TTL.as_secs());
        if let Err(error) = self.redis.query::<()>(granted).await {
            tracing::warn!(error = error.cause(), "a download is counted by its claim");
        }
        Ok(())
    }
}

/// The key in Redis: a MAC, so that nobody can find an address by trying all.
fn key(key: &MacKey, link: &Link, file: FileId, visitor: &Visitor) -> String {
    let Visitor { address, agent } = visitor;
    let pieces: [&[u8]; 5] = [b"grant", &link.id.bytes(), &file.bytes(), address.as_ref(), agent];
    format!("grant_{}", key.text(&pieces))
}

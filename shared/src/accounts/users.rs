//! The accounts: collection `users`, one document for each e-mail.

use std::{str::FromStr, sync::Arc};

use anyhow::anyhow;
use mongodb::{
    Database, IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};
use serde::{Deserialize, Serialize};
use tokio::{join, sync::OnceCell};

use super::token::Token;
use crate::{
    Error, Result,
    ids::{SessionId, UserId},
    limits,
    stores::mongo::{Indexed, is_duplicate, run},
    time::Timestamp,
};

/// The e-mail of a new account: its exact bytes, at most [`limits::MAX_EMAIL_BYTES`]. The e-mail has no colon, because
/// `Authorization: Basic` ends an e-mail at the first colon, and no control characters. E-mails of existing accounts
/// are not checked.
pub struct Email(String);

impl Email {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > limits::MAX_EMAIL_BYTES || text.contains(|c: char| c == ':' || c.is_control()) {
            return Err(Error::Invalid("Invalid email"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// An account as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    #[serde(rename = "_id")]
    id: UserId,
    /// The e-mail as it was typed; compared byte for byte.
    pub email: String,
    /// The stored password, in one of the forms of [`super::passwords`].
    #[serde(default)]
    pub password: String,
    /// The time at which the user last ended all sessions but one, by changing the password or by request. Redis finds
    /// those sessions by a list. If Redis has evicted the list but not a session, this time ends the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sessions_since: Option<Timestamp>,
    /// The id of the session that stayed: see [`crate::sessions::Session::id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_kept: Option<SessionId>,
    /// The number of times that the user has changed the password. API keys end with a change.
    #[serde(default, skip_serializing_if = "is_zero")]
    password_changes: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl User {
    pub fn id(&self) -> UserId {
        self.id
    }

    pub(super) fn password_changes(&self) -> i64 {
        self.password_changes
    }

    /// True if the user has ended the session with this id, which was opened at this time. Clocks differ, so a session
    /// that was opened up to [`limits::CLOCK_SKEW`] before the others ended counts as opened after.
    pub(crate) fn has_ended(&self, session: &SessionId, opened_at: Timestamp) -> bool {
        let Some(since) = self.sessions_since else { return false };
        let clocks = i64::try_from(limits::CLOCK_SKEW.as_millis()).unwrap_or(i64::MAX);
        opened_at.millis().saturating_add(clocks) < since.millis() && self.session_kept.as_ref() != Some(session)
    }
}

#[derive(Clone)]
pub struct Users {
    users: Indexed<User>,
    /// Set once [`Users::with_email`] has tried to create the index, whether or not it succeeded.
    tried_index: Arc<OnceCell<()>>,
}

impl Users {
    pub fn of(database: &Database) -> Self {
        Self { users: Indexed::new(database.collection("users"), indexes), tried_index: Arc::default() }
    }

    /// Opens an account.
    ///
    /// # Errors
    /// `Already exist` for an e-mail that has an account. A unique index decides, also for concurrent sign-ups.
    pub async fn create(&self, Email(email): Email, password: String) -> Result<User> {
        self.ensure_unique_email().await?;
        let user =
            User { id: UserId::new(), email, password, sessions_since: None, session_kept: None, password_changes: 0 };
        match run(self.users.insert_one(&user)).await {
            Ok(_) => Ok(user),
            Err(error) if is_duplicate(&error) => Err(Error::Invalid("Already exist")),
            Err(error) => Err(error),
        }
    }

    /// Finds an account. A database of the original has no index for this, so the first call of an instance creates it.
    /// If MongoDB cannot create the index, that is logged, and the account is found without an index.
    pub async fn with_email(&self, email: &str) -> Result<Option<User>> {
        let indexed = self.tried_index.get_or_init(async || {
            if let Err(error) = self.ensure_unique_email().await {
                tracing::warn!(error = error.cause(), "users.email has no index");
            }
        });
        // The index and the query run at once, because creating the index of many accounts may take longer than a login
        // may.
        let (found, &()) = join!(run(self.users.find_one(doc! { "email": email })), indexed);
        found
    }

    pub async fn with_id(&self, id: UserId) -> Result<Option<User>> {
        run(self.users.find_one(doc! { "_id": id })).await
    }

    /// Replaces a stored password, unless it was changed meanwhile. Returns whether it was replaced.
    pub async fn replace_password(&self, user: &User, new: &str) -> Result<bool> {
        let unchanged = doc! { "_id": user.id, "password": &user.password };
        let done = run(self.users.update_one(unchanged, doc! { "$set": { "password": new } })).await?;
        Ok(done.matched_count == 1)
    }

    /// Replaces a password that the user has changed, in the same way, and ends all API keys, and all sessions but this
    /// one.
    pub async fn change_password(&self, user: &User, new: &str, kept: &Token) -> Result<bool> {
        let unchanged = doc! { "_id": user.id, "password": &user.password };
        let mut set = since_now(kept);
        set.insert("password", new);
        let changed = doc! { "$set": set, "$inc": { "passwordChanges": 1_i64 } };
        let done = run(self.users.update_one(unchanged, changed)).await?;
        Ok(done.matched_count == 1)
    }

    /// Records that all sessions but this one have ended.
    pub async fn sessions_ended(&self, user: UserId, kept: &Token) -> Result<()> {
        run(self.users.update_one(doc! { "_id": user }, doc! { "$set": since_now(kept) })).await?;
        Ok(())
    }

    /// Deletes the account: from then on no request can be made in its name. See [`crate::account_deletion`] for the
    /// rest.
    pub async fn delete(&self, id: UserId) -> Result<()> {
        run(self.users.delete_one(doc! { "_id": id })).await?;
        Ok(())
    }

    /// The number of accounts, by MongoDB's estimate, without counting them.
    pub async fn count(&self) -> Result<u64> {
        run(self.users.estimated_document_count()).await
    }

    async fn ensure_unique_email(&self) -> Result<()> {
        match self.users.indexed().await {
            // MongoDB's error message contains the e-mail, which must not reach a log.
            Err(error) if is_duplicate(&error) => {
                Err(Error::Internal(anyhow!("users.email cannot be made unique: there are two accounts of one e-mail")))
            }
            Err(Error::Internal(cause)) => Err(Error::Internal(cause.context("users.email cannot be made unique"))),
            made => made.map(drop),
        }
    }
}

fn indexes() -> Vec<IndexModel> {
    let unique = IndexOptions::builder().unique(true).build();
    vec![IndexModel::builder().keys(doc! { "email": 1 }).options(unique).build()]
}

fn since_now(kept: &Token) -> Document {
    doc! { "sessionsSince": Timestamp::now(), "sessionKept": kept.session_id().0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_has_at_most_320_bytes_and_no_colon_or_control_character() {
        for good in ["a", " bob ", "naïve@example.org", "\u{202e}", &"x".repeat(320), &"é".repeat(160)] {
            assert!(good.parse::<Email>().is_ok(), "{good:?}");
        }
        for bad in ["a:b", ":", "a\n", "\0", "\u{7f}", "\u{85}", &"x".repeat(321), &"é".repeat(161)] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }
}

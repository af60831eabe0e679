//! API keys: tokens for programs, which do not expire with a session and may do less than their user. Collection `keys`
//! has each by its SHA-256, so that a reader of MongoDB cannot use one. A key is shown once, when it is made.
//!
//! A key ends with a change of the password. The account counts its changes of the password, and a key is valid as long
//! as the account has the count that the key was made with: no clocks are compared, and no key outlives a change that
//! fails to delete it.

use std::fmt;

use futures_util::TryStreamExt;
use mongodb::{
    Database, IndexModel,
    bson::doc,
    options::{Hint, IndexOptions},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{token::Token, users::User};
use crate::{
    Error, Result,
    digest::{random_text, sha256_hex},
    ids::{FileId, KeyId, UserId},
    limits,
    stores::mongo::{Indexed, run},
    time::Timestamp,
};

/// The beginning of every key. No token of a session has it: those are base64 of 32 bytes, without a dot.
const PREFIX: &str = "fm.";

/// Rights of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = KeyScope)]
pub enum KeyScope {
    /// Listings, documents, contents, the search and ZIPs.
    Read,
    /// Every change of documents, and what `upload` allows.
    Write,
    /// New files and folders, which replace nothing.
    Upload,
}

impl KeyScope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Upload];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Upload => "upload",
        }
    }
}

/// A key as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    #[serde(rename = "_id")]
    pub id: KeyId,
    pub user_id: UserId,
    sha256: String,
    pub name: String,
    pub scopes: Vec<KeyScope>,
    /// The only folder that the key is for. Absent if the key is for all documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<FileId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The time of a request with the key, to within [`limits::KEY_USE_PERIOD`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// The number of changes of the user's password before the key was made.
    password_changes: i64,
}

/// Only the id: the rest is no matter for a log.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

impl ApiKey {
    /// Returns whether the key may do what needs this right.
    pub fn allows(&self, scope: KeyScope) -> bool {
        self.scopes.contains(&scope) || (scope == KeyScope::Upload && self.scopes.contains(&KeyScope::Write))
    }

    /// Checks the key against the account of its user, and returns the account.
    ///
    /// # Errors
    /// `Unauthorized` if the account does not exist, or its password has been changed since the key was made.
    pub fn verify(&self, account: Option<User>) -> Result<User> {
        let user = account.filter(|user| user.id() == self.user_id).ok_or(Error::Unauthorized)?;
        if user.password_changes() == self.password_changes { Ok(user) } else { Err(Error::Unauthorized) }
    }
}

/// A key that somebody asks for.
pub struct NewKey {
    pub name: String,
    pub scopes: Vec<KeyScope>,
    pub parent: Option<FileId>,
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// True if the token is a key, and not the token of a session.
    pub fn is_key(&self) -> bool {
        self.reveal().starts_with(PREFIX)
    }
}

#[derive(Clone)]
pub struct Keys {
    keys: Indexed<ApiKey>,
}

impl Keys {
    pub fn of(database: &Database) -> Self {
        Self { keys: Indexed::new(database.collection("keys"), indexes) }
    }

    /// Makes a key, and returns the text of the key too, which nobody can find out later.
    ///
    /// # Errors
    /// `Too many keys: 100 at most`.
    pub async fn create(&self, user: &User, new: NewKey) -> Result<(ApiKey, Token)> {
        let keys = self.keys.indexed().await?;
        let most = u64::try_from(limits::MAX_KEYS).unwrap_or_default();
        if run(keys.count_documents(doc! { "userId": user.id() }).limit(most)).await? >= most {
            return Err(Error::Conflict("Too many keys: 100 at most"));
        }
        let token = Token::sent(format!("{PREFIX}{}", random_text::<32>()?));
        let key = ApiKey {
            id: KeyId::new(),
            user_id: user.id(),
            sha256: sha256_hex(token.reveal().as_bytes()),
            name: new.name,
            scopes: new.scopes,
            parent_id: new.parent,
            expires_at: new.expires_at,
            last_used_at: None,
            password_changes: user.password_changes(),
        };
        run(keys.insert_one(&key)).await?;
        Ok((key, token))
    }

    /// The keys of a user, the newest first.
    pub async fn of_user(&self, user: UserId) -> Result<Vec<ApiKey>> {
        let keys = self.keys.indexed().await?;
        let find = keys.find(doc! { "userId": user }).sort(doc! { "userId": 1, "_id": -1 }).limit(limits::MAX_KEYS);
        run(async { find.await?.try_collect().await }).await
    }

    /// # Errors
    /// `NotFound` if the user has no such key.
    pub async fn delete(&self, user: UserId, id: KeyId) -> Result<()> {
        let deleted = run(self.keys.delete_one(doc! { "_id": id, "userId": user })).await?;
        if deleted.deleted_count == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    pub async fn delete_all_of(&self, user: UserId) -> Result<()> {
        run(self.keys.indexed().await?.delete_many(doc! { "userId": user })).await?;
        Ok(())
    }

    /// The key with this text. The account is not checked: [`ApiKey::verify`].
    ///
    /// # Errors
    /// `Unauthorized` if there is no such key, or its time is over.
    pub async fn find(&self, token: &Token) -> Result<ApiKey> {
        let by_digest = doc! { "sha256": sha256_hex(token.reveal().as_bytes()) };
        let keys = self.keys.indexed().await?;
        let found = run(keys.find_one(by_digest).hint(Hint::Keys(doc! { "sha256": 1 }))).await?;
        let key = found.ok_or(Error::Unauthorized)?;
        let now = Timestamp::now();
        if key.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Error::Unauthorized);
        }
        if key.last_used_at.is_none_or(|used| used < now - limits::KEY_USE_PERIOD) {
            let used = keys.update_one(doc! { "_id": key.id }, doc! { "$set": { "lastUsedAt": now } });
            if let Err(error) = run(used).await {
                tracing::warn!(error = error.cause(), key = %key.id, "the use of a key is not recorded");
            }
        }
        Ok(key)
    }
}

fn indexes() -> Vec<IndexModel> {
    let unique = IndexOptions::builder().unique(true).build();
    vec![
        IndexModel::builder().keys(doc! { "sha256": 1 }).options(unique).build(),
        IndexModel::builder().keys(doc! { "userId": 1, "_id": -1 }).build(),
    ]
}

//! The accounts: collection `users`, one document for each e-mail.

use std::sync::Arc;

use mongodb::{
    Collection, Database, IndexModel,
    bson::{doc, oid::ObjectId},
    options::IndexOptions,
};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::{
    Error, Result,
    mongo::{answer, is_duplicate},
};

/// Who somebody is. As a handler's argument it proves that they are: see [`crate::sessions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserId(pub ObjectId);

/// An account as it is stored.
#[derive(Serialize, Deserialize)]
pub struct User {
    #[serde(rename = "_id")]
    id: ObjectId,
    /// As it was typed: compared byte for byte.
    pub email: String,
    /// In one of the forms of [`crate::passwords`].
    #[serde(default)]
    pub password: String,
}

impl User {
    pub fn id(&self) -> UserId {
        UserId(self.id)
    }
}

#[derive(Clone)]
pub struct Users {
    users: Collection<User>,
    unique_email: Arc<OnceCell<()>>,
}

impl Users {
    pub fn of(database: &Database) -> Self {
        Self { users: database.collection("users"), unique_email: Arc::default() }
    }

    /// Opens an account.
    ///
    /// # Errors
    /// `Already exist` for an e-mail that has one; a unique index decides, so also when many ask at once.
    pub async fn create(&self, email: String, password: String) -> Result<User> {
        self.unique_email.get_or_try_init(|| self.ensure_unique_email()).await?;
        let user = User { id: ObjectId::new(), email, password };
        match answer(self.users.insert_one(&user)).await {
            Ok(_) => Ok(user),
            Err(error) if is_duplicate(&error) => Err(Error::Invalid("Already exist")),
            Err(error) => Err(error),
        }
    }

    pub async fn with_email(&self, email: &str) -> Result<Option<User>> {
        answer(self.users.find_one(doc! { "email": email })).await
    }

    pub async fn with_id(&self, UserId(id): UserId) -> Result<Option<User>> {
        answer(self.users.find_one(doc! { "_id": id })).await
    }

    /// Replaces a stored password, unless somebody has changed it meanwhile: whether it did.
    pub async fn replace_password(&self, user: &User, new: &str) -> Result<bool> {
        let unchanged = doc! { "_id": user.id, "password": &user.password };
        let done = answer(self.users.update_one(unchanged, doc! { "$set": { "password": new } })).await?;
        Ok(done.matched_count == 1)
    }

    /// Ends an account, from where it is nobody's: see [`crate::departures`] for what goes with it.
    pub async fn delete(&self, UserId(id): UserId) -> Result<()> {
        answer(self.users.delete_one(doc! { "_id": id })).await?;
        Ok(())
    }

    /// How many accounts there are, without counting them.
    pub async fn count(&self) -> Result<u64> {
        answer(self.users.estimated_document_count()).await
    }

    /// Once for each instance, before its first sign-up; `MongoDB` does it once for all.
    async fn ensure_unique_email(&self) -> Result<()> {
        let options = IndexOptions::builder().unique(true).build();
        let index = IndexModel::builder().keys(doc! { "email": 1 }).options(options).build();
        answer(self.users.create_index(index)).await.map_err(|error| match error {
            Error::Internal(cause) => Error::Internal(
                cause.context("users.email cannot be made unique; are there two accounts of one e-mail?"),
            ),
            other => other,
        })?;
        Ok(())
    }
}

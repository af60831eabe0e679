//! For operators who migrate from the original: wraps the remaining bare SHA-1 digests in `MONGODB_URI`'s database in
//! Argon2id, without waiting for their users to log in, so that nobody can read a bare digest there any more. Wrapped
//! passwords, and passwords that change meanwhile, are left alone. So the program is safe on a live system, to
//! interrupt and to repeat.

#![forbid(unsafe_code)]

use std::thread::available_parallelism;

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use mongodb::{
    Collection,
    bson::{Bson, doc},
};
use serde::Deserialize;
use shared::{accounts::passwords, config, stores::mongo};

/// Accounts that MongoDB returns at once. MongoDB keeps the cursor for ten minutes between two batches.
const BATCH: u32 = 500;

#[derive(Deserialize)]
struct Account {
    /// The id, of any type: nothing here depends on it.
    #[serde(rename = "_id")]
    id: Bson,
    password: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let database = mongo::connect_to(&config::mongodb_uri()?).await?;
    let accounts: Collection<Account> = database.collection("users");
    let bare = doc! { "password": { "$regex": "^[0-9A-Fa-f]{40}$" } };
    let all = accounts.count_documents(bare.clone()).await.context("MongoDB")?;
    println!("{all} passwords of {} are bare SHA-1.", accounts.namespace());

    let found = accounts.find(bare).projection(doc! { "password": 1 }).batch_size(BATCH).await?;
    let at_once = available_parallelism()?.get();
    let wrapped = found.err_into().map_ok(|account| wrap(&accounts, account)).try_buffer_unordered(at_once);
    let (mut done, mut changed) = (0_u64, 0_u64);
    let mut wrapped = std::pin::pin!(wrapped);
    while let Some(was_replaced) = wrapped.try_next().await? {
        if was_replaced {
            done += 1;
        } else {
            changed += 1;
        }
        if (done + changed).is_multiple_of(u64::from(BATCH)) {
            println!("{done} of {all} are wrapped.");
        }
    }
    println!("Done: {done} are wrapped, {changed} were changed by somebody else meanwhile.");
    Ok(())
}

/// Returns whether the password is wrapped now; if not, it was changed meanwhile.
async fn wrap(accounts: &Collection<Account>, Account { id, password }: Account) -> Result<bool> {
    let Some(wrapped) = passwords::wrap(password.clone()).await? else { return Ok(false) };
    let unchanged = doc! { "_id": id, "password": password };
    let done = accounts.update_one(unchanged, doc! { "$set": { "password": wrapped } }).await?;
    Ok(done.matched_count == 1)
}

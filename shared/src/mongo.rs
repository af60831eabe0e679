//! The connection to `MongoDB`.

use std::{future::IntoFuture, time::Duration};

use anyhow::{Context, Result};
use mongodb::{
    Client, Database,
    error::{ErrorKind, WriteFailure},
    options::{Acknowledgment, ClientOptions, WriteConcern},
};
use tokio::time::timeout;

use crate::{Config, Error, limits};

/// The database of the URI's path, or `files_manager`. Connects when first used.
///
/// # Errors
/// A connection string that has no meaning, or (for `mongodb+srv`) a name that does not resolve.
pub async fn connect(config: &Config) -> Result<Database> {
    connect_to(&config.mongodb_uri).await
}

/// The same for a program that needs nothing else of the configuration.
pub async fn connect_to(uri: &str) -> Result<Database> {
    let mut options = ClientOptions::parse(uri).await.context("MONGODB_URI")?;
    options.app_name.get_or_insert_with(|| "files-manager".into());
    options.max_pool_size = Some(limits::MONGODB_CONNECTIONS);
    options.server_selection_timeout = Some(limits::MONGODB_SELECTION);
    options.connect_timeout = Some(limits::MONGODB_SELECTION);
    // What is acknowledged must survive the death of a server: a lone one would else answer before its journal.
    options
        .write_concern
        .get_or_insert_with(|| WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    let client = Client::with_options(options).context("MONGODB_URI")?;
    Ok(client.default_database().unwrap_or_else(|| client.database("files_manager")))
}

/// The outcome of one operation; an answer later than [`limits::MONGODB`] counts as none.
pub async fn answer<T>(operation: impl IntoFuture<Output = mongodb::error::Result<T>>) -> Result<T, Error> {
    answer_within(limits::MONGODB, operation).await
}

/// The same of an operation that may take longer, for it touches many documents.
pub async fn answer_within<T>(
    patience: Duration,
    operation: impl IntoFuture<Output = mongodb::error::Result<T>>,
) -> Result<T, Error> {
    match timeout(patience, operation.into_future()).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Error::timeout("MongoDB")),
    }
}

/// Whether a unique index refused a document.
pub fn is_duplicate(error: &Error) -> bool {
    let Error::Internal(cause) = error else { return false };
    let error = cause.downcast_ref::<mongodb::error::Error>();
    error.is_some_and(
        |error| matches!(*error.kind, ErrorKind::Write(WriteFailure::WriteError(ref error)) if error.code == 11000),
    )
}

/// Whether `MongoDB` answers.
pub async fn answers(database: &Database) -> bool {
    let ping = database.run_command(mongodb::bson::doc! { "ping": 1 });
    matches!(timeout(limits::STATUS, ping.into_future()).await, Ok(Ok(_)))
}

//! The connection to `MongoDB`.

use std::{
    future::IntoFuture,
    ops::Deref,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use mongodb::{
    Client, Collection, Database, IndexModel,
    bson::{Bson, RawDocument, doc, oid::ObjectId},
    error::{CommandError, ErrorKind, WriteFailure},
    options::{Acknowledgment, ClientOptions, Tls, WriteConcern},
};
use tokio::{
    sync::{Mutex, OnceCell},
    time::timeout,
};

use super::certificates::Authorities;
use crate::{Error, limits, logging::log_call};

/// The settings of the connection to `MongoDB`. Not `Debug`, because they hold a password.
pub struct Mongodb {
    uri: String,
    /// The PEM file of the certificate authorities, if these are not public ones.
    authorities: Option<PathBuf>,
    options: OnceCell<ClientOptions>,
    /// The newest client.
    client: Mutex<Option<Client>>,
}

impl Mongodb {
    pub fn new(uri: String, authorities: Option<&Authorities>) -> Self {
        Self {
            uri,
            authorities: authorities.map(|authorities| authorities.path.clone()),
            options: OnceCell::new(),
            client: Mutex::default(),
        }
    }

    /// The database of the connection string, or `files_manager`, by a new client, which connects when first used.
    ///
    /// # Errors
    /// The connection string is malformed, or (for `mongodb+srv`) its name does not resolve.
    pub async fn connect(&self) -> Result<Database> {
        // The name is resolved once, so that a reconnect does not wait for DNS.
        let options = self.options.get_or_try_init(|| options(&self.uri, self.authorities.as_ref())).await?;
        let client = Client::with_options(options.clone()).context("MONGODB_URI")?;
        let database = database_of(&client);
        *self.client.lock().await = Some(client);
        Ok(database)
    }

    /// Returns whether the newest client has a working connection, or can make one, within [`limits::PROBE_TIMEOUT`]. A
    /// connection that does not answer in time is closed.
    pub(super) async fn is_connected(&self) -> bool {
        let Some(client) = self.client.lock().await.clone() else { return true };
        ping_within(limits::PROBE_TIMEOUT, &client.database("admin")).await
    }
}

/// The database for a program that needs no other configuration.
pub async fn connect_to(uri: &str) -> Result<Database> {
    Ok(database_of(&Client::with_options(options(uri, None).await?).context("MONGODB_URI")?))
}

async fn options(uri: &str, authorities: Option<&PathBuf>) -> Result<ClientOptions> {
    let mut options = ClientOptions::parse(uri).await.context("MONGODB_URI")?;
    options.app_name.get_or_insert_with(|| "files-manager".into());
    options.max_pool_size = Some(limits::MONGODB_MAX_CONNECTIONS);
    options.max_idle_time = Some(limits::MONGODB_MAX_IDLE);
    options.server_selection_timeout = Some(limits::MONGODB_SELECTION_TIMEOUT);
    options.connect_timeout = Some(limits::MONGODB_SELECTION_TIMEOUT);
    // An acknowledged write must survive the death of a server. Otherwise a standalone MongoDB acknowledges before
    // flushing its journal and can lose the write on `kill -9`.
    options
        .write_concern
        .get_or_insert_with(|| WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    if let (Some(Tls::Enabled(tls)), Some(path)) = (&mut options.tls, authorities) {
        tls.ca_file_path.get_or_insert_with(|| path.clone());
    }
    Ok(options)
}

fn database_of(client: &Client) -> Database {
    client.default_database().unwrap_or_else(|| client.database("files_manager"))
}

/// A collection with indexes, which are created once for each instance.
pub struct Indexed<T: Send + Sync> {
    collection: Collection<T>,
    indexes: fn() -> Vec<IndexModel>,
    created: Arc<OnceCell<()>>,
}

impl<T: Send + Sync> Indexed<T> {
    pub fn new(collection: Collection<T>, indexes: fn() -> Vec<IndexModel>) -> Self {
        Self { collection, indexes, created: Arc::default() }
    }

    /// The collection, after its indexes have been created. `MongoDB` ignores an index that exists.
    pub async fn indexed(&self) -> Result<&Collection<T>, Error> {
        let create = async || run(self.collection.create_indexes((self.indexes)())).await.map(drop);
        self.created.get_or_try_init(create).await?;
        Ok(&self.collection)
    }
}

impl<T: Send + Sync> Clone for Indexed<T> {
    fn clone(&self) -> Self {
        let Self { collection, indexes, created } = self;
        Self { collection: collection.clone(), indexes: *indexes, created: created.clone() }
    }
}

/// The collection, for operations that need no index.
impl<T: Send + Sync> Deref for Indexed<T> {
    type Target = Collection<T>;

    fn deref(&self) -> &Collection<T> {
        &self.collection
    }
}

/// Runs one operation. An answer later than [`limits::MONGODB_TIMEOUT`] counts as none.
pub async fn run<T>(operation: impl IntoFuture<Output = mongodb::error::Result<T>>) -> Result<T, Error> {
    run_within(limits::MONGODB_TIMEOUT, operation).await
}

/// Runs an operation that may take longer, because it touches many documents.
pub async fn run_within<T>(
    patience: Duration,
    operation: impl IntoFuture<Output = mongodb::error::Result<T>>,
) -> Result<T, Error> {
    let started = Instant::now();
    let answer = match timeout(patience, operation.into_future()).await {
        Ok(outcome) => outcome.map_err(Error::from),
        Err(_) => Err(Error::timeout("MongoDB")),
    };
    // The type of the answer tells which operation it was.
    log_call("MongoDB", std::any::type_name::<T>(), started, &answer);
    answer
}

/// True if a unique index refused a document, or could not be created because of duplicates.
pub fn is_duplicate(error: &Error) -> bool {
    let Error::Internal(cause) = error else { return false };
    let error = cause.downcast_ref::<mongodb::error::Error>();
    error.is_some_and(|error| match *error.kind {
        ErrorKind::Write(WriteFailure::WriteError(ref error)) => error.code == 11000,
        ErrorKind::Command(ref error) => error.code == 11000,
        _ => false,
    })
}

/// True if an index or a collection to change does not exist.
pub fn is_missing(error: &Error) -> bool {
    command_error(error).is_some_and(|error| [26, 27].contains(&error.code))
}

/// True if the index that a query names does not exist.
pub fn is_missing_index(error: &Error) -> bool {
    // BadValue, which has other causes too.
    command_error(error).is_some_and(|error| error.code == 2 && error.message.contains("hint"))
}

/// True if `MongoDB` ended an operation after its `maxTimeMS`.
pub fn is_overdue(error: &Error) -> bool {
    command_error(error).is_some_and(|error| error.code == 50)
}

fn command_error(error: &Error) -> Option<&CommandError> {
    let Error::Internal(cause) = error else { return None };
    match &*cause.downcast_ref::<mongodb::error::Error>()?.kind {
        ErrorKind::Command(error) => Some(error),
        _ => None,
    }
}

/// The `_id` of a stored document, of any type, to find a document that cannot be read.
pub fn id(document: &RawDocument) -> Bson {
    document.get("_id").ok().flatten().and_then(|id| id.try_into().ok()).unwrap_or(Bson::Null)
}

/// The form of an `_id` in the log.
pub fn id_to_string(id: &Bson) -> String {
    id.as_object_id().map_or_else(|| id.to_string(), ObjectId::to_hex)
}

/// Returns whether `MongoDB` answers.
pub async fn ping(database: &Database) -> bool {
    ping_within(limits::STATUS_TIMEOUT, database).await
}

async fn ping_within(patience: Duration, database: &Database) -> bool {
    let ping = database.run_command(doc! { "ping": 1 });
    matches!(timeout(patience, ping.into_future()).await, Ok(Ok(_)))
}

//! The addresses of the stack's services, and access to the stores that a test reads or prepares.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ::stack::Record;
use aws_credential_types::Credentials;
use aws_sdk_s3::{config::Region, primitives::ByteStream};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mongodb::{Collection, Database, bson::Document};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use reqwest::{Response, multipart};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    Client, User,
    ledger::{self, Row, RowId},
};

/// The running stack, with clients for this test alone.
pub struct Stack {
    /// The path of the stack's description.
    pub path: PathBuf,
    pub users: Collection<Document>,
    pub files: Collection<Document>,
    pub database: Database,
    pub s3: aws_sdk_s3::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub bucket: String,
    pub queue_url: String,
    pub dead_letter_queue_url: String,
    /// The URL of the AWS emulator.
    pub aws_endpoint: String,
    pub region: String,
    pub credentials: Credentials,
    /// The URL of the fault proxy, between the functions and S3.
    pub fault_proxy: String,
    pub redis_url: String,
    pub mongodb_uri: String,
    pub http: reqwest::Client,
    /// The URL of the API, without a slash at the end.
    pub api: String,
    /// The folder with the template and the functions that are deployed.
    pub build: PathBuf,
    /// True if the functions are built as they ship.
    pub is_release: bool,
    functions: BTreeMap<String, String>,
}

impl Stack {
    /// # Panics
    /// No stack runs.
    pub async fn running() -> Self {
        let (path, of) = Record::from_environment().unwrap_or_else(|error| panic!("{error:#}"));
        let credentials = Credentials::new(of.access_key_id, of.secret_access_key, None, None, "stack.json");
        let http = aws_smithy_http_client::Builder::new().build_http();
        let s3 = aws_sdk_s3::Config::builder()
            .http_client(http.clone())
            .region(Region::new(of.region.clone()))
            .endpoint_url(&of.aws_endpoint)
            .credentials_provider(credentials.clone())
            .force_path_style(true)
            .build();
        let sqs = aws_sdk_sqs::Config::builder()
            .http_client(http)
            .region(Region::new(of.region.clone()))
            .endpoint_url(&of.aws_endpoint)
            .credentials_provider(credentials.clone())
            .build();
        let mongodb = mongodb::Client::with_uri_str(&of.mongodb_uri).await.expect("a MongoDB URI");
        let database = mongodb.default_database().unwrap_or_else(|| mongodb.database("files_manager"));
        Self {
            path,
            users: database.collection("users"),
            files: database.collection("files"),
            database,
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            bucket: of.bucket,
            queue_url: of.queue_url,
            dead_letter_queue_url: of.dead_letter_queue_url,
            aws_endpoint: of.aws_endpoint,
            region: of.region,
            credentials,
            fault_proxy: of.faults.expect("the stack has a fault proxy, as that of `cargo local test` does"),
            redis_url: of.redis_url,
            mongodb_uri: of.mongodb_uri,
            http: reqwest::Client::builder()
                .timeout(Duration::from_mins(1))
                // A test follows redirects itself.
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("an HTTP client"),
            api: of.api.trim_end_matches('/').to_owned(),
            build: of.build,
            is_release: of.is_release,
            functions: of.functions,
        }
    }

    /// A new user with an open session. `name` helps a reader of the database.
    pub async fn user(&self, name: &str) -> User {
        User::join(self.anyone(), name).await
    }

    /// A client without a token.
    pub fn anyone(&self) -> Client {
        Client::new(self.http.clone(), self.api.clone())
    }

    /// Posts a form to S3 as a browser does. `answer` is what the companion's route `params` answered.
    pub async fn post_form(&self, answer: &Value, bytes: Vec<u8>) -> Response {
        let mut form = multipart::Form::new();
        for (name, value) in answer["fields"].as_object().expect("fields") {
            form = form.text(name.clone(), value.as_str().expect("a text").to_owned());
        }
        let form = form.part("file", multipart::Part::bytes(bytes).file_name("blob"));
        let url = answer["url"].as_str().expect("a url");
        self.http.post(url).multipart(form).send().await.expect("an answer of S3")
    }

    /// The links of all users.
    pub fn links(&self) -> Collection<Document> {
        self.database.collection("links")
    }

    /// The name that a function has in AWS.
    pub fn function(&self, name: &str) -> &str {
        self.functions.get(name).unwrap_or_else(|| panic!("stack.json has no function {name}"))
    }

    pub async fn redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis_url.as_str()).expect("a Redis URL");
        client.get_multiplexed_async_connection().await.expect("Redis answers")
    }

    /// Empties Redis, which stores only sessions and the counters of failed logins.
    pub async fn forget_sessions(&self) {
        let () = self.redis().await.flushall().await.expect("Redis forgets");
    }

    /// The keys of the bucket that begin with `prefix`, sorted.
    pub async fn objects(&self, prefix: &str) -> Vec<String> {
        let mut pages = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(
                page.expect("S3 lists").contents.unwrap_or_default().into_iter().filter_map(|object| object.key),
            );
        }
        keys.sort();
        keys
    }

    /// The objects with this prefix that were not among `before`. A sweep may have deleted some of `before` meanwhile.
    pub async fn new_objects(&self, prefix: &str, before: &[String]) -> Vec<String> {
        let mut objects = self.objects(prefix).await;
        objects.retain(|key| !before.contains(key));
        objects
    }

    pub async fn put_object(&self, key: &str, bytes: Vec<u8>) {
        let put = self.s3.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(bytes));
        put.send().await.expect("S3 stores");
    }

    pub async fn delete_object(&self, key: &str) {
        self.s3.delete_object().bucket(&self.bucket).key(key).send().await.expect("S3 deletes");
    }

    /// Deletes a row with its objects, so that the data that a test has damaged or planted does not stay.
    pub async fn remove(&self, id: impl RowId) {
        let id = id.object_id();
        let deleted = self.files.find_one_and_delete(ledger::row(id)).await.expect("MongoDB deletes");
        let row = Row::from(deleted.expect("a row"));
        let thumbnails = self.objects(&format!("thumbnails/{id}/")).await;
        for key in row.any_key().into_iter().chain(thumbnails.iter().map(String::as_str)) {
            self.delete_object(key).await;
        }
        if let Ok(owner) = row.get_object_id("userId") {
            self.forget_usage(owner).await;
        }
    }
}

/// The Redis key of a token's session.
pub fn session_key(token: &str) -> String {
    format!("auth_{}", sha256_hex(token))
}

/// The Redis key of a cookie of the web app.
///
/// # Panics
/// The text is no cookie.
pub fn cookie_key(cookie: &str) -> String {
    format!("cookie_{}", hex(&Sha256::digest(URL_SAFE_NO_PAD.decode(cookie).expect("base64"))))
}

/// The Redis key of the set of networks that have logged in to an account.
pub fn networks_key(email: &str) -> String {
    format!("networks_{}", sha256_hex(email))
}

/// The entry of a network in this set.
pub fn network(address: &str, email: &str) -> String {
    sha256_hex(&format!("{address} {email}"))
}

fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

//! The test kit: clients of the running stack's API, and access to the stores behind it.
//!
//! `cargo local test` starts a stack and puts the path of its description into `FILES_MANAGER_STACK`.

#![forbid(unsafe_code)]

mod aws;
pub mod faults;
pub mod fixtures;
mod http;
pub mod instance;
pub mod ledger;
mod measurements;
mod profile;
mod stack;
pub mod tcp_proxy;
pub mod thumbnails;
mod users;
pub mod worker;
pub mod zips;

use std::time::{Duration, Instant};

pub use crate::stack::{Stack, cookie_key, network, networks_key, session_key};
pub use http::{Answer, Client, Request, SESSION_COOKIE};
pub use measurements::{Times, record_measurement};
pub use profile::Query;
pub use users::{PASSWORD, SHA1_OF_PASSWORD, User, decoded, document, encoded, id_of};

/// Probes repeatedly until there is a result, and returns it.
///
/// # Panics
/// There is no result in time.
pub async fn eventually<T>(what: &str, within: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A text that is unique among all tests.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", mongodb::bson::oid::ObjectId::new().to_hex())
}

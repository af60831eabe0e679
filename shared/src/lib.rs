//! What the functions have in common: configuration, errors, the domain and the four stores behind it.
//!
//! MongoDB is the ledger of every object in the bucket: [`files`] holds the rows and the protocol that keeps
//! the two stores consistent, [`uploads`] that of bytes which clients bring to S3 themselves, [`objects`] the bytes, [`jobs`] the queue, [`sessions`] the tokens in Redis.

#![forbid(unsafe_code)]

pub mod api;
pub mod authorities;
pub mod aws;
pub mod body;
pub mod config;
pub mod departures;
pub mod error;
pub mod files;
pub mod jobs;
pub mod limits;
pub mod logging;
pub mod mongo;
pub mod objects;
pub mod openapi;
mod pages;
pub mod passwords;
pub mod reconnecting;
pub mod repeats;
pub mod sessions;
pub mod throttle;
pub mod tickets;
pub mod uploads;
pub mod users;

pub use config::Config;
pub use error::{Error, Result};

//! The code that all functions share: configuration, errors, the domain and the four stores behind it.
//!
//! MongoDB is the ledger of every object in the bucket: [`files`] holds the rows, and the protocol that keeps the
//! ledger and the bucket consistent. [`uploads`] has the protocol for bytes that clients send to S3 themselves, [`s3`]
//! the bytes, [`queue`] the jobs for the thumbnail worker, and [`sessions`] the tokens in Redis.

#![forbid(unsafe_code)]

pub mod account_deletion;
pub mod aws;
pub mod body;
pub mod certificates;
pub mod config;
pub mod digest;
pub mod error;
pub mod files;
pub mod http;
pub mod idempotency;
pub mod ids;
pub mod limits;
pub mod logging;
pub mod mongo;
pub mod openapi;
mod paginate;
pub mod passwords;
pub mod queue;
pub mod rate_limit;
pub mod reconnect;
pub mod s3;
pub mod sessions;
pub mod tickets;
pub mod time;
pub mod uploads;
pub mod users;

pub use config::Config;
pub use error::{Error, Result};

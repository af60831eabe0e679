//! The code that all functions share, in layers. A module uses only the modules of the layers below its own:
//!
//! 1. [`http`]: requests and responses, the only module with axum.
//! 2. [`account_deletion`]: what all parts of an account need to go.
//! 3. [`links`]: what others may do with a file or a folder who have no session.
//! 4. [`uploads`]: the protocol for bytes that clients send to S3 themselves, and tickets; and beside it
//!    [`archives`]: ZIPs of documents.
//! 5. [`files`]: the ledger, which has a row for each object in the bucket; and beside it [`accounts`]: users, sessions
//!    and passwords.
//! 6. [`stores`]: the clients of `MongoDB`, Redis, S3 and SQS.
//! 7. The ground: configuration, errors, ids, limits, log, times and digests.

#![forbid(unsafe_code)]

pub mod account_deletion;
pub mod accounts;
#[cfg(test)]
mod architecture;
pub mod archives;
pub mod config;
pub mod digest;
pub mod error;
pub mod files;
pub mod http;
pub mod ids;
pub mod limits;
pub mod links;
pub mod logging;
pub mod stores;
pub mod time;
pub mod uploads;

pub use config::Config;
pub use error::{Error, Result};

//! The contract over HTTP against the running stack, one sentence for each test. Every test has its own users, so that
//! all tests run at once and in any order.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

mod account_deletion;
mod answers_of_today;
mod auth;
mod authorization;
mod batches;
mod conflicts;
mod content;
mod copying;
mod cors;
mod deleting;
mod downloads;
mod earlier_release;
mod every_endpoint;
mod files;
mod fsck;
mod gateway;
mod idempotency;
mod listing;
mod logs;
mod malformed_input;
mod moving;
mod names;
mod openapi;
mod passwords;
mod path;
mod presigned;
mod publish;
mod quota;
mod rate_limit;
mod request_ids;
mod revisions;
mod search;
mod sessions;
mod sorting;
mod status;
mod sweeper;
mod thumbnails;
mod tickets;
mod trash;
mod uploads;
mod users;
mod versions;
mod worker;
mod zips;

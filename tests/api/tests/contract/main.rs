//! The contract, a sentence a test, over HTTP against the running stack. Every test has people of its own, so
//! that all run at once and in any order.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

mod auth;
mod authorization;
mod content;
mod cors;
mod deleting;
mod downloads;
mod files;
mod fsck;
mod gateway;
mod input;
mod leaving;
mod listing;
mod logs;
mod names;
mod openapi;
mod passwords;
mod publish;
mod repeats;
mod request_ids;
mod rules;
mod sessions;
mod signed;
mod status;
mod sweeper;
mod throttling;
mod thumbnails;
mod tickets;
mod uploads;
mod users;
mod worker;

//! Accounts: users, their passwords and sessions, and the limits of guesses at passwords.

pub mod cookies;
pub mod keys;
pub mod open_sessions;
pub mod passwords;
pub mod rate_limit;
pub mod sessions;
pub mod token;
pub mod users;

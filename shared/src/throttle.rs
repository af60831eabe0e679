//! How often a password may be guessed: ten failures a minute for each account, known or not, and so many for each address.
//!
//! Redis has the failures of the last minute, under digests: neither an e-mail nor an address can be read there.

use std::net::{IpAddr, Ipv6Addr};

use axum::{extract::FromRequestParts, http::request::Parts};
use lambda_http::{RequestExt, request::RequestContext};
use mongodb::bson::{DateTime, oid::ObjectId};
use redis::{Pipeline, pipe};

use crate::{
    Config, Error, Result, limits,
    sessions::{Redis, sha256_hex},
};

/// Where a request came from, by the word of the gateway; a header could say anything. An IPv6 address counts by its first
/// half, for the other is its owner's to choose.
pub struct Address(String);

impl Address {
    fn of(source_ip: &str) -> Self {
        const NETWORK: u128 = !0 << 64;
        Self(match source_ip.parse().map(|address: IpAddr| address.to_canonical()) {
            Ok(IpAddr::V6(address)) => format!("{}/64", Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
            Ok(IpAddr::V4(address)) => address.to_string(),
            Err(_) => source_ip.to_owned(),
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let source_ip = match parts.extensions.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref(),
            _ => None,
        };
        Ok(Self::of(source_ip.unwrap_or_default()))
    }
}

#[derive(Clone)]
pub struct Throttle {
    redis: Redis,
    per_address: u32,
}

impl Throttle {
    pub fn new(redis: Redis, config: &Config) -> Self {
        Self { redis, per_address: config.failures_per_address }
    }

    /// Leave to log in to an account from somewhere.
    ///
    /// # Errors
    /// `TooManyFailures`.
    pub async fn login(&self, email: &str, Address(address): &Address) -> Result<Attempt> {
        let account = Counter::of_account(email);
        let address = Counter { key: key("address", address), most: self.per_address };
        self.attempt(vec![account, address]).await
    }

    /// Leave to check the password of somebody who has a session.
    ///
    /// # Errors
    /// `TooManyFailures`.
    pub async fn check(&self, email: &str) -> Result<Attempt> {
        self.attempt(vec![Counter::of_account(email)]).await
    }

    async fn attempt(&self, counters: Vec<Counter>) -> Result<Attempt> {
        let attempt = Attempt { redis: self.redis.clone(), counters };
        attempt.look().await?;
        Ok(attempt)
    }
}

/// A sorted set of failures, by when they were.
struct Counter {
    key: String,
    most: u32,
}

impl Counter {
    fn of_account(email: &str) -> Self {
        Self { key: key("account", email), most: limits::FAILURES }
    }

    /// Asks for the failure that must grow old before there is room for another, and for the one before it.
    fn ask(&self, commands: &mut Pipeline) {
        let at = isize::try_from(self.most).unwrap_or(isize::MAX);
        commands.zrevrange_withscores(&self.key, at - 1, at);
    }
}

/// A password that is being looked at. What came of it may be told only by leave of [`succeeded`](Self::succeeded) or
/// [`failed`](Self::failed): of a thousand that are tried at once no more are answered than one after the other, and a good
/// one among them is told as little from a bad one as all others.
#[must_use]
pub struct Attempt {
    redis: Redis,
    counters: Vec<Counter>,
}

impl Attempt {
    /// A good password does not count, but is good for nothing after too many bad ones.
    pub async fn succeeded(self) -> Result<()> {
        self.look().await
    }

    /// Counts a bad password; what to answer.
    pub async fn failed(self) -> Error {
        match self.count().await {
            Ok(()) => Error::Unauthorized,
            Err(error) => error,
        }
    }

    async fn look(&self) -> Result<()> {
        let mut commands = pipe();
        for counter in &self.counters {
            counter.ask(&mut commands);
        }
        self.judge(&commands, 1).await
    }

    /// One transaction, so that of many at once each is counted and knows its place. A failure has a name, so that it counts
    /// once if it is sent again.
    async fn count(&self) -> Result<()> {
        let (name, now) = (ObjectId::new().to_hex(), DateTime::now().timestamp_millis());
        let mut commands = pipe();
        commands.atomic();
        for counter in &self.counters {
            commands.zadd(&counter.key, &name, now).ignore();
            commands.zrembyscore(&counter.key, "-inf", now - window()).ignore();
            commands.pexpire(&counter.key, window()).ignore();
            counter.ask(&mut commands);
        }
        self.judge(&commands, 2).await
    }

    /// Refuses where a counter answers with so many failures.
    async fn judge(&self, commands: &Pipeline, too_many: usize) -> Result<()> {
        let answers: Vec<Vec<(String, i64)>> = self.redis.ask_all(commands).await?;
        let since = DateTime::now().timestamp_millis() - window();
        let waits = answers.iter().filter_map(|failures| {
            let recent = failures.iter().filter(|(_, at)| *at > since).count();
            let (_, at) = failures.first().filter(|_| recent >= too_many)?;
            u64::try_from(at - since).ok()
        });
        match waits.max() {
            Some(milliseconds) => Err(Error::TooManyFailures { seconds: milliseconds.div_ceil(1000) }),
            None => Ok(()),
        }
    }
}

/// In milliseconds.
fn window() -> i64 {
    i64::try_from(limits::FAILURES_WITHIN.as_millis()).unwrap_or(i64::MAX)
}

fn key(kind: &str, name: &str) -> String {
    format!("rate_{}", sha256_hex(format!("{kind} {name}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_counts_by_its_network() {
        for (source_ip, counted) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:0db8:0001:0002::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("", ""),
        ] {
            assert_eq!(Address::of(source_ip).0, counted, "{source_ip}");
        }
    }

    #[test]
    fn a_key_shows_nothing_of_what_it_counts() {
        let (account, address) = (key("account", "bob@example.org"), key("address", "bob@example.org"));
        assert_ne!(account, address);
        assert!(account.starts_with("rate_") && account.len() == 5 + 64 && !account.contains("bob"), "{account}");
    }
}

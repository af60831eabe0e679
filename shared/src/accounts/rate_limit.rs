//! Rate limits for passwords and for sign-ups.
//!
//! A wrong password at `/connect` counts in three places:
//!
//! - for the account from this network: at most ten within a minute;
//! - for the network, whatever the account: at most `FailuresPerAddress` within a minute;
//! - for the account, whatever the network: a hundred at once, then a delay that grows to a minute.
//!
//! The first count binds every login. Strangers can fill the other two, so these do not bind a network that has logged
//! in to the account within 30 days: an attacker cannot lock the owner out. A password that a session sends, to change
//! the password or to delete the account, counts for this session only, so nobody without a session can block it.
//!
//! Guesses at one account within a day, at most:
//!
//! - 14,400 from one network;
//! - 14,700 from all networks together that have never logged in to the account: at any time 30 minutes of debt at
//!   most, and each guess costs 6 s at least;
//! - 14,400 from each network that has logged in to it, of which the account remembers 32;
//! - 14,400 by each session.
//!
//! A wrong password of a link counts for the link from this network, at most ten within a minute, and for the network,
//! whatever the link, at most `FailuresPerAddress`. A link that does not exist counts like one that exists.
//!
//! An e-mail without an account counts like an e-mail with an account, so a stranger cannot tell the two apart. Only an
//! attacker in a network of the owner can learn something: that this network has logged in to the account, by using up
//! the failures of the network and then trying the account.
//!
//! Redis keeps the failures of the last minute, the debts, and for each account the networks that have logged in to it.
//! All keys are digests, so nobody can read an e-mail or an address there.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use mongodb::bson::oid::ObjectId;
use redis::{FromRedisValue, Pipeline, Value, pipe};

use super::token::Token;
use crate::{Config, Error, Result, digest::sha256_hex, limits, stores::redis::Redis, time::Timestamp};

/// The network of a request, as the gateway reports it; a client can put anything into a header. An IPv6 address counts
/// by its first 64 bits, because its owner can choose the other 64.
pub struct Address(String);

impl Address {
    pub fn of(source_ip: &str) -> Self {
        const NETWORK: u128 = !0 << 64;
        Self(match source_ip.parse().map(|address: IpAddr| address.to_canonical()) {
            Ok(IpAddr::V6(address)) => format!("{}/64", Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
            Ok(IpAddr::V4(address)) => address.to_string(),
            Err(_) => source_ip.to_owned(),
        })
    }
}

/// The address itself, for a key that nobody can read an address from.
impl AsRef<[u8]> for Address {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[derive(Clone)]
pub struct RateLimit {
    redis: Redis,
    failures_per_address: u32,
    sign_ups_per_address: u32,
}

impl RateLimit {
    pub fn new(redis: Redis, config: &Config) -> Self {
        Self {
            redis,
            failures_per_address: config.failures_per_address,
            sign_ups_per_address: config.sign_ups_per_address,
        }
    }

    /// Permits a login to an account from a network.
    ///
    /// # Errors
    /// `TooManyFailures`.
    pub async fn login(&self, email: &str, address: &Address) -> Result<PasswordAttempt> {
        let Address(network) = address;
        let own = Counter::failures(key("login", &format!("{network} {email}")), limits::MAX_FAILURES);
        let of_network = Counter::failures(key("network", network), self.failures_per_address);
        let of_account = Counter::Debt {
            key: key("account", email),
            each: limits::ACCOUNT_FAILURE,
            growth: limits::ACCOUNT_GROWTH,
            most: limits::ACCOUNT_MAX_DEBT,
        };
        self.attempt(own, vec![of_network, of_account], Some(Networks::of(email, address))).await
    }

    /// Permits a check of the password of the user of this session.
    ///
    /// # Errors
    /// `TooManyFailures`.
    pub async fn reauthentication(&self, session: &Token) -> Result<PasswordAttempt> {
        self.attempt(Counter::failures(key("session", &session.digest()), limits::MAX_FAILURES), Vec::new(), None).await
    }

    /// Permits a check of the password of a link, by the token in the request, which may be of no link.
    ///
    /// # Errors
    /// `TooManyFailures`.
    pub async fn link(&self, token: &str, Address(network): &Address) -> Result<PasswordAttempt> {
        let own = Counter::failures(key("link", &format!("{network} {token}")), limits::MAX_FAILURES);
        let of_network = Counter::failures(key("links", network), self.failures_per_address);
        self.attempt(own, vec![of_network], None).await
    }

    async fn attempt(&self, own: Counter, shared: Vec<Counter>, networks: Option<Networks>) -> Result<PasswordAttempt> {
        let attempt = PasswordAttempt { redis: self.redis.clone(), own, shared, networks };
        attempt.check().await?;
        Ok(attempt)
    }

    /// Counts a sign-up. While Redis is down, sign-ups go on without being counted.
    ///
    /// # Errors
    /// `TooManySignUps`.
    pub async fn sign_up(&self, Address(network): &Address) -> Result<()> {
        // Redis counts in whole milliseconds, and refuses a lifetime of 0.
        let each = (limits::SIGN_UPS_WITHIN / self.sign_ups_per_address).max(Duration::from_millis(1));
        let most = limits::SIGN_UPS_WITHIN.saturating_sub(each);
        // With this divisor the second cost of a debt never exceeds `each`, so the delay does not grow.
        let growth = self.sign_ups_per_address;
        let sign_ups = Counter::Debt { key: key("sign-ups", network), each, growth, most };
        let mut commands = pipe();
        sign_ups.record_failure(&mut commands);
        let wait = match self.redis.query_all::<(Value,)>(&commands).await {
            Ok((owed,)) => sign_ups.wait(owed, Stage::Counted)?,
            Err(error) => {
                tracing::warn!(error = error.cause(), "sign-ups are not counted");
                0
            }
        };
        if wait == 0 { Ok(()) } else { Err(Error::TooManySignUps { seconds: wait.div_ceil(1000) }) }
    }

    /// Deletes the list of the networks that have logged in to an account.
    pub async fn forget(&self, email: &str) -> Result<()> {
        self.redis.query_all(pipe().del(Networks::key(email)).ignore()).await
    }
}

/// A counter in Redis, with its limit.
enum Counter {
    /// At most `most` failures within [`limits::FAILURES_WITHIN`]. The key is a sorted set of failure names by their
    /// time in milliseconds.
    Window { key: String, most: u32 },
    /// A debt of time, which passing time pays back: the time to live of the key. A failure costs `each`, or the debt
    /// divided by `growth` if that is more. While the debt is larger than `most`, an attempt is refused and costs
    /// nothing.
    Debt { key: String, each: Duration, growth: u32, most: Duration },
}

/// Tells whether the counter includes the evaluated attempt already.
#[derive(Clone, Copy)]
enum Stage {
    Before,
    Counted,
}

impl Counter {
    fn failures(key: String, most: u32) -> Self {
        Self::Window { key, most }
    }

    /// Reads the counter.
    fn query(&self, commands: &mut Pipeline) {
        match self {
            // Reads the failure that must leave the window before there is room, and the failure before it.
            Self::Window { key, most } => {
                let at = isize::try_from(*most).unwrap_or(isize::MAX);
                commands.zrevrange_withscores(key, at - 1, at);
            }
            Self::Debt { key, .. } => {
                commands.pttl(key);
            }
        }
    }

    /// Counts a failure, and reads the counter.
    fn record_failure(&self, commands: &mut Pipeline) {
        match self {
            Self::Window { key, .. } => {
                // With a name of its own, a failure counts once even if the command is sent twice.
                let (name, now) = (ObjectId::new().to_hex(), Timestamp::now().millis());
                commands.zadd(key, name, now).ignore();
                commands.zrembyscore(key, "-inf", now - window()).ignore();
                commands.pexpire(key, window()).ignore();
                self.query(commands);
            }
            Self::Debt { key, each, growth, most } => {
                commands.cmd("EVAL").arg(ADD_DEBT).arg(1).arg(key).arg(millis(*most)).arg(millis(*each)).arg(*growth);
            }
        }
    }

    /// The milliseconds until the counter has room for an attempt, 0 if it has room now. `answer` is the answer to
    /// [`query`](Self::query) or [`record_failure`](Self::record_failure).
    fn wait(&self, answer: Value, stage: Stage) -> Result<u64> {
        let wait = match self {
            Self::Window { .. } => {
                let failures: Vec<(String, i64)> = read(answer)?;
                let since = Timestamp::now().millis() - window();
                let recent = failures.iter().filter(|(_, at)| *at > since).count();
                let too_many = match stage {
                    Stage::Before => 1,
                    Stage::Counted => 2,
                };
                failures.first().filter(|_| recent >= too_many).map_or(0, |(_, at)| at - since)
            }
            // PTTL is negative if there is no key.
            Self::Debt { most, .. } => read::<i64>(answer)? - millis(*most),
        };
        Ok(wait.try_into().unwrap_or_default())
    }
}

/// A failure of [`Counter::Debt`]. `KEYS` is the key, `ARGV` are `most`, `each` and `growth`, times in milliseconds.
/// Returns the debt before this failure.
const ADD_DEBT: &str = "
local owed = math.max(redis.call('PTTL', KEYS[1]), 0)
if owed <= tonumber(ARGV[1]) then
  local cost = math.max(tonumber(ARGV[2]), math.floor(owed / tonumber(ARGV[3])))
  redis.call('SET', KEYS[1], '', 'PX', owed + cost)
end
return owed";

/// The networks that have logged in to an account: a sorted set, by the time of the last login in milliseconds.
struct Networks {
    key: String,
    /// The member of the set for the network of this request: a digest of network and e-mail, because the digest of an
    /// IPv4 address alone can be found by trying all addresses.
    network: String,
}

impl Networks {
    fn of(email: &str, Address(network): &Address) -> Self {
        Self { key: Self::key(email), network: sha256_hex(format!("{network} {email}").as_bytes()) }
    }

    fn key(email: &str) -> String {
        format!("networks_{}", sha256_hex(email.as_bytes()))
    }

    fn query(&self, commands: &mut Pipeline) {
        commands.zscore(&self.key, &self.network);
    }

    /// True if the network of this request is in the set, by the answer to [`query`](Self::query).
    fn is_known(answer: Value) -> Result<bool> {
        let since = Timestamp::now().millis() - millis(limits::KNOWN_NETWORK_TTL);
        Ok(read::<Option<i64>>(answer)?.is_some_and(|last_login| last_login > since))
    }

    fn remember(&self, commands: &mut Pipeline) {
        commands.zadd(&self.key, &self.network, Timestamp::now().millis()).ignore();
        commands.zremrangebyrank(&self.key, 0, -1 - limits::KNOWN_NETWORKS).ignore();
        commands.pexpire(&self.key, millis(limits::KNOWN_NETWORK_TTL)).ignore();
    }
}

/// A pending login attempt. Its result may be returned only through [`succeeded`](Self::succeeded) or
/// [`failed`](Self::failed): a thousand concurrent guesses reveal no more than ten sequential ones. A right password
/// among the refused guesses has the same answer as a wrong one.
#[must_use]
pub struct PasswordAttempt {
    redis: Redis,
    /// The counter that binds every attempt.
    own: Counter,
    /// The counters that bind an attempt from a network that has not logged in to the account.
    shared: Vec<Counter>,
    /// `None` for an attempt by the user of a session.
    networks: Option<Networks>,
}

/// The permission to open a session, after a right password.
#[must_use]
pub struct LoginPermit(Option<Networks>);

impl LoginPermit {
    /// Adds the network of the login to the account's list.
    pub(crate) fn remember(self, commands: &mut Pipeline) {
        if let Self(Some(networks)) = self {
            networks.remember(commands);
        }
    }
}

impl PasswordAttempt {
    /// A right password does not count as a failure, but is refused after too many wrong ones.
    pub async fn succeeded(self) -> Result<LoginPermit> {
        self.check().await?;
        Ok(LoginPermit(self.networks))
    }

    /// Counts a wrong password, and returns the error to answer.
    pub async fn failed(self) -> Error {
        match self.record_failure().await {
            Ok(()) => Error::Unauthorized,
            Err(error) => error,
        }
    }

    async fn check(&self) -> Result<()> {
        let mut commands = pipe();
        self.counters().for_each(|counter| counter.query(&mut commands));
        self.evaluate(commands, Stage::Before).await
    }

    /// Records the failure in one transaction, so that each of many concurrent failures is counted and gets its own
    /// place.
    async fn record_failure(&self) -> Result<()> {
        let mut commands = pipe();
        commands.atomic();
        self.counters().for_each(|counter| counter.record_failure(&mut commands));
        self.evaluate(commands, Stage::Counted).await
    }

    fn counters(&self) -> impl Iterator<Item = &Counter> {
        [&self.own].into_iter().chain(&self.shared)
    }

    /// Sends the commands, which have one answer for each counter, and refuses the attempt until every counter that
    /// binds it has room.
    async fn evaluate(&self, mut commands: Pipeline, stage: Stage) -> Result<()> {
        if let Some(networks) = &self.networks {
            networks.query(&mut commands);
        }
        let mut answers = self.redis.query_all::<Vec<Value>>(&commands).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let mut wait = self.own.wait(next(), stage)?;
        let mut unknown_network_wait = 0;
        for counter in &self.shared {
            unknown_network_wait = counter.wait(next(), stage)?.max(unknown_network_wait);
        }
        if !Networks::is_known(next())? {
            wait = wait.max(unknown_network_wait);
        }
        if wait == 0 { Ok(()) } else { Err(Error::TooManyFailures { seconds: wait.div_ceil(1000) }) }
    }
}

fn read<T: FromRedisValue>(answer: Value) -> Result<T> {
    Ok(T::from_redis_value(answer).map_err(redis::RedisError::from)?)
}

fn window() -> i64 {
    millis(limits::FAILURES_WITHIN)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
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
    fn a_key_reveals_no_email_or_address() {
        let (account, address) = (key("account", "bob@example.org"), key("network", "bob@example.org"));
        assert_ne!(account, address);
        assert!(account.starts_with("rate_") && account.len() == 5 + 64 && !account.contains("bob"), "{account}");
    }
}

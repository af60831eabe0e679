//! Tests that need the stack for themselves: stores that die or hang, exact counts, other configurations. They run one
//! at a time, and each leaves the stack as it was, also when it fails.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

mod cold_start;
mod configuration;
mod durability;
mod exact_counts;
mod file_manager;
mod indexes;
mod links;
mod login_timing;
mod lost_connections;
mod mongodb;
mod panics;
mod queue;
mod redis;
mod s3;
mod sweeper;
mod tls;
mod uploads;
mod worker;

use std::time::Duration;

use e2e::{Answer, Client, Stack, eventually, faults};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

static ALONE: Mutex<()> = Mutex::const_new(());

/// The stack, with a lock that excludes the other tests while it is held.
async fn alone() -> (MutexGuard<'static, ()>, Stack) {
    (ALONE.lock().await, Stack::running().await)
}

/// The time after an outage in which everything must work again, without a restart of a function.
const RECOVERY: Duration = Duration::from_secs(5);

/// Asserts the answer of `/status` within a second, and half a second for the emulator on a busy machine.
#[track_caller]
fn is_status(answer: &Answer, expected: Value) {
    answer.is(200, expected);
    assert!(answer.took < Duration::from_millis(1500), "/status took {:?}", answer.took);
}

/// Asserts a 503 in time, again with half a second for the emulator.
#[track_caller]
fn is_unavailable(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 503, "{what}: {answer}");
    answer.fails(503, "Service unavailable");
    assert_eq!(answer.header("retry-after"), "1", "{what}");
    assert!(answer.took < Duration::from_millis(3500), "{what} took {:?}", answer.took);
}

/// Waits until everything works again after an outage.
async fn all_is_well(client: &Client) {
    eventually("both stores are up again", RECOVERY, async || {
        let answer = client.get("/status").await;
        (answer.json() == json!({ "redis": true, "db": true })).then_some(())
    })
    .await;
}

/// Waits until a request that fails without a store works again. Until then only that failure is allowed.
async fn works_again(request: impl AsyncFn() -> Answer) -> Answer {
    eventually("the request works again", RECOVERY, async || {
        let answer = request().await;
        if answer.status == 503 { None } else { Some(answer) }
    })
    .await
}

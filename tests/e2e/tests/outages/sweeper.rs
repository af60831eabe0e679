//! The sweeper does not use Redis.

use std::time::{Duration, SystemTime};

use e2e::{Stack, eventually};
use serde_json::json;

use crate::{alone, faults::Outage};

/// The number of PING commands that Redis has executed.
async fn pings(stack: &Stack) -> u64 {
    let statistics: String =
        redis::cmd("INFO").arg("commandstats").query_async(&mut stack.redis().await).await.unwrap();
    let of_pings = statistics.lines().find_map(|line| line.strip_prefix("cmdstat_ping:calls="));
    of_pings.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_sweep_keeps_redis_in_use() {
    let (_alone, stack) = alone().await;
    let before = pings(&stack).await;
    stack.invoke("sweeper", &json!({})).await;
    assert!(pings(&stack).await > before);
}

#[tokio::test]
async fn without_redis_a_sweep_is_a_sweep() {
    let (_alone, stack) = alone().await;
    let since = SystemTime::now();
    for (outages, outage) in (1..).zip([Outage::Hang, Outage::Crash]) {
        let _undo = outage.of(&stack, "redis").await;
        let swept = stack.invoke("sweeper", &json!({})).await;
        assert!(swept["expired"].is_u64() && swept["overdue"].is_u64(), "{swept}");
        eventually("the log says so", Duration::from_secs(10), async || {
            let lines = stack.log_lines(since).await;
            (lines.iter().filter(|line| line.contains("Redis does not answer")).count() == outages).then_some(())
        })
        .await;
    }
}

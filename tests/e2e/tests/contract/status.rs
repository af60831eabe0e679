//! `GET /status` and `GET /stats`. The outages have the tests with stores that are down, and of exact counts.

use std::time::Duration;

use e2e::{Stack, eventually};
use serde_json::json;

#[tokio::test]
async fn status_says_that_both_stores_answer() {
    let answer = Stack::running().await.anyone().get("/status").await;
    answer.is(200, json!({ "redis": true, "db": true }));
    assert_eq!(answer.text(), r#"{"redis":true,"db":true}"#);
}

/// Other tests delete at the same time, so the counts may fall in between.
#[tokio::test]
async fn stats_counts_what_has_just_been_made() {
    let stack = Stack::running().await;
    eventually("the counts rise", Duration::from_secs(20), async || {
        let before = counts(&stack).await;
        let bob = stack.user("bob").await;
        bob.upload("notes.txt", b"hi").await;
        bob.folder("photos").await;
        let after = counts(&stack).await;
        (after[0] > before[0] && after[1] >= before[1] + 2).then_some(())
    })
    .await;
}

async fn counts(stack: &Stack) -> [u64; 2] {
    let answer = stack.anyone().get("/stats").await;
    let stats = answer.json();
    let [users, files] = ["users", "files"].map(|key| stats[key].as_u64().unwrap());
    assert_eq!((answer.status, answer.text()), (200, &*format!(r#"{{"users":{users},"files":{files}}}"#)));
    [users, files]
}

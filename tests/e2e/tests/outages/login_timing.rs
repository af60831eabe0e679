//! The time of a failed login reveals nothing, except that a refused one checks no password. Measured without other
//! tests.

use std::time::{Duration, SystemTime};

use e2e::{PASSWORD, SHA1_OF_PASSWORD, Stack, Times, eventually, network, networks_key, record_measurement, unique};
use mongodb::bson::{DateTime, doc};
use redis::AsyncCommands;
use serde_json::Value;

use crate::alone;

const KINDS: [&str; 3] = ["unknown", "legacy", "argon2id"];

#[tokio::test]
async fn s13_login_hides_accounts() {
    let (_alone, stack) = alone().await;
    let mut medians = failed_logins(&stack).await;
    // It has three tries, because other processes may have used the machine.
    for _ in 0..2 {
        if !alike(&medians) {
            medians = failed_logins(&stack).await;
        }
    }
    for (kind, median) in KINDS.iter().zip(medians) {
        record_measurement("S13", kind, format_args!("median {:.2} ms", median.as_secs_f64() * 1000.0));
    }
    assert!(alike(&medians), "{medians:?}");
    // One Argon2id hash takes tens of milliseconds.
    assert!(medians.iter().all(|median| *median > Duration::from_millis(15)), "{medians:?}");
}

fn alike(medians: &[Duration; 3]) -> bool {
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    most.as_secs_f64() / least.as_secs_f64() <= 1.05
}

/// The median time of a failed login for each kind of account.
async fn failed_logins(stack: &Stack) -> [Duration; 3] {
    const TIMES: usize = 300;
    let bob = stack.user("bob").await;
    let argon2id = stack.users.find_one(doc! { "_id": bob.object_id() }).await.unwrap().unwrap();
    // Each attempt uses another account, because an account allows few failures.
    let name = unique("timed");
    let email = |kind: &str, n: usize| format!("{name}-{kind}-{n}");
    let stored = [("legacy", SHA1_OF_PASSWORD), ("argon2id", argon2id.get_str("password").unwrap())];
    for (kind, password) in stored {
        let accounts = (0..TIMES).map(|n| doc! { "email": email(kind, n), "password": password });
        stack.users.insert_many(accounts).await.unwrap();
    }
    // A login from this network has succeeded for these accounts, and Redis has the entry that it leaves.
    let mut redis = stack.redis().await;
    let logged_in: Vec<String> = redis.zrange(networks_key(&bob.email), 0, -1).await.unwrap();
    assert_eq!(logged_in, [network("127.0.0.1", &bob.email)]);
    let mut known = redis::pipe();
    for email in (0..TIMES).map(|n| email("argon2id", n)) {
        known.zadd(networks_key(&email), network("127.0.0.1", &email), DateTime::now().timestamp_millis()).ignore();
    }
    let () = known.query_async(&mut redis).await.unwrap();
    let mut took: [Times; 3] = Default::default();
    for n in 0..TIMES {
        for at in 0..KINDS.len() {
            // The order rotates, so that no kind always follows the same other one.
            let at = (at + n) % KINDS.len();
            let answer = stack.anyone().connect(&email(KINDS[at], n), "wrong").await;
            answer.fails(401, "Unauthorized");
            took[at].push(answer.took);
        }
    }
    let networks: Vec<String> = (0..TIMES).map(|n| networks_key(&email("argon2id", n))).collect();
    let () = redis.del(networks).await.unwrap();
    stack.users.delete_many(doc! { "email": { "$regex": format!("^{name}-") } }).await.unwrap();
    took.each_ref().map(Times::median)
}

#[tokio::test]
async fn s14_a_login_that_is_refused_costs_no_argon2id() {
    const TIMES: usize = 40;
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let since = SystemTime::now() - Duration::from_secs(1);
    for _ in 0..10 {
        stack.anyone().connect(&bob.email, "wrong").await.fails(401, "Unauthorized");
    }
    for n in 0..TIMES {
        let password = if n % 2 == 0 { "wrong" } else { PASSWORD };
        assert_eq!(stack.anyone().connect(&bob.email, password).await.status, 429);
    }
    let [failed, refused] = eventually("a line for each login", Duration::from_secs(20), async || {
        let lines = stack.log_lines(since).await;
        let lines: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        // Only the last lines count: another test may have failed to log in shortly before.
        let took = [(401, 10), (429, TIMES)].map(|(status, count)| {
            let logins = lines.iter().rev().filter(|line| line["route"] == "/connect" && line["status"] == status);
            logins
                .take(count)
                .map(|line| Duration::from_secs_f64(line["duration_ms"].as_f64().unwrap() / 1000.0))
                .collect::<Times>()
        });
        (took[0].count() == 10 && took[1].count() == TIMES).then_some(took)
    })
    .await;
    let (failed, refused) = (failed.median(), refused.median());
    record_measurement("S14", "login", format_args!("median {failed:.2?} failed, {refused:.2?} refused"));
    assert!(refused < failed / 3, "{refused:?} and {failed:?}");
}

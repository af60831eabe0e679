//! S14: how often a password may be guessed. What an address may do is tested where the configuration is.

use std::time::{Duration, Instant};

use api::{Answer, Client, PASSWORD, Stack, User, eventually, unique};
use futures_util::future::join_all;
use redis::AsyncCommands;
use serde_json::json;

const REFUSAL: &str = "Too many failed logins: wait a minute";

async fn fails(stack: &Stack, email: &str, times: usize) {
    for _ in 0..times {
        stack.anyone().connect(email, "wrong").await.fails(401, "Unauthorized");
    }
}

#[track_caller]
fn is_refused(answer: &Answer) {
    answer.fails(429, REFUSAL);
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{answer}");
}

async fn change(user: &User, password: &str) -> Answer {
    let body = json!({ "password": password, "newPassword": "another" });
    user.request("PUT", "/users/me/password").json(body).send().await
}

async fn leave(client: &Client, password: &str) -> Answer {
    client.request("DELETE", "/users/me").json(json!({ "password": password })).send().await
}

#[tokio::test]
async fn s14_after_ten_failures_an_account_is_closed_for_what_is_left_of_a_minute() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let started = Instant::now();
    fails(&stack, &bob.email, 10).await;
    is_refused(&stack.anyone().connect(&bob.email, "wrong").await);
    is_refused(&stack.anyone().connect(&bob.email, PASSWORD).await);
    // Nobody else is, and who has a session has it still.
    assert_eq!(stack.anyone().connect(&eve.email, PASSWORD).await.status, 200);
    assert_eq!(bob.get("/users/me").await.status, 200);

    let again = eventually("the right password works", Duration::from_secs(90), async || {
        let answer = stack.anyone().connect(&bob.email, PASSWORD).await;
        if answer.status == 200 {
            return Some(answer);
        }
        is_refused(&answer);
        None
    })
    .await;
    assert!(again.json()["token"].is_string());
    assert!(started.elapsed() >= Duration::from_mins(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn s14_an_account_that_does_not_exist_is_closed_as_any_other() {
    let stack = Stack::running().await;
    let nobody = unique("nobody");
    fails(&stack, &nobody, 10).await;
    is_refused(&stack.anyone().connect(&nobody, "wrong").await);
    is_refused(&stack.anyone().connect(&nobody, PASSWORD).await);
    // Its owner comes too late: as long as it is closed nothing tells that it is there now.
    assert_eq!(stack.anyone().sign_up(&nobody, PASSWORD).await.status, 201);
    is_refused(&stack.anyone().connect(&nobody, PASSWORD).await);
}

#[tokio::test]
async fn s14_of_many_guesses_at_once_ten_are_answered() {
    let stack = Stack::running().await;
    let (bob, anyone) = (stack.user("bob").await, stack.anyone());
    let guesses: Vec<String> = (0..40).map(|n| format!("guess {n}")).collect();
    let answers = join_all(guesses.iter().map(|guess| anyone.connect(&bob.email, guess))).await;
    let (answered, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 401);
    assert_eq!(answered.len(), 10);
    refused.into_iter().for_each(is_refused);
    is_refused(&anyone.connect(&bob.email, PASSWORD).await);
}

#[tokio::test]
async fn s14_a_good_login_does_not_count() {
    let stack = Stack::running().await;
    let (bob, anyone) = (stack.user("bob").await, stack.anyone());
    fails(&stack, &bob.email, 9).await;
    let logins = join_all((0..20).map(|_| anyone.connect(&bob.email, PASSWORD))).await;
    assert!(logins.iter().all(|login| login.status == 200));
    fails(&stack, &bob.email, 1).await;
    is_refused(&anyone.connect(&bob.email, PASSWORD).await);
}

#[tokio::test]
async fn s14_what_names_no_account_does_not_count() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for _ in 0..12 {
        stack.anyone().connect(&bob.email, &"x".repeat(1025)).await.fails(401, "Unauthorized");
        let bearer =
            stack.anyone().request("GET", "/connect").header("Authorization", &format!("Bearer {}", bob.email));
        bearer.send().await.fails(401, "Unauthorized");
    }
    assert_eq!(stack.anyone().connect(&bob.email, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn s14_whoever_has_a_token_guesses_no_faster() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    fails(&stack, &bob.email, 4).await;
    for _ in 0..3 {
        change(&bob, "wrong").await.fails(401, "Unauthorized");
        leave(&bob, "wrong").await.fails(401, "Unauthorized");
    }
    is_refused(&change(&bob, PASSWORD).await);
    is_refused(&leave(&bob, PASSWORD).await);
    is_refused(&stack.anyone().connect(&bob.email, PASSWORD).await);
    // What is wrong with the request is said all the same.
    change(&bob, "").await.fails(400, "Missing password");
    assert_eq!(bob.get("/users/me").await.status, 200);
}

#[tokio::test]
async fn s14_redis_knows_neither_whom_nor_whence() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    fails(&stack, &bob.email, 1).await;
    let mut redis = stack.redis().await;
    let keys: Vec<String> = redis.keys("rate_*").await.unwrap();
    assert!(keys.len() >= 2, "{keys:?}");
    for key in keys {
        let digest = key.strip_prefix("rate_").unwrap();
        assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
        // Those of other tests may be over by now: -2.
        let seconds: i64 = redis.ttl(&key).await.unwrap();
        assert!(seconds == -2 || (0..=60).contains(&seconds), "{key} stays {seconds} s");
        let members: Vec<String> = redis.zrange(&key, 0, -1).await.unwrap();
        assert!(members.iter().all(|name| name.len() == 24), "{members:?}");
    }
}

//! S14: the rate limit of password guesses, and that guesses do not lock out other clients. The tests of configuration
//! have the limits of an address.

use std::time::{Duration, Instant};

use e2e::{Answer, Client, PASSWORD, Stack, eventually, networks_key, unique};
use futures_util::future::join_all;
use redis::AsyncCommands;
use serde_json::{Value, json};

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

/// True if a function's answer to a login is a refusal.
#[track_caller]
fn was_refused(answer: &Value) -> bool {
    if answer["statusCode"] != 429 {
        return false;
    }
    assert_eq!(answer["body"], json!({ "error": REFUSAL }).to_string());
    let seconds: u64 = answer["headers"]["retry-after"].as_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{answer}");
    true
}

async fn change(client: &Client, password: &str) -> Answer {
    let body = json!({ "password": password, "newPassword": "another" });
    client.request("PUT", "/users/me/password").json(body).send().await
}

async fn leave(client: &Client, password: &str) -> Answer {
    client.request("DELETE", "/users/me").json(json!({ "password": password })).send().await
}

#[tokio::test]
async fn s14_ten_failures_close_an_account_for_the_rest_of_the_minute() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let started = Instant::now();
    fails(&stack, &bob.email, 10).await;
    is_refused(&stack.anyone().connect(&bob.email, "wrong").await);
    is_refused(&stack.anyone().connect(&bob.email, PASSWORD).await);
    // Other accounts are open, and existing sessions continue.
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
    // The account is created too late: while it is closed no answer tells that it exists now.
    assert_eq!(stack.anyone().sign_up(&nobody, PASSWORD).await.status, 201);
    is_refused(&stack.anyone().connect(&nobody, PASSWORD).await);
}

#[tokio::test]
async fn s14_ten_of_many_concurrent_guesses_are_answered() {
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
async fn s14_a_successful_login_does_not_count() {
    let stack = Stack::running().await;
    let (bob, anyone) = (stack.user("bob").await, stack.anyone());
    fails(&stack, &bob.email, 9).await;
    let logins = join_all((0..20).map(|_| anyone.connect(&bob.email, PASSWORD))).await;
    assert!(logins.iter().all(|login| login.status == 200));
    fails(&stack, &bob.email, 1).await;
    is_refused(&anyone.connect(&bob.email, PASSWORD).await);
}

#[tokio::test]
async fn s14_malformed_credentials_do_not_count() {
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
async fn s14_a_session_allows_no_more_guesses() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let other = stack.anyone().with_token(bob.another_token().await);
    for _ in 0..5 {
        change(&bob, "wrong").await.fails(401, "Unauthorized");
        leave(&bob, "wrong").await.fails(401, "Unauthorized");
    }
    is_refused(&change(&bob, PASSWORD).await);
    is_refused(&leave(&bob, PASSWORD).await);
    // Errors in the request are still reported.
    change(&bob, "").await.fails(400, "Missing password");
    // A thief of a session cannot stop the owner from ending it.
    assert_eq!(stack.anyone().connect(&bob.email, PASSWORD).await.status, 200);
    assert_eq!(change(&other, PASSWORD).await.status, 204);
    bob.get("/users/me").await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn s14_guesses_do_not_end_the_use_of_a_session() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    for user in [&bob, &eve] {
        fails(&stack, &user.email, 10).await;
        is_refused(&stack.anyone().connect(&user.email, PASSWORD).await);
    }
    assert_eq!(change(&bob, PASSWORD).await.status, 204);
    assert_eq!(leave(&eve, PASSWORD).await.status, 204);
}

/// Guesses from one network after the other, ten at once, until one is refused. Returns the number of answered guesses.
async fn guess_until_refused(stack: &Stack, email: &str) -> usize {
    let mut answered = 0;
    for n in 1..=20 {
        let network = format!("198.51.100.{n}");
        let answers = join_all((0..10).map(|_| stack.connect_from(&network, email, "wrong"))).await;
        let refused = answers.iter().filter(|answer| was_refused(answer)).count();
        assert_eq!(answers.iter().filter(|answer| answer["statusCode"] == 401).count(), 10 - refused, "{answers:?}");
        answered += 10 - refused;
        if refused > 0 {
            return answered;
        }
    }
    panic!("{answered} guesses were answered, and none was refused");
}

#[tokio::test]
async fn s14_guesses_from_many_networks_lock_out_no_known_network() {
    let stack = Stack::running().await;
    // A new user logs in from the address of all tests.
    let (bob, nobody) = (stack.user("bob").await, unique("nobody"));
    let travelling = stack.connect_from("203.0.113.1", &bob.email, PASSWORD).await;
    assert_eq!(travelling["statusCode"], 200, "{travelling}");

    for email in [&bob.email, &nobody] {
        let started = Instant::now();
        let answered = guess_until_refused(&stack, email).await;
        // At most a hundred at once, and one more for each six seconds.
        let most = 100 + usize::try_from(started.elapsed().as_secs()).unwrap() / 6 + 1;
        assert!((100..=most).contains(&answered), "{answered} of {most}");
        // A network that never logged in is locked out too, whether such an account exists or not.
        for password in [PASSWORD, "wrong"] {
            assert!(was_refused(&stack.connect_from("203.0.113.2", email, password).await), "{email}");
        }
    }
    let attack = join_all((0..60).map(|n| {
        let (stack, email) = (&stack, &bob.email);
        async move { stack.connect_from(&format!("192.0.2.{n}"), email, "wrong").await }
    }));
    let logins = async {
        for _ in 0..10 {
            assert_eq!(stack.anyone().connect(&bob.email, PASSWORD).await.status, 200);
            assert_eq!(stack.connect_from("203.0.113.1", &bob.email, PASSWORD).await["statusCode"], 200);
        }
        stack.anyone().connect(&bob.email, "wrong").await.fails(401, "Unauthorized");
    };
    let (attack, ()) = futures_util::future::join(attack, logins).await;
    assert!(attack.iter().filter(|answer| was_refused(answer)).count() >= 55, "{attack:?}");

    eventually("a new network is let in a minute after the attack", Duration::from_secs(90), async || {
        let login = stack.connect_from("203.0.113.2", &bob.email, PASSWORD).await;
        (!was_refused(&login)).then(|| assert_eq!(login["statusCode"], 200, "{login}"))
    })
    .await;
}

#[tokio::test]
async fn s14_guesses_from_one_network_lock_out_no_other_network() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for guess in 0..12 {
        let answer = stack.connect_from("198.51.100.1", &bob.email, &format!("guess {guess}")).await;
        assert_eq!(was_refused(&answer), guess >= 10, "{answer}");
    }
    assert_eq!(stack.connect_from("198.51.100.2", &bob.email, PASSWORD).await["statusCode"], 200);
    // The right password does not help the network of the guesses.
    assert!(was_refused(&stack.connect_from("198.51.100.1", &bob.email, PASSWORD).await));
}

#[tokio::test]
async fn s14_an_account_knows_the_networks_of_its_latest_logins() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let mut redis = stack.redis().await;
    let key = networks_key(&bob.email);
    let known = |address: &str| e2e::network(address, &bob.email);
    let networks: Vec<String> = redis.zrange(&key, 0, -1).await.unwrap();
    assert_eq!(networks, [known("127.0.0.1")]);
    for n in 0..40 {
        let () = redis.zadd(&key, format!("{n}"), n).await.unwrap();
    }
    for address in ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "203.0.113.1"] {
        assert_eq!(stack.connect_from(address, &bob.email, PASSWORD).await["statusCode"], 200);
        stack.connect_from("198.51.100.1", &bob.email, "wrong").await;
    }
    let networks: Vec<String> = redis.zrange(&key, 0, -1).await.unwrap();
    assert_eq!(networks.len(), 32);
    assert_eq!(networks[29..], [known("127.0.0.1"), known("2001:db8:1:2::/64"), known("203.0.113.1")]);
    let seconds: i64 = redis.ttl(&key).await.unwrap();
    assert!((2_591_000..=2_592_000).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn s14_redis_keys_contain_no_email_and_no_address() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    fails(&stack, &bob.email, 1).await;
    let mut redis = stack.redis().await;
    let keys: Vec<String> = redis.keys("rate_*").await.unwrap();
    // The keys of the account from this network, of the network, of the account, and of the network's sign-ups.
    assert!(keys.len() >= 3, "{keys:?}");
    for key in keys {
        let digest = key.strip_prefix("rate_").unwrap();
        assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
        // Keys of other tests may have expired: -2.
        let seconds: i64 = redis.ttl(&key).await.unwrap();
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await.unwrap();
        if kind == "string" {
            // The lifetime of such a key is its only content: the time until no failure or sign-up counts any more.
            assert!((-2..=3600).contains(&seconds), "{key} stays {seconds} s");
            assert_eq!(redis.get::<_, Option<String>>(&key).await.unwrap().unwrap_or_default(), "");
            continue;
        }
        assert!(seconds == -2 || (0..=60).contains(&seconds), "{key} stays {seconds} s");
        let members: Vec<String> = redis.zrange(&key, 0, -1).await.unwrap();
        assert!(members.iter().all(|name| name.len() == 24), "{members:?}");
    }
}

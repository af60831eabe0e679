//! Stacks with other configurations: passwords in the original's format, lower limits of failures or sign-ups for an
//! address, and a database that the original made.

use std::time::{Duration, SystemTime};

use e2e::{PASSWORD, SHA1_OF_PASSWORD, Stack, encoded, eventually, unique};
use mongodb::{
    IndexModel,
    bson::{doc, oid::ObjectId},
    options::IndexOptions,
};
use serde_json::{Value, json};

use crate::{
    alone,
    faults::{Undo, environment as with},
};

#[tokio::test]
async fn with_password_hash_sha1_a_password_is_stored_as_the_original_does_it() {
    let (_alone, stack) = alone().await;
    let _undo =
        [with(&stack, "users", "PASSWORD_HASH", "sha1").await, with(&stack, "auth", "PASSWORD_HASH", "sha1").await];
    let email = unique("bob");
    assert_eq!(stack.anyone().sign_up(&email, PASSWORD).await.status, 201);
    let stored = async || {
        let user = stack.users.find_one(doc! { "email": &email }).await.unwrap().unwrap();
        user.get_str("password").unwrap().to_owned()
    };
    assert_eq!(stored().await, SHA1_OF_PASSWORD);
    assert_eq!(stack.anyone().connect(&email, PASSWORD).await.status, 200);
    stack.anyone().connect(&email, "wrong").await.fails(401, "Unauthorized");
    // A login does not replace the hash, so that the original can read it.
    assert_eq!(stored().await, SHA1_OF_PASSWORD);
}

/// The status of a login from one address, with a header that names another.
async fn login(stack: &Stack, source_ip: &str, said: &str, email: &str, password: &str) -> u64 {
    let authorization = format!("Basic {}", encoded(format!("{email}:{password}").as_bytes()));
    let headers =
        json!({ "authorization": authorization, "x-forwarded-for": said, "forwarded": format!("for={said}") });
    let answer = stack.invoke_http_from(source_ip, "auth", "GET", "/connect", headers).await;
    let status = answer["statusCode"].as_u64().unwrap();
    if status == 429 {
        let seconds: u64 = answer["headers"]["retry-after"].as_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{answer}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, json!({ "error": "Too many failed logins: wait a minute" }));
    }
    status
}

#[tokio::test]
async fn s14_an_address_that_failed_often_logs_in_only_where_it_did_before() {
    let (_alone, stack) = alone().await;
    // The users are created before the limits are set, because other tests have failed to log in from this address.
    let (bob, carol) = (stack.user("bob").await, stack.user("carol").await);
    let _undo = with(&stack, "auth", "FAILURES_PER_ADDRESS", "10").await;
    for (addresses, another) in [
        (vec!["203.0.113.7"], "203.0.113.8"),
        (vec!["198.51.100.1", "::ffff:198.51.100.1"], "198.51.100.2"),
        (vec!["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:DB8:1:2::3"], "2001:db8:1:3::1"),
    ] {
        assert_eq!(login(&stack, addresses[0], another, &carol.email, PASSWORD).await, 200);
        for (n, address) in addresses.iter().cycle().take(10).enumerate() {
            let nobody = unique("nobody");
            // The address in the header is ignored: it does not help the client, and no failure counts for it.
            assert_eq!(login(&stack, address, another, &nobody, PASSWORD).await, 401, "{n} from {address}");
        }
        for address in addresses {
            assert_eq!(login(&stack, address, another, &unique("nobody"), PASSWORD).await, 429, "{address}");
            assert_eq!(login(&stack, address, another, &bob.email, PASSWORD).await, 429, "{address}");
            // Another user with the same address who has logged in from it is not locked out.
            assert_eq!(login(&stack, address, another, &carol.email, PASSWORD).await, 200, "{address}");
            assert_eq!(login(&stack, address, another, &carol.email, "wrong").await, 401, "{address}");
        }
        assert_eq!(login(&stack, another, "203.0.113.7", &bob.email, PASSWORD).await, 200);
    }
}

#[tokio::test]
async fn one_network_opens_only_so_many_accounts_an_hour() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let _undo = with(&stack, "users", "SIGN_UPS_PER_ADDRESS", "4").await;
    let headers = json!({ "content-type": "application/json", "x-forwarded-for": "203.0.113.99" });
    let sign_up = async |address: &str, email: &str| stack.sign_up_from(address, email, headers.clone()).await;
    for (addresses, another) in
        [(vec!["203.0.113.17"], "203.0.113.18"), (vec!["2001:db8:2:2::1", "2001:db8:2:2:ffff::2"], "2001:db8:2:3::1")]
    {
        // A sign-up with an invalid e-mail does not count. One with an existing account does, because its answer
        // reveals the account.
        assert_eq!(sign_up(addresses[0], "a:b").await["statusCode"], 400);
        assert_eq!(sign_up(addresses[0], &bob.email).await["statusCode"], 400);
        for address in addresses.iter().cycle().take(3) {
            let joined = sign_up(address, &unique("bob")).await;
            assert_eq!(joined["statusCode"], 201, "{joined}");
        }
        for (address, email) in addresses.iter().cycle().zip([&unique("bob"), &bob.email]) {
            let refused = sign_up(address, email).await;
            assert_eq!(refused["statusCode"], 429, "{refused}");
            let body: Value = serde_json::from_str(refused["body"].as_str().unwrap()).unwrap();
            assert_eq!(body, json!({ "error": "Too many sign-ups from your network: try again later" }));
            let seconds: u64 = refused["headers"]["retry-after"].as_str().unwrap().parse().unwrap();
            assert!((800..=900).contains(&seconds), "{refused}");
        }
        assert_eq!(sign_up(another, &unique("bob")).await["statusCode"], 201);
    }
}

/// Starts new instances of a function, as a deployment does.
async fn anew(stack: &Stack, function: &'static str) -> Undo {
    with(stack, function, "LOG_LEVEL", "warn").await
}

#[tokio::test]
async fn the_first_login_in_a_migrated_database_makes_its_index() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let has_index = async || stack.users.list_index_names().await.unwrap().contains(&"email_1".to_owned());
    assert!(has_index().await);
    let unique_email =
        IndexModel::builder().keys(doc! { "email": 1 }).options(IndexOptions::builder().unique(true).build()).build();
    let (twice, email) = (vec![ObjectId::new(), ObjectId::new()], unique("twice"));
    let put_back = {
        let (twice, unique_email) = (twice.clone(), unique_email.clone());
        Undo::by(async move || {
            let users = Stack::running().await.users;
            users.delete_many(doc! { "_id": { "$in": twice } }).await.unwrap();
            users.create_index(unique_email).await.unwrap();
        })
    };
    stack.users.drop_index("email_1").await.unwrap();
    let undo = anew(&stack, "auth").await;
    assert_eq!(stack.anyone().connect(&bob.email, PASSWORD).await.status, 200);
    assert!(has_index().await);
    drop(undo);

    // With two accounts of one e-mail there can be no unique index, and all other users can log in.
    stack.users.drop_index("email_1").await.unwrap();
    for id in &twice {
        stack.users.insert_one(doc! { "_id": id, "email": &email, "password": "" }).await.unwrap();
    }
    let since = SystemTime::now() - Duration::from_secs(1);
    let undo = anew(&stack, "auth").await;
    for _ in 0..2 {
        assert_eq!(stack.anyone().connect(&bob.email, PASSWORD).await.status, 200);
    }
    assert!(!has_index().await);
    let lines = eventually("a line about it", Duration::from_secs(20), async || {
        let lines = stack.log_lines(since).await;
        lines.iter().any(|line| line.contains("users.email cannot be made unique")).then_some(lines)
    })
    .await;
    assert!(lines.iter().all(|line| !line.contains(&email)), "{lines:?}");
    drop(undo);
    drop(put_back);
    assert!(has_index().await);
}

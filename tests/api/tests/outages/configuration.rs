//! A stack that is told otherwise: to store passwords as the original does, to take fewer failures from an address.

use api::{PASSWORD, SHA1_OF_PASSWORD, Stack, encoded, unique};
use mongodb::bson::doc;
use serde_json::{Value, json};

use crate::{alone, faults::environment as with};

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
    // … and stays so, for the original to read.
    assert_eq!(stored().await, SHA1_OF_PASSWORD);
}

/// A login from somewhere, with a header that says it is from somewhere else; the status.
async fn login(stack: &Stack, source_ip: &str, said: &str, email: &str, password: &str) -> u64 {
    let authorization = format!("Basic {}", encoded(format!("{email}:{password}").as_bytes()));
    let headers =
        json!({ "authorization": authorization, "x-forwarded-for": said, "forwarded": format!("for={said}") });
    let answer = stack.hand_from(source_ip, "auth", "GET", "/connect", headers).await;
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
async fn s14_after_ten_failures_an_address_is_closed_whomever_it_tries() {
    let (_alone, stack) = alone().await;
    // Before: other tests have failed to log in from where this one does.
    let bob = stack.user("bob").await;
    let _undo = with(&stack, "auth", "FAILURES_PER_ADDRESS", "10").await;
    for (addresses, another) in [
        (vec!["203.0.113.7"], "203.0.113.8"),
        (vec!["198.51.100.1", "::ffff:198.51.100.1"], "198.51.100.2"),
        (vec!["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:DB8:1:2::3"], "2001:db8:1:3::1"),
    ] {
        for (n, address) in addresses.iter().cycle().take(10).enumerate() {
            let nobody = unique("nobody");
            // What a header says is nobody's business, least of all that of who is named in it.
            assert_eq!(login(&stack, address, another, &nobody, PASSWORD).await, 401, "{n} from {address}");
        }
        for address in addresses {
            assert_eq!(login(&stack, address, another, &unique("nobody"), PASSWORD).await, 429, "{address}");
            assert_eq!(login(&stack, address, another, &bob.email, PASSWORD).await, 429, "{address}");
        }
        assert_eq!(login(&stack, another, "203.0.113.7", &bob.email, PASSWORD).await, 200);
    }
}

//! A stack that is told to store passwords as the original does.

use api::{PASSWORD, SHA1_OF_PASSWORD, Stack, unique};
use mongodb::bson::doc;
use serde_json::json;

use crate::{alone, faults::Undo};

/// Changes one variable of a function's environment.
async fn with(stack: &Stack, function: &'static str, variable: &str, value: &str) -> Undo {
    let before = stack.environment(function).await;
    let mut changed = before.clone();
    changed[variable] = json!(value);
    let undo = Undo::by(async move || Stack::running().await.set_environment(function, &before).await);
    stack.set_environment(function, &changed).await;
    undo
}

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

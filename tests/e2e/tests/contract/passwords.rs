//! `PUT /users/me/password`.

use e2e::{Answer, Client, PASSWORD, Stack, User, unique};
use futures_util::future::{join, join_all};
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::{Value, json};

const NEW: &str = "another 1234!";

async fn change(client: &Client, body: Value) -> Answer {
    client.request("PUT", "/users/me/password").json(body).send().await
}

async fn change_to(client: &Client, password: &str, new: &str) -> Answer {
    change(client, json!({ "password": password, "newPassword": new })).await
}

async fn stored(stack: &Stack, id: ObjectId) -> String {
    let user = stack.users.find_one(doc! { "_id": id }).await.unwrap().unwrap();
    user.get_str("password").unwrap().to_owned()
}

async fn is_open(stack: &Stack, token: &str) -> bool {
    let answer = stack.anyone().with_token(token).get("/users/me").await;
    assert!([200, 401].contains(&answer.status), "{answer}");
    answer.status == 200
}

fn token(session: &Answer) -> String {
    session.json()["token"].as_str().unwrap().to_owned()
}

/// This number of users, each with a session.
async fn people(stack: &Stack, count: usize) -> Vec<User> {
    join_all((0..count).map(|_| stack.user("bob"))).await
}

#[tokio::test]
async fn a_changed_password_is_the_only_one_that_logs_in() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let answer = change_to(&bob, PASSWORD, NEW).await;
    assert_eq!((answer.status, answer.body.as_slice()), (204, &[][..]));
    stack.anyone().connect(&bob.email, PASSWORD).await.fails(401, "Unauthorized");
    assert_eq!(stack.anyone().connect(&bob.email, NEW).await.status, 200);
    let hash = stored(&stack, bob.object_id()).await;
    assert!(hash.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{hash}");
    // The same password is a valid new password.
    assert_eq!(change_to(&bob, NEW, NEW).await.status, 204);
    assert_ne!(stored(&stack, bob.object_id()).await, hash);
}

#[tokio::test]
async fn a_changed_password_ends_all_other_sessions_of_the_user_and_no_others() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let others = [bob.another_token().await, bob.another_token().await];
    assert_eq!(change_to(&bob, PASSWORD, NEW).await.status, 204);
    for other in others {
        assert!(!is_open(&stack, &other).await);
    }
    assert!(is_open(&stack, &bob.token).await);
    assert!(is_open(&stack, &eve.token).await);
}

#[tokio::test]
async fn the_first_thing_that_is_wrong_with_a_change_is_named() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (before, other) = (stored(&stack, bob.object_id()).await, bob.another_token().await);
    let (longest, too_long) = ("x".repeat(1024), "x".repeat(1025));
    for (body, status, error) in [
        (json!({}), 400, "Missing password"),
        (json!({ "newPassword": too_long }), 400, "Missing password"),
        (json!({ "password": { "$ne": null }, "newPassword": NEW }), 400, "Missing password"),
        (json!({ "password": "wrong" }), 400, "Missing newPassword"),
        (json!({ "password": too_long, "newPassword": "" }), 400, "Missing newPassword"),
        (json!({ "password": "wrong", "newPassword": ["x"] }), 400, "Missing newPassword"),
        (json!({ "password": "wrong", "newPassword": too_long }), 400, "Invalid password"),
        (json!({ "password": too_long, "newPassword": NEW }), 401, "Unauthorized"),
        (json!({ "password": "wrong", "newPassword": NEW }), 401, "Unauthorized"),
        (json!({ "password": format!("{PASSWORD} "), "newPassword": NEW }), 401, "Unauthorized"),
        (json!({ "password": before, "newPassword": NEW }), 401, "Unauthorized"),
    ] {
        change(&bob, body).await.fails(status, error);
    }
    bob.request("PUT", "/users/me/password").body("application/json", "{").send().await.fails(400, "Invalid JSON");
    assert_eq!(stored(&stack, bob.object_id()).await, before);
    assert!(is_open(&stack, &other).await);

    assert_eq!(change_to(&bob, PASSWORD, &longest).await.status, 204);
    assert_eq!(stack.anyone().connect(&bob.email, &longest).await.status, 200);
}

#[tokio::test]
async fn exactly_one_of_many_concurrent_password_changes_succeeds() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let new: Vec<String> = (0..6).map(|n| format!("new {n}")).collect();
    let answers = join_all(new.iter().map(|new| change_to(&bob, PASSWORD, new))).await;
    let mut good = Vec::new();
    for (answer, new) in answers.iter().zip(&new) {
        match answer.status {
            204 => good.push(new),
            401 => answer.fails(401, "Unauthorized"),
            _ => answer.fails(409, "The password has been changed meanwhile"),
        }
    }
    assert_eq!(good.len(), 1, "{good:?}");
    assert_eq!(stack.anyone().connect(&bob.email, good[0]).await.status, 200);
}

#[tokio::test]
async fn a_login_that_races_with_a_password_change_leaves_no_old_session() {
    let stack = Stack::running().await;
    for bob in people(&stack, 12).await {
        let anyone = stack.anyone();
        let logins = join_all((0..5).map(|_| anyone.connect(&bob.email, PASSWORD)));
        let (changed, logins) = join(change_to(&bob, PASSWORD, NEW), logins).await;
        assert_eq!(changed.status, 204, "{changed}");
        for login in logins {
            match login.status {
                200 => assert!(!is_open(&stack, &token(&login)).await),
                _ => login.fails(401, "Unauthorized"),
            }
        }
        assert_eq!(bob.get("/users/me/sessions").await.json().as_array().unwrap().len(), 1);
        assert_eq!(stack.anyone().connect(&bob.email, NEW).await.status, 200);
    }
}

#[tokio::test]
async fn a_legacy_password_can_be_changed_and_is_argon2id_then() {
    let stack = Stack::running().await;
    let bob = stack.user("veteran").await;
    let legacy = doc! { "$set": { "password": e2e::SHA1_OF_PASSWORD } };
    stack.users.update_one(doc! { "_id": bob.object_id() }, legacy).await.unwrap();
    change_to(&bob, "wrong", NEW).await.fails(401, "Unauthorized");
    assert_eq!(change_to(&bob, PASSWORD, NEW).await.status, 204);
    assert!(stored(&stack, bob.object_id()).await.starts_with("$argon2id$"));
    assert_eq!(stack.anyone().connect(&bob.email, NEW).await.status, 200);
}

#[tokio::test]
async fn s16_the_upgrade_overwrites_no_newer_password() {
    let stack = Stack::running().await;
    // A hash in the product's format.
    let donor = stack.user("donor").await;
    assert_eq!(change_to(&donor, PASSWORD, NEW).await.status, 204);
    let newer = stored(&stack, donor.object_id()).await;
    for _ in 0..12 {
        let (id, email, anyone) = (ObjectId::new(), unique("veteran"), stack.anyone());
        let veteran = doc! { "_id": id, "email": &email, "password": e2e::SHA1_OF_PASSWORD };
        stack.users.insert_one(veteran).await.unwrap();
        let logins = join_all((0..4).map(|_| anyone.connect(&email, PASSWORD)));
        // A concurrent change, after the first login has read or replaced the old password.
        let change = async {
            anyone.get("/users/me").await;
            let set = doc! { "$set": { "password": &newer } };
            stack.users.update_one(doc! { "_id": id }, set).await.unwrap();
        };
        let (logins, ()) = join(logins, change).await;
        assert!(logins.iter().all(|login| [200, 401].contains(&login.status)));
        assert_eq!(stored(&stack, id).await, newer);
        assert_eq!(anyone.connect(&email, NEW).await.status, 200);
        anyone.connect(&email, PASSWORD).await.fails(401, "Unauthorized");
    }
}

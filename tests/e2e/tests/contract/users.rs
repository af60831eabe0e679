//! Accounts.

use e2e::{PASSWORD, SHA1_OF_PASSWORD, Stack, unique};
use futures_util::future::join_all;
use mongodb::bson::doc;
use serde_json::json;

#[tokio::test]
async fn signing_up_answers_with_id_and_email_and_nothing_else() {
    let stack = Stack::running().await;
    let email = unique("bob");
    let answer = stack.anyone().sign_up(&email, PASSWORD).await;
    let stored = stack.users.find_one(doc! { "email": &email }).await.unwrap().unwrap();
    let id = stored.get_object_id("_id").unwrap().to_hex();
    answer.is(201, json!({ "id": id, "email": email }));
    assert_eq!(answer.text(), format!(r#"{{"id":"{id}","email":"{email}"}}"#));
}

#[tokio::test]
async fn the_first_thing_that_is_wrong_is_named() {
    let stack = Stack::running().await;
    let (anyone, bob) = (stack.anyone(), stack.user("bob").await);
    anyone.post("/users", json!({})).await.fails(400, "Missing email");
    anyone.post("/users", json!({ "password": "x" })).await.fails(400, "Missing email");
    anyone.post("/users", json!({ "email": "" })).await.fails(400, "Missing email");
    anyone.post("/users", json!({ "email": bob.email })).await.fails(400, "Missing password");
    anyone.post("/users", json!({ "email": bob.email, "password": "" })).await.fails(400, "Missing password");
    anyone.sign_up(&bob.email, "another").await.fails(400, "Already exist");
    anyone.post("/users", json!({ "email": "a:b" })).await.fails(400, "Missing password");
    anyone.sign_up("a:b", &"x".repeat(1025)).await.fails(400, "Invalid email");
}

#[tokio::test]
async fn an_email_is_at_most_320_bytes_without_colon_and_control_characters() {
    let stack = Stack::running().await;
    let name = unique("bob");
    let rest = 320 - name.len();
    for good in [format!("{name}{}", "x".repeat(rest)), format!("{name}{}", "é".repeat(rest / 2)), format!("{name} 🌍")]
    {
        assert_eq!(stack.anyone().sign_up(&good, PASSWORD).await.status, 201, "{good:?}");
        assert_eq!(stack.anyone().connect(&good, PASSWORD).await.status, 200, "{good:?}");
    }
    for bad in [
        format!("{name}{}", "x".repeat(rest + 1)),
        format!("{name}{}", "é".repeat(rest)),
        "x".repeat(60_000),
        format!("{name}:"),
        format!(":{name}"),
        format!("{name}\n"),
        format!("{name}\0"),
        format!("{name}\u{7f}"),
        format!("{name}\u{85}"),
    ] {
        stack.anyone().sign_up(&bad, PASSWORD).await.fails(400, "Invalid email");
        assert_eq!(stack.users.count_documents(doc! { "email": bad }).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn an_account_of_the_original_logs_in_whatever_its_email_is() {
    let stack = Stack::running().await;
    for email in [format!("{}{}", unique("veteran"), "x".repeat(1000)), format!("{}\n\u{1}", unique("veteran"))] {
        stack.users.insert_one(doc! { "email": &email, "password": SHA1_OF_PASSWORD }).await.unwrap();
        assert_eq!(stack.anyone().connect(&email, PASSWORD).await.status, 200, "{email:?}");
    }
}

#[tokio::test]
async fn s10_an_operator_is_not_an_email() {
    let stack = Stack::running().await;
    for email in [json!({ "$ne": null }), json!({ "$gt": "" }), json!(["a@b"])] {
        let answer = stack.anyone().post("/users", json!({ "email": email, "password": "x" })).await;
        answer.fails(400, "Missing email");
    }
}

#[tokio::test]
async fn a_refused_sign_up_stores_nothing() {
    let stack = Stack::running().await;
    let email = unique("bob");
    let by_email = doc! { "email": &email };
    stack.anyone().post("/users", json!({ "email": email })).await.fails(400, "Missing password");
    stack.anyone().sign_up(&email, &"x".repeat(1025)).await.fails(400, "Invalid password");
    assert_eq!(stack.users.count_documents(by_email.clone()).await.unwrap(), 0);

    assert_eq!(stack.anyone().sign_up(&email, PASSWORD).await.status, 201);
    let stored = stack.users.find_one(by_email.clone()).await.unwrap();
    stack.anyone().sign_up(&email, "another").await.fails(400, "Already exist");
    assert_eq!(stack.users.find_one(by_email.clone()).await.unwrap(), stored);
    assert_eq!(stack.users.count_documents(by_email).await.unwrap(), 1);
}

#[tokio::test]
async fn an_email_is_compared_byte_for_byte() {
    let stack = Stack::running().await;
    let email = unique("bob");
    // The last two look the same: one is composed, one has a combining accent.
    let variants =
        [email.clone(), email.to_uppercase(), format!(" {email}"), format!("{email}é"), format!("{email}e\u{301}")];
    for variant in &variants {
        assert_eq!(stack.anyone().sign_up(variant, variant).await.status, 201, "{variant:?}");
    }
    for variant in &variants {
        assert_eq!(stack.anyone().connect(variant, variant).await.status, 200, "{variant:?}");
        stack.anyone().sign_up(variant, "x").await.fails(400, "Already exist");
    }
    stack.anyone().connect(&variants[0], &variants[1]).await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn r16_one_email_one_account() {
    let stack = Stack::running().await;
    let (email, anyone) = (unique("bob"), stack.anyone());
    let passwords: Vec<String> = (0..50).map(|n| format!("password {n}")).collect();
    let answers = join_all(passwords.iter().map(|password| anyone.sign_up(&email, password))).await;
    let (made, refused): (Vec<_>, Vec<_>) =
        answers.iter().zip(&passwords).partition(|(answer, _)| answer.status == 201);
    assert_eq!(made.len(), 1);
    for (answer, _) in refused {
        answer.fails(400, "Already exist");
    }
    assert_eq!(stack.users.count_documents(doc! { "email": &email }).await.unwrap(), 1);
    assert_eq!(anyone.connect(&email, made[0].1).await.status, 200);
}

#[tokio::test]
async fn a_password_is_stored_as_argon2id() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let stored = stack.users.find_one(doc! { "_id": bob.object_id() }).await.unwrap().unwrap();
    assert_eq!(stored.get_str("email").unwrap(), bob.email);
    let password = stored.get_str("password").unwrap();
    assert!(password.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{password}");
}

#[tokio::test]
async fn s15_a_password_is_its_exact_bytes_and_at_most_1024_of_them() {
    let stack = Stack::running().await;
    for password in ["  spaces  ", "pässwörd", "a:b:c:", "\u{1f512}", "line\nbreak", &"x".repeat(1024)] {
        let email = unique("bob");
        assert_eq!(stack.anyone().sign_up(&email, password).await.status, 201, "{password:?}");
        assert_eq!(stack.anyone().connect(&email, password).await.status, 200, "{password:?}");
        stack.anyone().connect(&email, &format!("{password} ")).await.fails(401, "Unauthorized");
    }
    stack.anyone().sign_up(&unique("bob"), &"é".repeat(513)).await.fails(400, "Invalid password");
}

#[tokio::test]
async fn s15_no_byte_of_a_password_is_ignored() {
    let stack = Stack::running().await;
    let longest = "x".repeat(1023);
    for (password, other) in [
        (" x", "x"),
        ("x\t", "x"),
        ("X", "x"),
        ("a\0b", "a\0c"),
        ("é", "e\u{301}"),
        (&*format!("{longest}a"), &*format!("{longest}b")),
    ] {
        let email = unique("bob");
        assert_eq!(stack.anyone().sign_up(&email, password).await.status, 201, "{password:?}");
        stack.anyone().connect(&email, other).await.fails(401, "Unauthorized");
        assert_eq!(stack.anyone().connect(&email, password).await.status, 200, "{password:?}");
    }
    for too_long in [format!("{longest}ab"), "é".repeat(513), format!("{}🌍", "x".repeat(1021)), "x".repeat(60_000)]
    {
        let email = unique("bob");
        stack.anyone().sign_up(&email, &too_long).await.fails(400, "Invalid password");
        assert_eq!(stack.users.count_documents(doc! { "email": email }).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn me_is_who_the_token_belongs_to() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let answer = bob.get("/users/me").await;
    answer.is(200, json!({ "id": bob.id, "email": bob.email }));
    assert_eq!(answer.text(), format!(r#"{{"id":"{}","email":"{}"}}"#, bob.id, bob.email));
    eve.get("/users/me").await.is(200, json!({ "id": eve.id, "email": eve.email }));
}

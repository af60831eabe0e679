//! `DELETE /users/me` deletes an account with all its data.

use std::time::Duration;

use e2e::{
    Answer, Client, PASSWORD, Stack, User, eventually,
    fixtures::jpeg,
    ledger::{all_of, not_deleted, object, ticket, with},
    networks_key, session_key,
    thumbnails::thumbnail,
    unique,
};
use mongodb::bson::{DateTime, Document, doc};
use redis::AsyncCommands;
use serde_json::json;

/// The time limit of the tests, which invoke the sweeper themselves.
const SOON: Duration = Duration::from_secs(20);

async fn leave(client: &Client, password: &str) -> Answer {
    client.request("DELETE", "/users/me").json(json!({ "password": password })).send().await
}

/// Waits until the ledger has no row of the user, and the bucket has none of these keys.
async fn is_swept(stack: &Stack, user: &User, keys: &[String]) {
    eventually("nothing is left of the account", SOON, async || {
        stack.invoke("sweeper", &json!({})).await;
        let theirs = all_of(user.object_id());
        let rows = stack.count_rows(theirs.clone()).await;
        let tickets = stack.database.collection::<Document>("tickets").count_documents(theirs).await.unwrap();
        let mut objects = 0;
        for key in keys {
            objects += stack.objects(key).await.len();
        }
        (rows + tickets == 0 && objects == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let other = bob.another_token().await;
    let image = bob.upload_image("photo.jpg", &jpeg(600, 400)).await;
    thumbnail(&bob, &image, 100).await;
    bob.publish(&image).await;
    let folder = bob.folder("inbox").await;
    let ticket = bob.post("/uploads/tickets", json!({ "parentId": folder })).await.json()["ticket"].clone();
    let form = format!("/uploads/{}/s3/params?filename=a.txt&type=text%2Fplain", ticket.as_str().unwrap());
    assert_eq!(stack.anyone().get(&form).await.status, 200);
    let begun = bob.create(json!({ "name": "a.txt", "type": "file", "size": 5 })).await.json();
    let pending = begun["id"].as_str().unwrap();
    let keys =
        [stack.row(&image).await.key().to_owned(), format!("thumbnails/{image}/"), format!("uploads/{pending}/")];
    let eves = eve.upload("notes.txt", b"hi").await;

    let answer = leave(&bob, PASSWORD).await;
    assert_eq!((answer.status, answer.body.as_slice()), (204, &[][..]), "{answer}");
    // The sessions end at once.
    for token in [&bob.token, &other] {
        stack.anyone().with_token(token).get("/users/me").await.fails(401, "Unauthorized");
        assert!(!stack.redis().await.exists::<_, bool>(session_key(token)).await.unwrap());
    }
    for key in [format!("sessions_{}", bob.id), networks_key(&bob.email)] {
        assert!(!stack.redis().await.exists::<_, bool>(&key).await.unwrap(), "{key}");
    }
    stack.anyone().connect(&bob.email, PASSWORD).await.fails(401, "Unauthorized");
    for path in [format!("/files/{image}/data"), format!("/files/{image}/data?size=100")] {
        stack.anyone().get(&path).await.fails(404, "Not found");
    }
    assert_eq!(stack.anyone().get(&form).await.status, 401);
    leave(&bob, PASSWORD).await.fails(401, "Unauthorized");

    // Bytes that are stored late belong to no user.
    let put = stack.http.put(begun["upload"]["url"].as_str().unwrap());
    let put = put.header("Content-Type", "text/plain; charset=utf-8").header("If-None-Match", "*").body("hello");
    assert_eq!(put.send().await.unwrap().status(), 200);
    is_swept(&stack, &bob, &keys).await;
    assert_eq!(eve.get(&format!("/files/{eves}/data")).await.body, b"hi");
}

#[tokio::test]
async fn the_email_of_an_account_that_ended_is_free_at_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    assert_eq!(leave(&bob, PASSWORD).await.status, 204);

    let joined = stack.anyone().sign_up(&bob.email, "another").await;
    assert_eq!(joined.status, 201, "{joined}");
    assert_ne!(joined.json()["id"], bob.id);
    stack.anyone().connect(&bob.email, PASSWORD).await.fails(401, "Unauthorized");
    let session = stack.anyone().connect(&bob.email, "another").await.json();
    let heir = stack.anyone().with_token(session["token"].as_str().unwrap());
    assert!(heir.get("/files").await.documents().is_empty());
    heir.get(&format!("/files/{file}")).await.fails(404, "Not found");
    assert_eq!(heir.get("/users/me/sessions").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_the_password_an_account_stays_as_it_is() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, other) = (bob.upload("notes.txt", b"hi").await, bob.another_token().await);
    for body in [json!({}), json!({ "password": "" }), json!({ "password": { "$ne": null } }), json!([PASSWORD])] {
        bob.request("DELETE", "/users/me").json(body).send().await.fails(400, "Missing password");
    }
    bob.request("DELETE", "/users/me").send().await.fails(400, "Missing password");
    for wrong in ["wrong", &format!("{PASSWORD} "), &"x".repeat(1025)] {
        leave(&bob, wrong).await.fails(401, "Unauthorized");
    }
    assert_eq!(bob.get(&format!("/files/{file}/data")).await.body, b"hi");
    assert_eq!(stack.anyone().with_token(other).get("/users/me").await.status, 200);
}

#[tokio::test]
async fn thousands_of_files_go_with_their_account() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let rows = (0..5000).map(|n| {
        doc! {
            "userId": bob.object_id(), "name": format!("{n}"), "type": "folder", "isPublic": true, "parentId": 0,
        }
    });
    stack.files.insert_many(rows).await.unwrap();
    assert_eq!(leave(&bob, PASSWORD).await.status, 204);
    assert_eq!(stack.count_rows(with(all_of(bob.object_id()), not_deleted())).await, 0);
    is_swept(&stack, &bob, &[]).await;
}

/// The state after a request that authenticated before the account was deleted and stored data after it.
#[tokio::test]
async fn data_stored_after_its_account_was_deleted_is_swept() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    assert_eq!(leave(&bob, PASSWORD).await.status, 204);
    let key = format!("files/{}", unique("late"));
    stack.put_object(&key, b"hi".to_vec()).await;
    let late = doc! {
        "userId": bob.object_id(), "name": "late.txt", "type": "file", "isPublic": true, "parentId": 0,
    };
    stack.files.insert_one(with(late, object(&key, 2))).await.unwrap();
    stack.database.collection("tickets").insert_one(ticket(bob.object_id(), DateTime::MAX)).await.unwrap();
    is_swept(&stack, &bob, &[key]).await;
}

/// The deletion was recorded, but the account was not removed, and the request was not repeated.
#[tokio::test]
async fn a_user_whose_deletion_failed_keeps_all_files() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let departures = stack.database.collection::<Document>("departures");
    let two_minutes_ago = DateTime::from_millis(DateTime::now().timestamp_millis() - 120_000);
    departures.insert_one(doc! { "_id": bob.object_id(), "notedAt": two_minutes_ago }).await.unwrap();
    eventually("the note is gone", SOON, async || {
        stack.invoke("sweeper", &json!({})).await;
        departures.find_one(doc! { "_id": bob.object_id() }).await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!(bob.get(&format!("/files/{file}/data")).await.body, b"hi");
    assert_eq!(leave(&bob, PASSWORD).await.status, 204);
}

//! `Idempotency-Key`: a repeated request creates nothing again.

use e2e::{
    Answer, Stack, User, encoded,
    ledger::{self, all_of, due_tombstone, expires_at, pending, tombstone},
    unique,
};
use mongodb::bson::DateTime;
use serde_json::{Value, json};

async fn create(user: &User, key: &str, file: &Value) -> Answer {
    user.request("POST", "/files").header("Idempotency-Key", key).json(file).send().await
}

fn id(answer: &Answer) -> String {
    answer.document(201)["id"].as_str().unwrap().to_owned()
}

/// An upload inside the request, an entry without bytes, a single PUT to S3, and a multipart upload.
fn of_every_kind() -> [Value; 4] {
    [
        json!({ "name": "a.txt", "type": "file", "data": encoded(b"hello") }),
        json!({ "name": "a", "type": "folder" }),
        json!({ "name": "a.txt", "type": "file", "size": 5 }),
        json!({ "name": "a.bin", "type": "file", "size": 200 << 20 }),
    ]
}

#[tokio::test]
async fn r11_a_repeated_request_makes_one_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for file in of_every_kind() {
        let key = unique("key");
        let rows = async || stack.count_rows(all_of(bob.object_id())).await;
        let before = rows().await;
        let first = id(&create(&bob, &key, &file).await);
        let again = futures_util::future::join_all((0..6).map(|_| create(&bob, &key, &file))).await;
        for answer in &again {
            assert_eq!(id(answer), first);
            assert_eq!(answer.json().get("upload").is_some(), file.get("size").is_some(), "{answer}");
        }
        assert_eq!(rows().await, before + 1);
        let mut other = file.clone();
        other["name"] = json!("b");
        create(&bob, &key, &other).await.fails(422, "This Idempotency-Key was used for another request");
        assert_eq!(rows().await, before + 1);
    }
}

#[tokio::test]
async fn r11_concurrent_attempts_make_one_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (key, file) = (unique("key"), json!({ "name": "a.txt", "type": "file", "data": encoded(&vec![7; 100_000]) }));
    let answers = futures_util::future::join_all((0..12).map(|_| create(&bob, &key, &file))).await;
    let ids: Vec<_> = answers.iter().map(id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 1);
    bob.get(&format!("/files/{}/data", ids[0])).await.is_content("text/plain; charset=utf-8", &vec![7; 100_000]);
}

#[tokio::test]
async fn r11_a_retry_finishes_a_request_that_died_half_way() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (key, file) = (unique("key"), json!({ "name": "a.txt", "type": "file", "data": encoded(b"hello") }));
    let first = id(&create(&bob, &key, &file).await);
    // The state after a function died between the row and the bytes.
    let row = stack.row(&first).await;
    stack.delete_object(row.key()).await;
    stack.set_row(&first, pending()).await;
    stack.forget_answer(&first).await;

    assert_eq!(id(&create(&bob, &key, &file).await), first);
    bob.get(&format!("/files/{first}/data")).await.is_content("text/plain; charset=utf-8", b"hello");
    // The state after a function died before the row.
    stack.files.delete_one(ledger::row(&first)).await.unwrap();
    stack.forget_usage(bob.object_id()).await;
    stack.delete_object(row.key()).await;
    stack.forget_answer(&first).await;
    assert_eq!(id(&create(&bob, &key, &file).await), first);
    bob.get(&format!("/files/{first}/data")).await.is_content("text/plain; charset=utf-8", b"hello");
}

#[tokio::test]
async fn r11_a_retried_request_has_a_full_grace_period() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (key, file) = (unique("key"), json!({ "name": "a.bin", "type": "file", "size": 5 }));
    let first = id(&create(&bob, &key, &file).await);
    // The state after a function died long ago, before it answered.
    let soon = DateTime::from_millis(DateTime::now().timestamp_millis() + 60_000);
    stack.set_row(&first, expires_at(soon)).await;
    stack.forget_answer(&first).await;
    create(&bob, &key, &file).await.document(201);
    let row = stack.row(&first).await;
    assert!(row.expires_at() > soon, "{row}");
}

#[tokio::test]
async fn r11_a_retry_restores_no_deleted_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (key, file) = (unique("key"), json!({ "name": "a.txt", "type": "file", "data": encoded(b"hello") }));
    let first = id(&create(&bob, &key, &file).await);
    assert_eq!(bob.request("DELETE", &format!("/files/{first}")).send().await.status, 204);
    let gone = "The file this request created was deleted";
    create(&bob, &key, &file).await.fails(409, gone);
    stack.invoke("sweeper", &json!({})).await;
    create(&bob, &key, &file).await.fails(409, gone);
}

#[tokio::test]
async fn r11_a_retry_restores_no_file_that_was_deleted_before_its_answer() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (key, file) = (unique("key"), json!({ "name": "a.txt", "type": "file", "data": encoded(b"hello") }));
    let first = id(&create(&bob, &key, &file).await);
    // The state after the function died before it answered, and a client deleted the file that it found in a listing.
    stack.forget_answer(&first).await;
    stack.set_row(&first, tombstone()).await;
    create(&bob, &key, &file).await.fails(409, "The file this request created was deleted");
    stack.set_row(&first, due_tombstone()).await;
}

#[tokio::test]
async fn r11_a_late_attempt_restores_no_deleted_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for file in of_every_kind() {
        let key = unique("key");
        let first = id(&create(&bob, &key, &file).await);
        let object = stack.row(&first).await.any_key().map(str::to_owned);
        assert_eq!(bob.request("DELETE", &format!("/files/{first}")).send().await.status, 204);
        stack.invoke("sweeper", &json!({})).await;
        // One attempt read the state before the other was complete, and one was about to store the bytes.
        stack.forget_answer(&first).await;
        create(&bob, &key, &file).await.fails(409, "The file this request created was deleted");
        if let Some(object) = &object {
            stack.put_object(object, b"hello".to_vec()).await;
        }
        stack.invoke("sweeper", &json!({})).await;
        let row = stack.row(&first).await;
        assert!(row.is_tombstone(), "{file}");
        let after = row.expires_in();
        assert!((30_000..=60_000).contains(&after), "{after} ms");
        // A minute later no attempt can still be running.
        stack.set_row(&first, due_tombstone()).await;
        stack.invoke("sweeper", &json!({})).await;
        assert_eq!(stack.find_row(&first).await, None, "{file}");
        if let Some(object) = &object {
            assert_eq!(stack.objects(object).await, [""; 0], "{file}");
        }
    }
}

#[tokio::test]
async fn r11_a_key_belongs_to_one_user_and_is_validated() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (key, file) = (unique("key"), json!({ "name": "a.txt", "type": "file", "data": "aGk=" }));
    assert_ne!(id(&create(&bob, &key, &file).await), id(&create(&eve, &key, &file).await));
    let long = "k".repeat(256);
    for key in ["", "é", &long] {
        create(&bob, key, &file).await.fails(400, "Invalid Idempotency-Key: 1 to 255 characters of ASCII");
    }
    // A refused request created nothing, and its key may be used again with a valid body.
    create(&bob, &long[1..], &json!({ "name": "a" })).await.fails(400, "Missing type");
    create(&bob, &long[1..], &file).await.document(201);
}

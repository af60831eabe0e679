//! Clients of the releases before the file manager notice nothing but keys after those that they know.

use e2e::{Answer, Stack, encoded, id_of};
use serde_json::{Value, json};

/// Asserts that a body begins with what it was, and that only `newer` keys follow.
#[track_caller]
fn is_as_it_was(answer: &Answer, status: u16, expected: &str, newer: &str) {
    assert_eq!((answer.status, answer.header("content-type")), (status, "application/json; charset=utf-8"));
    assert_eq!(answer.text(), format!("{expected}{newer}"), "of {answer}");
}

/// The text of a document as the releases before wrote it, without the brace at its end.
fn text(document: &Value, rest: &str) -> String {
    let (id, user) = (&document["id"], &document["userId"]);
    let times = format!(r#""createdAt":{},"updatedAt":{}"#, document["createdAt"], document["updatedAt"]);
    format!(r#"{{"id":{id},"userId":{user},{}"#, rest.replace("TIMES", &times))
}

#[tokio::test]
async fn f61_documents_are_the_same_bytes_but_for_newer_keys() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let created = bob.create(json!({ "name": "in", "type": "folder" })).await;
    let folder = created.document(201);
    let of_folder = text(&folder, r#""name":"in","type":"folder","isPublic":false,"parentId":0,TIMES"#);
    is_as_it_was(&created, 201, &of_folder, r#","revision":1}"#);
    let id = id_of(&folder);
    is_as_it_was(&bob.show(&id).await, 200, &of_folder, r#","revision":1}"#);

    let data = encoded(b"hi");
    let file = json!({ "name": "a.txt", "type": "file", "parentId": id, "isPublic": true, "data": data });
    let created = bob.create(file).await;
    let file = created.document(201);
    let rest = format!(
        r#""name":"a.txt","type":"file","isPublic":true,"parentId":"{id}","size":2,"contentType":"text/plain; charset=utf-8",TIMES"#
    );
    let of_file = text(&file, &rest);
    is_as_it_was(&created, 201, &of_file, r#","revision":1}"#);

    let image = json!({ "name": "a.jpg", "type": "image", "parentId": id, "data": data });
    let created = bob.create(image).await;
    let image = created.document(201);
    let rest = format!(
        r#""name":"a.jpg","type":"image","isPublic":false,"parentId":"{id}","size":2,"contentType":"image/jpeg",TIMES,"thumbnails":"due""#
    );
    is_as_it_was(&created, 201, &text(&image, &rest), r#","revision":1}"#);
    bob.discard(&id_of(&image)).await;

    let listed = bob.get(&format!("/files?parentId={id}")).await;
    is_as_it_was(&listed, 200, &format!("[{of_file}"), r#","revision":1}]"#);
    assert_eq!((listed.header("link"), listed.header("etag")), ("", ""));

    let private = bob.put(&format!("/files/{}/unpublish", id_of(&file))).await;
    let document = private.document(200);
    let rest = format!(
        r#""name":"a.txt","type":"file","isPublic":false,"parentId":"{id}","size":2,"contentType":"text/plain; charset=utf-8",TIMES"#
    );
    is_as_it_was(&private, 200, &text(&document, &rest), r#","revision":2}"#);
    bob.delete(&format!("/files/{}", id_of(&file))).await.is_empty(204);
    bob.get(&format!("/files?parentId={id}")).await.is(200, json!([]));
    bob.get("/trash").await.is(200, json!([]));
}

#[tokio::test]
async fn f61_an_upload_begins_with_the_same_answer() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let created = bob.create(json!({ "name": "a.txt", "type": "file", "size": 5 })).await;
    let begun = created.json();
    let rest = r#""name":"a.txt","type":"file","isPublic":false,"parentId":0,"size":5,"contentType":"text/plain; charset=utf-8",TIMES"#;
    let expected = format!("{},\"revision\":1,\"upload\":{{", text(&begun, rest));
    assert!(created.text().starts_with(&expected), "{created}");
    let keys: Vec<_> = begun["upload"].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert!(begun.get("replaces").is_none());
}

#[tokio::test]
async fn f61_the_other_answers_have_no_newer_keys() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    bob.get("/users/me").await.is(200, json!({ "id": bob.id, "email": bob.email }));
    stack.anyone().get("/status").await.is(200, json!({ "redis": true, "db": true }));
    let stats = stack.anyone().get("/stats").await.json();
    assert!(stats["users"].is_u64() && stats["files"].is_u64() && stats.as_object().unwrap().len() == 2, "{stats}");
    let ticket = bob.post("/uploads/tickets", json!({})).await.json();
    let keys: Vec<_> = ticket.as_object().unwrap().keys().cloned().collect();
    assert!(keys.contains(&"ticket".to_owned()) && keys.contains(&"companionEndpoint".to_owned()), "{keys:?}");
}

/// What a client of an earlier release sends still means what it meant.
#[tokio::test]
async fn f61_fields_that_nobody_read_before_are_not_needed_now() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for _ in 0..2 {
        assert_eq!(bob.create(json!({ "name": "a", "type": "folder" })).await.tagged(201)["name"], "a");
    }
    let id = bob.upload("a.txt", b"hi").await;
    // A cache may send a tag of its own with a read.
    let read = bob.request("GET", &format!("/files/{id}")).header("If-Match", "\"9\"").send().await;
    assert_eq!(read.status, 200, "{read}");
    let data = bob.request("GET", &format!("/files/{id}/data")).header("If-Match", "\"1\"").send().await;
    data.fails(412, "Precondition failed");
}

//! API keys: tokens for programs, with rights that are less than the user's.

use std::time::Duration;

use e2e::{Client, PASSWORD, Stack, User, eventually, id_of};
use mongodb::bson::{Document, doc, oid::ObjectId};
use serde_json::{Value, json};

const BEYOND: &str = "This key may not do that";

async fn make(user: &User, body: Value) -> Value {
    let made = user.post("/users/me/keys", body).await;
    assert_eq!(made.status, 201, "{made}");
    made.json()
}

/// A client with a key that has these scopes, for this folder if there is one.
async fn with_key(stack: &Stack, user: &User, scopes: &[&str], folder: Option<&str>) -> Client {
    let key = make(user, json!({ "name": "a key", "scopes": scopes, "parentId": folder })).await;
    stack.anyone().with_token(key["key"].as_str().unwrap())
}

#[tokio::test]
async fn f59_a_key_is_shown_once_listed_and_deleted() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let key = make(&bob, json!({ "name": "backup", "scopes": ["read", "upload"] })).await;
    let text = key["key"].as_str().unwrap();
    assert!(text.starts_with("fm.") && text.len() == 46, "{key}");
    assert_eq!(key["parentId"], Value::Null);
    assert_eq!(key["expiresAt"], Value::Null);
    let listed = bob.get("/users/me/keys").await.json();
    let mut expected = key.clone();
    expected.as_object_mut().unwrap().remove("key");
    expected["lastUsedAt"] = Value::Null;
    assert_eq!(listed, json!([expected]));
    eve.get("/users/me/keys").await.is(200, json!([]));

    let program = stack.anyone().with_token(text);
    program.get("/users/me").await.is(200, json!({ "id": bob.id, "email": bob.email }));
    let bearer = stack.anyone().request("GET", "/users/me").header("Authorization", &format!("Bearer {text}"));
    assert_eq!(bearer.send().await.status, 200);
    assert!(bob.get("/users/me/keys").await.json()[0]["lastUsedAt"].is_string());

    let path = format!("/users/me/keys/{}", id_of(&key));
    eve.delete(&path).await.fails(404, "Not found");
    bob.delete(&path).await.is_empty(204);
    bob.delete(&path).await.fails(404, "Not found");
    program.get("/users/me").await.fails(401, "Unauthorized");
    bob.get("/users/me/keys").await.is(200, json!([]));
}

#[tokio::test]
async fn f59_the_secret_of_a_key_is_nowhere_in_the_database() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let key = make(&bob, json!({ "name": "secret", "scopes": ["read"] })).await;
    let keys = stack.database.collection::<Document>("keys");
    let stored = keys.find_one(doc! { "userId": bob.object_id() }).await.unwrap().unwrap();
    assert!(!stored.to_string().contains(key["key"].as_str().unwrap().trim_start_matches("fm.")), "{stored}");
    let indexes = keys.list_index_names().await.unwrap();
    assert!(indexes.contains(&"sha256_1".to_owned()), "{indexes:?}");
}

#[tokio::test]
async fn f59_a_wrong_request_for_a_key_is_refused() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a.txt", b"hi").await;
    for (body, error) in [
        (json!({ "scopes": ["read"] }), "Missing name"),
        (json!({ "name": 5, "scopes": ["read"] }), "Missing name"),
        (json!({ "name": "x".repeat(256), "scopes": ["read"] }), "Invalid name"),
        (json!({ "name": "a\n", "scopes": ["read"] }), "Invalid name"),
        (json!({ "name": "a" }), "Invalid scopes"),
        (json!({ "name": "a", "scopes": [] }), "Invalid scopes"),
        (json!({ "name": "a", "scopes": "read" }), "Invalid scopes"),
        (json!({ "name": "a", "scopes": ["read", "read"] }), "Invalid scopes"),
        (json!({ "name": "a", "scopes": ["admin"] }), "Invalid scopes"),
        (json!({ "name": "a", "scopes": [["read"]] }), "Invalid scopes"),
        (json!({ "name": "a", "scopes": ["read"], "expiresIn": 0 }), "Invalid expiresIn: 1 to 31536000 seconds"),
        (
            json!({ "name": "a", "scopes": ["read"], "expiresIn": 31_536_001 }),
            "Invalid expiresIn: 1 to 31536000 seconds",
        ),
        (json!({ "name": "a", "scopes": ["read"], "expiresIn": "1" }), "Invalid expiresIn: 1 to 31536000 seconds"),
        (json!({ "name": "a", "scopes": ["read"], "parentId": ObjectId::new().to_hex() }), "Parent not found"),
        (json!({ "name": "a", "scopes": ["read"], "parentId": file }), "Parent is not a folder"),
        (json!([]), "Invalid JSON"),
    ] {
        bob.post("/users/me/keys", body).await.fails(400, error);
    }
    stack.anyone().post("/users/me/keys", json!({})).await.fails(401, "Unauthorized");
    for n in 0..100 {
        make(&bob, json!({ "name": n.to_string(), "scopes": ["read"] })).await;
    }
    let one_more = json!({ "name": "one more", "scopes": ["read"] });
    bob.post("/users/me/keys", one_more).await.fails(409, "Too many keys: 100 at most");
    assert_eq!(bob.get("/users/me/keys").await.json().as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn f59_a_key_ends_with_its_time_the_password_or_the_account() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let short = make(&bob, json!({ "name": "short", "scopes": ["read"], "expiresIn": 1 })).await;
    let short = stack.anyone().with_token(short["key"].as_str().unwrap());
    eventually("the end of its time", Duration::from_secs(5), async || {
        (short.get("/users/me").await.status == 401).then_some(())
    })
    .await;

    let program = with_key(&stack, &bob, &["read"], None).await;
    // The end of all other sessions is no matter for a key.
    bob.delete("/users/me/sessions").await.is_empty(204);
    assert_eq!(program.get("/users/me").await.status, 200);
    let kept = stack.database.collection::<Document>("keys");
    let stored = kept.find_one(doc! { "userId": bob.object_id() }).sort(doc! { "_id": -1 }).await.unwrap().unwrap();
    let change = json!({ "password": PASSWORD, "newPassword": "another one" });
    bob.request("PUT", "/users/me/password").json(change).send().await.is_empty(204);
    program.get("/users/me").await.fails(401, "Unauthorized");
    bob.get("/users/me/keys").await.is(200, json!([]));
    // A key is not valid after the change, even if the change did not come to delete the key.
    kept.insert_one(stored).await.unwrap();
    program.get("/users/me").await.fails(401, "Unauthorized");

    let eve = stack.user("eve").await;
    let program = with_key(&stack, &eve, &["read"], None).await;
    eve.request("DELETE", "/users/me").json(json!({ "password": PASSWORD })).send().await.is_empty(204);
    program.get("/users/me").await.fails(401, "Unauthorized");
    assert_eq!(kept.count_documents(doc! { "userId": eve.object_id() }).await.unwrap(), 0);
}

#[tokio::test]
async fn f59_public_content_is_for_every_key_and_private_for_readers() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (private, public) = (bob.upload("a.txt", b"hi").await, bob.upload("b.txt", b"ho").await);
    bob.publish(&public).await;
    let folder = bob.folder("empty").await;
    let content = |id: &str| format!("/files/{id}/data");
    let reader = with_key(&stack, &bob, &["read"], None).await;
    assert_eq!(reader.get(&content(&private)).await.body, b"hi");
    assert_eq!(reader.request("HEAD", &content(&private)).send().await.status, 200);
    for (client, status, error) in [
        (with_key(&stack, &bob, &["upload"], None).await, 403, BEYOND),
        (with_key(&stack, &bob, &["write"], None).await, 403, BEYOND),
        (with_key(&stack, &bob, &["read"], Some(&folder)).await, 404, "Not found"),
        (with_key(&stack, &eve, &["read"], None).await, 404, "Not found"),
        (stack.anyone().with_token(format!("fm.{}", "a".repeat(43))), 404, "Not found"),
    ] {
        assert_eq!(client.get(&content(&public)).await.body, b"ho");
        client.get(&content(&private)).await.fails(status, error);
    }
}

#[tokio::test]
async fn f59_an_upload_key_adds_files_and_replaces_nothing() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let program = with_key(&stack, &bob, &["upload"], None).await;
    let new = |on_conflict: &str| json!({ "name": "a.txt", "type": "file", "data": "aGk=", "onConflict": on_conflict });
    let file = id_of(&program.post("/files", new("keep")).await.tagged(201));
    program.post("/files", new("rename")).await.tagged(201);
    program.post("/files", new("replace")).await.fails(403, BEYOND);
    program.post("/uploads/tickets", json!({ "onConflict": "replace" })).await.fails(403, BEYOND);
    let sign = json!({ "method": "PUT", "key": "a.txt", "onConflict": "replace" });
    program.post("/uploads/sign", sign).await.fails(403, BEYOND);
    assert!(program.post("/uploads/tickets", json!({})).await.json()["ticket"].is_string());
    assert_eq!(bob.content(&file).await, b"hi");
    program.get(&format!("/files/{file}")).await.fails(403, BEYOND);
    program.delete(&format!("/files/{file}")).await.fails(403, BEYOND);
    program.get("/files").await.fails(403, BEYOND);
    let writer = with_key(&stack, &bob, &["write"], None).await;
    assert_eq!(id_of(&writer.post("/files", new("replace")).await.tagged(201)), file);
    writer.delete(&format!("/files/{file}")).await.is_empty(204);
}

#[tokio::test]
async fn f59_no_key_changes_the_account() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let program = with_key(&stack, &bob, &["read", "write", "upload"], None).await;
    let proof = json!({ "password": PASSWORD, "newPassword": "another one" });
    for (method, path) in [
        ("DELETE", "/users/me"),
        ("PUT", "/users/me/password"),
        ("GET", "/users/me/sessions"),
        ("DELETE", "/users/me/sessions"),
        ("GET", "/users/me/keys"),
        ("POST", "/users/me/keys"),
        ("DELETE", "/users/me/keys/5f1e7cda04a394508232559d"),
        ("GET", "/disconnect"),
    ] {
        program.request(method, path).json(&proof).send().await.fails(403, BEYOND);
    }
    assert_eq!(program.get("/users/me").await.status, 200);
}

#[tokio::test]
async fn f59_a_key_of_a_folder_reaches_only_what_is_in_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (inside, outside) = (bob.folder("inside").await, bob.folder("outside").await);
    let below = bob.folder_in(&inside, "below").await;
    let (near, far) =
        (bob.upload_into(&below, "near.txt", b"near").await, bob.upload_into(&outside, "far.txt", b"f").await);
    let program = with_key(&stack, &bob, &["read", "write"], Some(&inside)).await;

    assert_eq!(program.get(&format!("/files?parentId={inside}")).await.documents().len(), 1);
    assert_eq!(program.get(&format!("/files?parentId={below}")).await.documents().len(), 1);
    for place in
        ["", "?parentId=0", "?parentId=", &format!("?parentId={outside}"), &format!("?parentId={inside}&parentId=0")]
    {
        program.get(&format!("/files{place}")).await.fails(404, "Not found");
    }
    program.get(&format!("/files/{inside}")).await.tagged(200);
    assert_eq!(program.get(&format!("/files/{near}/data")).await.body, b"near");
    program.get(&format!("/files/{near}/versions")).await.is(200, json!([]));
    for path in ["", "/data", "/versions", "/usage"] {
        program.get(&format!("/files/{far}{path}")).await.fails(404, "Not found");
        program.get(&format!("/files/{}{path}", ObjectId::new())).await.fails(404, "Not found");
    }

    let new = |parent: Value| json!({ "name": "new", "type": "folder", "parentId": parent });
    program.post("/files", new(json!(below))).await.tagged(201);
    program.post("/files", new(json!(inside))).await.tagged(201);
    for parent in [json!(outside), json!(0), json!(null), json!(""), json!(far), json!("x")] {
        program.post("/files", new(parent.clone())).await.fails(400, "Parent not found");
        program.patch(&format!("/files/{near}"), json!({ "parentId": parent })).await.fails(400, "Parent not found");
        program
            .post(&format!("/files/{near}/copy"), json!({ "parentId": parent }))
            .await
            .fails(400, "Parent not found");
        let restore = program.request("PUT", &format!("/files/{near}/restore")).json(json!({ "parentId": parent }));
        restore.send().await.fails(400, "Parent not found");
    }
    program.post("/files", json!({ "name": "new", "type": "folder" })).await.fails(400, "Parent not found");
    // The last of two equal fields counts, here as for the handler.
    let twice = format!(r#"{{"name":"n","type":"folder","parentId":"{inside}","parentId":"{outside}"}}"#);
    let twice = program.request("POST", "/files").body("application/json", twice);
    twice.send().await.fails(400, "Parent not found");
    program.patch(&format!("/files/{near}"), json!({ "name": "renamed.txt" })).await.tagged(200);
    program.patch(&format!("/files/{near}"), json!({ "parentId": inside })).await.tagged(200);
    program.post(&format!("/files/{near}/copy"), json!({})).await.tagged(201);

    let preview = program.request("PUT", &format!("/files/{near}/preview")).json(json!({ "data": "aGk=" }));
    preview.send().await.tagged(202);

    for (method, path) in
        [("PATCH", ""), ("DELETE", ""), ("PUT", "/trash"), ("PUT", "/publish"), ("POST", "/copy"), ("PUT", "/preview")]
    {
        for id in [&far, &outside, &inside] {
            let request = program.request(method, &format!("/files/{id}{path}")).json(json!({ "name": "x" }));
            request.send().await.fails(404, "Not found");
        }
    }
    program.put(&format!("/files/{near}/trash")).await.tagged(200);
    program.put(&format!("/files/{near}/restore")).await.tagged(200);
    for (method, path) in [("GET", "/search?q=a"), ("GET", "/trash"), ("DELETE", "/trash"), ("POST", "/files/batch")] {
        program.request(method, path).json(json!({})).send().await.fails(403, BEYOND);
    }
    program.get(&format!("/files/{near}/path")).await.fails(403, BEYOND);
    assert_eq!(bob.show(&far).await.tagged(200)["name"], "far.txt");

    bob.change(&near, json!({ "parentId": outside })).await.tagged(200);
    program.get(&format!("/files/{near}/data")).await.fails(404, "Not found");
}

/// A key of a folder can only issue tickets for that folder.
#[tokio::test]
async fn f59_a_ticket_of_a_folders_key_is_for_that_folder() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("inside").await;
    let program = with_key(&stack, &bob, &["upload"], Some(&folder)).await;
    program.post("/uploads/tickets", json!({})).await.fails(400, "Parent not found");
    assert_eq!(program.post("/uploads/tickets", json!({ "parentId": folder })).await.status, 201);
    program.get("/uploads/tickets").await.fails(403, BEYOND);
    program.post("/uploads/sign", json!({ "method": "PUT", "key": "a", "parentId": folder })).await.fails(403, BEYOND);
}

//! `revision`, `ETag` and `If-Match`: a change of a document that somebody has changed meanwhile is refused.

use e2e::{
    Answer, Stack, User, encoded, eventually,
    fixtures::jpeg,
    id_of,
    thumbnails::{SOON, thumbnail},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

const CHANGED: &str = "The file was changed meanwhile";

/// A request that changes a document, with `If-Match`.
async fn change_if(user: &User, tag: &str, method: &str, path: &str, body: Value) -> Answer {
    let request = user.request(method, path).header("If-Match", tag);
    if body.is_null() { request.send().await } else { request.json(body).send().await }
}

async fn revision(user: &User, id: &str) -> i64 {
    user.show(id).await.tagged(200)["revision"].as_i64().unwrap()
}

#[tokio::test]
async fn f01_a_revision_begins_at_1_and_grows_by_1_with_each_change() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    let file = json!({ "name": "a.txt", "type": "file", "data": encoded(b"one") });
    let made = bob.create(file).await.tagged(201);
    assert_eq!(made["revision"], 1);
    let id = id_of(&made);
    let path = |more: &str| format!("/files/{id}{more}");
    let replacement = json!({ "name": "c.txt", "type": "file", "data": encoded(b"two"), "parentId": folder, "onConflict": "replace" });
    for (revision, method, path, body, status) in [
        (2, "PATCH", path(""), json!({ "name": "b.txt" }), 200),
        (3, "PATCH", path(""), json!({ "parentId": folder }), 200),
        (4, "PATCH", path(""), json!({ "parentId": 0, "name": "a.txt" }), 200),
        (5, "PUT", path("/publish"), Value::Null, 200),
        (6, "PUT", path("/unpublish"), Value::Null, 200),
        (7, "PATCH", path(""), json!({ "parentId": folder, "name": "c.txt" }), 200),
        (8, "POST", "/files".into(), replacement, 201),
        (9, "PUT", path("/trash"), Value::Null, 200),
        (10, "PUT", path("/restore"), json!({}), 200),
    ] {
        let request = bob.request(method, &path);
        let answer = if body.is_null() { request.send().await } else { request.json(&body).send().await };
        let changed = answer.tagged(status);
        assert_eq!((id_of(&changed), &changed["revision"]), (id.clone(), &json!(revision)), "{method} {path} {body}");
        assert_eq!(stack.row(&id).await.revision(), Some(revision), "{method} {path}");
        if changed.get("trashedAt").is_none() {
            assert_eq!(bob.show(&id).await.tagged(200), changed, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn f01_every_answer_with_one_document_has_its_tag() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for file in [
        json!({ "name": "a", "type": "folder" }),
        json!({ "name": "a.txt", "type": "file", "data": "aGk=" }),
        json!({ "name": "a.txt", "type": "file", "size": 5 }),
        json!({ "name": "a.bin", "type": "file", "size": 200 << 20 }),
    ] {
        assert_eq!(bob.create(file.clone()).await.tagged(201)["revision"], 1, "{file}");
    }
    let id = bob.upload("b.txt", b"hi").await;
    assert_eq!(bob.show(&id).await.tagged(200)["revision"], 1);
    let head = bob.request("HEAD", &format!("/files/{id}")).send().await;
    assert_eq!((head.status, head.header("etag")), (200, "\"1\""));
    let copy = bob.copy(&id, json!({})).await.tagged(201);
    assert_eq!(copy["revision"], 1, "a copy has revisions of its own");
    let into_folder = bob.folder_in(&bob.folder("in").await, "below").await;
    assert_eq!(bob.copy(&into_folder, json!({})).await.tagged(201)["revision"], 1);

    // The first content of an upload is no change of a document.
    let begun = bob.create(json!({ "name": "c.txt", "type": "file", "size": 5 })).await.json();
    let put = stack.http.put(begun["upload"]["url"].as_str().unwrap()).header("If-None-Match", "*");
    let put = put.header("Content-Type", "text/plain; charset=utf-8").body("hello").send().await.unwrap();
    assert_eq!(put.status(), 200);
    for _ in 0..2 {
        let complete = format!("/files/{}/complete", begun["id"].as_str().unwrap());
        assert_eq!(bob.request("POST", &complete).send().await.tagged(200)["revision"], 1);
    }
}

#[tokio::test]
async fn f01_thumbnails_are_no_change_of_an_image() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let image = bob.upload_image("photo.jpg", &jpeg(600, 400)).await;
    thumbnail(&bob, &image, 100).await;
    let shown = eventually("ready thumbnails", SOON, async || {
        let shown = bob.show(&image).await.tagged(200);
        (shown["thumbnails"] == "ready").then_some(shown)
    })
    .await;
    assert_eq!(shown["revision"], 1);
}

#[tokio::test]
async fn f01_what_is_refused_and_what_is_repeated_is_no_change() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (folder, id) = (bob.folder("in").await, bob.upload("a.txt", b"hi").await);
    bob.upload("taken.txt", b"hi").await;
    bob.change(&id, json!({})).await.fails(400, "Missing name or parentId");
    bob.change(&id, json!({ "name": "a/b" })).await.fails(400, "Invalid name");
    bob.change(&id, json!({ "parentId": "x" })).await.fails(400, "Parent not found");
    let taken = json!({ "name": "taken.txt", "onConflict": "fail" });
    bob.change(&id, taken).await.fails(409, "The name is taken");
    bob.change(&folder, json!({ "parentId": folder })).await.fails(409, "A folder cannot be moved into itself");
    assert_eq!((revision(&bob, &id).await, revision(&bob, &folder).await), (1, 1));
    let trashed = bob.trash(&id).await.tagged(200);
    assert_eq!(bob.trash(&id).await.tagged(200), trashed);
    let restored = bob.restore(&id, json!({})).await.tagged(200);
    assert_eq!(bob.restore(&id, json!({})).await.tagged(200), restored);
    assert_eq!(restored["revision"], 3);
}

/// Reading a document does not give it the fields that only a change writes.
#[tokio::test]
async fn f01_a_row_without_a_revision_has_the_first() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let tree = stack.plant_tree(bob.object_id(), 0, 1, 1, &mongodb::bson::doc! {}).await;
    for (id, change) in [
        (tree.top.to_hex(), json!({ "name": "renamed" })),
        (tree.folders[0].to_hex(), json!({ "parentId": 0 })),
        (tree.files[0].to_hex(), json!({ "name": "b.txt", "parentId": 0 })),
    ] {
        let before = stack.row(&id).await;
        assert_eq!((before.revision(), revision(&bob, &id).await), (None, 1));
        assert_eq!(stack.row(&id).await, before);
        let changed = change_if(&bob, "\"1\"", "PATCH", &format!("/files/{id}"), change).await;
        assert_eq!(changed.tagged(200)["revision"], 2);
        assert_eq!(stack.row(&id).await.revision(), Some(2));
    }
}

/// Each change of a document, with the status of its answer.
fn changes(id: &str, version: &str) -> Vec<(&'static str, String, Value, u16)> {
    vec![
        ("PATCH", format!("/files/{id}"), json!({ "name": "b.txt" }), 200),
        ("PATCH", format!("/files/{id}"), json!({ "parentId": 0 }), 200),
        ("PUT", format!("/files/{id}/publish"), Value::Null, 200),
        ("PUT", format!("/files/{id}/unpublish"), Value::Null, 200),
        ("PUT", format!("/files/{id}/versions/{version}/restore"), Value::Null, 200),
        ("PUT", format!("/files/{id}/trash"), Value::Null, 200),
        ("PUT", format!("/files/{id}/restore"), json!({}), 200),
        ("DELETE", format!("/files/{id}"), Value::Null, 204),
    ]
}

#[tokio::test]
async fn f02_a_change_of_another_revision_is_refused_and_changes_nothing() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    let id = bob.upload_into(&folder, "a.txt", b"one").await;
    let second = json!({ "name": "a.txt", "type": "file", "parentId": folder, "data": encoded(b"two"), "onConflict": "replace" });
    assert_eq!(id_of(&bob.create(second).await.tagged(201)), id);
    let version = bob.versions(&id).await[0]["id"].as_str().unwrap().to_owned();

    let mut revision = 2;
    for (method, path, body, status) in changes(&id, &version) {
        let before = stack.row(&id).await;
        // A weak tag is none, and a tag is more than a number: RFC 9110, 13.1.1.
        for other in [
            format!("\"{}\"", revision + 1),
            format!("\"{}\"", revision - 1),
            "\"0\"".into(),
            "\"\"".into(),
            "\"x\"".into(),
            format!("W/\"{revision}\""),
            format!("\"0\", W/\"{revision}\", \"{}\"", revision + 1),
        ] {
            let answer = change_if(&bob, &other, method, &path, body.clone()).await;
            answer.fails(412, CHANGED);
            assert_eq!(stack.row(&id).await, before, "{method} {path} with {other}");
        }
        let answer = change_if(&bob, &format!("\"{revision}\""), method, &path, body).await;
        if status == 204 {
            answer.is_empty(204);
        } else {
            revision += 1;
            assert_eq!(answer.tagged(status)["revision"], revision, "{method} {path}");
        }
    }
    bob.show(&id).await.fails(404, "Not found");
}

#[tokio::test]
async fn f02_any_of_a_list_of_tags_may_match_and_a_star_matches_all() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("a.txt", b"hi").await;
    for (n, tags) in ["\"1\"", "\"7\", \"2\"", "\"3\" , W/\"9\"", "W/\"4\",\"4\"", "*"].into_iter().enumerate() {
        let name = format!("{n}.txt");
        let answer = change_if(&bob, tags, "PATCH", &format!("/files/{id}"), json!({ "name": name })).await;
        let changed = answer.tagged(200);
        assert_eq!((&changed["name"], &changed["revision"]), (&json!(name), &json!(n + 2)), "{tags}");
    }
}

/// The order of checks: token, body, ids, state.
#[tokio::test]
async fn f02_a_condition_is_checked_after_all_else() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let id = bob.upload("a.txt", b"hi").await;
    let gone = bob.upload("b.txt", b"hi").await;
    bob.trash(&gone).await.tagged(200);
    let path = format!("/files/{id}");
    let rename = json!({ "name": "c.txt" });
    let nobody = stack.anyone().request("PATCH", &path).header("If-Match", "\"9\"").json(&rename).send().await;
    nobody.fails(401, "Unauthorized");
    change_if(&eve, "\"9\"", "PATCH", &path, rename.clone()).await.fails(404, "Not found");
    change_if(&eve, "\"1\"", "PATCH", &path, rename.clone()).await.fails(404, "Not found");
    change_if(&bob, "\"9\"", "PATCH", "/files/malformed", rename.clone()).await.fails(404, "Not found");
    change_if(&bob, "\"2\"", "PATCH", &format!("/files/{gone}"), rename).await.fails(404, "Not found");
    change_if(&bob, "\"9\"", "PATCH", &path, json!({})).await.fails(400, "Missing name or parentId");
    change_if(&bob, "\"9\"", "PATCH", &path, json!({ "name": "a/b" })).await.fails(400, "Invalid name");
    assert_eq!(revision(&bob, &id).await, 1);
}

#[tokio::test]
async fn f02_of_changes_at_once_with_one_tag_exactly_one_is_made() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (folder, id) = (bob.folder("in").await, bob.upload("a.txt", b"hi").await);
    for round in 1..=10 {
        let tag = format!("\"{round}\"");
        let changes = (0..8).map(async |n| {
            let path = format!("/files/{id}");
            match n % 4 {
                0 => change_if(&bob, &tag, "PATCH", &path, json!({ "name": format!("{round}-{n}.txt") })).await,
                1 => {
                    change_if(
                        &bob,
                        &tag,
                        "PATCH",
                        &path,
                        json!({ "parentId": if round % 2 == 0 { "0" } else { &folder } }),
                    )
                    .await
                }
                2 => change_if(&bob, &tag, "PUT", &format!("{path}/publish"), Value::Null).await,
                _ => {
                    let both = json!({ "name": format!("{round}-{n}.txt"), "parentId": folder });
                    change_if(&bob, &tag, "PATCH", &path, both).await
                }
            }
        });
        let answers = join_all(changes).await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        for answer in refused {
            answer.fails(412, CHANGED);
        }
        assert_eq!(made.len(), 1, "in round {round}");
        let made = made[0].tagged(200);
        assert_eq!(made["revision"], round + 1);
        assert_eq!(bob.show(&id).await.tagged(200), made);
    }
    assert!(!stack.row(&id).await.is_being_moved());
}

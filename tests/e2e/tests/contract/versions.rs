//! The contents that a file had before.

use e2e::{
    Answer, Stack, User, encoded,
    fixtures::jpeg,
    id_of,
    ledger::{all_of, charged, exchanging, expired, replacing, set, versions_of, with_objects},
};
use mongodb::bson::oid::ObjectId;
use serde_json::{Value, json};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Gives a file in the root another content.
async fn replace(user: &User, name: &str, bytes: &[u8]) -> Answer {
    user.create(json!({ "name": name, "type": "file", "data": encoded(bytes), "onConflict": "replace" })).await
}

/// A file with versions: the first of these contents is the oldest, the last is the present one.
async fn file_with(user: &User, contents: &[&[u8]]) -> String {
    let id = user.upload("a.txt", contents[0]).await;
    for bytes in &contents[1..] {
        assert_eq!(id_of(&replace(user, "a.txt", bytes).await.tagged(201)), id);
    }
    id
}

async fn data(user: &User, id: &str, version: &Value) -> Answer {
    user.get(&format!("/files/{id}/versions/{}/data", version["id"].as_str().unwrap())).await
}

/// The contents of the versions, the newest first.
async fn contents(user: &User, id: &str) -> Vec<Vec<u8>> {
    let mut contents = Vec::new();
    for version in user.versions(id).await {
        contents.push(data(user, id, &version).await.body);
    }
    contents
}

#[tokio::test]
async fn f20_what_was_replaced_is_a_version_the_newest_first() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("a.txt", b"one").await;
    bob.get(&format!("/files/{id}/versions")).await.is(200, json!([]));
    for bytes in [&b"second"[..], b"third one", b"4"] {
        replace(&bob, "a.txt", bytes).await.tagged(201);
    }
    let versions = bob.versions(&id).await;
    assert_eq!(versions.iter().map(|version| &version["size"]).collect::<Vec<_>>(), [9, 6, 3]);
    for version in &versions {
        let keys: Vec<_> = version.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 3, "{version}");
        assert!(version["id"].as_str().unwrap().parse::<ObjectId>().is_ok(), "{version}");
        assert!(version["createdAt"].as_str().unwrap().ends_with('Z'), "{version}");
        // A version is no document.
        bob.show(version["id"].as_str().unwrap()).await.fails(404, "Not found");
    }
    assert_eq!(contents(&bob, &id).await, [&b"third one"[..], b"second", b"one"]);
    assert_eq!(bob.get("/files").await.documents().len(), 1);
    assert_eq!(bob.used_bytes().await, 19, "versions count in the quota");
}

#[tokio::test]
async fn f20_the_last_ten_versions_are_kept_for_thirty_days() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("a.txt", b"content 00").await;
    let first = stack.row(&id).await.key().to_owned();
    for n in 1..=12 {
        replace(&bob, "a.txt", format!("content {n:02}").as_bytes()).await.tagged(201);
    }
    let expected: Vec<Vec<u8>> = (2..12).rev().map(|n| format!("content {n:02}").into_bytes()).collect();
    assert_eq!(contents(&bob, &id).await, expected);
    stack
        .sweep_until("the others are gone with their objects", async || {
            let rows = stack.count_rows(all_of(bob.object_id())).await;
            (rows == 11 && stack.objects(&first).await.is_empty()).then_some(())
        })
        .await;
    assert_eq!(bob.used_bytes().await, 110);
    let newest = bob.versions(&id).await[0]["id"].as_str().unwrap().to_owned();
    let after = stack.row(&newest).await.expires_in();
    assert!((30 * DAY - 120_000..=30 * DAY).contains(&after), "{after} ms");

    stack.files.update_many(versions_of(&id), set(expired())).await.unwrap();
    stack.sweep_until("no version", async || (stack.count_rows(versions_of(&id)).await == 0).then_some(())).await;
    bob.get(&format!("/files/{id}/versions")).await.is(200, json!([]));
    assert_eq!(bob.content(&id).await, b"content 12");
    assert_eq!(bob.used_bytes().await, 10);
}

/// The parameter is a number of days, and a version whose days are over is not there before the sweeper has come.
#[tokio::test]
async fn f20_a_version_whose_time_is_over_is_not_listed() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = file_with(&bob, &[b"one", b"two", b"three"]).await;
    let versions = bob.versions(&id).await;
    stack.set_row(versions[1]["id"].as_str().unwrap(), expired()).await;
    assert_eq!(bob.versions(&id).await, versions[..1]);
    data(&bob, &id, &versions[1]).await.fails(404, "Not found");
}

#[tokio::test]
async fn f20_versions_are_the_owners_alone() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let id = file_with(&bob, &[b"one", b"two"]).await;
    let version = bob.versions(&id).await[0]["id"].as_str().unwrap().to_owned();
    bob.publish(&id).await;
    let path = format!("/files/{id}/versions");
    eve.get(&path).await.fails(404, "Not found");
    eve.put(&format!("{path}/{version}/restore")).await.fails(404, "Not found");
    eve.delete(&format!("{path}/{version}")).await.fails(404, "Not found");
    stack.anyone().get(&path).await.fails(401, "Unauthorized");
    stack.anyone().put(&format!("{path}/{version}/restore")).await.fails(401, "Unauthorized");
    stack.anyone().delete(&format!("{path}/{version}")).await.fails(401, "Unauthorized");
    eve.get(&format!("{path}/{version}/data")).await.fails(404, "Not found");
    stack.anyone().get(&format!("{path}/{version}/data")).await.fails(401, "Unauthorized");
    // Only the present content was made public.
    for reader in [&*eve, &stack.anyone()] {
        assert_eq!(reader.get(&format!("/files/{id}/data")).await.body, b"two");
    }
    for id in [&*ObjectId::new().to_hex(), "malformed", "0", &version] {
        bob.get(&format!("/files/{id}/versions")).await.fails(404, "Not found");
    }
    assert_eq!(contents(&bob, &id).await, [b"one"]);
}

#[tokio::test]
async fn f20_versions_go_with_their_file_into_the_trash_and_out_of_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = file_with(&bob, &[b"one", b"two"]).await;
    let versions = bob.versions(&id).await;
    let key = stack.row(versions[0]["id"].as_str().unwrap()).await.key().to_owned();
    bob.trash(&id).await.tagged(200);
    bob.get(&format!("/files/{id}/versions")).await.fails(404, "Not found");
    data(&bob, &id, &versions[0]).await.fails(404, "Not found");
    stack.invoke("sweeper", &json!({})).await;
    bob.restore(&id, json!({})).await.tagged(200);
    assert_eq!(bob.versions(&id).await, versions);
    assert_eq!(contents(&bob, &id).await, [b"one"]);
    // A copy has no versions.
    let copy = id_of(&bob.copy(&id, json!({})).await.tagged(201));
    assert!(bob.versions(&copy).await.is_empty());
    bob.discard(&copy).await;
    bob.discard(&id).await;
    stack
        .sweep_until("nothing is left", async || {
            let rows = stack.count_rows(all_of(bob.object_id())).await;
            (rows == 0 && stack.objects(&key).await.is_empty()).then_some(())
        })
        .await;
    assert_eq!(bob.used_bytes().await, 0);
}

#[tokio::test]
async fn f21_the_bytes_of_a_version_are_read_like_those_of_a_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = file_with(&bob, &[b"0123456789", b"two"]).await;
    let version = bob.versions(&id).await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/files/{id}/versions/{version}/data");
    let whole = bob.get(&path).await;
    whole.is_content("text/plain; charset=utf-8", b"0123456789");
    let present = bob.get(&format!("/files/{id}/data")).await;
    for header in ["x-content-type-options", "content-security-policy", "referrer-policy", "cache-control"] {
        assert_eq!(whole.header(header), present.header(header), "{header}");
    }
    assert_ne!(whole.header("etag"), present.header("etag"));
    let head = bob.request("HEAD", &path).send().await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "10", 0));
    let known = bob.request("GET", &path).header("If-None-Match", whole.header("etag")).send().await;
    assert_eq!(known.status, 304);
    let download = bob.get(&format!("{path}?download=1")).await;
    assert!(download.header("content-disposition").starts_with("attachment"), "{download}");
    let redirect = bob.request("GET", &path).header("Range", "bytes=2-4").send().await;
    assert_eq!(redirect.status, 302, "{redirect}");
    let part = stack.http.get(redirect.header("location")).header("Range", "bytes=2-4").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.text().await.unwrap()), (206, "234".to_owned()));
}

#[tokio::test]
async fn f21_a_version_becomes_the_content_and_the_content_a_version() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = file_with(&bob, &[b"first", b"second!", b"3"]).await;
    bob.publish(&id).await;
    let before = bob.show(&id).await.tagged(200);
    let versions = bob.versions(&id).await;
    let restore = async |version: &Value| {
        bob.put(&format!("/files/{id}/versions/{}/restore", version["id"].as_str().unwrap())).await
    };
    let restored = restore(&versions[1]).await.tagged(200);
    let mut expected = before.clone();
    for (key, value) in [("size", json!(5)), ("revision", json!(5)), ("updatedAt", restored["updatedAt"].clone())] {
        expected[key] = value;
    }
    assert_eq!(restored, expected);
    assert_eq!(bob.show(&id).await.tagged(200), restored);
    assert_eq!(stack.anyone().get(&format!("/files/{id}/data")).await.body, b"first");
    let mut kept = contents(&bob, &id).await;
    assert_eq!(kept[0], b"3", "the newest version is what was there just before");
    kept.sort();
    kept.retain(|bytes| bytes != b"first");
    assert_eq!(kept, [&b"3"[..], b"second!"], "no content is lost");

    // And back again.
    let present = bob.versions(&id).await.remove(0);
    assert_eq!(restore(&present).await.tagged(200)["size"], 1);
    assert_eq!(bob.content(&id).await, b"3");
    assert!(contents(&bob, &id).await.contains(&b"first".to_vec()));
    stack.invoke("sweeper", &json!({})).await;
    assert_eq!(bob.content(&id).await, b"3");
    let sizes: u64 = bob.versions(&id).await.iter().map(|version| version["size"].as_u64().unwrap()).sum();
    assert_eq!(bob.used_bytes().await, 1 + sizes);
}

#[tokio::test]
async fn f21_a_restored_image_has_its_thumbnails() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload_image("a.jpg", &jpeg(600, 400)).await;
    e2e::thumbnails::thumbnail(&bob, &id, 100).await;
    let new = json!({ "name": "a.jpg", "type": "image", "data": encoded(&jpeg(400, 600)), "onConflict": "replace" });
    bob.create(new).await.tagged(201);
    let version = bob.versions(&id).await[0]["id"].as_str().unwrap().to_owned();
    bob.put(&format!("/files/{id}/versions/{version}/restore")).await.tagged(200);
    let shown = e2e::thumbnails::thumbnail(&bob, &id, 100).await;
    let shown = e2e::fixtures::decode_image(&shown.body);
    assert_eq!((shown.width, shown.height), (100, 67), "the thumbnail of what is the content now");
    assert_eq!(bob.content(&id).await, jpeg(600, 400));
}

#[tokio::test]
async fn f21_a_version_is_deleted_alone() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = file_with(&bob, &[b"one", b"two", b"three"]).await;
    let other = bob.upload("b.txt", b"hi").await;
    let versions = bob.versions(&id).await;
    let path = |version: &str| format!("/files/{id}/versions/{version}");
    let first = versions[1]["id"].as_str().unwrap();
    let key = stack.row(first).await.key().to_owned();
    bob.delete(&path(first)).await.is_empty(204);
    bob.delete(&path(first)).await.fails(404, "Not found");
    data(&bob, &id, &versions[1]).await.fails(404, "Not found");
    bob.put(&format!("{}/restore", path(first))).await.fails(404, "Not found");
    assert_eq!(bob.versions(&id).await, versions[..1]);
    assert_eq!(bob.content(&id).await, b"three");
    stack.sweep_until("its object is gone", async || stack.objects(&key).await.is_empty().then_some(())).await;
    assert_eq!(bob.used_bytes().await, 10);

    // A version belongs to one file, and a document is no version.
    let second = versions[0]["id"].as_str().unwrap();
    for (file, version) in [
        (&*other, second),
        (&id, &*other),
        (&id, &id),
        (&id, &ObjectId::new().to_hex()),
        (&id, "malformed"),
        ("malformed", second),
    ] {
        let path = format!("/files/{file}/versions/{version}");
        bob.get(&format!("{path}/data")).await.fails(404, "Not found");
        bob.put(&format!("{path}/restore")).await.fails(404, "Not found");
        bob.delete(&path).await.fails(404, "Not found");
    }
    assert_eq!(contents(&bob, &id).await, [b"two"]);
}

/// The source of the content was purged while the file got its content, and the sweep left the object of the source alone,
/// because the file had it.
#[tokio::test]
async fn f20_an_exchange_that_is_taken_back_leaves_no_object() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = file_with(&bob, &[b"one", b"second"]).await;
    let refused = stack.row(&id).await.key().to_owned();
    let version = bob.versions(&id).await[0]["id"].as_str().unwrap().to_owned();
    let has_it = || with_objects(std::slice::from_ref(&refused));
    stack.sweep_until("the source is gone", async || (stack.count_rows(has_it()).await == 1).then_some(())).await;
    stack.set_row(&version, charged(0)).await;
    stack.set_row(&id, exchanging(ObjectId::new(), &version, 3)).await;

    assert_eq!(id_of(&replace(&bob, "a.txt", b"number three").await.tagged(201)), id);
    // The source was counted, and was not any more when it was purged.
    stack.forget_usage(bob.object_id()).await;
    assert_eq!(contents(&bob, &id).await, [b"one"]);
    assert_eq!(stack.objects(&refused).await, [&*refused], "a function may be about to take the exchange back");
    let remains = stack.files.update_many(has_it(), set(expired()));
    assert_eq!(remains.await.unwrap().matched_count, 1);
    stack
        .sweep_until("the object is gone, too", async || {
            let rows = stack.count_rows(all_of(bob.object_id())).await;
            (rows == 2 && stack.objects(&refused).await.is_empty()).then_some(())
        })
        .await;
    assert_eq!(bob.content(&id).await, b"number three");
    assert_eq!(bob.used_bytes().await, 15);
}

/// Two requests take the same file as the content of two documents: the second marks the file after the first has read it.
#[tokio::test]
async fn f20_a_file_becomes_the_content_of_one_document_only() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = file_with(&bob, &[b"one", b"second"]).await;
    let version = bob.versions(&id).await[0]["id"].as_str().unwrap().to_owned();
    let source = bob.upload("b.txt", b"second").await;
    stack.set_row(&source, replacing(ObjectId::new())).await;
    stack.set_row(&version, charged(0)).await;
    stack.set_row(&id, exchanging(source.parse().unwrap(), &version, 3)).await;

    assert_eq!(id_of(&replace(&bob, "a.txt", b"third").await.tagged(201)), id);
    assert_eq!(contents(&bob, &id).await, [b"one"]);
    assert_eq!(bob.content(&source).await, b"second", "the file is still there");
}

#[tokio::test]
async fn f19_a_copy_that_replaces_its_original_goes() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (id, folder) = (bob.upload("a.txt", b"content").await, bob.folder("in").await);
    let copy = id_of(&bob.copy(&id, json!({ "parentId": folder })).await.tagged(201));
    assert_eq!(bob.used_bytes().await, 14);
    let there = json!({ "parentId": "0", "onConflict": "replace" });
    assert_eq!(id_of(&bob.change(&copy, there).await.tagged(200)), id);
    bob.show(&copy).await.fails(404, "Not found");
    assert_eq!(bob.content(&id).await, b"content");
    assert_eq!(bob.versions(&id).await, Vec::<Value>::new());
    stack
        .sweep_until("the copy is gone", async || (stack.count_rows(all_of(bob.object_id())).await == 2).then_some(()))
        .await;
    assert_eq!(bob.used_bytes().await, 7);
    assert_eq!(bob.content(&id).await, b"content");
}

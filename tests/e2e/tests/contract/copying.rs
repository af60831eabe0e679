//! `POST /files/{id}/copy` copies rows, and no bytes: a copy names the same object.

use std::time::Duration;

use e2e::{
    Stack, User, encoded,
    fixtures::jpeg,
    id_of,
    ledger::{self, all_of, copies_of, due_tombstone, expired, not_deleted, pending, visible, with},
    thumbnails::thumbnail,
    unique,
};
use futures_util::future::{join, join_all};
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::{Value, json};

const ITSELF: &str = "A folder cannot be copied into itself";

/// Waits until the user has only this number of rows.
async fn is_swept(stack: &Stack, user: &User, rows: u64) {
    stack
        .sweep_until("what was deleted is gone", async || {
            (stack.count_rows(all_of(user.object_id())).await == rows).then_some(())
        })
        .await;
}

/// All documents in a folder, page by page.
async fn all_in(user: &User, folder: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for page in 0.. {
        let some = user.get(&format!("/files?parentId={folder}&page={page}")).await.documents();
        if some.is_empty() {
            break;
        }
        all.extend(some);
    }
    all
}

#[tokio::test]
async fn f12_a_copy_is_a_document_of_its_own_beside_the_original() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    let id = bob.upload_into(&folder, "a.txt", b"hi").await;
    bob.change(&id, json!({ "name": "b.txt" })).await.tagged(200);
    let original = bob.show(&id).await.tagged(200);
    let copy = bob.copy(&id, json!({})).await.tagged(201);
    let mut expected = original.clone();
    for (key, value) in [("name", json!("b (2).txt")), ("revision", json!(1)), ("copiedFrom", json!(id))] {
        expected[key] = value;
    }
    for key in ["id", "createdAt", "updatedAt"] {
        assert!(copy[key].is_string(), "{copy}");
        expected[key] = copy[key].clone();
    }
    assert_eq!(copy, expected);
    assert_ne!(id_of(&copy), id);
    assert_eq!(bob.show(&id).await.tagged(200), original);
    assert_eq!(bob.show(&id_of(&copy)).await.tagged(200), copy);
    // Two ids of the same second are in any order.
    let mut both = bob.get(&format!("/files?parentId={folder}")).await.documents();
    both.sort_by_key(|document| document["name"].to_string());
    assert_eq!(both, [copy.clone(), original]);
    assert_eq!(bob.content(&id_of(&copy)).await, b"hi");
    assert_eq!(stack.row(id_of(&copy)).await.key(), stack.row(&id).await.key(), "no bytes are copied");
    assert_eq!(stack.count_rows(copies_of(&id)).await, 1);

    // A copy of a copy.
    let again = bob.copy(&id_of(&copy), json!({ "name": "c.txt", "parentId": 0 })).await.tagged(201);
    assert_eq!((&again["name"], &again["parentId"], &again["copiedFrom"]), (&json!("c.txt"), &json!(0), &copy["id"]));
    assert_eq!(bob.content(&id_of(&again)).await, b"hi");
}

#[tokio::test]
async fn f12_a_copy_goes_where_it_is_said_and_has_the_name_that_is_said() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (folder, other) = (bob.folder("in").await, bob.folder("other").await);
    let id = bob.upload_into(&folder, "a.txt", b"hi").await;
    for (to, name, parent) in [
        (json!({ "parentId": other }), "a.txt", json!(other)),
        (json!({ "parentId": other }), "a (2).txt", json!(other)),
        (json!({ "parentId": other, "onConflict": "keep" }), "a.txt", json!(other)),
        (json!({ "parentId": null }), "a.txt", json!(0)),
        (json!({ "parentId": "0", "name": "b.html" }), "b.html", json!(0)),
        (json!({ "name": "b.html" }), "b.html", json!(folder)),
        (json!({ "name": "b.html" }), "b (2).html", json!(folder)),
    ] {
        let copy = bob.copy(&id, to.clone()).await.tagged(201);
        assert_eq!((&copy["name"], &copy["parentId"]), (&json!(name), &parent), "{to}");
        assert!(copy["contentType"].as_str().unwrap().starts_with(if name.ends_with("txt") {
            "text/plain"
        } else {
            "text/html"
        }));
    }
    let plain = bob.request("POST", &format!("/files/{id}/copy")).send().await.tagged(201);
    assert_eq!((&plain["name"], &plain["parentId"]), (&json!("a (2).txt"), &json!(folder)));
    assert_eq!(bob.copy(&id, Value::Null).await.tagged(201)["name"], "a (3).txt");
    for body in [json!("a"), json!([]), json!(5), json!(true)] {
        bob.copy(&id, body.clone()).await.fails(400, "Invalid JSON");
        bob.restore(&id, body).await.fails(400, "Invalid JSON");
    }
}

#[tokio::test]
async fn f12_what_cannot_be_copied_is_refused() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (file, folder, foreign) = (bob.upload("a.txt", b"hi").await, bob.folder("in").await, eve.folder("hers").await);
    bob.publish(&file).await;
    let upload = id_of(&bob.create(json!({ "name": "a.bin", "type": "file", "size": 5 })).await.json());
    let (gone, trashed) = (bob.upload("b.txt", b"hi").await, bob.folder("trashed").await);
    let below = bob.upload_into(&trashed, "c.txt", b"hi").await;
    bob.discard(&gone).await;
    bob.trash(&trashed).await.tagged(200);
    let rows = stack.count_rows(with(all_of(bob.object_id()), not_deleted())).await;
    for id in [&*upload, &gone, &trashed, &below, &ObjectId::new().to_hex(), "malformed"] {
        bob.copy(id, json!({})).await.fails(404, "Not found");
    }
    eve.copy(&file, json!({})).await.fails(404, "Not found");
    stack.anyone().post(&format!("/files/{file}/copy"), json!({})).await.fails(401, "Unauthorized");
    for parent in [&*foreign, &trashed, &below, &upload, &ObjectId::new().to_hex(), "x"] {
        bob.copy(&file, json!({ "parentId": parent })).await.fails(400, "Parent not found");
        bob.copy(&folder, json!({ "parentId": parent })).await.fails(400, "Parent not found");
    }
    bob.copy(&folder, json!({ "parentId": file })).await.fails(400, "Parent is not a folder");
    bob.copy(&file, json!({ "name": "a/b" })).await.fails(400, "Invalid name");
    assert_eq!(stack.count_rows(with(all_of(bob.object_id()), not_deleted())).await, rows);
    assert_eq!(stack.count_rows(all_of(eve.object_id())).await, 1);
}

#[tokio::test]
async fn f12_a_repeated_copy_makes_one() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("photos").await;
    bob.upload_into(&folder, "a.txt", b"hi").await;
    let file = bob.upload("a.txt", b"hi").await;
    for (id, rows_of_one) in [(&file, 1), (&folder, 2)] {
        let key = unique("key");
        let copy = async |to: Value| {
            let request = bob.request("POST", &format!("/files/{id}/copy")).header("Idempotency-Key", &key);
            request.json(to).send().await
        };
        let before = stack.count_rows(all_of(bob.object_id())).await;
        let first = copy(json!({})).await.tagged(201);
        for answer in join_all((0..6).map(|_| copy(json!({})))).await {
            assert_eq!(answer.tagged(201)["id"], first["id"]);
        }
        assert_eq!(stack.count_rows(with(all_of(bob.object_id()), not_deleted())).await, before + rows_of_one);
        copy(json!({ "name": "other" })).await.fails(422, "This Idempotency-Key was used for another request");
        // The same key and body for another document is another request.
        let other = bob.request("POST", "/files").header("Idempotency-Key", &key).json(json!({})).send().await;
        assert!([400, 422].contains(&other.status), "{other}");
    }
    let both = join_all((0..6).map(|_| {
        let request = bob.request("POST", &format!("/files/{file}/copy")).header("Idempotency-Key", "at once");
        request.json(json!({ "name": "b.txt" })).send()
    }));
    let ids: Vec<Value> = both.await.iter().map(|answer| answer.tagged(201)["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn f13_a_folder_is_copied_with_everything_visible_in_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let top = bob.folder("top").await;
    let (below, empty) = (bob.folder_in(&top, "below").await, bob.folder_in(&top, "empty").await);
    let file = bob.upload_into(&below, "a.txt", b"hi").await;
    bob.publish(&file).await;
    let photo = json!({ "name": "p.jpg", "type": "image", "parentId": below, "data": encoded(&jpeg(600, 400)) });
    let image = id_of(&bob.create(photo).await.tagged(201));
    thumbnail(&bob, &image, 100).await;
    // These three are not visible: an upload, a file in the trash, and a deleted folder with a file.
    bob.create(json!({ "name": "u.bin", "type": "file", "size": 5, "parentId": below })).await.document(201);
    bob.trash(&bob.upload_into(&below, "t.txt", b"trash").await).await.tagged(200);
    let deleted = bob.folder_in(&top, "deleted").await;
    bob.upload_into(&deleted, "d.txt", b"deleted").await;
    bob.discard(&deleted).await;

    let copy = bob.copy(&top, json!({})).await.tagged(201);
    assert_eq!((&copy["name"], &copy["parentId"], &copy["type"]), (&json!("top (2)"), &json!(0), &json!("folder")));
    let mut inside = all_in(&bob, &id_of(&copy)).await;
    inside.sort_by_key(|document| document["name"].as_str().unwrap().to_owned());
    let of =
        |documents: &[Value], key: &str| documents.iter().map(|document| document[key].clone()).collect::<Vec<_>>();
    assert_eq!(of(&inside, "name"), ["below", "empty"]);
    assert_eq!(of(&inside, "copiedFrom"), [json!(below), json!(empty)]);
    let mut files = all_in(&bob, inside[0]["id"].as_str().unwrap()).await;
    files.sort_by_key(|document| document["name"].as_str().unwrap().to_owned());
    assert_eq!(of(&files, "name"), ["a.txt", "p.jpg"]);
    assert_eq!(of(&files, "copiedFrom"), [json!(file), json!(image)]);
    assert_eq!(of(&files, "isPublic"), [false, false], "copies are private");
    assert_eq!(of(&files, "revision"), [1, 1]);
    assert_eq!(bob.content(files[0]["id"].as_str().unwrap()).await, b"hi");
    assert_eq!(bob.content(files[1]["id"].as_str().unwrap()).await, jpeg(600, 400));
    let small = bob.get(&format!("/files/{}/data?size=100", files[1]["id"].as_str().unwrap())).await;
    assert_eq!(small.status, 200, "thumbnails are shared: {small}");
    assert!(all_in(&bob, inside[1]["id"].as_str().unwrap()).await.is_empty());
}

#[tokio::test]
async fn f13_a_folder_is_copied_all_at_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let tree = stack.plant_tree(bob.object_id(), 0, 20, 25, &doc! {}).await;
    let target = bob.folder("target").await;
    let is_done = std::cell::Cell::new(false);
    let copies = async {
        for _ in 0..3 {
            bob.copy(&tree.top.to_hex(), json!({ "parentId": target })).await.tagged(201);
        }
        is_done.set(true);
    };
    let whole = async || {
        for copy in all_in(&bob, &target).await {
            let folders = all_in(&bob, copy["id"].as_str().unwrap()).await;
            assert_eq!(folders.len(), 20, "a part of {copy} is seen");
            let last = folders.last().unwrap()["id"].as_str().unwrap();
            assert_eq!(all_in(&bob, last).await.len(), 25, "a part of {last} is seen");
        }
    };
    let reader = async {
        while !is_done.get() {
            whole().await;
        }
    };
    join(copies, reader).await;
    whole().await;
    assert_eq!(all_in(&bob, &target).await.len(), 3);
    assert_eq!(stack.count_rows(copies_of(tree.files[0])).await, 3);
}

#[tokio::test]
async fn f13_a_folder_is_not_copied_into_itself() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let top = bob.folder("top").await;
    let below = bob.folder_in(&top, "below").await;
    let bottom = bob.folder_in(&below, "bottom").await;
    for into in [&top, &below, &bottom] {
        bob.copy(&top, json!({ "parentId": into })).await.fails(409, ITSELF);
    }
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 3);
    let up = bob.copy(&bottom, json!({ "parentId": top })).await.tagged(201);
    assert_eq!((&up["name"], &up["parentId"]), (&json!("bottom"), &json!(top)));
    assert_eq!(bob.copy(&below, json!({ "parentId": top })).await.tagged(201)["name"], "below (2)");
}

#[tokio::test]
async fn f13_more_than_twenty_thousand_items_are_too_many() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    // With the folders in it, the folder has 20,001 items.
    let tree = stack.plant_tree(bob.object_id(), 0, 3, 6666, &doc! {}).await;
    let refused = bob.copy(&tree.top.to_hex(), json!({})).await;
    refused.fails(413, "The folder has more than 20000 items: copy its parts");
    // What was begun is not seen, and swept.
    assert_eq!(bob.get("/files").await.documents().len(), 1);
    let invisible = with(all_of(bob.object_id()), ledger::invisible());
    stack.files.update_many(invisible.clone(), ledger::set(expired())).await.unwrap();
    stack
        .sweep_until("nothing is left of it", async || (stack.count_rows(invisible.clone()).await == 0).then_some(()))
        .await;
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 20_002);
    assert_eq!(stack.files.delete_many(all_of(bob.object_id())).await.unwrap().deleted_count, 20_002);
    stack.forget_usage(bob.object_id()).await;
}

#[tokio::test]
async fn f04_a_copy_has_a_hundred_levels_above_it_at_most() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (mut parent, mut ids, mut rows) = (mongodb::bson::Bson::from(0), Vec::new(), Vec::new());
    for _ in 0..100 {
        let id = ObjectId::new();
        rows.push(doc! {
            "_id": id, "userId": bob.object_id(), "name": "a", "type": "folder", "isPublic": false, "parentId": parent,
        });
        parent = id.into();
        ids.push(id.to_hex());
    }
    stack.plant(bob.object_id(), rows).await;
    let (file, folder) = (bob.upload("a.txt", b"hi").await, bob.folder("b").await);
    for id in [&file, &folder] {
        bob.copy(id, json!({ "parentId": ids[99] })).await.fails(400, "Too deep: 100 levels at most");
        bob.copy(id, json!({ "parentId": ids[98] })).await.tagged(201);
    }
}

#[tokio::test]
async fn f14_ten_thousand_items_are_copied_and_counted() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let content = stack.shared_object(&bob, b"hi").await;
    let tree = stack.plant_tree(bob.object_id(), 0, 100, 99, &content).await;
    let before = bob.get("/users/me/usage").await.json();
    assert_eq!((&before["bytes"], &before["files"]), (&json!(2 * 9902), &json!(9902)));

    let answer = bob.copy(&tree.top.to_hex(), json!({})).await;
    let copy = answer.tagged(201);
    // The promise is five seconds; the rest is for a machine that runs other tests at the same time.
    assert!(answer.took < Duration::from_secs(10), "it took {:?}", answer.took);
    assert_eq!(stack.count_rows(with(all_of(bob.object_id()), visible())).await, 2 + 2 * 10_001);
    let after = bob.get("/users/me/usage").await.json();
    assert_eq!((&after["bytes"], &after["files"]), (&json!(2 * (9902 + 9900)), &json!(9902 + 9900)));
    assert_eq!(all_in(&bob, &id_of(&copy)).await.len(), 100);
    stack.remove_all(bob.object_id(), &content).await;
}

#[tokio::test]
async fn f14_a_copy_is_private_and_has_no_link() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, folder) = (bob.upload("a.txt", b"hi").await, bob.folder("in").await);
    bob.publish(&file).await;
    bob.publish(&folder).await;
    let copy = bob.copy(&file, json!({})).await.tagged(201);
    assert_eq!(copy["isPublic"], false);
    stack.anyone().get(&format!("/files/{}/data", id_of(&copy))).await.fails(404, "Not found");
    assert_eq!(stack.anyone().get(&format!("/files/{file}/data")).await.body, b"hi");
    assert_eq!(bob.copy(&folder, json!({})).await.tagged(201)["isPublic"], false);
    bob.publish(&id_of(&copy)).await;
    bob.put(&format!("/files/{file}/unpublish")).await.tagged(200);
    assert_eq!(stack.anyone().get(&format!("/files/{}/data", id_of(&copy))).await.body, b"hi");
    stack.anyone().get(&format!("/files/{file}/data")).await.fails(404, "Not found");
}

/// The ways in which a document goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Deleted,
    Replaced,
    Purged,
    WithItsFolder,
}

#[tokio::test]
async fn f15_the_end_of_one_leaves_the_bytes_and_thumbnails_of_the_other() {
    let stack = Stack::running().await;
    let ends = [End::Deleted, End::Replaced, End::Purged, End::WithItsFolder];
    let cases = ends.iter().flat_map(|end| [(*end, true), (*end, false)]);
    join_all(cases.map(|(end, is_of_the_original)| one_ends(&stack, end, is_of_the_original))).await;
}

/// Ends the original or its copy, then the other one.
async fn one_ends(stack: &Stack, end: End, is_of_the_original: bool) {
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    let photo = json!({ "name": "a.jpg", "type": "image", "parentId": folder, "data": encoded(&jpeg(600, 400)) });
    let original = id_of(&bob.create(photo).await.tagged(201));
    let before = thumbnail(&bob, &original, 100).await.body;
    let other = bob.folder("other").await;
    let copy = id_of(&bob.copy(&original, json!({ "parentId": other })).await.tagged(201));
    let (ends, stays, around) =
        if is_of_the_original { (&original, &copy, &folder) } else { (&copy, &original, &other) };
    let key = stack.row(stays).await.key().to_owned();
    match end {
        End::Deleted => bob.discard(ends).await,
        End::WithItsFolder => bob.discard(around).await,
        End::Replaced => {
            let data = encoded(&jpeg(300, 500));
            let new = json!({
                "name": "a.jpg", "type": "image", "parentId": around, "data": data, "onConflict": "replace",
            });
            assert_eq!(id_of(&bob.create(new).await.tagged(201)), *ends);
            let version = bob.versions(ends).await[0]["id"].as_str().unwrap().to_owned();
            bob.delete(&format!("/files/{ends}/versions/{version}")).await.is_empty(204);
            assert_eq!(bob.content(ends).await, jpeg(300, 500));
        }
        End::Purged => {
            bob.trash(ends).await.tagged(200);
            stack.set_row(ends, expired()).await;
        }
    }
    stack
        .sweep_until("it is swept", async || {
            let rest = if end == End::Replaced { ledger::versions_of(ends) } else { ledger::row(ends) };
            (stack.count_rows(rest).await == 0).then_some(())
        })
        .await;
    let what = format!("{end:?}, the original: {is_of_the_original}");
    assert_eq!(bob.content(stays).await, jpeg(600, 400), "{what}");
    assert_eq!(bob.get(&format!("/files/{stays}/data?size=100")).await.body, before, "{what}");
    assert_eq!(stack.objects(&key).await, [&*key], "{what}");

    // The last one takes the objects along.
    for id in [&folder, &other] {
        if bob.show(id).await.status == 200 {
            bob.discard(id).await;
        }
    }
    is_swept(stack, &bob, 0).await;
    for prefix in [key, format!("thumbnails/{original}/"), format!("thumbnails/{copy}/")] {
        assert!(stack.objects(&prefix).await.is_empty(), "{prefix} after {what}");
    }
}

#[tokio::test]
async fn f15_a_copy_of_an_image_without_thumbnails_gets_them_too() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let image = bob.upload_image("a.jpg", &jpeg(600, 400)).await;
    // The thumbnails are made while the image is copied and deleted.
    let copies = join_all((0..3).map(|_| bob.copy(&image, json!({})))).await;
    let copies: Vec<String> = copies.iter().map(|answer| id_of(&answer.tagged(201))).collect();
    bob.discard(&image).await;
    // The job of the original may find nothing: then the sweeper sends one for a copy.
    let past = mongodb::bson::DateTime::from_millis(0);
    let are_due = with(copies_of(&image), ledger::due());
    stack.files.update_many(are_due, ledger::set(ledger::thumbnails_due(past))).await.unwrap();
    stack.invoke("sweeper", &json!({})).await;
    for copy in &copies {
        thumbnail(&bob, copy, 100).await;
    }
}

/// The state after a function has died between the rows of a copy and the moment in which they become visible.
#[tokio::test]
async fn f13_a_copy_that_died_is_never_seen_and_leaves_nothing() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    let file = bob.upload_into(&folder, "a.txt", b"hi").await;
    let copy = id_of(&bob.copy(&folder, json!({})).await.tagged(201));
    let inside = id_of(&all_in(&bob, &copy).await[0]);
    stack.set_row(&copy, pending()).await;
    for id in [&copy, &inside] {
        bob.show(id).await.fails(404, "Not found");
        bob.get(&format!("/files/{id}/data")).await.fails(404, "Not found");
        bob.change(id, json!({ "name": "x" })).await.fails(404, "Not found");
        bob.copy(id, json!({})).await.fails(404, "Not found");
    }
    assert!(all_in(&bob, &copy).await.is_empty());
    let into = json!({ "name": "b", "type": "folder", "parentId": copy });
    bob.create(into).await.fails(400, "Parent not found");
    stack.set_row(&copy, expired()).await;
    is_swept(&stack, &bob, 2).await;
    assert_eq!(bob.content(&file).await, b"hi");
    assert_eq!(bob.used_bytes().await, 2);
}

/// The state after a sweeper has died between the object's last row and the object, and of rows with tombstones only.
#[tokio::test]
async fn f15_an_object_dies_with_the_last_row_that_is_not_deleted() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a.txt", b"hi").await;
    let key = stack.row(&file).await.key().to_owned();
    let copies = join_all((0..3).map(|_| bob.copy(&file, json!({})))).await;
    let copies: Vec<String> = copies.iter().map(|answer| id_of(&answer.tagged(201))).collect();
    for copy in &copies[..2] {
        stack.set_row(copy, due_tombstone()).await;
    }
    is_swept(&stack, &bob, 2).await;
    assert_eq!(stack.objects(&key).await, [&*key]);
    // All that is left goes in one sweep.
    for id in [&file, &copies[2]] {
        bob.discard(id).await;
    }
    is_swept(&stack, &bob, 0).await;
    assert!(stack.objects(&key).await.is_empty());
}

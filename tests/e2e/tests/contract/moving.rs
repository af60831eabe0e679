//! `PATCH /files/{id}` renames and moves.

use std::{collections::HashMap, time::Duration};

use e2e::{
    Stack, User, document, encoded,
    fixtures::jpeg,
    id_of,
    ledger::{all_of, being_moved, due_tombstone, moving, pending, tombstone, with},
    thumbnails::thumbnail,
};
use futures_util::future::{join, join_all};
use mongodb::bson::{Bson, DateTime, doc, oid::ObjectId};
use serde_json::{Value, json};

use crate::files::original;

const ITSELF: &str = "A folder cannot be moved into itself";

/// The time after which the function that changes the place of a row has died: the contract says 60 s.
fn long_ago() -> DateTime {
    DateTime::from_millis(DateTime::now().timestamp_millis() - 120_000)
}

/// The folders of a user by their ids, each with its parent; `None` for the root.
async fn parents(stack: &Stack, user: &User) -> HashMap<ObjectId, Option<ObjectId>> {
    use futures_util::TryStreamExt;
    let rows: Vec<_> = stack.files.find(all_of(user.object_id())).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    let parent = |row: &mongodb::bson::Document| row.get("parentId").and_then(Bson::as_object_id);
    rows.iter().map(|row| (row.get_object_id("_id").unwrap(), parent(row))).collect()
}

/// Asserts that every path of a user ends at the root.
async fn has_no_cycle(stack: &Stack, user: &User) {
    let parents = parents(stack, user).await;
    for id in parents.keys() {
        let mut at = Some(*id);
        for _ in 0..=parents.len() {
            at = at.and_then(|id| parents[&id]);
        }
        assert_eq!(at, None, "{id} is in a cycle: {parents:?}");
    }
}

#[tokio::test]
async fn f05_a_file_is_renamed() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    let id = bob.upload_into(&folder, "a.txt", b"hi").await;
    let before = bob.show(&id).await.tagged(200);
    let mut expected = before.clone();
    expected["name"] = json!("b.html");
    expected["contentType"] = json!("text/html; charset=utf-8");
    expected["revision"] = json!(2);
    let mut renamed = bob.change(&id, json!({ "name": "b.html" })).await.tagged(200);
    assert_eq!(bob.show(&id).await.tagged(200), renamed);
    assert_eq!(bob.get(&format!("/files?parentId={folder}")).await.documents(), [renamed.clone()]);
    renamed["updatedAt"] = before["updatedAt"].clone();
    assert_eq!(renamed, expected);
    bob.get(&format!("/files/{id}/data")).await.is_content("text/html; charset=utf-8", b"hi");
    assert_eq!(stack.row(&id).await.get_object_id("parentId").unwrap().to_hex(), folder);
}

#[tokio::test]
async fn f05_a_folder_is_renamed_and_moved_with_all_that_is_in_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (from, to) = (bob.folder("from").await, bob.folder("to").await);
    let folder = bob.folder_in(&from, "photos").await;
    let (below, file) = (bob.folder_in(&folder, "below").await, bob.upload_into(&folder, "a.txt", b"hi").await);
    let rows = [stack.row(&below).await, stack.row(&file).await];
    let moved = bob.change(&folder, json!({ "name": "pictures", "parentId": to })).await.tagged(200);
    assert_eq!(original(&moved), document(&folder, &bob.id, "pictures", "folder", false, to.as_str()));
    assert!(bob.get(&format!("/files?parentId={from}")).await.documents().is_empty());
    assert_eq!(bob.get(&format!("/files?parentId={to}")).await.documents(), [moved]);
    assert_eq!(bob.get(&format!("/files?parentId={folder}")).await.documents().len(), 2);
    assert_eq!([stack.row(&below).await, stack.row(&file).await], rows, "only one row is written");
    let names: Vec<Value> = serde_json::from_value(bob.get(&format!("/files/{file}/path")).await.json()).unwrap();
    assert_eq!(names.iter().map(|step| &step["name"]).collect::<Vec<_>>(), ["to", "pictures", "a.txt"]);
}

#[tokio::test]
async fn f05_a_body_without_a_name_or_a_parent_is_refused() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("a.txt", b"hi").await;
    let before = stack.row(&id).await;
    for body in [
        json!({}),
        json!([]),
        json!(null),
        json!({ "name": null }),
        json!({ "name": "" }),
        json!({ "name": 7 }),
        json!({ "name": { "$ne": null } }),
        json!({ "isPublic": true, "userId": "x", "type": "folder" }),
        json!({ "onConflict": "fail" }),
    ] {
        bob.change(&id, body).await.fails(400, "Missing name or parentId");
    }
    bob.request("PATCH", &format!("/files/{id}")).send().await.fails(400, "Missing name or parentId");
    let malformed = bob.request("PATCH", &format!("/files/{id}")).body("application/json", "{");
    malformed.send().await.fails(400, "Invalid JSON");
    for name in ["a/b", "a\nb", "a\0", &"x".repeat(256), &"é".repeat(128)] {
        bob.change(&id, json!({ "name": name })).await.fails(400, "Invalid name");
        bob.change(&id, json!({ "name": name, "parentId": 0 })).await.fails(400, "Invalid name");
    }
    assert_eq!(stack.row(&id).await, before);
    // Other fields than these are ignored.
    let renamed = bob.change(&id, json!({ "name": "b.txt", "isPublic": true, "type": "folder" })).await.tagged(200);
    assert_eq!(original(&renamed), document(&id, &bob.id, "b.txt", "file", false, 0));
}

#[tokio::test]
async fn f05_only_ones_own_visible_documents_can_be_changed() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (file, folder) = (bob.upload("a.txt", b"hi").await, bob.folder("in").await);
    let (public, below) = (bob.upload("b.txt", b"hi").await, bob.upload_into(&folder, "c.txt", b"hi").await);
    bob.publish(&public).await;
    for id in [&*file, &public, &folder, &ObjectId::new().to_hex(), "malformed", "0"] {
        eve.change(id, json!({ "name": "mine" })).await.fails(404, "Not found");
        eve.change(id, json!({ "parentId": 0 })).await.fails(404, "Not found");
    }
    let nobody = stack.anyone().patch(&format!("/files/{file}"), json!({ "name": "x" })).await;
    nobody.fails(401, "Unauthorized");
    bob.trash(&folder).await.tagged(200);
    bob.discard(&public).await;
    for id in [&folder, &below, &public] {
        bob.change(id, json!({ "name": "again" })).await.fails(404, "Not found");
        bob.change(id, json!({ "parentId": 0 })).await.fails(404, "Not found");
    }
    assert_eq!(original(&bob.show(&file).await.tagged(200)), document(&file, &bob.id, "a.txt", "file", false, 0));
}

#[tokio::test]
async fn f06_no_reader_sees_half_of_a_change() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (here, there) = (bob.folder("here").await, bob.folder("there").await);
    let id = bob.upload_into(&here, "here.txt", b"hi").await;
    let is_done = std::cell::Cell::new(false);
    let changes = async {
        for n in 0..40 {
            let (name, parent) = if n % 2 == 0 { ("there.txt", &there) } else { ("here.txt", &here) };
            bob.change(&id, json!({ "name": name, "parentId": parent })).await.tagged(200);
        }
        is_done.set(true);
    };
    let whole = |file: &Value| match file["name"].as_str().unwrap() {
        "here.txt" => file["parentId"] == json!(here),
        "there.txt" => file["parentId"] == json!(there),
        _ => false,
    };
    let readers = (0..3).map(async |reader| {
        let mut seen = 0;
        while !is_done.get() {
            let shown = match reader {
                0 => vec![bob.show(&id).await.tagged(200)],
                1 => bob.get(&format!("/files?parentId={here}")).await.documents(),
                _ => bob.get(&format!("/files?parentId={there}")).await.documents(),
            };
            assert!(shown.iter().all(whole), "{shown:?}");
            seen += 1;
        }
        assert!(seen > 0);
    });
    join(changes, join_all(readers)).await;
}

#[tokio::test]
async fn f07_the_root_has_the_forms_that_it_has_for_a_new_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    let id = bob.upload("a.txt", b"hi").await;
    for root in [Value::Null, json!(""), json!(false), json!(0), json!(0.0), json!("0")] {
        bob.change(&id, json!({ "parentId": folder })).await.tagged(200);
        let moved = bob.change(&id, json!({ "parentId": root })).await.tagged(200);
        assert_eq!(original(&moved), document(&id, &bob.id, "a.txt", "file", false, 0), "{root}");
        let row = stack.row(&id).await;
        assert!(matches!(row.get("parentId").unwrap(), Bson::Int32(0) | Bson::Int64(0)), "{row}");
    }
    // Without the field the file stays where it is.
    bob.change(&id, json!({ "parentId": folder })).await.tagged(200);
    assert_eq!(bob.change(&id, json!({ "name": "b.txt" })).await.tagged(200)["parentId"], json!(folder));
}

#[tokio::test]
async fn f07_a_new_place_is_a_folder_of_ones_own() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (id, file) = (bob.upload("a.txt", b"hi").await, bob.upload("b.txt", b"hi").await);
    let (foreign, public) = (eve.folder("private").await, eve.folder("public").await);
    eve.publish(&public).await;
    let (trashed, deleted) = (bob.folder("trashed").await, bob.folder("deleted").await);
    let below = bob.folder_in(&trashed, "below").await;
    bob.trash(&trashed).await.tagged(200);
    bob.discard(&deleted).await;
    let unfinished = bob.folder("unfinished").await;
    stack.set_row(&unfinished, pending()).await;
    let upload = id_of(&bob.create(json!({ "name": "a.bin", "type": "file", "size": 5 })).await.json());
    let before = stack.row(&id).await;
    for parent in [
        json!(foreign),
        json!(public),
        json!(trashed),
        json!(below),
        json!(deleted),
        json!(unfinished),
        json!(upload),
        json!(ObjectId::new().to_hex()),
        json!("x"),
        json!("00"),
        json!("../x"),
        json!(1),
        json!(true),
        json!([]),
        json!({ "$ne": null }),
    ] {
        bob.change(&id, json!({ "parentId": parent })).await.fails(400, "Parent not found");
        bob.change(&id, json!({ "parentId": parent, "name": "b" })).await.fails(400, "Parent not found");
    }
    bob.change(&id, json!({ "parentId": file })).await.fails(400, "Parent is not a folder");
    assert_eq!(stack.row(&id).await, before);
    stack.remove(&unfinished).await;
}

#[tokio::test]
async fn f07_the_content_type_follows_the_name() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("a.txt", b"hi").await;
    for (name, content_type) in [
        ("a.html", "text/html; charset=utf-8"),
        ("a.pdf", "application/pdf"),
        ("a", "application/octet-stream"),
        ("a.txt", "text/plain; charset=utf-8"),
    ] {
        assert_eq!(bob.change(&id, json!({ "name": name })).await.tagged(200)["contentType"], content_type);
        bob.get(&format!("/files/{id}/data")).await.is_content(content_type, b"hi");
        // S3 stored the object under the type of the first name.
        let redirect = bob.request("GET", &format!("/files/{id}/data")).header("Range", "bytes=0-0").send().await;
        let part = stack.http.get(redirect.header("location")).header("Range", "bytes=0-0").send().await.unwrap();
        assert_eq!(part.headers()["content-type"], content_type);
    }
}

#[tokio::test]
async fn f04_a_moved_document_has_a_hundred_levels_above_it_at_most() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let chain = chain(&stack, &bob, 100).await;
    let (file, folder) = (bob.upload("a.txt", b"hi").await, bob.folder("b").await);
    for id in [&file, &folder] {
        bob.change(id, json!({ "parentId": chain[99] })).await.fails(400, "Too deep: 100 levels at most");
        bob.change(id, json!({ "parentId": chain[98] })).await.tagged(200);
    }
    bob.show(&file).await.tagged(200);
}

/// A row at a level that no read reaches from above would outlive the folders that it is in.
#[tokio::test]
async fn f04_what_is_in_a_moved_folder_is_hidden_with_the_top_however_deep() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (above, below) = (chain(&stack, &bob, 50).await, chain(&stack, &bob, 60).await);
    let file = bob.upload_into(&below[59], "a.txt", b"hi").await;
    let moved = bob.change(&below[0], json!({ "parentId": above[49] })).await;
    if moved.status != 200 {
        moved.fails(400, "Too deep: 100 levels at most");
        bob.trash(&below[0]).await.tagged(200);
    }
    bob.trash(&above[0]).await.tagged(200);
    bob.show(&file).await.fails(404, "Not found");
    bob.get(&format!("/files/{file}/data")).await.fails(404, "Not found");
}

/// Plants so many folders, each in the one before, and returns their ids.
async fn chain(stack: &Stack, user: &User, levels: usize) -> Vec<String> {
    let (mut parent, mut ids, mut rows) = (Bson::from(0), Vec::new(), Vec::new());
    for _ in 0..levels {
        let id = ObjectId::new();
        let owner = user.object_id();
        rows.push(
            doc! { "_id": id, "userId": owner, "name": "a", "type": "folder", "isPublic": false, "parentId": parent },
        );
        parent = id.into();
        ids.push(id.to_hex());
    }
    stack.plant(user.object_id(), rows).await;
    ids
}

#[tokio::test]
async fn f08_a_folder_does_not_go_into_itself() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let top = bob.folder("top").await;
    let middle = bob.folder_in(&top, "middle").await;
    let bottom = bob.folder_in(&middle, "bottom").await;
    let file = bob.upload_into(&bottom, "a.txt", b"hi").await;
    let before = stack.row(&top).await;
    for into in [&top, &middle, &bottom] {
        bob.change(&top, json!({ "parentId": into })).await.fails(409, ITSELF);
        bob.change(&top, json!({ "parentId": into, "name": "x" })).await.fails(409, ITSELF);
    }
    assert_eq!(stack.row(&top).await, before);
    // A file is no folder, and a folder may go up, and into where it is.
    bob.change(&top, json!({ "parentId": file })).await.fails(400, "Parent is not a folder");
    bob.change(&bottom, json!({ "parentId": middle })).await.tagged(200);
    bob.change(&bottom, json!({ "parentId": 0 })).await.tagged(200);
    bob.change(&top, json!({ "parentId": bottom })).await.tagged(200);
    has_no_cycle(&stack, &bob).await;
}

#[tokio::test]
async fn f08_of_two_moves_into_each_other_one_at_most_is_made() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (a, b) = (bob.folder("a").await, bob.folder("b").await);
    let (in_a, in_b) = (bob.folder_in(&a, "in a").await, bob.folder_in(&b, "in b").await);
    for round in 0..20 {
        // Either into the other, or into a folder of the other.
        let (into_a, into_b) = if round % 2 == 0 { (&a, &b) } else { (&in_a, &in_b) };
        let moves = join(bob.change(&a, json!({ "parentId": into_b })), bob.change(&b, json!({ "parentId": into_a })));
        let (first, second) = moves.await;
        has_no_cycle(&stack, &bob).await;
        assert!(first.status != 200 || second.status != 200, "both were made");
        for answer in [first, second] {
            assert!([200, 409].contains(&answer.status), "{answer}");
        }
        for folder in [&a, &b] {
            bob.change(folder, json!({ "parentId": 0 })).await.tagged(200);
        }
    }
    assert_eq!(stack.count_rows(with(all_of(bob.object_id()), being_moved())).await, 0);
}

/// Another test does a thousand moves, and kills functions meanwhile.
#[tokio::test]
async fn f08_of_concurrent_moves_none_makes_a_cycle() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folders = join_all((0..12).map(async |n: u32| bob.folder(&n.to_string()).await)).await;
    let clients = (0..8_usize).map(async |client| {
        let mut made = 0;
        for n in 0..20_usize {
            let (folder, into) = (&folders[(client * 7 + n * 5) % 12], &folders[(client * 5 + n * 7 + 1) % 12]);
            let answer = bob.change(folder, json!({ "parentId": into })).await;
            assert!([200, 409].contains(&answer.status), "{answer}");
            made += usize::from(answer.status == 200);
        }
        made
    });
    let made: usize = join_all(clients).await.into_iter().sum();
    assert!(made > 0, "no move was made");
    has_no_cycle(&stack, &bob).await;
    for folder in &folders {
        let path: Vec<Value> = serde_json::from_value(bob.get(&format!("/files/{folder}/path")).await.json()).unwrap();
        assert_eq!(path.last().unwrap()["id"], json!(folder));
        assert_eq!(bob.show(path[0]["id"].as_str().unwrap()).await.tagged(200)["parentId"], 0);
    }
    assert_eq!(stack.count_rows(with(all_of(bob.object_id()), being_moved())).await, 0);
}

#[tokio::test]
async fn f08_a_move_that_died_blocks_no_other_for_longer_than_a_minute() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (a, b, file) = (bob.folder("a").await, bob.folder("b").await, bob.upload("a.txt", b"hi").await);
    for (id, name) in [(&b, "b"), (&file, "a.txt")] {
        stack.set_row(id, moving(0, name, long_ago())).await;
    }
    // The flag is on what is moved, and on a folder above the target.
    bob.change(&file, json!({ "parentId": a })).await.tagged(200);
    bob.change(&a, json!({ "parentId": b })).await.tagged(200);
    bob.change(&b, json!({ "name": "c" })).await.tagged(200);
    stack.set_row(&b, moving(0, "c", long_ago())).await;
    bob.change(&b, json!({ "parentId": 0 })).await.tagged(200);
    assert!(!stack.row(&file).await.is_being_moved());
    has_no_cycle(&stack, &bob).await;

    // A move that may still be going on is waited for, and not overtaken.
    stack.set_row(&b, moving(0, "c", DateTime::now())).await;
    let refused = bob.change(&file, json!({ "parentId": 0 })).await;
    assert_eq!(refused.status, 200, "a flag above a place that a file leaves is none of its business: {refused}");
    let other = bob.folder("other").await;
    let refused = bob.change(&other, json!({ "parentId": a })).await;
    assert_eq!(refused.status, 409, "a folder above the target is being moved: {refused}");
    assert!(!stack.row(&other).await.is_being_moved());
    let refused = bob.change(&b, json!({ "parentId": other })).await;
    assert_eq!(refused.status, 409, "the folder itself is being moved: {refused}");
}

#[tokio::test]
async fn f09_a_target_that_goes_meanwhile_takes_nothing_along_unsaid() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for round in 0..20 {
        let (from, to) = (bob.folder("from").await, bob.folder("to").await);
        let into = if round % 2 == 0 { to.clone() } else { bob.folder_in(&to, "below").await };
        let id = bob.upload_into(&from, "a.txt", b"hi").await;
        let goes = async {
            if round % 4 < 2 {
                bob.discard(&to).await;
            } else {
                drop(bob.trash(&to).await.tagged(200));
            }
            stack.invoke("sweeper", &json!({})).await;
        };
        let (moved, ()) = join(bob.change(&id, json!({ "parentId": into, "name": "b.txt" })), goes).await;
        stack.invoke("sweeper", &json!({})).await;
        if moved.status == 200 {
            // The folder went after the move, and so did what is in it.
            bob.show(&id).await.fails(404, "Not found");
        } else {
            moved.fails(400, "Parent not found");
            let there = bob.show(&id).await.tagged(200);
            assert_eq!((&there["name"], &there["parentId"]), (&json!("a.txt"), &json!(from)));
            assert_eq!(bob.content(&id).await, b"hi");
        }
        if let Some(row) = stack.find_row(&id).await {
            assert!(row.is_tombstone() || !row.is_being_moved(), "{row}");
        }
    }
}

/// The state after a function has written the new place and before it has looked for the folder.
#[tokio::test]
async fn f09_a_file_is_put_back_whose_move_died_after_writing() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for (since, is_above) in [(long_ago(), false), (long_ago(), true), (DateTime::now(), false)] {
        let (from, to) = (bob.folder("from").await, bob.folder("to").await);
        let into = if is_above { bob.folder_in(&to, "below").await } else { to.clone() };
        let id = bob.upload_into(&from, "a.txt", b"hi").await;
        let (from_id, into_id): (ObjectId, ObjectId) = (from.parse().unwrap(), into.parse().unwrap());
        stack.set_row(&to, tombstone()).await;
        stack.set_row(&id, with(moving(from_id, "a.txt", since), doc! { "parentId": into_id, "name": "b.txt" })).await;
        stack.set_row(&to, due_tombstone()).await;
        let is_recent = since > long_ago();
        stack
            .sweep_until("it is where it was", async || {
                let row = stack.row(&id).await;
                assert!(!row.is_tombstone(), "{row}");
                // The function may still be at work, and put it back itself.
                let is_back = row.get_object_id("parentId").unwrap() == from_id && !row.is_being_moved();
                (is_back || is_recent).then_some(())
            })
            .await;
        if is_recent {
            stack.set_row(&id, moving(from_id, "a.txt", long_ago())).await;
            stack
                .sweep_until("it is where it was", async || {
                    (stack.row(&id).await.get_object_id("parentId").unwrap() == from_id).then_some(())
                })
                .await;
        }
        let there = bob.show(&id).await.tagged(200);
        assert_eq!((&there["parentId"], &there["name"]), (&json!(from), &json!("a.txt")));
        assert_eq!(bob.content(&id).await, b"hi");
    }
}

#[tokio::test]
async fn f10_a_folder_of_ten_thousand_items_moves_at_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let target = bob.folder("target").await;
    let tree = stack.plant_tree(bob.object_id(), 0, 100, 99, &doc! {}).await;
    let top = tree.top.to_hex();
    let photo = json!({
        "name": "photo.jpg", "type": "image", "data": encoded(&jpeg(600, 400)), "isPublic": true, "parentId": top,
    });
    let image = id_of(&bob.create(photo).await.tagged(201));
    thumbnail(&bob, &image, 100).await;
    let inside = tree.folders[42].to_hex();
    let ticket = bob.post("/uploads/tickets", json!({ "parentId": inside })).await.json();
    let form = format!("/uploads/{}/s3/params?filename=new.txt", ticket["ticket"].as_str().unwrap());
    let rows = [stack.row(tree.folders[7]).await, stack.row(tree.files[7]).await, stack.row(&image).await];

    let answer = bob.change(&top, json!({ "parentId": target, "name": "moved" })).await;
    assert_eq!(answer.tagged(200)["parentId"], json!(target));
    // The promise is one second; the rest is for a machine that runs other tests at the same time.
    assert!(answer.took < Duration::from_secs(2), "it took {:?}", answer.took);
    assert_eq!([stack.row(tree.folders[7]).await, stack.row(tree.files[7]).await, stack.row(&image).await], rows);
    assert_eq!(bob.get(&format!("/files?parentId={target}")).await.documents().len(), 1);
    assert_eq!(bob.get(&format!("/files?parentId={inside}&page=4")).await.documents().len(), 19);
    for reader in [&*bob, &stack.anyone()] {
        assert_eq!(reader.get(&format!("/files/{image}/data")).await.body, jpeg(600, 400));
        assert_eq!(reader.get(&format!("/files/{image}/data?size=100")).await.status, 200);
    }
    assert_eq!(stack.anyone().get(&form).await.status, 200);
}

#[tokio::test]
async fn f11_an_upload_that_is_not_complete_is_renamed_and_moved() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (from, to) = (bob.folder("from").await, bob.folder("to").await);
    let asked = json!({ "name": "a.txt", "type": "file", "size": 5, "parentId": from });
    let begun = bob.create(asked).await.json();
    let id = id_of(&begun);
    let moved = bob.change(&id, json!({ "name": "b.html", "parentId": to })).await.tagged(200);
    assert_eq!(original(&moved), document(&id, &bob.id, "b.html", "file", false, to.as_str()));
    bob.show(&id).await.fails(404, "Not found");

    // The request was signed before the change, with the type of the old name.
    let put = stack.http.put(begun["upload"]["url"].as_str().unwrap()).header("If-None-Match", "*");
    let put = put.header("Content-Type", "text/plain; charset=utf-8").body("hello").send().await.unwrap();
    assert_eq!(put.status(), 200);
    let file = bob.request("POST", &format!("/files/{id}/complete")).send().await.tagged(200);
    assert_eq!(original(&file), document(&id, &bob.id, "b.html", "file", false, to.as_str()));
    bob.get(&format!("/files/{id}/data")).await.is_content("text/html; charset=utf-8", b"hello");
    assert!(bob.get(&format!("/files?parentId={from}")).await.documents().is_empty());
}

#[tokio::test]
async fn f11_a_form_and_parts_arrive_where_their_upload_was_moved() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (inbox, to) = (bob.folder("inbox").await, bob.folder("to").await);
    let ticket = bob.post("/uploads/tickets", json!({ "parentId": inbox })).await.json();
    let companion = format!("/uploads/{}/s3", ticket["ticket"].as_str().unwrap());
    let form = stack.anyone().get(&format!("{companion}/params?filename=a.txt")).await.json();
    let form_id = form["fields"]["key"].as_str().unwrap().split('/').nth(1).unwrap().to_owned();
    let begun = stack.anyone().post(&format!("{companion}/multipart"), json!({ "filename": "b.txt" })).await.json();
    let key = begun["key"].as_str().unwrap();
    let parts_id = key.split('/').nth(1).unwrap().to_owned();
    for (id, name) in [(&form_id, "c.txt"), (&parts_id, "d.txt")] {
        bob.change(id, json!({ "name": name, "parentId": to })).await.tagged(200);
    }

    assert_eq!(stack.post_form(&form, b"hello".to_vec()).await.status(), 201);
    let parts = format!("{companion}/multipart/{}", begun["uploadId"].as_str().unwrap());
    let signed = stack.anyone().get(&format!("{parts}/1?key={key}")).await.json();
    let put = stack.http.put(signed["url"].as_str().unwrap()).body("parts").send().await.unwrap();
    let part = json!({ "PartNumber": 1, "ETag": put.headers()["etag"].to_str().unwrap() });
    let completed = stack.anyone().post(&format!("{parts}/complete?key={key}"), json!({ "parts": [part] })).await;
    assert_eq!(completed.status, 200, "{completed}");
    for (id, name, bytes) in [(&form_id, "c.txt", &b"hello"[..]), (&parts_id, "d.txt", b"parts")] {
        let file = e2e::eventually("the file", Duration::from_secs(20), async || {
            let shown = bob.show(id).await;
            (shown.status == 200).then(|| shown.tagged(200))
        })
        .await;
        assert_eq!(original(&file), document(id, &bob.id, name, "file", false, to.as_str()));
        assert_eq!(bob.content(id).await, bytes);
    }
}

/// An upload that lies in a folder goes with it, also if it was moved there.
#[tokio::test]
async fn f11_an_upload_goes_with_the_folder_that_it_was_moved_into() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let to = bob.folder("to").await;
    let id = id_of(&bob.create(json!({ "name": "a.bin", "type": "file", "size": 200 << 20 })).await.json());
    bob.change(&id, json!({ "parentId": to })).await.tagged(200);
    bob.discard(&to).await;
    bob.request("POST", &format!("/files/{id}/complete")).send().await.fails(404, "Not found");
    stack
        .sweep_until("nothing is left", async || {
            let rows = stack.count_rows(all_of(bob.object_id())).await;
            let parts = stack.s3.list_multipart_uploads().bucket(&stack.bucket).prefix(format!("uploads/{id}/"));
            (rows == 0 && parts.send().await.unwrap().uploads.unwrap_or_default().is_empty()).then_some(())
        })
        .await;
}

/// A file keeps the fields that only other releases know.
#[tokio::test]
async fn f05_a_change_leaves_all_other_fields_as_they_are() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("a.txt", b"hi").await;
    stack.set_row(&id, doc! { "meta": { "a": [1] }, "__v": 0 }).await;
    let before = stack.row(&id).await;
    bob.change(&id, json!({ "name": "b.txt" })).await.tagged(200);
    let after = stack.row(&id).await;
    for field in ["meta", "__v", "userId", "type", "isPublic", "parentId"] {
        assert_eq!(after.get(field), before.get(field), "{field}");
    }
    assert_eq!((after.key(), after.size()), (before.key(), before.size()));
    assert_eq!(after.get("name"), Some(&Bson::from("b.txt")));
}

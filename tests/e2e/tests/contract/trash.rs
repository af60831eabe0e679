//! The trash: what is in it is gone for everything but these routes, and comes back as it was.

use std::time::Duration;

use e2e::{
    Stack, User, encoded, eventually,
    fixtures::jpeg,
    id_of,
    ledger::{all_of, expired, trashed, with},
    thumbnails::thumbnail,
};
use futures_util::future::join_all;
use mongodb::bson::{Bson, DateTime, doc, oid::ObjectId};
use serde_json::{Value, json};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// The time of a field of a document.
fn time(document: &Value, key: &str) -> i64 {
    let text = document[key].as_str().unwrap_or_else(|| panic!("no {key} in {document}"));
    DateTime::parse_rfc3339_str(text).unwrap().timestamp_millis()
}

fn ids(documents: &[Value]) -> Vec<String> {
    documents.iter().map(id_of).collect()
}

/// The documents in the trash, page by page of so many.
async fn all_in_trash(user: &User, limit: usize) -> Vec<Value> {
    let (mut all, mut next) = (Vec::new(), Some(format!("/trash?limit={limit}")));
    while let Some(page) = next {
        let answer = user.get(&page).await;
        let some = answer.documents();
        next = answer.next_page();
        assert!(some.len() <= limit && (next.is_none() || some.len() == limit), "{} at {page}", some.len());
        all.extend(some);
    }
    all
}

#[tokio::test]
async fn f22_a_trashed_file_says_since_when_and_until_when() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    let id = bob.upload_into(&folder, "a.txt", b"hi").await;
    let before = bob.show(&id).await.tagged(200);
    let trashed = bob.trash(&id).await.tagged(200);
    let mut expected = before.clone();
    for key in ["trashedAt", "expiresAt", "updatedAt"] {
        expected[key] = trashed[key].clone();
    }
    expected["revision"] = json!(2);
    assert_eq!(trashed, expected);
    let since = DateTime::now().timestamp_millis() - time(&trashed, "trashedAt");
    assert!((-2000..60_000).contains(&since), "{since} ms");
    assert_eq!(time(&trashed, "expiresAt") - time(&trashed, "trashedAt"), 30 * DAY);
    let row = stack.row(&id).await;
    assert!(row.is_trashed(), "{row}");
    assert_eq!(row.trashed_at().unwrap().timestamp_millis(), time(&trashed, "trashedAt"));
    assert_eq!(row.expires_at().timestamp_millis(), time(&trashed, "expiresAt"));

    for _ in 0..2 {
        assert_eq!(bob.trash(&id).await.tagged(200), trashed, "idempotent");
    }
    let many = join_all((0..6).map(|_| bob.trash(&folder))).await;
    let first = many[0].tagged(200);
    for answer in &many {
        assert_eq!(answer.tagged(200), first);
    }
}

#[tokio::test]
async fn f22_a_trashed_folder_is_gone_with_all_that_is_below_it() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let top = bob.folder("top").await;
    let below = bob.folder_in(&top, "below").await;
    let photo = json!({
        "name": "photo.jpg", "type": "image", "isPublic": true, "parentId": below, "data": encoded(&jpeg(600, 400)),
    });
    let image = id_of(&bob.create(photo).await.tagged(201));
    thumbnail(&bob, &image, 100).await;
    let begin = json!({ "name": "b.bin", "type": "file", "size": 5, "parentId": below });
    let upload = id_of(&bob.create(begin).await.json());
    let ticket = bob.post("/uploads/tickets", json!({ "parentId": below })).await.json();
    let form = format!("/uploads/{}/s3/params?filename=a.txt", ticket["ticket"].as_str().unwrap());
    let other = bob.upload("other.txt", b"hi").await;
    let rows = [stack.row(&below).await, stack.row(&image).await, stack.row(&upload).await];

    let answer = bob.trash(&top).await;
    answer.tagged(200);
    // One row is written, whatever is below it.
    assert_eq!([stack.row(&below).await, stack.row(&image).await, stack.row(&upload).await], rows);
    assert_eq!(ids(&bob.get("/files").await.documents()), [&*other]);
    for client in [&*bob, &*eve, &stack.anyone()] {
        for path in [format!("/files/{image}/data"), format!("/files/{image}/data?size=100")] {
            client.get(&path).await.fails(404, "Not found");
        }
    }
    for id in [&top, &below, &image] {
        bob.show(id).await.fails(404, "Not found");
        for path in ["path", "usage", "versions"] {
            bob.get(&format!("/files/{id}/{path}")).await.fails(404, "Not found");
        }
        for action in ["publish", "unpublish"] {
            bob.put(&format!("/files/{id}/{action}")).await.fails(404, "Not found");
        }
        bob.change(id, json!({ "name": "x" })).await.fails(404, "Not found");
        bob.copy(id, json!({})).await.fails(404, "Not found");
        let found = bob.get(&format!("/search?q={}", if id == &image { "photo" } else { "below" })).await;
        found.is(200, json!([]));
    }
    for folder in [&top, &below] {
        bob.get(&format!("/files?parentId={folder}")).await.is(200, json!([]));
        bob.get(&format!("/files?parentId={folder}&limit=5")).await.is(200, json!([]));
        for new in [
            json!({ "type": "folder" }),
            json!({ "type": "file", "data": "aGk=" }),
            json!({ "type": "file", "size": 5 }),
        ] {
            let mut new = new;
            new["name"] = json!("a");
            new["parentId"] = json!(folder);
            bob.create(new).await.fails(400, "Parent not found");
        }
        bob.change(&other, json!({ "parentId": folder })).await.fails(400, "Parent not found");
        bob.copy(&other, json!({ "parentId": folder })).await.fails(400, "Parent not found");
        bob.post("/uploads/tickets", json!({ "parentId": folder })).await.fails(400, "Parent not found");
    }
    stack.anyone().get(&form).await.fails_with_message(400, "Parent not found");
    for (method, path) in [("POST", "complete"), ("GET", "parts")] {
        bob.request(method, &format!("/files/{upload}/{path}")).send().await.fails(404, "Not found");
    }
    // Only what was put into the trash is there, and not what is below it.
    for id in [&below, &image] {
        bob.trash(id).await.fails(404, "Not found");
        bob.restore(id, json!({})).await.fails(404, "Not found");
    }
    assert_eq!(ids(&bob.get("/trash").await.documents()), [top]);
}

#[tokio::test]
async fn f22_only_ones_own_documents_can_be_trashed() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (file, gone) = (bob.upload("a.txt", b"hi").await, bob.upload("b.txt", b"hi").await);
    bob.publish(&file).await;
    bob.discard(&gone).await;
    for id in [&*file, &gone, &ObjectId::new().to_hex(), "malformed", "0"] {
        eve.trash(id).await.fails(404, "Not found");
        eve.restore(id, json!({})).await.fails(404, "Not found");
    }
    stack.anyone().put(&format!("/files/{file}/trash")).await.fails(401, "Unauthorized");
    stack.anyone().put(&format!("/files/{file}/restore")).await.fails(401, "Unauthorized");
    stack.anyone().get("/trash").await.fails(401, "Unauthorized");
    stack.anyone().delete("/trash").await.fails(401, "Unauthorized");
    bob.trash(&gone).await.fails(404, "Not found");
    bob.restore(&gone, json!({})).await.fails(404, "Not found");
    assert_eq!(bob.show(&file).await.tagged(200)["revision"], 2);
    bob.trash(&file).await.tagged(200);
    eve.restore(&file, json!({})).await.fails(404, "Not found");
    eve.delete("/trash").await.is_empty(202);
    assert_eq!(ids(&bob.get("/trash").await.documents()), [file]);
    eve.get("/trash").await.is(200, json!([]));
}

#[tokio::test]
async fn f23_the_trash_is_listed_newest_first_and_page_by_page() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    bob.get("/trash").await.is(200, json!([]));
    let mut newest_first = Vec::new();
    for n in 0..7 {
        let id = if n % 3 == 0 {
            let folder = bob.folder(&n.to_string()).await;
            bob.upload_into(&folder, "inside.txt", b"hi").await;
            folder
        } else {
            bob.upload(&format!("{n}.txt"), b"hi").await
        };
        newest_first.insert(0, id);
    }
    // The order of the trash is not that of the ids.
    newest_first.swap(1, 5);
    let mut documents = Vec::new();
    for id in newest_first.iter().rev() {
        documents.insert(0, bob.trash(id).await.tagged(200));
    }
    bob.upload("stays.txt", b"hi").await;
    eve.trash(&eve.upload("hers.txt", b"hi").await).await.tagged(200);

    assert!(documents.is_sorted_by(|a, b| time(a, "trashedAt") >= time(b, "trashedAt")));
    for limit in [1, 2, 3, 7, 8, 1000] {
        let listed = all_in_trash(&bob, limit).await;
        let mut sorted = listed.clone();
        sorted.sort_by_key(|document| (std::cmp::Reverse(time(document, "trashedAt")), id_of(document)));
        let mut expected = documents.clone();
        expected.sort_by_key(|document| (std::cmp::Reverse(time(document, "trashedAt")), id_of(document)));
        assert!(listed.is_sorted_by(|a, b| time(a, "trashedAt") >= time(b, "trashedAt")), "{listed:?}");
        assert_eq!(sorted, expected, "with {limit} a page");
    }
    assert_eq!(bob.get("/trash").await.next_page(), None);
}

#[tokio::test]
async fn f23_a_page_of_the_trash_has_a_hundred_unless_it_is_said() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    // All of them at the same moment: the ids decide.
    let (at, until) = (DateTime::now(), DateTime::from_millis(DateTime::now().timestamp_millis() + 30 * DAY));
    let rows: Vec<_> = (0..250)
        .map(|n| {
            let row = doc! {
                "_id": ObjectId::new(), "userId": bob.object_id(), "name": format!("{n}"), "type": "folder",
                "isPublic": false, "parentId": 0,
            };
            with(row, trashed(at, until))
        })
        .collect();
    let mut expected: Vec<String> = rows.iter().map(|row| row.get_object_id("_id").unwrap().to_hex()).collect();
    stack.plant(bob.object_id(), rows).await;
    let answer = bob.get("/trash").await;
    assert_eq!(answer.documents().len(), 100);
    let next = answer.next_page().unwrap();
    assert!(next.starts_with("/trash?") && next.contains("cursor="), "{next}");
    for limit in [100, 99] {
        let mut listed = ids(&all_in_trash(&bob, limit).await);
        listed.sort();
        expected.sort();
        assert_eq!(listed, expected, "each once");
    }
    assert_eq!(bob.get("/trash?limit=1000").await.documents().len(), 250);
    bob.delete("/trash").await.is_empty(202);
}

#[tokio::test]
async fn f23_a_limit_or_a_cursor_of_another_form_is_refused() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    for limit in ["0", "-1", "1001", "x", "1.5", "1e2", "99999999999999999999", "%00"] {
        bob.get(&format!("/trash?limit={limit}")).await.fails(400, "Invalid limit");
    }
    for user in [&bob, &eve] {
        for n in 0..2 {
            user.trash(&user.upload(&format!("{n}.txt"), b"hi").await).await.tagged(200);
        }
    }
    let next = bob.get("/trash?limit=1").await.next_page().unwrap();
    let cursor = next.split("cursor=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let mut changed = cursor.clone().into_bytes();
    let at = changed.len() / 2;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    for cursor in ["x", "!", "%00", "AAAA", &cursor[1..], &format!("{cursor}A"), &cursor.repeat(20)] {
        bob.get(&format!("/trash?limit=1&cursor={cursor}")).await.fails(400, "Invalid cursor");
    }
    // A changed cursor may still be one, but shows nothing of others.
    let changed = String::from_utf8(changed).unwrap();
    let answer = bob.get(&format!("/trash?limit=1&cursor={changed}")).await;
    if answer.status != 200 {
        answer.fails(400, "Invalid cursor");
    }
    // So does that of another user, and that of another listing.
    let foreign = eve.get(&next).await;
    if foreign.status == 200 {
        assert!(foreign.documents().iter().all(|document| document["userId"] == json!(eve.id)));
    } else {
        foreign.fails(400, "Invalid cursor");
    }
    bob.folder("a").await;
    bob.folder("b").await;
    let listing = bob.get("/files?limit=1").await.next_page().unwrap();
    let of_listing = listing.split("cursor=").nth(1).unwrap().split('&').next().unwrap();
    bob.get(&format!("/trash?cursor={of_listing}")).await.fails(400, "Invalid cursor");
}

#[tokio::test]
async fn f24_what_is_restored_is_as_it_was() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let top = bob.folder("top").await;
    let below = bob.folder_in(&top, "below").await;
    let photo = json!({
        "name": "photo.jpg", "type": "image", "isPublic": true, "parentId": below, "data": encoded(&jpeg(600, 400)),
    });
    let image = id_of(&bob.create(photo).await.tagged(201));
    thumbnail(&bob, &image, 100).await;
    let ticket = bob.post("/uploads/tickets", json!({ "parentId": below })).await.json();
    let form = format!("/uploads/{}/s3/params?filename=a.txt", ticket["ticket"].as_str().unwrap());
    let shown = eventually("ready thumbnails", e2e::thumbnails::SOON, async || {
        let shown = bob.show(&image).await.tagged(200);
        (shown["thumbnails"] == "ready").then_some(shown)
    })
    .await;
    let before = bob.show(&top).await.tagged(200);

    bob.trash(&top).await.tagged(200);
    stack.invoke("sweeper", &json!({})).await;
    let restored = bob.restore(&top, json!({})).await.tagged(200);
    let mut expected = before.clone();
    (expected["revision"], expected["updatedAt"]) = (json!(3), restored["updatedAt"].clone());
    assert_eq!(restored, expected, "neither trashedAt nor expiresAt");
    let row = stack.row(&top).await;
    assert!(!row.is_trashed() && row.trashed_at().is_none(), "{row}");
    assert_eq!(bob.show(&image).await.tagged(200), shown);
    for reader in [&*bob, &stack.anyone()] {
        assert_eq!(reader.get(&format!("/files/{image}/data")).await.body, jpeg(600, 400));
        assert_eq!(reader.get(&format!("/files/{image}/data?size=100")).await.status, 200);
    }
    assert_eq!(stack.anyone().get(&form).await.status, 200);
    assert_eq!(bob.get("/search?q=photo").await.documents().len(), 1);
    assert_eq!(ids(&bob.get("/files").await.documents()), [&*top]);
    bob.get("/trash").await.is(200, json!([]));
    // What is not in the trash is where it is.
    assert_eq!(bob.restore(&top, json!({})).await.tagged(200), restored);
    let none = bob.request("PUT", &format!("/files/{top}/restore")).send().await;
    assert_eq!(none.tagged(200), restored);
}

#[tokio::test]
async fn f24_a_file_whose_folder_is_gone_is_restored_into_another() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (target, file) = (bob.folder("target").await, bob.upload("a.txt", b"hi").await);
    let hers = eve.folder("hers").await;
    for is_trashed in [true, false] {
        let top = bob.folder("top").await;
        let below = bob.folder_in(&top, "below").await;
        let id = bob.upload_into(&below, "b.txt", b"lost").await;
        bob.trash(&id).await.tagged(200);
        if is_trashed {
            drop(bob.trash(&top).await.tagged(200));
        } else {
            bob.discard(&top).await;
        }
        bob.restore(&id, json!({})).await.fails(400, "Parent not found");
        for (parent, error) in [
            (json!(below), "Parent not found"),
            (json!(hers), "Parent not found"),
            (json!(ObjectId::new().to_hex()), "Parent not found"),
            (json!("x"), "Parent not found"),
            (json!(file), "Parent is not a folder"),
        ] {
            bob.restore(&id, json!({ "parentId": parent })).await.fails(400, error);
        }
        assert!(stack.row(&id).await.is_trashed());
        let restored = bob.restore(&id, json!({ "parentId": target })).await.tagged(200);
        assert_eq!((id_of(&restored), &restored["parentId"]), (id.clone(), &json!(target)));
        assert_eq!(bob.content(&id).await, b"lost");
        stack.invoke("sweeper", &json!({})).await;
        assert_eq!(bob.content(&id).await, b"lost", "it does not go with its old folder");
    }
    // The forms of the root.
    for root in [Value::Null, json!(""), json!(false), json!(0), json!("0")] {
        let id = bob.upload_into(&target, "c.txt", b"hi").await;
        bob.trash(&id).await.tagged(200);
        assert_eq!(bob.restore(&id, json!({ "parentId": root })).await.tagged(200)["parentId"], 0, "{root}");
    }
}

/// The folder of a trashed file is deleted and swept. The file stays in the trash, as the row itself was trashed.
#[tokio::test]
async fn f24_a_trashed_file_outlives_the_folder_that_it_was_in() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    let id = bob.upload_into(&folder, "a.txt", b"hi").await;
    bob.trash(&id).await.tagged(200);
    bob.discard(&folder).await;
    stack.sweep_until("the folder is swept", async || stack.find_row(&folder).await.is_none().then_some(())).await;
    bob.restore(&id, json!({})).await.fails(400, "Parent not found");
    bob.restore(&id, json!({ "parentId": 0 })).await.tagged(200);
    assert_eq!(bob.content(&id).await, b"hi");
}

#[tokio::test]
async fn f04_a_restored_document_has_a_hundred_levels_above_it_at_most() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (mut parent, mut ids, mut rows) = (Bson::from(0), Vec::new(), Vec::new());
    for _ in 0..100 {
        let id = ObjectId::new();
        rows.push(doc! {
            "_id": id, "userId": bob.object_id(), "name": "a", "type": "folder", "isPublic": false, "parentId": parent,
        });
        parent = id.into();
        ids.push(id.to_hex());
    }
    stack.plant(bob.object_id(), rows).await;
    let id = bob.upload("a.txt", b"hi").await;
    bob.trash(&id).await.tagged(200);
    bob.restore(&id, json!({ "parentId": ids[99] })).await.fails(400, "Too deep: 100 levels at most");
    bob.restore(&id, json!({ "parentId": ids[98] })).await.tagged(200);
}

#[tokio::test]
async fn f25_a_delete_is_final_in_the_trash_too() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let folder = bob.folder("in").await;
    let file = bob.upload_into(&folder, "a.txt", b"hi").await;
    let key = stack.row(&file).await.key().to_owned();
    bob.trash(&folder).await.tagged(200);
    eve.delete(&format!("/files/{folder}")).await.fails(404, "Not found");
    bob.delete(&format!("/files/{file}")).await.fails(404, "Not found");
    bob.discard(&folder).await;
    bob.delete(&format!("/files/{folder}")).await.fails(404, "Not found");
    bob.restore(&folder, json!({})).await.fails(404, "Not found");
    bob.trash(&folder).await.fails(404, "Not found");
    bob.get("/trash").await.is(200, json!([]));
    stack
        .sweep_until("nothing is left", async || {
            let rows = stack.count_rows(all_of(bob.object_id())).await;
            (rows == 0 && stack.objects(&key).await.is_empty()).then_some(())
        })
        .await;
    // A delete outside of the trash does not go into it.
    let other = bob.upload("b.txt", b"hi").await;
    bob.discard(&other).await;
    bob.get("/trash").await.is(200, json!([]));
}

#[tokio::test]
async fn f25_the_whole_trash_is_emptied_at_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    bob.delete("/trash").await.is_empty(202);
    let (folder, stays) = (bob.folder("in").await, bob.upload("stays.txt", b"hi").await);
    let inside = bob.upload_into(&folder, "a.txt", b"hi").await;
    let file = bob.upload("b.txt", b"hi").await;
    let keys = [stack.row(&inside).await.key().to_owned(), stack.row(&file).await.key().to_owned()];
    for id in [&folder, &file] {
        bob.trash(id).await.tagged(200);
    }
    let (at, until) = (DateTime::now(), DateTime::MAX);
    let many = (0..2000).map(|n| {
        let row = doc! {
            "userId": bob.object_id(), "name": format!("{n}"), "type": "folder", "isPublic": false, "parentId": 0,
        };
        with(row, trashed(at, until))
    });
    stack.plant(bob.object_id(), many).await;
    let answer = bob.delete("/trash").await;
    answer.is_empty(202);
    bob.get("/trash").await.is(200, json!([]));
    for id in [&folder, &file] {
        bob.restore(id, json!({})).await.fails(404, "Not found");
    }
    for id in [&folder, &file, &inside] {
        bob.get(&format!("/files/{id}/data")).await.fails(404, "Not found");
    }
    stack
        .sweep_until("nothing is left of it", async || {
            let rows = stack.count_rows(all_of(bob.object_id())).await;
            let objects = [stack.objects(&keys[0]).await, stack.objects(&keys[1]).await].concat();
            (rows == 1 && objects.is_empty()).then_some(())
        })
        .await;
    assert_eq!(bob.content(&stays).await, b"hi");
    assert_eq!(bob.used_bytes().await, 2);
}

#[tokio::test]
async fn f26_the_trash_is_purged_when_its_days_are_over() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    let photo = json!({ "name": "a.jpg", "type": "image", "parentId": folder, "data": encoded(&jpeg(600, 400)) });
    let image = id_of(&bob.create(photo).await.tagged(201));
    thumbnail(&bob, &image, 100).await;
    let key = stack.row(&image).await.key().to_owned();
    let bytes = jpeg(600, 400).len() as u64;
    bob.trash(&folder).await.tagged(200);
    // A minute before its time nothing happens.
    let soon = DateTime::from_millis(DateTime::now().timestamp_millis() + 60_000);
    stack.set_row(&folder, e2e::ledger::expires_at(soon)).await;
    stack.invoke("sweeper", &json!({})).await;
    assert!(stack.row(&folder).await.is_trashed());
    assert_eq!(bob.used_bytes().await, bytes, "what is in the trash counts");

    stack.set_row(&folder, expired()).await;
    stack
        .sweep_until("nothing is left", async || {
            let rows = stack.count_rows(all_of(bob.object_id())).await;
            let objects = [stack.objects(&key).await, stack.objects(&format!("thumbnails/{image}/")).await].concat();
            (rows == 0 && objects.is_empty()).then_some(())
        })
        .await;
    bob.restore(&folder, json!({})).await.fails(404, "Not found");
    assert_eq!(bob.used_bytes().await, 0);
}

/// The sweeper may come late: what is over is over.
#[tokio::test]
async fn f26_a_restore_and_the_sweeper_at_once_lose_nothing_unsaid() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for _ in 0..10 {
        let folder = bob.folder("in").await;
        let file = bob.upload_into(&folder, "a.txt", b"hi").await;
        bob.trash(&folder).await.tagged(200);
        stack.set_row(&folder, expired()).await;
        let sweep = async {
            stack.invoke("sweeper", &json!({})).await;
        };
        let (restored, ()) = futures_util::future::join(bob.restore(&folder, json!({})), sweep).await;
        stack.invoke("sweeper", &json!({})).await;
        if restored.status == 200 {
            assert_eq!(bob.content(&file).await, b"hi");
        } else {
            restored.fails(404, "Not found");
            bob.show(&file).await.fails(404, "Not found");
        }
    }
}

#[tokio::test]
async fn f26_ten_thousand_items_go_into_the_trash_and_out_at_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let content = stack.shared_object(&bob, b"hi").await;
    let tree = stack.plant_tree(bob.object_id(), 0, 100, 99, &content).await;
    let top = tree.top.to_hex();
    let used = bob.used_bytes().await;
    let without_words = async |id| {
        let row = stack.row(id).await;
        let mut row: mongodb::bson::Document = (*row).clone();
        // The sweeper stores them whenever it comes.
        row.remove("words");
        row
    };
    let rows = [without_words(tree.folders[7]).await, without_words(tree.files[700]).await];
    for action in ["trash", "restore"] {
        let answer = bob.put(&format!("/files/{top}/{action}")).await;
        answer.tagged(200);
        // The promise is one second; the rest is for a machine that runs other tests at the same time.
        assert!(answer.took < Duration::from_secs(2), "{action} took {:?}", answer.took);
        assert_eq!([without_words(tree.folders[7]).await, without_words(tree.files[700]).await], rows);
        let status = if action == "trash" { 404 } else { 200 };
        assert_eq!(bob.get(&format!("/files/{}/data", tree.files[700])).await.status, status);
        assert_eq!(bob.used_bytes().await, used);
    }
    stack.remove_all(bob.object_id(), &content).await;
}

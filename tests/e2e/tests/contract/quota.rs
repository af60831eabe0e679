//! The bytes that a user has, and the limit of them.

use std::time::Duration;

use e2e::{
    Answer, Stack, User, encoded, eventually, id_of,
    ledger::{State, all_of, expired, invisible, set, visible, with},
    unique,
};
use futures_util::future::{join, join_all};
use mongodb::bson::oid::ObjectId;
use serde_json::{Value, json};

async fn has(user: &User, bytes: u64, files: u64, quota: Value) {
    let answer = user.get("/users/me/usage").await;
    answer.is(200, json!({ "bytes": bytes, "files": files, "quotaBytes": quota }));
}

/// Waits until the sweeper has removed all that is deleted.
async fn swept(stack: &Stack, user: &User) {
    let deleted = with(all_of(user.object_id()), State::Tombstone.only());
    stack
        .sweep_until("what was deleted is gone", async || (stack.count_rows(deleted.clone()).await == 0).then_some(()))
        .await;
}

async fn begin(user: &User, size: u64) -> Answer {
    user.create(json!({ "name": "a.bin", "type": "file", "size": size })).await
}

async fn upload(user: &User, bytes: &[u8]) -> Answer {
    user.create(json!({ "name": "a.bin", "type": "file", "data": encoded(bytes) })).await
}

/// The path of the companion routes of a new ticket.
async fn companion(user: &User) -> String {
    let issued = user.post("/uploads/tickets", json!({})).await;
    assert_eq!(issued.status, 201, "{issued}");
    format!("/uploads/{}/s3", issued.json()["ticket"].as_str().unwrap())
}

/// The findings of fsck about the bytes of a user.
async fn miscounts(stack: &Stack, user: &User) -> Vec<Value> {
    let report = stack.invoke("sweeper", &json!({ "fsck": true })).await;
    assert!(report["complete"] == true && report["usage"]["count"].is_u64(), "{report}");
    let all = report["usage"]["first"].as_array().unwrap().clone();
    all.into_iter().filter(|finding| finding.to_string().contains(&user.id)).collect()
}

#[tokio::test]
async fn f40_a_user_sees_the_bytes_and_files_that_count() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    stack.anyone().get("/users/me/usage").await.fails(401, "Unauthorized");
    has(&bob, 0, 0, Value::Null).await;
    let folder = bob.folder("in").await;
    has(&bob, 0, 0, Value::Null).await;
    let file = bob.upload_into(&folder, "a.txt", b"12345").await;
    has(&bob, 5, 1, Value::Null).await;
    bob.upload_image("a.jpg", b"no image").await;
    has(&bob, 13, 2, Value::Null).await;
    let begun = id_of(&begin(&bob, 1000).await.json());
    has(&bob, 1013, 3, Value::Null).await;
    bob.discard(&begun).await;
    let copy = id_of(&bob.copy(&folder, json!({})).await.tagged(201));
    swept(&stack, &bob).await;
    has(&bob, 18, 3, Value::Null).await;
    bob.trash(&copy).await.tagged(200);
    has(&bob, 18, 3, Value::Null).await;
    for id in [&copy, &file] {
        bob.discard(id).await;
    }
    swept(&stack, &bob).await;
    has(&bob, 8, 1, Value::Null).await;
    // Renames, moves and links cost nothing.
    let id = bob.upload("b.txt", b"hi").await;
    bob.change(&id, json!({ "name": "c.txt", "parentId": folder })).await.tagged(200);
    bob.publish(&id).await;
    has(&bob, 10, 2, Value::Null).await;
    stack.set_quota(bob.object_id(), 100).await;
    has(&bob, 10, 2, json!(100)).await;
    stack.set_quota(bob.object_id(), 0).await;
    has(&bob, 10, 2, Value::Null).await;
    assert!(miscounts(&stack, &bob).await.is_empty());
}

/// The first use sums the rows of a user whom nobody has counted.
#[tokio::test]
async fn f40_a_user_of_an_earlier_release_is_counted_at_the_first_use() {
    let stack = Stack::running().await;
    for first in ["usage", "upload", "delete", "copy"] {
        let bob = stack.user("bob").await;
        let (a, b) = (bob.upload("a.txt", b"12345").await, bob.upload("b.txt", b"123").await);
        bob.trash(&bob.upload("c.txt", b"1").await).await.tagged(200);
        begin(&bob, 7).await.document(201);
        stack.forget_usage(bob.object_id()).await;
        let (bytes, files) = match first {
            "usage" => (16, 4),
            "upload" => {
                bob.upload("d.txt", b"12").await;
                (18, 5)
            }
            "copy" => {
                bob.copy(&a, json!({})).await.tagged(201);
                (21, 5)
            }
            _ => {
                bob.discard(&b).await;
                swept(&stack, &bob).await;
                (13, 3)
            }
        };
        has(&bob, bytes, files, Value::Null).await;
        // All that happens at once counts once, also the first sum.
        stack.forget_usage(bob.object_id()).await;
        join_all((0..6).map(|_| upload(&bob, b"1234567890"))).await;
        has(&bob, bytes + 60, files + 6, Value::Null).await;
        assert!(miscounts(&stack, &bob).await.is_empty(), "after {first}");
    }
}

#[tokio::test]
async fn f41_a_folder_says_what_is_in_it() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let top = bob.folder("top").await;
    let below = bob.folder_in(&top, "below").await;
    let empty = bob.folder_in(&below, "empty").await;
    let file = bob.upload_into(&top, "a.txt", b"123").await;
    let other = bob.upload_into(&below, "b.txt", b"12345").await;
    bob.copy(&other, json!({})).await.tagged(201);
    // What is not visible is not in it.
    bob.trash(&bob.upload_into(&below, "c.txt", b"1").await).await.tagged(200);
    bob.discard(&bob.upload_into(&below, "d.txt", b"1").await).await;
    bob.create(json!({ "name": "e.bin", "type": "file", "size": 9, "parentId": below })).await.document(201);
    let trashed = bob.folder_in(&top, "trashed").await;
    bob.upload_into(&trashed, "f.txt", b"1").await;
    bob.trash(&trashed).await.tagged(200);
    for (id, bytes, files, folders) in [(&top, 13, 3, 2), (&below, 10, 2, 1), (&empty, 0, 0, 0), (&file, 3, 1, 0)] {
        let expected = json!({ "bytes": bytes, "files": files, "folders": folders, "complete": true });
        bob.get(&format!("/files/{id}/usage")).await.is(200, expected);
    }
    for id in [&*trashed, &ObjectId::new().to_hex(), "malformed"] {
        bob.get(&format!("/files/{id}/usage")).await.fails(404, "Not found");
    }
    eve.get(&format!("/files/{top}/usage")).await.fails(404, "Not found");
    stack.anyone().get(&format!("/files/{top}/usage")).await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn f41_ten_thousand_items_are_summed() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let content = stack.shared_object(&bob, b"hi!").await;
    let tree = stack.plant_tree(bob.object_id(), 0, 100, 99, &content).await;
    let answer = bob.get(&format!("/files/{}/usage", tree.top)).await;
    answer.is(200, json!({ "bytes": 29_700, "files": 9900, "folders": 100, "complete": true }));
    has(&bob, 29_706, 9902, Value::Null).await;
    stack.remove_all(bob.object_id(), &content).await;
}

#[tokio::test]
async fn f42_what_is_over_the_quota_is_refused_before_anything_is_stored() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    stack.set_quota(bob.object_id(), 10).await;
    let file = bob.upload("a.txt", b"1234").await;
    let rows = async || stack.count_rows(with(all_of(bob.object_id()), visible())).await;
    upload(&bob, b"1234567").await.fails(507, "Over quota: 6 bytes left");
    begin(&bob, 7).await.fails(507, "Over quota: 6 bytes left");
    begin(&bob, 5 << 40).await.fails(507, "Over quota: 6 bytes left");
    let replacement = json!({ "name": "a.txt", "type": "file", "data": encoded(b"1234567"), "onConflict": "replace" });
    bob.create(replacement).await.fails(507, "Over quota: 6 bytes left");
    assert_eq!((rows().await, bob.used_bytes().await), (1, 4));
    assert_eq!(stack.count_rows(with(all_of(bob.object_id()), State::Pending.only())).await, 0);
    // Exactly what is left.
    let begun = id_of(&begin(&bob, 6).await.document(201));
    upload(&bob, b"1").await.fails(507, "Over quota: 0 bytes left");
    bob.copy(&file, json!({})).await.fails(507, "Over quota: 0 bytes left");
    // A folder and an empty file have no bytes.
    bob.folder("in").await;
    begin(&bob, 0).await.document(201);
    bob.discard(&begun).await;
    swept(&stack, &bob).await;
    upload(&bob, b"123456").await.tagged(201);
    upload(&bob, b"1").await.fails(507, "Over quota: 0 bytes left");
    // The trash counts, and a restore costs nothing.
    bob.trash(&file).await.tagged(200);
    upload(&bob, b"1").await.fails(507, "Over quota: 0 bytes left");
    bob.restore(&file, json!({})).await.tagged(200);
    bob.discard(&file).await;
    swept(&stack, &bob).await;
    upload(&bob, b"1234").await.tagged(201);
    // A quota that is lower than what is there takes nothing away.
    stack.set_quota(bob.object_id(), 3).await;
    upload(&bob, b"1").await.fails(507, "Over quota: 0 bytes left");
    has(&bob, 10, 3, json!(3)).await;
}

#[tokio::test]
async fn f42_a_folder_is_copied_whole_or_not_at_all() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    for n in 0..5 {
        bob.upload_into(&folder, &format!("{n}.txt"), b"12").await;
    }
    stack.set_quota(bob.object_id(), 19).await;
    let before = bob.get("/files").await.documents();
    bob.copy(&folder, json!({})).await.fails(507, "Over quota: 9 bytes left");
    assert_eq!(bob.get("/files").await.documents(), before);
    stack.files.update_many(with(all_of(bob.object_id()), invisible()), set(expired())).await.unwrap();
    stack
        .sweep_until("nothing is left of it", async || {
            (stack.count_rows(all_of(bob.object_id())).await == 6).then_some(())
        })
        .await;
    has(&bob, 10, 5, json!(19)).await;
    stack.set_quota(bob.object_id(), 20).await;
    bob.copy(&folder, json!({})).await.tagged(201);
    has(&bob, 20, 10, json!(20)).await;
}

#[tokio::test]
async fn f42_a_form_takes_no_more_than_what_is_left() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    stack.set_quota(bob.object_id(), 10).await;
    bob.upload("a.txt", b"1234").await;
    let companion = companion(&bob).await;
    let form = stack.anyone().get(&format!("{companion}/params?filename=b.txt")).await.json();
    let refused = stack.post_form(&form, b"1234567".to_vec()).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("EntityTooLarge"));
    assert_eq!(stack.post_form(&form, b"123456".to_vec()).await.status(), 201);
    eventually("the file", Duration::from_secs(20), async || {
        (bob.get("/files").await.documents().len() == 2).then_some(())
    })
    .await;
    has(&bob, 10, 2, json!(10)).await;

    let over = "Over quota: 0 bytes left";
    stack.anyone().get(&format!("{companion}/params?filename=c.txt")).await.fails_with_message(507, over);
    let parts = stack.anyone().post(&format!("{companion}/multipart"), json!({ "filename": "c.txt" })).await;
    parts.fails_with_message(507, over);
    for method in ["PUT", "POST"] {
        bob.post("/uploads/sign", json!({ "method": method, "key": "c.txt" })).await.fails(507, over);
    }
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 2);
}

/// Two forms are signed before the bytes of either are there.
#[tokio::test]
async fn f42_of_two_forms_for_the_last_bytes_one_becomes_a_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    stack.set_quota(bob.object_id(), 10).await;
    bob.upload("a.txt", b"1234").await;
    let companion = companion(&bob).await;
    let sign = async || stack.anyone().get(&format!("{companion}/params?filename=b.txt")).await;
    let (first, second) = join(sign(), sign()).await;
    for signed in [first, second] {
        // The first may have reserved what is left.
        if signed.status == 200 {
            assert_eq!(stack.post_form(&signed.json(), b"123456".to_vec()).await.status(), 201);
        } else {
            signed.fails_with_message(507, "Over quota: 0 bytes left");
        }
    }
    eventually("one of both", Duration::from_secs(20), async || {
        let there = bob.get("/files").await.documents().len();
        assert!(there <= 2, "both are there");
        let pending = stack.count_rows(with(all_of(bob.object_id()), State::Pending.only())).await;
        (there == 2 && pending == 0).then_some(())
    })
    .await;
    swept(&stack, &bob).await;
    has(&bob, 10, 2, json!(10)).await;
    assert!(miscounts(&stack, &bob).await.is_empty());
}

#[tokio::test]
async fn f42_parts_are_counted_when_they_are_completed() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    stack.set_quota(bob.object_id(), 10).await;
    let companion = companion(&bob).await;
    let begun = stack.anyone().post(&format!("{companion}/multipart"), json!({ "filename": "b.txt" })).await.json();
    let key = begun["key"].as_str().unwrap();
    let id = key.split('/').nth(1).unwrap();
    let parts = format!("{companion}/multipart/{}", begun["uploadId"].as_str().unwrap());
    let signed = stack.anyone().get(&format!("{parts}/1?key={key}")).await.json();
    let put = stack.http.put(signed["url"].as_str().unwrap()).body("12345678").send().await.unwrap();
    let part = json!({ "PartNumber": 1, "ETag": put.headers()["etag"].to_str().unwrap() });
    let file = bob.upload("a.txt", b"1234").await;
    let complete =
        async || stack.anyone().post(&format!("{parts}/complete?key={key}"), json!({ "parts": [part] })).await;
    complete().await.fails_with_message(507, "Over quota: 6 bytes left");
    // The upload has ended: more room does not bring it back.
    stack.set_quota(bob.object_id(), 1000).await;
    complete().await.fails_with_message(404, "Not found");
    bob.show(id).await.fails(404, "Not found");
    stack
        .sweep_until("neither row nor parts", async || {
            let rows = stack.count_rows(all_of(bob.object_id())).await;
            let prefix = format!("uploads/{id}/");
            let parts = stack.s3.list_multipart_uploads().bucket(&stack.bucket).prefix(&prefix).send().await.unwrap();
            let objects = stack.objects(&prefix).await.len() + parts.uploads.unwrap_or_default().len();
            (rows == 1 && objects == 0).then_some(())
        })
        .await;
    has(&bob, 4, 1, json!(1000)).await;
    assert_eq!(bob.content(&file).await, b"1234");
}

#[tokio::test]
async fn f42_a_repeated_request_is_charged_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    stack.set_quota(bob.object_id(), 100).await;
    for file in [
        json!({ "name": "a.txt", "type": "file", "data": encoded(b"1234567890") }),
        json!({ "name": "a.txt", "type": "file", "size": 10 }),
    ] {
        let key = unique("key");
        let create =
            async || bob.request("POST", "/files").header("Idempotency-Key", &key).json(file.clone()).send().await;
        let used = bob.used_bytes().await;
        let ids: Vec<String> =
            join_all((0..6).map(|_| create())).await.iter().map(|answer| id_of(&answer.tagged(201))).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(bob.used_bytes().await, used + 10);
        // The state after the function died before it answered.
        stack.forget_answer(&ids[0]).await;
        create().await.tagged(201);
        assert_eq!(bob.used_bytes().await, used + 10);
    }
    let original = bob.upload("b.txt", b"1234567890").await;
    let copy = async || {
        let request = bob.request("POST", &format!("/files/{original}/copy")).header("Idempotency-Key", "one");
        request.json(json!({})).send().await
    };
    join_all((0..6).map(|_| copy())).await.iter().for_each(|answer| drop(answer.tagged(201)));
    has(&bob, 40, 4, json!(100)).await;
}

#[tokio::test]
async fn f43_of_fifty_uploads_at_once_ten_get_the_last_ten_places() {
    let stack = Stack::running().await;
    for is_direct in [false, true] {
        let bob = stack.user("bob").await;
        stack.set_quota(bob.object_id(), 105).await;
        let answers = join_all(
            (0..50).map(async |_| if is_direct { begin(&bob, 10).await } else { upload(&bob, b"1234567890").await }),
        )
        .await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
        assert_eq!((made.len(), refused.len()), (10, 40), "{}", refused[0]);
        for answer in refused {
            answer.fails(507, "Over quota: 5 bytes left");
        }
        has(&bob, 100, 10, json!(105)).await;
        // Each is given up, by several clients at once, and the places are free once.
        let ids: Vec<String> = made.iter().map(|answer| id_of(&answer.json())).collect();
        let ends = ids.iter().flat_map(|id| (0..3).map(move |_| id));
        let answers = join_all(ends.map(async |id| bob.delete(&format!("/files/{id}")).await.status)).await;
        assert_eq!(answers.iter().filter(|status| **status == 204).count(), 10, "{answers:?}");
        join_all((0..3).map(|_| async { stack.invoke("sweeper", &json!({})).await })).await;
        swept(&stack, &bob).await;
        has(&bob, 0, 0, json!(105)).await;
        assert!(miscounts(&stack, &bob).await.is_empty());
        stack
            .sweep_until("what is done is not remembered", async || {
                let (.., charges, refunds) = stack.ledger_of_usage(bob.object_id()).await;
                (charges == 0 && refunds == 0).then_some(())
            })
            .await;
    }
}

#[tokio::test]
async fn f43_every_end_of_a_file_is_refunded_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    for n in 0..4 {
        bob.upload_into(&folder, &format!("{n}.txt"), b"123").await;
    }
    let copy = id_of(&bob.copy(&folder, json!({})).await.tagged(201));
    let file = bob.upload("a.txt", b"one").await;
    for bytes in [&b"two"[..], b"three"] {
        let new = json!({ "name": "a.txt", "type": "file", "data": encoded(bytes), "onConflict": "replace" });
        bob.create(new).await.tagged(201);
    }
    let abandoned = id_of(&begin(&bob, 50).await.json());
    assert_eq!(bob.used_bytes().await, 24 + 11 + 50);
    // An account deletes, purges, gives up, and lets an upload expire, while four sweeps run.
    bob.trash(&copy).await.tagged(200);
    stack.set_row(&copy, expired()).await;
    stack.set_row(&abandoned, expired()).await;
    let version = bob.versions(&file).await[0]["id"].as_str().unwrap().to_owned();
    let ends = async {
        bob.discard(&folder).await;
        bob.delete(&format!("/files/{file}/versions/{version}")).await.is_empty(204);
    };
    let sweeps = join_all((0..4).map(|_| async { stack.invoke("sweeper", &json!({})).await }));
    join(ends, sweeps).await;
    stack
        .sweep_until("the file with one version is left", async || {
            (stack.count_rows(all_of(bob.object_id())).await == 2).then_some(())
        })
        .await;
    assert_eq!(bob.used_bytes().await, 8);
    bob.discard(&file).await;
    stack
        .sweep_until("nothing is left", async || (stack.count_rows(all_of(bob.object_id())).await == 0).then_some(()))
        .await;
    has(&bob, 0, 0, Value::Null).await;
    assert!(miscounts(&stack, &bob).await.is_empty());
}

#[tokio::test]
async fn f43_the_note_of_a_folders_copy_goes_with_the_copy() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("in").await;
    bob.upload_into(&folder, "a.txt", b"123").await;
    let copy = id_of(&bob.copy(&folder, json!({})).await.tagged(201));
    stack.plant_note_of_copy(bob.object_id(), &copy, 3, 1).await;
    bob.discard(&copy).await;
    swept(&stack, &bob).await;
    stack.age_reservations(bob.object_id()).await;
    stack
        .sweep_until("no note is left", async || {
            let (.., charges, refunds) = stack.ledger_of_usage(bob.object_id()).await;
            (charges == 0 && refunds == 0).then_some(())
        })
        .await;
    has(&bob, 3, 1, Value::Null).await;
}

#[tokio::test]
async fn f43_fsck_finds_a_user_whose_bytes_are_counted_wrong() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    bob.upload("a.txt", b"12345").await;
    bob.trash(&bob.upload("b.txt", b"123").await).await.tagged(200);
    begin(&bob, 7).await.document(201);
    assert_eq!(bob.used_bytes().await, 15);
    // The counters may exceed the rows by as much as the charges have that the sweeper has not looked at yet.
    let no_charges = async || (stack.ledger_of_usage(bob.object_id()).await.2 == 0).then_some(());
    stack.sweep_until("no charge is left", no_charges).await;
    assert!(miscounts(&stack, &bob).await.is_empty());
    for wrong in [1, -2] {
        stack.miscount(bob.object_id(), wrong).await;
        let found = miscounts(&stack, &bob).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!found[0].to_string().contains(&bob.email), "a report names nobody: {found:?}");
        stack.miscount(bob.object_id(), -wrong).await;
        assert!(miscounts(&stack, &bob).await.is_empty());
    }
    // Nobody has counted a user of an earlier release.
    stack.forget_usage(bob.object_id()).await;
    assert!(miscounts(&stack, &bob).await.is_empty());
}

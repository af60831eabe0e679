//! Moves, copies, the trash and the quota while functions die and S3 fails, with other parameters, and without S3.

use std::{cell::Cell, collections::HashMap, time::Duration};

use e2e::{
    Answer, Stack, User, encoded, eventually,
    fixtures::jpeg,
    id_of,
    ledger::{
        self, State, accepted_exchange, all_of, being_moved, charged, copies_of, due_tombstone, expired, moving_since,
        set, visible, with,
    },
    thumbnails::thumbnail,
};
use futures_util::{
    TryStreamExt,
    future::{join, join_all},
};
use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use serde_json::{Value, json};

use crate::{
    alone,
    faults::{environment, kill, met, s3},
    works_again,
};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// The longest time of a fault, and of what follows it.
const SOON: Duration = Duration::from_mins(1);

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // The constants are Knuth's, of MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// The answer is one of these, or the function died.
#[track_caller]
fn is_one_of(answer: &Answer, statuses: &[u16]) -> bool {
    assert!(statuses.contains(&answer.status) || answer.status >= 500, "{answer}");
    answer.status < 300
}

/// Kills functions again and again until the work is done.
pub async fn while_functions_die<T>(stack: &Stack, functions: &[&str], work: impl Future<Output = T>) -> T {
    let is_done = Cell::new(false);
    let work = async {
        let result = work.await;
        is_done.set(true);
        result
    };
    let deaths = async {
        let mut random = Random(7);
        while !is_done.get() {
            tokio::time::sleep(Duration::from_millis(300 + random.below(700) as u64)).await;
            for function in functions {
                kill(stack, function);
            }
        }
    };
    join(work, deaths).await.0
}

/// Ends the grace periods of a user's uploads, moves and reservations, and sweeps until no unfinished row is left.
async fn settle(stack: &Stack, user: &User) {
    let theirs = || all_of(user.object_id());
    let unfinished = with(theirs(), doc! { "$or": State::WITHOUT_OBJECT.map(State::only).to_vec() });
    let died = DateTime::from_millis(DateTime::now().timestamp_millis() - 120_000);
    eventually("nothing unfinished is left", SOON, async || {
        stack.files.update_many(unfinished.clone(), set(expired())).await.unwrap();
        stack.files.update_many(with(theirs(), being_moved()), set(moving_since(died))).await.unwrap();
        stack.age_reservations(user.object_id()).await;
        // The sweeper may have been killed.
        let swept = stack.try_invoke("sweeper", &json!({})).await;
        (swept.is_ok() && stack.count_rows(unfinished.clone()).await == 0).then_some(())
    })
    .await;
}

async fn rows(stack: &Stack, filter: Document) -> Vec<Document> {
    stack.files.find(filter).await.unwrap().try_collect().await.unwrap()
}

/// The report of fsck about rows and objects, when no sweep has anything to do any more.
async fn fsck(stack: &Stack) -> Value {
    eventually("a complete report", SOON, async || {
        stack.try_invoke("sweeper", &json!({})).await.ok()?;
        let report = stack.try_invoke("sweeper", &json!({ "fsck": true })).await.ok()?;
        (report["complete"] == true).then_some(report)
    })
    .await
}

/// The names of all documents in a folder of a user, by their ids.
async fn inside(user: &User, folder: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    for page in 0.. {
        let some = works_again(async || user.get(&format!("/files?parentId={folder}&page={page}")).await).await;
        let some = some.documents();
        if some.is_empty() {
            break;
        }
        found.extend(some.iter().map(|document| (id_of(document), document["name"].as_str().unwrap().to_owned())));
    }
    found
}

#[tokio::test]
async fn f10_f14_f26_no_request_goes_to_s3() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let (folder, to) = (bob.folder("in").await, bob.folder("to").await);
    let file = bob.upload_into(&folder, "a.txt", b"hi").await;
    let photo = json!({ "name": "a.jpg", "type": "image", "parentId": folder, "data": encoded(&jpeg(600, 400)) });
    let image = id_of(&bob.create(photo).await.tagged(201));
    thumbnail(&bob, &image, 100).await;
    eventually("the worker is done", SOON, async || (stack.row(&image).await.thumbnails() == "ready").then_some(()))
        .await;

    // S3 fails for all that asks it.
    let undo = s3(&stack, json!({ "service": "s3", "error": { "code": "ServiceUnavailable", "status": 503 } })).await;
    bob.change(&file, json!({ "name": "b.txt" })).await.tagged(200);
    bob.change(&folder, json!({ "name": "moved", "parentId": to })).await.tagged(200);
    for id in [&file, &image, &folder] {
        bob.copy(id, json!({ "parentId": 0 })).await.tagged(201);
    }
    bob.trash(&to).await.tagged(200);
    assert_eq!(bob.get("/trash").await.documents().len(), 1);
    bob.restore(&to, json!({})).await.tagged(200);
    let all = json!({ "action": "trash", "ids": [file, image] });
    assert_eq!(bob.post("/files/batch", all).await.status, 200);
    bob.delete("/trash").await.is_empty(202);
    assert_eq!(bob.get("/users/me/usage").await.status, 200);
    assert_eq!(bob.get(&format!("/files/{to}/usage")).await.status, 200);
    assert_eq!(met(&stack).await, 0);
    drop(undo);
    settle(&stack, &bob).await;
}

#[tokio::test]
async fn f08_a_thousand_moves_while_functions_die_make_no_cycle() {
    const CLIENTS: usize = 8;
    const MOVES: usize = 1000;
    const FOLDERS: usize = 50;
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let ids: Vec<ObjectId> = (0..FOLDERS).map(|_| ObjectId::new()).collect();
    let planted = ids.iter().enumerate().map(|(n, id)| {
        let owner = bob.object_id();
        doc! { "_id": id, "userId": owner, "name": n.to_string(), "type": "folder", "isPublic": false, "parentId": 0 }
    });
    stack.plant(bob.object_id(), planted).await;
    let folders: Vec<String> = ids.iter().map(|id| id.to_hex()).collect();
    let (made, refused) = (Cell::new(0), Cell::new(0));
    let clients = (0..CLIENTS).map(async |client| {
        let mut random = Random(client as u64 + 1);
        for _ in 0..MOVES / CLIENTS {
            let (folder, into) = (&folders[random.below(FOLDERS)], random.below(FOLDERS + 3));
            let into = folders.get(into).map_or("0", String::as_str);
            let answer = bob.change(folder, json!({ "parentId": into })).await;
            let count = if is_one_of(&answer, &[200, 409]) { &made } else { &refused };
            count.set(count.get() + 1);
        }
    });
    while_functions_die(&stack, &["files"], join_all(clients)).await;
    assert!(made.get() > 0, "no move was made");

    let parents: HashMap<ObjectId, Option<ObjectId>> = rows(&stack, all_of(bob.object_id()))
        .await
        .iter()
        .map(|row| (row.get_object_id("_id").unwrap(), row.get("parentId").and_then(Bson::as_object_id)))
        .collect();
    assert_eq!(parents.len(), FOLDERS);
    for id in parents.keys() {
        let mut at = Some(*id);
        for _ in 0..=FOLDERS {
            at = at.and_then(|id| parents[&id]);
        }
        assert_eq!(at, None, "{id} is in a cycle: {parents:?}");
    }
    for folder in &folders {
        let path = works_again(async || bob.get(&format!("/files/{folder}/path")).await).await;
        assert_eq!(path.status, 200, "{path}");
        let path: Vec<Value> = serde_json::from_value(path.json()).unwrap();
        assert_eq!(path.last().unwrap()["id"], json!(folder));
        assert_eq!(bob.show(path[0]["id"].as_str().unwrap()).await.tagged(200)["parentId"], 0);
    }
    // A function that died in a move blocks nobody for longer than its time.
    settle(&stack, &bob).await;
    for folder in &folders {
        bob.change(folder, json!({ "parentId": 0 })).await.tagged(200);
    }
    assert_eq!(inside(&bob, "0").await.len(), FOLDERS);
    println!("{} moves were made, {} were refused or died", made.get(), refused.get());
}

#[tokio::test]
async fn f09_a_file_whose_move_died_is_where_it_was_or_where_it_goes() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let mut moves = Vec::new();
    for n in 0..40 {
        let (from, to) = (bob.folder("from").await, bob.folder("to").await);
        let file = bob.upload_into(&from, "a.txt", format!("file {n}").as_bytes()).await;
        moves.push((from, to, file));
    }
    // The target of every second file goes, before or after the file comes.
    let work = async {
        let mut answers = Vec::new();
        for (n, (_, to, file)) in moves.iter().enumerate() {
            let target_goes = async {
                if n % 2 == 0 {
                    return false;
                }
                // A function that is killed answers nothing, and has perhaps deleted the folder.
                eventually("the target goes", SOON, async || {
                    let status = bob.delete(&format!("/files/{to}")).await.status;
                    [204, 404].contains(&status).then_some(())
                })
                .await;
                true
            };
            let (answer, goes) = join(bob.change(file, json!({ "parentId": to })), target_goes).await;
            is_one_of(&answer, &[200, 400, 409]);
            answers.push((answer, goes));
        }
        answers
    };
    let answers = while_functions_die(&stack, &["files", "sweeper"], work).await;
    settle(&stack, &bob).await;
    for (n, ((from, to, file), (answer, target_went))) in moves.iter().zip(answers).enumerate() {
        let shown = works_again(async || bob.show(file).await).await;
        match (shown.status, answer.status) {
            // The target went after the file had come.
            (404, 200 | 500..) if target_went => continue,
            (200, 200) => assert_eq!(shown.tagged(200)["parentId"], json!(to), "file {n}: {answer}"),
            (200, 400 | 409) => assert_eq!(shown.tagged(200)["parentId"], json!(from), "file {n}: {answer}"),
            (200, _) => {
                let parent = shown.tagged(200)["parentId"].clone();
                assert!(parent == json!(from) || (parent == json!(to) && !target_went), "file {n} is in {parent}");
            }
            _ => panic!("file {n} is lost: {shown}, after {answer}"),
        }
        assert_eq!(bob.content(file).await, format!("file {n}").as_bytes());
    }
}

#[tokio::test]
async fn f13_a_folder_whose_copy_died_is_there_as_a_whole_or_not_at_all() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let tree = stack.plant_tree(bob.object_id(), 0, 20, 49, &doc! {}).await;
    let target = bob.folder("target").await;
    let work = async {
        let mut made = 0;
        for _ in 0..12 {
            let answer = bob.copy(&tree.top.to_hex(), json!({ "parentId": target })).await;
            made += usize::from(is_one_of(&answer, &[201]));
        }
        made
    };
    let made = while_functions_die(&stack, &["files"], work).await;
    settle(&stack, &bob).await;
    let copies = inside(&bob, &target).await;
    // An answer may be lost after its copy was made.
    assert!((made..=12).contains(&copies.len()), "{made} acknowledged, {} there", copies.len());
    for copy in copies.keys() {
        let answer = bob.get(&format!("/files/{copy}/usage")).await;
        answer.is(200, json!({ "bytes": 0, "files": 980, "folders": 20, "complete": true }));
    }
    assert_eq!(stack.count_rows(copies_of(tree.files[0])).await, copies.len() as u64, "nothing else is left");
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 1002 + 1001 * copies.len() as u64);
}

#[tokio::test]
async fn f15_two_hundred_copies_and_deletes_under_faults_lose_no_bytes() {
    const CLIENTS: usize = 4;
    const CHANGES: usize = 200;
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    // What other tests left for the sweeper is gone.
    fsck(&stack).await;
    let before = stack.objects("").await;
    let image = bob.upload_image("a.jpg", &jpeg(600, 400)).await;
    let small = thumbnail(&bob, &image, 100).await.body;
    // Each document has the bytes of its kind; the names tell the kinds.
    let mut all = vec![image];
    for n in 0..4 {
        all.push(bob.upload(&format!("{n}.txt"), n.to_string().as_bytes()).await);
    }
    let all = std::cell::RefCell::new(all);
    let clients = (0..CLIENTS).map(async |client| {
        let mut random = Random(client as u64 + 1);
        for _ in 0..CHANGES / CLIENTS {
            let (id, is_copied) = {
                let all = all.borrow();
                // At least one of each kind is likely to stay.
                (all[random.below(all.len())].clone(), all.len() < 8 || random.below(2) == 0)
            };
            if is_copied {
                let answer = bob.copy(&id, json!({ "onConflict": "keep" })).await;
                if is_one_of(&answer, &[201, 404]) {
                    all.borrow_mut().push(id_of(&answer.json()));
                }
            } else {
                all.borrow_mut().retain(|other| *other != id);
                is_one_of(&bob.delete(&format!("/files/{id}")).await, &[204, 404]);
            }
            if random.below(6) == 0 {
                let _ = stack.try_invoke("sweeper", &json!({})).await;
            }
        }
    });
    let failing = json!({ "code": "ServiceUnavailable", "status": 503 });
    let rule = json!({ "service": "s3", "operation": "DeleteObjects", "error": failing, "sequence": { "fail": 1, "pass": 1 } });
    let undo = s3(&stack, rule).await;
    while_functions_die(&stack, &["files", "sweeper"], join_all(clients)).await;
    drop(undo);
    settle(&stack, &bob).await;

    let report = fsck(&stack).await;
    for class in ["orphans", "dangling", "usage"] {
        assert_eq!(report[class]["count"], 0, "{report}");
    }
    let there = rows(&stack, with(all_of(bob.object_id()), visible())).await;
    let ids: Vec<String> = there.iter().map(|row| row.get_object_id("_id").unwrap().to_hex()).collect();
    for id in all.into_inner() {
        // Two clients may have chosen the same document: one copied it, and the other deleted it.
        if ids.contains(&id) {
            continue;
        }
        bob.show(&id).await.fails(404, "Not found");
    }
    for row in &there {
        let (id, name) = (row.get_object_id("_id").unwrap().to_hex(), row.get_str("name").unwrap());
        if name == "a.jpg" {
            assert_eq!(bob.content(&id).await, jpeg(600, 400), "{id}");
            assert_eq!(bob.get(&format!("/files/{id}/data?size=100")).await.body, small, "{id}");
        } else {
            assert_eq!(bob.content(&id).await, name.trim_end_matches(".txt").as_bytes(), "{id}");
        }
    }
    for id in &ids {
        bob.discard(id).await;
    }
    settle(&stack, &bob).await;
    assert_eq!(stack.objects("").await, before, "the last of each took its objects along");
    assert_eq!(bob.used_bytes().await, 0);
}

#[tokio::test]
async fn f43_the_quota_is_exact_after_functions_died_and_s3_failed() {
    const CLIENTS: usize = 6;
    const CHANGES: usize = 20;
    const QUOTA: i64 = 400;
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    stack.set_quota(bob.object_id(), QUOTA).await;
    let clients = (0..CLIENTS).map(async |client| {
        let mut random = Random(client as u64 + 1);
        let mut mine: Vec<String> = Vec::new();
        for n in 0..CHANGES {
            let name = format!("{client}.txt");
            let answer = match random.below(6) {
                0 | 1 => {
                    let data = encoded(&vec![b'x'; 1 + n]);
                    bob.create(json!({ "name": name, "type": "file", "data": data, "onConflict": "replace" })).await
                }
                2 => bob.create(json!({ "name": name, "type": "file", "size": 10 + n })).await,
                3 if !mine.is_empty() => bob.copy(&mine[random.below(mine.len())], json!({})).await,
                4 if !mine.is_empty() => bob.trash(&mine[random.below(mine.len())]).await,
                _ if !mine.is_empty() => {
                    let id = mine.remove(random.below(mine.len()));
                    bob.delete(&format!("/files/{id}")).await
                }
                _ => continue,
            };
            if is_one_of(&answer, &[200, 201, 204, 404, 507]) && answer.status == 201 {
                mine.push(id_of(&answer.json()));
            }
            if random.below(8) == 0 {
                let _ = stack.try_invoke("sweeper", &json!({})).await;
            }
        }
    });
    let failing = json!({ "code": "ServiceUnavailable", "status": 503 });
    let rule = json!({ "service": "s3", "error": failing, "sequence": { "fail": 2, "pass": 8 } });
    let undo = s3(&stack, rule).await;
    while_functions_die(&stack, &["files", "sweeper"], join_all(clients)).await;
    drop(undo);
    settle(&stack, &bob).await;

    let usage = works_again(async || bob.get("/users/me/usage").await).await.json();
    let left: Vec<ledger::Row> = rows(&stack, all_of(bob.object_id())).await.into_iter().map(Into::into).collect();
    let sum: i64 = left.iter().map(ledger::Row::charge).sum();
    assert_eq!(usage["bytes"], json!(sum), "what is counted is what is there");
    for row in left.iter().filter(|row| row.charge() != row.size().unwrap_or_default()) {
        // A function that died before it exchanged the content has left a version with the object of another row.
        let is_double = left.iter().any(|other| other != row && other.any_key() == row.any_key());
        assert!(row.version_of().is_some() && row.charge() == 0 && is_double, "not counted: {row}");
    }
    assert!(sum <= QUOTA, "{sum} bytes");
    let report = fsck(&stack).await;
    assert_eq!(report["usage"]["count"], 0, "{report}");
    eventually("what is done is forgotten", SOON, async || {
        stack.age_reservations(bob.object_id()).await;
        stack.invoke("sweeper", &json!({})).await;
        let (.., charges, refunds) = stack.ledger_of_usage(bob.object_id()).await;
        (charges == 0 && refunds == 0).then_some(())
    })
    .await;
    // All that is deleted is refunded.
    let all = rows(&stack, with(all_of(bob.object_id()), visible())).await;
    for row in all {
        bob.discard(&row.get_object_id("_id").unwrap().to_hex()).await;
    }
    bob.delete("/trash").await.is_empty(202);
    settle(&stack, &bob).await;
    eventually("nothing counts", SOON, async || {
        stack.invoke("sweeper", &json!({})).await;
        (bob.used_bytes().await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn f41_more_than_a_hundred_thousand_items_are_not_summed_to_the_end() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let content = stack.shared_object(&bob, b"x").await;
    let tree = stack.plant_tree(bob.object_id(), 0, 101, 1000, &content).await;
    let answer = bob.get(&format!("/files/{}/usage", tree.top)).await;
    let usage = answer.json();
    assert_eq!((answer.status, &usage["complete"]), (200, &json!(false)), "{answer}");
    assert!(usage["files"].as_u64().unwrap() <= 101_000, "{usage}");
    // Two seconds, and a second for the emulator on a busy machine.
    assert!(answer.took < Duration::from_secs(3), "it took {:?}", answer.took);
    // The sum of a user does not depend on the number of files, once it is known.
    let sum = bob.get("/users/me/usage").await.json();
    assert_eq!((&sum["bytes"], &sum["files"]), (&json!(101_002), &json!(101_002)));
    let again = bob.get("/users/me/usage").await;
    assert!(again.took < Duration::from_millis(500), "it took {:?}", again.took);
    stack.remove_all(bob.object_id(), &content).await;
}

/// The functions died before the quota counted the earlier content for the version. No sweep is running, which would
/// have taken the version from the request.
#[tokio::test]
async fn f43_a_version_is_refunded_whose_exchange_did_not_end() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a.txt", b"one").await;
    let new = json!({ "name": "a.txt", "type": "file", "data": encoded(b"second"), "onConflict": "replace" });
    bob.create(new).await.tagged(201);
    let version = bob.versions(&file).await[0]["id"].as_str().unwrap().to_owned();
    stack.set_quota(bob.object_id(), 9).await;
    stack.set_row(&version, charged(0)).await;
    stack.set_row(&file, accepted_exchange(ObjectId::new(), &version, 3)).await;
    stack.set_row(&version, due_tombstone()).await;

    bob.create(json!({ "name": "b.txt", "type": "file", "data": encoded(b"123") })).await.tagged(201);
    let usage = json!({ "bytes": 9, "files": 2, "quotaBytes": 9 });
    bob.get("/users/me/usage").await.is(200, usage.clone());
    stack
        .sweep_until("the version is gone", async || (stack.count_rows(ledger::row(&version)).await == 0).then_some(()))
        .await;
    bob.get("/users/me/usage").await.is(200, usage);
}

#[tokio::test]
async fn f42_the_parameter_is_the_quota_of_all_who_have_none_of_their_own() {
    let (_alone, stack) = alone().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    stack.set_quota(eve.object_id(), 20).await;
    let _undo = [
        environment(&stack, "files", "QUOTA_BYTES", "10").await,
        environment(&stack, "uploads", "QUOTA_BYTES", "10").await,
        environment(&stack, "users", "QUOTA_BYTES", "10").await,
    ];
    let file = |bytes: &[u8]| json!({ "name": "a.txt", "type": "file", "data": encoded(bytes) });
    bob.create(file(b"12345678901")).await.fails(507, "Over quota: 10 bytes left");
    bob.create(file(b"1234567890")).await.tagged(201);
    bob.get("/users/me/usage").await.is(200, json!({ "bytes": 10, "files": 1, "quotaBytes": 10 }));
    bob.post("/uploads/sign", json!({ "method": "POST", "key": "a.txt" })).await.fails(507, "Over quota: 0 bytes left");
    eve.create(file(b"12345678901")).await.tagged(201);
    eve.get("/users/me/usage").await.is(200, json!({ "bytes": 11, "files": 1, "quotaBytes": 20 }));
    eve.create(file(b"1234567890")).await.fails(507, "Over quota: 9 bytes left");
}

#[tokio::test]
async fn f20_f26_the_parameters_are_days_and_the_number_of_versions() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let _undo = [
        environment(&stack, "files", "TRASH_DAYS", "3").await,
        environment(&stack, "files", "VERSION_DAYS", "2").await,
        environment(&stack, "files", "VERSIONS_KEPT", "2").await,
        environment(&stack, "uploads", "VERSION_DAYS", "2").await,
        environment(&stack, "uploads", "VERSIONS_KEPT", "2").await,
    ];
    let mut id = String::new();
    for n in 0..5 {
        let data = encoded(n.to_string().as_bytes());
        let file = json!({ "name": "a.txt", "type": "file", "data": data, "onConflict": "replace" });
        id = id_of(&bob.create(file).await.tagged(201));
    }
    let versions = bob.versions(&id).await;
    assert_eq!(versions.len(), 2, "{versions:?}");
    let expires_in = stack.row(versions[0]["id"].as_str().unwrap()).await.expires_in();
    assert!((2 * DAY - 120_000..=2 * DAY).contains(&expires_in), "{expires_in} ms");
    let trashed = bob.trash(&id).await.tagged(200);
    let time = |key: &str| DateTime::parse_rfc3339_str(trashed[key].as_str().unwrap()).unwrap().timestamp_millis();
    assert_eq!(time("expiresAt") - time("trashedAt"), 3 * DAY);
}

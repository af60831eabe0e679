//! `POST /zips`, `GET /zips/{id}` and its content: lines 53 to 56 of the file manager's contract. What needs dying
//! builders is in `outages`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use e2e::{
    PASSWORD, Stack, User, eventually, id_of,
    ledger::{self, all_of, object, with, with_checksum},
    unique,
    zips::{ask, bytes, done, download, files, open, sha256, zipped},
};
use futures_util::future::join_all;
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

/// A file of any size in a folder, stored as a direct upload stores it.
async fn planted(stack: &Stack, owner: &User, folder: &str, name: &str, bytes: Vec<u8>) -> String {
    let (id, size) = (ObjectId::new(), i64::try_from(bytes.len()).unwrap());
    let key = format!("files/{}", unique("planted"));
    stack.put_object(&key, bytes).await;
    let row = doc! {
        "_id": id, "userId": owner.object_id(), "name": name, "type": "file", "isPublic": false,
        "parentId": folder.parse::<ObjectId>().unwrap(),
    };
    stack.plant(owner.object_id(), [with(row, object(&key, size))]).await;
    id.to_hex()
}

fn names(entries: &[e2e::zips::Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[tokio::test]
async fn f53_a_zip_is_due_and_then_ready() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let file = bob.upload("notes.txt", b"hi").await;
    let asked = ask(&bob, &[&file]).await;
    let id = id_of(&asked);
    assert!(asked["expiresAt"].is_string(), "{asked}");
    let begun = json!({
        "id": id, "state": "due", "entries": null, "bytes": null, "done": 0, "expiresAt": asked["expiresAt"],
    });
    assert_eq!(asked, begun);

    let ready = done(&bob, &asked).await;
    assert_eq!((&ready["state"], &ready["entries"], &ready["bytes"]), (&json!("ready"), &json!(1), &ready["done"]));
    for path in [format!("/zips/{id}"), format!("/zips/{id}/data")] {
        eve.get(&path).await.fails(404, "Not found");
        stack.anyone().get(&path).await.fails(401, "Unauthorized");
    }
    let entries = open(&download(&stack, &bob, &ready).await);
    assert_eq!(files(&entries)["notes.txt"], sha256(b"hi"));

    let planted = stack.plant_zip(bob.object_id()).await;
    bob.get(&format!("/zips/{planted}/data")).await.fails(409, "Not ready");
}

#[tokio::test]
async fn f53_ids_are_1_to_1000_of_the_callers_documents() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let file = bob.upload("notes.txt", b"hi").await;
    for body in [json!({}), json!({ "ids": [] }), json!({ "ids": file }), json!({ "ids": vec![&file; 1001] })] {
        bob.post("/zips", body).await.fails(400, "Invalid ids: 1 to 1000");
    }
    bob.request("POST", "/zips").body("application/json", "{").send().await.fails(400, "Invalid JSON");
    let trashed = bob.upload("trashed.txt", b"hi").await;
    bob.trash(&trashed).await.document(200);
    let pending = bob.create(json!({ "name": "a", "type": "file", "size": 5 })).await.document(201);
    let theirs = eve.upload("theirs.txt", b"hi").await;
    let unknown = ObjectId::new().to_hex();
    for id in [json!(trashed), pending["id"].clone(), json!(theirs), json!(unknown), json!("x"), json!(5), Value::Null]
    {
        bob.post("/zips", json!({ "ids": [file, id] })).await.fails(404, "Not found");
    }
    stack.anyone().post("/zips", json!({ "ids": [file] })).await.fails(401, "Unauthorized");

    // The same id twice is one document.
    assert_eq!(names(&zipped(&stack, &bob, &[&file, &file]).await), ["notes.txt"]);
    bob.discard(&id_of(&pending)).await;
}

#[tokio::test]
async fn f53_a_user_has_few_zips_at_a_time() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let mut planted = Vec::new();
    for _ in 0..10 {
        planted.push(stack.plant_zip(bob.object_id()).await);
    }
    let error = "10 ZIPs are being made: wait until one is ready";
    bob.post("/zips", json!({ "ids": [file] })).await.fails(409, error);
    stack.expire_zip(&planted[0]).await;
    stack.sweep_until("the ZIP is gone", async || (!stack.zip_exists(&planted[0]).await).then_some(())).await;
    done(&bob, &ask(&bob, &[&file]).await).await;
}

#[tokio::test]
async fn f54_each_entry_is_the_file_and_folders_are_entries() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let top = bob.folder("trip").await;
    let inner = bob.folder_in(&top, "Fotos é").await;
    bob.folder_in(&top, "empty").await;
    planted(&stack, &bob, &top, "empty.txt", Vec::new()).await;
    bob.upload_into(&inner, "日本.txt", b"inner").await;
    // Files that S3 copies, in part or whole, and files that pass through, in an order that has all neighbours.
    let sizes = [12 * MIB, 100, 6 * MIB, 5 * MIB, 5 * MIB - 1, 11 * MIB + 3, 10 * MIB, 300_000, 21 * MIB];
    let mut expected = vec![("trip/Fotos é/日本.txt".to_owned(), sha256(b"inner"))];
    for (seed, size) in (0_u32..).zip(sizes) {
        let content = bytes(seed, size);
        expected.push((format!("trip/{seed}.bin"), sha256(&content)));
        planted(&stack, &bob, &top, &format!("{seed}.bin"), content).await;
    }
    expected.push(("trip/empty.txt".into(), sha256(b"")));
    expected.sort();

    for attempt in ["the first time", "with checksums that are known"] {
        let entries = zipped(&stack, &bob, &[&top]).await;
        let found: Vec<_> = files(&entries).into_iter().map(|(name, sha)| (name.to_owned(), sha.to_owned())).collect();
        assert_eq!(found, expected, "{attempt}");
        // The order is that of the ids, which is not that of requests within the same second.
        let folders: BTreeSet<&str> = names(&entries).into_iter().filter(|name| name.ends_with('/')).collect();
        assert_eq!(folders, BTreeSet::from(["trip/", "trip/Fotos é/", "trip/empty/"]));
        for entry in &entries {
            let (folder, file) = (0o040_755, 0o100_644);
            assert_eq!(entry.mode, if entry.name.ends_with('/') { folder } else { file }, "{entry:?}");
            assert!(entry.modified.is_some(), "{entry:?}");
        }
    }
    // The checksums of files from 5 MiB on are remembered.
    assert_eq!(stack.count_rows(with(all_of(bob.object_id()), with_checksum())).await, 6);
    let copy = bob.copy(&top, json!({})).await.tagged(201);
    assert_eq!(stack.count_rows(with(all_of(bob.object_id()), with_checksum())).await, 12);
    bob.discard(&id_of(&copy)).await;
    bob.discard(&top).await;
}

#[tokio::test]
async fn f54_a_checksum_goes_with_the_content() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("contents").await;
    let (before, after) = (bytes(1, 6 * MIB), bytes(2, 7 * MIB));
    let file = planted(&stack, &bob, &folder, "a.bin", before.clone()).await;
    assert_eq!(files(&zipped(&stack, &bob, &[&file]).await)["a.bin"], sha256(&before));
    // A copy of another file replaces the content.
    let other = planted(&stack, &bob, &folder, "b.bin", after.clone()).await;
    bob.copy(&other, json!({ "name": "a.bin", "parentId": folder, "onConflict": "replace" })).await.tagged(201);
    assert_eq!(files(&zipped(&stack, &bob, &[&file]).await)["a.bin"], sha256(&after));
    let version = id_of(&bob.versions(&file).await[0]);
    bob.put(&format!("/files/{file}/versions/{version}/restore")).await.tagged(200);
    assert_eq!(files(&zipped(&stack, &bob, &[&file]).await)["a.bin"], sha256(&before));
    bob.discard(&folder).await;
}

#[tokio::test]
async fn f54_more_than_65535_entries_open() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let shared = stack.shared_object(&bob, b"one object for many").await;
    // Most files are empty, because the emulator takes long to answer 70,000 reads.
    let key = format!("files/{}", unique("planted"));
    let empty = object(&key, 0);
    stack.put_object(&key, Vec::new()).await;
    let top: ObjectId = bob.folder("top").await.parse().unwrap();
    stack.plant_tree(bob.object_id(), top, 69, 1000, &empty).await;
    stack.plant_tree(bob.object_id(), top, 1, 1000, &shared).await;
    let entries = zipped(&stack, &bob, &[&top.to_hex()]).await;
    assert_eq!(entries.len(), 70_073);
    let found = files(&entries);
    assert_eq!(found.len(), 70_000);
    let count = |bytes: &[u8]| found.values().filter(|digest| **digest == sha256(bytes)).count();
    assert_eq!((count(b""), count(b"one object for many")), (69_000, 1000));
    assert!(found.contains_key("top/many/68/68999.txt") && found.contains_key("top/many (2)/0/999.txt"));
    stack.remove_all(bob.object_id(), &shared).await;
    stack.delete_object(&key).await;
}

#[tokio::test]
async fn f54_a_download_is_resumed_with_range_and_if_range() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("ünique \"name\"").await;
    planted(&stack, &bob, &folder, "a.bin", bytes(3, 6 * MIB)).await;
    let zip = done(&bob, &ask(&bob, &[&folder]).await).await;
    let whole = download(&stack, &bob, &zip).await;
    let location = async || {
        let answer = bob.get(&format!("/zips/{}/data", id_of(&zip))).await;
        assert_eq!((answer.status, answer.header("cache-control")), (302, "private, no-store"), "{answer}");
        answer.header("location").to_owned()
    };
    let first = stack.http.get(location().await).header("Range", "bytes=0-999999").send().await.unwrap();
    assert_eq!(first.status(), 206);
    let header = |name: &str| first.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/zip");
    let name = "attachment; filename=\"_nique _name_.zip\"; filename*=UTF-8''%C3%BCnique%20%22name%22%2Ezip";
    assert_eq!(header("content-disposition"), name);
    let tag = header("etag");
    let begin = first.bytes().await.unwrap().to_vec();
    // Somebody goes on with a new URL.
    let rest = stack.http.get(location().await).header("Range", "bytes=1000000-").header("If-Range", tag);
    let rest = rest.send().await.unwrap();
    assert_eq!(rest.status(), 206);
    assert!([begin, rest.bytes().await.unwrap().to_vec()].concat() == whole);
    bob.discard(&folder).await;
}

#[tokio::test]
async fn f55_no_entry_leaves_its_folder() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let top = bob.folder("top").await;
    // The id, the name in the ZIP if no other has it, and the content.
    let mut uploaded = Vec::new();
    for (name, entry, content) in [
        ("..", "__", "1"),
        (".", "_", "2"),
        ("..\\..\\x", ".._.._x", "3"),
        ("C:\\x", "C__x", "4"),
        ("a.txt", "a.txt", "5"),
        ("A.TXT", "A.TXT", "6"),
        ("a.txt", "a.txt", "7"),
    ] {
        uploaded.push((bob.upload_into(&top, name, content.as_bytes()).await, entry, content));
    }
    let up = bob.folder_in(&top, "..").await;
    bob.upload_into(&up, "in.txt", b"8").await;
    uploaded.push((up, "__", "8"));
    // Names that only the original stored.
    for (name, entry, content) in [
        ("../../etc/passwd", ".._.._etc_passwd", "9"),
        ("/root", "_root", "10"),
        ("a\0b\r\nc", "a_b__c", "11"),
        ("", "_", "12"),
    ] {
        let id = bob.upload_into(&top, "x", content.as_bytes()).await;
        stack.set_row(&id, ledger::named(name)).await;
        uploaded.push((id, entry, content));
    }
    // Equal names are numbered in the order of the ids, which is not that of requests within the same second.
    uploaded.sort();
    let mut numbers = BTreeMap::<String, u32>::new();
    let contents: BTreeMap<String, String> = uploaded
        .iter()
        .map(|(_, entry, content)| {
            let number = numbers.entry(entry.to_lowercase()).or_default();
            *number += 1;
            let entry = match (*number, entry.rsplit_once('.')) {
                (1, _) => (*entry).to_owned(),
                (number, Some((stem, extension))) => format!("{stem} ({number}).{extension}"),
                (number, None) => format!("{entry} ({number})"),
            };
            let inside = if *content == "8" { "/in.txt" } else { "" };
            (format!("top/{entry}{inside}"), sha256(content.as_bytes()))
        })
        .collect();
    let entries = zipped(&stack, &bob, &[&top]).await;
    let found: BTreeMap<String, String> =
        files(&entries).into_iter().map(|(name, digest)| (name.to_owned(), digest.to_owned())).collect();
    assert_eq!(found, contents);
    for entry in &entries {
        assert!(entry.name.split('/').all(|step| step != "." && step != ".."), "{entry:?}");
        assert!(!entry.name.starts_with('/') && !entry.name.contains(['\\', ':']), "{entry:?}");
    }
    // Equal names among the documents of a request, which may be in different folders.
    let (one, other) = (bob.folder("one").await, bob.folder("other").await);
    let (a, b) = (bob.upload_into(&one, "b.txt", b"1").await, bob.upload_into(&other, "B.txt", b"2").await);
    assert_eq!(names(&zipped(&stack, &bob, &[&a, &b]).await), ["b.txt", "B (2).txt"]);
    bob.discard(&top).await;
}

#[tokio::test]
async fn f56_a_zip_is_not_in_the_quota_and_gone_after_a_day() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", &bytes(4, 1000)).await;
    let zip = done(&bob, &ask(&bob, &[&file]).await).await;
    assert_eq!(bob.used_bytes().await, 1000);
    let id = id_of(&zip);
    let key = stack.key_of_zip(&id).await.unwrap();
    assert_eq!(stack.objects(&format!("zips/{id}/")).await, [key]);

    stack.expire_zip(&id).await;
    bob.get(&format!("/zips/{id}")).await.fails(404, "Not found");
    bob.get(&format!("/zips/{id}/data")).await.fails(404, "Not found");
    stack.sweep_until("the ZIP is gone", async || (!stack.zip_exists(&id).await).then_some(())).await;
    assert_eq!(stack.objects(&format!("zips/{id}/")).await, [""; 0]);
}

#[tokio::test]
async fn f56_a_zip_goes_with_its_documents_and_with_its_user() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, other) = (bob.upload("a.txt", b"hi").await, bob.upload("b.txt", b"hi").await);
    let (with, without) = (ask(&bob, &[&file, &other]).await, ask(&bob, &[&other]).await);
    let (with, without) = (done(&bob, &with).await, done(&bob, &without).await);
    bob.discard(&file).await;
    let gone = async |zip: &Value| {
        let id = id_of(zip);
        let is_gone = async || (!stack.zip_exists(&id).await).then_some(());
        stack.sweep_until("the ZIP is gone", is_gone).await;
        assert_eq!(stack.objects(&format!("zips/{id}/")).await, [""; 0]);
    };
    gone(&with).await;
    assert_eq!(bob.get(&format!("/zips/{}", id_of(&without))).await.status, 200);

    let left = bob.request("DELETE", "/users/me").json(json!({ "password": PASSWORD })).send().await;
    left.is_empty(204);
    gone(&without).await;
}

#[tokio::test]
async fn f56_the_sweeper_starts_a_zip_whose_builder_never_came() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let id = stack.plant_abandoned_zip(bob.object_id(), &[file.parse().unwrap()]).await;
    let ready = async || {
        let shown = bob.get(&format!("/zips/{id}")).await.json();
        (shown["state"] == "ready").then_some(shown)
    };
    let zip = stack.sweep_until("the ZIP is ready", ready).await;
    assert_eq!(names(&open(&download(&stack, &bob, &zip).await)), ["notes.txt"]);
}

#[tokio::test]
async fn f56_a_zip_of_what_is_not_there_any_more_fails() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let id = stack.plant_abandoned_zip(bob.object_id(), &[file.parse().unwrap()]).await;
    bob.trash(&file).await.document(200);
    let failed = async || {
        let shown = bob.get(&format!("/zips/{id}")).await.json();
        (shown["state"] == "failed").then_some(shown)
    };
    let zip = stack.sweep_until("the ZIP has failed", failed).await;
    assert_eq!(zip["error"], "None of the documents is there any more");
    bob.get(&format!("/zips/{id}/data")).await.fails(409, "Not ready");
    bob.discard(&file).await;
}

#[tokio::test]
async fn f56_fsck_knows_the_objects_of_zips() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let zip = done(&bob, &ask(&bob, &[&file]).await).await;
    let known = stack.key_of_zip(&id_of(&zip)).await.unwrap();
    let orphan = format!("zips/{}/{}", ObjectId::new(), unique("x"));
    stack.put_object(&orphan, b"hi".to_vec()).await;
    let begun = stack.s3.create_multipart_upload().bucket(&stack.bucket).key(&orphan).send().await.unwrap();
    let (known, orphan) = (json!({ "key": known }), json!({ "key": orphan }));
    eventually("the orphans are found", Duration::from_secs(30), async || {
        let report = stack.invoke("sweeper", &json!({ "fsck": true })).await;
        let orphans = report["orphans"]["first"].as_array().unwrap();
        assert!(!orphans.contains(&known), "{report}");
        let uploads = orphans.iter().filter(|found| found["key"] == orphan["key"] && found["uploadId"].is_string());
        (orphans.contains(&orphan) && uploads.count() == 1).then_some(())
    })
    .await;
    let key = orphan["key"].as_str().unwrap();
    let abort = stack.s3.abort_multipart_upload().bucket(&stack.bucket).key(key);
    abort.upload_id(begun.upload_id.unwrap()).send().await.unwrap();
    stack.delete_object(key).await;
}

#[tokio::test]
async fn f53_zips_of_many_users_at_once_are_their_own() {
    let stack = Stack::running().await;
    let each = (0..8_u32).map(|seed| {
        let stack = &stack;
        async move {
            let user = stack.user("many").await;
            let file = user.upload("own.bin", &bytes(seed, 5000)).await;
            let entries = zipped(stack, &user, &[&file]).await;
            assert_eq!(files(&entries)["own.bin"], sha256(&bytes(seed, 5000)));
        }
    });
    join_all(each).await;
}

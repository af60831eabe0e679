//! ZIPs while their builders die and stores fail: line 56 of the file manager's contract.

use std::{collections::BTreeMap, time::Duration};

use e2e::{
    Stack, User, eventually, id_of,
    instance::{Instance, deployed, stores_of},
    ledger::{object, with},
    unique,
    zips::{ask, bytes, done, download, files, open, sha256},
};
use futures_util::future::join;
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::{Value, json};

use crate::{
    alone,
    faults::{Outage, kill, met, s3},
};

const MIB: usize = 1 << 20;

/// The longest time of a fault, and of what follows it.
const SOON: Duration = Duration::from_mins(1);

/// An S3 that takes its time, so that a builder is at every step for a while.
fn slow() -> Value {
    json!({ "service": "s3", "latency": { "dist": "uniform", "min": 40.0, "max": 120.0 } })
}

fn failing() -> Value {
    json!({ "code": "ServiceUnavailable", "status": 503 })
}

/// A folder with files of all sizes, and the digests of its entries.
async fn folder_of(stack: &Stack, bob: &User) -> (String, BTreeMap<String, String>) {
    let folder = bob.folder("many").await;
    let parent: ObjectId = folder.parse().unwrap();
    let (mut rows, mut digests) = (Vec::new(), BTreeMap::new());
    let sizes = [vec![300_000; 60], vec![16 * MIB, 20 * MIB, 7 * MIB, 5 * MIB, 30 * MIB]].concat();
    for (seed, size) in (0_u32..).zip(sizes) {
        let (id, key, content) = (ObjectId::new(), format!("files/{}", unique("planted")), bytes(seed, size));
        let name = format!("{seed}.bin");
        digests.insert(format!("many/{name}"), sha256(&content));
        stack.put_object(&key, content).await;
        let row = doc! {
            "_id": id, "userId": bob.object_id(), "name": name, "type": "file", "isPublic": false, "parentId": parent,
        };
        rows.push(with(row, object(&key, i64::try_from(size).unwrap())));
    }
    stack.plant(bob.object_id(), rows).await;
    (folder, digests)
}

/// The ZIP has exactly these files, and nothing else is left of it: no parts, and no plans of builders that died.
async fn is_whole(stack: &Stack, bob: &User, zip: &Value, digests: &BTreeMap<String, String>) {
    assert_eq!(zip["state"], "ready", "{zip}");
    let entries = open(&download(stack, bob, zip).await);
    let found: BTreeMap<_, _> =
        files(&entries).into_iter().map(|(name, digest)| (name.to_owned(), digest.to_owned())).collect();
    assert_eq!(found, *digests);
    let prefix = format!("zips/{}/", id_of(zip));
    let key = stack.key_of_zip(&id_of(zip)).await.unwrap();
    let uploads = stack.s3.list_multipart_uploads().bucket(&stack.bucket).prefix(&prefix).send().await.unwrap();
    assert_eq!(uploads.uploads().len(), 0, "{uploads:?}");
    assert_eq!(stack.objects(&prefix).await, [&*key]);
}

#[tokio::test]
async fn f56_a_zip_goes_on_whenever_its_builder_is_killed() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let (folder, digests) = folder_of(&stack, &bob).await;
    let _undo = s3(&stack, slow()).await;
    let zip = ask(&bob, &[&folder]).await;
    let id = id_of(&zip);
    let mut deaths = 0;
    for step in 0..12_u64 {
        tokio::time::sleep(Duration::from_millis(150 + step * 389 % 1200)).await;
        if bob.get(&format!("/zips/{id}")).await.json()["state"] != "due" {
            break;
        }
        kill(&stack, "archives");
        deaths += 1;
        stack.end_lease(&id).await;
        stack.invoke("sweeper", &json!({})).await;
    }
    assert!(deaths >= 3, "the builder died {deaths} times");
    let zip = done(&bob, &zip).await;
    is_whole(&stack, &bob, &zip, &digests).await;
    bob.discard(&folder).await;
}

#[tokio::test]
async fn f56_two_builders_at_once_make_one_zip() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let (folder, digests) = folder_of(&stack, &bob).await;
    let _undo = s3(&stack, slow()).await;
    let zip = ask(&bob, &[&folder]).await;
    let id = id_of(&zip);
    eventually("it is begun", SOON, async || stack.key_of_zip(&id).await).await;
    for _ in 0..3 {
        // As if the first builder had been silent for long, without being dead.
        stack.end_lease(&id).await;
        let job = json!({ "zip": id });
        // Of two builders one may find that the other has ended the upload, and fails.
        let _ = join(stack.try_invoke("archives", &job), stack.try_invoke("archives", &job)).await;
    }
    let zip = done(&bob, &zip).await;
    is_whole(&stack, &bob, &zip, &digests).await;
    bob.discard(&folder).await;
}

#[tokio::test]
async fn f56_a_zip_is_begun_anew_without_what_was_deleted_meanwhile() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let (folder, mut digests) = folder_of(&stack, &bob).await;
    let refused = json!({ "service": "s3", "operation": "UploadPart", "error": failing() });
    let undo = s3(&stack, refused).await;
    let zip = ask(&bob, &[&folder]).await;
    let id = id_of(&zip);
    let first = eventually("it is begun", SOON, async || stack.key_of_zip(&id).await).await;
    kill(&stack, "archives");
    let listed = bob.get(&format!("/files?parentId={folder}&limit=1")).await.json();
    let (file, name) = (id_of(&listed[0]), listed[0]["name"].as_str().unwrap().to_owned());
    digests.remove(&format!("many/{name}"));
    stack.remove(&file).await;
    drop(undo);
    stack.end_lease(&id).await;
    stack.invoke("sweeper", &json!({})).await;
    let zip = done(&bob, &zip).await;
    assert_ne!(stack.key_of_zip(&id).await, Some(first));
    is_whole(&stack, &bob, &zip, &digests).await;
    bob.discard(&folder).await;
}

#[tokio::test]
async fn f56_a_builder_without_time_starts_the_next() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let id = stack.plant_abandoned_zip(bob.object_id(), &[file.parse().unwrap()]).await;
    // This instance ends within half a minute, which is too soon to begin with a part.
    let mut environment = stores_of(&stack);
    environment.insert("ARCHIVES_FUNCTION", stack.function("archives").to_owned());
    let instance = Instance::start(&deployed("archives"), &environment).await.unwrap();
    let (_, outcome) = instance.invoke(&json!({ "zip": id })).await;
    assert_eq!(outcome, Ok(Value::Null));
    let lines = instance.printed();
    assert!(lines.iter().any(|line| line.contains("handed over")), "{lines:?}");
    let zip = done(&bob, &json!({ "id": id })).await;
    assert_eq!(files(&open(&download(&stack, &bob, &zip).await))["notes.txt"], sha256(b"hi"));
}

#[tokio::test]
async fn f56_a_zip_survives_stores_that_fail() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let (folder, digests) = folder_of(&stack, &bob).await;
    let undo = s3(&stack, json!({ "service": "s3", "error": failing(), "sequence": { "fail": 1, "pass": 7 } })).await;
    let zip = ask(&bob, &[&folder]).await;
    let id = id_of(&zip);
    eventually("S3 fails", SOON, async || (met(&stack).await > 3).then_some(())).await;
    drop(undo);
    drop(Outage::Crash.of(&stack, "mongodb").await);
    let again = async || {
        // Lambda repeats a failed invocation after a minute.
        stack.end_lease(&id).await;
        stack.try_invoke("sweeper", &json!({})).await.ok();
        let shown = bob.get(&format!("/zips/{id}")).await;
        (shown.status == 200 && shown.json()["state"] != "due").then(|| shown.json())
    };
    let zip = eventually("the ZIP is made", SOON, again).await;
    is_whole(&stack, &bob, &zip, &digests).await;
    bob.discard(&folder).await;
}

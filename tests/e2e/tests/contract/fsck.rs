//! `fsck`: the sweeper compares the ledger with the bucket and with the counters of the quota. Other tests change both at the same time, so each test
//! searches the report only for its own rows and objects, and removes them in the end.

use std::time::Duration;

use e2e::{
    Stack, User, eventually,
    ledger::{
        self, State, charged, object, pending, sized, thumbnails_due, thumbnails_of, thumbnails_ready, tombstone,
        trashed, version_of, with, with_objects,
    },
    unique,
};
use futures_util::future::join_all;
use mongodb::bson::{DateTime, Document, doc, oid::ObjectId};
use serde_json::{Value, json};

/// The longest time that another test may interfere.
const A_WHILE: Duration = Duration::from_mins(1);

/// The report of one comparison.
struct Report(Value);

impl Report {
    async fn of(stack: &Stack) -> Self {
        let report = Self(stack.invoke("sweeper", &json!({ "fsck": true })).await);
        assert_eq!(report.0["complete"], true, "{}", report.0);
        for kind in ["orphans", "dangling", "stale", "usage"] {
            // The report must be complete, because a finding might be behind its end.
            assert_eq!(report.0[kind]["count"], report.all(kind).len(), "{}", report.0[kind]);
        }
        report
    }

    fn all(&self, kind: &str) -> &[Value] {
        self.0[kind]["first"].as_array().unwrap()
    }

    fn orphan(&self, key: &str) -> bool {
        self.all("orphans").contains(&json!({ "key": key }))
    }

    fn abandoned(&self, (key, upload_id): &(String, String)) -> bool {
        self.all("orphans").contains(&json!({ "key": key, "uploadId": upload_id }))
    }

    /// The findings about a row.
    fn dangling(&self, id: ObjectId) -> Vec<&Value> {
        self.all("dangling").iter().filter(|finding| finding["id"] == id.to_hex()).collect()
    }

    fn stale(&self, id: ObjectId) -> bool {
        self.all("stale").contains(&json!({ "id": id.to_hex() }))
    }

    /// The findings about a user.
    fn usage(&self, user: ObjectId) -> Vec<&Value> {
        self.all("usage").iter().filter(|finding| finding["user"] == user.to_hex()).collect()
    }

    /// True if the report has no finding about a row and its objects.
    fn knows(&self, id: ObjectId, key: &str) -> bool {
        let text = self.0.to_string();
        text.contains(&id.to_hex()) || text.contains(key)
    }
}

/// Writes a row of two bytes with `key` and these fields, without an object.
async fn row(stack: &Stack, key: &str, also: Document) -> ObjectId {
    let id = ObjectId::new();
    let row = doc! {
        "_id": id, "userId": ObjectId::new(), "name": "secret.jpg", "type": "image", "isPublic": false, "parentId": 0,
    };
    stack.files.insert_one(with(with(row, object(key, 2)), also)).await.unwrap();
    id
}

async fn forget(stack: &Stack, id: ObjectId) {
    assert_eq!(stack.files.delete_one(ledger::row(id)).await.unwrap().deleted_count, 1);
}

async fn put(stack: &Stack, key: &str) {
    stack.put_object(key, b"hi".to_vec()).await;
}

/// Creates a multipart upload, and returns its key and id.
async fn begun(stack: &Stack, key: &str) -> (String, String) {
    let upload = stack.s3.create_multipart_upload().bucket(&stack.bucket).key(key).send().await.unwrap();
    (key.to_owned(), upload.upload_id.unwrap())
}

async fn abort(stack: &Stack, (key, upload_id): &(String, String)) {
    let abort = stack.s3.abort_multipart_upload().bucket(&stack.bucket).key(key).upload_id(upload_id);
    abort.send().await.unwrap();
}

/// A key of the form of uploads inside JSON.
fn inline_key() -> String {
    format!("files/{}", unique("planted"))
}

/// A key with the prefix of direct uploads that the worker does not parse as one. Otherwise the worker would delete the
/// object, because no row refers to it.
fn upload_key() -> String {
    format!("uploads/{}/{}", ObjectId::new(), unique("planted-by-a-test"))
}

#[tokio::test]
async fn an_object_without_a_row_is_an_orphan() {
    let stack = Stack::running().await;
    let image = row(&stack, &inline_key(), pending()).await;
    let file = row(&stack, &inline_key(), pending()).await;
    stack.set_row(file, doc! { "type": "file" }).await;
    let orphans = [
        inline_key(),
        format!("thumbnails/{}/500", ObjectId::new()),
        // The image has no thumbnails of this width, and the other file is no image.
        format!("thumbnails/{image}/300"),
        format!("thumbnails/{file}/500"),
        format!("thumbnails/{}", unique("planted")),
        unique("elsewhere"),
        format!("else where/{}+ä", unique("planted")),
    ];
    for key in &orphans {
        put(&stack, key).await;
    }
    let report = Report::of(&stack).await;
    for key in &orphans {
        assert!(report.orphan(key), "{key} in {}", report.0);
        stack.delete_object(key).await;
    }
    let report = Report::of(&stack).await;
    assert!(!orphans.iter().any(|key| report.orphan(key)), "{}", report.0);
    for id in [image, file] {
        forget(&stack, id).await;
    }
}

#[tokio::test]
async fn the_object_of_a_direct_upload_is_an_orphan_once_its_row_has_gone() {
    let stack = Stack::running().await;
    eventually("an orphan", A_WHILE, async || {
        let key = upload_key();
        let id = row(&stack, &key, doc! {}).await;
        put(&stack, &key).await;
        assert!(!Report::of(&stack).await.orphan(&key));
        forget(&stack, id).await;
        let found = Report::of(&stack).await.orphan(&key);
        // Or the worker, which S3 notifies of every upload, has removed the object without a row in the meantime.
        assert!(found || stack.objects(&key).await.is_empty());
        stack.delete_object(&key).await;
        found.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_multipart_upload_that_no_row_waits_for_is_an_orphan() {
    let stack = Stack::running().await;
    let (stranger, done, inline) = (upload_key(), upload_key(), inline_key());
    let visible = row(&stack, &done, doc! {}).await;
    put(&stack, &done).await;
    let unfinished = row(&stack, &inline, pending()).await;
    let uploads = [begun(&stack, &stranger).await, begun(&stack, &done).await, begun(&stack, &inline).await];
    let report = Report::of(&stack).await;
    for upload in &uploads {
        assert!(report.abandoned(upload), "{upload:?} in {}", report.0);
        abort(&stack, upload).await;
    }
    let report = Report::of(&stack).await;
    assert!(!uploads.iter().any(|upload| report.abandoned(upload)), "{}", report.0);
    forget(&stack, visible).await;
    stack.delete_object(&done).await;
    forget(&stack, unfinished).await;
}

#[tokio::test]
async fn a_multipart_upload_of_a_row_that_is_not_visible_is_none() {
    let stack = Stack::running().await;
    for state in State::WITHOUT_OBJECT {
        let key = upload_key();
        let id = row(&stack, &key, state.until(DateTime::MAX)).await;
        let upload = begun(&stack, &key).await;
        assert!(!Report::of(&stack).await.knows(id, &key));
        forget(&stack, id).await;
        assert!(Report::of(&stack).await.abandoned(&upload), "without its row");
        abort(&stack, &upload).await;
    }
}

#[tokio::test]
async fn a_visible_row_without_its_object_is_dangling() {
    let stack = Stack::running().await;
    let (key, larger) = (inline_key(), inline_key());
    let (missing, of_another_size) = (row(&stack, &key, doc! {}).await, row(&stack, &larger, doc! {}).await);
    stack.put_object(&larger, b"hello".to_vec()).await;
    let upload = upload_key();
    let uploaded = row(&stack, &upload, with(doc! { "type": "file", "isPublic": true }, sized(20_000_000_000))).await;

    let report = Report::of(&stack).await;
    for (id, key, size, found) in [
        (missing, &key, 2_u64, json!(null)),
        (of_another_size, &larger, 2, json!(5)),
        (uploaded, &upload, 20_000_000_000, json!(null)),
    ] {
        let expected = json!({ "id": id.to_hex(), "key": key, "size": size, "found": found });
        assert_eq!(report.dangling(id), [&expected], "{}", report.0);
        assert!(!report.orphan(key), "the row has it, if another");
    }
    assert!(!report.0.to_string().contains("secret"), "a report names no file by its name");

    stack.set_row(of_another_size, sized(5)).await;
    put(&stack, &key).await;
    forget(&stack, uploaded).await;
    let report = Report::of(&stack).await;
    assert!(
        ![(missing, &key), (of_another_size, &larger), (uploaded, &upload)]
            .iter()
            .any(|(id, key)| report.knows(*id, key))
    );

    // The report must also have a row without a size.
    stack.files.update_one(ledger::row(missing), ledger::without_size()).await.unwrap();
    let expected = json!({ "id": missing.to_hex(), "key": key, "size": null, "found": 2 });
    assert_eq!(Report::of(&stack).await.dangling(missing), [&expected]);

    for (id, key) in [(missing, key), (of_another_size, larger)] {
        forget(&stack, id).await;
        stack.delete_object(&key).await;
    }
}

#[tokio::test]
async fn an_image_without_a_thumbnail_that_it_has_is_dangling() {
    let stack = Stack::running().await;
    let key = inline_key();
    put(&stack, &key).await;
    let id = row(&stack, &key, thumbnails_ready(&[(500, 2), (250, 3), (100, 2)])).await;
    let [small, medium, large] = [100, 250, 500].map(|width| format!("thumbnails/{id}/{width}"));
    put(&stack, &small).await;
    put(&stack, &medium).await;
    let of =
        |key: &str, size: u64, found: Value| json!({ "id": id.to_hex(), "key": key, "size": size, "found": found });
    let expected = [of(&medium, 3, json!(2)), of(&large, 2, json!(null))];
    assert_eq!(Report::of(&stack).await.dangling(id), expected.iter().collect::<Vec<_>>());

    put(&stack, &large).await;
    stack.put_object(&medium, b"hi!".to_vec()).await;
    assert!(!Report::of(&stack).await.knows(id, &key));
    forget(&stack, id).await;
    let report = Report::of(&stack).await;
    for key in [key, small, medium, large] {
        assert!(report.orphan(&key), "{key} without its row in {}", report.0);
        stack.delete_object(&key).await;
    }
}

/// Copies and versions name the object of another row.
#[tokio::test]
async fn an_object_of_several_rows_is_expected_once() {
    let stack = Stack::running().await;
    let key = inline_key();
    let rows = [
        row(&stack, &key, tombstone()).await,
        row(&stack, &key, doc! {}).await,
        row(&stack, &key, trashed(DateTime::now(), DateTime::MAX)).await,
        row(&stack, &key, version_of(ObjectId::new(), DateTime::MAX)).await,
    ];
    put(&stack, &key).await;
    let report = Report::of(&stack).await;
    assert!(!rows.iter().any(|id| report.knows(*id, &key)), "{}", report.0);

    stack.delete_object(&key).await;
    let report = Report::of(&stack).await;
    let expected = json!({ "id": rows[1].to_hex(), "key": key, "size": 2, "found": null });
    assert_eq!(report.dangling(rows[1]), [&expected], "{}", report.0);
    assert!([0, 2, 3].iter().all(|n| report.dangling(rows[*n]).is_empty()), "{}", report.0);

    put(&stack, &key).await;
    forget(&stack, rows[1]).await;
    forget(&stack, rows[2]).await;
    forget(&stack, rows[3]).await;
    assert!(!Report::of(&stack).await.orphan(&key), "a tombstone still has it");
    forget(&stack, rows[0]).await;
    assert!(Report::of(&stack).await.orphan(&key));
    stack.delete_object(&key).await;
}

#[tokio::test]
async fn a_row_in_the_trash_and_a_version_must_have_their_objects() {
    let stack = Stack::running().await;
    for state in [trashed(DateTime::now(), DateTime::MAX), version_of(ObjectId::new(), DateTime::MAX)] {
        let key = inline_key();
        let id = row(&stack, &key, state).await;
        let expected = json!({ "id": id.to_hex(), "key": key, "size": 2, "found": null });
        assert_eq!(Report::of(&stack).await.dangling(id), [&expected]);
        put(&stack, &key).await;
        assert!(!Report::of(&stack).await.knows(id, &key));
        forget(&stack, id).await;
        stack.delete_object(&key).await;
    }
}

#[tokio::test]
async fn thumbnails_are_those_of_every_row_that_shares_them() {
    let stack = Stack::running().await;
    let (key, copied) = (inline_key(), inline_key());
    let original = row(&stack, &key, thumbnails_ready(&[(500, 2), (250, 2), (100, 2)])).await;
    let shared = with(thumbnails_of(original), thumbnails_ready(&[(500, 2), (250, 2), (100, 2)]));
    let copy = row(&stack, &copied, shared).await;
    let thumbnails = [500, 250, 100].map(|width| format!("thumbnails/{original}/{width}"));
    for key in thumbnails.iter().chain([&key, &copied]) {
        put(&stack, key).await;
    }
    let of_copy = format!("thumbnails/{copy}/500");
    put(&stack, &of_copy).await;
    let report = Report::of(&stack).await;
    assert!(report.dangling(original).is_empty() && report.dangling(copy).is_empty(), "{}", report.0);
    assert!(!thumbnails.iter().any(|key| report.orphan(key)), "{}", report.0);
    assert!(report.orphan(&of_copy), "the copy has those of the original");
    stack.delete_object(&of_copy).await;

    forget(&stack, original).await;
    stack.delete_object(&key).await;
    stack.delete_object(&thumbnails[0]).await;
    let report = Report::of(&stack).await;
    let expected = json!({ "id": copy.to_hex(), "key": thumbnails[0], "size": 2, "found": null });
    assert_eq!(report.dangling(copy), [&expected], "{}", report.0);
    assert!(!thumbnails.iter().any(|key| report.orphan(key)), "{}", report.0);

    forget(&stack, copy).await;
    let report = Report::of(&stack).await;
    for key in thumbnails[1..].iter().chain([&copied]) {
        assert!(report.orphan(key), "{key} in {}", report.0);
        stack.delete_object(key).await;
    }
}

#[tokio::test]
async fn counters_that_differ_from_the_rows_are_found() {
    let stack = Stack::running().await;
    let user = ObjectId::new();
    let of_user = |key: &str, size: i64, also: Document| {
        let row = doc! { "userId": user, "name": "secret.bin", "type": "file", "parentId": 0 };
        with(with(row, object(key, size)), also)
    };
    // Two rows of 3 and 5 bytes, one in the trash, a version, which is no file, and a folder.
    let rows = [
        of_user(&inline_key(), 3, doc! {}),
        of_user(&inline_key(), 7, charged(5)),
        of_user(&inline_key(), 11, with(trashed(DateTime::now(), DateTime::MAX), charged(11))),
        of_user(&inline_key(), 13, with(version_of(ObjectId::new(), DateTime::MAX), charged(13))),
        doc! { "userId": user, "name": "folder", "type": "folder", "parentId": 0 },
    ];
    let ids = stack.files.insert_many(rows).await.unwrap().inserted_ids;
    let account = doc! { "_id": user, "email": unique("counted") };
    stack.users.insert_one(account).await.unwrap();
    assert!(Report::of(&stack).await.usage(user).is_empty(), "an account without counters");

    let count = async |fields: Document| {
        stack.users.update_one(doc! { "_id": user }, ledger::set(fields)).await.unwrap();
    };
    count(ledger::counters(32, 3)).await;
    assert!(Report::of(&stack).await.usage(user).is_empty());
    for (bytes, files) in [(31, 3), (33, 3), (32, 2), (32, 4)] {
        count(ledger::counters(bytes, files)).await;
        let counted = json!({ "bytes": bytes, "files": files });
        let expected = json!({ "user": user.to_hex(), "counted": counted, "found": { "bytes": 32, "files": 3 } });
        assert_eq!(Report::of(&stack).await.usage(user), [&expected]);
    }

    // What is counted for a file without a row yet, and for a tombstone that the sweeper has not taken yet.
    count(with(ledger::counters(42, 4), ledger::charge(ObjectId::new(), 10))).await;
    assert!(Report::of(&stack).await.usage(user).is_empty());
    let deleted = stack.files.insert_one(of_user(&inline_key(), 8, with(tombstone(), charged(8)))).await.unwrap();
    count(ledger::counters(50, 5)).await;
    assert!(Report::of(&stack).await.usage(user).is_empty());
    count(ledger::counters(51, 5)).await;
    assert_eq!(Report::of(&stack).await.usage(user).len(), 1);

    stack.users.delete_one(doc! { "_id": user }).await.unwrap();
    assert!(Report::of(&stack).await.usage(user).is_empty());
    for id in ids.values().chain([&deleted.inserted_id]) {
        forget(&stack, id.as_object_id().unwrap()).await;
    }
}

#[tokio::test]
async fn an_upload_that_the_sweeper_should_have_taken_is_stale() {
    let stack = Stack::running().await;
    let past = || DateTime::from_system_time(std::time::SystemTime::now() - Duration::from_secs(1));
    for state in State::ALL {
        // A sweep of another test may take the row first.
        eventually("a stale row", A_WHILE, async || {
            let id = row(&stack, &inline_key(), state.until(past())).await;
            let found = Report::of(&stack).await.stale(id);
            stack.files.delete_one(ledger::row(id)).await.unwrap();
            found.then_some(())
        })
        .await;
    }
    // The sweeper takes no row without a time.
    let id = row(&stack, &inline_key(), State::Pending.only()).await;
    assert!(Report::of(&stack).await.stale(id));
    forget(&stack, id).await;
    assert!(!Report::of(&stack).await.stale(id));
}

#[tokio::test]
async fn more_than_a_page_of_either_store_is_compared() {
    let stack = Stack::running().await;
    // S3 lists 1000 keys per request, and a batch of rows is smaller.
    let prefix = inline_key();
    let keys: Vec<String> = (0..1100).map(|n| format!("{prefix}-{n:04}")).collect();
    let rows = keys.iter().map(|key| {
        let row = doc! { "userId": ObjectId::new(), "name": "secret.jpg", "type": "file", "parentId": 0 };
        with(with(row, object(key, 2)), pending())
    });
    stack.files.insert_many(rows).await.unwrap();
    for some in keys.chunks(20) {
        join_all(some.iter().map(|key| put(&stack, key))).await;
    }
    let (orphan, missing) = (format!("{prefix}-8"), format!("{prefix}-9"));
    put(&stack, &orphan).await;
    let dangling = row(&stack, &missing, doc! {}).await;

    let report = Report::of(&stack).await;
    assert!(report.orphan(&orphan) && report.dangling(dangling).len() == 1, "{}", report.0);
    let text = report.0.to_string();
    assert_eq!(keys.iter().find(|key| text.contains(*key)), None);

    // The objects are deleted before their rows: otherwise they would fill the reports of other tests.
    for key in keys.iter().chain([&orphan]) {
        stack.delete_object(key).await;
    }
    forget(&stack, dangling).await;
    stack.files.delete_many(with_objects(&keys)).await.unwrap();
}

#[tokio::test]
async fn consistent_rows_and_objects_are_not_reported() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let mut planted = Vec::new();
    // A pending upload, before its bytes are stored and after, and a deleted file with its remaining object.
    for state in [pending(), tombstone()] {
        for (size, thumbnails) in [(None, &[][..]), (Some(2), &[500]), (Some(3), &[100, 250, 500])] {
            let key = inline_key();
            let id = row(&stack, &key, state.clone()).await;
            if let Some(size) = size {
                stack.put_object(&key, vec![0; size]).await;
            }
            let thumbnails = thumbnails.iter().map(|width| format!("thumbnails/{id}/{width}"));
            planted.push((id, key, thumbnails.collect::<Vec<_>>()));
        }
    }
    // Thumbnails of a worker that died while it made them.
    let (key, upload) = (inline_key(), upload_key());
    let image = row(&stack, &key, thumbnails_due(DateTime::MAX)).await;
    put(&stack, &key).await;
    planted.push((image, key, vec![format!("thumbnails/{image}/500"), format!("thumbnails/{image}/250")]));
    // A direct upload.
    put(&stack, &upload).await;
    let uploaded = row(&stack, &upload, doc! { "type": "file" }).await;
    planted.push((uploaded, upload, Vec::new()));
    for key in planted.iter().flat_map(|(.., thumbnails)| thumbnails) {
        put(&stack, key).await;
    }
    let original = without_key(&stack, &bob).await;

    let (file, folder) = (bob.upload("notes.txt", b"hello").await, bob.folder("photos").await);
    let whole = bob.upload_image("photo.jpg", &e2e::fixtures::jpeg(600, 400)).await;
    e2e::thumbnails::thumbnail(&bob, &whole, 100).await;

    let report = Report::of(&stack).await;
    for (id, key, _) in &planted {
        assert!(!report.knows(*id, key), "{id} in {}", report.0);
    }
    for id in [file, folder, whole, original.to_hex()] {
        assert!(!report.0.to_string().contains(&id), "{id} in {}", report.0);
    }
    for (id, key, thumbnails) in planted {
        forget(&stack, id).await;
        for key in [vec![key], thumbnails].concat() {
            stack.delete_object(&key).await;
        }
    }
}

/// An image of the original, with its bytes on a disk.
async fn without_key(stack: &Stack, owner: &User) -> ObjectId {
    let id = ObjectId::new();
    let row = doc! {
        "_id": id, "userId": owner.object_id(), "name": "old.png", "type": "image", "parentId": "0",
        "localPath": "/tmp/files_manager/x",
    };
    stack.files.insert_one(row).await.unwrap();
    id
}

#[tokio::test]
async fn any_other_event_is_a_sweep() {
    let stack = Stack::running().await;
    for event in [json!({}), json!({ "fsck": false }), json!({ "fsck": "true" }), json!([]), json!(null)] {
        let done = stack.invoke("sweeper", &event).await;
        assert!(done["expired"].is_u64() && done["orphans"].is_null(), "{event}: {done}");
    }
}

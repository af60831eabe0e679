//! Invokes the sweeper, outside of its schedule.

use std::time::{Duration, SystemTime};

use e2e::{
    Stack, eventually,
    fixtures::{decode_image, jpeg},
    thumbnails::{image_without_a_job, thumbnail},
    unique,
};
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use serde_json::json;

const A_MINUTE_AGO: Duration = Duration::from_mins(1);

fn past() -> DateTime {
    DateTime::from_system_time(std::time::SystemTime::now() - A_MINUTE_AGO)
}

/// Invokes the sweeper. Another test's run may take a row first, so a test that waits for a row checks it repeatedly.
async fn sweep(stack: &Stack) {
    let swept = stack.invoke("sweeper", &json!({})).await;
    assert!(swept["expired"].is_u64() && swept["overdue"].is_u64(), "{swept}");
}

/// A row that a client left behind, with its object.
async fn left_behind(stack: &Stack, state: &str, expires_at: DateTime) -> (ObjectId, String) {
    left_behind_as(stack, ObjectId::new(), state, expires_at).await
}

/// Like [`left_behind`], with this `_id`. The object is stored before the row: another test's sweeper may take the row
/// with the existing objects as soon as the row exists.
async fn left_behind_as(stack: &Stack, id: ObjectId, state: &str, expires_at: DateTime) -> (ObjectId, String) {
    let key = format!("files/{}", unique("planted"));
    stack.put_object(&key, b"hi".to_vec()).await;
    let row = doc! {
        "_id": id, "userId": ObjectId::new(), "name": "unfinished", "type": "image", "isPublic": false, "parentId": 0,
        "key": &key, "size": 2_i64, "state": state, "expiresAt": expires_at,
    };
    stack.files.insert_one(row).await.unwrap();
    (id, key)
}

#[tokio::test]
async fn an_unfinished_upload_leaves_nothing_after_its_grace_period() {
    let stack = Stack::running().await;
    for state in ["pending", "deleted"] {
        let id = ObjectId::new();
        let thumbnail = format!("thumbnails/{id}/500");
        stack.put_object(&thumbnail, b"hi".to_vec()).await;
        let (_, key) = left_behind_as(&stack, id, state, past()).await;
        sweep(&stack).await;
        eventually("neither row nor object", Duration::from_secs(10), async || {
            let row = stack.files.find_one(doc! { "_id": id }).await.unwrap();
            let objects = [stack.objects(&key).await, stack.objects(&thumbnail).await].concat();
            (row.is_none() && objects.is_empty()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_row_without_an_object_is_forgotten_too() {
    let stack = Stack::running().await;
    let (id, key) = left_behind(&stack, "pending", past()).await;
    stack.delete_object(&key).await;
    sweep(&stack).await;
    eventually("no row", Duration::from_secs(10), async || {
        stack.files.find_one(doc! { "_id": id }).await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_upload_within_its_grace_period_is_left_alone() {
    let stack = Stack::running().await;
    let (id, key) = left_behind(&stack, "pending", DateTime::MAX).await;
    let before = stack.files.find_one(doc! { "_id": id }).await.unwrap();
    sweep(&stack).await;
    assert_eq!(stack.files.find_one(doc! { "_id": id }).await.unwrap(), before);
    assert_eq!(stack.objects(&key).await, [key]);
}

#[tokio::test]
async fn the_sweeper_leaves_finished_files_alone() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    sweep(&stack).await;
    bob.get(&format!("/files/{file}/data")).await.is_content("text/plain; charset=utf-8", b"hi");
}

#[tokio::test]
async fn a_lost_job_is_sent_again_once_it_is_overdue() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let overdue = image_without_a_job(&stack, bob.object_id(), jpeg(600, 400), past()).await;
    let due = image_without_a_job(&stack, bob.object_id(), jpeg(600, 400), DateTime::MAX).await;
    sweep(&stack).await;
    let made = decode_image(&thumbnail(&bob, &overdue, 500).await.body);
    assert_eq!((made.width, made.height), (500, 333));

    let [overdue, due] = [overdue, due].map(|id| id.parse::<ObjectId>().unwrap());
    let done = stack.files.find_one(doc! { "_id": overdue }).await.unwrap().unwrap();
    assert!(!done.contains_key("thumbnailsDueAt"), "{done}");
    let waiting = stack.files.find_one(doc! { "_id": due }).await.unwrap().unwrap();
    assert_eq!(waiting.get_datetime("thumbnailsDueAt").unwrap(), &DateTime::MAX);
}

/// An image that is due, but the worker can never make its thumbnails: its bytes are on a disk of the original.
async fn due_for_ever(stack: &Stack, resent: i32) -> ObjectId {
    let id = ObjectId::new();
    let row = doc! {
        "_id": id, "userId": ObjectId::new(), "name": "planted.jpg", "type": "image", "isPublic": false, "parentId": 0,
        "thumbnails": "due", "thumbnailsDueAt": past(), "thumbnailsResent": resent,
    };
    stack.files.insert_one(row).await.unwrap();
    id
}

#[tokio::test]
async fn a_job_that_never_succeeds_is_sent_ever_more_seldom_and_then_fails() {
    let stack = Stack::running().await;
    let (again, given_up) = (due_for_ever(&stack, 7).await, due_for_ever(&stack, 8).await);
    let before = DateTime::now();
    sweep(&stack).await;
    let row = async |id| stack.files.find_one(doc! { "_id": id }).await.unwrap().unwrap();
    let counted = eventually("it is sent again", Duration::from_secs(10), async || {
        let row = row(again).await;
        (row.get_i32("thumbnailsResent").unwrap() == 8).then_some(row)
    })
    .await;
    assert_eq!(counted.get_str("thumbnails").unwrap(), "due");
    // The grace period of the test stack is a second; it has doubled seven times.
    let waits = counted.get_datetime("thumbnailsDueAt").unwrap().timestamp_millis() - before.timestamp_millis();
    assert!((128_000..200_000).contains(&waits), "{waits} ms");

    let failed = eventually("it is given up", Duration::from_secs(10), async || {
        let row = row(given_up).await;
        (row.get_str("thumbnails").unwrap() == "failed").then_some(row)
    })
    .await;
    assert_eq!(failed.get_str("thumbnailError").unwrap(), "given up after many attempts");
    for nothing in ["thumbnailsDueAt", "thumbnailsResent"] {
        assert!(!failed.contains_key(nothing), "{failed}");
    }
    stack.files.delete_many(doc! { "_id": { "$in": [again, given_up] } }).await.unwrap();
}

/// A person or another program has made these rows. Their objects in S3 are unknown, so they stay.
#[tokio::test]
async fn rows_that_cannot_be_read_keep_no_others_waiting() {
    let stack = Stack::running().await;
    let (name, owner) = (unique("secret"), ObjectId::new());
    let since = SystemTime::now() - Duration::from_secs(1);
    let long_ago = DateTime::from_millis(1);
    // More rows than the sweeper takes at once, and all of them come before the others.
    let damaged = |n: i32| {
        let mut row = doc! {
            "userId": owner, "name": &name, "type": "file", "parentId": 0, "key": { "of": &name, "n": n },
            "state": if n % 2 == 0 { "pending" } else { "deleted" }, "expiresAt": long_ago,
        };
        if n < 3 {
            row.extend(doc! { "_id": format!("{owner}-{n}"), "key": format!("files/{}", unique("planted")) });
        }
        row
    };
    stack.files.insert_many((0..1001).map(damaged)).await.unwrap();
    let (id, key) = left_behind(&stack, "deleted", past()).await;
    sweep(&stack).await;
    eventually("neither row nor object", Duration::from_secs(20), async || {
        let row = stack.files.find_one(doc! { "_id": id }).await.unwrap();
        (row.is_none() && stack.objects(&key).await.is_empty()).then_some(())
    })
    .await;
    let theirs = doc! { "userId": owner };
    assert_eq!(stack.files.count_documents(theirs.clone()).await.unwrap(), 1001);
    // The sweeper postpones them by more than an hour.
    let in_an_hour = DateTime::from_system_time(SystemTime::now() + Duration::from_hours(1));
    let mut later = theirs.clone();
    later.extend(doc! { "state": "deleted", "expiresAt": { "$gt": in_an_hour } });
    eventually("none is in the way", Duration::from_secs(20), async || {
        (stack.files.count_documents(later.clone()).await.unwrap() == 1001).then_some(())
    })
    .await;
    let lines = eventually("a line for each", Duration::from_secs(20), async || {
        let lines = stack.log_lines(since).await;
        let odd = stack.files.distinct("_id", theirs.clone()).await.unwrap();
        // MongoDB sorts strings before ObjectIds.
        let some = [odd[0].as_str().unwrap().to_owned(), odd[1000].as_object_id().unwrap().to_hex()];
        some.iter().all(|id| lines.iter().any(|line| line.contains(id))).then_some(lines)
    })
    .await;
    assert!(!lines.iter().any(|line| line.contains(&name)), "a line has a name in it");
    stack.files.delete_many(theirs).await.unwrap();
}

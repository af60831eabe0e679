//! Invokes the sweeper, outside of its schedule.

use std::time::{Duration, SystemTime};

use e2e::{
    Stack, eventually,
    fixtures::{decode_image, jpeg},
    ledger::{State, all_of, deleted_until_after, no_object, object, pending, thumbnails_resent, with},
    thumbnails::{image_without_a_job, thumbnail},
    unique,
};
use mongodb::bson::{DateTime, Document, doc, oid::ObjectId};
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
async fn left_behind(stack: &Stack, state: Document) -> (ObjectId, String) {
    left_behind_as(stack, ObjectId::new(), state).await
}

/// Like [`left_behind`], with this `_id`. The object is stored before the row: another test's sweeper may take the row
/// with the existing objects as soon as the row exists.
async fn left_behind_as(stack: &Stack, id: ObjectId, state: Document) -> (ObjectId, String) {
    let key = format!("files/{}", unique("planted"));
    stack.put_object(&key, b"hi".to_vec()).await;
    let row = doc! {
        "_id": id, "userId": ObjectId::new(), "name": "unfinished", "type": "image", "isPublic": false, "parentId": 0,
    };
    stack.files.insert_one(with(with(row, object(&key, 2)), state)).await.unwrap();
    (id, key)
}

#[tokio::test]
async fn an_unfinished_upload_leaves_nothing_after_its_grace_period() {
    let stack = Stack::running().await;
    for state in State::WITHOUT_OBJECT {
        let id = ObjectId::new();
        let thumbnail = format!("thumbnails/{id}/500");
        stack.put_object(&thumbnail, b"hi".to_vec()).await;
        let (_, key) = left_behind_as(&stack, id, state.until(past())).await;
        sweep(&stack).await;
        eventually("neither row nor object", Duration::from_secs(10), async || {
            let row = stack.find_row(id).await;
            let objects = [stack.objects(&key).await, stack.objects(&thumbnail).await].concat();
            (row.is_none() && objects.is_empty()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_row_without_an_object_is_forgotten_too() {
    let stack = Stack::running().await;
    let (id, key) = left_behind(&stack, State::Pending.until(past())).await;
    stack.delete_object(&key).await;
    sweep(&stack).await;
    eventually("no row", Duration::from_secs(10), async || stack.find_row(id).await.is_none().then_some(())).await;
}

#[tokio::test]
async fn an_upload_within_its_grace_period_is_left_alone() {
    let stack = Stack::running().await;
    let (id, key) = left_behind(&stack, pending()).await;
    let before = stack.row(id).await;
    sweep(&stack).await;
    assert_eq!(stack.row(id).await, before);
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

    let done = stack.row(&overdue).await;
    assert_eq!(done.resend_at(), None, "{done}");
    assert_eq!(stack.row(&due).await.resend_at(), Some(DateTime::MAX));
}

/// An image that is due, but the worker can never make its thumbnails: its bytes are on a disk of the original.
async fn due_for_ever(stack: &Stack, resent: i32) -> ObjectId {
    let id = ObjectId::new();
    let row = doc! {
        "_id": id, "userId": ObjectId::new(), "name": "planted.jpg", "type": "image", "isPublic": false, "parentId": 0,
    };
    stack.files.insert_one(with(row, thumbnails_resent(resent, past()))).await.unwrap();
    id
}

#[tokio::test]
async fn a_job_that_never_succeeds_is_sent_ever_more_seldom_and_then_fails() {
    let stack = Stack::running().await;
    let (again, given_up) = (due_for_ever(&stack, 7).await, due_for_ever(&stack, 8).await);
    let before = DateTime::now();
    sweep(&stack).await;
    let counted = eventually("it is sent again", Duration::from_secs(10), async || {
        let row = stack.row(again).await;
        (row.times_resent().unwrap() == 8).then_some(row)
    })
    .await;
    assert_eq!(counted.thumbnails(), "due");
    // The grace period of the test stack is a second; it has doubled seven times.
    let waits = counted.resend_at().unwrap().timestamp_millis() - before.timestamp_millis();
    assert!((128_000..200_000).contains(&waits), "{waits} ms");

    let failed = eventually("it is given up", Duration::from_secs(10), async || {
        let row = stack.row(given_up).await;
        (row.thumbnails() == "failed").then_some(row)
    })
    .await;
    assert_eq!(failed.thumbnail_error(), Some("given up after many attempts"));
    assert_eq!((failed.resend_at(), failed.times_resent()), (None, None), "{failed}");
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
        let state = if n % 2 == 0 { State::Pending } else { State::Tombstone };
        let row = doc! { "userId": owner, "name": &name, "type": "file", "parentId": 0 };
        let row = with(row, state.until(long_ago));
        if n < 3 {
            with(with(row, doc! { "_id": format!("{owner}-{n}") }), object(&format!("files/{}", unique("planted")), 2))
        } else {
            with(row, no_object(doc! { "of": &name, "n": n }))
        }
    };
    stack.files.insert_many((0..1001).map(damaged)).await.unwrap();
    let (id, key) = left_behind(&stack, State::Tombstone.until(past())).await;
    sweep(&stack).await;
    eventually("neither row nor object", Duration::from_secs(20), async || {
        let row = stack.find_row(id).await;
        (row.is_none() && stack.objects(&key).await.is_empty()).then_some(())
    })
    .await;
    let theirs = all_of(owner);
    assert_eq!(stack.count_rows(theirs.clone()).await, 1001);
    // The sweeper postpones them by more than an hour.
    let in_an_hour = DateTime::from_system_time(SystemTime::now() + Duration::from_hours(1));
    let later = with(theirs.clone(), deleted_until_after(in_an_hour));
    eventually("none is in the way", Duration::from_secs(20), async || {
        (stack.count_rows(later.clone()).await == 1001).then_some(())
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

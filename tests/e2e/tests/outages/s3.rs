//! Without S3 no bytes can be stored or read. Everything that needs only the ledger works.

use std::time::Duration;

use e2e::{
    Stack, Times, User, encoded, eventually,
    ledger::{self, State, all_of, expired, invisible, set, with},
    record_measurement,
    thumbnails::image_without_a_job,
    unique,
};
use futures_util::future::join_all;
use mongodb::bson::{DateTime, Document, doc, oid::ObjectId};
use serde_json::{Value, json};

use crate::{
    alone,
    faults::{met, s3},
    is_status, is_unavailable, works_again,
};

#[tokio::test]
async fn r08_while_s3_answers_503_content_is_unavailable() {
    content_is_unavailable(
        "answers 503",
        json!({ "service": "s3", "error": { "code": "ServiceUnavailable", "status": 503 } }),
    )
    .await;
}

#[tokio::test]
async fn r08_while_s3_answers_500_content_is_unavailable() {
    content_is_unavailable(
        "answers 500",
        json!({ "service": "s3", "error": { "code": "InternalError", "status": 500 } }),
    )
    .await;
}

#[tokio::test]
async fn r08_while_s3_slows_down_content_is_unavailable() {
    content_is_unavailable("slows down", json!({ "service": "s3", "error": { "code": "SlowDown", "status": 503 } }))
        .await;
}

#[tokio::test]
async fn r08_while_s3_resets_connections_content_is_unavailable() {
    content_is_unavailable("resets connections", json!({ "service": "s3", "reset": true })).await;
}

#[tokio::test]
async fn r08_while_s3_hangs_content_is_unavailable() {
    content_is_unavailable("hangs", json!({ "service": "s3", "timeout_ms": 60_000 })).await;
}

#[tokio::test]
async fn r08_an_upload_with_a_lost_s3_answer_is_a_503_and_leaves_nothing() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let before = stack.objects("files/").await;
    // S3 stores the object, and one byte of its answer is missing.
    let cut_off = json!({ "set_headers": { "content-length": "1" } });
    let undo = s3(&stack, json!({ "service": "s3", "operation": "PutObject", "response": cut_off })).await;
    an_upload_is_refused(&stack, &bob).await;
    assert_eq!(stack.new_objects("files/", &before).await.len(), 2);
    drop(undo);
    nothing_is_left(&stack, &bob, &before).await;
}

/// A client does not notice that S3 refuses a plain request, because the SDK repeats it. So the requests are counted.
#[tokio::test]
async fn one_request_to_s3_stores_an_object_and_one_reads_it() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let harmless = json!({ "service": "s3", "response": { "set_headers": { "x-met": "1" } } });
    let _undo = s3(&stack, harmless).await;
    let file = bob.upload("notes.txt", b"bytes").await;
    assert_eq!(met(&stack).await, 1);
    bob.get(&format!("/files/{file}/data")).await.is_content("text/plain; charset=utf-8", b"bytes");
    assert_eq!(met(&stack).await, 2);
}

#[tokio::test]
async fn r09_s3_that_fails_once_in_a_while_is_not_noticed() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let fault = json!({ "service": "s3", "error": { "code": "SlowDown", "status": 503 }, "sequence": { "fail": 3, "pass": 7 } });
    let _undo = s3(&stack, fault).await;
    let clients = (0..8).map(async |client| {
        for n in 0..25 {
            let bytes = format!("file {n} of {client}");
            let file = bob.upload("notes.txt", bytes.as_bytes()).await;
            bob.get(&format!("/files/{file}/data")).await.is_content("text/plain; charset=utf-8", bytes.as_bytes());
        }
    });
    join_all(clients).await;
    let failed = met(&stack).await;
    assert!(failed >= 120);
    record_measurement("R9", "requests", format_args!("200 uploads and downloads, all well; S3 failed {failed} times"));
}

#[tokio::test]
async fn an_upload_does_not_wait_for_its_thumbnails() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    // The worker's read of the source fails.
    let undo = s3(&stack, json!({ "service": "s3", "operation": "GetObject", "timeout_ms": 5000 })).await;
    let image = json!({ "name": "photo.jpg", "type": "image", "data": encoded(b"no image") });
    let answer = bob.create(image).await;
    assert_eq!(answer.document(201)["thumbnails"], "due");
    assert!(answer.took < Duration::from_millis(1500), "it took {:?}", answer.took);
    drop(undo);
}

/// Within one or two seconds a row is written, its bytes are being sent to S3, its folder is deleted, and the sweeper
/// runs.
#[tokio::test]
async fn bytes_that_come_late_into_a_folder_that_went_leave_nothing() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let before = stack.objects("files/").await;
    let folder = bob.folder("going").await;
    let late = json!({ "dist": "uniform", "min": 1500.0, "max": 1500.0 });
    let undo = s3(&stack, json!({ "service": "s3", "operation": "PutObject", "latency": late })).await;
    let file = json!({ "name": "a.txt", "type": "file", "parentId": folder, "data": encoded(b"late") });
    let meanwhile = async {
        let pending = with(all_of(bob.object_id()), State::Pending.only());
        eventually("the row", Duration::from_secs(5), async || stack.files.find_one(pending.clone()).await.unwrap())
            .await;
        let gone = bob.request("DELETE", &format!("/files/{folder}")).send().await;
        assert_eq!(gone.status, 204, "{gone}");
        eventually("the folder is swept", Duration::from_secs(5), async || {
            stack.invoke("sweeper", &json!({})).await;
            stack.find_row(&folder).await.is_none().then_some(())
        })
        .await;
    };
    let (answer, ()) = tokio::join!(bob.create(file), meanwhile);
    answer.fails(400, "Parent not found");
    drop(undo);
    nothing_is_left(&stack, &bob, &before).await;
}

#[tokio::test]
async fn while_s3_deletes_nothing_the_sweeper_does_all_else() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let deleted = bob.upload("notes.txt", b"hi").await;
    let past = DateTime::from_millis(DateTime::now().timestamp_millis() - 120_000);
    let image = image_without_a_job(&stack, bob.object_id(), b"no image".to_vec(), past).await;
    // A user has deleted the account, and a request of this user has stored data after that.
    let (left, late) = (ObjectId::new(), ObjectId::new());
    let departures = stack.database.collection::<Document>("departures");
    departures.insert_one(doc! { "_id": left, "notedAt": past }).await.unwrap();
    departures.insert_one(doc! { "_id": format!("odd-{left}"), "notedAt": "long ago" }).await.unwrap();
    let row = doc! { "_id": late, "userId": left, "name": "a", "type": "folder", "isPublic": true, "parentId": 0 };
    stack.files.insert_one(row).await.unwrap();
    let fault = json!({ "code": "ServiceUnavailable", "status": 503 });
    let undo = s3(&stack, json!({ "service": "s3", "operation": "DeleteObjects", "error": fault })).await;
    assert_eq!(bob.request("DELETE", &format!("/files/{deleted}")).send().await.status, 204);

    let failure = stack.try_invoke("sweeper", &json!({})).await;
    assert!(failure.is_err(), "what was deleted is not gone: {failure:?}");
    assert!(stack.find_row(&deleted).await.is_some());
    // The job was sent again, and may be done by now.
    assert_ne!(stack.row(&image).await.resend_at(), Some(past), "the lost job");
    assert!(stack.row(late).await.is_tombstone(), "what came after its account went");
    assert_eq!(departures.find_one(doc! { "_id": left }).await.unwrap(), None);
    drop(undo);
    eventually("all is swept", Duration::from_secs(20), async || {
        let swept = stack.try_invoke("sweeper", &json!({})).await.is_ok();
        (swept && stack.find_row(&deleted).await.is_none() && stack.find_row(late).await.is_none()).then_some(())
    })
    .await;
    departures.delete_one(doc! { "_id": format!("odd-{left}") }).await.unwrap();
    stack.remove(&image).await;
}

async fn content_is_unavailable(how: &str, fault: Value) {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    bob.publish(&file).await;
    let content = format!("/files/{file}/data");
    let before = stack.objects("files/").await;

    let undo = s3(&stack, fault).await;
    is_status(&stack.anyone().get("/status").await, json!({ "redis": true, "db": true }));
    let mut times = an_upload_is_refused(&stack, &bob).await;
    for reader in [&*bob, &stack.anyone()] {
        let answer = reader.get(&content).await;
        is_unavailable("content", &answer);
        times.push(answer.took);
    }
    record_measurement("R8", how, times);
    assert!(met(&stack).await > 0);
    // A folder needs only the ledger.
    bob.folder("photos").await;
    bob.get(&format!("/files/{file}")).await.document(200);
    bob.get(&content.replace("data", "data?size=100")).await.fails(404, "Not found");
    let head = bob.request("HEAD", &content).send().await;
    assert_eq!((head.status, head.header("content-length")), (200, "2"));
    let known = bob.request("GET", &content).header("If-None-Match", head.header("etag")).send().await;
    assert_eq!(known.status, 304);
    drop(undo);

    let again = works_again(async || bob.get(&content).await).await;
    again.is_content("text/plain; charset=utf-8", b"hi");
    nothing_is_left(&stack, &bob, &before).await;
    bob.upload("notes.txt", b"hi").await;
}

/// Uploads of a file and of an image are a 503, and leave nothing visible.
async fn an_upload_is_refused(stack: &Stack, bob: &User) -> Times {
    let mut times = Times::default();
    let visible = bob.get("/files").await.documents();
    let name = unique("refused");
    for r#type in ["file", "image"] {
        let upload = json!({ "name": name, "type": r#type, "data": "aGk=", "isPublic": true });
        let answer = bob.create(upload).await;
        is_unavailable("an upload", &answer);
        times.push(answer.took);
    }
    assert_eq!(bob.get("/files").await.documents(), visible);
    assert_eq!(stack.count_rows(with(doc! { "name": name }, ledger::visible())).await, 0);
    times
}

/// After the grace period and a sweep there is no invisible row, and no new object.
async fn nothing_is_left(stack: &Stack, bob: &User, before: &[String]) {
    let unfinished = with(all_of(bob.object_id()), invisible());
    stack.files.update_many(unfinished.clone(), set(expired())).await.unwrap();
    eventually("nothing is left of what was refused", Duration::from_secs(10), async || {
        stack.invoke("sweeper", &json!({})).await;
        let rows = stack.count_rows(unfinished.clone()).await;
        let objects = stack.new_objects("files/", before).await;
        (rows == 0 && objects.is_empty()).then_some(())
    })
    .await;
}

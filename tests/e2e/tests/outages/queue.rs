//! The queue itself. It must be empty in the end.

use std::time::{Duration, Instant};

use e2e::{
    Times, encoded, eventually,
    faults::{met, s3},
    fixtures::{decode_image, jpeg},
    ledger::{all_of, resend_never, resendable, resent, thumbnails_due, with},
    record_measurement,
    thumbnails::{SOON, image_without_a_job, thumbnail},
    worker::messages,
};
use futures_util::{StreamExt, stream};
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use serde_json::json;

use crate::alone;

#[tokio::test]
async fn an_impossible_job_leaves_the_queue_at_once_and_for_good() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let nobody = ObjectId::new().to_hex();
    let truncated = json!({ "name": "photo.jpg", "type": "image", "data": encoded(b"\xff\xd8\xff\xe0\0\x10JFIF") });
    let truncated = bob.create(truncated).await.document(201)["id"].as_str().unwrap().to_owned();
    let messages_to_send = [
        "no JSON".to_owned(),
        "{}".to_owned(),
        json!({ "fileId": nobody }).to_string(),
        json!({ "fileId": nobody, "userId": nobody }).to_string(),
        json!({ "fileId": truncated, "userId": nobody }).to_string(),
        json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": stack.bucket }).to_string(),
        // The same job again.
        json!({ "fileId": truncated, "userId": bob.id }).to_string(),
    ];
    for body in messages_to_send {
        stack.sqs.send_message().queue_url(&stack.queue_url).message_body(body).send().await.unwrap();
    }
    eventually("the queue is empty", Duration::from_secs(30), async || {
        (messages(&stack, &stack.queue_url).await == 0).then_some(())
    })
    .await;
    assert_eq!(messages(&stack, &stack.dead_letter_queue_url).await, 0);
    assert_eq!(bob.get(&format!("/files/{truncated}")).await.document(200)["thumbnails"], "failed");
}

/// The job of the preview is not sent, and then S3 refuses one of its thumbnails.
#[tokio::test]
async fn f58_a_preview_is_made_when_the_stores_are_back() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("film.mp4", b"a film").await;
    let fault = json!({ "service": "sqs", "operation": "SendMessage", "error": { "code": "ServiceUnavailable", "status": 503 } });
    let undo = s3(&stack, fault).await;
    bob.set_preview(&id, &jpeg(600, 400)).await.tagged(202);
    assert!(met(&stack).await >= 1, "the queue did not fail");
    drop(undo);
    assert_eq!(bob.show(&id).await.tagged(200).get("preview"), None, "who told the worker?");
    // S3 refuses one thumbnail twice: the request without the SDK, and the one by the SDK.
    let error = json!({ "code": "AccessDenied", "status": 403 });
    let fault = json!({ "service": "s3", "operation": "PutObject", "error": error, "times": 2 });
    let undo = s3(&stack, fault).await;
    eventually("the preview", SOON, async || {
        // The sweep is repeated until the grace period is over.
        stack.invoke("sweeper", &json!({})).await;
        (bob.show(&id).await.tagged(200).get("preview") == Some(&json!(true))).then_some(())
    })
    .await;
    assert_eq!(met(&stack).await, 2);
    drop(undo);
    let seen = decode_image(&thumbnail(&bob, &id, 100).await.body);
    assert_eq!((seen.width, seen.height), (100, 67));
}

#[tokio::test]
async fn r10_without_sqs_an_upload_succeeds_and_a_sweep_sends_its_job() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let fault = json!({ "service": "sqs", "operation": "SendMessage", "error": { "code": "ServiceUnavailable", "status": 503 } });
    let undo = s3(&stack, fault).await;
    let mut times = Times::default();
    let mut images = Vec::new();
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        let image = json!({ "name": "photo.jpg", "type": "image", "data": encoded(&jpeg(600, 400)) });
        let answer = bob.create(image).await;
        assert_eq!(answer.document(201)["thumbnails"], "due");
        times.push(answer.took);
        images.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    assert!(met(&stack).await >= images.len() as u64, "the queue did not fail");
    drop(undo);
    let is_ready = async |id: &str| bob.get(&format!("/files/{id}")).await.document(200)["thumbnails"] == "ready";
    for id in &images {
        assert!(!is_ready(id).await, "who told the worker?");
    }
    record_measurement(
        "R10",
        "uploads",
        format_args!("{} images acknowledged in 10 s without the queue, {times}", images.len()),
    );
    for id in &images {
        eventually("thumbnails", SOON, async || {
            // The sweep is repeated until the images' grace period is over.
            stack.invoke("sweeper", &json!({})).await;
            is_ready(id).await.then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn r10_one_sweep_sends_all_lost_jobs_again_however_many() {
    const LOST: usize = 1205;
    let (_alone, stack) = alone().await;
    // Images of other tests must not be due.
    stack.files.update_many(resendable(), resend_never()).await.unwrap();
    // The worker fails them quickly, because their bytes are on a disk of the original.
    let owner = ObjectId::new();
    let due_at = DateTime::from_millis(DateTime::now().timestamp_millis() - 1000);
    let lost = (0..LOST).map(|_| {
        let row = doc! {
            "_id": ObjectId::new(), "userId": owner, "name": "planted.jpg", "type": "image", "isPublic": false,
            "parentId": 0,
        };
        with(row, thumbnails_due(due_at))
    });
    stack.files.insert_many(lost).await.unwrap();
    let theirs = all_of(owner);
    let started = Instant::now();
    let swept = stack.invoke("sweeper", &json!({})).await;
    let took = started.elapsed();
    assert_eq!(swept["overdue"], LOST, "{swept}");
    assert_eq!(stack.count_rows(with(theirs.clone(), resent(1))).await, LOST as u64);
    record_measurement(
        "R10",
        "lost jobs",
        format_args!("{LOST} sent again by one sweep in {:.1} s", took.as_secs_f64()),
    );

    stack.files.update_many(theirs.clone(), resend_never()).await.unwrap();
    eventually("the queue is empty", Duration::from_mins(3), async || {
        (messages(&stack, &stack.queue_url).await == 0).then_some(())
    })
    .await;
    stack.files.delete_many(theirs).await.unwrap();
}

#[tokio::test]
async fn r10_a_job_that_the_queue_does_not_take_counts_as_not_sent() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let id = image_without_a_job(&stack, bob.object_id(), jpeg(600, 400), DateTime::from_millis(0)).await;
    let refused = json!({ "code": "ServiceUnavailable", "status": 503 });
    let fault = json!({ "service": "sqs", "operation": "SendMessageBatch", "error": refused });
    let undo = s3(&stack, fault).await;
    for _ in 0..3 {
        let before = met(&stack).await;
        eventually("a sweep that the queue fails", SOON, async || {
            // An error is ignored, because the queue is down.
            let _ = stack.try_invoke("sweeper", &json!({})).await;
            (met(&stack).await > before).then_some(())
        })
        .await;
        let row = stack.row(&id).await;
        assert_eq!((row.thumbnails(), row.times_resent()), ("due", None), "{row}");
    }
    drop(undo);
    eventually("thumbnails", SOON, async || {
        stack.invoke("sweeper", &json!({})).await;
        (stack.row(&id).await.thumbnails() == "ready").then_some(())
    })
    .await;
}

#[tokio::test]
async fn r10_all_jobs_of_a_batch_arrive() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let images: Vec<String> = stream::iter(0..23)
        .then(|_| image_without_a_job(&stack, bob.object_id(), jpeg(60, 40), DateTime::from_millis(0)))
        .collect()
        .await;
    stack.invoke("sweeper", &json!({})).await;
    for id in &images {
        eventually("thumbnails", SOON, async || (stack.row(id).await.thumbnails() == "ready").then_some(())).await;
    }
}

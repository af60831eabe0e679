//! The queue itself, which must be empty in the end.

use std::time::{Duration, Instant};

use api::{
    Times, encoded, eventually,
    faults::{met, s3},
    figure,
    images::SOON,
    pictures::jpeg,
    worker::messages,
};
use mongodb::bson::oid::ObjectId;
use serde_json::json;

use crate::alone;

#[tokio::test]
async fn what_cannot_be_done_leaves_the_queue_at_once_and_for_good() {
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
        // A duplicate.
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

#[tokio::test]
async fn r10_without_the_queue_an_upload_is_acknowledged_and_has_its_thumbnails_a_sweep_later() {
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
    figure("R10", "uploads", format_args!("{} images acknowledged in 10 s without the queue, {times}", images.len()));
    for id in &images {
        eventually("thumbnails", SOON, async || {
            // Again until their grace period is over.
            stack.invoke("sweeper", &json!({})).await;
            is_ready(id).await.then_some(())
        })
        .await;
    }
}

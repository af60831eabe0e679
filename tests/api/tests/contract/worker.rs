//! The worker, given its messages directly.

use std::time::{Duration, SystemTime};

use api::{Stack, eventually, unique};
use futures_util::future::join_all;
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use serde_json::{Value, json};

use crate::{
    pictures::jpeg,
    thumbnails::{failure, image_without_a_job, thumbnail},
};

fn job(user: &str, file: &str) -> String {
    json!({ "userId": user, "fileId": file }).to_string()
}

/// Hands a batch to the worker, each body with a message id of its own; what it reports as failed and the ids.
async fn work(stack: &Stack, bodies: &[String]) -> (Value, Vec<String>) {
    let ids: Vec<String> = bodies.iter().map(|_| unique("message")).collect();
    let records: Vec<Value> = bodies
        .iter()
        .zip(&ids)
        .map(|(body, id)| {
            json!({
                "messageId": id, "receiptHandle": id, "body": body, "md5OfBody": "",
                "attributes": { "ApproximateReceiveCount": "1" }, "messageAttributes": {},
                "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:::jobs", "awsRegion": stack.region,
            })
        })
        .collect();
    let returned = stack.invoke("thumbnails", &json!({ "Records": records })).await;
    (returned["batchItemFailures"].clone(), ids)
}

/// What the log says of a message.
async fn logged(stack: &Stack, since: SystemTime, message: &str) -> Value {
    eventually(&format!("a log line of {message}"), Duration::from_secs(10), async || {
        let lines = stack.log_lines(since).await;
        lines.iter().find(|line| line.contains(message)).map(|line| serde_json::from_str(line).unwrap())
    })
    .await
}

#[tokio::test]
async fn a_job_that_cannot_be_done_says_why_and_does_not_come_again() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let image = image_without_a_job(&stack, bob.object_id(), jpeg(10, 10), DateTime::MAX).await;
    let (file, folder) = (bob.upload("a.txt", b"hi").await, bob.folder("photos").await);
    let nobody = ObjectId::new().to_hex();
    let since = SystemTime::now() - Duration::from_secs(1);
    for (body, expected) in [
        (String::new(), "Invalid JSON"),
        ("{".into(), "Invalid JSON"),
        ("{}".into(), "Missing fileId"),
        (json!({ "userId": bob.id }).to_string(), "Missing fileId"),
        (json!({ "userId": bob.id, "fileId": "" }).to_string(), "Missing fileId"),
        (json!({ "userId": bob.id, "fileId": null }).to_string(), "Missing fileId"),
        (json!({ "fileId": image }).to_string(), "Missing userId"),
        (job("", &image), "Missing userId"),
        (job("x", "x"), "File not found"),
        (job(&bob.id, "x"), "File not found"),
        (job(&bob.id, &format!("{image}/../x")), "File not found"),
        (job("x", &image), "File not found"),
        (job(&bob.id, &nobody), "File not found"),
        (job(&nobody, &image), "File not found"),
        (job(&eve.id, &image), "File not found"),
        (job(&bob.id, &file), "File not found"),
        (job(&bob.id, &folder), "File not found"),
    ] {
        let (failures, messages) = work(&stack, std::slice::from_ref(&body)).await;
        assert_eq!(failures, json!([]), "for {body}");
        let line = logged(&stack, since, &messages[0]).await;
        assert_eq!((&line["outcome"], &line["error"]), (&json!("failed"), &json!(expected)), "for {body}");
    }
    // None of that touched the image.
    assert_eq!(bob.get(&format!("/files/{image}")).await.document(200)["thumbnails"], "due");
    assert!(stack.objects(&format!("thumbnails/{image}/")).await.is_empty());
}

#[tokio::test]
async fn a_test_event_of_s3_is_ignored() {
    let stack = Stack::running().await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let event = json!({
        "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2025-01-01T00:00:00.000Z", "Bucket": stack.bucket,
        "RequestId": "5582815E1AEA5ADF", "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR",
    });
    let (failures, messages) = work(&stack, &[event.to_string()]).await;
    assert_eq!(failures, json!([]));
    assert_eq!(logged(&stack, since, &messages[0]).await["outcome"], "ignored");
}

#[tokio::test]
async fn poison_in_a_batch_spares_its_neighbours() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let whole = jpeg(800, 600);
    let plant = |bytes: Vec<u8>| image_without_a_job(&stack, bob.object_id(), bytes, DateTime::MAX);
    let (first, last) = (plant(whole.clone()).await, plant(whole.clone()).await);
    let truncated = plant(whole[..whole.len() / 2].to_vec()).await;
    let batch = [
        job(&bob.id, &first),
        job(&bob.id, &truncated),
        "no JSON".into(),
        job(&bob.id, &ObjectId::new().to_hex()),
        json!({ "Event": "s3:TestEvent" }).to_string(),
        job(&bob.id, &last),
    ];
    let (failures, _) = work(&stack, &batch).await;
    assert_eq!(failures, json!([]));
    for id in [first, last] {
        assert_eq!(thumbnail(&bob, &id, 100).await.status, 200);
    }
    failure(&stack, &bob, &truncated).await;
}

#[tokio::test]
async fn a_job_done_again_leaves_the_same() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = image_without_a_job(&stack, bob.object_id(), jpeg(800, 600), DateTime::MAX).await;
    let body = job(&bob.id, &id);
    let made = async || {
        let objects = stack.objects(&format!("thumbnails/{id}/")).await;
        let [a, b, c] = [500, 250, 100].map(|width| format!("/files/{id}/data?size={width}"));
        (objects, [bob.get(&a).await.body, bob.get(&b).await.body, bob.get(&c).await.body])
    };

    assert_eq!(work(&stack, std::slice::from_ref(&body)).await.0, json!([]));
    let first = made().await;
    assert_eq!(first.0.len(), 3);
    assert!(first.1.iter().all(|bytes| bytes.starts_with(b"\xff\xd8\xff")));

    // Twice in a batch, and three times at once.
    assert_eq!(work(&stack, &[body.clone(), body.clone()]).await.0, json!([]));
    assert!(made().await == first);
    for (failures, _) in join_all((0..3).map(|_| work(&stack, std::slice::from_ref(&body)))).await {
        assert_eq!(failures, json!([]));
    }
    assert!(made().await == first);
    assert_eq!(bob.get(&format!("/files/{id}")).await.document(200)["thumbnails"], "ready");
}

#[tokio::test]
async fn an_image_of_the_bucket_that_has_gone_fails_for_good() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = image_without_a_job(&stack, bob.object_id(), jpeg(10, 10), DateTime::MAX).await;
    let row = stack.files.find_one(doc! { "_id": id.parse::<ObjectId>().unwrap() }).await.unwrap().unwrap();
    stack.s3.delete_object().bucket(&stack.bucket).key(row.get_str("key").unwrap()).send().await.unwrap();
    assert_eq!(work(&stack, &[job(&bob.id, &id)]).await.0, json!([]));
    failure(&stack, &bob, &id).await;
}

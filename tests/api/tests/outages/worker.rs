//! The worker when S3 fails it, and when it dies.

use std::time::{Duration, SystemTime};

use api::{
    Stack, User, eventually,
    images::{SOON, failure, image_without_a_job, row},
    pictures::{jpeg, slow},
    worker::{job, messages, work, work_received},
};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    alone,
    faults::{met, processes, s3, visibility_timeout},
};

async fn plant(stack: &Stack, bob: &User, bytes: Vec<u8>) -> String {
    image_without_a_job(stack, bob.object_id(), bytes, DateTime::MAX).await
}

/// A fault that no client tries again by itself, so that a test does not wait for that.
fn refused(operation: &str) -> Value {
    json!({ "service": "s3", "operation": operation, "error": { "code": "AccessDenied", "status": 403 } })
}

fn with(mut rule: Value, key: &str, value: impl Into<Value>) -> Value {
    rule[key] = value.into();
    rule
}

/// An image as it was before its job: to be done, and not by anybody's death.
async fn is_still_due(stack: &Stack, id: &str) {
    let row = row(stack, id).await;
    assert_eq!(row.get_str("thumbnails").unwrap(), "due");
    for nothing in ["decodingSince", "thumbnailError"] {
        assert!(!row.contains_key(nothing), "{row}");
    }
}

#[tokio::test]
async fn r02_only_what_a_store_failed_comes_again() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let whole = jpeg(600, 400);
    let truncated = whole[..whole.len() / 2].to_vec();
    let [unlucky, truncated, good] = [
        plant(&stack, &bob, whole.clone()).await,
        plant(&stack, &bob, truncated).await,
        plant(&stack, &bob, whole).await,
    ];
    let batch = [
        job(&bob.id, &truncated),
        job(&bob.id, &unlucky),
        "no JSON".to_owned(),
        job(&bob.id, &ObjectId::new().to_hex()),
        job(&bob.id, &good),
    ];
    // The first thumbnail of all that is put.
    let undo = s3(&stack, with(refused("PutObject"), "times", 1)).await;
    let (failures, messages) = work(&stack, &batch).await;
    assert_eq!(failures, json!([{ "itemIdentifier": messages[1] }]));
    assert_eq!(met(&stack).await, 1);
    drop(undo);
    is_still_due(&stack, &unlucky).await;
    failure(&stack, &bob, &truncated).await;
    assert_eq!(row(&stack, &good).await.get_str("thumbnails").unwrap(), "ready");

    // … and is not taken for one that the worker died of, however often it comes.
    assert_eq!(work_received(&stack, 3, &batch[1..2]).await.0, json!([]));
    assert_eq!(row(&stack, &unlucky).await.get_str("thumbnails").unwrap(), "ready");
}

#[tokio::test]
async fn r02_a_source_that_cannot_be_read_now_comes_again() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let id = plant(&stack, &bob, jpeg(600, 400)).await;
    let body = [job(&bob.id, &id)];
    let undo = s3(&stack, refused("GetObject")).await;
    let (failures, messages) = work(&stack, &body).await;
    assert_eq!(failures, json!([{ "itemIdentifier": messages[0] }]));
    drop(undo);
    is_still_due(&stack, &id).await;
    assert_eq!(work_received(&stack, 5, &body).await.0, json!([]));
    assert_eq!(row(&stack, &id).await.get_str("thumbnails").unwrap(), "ready");
}

#[tokio::test]
async fn r03_what_cannot_work_reaches_the_dead_letter_queue() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let id = plant(&stack, &bob, jpeg(600, 400)).await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let undo = [s3(&stack, refused("PutObject")).await, visibility_timeout(&stack, 3).await];
    let body = job(&bob.id, &id);
    let sent = stack.sqs.send_message().queue_url(&stack.queue_url).message_body(&body).send().await.unwrap();
    let sent = sent.message_id.unwrap();
    eventually("it is in the dead-letter queue", SOON, async || {
        (messages(&stack, &stack.dead_letter_queue_url).await == 1).then_some(())
    })
    .await;
    assert_eq!(messages(&stack, &stack.queue_url).await, 0);
    drop(undo);

    let tried = eventually("its log", Duration::from_secs(10), async || {
        let lines = stack.log_lines(since).await;
        let of_it: Vec<Value> =
            lines.iter().filter(|line| line.contains(&sent)).map(|line| serde_json::from_str(line).unwrap()).collect();
        (of_it.len() >= 5).then_some(of_it)
    })
    .await;
    assert_eq!(tried.len(), 5);
    assert!(tried.iter().all(|line| line["outcome"] == "retried"), "{tried:#?}");
    // Its fault is not the image's: the sweeper will send it again.
    is_still_due(&stack, &id).await;

    let dead = &stack.dead_letter_queue_url;
    let letters = stack.sqs.receive_message().queue_url(dead).send().await.unwrap().messages.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].body.as_ref(), Some(&body));
    let handle = letters[0].receipt_handle.as_ref().unwrap();
    stack.sqs.delete_message().queue_url(dead).receipt_handle(handle).send().await.unwrap();
    assert_eq!(messages(&stack, dead).await, 0);
}

#[tokio::test]
async fn r03_a_letter_in_the_dead_letter_queue_raises_an_alarm() {
    let (_alone, stack) = alone().await;
    let name = stack.dead_letter_queue_url.rsplit('/').next().unwrap();
    let alarms = stack.alarms().await;
    let of_it: Vec<_> =
        alarms.iter().filter(|alarm| alarm["Dimensions"] == json!([{ "Name": "QueueName", "Value": name }])).collect();
    assert_eq!(of_it.len(), 1, "{alarms:#?}");
    for (key, expected) in [
        ("Namespace", json!("AWS/SQS")),
        ("MetricName", json!("ApproximateNumberOfMessagesVisible")),
        ("ComparisonOperator", json!("GreaterThanThreshold")),
        ("Statistic", json!("Maximum")),
        ("EvaluationPeriods", json!(1)),
    ] {
        assert_eq!(of_it[0][key], expected, "{key}");
    }
    assert_eq!(of_it[0]["Threshold"].as_f64(), Some(0.0));

    let policy = stack.sqs.get_queue_attributes().queue_url(&stack.queue_url);
    let policy = policy.attribute_names(QueueAttributeName::RedrivePolicy).send().await.unwrap().attributes.unwrap();
    let policy: Value = serde_json::from_str(&policy[&QueueAttributeName::RedrivePolicy]).unwrap();
    assert_eq!(policy["maxReceiveCount"].to_string().trim_matches('"'), "5");
    assert!(policy["deadLetterTargetArn"].as_str().unwrap().ends_with(name));
}

/// Kills the worker while it decodes this image, and has not begun to before that moment; that moment.
async fn killed_while_decoding(stack: &Stack, id: &str, before: DateTime) -> DateTime {
    let mark =
        async || row(stack, id).await.get_datetime("decodingSince").ok().copied().filter(|since| *since > before);
    let since = eventually("it is being decoded", SOON, mark).await;
    let workers = processes(stack, "thumbnails");
    assert!(!workers.is_empty(), "nobody decodes it");
    for &worker in &workers {
        kill_process(worker, Signal::STOP).unwrap();
    }
    assert_eq!(mark().await, Some(since), "it was decoded before it could be killed");
    for &worker in &workers {
        kill_process(worker, Signal::KILL).unwrap();
    }
    since
}

#[tokio::test]
async fn r04_a_workers_death_spares_the_neighbours() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let small = jpeg(600, 400);
    let mut images = Vec::new();
    for bytes in [small.clone(), small.clone(), slow(), small.clone(), small] {
        images.push(plant(&stack, &bob, bytes).await);
    }
    let deadly = images[2].clone();
    // As on AWS, nobody tells the queue that its worker is dead. The decoding takes less than this.
    let _undo = visibility_timeout(&stack, 10).await;
    let batch = images.iter().enumerate().map(|(n, id)| {
        // All become visible at once, and so make one batch.
        let entry = SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(job(&bob.id, id));
        entry.delay_seconds(1).build().unwrap()
    });
    let send = stack.sqs.send_message_batch().queue_url(&stack.queue_url).set_entries(Some(batch.collect()));
    assert_eq!(send.send().await.unwrap().successful.len(), images.len());

    let first = killed_while_decoding(&stack, &deadly, DateTime::MIN).await;
    // Those before it are done, those behind it are not.
    assert_eq!(bob.get(&format!("/files/{}", images[0])).await.document(200)["thumbnails"], "ready");
    assert_eq!(bob.get(&format!("/files/{}", images[4])).await.document(200)["thumbnails"], "due");
    killed_while_decoding(&stack, &deadly, first).await;

    assert_eq!(failure(&stack, &bob, &deadly).await, "the decoder does not survive it");
    eventually("the queue is empty", SOON, async || (messages(&stack, &stack.queue_url).await == 0).then_some(()))
        .await;
    assert_eq!(messages(&stack, &stack.dead_letter_queue_url).await, 0);
    for id in images.iter().filter(|id| **id != deadly) {
        assert_eq!(bob.get(&format!("/files/{id}")).await.document(200)["thumbnails"], "ready");
        assert_eq!(stack.objects(&format!("thumbnails/{id}/")).await.len(), 3);
    }
    assert!(stack.objects(&format!("thumbnails/{deadly}/")).await.is_empty());
}

#[tokio::test]
async fn r20_what_could_not_be_cleaned_up_behind_a_deleted_image_is_when_the_job_comes_again() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let id = plant(&stack, &bob, slow()).await;
    let key = row(&stack, &id).await.get_str("key").unwrap().to_owned();
    let body = [job(&bob.id, &id)];
    let undo = s3(&stack, refused("DeleteObject")).await;
    // The sweeper has been here too, before there was a thumbnail: nobody else knows of them.
    let forgotten = eventually("it is being decoded", SOON, async || {
        let decoded_now = doc! { "_id": id.parse::<ObjectId>().unwrap(), "decodingSince": { "$exists": true } };
        (stack.files.delete_one(decoded_now).await.unwrap().deleted_count == 1).then_some(())
    });
    let ((failures, messages), ()) = futures_util::future::join(work(&stack, &body), forgotten).await;
    assert_eq!(failures, json!([{ "itemIdentifier": messages[0] }]));
    drop(undo);
    assert_eq!(work_received(&stack, 2, &body).await.0, json!([]));
    assert_eq!(stack.objects(&format!("thumbnails/{id}/")).await, [""; 0]);
    // As whoever forgets a row does before.
    stack.delete_object(&key).await;
}

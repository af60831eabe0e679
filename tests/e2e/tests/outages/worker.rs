//! The worker when S3 fails, and when the worker dies.

use std::time::{Duration, Instant, SystemTime};

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use e2e::{
    Stack, User, eventually,
    fixtures::{decode_image, jpeg, slow, test_image},
    ledger, record_measurement,
    thumbnails::{SOON, failure, image_without_a_job, thumbnail},
    worker::{job, logged, messages, run_worker, run_worker_at_receive, try_run_worker_at_receive},
};
use futures_util::future::join;
use mongodb::bson::{DateTime, oid::ObjectId};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    alone,
    faults::{Undo, environment, met, processes, s3, visibility_timeout},
};

async fn plant(stack: &Stack, bob: &User, bytes: Vec<u8>) -> String {
    image_without_a_job(stack, bob.object_id(), bytes, DateTime::MAX).await
}

/// A fault that no client retries, so that a test does not wait for retries.
fn refused(operation: &str) -> Value {
    json!({ "service": "s3", "operation": operation, "error": { "code": "AccessDenied", "status": 403 } })
}

fn with(mut rule: Value, key: &str, value: impl Into<Value>) -> Value {
    rule[key] = value.into();
    rule
}

/// Asserts that an image is as before its job: due, and without a death that counts.
async fn is_still_due(stack: &Stack, id: &str) {
    let row = stack.row(id).await;
    assert_eq!(row.thumbnails(), "due");
    assert_eq!((row.decoding_since(), row.decodings(), row.thumbnail_error()), (None, None, None), "{row}");
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
    // S3 refuses the first thumbnail twice: the request without the SDK, and the one by the SDK.
    let undo = s3(&stack, with(refused("PutObject"), "times", 2)).await;
    let (failures, messages) = run_worker(&stack, &batch).await;
    assert_eq!(failures, json!([{ "itemIdentifier": messages[1] }]));
    assert_eq!(met(&stack).await, 2);
    drop(undo);
    is_still_due(&stack, &unlucky).await;
    failure(&stack, &bob, &truncated).await;
    assert_eq!(stack.row(&good).await.thumbnails(), "ready");

    // The failure does not count as a death of the worker, however often the message is received.
    assert_eq!(run_worker_at_receive(&stack, 3, &batch[1..2]).await.0, json!([]));
    assert_eq!(stack.row(&unlucky).await.thumbnails(), "ready");
}

#[tokio::test]
async fn r02_a_source_that_cannot_be_read_now_comes_again() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let id = plant(&stack, &bob, jpeg(600, 400)).await;
    let body = [job(&bob.id, &id)];
    let undo = s3(&stack, refused("GetObject")).await;
    let (failures, messages) = run_worker(&stack, &body).await;
    assert_eq!(failures, json!([{ "itemIdentifier": messages[0] }]));
    drop(undo);
    is_still_due(&stack, &id).await;
    assert_eq!(run_worker_at_receive(&stack, 5, &body).await.0, json!([]));
    assert_eq!(stack.row(&id).await.thumbnails(), "ready");
}

#[tokio::test]
async fn r03_a_job_that_always_fails_reaches_the_dead_letter_queue() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let id = plant(&stack, &bob, jpeg(600, 400)).await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let undo = (s3(&stack, refused("PutObject")).await, retry(&stack, "1").await);
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
    // The failure is not the image's, so the sweeper will send the job again.
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
async fn a_deployment_may_make_thumbnails_of_1600_pixels() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let earlier = bob.upload_image("earlier.jpg", &jpeg(2000, 1000)).await;
    thumbnail(&bob, &earlier, 500).await;
    let undo = environment(&stack, "thumbnails", "THUMBNAIL_WIDTHS", "1600,500,250,100").await;
    let mut made = Vec::new();
    for ((width, height), expected) in
        [((2000, 1000), (1600, 800)), ((1800, 9000), (1280, 6400)), ((300, 200), (300, 200))]
    {
        let id = bob.upload_image("photo.jpg", &jpeg(width, height)).await;
        let wide = decode_image(&thumbnail(&bob, &id, 1600).await.body);
        assert_eq!((wide.width, wide.height), expected, "of {width} x {height}");
        for contract in [500, 250, 100] {
            let seen = decode_image(&thumbnail(&bob, &id, contract).await.body);
            assert_eq!(seen.width, contract.min(width), "of {width} x {height}");
        }
        made.push(id);
    }
    drop(undo);
    // The deployment makes the width no more, and deletes it.
    for id in made {
        bob.discard(&id).await;
        stack.invoke("sweeper", &json!({})).await;
        let prefix = format!("thumbnails/{id}/");
        eventually("they are gone", SOON, async || stack.objects(&prefix).await.is_empty().then_some(())).await;
    }
    bob.get(&format!("/files/{earlier}/data?size=1600")).await.fails(404, "Not found");
}

#[tokio::test]
async fn a_deployment_may_switch_heic_off() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let _undo = environment(&stack, "thumbnails", "HEIC", "off").await;
    let heic = bob.upload_image("photo.heic", &test_image("420.heic")).await;
    assert_eq!(failure(&stack, &bob, &heic).await, "HEIC is switched off");
    let jpeg = bob.upload_image("photo.jpg", &jpeg(600, 400)).await;
    thumbnail(&bob, &jpeg, 100).await;
}

/// A failed job is received again after this time, and a message that no worker finished after ten seconds. Nothing
/// tells the queue that a worker has died, on AWS and here.
async fn retry(stack: &Stack, seconds: &str) -> [Undo; 2] {
    [visibility_timeout(stack, 10).await, environment(stack, "thumbnails", "JOB_RETRY", seconds).await]
}

#[tokio::test]
async fn r03_a_job_that_a_store_failed_comes_again_within_a_minute() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let id = plant(&stack, &bob, jpeg(600, 400)).await;
    let _undo = s3(&stack, with(refused("PutObject"), "times", 1)).await;
    let started = Instant::now();
    let send = stack.sqs.send_message().queue_url(&stack.queue_url).message_body(job(&bob.id, &id));
    send.send().await.unwrap();
    eventually("S3 has failed it", SOON, async || (met(&stack).await == 1).then_some(())).await;
    eventually("it is done", SOON, async || (stack.row(&id).await.thumbnails() == "ready").then_some(())).await;
    let took = started.elapsed();
    assert!(took < Duration::from_mins(1), "it took {took:?}");
    record_measurement("R3", "a store that failed once", format_args!("thumbnails {} s later", took.as_secs()));
}

#[tokio::test]
async fn r03_a_message_in_the_dead_letter_queue_raises_an_alarm() {
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

/// Kills the worker while it decodes this image, which it must begin after `before`. Returns the time at which it
/// began.
async fn killed_while_decoding(stack: &Stack, id: &str, before: DateTime) -> DateTime {
    let mark = async || stack.row(id).await.decoding_since().filter(|since| *since > before);
    let since = eventually("it is being decoded", SOON, mark).await;
    killed(stack, async || assert_eq!(mark().await, Some(since), "it was decoded before it could be killed")).await;
    since
}

/// Kills all workers, and first reads what they were doing.
async fn killed<T>(stack: &Stack, look: impl AsyncFnOnce() -> T) -> T {
    let workers = processes(stack, "thumbnails");
    assert!(!workers.is_empty(), "nobody works");
    for &worker in &workers {
        kill_process(worker, Signal::STOP).unwrap();
    }
    let seen = look().await;
    for &worker in &workers {
        kill_process(worker, Signal::KILL).unwrap();
    }
    seen
}

/// Sends the jobs of these images so that they form one batch. Returns the ids of the messages.
async fn send_together(stack: &Stack, bob: &User, images: &[String]) -> Vec<String> {
    let batch = images.iter().enumerate().map(|(n, id)| {
        // All messages become visible at once.
        let entry = SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(job(&bob.id, id));
        entry.delay_seconds(1).build().unwrap()
    });
    let batch = stack.sqs.send_message_batch().queue_url(&stack.queue_url).set_entries(Some(batch.collect()));
    let sent = batch.send().await.unwrap().successful;
    assert_eq!(sent.len(), images.len());
    sent.into_iter().map(|entry| entry.message_id).collect()
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
    let _undo = retry(&stack, "10").await;
    send_together(&stack, &bob, &images).await;

    let first = killed_while_decoding(&stack, &deadly, DateTime::MIN).await;
    // The jobs before it are done, the jobs after it are not.
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
async fn r04_three_images_that_kill_the_worker_spare_the_neighbours() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let small = jpeg(600, 400);
    let mut images = Vec::new();
    for bytes in [slow(), slow(), small.clone(), slow(), small] {
        images.push(plant(&stack, &bob, bytes).await);
    }
    let (deadly, good) = ([0, 1, 3].map(|n| images[n].as_str()), [2, 4].map(|n| images[n].as_str()));
    let _undo = retry(&stack, "6").await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let sent = Instant::now();
    let messages_sent = send_together(&stack, &bob, &images).await;

    let marks = async || {
        let mut marks = Vec::new();
        for id in deadly {
            marks.push(stack.row(id).await.decoding_since());
        }
        marks
    };
    let (mut seen, mut deaths, mut good_after) = (vec![None; deadly.len()], [0; 3], None);
    // Every worker that decodes one of the three is killed.
    eventually("the three have failed", Duration::from_mins(4), async || {
        if marks().await.iter().zip(&seen).any(|(mark, seen)| mark > seen) {
            killed(&stack, async || ()).await;
            let marked = marks().await;
            for (deaths, (mark, seen)) in deaths.iter_mut().zip(marked.iter().zip(&seen)) {
                *deaths += u32::from(mark > seen);
            }
            seen = marked;
        }
        let is = async |id: &str, thumbnails: &str| stack.row(id).await.thumbnails() == thumbnails;
        if good_after.is_none() && is(good[0], "ready").await && is(good[1], "ready").await {
            good_after = Some(sent.elapsed());
        }
        let have_failed =
            is(deadly[0], "failed").await && is(deadly[1], "failed").await && is(deadly[2], "failed").await;
        have_failed.then_some(())
    })
    .await;
    assert_eq!(deaths, [2; 3]);
    for id in deadly {
        assert_eq!(failure(&stack, &bob, id).await, "the decoder does not survive it");
    }
    eventually("the queue is empty", SOON, async || (messages(&stack, &stack.queue_url).await == 0).then_some(()))
        .await;
    assert_eq!(messages(&stack, &stack.dead_letter_queue_url).await, 0);
    for id in good {
        assert_eq!(stack.objects(&format!("thumbnails/{id}/")).await.len(), 3);
    }
    let lines = stack.log_lines(since).await;
    let receives = [2, 4].map(|n| {
        let of_it = lines.iter().filter(|line| line.contains(&messages_sent[n]));
        of_it.map(|line| serde_json::from_str::<Value>(line).unwrap()["receives"].as_u64().unwrap()).max().unwrap()
    });
    // Each death adds one receive at most.
    assert!(receives.iter().all(|&receives| receives <= 4), "{receives:?}");
    let (receives, after) = (receives.into_iter().max().unwrap(), good_after.unwrap().as_secs());
    let figures =
        format_args!("the neighbours ready after {after} s and gone at receive {receives}, with retries of 6 s");
    record_measurement("R4", "three killers in a batch of five", figures);
}

#[tokio::test]
async fn r04_four_killers_that_always_come_together_spare_the_fifth() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let mut images = Vec::new();
    for bytes in [slow(), slow(), slow(), slow(), jpeg(600, 400)] {
        images.push(plant(&stack, &bob, bytes).await);
    }
    let batch: Vec<String> = images.iter().map(|id| job(&bob.id, id)).collect();
    let mut firsts = Vec::new();
    for (receives, deadly) in (1..).zip(&images[..4]) {
        let killed = killed_while_decoding(&stack, deadly, DateTime::MIN);
        let (died, first) = join(try_run_worker_at_receive(&stack, receives, &batch), killed).await;
        assert!(died.is_err(), "{died:?}");
        firsts.push(first);
    }
    // This is the last receive: the worker decodes no image that might kill it.
    assert_eq!(run_worker_at_receive(&stack, 5, &batch).await.0, json!([]));
    assert_eq!(stack.row(&images[4]).await.thumbnails(), "ready");
    for (id, first) in images.iter().zip(firsts) {
        let row = stack.row(id).await;
        assert_eq!(row.thumbnails(), "due");
        assert_eq!(row.decodings(), Some(1));
        assert_eq!(row.decoding_since(), Some(first));
    }

    // The sweeper sends the jobs again. The first image has its second attempt, and no third one.
    let killed = killed_while_decoding(&stack, &images[0], DateTime::now());
    assert!(join(try_run_worker_at_receive(&stack, 1, &batch[..1]), killed).await.0.is_err());
    assert_eq!(run_worker_at_receive(&stack, 2, &batch[..1]).await.0, json!([]));
    assert_eq!(failure(&stack, &bob, &images[0]).await, "the decoder does not survive it");
    // The second image has its second attempt too, and this time its worker is not killed.
    assert_eq!(run_worker(&stack, &batch[1..2]).await.0, json!([]));
    assert_eq!(stack.row(&images[1]).await.thumbnails(), "ready");
}

#[tokio::test]
async fn r04_an_image_does_not_fail_because_s3_takes_no_thumbnails() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let mut images = Vec::new();
    for _ in 0..5 {
        images.push(plant(&stack, &bob, jpeg(600, 400)).await);
    }
    let batch: Vec<String> = images.iter().map(|id| job(&bob.id, id)).collect();
    let undo = s3(&stack, json!({ "service": "s3", "operation": "PutObject", "timeout_ms": 60_000 })).await;

    // A batch ends before its worker is ended, even if each of its jobs waits.
    let since = SystemTime::now() - Duration::from_secs(1);
    let started = Instant::now();
    let (failures, messages) = run_worker(&stack, &batch).await;
    let took = started.elapsed();
    let all: Vec<Value> = messages.iter().map(|id| json!({ "itemIdentifier": id })).collect();
    assert_eq!(failures, json!(all));
    assert!(took < Duration::from_secs(30), "it took {took:?}");
    assert_eq!(logged(&stack, since, &messages[0]).await["error"], "a store did not answer in time");
    assert_eq!(logged(&stack, since, &messages[4]).await["error"], "no time is left in this batch");
    for id in &images {
        is_still_due(&stack, id).await;
    }
    // A worker that is ended in the meantime leaves no mark either, however often.
    for receives in 2..=4 {
        let before = met(&stack).await;
        let killed = async {
            eventually("S3 is asked", SOON, async || (met(&stack).await > before).then_some(())).await;
            killed(&stack, async || is_still_due(&stack, &images[0]).await).await;
        };
        let (died, ()) = join(try_run_worker_at_receive(&stack, receives, &batch[..1]), killed).await;
        assert!(died.is_err(), "{died:?}");
        is_still_due(&stack, &images[0]).await;
    }
    drop(undo);
    assert_eq!(run_worker_at_receive(&stack, 5, &batch).await.0, json!([]));
    for id in &images {
        assert_eq!(stack.row(id).await.thumbnails(), "ready");
    }
}

#[tokio::test]
async fn r01_a_job_that_fails_does_not_undo_what_another_has_made() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let id = plant(&stack, &bob, b"no image".to_vec()).await;
    // The job has read the row and waits for the source.
    let _undo = s3(&stack, json!({ "service": "s3", "operation": "GetObject", "timeout_ms": 3000, "times": 1 })).await;
    let ready = async {
        eventually("S3 is asked", SOON, async || (met(&stack).await == 1).then_some(())).await;
        stack.files.update_one(ledger::row(&id), ledger::completion()).await.unwrap();
    };
    let body = [job(&bob.id, &id)];
    let since = SystemTime::now() - Duration::from_secs(1);
    let ((failures, messages), ()) = join(run_worker(&stack, &body), ready).await;
    assert_eq!(failures, json!([]));
    assert_eq!(logged(&stack, since, &messages[0]).await["error"], "unsupported format");
    let row = stack.row(&id).await;
    assert_eq!(row.thumbnails(), "ready", "{row}");
    assert_eq!(row.thumbnail_error(), None, "{row}");
    stack.remove(&id).await;
}

#[tokio::test]
async fn r20_a_retried_job_removes_the_thumbnails_of_a_deleted_image() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let id = plant(&stack, &bob, slow()).await;
    let key = stack.row(&id).await.key().to_owned();
    let body = [job(&bob.id, &id)];
    let undo = s3(&stack, refused("DeleteObject")).await;
    // The test deletes the row, as the sweeper would, before there is a thumbnail. So only the worker knows of the
    // thumbnails.
    let forgotten = eventually("it is being decoded", SOON, async || {
        let decoded_now = ledger::with(ledger::row(&id), ledger::being_decoded());
        (stack.files.delete_one(decoded_now).await.unwrap().deleted_count == 1).then_some(())
    });
    let ((failures, messages), ()) = join(run_worker(&stack, &body), forgotten).await;
    assert_eq!(failures, json!([{ "itemIdentifier": messages[0] }]));
    drop(undo);
    assert_eq!(run_worker_at_receive(&stack, 2, &body).await.0, json!([]));
    assert_eq!(stack.objects(&format!("thumbnails/{id}/")).await, [""; 0]);
    // The sweeper deletes the object before it purges the row.
    stack.delete_object(&key).await;
}

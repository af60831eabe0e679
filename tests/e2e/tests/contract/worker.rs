//! The worker, invoked with messages directly.

use std::time::{Duration, SystemTime};

use e2e::{
    Stack, eventually,
    fixtures::{jpeg, slow},
    ledger::{self, being_decoded, died_of, set, sized, tombstone, with},
    thumbnails::{SOON, failure, image_without_a_job, thumbnail},
    worker::{job, logged, run_worker, run_worker_at_receive},
};
use futures_util::future::{join, join_all};
use mongodb::bson::{DateTime, oid::ObjectId};
use serde_json::json;

#[tokio::test]
async fn r02_a_job_that_cannot_be_done_says_why_and_does_not_come_again() {
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
        let (failures, messages) = run_worker(&stack, std::slice::from_ref(&body)).await;
        assert_eq!(failures, json!([]), "for {body}");
        let line = logged(&stack, since, &messages[0]).await;
        assert_eq!((&line["outcome"], &line["error"]), (&json!("failed"), &json!(expected)), "for {body}");
    }
    // None of these messages changed the image.
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
    let (failures, messages) = run_worker(&stack, &[event.to_string()]).await;
    assert_eq!(failures, json!([]));
    assert_eq!(logged(&stack, since, &messages[0]).await["outcome"], "ignored");
}

#[tokio::test]
async fn r02_poison_in_a_batch_spares_its_neighbours() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let whole = jpeg(800, 600);
    let plant = |bytes: Vec<u8>| image_without_a_job(&stack, bob.object_id(), bytes, DateTime::MAX);
    let mut good = Vec::new();
    for _ in 0..6 {
        good.push(plant(whole.clone()).await);
    }
    let truncated = plant(whole[..whole.len() / 2].to_vec()).await;
    let mut batch: Vec<String> = good.iter().map(|id| job(&bob.id, id)).collect();
    batch.insert(1, job(&bob.id, &truncated));
    batch.insert(2, "no JSON".into());
    batch.insert(4, job(&bob.id, &ObjectId::new().to_hex()));
    batch.insert(6, json!({ "Event": "s3:TestEvent" }).to_string());
    assert_eq!(batch.len(), 10);

    let since = SystemTime::now() - Duration::from_secs(1);
    let (failures, messages) = run_worker(&stack, &batch).await;
    assert_eq!(failures, json!([]), "none of them would be better the next time");
    for id in &good {
        assert_eq!(thumbnail(&bob, id, 100).await.status, 200);
    }
    failure(&stack, &bob, &truncated).await;
    for (message, expected) in
        messages.iter().zip(["ready", "failed", "failed", "ready", "failed", "ready", "ignored", "ready"])
    {
        assert_eq!(logged(&stack, since, message).await["outcome"], expected);
    }
}

#[tokio::test]
async fn r01_a_duplicate_message_is_harmless() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = image_without_a_job(&stack, bob.object_id(), jpeg(800, 600), DateTime::MAX).await;
    let body = job(&bob.id, &id);
    let made = async || {
        let objects = stack.objects(&format!("thumbnails/{id}/")).await;
        let [a, b, c] = [500, 250, 100].map(|width| format!("/files/{id}/data?size={width}"));
        (objects, [bob.get(&a).await.body, bob.get(&b).await.body, bob.get(&c).await.body])
    };

    assert_eq!(run_worker(&stack, std::slice::from_ref(&body)).await.0, json!([]));
    let first = made().await;
    assert_eq!(first.0.len(), 3);
    assert!(first.1.iter().all(|bytes| bytes.starts_with(b"\xff\xd8\xff")));

    // Two more times in sequence, twice in one batch, and three times at once.
    let once = std::slice::from_ref(&body);
    for again in [once, once, &[body.clone(), body.clone()]] {
        assert_eq!(run_worker(&stack, again).await.0, json!([]));
        assert!(made().await == first);
    }
    for (failures, _) in join_all((0..3).map(|_| run_worker(&stack, std::slice::from_ref(&body)))).await {
        assert_eq!(failures, json!([]));
    }
    assert!(made().await == first);
    let row = stack.row(&id).await;
    assert_eq!(row.thumbnails(), "ready");
    assert_eq!((row.thumbnail_error(), row.resend_at()), (None, None), "{row}");
    assert_eq!((row.decoding_since(), row.decodings()), (None, None), "{row}");
}

#[tokio::test]
async fn r04_an_image_that_two_workers_died_of_is_not_decoded_a_third_time() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for (receives, deaths, expected) in [
        (1, 1, "ready"),
        (2, 1, "ready"),
        (4, 1, "ready"),
        // One more death would send its neighbours to the dead-letter queue, so the sweeper sends this job again.
        (5, 1, "due"),
        (5, 0, "ready"),
        (1, 2, "failed"),
        (2, 2, "failed"),
        (5, 2, "failed"),
    ] {
        let id = image_without_a_job(&stack, bob.object_id(), jpeg(600, 400), DateTime::MAX).await;
        if deaths > 0 {
            stack.set_row(&id, died_of(deaths)).await;
        }
        let since = SystemTime::now() - Duration::from_secs(1);
        let (failures, messages) = run_worker_at_receive(&stack, receives, &[job(&bob.id, &id)]).await;
        assert_eq!(failures, json!([]));
        let row = stack.row(&id).await;
        assert_eq!(row.thumbnails(), expected, "{receives}, {deaths}: {row}");
        // The marks stay if a later job needs them.
        let is_marked = expected != "ready";
        assert_eq!([row.decoding_since().is_some(), row.decodings().is_some()], [is_marked; 2], "{row}");
        if expected == "failed" {
            assert_eq!(failure(&stack, &bob, &id).await, "the decoder does not survive it");
        }
        if expected == "due" {
            assert_eq!(logged(&stack, since, &messages[0]).await["outcome"], "left to the sweeper");
        }
        assert_eq!(stack.objects(&format!("thumbnails/{id}/")).await.is_empty(), expected != "ready");
    }
}

#[tokio::test]
async fn r04_an_image_that_a_worker_died_of_comes_after_its_neighbours() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let mut images = Vec::new();
    for _ in 0..3 {
        images.push(image_without_a_job(&stack, bob.object_id(), jpeg(600, 400), DateTime::MAX).await);
    }
    stack.set_row(&images[0], died_of(1)).await;
    let batch: Vec<String> = images.iter().map(|id| job(&bob.id, id)).collect();
    let since = SystemTime::now() - Duration::from_secs(1);
    let (failures, messages) = run_worker_at_receive(&stack, 2, &batch).await;
    assert_eq!(failures, json!([]));
    for message in &messages {
        assert_eq!(logged(&stack, since, message).await["outcome"], "ready");
    }
    let lines = stack.log_lines(since).await;
    let place = |message: &String| lines.iter().position(|line| line.contains(message)).unwrap();
    let places: Vec<usize> = messages.iter().map(place).collect();
    assert!(places[0] > places[2] && places[2] > places[1], "{places:?}");
}

#[tokio::test]
async fn r01_a_job_that_comes_again_leaves_alone_what_was_decided() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let whole = jpeg(600, 400);
    let [failed, ready] = [
        image_without_a_job(&stack, bob.object_id(), whole[..whole.len() / 2].to_vec(), DateTime::MAX).await,
        image_without_a_job(&stack, bob.object_id(), whole.clone(), DateTime::MAX).await,
    ];
    let batch = [job(&bob.id, &failed), job(&bob.id, &ready)];
    assert_eq!(run_worker(&stack, &batch).await.0, json!([]));
    let decided = [stack.row(&failed).await, stack.row(&ready).await];
    assert_eq!(decided[0].thumbnails(), "failed");
    assert_eq!(decided[1].thumbnails(), "ready");

    // If these jobs ran again, the first image would be ready now and the second would have failed.
    stack.put_object(decided[0].key(), whole).await;
    stack.put_object(decided[1].key(), b"no image".to_vec()).await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let (failures, messages) = run_worker_at_receive(&stack, 2, &batch).await;
    assert_eq!(failures, json!([]));
    assert_eq!([stack.row(&failed).await, stack.row(&ready).await], decided);
    for (message, outcome) in messages.iter().zip(["failed", "ready"]) {
        assert_eq!(logged(&stack, since, message).await["outcome"], outcome);
    }

    // A new job is a new request for thumbnails.
    assert_eq!(run_worker(&stack, &batch[..1]).await.0, json!([]));
    assert_eq!(stack.row(&failed).await.thumbnails(), "ready");
    for id in [&failed, &ready] {
        stack.remove(id).await;
    }
}

#[tokio::test]
async fn r20_a_deleted_image_gets_no_thumbnails() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = image_without_a_job(&stack, bob.object_id(), jpeg(600, 400), DateTime::MAX).await;
    stack.set_row(&id, tombstone()).await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let (failures, messages) = run_worker(&stack, &[job(&bob.id, &id)]).await;
    assert_eq!(failures, json!([]));
    assert_eq!(logged(&stack, since, &messages[0]).await["error"], "File not found");
    assert!(stack.objects(&format!("thumbnails/{id}/")).await.is_empty());
}

#[tokio::test]
async fn r20_an_image_deleted_during_its_job_keeps_no_thumbnails() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for forgotten in [false, true] {
        let id = image_without_a_job(&stack, bob.object_id(), slow(), DateTime::MAX).await;
        let key = stack.row(&id).await.key().to_owned();
        let body = [job(&bob.id, &id)];
        let since = SystemTime::now() - Duration::from_secs(1);
        let deleted = eventually("it is being decoded", SOON, async || {
            let decoded_now = with(ledger::row(&id), being_decoded());
            let done = if forgotten {
                stack.files.delete_one(decoded_now).await.unwrap().deleted_count
            } else {
                stack.files.update_one(decoded_now, set(tombstone())).await.unwrap().matched_count
            };
            (done == 1).then_some(())
        });
        let ((failures, messages), ()) = join(run_worker(&stack, &body), deleted).await;
        assert_eq!(failures, json!([]));
        assert_eq!(logged(&stack, since, &messages[0]).await["outcome"], "failed");
        assert!(stack.objects(&format!("thumbnails/{id}/")).await.is_empty(), "forgotten: {forgotten}");
        // A late job does not make any either.
        assert_eq!(run_worker(&stack, &body).await.0, json!([]));
        assert!(stack.objects(&format!("thumbnails/{id}/")).await.is_empty());
        bob.get(&format!("/files/{id}")).await.fails(404, "Not found");
        if forgotten {
            // The sweeper deletes the object before it purges the row.
            stack.delete_object(&key).await;
        }
    }
}

#[tokio::test]
async fn r23_a_source_of_more_than_64_mib_is_too_large_and_not_read() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let plant = |bytes| image_without_a_job(&stack, bob.object_id(), bytes, DateTime::MAX);
    // The row has the size, and the object does not exist.
    let by_row = plant(jpeg(10, 10)).await;
    stack.delete_object(stack.row(&by_row).await.key()).await;
    stack.set_row(&by_row, sized((64 << 20) + 1)).await;
    // The row does not have the size.
    let by_object = plant(vec![0; (64 << 20) + 1]).await;
    stack.set_row(&by_object, sized(10)).await;
    for id in [by_row, by_object] {
        assert_eq!(run_worker(&stack, &[job(&bob.id, &id)]).await.0, json!([]));
        assert_eq!(failure(&stack, &bob, &id).await, "too large");
        stack.remove(&id).await;
    }
    // A source with one byte less is read, and is no valid image.
    let largest = plant(vec![0; 64 << 20]).await;
    assert_eq!(run_worker(&stack, &[job(&bob.id, &largest)]).await.0, json!([]));
    assert_eq!(failure(&stack, &bob, &largest).await, "unsupported format");
}

#[tokio::test]
async fn an_image_of_the_bucket_that_has_gone_fails_for_good() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = image_without_a_job(&stack, bob.object_id(), jpeg(10, 10), DateTime::MAX).await;
    stack.delete_object(stack.row(&id).await.key()).await;
    assert_eq!(run_worker(&stack, &[job(&bob.id, &id)]).await.0, json!([]));
    failure(&stack, &bob, &id).await;
    stack.remove(&id).await;
}

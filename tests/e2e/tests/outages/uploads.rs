//! Direct uploads: the memory that they cost the functions, and failures of a store.

use std::{collections::BTreeMap, time::Duration};

use e2e::{
    Stack, User, eventually,
    ledger::{State, all_of, expired, set, with},
};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::{
    alone,
    faults::{met, peak, processes, s3},
    is_unavailable, works_again,
};

const GIB: u64 = 1 << 30;

const FUNCTIONS: [&str; 9] =
    ["auth", "content", "files", "links", "status", "sweeper", "thumbnails", "uploads", "users"];

/// The peak memory of each function's process, in kB.
fn peaks(stack: &Stack) -> BTreeMap<(&'static str, i32), u64> {
    let mut peaks = BTreeMap::new();
    for function in FUNCTIONS {
        for pid in processes(stack, function) {
            if let Some(peak) = peak(pid) {
                peaks.insert((function, pid.as_raw_nonzero().get()), peak);
            }
        }
    }
    peaks
}

async fn upload(stack: &Stack, user: &User, size: u64) -> String {
    let created = user.create(json!({ "name": "big.bin", "type": "file", "size": size })).await.json();
    for part in created["upload"]["parts"].as_array().unwrap() {
        let bytes = vec![7; usize::try_from(part["size"].as_u64().unwrap()).unwrap()];
        let put = stack.http.put(part["url"].as_str().unwrap()).body(bytes).send().await.unwrap();
        assert_eq!(put.status(), 200);
    }
    let id = created["id"].as_str().unwrap().to_owned();
    let completed = user.request("POST", &format!("/files/{id}/complete")).send().await;
    assert_eq!(completed.document(200)["size"], size);
    id
}

/// Downloads a file, and returns its size.
async fn download(stack: &Stack, user: &User, id: &str) -> u64 {
    let answer = user.get(&format!("/files/{id}/data")).await;
    let mut bytes = stack.http.get(answer.header("location")).send().await.unwrap().bytes_stream();
    let mut size = 0;
    while let Some(some) = bytes.next().await {
        size += some.unwrap().len() as u64;
    }
    size
}

#[tokio::test]
async fn a_gibibyte_up_and_down_takes_no_memory_of_a_function() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    // Each function does its work once before the measurement.
    let small = upload(&stack, &bob, 101 << 20).await;
    download(&stack, &bob, &small).await;
    let before = peaks(&stack);
    for needed in ["files", "uploads", "content"] {
        assert!(before.keys().any(|(function, _)| *function == needed), "{needed} runs");
    }

    let id = upload(&stack, &bob, GIB).await;
    assert_eq!(download(&stack, &bob, &id).await, GIB);
    let after = peaks(&stack);
    for ((function, pid), peak) in &before {
        let now = after.get(&(function, *pid)).unwrap_or(peak);
        println!("{function}: {peak} kB before, {now} kB after");
        // The kernel counts in batches, so the peak can be a little less too.
        assert!(now.saturating_sub(*peak) < 1024, "{function} went from {peak} to {now} kB");
    }
}

#[tokio::test]
async fn while_s3_fails_no_upload_begins_and_what_did_goes_on_after() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let asked = json!({ "name": "big.bin", "type": "file", "size": 200 << 20 });
    let begun = bob.create(asked.clone()).await.json();
    let complete = format!("/files/{}/complete", begun["id"].as_str().unwrap());
    let undo = s3(&stack, json!({ "service": "s3", "error": { "code": "ServiceUnavailable", "status": 503 } })).await;
    is_unavailable("begin", &bob.create(asked).await);
    is_unavailable("complete", &bob.request("POST", &complete).send().await);
    // One row is kept, and the sweeper takes the other.
    assert_eq!(stack.count_rows(with(all_of(bob.object_id()), State::Pending.only())).await, 2);
    drop(undo);
    let answer = works_again(async || bob.request("POST", &complete).send().await).await;
    answer.fails(409, "Parts are missing: send them, then complete");
    stack.files.update_many(all_of(bob.object_id()), set(expired())).await.unwrap();
    eventually("no row", Duration::from_secs(10), async || {
        stack.invoke("sweeper", &json!({})).await;
        (stack.count_rows(all_of(bob.object_id())).await == 0).then_some(())
    })
    .await;
}

/// Issues a ticket of this user, and returns the path of its companion routes.
async fn companion(user: &User, scope: Value) -> String {
    let issued = user.post("/uploads/tickets", scope).await.json();
    format!("/uploads/{}/s3", issued["ticket"].as_str().unwrap())
}

#[tokio::test]
async fn a_beginning_that_fails_uses_up_no_file_of_its_ticket() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let companion = companion(&bob, json!({ "maxFiles": 1 })).await;
    let begin = async || stack.anyone().post(&format!("{companion}/multipart"), json!({ "filename": "big.bin" })).await;
    let failing = json!({ "code": "ServiceUnavailable", "status": 503 });
    let undo = s3(&stack, json!({ "service": "s3", "operation": "CreateMultipartUpload", "error": failing })).await;
    for _ in 0..2 {
        begin().await.fails_with_message(503, "Service unavailable");
    }
    assert!(met(&stack).await > 0);
    drop(undo);
    assert_eq!(works_again(begin).await.status, 200);
    begin().await.fails_with_message(409, "This ticket's file limit is reached");
}

#[tokio::test]
async fn a_client_is_told_what_s3_finds_wrong_with_its_parts() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let companion = companion(&bob, json!({})).await;
    let begun = stack.anyone().post(&format!("{companion}/multipart"), json!({ "filename": "a.bin" })).await.json();
    let (upload, key) = (begun["uploadId"].as_str().unwrap(), begun["key"].as_str().unwrap());
    let signed = stack.anyone().get(&format!("{companion}/multipart/{upload}/1?key={key}")).await.json();
    let put = stack.http.put(signed["url"].as_str().unwrap()).body("hello").send().await.unwrap();
    let part = json!({ "PartNumber": 1, "ETag": put.headers()["etag"].to_str().unwrap() });
    let complete = async || {
        let path = format!("{companion}/multipart/{upload}/complete?key={key}");
        stack.anyone().post(&path, json!({ "parts": [part] })).await
    };
    for (code, error) in [
        ("EntityTooSmall", "Invalid parts: all but the last must have 5 MiB or more"),
        ("InvalidPart", "Invalid parts"),
        ("InvalidPartOrder", "Invalid parts"),
        ("EntityTooLarge", "Invalid parts"),
    ] {
        let wrong = json!({ "code": code, "status": 400 });
        // The proxy takes CompleteMultipartUpload for CreateMultipartUpload, because both are a `POST` to a key with
        // XML in the body.
        let undo = s3(&stack, json!({ "service": "s3", "operation": "CreateMultipartUpload", "error": wrong })).await;
        complete().await.fails_with_message(400, error);
        assert_eq!(met(&stack).await, 1, "{code} is not tried again");
        drop(undo);
    }
    assert_eq!(complete().await.status, 200);
}

#[tokio::test]
async fn forms_that_nobody_posts_are_swept_without_a_look_for_parts() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let companion = companion(&bob, json!({})).await;
    let theirs = all_of(bob.object_id());
    let sweep = async || {
        stack.files.update_many(theirs.clone(), set(expired())).await.unwrap();
        let swept = stack.try_invoke("sweeper", &json!({})).await;
        (swept.is_ok(), stack.count_rows(theirs.clone()).await)
    };
    for _ in 0..3 {
        assert_eq!(stack.anyone().get(&format!("{companion}/params?filename=a.txt")).await.status, 200);
    }
    let whole = json!({ "name": "a.txt", "type": "file", "size": 5 });
    assert_eq!(bob.create(whole).await.status, 201);
    assert_eq!(bob.post("/uploads/sign", json!({ "method": "PUT", "key": "a.txt" })).await.status, 200);
    // Uploads that other tests have left may have parts.
    eventually("nothing else is to be swept", Duration::from_secs(20), async || {
        (stack.invoke("sweeper", &json!({})).await["expired"] == 0).then_some(())
    })
    .await;
    let failing = json!({ "code": "ServiceUnavailable", "status": 503 });
    let undo = s3(&stack, json!({ "service": "s3", "operation": "ListMultipartUploads", "error": failing })).await;
    assert_eq!(sweep().await, (true, 0));
    assert_eq!(met(&stack).await, 0);
    // For an upload that may have parts, the sweeper lists them.
    assert_eq!(bob.post("/uploads/sign", json!({ "method": "POST", "key": "a.bin" })).await.status, 200);
    assert_eq!(sweep().await.1, 1);
    assert!(met(&stack).await > 0);
    drop(undo);
    eventually("no row", Duration::from_secs(10), async || (sweep().await == (true, 0)).then_some(())).await;
}

#[tokio::test]
async fn r01_a_form_arrives_even_if_s3_refuses_the_first_look_for_it() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let companion = companion(&bob, json!({})).await;
    let form = stack.anyone().get(&format!("{companion}/params?filename=a.txt")).await.json();
    // No client repeats a request that was refused. Only the worker lists: it asks whether the upload has an object.
    let refused = json!({ "code": "AccessDenied", "status": 403 });
    let rule = json!({ "service": "s3", "operation": "ListObjectsV2", "error": refused, "times": 1 });
    let undo = s3(&stack, rule).await;
    assert_eq!(stack.post_form(&form, b"hello".to_vec()).await.status(), 201);
    let id = form["fields"]["key"].as_str().unwrap().split('/').nth(1).unwrap();
    eventually("the file is visible", Duration::from_mins(1), async || {
        (bob.get(&format!("/files/{id}")).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(met(&stack).await, 1);
    drop(undo);
    bob.get(&format!("/files/{id}/data")).await.is_content("text/plain; charset=utf-8", b"hello");
}

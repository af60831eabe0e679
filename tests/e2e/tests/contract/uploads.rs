//! Direct uploads: the client sends the bytes to S3.

use std::time::Duration;

use e2e::{
    Answer, Stack, User, document, eventually,
    fixtures::{decode_image, jpeg},
    ledger::{State, all_of, expired, pending, sized, with},
    thumbnails::thumbnail,
    unique,
    worker::run_worker,
};
use futures_util::future::join_all;
use mongodb::bson::{doc, oid::ObjectId};
use reqwest::Response;
use serde_json::{Value, json};

/// The time limit for S3's message: the promise is five seconds.
const SOON: Duration = Duration::from_secs(5);

const MIB: usize = 1 << 20;

/// A pending upload: its document and the bytes to send.
struct Begun {
    id: String,
    upload: Value,
}

async fn begin(user: &User, name: &str, kind: &str, size: u64) -> Begun {
    let mut created = user.create(json!({ "name": name, "type": kind, "size": size })).await.json();
    let id = created["id"].as_str().unwrap_or_else(|| panic!("no id in {created}")).to_owned();
    Begun { id, upload: created["upload"].take() }
}

impl Begun {
    fn url(&self) -> &str {
        self.upload["url"].as_str().unwrap()
    }

    /// Sends the bytes as the document says.
    async fn put(&self, stack: &Stack, bytes: impl Into<Vec<u8>>) -> Response {
        let bytes = bytes.into();
        // This client omits the header for an empty body.
        let mut request = stack.http.put(self.url()).header("Content-Length", bytes.len());
        for (name, value) in self.upload["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        request.body(bytes).send().await.unwrap()
    }

    async fn complete(&self, user: &User) -> Answer {
        user.request("POST", &format!("/files/{}/complete", self.id)).send().await
    }

    async fn parts(&self, user: &User) -> Answer {
        user.get(&format!("/files/{}/parts", self.id)).await
    }

    /// The number of its objects and parts in the bucket.
    async fn remains(&self, stack: &Stack) -> usize {
        let prefix = format!("uploads/{}/", self.id);
        let parts = stack.s3.list_multipart_uploads().bucket(&stack.bucket).prefix(&prefix).send().await.unwrap();
        stack.objects(&prefix).await.len() + parts.uploads.unwrap_or_default().len()
    }

    async fn becomes_visible(&self, user: &User) -> Value {
        let visible = async || {
            let answer = user.get(&format!("/files/{}", self.id)).await;
            (answer.status == 200).then(|| answer.json())
        };
        eventually("a visible file", SOON, visible).await
    }
}

async fn put_part(stack: &Stack, part: &Value, bytes: Vec<u8>) -> Response {
    stack.http.put(part["url"].as_str().unwrap()).body(bytes).send().await.unwrap()
}

/// The bytes of one part of a large file.
fn bytes_of(part: &Value) -> Vec<u8> {
    let (offset, size) = (part["offset"].as_u64().unwrap(), part["size"].as_u64().unwrap());
    (offset..offset + size).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[tokio::test]
async fn a_file_is_visible_once_its_bytes_are_there() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let bytes = vec![7; 5 * MIB];
    let folder = bob.folder("in").await;
    let asked =
        json!({ "name": "film.mp4", "type": "file", "parentId": folder, "isPublic": true, "size": bytes.len() });
    let answer = bob.create(asked).await;
    let created = answer.document(201);
    let id = created["id"].as_str().unwrap().to_owned();
    assert_eq!(created["size"], bytes.len());
    let upload = answer.json()["upload"].take();
    let keys: Vec<_> = upload.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert_eq!(upload["method"], "PUT");
    assert_eq!(upload["headers"], json!({ "Content-Type": "video/mp4", "If-None-Match": "*" }));
    assert!(upload["completeUrl"].as_str().unwrap().ends_with(&format!("/files/{id}/complete")), "{upload}");
    let begun = Begun { id, upload };

    // The file is still invisible.
    bob.get(&format!("/files/{}", begun.id)).await.fails(404, "Not found");
    bob.get(&format!("/files/{}/data", begun.id)).await.fails(404, "Not found");
    assert!(bob.get(&format!("/files?parentId={folder}")).await.documents().is_empty());

    assert_eq!(begun.put(&stack, bytes.clone()).await.status(), 200);
    let file = begun.complete(&bob).await.document(200);
    assert_eq!(file["size"], bytes.len());
    for (key, value) in document(&begun.id, &bob.id, "film.mp4", "file", true, folder.as_str()).as_object().unwrap() {
        assert_eq!(&file[key], value);
    }
    // A repeated completion has the same answer.
    assert_eq!(begun.complete(&bob).await.document(200)["id"], begun.id);
    assert_eq!(bob.get(&format!("/files?parentId={folder}")).await.documents().len(), 1);
    let location = stack.anyone().get(&format!("/files/{}/data", begun.id)).await;
    let data = stack.http.get(location.header("location")).send().await.unwrap();
    assert_eq!(data.headers()["content-type"], "video/mp4");
    assert!(data.bytes().await.unwrap() == bytes);
}

#[tokio::test]
async fn a_client_that_dies_after_the_bytes_has_uploaded_them() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let begun = begin(&bob, "a.txt", "file", 5).await;
    assert_eq!(begun.put(&stack, *b"hello").await.status(), 200);
    assert_eq!(begun.becomes_visible(&bob).await["size"], 5);
    bob.get(&format!("/files/{}/data", begun.id)).await.is_content("text/plain; charset=utf-8", b"hello");
}

#[tokio::test]
async fn an_upload_of_zero_bytes_is_a_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let begun = begin(&bob, "empty.txt", "file", 0).await;
    assert_eq!(begun.put(&stack, []).await.status(), 200);
    begun.complete(&bob).await.document(200);
    bob.get(&format!("/files/{}/data", begun.id)).await.is_content("text/plain; charset=utf-8", b"");
}

#[tokio::test]
async fn an_image_has_its_thumbnails() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let bytes = jpeg(1200, 801);
    for completed in [true, false] {
        let begun = begin(&bob, "photo.jpg", "image", bytes.len() as u64).await;
        assert_eq!(begun.put(&stack, bytes.clone()).await.status(), 200);
        if completed {
            assert_eq!(begun.complete(&bob).await.document(200)["type"], "image");
        }
        let made = decode_image(&thumbnail(&bob, &begun.id, 500).await.body);
        assert_eq!((made.width, made.height), (500, 334));
    }
}

#[tokio::test]
async fn s11_s3_takes_what_was_announced_and_nothing_else() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let begun = begin(&bob, "a.txt", "file", 5).await;
    let other = begin(&bob, "a.txt", "file", 5).await;
    let put = |url: &str| stack.http.put(url).header("Content-Type", "text/plain; charset=utf-8");
    let new = |url: &str| put(url).header("If-None-Match", "*");
    let elsewhere = begun.url().replace(&begun.id, &other.id);
    let html = stack.http.put(begun.url()).header("If-None-Match", "*").header("Content-Type", "text/html");
    for (what, request) in [
        ("a byte more", new(begun.url()).body("hello!")),
        ("a byte less", new(begun.url()).body("hell")),
        ("another type", html.body("hello")),
        ("the right to write over it", put(begun.url()).body("hello")),
        ("another key", new(&elsewhere).body("hello")),
        ("another method", stack.http.get(begun.url()).header("If-None-Match", "*")),
        ("another method", stack.http.delete(begun.url()).header("If-None-Match", "*")),
    ] {
        let status = request.send().await.unwrap().status().as_u16();
        assert!((400..500).contains(&status), "{what}: {status}");
    }
    assert_eq!(begun.remains(&stack).await + other.remains(&stack).await, 0);
    // The existing object does not change.
    assert_eq!(new(begun.url()).body("hello").send().await.unwrap().status(), 200);
    assert_eq!(new(begun.url()).body("olleh").send().await.unwrap().status(), 412);
    begun.complete(&bob).await.document(200);
    assert_eq!(new(begun.url()).body("olleh").send().await.unwrap().status(), 412);
    bob.get(&format!("/files/{}/data", begun.id)).await.is_content("text/plain; charset=utf-8", b"hello");
}

#[tokio::test]
async fn everything_is_checked_before_anything_is_signed() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (folder, file) = (eve.folder("hers").await, bob.upload("a.txt", b"hi").await);
    let with = |more: Value| {
        let mut asked = json!({ "name": "a", "type": "file", "size": 5 });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    };
    for (asked, status, error) in [
        (with(json!({ "name": null })), 400, "Missing name"),
        (with(json!({ "type": "movie" })), 400, "Missing type"),
        (with(json!({ "size": null })), 400, "Missing data"),
        (with(json!({ "size": -1 })), 400, "Invalid size"),
        (with(json!({ "size": 1.5 })), 400, "Invalid size"),
        (with(json!({ "size": "5" })), 400, "Invalid size"),
        (with(json!({ "size": {} })), 400, "Invalid size"),
        (
            with(json!({ "size": 5_497_558_138_881_u64 })),
            413,
            "size is larger than 5 TiB (5497558138880 bytes), the limit of a file",
        ),
        (with(json!({ "name": "a/b" })), 400, "Invalid name"),
        (with(json!({ "parentId": folder })), 400, "Parent not found"),
        (with(json!({ "parentId": file })), 400, "Parent is not a folder"),
    ] {
        bob.create(asked).await.fails(status, error);
    }
    stack.anyone().post("/files", with(json!({}))).await.fails(401, "Unauthorized");
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 1);
    // A request with bytes has their size.
    let id = bob.create(with(json!({ "data": "aGk=" }))).await.document(201)["id"].as_str().unwrap().to_owned();
    bob.get(&format!("/files/{id}/data")).await.is_content("application/octet-stream", b"hi");
}

#[tokio::test]
async fn a_large_file_comes_in_parts_and_goes_on_where_it_stopped() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let size = 100 * MIB as u64 + 1;
    let begun = begin(&bob, "big.bin", "file", size).await;
    let parts = begun.upload["parts"].as_array().unwrap().clone();
    assert_eq!((begun.upload["partSize"].as_u64(), begun.upload["partCount"].as_u64()), (Some(16 << 20), Some(7)));
    assert_eq!(parts.len(), 7);
    assert_eq!(parts.iter().map(|part| part["size"].as_u64().unwrap()).sum::<u64>(), size);

    for part in [&parts[0], &parts[6], &parts[3]] {
        assert_eq!(put_part(&stack, part, bytes_of(part)).await.status(), 200);
    }
    // S3 refuses a part of another size.
    assert!(put_part(&stack, &parts[1], vec![0; 100]).await.status().is_client_error());

    let missing = "Parts are missing: send them, then complete";
    begun.complete(&bob).await.fails(409, missing);
    for stranger in [begun.parts(&eve).await, begun.complete(&eve).await] {
        stranger.fails(404, "Not found");
    }
    let left = begun.parts(&bob).await;
    assert_eq!(left.status, 200);
    let left = left.json();
    let numbers = |parts: &Value| -> Vec<_> {
        parts.as_array().unwrap().iter().map(|part| part["partNumber"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&left["uploaded"]), [1, 4, 7]);
    assert_eq!(numbers(&left["parts"]), [2, 3, 5, 6]);
    for part in left["parts"].as_array().unwrap() {
        assert_eq!(put_part(&stack, part, bytes_of(part)).await.status(), 200);
    }
    assert!(begun.parts(&bob).await.json()["parts"].as_array().unwrap().is_empty());
    bob.get(&format!("/files/{}", begun.id)).await.fails(404, "Not found");
    let file = begun.complete(&bob).await.document(200);
    assert_eq!(file["size"], size);
    assert_eq!(begun.complete(&bob).await.document(200), file);
    begun.parts(&bob).await.fails(409, "The upload is complete");

    let location = bob.get(&format!("/files/{}/data", begun.id)).await;
    let data = stack.http.get(location.header("location")).send().await.unwrap().bytes().await.unwrap();
    assert!(data.len() as u64 == size && data.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
}

#[tokio::test]
async fn a_signed_part_costs_no_write() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let begun = begin(&bob, "big.bin", "file", 200 << 20).await;
    let before = stack.row(&begun.id).await;
    for _ in 0..3 {
        assert_eq!(begun.parts(&bob).await.json()["parts"].as_array().unwrap().len(), 13);
    }
    assert_eq!(stack.row(&begun.id).await, before);
    bob.request("DELETE", &format!("/files/{}", begun.id)).send().await;
}

#[tokio::test]
async fn a_hundred_parts_are_signed_at_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    // The largest file has ten thousand parts.
    let begun = begin(&bob, "huge.bin", "file", 5 << 40).await;
    assert_eq!(begun.upload["parts"].as_array().unwrap().len(), 100);
    assert!(begun.upload["partCount"].as_u64().unwrap() <= 10_000);
    let left = begun.parts(&bob).await.json();
    assert_eq!(left["parts"].as_array().unwrap().len(), 100);
    assert_eq!(bob.request("DELETE", &format!("/files/{}", begun.id)).send().await.status, 204);
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    for (size, part) in [(5, None), (200 << 20, Some(0))] {
        let begun = begin(&bob, "a.bin", "file", size).await;
        if let Some(part) = part {
            let part = &begun.upload["parts"][part];
            assert_eq!(put_part(&stack, part, bytes_of(part)).await.status(), 200);
            assert_eq!(begun.remains(&stack).await, 1);
        }
        let path = format!("/files/{}", begun.id);
        eve.request("DELETE", &path).send().await.fails(404, "Not found");
        let gone = bob.request("DELETE", &path).send().await;
        assert_eq!((gone.status, gone.body.len()), (204, 0));
        bob.request("DELETE", &path).send().await.fails(404, "Not found");
        begun.complete(&bob).await.fails(404, "Not found");
        begun.parts(&bob).await.fails(404, "Not found");
        assert_eq!(begun.remains(&stack).await, 0);
        assert!(stack.find_row(&begun.id).await.is_none());
        if part.is_none() {
            // The URL is still valid, but its object is removed.
            assert_eq!(begun.put(&stack, *b"hello").await.status(), 200);
            eventually("no object", SOON, async || (begun.remains(&stack).await == 0).then_some(())).await;
        }
    }
}

#[tokio::test]
async fn completed_too_early_nothing_is_lost() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let begun = begin(&bob, "a.txt", "file", 5).await;
    begun.complete(&bob).await.fails(409, "The bytes are not there: send them, then complete");
    assert_eq!(begun.put(&stack, *b"hello").await.status(), 200);
    begun.complete(&bob).await.document(200);
    let inline = bob.upload("a.txt", b"hi").await;
    assert_eq!(bob.request("POST", &format!("/files/{inline}/complete")).send().await.document(200)["id"], *inline);
}

#[tokio::test]
async fn another_size_than_announced_ends_the_upload() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    // S3 accepts no other size, so the test changes the row.
    let expects = async |begun: &Begun, size: i64| {
        stack.set_row(&begun.id, sized(size)).await;
    };
    let whole = begin(&bob, "a.txt", "file", 6).await;
    expects(&whole, 5).await;
    assert_eq!(whole.put(&stack, *b"hello!").await.status(), 200);
    let answer = whole.complete(&bob).await;
    // S3's message may have completed the upload first.
    assert!([404, 409].contains(&answer.status), "{answer}");
    eventually("no object", SOON, async || (whole.remains(&stack).await == 0).then_some(())).await;
    bob.get(&format!("/files/{}", whole.id)).await.fails(404, "Not found");

    let parts = begin(&bob, "big.bin", "file", 200 << 20).await;
    expects(&parts, 100).await;
    let part = &parts.upload["parts"][0];
    assert_eq!(put_part(&stack, part, bytes_of(part)).await.status(), 200);
    parts.complete(&bob).await.fails(409, "The size is not the one announced: begin the upload again");
    assert_eq!(parts.remains(&stack).await, 0);
    parts.complete(&bob).await.fails(404, "Not found");
}

#[tokio::test]
async fn an_abandoned_upload_leaves_nothing_after_the_grace_period() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let begun = begin(&bob, "big.bin", "file", 200 << 20).await;
    let part = &begun.upload["parts"][0];
    assert_eq!(put_part(&stack, part, bytes_of(part)).await.status(), 200);
    stack.set_row(&begun.id, expired()).await;
    eventually("neither row nor part", Duration::from_secs(10), async || {
        stack.invoke("sweeper", &json!({})).await;
        let row = stack.find_row(&begun.id).await;
        (row.is_none() && begun.remains(&stack).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn late_repeated_and_reordered_s3_messages_change_nothing() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let begun = begin(&bob, "a.txt", "file", 5).await;
    begun.put(&stack, *b"hello").await;
    begun.complete(&bob).await.document(200);
    let before = stack.row(&begun.id).await;
    let key = before.key();
    let said = |key: &str, size: u64| {
        let object = json!({ "key": key, "size": size, "eTag": "x", "sequencer": "0" });
        let record = json!({ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": { "object": object } });
        json!({ "Records": [record] }).to_string()
    };
    let gone = format!("uploads/{}/{}", ObjectId::new().to_hex(), "a".repeat(32));
    let of_a_form = format!("{key}/form");
    let said = [(key, 5), (key, 5), (key, 7), (&gone, 5), ("files/a", 5), ("uploads/x/y", 5), (&of_a_form, 9)]
        .map(|(key, size)| said(key, size));
    assert_eq!(run_worker(&stack, &said).await.0, json!([]));
    assert_eq!(stack.row(&begun.id).await, before);
    bob.get(&format!("/files/{}/data", begun.id)).await.is_content("text/plain; charset=utf-8", b"hello");
}

/// The value of a query parameter.
fn parameter<'a>(url: &'a str, name: &str) -> &'a str {
    url.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap()
}

#[tokio::test]
async fn attempts_at_once_begin_one_upload_in_parts() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for _ in 0..20 {
        let key = unique("key");
        let attempts = join_all((0..6).map(async |_| {
            let request = bob.request("POST", "/files").header("Idempotency-Key", &key);
            let asked = json!({ "name": "big.bin", "type": "file", "size": 200 << 20 });
            let created = request.json(asked).send().await.document(201);
            let url = created["upload"]["parts"][0]["url"].as_str().unwrap().to_owned();
            (created["id"].as_str().unwrap().to_owned(), parameter(&url, "uploadId").to_owned())
        }))
        .await;
        let (id, _) = &attempts[0];
        assert!(attempts.iter().all(|attempt| attempt == &attempts[0]), "{attempts:?}");
        let begun = Begun { id: id.clone(), upload: json!(null) };
        assert_eq!(begun.remains(&stack).await, 1, "no other upload is left at S3");
        assert_eq!(bob.request("DELETE", &format!("/files/{id}")).send().await.status, 204);
        assert_eq!(begun.remains(&stack).await, 0);
    }
}

#[tokio::test]
async fn a_user_has_at_most_a_thousand_uploads_that_are_not_complete() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let row = || {
        let row = doc! {
            "userId": bob.object_id(), "name": "a.txt", "type": "file", "isPublic": false, "parentId": 0,
        };
        with(with(row, sized(5)), pending())
    };
    stack.files.insert_many((0..999).map(|_| row())).await.unwrap();
    let asked = json!({ "name": "a.txt", "type": "file", "size": 5 });
    let (first, second) = (unique("key"), unique("key"));
    let begin =
        async |key: &str| bob.request("POST", "/files").header("Idempotency-Key", key).json(asked.clone()).send().await;
    let id = begin(&first).await.document(201)["id"].as_str().unwrap().to_owned();

    let full = "1000 uploads are not complete: complete or delete some, or wait until they expire";
    bob.create(asked.clone()).await.fails(409, full);
    begin(&second).await.fails(409, full);
    for method in ["PUT", "POST"] {
        bob.post("/uploads/sign", json!({ "method": method, "key": "a.txt" })).await.fails(409, full);
    }
    let ticket = bob.post("/uploads/tickets", json!({ "maxFiles": 1 })).await.json();
    let companion = format!("/uploads/{}/s3", ticket["ticket"].as_str().unwrap());
    let params = format!("{companion}/params?filename=a.txt");
    stack.anyone().get(&params).await.fails_with_message(409, full);
    let multipart = stack.anyone().post(&format!("{companion}/multipart"), json!({ "filename": "a.txt" })).await;
    multipart.fails_with_message(409, full);
    let pending = with(all_of(bob.object_id()), State::Pending.only());
    assert_eq!(stack.count_rows(pending.clone()).await, 1000);

    // Pending uploads continue, uploads through a function do not count, and other users have their own limit.
    assert_eq!(begin(&first).await.document(201)["id"], *id);
    bob.upload("a.txt", b"hi").await;
    bob.folder("photos").await;
    assert_eq!(eve.create(asked.clone()).await.status, 201);

    assert_eq!(bob.request("DELETE", &format!("/files/{id}")).send().await.status, 204);
    // The refused request did not use up a file of the ticket.
    assert_eq!(stack.anyone().get(&params).await.status, 200);
    assert_eq!(stack.files.delete_many(pending).await.unwrap().deleted_count, 1000);
    stack.forget_usage(bob.object_id()).await;
    assert_eq!(begin(&second).await.status, 201);
}

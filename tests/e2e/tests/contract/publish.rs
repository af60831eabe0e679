//! `PUT /files/{id}/publish` and `/unpublish`.

use e2e::{Answer, Client, Stack, document, fixtures::jpeg, thumbnails::thumbnail};

use serde_json::json;

use crate::files::original;

#[tokio::test]
async fn publishing_and_unpublishing_answer_with_the_document_as_it_is_then() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, folder) = (bob.upload("notes.txt", b"hi").await, bob.folder("photos").await);
    for (id, name, r#type) in [(file, "notes.txt", "file"), (folder, "photos", "folder")] {
        // Each is sent twice: the second changes nothing.
        for (action, is_public) in [("publish", true), ("publish", true), ("unpublish", false), ("unpublish", false)] {
            let answer = bob.put(&format!("/files/{id}/{action}")).await.document(200);
            let expected = document(&id, &bob.id, name, r#type, is_public, 0);
            assert_eq!(original(&answer), expected);
            assert_eq!(original(&bob.get(&format!("/files/{id}")).await.document(200)), expected);
        }
    }
}

#[tokio::test]
async fn only_the_owner_publishes() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let file = bob.upload("notes.txt", b"hi").await;
    let (publish, unpublish) = (format!("/files/{file}/publish"), format!("/files/{file}/unpublish"));
    eve.put(&publish).await.fails(404, "Not found");
    assert_eq!(bob.get(&format!("/files/{file}")).await.document(200)["isPublic"], false);
    bob.publish(&file).await;
    eve.put(&unpublish).await.fails(404, "Not found");
    eve.put(&publish).await.fails(404, "Not found");
    assert_eq!(bob.get(&format!("/files/{file}")).await.document(200)["isPublic"], true);
}

#[tokio::test]
async fn publishing_a_folder_does_not_publish_what_is_in_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("photos").await;
    let inside = json!({ "name": "a.txt", "type": "file", "data": "aGk=", "parentId": folder });
    let file = bob.create(inside).await.document(201)["id"].as_str().unwrap().to_owned();
    bob.publish(&folder).await;
    stack.anyone().get(&format!("/files/{file}/data")).await.fails(404, "Not found");
}

#[tokio::test]
async fn s04_content_is_there_for_all_from_publish_to_unpublish() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let path = format!("/files/{file}/data");
    for _ in 0..2 {
        stack.anyone().get(&path).await.fails(404, "Not found");
        bob.publish(&file).await;
        stack.anyone().get(&path).await.is_content("text/plain; charset=utf-8", b"hi");
        assert_eq!(bob.put(&format!("/files/{file}/unpublish")).await.document(200)["isPublic"], false);
    }
    stack.anyone().get(&path).await.fails(404, "Not found");
}

/// The answers that are derived from a file: thumbnails, its length, a 304, a presigned URL.
async fn derived(reader: &Client, id: &str, etags: &[String]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (size, etag) in ["", "500", "250", "100"].iter().zip(etags) {
        let path = format!("/files/{id}/data?size={size}");
        answers.push(reader.get(&path).await);
        answers.push(reader.get(&format!("{path}&download=1")).await);
        answers.push(reader.request("HEAD", &path).send().await);
        for (header, value) in [
            ("If-None-Match", etag.as_str()),
            ("If-None-Match", "*"),
            ("If-Modified-Since", SINCE),
            ("Range", "bytes=0-"),
        ] {
            answers.push(reader.request("GET", &path).header(header, value).send().await);
        }
    }
    answers
}

/// A date after every modification.
const SINCE: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

#[tokio::test]
async fn s02_derived_answers_follow_the_rights_of_their_file() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let id = bob.upload_image("photo.jpg", &jpeg(600, 400)).await;
    let mut etags = vec![bob.get(&format!("/files/{id}/data")).await.header("etag").to_owned()];
    for width in [500, 250, 100] {
        etags.push(thumbnail(&bob, &id, width).await.header("etag").to_owned());
    }
    let strangers = [&*eve, &stack.anyone(), &stack.anyone().with_token("no such token")].map(Client::clone);
    let is_hidden = async || {
        for stranger in &strangers {
            let missing = derived(stranger, "5f1e7d35c7ba06511e683b21", &etags).await;
            for (answer, missing) in derived(stranger, &id, &etags).await.into_iter().zip(missing) {
                assert_eq!(missing.status, 404);
                assert_eq!(answer.comparable(), missing.comparable());
            }
        }
    };
    is_hidden().await;
    bob.publish(&id).await;
    for stranger in &strangers {
        let expected = [200, 200, 200, 304, 304, 304, 302].repeat(4);
        let seen: Vec<_> = derived(stranger, &id, &etags).await.iter().map(|answer| answer.status).collect();
        assert_eq!(seen, expected);
    }
    bob.put(&format!("/files/{id}/unpublish")).await.document(200);
    is_hidden().await;
}

#[tokio::test]
async fn s04_revocation_is_immediate() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let path = format!("/files/{file}/data");
    let fetch = |range: &str| stack.anyone().request("GET", &path).header("Range", range).send();
    for _ in 0..5 {
        bob.publish(&file).await;
        assert_eq!(stack.anyone().get(&path).await.status, 200);
        let redirect = fetch("bytes=0-").await;
        assert_eq!(redirect.status, 302, "{redirect}");
        // The presigned URL is the only access that remains after an unpublish.
        let lifetime =
            redirect.header("location").split(['?', '&']).find_map(|pair| pair.strip_prefix("X-Amz-Expires="));
        assert!(lifetime.unwrap().parse::<u32>().unwrap() <= 60, "{redirect}");

        bob.put(&format!("/files/{file}/unpublish")).await.document(200);
        stack.anyone().get(&path).await.fails(404, "Not found");
        fetch("bytes=0-").await.fails(404, "Not found");
    }
}

#[tokio::test]
async fn s04_a_private_answer_is_not_kept() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let path = format!("/files/{file}/data");
    let content = bob.get(&path).await;
    let known = bob.request("GET", &path).header("If-None-Match", content.header("etag")).send().await;
    let part = bob.request("GET", &path).header("Range", "bytes=0-").send().await;
    let from_s3 = stack.http.get(part.header("location")).send().await.unwrap();
    assert_eq!(from_s3.headers()["cache-control"], "private, no-store");
    assert_eq!((known.status, part.status), (304, 302));
    for answer in [
        content,
        known,
        part,
        bob.request("HEAD", &path).send().await,
        bob.get(&format!("/files/{file}")).await,
        bob.get("/files").await,
        bob.get("/users/me").await,
        bob.connect(&bob.email, e2e::PASSWORD).await,
        bob.put(&format!("/files/{file}/unpublish")).await,
        bob.create(json!({ "name": "a.bin", "type": "file", "size": 5 })).await,
        bob.post("/uploads/tickets", json!({})).await,
        // A 404 must not be cached, because the file may be published soon.
        stack.anyone().get(&path).await,
        stack.anyone().get("/users/me").await,
    ] {
        assert_eq!(answer.header("cache-control"), "private, no-store", "{answer}");
    }
}

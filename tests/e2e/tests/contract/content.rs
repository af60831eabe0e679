//! `GET /files/{id}/data` returns the bytes of a file.

use e2e::{Answer, Stack, encoded};
use serde_json::json;

/// Checks the security headers of the answer to a public file, or to one's own.
fn is_shut(answer: &Answer, caching: &str, shared_with: &str) {
    for (header, value) in [
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", caching),
        ("cross-origin-resource-policy", shared_with),
    ] {
        assert_eq!(answer.header(header), value, "{header}");
    }
}

#[tokio::test]
async fn bytes_come_back_exactly() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for (name, content_type, bytes) in [
        // Latin-1 is not UTF-8, and a gateway may take this type for text.
        ("notes.txt", "text/plain; charset=utf-8", &b"\x63\xe9\xff"[..]),
        ("data.json", "application/json", b"\x63\xe9\xff"),
        ("page.xml", "text/xml; charset=utf-8", b"\x63\xe9\xff"),
        ("all.txt", "text/plain; charset=utf-8", &all),
        ("all.bin", "application/octet-stream", &all),
        ("zero.html", "text/html; charset=utf-8", b"\0"),
        ("marked.csv", "text/csv; charset=utf-8", b"\xef\xbb\xbfa;b\r\n"),
    ] {
        let file = bob.upload(name, bytes).await;
        bob.get(&format!("/files/{file}/data")).await.is_content(content_type, bytes);
    }
}

#[tokio::test]
async fn the_content_type_comes_from_the_extension_of_the_name() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for (name, content_type) in [
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.pdf", "application/pdf"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("A.JPEG", "image/jpeg"),
        ("a.gif", "image/gif"),
        ("a.webp", "image/webp"),
        ("a.mp4", "video/mp4"),
        ("a.tar.gz", "application/gzip"),
        ("a", "application/octet-stream"),
        ("txt", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        (".txt", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ] {
        // Neither the declared type nor the content of the file matters.
        let image = json!({ "name": name, "type": "image", "data": encoded(b"<html>") });
        let image = bob.create(image).await.document(201)["id"].as_str().unwrap().to_owned();
        bob.get(&format!("/files/{image}/data")).await.is_content(content_type, b"<html>");
    }
}

#[tokio::test]
async fn s05_content_cannot_act_whatever_it_is() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let script = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    for name in ["a.html", "a.svg", "a.xhtml", "a.xml", "a.pdf", "a.js", "a.png", "a"] {
        let file = bob.upload(name, script).await;
        let path = format!("/files/{file}/data");
        is_shut(&bob.get(&path).await, "private, no-store", "same-origin");
        bob.publish(&file).await;
        for answer in [bob.get(&path).await, stack.anyone().get(&path).await] {
            is_shut(&answer, "public, max-age=60", "cross-origin");
        }
    }
}

#[tokio::test]
async fn private_content_is_for_its_owner_alone() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let file = bob.upload("notes.txt", b"hi").await;
    for path in
        [format!("/files/{file}/data"), format!("/files/{file}/data?size="), format!("/files/{file}/data?size=100")]
    {
        stack.anyone().get(&path).await.fails(404, "Not found");
        stack.anyone().with_token("no such token").get(&path).await.fails(404, "Not found");
        eve.get(&path).await.fails(404, "Not found");
    }
    bob.get(&format!("/files/{file}/data")).await.is_content("text/plain; charset=utf-8", b"hi");
    let bearer = stack.anyone().request("GET", &format!("/files/{file}/data"));
    let bearer = bearer.header("Authorization", &format!("Bearer {}", bob.token)).send().await;
    bearer.is_content("text/plain; charset=utf-8", b"hi");
}

#[tokio::test]
async fn public_content_is_for_all_whatever_their_token() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let file = bob.upload("notes.txt", b"hi").await;
    bob.publish(&file).await;
    let bad = stack.anyone().with_token("no such token");
    for reader in [&*bob, &*eve, &bad, &stack.anyone()] {
        reader.get(&format!("/files/{file}/data")).await.is_content("text/plain; charset=utf-8", b"hi");
    }
}

#[tokio::test]
async fn a_folder_has_no_content_and_says_so_to_whoever_may_see_it() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let folder = bob.folder("photos").await;
    for query in ["", "?size=", "?size=100", "?size=7"] {
        let path = format!("/files/{folder}/data{query}");
        bob.get(&path).await.fails(400, "A folder doesn't have content");
        eve.get(&path).await.fails(404, "Not found");
        stack.anyone().get(&path).await.fails(404, "Not found");
    }
    bob.publish(&folder).await;
    let path = format!("/files/{folder}/data");
    eve.get(&path).await.fails(400, "A folder doesn't have content");
    stack.anyone().get(&path).await.fails(400, "A folder doesn't have content");
}

#[tokio::test]
async fn bytes_that_are_not_there_are_not_found() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    stack.delete_object(stack.row(&file).await.key()).await;
    bob.get(&format!("/files/{file}/data")).await.fails(404, "Not found");
    bob.get(&format!("/files/{file}")).await.document(200);
    stack.remove(&file).await;
}

#[tokio::test]
async fn an_empty_size_is_the_original_and_an_unknown_width_is_not_found() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, image) = (bob.upload("a.txt", b"hi").await, bob.upload_image("a.png", b"hi").await);
    bob.get(&format!("/files/{file}/data?size=")).await.is_content("text/plain; charset=utf-8", b"hi");
    bob.get(&format!("/files/{image}/data?size=")).await.is_content("image/png", b"hi");
    for size in [
        "0",
        "1",
        "50",
        "99",
        "101",
        "251",
        "1000",
        "-100",
        "+100",
        "0100",
        "100.0",
        "100px",
        "1e2",
        "abc",
        "%20100",
        "100%00",
        "..%2f..%2f",
        "%ff",
        "%C2%B2",
        "null",
        "original",
    ] {
        bob.get(&format!("/files/{image}/data?size={size}")).await.fails(404, "Not found");
        bob.get(&format!("/files/{file}/data?size={size}")).await.fails(404, "Not found");
    }
    // Only images have thumbnails.
    for size in [500, 250, 100] {
        bob.get(&format!("/files/{file}/data?size={size}")).await.fails(404, "Not found");
    }
}

#[tokio::test]
async fn head_tells_all_but_the_bytes() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hello").await;
    let path = format!("/files/{file}/data");
    bob.publish(&file).await;
    let head = stack.anyone().request("HEAD", &path).send().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!((head.header("content-type"), head.header("content-length")), ("text/plain; charset=utf-8", "5"));
    is_shut(&head, "public, max-age=60", "cross-origin");

    bob.put(&format!("/files/{file}/unpublish")).await.document(200);
    let refused = stack.anyone().request("HEAD", &path).send().await;
    assert_eq!((refused.status, refused.body.len()), (404, 0));
}

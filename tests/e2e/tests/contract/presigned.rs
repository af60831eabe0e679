//! Presigned requests of clients to S3: each permits one operation for a short time.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::{Stack, User, eventually};
use serde_json::{Value, json};

/// A presigned request.
struct Signed {
    what: &'static str,
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The longest lifetime, in seconds.
    lifetime: u64,
}

impl Signed {
    fn new(what: &'static str, method: &'static str, answer: &Value, body: &[u8]) -> Self {
        let headers = answer["headers"].as_object().into_iter().flatten();
        let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        let url = answer["url"].as_str().unwrap_or_else(|| panic!("no URL for {what} in {answer}")).to_owned();
        Self { what, method, url, headers, body: body.to_vec(), lifetime: 15 * 60 }
    }

    async fn send(&self, stack: &Stack, method: &str, url: &str, headers: &[(String, String)], body: &[u8]) -> u16 {
        let mut request = stack.http.request(method.parse().unwrap(), url).header("Content-Length", body.len());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(body.to_vec()).send().await.unwrap().status().as_u16()
    }

    /// Asserts that S3 refuses every other request with this signature.
    async fn is_refused_otherwise(&self, stack: &Stack, other_key: &str) {
        let Self { what, method, url, headers, body, lifetime } = self;
        for other in ["GET", "HEAD", "PUT", "POST", "DELETE"].iter().filter(|other| *other != method) {
            let status = self.send(stack, other, url, headers, body).await;
            assert_eq!(status, 403, "{other} of what was signed to {method} {what}");
        }
        let key = key_in(stack, url);
        let changed = |name: &str, value: &str| with_parameter(url, name, value);
        for (how, other) in [
            ("another key", Some(url.replace(&key, other_key))),
            ("a key below it", Some(url.replace(&key, &format!("{key}/x")))),
            ("a longer life", changed("X-Amz-Expires", "604800")),
            ("another day", changed("X-Amz-Date", "20990101T000000Z")),
            ("another type", changed("response-content-type", "text/html")),
            ("shown in the browser", changed("response-content-disposition", "inline")),
            ("another part", changed("partNumber", "7")),
            ("another upload", changed("uploadId", "other")),
            ("an ACL", Some(format!("{url}&acl="))),
            ("a version", Some(format!("{url}&versionId=1"))),
            ("no signature", changed("X-Amz-Signature", &"0".repeat(64))),
        ] {
            let Some(other) = other.filter(|other| other != url) else { continue };
            let status = self.send(stack, method, &other, headers, body).await;
            assert_eq!(status, 403, "{what} with {how}: {other}");
        }
        for at in 0..headers.len() {
            let mut without = headers.clone();
            let (name, _) = without.remove(at);
            let status = self.send(stack, method, url, &without, body).await;
            assert_eq!(status, 403, "{what} without {name}");
            without.push((name.clone(), "text/html".to_owned()));
            let status = self.send(stack, method, url, &without, body).await;
            assert_eq!(status, 403, "{what} with another {name}");
        }
        if parameter(url, "X-Amz-SignedHeaders").unwrap().contains("content-length") {
            let status = self.send(stack, method, url, headers, &[&body[..], b"x"].concat()).await;
            assert_eq!(status, 403, "{what} with a byte more");
        }
        let seconds: u64 = parameter(url, "X-Amz-Expires").unwrap().parse().unwrap();
        assert!(seconds <= *lifetime, "{what} lives for {seconds} s");
    }
}

fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    url.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The URL with another value of a parameter; `None` if it has no such parameter.
fn with_parameter(url: &str, name: &str, value: &str) -> Option<String> {
    let old = parameter(url, name)?;
    Some(url.replacen(&format!("{name}={old}"), &format!("{name}={value}"), 1))
}

fn key_in(stack: &Stack, url: &str) -> String {
    let (_, path) = url.split('?').next().unwrap().split_once(&format!("{}/", stack.bucket)).unwrap();
    path.to_owned()
}

async fn key_of(stack: &Stack, id: &str) -> String {
    stack.row(id).await.key().to_owned()
}

async fn sign(user: &User, body: Value) -> Value {
    user.post("/uploads/sign", body).await.json()
}

#[tokio::test]
async fn s11_a_signed_url_does_one_thing() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, other) = (bob.upload("a.html", b"hello").await, bob.upload("b.txt", b"other").await);
    let part_of_file = bob.request("GET", &format!("/files/{file}/data")).header("Range", "bytes=0-").send().await;
    let download = json!({ "url": part_of_file.header("location") });
    let announce = async |size: u64| bob.create(json!({ "name": "a.txt", "type": "file", "size": size })).await.json();
    let (whole, in_parts) = (announce(5).await, announce(200 << 20).await);

    let ticket = bob.post("/uploads/tickets", json!({})).await.json()["ticket"].as_str().unwrap().to_owned();
    let companion = format!("/uploads/{ticket}/s3/multipart");
    let begun = stack.anyone().post(&companion, json!({ "filename": "a.txt" })).await.json();
    let text = |of: &Value, key: &str| of[key].as_str().unwrap().to_owned();
    let (upload, key) = (text(&begun, "uploadId"), text(&begun, "key"));
    let part = stack.anyone().get(&format!("{companion}/{upload}/1?key={key}")).await.json();

    // A signed request for a part needs the upload id of S3.
    let beginning = sign(&bob, json!({ "method": "POST", "key": "a.txt" })).await;
    let key = text(&beginning, "key");
    let created = stack.s3.create_multipart_upload().bucket(&stack.bucket).key(&key).send().await.unwrap();
    let upload = created.upload_id.unwrap();
    let of = |method: &str| json!({ "method": method, "key": key, "uploadId": upload });
    let mut numbered = of("PUT");
    numbered["partNumber"] = json!(1);

    let requests = [
        Signed { lifetime: 60, ..Signed::new("read a file", "GET", &download, b"") },
        Signed::new("put a file", "PUT", &whole["upload"], b"hello"),
        Signed::new("put a part", "PUT", &in_parts["upload"]["parts"][0], b""),
        Signed::new("put a part for a ticket", "PUT", &part, b"hello"),
        Signed::new("begin an upload", "POST", &beginning, b""),
        Signed::new("put a part for a page", "PUT", &sign(&bob, numbered).await, b"hello"),
        Signed::new("list parts", "GET", &sign(&bob, of("GET")).await, b""),
        Signed::new("end an upload", "POST", &sign(&bob, of("POST")).await, b"<CompleteMultipartUpload/>"),
        Signed::new("give up an upload", "DELETE", &sign(&bob, of("DELETE")).await, b""),
    ];
    let (file_key, other_key) = (key_of(&stack, &file).await, key_of(&stack, &other).await);
    for request in &requests {
        request.is_refused_otherwise(&stack, if request.what == "read a file" { &other_key } else { &file_key }).await;
    }
    // The refused requests stored nothing.
    let read = stack.http.get(&requests[0].url).send().await.unwrap();
    assert_eq!((read.status().as_u16(), &read.bytes().await.unwrap()[..]), (200, &b"hello"[..]));
    bob.get(&format!("/files/{other}/data")).await.is_content("text/plain; charset=utf-8", b"other");
    for id in [text(&whole, "id"), text(&in_parts, "id"), key.split('/').nth(1).unwrap().to_owned()] {
        assert_eq!(stack.objects(&format!("uploads/{id}/")).await, Vec::<String>::new());
    }
    // The presigned request itself succeeds.
    let put = &requests[1];
    assert_eq!(put.send(&stack, put.method, &put.url, &put.headers, &put.body).await, 200);
    // A signed abort cancels the upload, so the sweeper may have removed it already.
    let _ = stack.s3.abort_multipart_upload().bucket(&stack.bucket).key(&key).upload_id(&upload).send().await;
}

/// The product's URLs expire too late for a test. These are signed with the same key, and have just expired.
#[tokio::test]
async fn s11_a_signed_url_is_nothing_after_its_time() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let key = key_of(&stack, &bob.upload("a.txt", b"hello").await).await;
    let signed = |age: u64, lifetime: u64| {
        let config = PresigningConfig::builder().start_time(SystemTime::now() - Duration::from_secs(age));
        config.expires_in(Duration::from_secs(lifetime)).build().unwrap()
    };
    for (age, lifetime, get, put) in [(30, 60, 200, 200), (62, 60, 403, 403), (901, 900, 403, 403)] {
        let object = stack.s3.get_object().bucket(&stack.bucket).key(&key);
        let url = object.presigned(signed(age, lifetime)).await.unwrap();
        assert_eq!(stack.http.get(url.uri()).send().await.unwrap().status(), get, "read after {age} s of {lifetime}");
        let object = stack.s3.put_object().bucket(&stack.bucket).key(&key);
        let url = object.presigned(signed(age, lifetime)).await.unwrap();
        let sent = stack.http.put(url.uri()).body("hello").send().await.unwrap();
        assert_eq!(sent.status(), put, "put after {age} s of {lifetime}");
    }
}

#[tokio::test]
async fn s11_a_form_says_when_it_ends_and_is_held_to_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let form = sign(&bob, json!({ "method": "PUT", "key": "a.txt" })).await;
    let policy = STANDARD.decode(form["fields"]["policy"].as_str().unwrap()).unwrap();
    let mut policy: Value = serde_json::from_slice(&policy).unwrap();
    let end = mongodb::bson::DateTime::parse_rfc3339_str(policy["expiration"].as_str().unwrap()).unwrap();
    assert!(end.to_system_time() <= SystemTime::now() + Duration::from_mins(15), "{policy}");
    // Another expiration is another policy, which has no signature.
    policy["expiration"] = json!("2099-01-01T00:00:00Z");
    let mut posted = reqwest::multipart::Form::new();
    for (name, value) in form["fields"].as_object().unwrap() {
        let forged = STANDARD.encode(policy.to_string());
        posted = posted.text(name.clone(), if name == "policy" { forged } else { value.as_str().unwrap().to_owned() });
    }
    let posted = posted.part("file", reqwest::multipart::Part::bytes(&b"hello"[..]));
    let refused = stack.http.post(form["url"].as_str().unwrap()).multipart(posted).send().await.unwrap();
    assert_eq!(refused.status(), 403);
}

/// The multipart uploads under a key.
async fn begun(stack: &Stack, key: &str) -> Vec<String> {
    let listed = stack.s3.list_multipart_uploads().bucket(&stack.bucket).prefix(key).send().await.unwrap();
    listed.uploads.unwrap_or_default().into_iter().filter_map(|upload| upload.upload_id).collect()
}

/// Sends a presigned request, and returns the body of S3's answer.
async fn sent(stack: &Stack, method: &str, signed: &Value, body: &str) -> String {
    let mut request = stack.http.request(method.parse().unwrap(), signed["url"].as_str().unwrap());
    for (name, value) in signed["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    let answer = request.body(body.to_owned()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

fn element(xml: &str, name: &str) -> String {
    xml.split(['<', '>']).skip_while(|tag| *tag != name).nth(1).unwrap().to_owned()
}

/// A client repeats `CreateMultipartUpload` if the answer was lost.
#[tokio::test]
async fn a_second_multipart_upload_of_a_key_does_not_outlive_the_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let beginning = sign(&bob, json!({ "method": "POST", "key": "a.bin" })).await;
    let key = beginning["key"].as_str().unwrap().to_owned();
    let id = key.split('/').nth(1).unwrap().to_owned();
    let begin = async || {
        let upload = element(&sent(&stack, "POST", &beginning, "").await, "UploadId");
        let part = json!({ "method": "PUT", "key": key, "uploadId": upload, "partNumber": 1 });
        sent(&stack, "PUT", &sign(&bob, part).await, "hello").await;
        upload
    };
    let (lost, answered) = (begin().await, begin().await);
    assert_ne!(lost, answered);
    let of = |method: &str| json!({ "method": method, "key": key, "uploadId": answered });
    let tag = element(&sent(&stack, "GET", &sign(&bob, of("GET")).await, "").await, "ETag");
    let parts = format!("<Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>");
    let parts = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    sent(&stack, "POST", &sign(&bob, of("POST")).await, &parts).await;
    let soon = Duration::from_secs(10);
    eventually("the file alone", soon, async || {
        let is_visible = bob.get(&format!("/files/{id}")).await.status == 200;
        (is_visible && begun(&stack, &key).await.is_empty()).then_some(())
    })
    .await;

    // The presigned request is valid for some more time.
    let late = element(&sent(&stack, "POST", &beginning, "").await, "UploadId");
    assert_eq!(begun(&stack, &key).await, [late]);
    assert_eq!(bob.request("DELETE", &format!("/files/{id}")).send().await.status, 204);
    eventually("nothing is left", soon, async || {
        stack.invoke("sweeper", &json!({})).await;
        stack.find_row(&id).await.is_none().then_some(())
    })
    .await;
    assert_eq!(begun(&stack, &key).await, [""; 0]);
    assert_eq!(stack.objects(&format!("uploads/{id}/")).await, [""; 0]);
}

/// The same if the client completes the file.
#[tokio::test]
async fn completing_a_file_ends_all_other_uploads_of_its_key() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let created = bob.create(json!({ "name": "a.bin", "type": "file", "size": (100 << 20) + 1 })).await.json();
    let id = created["id"].as_str().unwrap().to_owned();
    let key = key_of(&stack, &id).await;
    // The state after an attempt that died before it recorded the id of its upload.
    stack.s3.create_multipart_upload().bucket(&stack.bucket).key(&key).send().await.unwrap();
    assert_eq!(begun(&stack, &key).await.len(), 2);
    for part in created["upload"]["parts"].as_array().unwrap() {
        let bytes = vec![7; usize::try_from(part["size"].as_u64().unwrap()).unwrap()];
        assert_eq!(stack.http.put(part["url"].as_str().unwrap()).body(bytes).send().await.unwrap().status(), 200);
    }
    bob.request("POST", &format!("/files/{id}/complete")).send().await.document(200);
    eventually("the file alone", Duration::from_secs(10), async || begun(&stack, &key).await.is_empty().then_some(()))
        .await;
    assert_eq!(bob.request("DELETE", &format!("/files/{id}")).send().await.status, 204);
}

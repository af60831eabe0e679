//! CORS: the preflight requests of browsers for pages of other origins, and the headers that let a page read an answer.

use e2e::Stack;
use serde_json::json;

const ORIGIN: &str = "https://app.example.com";

/// The items of a list header, in lower case.
fn listed(value: &str) -> Vec<String> {
    value.split(',').map(|word| word.trim().to_ascii_lowercase()).collect()
}

#[tokio::test]
async fn a_page_may_send_what_the_api_reads() {
    let stack = Stack::running().await;
    for (method, path, header) in [
        ("POST", "/users", "content-type"),
        ("GET", "/connect", "authorization"),
        ("GET", "/files", "x-token"),
        ("PUT", "/files/5f1e7d35c7ba06511e683b21/publish", "x-token"),
        ("PATCH", "/files/5f1e7d35c7ba06511e683b21", "content-type"),
        ("GET", "/search", "x-token"),
        ("POST", "/uploads/x/s3/multipart", "content-type"),
        ("DELETE", "/uploads/x/s3/multipart/y", "x-token"),
        ("GET", "/files/5f1e7d35c7ba06511e683b21/data", "range"),
        ("GET", "/files/5f1e7d35c7ba06511e683b21/data", "if-none-match"),
        ("GET", "/files/5f1e7d35c7ba06511e683b21/data", "if-match"),
        ("GET", "/files/5f1e7d35c7ba06511e683b21/data", "if-unmodified-since"),
        ("GET", "/files/5f1e7d35c7ba06511e683b21/data", "if-range"),
    ] {
        let preflight = stack.anyone().request("OPTIONS", path).header("Origin", ORIGIN);
        let preflight = preflight.header("Access-Control-Request-Method", method);
        let answer = preflight.header("Access-Control-Request-Headers", header).send().await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer}");
        assert!(["*", ORIGIN].contains(&answer.header("access-control-allow-origin")), "{answer}");
        assert!(
            listed(answer.header("access-control-allow-methods")).contains(&method.to_ascii_lowercase()),
            "{answer}"
        );
        assert!(listed(answer.header("access-control-allow-headers")).contains(&header.to_owned()), "{answer}");
    }
}

/// AWS passes a preflight to the function if the route takes any method. The emulator answers it itself.
#[tokio::test]
async fn a_function_answers_a_preflight_that_the_gateway_hands_it() {
    let stack = Stack::running().await;
    for (function, path) in [
        ("status", "/status"),
        ("users", "/users/me"),
        ("auth", "/connect"),
        ("files", "/files"),
        ("content", "/files/x/data"),
        ("web", "/web/session"),
        ("links", "/links"),
        ("links", "/shared/x/files"),
        ("uploads", "/uploads/sign"),
        ("uploads", "/uploads/x/s3/multipart/y"),
    ] {
        let preflight = json!({ "origin": ORIGIN, "access-control-request-method": "GET" });
        assert_eq!(stack.invoke_http(function, "OPTIONS", path, preflight).await["statusCode"], 204, "of {function}");
        // Any other OPTIONS request is an unsupported method.
        assert_eq!(stack.invoke_http(function, "OPTIONS", path, json!({})).await["statusCode"], 405, "of {function}");
    }
}

#[tokio::test]
async fn a_page_may_read_every_answer() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a.txt", b"hi").await;
    let path = format!("/files/{file}/data");
    for (answer, status) in [
        (bob.request("GET", &path).header("Origin", ORIGIN).send().await, 200),
        (bob.request("GET", &path).header("Origin", ORIGIN).header("Range", "bytes=0-0").send().await, 302),
        (stack.anyone().request("GET", &path).header("Origin", ORIGIN).send().await, 404),
        (stack.anyone().request("GET", "/users/me").header("Origin", ORIGIN).send().await, 401),
    ] {
        assert_eq!(answer.status, status);
        assert!(["*", ORIGIN].contains(&answer.header("access-control-allow-origin")), "{answer}");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "tokens are no cookies");
        let readable = listed(answer.header("access-control-expose-headers"));
        for header in ["etag", "link", "location", "retry-after", "x-incomplete", "x-request-id"] {
            assert!(readable.contains(&header.to_owned()), "{header} of {answer}");
        }
    }
}

#[tokio::test]
async fn a_page_may_follow_a_download_to_s3() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a.txt", b"0123456789").await;
    let redirect = bob.request("GET", &format!("/files/{file}/data")).header("Range", "bytes=2-4").send().await;
    // After a redirect to another origin a browser sends `Origin: null`.
    let request = stack.http.get(redirect.header("location")).header("Origin", "null").header("Range", "bytes=2-4");
    let part = request.send().await.unwrap();
    assert_eq!(part.headers()["access-control-allow-origin"], "*");
    let readable = listed(part.headers()["access-control-expose-headers"].to_str().unwrap());
    assert!(readable.contains(&"etag".to_owned()) && readable.contains(&"content-range".to_owned()), "{readable:?}");
    assert_eq!(part.text().await.unwrap(), "234");
}

#[tokio::test]
async fn a_page_may_bring_its_bytes_to_s3() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let begun = bob.create(json!({ "name": "a.txt", "type": "file", "size": 5 })).await.json();
    let url = begun["upload"]["url"].as_str().unwrap();
    for method in ["PUT", "POST", "DELETE"] {
        let preflight = stack.http.request(reqwest::Method::OPTIONS, url).header("Origin", ORIGIN);
        let preflight = preflight.header("Access-Control-Request-Method", method);
        let asked = preflight.header("Access-Control-Request-Headers", "content-type,if-none-match");
        let answer = asked.send().await.unwrap();
        assert!(answer.status().is_success(), "{method}: {answer:?}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        assert!(["*", ORIGIN].contains(&header("access-control-allow-origin")));
        assert!(listed(header("access-control-allow-methods")).contains(&method.to_ascii_lowercase()));
    }
    let put = stack.http.put(url).header("Content-Type", "text/plain; charset=utf-8").header("If-None-Match", "*");
    let answer = put.header("Origin", ORIGIN).body("hello").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let readable = listed(answer.headers()["access-control-expose-headers"].to_str().unwrap());
    assert!(readable.contains(&"etag".to_owned()) && readable.contains(&"location".to_owned()), "{readable:?}");
}

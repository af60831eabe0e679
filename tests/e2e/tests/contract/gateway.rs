//! The limits of API Gateway and Lambda, before and after a function. The gateway proxy of the local stack enforces
//! them, so that no test expects an answer of a function for a request that never reaches it on AWS.

use e2e::{Answer, Stack, User, encoded, unique};
use serde_json::{Value, json};

/// Asserts API Gateway's body, which differs from that of our errors.
#[track_caller]
fn is_refused(answer: &Answer, status: u16, message: &str) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, body), (status, json!({ "message": message })), "of {answer}");
}

/// The body of a creation with this length in bytes.
fn of_length(length: usize) -> String {
    let body = json!({ "name": "a", "type": "folder" }).to_string();
    format!("{body}{}", " ".repeat(length - body.len()))
}

async fn post(bob: &User, content_type: &str, body: String) -> Answer {
    bob.request("POST", "/files").body(content_type, body).send().await
}

#[tokio::test]
async fn a_body_that_makes_no_event_of_lambda_is_refused_by_the_gateway() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    assert_eq!(post(&bob, "application/json", of_length(6_280_000)).await.status, 201);
    let refused = post(&bob, "application/json", of_length(6_292_000)).await;
    is_refused(&refused, 413, "Request Entity Too Large");
    // Each of these characters takes two bytes in an event.
    let quotes = json!({ "name": "a", "type": "folder", "x": "'".repeat(3_100_000) }).to_string().replace('\'', "\\\"");
    assert!(quotes.len() > 6_200_000);
    is_refused(&post(&bob, "application/json", quotes).await, 413, "Request Entity Too Large");
    // A binary body is a third longer in an event. The function refuses its type.
    assert_eq!(post(&bob, "application/octet-stream", of_length(4_700_000)).await.status, 400);
    let refused = post(&bob, "application/octet-stream", of_length(4_720_000)).await;
    is_refused(&refused, 413, "Request Entity Too Large");
}

#[tokio::test]
async fn a_body_of_more_than_ten_megabytes_is_refused_by_the_gateway() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let data = encoded(&vec![0; 8 << 20]);
    let file = json!({ "name": "a", "type": "file", "data": data }).to_string();
    assert!(file.len() > 10 << 20);
    is_refused(&post(&bob, "application/json", file).await, 413, "Request Entity Too Large");
    bob.get("/files").await.is(200, json!([]));
}

#[tokio::test]
async fn headers_of_more_than_ten_kilobytes_are_refused_by_the_gateway() {
    let stack = Stack::running().await;
    let get = |length: usize| stack.anyone().request("GET", "/status").header("X-Long", &"x".repeat(length)).send();
    assert_eq!(get(10_000).await.status, 200);
    is_refused(&get(10_240).await, 431, "Request Header Fields Too Large");
    let query = format!("/status?{}", unique("x").repeat(400));
    is_refused(&stack.anyone().get(&query).await, 431, "Request Header Fields Too Large");
}

#[tokio::test]
async fn an_answer_without_a_body_has_no_type() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let answer = bob.get("/disconnect").await;
    assert_eq!((answer.status, answer.headers.get("content-type")), (204, None), "of {answer}");
}

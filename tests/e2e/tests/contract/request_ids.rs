//! The request id of an answer, which its log line has too.

use std::time::{Duration, SystemTime};

use e2e::{Stack, eventually};
use serde_json::{Value, json};

#[tokio::test]
async fn s24_every_answer_has_the_id_of_its_line_in_the_log() {
    let stack = Stack::running().await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let (bob, anyone) = (stack.user("bob").await, stack.anyone());
    let file = bob.upload("notes.txt", b"hi").await;
    let content = format!("/files/{file}/data");
    let etag = bob.get(&content).await.header("etag").to_owned();
    let mut answers = Vec::new();
    for (request, status) in [
        (anyone.request("GET", "/status"), 200),
        (bob.request("POST", "/files").json(json!({ "name": "a", "type": "folder" })), 201),
        (bob.request("GET", "/disconnect"), 204),
        (bob.request("GET", &content).header("Range", "bytes=0-0"), 404),
        (anyone.request("POST", "/users").body("application/json", "{"), 400),
        (anyone.request("POST", "/users").body("application/json", " ".repeat(100_000)), 413),
        (anyone.request("GET", "/unknown"), 404),
        (anyone.request("GET", &content), 404),
        (anyone.request("PATCH", "/files"), 405),
    ] {
        let answer = request.send().await;
        assert_eq!(answer.status, status, "{answer}");
        answers.push((answer.header("x-request-id").to_owned(), status));
    }
    let bob = anyone.with_token(anyone.connect(&bob.email, e2e::PASSWORD).await.json()["token"].as_str().unwrap());
    for (header, value, status) in [("If-None-Match", etag.as_str(), 304), ("Range", "bytes=0-0", 302)] {
        let answer = bob.request("GET", &content).header(header, value).send().await;
        assert_eq!(answer.status, status, "{answer}");
        answers.push((answer.header("x-request-id").to_owned(), status));
    }
    // A preflight as AWS passes it to the function. The emulator answers it itself.
    let preflight = json!({ "origin": "https://app.example.com", "access-control-request-method": "GET" });
    let answer = stack.invoke_http("status", "OPTIONS", "/status", preflight).await;
    answers.push((answer["headers"]["x-request-id"].as_str().unwrap_or_default().to_owned(), 204));

    let lines = eventually("a line for each answer", Duration::from_secs(20), async || {
        let mut lines = stack.log_lines(since).await;
        // The lines of the platform are no JSON.
        lines.retain(|line| line.starts_with('{'));
        let all = answers.iter().all(|(id, _)| !id.is_empty() && lines.iter().any(|line| line.contains(id)));
        all.then_some(lines)
    })
    .await;
    for (id, status) in answers {
        let line = lines.iter().find(|line| line.contains(&id)).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["request_id"], &line["status"]), (&json!(id), &json!(status)), "{line}");
    }
}

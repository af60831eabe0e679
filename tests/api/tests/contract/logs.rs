//! What the functions log, and what they never do.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use api::{Stack, encoded, eventually, unique};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn s24_every_request_is_one_line_of_json() {
    let stack = Stack::running().await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    bob.get("/users/me").await;
    bob.get("/files?page=0").await;
    bob.get(&format!("/files/{file}")).await;
    bob.get("/files/malformed").await;
    bob.put(&format!("/files/{file}/publish")).await;
    bob.put(&format!("/files/{file}/unpublish")).await;
    bob.get(&format!("/files/{file}/data")).await;
    bob.create(json!({})).await;
    bob.get("/users/me/sessions").await;
    bob.request("DELETE", "/users/me/sessions/malformed").send().await;
    bob.request("PUT", "/users/me/password").json(json!({ "password": "wrong", "newPassword": "x" })).send().await;
    bob.get("/disconnect").await;
    let expected = [
        ("POST", "/files", 201),
        ("GET", "/users/me", 200),
        ("GET", "/files", 200),
        ("GET", "/files/{id}", 200),
        ("GET", "/files/{id}", 404),
        ("PUT", "/files/{id}/publish", 200),
        ("PUT", "/files/{id}/unpublish", 200),
        ("GET", "/files/{id}/data", 200),
        ("POST", "/files", 400),
        ("GET", "/users/me/sessions", 200),
        ("DELETE", "/users/me/sessions/{id}", 404),
        ("PUT", "/users/me/password", 401),
        ("GET", "/disconnect", 204),
    ];

    let lines = eventually("a line for each request", WITHIN, async || {
        let lines = stack.log_lines(since).await;
        let of_bob: Vec<String> = lines.into_iter().filter(|line| line.contains(&bob.id)).collect();
        (of_bob.len() >= expected.len()).then_some(of_bob)
    })
    .await;
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut logged: Vec<_> = lines
        .iter()
        .map(|line| {
            (line["method"].as_str().unwrap(), line["route"].as_str().unwrap(), line["status"].as_u64().unwrap())
        })
        .collect();
    let mut expected = expected.to_vec();
    logged.sort_unstable();
    expected.sort_unstable();
    assert_eq!(logged, expected);

    let ids: HashSet<&str> = lines.iter().map(|line| line["request_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), lines.len(), "every request has an id of its own");
    for line in &lines {
        assert_eq!(line["user"], bob.id);
        let duration = line["duration_ms"].as_f64().unwrap();
        assert!(duration > 0.0 && duration < 60_000.0, "{line}");
    }
}

#[tokio::test]
async fn s17_s24_no_line_has_a_password_a_token_an_email_or_a_name_in_it() {
    let stack = Stack::running().await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let (bob, password, name) = (stack.user("sentinel").await, unique("password"), unique("name"));
    let email = format!("{}@example.org", unique("sentinel"));
    let (token, wrong_token) = (bob.another_token().await, unique("token"));

    let anyone = stack.anyone();
    assert_eq!(anyone.sign_up(&email, &password).await.status, 201);
    anyone.sign_up(&email, &password).await.fails(400, "Already exist");
    assert_eq!(anyone.connect(&email, &password).await.status, 200);
    anyone.connect(&email, &format!("{password} not")).await.fails(401, "Unauthorized");
    anyone.connect(&format!("not {email}"), &password).await.fails(401, "Unauthorized");
    let malformed = format!(r#"{{"email":"{email}","password":"{password}""#);
    anyone.request("POST", "/users").body("application/json", malformed).send().await.fails(400, "Invalid JSON");
    let file = bob.upload(&name, name.as_bytes()).await;
    let image = bob.upload_image(&name, name.as_bytes()).await;
    for path in [format!("/files/{name}"), format!("/files/{file}/data?size={name}"), format!("/files?parentId={name}")]
    {
        bob.get(&path).await;
        anyone.with_token(&wrong_token).get(&path).await;
    }
    anyone.get(&format!("/{name}?token={token}")).await.fails(404, "Not found");
    let body = json!({ "password": &password, "newPassword": &password });
    bob.request("PUT", "/users/me/password").json(&body).send().await.fails(401, "Unauthorized");
    bob.request("DELETE", "/users/me").json(&body).send().await.fails(401, "Unauthorized");
    let session = bob.get("/users/me/sessions").await.json()[1]["id"].as_str().unwrap().to_owned();
    bob.request("DELETE", &format!("/users/me/sessions/{name}")).send().await.fails(404, "Not found");
    anyone.with_token(&token).get("/disconnect").await;

    let lines = eventually("all lines, those of the worker too", WITHIN, async || {
        let lines = stack.log_lines(since).await;
        let unknown = lines.iter().any(|line| line.contains("\"status\":404") && !line.contains("\"route\""));
        let disconnected = lines.iter().any(|line| line.contains(&bob.id) && line.contains("/disconnect"));
        let state = bob.get(&format!("/files/{image}")).await.document(200)["thumbnails"].clone();
        (unknown && disconnected && state == "failed").then_some(lines)
    })
    .await;
    let credentials = encoded(format!("{email}:{password}").as_bytes());
    let secrets =
        [&password, &name, &email, &bob.email, &token, &bob.token, &wrong_token, &session, &credentials, "toto1234!"];
    for line in &lines {
        for secret in secrets {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
}

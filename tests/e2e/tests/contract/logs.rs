//! The log lines of the functions, and the data that they must never have.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use e2e::{Stack, encoded, eventually, unique};
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
    bob.create(json!({ "name": "big.bin", "type": "file", "size": 200 << 20 })).await;
    let ticket = bob.post("/uploads/tickets", json!({})).await.json();
    bob.request("DELETE", &format!("/uploads/tickets/{}", ticket["ticket"].as_str().unwrap())).send().await;
    bob.request("DELETE", &format!("/files/{file}")).send().await;
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
        ("POST", "/files", 201),
        ("POST", "/uploads/tickets", 201),
        ("DELETE", "/uploads/tickets/{ticket}", 204),
        ("DELETE", "/files/{id}", 204),
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
    for secret in secrets {
        is_in_none(secret, &lines);
    }
}

#[tokio::test]
async fn s24_no_line_has_a_ticket_or_a_signature_in_it() {
    let stack = Stack::running().await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let (bob, anyone, name) = (stack.user("bob").await, stack.anyone(), unique("name"));
    let issued = bob.post("/uploads/tickets", json!({ "types": ["image/*"] })).await.json();
    let ticket = issued["ticket"].as_str().unwrap().to_owned();
    let other = bob.post("/uploads/tickets", json!({})).await.json()["ticket"].as_str().unwrap().to_owned();
    let (forged, companion) = (format!("{ticket}x"), format!("/uploads/{ticket}/s3"));
    let mut secrets = vec![ticket.clone(), other.clone(), forged.clone(), name.clone()];

    // A form, a multipart upload, and refused requests: a name of another type, an unknown ticket.
    let form = anyone.get(&format!("{companion}/params?filename={name}.png&type=image%2Fpng")).await.json();
    let fields = form["fields"].as_object().unwrap();
    secrets.extend(["policy", "x-amz-signature"].iter().map(|name| {
        let (_, value) = fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).unwrap();
        value.as_str().unwrap().to_owned()
    }));
    anyone
        .get(&format!("{companion}/params?filename={name}.html"))
        .await
        .fails_with_message(400, "Files of this type are not allowed here");
    let wanted = json!({ "filename": format!("{name}.png"), "type": "image/png" });
    let begun = anyone.post(&format!("{companion}/multipart"), &wanted).await.json();
    let (upload, key) = (begun["uploadId"].as_str().unwrap(), begun["key"].as_str().unwrap().replace('/', "%2F"));
    let parts = format!("{companion}/multipart/{upload}");
    let part = anyone.get(&format!("{parts}/1?key={key}")).await.json();
    let batch = anyone.get(&format!("{parts}/batch?key={key}&partNumbers=1,2")).await.json();
    let urls = [&part["url"], &batch["presignedUrls"]["2"]].map(|url| url.as_str().unwrap().to_owned());
    secrets.extend(urls.iter().map(|url| signature_in(url)));
    secrets.push(upload.to_owned());
    anyone.post(&format!("{parts}/complete?key={key}"), json!({ "parts": [] })).await;
    anyone.get(&format!("/uploads/{forged}/s3/params?filename={name}.png")).await;
    anyone.request("DELETE", &format!("{parts}?key={key}")).send().await;

    // With a session: a signed request for S3, and a second one with a key of the client's that the ledger refuses for
    // another file.
    let again = unique("again");
    let mut file = json!({ "name": name, "type": "file", "size": 5 });
    for _ in 0..2 {
        let created = bob.request("POST", "/files").header("Idempotency-Key", &again).json(&file).send().await;
        secrets.push(signature_in(created.json()["upload"]["url"].as_str().unwrap()));
    }
    file["size"] = json!(6);
    let refused = bob.request("POST", "/files").header("Idempotency-Key", &again).json(&file).send().await;
    assert_eq!(refused.status, 422, "{refused}");
    secrets.push(again);
    let signed = bob.post("/uploads/sign", json!({ "method": "POST", "key": name, "name": name })).await.json();
    secrets.push(signature_in(signed["url"].as_str().unwrap()));

    // The file is downloaded again.
    let id = bob.upload(&name, b"hello").await;
    let redirect = bob.request("GET", &format!("/files/{id}/data")).header("Range", "bytes=1-2").send().await;
    assert_eq!(redirect.status, 302, "{redirect}");
    secrets.push(signature_in(redirect.header("location")));

    for ticket in [&forged, &other, &ticket] {
        bob.request("DELETE", &format!("/uploads/tickets/{ticket}")).send().await;
    }
    bob.get("/disconnect").await;
    let lines = eventually("the lines of the last requests", WITHIN, async || {
        let lines = stack.log_lines(since).await;
        let of_bob = |route: &str| lines.iter().filter(|line| line.contains(&bob.id) && line.contains(route)).count();
        let all = of_bob("/disconnect") == 1 && of_bob("/uploads/tickets/{ticket}") == 3 && of_bob("/data") == 1;
        all.then_some(lines)
    })
    .await;
    for secret in &secrets {
        is_in_none(secret, &lines);
    }
}

#[tokio::test]
async fn s24_no_input_breaks_a_log_line() {
    let stack = Stack::running().await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let (bob, word) = (stack.user("bob").await, unique("forged"));
    let file = bob.upload("notes.txt", b"hi").await;
    let before = lines_of(&stack, &bob.id, since).await.len();
    let line = format!(r#"{{"message":"{word}"}}"#);
    let in_url = format!("%0D%0A%7B%22message%22%3A%22{word}%22%7D%E2%80%A8");
    let typed = [
        format!("x\n{line}\n"),
        format!("x\r{line}\r"),
        format!("\u{2028}{line}\u{2029}\u{85}"),
        format!(r#"","message":"{word}"#),
        format!("\u{1b}[2K{line}"),
    ];
    let mut requests = 0;
    for text in &typed {
        for (path, body) in [
            ("/files", json!({ "name": text, "type": "folder" })),
            ("/files", json!({ "name": "a", "type": text, "data": text })),
            ("/files", json!({ "name": "a", "type": "folder", "parentId": text })),
            ("/uploads/tickets", json!({ "types": [text], "parentId": text })),
            ("/uploads/sign", json!({ "method": text, "key": text })),
        ] {
            let answer = bob.post(path, body).await;
            assert!(answer.status < 500, "{answer}");
            requests += 1;
        }
    }
    for path in [
        format!("/files/{in_url}"),
        format!("/files?parentId={in_url}&page={in_url}"),
        format!("/files/{file}/data?size={in_url}"),
        format!("/files/{file}/parts?{in_url}"),
    ] {
        let request = bob.request("GET", &path).header("User-Agent", &line).header("X-Forwarded-For", &line);
        let answer = request.header("Range", &line).header("If-None-Match", &line).send().await;
        assert!(answer.status < 500, "{answer}");
        requests += 1;
    }
    let request = bob.request("POST", "/files").header("Idempotency-Key", &line);
    let answer = request.body("application/json", format!("{{\n{line}\n")).send().await;
    assert!(answer.status < 500, "{answer}");
    requests += 1;

    let lines = eventually("a line for each request", WITHIN, async || {
        let lines = lines_of(&stack, &bob.id, since).await;
        (lines.len() >= before + requests).then_some(lines)
    })
    .await;
    assert_eq!(lines.len(), before + requests);
    for line in &lines {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        assert_eq!((&line["message"], &line["user"]), (&json!("request"), &json!(bob.id)), "{line}");
    }
    is_in_none(&word, &stack.log_lines(since).await);
}

/// CloudWatch reads metrics in the embedded metric format, and silently ignores lines that do not follow its
/// specification.
#[tokio::test]
async fn lines_carry_metrics_that_cloudwatch_can_read() {
    let stack = Stack::running().await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let bob = stack.user("bob").await;
    let deleted = bob.upload("notes.txt", b"hi").await;
    let image = bob.upload_image("photo.jpg", &e2e::fixtures::jpeg(600, 400)).await;
    e2e::thumbnails::thumbnail(&bob, &image, 100).await;
    bob.request("DELETE", &format!("/files/{deleted}")).send().await;
    bob.request("BREW", "/files").send().await;
    let swept = stack.invoke("sweeper", &json!({})).await;
    let of = |line: &Value, names: &[&str]| {
        line["_aws"]["CloudWatchMetrics"].as_array().unwrap().iter().any(|directive| {
            let metrics = directive["Metrics"].as_array().unwrap();
            names.iter().all(|name| metrics.iter().any(|metric| metric["Name"] == *name))
        })
    };
    let measured_with = async |what: &str, is_there: &dyn Fn(&Value) -> bool| {
        eventually(what, WITHIN, async || {
            let lines = stack.log_lines(since).await;
            let lines = lines.iter().filter_map(|line| serde_json::from_str(line).ok());
            let measured: Vec<Value> = lines.filter(|line: &Value| line["_aws"].is_object()).collect();
            measured.iter().any(is_there).then_some(measured)
        })
        .await
    };
    if swept["expired"] != 0 {
        measured_with("the line of a sweep", &|line| of(line, &["expired", "overdue"])).await;
    }
    measured_with("the line of a request", &|line| line["route"] == "/files" && of(line, &["duration_ms"])).await;
    let is_job = |line: &Value| line["outcome"] == "ready" && line["format"] == "jpeg";
    for line in &measured_with("the line of a job", &is_job).await {
        assert!(line["_aws"]["Timestamp"].is_u64(), "{line}");
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], "files-manager", "{line}");
            let dimensions = directive["Dimensions"][0].as_array().unwrap();
            assert!(dimensions.iter().all(|name| line[name.as_str().unwrap()].is_string()), "{line}");
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{line}");
            }
        }
        assert_ne!(line["method"], "BREW", "a client makes metrics of its own: {line}");
    }
}

async fn lines_of(stack: &Stack, user: &str, since: SystemTime) -> Vec<String> {
    stack.log_lines(since).await.into_iter().filter(|line| line.contains(user)).collect()
}

fn signature_in(url: &str) -> String {
    let (_, signature) = url.split_once("X-Amz-Signature=").unwrap_or_else(|| panic!("{url} is not signed"));
    signature.split('&').next().unwrap().to_owned()
}

#[track_caller]
fn is_in_none(secret: &str, lines: &[String]) {
    for line in lines {
        assert!(!line.contains(secret), "{secret} in {line}");
    }
}

//! Malformed input: values of wrong types, far too large ones, and one byte too many.

use std::time::Duration;

use e2e::{
    Answer, Client, Stack, User, encoded,
    faults::{peak, processes},
    ledger::all_of,
    unique,
    worker::run_worker,
};
use mongodb::bson::oid::ObjectId;
use serde_json::{Value, json};

async fn ticket(user: &User) -> String {
    user.post("/uploads/tickets", json!({})).await.json()["ticket"].as_str().unwrap().to_owned()
}

/// The body with this field changed. A name such as `metadata.name` is a field of a nested object.
fn with(body: &Value, field: &str, value: &Value) -> Value {
    let mut body = body.clone();
    match field.split_once('.') {
        Some((outer, inner)) => body[outer][inner] = value.clone(),
        None => body[field] = value.clone(),
    }
    body
}

#[tokio::test]
async fn s10_no_field_of_a_body_takes_an_operator() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let companion = format!("/uploads/{}/s3/multipart", ticket(&bob).await);
    // An operator would find this folder.
    bob.folder("photos").await;
    eve.folder("photos").await;
    let folder = json!({ "name": "a", "type": "folder" });
    let file = json!({ "name": "a", "type": "file" });
    for value in [
        json!({ "$ne": null }),
        json!({ "$in": [bob.id, bob.email] }),
        json!({}),
        json!([]),
        json!(["a"]),
        json!(7),
        json!(true),
    ] {
        for (path, body, field, error) in [
            ("/users", json!({ "password": "x" }), "email", "Missing email"),
            ("/users", json!({ "email": unique("bob") }), "password", "Missing password"),
            ("/files", folder.clone(), "name", "Missing name"),
            ("/files", folder.clone(), "type", "Missing type"),
            ("/files", file.clone(), "data", "Missing data"),
            ("/files", folder.clone(), "parentId", "Parent not found"),
            ("/uploads/tickets", json!({}), "parentId", "Parent not found"),
            ("/uploads/sign", json!({ "key": "a" }), "method", "Missing method"),
            ("/uploads/sign", json!({ "method": "PUT" }), "key", "Missing key"),
            ("/uploads/sign", json!({ "method": "GET", "key": "a" }), "uploadId", "Missing uploadId"),
            ("/uploads/sign", json!({ "method": "PUT", "key": "a" }), "parentId", "Parent not found"),
        ] {
            bob.post(path, with(&body, field, &value)).await.fails(400, error);
        }
        for (path, body, field, error) in [
            (&companion, json!({}), "filename", "Missing name"),
            (&companion, json!({ "filename": "a" }), "metadata.parentId", "Parent not found"),
            (&companion, json!({}), "metadata.name", "Missing name"),
        ] {
            stack.anyone().post(path, with(&body, field, &value)).await.fails_with_message(400, error);
        }
        // A number has the right type here. Other tests send wrong numbers.
        if !value.is_number() {
            bob.create(with(&file, "size", &value)).await.fails(400, "Invalid size");
            for field in ["maxBytes", "maxFiles"] {
                let error = format!("Invalid {field}");
                bob.post("/uploads/tickets", with(&json!({}), field, &value)).await.fails(400, &error);
            }
        }
        let public = bob.create(with(&folder, "isPublic", &value)).await.document(201)["isPublic"].clone();
        assert_eq!(public, value == json!(true));
        let job = json!({ "userId": bob.id, "fileId": value });
        assert_eq!(run_worker(&stack, &[job.to_string()]).await.0, json!([]));
        let text = value.to_string();
        stack.anyone().connect(&text, &text).await.fails(401, "Unauthorized");
        stack.anyone().connect(&bob.email, &text).await.fails(401, "Unauthorized");
        stack.anyone().with_token(&text).get("/users/me").await.fails(401, "Unauthorized");
        bob.create(json!({ "name": "a", "type": "folder", "parentId": text })).await.fails(400, "Parent not found");
    }
    for types in [json!({ "$ne": null }), json!("image/png"), json!([{ "$ne": null }]), json!([7]), json!(7)] {
        bob.post("/uploads/tickets", json!({ "types": types })).await.fails(400, "Invalid JSON");
    }
}

#[tokio::test]
async fn s10_no_parameter_takes_an_operator() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let ticket = ticket(&bob).await;
    let (folder, file) = (bob.folder("photos").await, bob.upload("notes.txt", b"hi").await);
    let inside = json!({ "name": "a", "type": "folder", "parentId": folder });
    bob.create(inside).await.document(201);
    let root = bob.get("/files").await.documents();
    assert_eq!(root.len(), 2);
    // A name with brackets is another, unknown parameter.
    for query in [
        "parentId[$ne]=0",
        "parentId[$gt]=",
        "parentId[]=x",
        "parentId[0]=x",
        "parentId.$ne=0",
        "page[$gt]=7",
        "page[]=7",
    ] {
        assert_eq!(bob.get(&format!("/files?{query}")).await.documents(), root, "{query}");
    }
    for value in ["%7B%22$ne%22:null%7D", "[%22a%22]", "7", "$ne"] {
        bob.get(&format!("/files?parentId={value}")).await.is(200, json!([]));
        let first = bob.get(&format!("/files?page={value}")).await.documents();
        assert_eq!(first.len(), if value == "7" { 0 } else { 2 }, "{value}");
        bob.get(&format!("/files/{file}/data?size={value}")).await.fails(404, "Not found");
        let shown = bob.get(&format!("/files/{file}/data?download={value}&size[$ne]=1&download[$ne]=1")).await;
        assert!(shown.header("content-disposition").starts_with("inline; "), "{shown}");
        for path in [format!("/files/{value}"), format!("/files/{value}/data"), format!("/files/{value}/parts")] {
            bob.get(&path).await.fails(404, "Not found");
        }
        let companion = format!("/uploads/{ticket}/s3");
        let anyone = stack.anyone();
        for path in ["1", "batch", ""] {
            let of = format!("{companion}/multipart/x/{path}").trim_end_matches('/').to_owned();
            for query in [format!("key={value}&partNumbers={value}"), format!("key[$ne]={value}"), String::new()] {
                anyone.get(&format!("{of}?{query}")).await.fails_with_message(404, "Not found");
            }
        }
        anyone.get(&format!("{companion}/params?filename[$ne]={value}")).await.fails_with_message(400, "Missing name");
        let elsewhere = format!("{companion}/params?filename=a&metadata[parentId]={value}");
        anyone.get(&elsewhere).await.fails_with_message(400, "Parent not found");
        let bad = anyone.get(&format!("/uploads/{value}/s3/params?filename=a")).await;
        bad.fails_with_message(401, "Unauthorized");
    }
}

/// The answer of every route that reads a body.
async fn sent_everywhere(stack: &Stack, user: &User, ticket: &str, body: &[u8]) -> Vec<(String, Answer)> {
    let begin = format!("/uploads/{ticket}/s3/multipart");
    let complete = format!("{begin}/x/complete?key=x");
    let mut answers = Vec::new();
    for path in ["/users", "/files", "/uploads/tickets", "/uploads/sign", &begin, &complete] {
        let client: &Client = if path.starts_with("/uploads/t") || path.len() < 20 { user } else { &stack.anyone() };
        let request = client.request("POST", path).body("application/json", body.to_vec());
        answers.push((path.to_owned(), request.send().await));
    }
    answers
}

/// Asserts that the error is ours and comes quickly: a larger body must not take longer to refuse.
#[track_caller]
fn is_refused(path: &str, answer: &Answer, statuses: &[u16]) {
    assert!(statuses.contains(&answer.status), "{path}: {answer}");
    assert!(answer.json()["error"].is_string(), "{path}: {answer}");
    assert!(answer.took < Duration::from_secs(3), "{path}: {:?}", answer.took);
}

#[tokio::test]
async fn s19_absurd_bodies_take_bounded_time_and_memory() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let ticket = ticket(&bob).await;
    let deep = |open: &str, close: &str| format!(r#"{{"name":{}7{}}}"#, open.repeat(10_000), close.repeat(10_000));
    let (arrays, objects) = (deep("[", "]"), deep(r#"{"a":"#, "}"));
    let (unclosed, bare) = (format!(r#"{{"name":{}"#, "[".repeat(10_000)), "[".repeat(10_000));
    for body in [&arrays, &objects, &unclosed, &bare] {
        for (path, answer) in sent_everywhere(&stack, &bob, &ticket, body.as_bytes()).await {
            // A ticket needs no field, and unknown fields are ignored.
            let statuses: &[u16] = if path == "/uploads/tickets" { &[201, 400] } else { &[400, 404] };
            if answer.status != 201 {
                is_refused(&path, &answer, statuses);
            }
        }
    }
    // As many keys as an event of six megabytes holds, which has two more bytes for each key: all different, and all
    // equal.
    let keys = (0..500_000).map(|n| format!(r#""{n:x}":7,"#)).collect::<Vec<_>>().concat();
    let same = r#""a":7,"#.repeat(750_000);
    for body in [format!(r#"{{{keys}"z":0}}"#), format!(r#"{{{same}"z":0}}"#)] {
        for (path, answer) in sent_everywhere(&stack, &bob, &ticket, body.as_bytes()).await {
            is_refused(&path, &answer, if path == "/files" { &[400] } else { &[413] });
        }
    }
    for number in ["1e999", "-1e999", "1e99999999999"] {
        for body in [
            format!(r#"{{"name":"a","type":"file","size":{number}}}"#),
            format!(r#"{{"maxBytes":{number}}}"#),
            format!(r#"{{"method":"PUT","key":"a","uploadId":"x","partNumber":{number}}}"#),
        ] {
            for (path, answer) in sent_everywhere(&stack, &bob, &ticket, body.as_bytes()).await {
                // A route may skip a field that it does not know, and then answers 201.
                if answer.status != 201 {
                    is_refused(&path, &answer, &[400, 404]);
                }
            }
        }
        let file = format!(r#"{{"name":"a","type":"file","size":{number}}}"#);
        let file = bob.request("POST", "/files").body("application/json", file).send().await;
        file.fails(400, "Invalid JSON");
    }
    for size in ["1e15", "9007199254740993", "18446744073709551616", "1e308"] {
        let file = format!(r#"{{"name":"a","type":"file","size":{size}}}"#);
        let file = bob.request("POST", "/files").body("application/json", file).send().await;
        is_refused(size, &file, &[400, 413]);
    }
    for page in ["1000000000000000000", "1e18", "1e999", "18446744073709551616", &"9".repeat(2000)] {
        let answer = bob.get(&format!("/files?page={page}")).await;
        answer.is(200, json!([]));
        assert!(answer.took < Duration::from_secs(3), "{:?}", answer.took);
    }
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 0);
    // A quarter of the function's memory. An event of six megabytes is there several times while it is parsed.
    for function in ["files", "uploads", "users"] {
        let peaks: Vec<u64> = processes(&stack, function).into_iter().filter_map(peak).collect();
        assert!(!peaks.is_empty(), "{function} runs");
        for peak in peaks {
            assert!(peak < 256 << 10, "{function} took {peak} kB");
        }
    }
}

#[tokio::test]
async fn s19_the_last_of_two_equal_keys_counts() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let create = |body: &'static str| bob.request("POST", "/files").body("application/json", body).send();
    let made =
        create(r#"{"name":"a","type":"file","type":"folder","name":"b","isPublic":true,"isPublic":false}"#).await;
    let made = made.document(201);
    assert_eq!((&made["name"], &made["type"], &made["isPublic"]), (&json!("b"), &json!("folder"), &json!(false)));
    create(r#"{"name":"a","type":"folder","name":{"$ne":null}}"#).await.fails(400, "Missing name");
    let last =
        create(r#"{"name":"c","type":"folder","isPublic":true,"x":1,"isPublic":false,"parentId":"x","parentId":0}"#)
            .await;
    assert_eq!(last.document(201)["isPublic"], false);
    let ticket = r#"{"maxBytes":1,"maxBytes":2}"#;
    let ticket = bob.request("POST", "/uploads/tickets").body("application/json", ticket).send().await;
    assert_eq!(ticket.status, 201, "of {ticket}");
    // The last of two equal parameters counts too.
    assert_eq!(bob.get("/files?page=7&page=0").await.documents().len(), 2);
    assert_eq!(bob.get("/files?parentId=0&page=7&page=0").await.documents().len(), 2);
    bob.get("/files?page=0&page=7").await.is(200, json!([]));
}

#[tokio::test]
async fn s19_a_forged_host_is_not_repeated() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for (name, value) in [
        ("Host", "evil.example"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "host=evil.example;proto=https"),
        ("X-Original-URL", "http://evil.example/"),
        ("X-Forwarded-Proto", "evil.example://"),
    ] {
        for (path, body) in [
            ("/uploads/tickets", json!({})),
            ("/files", json!({ "name": "a.bin", "type": "file", "size": 200 << 20 })),
            ("/nothing", json!({})),
        ] {
            let answer = bob.request("POST", path).header(name, value).json(body).send().await;
            let known = [201, 400, 404].contains(&answer.status);
            assert!(known && !answer.to_string().contains("evil"), "{name}, {path}: {answer}");
        }
    }
}

#[tokio::test]
async fn r23_one_byte_over_a_limit_is_ours_to_refuse() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let ticket = ticket(&bob).await;
    let small = "The body is larger than this endpoint takes: 64 KiB, or 1 MiB for a list of parts";
    for (path, limit) in [
        ("/users".to_owned(), 64 << 10),
        ("/uploads/tickets".into(), 64 << 10),
        ("/uploads/sign".into(), 64 << 10),
        (format!("/uploads/{ticket}/s3/multipart"), 1 << 20),
        (format!("/uploads/{ticket}/s3/multipart/x/complete?key=x"), 1 << 20),
    ] {
        let of_length = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
        let fits = bob.request("POST", &path).body("application/json", of_length(limit)).send().await;
        assert!([201, 400, 404].contains(&fits.status), "{path}: {fits}");
        let over = bob.request("POST", &path).body("application/json", of_length(limit + 1)).send().await;
        assert_eq!((over.status, &over.json()["error"]), (413, &json!(small)), "{path}: {over}");
    }
    let file = |size: u64| json!({ "name": "a.bin", "type": "file", "size": size });
    let largest = bob.create(file(5 << 40)).await.document(201);
    assert_eq!(bob.create(file((5 << 40) + 1)).await.status, 413);
    let gone = bob.request("DELETE", &format!("/files/{}", largest["id"].as_str().unwrap())).send().await;
    assert_eq!(gone.status, 204);
    let scope = |field: &str, value: Value| bob.post("/uploads/tickets", json!({ field: value }));
    for (field, fits, over) in [
        ("maxBytes", json!(5_u64 << 40), json!((5_u64 << 40) + 1)),
        ("maxFiles", json!(u32::MAX), json!(1_u64 << 32)),
        ("expiresIn", json!(86_400), json!(86_401)),
        ("types", json!(vec!["image/png"; 64]), json!(vec!["image/png"; 65])),
    ] {
        assert_eq!(scope(field, fits).await.status, 201, "{field}");
        assert_eq!(scope(field, over).await.status, 400, "{field}");
    }
    for (length, status) in [(255, 201), (256, 400)] {
        let key = format!("{:x>length$}", unique("key"));
        let request = bob.request("POST", "/files").header("Idempotency-Key", &key);
        let answer = request.json(json!({ "name": "a", "type": "folder" })).send().await;
        assert_eq!(answer.status, status, "{answer}");
    }
}

#[tokio::test]
async fn r24_an_unreadable_request_is_refused_in_json() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (ticket, file) = (ticket(&bob).await, bob.upload("notes.txt", b"hi").await);
    let companion = format!("/uploads/{ticket}/s3");
    for (method, path) in [
        ("GET", "/files/%ff".to_owned()),
        ("GET", "/files/%ff/data".into()),
        ("GET", format!("/files/{file}/data?size=%ff")),
        ("GET", format!("/files/{file}/data?size=a&size=b")),
        ("PUT", "/files/%ff/publish".into()),
        ("DELETE", "/files/%ff".into()),
        ("GET", "/files/%ff/parts".into()),
        ("POST", "/files/%ff/complete".into()),
        ("DELETE", "/uploads/tickets/%ff".into()),
        ("GET", "/uploads/%ff/s3/params?filename=a".into()),
        ("GET", format!("{companion}/params?filename=")),
        ("GET", format!("{companion}/multipart/%ff?key=a")),
        ("GET", format!("{companion}/multipart/a?key=%ff")),
        ("GET", format!("{companion}/multipart/a?key=a&key=b")),
        ("GET", format!("{companion}/multipart/a/%ff?key=a")),
        ("GET", format!("{companion}/multipart/a/batch?partNumbers=1&partNumbers=2")),
        ("POST", format!("{companion}/multipart/%ff/complete?key=a&key=b")),
        ("DELETE", format!("{companion}/multipart/%ff?key=a")),
        ("GET", "/%ff".into()),
        ("TRACE", "/files".into()),
        ("PROPFIND", "/files".into()),
    ] {
        let answer = bob.request(method, &path).send().await;
        assert!((400..500).contains(&answer.status), "{method} {path}: {answer}");
        assert!(answer.json()["error"].is_string(), "{method} {path}: {answer}");
    }
    let token = encoded(&[0xff, 0xfe]);
    stack.anyone().with_token(token).get("/users/me").await.fails(401, "Unauthorized");
    let nobody = ObjectId::new();
    bob.get(&format!("/files/{nobody}/data?size=%00")).await.fails(404, "Not found");
}

#[tokio::test]
async fn a_field_counts_wherever_it_stands() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let others: String = (0..10_000).map(|n| format!(r#""k{n}":"x","#)).collect::<Vec<_>>().concat();
    let folder = format!(r#"{{{others}"name":"a",{}"type":"folder"}}"#, others.replace('k', "l"));
    let made = bob.request("POST", "/files").body("application/json", folder).send().await.document(201);
    assert_eq!((&made["name"], &made["type"]), (&json!("a"), &json!("folder")));
}

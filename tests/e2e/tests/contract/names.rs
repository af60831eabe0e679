//! The name of a file is data: it is no path, starts no new line, and is returned unchanged.

use e2e::{Answer, Stack, User, ledger};
use serde_json::json;

async fn ticket(user: &User) -> String {
    user.post("/uploads/tickets", json!({})).await.json()["ticket"].as_str().unwrap().to_owned()
}

/// The answers of all routes that take a name in a body.
async fn given_everywhere(stack: &Stack, user: &User, ticket: &str, name: &str) -> Vec<Answer> {
    let begin = format!("/uploads/{ticket}/s3/multipart");
    vec![
        user.create(json!({ "name": name, "type": "folder" })).await,
        user.create(json!({ "name": name, "type": "file", "data": "aGk=" })).await,
        user.create(json!({ "name": name, "type": "image", "size": 5 })).await,
        user.post("/uploads/sign", json!({ "method": "PUT", "key": name })).await,
        user.post("/uploads/sign", json!({ "method": "POST", "key": "a", "name": name })).await,
        stack.anyone().post(&begin, json!({ "filename": name })).await,
        stack.anyone().post(&begin, json!({ "filename": "a", "metadata": { "name": name } })).await,
    ]
}

fn in_url(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn s08_every_route_refuses_an_invalid_name() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let ticket = ticket(&bob).await;
    let controls = ["\0", "\t", "\n", "\r", "\u{1b}", "\u{1f}", "\u{7f}", "\u{80}", "\u{85}", "\u{9f}"];
    let others = ["a\r\nSet-Cookie: a=b", "a/b", "a\0.png"].map(str::to_owned);
    let long = ["x".repeat(256), "é".repeat(128), format!("{}🌍", "x".repeat(252)), "x".repeat(10_000)];
    for name in others.iter().chain(&long) {
        for answer in given_everywhere(&stack, &bob, &ticket, name).await {
            assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("Invalid name")), "{name:?}: {answer}");
        }
    }
    for control in controls {
        let name = format!("a{control}b");
        bob.create(json!({ "name": name, "type": "folder" })).await.fails(400, "Invalid name");
        let form = format!("/uploads/{ticket}/s3/params?filename={}", in_url(&name));
        stack.anyone().get(&form).await.fails_with_message(400, "Invalid name");
    }
    // Half of a surrogate pair.
    for half in [r"\ud800", r"\udc00", r"\udf0d\ud83c", r"a\ud83c.txt", r"\ud800\u0041"] {
        let body = format!(r#"{{"type":"folder","name":"{half}"}}"#);
        bob.request("POST", "/files").body("application/json", body).send().await.fails(400, "Invalid JSON");
    }
    assert_eq!(stack.count_rows(ledger::all_of(bob.object_id())).await, 0);
}

#[tokio::test]
async fn s08_every_other_name_comes_back_and_stays_on_one_line() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let ticket = ticket(&bob).await;
    let long = ["x".repeat(255), format!("{}é", "x".repeat(253)), format!("{}🌍", "x".repeat(251))];
    let names = [
        ".hidden",
        ".",
        "..",
        " ",
        "a;b=\"c\"",
        "a\"; filename=\"b.exe",
        "a\\",
        "%0d%0aSet-Cookie: a=b",
        "%2e%2e%2f",
        "C:\\x",
        "a,b;c=d&e?f#g",
        "{\"$ne\":null}",
        "<img src=x onerror=alert(1)>",
        "é.txt",
        "e\u{301}.txt",
        "\u{202e}gpj.exe",
        "\u{2066}a\u{2069}",
        "a\u{2028}b\u{2029}c",
        "a\u{200b}b\u{ad}c",
        "\u{ff0e}\u{ff0e}\u{ff0f}x",
        "🌍",
        "👩‍👩‍👧‍👦.png",
    ];
    for name in names.into_iter().chain(long.iter().map(String::as_str)) {
        let made = bob.create(json!({ "name": name, "type": "file", "data": "aGk=" })).await.document(201);
        let id = made["id"].as_str().unwrap();
        assert_eq!(made["name"], name);
        let shown = bob.get(&format!("/files/{id}")).await.document(200);
        assert_eq!(shown["name"], name);
        let row = stack.row(id).await;
        assert_eq!(row.get_str("name").unwrap(), name);

        let path = format!("/files/{id}/data");
        let part = bob.request("GET", &path).header("Range", "bytes=0-").send().await;
        let from_s3 = stack.http.get(part.header("location")).send().await.unwrap();
        assert_eq!(from_s3.status(), 200, "{name:?}");
        let dispositions: Vec<_> = [&bob.get(&path).await.headers, from_s3.headers()]
            .iter()
            .flat_map(|headers| {
                headers.get_all("content-disposition").iter().map(|one| one.to_str().unwrap().to_owned())
            })
            .collect();
        assert_eq!(dispositions.len(), 2, "{name:?}");
        for disposition in dispositions {
            assert_eq!(saved_as(&disposition), name, "{disposition}");
        }
        // A name in a URL is the same name.
        let form = stack.anyone().get(&format!("/uploads/{ticket}/s3/params?filename={}", in_url(name))).await;
        assert_eq!(form.status, 200, "{name:?}: {form}");
        let key = form.json()["fields"]["key"].as_str().unwrap().to_owned();
        let row = stack.row(key.split('/').nth(1).unwrap()).await;
        assert_eq!(row.get_str("name").unwrap(), name);
    }
    // Names that look alike are different names.
    let listed = [bob.get("/files").await.documents(), bob.get("/files?page=1").await.documents()].concat();
    for name in names {
        assert_eq!(listed.iter().filter(|file| file["name"] == name).count(), 1, "{name:?}");
    }
}

/// The file name that a browser saves: `filename*` takes precedence (RFC 6266).
fn saved_as(disposition: &str) -> String {
    assert!(disposition.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{disposition}");
    let (kind, rest) = disposition.split_once("; filename=\"").unwrap();
    assert!(["inline", "attachment"].contains(&kind), "{disposition}");
    let (plain, encoded) = rest.split_once("\"; filename*=UTF-8''").unwrap();
    assert!(!plain.contains(['"', '\\', '%']), "{disposition}");
    assert!(
        encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~%".contains(&byte)),
        "{disposition}"
    );
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = if first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            &after[2..]
        } else {
            bytes.push(first);
            after
        };
    }
    String::from_utf8(bytes).unwrap()
}

const PATHS: [&str; 7] = ["../x", "..\\x", "/etc/passwd", "C:\\x", "%2e%2e%2f", "files/x", "x\0.png"];

#[tokio::test]
async fn s09_a_path_leads_nowhere() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let image = bob.upload_image("photo.jpg", b"no image").await;
    let ticket = ticket(&bob).await;
    for path in PATHS {
        for answer in given_everywhere(&stack, &bob, &ticket, path).await {
            let said = answer.json();
            assert!(
                answer.status < 300 || (answer.status, &said["error"]) == (400, &json!("Invalid name")),
                "{answer}"
            );
        }
        let there = json!({ "name": "a", "type": "folder", "parentId": path });
        bob.create(there).await.fails(400, "Parent not found");
        bob.post("/uploads/tickets", json!({ "parentId": path })).await.fails(400, "Parent not found");
        let into = json!({ "method": "PUT", "key": "a", "parentId": path });
        bob.post("/uploads/sign", into).await.fails(400, "Parent not found");
        bob.create(json!({ "name": "a", "type": "file", "size": path })).await.fails(400, "Invalid size");

        let path = in_url(path);
        bob.get(&format!("/files?parentId={path}")).await.is(200, json!([]));
        bob.get(&format!("/files/{image}/data?size={path}")).await.fails(404, "Not found");
        for (method, route) in [
            ("GET", "/files/{id}"),
            ("DELETE", "/files/{id}"),
            ("PUT", "/files/{id}/publish"),
            ("PUT", "/files/{id}/unpublish"),
            ("GET", "/files/{id}/data"),
            ("GET", "/files/{id}/parts"),
            ("POST", "/files/{id}/complete"),
            ("DELETE", "/uploads/tickets/{id}"),
        ] {
            bob.request(method, &route.replace("{id}", &path)).send().await.fails(404, "Not found");
        }
        for key in [format!("uploads/{image}/{path}"), path] {
            let of = |method: &str| json!({ "method": method, "key": key, "uploadId": "x" });
            for method in ["GET", "POST", "DELETE"] {
                bob.post("/uploads/sign", of(method)).await.fails(404, "Not found");
            }
            let part = format!("/uploads/{ticket}/s3/multipart/x/1?key={key}");
            stack.anyone().get(&part).await.fails_with_message(404, "Not found");
        }
    }
    bob.get(&format!("/files/{image}/data")).await.is_content("image/jpeg", b"no image");
    every_key_is_made_of_ids(&stack).await;
}

/// The keys of all tests that have run, of objects and of pending uploads.
async fn every_key_is_made_of_ids(stack: &Stack) {
    let parts = stack.s3.list_multipart_uploads().bucket(&stack.bucket).send().await.unwrap();
    let parts = parts.uploads.unwrap_or_default().into_iter().filter_map(|upload| upload.key);
    let rows = stack.keys_of_rows().await;
    let keys: Vec<_> = stack.objects("").await.into_iter().chain(parts).chain(rows).collect();
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        // ^(files|uploads|thumbnails|zips)/[A-Za-z0-9_/-]+$
        let (place, rest) = key.split_once('/').unwrap_or_else(|| panic!("{key:?}"));
        assert!(["files", "uploads", "thumbnails", "zips"].contains(&place), "{key:?}");
        assert!(!rest.is_empty(), "{key:?}");
        assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_/-".contains(&byte)), "{key:?}");
    }
}

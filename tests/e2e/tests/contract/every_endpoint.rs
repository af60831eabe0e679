//! Rules for every endpoint.

use e2e::{
    Stack, document,
    ledger::{State, with},
    session_key, unique,
};
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use redis::AsyncCommands;
use serde_json::{Value, json};

const UNKNOWN: &str = "5f1e7d35c7ba06511e683b21";

/// Every endpoint that needs a token; `{id}` is the id of a file.
pub const AUTHENTICATED: [(&str, &str); 40] = [
    ("GET", "/users/me"),
    ("GET", "/users/me/usage"),
    ("DELETE", "/users/me"),
    ("PUT", "/users/me/password"),
    ("GET", "/users/me/sessions"),
    ("DELETE", "/users/me/sessions"),
    ("DELETE", "/users/me/sessions/{id}"),
    ("GET", "/disconnect"),
    ("POST", "/files"),
    ("GET", "/files"),
    ("GET", "/files/{id}"),
    ("PUT", "/files/{id}/publish"),
    ("PUT", "/files/{id}/unpublish"),
    ("DELETE", "/files/{id}"),
    ("PATCH", "/files/{id}"),
    ("GET", "/files/{id}/path"),
    ("POST", "/files/{id}/copy"),
    ("PUT", "/files/{id}/preview"),
    ("PUT", "/files/{id}/trash"),
    ("PUT", "/files/{id}/restore"),
    ("GET", "/files/{id}/usage"),
    ("GET", "/files/{id}/versions"),
    ("DELETE", "/files/{id}/versions/{id}"),
    ("GET", "/files/{id}/versions/{id}/data"),
    ("PUT", "/files/{id}/versions/{id}/restore"),
    ("POST", "/files/batch"),
    ("GET", "/trash"),
    ("DELETE", "/trash"),
    ("GET", "/search"),
    ("GET", "/files/{id}/parts"),
    ("POST", "/files/{id}/complete"),
    ("GET", "/uploads/tickets"),
    ("POST", "/uploads/tickets"),
    ("DELETE", "/uploads/tickets/{id}"),
    ("POST", "/uploads/sign"),
    ("GET", "/links"),
    ("POST", "/links"),
    ("GET", "/links/{id}"),
    ("PATCH", "/links/{id}"),
    ("DELETE", "/links/{id}"),
];

#[tokio::test]
async fn r24_an_error_is_one_string_of_json() {
    let answer = Stack::running().await.anyone().get("/users/me").await;
    answer.fails(401, "Unauthorized");
    assert_eq!(answer.text(), r#"{"error":"Unauthorized"}"#);
}

#[tokio::test]
async fn without_a_good_token_an_endpoint_says_unauthorized() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("notes.txt", b"hi").await;
    let basic = format!("Basic {}", e2e::encoded(format!("{}:{}", bob.email, e2e::PASSWORD).as_bytes()));
    let unknown = "A".repeat(43);
    let bad_headers = [
        None,
        Some(("X-Token", "")),
        Some(("X-Token", &*unknown)),
        Some(("X-Token", "é")),
        Some(("Authorization", &*format!("Bearer {unknown}"))),
        Some(("Authorization", "Bearer")),
        Some(("Authorization", &*basic)),
        Some(("Authorization", &*bob.token)),
    ]
    .map(|header| header.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for (method, path) in AUTHENTICATED {
        for header in &bad_headers {
            let request = stack.anyone().request(method, &path.replace("{id}", &id));
            let request = header.iter().fold(request, |request, (name, value)| request.header(name, value));
            request.send().await.fails(401, "Unauthorized");
        }
    }
}

#[tokio::test]
async fn a_bearer_token_means_the_same_as_an_x_token() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for scheme in ["Bearer", "bearer"] {
        let request = stack.anyone().request("GET", "/users/me");
        let answer = request.header("Authorization", &format!("{scheme} {}", bob.token)).send().await;
        answer.is(200, json!({ "id": bob.id, "email": bob.email }));
    }
    // Some clients always send this header.
    let empty = stack.anyone().request("GET", "/users/me").header("X-Token", "");
    assert_eq!(empty.header("Authorization", &format!("Bearer {}", bob.token)).send().await.status, 200);
    let request = stack.anyone().request("POST", "/files").header("Authorization", &format!("Bearer {}", bob.token));
    request.json(json!({ "name": "a", "type": "folder" })).send().await.document(201);
}

#[tokio::test]
async fn an_expired_token_is_no_token() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    assert_eq!(bob.get("/users/me").await.status, 200);
    let gone: bool = stack.redis().await.expire_at(session_key(&bob.token), 1).await.unwrap();
    assert!(gone);
    bob.get("/users/me").await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn a_token_dies_with_its_user() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("notes.txt", b"hi").await;
    stack.users.delete_one(doc! { "_id": bob.object_id() }).await.unwrap();
    for (method, path) in AUTHENTICATED {
        let answer = bob.request(method, &path.replace("{id}", &id)).send().await;
        answer.fails(401, "Unauthorized");
    }
    // A public file gives no right to the private one either.
    bob.get(&format!("/files/{id}/data")).await.fails(404, "Not found");
}

#[tokio::test]
async fn a_token_that_redis_has_for_nobody_is_unauthorized() {
    let stack = Stack::running().await;
    let (unheard_of, malformed) = (unique("token"), unique("token"));
    let mut redis = stack.redis().await;
    let _: () = redis.set_ex(session_key(&unheard_of), ObjectId::new().to_hex(), 60).await.unwrap();
    let _: () = redis.set_ex(session_key(&malformed), "bob", 60).await.unwrap();
    for token in [unheard_of, malformed] {
        stack.anyone().with_token(token).get("/users/me").await.fails(401, "Unauthorized");
    }
}

#[tokio::test]
async fn the_token_is_checked_before_everything_else() {
    let stack = Stack::running().await;
    let eve = stack.anyone().with_token("no such token");
    let malformed = eve.request("POST", "/files").body("application/json", "{");
    malformed.send().await.fails(401, "Unauthorized");
    eve.post("/files", json!({})).await.fails(401, "Unauthorized");
    for id in [UNKNOWN, "malformed"] {
        eve.get(&format!("/files/{id}")).await.fails(401, "Unauthorized");
        eve.put(&format!("/files/{id}/publish")).await.fails(401, "Unauthorized");
        eve.put(&format!("/files/{id}/unpublish")).await.fails(401, "Unauthorized");
    }
    eve.get("/files?parentId=malformed&page=-1").await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn r24_malformed_json_is_said_to_be_that() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for path in ["/users", "/files"] {
        for body in ["{", r#"{"email":}"#, "email=x", r#"{"email":"x"} x"#, r#"{"name":"\ud800"}"#, "\u{0}"] {
            let request = bob.request("POST", path).body("application/json", body);
            request.send().await.fails(400, "Invalid JSON");
        }
    }
}

#[tokio::test]
async fn no_body_or_another_content_type_counts_as_no_fields() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = json!({ "name": "a", "type": "folder" }).to_string();
    for (path, body, error) in
        [("/users", r#"{"email":"a@b","password":"c"}"#, "Missing email"), ("/files", &*folder, "Missing name")]
    {
        bob.request("POST", path).send().await.fails(400, error);
        bob.request("POST", path).body("application/json", "").send().await.fails(400, error);
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
            bob.request("POST", path).body(content_type, body.to_owned()).send().await.fails(400, error);
        }
        for no_object in ["[]", "null", "7", r#""email""#, r#"[{"email":"a@b"}]"#] {
            let request = bob.request("POST", path).body("application/json", no_object);
            request.send().await.fails(400, error);
        }
    }
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        bob.request("POST", "/files").body(content_type, folder.clone()).send().await.document(201);
    }
}

#[tokio::test]
async fn s10_a_missing_string_is_absent_or_null_or_empty_or_no_string() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for missing in [Value::Null, json!(""), json!(7), json!(true), json!(["x"]), json!({ "$ne": null })] {
        let account = json!({ "email": missing, "password": "x" });
        stack.anyone().post("/users", account).await.fails(400, "Missing email");
        let account = json!({ "email": unique("a"), "password": missing });
        stack.anyone().post("/users", account).await.fails(400, "Missing password");
        bob.create(json!({ "name": missing, "type": "folder" })).await.fails(400, "Missing name");
        bob.create(json!({ "name": "a", "type": missing })).await.fails(400, "Missing type");
        bob.create(json!({ "name": "a", "type": "file", "data": missing })).await.fails(400, "Missing data");
    }
}

#[tokio::test]
async fn r24_an_unknown_route_is_not_found() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("notes.txt", b"hi").await;
    for path in [
        "/app",
        "/app/a/b",
        "/web",
        "/web/session/x",
        "/nothing",
        "/users/you",
        "/users/me/too",
        "/users/me/password/x",
        "/users/me/sessions/a/b",
        "/status/x",
        &format!("/files/{id}/nothing"),
        &format!("/files/{id}/versions/a/b"),
        "/files/a/b/c",
        "/users/me/usage/x",
        "/trash/x",
        "/search/x",
    ] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            bob.request(method, path).send().await.fails(404, "Not found");
        }
    }
}

#[tokio::test]
async fn r24_another_method_is_not_allowed_and_the_answer_names_those_that_are() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("notes.txt", b"hi").await;
    for (path, allowed, refused) in [
        ("/", vec!["GET"], ["POST", "DELETE"]),
        ("/app/x", vec!["GET"], ["POST", "DELETE"]),
        ("/web/session", vec!["DELETE", "POST"], ["GET", "PUT"]),
        ("/web/session/refresh", vec!["POST"], ["GET", "DELETE"]),
        ("/status", vec!["GET"], ["POST", "DELETE"]),
        ("/stats", vec!["GET"], ["POST", "DELETE"]),
        ("/users", vec!["POST"], ["GET", "DELETE"]),
        ("/users/me", vec!["DELETE", "GET"], ["PUT", "POST"]),
        ("/users/me/password", vec!["PUT"], ["GET", "DELETE"]),
        ("/users/me/sessions", vec!["DELETE", "GET"], ["PUT", "POST"]),
        ("/users/me/sessions/x", vec!["DELETE"], ["GET", "PUT"]),
        ("/connect", vec!["GET"], ["POST", "DELETE"]),
        ("/disconnect", vec!["GET"], ["POST", "DELETE"]),
        ("/files", vec!["GET", "POST"], ["PUT", "DELETE"]),
        ("/users/me/usage", vec!["GET"], ["POST", "DELETE"]),
        ("/files/batch", vec!["POST"], ["GET", "DELETE"]),
        ("/files/{id}", vec!["DELETE", "GET", "PATCH"], ["POST", "PUT"]),
        ("/files/{id}/path", vec!["GET"], ["POST", "PUT"]),
        ("/files/{id}/copy", vec!["POST"], ["GET", "PUT"]),
        ("/files/{id}/preview", vec!["PUT"], ["GET", "DELETE"]),
        ("/files/{id}/trash", vec!["PUT"], ["GET", "DELETE"]),
        ("/files/{id}/restore", vec!["PUT"], ["GET", "POST"]),
        ("/files/{id}/usage", vec!["GET"], ["POST", "PUT"]),
        ("/files/{id}/versions", vec!["GET"], ["POST", "DELETE"]),
        ("/files/{id}/versions/x", vec!["DELETE"], ["GET", "PUT"]),
        ("/files/{id}/versions/x/restore", vec!["PUT"], ["GET", "POST"]),
        ("/files/{id}/versions/x/data", vec!["GET"], ["PUT", "DELETE"]),
        ("/trash", vec!["DELETE", "GET"], ["POST", "PUT"]),
        ("/search", vec!["GET"], ["POST", "DELETE"]),
        ("/files/{id}/publish", vec!["PUT"], ["GET", "POST"]),
        ("/files/{id}/unpublish", vec!["PUT"], ["GET", "POST"]),
        ("/files/{id}/data", vec!["GET"], ["PUT", "POST"]),
        ("/files/{id}/parts", vec!["GET"], ["PUT", "POST"]),
        ("/files/{id}/complete", vec!["POST"], ["GET", "DELETE"]),
        ("/uploads/tickets", vec!["GET", "POST"], ["PUT", "DELETE"]),
        ("/uploads/tickets/x", vec!["DELETE"], ["GET", "POST"]),
        ("/uploads/sign", vec!["POST"], ["GET", "PUT"]),
        ("/uploads/x/s3/params", vec!["GET"], ["POST", "PUT"]),
        ("/uploads/x/s3/multipart", vec!["POST"], ["GET", "DELETE"]),
        ("/uploads/x/s3/multipart/y", vec!["DELETE", "GET"], ["POST", "PUT"]),
        ("/uploads/x/s3/multipart/y/batch", vec!["GET"], ["POST", "DELETE"]),
        ("/uploads/x/s3/multipart/y/complete", vec!["POST"], ["GET", "DELETE"]),
        ("/uploads/x/s3/multipart/y/1", vec!["GET"], ["POST", "DELETE"]),
    ] {
        for method in refused {
            let answer = bob.request(method, &path.replace("{id}", &id)).send().await;
            answer.fails(405, "Method not allowed");
            let mut named: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
            named.retain(|&method| method != "HEAD");
            named.sort_unstable();
            assert_eq!(named, allowed, "for {method} {path}");
        }
    }
}

#[tokio::test]
async fn r23_a_body_one_byte_over_the_limit_is_refused_with_the_limit() {
    let stack = Stack::running().await;
    let email = unique("bob");
    let of_length = |length: usize| {
        let body = json!({ "email": email, "password": "x" }).to_string();
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let post = |body| stack.anyone().request("POST", "/users").body("application/json", body).send();
    let answer = post(of_length(65_537)).await;
    assert_eq!(answer.status, 413, "of {answer}");
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("64 KiB"), "{error}");
    answer.fails(413, &error);
    assert_eq!(post(of_length(65_536)).await.status, 201);
}

#[tokio::test]
async fn s09_a_strange_id_is_a_file_that_is_not_there() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for id in [
        UNKNOWN,
        "0",
        "null",
        "5f1e7d35c7ba06511e683b2",
        "5f1e7d35c7ba06511e683b211",
        "zzzzzzzzzzzzzzzzzzzzzzzz",
        "twelve bytes",
        "a%20b",
        "%00",
        "é",
        "%e9",
        "%2e%2e%2f",
        "..%2f..%2fetc%2fpasswd",
        "a%0d%0ab",
        "$ne",
        "%7B%22$ne%22:null%7D",
    ] {
        bob.get(&format!("/files/{id}")).await.fails(404, "Not found");
        bob.put(&format!("/files/{id}/publish")).await.fails(404, "Not found");
        bob.put(&format!("/files/{id}/unpublish")).await.fails(404, "Not found");
        bob.get(&format!("/files/{id}/data")).await.fails(404, "Not found");
        bob.change(id, json!({ "name": "a" })).await.fails(404, "Not found");
        bob.copy(id, json!({})).await.fails(404, "Not found");
        bob.set_preview(id, b"x").await.fails(404, "Not found");
        bob.trash(id).await.fails(404, "Not found");
        bob.restore(id, json!({})).await.fails(404, "Not found");
        for path in ["path", "usage", "versions", &format!("versions/{id}/data")] {
            bob.get(&format!("/files/{id}/{path}")).await.fails(404, "Not found");
        }
        stack.anyone().get(&format!("/files/{id}/data")).await.fails(404, "Not found");
    }
}

#[tokio::test]
async fn s12_a_file_of_another_user_looks_like_a_missing_file() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (file, folder) = (bob.upload("notes.txt", b"hi").await, bob.folder("photos").await);
    let (public, public_folder) = (bob.upload("notes.txt", b"hi").await, bob.folder("photos").await);
    bob.publish(&public).await;
    bob.publish(&public_folder).await;
    let image = bob.upload_image("photo.jpg", b"no image").await;
    let begun = |size: u64| bob.create(json!({ "name": "a.bin", "type": "file", "size": size }));
    let pending =
        [begun(5).await.json(), begun(200 << 20).await.json()].map(|made| made["id"].as_str().unwrap().to_owned());
    let private = [&file, &folder, &image, &pending[0], &pending[1]];
    let not_hers = [&private[..], &[&public, &public_folder]].concat();
    let malformed = ["malformed", "1", "zzzzzzzzzzzzzzzzzzzzzzzz", "%00"];

    for (method, path, ids) in [
        ("GET", "/files/{id}", &not_hers),
        ("HEAD", "/files/{id}", &not_hers),
        ("DELETE", "/files/{id}", &not_hers),
        ("PUT", "/files/{id}/publish", &not_hers),
        ("PUT", "/files/{id}/unpublish", &not_hers),
        ("GET", "/files/{id}/path", &not_hers),
        ("POST", "/files/{id}/copy", &not_hers),
        ("PUT", "/files/{id}/trash", &not_hers),
        ("PUT", "/files/{id}/restore", &not_hers),
        ("GET", "/files/{id}/usage", &not_hers),
        ("GET", "/files/{id}/versions", &not_hers),
        ("GET", "/files/{id}/parts", &not_hers),
        ("POST", "/files/{id}/complete", &not_hers),
        ("GET", "/files/{id}/data", &private.to_vec()),
        ("HEAD", "/files/{id}/data", &private.to_vec()),
        ("GET", "/files/{id}/data?size=100", &private.to_vec()),
        ("GET", "/files/{id}/data?download=1", &private.to_vec()),
    ] {
        let ask = async |id: &str| eve.request(method, &path.replace("{id}", id)).send().await.comparable();
        let expected = ask(UNKNOWN).await;
        let body = if method == "HEAD" { &b""[..] } else { br#"{"error":"Not found"}"# };
        assert_eq!((expected.0, expected.2.as_slice()), (404, body), "{method} {path}");
        for id in ids.iter().map(|id| id.as_str()).chain(malformed) {
            assert_eq!(ask(id).await, expected, "{method} {path} of {id}");
        }
    }
    for parent in not_hers.iter().map(|id| id.as_str()).chain([UNKNOWN]).chain(malformed) {
        let into = json!({ "name": "a", "type": "folder", "parentId": parent });
        eve.create(into).await.fails(400, "Parent not found");
        eve.post("/uploads/tickets", json!({ "parentId": parent })).await.fails(400, "Parent not found");
        eve.get(&format!("/files?parentId={parent}")).await.is(200, json!([]));
        eve.get(&format!("/files?parentId={parent}&sort=name")).await.is(200, json!([]));
    }
    let ticket = bob.post("/uploads/tickets", json!({})).await.json()["ticket"].as_str().unwrap().to_owned();
    let id = bob.get("/uploads/tickets").await.json()[0]["id"].as_str().unwrap().to_owned();
    for ticket in [&ticket, &id, UNKNOWN, "malformed"] {
        eve.request("DELETE", &format!("/uploads/tickets/{ticket}")).send().await.fails(404, "Not found");
    }
    // None of these requests changed the file.
    bob.get(&format!("/files/{file}/data")).await.is_content("text/plain; charset=utf-8", b"hi");
    for id in pending {
        assert_eq!(bob.request("DELETE", &format!("/files/{id}")).send().await.status, 204);
    }
}

#[tokio::test]
async fn a_row_that_is_not_ready_does_not_exist() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("photos").await;
    for state in State::ALL {
        for r#type in ["folder", "file"] {
            let id = ObjectId::new();
            let row = doc! {
                "_id": id, "userId": bob.object_id(), "name": "unfinished", "type": r#type, "isPublic": true, "parentId": 0,
            };
            stack.files.insert_one(with(row, state.until(DateTime::MAX))).await.unwrap();
            bob.get(&format!("/files/{id}")).await.fails(404, "Not found");
            bob.get(&format!("/files/{id}/data")).await.fails(404, "Not found");
            bob.put(&format!("/files/{id}/publish")).await.fails(404, "Not found");
            let inside = json!({ "name": "a", "type": "folder", "parentId": id.to_hex() });
            bob.create(inside).await.fails(400, "Parent not found");
        }
    }
    let there = bob.get("/files").await.documents();
    assert_eq!(there.iter().map(|file| &file["id"]).collect::<Vec<_>>(), [&json!(folder)]);
    assert_eq!(crate::files::original(&there[0]), document(&folder, &bob.id, "photos", "folder", false, 0));
}

//! Tickets, and the requests that stock Uppy sends with them. The tests in a browser use Uppy itself.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use e2e::{
    Answer, PASSWORD, Stack, User, eventually,
    fixtures::jpeg,
    ledger::{self, State, all_of, due_tombstone, expired, set, with},
    thumbnails::thumbnail,
};
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(5);

/// The smallest size of a part in S3, except the last part.
const PART: usize = 5 << 20;

/// A client that has only a ticket.
struct Holder<'a> {
    stack: &'a Stack,
    ticket: String,
}

async fn holder<'a>(stack: &'a Stack, user: &User, scope: Value) -> Holder<'a> {
    let issued = user.post("/uploads/tickets", scope).await;
    assert_eq!(issued.status, 201, "{issued}");
    let issued = issued.json();
    let ticket = issued["ticket"].as_str().unwrap().to_owned();
    assert!(issued["companionEndpoint"].as_str().unwrap().ends_with(&format!("/uploads/{ticket}")), "{issued}");
    assert!(issued["companionEndpoint"].as_str().unwrap().starts_with("http://"), "{issued}");
    Holder { stack, ticket }
}

/// A multipart upload.
struct Parts {
    key: String,
    id: String,
    upload: String,
}

impl Holder<'_> {
    fn path(&self, path: &str) -> String {
        format!("/uploads/{}/s3/{path}", self.ticket)
    }

    async fn params(&self, query: &str) -> Answer {
        self.stack.anyone().get(&self.path(&format!("params?{query}"))).await
    }

    async fn begin(&self, body: Value) -> Answer {
        self.stack.anyone().post(&self.path("multipart"), body).await
    }

    async fn parts(&self, name: &str) -> Parts {
        let begun = self.begin(json!({ "filename": name, "type": "", "metadata": { "name": name } })).await;
        assert_eq!(begun.status, 200, "{begun}");
        let begun = begun.json();
        let text = |key: &str| begun[key].as_str().unwrap().to_owned();
        let key = text("key");
        Parts { id: key.split('/').nth(1).unwrap().to_owned(), key, upload: text("uploadId") }
    }

    async fn of(&self, method: &str, parts: &Parts, more: &str, body: Value) -> Answer {
        let path = self.path(&format!("multipart/{}{more}?key={}", parts.upload, parts.key.replace('/', "%2F")));
        let request = self.stack.anyone().request(method, &path);
        if body.is_null() { request.send().await } else { request.json(body).send().await }
    }

    /// Sends a part, and returns its `ETag`.
    async fn send(&self, parts: &Parts, number: u32, bytes: Vec<u8>) -> String {
        let signed = self.of("GET", parts, &format!("/{number}"), Value::Null).await.json();
        assert_eq!(signed["expires"], 900);
        let sent = self.stack.http.put(signed["url"].as_str().unwrap()).body(bytes).send().await.unwrap();
        assert_eq!(sent.status(), 200);
        sent.headers()["etag"].to_str().unwrap().to_owned()
    }

    async fn complete(&self, parts: &Parts, tags: &[&str]) -> Answer {
        let named = tags.iter().enumerate().map(|(at, tag)| json!({ "PartNumber": at + 1, "ETag": tag }));
        self.of("POST", parts, "/complete", json!({ "parts": named.collect::<Vec<_>>() })).await
    }
}

fn id_of(answer: &Value) -> String {
    answer["fields"]["key"].as_str().unwrap().split('/').nth(1).unwrap().to_owned()
}

async fn visible(user: &User, id: &str) -> Value {
    eventually("a visible file", SOON, async || {
        let answer = user.get(&format!("/files/{id}")).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await
}

async fn remains(stack: &Stack, id: &str) -> usize {
    let prefix = format!("uploads/{id}/");
    let parts = stack.s3.list_multipart_uploads().bucket(&stack.bucket).prefix(&prefix).send().await.unwrap();
    stack.objects(&prefix).await.len() + parts.uploads.unwrap_or_default().len()
}

#[tokio::test]
async fn a_form_puts_a_file_where_the_ticket_says() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("inbox").await;
    let holder = holder(&stack, &bob, json!({ "parentId": folder, "isPublic": true })).await;
    let query = "filename=blob&type=text%2Fplain&metadata%5Bname%5D=a+b.txt&metadata%5Btype%5D=text%2Fplain\
                 &metadata%5BrelativePath%5D=null";
    let answer = holder.params(query).await;
    assert_eq!(answer.status, 200, "{answer}");
    let answer = answer.json();
    assert_eq!((&answer["method"], &answer["expires"]), (&json!("POST"), &json!(900)));
    let posted = stack.post_form(&answer, b"hello".to_vec()).await;
    assert_eq!(posted.status(), 201);

    let id = id_of(&answer);
    let file = visible(&bob, &id).await;
    for (key, value) in [
        ("name", json!("a b.txt")),
        ("type", json!("file")),
        ("isPublic", json!(true)),
        ("parentId", json!(folder)),
        ("size", json!(5)),
        ("userId", json!(bob.id)),
    ] {
        assert_eq!(file[key], value);
    }
    stack.anyone().get(&format!("/files/{id}/data")).await.is_content("text/plain; charset=utf-8", b"hello");

    // The form is still valid, but its object now belongs to no file.
    assert_eq!(stack.post_form(&answer, b"other".to_vec()).await.status(), 201);
    eventually("the file alone", SOON, async || (remains(&stack, &id).await == 1).then_some(())).await;
    stack.anyone().get(&format!("/files/{id}/data")).await.is_content("text/plain; charset=utf-8", b"hello");
}

#[tokio::test]
async fn s11_a_form_is_good_for_its_key_its_type_and_so_many_bytes() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({ "maxBytes": 1000 })).await;
    let answer = holder.params("filename=a.txt").await.json();
    let id = id_of(&answer);
    let other = format!("uploads/{}/{}/form", ObjectId::new().to_hex(), "a".repeat(32));
    for (field, value) in [("key", other.as_str()), ("content-type", "text/html"), ("success_action_status", "200")] {
        let mut forged = answer.clone();
        forged["fields"][field] = json!(value);
        assert_eq!(stack.post_form(&forged, b"hi".to_vec()).await.status(), 403, "another {field}");
    }
    let refused = stack.post_form(&answer, vec![0; 1001]).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("EntityTooLarge"));
    assert_eq!(remains(&stack, &id).await, 0);
    assert_eq!(stack.post_form(&answer, vec![0; 1000]).await.status(), 201);
    assert_eq!(visible(&bob, &id).await["size"], 1000);
}

#[tokio::test]
async fn a_photo_is_an_image() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({ "types": ["image/*"] })).await;
    let answer = holder.params("filename=photo.jpg").await.json();
    assert_eq!(stack.post_form(&answer, jpeg(600, 400)).await.status(), 201);
    let id = id_of(&answer);
    assert_eq!(visible(&bob, &id).await["type"], "image");
    assert_eq!(thumbnail(&bob, &id, 100).await.status, 200);
}

#[tokio::test]
async fn a_large_file_comes_in_parts() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({})).await;
    let parts = holder.parts("big.bin").await;
    let (first, second) = (vec![1; PART], vec![2; 7]);
    let one = holder.send(&parts, 1, first.clone()).await;
    let two = holder.send(&parts, 2, second.clone()).await;
    let batch = holder.of("GET", &parts, "/batch", Value::Null).await;
    batch.fails_with_message(400, "Invalid part number: 1 to 10000");

    let listed = holder.of("GET", &parts, "", Value::Null).await.json();
    assert_eq!(
        listed,
        json!([{ "PartNumber": 1, "ETag": one, "Size": PART }, { "PartNumber": 2, "ETag": two, "Size": 7 }])
    );
    for named in [&[&*one, "\"0\""][..], &[&one, &two, &two]] {
        holder.complete(&parts, named).await.fails_with_message(400, "Invalid parts");
    }
    // One ETag has quotes, the other has none.
    let completed = holder.complete(&parts, &[&one, two.trim_matches('"')]).await;
    assert_eq!(completed.status, 200, "{completed}");
    let body = completed.json();
    assert!(body["location"].as_str().unwrap().ends_with(&format!("/files/{}/data", parts.id)), "{body}");
    assert_eq!((&body["key"], &body["bucket"]), (&json!(parts.key), &json!(stack.bucket)));
    holder.complete(&parts, &[&one, &two]).await.is(200, body);
    // Uppy sends this request after any failure.
    holder.of("DELETE", &parts, "", Value::Null).await.is(200, json!({}));

    assert_eq!(bob.get(&format!("/files/{}", parts.id)).await.document(200)["size"], PART + 7);
    let location = bob.get(&format!("/files/{}/data", parts.id)).await;
    let data = stack.http.get(location.header("location")).send().await.unwrap().bytes().await.unwrap();
    assert!(data == [first, second].concat());
}

#[tokio::test]
async fn older_clients_have_many_parts_signed_at_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({})).await;
    let parts = holder.parts("big.bin").await;
    let path = holder.path(&format!("multipart/{}/batch?key={}&partNumbers=1,2", parts.upload, parts.key));
    let signed = stack.anyone().get(&path).await.json();
    assert_eq!(signed["presignedUrls"].as_object().unwrap().len(), 2);
    let url = signed["presignedUrls"]["2"].as_str().unwrap();
    assert_eq!(stack.http.put(url).body("hi").send().await.unwrap().status(), 200);
    let twice = format!("{}&partNumbers=3", path.replace('?', "?key=x&"));
    let signed = stack.anyone().get(&twice).await.json();
    assert_eq!(
        signed["presignedUrls"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["3"],
        "of two the last counts"
    );
    holder.of("DELETE", &parts, "", Value::Null).await.is(200, json!({}));
}

#[tokio::test]
async fn an_invalid_ticket_is_not_found() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for ticket in ["x", "%ff", "a%2Fb", "%00"] {
        bob.request("DELETE", &format!("/uploads/tickets/{ticket}")).send().await.fails(404, "Not found");
    }
}

#[tokio::test]
async fn signing_a_part_asks_no_store() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({})).await;
    let parts = holder.parts("big.bin").await;
    // Neither of them exists any more, which is no error.
    stack.set_row(&parts.id, State::Tombstone.only()).await;
    bob.request("DELETE", &format!("/uploads/tickets/{}", holder.ticket)).send().await;
    let signed = holder.of("GET", &parts, "/1", Value::Null).await;
    assert_eq!(signed.status, 200, "{signed}");
}

#[tokio::test]
async fn more_than_the_ticket_allows_is_refused_at_the_end() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({ "maxBytes": PART + 1 })).await;
    let parts = holder.parts("big.bin").await;
    let tags = [holder.send(&parts, 1, vec![0; PART]).await, holder.send(&parts, 2, vec![0; 2]).await];
    let answer = holder.complete(&parts, &[&tags[0], &tags[1]]).await;
    answer.fails_with_message(413, "The upload is larger than it may be: begin again with less");
    assert_eq!(remains(&stack, &parts.id).await, 0);
    assert!(stack.find_row(&parts.id).await.is_none());
    holder.of("DELETE", &parts, "", Value::Null).await.is(200, json!({}));

    let parts = holder.parts("big.bin").await;
    let tags = [holder.send(&parts, 1, vec![0; PART]).await, holder.send(&parts, 2, vec![0; 1]).await];
    assert_eq!(holder.complete(&parts, &[&tags[0], &tags[1]]).await.status, 200);
}

#[tokio::test]
async fn an_upload_that_is_cancelled_leaves_nothing_and_does_not_count() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({ "maxFiles": 1 })).await;
    let parts = holder.parts("big.bin").await;
    holder.send(&parts, 1, vec![0; PART]).await;
    let full = "This ticket's file limit is reached";
    holder.params("filename=a.txt").await.fails_with_message(409, full);
    for _ in 0..2 {
        holder.of("DELETE", &parts, "", Value::Null).await.is(200, json!({}));
    }
    assert_eq!(remains(&stack, &parts.id).await, 0);
    assert!(stack.find_row(&parts.id).await.is_none());
    holder.of("GET", &parts, "", Value::Null).await.fails_with_message(404, "Not found");

    let answer = holder.params("filename=a.txt").await;
    assert_eq!(answer.status, 200);
    holder.begin(json!({ "filename": "a.txt" })).await.fails_with_message(409, full);
    assert_eq!(stack.post_form(&answer.json(), b"hi".to_vec()).await.status(), 201);
    visible(&bob, &id_of(&answer.json())).await;
    holder.params("filename=b.txt").await.fails_with_message(409, full);
}

#[tokio::test]
async fn many_at_once_are_not_more_than_a_ticket_allows() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({ "maxFiles": 3 })).await;
    let answers = futures_util::future::join_all((0..12).map(|_| holder.params("filename=a.txt"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3);
}

#[tokio::test]
async fn a_ticket_is_good_for_its_folder_and_its_types_alone() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (inbox, other) = (bob.folder("inbox").await, bob.folder("other").await);
    let holder = holder(&stack, &bob, json!({ "parentId": inbox, "types": ["image/*", "Application/PDF"] })).await;
    for (query, error) in [
        (String::new(), "Missing name"),
        ("filename=".into(), "Missing name"),
        ("filename=a%2Fb.png".into(), "Invalid name"),
        (format!("filename=a.png&metadata[parentId]={other}"), "Parent not found"),
        ("filename=a.png&metadata[parentId]=0".into(), "Parent not found"),
        ("filename=a.html&type=image%2Fpng".into(), "Files of this type are not allowed here"),
        ("filename=png&type=image%2Fpng".into(), "Files of this type are not allowed here"),
    ] {
        holder.params(&query).await.fails_with_message(400, error);
    }
    for query in [format!("filename=a.png&metadata[parentId]={inbox}"), "filename=a.pdf".into()] {
        assert_eq!(holder.params(&query).await.status, 200, "{query}");
    }
    let body =
        json!({ "filename": "a.html", "metadata": { "name": "a.png", "parentId": other, "size": 7, "x": null } });
    holder.begin(body).await.fails_with_message(400, "Parent not found");
    // The folder of the ticket must still exist.
    stack.files.delete_one(ledger::row(&inbox)).await.unwrap();
    holder.params("filename=a.png").await.fails_with_message(400, "Parent not found");
}

#[tokio::test]
async fn r24_a_body_that_cannot_be_read_is_refused_with_a_message_too() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({})).await;
    let parts = holder.parts("big.bin").await;
    let complete = holder.path(&format!("multipart/{}/complete?key={}", parts.upload, parts.key.replace('/', "%2F")));
    for path in [holder.path("multipart"), complete] {
        let sent =
            async |body: String| stack.anyone().request("POST", &path).body("application/json", body).send().await;
        sent("{".into()).await.fails_with_message(400, "Invalid JSON");
        let large = "The body is larger than this endpoint takes: 64 KiB, or 1 MiB for a list of parts";
        sent(format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 20))).await.fails_with_message(413, large);
    }
}

#[tokio::test]
async fn invalid_ticket_options_are_refused() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (hers, file) = (eve.folder("hers").await, bob.upload("a.txt", b"hi").await);
    let types = "Invalid types: media types such as image/png or image/*";
    for (scope, error) in [
        (json!({ "parentId": hers }), "Parent not found"),
        (json!({ "parentId": file }), "Parent is not a folder"),
        (json!({ "maxBytes": -1 }), "Invalid maxBytes"),
        (json!({ "maxBytes": "5" }), "Invalid maxBytes"),
        (json!({ "maxFiles": 0 }), "Invalid maxFiles"),
        (json!({ "maxFiles": 1.5 }), "Invalid maxFiles"),
        (json!({ "expiresIn": 0 }), "Invalid expiresIn: 1 to 86400 seconds"),
        (json!({ "expiresIn": 86_401 }), "Invalid expiresIn: 1 to 86400 seconds"),
        (json!({ "types": ["image"] }), types),
        (json!({ "types": vec!["image/png"; 65] }), types),
        (json!({ "types": { "$ne": 1 } }), "Invalid JSON"),
        (json!([]), "Invalid JSON"),
        (json!(["0", true]), "Invalid JSON"),
    ] {
        bob.post("/uploads/tickets", scope).await.fails(400, error);
    }
    stack.anyone().post("/uploads/tickets", json!({})).await.fails(401, "Unauthorized");
    let twice = r#"{"expiresIn":0,"expiresIn":1}"#;
    let last = bob.request("POST", "/uploads/tickets").body("application/json", twice).send().await;
    assert_eq!(last.status, 201, "of two the last counts: {last}");
    let first = bob.request("POST", "/uploads/tickets").send().await;
    assert_eq!(first.status, 201, "no body asks for nothing special");
}

#[tokio::test]
async fn a_ticket_that_is_none_of_ours_or_no_longer_is_unauthorized() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let good = holder(&stack, &bob, json!({})).await;
    let parts = good.parts("big.bin").await;
    let bytes = URL_SAFE_NO_PAD.decode(&good.ticket).unwrap();
    let changed = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        URL_SAFE_NO_PAD.encode(bytes)
    };
    let short = URL_SAFE_NO_PAD.encode(&bytes[..16]);
    for ticket in [changed(0), changed(15), changed(47), short, "x".into(), bob.token.clone(), "A".repeat(64)] {
        let bad = Holder { stack: &stack, ticket };
        for answer in [
            bad.params("filename=a.txt").await,
            bad.begin(json!({ "filename": "a" })).await,
            bad.of("GET", &parts, "", Value::Null).await,
            bad.of("GET", &parts, "/1", Value::Null).await,
            bad.complete(&parts, &["x"]).await,
            bad.of("DELETE", &parts, "", Value::Null).await,
        ] {
            answer.fails_with_message(401, "Unauthorized");
        }
    }

    // A ticket of another user, or another ticket of the same user, does not permit this upload.
    for user in [&eve, &bob] {
        let other = holder(&stack, user, json!({})).await;
        for answer in [
            other.of("GET", &parts, "", Value::Null).await,
            other.of("GET", &parts, "/1", Value::Null).await,
            other.complete(&parts, &["x"]).await,
            other.of("DELETE", &parts, "", Value::Null).await,
        ] {
            answer.fails_with_message(404, "Not found");
        }
    }
    // The right ticket with another key does not permit it either.
    let elsewhere = Parts { key: good.parts("other.bin").await.key, id: String::new(), upload: parts.upload.clone() };
    good.of("GET", &elsewhere, "/1", Value::Null).await.fails_with_message(404, "Not found");

    let revoke = format!("/uploads/tickets/{}", good.ticket);
    eve.request("DELETE", &revoke).send().await.fails(404, "Not found");
    stack.anyone().request("DELETE", &revoke).send().await.fails(401, "Unauthorized");
    assert_eq!(bob.request("DELETE", &revoke).send().await.status, 204);
    bob.request("DELETE", &revoke).send().await.fails(404, "Not found");
    good.params("filename=a.txt").await.fails_with_message(401, "Unauthorized");
    good.complete(&parts, &["x"]).await.fails_with_message(401, "Unauthorized");
}

#[tokio::test]
async fn the_tickets_of_a_user_are_listed_without_what_they_are_used_by() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let folder = bob.folder("inbox").await;
    let limited = json!({
        "parentId": folder, "isPublic": true, "maxBytes": 1000, "maxFiles": 3, "types": ["image/*", "Text/Plain"],
        "expiresIn": 60,
    });
    let (limited, unlimited) = (holder(&stack, &bob, limited).await, holder(&stack, &bob, json!({})).await);
    assert_eq!(limited.params("filename=a.png").await.status, 200);
    // An expired ticket, which MongoDB removes within a minute.
    let a_second_ago = DateTime::from_millis(DateTime::now().timestamp_millis() - 1000);
    stack.database.collection("tickets").insert_one(ledger::ticket(bob.object_id(), a_second_ago)).await.unwrap();

    let answer = bob.get("/uploads/tickets").await;
    for secret in [&limited.ticket, &unlimited.ticket] {
        assert!(!answer.text().contains(&**secret));
    }
    // Newest first. Ids of two instances within one second may have any order.
    assert_eq!(answer.status, 200, "{answer}");
    let mut listed = answer.json();
    listed.as_array_mut().unwrap().sort_by_key(|ticket| ticket["isPublic"].as_bool());
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|ticket| ticket["id"].as_str().unwrap()).collect();
    let time = |ticket: usize, key: &str| {
        DateTime::parse_rfc3339_str(listed[ticket][key].as_str().unwrap()).unwrap().timestamp_millis() / 1000
    };
    assert_eq!(
        listed,
        json!([
            {
                "id": ids[0], "parentId": 0, "isPublic": false, "maxBytes": 5_497_558_138_880_u64, "types": [],
                "createdAt": listed[0]["createdAt"], "expiresAt": listed[0]["expiresAt"],
            },
            {
                "id": ids[1], "parentId": folder, "isPublic": true, "maxBytes": 1000, "filesLeft": 2,
                "types": ["image/*", "text/plain"],
                "createdAt": listed[1]["createdAt"], "expiresAt": listed[1]["expiresAt"],
            },
        ]),
    );
    for (ticket, lifetime) in [(0, 3600), (1, 60)] {
        assert!((lifetime - 1..=lifetime + 1).contains(&(time(ticket, "expiresAt") - time(ticket, "createdAt"))));
        assert!((time(ticket, "createdAt") - DateTime::now().timestamp_millis() / 1000).abs() < 60);
    }
    eve.get("/uploads/tickets").await.is(200, json!([]));

    // A ticket is revoked by its id, and then permits no upload.
    let path = format!("/uploads/tickets/{}", ids[1]);
    stack
        .anyone()
        .get(&format!("/uploads/{}/s3/params?filename=a.png", ids[1]))
        .await
        .fails_with_message(401, "Unauthorized");
    eve.request("DELETE", &path).send().await.fails(404, "Not found");
    assert_eq!(bob.request("DELETE", &path).send().await.status, 204);
    bob.request("DELETE", &path).send().await.fails(404, "Not found");
    limited.params("filename=a.png").await.fails_with_message(401, "Unauthorized");
    assert_eq!(unlimited.params("filename=a.png").await.status, 200);
    assert_eq!(bob.get("/uploads/tickets").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_changed_password_ends_all_tickets_of_the_user_and_no_others() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let tickets = [holder(&stack, &bob, json!({})).await, holder(&stack, &bob, json!({})).await];
    let eves = holder(&stack, &eve, json!({})).await;
    let change = async |password: &str| {
        let body = json!({ "password": password, "newPassword": "another" });
        bob.request("PUT", "/users/me/password").json(body).send().await.status
    };
    assert_eq!(change("wrong").await, 401);
    assert_eq!(tickets[0].params("filename=a.txt").await.status, 200);
    assert_eq!(change(PASSWORD).await, 204);
    for ticket in &tickets {
        ticket.params("filename=a.txt").await.fails_with_message(401, "Unauthorized");
    }
    assert_eq!(eves.params("filename=a.txt").await.status, 200);
    bob.get("/uploads/tickets").await.is(200, json!([]));
}

#[tokio::test]
async fn a_ticket_expires() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let brief = holder(&stack, &bob, json!({ "expiresIn": 1 })).await;
    eventually("an expired ticket", SOON, async || {
        let answer = brief.params("filename=a.txt").await;
        (answer.status != 200).then(|| answer.fails_with_message(401, "Unauthorized"))
    })
    .await;
}

#[tokio::test]
async fn a_ticket_dies_with_its_user() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let orphaned = holder(&stack, &bob, json!({})).await;
    stack.users.delete_one(doc! { "_id": bob.object_id() }).await.unwrap();
    orphaned.params("filename=a.txt").await.fails_with_message(401, "Unauthorized");
}

#[tokio::test]
async fn a_page_has_its_own_requests_signed() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let sign = async |user: &User, body: Value| user.post("/uploads/sign", body).await;
    let uuid = "0b0e9a1c-6f8a-4d43-9c1e-2b6a5f3d7e10";

    let put = json!({ "method": "PUT", "key": format!("{uuid}-small.txt"), "contentType": "text/plain" });
    let form = sign(&bob, put).await.json();
    assert_eq!(stack.post_form(&form, b"hello".to_vec()).await.status(), 201);
    let id = id_of(&form);
    assert_eq!(visible(&bob, &id).await["name"], "small.txt");
    bob.get(&format!("/files/{id}/data")).await.is_content("text/plain; charset=utf-8", b"hello");

    let signed = sign(&bob, json!({ "method": "POST", "key": format!("{uuid}-big.bin") })).await.json();
    let key = signed["key"].as_str().unwrap();
    let through = async |method: &str, signed: &Value, body: String| {
        let mut request = stack.http.request(method.parse().unwrap(), signed["url"].as_str().unwrap());
        for (name, value) in signed["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        request.body(body).send().await.unwrap()
    };
    let begun = through("POST", &signed, String::new()).await.text().await.unwrap();
    let upload = begun.split(['<', '>']).skip_while(|tag| *tag != "UploadId").nth(1).unwrap();
    let of = |method: &str| json!({ "method": method, "key": key, "uploadId": upload });
    for stranger in ["GET", "POST", "DELETE"] {
        sign(&eve, of(stranger)).await.fails(404, "Not found");
    }
    let part = json!({ "method": "PUT", "key": key, "uploadId": upload, "partNumber": 1 });
    let sent = through("PUT", &sign(&bob, part).await.json(), "hello".into()).await;
    let tag = sent.headers()["etag"].to_str().unwrap().to_owned();
    let listed = through("GET", &sign(&bob, of("GET")).await.json(), String::new()).await.text().await.unwrap();
    assert!(listed.contains("<PartNumber>1</PartNumber>"), "{listed}");
    let joined = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    );
    let join = sign(&bob, of("POST")).await.json();
    assert_eq!(join["headers"], json!({ "If-None-Match": "*" }));
    assert_eq!(through("POST", &join, joined).await.status(), 200);
    let id = key.split('/').nth(1).unwrap();
    assert_eq!(visible(&bob, id).await["name"], "big.bin");
    for ended in ["GET", "POST", "DELETE"] {
        sign(&bob, of(ended)).await.fails(404, "Not found");
    }

    for (body, error) in [
        (json!({}), "Missing method"),
        (json!({ "method": "PUT" }), "Missing key"),
        (json!({ "method": "PATCH", "key": "a" }), "Invalid method: PUT, POST, GET or DELETE"),
        (json!({ "method": "GET", "key": "a" }), "Missing uploadId"),
        (
            json!({ "method": "PUT", "key": "a", "uploadId": "u" }),
            "Invalid part: uploadId, and partNumber from 1 to 10000",
        ),
        (json!({ "method": "PUT", "key": "a/b" }), "Invalid name"),
        (json!({ "method": "PUT", "key": "a", "parentId": "x" }), "Parent not found"),
    ] {
        sign(&bob, body).await.fails(400, error);
    }
    stack.anyone().post("/uploads/sign", json!({})).await.fails(401, "Unauthorized");
}

/// Waits until the sweeper has taken a row.
async fn is_swept(stack: &Stack, id: &str) {
    eventually("the row is gone", Duration::from_secs(20), async || {
        stack.invoke("sweeper", &json!({})).await;
        stack.find_row(id).await.is_none().then_some(())
    })
    .await;
}

const FULL: &str = "This ticket's file limit is reached";

#[tokio::test]
async fn an_upload_that_comes_to_nothing_gives_its_file_back_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({ "maxFiles": 2 })).await;
    let (left, finished) = (holder.params("filename=a.txt").await.json(), holder.params("filename=b.txt").await.json());
    holder.params("filename=c.txt").await.fails_with_message(409, FULL);

    // The first form is never used.
    let id = id_of(&left);
    let row = stack.files.find_one_and_update(ledger::row(&id), set(expired())).await.unwrap().unwrap();
    is_swept(&stack, &id).await;
    // The state after a sweeper died before it removed the row.
    stack.files.insert_one(with(row, due_tombstone())).await.unwrap();
    is_swept(&stack, &id).await;
    stack.forget_usage(bob.object_id()).await;
    let parts = holder.parts("c.txt").await;
    holder.params("filename=d.txt").await.fails_with_message(409, FULL);

    // A deleted file stays counted.
    assert_eq!(stack.post_form(&finished, b"hi".to_vec()).await.status(), 201);
    let id = id_of(&finished);
    visible(&bob, &id).await;
    assert_eq!(bob.request("DELETE", &format!("/files/{id}")).send().await.status, 204);
    is_swept(&stack, &id).await;
    holder.params("filename=d.txt").await.fails_with_message(409, FULL);

    // The owner cancels the last one.
    assert_eq!(bob.request("DELETE", &format!("/files/{}", parts.id)).send().await.status, 204);
    assert_eq!(holder.params("filename=d.txt").await.status, 200);
    holder.params("filename=e.txt").await.fails_with_message(409, FULL);
}

#[tokio::test]
async fn an_upload_that_was_too_large_gives_its_file_back() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({ "maxFiles": 1, "maxBytes": 4 })).await;
    let parts = holder.parts("big.bin").await;
    let tag = holder.send(&parts, 1, b"hello".to_vec()).await;
    let larger = "The upload is larger than it may be: begin again with less";
    holder.complete(&parts, &[&tag]).await.fails_with_message(413, larger);
    let parts = holder.parts("big.bin").await;
    holder.params("filename=a.txt").await.fails_with_message(409, FULL);
    let tag = holder.send(&parts, 1, b"hell".to_vec()).await;
    assert_eq!(holder.complete(&parts, &[&tag]).await.status, 200);
    holder.params("filename=a.txt").await.fails_with_message(409, FULL);
}

/// A client that only checks a link, such as a link previewer, sends this request.
#[tokio::test]
async fn head_uses_up_no_file_of_a_ticket() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({ "maxFiles": 1 })).await;
    let path = holder.path("params?filename=a.txt");
    let head = stack.anyone().request("HEAD", &path).send().await;
    assert_eq!((head.status, head.header("allow"), head.body.len()), (405, "GET", 0), "{head}");
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 0);
    assert_eq!(stack.anyone().get(&path).await.status, 200);
    let put = stack.anyone().request("PUT", &path).send().await;
    assert_eq!((put.status, put.header("allow")), (405, "GET"));
}

#[tokio::test]
async fn no_part_is_signed_that_a_ticket_has_no_bytes_for() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let beyond = "maxBytes of this ticket is less than so many parts have: all but the last have 5 MiB or more";
    for (scope, last) in [
        (json!({ "maxBytes": 0 }), 1),
        (json!({ "maxBytes": 1000 }), 1),
        (json!({ "maxBytes": PART }), 1),
        (json!({ "maxBytes": PART + 1 }), 2),
        (json!({ "maxBytes": 100 * PART }), 100),
        (json!({}), 10_000),
    ] {
        let holder = holder(&stack, &bob, scope.clone()).await;
        let parts = holder.parts("big.bin").await;
        let batch = async |numbers: &str| {
            let path =
                holder.path(&format!("multipart/{}/batch?key={}&partNumbers={numbers}", parts.upload, parts.key));
            stack.anyone().get(&path).await
        };
        for number in [1, last] {
            let signed = holder.of("GET", &parts, &format!("/{number}"), Value::Null).await;
            assert_eq!(signed.status, 200, "part {number} of {scope}: {signed}");
        }
        assert_eq!(batch(&format!("1,{last}")).await.status, 200, "{scope}");
        let invalid = "Invalid part number: 1 to 10000";
        holder.of("GET", &parts, "/10001", Value::Null).await.fails_with_message(400, invalid);
        if last < 10_000 {
            for number in [last + 1, 10_000] {
                let signed = holder.of("GET", &parts, &format!("/{number}"), Value::Null).await;
                signed.fails_with_message(413, beyond);
                batch(&format!("1,{number}")).await.fails_with_message(413, beyond);
            }
        }
        holder.of("DELETE", &parts, "", Value::Null).await.is(200, json!({}));
    }
}

#[tokio::test]
async fn a_part_whose_size_is_said_is_signed_for_that_size() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({ "maxBytes": 1000 })).await;
    let parts = holder.parts("a.bin").await;
    let sign = async |size: &str| {
        let path = holder.path(&format!("multipart/{}/1?key={}&size={size}", parts.upload, parts.key));
        stack.anyone().get(&path).await
    };
    let signed = sign("5").await.json();
    let put = async |bytes: &'static str| {
        stack.http.put(signed["url"].as_str().unwrap()).body(bytes).send().await.unwrap().status().as_u16()
    };
    assert_eq!((put("hello!").await, put("hell").await, put("hello").await), (403, 403, 200));
    assert_eq!(sign("1000").await.status, 200);
    sign("1001").await.fails_with_message(413, "The upload is larger than it may be: begin again with less");
    for size in ["", "x", "-1", "1.5", "5368709121", "99999999999999999999"] {
        sign(size).await.fails_with_message(400, "Invalid size: 0 to 5368709120 bytes");
    }
    holder.of("DELETE", &parts, "", Value::Null).await.is(200, json!({}));
}

/// S3 reports this when it joins the parts. The emulator does not.
#[tokio::test]
async fn a_small_part_before_the_last_is_refused_and_may_be_sent_anew() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({})).await;
    let parts = holder.parts("big.bin").await;
    let small = holder.send(&parts, 1, vec![1; PART - 1]).await;
    let last = holder.send(&parts, 2, vec![2; 1]).await;
    let invalid = "Invalid parts: all but the last must have 5 MiB or more";
    holder.complete(&parts, &[&small, &last]).await.fails_with_message(400, invalid);
    bob.request("POST", &format!("/files/{}/complete", parts.id)).send().await.fails(400, invalid);
    bob.get(&format!("/files/{}", parts.id)).await.fails(404, "Not found");

    let whole = holder.send(&parts, 1, vec![1; PART]).await;
    assert_eq!(holder.complete(&parts, &[&whole, &last]).await.status, 200);
    assert_eq!(bob.get(&format!("/files/{}", parts.id)).await.document(200)["size"], PART + 1);
}

#[tokio::test]
async fn more_parts_than_there_can_be_are_refused() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let holder = holder(&stack, &bob, json!({})).await;
    let parts = holder.parts("big.bin").await;
    let tag = holder.send(&parts, 1, b"hello".to_vec()).await;
    let invalid = "Invalid parts";
    for numbers in [0..10_001, 1..10_002] {
        let named: Vec<Value> = numbers.map(|n| json!({ "PartNumber": n, "ETag": "x" })).collect();
        let answer = holder.of("POST", &parts, "/complete", json!({ "parts": named })).await;
        answer.fails_with_message(400, invalid);
    }
    for named in [json!([[1, tag], [1, tag]]), json!([[2, tag]]), json!([[1, tag], [2, tag]]), json!([[1, "x"]])] {
        let named: Vec<Value> =
            named.as_array().unwrap().iter().map(|part| json!({ "PartNumber": part[0], "ETag": part[1] })).collect();
        let answer = holder.of("POST", &parts, "/complete", json!({ "parts": named })).await;
        answer.fails_with_message(400, invalid);
    }
    assert_eq!(holder.complete(&parts, &[&tag]).await.status, 200);
}

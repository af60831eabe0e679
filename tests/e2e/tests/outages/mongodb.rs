//! Without MongoDB only `/status` is answered, and no answer is wrong.

use e2e::{PASSWORD, Stack, Times, User, record_measurement, unique};
use futures_util::future::join_all;
use serde_json::json;

use crate::{all_is_well, alone, faults::Outage, is_status, is_unavailable, works_again};

#[tokio::test]
async fn r12_while_mongodb_hangs_everything_is_unavailable_in_time() {
    everything_is_unavailable_and_then_well_again(Outage::Hang, "hangs").await;
}

#[tokio::test]
async fn r12_while_mongodb_is_dead_everything_is_unavailable_in_time() {
    everything_is_unavailable_and_then_well_again(Outage::Crash, "is dead").await;
}

async fn everything_is_unavailable_and_then_well_again(outage: Outage, how: &str) {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let (private, public) = (bob.upload("private.txt", b"hi").await, bob.upload("public.txt", b"hi").await);
    bob.publish(&public).await;

    let mut times = Times::default();
    let undo = outage.of(&stack, "mongodb").await;
    for _ in 0..2 {
        is_status(&stack.anyone().get("/status").await, json!({ "redis": true, "db": false }));
        all_unavailable(&stack, &bob, &private, &public, &mut times).await;
    }
    drop(undo);
    record_measurement("R12", how, times);

    all_is_well(&bob).await;
    let again = works_again(async || bob.get(&format!("/files/{private}/data")).await).await;
    again.is_content("text/plain; charset=utf-8", b"hi");
    works_again(async || bob.get("/users/me").await).await.is(200, json!({ "id": bob.id, "email": bob.email }));
    assert_eq!(works_again(async || stack.anyone().connect(&bob.email, PASSWORD).await).await.status, 200);
    assert_eq!(works_again(async || stack.anyone().sign_up(&unique("bob"), "x").await).await.status, 201);
    let folder = json!({ "name": "a", "type": "folder" });
    works_again(async || bob.create(folder.clone()).await).await.document(201);
    // No refused request was executed.
    let listed = works_again(async || bob.get("/files").await).await.documents();
    let mut listed: Vec<_> = listed.iter().map(|file| (file["name"].as_str(), file["isPublic"].as_bool())).collect();
    listed.sort_unstable();
    let expected = [("a", false), ("private.txt", false), ("public.txt", true)];
    assert_eq!(listed, expected.map(|(name, is_public)| (Some(name), Some(is_public))));
}

/// All requests run at once, so that the outage is only as long as the slowest of them.
async fn all_unavailable(stack: &Stack, bob: &User, private: &str, public: &str, times: &mut Times) {
    let anyone = stack.anyone();
    let email = unique("refused");
    let requests = [
        ("sign up", anyone.request("POST", "/users").json(json!({ "email": email, "password": "x" }))),
        ("connect", {
            let credentials = e2e::encoded(format!("{}:{PASSWORD}", bob.email).as_bytes());
            anyone.request("GET", "/connect").header("Authorization", &format!("Basic {credentials}"))
        }),
        ("stats", anyone.request("GET", "/stats")),
        ("me", bob.request("GET", "/users/me")),
        ("disconnect", bob.request("GET", "/disconnect")),
        ("the sessions", bob.request("GET", "/users/me/sessions")),
        ("change the password", {
            let change = json!({ "password": PASSWORD, "newPassword": "another" });
            bob.request("PUT", "/users/me/password").json(change)
        }),
        ("leave", bob.request("DELETE", "/users/me").json(json!({ "password": PASSWORD }))),
        ("a folder", bob.request("POST", "/files").json(json!({ "name": "refused", "type": "folder" }))),
        ("a file", bob.request("POST", "/files").json(json!({ "name": "refused", "type": "file", "data": "aGk=" }))),
        ("list", bob.request("GET", "/files")),
        ("show", bob.request("GET", &format!("/files/{private}"))),
        ("publish", bob.request("PUT", &format!("/files/{private}/publish"))),
        ("unpublish", bob.request("PUT", &format!("/files/{public}/unpublish"))),
        ("private content", bob.request("GET", &format!("/files/{private}/data"))),
        ("public content", anyone.request("GET", &format!("/files/{public}/data"))),
    ];
    for (what, answer) in join_all(requests.map(async |(what, request)| (what, request.send().await))).await {
        is_unavailable(what, &answer);
        times.push(answer.took);
    }
}

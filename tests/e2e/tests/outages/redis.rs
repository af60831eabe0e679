//! Without Redis no session can be checked, but everything without a session works.

use std::time::Duration;

use e2e::{PASSWORD, Stack, Times, User, record_measurement, unique};
use futures_util::future::join_all;
use serde_json::json;

use crate::{all_is_well, alone, faults::Outage, is_status, is_unavailable, works_again};

#[tokio::test]
async fn r13_while_redis_hangs_sessions_are_unavailable_and_nothing_else() {
    sessions_are_unavailable_and_then_well_again(Outage::Hang, "hangs").await;
}

#[tokio::test]
async fn r13_while_redis_is_dead_sessions_are_unavailable_and_nothing_else() {
    sessions_are_unavailable_and_then_well_again(Outage::Crash, "is dead").await;
}

async fn sessions_are_unavailable_and_then_well_again(outage: Outage, how: &str) {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let (private, public) = (bob.upload("private.txt", b"hi").await, bob.upload("public.txt", b"hi").await);
    bob.publish(&public).await;

    let mut times = Times::default();
    let undo = outage.of(&stack, "redis").await;
    for _ in 0..2 {
        is_status(&stack.anyone().get("/status").await, json!({ "redis": false, "db": true }));
        sessions_unavailable(&stack, &bob, &private, &mut times).await;
        the_rest_works(&stack, &bob, &private, &public).await;
    }
    drop(undo);
    record_measurement("R13", how, times);

    all_is_well(&bob).await;
    let session = works_again(async || stack.anyone().connect(&bob.email, PASSWORD).await).await;
    assert_eq!(session.status, 200, "of {session}");
    let again = stack.anyone().with_token(session.json()["token"].as_str().unwrap());
    works_again(async || again.get("/users/me").await).await.is(200, json!({ "id": bob.id, "email": bob.email }));
    assert_eq!(works_again(async || again.get(&format!("/files/{private}/data")).await).await.body, b"hi");
    let listed = works_again(async || again.get("/files").await).await.documents();
    assert_eq!(listed.len(), 2, "{listed:?}");
    if matches!(outage, Outage::Crash) {
        // The test stack's Redis saves nothing, so every session is lost, and the answer says so.
        bob.get("/users/me").await.fails(401, "Unauthorized");
    } else {
        assert_eq!(bob.get("/users/me").await.status, 200);
    }
}

async fn sessions_unavailable(stack: &Stack, bob: &User, private: &str, times: &mut Times) {
    let credentials = e2e::encoded(format!("{}:{PASSWORD}", bob.email).as_bytes());
    let requests = [
        ("connect", stack.anyone().request("GET", "/connect").header("Authorization", &format!("Basic {credentials}"))),
        ("an unknown token", stack.anyone().with_token("unknown").request("GET", "/users/me")),
        ("me", bob.request("GET", "/users/me")),
        ("disconnect", bob.request("GET", "/disconnect")),
        ("the sessions", bob.request("GET", "/users/me/sessions")),
        ("end a session", bob.request("DELETE", "/users/me/sessions/malformed")),
        ("end all others", bob.request("DELETE", "/users/me/sessions")),
        ("change the password", {
            let change = json!({ "password": PASSWORD, "newPassword": "another" });
            bob.request("PUT", "/users/me/password").json(change)
        }),
        ("leave", bob.request("DELETE", "/users/me").json(json!({ "password": PASSWORD }))),
        ("a folder", bob.request("POST", "/files").json(json!({ "name": "refused", "type": "folder" }))),
        ("list", bob.request("GET", "/files")),
        ("show", bob.request("GET", &format!("/files/{private}"))),
        ("a strange id", bob.request("GET", "/files/malformed")),
        ("publish", bob.request("PUT", &format!("/files/{private}/publish"))),
        ("unpublish", bob.request("PUT", &format!("/files/{private}/unpublish"))),
        ("private content", bob.request("GET", &format!("/files/{private}/data"))),
        ("unknown content", bob.request("GET", "/files/5f1e7d35c7ba06511e683b21/data")),
    ];
    for (what, answer) in join_all(requests.map(async |(what, request)| (what, request.send().await))).await {
        is_unavailable(what, &answer);
        assert!(answer.took < Duration::from_millis(2500), "{what} took {:?}", answer.took);
        times.push(answer.took);
    }
}

async fn the_rest_works(stack: &Stack, bob: &User, private: &str, public: &str) {
    let anyone = stack.anyone();
    let content = format!("/files/{public}/data");
    for reader in [&anyone, &**bob, &anyone.with_token("unknown")] {
        let answer = reader.get(&content).await;
        answer.is_content("text/plain; charset=utf-8", b"hi");
        assert!(answer.took < Duration::from_millis(1500), "public content took {:?}", answer.took);
    }
    anyone.get(&format!("/files/{private}/data")).await.fails(404, "Not found");
    anyone.get("/users/me").await.fails(401, "Unauthorized");
    assert_eq!(anyone.get("/stats").await.status, 200);
    let joined = anyone.sign_up(&unique("bob"), "x").await;
    assert_eq!(joined.status, 201, "{joined}");
    assert!(joined.took < Duration::from_millis(2500), "a sign-up took {:?}", joined.took);
}

/// The number of GET commands that Redis has executed.
async fn gets(stack: &Stack) -> u64 {
    let mut redis = stack.redis().await;
    let told: String = redis::cmd("INFO").arg("commandstats").query_async(&mut redis).await.unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls=")).unwrap_or("0,");
    line.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn s12_private_and_missing_files_both_ask_redis_for_the_viewer() {
    let (_alone, stack) = alone().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (private, public) = (bob.upload("private.txt", b"hi").await, bob.upload("public.txt", b"hi").await);
    bob.publish(&public).await;
    for viewer in [&*eve, &stack.anyone().with_token("unknown")] {
        for (id, status, asked) in [(&*private, 404, 1), ("5f1e7d35c7ba06511e683b21", 404, 1), (&*public, 200, 0)] {
            let before = gets(&stack).await;
            assert_eq!(viewer.get(&format!("/files/{id}/data")).await.status, status);
            assert_eq!(gets(&stack).await - before, asked, "of {id}");
        }
    }
}

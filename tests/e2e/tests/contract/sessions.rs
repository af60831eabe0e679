//! `/users/me/sessions`: the open sessions of a user, and how to end them.

use e2e::{
    Client, PASSWORD, Stack, User,
    ledger::{all_of, due_tombstone, set},
    session_key,
};
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use redis::AsyncCommands;
use serde_json::{Value, json};

const DAY: i64 = 86_400_000;

async fn list(client: &Client) -> Vec<Value> {
    let answer = client.get("/users/me/sessions").await;
    assert_eq!(answer.status, 200, "{answer}");
    serde_json::from_value(answer.json()).unwrap()
}

async fn end(client: &Client, path: &str) -> u16 {
    let answer = client.request("DELETE", &format!("/users/me/sessions{path}")).send().await;
    match answer.status {
        204 => assert!(answer.body.is_empty()),
        _ => answer.fails(404, "Not found"),
    }
    answer.status
}

fn index(user: &User) -> String {
    format!("sessions_{}", user.id)
}

fn time(session: &Value, key: &str) -> i64 {
    DateTime::parse_rfc3339_str(session[key].as_str().unwrap()).unwrap().timestamp_millis()
}

#[tokio::test]
async fn the_sessions_of_a_user_are_listed_newest_first() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let second = stack.anyone().with_token(bob.another_token().await);
    let third = stack.anyone().with_token(bob.another_token().await);
    for (at, client) in [(2, &*bob), (1, &second), (0, &third)] {
        let sessions = list(client).await;
        let current: Vec<bool> = sessions.iter().map(|session| session["current"].as_bool().unwrap()).collect();
        assert_eq!(current, [at == 0, at == 1, at == 2]);
        assert!(sessions.is_sorted_by(|a, b| time(a, "createdAt") > time(b, "createdAt")), "{sessions:?}");
        for session in &sessions {
            assert_eq!(session.as_object().unwrap().len(), 4, "{session}");
            assert_eq!(time(session, "expiresAt") - time(session, "createdAt"), DAY);
            assert!((time(session, "createdAt") - DateTime::now().timestamp_millis()).abs() < 60_000, "{session}");
        }
    }
    assert_eq!(list(&eve).await.len(), 1);
}

#[tokio::test]
async fn the_id_of_a_session_opens_none() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = list(&bob).await[0]["id"].as_str().unwrap().to_owned();
    assert!(id.len() == 24 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    assert!(!bob.token.contains(&id));
    assert!(!stack.redis().await.exists::<_, bool>(format!("auth_{id}")).await.unwrap());
    stack.anyone().with_token(id).get("/users/me").await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn a_session_can_be_ended_from_another() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let other = stack.anyone().with_token(bob.another_token().await);
    let id = list(&bob).await[0]["id"].as_str().unwrap().to_owned();
    for unknown in [&format!("/{}", "0".repeat(24)), "/malformed", "/%00", "/%ff", "/..%2f", &format!("/{id}0")] {
        assert_eq!(end(&bob, unknown).await, 404, "{unknown}");
    }
    // A session of another user is not found.
    assert_eq!(end(&eve, &format!("/{id}")).await, 404);
    assert_eq!(other.get("/users/me").await.status, 200);

    assert_eq!(end(&bob, &format!("/{id}")).await, 204);
    other.get("/users/me").await.fails(401, "Unauthorized");
    assert_eq!(end(&bob, &format!("/{id}")).await, 404);
    let left = list(&bob).await;
    assert_eq!((left.len(), &left[0]["current"]), (1, &json!(true)));

    // The session of the request can be ended like any other.
    assert_eq!(end(&bob, &format!("/{}", left[0]["id"].as_str().unwrap())).await, 204);
    bob.get("/users/me").await.fails(401, "Unauthorized");
    assert!(!stack.redis().await.exists::<_, bool>(index(&bob)).await.unwrap());
}

#[tokio::test]
async fn all_other_sessions_can_be_ended_at_once() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let others = [bob.another_token().await, bob.another_token().await];
    for _ in 0..2 {
        assert_eq!(end(&bob, "").await, 204);
        assert_eq!(list(&bob).await.len(), 1);
        for token in &others {
            stack.anyone().with_token(token).get("/users/me").await.fails(401, "Unauthorized");
        }
    }
    assert_eq!(eve.get("/users/me").await.status, 200);
    assert_eq!(stack.anyone().connect(&bob.email, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn other_sessions_end_even_if_redis_has_lost_their_list() {
    let stack = Stack::running().await;
    let mut redis = stack.redis().await;
    for (method, path) in [("PUT", "/users/me/password"), ("DELETE", "/users/me/sessions")] {
        let bob = stack.user("bob").await;
        let other = stack.anyone().with_token(bob.another_token().await);
        let body = json!({ "password": PASSWORD, "newPassword": PASSWORD });
        // Both sessions are one hour old.
        for token in [&bob.token, other.token()] {
            assert!(redis.expire::<_, bool>(session_key(token), 82_800).await.unwrap());
        }
        assert!(redis.del::<_, bool>(index(&bob)).await.unwrap());
        assert_eq!(bob.request(method, path).json(body).send().await.status, 204);
        assert!(redis.exists::<_, bool>(session_key(other.token())).await.unwrap());
        other.get("/users/me").await.fails(401, "Unauthorized");
        // The session of the request continues, and new ones can be opened.
        assert_eq!(bob.get("/users/me").await.status, 200);
        let next = stack.anyone().with_token(bob.another_token().await);
        assert_eq!(next.get("/users/me").await.status, 200);
    }
}

/// A file is read together with the account of its owner.
#[tokio::test]
async fn a_session_that_redis_alone_knows_opens_no_file() {
    let stack = Stack::running().await;
    let mut redis = stack.redis().await;
    for is_user_gone in [false, true] {
        let bob = stack.user("bob").await;
        let other = stack.anyone().with_token(bob.another_token().await);
        let (private, public) = (bob.upload("notes.txt", b"hi").await, bob.upload("public.txt", b"hi").await);
        assert_eq!(bob.put(&format!("/files/{public}/publish")).await.status, 200);
        other.get(&format!("/files/{private}/data")).await.is_content("text/plain; charset=utf-8", b"hi");
        if is_user_gone {
            stack.users.delete_one(doc! { "_id": bob.object_id() }).await.unwrap();
        } else {
            // The session is one hour old, so that it is older than the end of all others.
            assert!(redis.expire::<_, bool>(session_key(other.token()), 82_800).await.unwrap());
            assert!(redis.del::<_, bool>(index(&bob)).await.unwrap());
            assert_eq!(end(&bob, "").await, 204);
        }
        assert!(redis.exists::<_, bool>(session_key(other.token())).await.unwrap());
        for id in [private.as_str(), &ObjectId::new().to_hex(), "malformed"] {
            other.get(&format!("/files/{id}")).await.fails(401, "Unauthorized");
            other.put(&format!("/files/{id}/publish")).await.fails(401, "Unauthorized");
            other.put(&format!("/files/{id}/unpublish")).await.fails(401, "Unauthorized");
            other.get(&format!("/files/{id}/data")).await.fails(404, "Not found");
        }
        other.get(&format!("/files/{public}/data")).await.is_content("text/plain; charset=utf-8", b"hi");
        assert!(!stack.row(&private).await.get_bool("isPublic").unwrap());
        if is_user_gone {
            // The account is gone, so only the test can delete the file.
            let rows = stack.files.update_many(all_of(bob.object_id()), set(due_tombstone())).await.unwrap();
            assert_eq!(rows.matched_count, 2);
        }
    }
}

#[tokio::test]
async fn a_session_that_is_over_is_not_listed() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (ended, expired, lost) = (bob.another_token().await, bob.another_token().await, bob.another_token().await);
    let mut redis = stack.redis().await;
    assert_eq!(stack.anyone().with_token(&ended).get("/disconnect").await.status, 204);
    assert_eq!(redis.zcard::<_, u32>(index(&bob)).await.unwrap(), 3);
    assert!(redis.expire_at::<_, bool>(session_key(&expired), 1).await.unwrap());
    assert!(redis.del::<_, bool>(session_key(&lost)).await.unwrap());
    let left = list(&bob).await;
    assert_eq!((left.len(), &left[0]["current"]), (1, &json!(true)), "{left:?}");
}

#[tokio::test]
async fn the_session_list_lives_as_long_as_a_session_may_and_drops_expired_ones() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let mut redis = stack.redis().await;
    let () = redis.zadd(index(&bob), "0".repeat(64), DateTime::now().timestamp_millis() - 120_000).await.unwrap();
    let () = redis.expire(index(&bob), 1000).await.unwrap();
    bob.another_token().await;
    assert_eq!(redis.zcard::<_, u32>(index(&bob)).await.unwrap(), 2);
    let seconds: i64 = redis.ttl(index(&bob)).await.unwrap();
    // The web app may prolong a session up to a month after the sign-in.
    assert!((30 * 86_400 - 10..=30 * 86_400).contains(&seconds), "{seconds}");
}

/// Adds this number of open sessions that are older than the existing ones, the oldest first. Returns their keys in
/// Redis.
async fn plant(stack: &Stack, bob: &User, count: i64) -> Vec<String> {
    let (mut planted, mut keys) = (redis::pipe(), Vec::new());
    for n in 0..count {
        let digest = format!("{}{n:040}", bob.id);
        let key = format!("auth_{digest}");
        planted.set_ex(&key, &bob.id, 600).ignore();
        planted.zadd(index(bob), digest, DateTime::now().timestamp_millis() + 600_000 + n).ignore();
        keys.push(key);
    }
    let () = planted.query_async(&mut stack.redis().await).await.unwrap();
    keys
}

#[tokio::test]
async fn a_login_beyond_a_thousand_sessions_ends_the_oldest() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let mut redis = stack.redis().await;
    let planted = plant(&stack, &bob, 1000).await;
    for ended in [2, 3] {
        let token = bob.another_token().await;
        assert_eq!(stack.anyone().with_token(token).get("/users/me").await.status, 200);
        let there: Vec<bool> =
            redis::pipe().exists(&planted[ended - 1]).exists(&planted[ended]).query_async(&mut redis).await.unwrap();
        assert_eq!(there, [false, true], "{ended}");
        assert_eq!(redis.zcard::<_, u32>(index(&bob)).await.unwrap(), 1000);
    }
    assert_eq!(list(&bob).await.len(), 1000);
    assert_eq!(bob.get("/users/me").await.status, 200);
}

#[tokio::test]
async fn thousands_of_sessions_are_no_trouble() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    plant(&stack, &bob, 2500).await;
    let mut redis = stack.redis().await;
    let listed = list(&bob).await;
    assert_eq!((listed.len(), &listed[0]["current"]), (1000, &json!(true)));

    assert_eq!(end(&bob, "").await, 204);
    assert_eq!(list(&bob).await.len(), 1);
    assert_eq!(redis.keys::<_, Vec<String>>(format!("auth_{}*", bob.id)).await.unwrap(), [""; 0]);
}

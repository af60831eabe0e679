//! Sessions, and the passwords that open them.

use argon2::password_hash::{PasswordHasher, phc::PasswordHash};
use e2e::{PASSWORD, SHA1_OF_PASSWORD, Stack, encoded, session_key, unique};
use futures_util::future::join_all;
use mongodb::bson::{doc, oid::ObjectId};
use redis::AsyncCommands;
use serde_json::json;

#[tokio::test]
async fn s17_connecting_answers_with_a_token_of_256_bits_and_nothing_else() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let answer = stack.anyone().connect(&bob.email, PASSWORD).await;
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    answer.is(200, json!({ "token": token }));
    // 32 bytes in base64url without padding.
    assert!(token.len() == 43 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{token}");
}

#[tokio::test]
async fn s17_redis_holds_the_user_under_the_digest_of_the_token_for_a_day() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let mut redis = stack.redis().await;
    let user: String = redis.get(session_key(&bob.token)).await.unwrap();
    assert_eq!(user, bob.id);
    let seconds: i64 = redis.ttl(session_key(&bob.token)).await.unwrap();
    assert!((86_390..=86_400).contains(&seconds), "{seconds}");
    assert!(!redis.exists::<_, bool>(format!("auth_{}", bob.token)).await.unwrap());
    // The list of the user's sessions does not have the token either.
    let listed: Vec<String> = redis.zrange(format!("sessions_{}", bob.id), 0, -1).await.unwrap();
    assert_eq!(listed.iter().map(|digest| format!("auth_{digest}")).collect::<Vec<_>>(), [session_key(&bob.token)]);
}

#[tokio::test]
async fn a_session_is_not_prolonged_by_its_use() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let mut redis = stack.redis().await;
    let _: bool = redis.expire(session_key(&bob.token), 1000).await.unwrap();
    assert_eq!(bob.get("/users/me").await.status, 200);
    assert!(redis.ttl::<_, i64>(session_key(&bob.token)).await.unwrap() <= 1000);
}

#[tokio::test]
async fn every_connect_makes_a_new_token_and_older_ones_stay() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let tokens = [bob.token.clone(), bob.another_token().await, bob.another_token().await];
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2] && tokens[0] != tokens[2]);
    for token in tokens {
        assert_eq!(stack.anyone().with_token(token).get("/users/me").await.status, 200);
    }
}

#[tokio::test]
async fn connecting_without_good_credentials_is_unauthorized() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let good = encoded(format!("{}:{PASSWORD}", bob.email).as_bytes());
    let connect = |authorization: Option<String>| {
        let request = stack.anyone().request("GET", "/connect");
        authorization.into_iter().fold(request, |request, value| request.header("Authorization", &value)).send()
    };
    connect(None).await.fails(401, "Unauthorized");
    for authorization in [
        String::new(),
        "Basic".into(),
        "Basic ".into(),
        good.clone(),
        format!("Bearer {good}"),
        format!("Digest {good}"),
        format!("Basic{good}"),
        format!("Basic {good}!"),
        "Basic !!!".into(),
        format!("Basic {}", encoded(b"no colon")),
        format!("Basic {}", encoded(b":")),
        format!("Basic {}", encoded(b"\xff\xfe:\xff")),
        format!("Basic {}", encoded(format!("{}:", bob.email).as_bytes())),
        format!("Basic {}", encoded(format!("{}:wrong", bob.email).as_bytes())),
        format!("Basic {}", encoded(format!("{}:{PASSWORD}\n", bob.email).as_bytes())),
        format!("Basic {}", encoded(format!("{}:{PASSWORD}", bob.email.to_uppercase()).as_bytes())),
        format!("Basic {}", encoded(format!("{}:{PASSWORD}", unique("nobody")).as_bytes())),
        format!("Basic {}", encoded(format!("{}:{}", bob.email, "x".repeat(1025)).as_bytes())),
    ] {
        connect(Some(authorization.clone())).await.fails(401, "Unauthorized");
    }
    // An `X-Token` does not replace credentials.
    bob.get("/connect").await.fails(401, "Unauthorized");
    assert_eq!(connect(Some(format!("Basic {good}"))).await.status, 200);
}

#[tokio::test]
async fn the_password_begins_after_the_first_colon() {
    let stack = Stack::running().await;
    let email = unique("bob");
    for (email, password) in [(&*email, "a:b::c:"), (&*format!("{email}2"), ":")] {
        assert_eq!(stack.anyone().sign_up(email, password).await.status, 201);
        assert_eq!(stack.anyone().connect(email, password).await.status, 200);
    }
    // A Basic user name ends at the first colon, so an e-mail with a colon could never log in.
    stack.anyone().sign_up(&format!("{email}:x"), PASSWORD).await.fails(400, "Invalid email");
}

#[tokio::test]
async fn the_name_of_the_scheme_may_be_in_any_case() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for scheme in ["basic", "BASIC", "bAsIc"] {
        let value = format!("{scheme} {}", encoded(format!("{}:{PASSWORD}", bob.email).as_bytes()));
        let answer = stack.anyone().request("GET", "/connect").header("Authorization", &value).send().await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn a_head_neither_opens_a_session_nor_ends_one() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let basic = format!("Basic {}", encoded(format!("{}:{PASSWORD}", bob.email).as_bytes()));
    let head = stack.anyone().request("HEAD", "/connect").header("Authorization", &basic);
    for answer in [head.send().await, bob.request("HEAD", "/disconnect").send().await] {
        assert_eq!((answer.status, answer.header("allow"), &*answer.body), (405, "GET", &b""[..]), "{answer}");
    }
    assert_eq!(bob.get("/users/me/sessions").await.json().as_array().unwrap().len(), 1);
    for path in ["/connect", "/disconnect"] {
        assert_eq!(bob.request("POST", path).send().await.header("allow"), "GET");
    }
}

/// This test invokes the function directly, because the gateway adds a `Content-Type` to every answer without one.
#[tokio::test]
async fn an_answer_without_a_body_has_no_content_type() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let answer = stack.invoke_http("auth", "GET", "/disconnect", json!({ "x-token": bob.token })).await;
    assert_eq!(answer["statusCode"], 204, "{answer}");
    assert_eq!(answer["headers"].get("content-type"), None, "{answer}");
    bob.get("/users/me").await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn disconnecting_answers_204_with_nothing_and_ends_that_session_alone() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let other = stack.anyone().with_token(bob.another_token().await);
    let answer = bob.get("/disconnect").await;
    assert_eq!((answer.status, answer.body.as_slice()), (204, &[][..]));

    bob.get("/users/me").await.fails(401, "Unauthorized");
    bob.get("/disconnect").await.fails(401, "Unauthorized");
    assert!(!stack.redis().await.exists::<_, bool>(session_key(&bob.token)).await.unwrap());
    assert_eq!(other.get("/users/me").await.status, 200);
    assert_eq!(stack.anyone().connect(&bob.email, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_bare_sha1_of_the_original_logs_in_and_is_replaced() {
    a_legacy_password_logs_in_and_is_replaced(SHA1_OF_PASSWORD).await;
}

#[tokio::test]
async fn a_wrapped_sha1_logs_in_and_is_replaced() {
    a_legacy_password_logs_in_and_is_replaced(&wrapped()).await;
}

async fn a_legacy_password_logs_in_and_is_replaced(legacy: &str) {
    let stack = Stack::running().await;
    let (id, email) = (ObjectId::new(), unique("veteran"));
    stack.users.insert_one(doc! { "_id": id, "email": &email, "password": legacy }).await.unwrap();
    let stored = async || {
        let user = stack.users.find_one(doc! { "_id": id }).await.unwrap().unwrap();
        user.get_str("password").unwrap().to_owned()
    };

    stack.anyone().connect(&email, "wrong").await.fails(401, "Unauthorized");
    stack.anyone().connect(&email, legacy).await.fails(401, "Unauthorized");
    stack.anyone().connect(&email, SHA1_OF_PASSWORD).await.fails(401, "Unauthorized");
    assert_eq!(stored().await, legacy);

    let session = stack.anyone().connect(&email, PASSWORD).await.json();
    let me = stack.anyone().with_token(session["token"].as_str().unwrap()).get("/users/me").await;
    me.is(200, json!({ "id": id.to_hex(), "email": email }));
    let replaced = stored().await;
    assert!(replaced.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{replaced}");

    assert_eq!(stack.anyone().connect(&email, PASSWORD).await.status, 200);
    stack.anyone().connect(&email, SHA1_OF_PASSWORD).await.fails(401, "Unauthorized");
    assert_eq!(stored().await, replaced);
}

#[tokio::test]
async fn s16_the_upgrade_lets_racing_logins_succeed() {
    let stack = Stack::running().await;
    let (anyone, email) = (stack.anyone(), unique("veteran"));
    stack.users.insert_one(doc! { "email": &email, "password": SHA1_OF_PASSWORD }).await.unwrap();
    let answers = join_all((0..8).map(|_| anyone.connect(&email, PASSWORD))).await;
    for answer in answers {
        assert_eq!(answer.status, 200, "{answer}");
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        assert_eq!(anyone.with_token(token).get("/users/me").await.status, 200);
    }
    assert_eq!(anyone.connect(&email, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn s16_racing_logins_do_not_bring_an_old_password_back() {
    let stack = Stack::running().await;
    let anyone = stack.anyone();
    let newer: PasswordHash = argon2::Argon2::default().hash_password(b"newer").unwrap();
    let newer = newer.to_string();
    for legacy in [SHA1_OF_PASSWORD.to_owned(), wrapped()] {
        let email = unique("veteran");
        stack.users.insert_one(doc! { "email": &email, "password": &legacy }).await.unwrap();
        // The password is changed while the logins run, so that some read it before and some after the change.
        let change = async {
            anyone.connect(&unique("nobody"), PASSWORD).await;
            let change = doc! { "$set": { "password": &newer } };
            stack.users.update_one(doc! { "email": &email }, change).await.unwrap();
        };
        let logins = join_all((0..8).map(|_| anyone.connect(&email, PASSWORD)));
        let (answers, ()) = futures_util::future::join(logins, change).await;
        assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status)));
        let stored = stack.users.find_one(doc! { "email": &email }).await.unwrap().unwrap();
        assert_eq!(stored.get_str("password").unwrap(), newer);
        assert_eq!(anyone.connect(&email, "newer").await.status, 200);
        anyone.connect(&email, PASSWORD).await.fails(401, "Unauthorized");
    }
}

#[tokio::test]
async fn s16_the_upgrade_may_fail_and_the_login_succeeds() {
    let stack = Stack::running().await;
    let email = unique("veteran");
    stack.users.insert_one(doc! { "email": &email, "password": SHA1_OF_PASSWORD }).await.unwrap();
    // A validation rule in MongoDB refuses every change of this account.
    let unchanged = doc! { "$or": [{ "email": { "$ne": &email } }, { "password": SHA1_OF_PASSWORD }] };
    let guard = doc! { "collMod": "users", "validator": unchanged };
    stack.users.client().database(&stack.users.namespace().db).run_command(guard).await.unwrap();

    assert_eq!(stack.anyone().connect(&email, PASSWORD).await.status, 200);
    let user = stack.users.find_one(doc! { "email": &email }).await.unwrap().unwrap();
    assert_eq!(user.get_str("password").unwrap(), SHA1_OF_PASSWORD);
}

#[tokio::test]
async fn a_stored_password_of_unknown_form_never_logs_in() {
    let stack = Stack::running().await;
    for stored in ["", PASSWORD, "sha1:", "sha1:x", "$argon2id$", "89cad29e3ebc1035b29b1478a8e70854f25fa2b"] {
        let email = unique("veteran");
        stack.users.insert_one(doc! { "email": &email, "password": stored }).await.unwrap();
        for password in [PASSWORD, stored, ""] {
            stack.anyone().connect(&email, password).await.fails(401, "Unauthorized");
        }
    }
}

fn wrapped() -> String {
    let hash: PasswordHash = argon2::Argon2::default().hash_password(SHA1_OF_PASSWORD.as_bytes()).unwrap();
    format!("sha1:{hash}")
}

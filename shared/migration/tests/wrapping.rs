//! The program, run against a database of its own.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

use e2e::{PASSWORD, SHA1_OF_PASSWORD, Stack, unique};
use mongodb::bson::{Document, doc, oid::ObjectId};
use tokio::process::Command;

async fn run(uri: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wrap-passwords")).env("MONGODB_URI", uri).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn every_bare_sha1_is_wrapped_once_and_logs_in() {
    let stack = Stack::running().await;
    let name = unique("wrap");
    let uri = match stack.mongodb_uri.rsplit_once('/') {
        Some((server, _)) => format!("{server}/{name}"),
        None => panic!("{} names a database", stack.mongodb_uri),
    };
    let database = stack.users.client().database(&name);
    let users = database.collection::<Document>("users");
    let legacy: Vec<ObjectId> = (0..40).map(|_| ObjectId::new()).collect();
    let accounts = legacy.iter().enumerate().map(|(n, id)| {
        let digest = if n % 2 == 0 { SHA1_OF_PASSWORD.to_owned() } else { SHA1_OF_PASSWORD.to_uppercase() };
        doc! { "_id": id, "email": format!("{name}-{n}"), "password": digest }
    });
    users.insert_many(accounts).await.unwrap();
    let others = [
        doc! { "email": "a", "password": "$argon2id$v=19$m=12288,t=3,p=1$c29tZXNhbHQ$aGFzaA" },
        doc! { "email": "b", "password": "sha1:$argon2id$v=19$m=12288,t=3,p=1$c29tZXNhbHQ$aGFzaA" },
        doc! { "email": "c", "password": &SHA1_OF_PASSWORD[1..] },
        doc! { "email": "d" },
        doc! { "_id": "e", "email": "e", "password": 7 },
    ];
    users.insert_many(others).await.unwrap();
    let untouched = doc! { "_id": { "$nin": &legacy } };
    let all = async |filter: &Document| {
        use futures_util::TryStreamExt;
        users.find(filter.clone()).sort(doc! { "_id": 1 }).await.unwrap().try_collect::<Vec<_>>().await.unwrap()
    };
    let before = all(&untouched).await;

    let printed = run(&uri).await;
    assert!(
        printed.contains("40 passwords")
            && printed.ends_with("40 are wrapped, 0 were changed by somebody else meanwhile.\n"),
        "{printed}"
    );
    assert_eq!(all(&untouched).await, before);
    let wrapped = all(&doc! { "_id": { "$in": &legacy } }).await;
    assert!(wrapped.iter().all(|user| user.get_str("password").unwrap().starts_with("sha1:$argon2id$")), "{wrapped:?}");

    let printed = run(&uri).await;
    assert!(printed.starts_with("0 passwords"), "{printed}");
    assert_eq!(all(&doc! { "_id": { "$in": &legacy } }).await, wrapped);

    // The passwords as the product reads them.
    let mut moved = wrapped[..2].to_vec();
    for user in &mut moved {
        stack.users.insert_one(&*user).await.unwrap();
        let email = user.get_str("email").unwrap();
        stack.anyone().connect(email, "wrong").await.fails(401, "Unauthorized");
        stack.anyone().connect(email, SHA1_OF_PASSWORD).await.fails(401, "Unauthorized");
        assert_eq!(stack.anyone().connect(email, PASSWORD).await.status, 200);
    }
    database.drop().await.unwrap();
}

#[tokio::test]
async fn without_a_database_it_says_which_variable_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_wrap-passwords")).env_remove("MONGODB_URI").output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("MONGODB_URI"), "{said}");
}

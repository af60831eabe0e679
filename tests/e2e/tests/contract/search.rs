//! `GET /search`. The prefix of a test is the line of the contract of the file manager that the test shows.

use std::time::Duration;

use e2e::{
    Stack, User, eventually,
    ledger::{State, all_of, with, without_words, worded},
};
use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use serde_json::{Value, json};

/// A row as the original stores it.
fn row(owner: &User, parent: impl Into<Bson>, name: impl Into<Bson>) -> Document {
    doc! {
        "_id": ObjectId::new(), "userId": owner.object_id(), "name": name.into(), "type": "file", "isPublic": false,
        "parentId": parent.into(),
    }
}

/// The names that a query finds, the newest first.
async fn found(user: &User, query: &str) -> Vec<String> {
    let found = user.get(&format!("/search?{query}")).await.documents();
    found.iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

async fn named(user: &User, text: &str) -> Vec<String> {
    found(user, &format!("q={}", encoded(text))).await
}

/// A text in a URL.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |url, byte| format!("{url}%{byte:02x}"))
}

async fn made_in(user: &User, parent: &str, name: &str, r#type: &str) -> Value {
    let file = json!({ "name": name, "type": r#type, "data": "aGk=", "parentId": parent });
    user.create(file).await.document(201)
}

#[tokio::test]
async fn f35_a_search_finds_documents_with_their_paths_newest_first() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    bob.get("/search?q=photo").await.is(200, json!([]));
    let photos = bob.folder("photos").await;
    let summer = made_in(&bob, &photos, "summer", "folder").await;
    let summer_id = summer["id"].as_str().unwrap();
    let mut beach = made_in(&bob, summer_id, "beach photo.txt", "file").await;
    let image = made_in(&bob, &photos, "photo.jpg", "image").await;
    let step = |id: &Value, name: &str| json!({ "id": id, "name": name });
    let (above, below) = (step(&json!(photos), "photos"), step(&summer["id"], "summer"));

    let answer = bob.get("/search?q=beach").await;
    beach["path"] = json!([above, below, step(&beach["id"], "beach photo.txt")]);
    answer.is(200, json!([beach]));
    assert_eq!(answer.header("x-incomplete"), "");
    for (query, names) in [
        ("q=photo&type=folder", &["photos"][..]),
        ("q=photo&type=file,folder", &["beach photo.txt", "photos"]),
        ("q=photo&type=image", &["photo.jpg"]),
        ("q=summer&type=image", &[]),
        ("q=...", &[]),
    ] {
        // Two functions that make documents within one second give them ids in any order.
        let mut found = found(&bob, query).await;
        found.sort();
        assert_eq!(found, names, "{query}");
    }
    let image_found = &bob.get("/search?q=photo&type=image").await.documents()[0];
    assert_eq!(image_found["path"], json!([above, step(&image["id"], "photo.jpg")]));

    stack.files.insert_many((0..60).map(|n| row(&bob, 0, format!("counted {n}")))).await.unwrap();
    let newest = |count: usize| (0..60).rev().take(count).map(|n| format!("counted {n}")).collect::<Vec<_>>();
    assert_eq!(found(&bob, "q=counted").await, newest(50));
    assert_eq!(found(&bob, "q=counted&limit=3").await, newest(3));
    assert_eq!(found(&bob, "q=counted&limit=100").await, newest(60));

    for missing in ["", "?", "?q=", "?Q=photo", "?q"] {
        bob.get(&format!("/search{missing}")).await.fails(400, "Missing q");
    }
    bob.get(&format!("/search?q={}", "x".repeat(256))).await.fails(400, "Invalid q");
    bob.get(&format!("/search?q={}", encoded(&"é".repeat(128)))).await.fails(400, "Invalid q");
    bob.get(&format!("/search?q={}", "x".repeat(255))).await.is(200, json!([]));
    for limit in ["", "0", "101", "-1", "x"] {
        bob.get(&format!("/search?q=a&limit={limit}")).await.fails(400, "Invalid limit");
    }
    for r#type in ["", "x", "folder,"] {
        bob.get(&format!("/search?q=a&type={type}")).await.fails(400, "Invalid type");
    }
}

#[tokio::test]
async fn f36_every_word_of_the_query_begins_a_word_of_the_name() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let names = ["IMG_2041.jpg", "请假单.pdf", "Crème Brûlée.txt", "myHolidayPhoto.png", "iPhone 15", "한글 문서.hwp"];
    for (n, name) in names.iter().enumerate() {
        bob.upload(name, b"hi").await;
        // The same names in rows of the original, which have no words.
        stack.files.insert_one(row(&bob, if n % 2 == 0 { Bson::from("0") } else { 0.into() }, *name)).await.unwrap();
    }
    for (query, name) in [
        ("img 20", "IMG_2041.jpg"),
        ("20 IMG", "IMG_2041.jpg"),
        ("2041", "IMG_2041.jpg"),
        ("jpg", "IMG_2041.jpg"),
        ("img_2041.jpg", "IMG_2041.jpg"),
        ("假单", "请假单.pdf"),
        ("请假单.pdf", "请假单.pdf"),
        ("单", "请假单.pdf"),
        ("creme brulee", "Crème Brûlée.txt"),
        ("BRÛ cr", "Crème Brûlée.txt"),
        ("holiday", "myHolidayPhoto.png"),
        ("MYHOLIDAY", "myHolidayPhoto.png"),
        ("iphone", "iPhone 15"),
        ("IPhone", "iPhone 15"),
        ("한글", "한글 문서.hwp"),
        ("문서", "한글 문서.hwp"),
    ] {
        assert_eq!(named(&bob, query).await, [name, name], "{query}");
    }
    for nothing in ["mg", "041", "img 2042", "img 20 x", "假请", "oliday", ".*", "i.*g", "[i]mg", "$ne", "("] {
        assert_eq!(named(&bob, nothing).await, [""; 0], "{nothing}");
    }
}

#[tokio::test]
async fn f36_a_name_of_any_form_is_searched() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for name in [
        Bson::from(12345),
        doc! { "a": "nested" }.into(),
        vec!["listed"].into(),
        Bson::Null,
        true.into(),
        "stored twice".into(),
    ] {
        stack.files.insert_one(row(&bob, 0, name)).await.unwrap();
    }
    stack.files.insert_one(with(row(&bob, 0, "edited"), worded(&["other"]))).await.unwrap();
    let mut by_hand = with(row(&bob, 0, "by hand"), worded(&[]));
    for field in worded(&[]).keys() {
        by_hand.insert(field, "hand");
    }
    stack.files.insert_one(by_hand).await.unwrap();
    for (query, name) in
        [("123", "12345"), ("nested", r#"{ "a": "nested" }"#), ("listed", r#"["listed"]"#), ("true", "true")]
    {
        assert_eq!(named(&bob, query).await, [name], "{query}");
    }
    assert_eq!(named(&bob, "other").await, ["edited"]);
    assert_eq!(named(&bob, "hand").await, ["by hand"]);
    assert_eq!(named(&bob, "hand other").await, [""; 0]);
}

#[tokio::test]
async fn f37_only_what_the_owner_sees_is_found() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (kept, gone) = (bob.folder("kept").await, bob.folder("gone").await);
    let deeper = made_in(&bob, &gone, "deeper", "folder").await;
    for (parent, name) in [(&*kept, "report 1"), (&*gone, "report 2"), (deeper["id"].as_str().unwrap(), "report 3")] {
        made_in(&bob, parent, name, "file").await;
    }
    bob.create(json!({ "name": "report pending", "type": "file", "size": 5 })).await.document(201);
    for state in State::ALL {
        for words in [doc! {}, worded(&["report"])] {
            let hidden = with(row(&bob, 0, "report hidden"), state.until(DateTime::MAX));
            stack.files.insert_one(with(hidden, words)).await.unwrap();
        }
    }
    let public = eve.upload("report of eve", b"hi").await;
    eve.publish(&public).await;
    let mut seen = named(&bob, "report").await;
    seen.sort();
    assert_eq!(seen, ["report 1", "report 2", "report 3"]);
    assert_eq!(named(&eve, "report").await, ["report of eve"]);
    assert_eq!(bob.request("DELETE", &format!("/files/{gone}")).send().await.status, 204);
    assert_eq!(named(&bob, "report").await, ["report 1"]);
    assert_eq!(named(&bob, "deeper").await, [""; 0]);
    // Not without their objects.
    let gone = e2e::ledger::set(e2e::ledger::due_tombstone());
    stack.files.update_many(all_of(bob.object_id()), gone).await.unwrap();
}

/// More than a thousand matches that nobody sees do not hide the one that the owner sees.
#[tokio::test]
async fn f37_a_search_goes_on_behind_what_is_deleted() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let gone = bob.folder("gone").await;
    let inside: ObjectId = gone.parse().unwrap();
    assert_eq!(bob.request("DELETE", &format!("/files/{gone}")).send().await.status, 204);
    let hidden = (0..1500).map(|n| with(row(&bob, inside, format!("report {n}")), worded(&["report"])));
    stack.files.insert_many(hidden).await.unwrap();
    bob.upload("report visible", b"hi").await;
    let answer = bob.get("/search?q=report").await;
    assert_eq!(answer.documents().len(), 1, "{answer}");
    assert_eq!(answer.header("x-incomplete"), "");
    stack.files.delete_many(doc! { "parentId": inside }).await.unwrap();
}

#[tokio::test]
async fn f38_a_search_reads_what_its_longest_word_matches() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let number = |n: i32| 10_000 + n;
    let many = (0..5000).map(|n| {
        let number = number(n).to_string();
        with(row(&bob, 0, format!("IMG_{number}.jpg")), worded(&["img", &number, "jpg"]))
    });
    stack.files.insert_many(many).await.unwrap();
    for query in ["img 12345", "12345 img", "jpg img 12345"] {
        let queries = stack
            .queries_of(bob.object_id(), async || {
                assert_eq!(named(&bob, query).await, ["IMG_12345.jpg"]);
            })
            .await;
        for query in &queries {
            assert!(query.hint.is_some() && !query.plan.contains("COLLSCAN"), "{query:?}");
            assert!(query.keys_examined <= 10 && query.rows_examined <= 10, "{query:?}");
        }
    }
    // All match: of the first thousand the newest come.
    let queries =
        stack.queries_of(bob.object_id(), async || assert_eq!(found(&bob, "q=img&limit=100").await.len(), 100)).await;
    let keys: i64 = queries.iter().map(|query| query.keys_examined).sum();
    assert!(keys <= 1500, "{keys}: {queries:?}");
    // Not without their objects.
    let gone = e2e::ledger::set(e2e::ledger::due_tombstone());
    stack.files.update_many(all_of(bob.object_id()), gone).await.unwrap();
}

#[tokio::test]
async fn f39_the_sweeper_indexes_rows_without_words() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (old, new) = (row(&bob, 0, "Old Report.txt"), bob.upload("New Report.txt", b"hi").await);
    let id = old.get_object_id("_id").unwrap();
    let nameless = row(&bob, 0, "...");
    let nameless_id = nameless.get_object_id("_id").unwrap();
    stack.files.insert_many([old, nameless]).await.unwrap();
    let odd: Vec<_> = [Bson::from(7), Bson::Null, vec!["x"].into(), doc! { "$a": 1 }.into(), Bson::MinKey]
        .map(|name| row(&bob, 0, name))
        .into();
    stack.files.insert_many(&odd).await.unwrap();
    assert_eq!(stack.row(&new).await.words().unwrap(), ["new", "report", "txt"]);
    // Rows of an earlier release have all fields but the words.
    let reports = async || {
        let mut found = named(&bob, "report").await;
        found.sort();
        found
    };
    stack.files.update_one(e2e::ledger::row(&new), without_words()).await.unwrap();
    assert_eq!(reports().await, ["New Report.txt", "Old Report.txt"]);

    stack.invoke("sweeper", &json!({})).await;
    eventually("all have words", Duration::from_secs(20), async || {
        let mut rows = vec![stack.row(id).await, stack.row(nameless_id).await];
        for row in &odd {
            rows.push(stack.row(row.get_object_id("_id").unwrap()).await);
        }
        rows.iter().all(|row| row.words().is_some()).then_some(())
    })
    .await;
    assert_eq!(stack.row(id).await.words().unwrap(), ["old", "report", "txt"]);
    assert_eq!(stack.row(&new).await.words().unwrap(), ["new", "report", "txt"]);
    // A name without a word has one that no query has.
    assert_eq!(stack.row(nameless_id).await.words().unwrap(), [""]);
    assert_eq!(reports().await, ["New Report.txt", "Old Report.txt"]);
    // Not without their objects.
    let gone = e2e::ledger::set(e2e::ledger::due_tombstone());
    stack.files.update_many(all_of(bob.object_id()), gone).await.unwrap();
}

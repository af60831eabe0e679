//! The indexes of sorted listings and of searches, in a database that does not have them, or whose rows disturb them.

use std::time::Duration;

use e2e::{
    Answer, Stack, User, eventually,
    ledger::{SORTED_FIELDS, all_of, is_of_an_earlier_release, pages, with},
};
use mongodb::{
    IndexModel,
    bson::{Bson, DateTime, Document, Regex, doc, oid::ObjectId},
};
use serde_json::json;

use crate::alone;

/// Makes the indexes those of an earlier release.
async fn forget_indexes(stack: &Stack) {
    for index in stack.files.list_index_names().await.unwrap() {
        if !is_of_an_earlier_release(&index) {
            stack.files.drop_index(index).await.unwrap();
        }
    }
}

async fn new_indexes(stack: &Stack) -> usize {
    let names = stack.files.list_index_names().await.unwrap();
    names.iter().filter(|name| !is_of_an_earlier_release(name)).count()
}

/// A row as the original stores it.
fn row(owner: &User, folder: impl Into<Bson>, name: impl Into<Bson>) -> Document {
    doc! {
        "_id": ObjectId::new(), "userId": owner.object_id(), "name": name.into(), "type": "file", "isPublic": false,
        "parentId": folder.into(),
    }
}

fn names(answer: &Answer) -> Vec<String> {
    answer.documents().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn f30_a_database_of_an_earlier_release_gets_its_indexes_by_itself() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    bob.folder("b").await;
    stack.files.insert_many(["10", "2"].map(|name| row(&bob, 0, name))).await.unwrap();
    for path in ["/files?sort=name", "/files?sort=size&type=folder", "/search?q=2", "the sweeper"] {
        forget_indexes(&stack).await;
        assert_eq!(new_indexes(&stack).await, 0);
        assert_eq!(bob.get("/files").await.documents().len(), 3);
        if path == "the sweeper" {
            stack.invoke("sweeper", &json!({})).await;
        } else {
            assert_eq!(bob.get(path).await.status, 200, "{path}");
        }
        assert_eq!(new_indexes(&stack).await, 6, "{path}");
    }
    assert_eq!(names(&bob.get("/files?sort=name").await), ["b", "2", "10"]);
    assert_eq!(names(&bob.get("/search?q=10").await), ["10"]);
}

/// The original's database has no index of ours before the first upload.
#[tokio::test]
async fn f34_todays_listing_needs_no_index() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let photos = bob.folder("photos").await;
    let name = "userId_1_parentId_1__id_1";
    stack.files.drop_index(name).await.unwrap();
    let listed = bob.get("/files").await;
    stack.files.create_index(IndexModel::builder().keys(pages()).build()).await.unwrap();
    assert_eq!(listed.documents().iter().map(|file| &file["id"]).collect::<Vec<_>>(), [&photos]);
    assert!(stack.files.list_index_names().await.unwrap().contains(&name.to_owned()));
}

/// The original stored values as they were sent, and people edit documents by hand. Some of these values make MongoDB
/// sort in memory from then on, so the indexes are made anew afterwards.
#[tokio::test]
async fn f32_documents_of_any_form_are_seen_exactly_once() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("odd").await;
    let stored: ObjectId = folder.parse().unwrap();
    let array = |values: &[Bson]| Bson::Array(values.to_vec());
    let odd = [
        5.into(),
        Bson::Int64(-7),
        1.5.into(),
        f64::NAN.into(),
        true.into(),
        Bson::Null,
        Bson::Undefined,
        doc! { "$ne": 1 }.into(),
        doc! { "0": "a" }.into(),
        array(&[]),
        array(&["zz".into(), "a".into()]),
        array(&[Bson::Null, "a".into()]),
        array(&[3.into(), 1.into()]),
        array(&[array(&["a".into()])]),
        DateTime::MAX.into(),
        ObjectId::new().into(),
        Bson::MinKey,
        Bson::MaxKey,
        Regex { pattern: "a".try_into().unwrap(), options: "".try_into().unwrap() }.into(),
        "x".into(),
    ];
    let mut rows: Vec<_> = ["a", "b", "", "x"].map(|name| row(&bob, stored, name)).into();
    rows.push(row(&bob, stored, "long".repeat(1000)));
    rows.push(row(&bob, stored, "long".repeat(1001)));
    for (n, value) in odd.iter().enumerate() {
        for field in SORTED_FIELDS.into_iter().chain(["type"]) {
            let r#type = ["file", "folder", "image"][n % 3];
            rows.push(with(row(&bob, stored, "odd"), doc! { "type": r#type, field: value.clone() }));
        }
    }
    for missing in ["name", "type", "isPublic"] {
        let mut row = row(&bob, stored, "without");
        row.remove(missing);
        rows.push(row);
    }
    for r#type in ["Folder", "directory", "zzz", ""] {
        rows.push(with(row(&bob, stored, "unknown"), doc! { "type": r#type }));
    }
    stack.files.insert_many(&rows).await.unwrap();
    let mut expected: Vec<_> = rows.iter().map(|row| row.get_object_id("_id").unwrap().to_hex()).collect();
    expected.sort();
    let mut wrong = Vec::new();
    for (sort, order) in
        ["name", "size", "date"].into_iter().flat_map(|sort| ["asc", "desc"].map(|order| (sort, order)))
    {
        for limit in [1, 7, 100] {
            let mut seen = Vec::new();
            let mut path = format!("/files?parentId={folder}&sort={sort}&order={order}&limit={limit}");
            loop {
                let answer = bob.get(&path).await;
                seen.extend(answer.documents().iter().map(|file| file["id"].as_str().unwrap().to_owned()));
                let Some((_, next)) = answer.header("link").split_once("/files?") else { break };
                if seen.len() > expected.len() {
                    break;
                }
                path = format!("/files?{}", next.split_once('>').unwrap().0);
            }
            seen.sort();
            if seen != expected {
                wrong.push((path, seen));
            }
        }
    }
    stack.files.delete_many(all_of(bob.object_id())).await.unwrap();
    forget_indexes(&stack).await;
    assert!(wrong.is_empty(), "not {expected:?}: {wrong:#?}");
}

#[tokio::test]
async fn f39_rows_without_words_are_scanned_up_to_20_000() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let rows = |numbers: std::ops::Range<u32>| numbers.map(|n| row(&bob, 0, format!("report {n}"))).collect::<Vec<_>>();
    stack.files.insert_many(rows(0..20_000)).await.unwrap();
    let complete = bob.get("/search?q=report%2019999").await;
    assert_eq!((names(&complete), complete.header("x-incomplete")), (vec!["report 19999".to_owned()], ""));
    stack.files.insert_many(rows(20_000..20_001)).await.unwrap();
    let incomplete = bob.get("/search?q=report%2020000").await;
    assert_eq!((names(&incomplete), incomplete.header("x-incomplete")), (vec!["report 20000".to_owned()], "true"));
    assert!(incomplete.took < Duration::from_secs(4), "{:?}", incomplete.took);

    eventually("the sweeper has indexed all", Duration::from_mins(1), async || {
        stack.invoke("sweeper", &json!({})).await;
        let answer = bob.get("/search?q=report%200").await;
        (answer.header("x-incomplete").is_empty()).then_some(())
    })
    .await;
    assert_eq!(names(&bob.get("/search?q=report%2020000").await), ["report 20000"]);
    stack.files.delete_many(all_of(bob.object_id())).await.unwrap();
}

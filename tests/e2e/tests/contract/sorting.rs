//! `GET /files` with `limit`, `cursor`, `sort`, `order` or `type`. The prefix of a test is the line of the contract of
//! the file manager that the test shows.

use std::collections::BTreeMap;

use e2e::{
    Answer, Stack, User, document,
    ledger::{State, sized, tombstone, updated_at, with},
};
use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use serde_json::{Value, json};

use crate::files::original;

const SORTS: [&str; 3] = ["name", "size", "date"];
const ORDERS: [&str; 2] = ["asc", "desc"];

/// A row as the original stores it.
fn row(owner: &User, folder: impl Into<Bson>, name: impl Into<Bson>, r#type: &str) -> Document {
    doc! {
        "_id": ObjectId::new(), "userId": owner.object_id(), "name": name.into(), "type": r#type, "isPublic": false,
        "parentId": folder.into(),
    }
}

async fn plant(stack: &Stack, rows: &[Document]) {
    stack.files.insert_many(rows).await.unwrap();
}

/// A folder of this user, and its id as it is stored.
async fn folder(owner: &User) -> (String, ObjectId) {
    let id = owner.folder("many").await;
    let stored = id.parse().unwrap();
    (id, stored)
}

fn field(documents: &[Value], name: &str) -> Vec<String> {
    documents.iter().map(|document| document[name].as_str().unwrap().to_owned()).collect()
}

fn names(documents: &[Value]) -> Vec<String> {
    field(documents, "name")
}

fn ids(documents: &[Value]) -> Vec<String> {
    field(documents, "id")
}

/// The path of the next part; `None` after the last.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link");
    if link.is_empty() {
        return None;
    }
    let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link");
    let (_, path) = url.split_once("/files?").expect("a URL of the listing");
    Some(format!("/files?{path}"))
}

/// All documents from this path on, part by part. `between` is called after each part.
async fn walk_with(user: &User, path: &str, mut between: impl AsyncFnMut()) -> Vec<Value> {
    let (mut listed, mut path) = (Vec::new(), Some(path.to_owned()));
    while let Some(this) = path {
        let answer = user.get(&this).await;
        listed.extend(answer.documents());
        path = next(&answer);
        between().await;
        assert!(listed.len() < 20_000, "the listing has no end");
    }
    listed
}

async fn walk(user: &User, path: &str) -> Vec<Value> {
    walk_with(user, path, async || {}).await
}

#[tokio::test]
async fn f27_without_a_parameter_of_sorting_a_listing_is_todays() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (folder, stored) = folder(&bob).await;
    let rows: Vec<_> = (0..45).map(|n| row(&bob, stored, format!("{}", 100 - n), "file")).collect();
    plant(&stack, &rows).await;
    for (query, length) in [("", 20), ("&page=1", 20), ("&page=2", 5), ("&page=x", 20), ("&foo=1&Sort=size", 20)] {
        let answer = bob.get(&format!("/files?parentId={folder}{query}")).await;
        assert_eq!((answer.documents().len(), answer.header("link")), (length, ""), "{query}");
        assert!(ids(&answer.documents()).is_sorted(), "{query}");
    }
}

#[tokio::test]
async fn f28_a_part_has_as_many_documents_as_asked_and_a_link() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (folder, stored) = folder(&bob).await;
    let rows: Vec<_> = (0..101).map(|n| row(&bob, stored, format!("{n}"), "file")).collect();
    plant(&stack, &rows).await;
    let path = format!("/files?parentId={folder}");

    let first = bob.get(&format!("{path}&limit=40")).await;
    let link = next(&first).unwrap();
    assert!(first.header("link").starts_with(&format!("<{}/files?", stack.api)), "{first}");
    assert!(link.starts_with(&format!("{path}&limit=40&cursor=")), "{link}");
    let (second, third) = (bob.get(&link).await, next(&bob.get(&link).await).unwrap());
    let third = bob.get(&third).await;
    let parts = [&first, &second, &third].map(Answer::documents);
    assert_eq!(parts.each_ref().map(Vec::len), [40, 40, 21]);
    assert_eq!(next(&third), None);
    assert_eq!(names(&parts.concat()), (0..101).map(|n| n.to_string()).collect::<Vec<_>>());

    // One parameter is enough, and 100 is the default. A part that ends with the last document has no link.
    for (query, length, has_more) in
        [("sort=name", 100, true), ("order=asc", 100, true), ("type=file", 100, true), ("limit=101", 101, false)]
    {
        let answer = bob.get(&format!("{path}&{query}")).await;
        assert_eq!((answer.documents().len(), next(&answer).is_some()), (length, has_more), "{query}");
    }
    let fewer = next(&bob.get(&format!("{path}&limit=1")).await).unwrap().replace("limit=1&", "limit=5&");
    assert_eq!(names(&bob.get(&fewer).await.documents()), ["1", "2", "3", "4", "5"]);
    for query in ["limit=1", "sort=name", "order=asc", "type=file", "cursor=x"] {
        bob.get(&format!("{path}&page=0&{query}")).await.fails(400, "Use cursor or page");
    }
    for nothing in [&ObjectId::new().to_hex(), "malformed"] {
        let empty = bob.get(&format!("/files?parentId={nothing}&limit=5")).await;
        assert_eq!(empty.header("link"), "");
        empty.is(200, json!([]));
    }
}

#[tokio::test]
async fn f29_folders_come_first_and_ties_in_the_order_of_ids() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (folder, stored) = folder(&bob).await;
    let at = |minute: i64| updated_at(DateTime::from_millis(1_700_000_000_000 + 60_000 * minute));
    let of = |name: &str, r#type: &str, size: i64, minute: i64| {
        let row = with(row(&bob, stored, name, r#type), at(minute));
        if r#type == "folder" { row } else { with(row, sized(size)) }
    };
    plant(
        &stack,
        &[
            of("b", "file", 3, 1),
            of("z", "folder", 0, 9),
            of("a", "image", 3, 5),
            of("c", "file", 7, 1),
            of("y", "folder", 0, 3),
            of("a", "file", 1, 5),
        ],
    )
    .await;
    let bodies = async |query: &str| {
        let listed = walk(&bob, &format!("/files?parentId={folder}&limit=2&{query}")).await;
        let body = |file: &Value| format!("{}{}", file["name"].as_str().unwrap(), &file["type"].as_str().unwrap()[..2]);
        listed.iter().map(body).collect::<Vec<_>>().join(" ")
    };
    for (query, expected) in [
        ("sort=name", "yfo zfo aim afi bfi cfi"),
        ("", "yfo zfo aim afi bfi cfi"),
        ("sort=name&order=desc", "zfo yfo cfi bfi afi aim"),
        ("sort=size", "zfo yfo afi bfi aim cfi"),
        ("sort=size&order=desc", "yfo zfo cfi aim bfi afi"),
        ("sort=date&order=asc", "yfo zfo bfi cfi aim afi"),
        ("order=desc&sort=date", "zfo yfo afi aim cfi bfi"),
    ] {
        assert_eq!(bodies(query).await, expected, "{query}");
    }
    for (parameter, error, values) in [
        ("sort", "Invalid sort", &["", "Name", "names", "updatedAt", "$ne"][..]),
        ("order", "Invalid order", &["", "ASC", "1", "-1"]),
        ("limit", "Invalid limit", &["", "0", "1001", "-1", "1.5", "x", "99999999999999999999"]),
        ("type", "Invalid type", &["", "files", "folder,", "File"]),
    ] {
        for value in values {
            bob.get(&format!("/files?{parameter}={value}")).await.fails(400, error);
        }
    }
    assert_eq!(bob.get("/files?limit=1000").await.status, 200);
}

#[tokio::test]
async fn f30_names_are_sorted_as_people_sort_them() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let sorted = ["2", "10", "A", "b", "e", "é", "f", "file 2", "file 10", "File 11", "img2041", "z"];
    // In another order, half of them by the original, in both forms of the root.
    for (n, name) in sorted.iter().enumerate().rev().filter(|(n, _)| n % 2 == 0) {
        let root = if n % 4 == 0 { Bson::from("0") } else { 0.into() };
        plant(&stack, &[row(&bob, root, *name, if n % 3 == 0 { "image" } else { "file" })]).await;
    }
    for (_, name) in sorted.iter().enumerate().filter(|(n, _)| n % 2 == 1) {
        bob.upload(name, b"hi").await;
    }
    for limit in [3, 100] {
        let listed = walk(&bob, &format!("/files?sort=name&limit={limit}")).await;
        assert_eq!(names(&listed), sorted, "{limit}");
        let mut backward = walk(&bob, &format!("/files?sort=name&order=desc&limit={limit}")).await;
        backward.reverse();
        assert_eq!(names(&backward), sorted, "{limit}");
    }
}

#[tokio::test]
async fn f30_names_that_are_equal_but_for_case_come_in_the_order_of_ids() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (folder, stored) = folder(&bob).await;
    let rows: Vec<_> = ["a1", "A01", "A1", "a01", "A1"].map(|name| row(&bob, stored, name, "file")).into();
    plant(&stack, &rows).await;
    let listed = walk(&bob, &format!("/files?parentId={folder}&limit=2")).await;
    assert_eq!(names(&listed), ["a1", "A01", "A1", "a01", "A1"]);
}

#[tokio::test]
async fn f31_a_listing_may_have_only_some_types() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (folder, stored) = folder(&bob).await;
    for n in 0..3 {
        for r#type in ["file", "folder", "image"] {
            plant(&stack, &[row(&bob, stored, format!("{}{n}", &r#type[..2]), r#type)]).await;
        }
    }
    plant(&stack, &[row(&bob, stored, "unknown", "directory"), row(&bob, stored, 5, "image")]).await;
    for (types, expected) in [
        ("folder", "fo0 fo1 fo2"),
        ("image", "im0 im1 im2 5"),
        ("file", "fi0 fi1 fi2 unknown"),
        ("folder,image", "fo0 fo1 fo2 im0 im1 im2 5"),
        ("image,folder,image", "fo0 fo1 fo2 im0 im1 im2 5"),
        ("file,image", "fi0 fi1 fi2 im0 im1 im2 unknown 5"),
        ("folder,file,image", "fo0 fo1 fo2 fi0 fi1 fi2 im0 im1 im2 unknown 5"),
    ] {
        let listed = walk(&bob, &format!("/files?parentId={folder}&type={types}&limit=2")).await;
        assert_eq!(names(&listed).join(" "), expected, "{types}");
    }
}

#[tokio::test]
async fn f31_a_cursor_is_valid_for_one_view_of_one_user() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (folder, stored) = folder(&bob).await;
    let (other, _) = self::folder(&bob).await;
    plant(&stack, &(0..5).map(|n| row(&bob, stored, format!("{n}"), "file")).collect::<Vec<_>>()).await;
    let path = format!("/files?parentId={folder}&sort=size&order=desc&type=file&limit=2");
    let link = next(&bob.get(&path).await).unwrap();
    assert_eq!(bob.get(&link).await.documents().len(), 2);
    let cursor = link.split_once("cursor=").unwrap().1;
    for (from, to) in [
        (&*folder, &*other),
        (&format!("parentId={folder}&"), ""),
        ("sort=size", "sort=name"),
        ("order=desc", "order=asc"),
        ("type=file", "type=file,image"),
        ("type=file&", ""),
        (cursor, ""),
        (cursor, "x"),
        (cursor, "%00"),
        (cursor, "é"),
        (cursor, &cursor[1..]),
        (cursor, &cursor[..cursor.len() - 1]),
        (cursor, &cursor.replace(&cursor[30..32], "__")),
        (cursor, &format!("{cursor}A")),
        (cursor, &"A".repeat(500)),
    ] {
        bob.get(&link.replace(from, to)).await.fails(400, "Invalid cursor");
    }
    eve.get(&link).await.fails(400, "Invalid cursor");
    // The number of documents may change on the way.
    assert_eq!(bob.get(&link.replace("limit=2", "limit=3")).await.documents().len(), 3);
}

#[tokio::test]
async fn f32_what_is_there_all_the_time_is_seen_exactly_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for (sort, order) in SORTS.into_iter().flat_map(|sort| ORDERS.map(|order| (sort, order))) {
        let (folder, stored) = folder(&bob).await;
        let made = |n: u32, name: String| {
            let row = row(&bob, stored, name, ["file", "image", "folder"][n as usize % 3]);
            with(
                with(row, sized((n % 7).into())),
                updated_at(DateTime::from_millis(1_700_000_000_000 + i64::from(n % 11))),
            )
        };
        let stable: Vec<_> = (0..200).map(|n| made(n, format!("stable {}", n * 37 % 50))).collect();
        plant(&stack, &stable).await;
        let (mut coming, mut n) = (Vec::new(), 0);
        // Between two parts 50 come and 50 go, everywhere in the order: 1,000 in all.
        let listed =
            walk_with(&bob, &format!("/files?parentId={folder}&sort={sort}&order={order}&limit=20"), async || {
                if n < 1000 {
                    let rows: Vec<_> = (n..n + 50).map(|n| made(n, format!("stable {}", n * 7 % 60))).collect();
                    plant(&stack, &rows).await;
                    let going = std::mem::replace(&mut coming, rows.iter().map(|row| row["_id"].clone()).collect());
                    stack.files.delete_many(doc! { "_id": { "$in": going } }).await.unwrap();
                    n += 50;
                }
            })
            .await;
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for id in ids(&listed) {
            *seen.entry(id).or_default() += 1;
        }
        for row in &stable {
            let id = row.get_object_id("_id").unwrap().to_hex();
            assert_eq!(seen.get(&id), Some(&1), "{row} by {sort} {order}");
        }
        assert!(n >= 500, "the walk was too short: {n}");
    }
}

#[tokio::test]
async fn f33_a_part_examines_at_most_twice_its_documents() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (folder, stored) = folder(&bob).await;
    let types = ["file", "image", "folder"];
    let rows: Vec<_> = (0..3000_usize)
        .map(|n| {
            let name = if n % 2 == 0 { "same".to_owned() } else { format!("{n}") };
            with(row(&bob, stored, name, types[n % 3]), sized(if n % 2 == 0 { 7 } else { 8 }))
        })
        .collect();
    plant(&stack, &rows).await;
    // Most rows of the folder are deleted, and not swept yet.
    let gone: Vec<_> = (0..1000).map(|n| with(row(&bob, stored, format!("0{n}"), types[n % 3]), tombstone())).collect();
    plant(&stack, &gone).await;
    // The original stored names that are no texts. One list of them must not cost all other listings their order.
    plant(&stack, &[row(&bob, stored, vec!["b", "a"], "file"), row(&bob, stored, Bson::Array(vec![]), "file")]).await;
    for (sort, order) in SORTS.into_iter().flat_map(|sort| ORDERS.map(|order| (sort, order))) {
        let mut path = Some(format!("/files?parentId={folder}&sort={sort}&order={order}&limit=100"));
        let mut parts = 0;
        while let Some(this) = path {
            path = None;
            let queries = stack
                .queries_of(bob.object_id(), async || {
                    let answer = bob.get(&this).await;
                    assert_eq!(answer.status, 200, "{answer}");
                    path = next(&answer);
                })
                .await;
            let keys: i64 = queries.iter().map(|query| query.keys_examined).sum();
            let rows: i64 = queries.iter().map(|query| query.rows_examined).sum();
            assert!(keys <= 200 && rows <= 200, "{keys} keys and {rows} rows for {this}: {queries:#?}");
            for query in &queries {
                assert!(query.hint.is_some() && !query.has_sorted_in_memory, "{query:?}");
            }
            parts += 1;
        }
        assert_eq!(parts, 31, "{sort} {order}");
    }
}

#[tokio::test]
async fn f34_todays_pages_read_the_index_that_they_name() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (folder, stored) = folder(&bob).await;
    let rows: Vec<_> = (0..1000).map(|n| row(&bob, stored, format!("{n}"), "file")).collect();
    plant(&stack, &rows).await;
    plant(&stack, &(0..50).map(|n| row(&bob, 0, format!("{n}"), "file")).collect::<Vec<_>>()).await;
    for (path, keys, length) in [
        (format!("/files?parentId={folder}"), 20, 20),
        (format!("/files?parentId={folder}&page=40"), 820, 20),
        (format!("/files?parentId={folder}&page=50"), 1000, 0),
        ("/files".to_owned(), 22, 20),
    ] {
        let queries = stack
            .queries_of(bob.object_id(), async || {
                assert_eq!(bob.get(&path).await.documents().len(), length);
            })
            .await;
        let [query] = &queries[..] else { panic!("{queries:?}") };
        assert!(query.plan.starts_with("IXSCAN { userId: 1, parentId: 1, _id: 1 }"), "{query:?}");
        assert_eq!(query.hint, Some(doc! { "userId": 1, "parentId": 1, "_id": 1 }.into()));
        assert!(query.keys_examined <= keys && !query.has_sorted_in_memory, "{query:?}");
    }
}

#[tokio::test]
async fn a_sorted_listing_shows_what_todays_listing_shows() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let photos = bob.folder("photos").await;
    let inside = bob.create(json!({ "name": "b", "type": "folder", "parentId": photos })).await.document(201);
    let notes = bob.upload("notes.txt", b"hi").await;
    bob.create(json!({ "name": "pending", "type": "file", "size": 5 })).await.document(201);
    for state in State::ALL {
        plant(&stack, &[with(row(&bob, 0, "hidden", "file"), state.until(DateTime::MAX))]).await;
    }
    let listed = bob.get("/files?limit=10").await.documents();
    let expected = [
        document(&photos, &bob.id, "photos", "folder", false, 0),
        document(&notes, &bob.id, "notes.txt", "file", false, 0),
    ];
    assert_eq!(listed.iter().map(original).collect::<Vec<_>>(), expected);
    let todays = bob.get("/files").await.documents();
    assert!(todays.len() == 2 && todays.iter().all(|file| listed.contains(file)), "{todays:?}");
    let path = format!("/files?parentId={photos}&limit=10");
    assert_eq!(bob.get(&path).await.documents(), std::slice::from_ref(&inside));
    eve.get(&path).await.is(200, json!([]));
    eve.get("/files?limit=10").await.is(200, json!([]));

    let deep = bob.create(json!({ "name": "c", "type": "folder", "parentId": inside["id"] })).await.document(201);
    assert_eq!(bob.request("DELETE", &format!("/files/{photos}")).send().await.status, 204);
    for gone in [&photos, inside["id"].as_str().unwrap(), deep["id"].as_str().unwrap()] {
        bob.get(&format!("/files?parentId={gone}&limit=10")).await.is(200, json!([]));
    }
}

//! `GET /files`.

use api::{Stack, document, unique};
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::{Value, json};

use crate::files::{by_id, original};

fn ids(documents: &[Value]) -> Vec<&str> {
    documents.iter().map(|document| document["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_listing_shows_what_lies_in_a_folder_and_is_ones_own() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    bob.get("/files").await.is(200, json!([]));

    let photos = bob.folder("photos").await;
    let inside = bob.create(json!({ "name": "b", "type": "folder", "parentId": photos })).await.document(201);
    let notes = bob.upload("notes.txt", b"hi").await;
    bob.publish(&photos).await;

    let root = bob.get("/files").await.documents();
    let expected = vec![
        document(&photos, &bob.id, "photos", "folder", true, 0),
        document(&notes, &bob.id, "notes.txt", "file", false, 0),
    ];
    assert_eq!(root.iter().map(original).collect::<Vec<_>>(), by_id(expected));
    assert_eq!(bob.get(&format!("/files?parentId={photos}")).await.documents(), [inside]);
    for nothing in [&*notes, &ObjectId::new().to_hex()] {
        bob.get(&format!("/files?parentId={nothing}")).await.is(200, json!([]));
    }

    eve.get("/files").await.is(200, json!([]));
    eve.get(&format!("/files?parentId={photos}")).await.is(200, json!([]));
}

#[tokio::test]
async fn the_root_may_be_named() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let photos = bob.folder("photos").await;
    for query in ["", "?", "?parentId=", "?parentId=0", "?page=0", "?parentId=0&page=0"] {
        assert_eq!(ids(&bob.get(&format!("/files{query}")).await.documents()), [&*photos], "{query}");
    }
}

#[tokio::test]
async fn s10_a_parent_that_cannot_be_holds_nothing() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    bob.folder("photos").await;
    for parent in ["x", "00", "1", "-1", "null", "a%20b", "%00", "%ff", "..%2f", "%7B%22$ne%22:0%7D"] {
        bob.get(&format!("/files?parentId={parent}")).await.is(200, json!([]));
    }
    // No operator comes in through a nested parameter; such a parameter is simply another.
    let photos = bob.get("/files").await.documents();
    assert_eq!(bob.get("/files?parentId[$ne]=0").await.documents(), photos);
}

#[tokio::test]
async fn a_page_has_twenty_documents_in_the_order_of_their_ids() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("many").await;
    for n in 0..45 {
        bob.create(json!({ "name": format!("{}", 100 - n), "type": "folder", "parentId": folder })).await.document(201);
    }
    let mut all: Vec<String> = Vec::new();
    for (page, length) in [(0, 20), (1, 20), (2, 5), (3, 0)] {
        let documents = bob.get(&format!("/files?parentId={folder}&page={page}")).await.documents();
        assert_eq!(documents.len(), length, "page {page}");
        all.extend(ids(&documents).into_iter().map(str::to_owned));
    }
    assert_eq!(all.len(), 45);
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
}

#[tokio::test]
async fn a_page_that_is_no_number_is_the_first_and_one_past_the_end_is_empty() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for n in 0..21 {
        bob.folder(&n.to_string()).await;
    }
    let (first, second) = (bob.get("/files").await.documents(), bob.get("/files?page=1").await.documents());
    assert_eq!((first.len(), second.len()), (20, 1));
    for page in ["", "-1", "-0", "1.5", "1.0", "1e3", "abc", "0x1", "true", "null", "%00", "1%20", "NaN", "Infinity"] {
        assert_eq!(bob.get(&format!("/files?page={page}")).await.documents(), first, "{page}");
    }
    for page in ["01", "1"] {
        assert_eq!(bob.get(&format!("/files?page={page}")).await.documents(), second, "{page}");
    }
    for page in ["2", "1000000", "922337203685477580", "9223372036854775807", "18446744073709551616", &"9".repeat(100)]
    {
        bob.get(&format!("/files?page={page}")).await.is(200, json!([]));
    }
}

#[tokio::test]
async fn documents_of_the_original_are_listed_and_echoed_as_they_are_stored() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (old, older, folder) = (ObjectId::new(), ObjectId::new(), ObjectId::new());
    let by_the_original = [
        doc! { "_id": old, "userId": bob.object_id(), "name": "old.txt", "type": "file", "parentId": "0",
        "localPath": "/tmp/files_manager/x", "__v": 0, "meta": { "a": [1] } },
        doc! { "_id": older, "userId": bob.object_id(), "name": "older.png", "type": "image", "parentId": 0,
        "isPublic": true, "localPath": "/tmp/files_manager/y" },
        doc! { "_id": folder, "userId": bob.object_id(), "name": "folder/with a slash", "type": "folder", "parentId": "0" },
    ];
    stack.files.insert_many(by_the_original).await.unwrap();
    let [old, older, folder] = [old, older, folder].map(ObjectId::to_hex);
    let mine = bob.folder("mine").await;

    let expected = vec![
        document(&old, &bob.id, "old.txt", "file", false, "0"),
        document(&older, &bob.id, "older.png", "image", true, 0),
        document(&folder, &bob.id, "folder/with a slash", "folder", false, "0"),
        document(&mine, &bob.id, "mine", "folder", false, 0),
    ];
    for query in ["", "?parentId=0"] {
        let listed = bob.get(&format!("/files{query}")).await.documents();
        assert_eq!(listed.iter().map(original).collect::<Vec<_>>(), by_id(expected.clone()));
    }
    assert_eq!(original(&bob.get(&format!("/files/{old}")).await.document(200)), expected[0]);

    // Their bytes are on a disk of the original; their folders are folders.
    bob.get(&format!("/files/{old}/data")).await.fails(404, "Not found");
    stack.anyone().get(&format!("/files/{older}/data?size=100")).await.fails(404, "Not found");
    let inside = bob.create(json!({ "name": unique("a"), "type": "folder", "parentId": folder })).await.document(201);
    assert_eq!(bob.get(&format!("/files?parentId={folder}")).await.documents(), [inside]);

    let published = bob.put(&format!("/files/{old}/publish")).await.document(200);
    assert_eq!(original(&published), document(&old, &bob.id, "old.txt", "file", true, "0"));
    let id: ObjectId = old.parse().unwrap();
    let row = stack.files.find_one(doc! { "_id": id }).await.unwrap().unwrap();
    assert_eq!((row.get_str("parentId").unwrap(), row.get_str("localPath").unwrap()), ("0", "/tmp/files_manager/x"));
}

//! `GET /files`.

use e2e::{Stack, document, unique};
use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};
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
    // A nested parameter is another parameter, and brings no operator into the query.
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

    // The bytes of these files are on a disk of the original; their folders are normal folders.
    bob.get(&format!("/files/{old}/data")).await.fails(404, "Not found");
    stack.anyone().get(&format!("/files/{older}/data?size=100")).await.fails(404, "Not found");
    let inside = bob.create(json!({ "name": unique("a"), "type": "folder", "parentId": folder })).await.document(201);
    assert_eq!(bob.get(&format!("/files?parentId={folder}")).await.documents(), [inside]);

    let published = bob.put(&format!("/files/{old}/publish")).await.document(200);
    assert_eq!(original(&published), document(&old, &bob.id, "old.txt", "file", true, "0"));
    let row = stack.row(&old).await;
    assert_eq!((row.get_str("parentId").unwrap(), row.get_str("localPath").unwrap()), ("0", "/tmp/files_manager/x"));
}

/// The original stored values as they were sent, and people edit documents by hand.
#[tokio::test]
async fn a_document_of_another_form_is_shown_as_far_as_it_can_be() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("odd").await;
    let parent: ObjectId = folder.parse().unwrap();
    let mut rows = Vec::new();
    let mut expected = Vec::new();
    let mut plant = |change: Document, name: &str, r#type: &str| {
        let id = ObjectId::new();
        let mut row = doc! {
            "_id": id, "userId": bob.object_id(), "name": "a.txt", "type": "file", "isPublic": false, "parentId": parent,
        };
        for (field, value) in change {
            // `Undefined` represents a missing field.
            if value == Bson::Undefined {
                row.remove(field)
            } else {
                row.insert(field, value)
            };
        }
        rows.push(row);
        expected.push(document(&id.to_hex(), &bob.id, name, r#type, false, folder.clone()));
    };
    for value in ["yes".into(), 1.into(), Bson::Null, doc! { "a": 1 }.into(), Bson::Undefined] {
        plant(doc! { "isPublic": value }, "a.txt", "file");
    }
    for (value, shown) in [(Bson::from(5), "5"), (doc! { "a": 1 }.into(), r#"{ "a": 1 }"#), (Bson::Undefined, "")] {
        plant(doc! { "name": value }, shown, "file");
    }
    for value in ["directory".into(), 7.into(), Bson::Undefined] {
        plant(doc! { "type": value }, "a.txt", "file");
    }
    for field in ["size", "updatedAt", "key", "thumbnails", "thumbnailFiles", "thumbnailError", "uploadId", "expiresAt"]
    {
        for value in [Bson::from("x"), (-7).into(), doc! { "a": 1 }.into()] {
            // The key of a row must be unique.
            let value = if field == "key" { doc! { "not": value, "of": ObjectId::new() }.into() } else { value };
            plant(doc! { "type": "image", field: value }, "a.txt", "image");
        }
    }
    plant(doc! { "updatedAt": DateTime::MAX, "size": 1.5 }, "a.txt", "file");
    stack.files.insert_many(&rows).await.unwrap();

    let mut listed = Vec::new();
    for page in 0..=expected.len() / 20 {
        listed.extend(bob.get(&format!("/files?parentId={folder}&page={page}")).await.documents());
    }
    assert_eq!(listed.iter().map(original).collect::<Vec<_>>(), expected);
    for (shown, expected) in listed.iter().zip(&expected) {
        let path = format!("/files/{}", shown["id"].as_str().unwrap());
        assert_eq!(original(&bob.get(&path).await.document(200)), *expected);
        bob.get(&format!("{path}/data")).await.fails(404, "Not found");
        stack.anyone().get(&format!("{path}/data?size=100")).await.fails(404, "Not found");
        assert_eq!(bob.put(&format!("{path}/publish")).await.document(200)["isPublic"], true);
        let inside = json!({ "name": "a", "type": "folder", "parentId": shown["id"] });
        bob.create(inside).await.fails(400, "Parent is not a folder");
    }
    for shown in listed {
        let gone = bob.request("DELETE", &format!("/files/{}", shown["id"].as_str().unwrap())).send().await;
        assert_eq!(gone.status, 204, "{shown}");
    }
    bob.get(&format!("/files?parentId={folder}")).await.is(200, json!([]));
}

#[tokio::test]
async fn files_with_a_missing_parent_can_be_read() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("photos").await;
    for (parent, shown) in [
        (Bson::Null, json!(0)),
        ("".into(), json!(0)),
        (7.into(), json!(0)),
        (doc! { "a": 1 }.into(), json!(0)),
        (Bson::Array(Vec::new()), json!(0)),
        (folder.as_str().into(), json!(folder)),
        (ObjectId::parse_str("5f1e7d35c7ba06511e683b21").unwrap().into(), json!("5f1e7d35c7ba06511e683b21")),
    ] {
        let id = ObjectId::new();
        let row = doc! { "_id": id, "userId": bob.object_id(), "name": "a.txt", "type": "file", "parentId": &parent };
        stack.files.insert_one(row).await.unwrap();
        let read = bob.get(&format!("/files/{id}")).await.document(200);
        assert_eq!(original(&read), document(&id.to_hex(), &bob.id, "a.txt", "file", false, shown), "{parent}");
        assert_eq!(bob.request("DELETE", &format!("/files/{id}")).send().await.status, 204);
    }
}

#[tokio::test]
async fn a_public_file_that_names_no_owner_can_be_read() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for owner in [Bson::Null, "bob".into(), 7.into(), bob.id.as_str().into()] {
        let (id, key) = (ObjectId::new(), format!("files/{}", unique("planted")));
        stack.put_object(&key, b"hi".to_vec()).await;
        let row = doc! {
            "_id": id, "userId": &owner, "name": "a.txt", "type": "file", "isPublic": true, "parentId": 0, "key": key,
            "size": 2,
        };
        stack.files.insert_one(row).await.unwrap();
        let path = format!("/files/{id}/data");
        stack.anyone().get(&path).await.is_content("text/plain; charset=utf-8", b"hi");
        stack.set_row(id, doc! { "isPublic": "yes" }).await;
        for reader in [&*bob, &stack.anyone()] {
            reader.get(&path).await.fails(404, "Not found");
        }
        stack.remove(id).await;
    }
}

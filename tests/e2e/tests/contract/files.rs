//! Creates and reads files, folders and images.

use e2e::{Stack, document, encoded, ledger::all_of, unique};
use mongodb::bson::{Bson, doc, oid::ObjectId};
use serde_json::{Value, json};

/// The original's six keys of a document that may have more.
pub fn original(document: &Value) -> Value {
    let keys = ["id", "userId", "name", "type", "isPublic", "parentId"];
    keys.iter().map(|&key| (key.to_owned(), document[key].clone())).collect::<serde_json::Map<_, _>>().into()
}

/// The documents in the order of a listing. Ids made within a second by different instances of a function have no order
/// in time.
pub fn by_id(mut documents: Vec<Value>) -> Vec<Value> {
    documents.sort_by_key(|document| id(document).to_owned());
    documents
}

fn id(document: &Value) -> &str {
    document["id"].as_str().unwrap()
}

#[tokio::test]
async fn a_new_file_answers_with_its_document() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for r#type in ["folder", "file", "image"] {
        let made = bob.create(json!({ "name": "a", "type": r#type, "data": "aGk=" })).await.document(201);
        assert_eq!(original(&made), document(id(&made), &bob.id, "a", r#type, false, 0));
        let shown = bob.get(&format!("/files/{}", id(&made))).await.document(200);
        assert_eq!(original(&shown), original(&made));
    }
}

#[tokio::test]
async fn the_keys_of_the_original_come_first_and_in_its_order() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let answer = bob.create(json!({ "name": "a \"b\"", "type": "file", "data": "aGk=", "isPublic": true })).await;
    let (file, user) = (answer.document(201), &bob.id);
    let expected = format!(
        r#"{{"id":"{}","userId":"{user}","name":"a \"b\"","type":"file","isPublic":true,"parentId":0"#,
        id(&file)
    );
    assert!(answer.text().starts_with(&expected), "{answer}");
}

#[tokio::test]
async fn the_first_thing_that_is_wrong_is_named() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let nowhere = ObjectId::new().to_hex();
    bob.create(json!({ "parentId": nowhere })).await.fails(400, "Missing name");
    bob.create(json!({ "type": "file", "data": "aGk=", "parentId": nowhere })).await.fails(400, "Missing name");
    bob.create(json!({ "name": "a", "data": "aGk=", "parentId": nowhere })).await.fails(400, "Missing type");
    bob.create(json!({ "name": "a", "type": "file", "parentId": nowhere })).await.fails(400, "Missing data");
    bob.create(json!({ "name": "a", "type": "image", "parentId": file })).await.fails(400, "Missing data");
    let there = |parent: &str| json!({ "name": "a", "type": "file", "data": "aGk=", "parentId": parent });
    bob.create(there(&nowhere)).await.fails(400, "Parent not found");
    bob.create(there(&file)).await.fails(400, "Parent is not a folder");
}

#[tokio::test]
async fn a_type_is_folder_file_or_image() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for r#type in ["Folder", "dir", "file ", "images", "0"] {
        bob.create(json!({ "name": "a", "type": r#type, "data": "aGk=" })).await.fails(400, "Missing type");
    }
}

#[tokio::test]
async fn a_refused_upload_stores_nothing() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (name, file) = (unique("refused"), bob.upload("notes.txt", b"hi").await);
    let refusals = [
        (400, json!({ "name": name })),
        (400, json!({ "name": name, "type": "file" })),
        (400, json!({ "name": name, "type": "file", "data": "!" })),
        (400, json!({ "name": name, "type": "folder", "parentId": "x" })),
        (400, json!({ "name": name, "type": "folder", "parentId": file })),
        (413, json!({ "name": name, "type": "file", "data": encoded(&vec![0; (4 << 20) + 1]) })),
    ];
    for (status, refused) in refusals {
        assert_eq!(bob.create(refused).await.status, status);
    }
    let nobody = stack.anyone().post("/files", json!({ "name": name, "type": "folder" })).await;
    nobody.fails(401, "Unauthorized");
    assert_eq!(stack.count_rows(doc! { "name": name }).await, 0);
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 1);
}

#[tokio::test]
async fn the_root_has_many_forms_and_is_stored_as_a_number() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let absent = bob.create(json!({ "name": "a", "type": "folder" })).await.document(201);
    let mut made = vec![absent];
    for root in [Value::Null, json!(""), json!(false), json!(0), json!(0.0), json!("0")] {
        let folder = json!({ "name": "a", "type": "folder", "parentId": root });
        made.push(bob.create(folder).await.document(201));
    }
    for folder in &made {
        assert_eq!(folder["parentId"], json!(0));
        let row = stack.row(id(folder)).await;
        let parent = row.get("parentId").unwrap();
        assert!(matches!(parent, Bson::Int32(0) | Bson::Int64(0)) || *parent == Bson::Double(0.0), "{parent:?}");
    }
    assert_eq!(bob.get("/files").await.documents(), by_id(made));
}

#[tokio::test]
async fn s12_a_parent_that_is_no_folder_of_ones_own_is_not_found() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let foreign = eve.folder("private").await;
    let public = eve.folder("public").await;
    eve.publish(&public).await;
    let unknown = ObjectId::new().to_hex();
    for parent in [
        json!(unknown),
        json!(foreign),
        json!(public),
        json!("x"),
        json!("00"),
        json!("../x"),
        json!(" "),
        json!(1),
        json!(-1),
        json!(true),
        json!([]),
        json!({}),
        json!({ "$ne": null }),
        json!([foreign]),
    ] {
        let folder = json!({ "name": "a", "type": "folder", "parentId": parent });
        bob.create(folder).await.fails(400, "Parent not found");
    }
}

#[tokio::test]
async fn a_file_lies_in_its_folder() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("photos").await;
    let made = bob.create(json!({ "name": "a", "type": "folder", "parentId": folder })).await.document(201);
    assert_eq!(original(&made), document(id(&made), &bob.id, "a", "folder", false, folder.clone()));
    let row = stack.row(id(&made)).await;
    assert_eq!(row.get_object_id("parentId").unwrap().to_hex(), folder);
    assert_eq!(row.get_object_id("userId").unwrap(), bob.object_id());
}

#[tokio::test]
async fn only_true_is_public() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for (value, is_public) in [
        (json!(true), true),
        (json!(false), false),
        (Value::Null, false),
        (json!("true"), false),
        (json!(1), false),
        (json!([true]), false),
        (json!({}), false),
    ] {
        let folder = json!({ "name": "a", "type": "folder", "isPublic": value });
        assert_eq!(bob.create(folder).await.document(201)["isPublic"], is_public, "{value}");
    }
}

#[tokio::test]
async fn data_is_base64_of_any_kind() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for (data, bytes) in [
        ("aGVsbG8=", &b"hello"[..]),
        ("aGVsbG8", b"hello"),
        (" aGVs\r\n\tbG8 = ", b"hello"),
        ("+/++/w==", b"\xfb\xff\xbe\xff"),
        ("-_--_w==", b"\xfb\xff\xbe\xff"),
        ("-_--_w", b"\xfb\xff\xbe\xff"),
        ("AA==", b"\0"),
    ] {
        let made = bob.create(json!({ "name": "a", "type": "file", "data": data })).await.document(201);
        let content = bob.get(&format!("/files/{}/data", id(&made))).await;
        content.is_content("application/octet-stream", bytes);
    }
}

#[tokio::test]
async fn anything_else_is_invalid_data() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for data in ["a", "!!!!", "aGVsbG8*", "data:text/plain;base64,aGk=", "aGk=aGk", "====", "aGé="] {
        bob.create(json!({ "name": "a", "type": "file", "data": data })).await.fails(400, "Invalid data");
    }
}

#[tokio::test]
async fn r23_four_mebibytes_are_taken_and_one_byte_more_is_not() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let bytes: Vec<u8> = (0..4 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let upload = |bytes: &[u8]| bob.create(json!({ "name": "a.bin", "type": "file", "data": encoded(bytes) }));

    let made = upload(&bytes).await.document(201);
    let content = bob.get(&format!("/files/{}/data", id(&made))).await;
    content.is_content("application/octet-stream", &bytes);

    let refused = upload(&[&bytes[..], b"x"].concat()).await;
    assert_eq!(refused.status, 413, "of {refused}");
    let error = refused.json()["error"].as_str().unwrap().to_owned();
    refused.fails(413, &error);
    assert!(error.contains("4 MiB"), "{error}");
}

#[tokio::test]
async fn a_folder_ignores_its_data() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    bob.create(json!({ "name": "a", "type": "folder", "data": "!!!!" })).await.document(201);
}

#[tokio::test]
async fn names_may_repeat_in_a_folder() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (first, second) = (bob.upload("a.txt", b"one").await, bob.upload("a.txt", b"two").await);
    assert_ne!(first, second);
    bob.get(&format!("/files/{first}/data")).await.is_content("text/plain; charset=utf-8", b"one");
    bob.get(&format!("/files/{second}/data")).await.is_content("text/plain; charset=utf-8", b"two");
}

#[tokio::test]
async fn a_document_is_for_its_owner_alone_public_or_not() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let file = bob.upload("notes.txt", b"hi").await;
    let path = format!("/files/{file}");
    eve.get(&path).await.fails(404, "Not found");
    bob.publish(&file).await;
    eve.get(&path).await.fails(404, "Not found");
    stack.anyone().get(&path).await.fails(401, "Unauthorized");
    assert_eq!(original(&bob.get(&path).await.document(200)), document(&file, &bob.id, "notes.txt", "file", true, 0));
}

#[tokio::test]
async fn s09_the_bytes_lie_under_a_random_key() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let row = stack.row(&file).await;
    let key = row.key();
    let random = key.strip_prefix("files/").unwrap();
    assert!(random.len() >= 22 && random.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{key}");
    assert!(!key.contains(&file) && !key.contains(&bob.id));
    let object = stack.s3.get_object().bucket(&stack.bucket).key(key).send().await.unwrap();
    assert_eq!(object.body.collect().await.unwrap().to_vec(), b"hi");
}

#[tokio::test]
async fn folders_have_a_hundred_levels_at_most() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    // These levels are written directly; the last two are created through the API.
    let (mut parent, mut rows) = (Bson::from(0), Vec::new());
    for _ in 0..98 {
        let folder = ObjectId::new();
        rows.push(doc! {
            "_id": folder, "userId": bob.object_id(), "name": "a", "type": "folder", "isPublic": false, "parentId": parent,
        });
        parent = folder.into();
    }
    stack.files.insert_many(rows).await.unwrap();
    let in_folder = |parent: &str, more: Value| {
        let mut file = json!({ "name": "a.txt", "type": "file", "parentId": parent });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        file
    };
    let level_98 = parent.as_object_id().unwrap().to_hex();
    let level_99 = bob.create(in_folder(&level_98, json!({ "type": "folder" }))).await.document(201);
    let level_100 = bob.create(in_folder(id(&level_99), json!({ "type": "folder" }))).await.document(201);
    let kinds = [
        json!({ "type": "folder" }),
        json!({ "data": "aGk=" }),
        json!({ "type": "image", "data": "aGk=" }),
        json!({ "size": 5 }),
        json!({ "size": 200 << 20 }),
    ];
    let too_deep = "Too deep: 100 levels at most";
    for kind in kinds {
        bob.create(in_folder(id(&level_99), kind.clone())).await.document(201);
        bob.create(in_folder(id(&level_100), kind)).await.fails(400, too_deep);
    }
    let ticket = |parent: &Value| bob.post("/uploads/tickets", json!({ "parentId": parent["id"] }));
    assert_eq!(ticket(&level_99).await.status, 201);
    ticket(&level_100).await.fails(400, too_deep);
    for method in ["PUT", "POST"] {
        let sign = |parent: &Value| json!({ "method": method, "key": "a.txt", "parentId": parent["id"] });
        assert_eq!(bob.post("/uploads/sign", sign(&level_99)).await.status, 200);
        bob.post("/uploads/sign", sign(&level_100)).await.fails(400, too_deep);
    }
    // The refused request created nothing.
    let inside = doc! { "parentId": id(&level_100).parse::<ObjectId>().unwrap() };
    assert_eq!(stack.count_rows(inside).await, 0);
    let listed = bob.get(&format!("/files?parentId={}", id(&level_99))).await.documents();
    assert_eq!(listed.len(), 4, "the folders and what has its bytes: {listed:?}");
    bob.get(&format!("/files/{}", id(&level_100))).await.document(200);
}

#[tokio::test]
async fn an_id_has_no_upper_case() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let has_letters = |id: &ObjectId| id.to_hex().bytes().any(|digit| digit.is_ascii_lowercase());
    let id = std::iter::repeat_with(ObjectId::new).find(has_letters).unwrap();
    let row =
        doc! { "_id": id, "userId": bob.object_id(), "name": "a", "type": "folder", "isPublic": true, "parentId": 0 };
    stack.files.insert_one(row).await.unwrap();
    let (lower, upper) = (id.to_hex(), id.to_hex().to_uppercase());
    bob.get(&format!("/files/{lower}")).await.document(200);
    for (method, path) in [
        ("GET", format!("/files/{upper}")),
        ("GET", format!("/files/{upper}/data")),
        ("PUT", format!("/files/{upper}/publish")),
        ("DELETE", format!("/files/{upper}")),
    ] {
        bob.request(method, &path).send().await.fails(404, "Not found");
    }
    bob.create(json!({ "name": "a", "type": "folder", "parentId": lower })).await.document(201);
    bob.create(json!({ "name": "a", "type": "folder", "parentId": upper })).await.fails(400, "Parent not found");
    assert_eq!(bob.get(&format!("/files?parentId={lower}")).await.documents().len(), 1);
    bob.get(&format!("/files?parentId={upper}")).await.is(200, json!([]));
}

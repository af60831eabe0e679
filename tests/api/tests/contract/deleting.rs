//! `DELETE /files/{id}`: gone at once for everybody, and soon from the stores.

use std::time::Duration;

use api::{
    Stack, User, eventually,
    images::thumbnail,
    pictures::jpeg,
    worker::{job, work},
};
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::{Value, json};

/// The sweeper is called out of turn.
const SOON: Duration = Duration::from_secs(20);

async fn delete(user: &User, id: &str) -> u16 {
    user.request("DELETE", &format!("/files/{id}")).send().await.status
}

async fn made_in(user: &User, parent: &str, more: Value) -> String {
    let mut file = json!({ "name": "a", "type": "folder", "parentId": parent });
    file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    user.create(file).await.document(201)["id"].as_str().unwrap().to_owned()
}

/// Neither rows nor objects of theirs are left but for so many rows.
async fn is_swept(stack: &Stack, user: &User, rows: u64, keys: &[String]) {
    eventually("what was deleted is gone", SOON, async || {
        stack.invoke("sweeper", &json!({})).await;
        let left = stack.files.count_documents(doc! { "userId": user.object_id() }).await.unwrap();
        let mut objects = 0;
        for key in keys {
            objects += stack.objects(key).await.len();
        }
        (left == rows && objects == 0).then_some(())
    })
    .await;
}

async fn keys(stack: &Stack, id: &str) -> Vec<String> {
    let row = stack.files.find_one(doc! { "_id": id.parse::<ObjectId>().unwrap() }).await.unwrap().unwrap();
    vec![row.get_str("key").unwrap().to_owned(), format!("thumbnails/{id}/")]
}

#[tokio::test]
async fn a_file_is_gone_at_once_and_its_objects_soon() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let image = bob.upload_image("photo.jpg", &jpeg(600, 400)).await;
    bob.publish(&image).await;
    thumbnail(&bob, &image, 100).await;
    let objects = keys(&stack, &image).await;

    assert_eq!(delete(&eve, &image).await, 404);
    let gone = bob.request("DELETE", &format!("/files/{image}")).send().await;
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    for client in [&*bob, &*eve, &stack.anyone()] {
        client.get(&format!("/files/{image}/data")).await.fails(404, "Not found");
        client.get(&format!("/files/{image}/data?size=100")).await.fails(404, "Not found");
    }
    bob.get(&format!("/files/{image}")).await.fails(404, "Not found");
    bob.put(&format!("/files/{image}/publish")).await.fails(404, "Not found");
    assert!(bob.get("/files").await.documents().is_empty());
    assert_eq!(delete(&bob, &image).await, 404);
    is_swept(&stack, &bob, 0, &objects).await;

    for id in ["5f1e7d35c7ba06511e683b21", "malformed", "0"] {
        bob.request("DELETE", &format!("/files/{id}")).send().await.fails(404, "Not found");
    }
}

#[tokio::test]
async fn a_folder_goes_with_everything_in_it_however_deep() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (root, beside) = (bob.folder("root").await, bob.upload("beside.txt", b"hi").await);
    let mut deepest = root.clone();
    for _ in 0..12 {
        deepest = made_in(&bob, &deepest, json!({})).await;
    }
    let file = made_in(&bob, &deepest, json!({ "type": "file", "name": "a.txt", "data": "aGk=" })).await;
    let open = made_in(&bob, &deepest, json!({ "type": "file", "name": "b.txt", "size": 200 << 20 })).await;
    bob.publish(&file).await;
    let objects = [keys(&stack, &file).await, keys(&stack, &open).await].concat();

    assert_eq!(delete(&bob, &root).await, 204);
    for id in [&root, &deepest, &file] {
        bob.get(&format!("/files/{id}")).await.fails(404, "Not found");
        assert_eq!(delete(&bob, id).await, 404);
    }
    for folder in [&root, &deepest] {
        assert!(bob.get(&format!("/files?parentId={folder}")).await.documents().is_empty());
        for kind in [json!({ "data": "aGk=" }), json!({ "size": 5 }), json!({ "type": "folder" })] {
            let mut into = json!({ "name": "a", "type": "file", "parentId": folder });
            into.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
            bob.create(into).await.fails(400, "Parent not found");
        }
        bob.post("/uploads/tickets", json!({ "parentId": folder })).await.fails(400, "Parent not found");
    }
    stack.anyone().get(&format!("/files/{file}/data")).await.fails(404, "Not found");
    bob.request("POST", &format!("/files/{open}/complete")).send().await.fails(404, "Not found");
    is_swept(&stack, &bob, 1, &objects).await;
    let parts = stack.s3.list_multipart_uploads().bucket(&stack.bucket).prefix(format!("uploads/{open}/")).send().await;
    assert!(parts.unwrap().uploads.unwrap_or_default().is_empty());
    bob.get(&format!("/files/{beside}/data")).await.is_content("text/plain; charset=utf-8", b"hi");
}

#[tokio::test]
async fn a_folder_of_thousands_goes_without_anybody_waiting() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("many").await;
    let parent: ObjectId = folder.parse().unwrap();
    let rows = (0..5000).map(|n| {
        doc! {
            "_id": ObjectId::new(), "userId": bob.object_id(), "name": format!("{n}"), "type": "folder", "isPublic": false,
            "parentId": parent,
        }
    });
    stack.files.insert_many(rows).await.unwrap();
    let answer = bob.request("DELETE", &format!("/files/{folder}")).send().await;
    assert_eq!(answer.status, 204);
    assert!(answer.took < Duration::from_secs(1), "{:?}", answer.took);
    assert!(bob.get(&format!("/files?parentId={folder}")).await.documents().is_empty());
    is_swept(&stack, &bob, 0, &[]).await;
}

#[tokio::test]
async fn what_comes_into_a_folder_that_goes_meanwhile_goes_with_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("going").await;
    let begun = bob.create(json!({ "name": "a.txt", "type": "file", "parentId": folder, "size": 5 })).await.json();
    let id = begun["id"].as_str().unwrap();
    // As if the sweeper had been and gone before the row came.
    stack.files.delete_one(doc! { "_id": folder.parse::<ObjectId>().unwrap() }).await.unwrap();
    let put = stack.http.put(begun["upload"]["url"].as_str().unwrap());
    let put = put.header("Content-Type", "text/plain; charset=utf-8").header("If-None-Match", "*");
    assert_eq!(put.body("hello").send().await.unwrap().status(), 200);
    let completed = bob.request("POST", &format!("/files/{id}/complete")).send().await;
    // S3's message may have been the first.
    assert!([400, 404].contains(&completed.status), "{completed}");
    bob.get(&format!("/files/{id}")).await.fails(404, "Not found");
    is_swept(&stack, &bob, 0, &[format!("uploads/{id}/")]).await;
}

#[tokio::test]
async fn many_deletes_at_once_are_one() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a.txt", b"hi").await;
    let answers = futures_util::future::join_all((0..8).map(|_| delete(&bob, &file))).await;
    assert_eq!(answers.iter().filter(|status| **status == 204).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 404).count(), 7, "{answers:?}");
}

#[tokio::test]
async fn r20_delete_is_final() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let image = bob.upload_image("photo.jpg", &jpeg(600, 400)).await;
    thumbnail(&bob, &image, 100).await;
    let objects = keys(&stack, &image).await;
    // Between the tombstone and S3 the sweeper dies: it has not been yet.
    assert_eq!(delete(&bob, &image).await, 204);
    let late = job(&bob.id, &image);
    assert_eq!(work(&stack, std::slice::from_ref(&late)).await.0, json!([]));
    bob.get(&format!("/files/{image}/data?size=100")).await.fails(404, "Not found");
    is_swept(&stack, &bob, 0, &objects).await;
    assert_eq!(work(&stack, &[late]).await.0, json!([]));
    for key in objects {
        assert!(stack.objects(&key).await.is_empty(), "{key}");
    }
}

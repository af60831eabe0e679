//! `DELETE /files/{id}` hides a file at once from all users. The sweeper then removes it from the stores.

use std::time::Duration;

use e2e::{
    Answer, PASSWORD, Stack, User, eventually,
    fixtures::jpeg,
    ledger::{self, all_of, due_tombstone, object, pending, tombstone, with},
    thumbnails::thumbnail,
    unique,
    worker::{job, run_worker},
};
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};
use serde_json::{Value, json};

/// The time limit of the tests, which invoke the sweeper themselves.
const SOON: Duration = Duration::from_secs(20);

async fn delete(user: &User, id: &str) -> u16 {
    user.request("DELETE", &format!("/files/{id}")).send().await.status
}

async fn made_in(user: &User, parent: &str, more: Value) -> String {
    let mut file = json!({ "name": "a", "type": "folder", "parentId": parent });
    file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    user.create(file).await.document(201)["id"].as_str().unwrap().to_owned()
}

/// Waits until the user has only this number of rows, and none of these objects.
async fn is_swept(stack: &Stack, user: &User, rows: u64, keys: &[String]) {
    eventually("what was deleted is gone", SOON, async || {
        stack.invoke("sweeper", &json!({})).await;
        let left = stack.count_rows(all_of(user.object_id())).await;
        let mut objects = 0;
        for key in keys {
            objects += stack.objects(key).await.len();
        }
        (left == rows && objects == 0).then_some(())
    })
    .await;
}

async fn keys(stack: &Stack, id: &str) -> Vec<String> {
    vec![stack.row(id).await.key().to_owned(), format!("thumbnails/{id}/")]
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
async fn an_upload_into_a_folder_that_is_being_deleted_is_deleted_too() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("going").await;
    let begun = bob.create(json!({ "name": "a.txt", "type": "file", "parentId": folder, "size": 5 })).await.json();
    let id = begun["id"].as_str().unwrap();
    // The state if the sweeper ran before the row was written.
    stack.files.delete_one(ledger::row(&folder)).await.unwrap();
    let put = stack.http.put(begun["upload"]["url"].as_str().unwrap());
    let put = put.header("Content-Type", "text/plain; charset=utf-8").header("If-None-Match", "*");
    assert_eq!(put.body("hello").send().await.unwrap().status(), 200);
    let completed = bob.request("POST", &format!("/files/{id}/complete")).send().await;
    // S3's message may have completed the upload first.
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
    // The state if the sweeper dies after the tombstone: nothing is deleted in S3 yet.
    assert_eq!(delete(&bob, &image).await, 204);
    let late = job(&bob.id, &image);
    assert_eq!(run_worker(&stack, std::slice::from_ref(&late)).await.0, json!([]));
    bob.get(&format!("/files/{image}/data?size=100")).await.fails(404, "Not found");
    is_swept(&stack, &bob, 0, &objects).await;
    assert_eq!(run_worker(&stack, &[late]).await.0, json!([]));
    for key in objects {
        assert!(stack.objects(&key).await.is_empty(), "{key}");
    }
}

#[tokio::test]
async fn files_in_a_deleted_folder_cannot_be_published() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("going").await;
    let inner = made_in(&bob, &folder, json!({})).await;
    let file = made_in(&bob, &inner, json!({ "type": "file", "data": "aGk=" })).await;
    // A tombstone that the sweeper does not take before this test has checked it.
    stack.set_row(&folder, tombstone()).await;
    for id in [&file, &inner] {
        for action in ["publish", "unpublish"] {
            bob.put(&format!("/files/{id}/{action}")).await.fails(404, "Not found");
        }
        let row = stack.row(id).await;
        assert!(!row.get_bool("isPublic").unwrap(), "{row}");
    }
    stack.set_row(&folder, due_tombstone()).await;
    is_swept(&stack, &bob, 0, &[]).await;
}

/// The original accepted a folder of another user as the parent.
#[tokio::test]
async fn a_folder_takes_nothing_along_that_is_anothers() {
    let stack = Stack::running().await;
    let (ann, bob) = (stack.user("ann").await, stack.user("bob").await);
    let outer = ann.folder("outer").await;
    let (folder, file, beneath) = (ObjectId::new(), ObjectId::new(), ObjectId::new());
    let parent: ObjectId = outer.parse().unwrap();
    let in_the_folder = |id: ObjectId, r#type: &str, parent: ObjectId, owner: &User| {
        doc! {
            "_id": id, "userId": owner.object_id(), "name": "a", "type": r#type, "isPublic": false, "parentId": parent,
        }
    };
    let rows = [
        in_the_folder(folder, "folder", parent, &bob),
        in_the_folder(file, "file", folder, &ann),
        in_the_folder(beneath, "file", folder, &bob),
    ];
    stack.files.insert_many(rows).await.unwrap();
    let is_there = async || {
        ann.get(&format!("/files/{file}")).await.document(200);
        assert_eq!(ann.get(&format!("/files?parentId={folder}")).await.documents().len(), 1);
    };
    is_there().await;
    // The file survives the deletion of the other user's folder that it is in, and of its owner's own folder above
    // that.
    assert_eq!(delete(&bob, &folder.to_hex()).await, 204);
    bob.get(&format!("/files/{beneath}")).await.fails(404, "Not found");
    is_there().await;
    assert_eq!(delete(&ann, &outer).await, 204);
    is_there().await;
    is_swept(&stack, &bob, 0, &[]).await;
    is_swept(&stack, &ann, 1, &[]).await;
    is_there().await;
    assert_eq!(delete(&ann, &file.to_hex()).await, 204);
}

/// The state after a function has written the row and before it stores the bytes. S3 sends no message for these.
#[tokio::test]
async fn bytes_that_come_after_all_else_was_swept_are_swept_too() {
    let stack = Stack::running().await;
    for how in ["with its folder", "with its account", "itself"] {
        let bob = stack.user("bob").await;
        let folder = bob.folder("going").await;
        let (id, key) = (ObjectId::new(), format!("files/{}", unique("planted")));
        let row = doc! {
            "_id": id, "userId": bob.object_id(), "name": "a.txt", "type": "file", "isPublic": false,
            "parentId": folder.parse::<ObjectId>().unwrap(),
        };
        stack.files.insert_one(with(with(row, object(&key, 2)), pending())).await.unwrap();
        let gone = match how {
            "with its folder" => delete(&bob, &folder).await,
            "with its account" => {
                let leave = bob.request("DELETE", "/users/me").json(json!({ "password": PASSWORD }));
                leave.send().await.status
            }
            _ => delete(&bob, &id.to_hex()).await,
        };
        assert_eq!(gone, 204, "{how}");
        let left = if how == "itself" { 2 } else { 1 };
        is_swept(&stack, &bob, left, &[]).await;
        let row = stack.find_row(id).await.unwrap_or_else(|| panic!("no row, {how}"));
        assert!(row.is_tombstone(), "{how}");
        let after = row.expires_in();
        assert!((10_000..=60_000).contains(&after), "{after} ms, {how}");

        stack.put_object(&key, b"hi".to_vec()).await;
        stack.set_row(id, due_tombstone()).await;
        is_swept(&stack, &bob, left - 1, &[key]).await;
    }
}

/// Parents as the original stored them, or as people edited them.
#[tokio::test]
async fn a_document_of_another_form_goes_with_its_folder_too() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("odd").await;
    let parent: ObjectId = folder.parse().unwrap();
    let edited = ObjectId::new();
    let mut rows = vec![
        doc! { "_id": edited, "type": "directory" },
        doc! { "isPublic": "yes" },
        doc! { "name": { "a": 1 } },
        doc! { "type": 7 },
        doc! { "size": "large", "updatedAt": 7, "thumbnails": 7, "thumbnailFiles": "x", "thumbnailsDueAt": "soon" },
        doc! { "isRepeatable": "yes", "uploadId": 7, "maxBytes": "x", "decodingSince": true, "expiresAt": "soon" },
    ];
    let mut objects = Vec::new();
    for row in &mut rows {
        let key = format!("files/{}", unique("planted"));
        stack.put_object(&key, b"hi".to_vec()).await;
        row.extend(doc! { "userId": bob.object_id(), "parentId": parent, "key": &key });
        objects.push(key);
    }
    let inside =
        doc! { "userId": bob.object_id(), "parentId": edited, "name": "a", "type": "file", "isPublic": Bson::Null };
    rows.push(inside);
    stack.files.insert_many(rows).await.unwrap();
    assert_eq!(delete(&bob, &folder).await, 204);
    is_swept(&stack, &bob, 0, &objects).await;
}

/// The rows of a chain of folders from older versions, the topmost first. Each is in the one before.
fn chain(owner: &User, levels: usize) -> Vec<Document> {
    let mut parent = Bson::from(0);
    let folder = |_| {
        let id = ObjectId::new();
        let lies_in = std::mem::replace(&mut parent, id.into());
        doc! {
            "_id": id, "userId": owner.object_id(), "name": "a", "type": "folder", "isPublic": false, "parentId": lies_in,
        }
    };
    (0..levels).map(folder).collect()
}

fn id(row: &Document) -> String {
    row.get_object_id("_id").unwrap().to_hex()
}

#[tokio::test]
async fn files_deeper_than_reads_look_are_deleted_with_the_top_folder() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folders = chain(&bob, 230);
    stack.files.insert_many(&folders).await.unwrap();
    let [top, middle, bottom] = [0, 200, 229].map(|level| id(&folders[level]));
    // A file within the depth that a read checks is hidden at once.
    assert_eq!(delete(&bob, &middle).await, 204);
    bob.get(&format!("/files/{bottom}")).await.fails(404, "Not found");
    assert_eq!(delete(&bob, &top).await, 204);
    is_swept(&stack, &bob, 0, &[]).await;
}

/// The fastest of several attempts counts, because the machine may be busy with other tests.
async fn is_soon(what: &str, status: u16, request: impl AsyncFn() -> Answer) {
    let mut fastest = Duration::MAX;
    for _ in 0..6 {
        let answer = request().await;
        assert_eq!(answer.status, status, "{what}: {answer}");
        fastest = fastest.min(answer.took);
    }
    assert!(fastest < Duration::from_millis(400), "{what} took {fastest:?}");
}

#[tokio::test]
async fn twenty_thousand_levels_of_folders_cost_no_more_than_a_hundred() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folders = chain(&bob, 20_000);
    let (bottom, key) = (id(folders.last().unwrap()), format!("files/{}", unique("planted")));
    stack.files.insert_many(&folders).await.unwrap();
    stack.put_object(&key, b"hi".to_vec()).await;
    let file = ObjectId::new();
    let row = doc! {
        "_id": file, "userId": bob.object_id(), "name": "a.txt", "type": "file", "isPublic": true,
        "parentId": folders.last().unwrap().get_object_id("_id").unwrap(),
    };
    stack.files.insert_one(with(row, object(&key, 2))).await.unwrap();

    let content = format!("/files/{file}/data");
    let document = format!("/files/{file}");
    let listing = format!("/files?parentId={bottom}");
    let inside = json!({ "name": "a", "type": "folder", "parentId": bottom });
    is_soon("content", 200, async || stack.anyone().get(&content).await).await;
    is_soon("the document", 200, async || bob.get(&document).await).await;
    is_soon("publishing", 200, async || bob.put(&format!("{document}/publish")).await).await;
    is_soon("a listing", 200, async || bob.get(&listing).await).await;
    is_soon("creating", 400, async || bob.create(inside.clone()).await).await;
    assert_eq!(bob.get(&listing).await.documents().len(), 1);
    bob.create(inside).await.fails(400, "Too deep: 100 levels at most");

    assert_eq!(delete(&bob, &bottom).await, 204);
    stack.anyone().get(&content).await.fails(404, "Not found");
    is_swept(&stack, &bob, 19_999, &[key]).await;
    stack.files.delete_many(all_of(bob.object_id())).await.unwrap();
}

//! `PUT /files/{id}/publish` and `/unpublish`.

use api::{Stack, document};

use crate::files::original;

#[tokio::test]
async fn publishing_and_unpublishing_answer_with_the_document_as_it_is_then() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, folder) = (bob.upload("notes.txt", b"hi").await, bob.folder("photos").await);
    for (id, name, r#type) in [(file, "notes.txt", "file"), (folder, "photos", "folder")] {
        // Twice each: the second changes nothing.
        for (action, is_public) in [("publish", true), ("publish", true), ("unpublish", false), ("unpublish", false)] {
            let answer = bob.put(&format!("/files/{id}/{action}")).await.document(200);
            let expected = document(&id, &bob.id, name, r#type, is_public, 0);
            assert_eq!(original(&answer), expected);
            assert_eq!(original(&bob.get(&format!("/files/{id}")).await.document(200)), expected);
        }
    }
}

#[tokio::test]
async fn only_the_owner_publishes() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let file = bob.upload("notes.txt", b"hi").await;
    let (publish, unpublish) = (format!("/files/{file}/publish"), format!("/files/{file}/unpublish"));
    eve.put(&publish).await.fails(404, "Not found");
    assert_eq!(bob.get(&format!("/files/{file}")).await.document(200)["isPublic"], false);
    bob.publish(&file).await;
    eve.put(&unpublish).await.fails(404, "Not found");
    eve.put(&publish).await.fails(404, "Not found");
    assert_eq!(bob.get(&format!("/files/{file}")).await.document(200)["isPublic"], true);
}

#[tokio::test]
async fn publishing_a_folder_does_not_publish_what_is_in_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("photos").await;
    let inside = serde_json::json!({ "name": "a.txt", "type": "file", "data": "aGk=", "parentId": folder });
    let file = bob.create(inside).await.document(201)["id"].as_str().unwrap().to_owned();
    bob.publish(&folder).await;
    stack.anyone().get(&format!("/files/{file}/data")).await.fails(404, "Not found");
}

#[tokio::test]
async fn content_is_there_for_all_from_publish_to_unpublish() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let path = format!("/files/{file}/data");
    for _ in 0..2 {
        stack.anyone().get(&path).await.fails(404, "Not found");
        bob.publish(&file).await;
        stack.anyone().get(&path).await.is_content("text/plain; charset=utf-8", b"hi");
        assert_eq!(bob.put(&format!("/files/{file}/unpublish")).await.document(200)["isPublic"], false);
    }
    stack.anyone().get(&path).await.fails(404, "Not found");
}

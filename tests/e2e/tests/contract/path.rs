//! `GET /files/{id}/path`.

use e2e::{Stack, User, ledger::tombstone, unique};
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::{Value, json};

async fn made_in(user: &User, parent: &str, name: &str, r#type: &str) -> String {
    let file = json!({ "name": name, "type": r#type, "data": "aGk=", "parentId": parent });
    user.create(file).await.document(201)["id"].as_str().unwrap().to_owned()
}

fn steps(steps: &[(&str, &str)]) -> Value {
    steps.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect()
}

#[tokio::test]
async fn f03_a_path_leads_from_below_the_root_to_the_document() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let photos = bob.folder("photos").await;
    let summer = made_in(&bob, &photos, "summer", "folder").await;
    let beach = made_in(&bob, &summer, "beach.jpg", "image").await;
    let path = async |id: &str| bob.get(&format!("/files/{id}/path")).await;
    path(&photos).await.is(200, steps(&[(&photos, "photos")]));
    path(&beach).await.is(200, steps(&[(&photos, "photos"), (&summer, "summer"), (&beach, "beach.jpg")]));
    assert_eq!(
        path(&beach).await.text(),
        format!(
            r#"[{{"id":"{photos}","name":"photos"}},{{"id":"{summer}","name":"summer"}},{{"id":"{beach}","name":"beach.jpg"}}]"#
        )
    );
    bob.publish(&beach).await;
    eve.get(&format!("/files/{beach}/path")).await.fails(404, "Not found");
    for id in [&ObjectId::new().to_hex(), "malformed", "0"] {
        path(id).await.fails(404, "Not found");
    }
    let pending = bob.create(json!({ "name": "a", "type": "file", "size": 5, "parentId": summer })).await.document(201);
    path(pending["id"].as_str().unwrap()).await.fails(404, "Not found");
    assert_eq!(bob.request("DELETE", &format!("/files/{photos}")).send().await.status, 204);
    for id in [&photos, &summer, &beach] {
        path(id).await.fails(404, "Not found");
    }
}

#[tokio::test]
async fn f03_a_path_may_have_a_hundred_levels() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let mut path = vec![(bob.folder("1").await, "1".to_owned())];
    for level in 2..=100 {
        let name = level.to_string();
        let id = made_in(&bob, &path.last().unwrap().0, &name, "folder").await;
        path.push((id, name));
    }
    let (deepest, _) = path.last().unwrap();
    let expected: Vec<_> = path.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
    bob.get(&format!("/files/{deepest}/path")).await.is(200, steps(&expected));
}

/// Documents that only the original, or a person, can have stored.
#[tokio::test]
async fn f03_a_path_begins_where_the_folders_of_the_owner_begin() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let plant = async |owner: &User, name: &str, parent: mongodb::bson::Bson| {
        let id = ObjectId::new();
        let row = doc! { "_id": id, "userId": owner.object_id(), "name": name, "type": "folder", "parentId": parent };
        stack.files.insert_one(row).await.unwrap();
        (id, id.to_hex())
    };
    let name = unique("secret");
    let (foreign, _) = plant(&eve, &name, 0.into()).await;
    let (inside, inside_hex) = plant(&bob, "inside", foreign.into()).await;
    let (_, below) = plant(&bob, "below", inside.into()).await;
    let (_, lost) = plant(&bob, "lost", ObjectId::new().into()).await;
    let (_, legacy) = plant(&bob, "legacy", "0".into()).await;
    let path = async |id: &str| bob.get(&format!("/files/{id}/path")).await;
    path(&below).await.is(200, steps(&[(&inside_hex, "inside"), (&below, "below")]));
    path(&lost).await.is(200, steps(&[(&lost, "lost")]));
    path(&legacy).await.is(200, steps(&[(&legacy, "legacy")]));

    // Folders in a circle have a path that ends.
    let (first, _) = plant(&bob, "first", 0.into()).await;
    let (second, second_hex) = plant(&bob, "second", first.into()).await;
    stack.set_row(first, doc! { "parentId": second }).await;
    assert_eq!(path(&second_hex).await.status, 200);
    stack.set_row(inside, tombstone()).await;
    path(&below).await.fails(404, "Not found");
    stack.files.delete_many(doc! { "userId": { "$in": [bob.object_id(), eve.object_id()] } }).await.unwrap();
}

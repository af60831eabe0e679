//! `POST /files/batch` does to many documents what single requests do.

use e2e::{Answer, Stack, User, id_of, ledger::all_of};
use mongodb::bson::oid::ObjectId;
use serde_json::{Value, json};

async fn batch(user: &User, action: &str, ids: &[&str], more: Value) -> Answer {
    let mut body = json!({ "action": action, "ids": ids });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    user.post("/files/batch", body).await
}

/// The results, each with its keys.
fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer}");
    let results: Vec<Value> = serde_json::from_value(answer.json()).unwrap();
    for result in &results {
        let status = result["status"].as_u64().unwrap();
        assert_eq!(result["error"].is_string(), status >= 400, "{result}");
        assert_eq!(result["file"].is_object(), status < 300 && status != 204, "{result}");
        let expected = 2 + usize::from(status != 204);
        assert_eq!(result.as_object().unwrap().len(), expected, "{result}");
    }
    results
}

fn refused(id: &str, status: u16, error: &str) -> Value {
    json!({ "id": id, "status": status, "error": error })
}

#[tokio::test]
async fn f44_the_results_come_in_the_order_of_the_ids() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let to = bob.folder("to").await;
    let (a, b) = (bob.upload("a.txt", b"hi").await, bob.upload("b.txt", b"hi").await);
    let foreign = eve.upload("hers.txt", b"hi").await;
    let unknown = ObjectId::new().to_hex();
    let ids = [&*b, &foreign, &to, "malformed", &a, &unknown];
    let moved = results(&batch(&bob, "move", &ids, json!({ "parentId": to })).await);
    let shown = |document: Value| json!({ "id": document["id"], "status": 200, "file": document });
    let expected = [
        shown(bob.show(&b).await.tagged(200)),
        refused(&foreign, 404, "Not found"),
        refused(&to, 409, "A folder cannot be moved into itself"),
        refused("malformed", 404, "Not found"),
        shown(bob.show(&a).await.tagged(200)),
        refused(&unknown, 404, "Not found"),
    ];
    assert_eq!(moved, expected);
    assert_eq!((&moved[0]["file"]["parentId"], &moved[0]["file"]["revision"]), (&json!(to), &json!(2)));
    assert_eq!(eve.show(&foreign).await.tagged(200)["parentId"], 0);
}

#[tokio::test]
async fn f44_each_result_is_that_of_its_single_request() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (to, file) = (bob.folder("to").await, bob.upload_into(&bob.folder("other").await, "a.txt", b"hi").await);
    bob.upload_into(&to, "a.txt", b"hi").await;
    let b = bob.upload("b.txt", b"hi").await;

    let conflict = batch(&bob, "move", &[&file, &b], json!({ "parentId": to, "onConflict": "fail" })).await;
    let conflict = results(&conflict);
    assert_eq!(conflict[0], refused(&file, 409, "The name is taken"));
    assert_eq!((&conflict[1]["status"], &conflict[1]["file"]["parentId"]), (&json!(200), &json!(to)));

    let copied = results(&batch(&bob, "copy", &[&file, &b, &to], json!({ "parentId": to })).await);
    let names: Vec<&Value> = copied.iter().map(|result| &result["file"]["name"]).collect();
    assert_eq!(names[..2], [&json!("a (2).txt"), &json!("b (2).txt")]);
    assert_eq!((&copied[0]["id"], &copied[0]["status"]), (&json!(file), &json!(201)));
    assert_eq!(copied[0]["file"]["copiedFrom"], json!(file));
    assert_eq!(bob.content(copied[1]["file"]["id"].as_str().unwrap()).await, b"hi");
    assert_eq!(copied[2], refused(&to, 409, "A folder cannot be copied into itself"));

    let gone = ObjectId::new().to_hex();
    let nowhere = results(&batch(&bob, "move", &[&file, &b], json!({ "parentId": gone })).await);
    assert_eq!(nowhere, [refused(&file, 400, "Parent not found"), refused(&b, 400, "Parent not found")]);

    let trashed = results(&batch(&bob, "trash", &[&file, &to, &b], json!({})).await);
    assert!(trashed[0]["file"]["trashedAt"].is_string() && trashed[1]["file"]["expiresAt"].is_string(), "{trashed:?}");
    assert_eq!(trashed[2], refused(&b, 404, "Not found"), "it is below the folder before it");
    let again = results(&batch(&bob, "trash", &[&file], json!({})).await);
    assert_eq!(again[0], trashed[0]);

    let restored = results(&batch(&bob, "restore", &[&to, &file, "malformed"], json!({})).await);
    assert_eq!((&restored[0]["status"], &restored[1]["status"]), (&json!(200), &json!(200)));
    assert_eq!(restored[2], refused("malformed", 404, "Not found"));
    assert_eq!(bob.content(&b).await, b"hi");

    let deleted = results(&batch(&bob, "delete", &[&file, &to, &b, &file], json!({})).await);
    let expected = [
        json!({ "id": file, "status": 204 }),
        json!({ "id": to, "status": 204 }),
        refused(&b, 404, "Not found"),
        refused(&file, 404, "Not found"),
    ];
    assert_eq!(deleted, expected);
    stack
        .sweep_until("only the other folder is left", async || {
            (stack.count_rows(all_of(bob.object_id())).await == 1).then_some(())
        })
        .await;
}

#[tokio::test]
async fn f44_an_action_is_one_of_five_and_ids_are_one_to_a_hundred() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a.txt", b"hi").await;
    for action in [json!("Move"), json!("publish"), json!(""), json!(null), json!(7), json!(["delete"]), json!({})] {
        bob.post("/files/batch", json!({ "action": action, "ids": [file] })).await.fails(400, "Invalid action");
    }
    bob.post("/files/batch", json!({ "ids": [file] })).await.fails(400, "Invalid action");
    let many = vec![json!(file); 101];
    for ids in [json!(null), json!([]), json!(file), json!(7), json!({ "0": file }), json!(many)] {
        let asked = json!({ "action": "delete", "ids": ids });
        bob.post("/files/batch", asked).await.fails(400, "Invalid ids: 1 to 100");
    }
    bob.post("/files/batch", json!({ "action": "delete" })).await.fails(400, "Invalid ids: 1 to 100");
    bob.request("POST", "/files/batch").body("application/json", "{").send().await.fails(400, "Invalid JSON");
    stack.anyone().post("/files/batch", json!({ "action": "delete", "ids": [file] })).await.fails(401, "Unauthorized");
    assert_eq!(bob.show(&file).await.tagged(200)["revision"], 1);
}

#[tokio::test]
async fn f44_a_hundred_documents_are_one_request() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let to = bob.folder("to").await;
    let tree = stack.plant_tree(bob.object_id(), 0, 1, 100, &mongodb::bson::doc! {}).await;
    let ids: Vec<String> = tree.files.iter().map(|id| id.to_hex()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for (action, more, status) in [
        ("move", json!({ "parentId": to }), 200),
        ("copy", json!({ "parentId": 0, "onConflict": "rename" }), 201),
        ("trash", json!({}), 200),
        ("restore", json!({}), 200),
        ("delete", json!({}), 204),
    ] {
        let done = results(&batch(&bob, action, &ids, more).await);
        assert_eq!(done.len(), 100, "{action}");
        for (result, id) in done.iter().zip(&ids) {
            assert_eq!((&result["id"], &result["status"]), (&json!(id), &json!(status)), "{action}");
        }
    }
}

#[tokio::test]
async fn f44_what_is_over_the_quota_is_one_result_among_others() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (large, small) = (bob.upload("a.txt", b"123456").await, bob.upload("b.txt", b"12").await);
    stack.set_quota(bob.object_id(), 11).await;
    let copied = results(&batch(&bob, "copy", &[&large, &small], json!({})).await);
    assert_eq!(copied[0]["status"], 507);
    assert!(copied[0]["error"].as_str().unwrap().starts_with("Over quota: "), "{copied:?}");
    assert_eq!(copied[1]["status"], 201);
    assert_eq!(bob.content(&id_of(&copied[1]["file"])).await, b"12");
    assert_eq!(bob.used_bytes().await, 10);
}

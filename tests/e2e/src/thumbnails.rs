//! Images, their thumbnails and their failures.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what is not there fails the test")]

use std::time::Duration;

use mongodb::bson::{DateTime, doc, oid::ObjectId};

use crate::{
    Answer, Client, Stack, eventually,
    ledger::{object, thumbnails_due, with},
    unique,
};

/// The time limit for thumbnails on a machine that runs all other tests at the same time.
pub const SOON: Duration = Duration::from_mins(1);

/// Waits for a thumbnail.
pub async fn thumbnail(reader: &Client, id: &str, width: u32) -> Answer {
    let path = format!("/files/{id}/data?size={width}");
    eventually(&format!("a thumbnail at {path}"), SOON, async || {
        let answer = reader.get(&path).await;
        if answer.status == 200 {
            return Some(answer);
        }
        answer.fails(404, "Not found");
        None
    })
    .await
}

/// An image without a job, as a lost message leaves it.
pub async fn image_without_a_job(stack: &Stack, owner: ObjectId, bytes: Vec<u8>, due_at: DateTime) -> String {
    let (id, size) = (ObjectId::new(), i64::try_from(bytes.len()).unwrap());
    let key = format!("files/{}", unique("planted"));
    stack.put_object(&key, bytes).await;
    let row = doc! {
        "_id": id, "userId": owner, "name": "planted.jpg", "type": "image", "isPublic": false, "parentId": 0,
    };
    let row = with(with(row, object(&key, size)), thumbnails_due(due_at));
    stack.plant(owner, [row]).await;
    id.to_hex()
}

/// Waits until an image has failed, and returns the reason.
pub async fn failure(stack: &Stack, owner: &Client, id: &str) -> String {
    let document = eventually(&format!("{id} failed"), SOON, async || {
        let document = owner.get(&format!("/files/{id}")).await.document(200);
        assert_ne!(document["thumbnails"], "ready");
        (document["thumbnails"] == "failed").then_some(document)
    })
    .await;
    let row = stack.row(id).await;
    assert_eq!(row.thumbnails(), "failed");
    assert_eq!(row.resend_at(), None, "it is not tried again");
    for width in [500, 250, 100] {
        owner.get(&format!("/files/{id}/data?size={width}")).await.fails(404, "Not found");
    }
    let reason = document["thumbnailError"].as_str().unwrap();
    assert!(!reason.is_empty());
    reason.to_owned()
}

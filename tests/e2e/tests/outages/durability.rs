//! Acknowledged uploads survive any crash, and refused ones leave nothing. `cargo local chaos` tests the same with
//! random seeds, for longer.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use e2e::{
    Stack, User, encoded, eventually,
    fixtures::jpeg,
    ledger::{State, all_of, expired, invisible, set, visible, with},
    record_measurement,
    thumbnails::{image_without_a_job, thumbnail},
    unique,
};
use futures_util::future::{join, join_all};
use mongodb::bson::{DateTime, doc};
use serde_json::json;

use crate::{
    alone,
    faults::{Outage, kill, s3},
    works_again,
};

const CLIENTS: usize = 8;
const UPLOADS_OF_EACH: usize = 25;

/// The longest time of a fault.
const SOON: Duration = Duration::from_secs(30);

/// The answers that the clients got.
#[derive(Default)]
struct Outcomes {
    /// The ids and bytes of the acknowledged files.
    acknowledged: RefCell<Vec<(String, Vec<u8>)>>,
    refused: Cell<usize>,
}

impl Outcomes {
    fn count(&self) -> usize {
        self.acknowledged.borrow().len() + self.refused.get()
    }

    /// Each client uploads one file after the other, each with other bytes.
    async fn upload(&self, user: &User, name: &str) {
        let clients = (0..CLIENTS).map(async |client| {
            for n in 0..UPLOADS_OF_EACH {
                let bytes = format!("{name} {client} {n} ").into_bytes().repeat(1 + client * n);
                let answer = user.create(json!({ "name": name, "type": "file", "data": encoded(&bytes) })).await;
                if answer.status == 201 {
                    let id = answer.json()["id"].as_str().unwrap().to_owned();
                    self.acknowledged.borrow_mut().push((id, bytes));
                } else {
                    assert!(answer.status >= 500, "{answer}");
                    self.refused.set(self.refused.get() + 1);
                }
            }
        });
        join_all(clients).await;
    }

    async fn until(&self, enough: impl Fn(&Self) -> bool) {
        eventually("enough uploads", SOON, async || enough(self).then_some(())).await;
    }

    /// Checks that every acknowledged file has its bytes, and that nothing of the others is left after their grace
    /// period.
    async fn holds(&self, stack: &Stack, user: &User, name: &str, before: &[String]) {
        assert_eq!(self.count(), CLIENTS * UPLOADS_OF_EACH);
        let acknowledged = self.acknowledged.borrow().clone();
        for (id, bytes) in &acknowledged {
            let answer = works_again(async || user.get(&format!("/files/{id}/data")).await).await;
            answer.is_content("application/octet-stream", bytes);
        }
        give_up(stack, user).await;
        let visible = stack.files.distinct("_id", with(doc! { "name": name }, visible())).await.unwrap();
        let unexpected: Vec<String> = visible.iter().map(|id| id.as_object_id().unwrap().to_hex()).collect();
        let unexpected: Vec<_> =
            unexpected.into_iter().filter(|id| acknowledged.iter().all(|(known, _)| known != id)).collect();
        // These uploads were stored, but their answer was lost.
        assert!(unexpected.len() <= self.refused.get(), "{unexpected:?}");
        for id in &unexpected {
            assert_eq!(user.get(&format!("/files/{id}/data")).await.status, 200);
        }
        let objects = stack.new_objects("files/", before).await;
        assert_eq!(objects.len(), acknowledged.len() + unexpected.len(), "objects without a row");
    }

    fn record_measurement(&self, promise: &str) {
        let (acknowledged, refused) = (self.acknowledged.borrow().len(), self.refused.get());
        record_measurement(
            promise,
            "uploads",
            format_args!("{acknowledged} acknowledged, 0 lost; {refused} refused, nothing left"),
        );
    }
}

/// Ends the grace period of unfinished uploads, and invokes the sweeper.
async fn give_up(stack: &Stack, user: &User) {
    let unfinished = with(all_of(user.object_id()), invisible());
    stack.files.update_many(unfinished.clone(), set(expired())).await.unwrap();
    eventually("nothing unfinished is left", SOON, async || {
        stack.try_invoke("sweeper", &json!({})).await.ok()?;
        (stack.count_rows(unfinished.clone()).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn r06_acknowledged_uploads_survive() {
    let (_alone, stack) = alone().await;
    let (bob, name, outcomes) = (stack.user("bob").await, unique("survives"), Outcomes::default());
    let before = stack.objects("files/").await;
    let death = async {
        outcomes.until(|outcomes| outcomes.count() >= CLIENTS * UPLOADS_OF_EACH / 2).await;
        let undo = Outage::Crash.of(&stack, "mongodb").await;
        outcomes.until(|outcomes| outcomes.refused.get() > 0).await;
        // The fault is undone on another thread, because it waits for MongoDB, and the clients must continue.
        tokio::task::spawn_blocking(move || drop(undo)).await.unwrap();
    };
    join(outcomes.upload(&bob, &name), death).await;
    outcomes.holds(&stack, &bob, &name, &before).await;
    outcomes.record_measurement("R6");
}

#[tokio::test]
async fn r07_acknowledged_uploads_survive_the_death_of_functions() {
    let (_alone, stack) = alone().await;
    let (bob, name, outcomes) = (stack.user("bob").await, unique("survives"), Outcomes::default());
    let before = stack.objects("files/").await;
    let deaths = async {
        for deaths in 1..=10 {
            outcomes.until(|outcomes| outcomes.count() >= deaths * CLIENTS * UPLOADS_OF_EACH / 12).await;
            kill(&stack, "files");
        }
    };
    join(outcomes.upload(&bob, &name), deaths).await;
    assert!(outcomes.refused.get() > 0, "nobody met a function that died");
    outcomes.holds(&stack, &bob, &name, &before).await;
    outcomes.record_measurement("R7");
}

#[tokio::test]
async fn r07_a_function_that_dies_between_row_and_bytes_leaves_nothing() {
    let (_alone, stack) = alone().await;
    let (bob, name) = (stack.user("bob").await, unique("half"));
    let before = stack.objects("files/").await;
    let undo = s3(&stack, json!({ "service": "s3", "operation": "PutObject", "timeout_ms": 60_000 })).await;
    let death = async {
        eventually("the row", SOON, async || {
            stack.files.find_one(with(doc! { "name": &name }, State::Pending.only())).await.unwrap()
        })
        .await;
        kill(&stack, "files");
    };
    let body = json!({ "name": name, "type": "file", "data": encoded(b"half") });
    let (answer, ()) = join(bob.create(body), death).await;
    assert!(answer.status >= 500, "{answer}");
    drop(undo);
    assert_eq!(bob.get("/files").await.documents(), [] as [serde_json::Value; 0]);
    give_up(&stack, &bob).await;
    assert_eq!(stack.new_objects("files/", &before).await, [""; 0]);
}

#[tokio::test]
async fn r07_the_sweeper_sends_the_job_that_a_killed_function_did_not_send() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    // The state after the death: the image is visible, its thumbnails are due, and no job was sent.
    let id = image_without_a_job(&stack, bob.object_id(), jpeg(600, 400), DateTime::now()).await;
    assert_eq!(stack.row(&id).await.thumbnails(), "due");
    stack.invoke("sweeper", &json!({})).await;
    for width in [500, 250, 100] {
        thumbnail(&bob, &id, width).await;
    }
}

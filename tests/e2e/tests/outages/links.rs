//! The count of downloads while stores and functions die, and what the times of answers tell about links.

use std::{cell::Cell, time::Duration};

use e2e::{Answer, Stack, Times, User, eventually, id_of, record_measurement};
use futures_util::future::{join, join_all};
use mongodb::bson::oid::ObjectId;
use redis::AsyncCommands;
use serde_json::{Value, json};

use crate::{
    alone,
    faults::{Outage, s3},
    file_manager::while_functions_die,
    is_unavailable, works_again,
};

const VISITORS: usize = 50;
const MOST: usize = 10;

/// The longest time of a fault, and of what follows it.
const SOON: Duration = Duration::from_mins(1);

struct Link {
    id: String,
    token: String,
}

async fn share(owner: &User, link: Value) -> Link {
    let created = owner.post("/links", link).await;
    assert_eq!(created.status, 201, "{created}");
    let link = created.json();
    Link { id: id_of(&link), token: link["token"].as_str().unwrap().to_owned() }
}

async fn downloads(owner: &User, link: &Link) -> u64 {
    // A function that was killed just now answers nothing.
    let shown = eventually("the link", SOON, async || {
        let shown = owner.get(&format!("/links/{}", link.id)).await;
        (shown.status < 500).then_some(shown)
    })
    .await;
    shown.json()["downloads"].as_u64().unwrap()
}

async fn visit(stack: &Stack, visitor: &str, path: &str) -> Answer {
    stack.anyone().request("GET", path).header("User-Agent", visitor).send().await
}

/// Lets all visitors ask at once, each until there is an answer of the link. Returns how many got the bytes. `answered` is
/// the number of answers so far.
async fn all_visit(stack: &Stack, path: &str, answered: &Cell<usize>) -> usize {
    let visitors: Vec<String> = (0..VISITORS).map(|n| format!("visitor {n}")).collect();
    let answers = visitors.iter().map(async |visitor| {
        let answer = eventually("an answer of the link", SOON, async || {
            let answer = visit(stack, visitor, path).await;
            (answer.status < 500).then_some(answer)
        })
        .await;
        answered.set(answered.get() + 1);
        answer
    });
    let answers = join_all(answers).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    for answer in &served {
        assert_eq!(answer.body, b"hi");
    }
    for answer in &refused {
        answer.fails(410, "The link is used up");
    }
    served.len()
}

#[tokio::test]
async fn f50_ten_of_fifty_get_bytes_though_mongodb_dies_in_between() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    for kill_after in [0, 2, 6] {
        let link = share(&bob, json!({ "fileId": file, "maxDownloads": MOST })).await;
        let path = format!("/shared/{}/files/{file}/data", link.token);
        let answered = Cell::new(0);
        let death = async {
            eventually("some answers", SOON, async || (answered.get() >= kill_after).then_some(())).await;
            drop(Outage::Crash.of(&stack, "mongodb").await);
        };
        let (served, ()) = join(all_visit(&stack, &path, &answered), death).await;
        assert_eq!((served, downloads(&bob, &link).await), (MOST, MOST as u64), "killed after {kill_after}");
    }
}

#[tokio::test]
async fn f50_ten_of_fifty_get_bytes_though_functions_die() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let link = share(&bob, json!({ "fileId": file, "maxDownloads": MOST })).await;
    let path = format!("/shared/{}/files/{file}/data", link.token);
    let served = while_functions_die(&stack, &["links"], all_visit(&stack, &path, &Cell::new(0))).await;
    assert_eq!((served, downloads(&bob, &link).await), (MOST, MOST as u64));
    // A visitor who has been counted needs no other count.
    let again = all_visit(&stack, &path, &Cell::new(0)).await;
    assert_eq!((again, downloads(&bob, &link).await), (MOST, MOST as u64));
}

#[tokio::test]
async fn f50_nothing_counts_where_s3_or_mongodb_failed() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let link = share(&bob, json!({ "fileId": file, "maxDownloads": 1 })).await;
    let path = format!("/shared/{}/files/{file}/data", link.token);
    let rule =
        json!({ "service": "s3", "operation": "GetObject", "error": { "code": "InternalError", "status": 500 } });
    let undo = s3(&stack, rule).await;
    for visitor in ["a", "b", "a"] {
        is_unavailable("a shared file", &visit(&stack, visitor, &path).await);
    }
    drop(undo);
    assert_eq!(downloads(&bob, &link).await, 0);
    let undo = Outage::Hang.of(&stack, "mongodb").await;
    is_unavailable("a shared file", &visit(&stack, "a", &path).await);
    drop(undo);
    assert_eq!(downloads(&bob, &link).await, 0);
    let undo = Outage::Hang.of(&stack, "redis").await;
    is_unavailable("a shared file", &visit(&stack, "a", &path).await);
    drop(undo);
    let bytes = works_again(async || visit(&stack, "a", &path).await).await;
    assert_eq!((bytes.status, downloads(&bob, &link).await), (200, 1));
    visit(&stack, "b", &path).await.fails(410, "The link is used up");
}

#[tokio::test]
async fn f50_a_lost_grant_counts_once_more_and_admits_nobody_else() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let link = share(&bob, json!({ "fileId": file, "maxDownloads": 3 })).await;
    let path = format!("/shared/{}/files/{file}/data", link.token);
    for visitor in ["a", "b"] {
        assert_eq!(visit(&stack, visitor, &path).await.status, 200);
    }
    let () = stack.redis().await.flushall().await.unwrap();
    assert_eq!(visit(&stack, "a", &path).await.status, 200);
    for visitor in ["b", "c"] {
        visit(&stack, visitor, &path).await.fails(410, "The link is used up");
    }
    assert_eq!(visit(&stack, "a", &path).await.status, 200);
    let owner = stack.anyone().with_token(bob.another_token().await);
    assert_eq!(owner.get(&format!("/links/{}", link.id)).await.json()["downloads"], 3);
}

/// The medians of requests of several kinds. The order rotates, so that no kind always follows the same other one.
async fn medians<const KINDS: usize>(times: usize, ask: impl AsyncFn(usize, usize) -> Answer) -> [Duration; KINDS] {
    let mut took = [const { Vec::new() }; KINDS];
    for n in 0..times {
        for at in 0..KINDS {
            let kind = (at + n) % KINDS;
            took[kind].push(ask(kind, n).await.took);
        }
    }
    took.map(|took| took.into_iter().collect::<Times>().median())
}

/// True if the times differ by 5 % at most.
fn alike(medians: &[Duration]) -> bool {
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    most.as_secs_f64() / least.as_secs_f64() <= 1.05
}

#[tokio::test]
async fn f48_a_wrong_password_takes_as_long_as_no_link() {
    const TIMES: usize = 200;
    const KINDS: [&str; 3] = ["wrong password", "revoked link", "forged token"];
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    // A link takes ten wrong passwords a minute.
    let (mut links, mut revoked) = (Vec::new(), Vec::new());
    for _ in 0..TIMES / 5 {
        links.push(share(&bob, json!({ "fileId": file, "password": "right" })).await);
        let link = share(&bob, json!({ "fileId": file })).await;
        bob.delete(&format!("/links/{}", link.id)).await.is_empty(204);
        revoked.push(link);
    }
    let forged = |n: usize| format!("{}{n:014}", ObjectId::new().to_hex());
    let ask = async |kind: usize, n: usize| {
        let token = match kind {
            0 => links[n / 5].token.clone(),
            1 => revoked[n / 5].token.clone(),
            _ => forged(n),
        };
        let answer = stack.anyone().post(&format!("/shared/{token}/unlock"), json!({ "password": "wrong" })).await;
        let (status, error) = if kind == 0 { (401, "Password required") } else { (404, "Not found") };
        answer.fails(status, error);
        answer
    };
    let mut found = medians::<3>(TIMES, &ask).await;
    // It has three tries, because other processes may have used the machine. The failures of a try end with the minute.
    for _ in 0..2 {
        if !alike(&found) {
            let mut redis = stack.redis().await;
            let failures: Vec<String> = redis.keys("rate_*").await.unwrap();
            let () = redis.del(failures).await.unwrap();
            found = medians::<3>(TIMES, &ask).await;
        }
    }
    for (kind, median) in KINDS.iter().zip(found) {
        record_measurement("F48", kind, format_args!("median {:.2} ms", median.as_secs_f64() * 1000.0));
    }
    assert!(alike(&found), "{found:?}");
    // One Argon2id hash takes tens of milliseconds.
    assert!(found.iter().all(|median| *median > Duration::from_millis(15)), "{found:?}");
}

#[tokio::test]
async fn f51_the_time_tells_nothing_about_a_folder_for_uploads() {
    const TIMES: usize = 300;
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let inbox = bob.folder("inbox").await;
    let file = bob.upload_into(&inbox, "a.txt", b"hi").await;
    let link = share(&bob, json!({ "fileId": inbox, "kind": "upload" })).await;
    let unknown = ObjectId::new().to_hex();
    for route in ["files/{id}/data", "files?parentId={id}"] {
        let paths = [&file, &unknown].map(|id| format!("/shared/{}/{}", link.token, route.replace("{id}", id)));
        let ask = async |kind: usize, _| {
            let answer = stack.anyone().get(&paths[kind]).await;
            answer.fails(404, "Not found");
            answer
        };
        let mut found = medians::<2>(TIMES, &ask).await;
        for _ in 0..2 {
            if !alike(&found) {
                found = medians::<2>(TIMES, &ask).await;
            }
        }
        assert!(alike(&found), "{route}: {found:?}");
    }
}

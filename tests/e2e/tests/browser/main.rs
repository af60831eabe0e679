//! Pages in a real browser: stock Uppy in both current major versions, which sends files directly to S3; uploads that
//! try to act in a browser; the pages of links; and the page of `/docs`. Skipped without a browser.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

mod active;
mod app;
mod browser;
mod built;
mod docs;
mod pages;
mod uppy;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use e2e::{
    Stack, User, eventually,
    ledger::{self, all_of, with},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use browser::Browser;
use uppy::{NAME, Outcome, TYPE, Ticket, To, with_ticket};

const MIB: u64 = 1 << 20;
const MAJORS: [u8; 2] = [5, 6];

/// Uppy's parts have 5 MiB.
const LARGE: u64 = 200 * MIB;
const PARTS_OF_LARGE: usize = 40;

#[tokio::test]
async fn a_small_file_goes_to_s3_as_a_form_after_one_call() {
    let Some(uppy) = Browser::here().await else { return };
    for major in MAJORS {
        let bob = uppy.stack.user("bob").await;
        let ticket = Ticket::of(&bob, json!({})).await;
        let outcome = uppy.upload_one(with_ticket(major, &ticket, 1000)).await;
        assert_eq!(outcome.calls(To::Api).len(), 1, "{outcome:?}");
        assert_eq!(outcome.calls(To::S3).len(), 1, "{outcome:?}");
        assert!(outcome.sent_to_s3() >= 1000, "{outcome:?}");
        is_visible(&uppy.stack, &bob, outcome.file(), 1000).await;
    }
}

#[tokio::test]
async fn an_upload_of_200_mib_takes_42_calls() {
    let Some(uppy) = Browser::here().await else { return };
    for major in MAJORS {
        let bob = uppy.stack.user("bob").await;
        let ticket = Ticket::of(&bob, json!({})).await;
        let outcome = uppy.upload_one(with_ticket(major, &ticket, LARGE)).await;
        assert_eq!(outcome.calls(To::Api).len(), PARTS_OF_LARGE + 2, "{outcome:?}");
        assert_eq!(outcome.calls(To::S3).len(), PARTS_OF_LARGE, "{outcome:?}");
        assert_eq!(outcome.sent_to_s3(), LARGE);
        let (_, url) = outcome.uploaded();
        assert!(url.ends_with(&format!("/files/{}/data", outcome.file())), "{url}");
        is_visible(&uppy.stack, &bob, outcome.file(), LARGE).await;
        forget(&uppy.stack, outcome.file()).await;
    }
}

#[tokio::test]
async fn an_upload_that_is_paused_goes_on_where_it_was() {
    let Some(uppy) = Browser::here().await else { return };
    for major in MAJORS {
        let bob = uppy.stack.user("bob").await;
        let ticket = Ticket::of(&bob, json!({})).await;
        let outcome = uppy.upload_one(at_half("pause", with_ticket(major, &ticket, LARGE))).await;
        let (calls, sent) = (outcome.calls(To::Api).len(), outcome.calls(To::S3));
        println!("Uppy {major}, paused once: {calls} calls, {} requests to S3", sent.len());
        // At most six parts are in progress, and some of them are only signed.
        assert!((PARTS_OF_LARGE + 3..=PARTS_OF_LARGE + 3 + 12).contains(&calls), "{calls}: {outcome:?}");
        let before = outcome.until_pause.as_ref().unwrap().iter();
        let stored: Vec<_> = before.filter(|call| call.to == To::S3 && call.status == Some(200)).collect();
        assert!((10..35).contains(&stored.len()), "not paused in the middle: {outcome:?}");
        for call in stored {
            let again = sent.iter().filter(|other| other.part == call.part).count();
            assert_eq!(again, 1, "part {:?} was there: {outcome:?}", call.part);
        }
        is_visible(&uppy.stack, &bob, outcome.file(), LARGE).await;
        forget(&uppy.stack, outcome.file()).await;
    }
}

#[tokio::test]
async fn a_cancelled_upload_leaves_nothing() {
    let Some(uppy) = Browser::here().await else { return };
    for major in MAJORS {
        let bob = uppy.stack.user("bob").await;
        let ticket = Ticket::of(&bob, json!({})).await;
        let outcome = uppy.upload_one(at_half("cancel", with_ticket(major, &ticket, LARGE))).await;
        assert!(outcome.sent_to_s3() >= LARGE / 2, "not cancelled in the middle: {outcome:?}");
        let given_up = outcome.calls.iter().find(|call| call.method == "DELETE").unwrap();
        assert_eq!((given_up.to, given_up.status), (To::Api, Some(200)), "{outcome:?}");
        nothing_is_left(&uppy.stack, &bob, &outcome).await;
    }
}

#[tokio::test]
async fn s3_refuses_a_form_with_more_bytes_than_the_ticket_allows() {
    let Some(uppy) = Browser::here().await else { return };
    for major in MAJORS {
        let bob = uppy.stack.user("bob").await;
        let ticket = Ticket::of(&bob, json!({ "maxBytes": 1000 })).await;
        let files = [1000, 1001].map(|size| with_ticket(major, &ticket, size));
        let outcomes = uppy.upload(&files).await;
        is_visible(&uppy.stack, &bob, outcomes[0].file(), 1000).await;
        outcomes[1].failed();
        let sent = outcomes[1].calls(To::S3);
        assert_eq!(sent.iter().map(|call| call.status).collect::<Vec<_>>(), [Some(400)], "{outcomes:?}");
        assert!(sent[0].refusal.as_ref().unwrap().contains("<Code>EntityTooLarge</Code>"), "{outcomes:?}");
        assert_eq!(visible(&uppy.stack, &bob).await, 1);
    }
}

#[tokio::test]
async fn a_multipart_upload_over_the_ticket_limit_is_refused_and_deleted() {
    let Some(uppy) = Browser::here().await else { return };
    for major in MAJORS {
        let bob = uppy.stack.user("bob").await;
        let ticket = Ticket::of(&bob, json!({ "maxBytes": 12 * MIB })).await;
        let files = [12 * MIB, 12 * MIB + 1].map(|size| in_parts(with_ticket(major, &ticket, size)));
        let outcomes = uppy.upload(&files).await;
        is_visible(&uppy.stack, &bob, outcomes[0].file(), 12 * MIB).await;
        forget(&uppy.stack, outcomes[0].file()).await;
        outcomes[1].failed();
        let completed = outcomes[1].calls.iter().find(|call| call.path.ends_with("/complete")).unwrap();
        assert_eq!(completed.status, Some(413), "{completed:?}");
        nothing_is_left(&uppy.stack, &bob, &outcomes[1]).await;
    }
}

#[tokio::test]
async fn a_ticket_that_is_none_uploads_nothing() {
    let Some(uppy) = Browser::here().await else { return };
    let bob = uppy.stack.user("bob").await;
    let mut files = Vec::new();
    let tickets = [
        expired(&uppy.stack, &bob).await,
        revoked(&bob).await,
        changed(&bob, |bytes| bytes[12] ^= 1).await,
        changed(&bob, |bytes| bytes[16..].fill(0)).await,
        changed(&bob, <[u8]>::reverse).await,
    ];
    for (at, ticket) in tickets.iter().enumerate() {
        // Each major version uploads once with a form and once in parts, alternately.
        let [five, six] = MAJORS.map(|major| with_ticket(major, ticket, 1000));
        files.extend(if at % 2 == 0 { [five, in_parts(six)] } else { [in_parts(five), six] });
    }
    for (file, outcome) in files.iter().zip(uppy.upload(&files).await) {
        outcome.failed();
        assert!(!outcome.calls.is_empty(), "{file}");
        for call in &outcome.calls {
            assert_eq!((call.to, call.status), (To::Api, Some(401)), "{file}: {outcome:?}");
        }
    }
    assert_eq!(uppy.stack.count_rows(all_of(bob.object_id())).await, 0);
}

#[tokio::test]
async fn a_page_with_a_token_has_every_request_to_s3_signed() {
    let Some(uppy) = Browser::here().await else { return };
    let bob = uppy.stack.user("bob").await;
    let outcomes = uppy.upload(&[signed(&uppy, &bob, 1000), in_parts(signed(&uppy, &bob, 12 * MIB))]).await;
    // The calls of S3's API: one request for the small file; three parts, a creation and a completion for the other.
    for (outcome, size, requests) in [(&outcomes[0], 1000, 1), (&outcomes[1], 12 * MIB, 5)] {
        assert_eq!((outcome.calls(To::Api).len(), outcome.calls(To::S3).len()), (requests, requests), "{outcome:?}");
        assert!(outcome.sent_to_s3() >= size);
        is_visible(&uppy.stack, &bob, outcome.file(), size).await;
    }
    forget(&uppy.stack, outcomes[1].file()).await;
}

#[tokio::test]
async fn a_cancelled_upload_that_was_signed_leaves_nothing_to_the_sweeper() {
    let Some(uppy) = Browser::here().await else { return };
    let bob = uppy.stack.user("bob").await;
    let outcome = uppy.upload_one(at_half("cancel", in_parts(signed(&uppy, &bob, 50 * MIB)))).await;
    assert!(outcome.calls.iter().any(|call| call.to == To::S3 && call.method == "DELETE"), "{outcome:?}");
    // The page sends the DELETE to S3 itself, and might fail to. So the row stays until the sweeper takes it.
    let swept = uppy.stack.invoke("sweeper", &json!({})).await;
    assert!(swept["expired"].is_u64(), "{swept}");
    nothing_is_left(&uppy.stack, &bob, &outcome).await;
}

fn in_parts(mut file: Value) -> Value {
    file["multipart"] = true.into();
    file
}

fn at_half(interruption: &str, mut file: Value) -> Value {
    file["atHalf"] = interruption.into();
    file
}

/// A file that Uppy 6 uploads with requests that a page signs with its token.
fn signed(uppy: &Browser, user: &User, size: u64) -> Value {
    let sign = json!({ "url": format!("{}/uploads/sign", uppy.stack.api), "token": user.token });
    json!({ "major": 6, "api": uppy.stack.api, "sign": sign, "name": NAME, "type": TYPE, "size": size })
}

async fn expired(stack: &Stack, user: &User) -> Ticket {
    let ticket = Ticket::of(user, json!({ "expiresIn": 1 })).await;
    let url = format!("{}/s3/multipart/none", ticket.companion_endpoint);
    eventually("the ticket expires", Duration::from_secs(10), async || {
        (stack.http.get(&url).send().await.unwrap().status().as_u16() == 401).then_some(())
    })
    .await;
    ticket
}

async fn revoked(user: &User) -> Ticket {
    let ticket = Ticket::of(user, json!({})).await;
    let answer = user.request("DELETE", &format!("/uploads/tickets/{}", ticket.ticket)).send().await;
    assert_eq!(answer.status, 204, "of {answer}");
    ticket
}

/// A ticket with changed bytes. Twelve bytes are its id, four its expiry, and the rest is the MAC.
async fn changed(user: &User, change: impl FnOnce(&mut [u8])) -> Ticket {
    let ticket = Ticket::of(user, json!({})).await;
    let mut bytes = URL_SAFE_NO_PAD.decode(&ticket.ticket).unwrap();
    change(&mut bytes);
    ticket.replaced(&URL_SAFE_NO_PAD.encode(bytes))
}

/// The file belongs to the user, has all its bytes, and its object is the only one of its key.
async fn is_visible(stack: &Stack, user: &User, file: &str, size: u64) {
    let path = format!("/files/{file}");
    let document = eventually("the file is visible", Duration::from_secs(30), async || {
        let answer = user.get(&path).await;
        (answer.status == 200).then(|| answer.document(200))
    })
    .await;
    assert_eq!((&document["name"], &document["size"]), (&json!(NAME), &json!(size)), "{document}");
    let place = format!("uploads/{file}/");
    let keys = eventually("a form's object is moved", Duration::from_secs(30), async || {
        Some(stack.objects(&place).await).filter(|keys| keys.len() == 1)
    })
    .await;
    assert!(!keys[0].ends_with("/form"), "{keys:?}");
    assert!(multipart_uploads(stack, &place).await.is_empty());

    let data = user.get(&format!("{path}/data")).await;
    let digest = if data.status == 302 {
        let mut object = stack.http.get(data.header("location")).send().await.unwrap();
        let mut digest = Sha256::new();
        while let Some(chunk) = object.chunk().await.unwrap() {
            digest.update(chunk);
        }
        digest
    } else {
        assert_eq!(data.status, 200, "of {data}");
        Sha256::new_with_prefix(&data.body)
    };
    assert!(digest.finalize() == content(size).finalize(), "other bytes than were uploaded");
}

/// No row, no object and no part is left: an announced upload that is not finished must not cost anything.
async fn nothing_is_left(stack: &Stack, user: &User, outcome: &Outcome) {
    let path = &outcome.calls(To::S3)[0].path;
    let place = &path[path.find("uploads/").unwrap()..path.rfind('/').unwrap()];
    let id = &place["uploads/".len()..];
    eventually("the row is gone", Duration::from_secs(10), async || stack.find_row(id).await.is_none().then_some(()))
        .await;
    assert_eq!(multipart_uploads(stack, place).await, Vec::<String>::new());
    assert_eq!(stack.objects(place).await, Vec::<String>::new());
    assert_eq!(user.get(&format!("/files/{id}")).await.status, 404);
}

async fn visible(stack: &Stack, user: &User) -> u64 {
    stack.count_rows(with(all_of(user.object_id()), ledger::visible())).await
}

async fn multipart_uploads(stack: &Stack, prefix: &str) -> Vec<String> {
    let uploads = stack.s3.list_multipart_uploads().bucket(&stack.bucket).prefix(prefix).send().await.unwrap();
    uploads.uploads().iter().filter_map(|upload| upload.key.clone()).collect()
}

/// Removes a large file, because the emulator keeps its bytes in memory. The row is deleted first.
async fn forget(stack: &Stack, file: &str) {
    let owner = stack.row(file).await.get_object_id("userId").unwrap();
    stack.files.delete_one(ledger::row(file)).await.unwrap();
    stack.forget_usage(owner).await;
    for key in stack.objects(&format!("uploads/{file}/")).await {
        stack.s3.delete_object().bucket(&stack.bucket).key(key).send().await.unwrap();
    }
}

/// The digest of the content that page.js makes.
fn content(size: u64) -> Sha256 {
    let mut block: Vec<u8> = (0..1_u32 << 18).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut digest = Sha256::new();
    for number in 0..size.div_ceil(MIB) {
        block[..4].copy_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
        let rest = usize::try_from((size - number * MIB).min(MIB)).unwrap();
        digest.update(&block[..rest]);
    }
    digest
}

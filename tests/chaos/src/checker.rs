//! Checks the state after the faults, when everything that was unfinished has been completed or removed: the model of
//! each person, the product's answers, the ledger and the bucket must agree.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use e2e::{
    Answer,
    fixtures::decode_image,
    ledger::{self, Row, set, with},
    worker::messages,
};
use futures_util::{StreamExt, TryStreamExt, future::join_all, stream};
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};

use crate::{
    Anomaly, Run, Stack,
    model::{Entry, Kind, OneColor, Presence, Stage},
    workload::{PATIENCE, Person, wrong},
};

mod documents;

/// The time until everything must have settled. A job is received for the fifth time about fifty seconds after the
/// first.
const SETTLE_TIME: Duration = Duration::from_secs(100);

/// The number of concurrent requests.
const AT_ONCE: usize = 8;

pub async fn check(run: &Run<'_>, people: &mut [Person<'_>], earlier_orphans: &BTreeSet<String>) -> Result<()> {
    if !is_well(run).await {
        return Ok(());
    }
    join_all(people.iter_mut().map(Person::log_in)).await;
    if !settles(run, people).await? {
        return Ok(());
    }
    let rows = rows(run.stack, people).await?;
    for person in &mut *people {
        documents::check(run, person, &rows);
    }
    documents::check_places(run, &rows);
    let people: &[Person<'_>] = people;
    check_bucket(run, people, &rows, earlier_orphans).await?;
    check_quotas(run, people, &rows).await;
    check_links(run, people).await;
    check_answers(run, people, &rows).await;
    Ok(())
}

/// Objects of the bucket, and parts of objects, without a row.
pub async fn orphans(stack: &Stack) -> Result<BTreeSet<String>> {
    let objects = objects(stack).await?.into_keys();
    let open = stack.s3.list_multipart_uploads().bucket(&stack.bucket).send().await?;
    let open = open.uploads.unwrap_or_default().into_iter().filter_map(|upload| upload.key);
    // The ledger is read after the bucket, because a row is written before its object.
    let known = ledger_keys(stack).await?;
    let is_orphan = |key: &String| !known.contains(key.strip_suffix("/form").unwrap_or(key));
    let mut orphans: BTreeSet<String> = objects.filter(is_orphan).collect();
    orphans.extend(open.filter(is_orphan).map(|key| format!("parts of {key}")));
    Ok(orphans)
}

async fn is_well(run: &Run<'_>) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    let expected = json!({ "redis": true, "db": true });
    loop {
        let status = run.stack.anyone().request("GET", "/status").send_within(Duration::from_secs(5)).await;
        if status.is_ok_and(|answer| serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| body == expected)) {
            return true;
        }
        if Instant::now() >= deadline {
            run.violated(Anomaly::NotSettled, "the stores do not come back");
            return false;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Waits for the queue and the sweeper, then ends the grace periods of uploads, and waits for the sweeper again.
async fn settles(run: &Run<'_>, people: &[Person<'_>]) -> Result<bool> {
    let stack = run.stack;
    let due = doc! { "$or": [ledger::due(), ledger::due_preview()] };
    let due = with(ledger::all_of_any(&ids(people)), due);
    let deadline = Instant::now() + SETTLE_TIME;
    loop {
        sweep(stack).await;
        let (waiting, due) = (messages(stack, &stack.queue_url).await, stack.files.count_documents(due.clone()).await?);
        if waiting == 0 && due == 0 {
            break;
        }
        if Instant::now() >= deadline {
            run.violated(
                Anomaly::NotSettled,
                format!("{waiting} messages wait, and {due} images and previews for their thumbnails"),
            );
            return Ok(false);
        }
        sleep(Duration::from_millis(500)).await;
    }
    check_arrivals(run, people).await?;

    // An attempt without an answer may still be running. The attempt must end before its grace period is set to end.
    if let Some(last) = run.last_unanswered.get() {
        sleep_until((last + PATIENCE).into()).await;
    }
    let unfinished = with(ledger::all_of_any(&ids(people)), ledger::unfinished());
    let accounts = doc! { "_id": { "$in": ids(people) } };
    let charged = with(accounts.clone(), ledger::with_charges());
    let uncertain = with(accounts, ledger::with_charges_or_refunds());
    let deadline = Instant::now() + SETTLE_TIME;
    loop {
        // Rows and charges are updated in each round, because the sweeper postpones some of them.
        stack.files.update_many(unfinished.clone(), set(ledger::expired())).await?;
        stack.users.update_many(charged.clone(), ledger::old_charges()).await?;
        stack.users.update_many(uncertain.clone(), set(ledger::unsettled())).await?;
        sweep(stack).await;
        let left = stack.files.count_documents(unfinished.clone()).await?;
        let counts = stack.users.count_documents(uncertain.clone()).await?;
        if left == 0 && counts == 0 {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            let anomaly = if left == 0 { Anomaly::WrongQuota } else { Anomaly::NotSettled };
            run.violated(anomaly, format!("{left} rows are not swept, and {counts} people have charges or refunds"));
            return Ok(left == 0);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn sweep(stack: &Stack) {
    // An error is ignored: the caller waits until the sweeper has done its work.
    let _ = stack.try_invoke("sweeper", &json!({})).await;
}

/// Every object that S3 has stored becomes a visible file, even if its client never completes it.
async fn check_arrivals(run: &Run<'_>, people: &[Person<'_>]) -> Result<()> {
    let stack = run.stack;
    if messages(stack, &stack.dead_letter_queue_url).await > 0 {
        // A lost message of S3 may be in the dead-letter queue.
        return Ok(());
    }
    for person in people {
        for entry in &person.known.entries {
            // A file that may have been deleted, or that a folder may have hidden, need not appear.
            let is_awaited = entry.has_arrived
                && entry.states.iter().all(|state| {
                    matches!(state.stage, Stage::Begun | Stage::Visible)
                        && person.known.presence_of(state.parent) == Presence::Certain
                });
            let Some(id) = entry.id.filter(|_| is_awaited) else { continue };
            if stack.files.count_documents(with(ledger::row(id), ledger::visible())).await? == 0 {
                run.violated(Anomaly::Lost, format!("{} ({id}) has arrived in S3 and is not visible", entry.name()));
            }
        }
    }
    Ok(())
}

fn ids(people: &[Person<'_>]) -> Vec<ObjectId> {
    people.iter().map(|person| person.id).collect()
}

async fn rows(stack: &Stack, people: &[Person<'_>]) -> Result<Vec<Row>> {
    let rows = stack.files.find(ledger::all_of_any(&ids(people))).await?;
    Ok(rows.map_ok(Row::from).try_collect().await?)
}

/// Every row that is visible, in the trash or a version has an object of its size, and the bucket has no other objects.
/// What is in the trash has the right bytes; of everything else, the answers tell the bytes.
async fn check_bucket(
    run: &Run<'_>,
    people: &[Person<'_>],
    rows: &[Row],
    earlier_orphans: &BTreeSet<String>,
) -> Result<()> {
    let stack = run.stack;
    let objects = objects(stack).await?;
    for row in rows {
        let (name, size) = (row.get_str("name").unwrap_or_default(), row.size().unwrap_or_default());
        if let Some(key) = row.any_key()
            && objects.get(key) != Some(&size)
        {
            let there = objects.get(key);
            run.violated(Anomaly::MissingObject, format!("{name}: {key} should have {size} bytes, and has {there:?}"));
        }
    }
    for person in people {
        for entry in person.known.entries.iter().filter(|entry| entry.is_in_trash() && entry.kind != Kind::Folder) {
            let row = rows.iter().find(|row| row.get_object_id("_id").ok() == entry.id);
            let Some(key) = row.and_then(Row::any_key).filter(|key| objects.contains_key(*key)) else { continue };
            let object = stack.s3.get_object().bucket(&stack.bucket).key(key).send().await?;
            let bytes = object.body.collect().await?.into_bytes();
            if entry.content_of(&bytes) != entry.state().map(|state| state.content) {
                run.violated(Anomaly::Altered, format!("{}, in the trash, has other bytes", entry.name()));
            }
        }
    }
    for key in orphans(stack).await?.difference(earlier_orphans) {
        run.violated(Anomaly::Orphan, format!("{key} has no row"));
    }
    Ok(())
}

/// Keys and sizes.
async fn objects(stack: &Stack) -> Result<BTreeMap<String, i64>> {
    let mut pages = stack.s3.list_objects_v2().bucket(&stack.bucket).into_paginator().send();
    let mut objects = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page?.contents.unwrap_or_default().into_iter();
        objects.extend(page.filter_map(|object| Some((object.key?, object.size.unwrap_or_default()))));
    }
    Ok(objects)
}

/// The keys of all rows of all users, visible or not.
async fn ledger_keys(stack: &Stack) -> Result<BTreeSet<String>> {
    let mut rows = stack.files.find(doc! {}).await?.map_ok(Row::from);
    let mut keys = BTreeSet::new();
    while let Some(row) = rows.try_next().await? {
        keys.extend(row.any_key().map(str::to_owned));
        if row.may_have_thumbnails() {
            let id = row.thumbnails_id().context("a row's id")?;
            keys.extend([500, 250, 100].map(|width| format!("thumbnails/{id}/{width}")));
        }
    }
    Ok(keys)
}

/// What is counted for a person is the sum of the person's rows, the API says the same, and no quota is exceeded.
async fn check_quotas(run: &Run<'_>, people: &[Person<'_>], rows: &[Row]) {
    for person in people {
        let Some(answer) = settled(run, person, "/users/me/usage").await else { continue };
        let of_person = || rows.iter().filter(|row| row.get_object_id("userId").ok() == Some(person.id));
        let is_file = |row: &&Row| row.version_of().is_none() && row.get_str("type").is_ok_and(|kind| kind != "folder");
        let bytes: i64 = of_person().map(Row::charge).sum();
        let files = i64::try_from(of_person().filter(is_file).count()).unwrap_or(i64::MAX);
        let expected = json!({ "bytes": bytes, "files": files, "quotaBytes": person.quota });
        if answer.status != 200 || serde_json::from_slice::<Value>(&answer.body).ok().as_ref() != Some(&expected) {
            run.violated(Anomaly::WrongQuota, format!("{} stores {expected}: {answer}", person.id));
        }
        let counters = run.stack.account(person.id).await.counters();
        if counters.is_some_and(|counters| counters != (bytes, files)) {
            run.violated(Anomaly::WrongQuota, format!("{} stores {expected}, and {counters:?} is counted", person.id));
        }
        if person.quota.is_some_and(|quota| bytes > quota) {
            run.violated(Anomaly::WrongQuota, format!("{} stores {expected}", person.id));
        }
    }
}

/// Checks the counts of the links: of each visitor who got the bytes once, and of nobody who did not ask. A visitor whom
/// Redis has forgotten may have been counted again.
async fn check_links(run: &Run<'_>, people: &[Person<'_>]) {
    let everything = people.iter().flat_map(|person| person.shared.iter().map(move |shared| (person, shared)));
    stream::iter(everything)
        .for_each_concurrent(AT_ONCE, async |(person, shared)| {
            let path = format!("/links/{}", shared.id.to_hex());
            let Some(answer) = settled(run, person, &path).await else { return };
            // A link ends with its file.
            if answer.status == 404 && person.known.standing(shared.at) != Presence::Certain {
                return;
            }
            let link = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
            let counted = link["downloads"].as_u64().and_then(|count| usize::try_from(count).ok());
            let most = if shared.is_forgotten { shared.most } else { shared.most.min(shared.asked) };
            if !counted.is_some_and(|counted| (shared.served..=most).contains(&counted)) {
                let (asked, served) = (shared.asked, shared.served);
                let what = format!("{served} of {asked} visitors got what a link gives to {}: {answer}", shared.most);
                run.violated(Anomaly::WrongDownloads, what);
            }
        })
        .await;
}

/// Checks the product's answers: every file is readable for its owner, and no deleted file is.
async fn check_answers(run: &Run<'_>, people: &[Person<'_>], rows: &[Row]) {
    let by_id: HashMap<ObjectId, &Row> =
        rows.iter().filter_map(|row| Some((row.get_object_id("_id").ok()?, row))).collect();
    let everything = people.iter().flat_map(|person| (0..person.known.entries.len()).map(move |at| (person, at)));
    stream::iter(everything)
        .for_each_concurrent(AT_ONCE, |(person, at)| {
            let row = person.known.entries[at].id.and_then(|id| by_id.get(&id).copied());
            check_content(run, person, at, row)
        })
        .await;
    stream::iter(people).for_each_concurrent(AT_ONCE, |person| check_listings(run, person)).await;
    stream::iter(people).for_each_concurrent(AT_ONCE, |person| check_trash(run, person)).await;
}

async fn check_content(run: &Run<'_>, person: &Person<'_>, at: usize, row: Option<&Row>) {
    let entry = &person.known.entries[at];
    let Some(id) = entry.id else { return };
    let path = match entry.kind {
        Kind::Folder => format!("/files/{id}"),
        Kind::File | Kind::Image => format!("/files/{id}/data"),
    };
    let Some(answer) = settled(run, person, &path).await else { return };
    let presence = person.known.presence(at);
    if let Some(anomaly) = wrong(&person.known, at, &answer) {
        run.violated(anomaly, format!("{} ({id}, {presence:?}): {answer}", entry.name()));
    }
    let (Some(row), 200) = (row, answer.status) else { return };
    let Some(content) = entry.content_of(&answer.body) else { return };
    if let Some(look) = entry.contents.get(content).and_then(|content| content.look) {
        check_thumbnails(run, person, entry, look, row).await;
    }
    if !entry.previews.is_empty() && presence == Presence::Certain {
        check_preview(run, person, entry).await;
    }
    if entry.kind != Kind::Folder {
        check_versions(run, person, entry, content, presence).await;
    }
}

/// Every acknowledged content is the present one or a version, and no version has other bytes than were sent.
async fn check_versions(run: &Run<'_>, person: &Person<'_>, entry: &Entry, present: usize, presence: Presence) {
    let (name, id) = (entry.name(), entry.id.unwrap_or_default());
    if entry.contents.len() == 1 {
        return;
    }
    let path = format!("/files/{id}/versions");
    let Some(answer) = settled(run, person, &path).await else { return };
    let listed: Vec<Value> = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut found = vec![present];
    for version in listed {
        let version = version["id"].as_str().unwrap_or_default();
        let Some(answer) = settled(run, person, &format!("{path}/{version}/data")).await else { return };
        match entry.content_of(&answer.body).filter(|_| answer.status == 200) {
            Some(content) => found.push(content),
            None => run.violated(Anomaly::Altered, format!("version {version} of {name} ({id}): {answer}")),
        }
    }
    run.tally.count("files with versions");
    let owed = entry.owed.iter().filter(|_| presence == Presence::Certain);
    for content in entry.kept.iter().chain(owed) {
        if !found.contains(content) {
            let what = format!("content {content} of {name} ({id}) is no version: {found:?} are there");
            run.violated(Anomaly::Lost, what);
        }
    }
}

async fn check_thumbnails(run: &Run<'_>, person: &Person<'_>, entry: &Entry, look: OneColor, row: &Row) {
    let id = row.get_object_id("_id").unwrap_or_default();
    let progress = row.thumbnails();
    let reason = row.thumbnail_error().unwrap_or_default();
    // These images are valid. Their jobs fail only if a worker was killed or was not able to report that it is alive.
    let was_killed = run.tally.has_faults() && reason == "the decoder does not survive it";
    run.tally.count(if progress == "ready" { "images with thumbnails" } else { "images without" });
    if progress != "ready" && !(progress == "failed" && was_killed) {
        run.violated(Anomaly::WrongThumbnails, format!("{} ({id}): {progress:?} {reason:?}", entry.name()));
    }
    for width in [500, 250, 100] {
        let Some(answer) = settled(run, person, &format!("/files/{id}/data?size={width}")).await else { return };
        let is_right = if progress == "ready" { is_thumbnail(&answer, look, width) } else { answer.status == 404 };
        if !is_right {
            run.violated(
                Anomaly::WrongThumbnails,
                format!("{} ({id}), {progress}, at {width}: {answer}", entry.name()),
            );
        }
    }
}

/// A file has the thumbnails of the preview that it must have, or, if there is doubt, of one that was sent.
async fn check_preview(run: &Run<'_>, person: &Person<'_>, entry: &Entry) {
    let (name, id) = (entry.name(), entry.id.unwrap_or_default());
    let path = format!("/files/{id}");
    let Some(answer) = settled(run, person, &path).await else { return };
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut thumbnails = Vec::new();
    for width in [500, 250, 100] {
        let Some(answer) = settled(run, person, &format!("{path}/data?size={width}")).await else { return };
        thumbnails.push((width, answer));
    }
    let looks = entry.preview.as_slice();
    let looks = if looks.is_empty() { &entry.previews[..] } else { looks };
    let is_shown = |look: &OneColor| thumbnails.iter().all(|(width, answer)| is_thumbnail(answer, *look, *width));
    let is_absent = thumbnails.iter().all(|(_, answer)| answer.status == 404);
    let is_right = match document.get("preview") {
        Some(Value::Bool(true)) => looks.iter().any(is_shown),
        // These pictures are valid. Their jobs fail only if a worker was killed.
        Some(Value::String(failed)) if failed == "failed" => is_absent && run.tally.has_faults(),
        None => is_absent && entry.preview.is_none(),
        Some(_) => false,
    };
    run.tally.count(if entry.preview.is_some() {
        "files with a certain preview"
    } else {
        "files with a possible preview"
    });
    if !is_right {
        let statuses: Vec<u16> = thumbnails.iter().map(|(_, answer)| answer.status).collect();
        let what = format!("{name} ({id}) must show {:?}, and has {statuses:?}: {document}", entry.preview);
        run.violated(Anomaly::WrongThumbnails, what);
    }
}

/// True if the thumbnail has the right height for its width, and the colour of the image.
fn is_thumbnail(answer: &Answer, look: OneColor, width: u32) -> bool {
    if answer.status != 200 {
        return false;
    }
    let made = decode_image(&answer.body);
    let width = width.min(look.width);
    let height = ((f64::from(width) * f64::from(look.height) / f64::from(look.width)).round()).max(1.0);
    let middle = made.pixels.get_pixel(made.width / 2, made.height / 2);
    let is_close = middle.0.iter().zip(look.color).all(|(made, color)| made.abs_diff(color) < 12);
    made.width == width && (f64::from(made.height) - height).abs() < 0.5 && is_close
}

/// Every listing has all entries that are certain, and none that is certain to be absent or elsewhere.
async fn check_listings(run: &Run<'_>, person: &Person<'_>) {
    let known = &person.known;
    let folders = known.places(Presence::Certain, |entry| entry.kind == Kind::Folder);
    for parent in std::iter::once(None).chain(folders.into_iter().map(Some)) {
        let mut listed = BTreeSet::new();
        let folder = parent.and_then(|parent| known.entries[parent].id);
        let folder = folder.map_or_else(|| "0".to_owned(), ObjectId::to_hex);
        for page in 0.. {
            let Ok(ids) = listing(run, person, &format!("/files?parentId={folder}&page={page}")).await else {
                return run.violated(Anomaly::NotSettled, format!("the files of {} cannot be listed", person.id));
            };
            let is_last = ids.is_empty();
            listed.extend(ids);
            if is_last {
                break;
            }
        }
        for (at, entry) in known.entries.iter().enumerate() {
            let Some(id) = entry.id else { continue };
            let is_listed = listed.contains(&id);
            let mut places = entry.states.iter().map(|state| state.parent == parent);
            let (is_here, is_elsewhere) = (places.clone().all(|here| here), !places.any(|here| here));
            match known.presence(at) {
                Presence::Certain if is_here && !is_listed => {
                    run.violated(Anomaly::Lost, format!("{} ({id}) is not listed in {folder}", entry.name()));
                }
                Presence::Never if is_listed => {
                    run.violated(Anomaly::Resurrected, format!("{} ({id}) is listed in {folder}", entry.name()));
                }
                _ if is_elsewhere && is_listed => {
                    run.violated(Anomaly::Altered, format!("{} ({id}) is listed in {folder}", entry.name()));
                }
                _ => {}
            }
        }
    }
}

/// The trash has what was put into it, and nothing else.
async fn check_trash(run: &Run<'_>, person: &Person<'_>) {
    let Ok(listed) = listing(run, person, "/trash?limit=1000").await else {
        return run.violated(Anomaly::NotSettled, format!("the trash of {} cannot be listed", person.id));
    };
    for (at, entry) in person.known.entries.iter().enumerate() {
        let Some(id) = entry.id else { continue };
        let mut stages = entry.states.iter().map(|state| state.stage == Stage::Trashed);
        let is_there = person.known.presence_of(entry.parent()) == Presence::Certain;
        match listed.contains(&id) {
            false if is_there && stages.all(|is_trashed| is_trashed) => {
                run.violated(Anomaly::Lost, format!("{} ({id}) is not in the trash", entry.name()));
            }
            true if !stages.any(|is_trashed| is_trashed) => {
                let presence = person.known.presence(at);
                run.violated(Anomaly::Altered, format!("{} ({id}, {presence:?}) is in the trash", entry.name()));
            }
            _ => {}
        }
    }
}

/// The ids of one page of a listing.
async fn listing(run: &Run<'_>, person: &Person<'_>, path: &str) -> Result<Vec<ObjectId>> {
    let answer = settled(run, person, path).await.context("no answer")?;
    let documents: Vec<Value> = serde_json::from_slice(&answer.body)?;
    Ok(documents.iter().filter_map(|document| document["id"].as_str()?.parse().ok()).collect())
}

/// Without faults, every request is answered after a short time.
async fn settled(run: &Run<'_>, person: &Person<'_>, path: &str) -> Option<Answer> {
    for _ in 0..20 {
        match person.client.request("GET", path).send_within(Duration::from_secs(16)).await {
            Ok(answer) if answer.status < 500 => return Some(answer),
            _ => sleep(Duration::from_millis(250)).await,
        }
    }
    run.violated(Anomaly::NotSettled, format!("{path} is not answered"));
    None
}

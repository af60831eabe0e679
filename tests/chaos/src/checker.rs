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
use mongodb::bson::{Bson, doc, oid::ObjectId};
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};

use crate::{
    Anomaly, Run, Stack,
    model::{Entry, Kind, OneColor, Presence},
    workload::{PATIENCE, Person, wrong},
};

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
    let people: &[Person<'_>] = people;
    if !settles(run, people).await? {
        return Ok(());
    }
    let rows = rows(run.stack, people).await?;
    check_ledger(run, people, &rows);
    check_bucket(run, &rows, earlier_orphans).await?;
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
    let due = with(ledger::all_of_any(&ids(people)), ledger::due());
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
                format!("{waiting} messages wait, and {due} images for their thumbnails"),
            );
            return Ok(false);
        }
        sleep(Duration::from_millis(500)).await;
    }
    check_arrivals(run, people).await?;

    // An attempt that its client gave up may still be running. It must end before its grace period is set to end.
    sleep_until((run.last_impatient.get() + PATIENCE).into()).await;
    let unfinished = with(ledger::all_of_any(&ids(people)), ledger::invisible());
    let deadline = Instant::now() + SETTLE_TIME;
    loop {
        // The rows are updated in each round, because the sweeper postpones some of them.
        stack.files.update_many(unfinished.clone(), set(ledger::expired())).await?;
        sweep(stack).await;
        let left = stack.files.count_documents(unfinished.clone()).await?;
        if left == 0 {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            run.violated(Anomaly::NotSettled, format!("{left} rows are not swept"));
            return Ok(false);
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
        for (at, entry) in person.known.entries.iter().enumerate() {
            // A file that may have been deleted need not appear.
            let is_awaited = entry.has_arrived && !entry.may_be_deleted && person.known.presence(at) > Presence::Never;
            let folder_is_certain =
                entry.parent.is_none_or(|parent| person.known.presence(parent) == Presence::Certain);
            let Some(id) = entry.id.filter(|_| is_awaited && folder_is_certain) else { continue };
            if stack.files.count_documents(with(ledger::row(id), ledger::visible())).await? == 0 {
                run.violated(Anomaly::Lost, format!("{} ({id}) has arrived in S3 and is not visible", entry.name));
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

/// Every row was requested by a person, exists once, and has the requested properties.
fn check_ledger(run: &Run<'_>, people: &[Person<'_>], rows: &[Row]) {
    let mut asked: HashMap<&str, (&Person<'_>, usize)> = HashMap::new();
    for person in people {
        asked.extend(person.known.entries.iter().enumerate().map(|(at, entry)| (&*entry.name, (person, at))));
    }
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        let name = row.get_str("name").unwrap_or_default();
        *found.entry(name).or_default() += 1;
        match asked.get(name) {
            Some((person, at)) => check_row(run, person, *at, row),
            None => run.violated(Anomaly::Unrequested, format!("a row called {name:?}")),
        }
    }
    for (name, count) in &found {
        if *count > 1 {
            run.violated(Anomaly::Duplicated, format!("{count} rows of {name}"));
        }
    }
    for (name, (person, at)) in asked {
        if person.known.presence(at) == Presence::Certain && !found.contains_key(name) {
            run.violated(Anomaly::Lost, format!("{name} ({:?}) has no row", person.known.entries[at].id));
        }
    }
}

fn check_row(run: &Run<'_>, person: &Person<'_>, at: usize, row: &Row) {
    let (entry, presence) = (&person.known.entries[at], person.known.presence(at));
    let (name, id) = (&entry.name, row.get_object_id("_id").ok());
    if presence == Presence::Never {
        let anomaly = if entry.id.is_some() { Anomaly::Resurrected } else { Anomaly::Unrequested };
        run.violated(anomaly, format!("a row of {name} ({id:?})"));
    }
    if entry.id.is_some() && entry.id != id {
        run.violated(Anomaly::Duplicated, format!("{name} was acknowledged as {:?} and has a row {id:?}", entry.id));
    }
    let parent = match entry.parent {
        None => Some(Bson::Int32(0)),
        Some(parent) => person.known.entries[parent].id.map(Bson::ObjectId),
    };
    let is_public = row.get_bool("isPublic").ok();
    let size = entry.content().map(|content| i64::try_from(content.size).unwrap_or(i64::MAX));
    if row.get("parentId") != parent.as_ref()
        || row.get_object_id("userId").ok() != Some(person.id)
        || row.size() != size
        || entry.is_public.is_some_and(|asked| is_public != Some(asked))
    {
        run.violated(Anomaly::Altered, format!("{name} should be {entry:?}, and is {row}"));
    }
}

/// Every visible row has an object of its size, and the bucket has no other objects.
async fn check_bucket(run: &Run<'_>, rows: &[Row], earlier_orphans: &BTreeSet<String>) -> Result<()> {
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
        if row.get_str("type").is_ok_and(|kind| kind == "image") {
            let id = row.get_object_id("_id").context("a row's id")?;
            keys.extend([500, 250, 100].map(|width| format!("thumbnails/{id}/{width}")));
        }
    }
    Ok(keys)
}

/// Checks the product's answers: every file is readable for its owner, and no deleted file is.
async fn check_answers(run: &Run<'_>, people: &[Person<'_>], rows: &[Row]) {
    let thumbnails: HashMap<ObjectId, &Row> =
        rows.iter().filter_map(|row| Some((row.get_object_id("_id").ok()?, row))).collect();
    let everything = people.iter().flat_map(|person| (0..person.known.entries.len()).map(move |at| (person, at)));
    stream::iter(everything)
        .for_each_concurrent(AT_ONCE, |(person, at)| {
            let row = person.known.entries[at].id.and_then(|id| thumbnails.get(&id).copied());
            check_content(run, person, at, row)
        })
        .await;
    stream::iter(people).for_each_concurrent(AT_ONCE, |person| check_listings(run, person)).await;
}

async fn check_content(run: &Run<'_>, person: &Person<'_>, at: usize, row: Option<&Row>) {
    let entry = &person.known.entries[at];
    let Some(id) = entry.id else { return };
    let path = match entry.kind {
        Kind::Folder => format!("/files/{id}"),
        Kind::File(_) | Kind::Image(..) => format!("/files/{id}/data"),
    };
    let Some(answer) = settled(run, person, &path).await else { return };
    if let Some(anomaly) = wrong(&person.known, at, &answer) {
        let presence = person.known.presence(at);
        run.violated(anomaly, format!("{} ({id}, {presence:?}): {answer}", entry.name));
    }
    if let (Kind::Image(_, look), Some(row), 200) = (&entry.kind, row, answer.status) {
        check_thumbnails(run, person, entry, *look, row).await;
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
        run.violated(Anomaly::WrongThumbnails, format!("{} ({id}): {progress:?} {reason:?}", entry.name));
    }
    for width in [500, 250, 100] {
        let Some(answer) = settled(run, person, &format!("/files/{id}/data?size={width}")).await else { return };
        let is_right = if progress == "ready" { is_thumbnail(&answer, look, width) } else { answer.status == 404 };
        if !is_right {
            run.violated(Anomaly::WrongThumbnails, format!("{} ({id}), {progress}, at {width}: {answer}", entry.name));
        }
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

/// Every listing has all entries that are certain, and none that is certain to be absent.
async fn check_listings(run: &Run<'_>, person: &Person<'_>) {
    let known = &person.known;
    let folders = known.places(Presence::Certain, |entry| matches!(entry.kind, Kind::Folder));
    for parent in std::iter::once(None).chain(folders.into_iter().map(Some)) {
        let mut listed = BTreeSet::new();
        let folder = parent.and_then(|parent| known.entries[parent].id);
        for page in 0.. {
            let Ok(names) = listing(run, person, folder, page).await else {
                return run.violated(Anomaly::NotSettled, format!("the files of {} cannot be listed", person.id));
            };
            let is_last = names.is_empty();
            listed.extend(names);
            if is_last {
                break;
            }
        }
        for (at, entry) in known.entries.iter().enumerate().filter(|(_, entry)| entry.parent == parent) {
            match (known.presence(at), listed.contains(&entry.name)) {
                (Presence::Certain, false) => run.violated(Anomaly::Lost, format!("{} is not listed", entry.name)),
                (Presence::Never, true) => run.violated(Anomaly::Resurrected, format!("{} is listed", entry.name)),
                _ => {}
            }
        }
    }
}

async fn listing(run: &Run<'_>, person: &Person<'_>, folder: Option<ObjectId>, page: usize) -> Result<Vec<String>> {
    let parent = folder.map_or_else(|| "0".to_owned(), ObjectId::to_hex);
    let path = format!("/files?parentId={parent}&page={page}");
    let answer = settled(run, person, &path).await.context("no answer")?;
    let documents: Vec<Value> = serde_json::from_slice(&answer.body)?;
    Ok(documents.iter().filter_map(|document| document["name"].as_str().map(str::to_owned)).collect())
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

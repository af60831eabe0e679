//! The workload of one person: uploads, folders, changes and reads, in an order that the seed decides, and the
//! conclusions from each answer.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::{
    Answer, Client, PASSWORD, Request, User, encoded,
    fixtures::one_color,
    ledger::{self, set},
};
use fastrand::Rng;
use mongodb::bson::{doc, oid::ObjectId};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    Anomaly, Run,
    model::{Change, Content, Entry, Kind, Known, OneColor, Place, Presence, Stage, State, without_numbers},
    mutations::{self, Mutation},
};

mod changes;
mod replacements;
mod sharing;

pub use sharing::Shared;

/// A time limit that is longer than a function may run: after it no function executes the request any more.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The range of the time limit, in milliseconds, of a client that repeats a request while the previous attempt is still
/// running.
const IMPATIENCE: std::ops::Range<u64> = 20..1500;

/// The time limit of a request to S3 itself.
const PATIENCE_WITH_S3: Duration = Duration::from_secs(6);

/// The number of attempts of an unanswered request.
const ATTEMPTS: usize = 5;

/// The names of the counters.
pub const ACKNOWLEDGED: &str = "acknowledged writes";
pub const OPERATIONS: &str = "operations";
pub const UPLOADS: &str = "acknowledged uploads";
/// Operations with a timeout, a broken connection, a 5xx or a lost answer. They may have been executed.
pub const INDETERMINATE: &str = "indeterminate";

/// The outcome of a request, as its client sees it.
enum Outcome {
    Answer(Answer),
    /// A timeout, a broken connection or a 5xx: the request may have been executed, or may be executed later.
    Indeterminate,
}

/// The way in which the bytes of a file are sent.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// The request has the bytes, or there are none.
    Inline,
    /// The client sends the bytes to S3.
    Direct,
}

pub struct Person<'a> {
    run: &'a Run<'a>,
    number: u64,
    email: String,
    pub id: ObjectId,
    pub quota: Option<i64>,
    anyone: Client,
    pub client: Client,
    /// The number of deaths of Redis when the session began.
    redis_deaths: u64,
    rng: Rng,
    /// The number of names and keys so far.
    serial: usize,
    /// A move got no answer. Its function may have died and left its flag, which stops other moves for a while.
    may_be_moving: bool,
    /// Emptying the trash got no answer, so it may still be executed.
    may_be_emptying: bool,
    pub known: Known,
    pub shared: Vec<Shared>,
}

impl<'a> Person<'a> {
    pub async fn join(run: &'a Run<'a>, number: u64, quota: Option<i64>, rng: Rng) -> Result<Self> {
        let user: User = run.stack.user(&format!("person{number}")).await;
        if let Some(bytes) = quota {
            run.stack.users.update_one(doc! { "_id": user.object_id() }, set(ledger::quota(bytes))).await?;
        }
        let anyone = run.stack.anyone();
        Ok(Self {
            run,
            number,
            id: user.object_id(),
            quota,
            client: anyone.with_token(&user.token),
            email: user.email,
            anyone,
            redis_deaths: run.redis_deaths.get(),
            rng,
            serial: 0,
            may_be_moving: false,
            may_be_emptying: false,
            known: Known::default(),
            shared: Vec::new(),
        })
    }

    /// Executes one operation after the other until the run is over.
    pub async fn live(&mut self) {
        while !self.run.is_over() {
            self.plant().await;
            match self.rng.u8(0..100) {
                0..23 => self.upload_file().await,
                23..25 => self.set_preview().await,
                25..29 => self.upload_image().await,
                29..39 => self.make_folder().await,
                39..44 => self.upload_directly().await,
                44..46 => self.upload_by_form().await,
                46..48 => self.create_with_taken_name().await,
                48..51 => self.replace().await,
                51..53 => self.replace_directly().await,
                53..54 => self.restore_version().await,
                54..60 => self.publish().await,
                60..68 => self.change_place().await,
                68..69 => self.move_into_each_other().await,
                69..74 => self.copy().await,
                74..78 => self.trash().await,
                78..81 => self.restore().await,
                81..82 => self.delete_from_trash().await,
                82..83 => self.empty_trash().await,
                83..85 => self.batch().await,
                85..92 => self.delete().await,
                92..93 => self.look_at_usage().await,
                93..94 => self.look_into_folder().await,
                94..96 => self.share().await,
                _ => self.read().await,
            }
        }
    }

    async fn upload_file(&mut self) {
        self.new_file().await;
    }

    /// Uploads a file, and returns its index.
    async fn new_file(&mut self) -> usize {
        let size = match self.rng.u8(0..100) {
            0..90 => self.rng.usize(1..4096),
            90..98 => self.rng.usize(4096..100_000),
            _ => self.rng.usize(100_000..1_000_000),
        };
        let bytes = self.bytes(size);
        let mut entry = self.entry(Kind::File, Some(Content::of(&bytes)));
        let body = json!({ "type": "file", "data": encoded(&bytes) });
        if self.plants(Mutation::ObjectBeforeRow) {
            mutations::put_orphan(self.run.stack).await;
            entry.may_have_made(Change::Appear);
            return self.known.add(entry);
        }
        let (at, _) = self.create(entry, body, Way::Inline).await;
        self.plant_in_upload(at).await;
        at
    }

    async fn upload_image(&mut self) {
        let (content, bytes) = self.image();
        let entry = self.entry(Kind::Image, Some(content));
        self.create(entry, json!({ "type": "image", "data": encoded(&bytes) }), Way::Inline).await;
    }

    async fn make_folder(&mut self) {
        self.new_folder().await;
    }

    async fn new_folder(&mut self) -> usize {
        let entry = self.entry(Kind::Folder, None);
        self.create(entry, json!({ "type": "folder" }), Way::Inline).await.0
    }

    async fn upload_directly(&mut self) {
        let (kind, content, bytes) = self.file_or_image();
        let entry = self.entry(kind, Some(content));
        // Some clients begin a large upload and send nothing.
        let is_given_up = self.rng.u8(0..100) < 15;
        let size = if is_given_up && self.rng.bool() { 150 << 20 } else { bytes.len() };
        let (at, created) = self.create(entry, json!({ "type": text(kind), "size": size }), Way::Direct).await;
        let Some(created) = created else { return };
        // The signed requests stay good.
        if self.rng.u8(0..100) < 10 {
            self.rename(at).await;
        }
        if !is_given_up {
            self.bring(at, &created["upload"], bytes).await;
        } else if self.rng.bool() {
            self.delete_at(at).await;
        }
    }

    /// Sends the bytes of a new file to S3, and completes the upload or not.
    async fn bring(&mut self, at: usize, upload: &Value, bytes: Vec<u8>) {
        self.known.entries[at].may_have_made(Change::Appear);
        self.known.entries[at].has_arrived = self.put_to_s3(at, upload, bytes).await;
        let id = self.known.entries[at].id;
        if self.rng.u8(0..100) < 65 {
            let has_arrived = self.known.entries[at].has_arrived;
            self.complete(at, id, has_arrived, &Change::Appear).await;
        }
    }

    /// Sends bytes to S3 as the answer says, and returns whether S3 has acknowledged them.
    async fn put_to_s3(&mut self, at: usize, upload: &Value, bytes: Vec<u8>) -> bool {
        let Some(url) = upload["url"].as_str() else {
            let name = self.known.entries[at].name();
            self.run.violated(Anomaly::Unexplained, format!("{name} is to be brought nowhere: {upload}"));
            return false;
        };
        let put = |http: &reqwest::Client| {
            let headers = upload["headers"].as_object().into_iter().flatten();
            let put = http.put(url).body(bytes.clone());
            headers.fold(put, |put, (header, value)| put.header(header, value.as_str().unwrap_or_default()))
        };
        self.send_to_s3(at, put).await
    }

    /// Uploads as a page with a ticket does. Only S3's message tells the product of the upload.
    async fn upload_by_form(&mut self) {
        let size = self.rng.usize(1..20_000);
        let bytes = self.bytes(size);
        let entry = self.entry(Kind::File, Some(Content::of(&bytes)));
        let is_public = entry.states.iter().any(|state| state.is_public);
        let mut scope = json!({ "isPublic": is_public });
        self.place(entry.parent(), &mut scope);
        let parent = self.known.presence_of(entry.parent());
        let at = self.known.add(entry);
        let Some(ticket) =
            self.asked(at, parent, |client| client.request("POST", "/uploads/tickets").json(&scope)).await
        else {
            return;
        };
        let ticket = ticket["ticket"].as_str().unwrap_or_default();
        let path = format!("/uploads/{ticket}/s3/params?filename={}", self.known.entries[at].name());
        let Some(signed) = self.asked(at, parent, |client| client.request("GET", &path)).await else { return };
        let id = signed["fields"]["key"].as_str().and_then(|key| key.split('/').nth(1)?.parse().ok());
        self.known.entries[at].id = id;
        let post = |http: &reqwest::Client| {
            let fields = signed["fields"].as_object().into_iter().flatten();
            let form = fields.fold(Form::new(), |form, (name, value)| {
                form.text(name.clone(), value.as_str().unwrap_or_default().to_owned())
            });
            let file = form.part("file", Part::bytes(bytes.clone()).file_name("blob"));
            http.post(signed["url"].as_str().unwrap_or_default()).multipart(file)
        };
        self.known.entries[at].may_have_made(Change::Appear);
        // The bytes of a form are counted when they are there, and may be too many by then.
        let has_arrived = self.send_to_s3(at, post).await;
        self.known.entries[at].has_arrived = has_arrived && self.quota.is_none();
    }

    /// The answer to a request that can fail only because of its folder or of the quota. The entry is not visible yet.
    async fn asked(&mut self, at: usize, parent: Presence, request: impl Fn(&Client) -> Request) -> Option<Value> {
        match self.change(request).await {
            Outcome::Answer(answer) if answer.status < 300 => serde_json::from_slice(&answer.body).ok(),
            Outcome::Answer(answer) => {
                let explained = answer.status == 400 && parent != Presence::Certain || self.is_over_quota(&answer);
                self.unless(explained, "ask", at, &answer);
                None
            }
            Outcome::Indeterminate => None,
        }
    }

    /// Returns whether S3 has acknowledged the bytes.
    async fn send_to_s3(&mut self, at: usize, request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder) -> bool {
        for _ in 0..3 {
            let request = request(&self.run.stack.http).timeout(PATIENCE_WITH_S3);
            self.run.tally.count(OPERATIONS);
            match request.send().await.map(|response| response.status().as_u16()) {
                // 412: an earlier attempt has stored the object.
                Ok(200 | 201 | 412) => return true,
                // A form may not exceed what is left of the quota.
                Ok(400) if self.quota.is_some() => return false,
                Ok(status) if status < 500 => {
                    let name = self.known.entries[at].name();
                    self.run.violated(Anomaly::Unexplained, format!("S3 answers {status} to the bytes of {name}"));
                }
                _ => self.run.tally.count(INDETERMINATE),
            }
            if self.gives_up(40) {
                break;
            }
            self.rest().await;
        }
        false
    }

    /// Completes a direct upload, which then makes this change of the entry. `id` is the id of the upload.
    async fn complete(&mut self, at: usize, id: Option<ObjectId>, has_arrived: bool, change: &Change) {
        let Some(id) = id else { return };
        let path = format!("/files/{}/complete", id.to_hex());
        for _ in 0..ATTEMPTS {
            match self.change(|client| client.request("POST", &path)).await {
                Outcome::Answer(answer) if answer.status == 200 => {
                    self.acknowledged(UPLOADS);
                    self.was_made(at, change, &answer);
                    // An upload is completed once.
                    self.known.entries[at].close(change);
                    return;
                }
                Outcome::Answer(answer) => {
                    let parent = self.known.presence_of(self.known.entries[at].parent());
                    let explained = match answer.status {
                        404 => parent != Presence::Certain,
                        409 => !has_arrived,
                        _ => false,
                    };
                    return self.unless(explained, "complete", at, &answer);
                }
                Outcome::Indeterminate if self.gives_up(30) => return,
                Outcome::Indeterminate => self.rest().await,
            }
        }
    }

    /// Creates an entry, and repeats the request if it can be repeated. Returns the index of the entry and the answer.
    async fn create(&mut self, mut entry: Entry, mut body: Value, way: Way) -> (usize, Option<Value>) {
        body["name"] = json!(entry.name());
        body["isPublic"] = json!(entry.states.iter().any(|state| state.is_public));
        self.place(entry.parent(), &mut body);
        let key = (self.rng.u8(0..100) < 80).then(|| self.key());
        let mut created = None;
        for _ in 0..ATTEMPTS {
            let is_impatient = key.is_some() && self.run.plan.mutation.is_none() && self.rng.u8(0..100) < 15;
            let patience = if is_impatient { self.impatience() } else { PATIENCE };
            match self.post("/files", &body, key.as_deref(), patience).await {
                Outcome::Answer(answer) if answer.status == 201 => {
                    self.learn(&mut entry, &answer);
                    // A direct upload is invisible until its bytes are stored.
                    if way == Way::Inline {
                        entry.made(&Change::Appear);
                    }
                    created = serde_json::from_slice::<Value>(&answer.body).ok();
                    break;
                }
                Outcome::Answer(answer) => {
                    let parent = self.known.presence_of(entry.parent());
                    let explained = matches!(answer.status, 400 | 404 | 409) && parent != Presence::Certain
                        || self.is_over_quota(&answer);
                    let at = self.known.add(entry);
                    self.unless(explained, "create", at, &answer);
                    return (at, None);
                }
                Outcome::Indeterminate if self.run.plan.mutation == Some(Mutation::FailureTakenForRefusal) => break,
                Outcome::Indeterminate if way == Way::Inline => entry.may_have_made(Change::Appear),
                Outcome::Indeterminate => {}
            }
            if key.is_none() || self.gives_up(25) {
                break;
            }
            self.rest().await;
        }
        let at = self.known.add(entry);
        if created.is_some() {
            match (way, self.known.entries[at].kind) {
                (Way::Inline, Kind::Folder) => self.acknowledged("acknowledged folders"),
                (Way::Inline, Kind::File | Kind::Image) => self.acknowledged(UPLOADS),
                (Way::Direct, _) => {}
            }
            self.repeat(at, &body, key.as_deref()).await;
        }
        (at, created)
    }

    /// Takes the id of a new document from an answer, and the name, to which the product may have added a number.
    fn learn(&self, entry: &mut Entry, answer: &Answer) {
        entry.id = id_in(answer);
        if !entry.is_numbered {
            return;
        }
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let name = document["name"].as_str().unwrap_or_default();
        if without_numbers(name) != without_numbers(entry.name()) {
            self.run.violated(Anomaly::Altered, format!("{} was asked for: {answer}", entry.name()));
        }
        entry.is_numbered = false;
        entry.states.iter_mut().for_each(|state| name.clone_into(&mut state.name));
    }

    /// Sets the folder in a request's body.
    fn place(&self, place: Place, body: &mut Value) {
        if let Some(id) = place.and_then(|parent| self.known.entries[parent].id) {
            body["parentId"] = json!(id.to_hex());
        }
    }

    /// Some clients repeat an answered request.
    async fn repeat(&mut self, at: usize, body: &Value, key: Option<&str>) {
        let Some(key) = key else { return };
        if self.plants(Mutation::NoIdempotency) {
            if !matches!(self.post("/files", body, None, PATIENCE).await, Outcome::Answer(answer) if answer.status == 201)
            {
                self.run.planted.set(self.run.planted.get() - 1);
            }
            return;
        }
        if self.rng.u8(0..100) >= 8 {
            return;
        }
        if let Outcome::Answer(again) = self.post("/files", body, Some(key), PATIENCE).await {
            let is_same = again.status == 201 && id_in(&again) == self.known.entries[at].id;
            let may_be_gone = self.known.presence_of(self.known.entries[at].parent()) != Presence::Certain;
            self.unless(is_same || may_be_gone, "repeat", at, &again);
        }
    }

    async fn publish(&mut self) {
        let Some(at) = self.any(Presence::Certain, |_| true) else { return };
        let Some(id) = self.known.entries[at].id else { return };
        let is_public = self.rng.bool();
        let verb = if is_public { "publish" } else { "unpublish" };
        let path = format!("/files/{}/{verb}", id.to_hex());
        match self.change(|client| client.request("PUT", &path)).await {
            Outcome::Answer(answer) if answer.status == 200 => {
                self.acknowledged("acknowledged publications");
                self.was_made(at, &Change::Publish(is_public), &answer);
            }
            Outcome::Answer(answer) => self.unless(false, verb, at, &answer),
            Outcome::Indeterminate => self.known.entries[at].may_have_made(Change::Publish(is_public)),
        }
    }

    async fn delete(&mut self) {
        let folders = self.rng.u8(0..100) < 15;
        let presence = if self.rng.u8(0..100) < 85 { Presence::Certain } else { Presence::Perhaps };
        let Some(at) = self.any(presence, |entry| (entry.kind == Kind::Folder) == folders) else { return };
        if !folders && self.plants(Mutation::DeleteWithoutTombstone) {
            let id = self.known.entries[at].id.unwrap_or_default();
            self.planted_or_not(&mutations::delete_row(self.run.stack, id).await);
            self.known.entries[at].made(&Change::Delete);
            return;
        }
        self.delete_at(at).await;
    }

    /// Returns whether the deletion was acknowledged.
    async fn delete_at(&mut self, at: usize) -> bool {
        let Some(id) = self.known.entries[at].id else { return false };
        let path = format!("/files/{}", id.to_hex());
        let before = self.known.presence(at).max(if self.known.entries[at].is_in_trash() {
            Presence::Certain
        } else {
            Presence::Never
        });
        self.known.hidden(at);
        let (mut was_asked, mut is_deleted) = (false, false);
        for _ in 0..ATTEMPTS {
            match self.change(|client| client.request("DELETE", &path)).await {
                Outcome::Answer(answer) if answer.status == 204 => {
                    self.acknowledged("acknowledged deletions");
                    self.was_made(at, &Change::Delete, &answer);
                    is_deleted = true;
                    break;
                }
                Outcome::Answer(answer) => {
                    let is_gone = answer.status == 404 && (was_asked || before != Presence::Certain);
                    self.unless(is_gone, "delete", at, &answer);
                    // An upload may become visible between the two queries of a deletion.
                    if was_asked && before == Presence::Certain {
                        self.known.entries[at].made(&Change::Delete);
                    }
                    break;
                }
                Outcome::Indeterminate => {
                    was_asked = true;
                    self.known.entries[at].may_have_made(Change::Delete);
                }
            }
            if self.gives_up(30) {
                break;
            }
            self.rest().await;
        }
        if self.rng.u8(0..100) < 30 {
            self.read_at(at).await;
        }
        is_deleted
    }

    async fn read(&mut self) {
        let wanted = self.rng.u8(0..100);
        let presence = match wanted {
            0..70 => Presence::Certain,
            70..90 => Presence::Never,
            _ => Presence::Perhaps,
        };
        if let Some(at) = self.any(presence, |_| true) {
            self.read_at(at).await;
        }
    }

    async fn read_at(&mut self, at: usize) {
        let Some(id) = self.known.entries[at].id else { return };
        let path = match self.known.entries[at].kind {
            Kind::Folder => format!("/files/{}", id.to_hex()),
            Kind::File | Kind::Image => format!("/files/{}/data", id.to_hex()),
        };
        if let Outcome::Answer(answer) = self.ask(|client| client.request("GET", &path)).await {
            let (anomaly, presence) = (wrong(&self.known, at, &answer), self.known.presence(at));
            if let Some(anomaly) = anomaly {
                let name = self.known.entries[at].name();
                self.run.violated(anomaly, format!("{name} ({id}, {presence:?}) read: {answer}"));
            }
        }
    }

    /// Makes a mistake of the product with entries that are made for it. [`Self::plants`] is asked where other mistakes
    /// belong.
    async fn plant(&mut self) {
        let Some(mutation) = self.run.plan.mutation.filter(|mutation| mutation.needs_entries()) else { return };
        if self.quota.is_some() || !self.plants(mutation) {
            return;
        }
        let is_planted = match mutation {
            Mutation::CheckThenSetMove => self.plant_circle().await,
            Mutation::CopyWithoutLook | Mutation::SharedObjectDeleted => self.plant_dead_copy(mutation).await,
            Mutation::RefundTwice | Mutation::NotCounted => self.plant_wrong_count(mutation).await,
            Mutation::CounterBeforeGrant => self.plant_second_count().await,
            Mutation::PreviewDeleted => self.plant_lost_preview().await,
            _ => self.plant_lost_version().await,
        };
        if is_planted.is_none() {
            self.run.planted.set(self.run.planted.get() - 1);
        }
    }

    /// Two folders, each moved into the other.
    async fn plant_circle(&mut self) -> Option<()> {
        let folders = [self.new_folder().await, self.new_folder().await];
        let ids = folders.map(|at| self.known.entries[at].id);
        let [Some(one), Some(other)] = ids else { return None };
        mutations::move_into_each_other(self.run.stack, one, other).await.ok()
    }

    /// A copy of a file whose object is deleted with the original.
    async fn plant_dead_copy(&mut self, mutation: Mutation) -> Option<()> {
        let at = self.new_file().await;
        let original = self.known.entries[at].id?;
        let copy = if mutation == Mutation::CopyWithoutLook {
            let copy = mutations::copy_after_deletion(self.run.stack, original).await.ok()?;
            self.known.entries[at].made(&Change::Delete);
            let mut entry = Entry { id: Some(copy), ..self.known.entries[at].clone() };
            entry.states = vec![State { stage: Stage::Visible, is_public: false, ..entry.states[0].clone() }];
            self.known.add(entry)
        } else {
            self.copy_at(at, None, self.known.entries[at].parent()).await?
        };
        if mutation == Mutation::SharedObjectDeleted {
            if !self.delete_at(at).await {
                return None;
            }
            mutations::delete_object(self.run.stack, self.known.entries[copy].id?).await.ok()?;
        }
        Some(())
    }

    /// What is counted for the person changes once too often or once too rarely.
    async fn plant_wrong_count(&mut self, mutation: Mutation) -> Option<()> {
        let at = self.new_file().await;
        let size = self.known.entries[at].contents.first()?.size;
        self.known.entries[at].id?;
        if mutation == Mutation::RefundTwice && !self.delete_at(at).await {
            return None;
        }
        mutations::uncount(self.run.stack, self.id, size).await.ok()
    }

    /// A file is replaced, and the object of its earlier content is deleted.
    async fn plant_lost_version(&mut self) -> Option<()> {
        let at = self.new_file().await;
        let id = self.known.entries[at].id?;
        let key = mutations::key_of(self.run.stack, id).await.ok()?;
        self.replace_at(at).await?;
        self.run.stack.s3.delete_object().bucket(&self.run.stack.bucket).key(key).send().await.ok()?;
        Some(())
    }

    /// A file with a preview whose thumbnails are deleted.
    async fn plant_lost_preview(&mut self) -> Option<()> {
        let at = self.new_file().await;
        let id = self.known.entries[at].id?;
        self.set_preview_at(at).await?;
        mutations::delete_preview(self.run.stack, id).await.ok()
    }

    async fn plant_in_upload(&mut self, at: usize) {
        let (Presence::Certain, Some(id)) = (self.known.presence(at), self.known.entries[at].id) else { return };
        if self.plants(Mutation::AckBeforePut) {
            self.planted_or_not(&mutations::delete_object(self.run.stack, id).await);
        } else if self.plants(Mutation::NoFlipCheck) {
            self.planted_or_not(&mutations::tombstone(self.run.stack, id).await);
        }
    }

    /// True now and then, and always the first time.
    fn plants(&mut self, mutation: Mutation) -> bool {
        let planted = &self.run.planted;
        let now = self.run.plan.mutation == Some(mutation) && (planted.get() == 0 || self.rng.u8(0..100) < 5);
        planted.set(planted.get() + usize::from(now));
        now
    }

    /// Counts the mutation only if it succeeded: a store that is down cannot be changed.
    fn planted_or_not(&self, outcome: &Result<()>) {
        if outcome.is_err() {
            self.run.planted.set(self.run.planted.get() - 1);
        }
    }

    fn impatience(&mut self) -> Duration {
        self.run.tally.count("impatient requests");
        Duration::from_millis(self.rng.u64(IMPATIENCE))
    }

    async fn post(&mut self, path: &str, body: &Value, key: Option<&str>, patience: Duration) -> Outcome {
        let outcome = self
            .change_within(patience, |client| {
                let request = client.request("POST", path).json(body);
                match key {
                    Some(key) => request.header("Idempotency-Key", key),
                    None => request,
                }
            })
            .await;
        if path == "/files"
            && matches!(&outcome, Outcome::Answer(answer) if answer.status == 201)
            && self.plants(Mutation::FailureTakenForRefusal)
        {
            return Outcome::Indeterminate;
        }
        outcome
    }

    /// Sends a change. Its answer is sometimes dropped, as if it was lost.
    async fn change(&mut self, request: impl Fn(&Client) -> Request) -> Outcome {
        self.change_within(PATIENCE, request).await
    }

    async fn change_within(&mut self, patience: Duration, request: impl Fn(&Client) -> Request) -> Outcome {
        let outcome = self.ask_within(patience, request).await;
        if matches!(outcome, Outcome::Answer(_)) && self.run.plan.mutation.is_none() && self.rng.u8(0..100) < 3 {
            self.run.tally.count("lost answers");
            self.run.tally.count(INDETERMINATE);
            return Outcome::Indeterminate;
        }
        outcome
    }

    /// Sends a request with a session, and opens a new session if Redis has lost the old one.
    async fn ask(&mut self, request: impl Fn(&Client) -> Request) -> Outcome {
        self.ask_within(PATIENCE, request).await
    }

    async fn ask_within(&mut self, patience: Duration, request: impl Fn(&Client) -> Request) -> Outcome {
        for _ in 0..3 {
            self.run.tally.count(OPERATIONS);
            let answer = request(&self.client).send_within(patience).await;
            if !answer.as_ref().is_ok_and(|answer| answer.status < 500) {
                self.run.last_unanswered.set(Some(Instant::now()));
            }
            match answer {
                Ok(answer) if answer.status == 401 => {
                    if self.redis_deaths == self.run.redis_deaths.get() {
                        self.run.violated(Anomaly::Unexplained, format!("a session that Redis has: {answer}"));
                    }
                    self.log_in().await;
                }
                // Without a valid session a private file is not found.
                Ok(answer) if answer.status == 404 && self.redis_deaths != self.run.redis_deaths.get() => {
                    self.log_in().await;
                }
                // 507: over quota.
                Ok(answer) if answer.status < 500 || answer.status == 507 => return Outcome::Answer(answer),
                _ => {
                    self.run.tally.count(INDETERMINATE);
                    self.rest().await;
                    return Outcome::Indeterminate;
                }
            }
        }
        self.run.violated(Anomaly::NotSettled, "a new session is no session, three times");
        Outcome::Indeterminate
    }

    pub async fn log_in(&mut self) {
        for _ in 0..100 {
            let deaths = self.run.redis_deaths.get();
            let credentials = encoded(format!("{}:{PASSWORD}", self.email).as_bytes());
            let request = self.anyone.request("GET", "/connect");
            let request = request.header("Authorization", &format!("Basic {credentials}"));
            match request.send_within(PATIENCE).await {
                Ok(answer) if answer.status == 200 => {
                    let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                    self.client = self.anyone.with_token(answer["token"].as_str().unwrap_or_default());
                    self.redis_deaths = deaths;
                    return;
                }
                Ok(answer) if answer.status < 500 => {
                    return self
                        .run
                        .violated(Anomaly::Unexplained, format!("a login with the right password: {answer}"));
                }
                _ => self.rest().await,
            }
        }
        self.run.violated(Anomaly::NotSettled, "nobody can log in any more");
    }

    fn entry(&mut self, kind: Kind, content: Option<Content>) -> Entry {
        let name = self.name(kind);
        let in_root = self.rng.u8(0..100) < 50;
        let presence = if self.rng.u8(0..100) < 93 { Presence::Certain } else { Presence::Perhaps };
        let parent = if in_root { None } else { self.any(presence, |entry| entry.kind == Kind::Folder) };
        let is_public = self.rng.u8(0..100) < 20;
        Entry::new(kind, name, parent, is_public, content)
    }

    /// A name that is unique in the run.
    fn name(&mut self, kind: Kind) -> String {
        let extension = match kind {
            Kind::Folder => "folder",
            Kind::File => "bin",
            Kind::Image => "jpg",
        };
        format!("{}.{extension}", self.key())
    }

    /// A text that is unique in the run, for a name or an `Idempotency-Key`.
    fn key(&mut self) -> String {
        self.serial += 1;
        format!("{}-{}-{}", self.run.plan.seed, self.number, self.serial)
    }

    fn file_or_image(&mut self) -> (Kind, Content, Vec<u8>) {
        if self.rng.u8(0..100) < 30 {
            let (content, bytes) = self.image();
            return (Kind::Image, content, bytes);
        }
        let size = self.rng.usize(1..20_000);
        let bytes = self.bytes(size);
        (Kind::File, Content::of(&bytes), bytes)
    }

    fn image(&mut self) -> (Content, Vec<u8>) {
        let (width, height) = [(640, 400), (300, 450), (90, 60), (700, 20)][self.rng.usize(0..4)];
        let color = [(); 3].map(|()| self.rng.u8(..));
        let bytes = one_color(width, height, color);
        (Content { look: Some(OneColor { width, height, color }), ..Content::of(&bytes) }, bytes)
    }

    fn bytes(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        self.rng.fill(&mut bytes);
        bytes
    }

    fn any(&mut self, presence: Presence, wanted: impl Fn(&Entry) -> bool) -> Option<usize> {
        let places = self.known.places(presence, wanted);
        self.rng.choice(places)
    }

    /// The root now and then, or a folder that is certain, and that is not the entry or in it.
    fn target(&mut self, of: usize) -> Place {
        let folders = self.known.places(Presence::Certain, |entry| entry.kind == Kind::Folder);
        let outside: Vec<usize> = folders.into_iter().filter(|folder| !self.known.may_be_above(of, *folder)).collect();
        if self.rng.u8(0..100) < 30 { None } else { self.rng.choice(outside) }
    }

    fn is_over_quota(&self, answer: &Answer) -> bool {
        answer.status == 507 && self.quota.is_some()
    }

    /// Draws the conclusions of an acknowledged change.
    fn was_made(&mut self, at: usize, change: &Change, answer: &Answer) {
        let before = self.known.presence(at);
        let entry = &mut self.known.entries[at];
        if !entry.made(change) {
            let (name, id) = (entry.name(), entry.id);
            self.run.violated(Anomaly::Resurrected, format!("{change:?} of {name} ({id:?}, {before:?}): {answer}"));
        }
        if let Change::Replace(content) = change {
            entry.kept.push(*content);
        }
    }

    fn acknowledged(&self, what: &'static str) {
        self.run.tally.count(ACKNOWLEDGED);
        self.run.tally.count(what);
    }

    /// Reports an unexplained answer as a violation.
    fn unless(&self, explained: bool, what: &str, at: usize, answer: &Answer) {
        let entry = &self.known.entries[at];
        if !explained {
            let (name, id, presence) = (entry.name(), entry.id, self.known.presence(at));
            // An acknowledged entry must exist for every request.
            let anomaly = if answer.status == 404 && presence == Presence::Certain {
                Anomaly::Lost
            } else {
                Anomaly::Unexplained
            };
            self.run.violated(anomaly, format!("{what} {name} ({id:?}, {presence:?}): {answer}"));
        }
    }

    fn gives_up(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    async fn rest(&mut self) {
        sleep(Duration::from_millis(self.rng.u64(50..600))).await;
    }
}

fn id_in(answer: &Answer) -> Option<ObjectId> {
    let document: Value = serde_json::from_slice(&answer.body).ok()?;
    document["id"].as_str()?.parse().ok()
}

/// The type of a document as requests name it.
fn text(kind: Kind) -> &'static str {
    match kind {
        Kind::Folder => "folder",
        Kind::File => "file",
        Kind::Image => "image",
    }
}

/// The anomaly of an answer to a read, if there is one.
pub fn wrong(known: &Known, at: usize, answer: &Answer) -> Option<Anomaly> {
    let entry = &known.entries[at];
    let sha256 = Content::of(&answer.body).sha256;
    let is_content = |state: &State| {
        state.stage == Stage::Visible
            && entry.contents.get(state.content).is_none_or(|content| content.sha256 == sha256)
    };
    match (known.presence(at), answer.status) {
        (Presence::Certain, 404) => Some(Anomaly::Lost),
        (Presence::Never, 200) => Some(if entry.id.is_some() { Anomaly::Resurrected } else { Anomaly::Unrequested }),
        (_, 200) if !entry.states.iter().any(is_content) => Some(Anomaly::Altered),
        (_, 200) | (Presence::Never | Presence::Perhaps, 404) => None,
        _ => Some(Anomaly::Unexplained),
    }
}

//! The workload of one person: uploads, folders, reads, publishing and deleting, in an order that the seed decides, and
//! the conclusions from each answer.

use std::time::{Duration, Instant};

use e2e::{Answer, Client, PASSWORD, Request, User, encoded, fixtures::one_color};
use fastrand::Rng;
use mongodb::bson::oid::ObjectId;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    Anomaly, Run,
    model::{Content, Entry, Kind, Known, OneColor, Presence},
    mutations::{self, Mutation},
};

/// A time limit that is longer than a function may run: after it no function executes the request any more.
pub const PATIENCE: Duration = Duration::from_secs(16);

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
    anyone: Client,
    pub client: Client,
    /// The number of deaths of Redis when the session began.
    redis_deaths: u64,
    rng: Rng,
    pub known: Known,
}

impl<'a> Person<'a> {
    pub async fn join(run: &'a Run<'a>, number: u64, rng: Rng) -> Self {
        let user: User = run.stack.user(&format!("person{number}")).await;
        let anyone = run.stack.anyone();
        Self {
            run,
            number,
            id: user.object_id(),
            client: anyone.with_token(&user.token),
            email: user.email,
            anyone,
            redis_deaths: run.redis_deaths.get(),
            rng,
            known: Known::default(),
        }
    }

    /// Executes one operation after the other until the run is over.
    pub async fn live(&mut self) {
        while !self.run.is_over() {
            match self.rng.u8(0..100) {
                0..38 => self.upload_file().await,
                38..43 => self.upload_image().await,
                43..58 => self.make_folder().await,
                58..64 => self.upload_directly().await,
                64..66 => self.upload_by_form().await,
                66..80 => self.publish().await,
                80..90 => self.delete().await,
                _ => self.read().await,
            }
        }
    }

    async fn upload_file(&mut self) {
        let size = match self.rng.u8(0..100) {
            0..90 => self.rng.usize(1..4096),
            90..98 => self.rng.usize(4096..100_000),
            _ => self.rng.usize(100_000..1_000_000),
        };
        let bytes = self.bytes(size);
        let entry = self.entry("bin", Kind::File(Content::of(&bytes)));
        let body = json!({ "type": "file", "data": encoded(&bytes) });
        if self.plants(Mutation::ObjectBeforeRow) {
            mutations::put_orphan(self.run.stack).await;
            self.known.add(Entry { own: Presence::Perhaps, ..entry });
            return;
        }
        let (at, _) = self.create(entry, body, Way::Inline).await;
        self.plant_in_upload(at).await;
    }

    async fn upload_image(&mut self) {
        let (kind, bytes) = self.image();
        let entry = self.entry("jpg", kind);
        self.create(entry, json!({ "type": "image", "data": encoded(&bytes) }), Way::Inline).await;
    }

    async fn make_folder(&mut self) {
        let entry = self.entry("folder", Kind::Folder);
        self.create(entry, json!({ "type": "folder" }), Way::Inline).await;
    }

    async fn upload_directly(&mut self) {
        let (entry, bytes, r#type) = if self.rng.u8(0..100) < 30 {
            let (kind, bytes) = self.image();
            (self.entry("jpg", kind), bytes, "image")
        } else {
            let size = self.rng.usize(1..20_000);
            let bytes = self.bytes(size);
            (self.entry("bin", Kind::File(Content::of(&bytes))), bytes, "file")
        };
        // Some clients begin a large upload and send nothing.
        let is_given_up = self.rng.u8(0..100) < 15;
        let size = if is_given_up && self.rng.bool() { 150 << 20 } else { bytes.len() };
        let (at, created) = self.create(entry, json!({ "type": r#type, "size": size }), Way::Direct).await;
        let Some(created) = created else { return };
        if !is_given_up {
            self.bring(at, &created["upload"], bytes).await;
        } else if self.rng.bool() {
            self.delete_at(at).await;
        }
    }

    /// Sends the bytes to S3, and completes the upload or not.
    async fn bring(&mut self, at: usize, upload: &Value, bytes: Vec<u8>) {
        let name = self.known.entries[at].name.clone();
        let Some(url) = upload["url"].as_str() else {
            return self.run.violated(Anomaly::Unexplained, format!("{name} is to be brought nowhere: {upload}"));
        };
        let put = |http: &reqwest::Client| {
            let headers = upload["headers"].as_object().into_iter().flatten();
            let put = http.put(url).body(bytes.clone());
            headers.fold(put, |put, (header, value)| put.header(header, value.as_str().unwrap_or_default()))
        };
        self.send_to_s3(at, put).await;
        if self.rng.u8(0..100) < 65 {
            self.complete(at).await;
        }
    }

    /// Uploads as a page with a ticket does. Only S3's message tells the product of the upload.
    async fn upload_by_form(&mut self) {
        let size = self.rng.usize(1..20_000);
        let bytes = self.bytes(size);
        let entry = self.entry("bin", Kind::File(Content::of(&bytes)));
        let mut scope = json!({ "isPublic": entry.is_public });
        self.place(&entry, &mut scope);
        let parent = self.parent_presence(entry.parent);
        let at = self.known.add(entry);
        let Some(ticket) =
            self.asked(at, parent, |client| client.request("POST", "/uploads/tickets").json(&scope)).await
        else {
            return;
        };
        let ticket = ticket["ticket"].as_str().unwrap_or_default();
        let path = format!("/uploads/{ticket}/s3/params?filename={}", self.known.entries[at].name);
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
        self.send_to_s3(at, post).await;
    }

    /// The answer to a request that can fail only because of its folder. The entry is not visible yet.
    async fn asked(&mut self, at: usize, parent: Presence, request: impl Fn(&Client) -> Request) -> Option<Value> {
        match self.change(request).await {
            Outcome::Answer(answer) if answer.status < 300 => serde_json::from_slice(&answer.body).ok(),
            Outcome::Answer(answer) => {
                let explained = answer.status == 400 && parent != Presence::Certain;
                self.unless(explained, "ask", at, &answer);
                None
            }
            Outcome::Indeterminate => None,
        }
    }

    async fn send_to_s3(&mut self, at: usize, request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder) {
        self.known.entries[at].own = Presence::Perhaps;
        for _ in 0..3 {
            let request = request(&self.run.stack.http).timeout(PATIENCE_WITH_S3);
            self.run.tally.count(OPERATIONS);
            match request.send().await.map(|response| response.status().as_u16()) {
                // 412: an earlier attempt has stored the object.
                Ok(200 | 201 | 412) => {
                    self.known.entries[at].has_arrived = true;
                    break;
                }
                Ok(status) if status < 500 => {
                    let name = &self.known.entries[at].name;
                    self.run.violated(Anomaly::Unexplained, format!("S3 answers {status} to the bytes of {name}"));
                }
                _ => self.run.tally.count(INDETERMINATE),
            }
            if self.gives_up(40) {
                break;
            }
            self.rest().await;
        }
    }

    async fn complete(&mut self, at: usize) {
        let Some(id) = self.known.entries[at].id else { return };
        let path = format!("/files/{}/complete", id.to_hex());
        for _ in 0..ATTEMPTS {
            match self.change(|client| client.request("POST", &path)).await {
                Outcome::Answer(answer) if answer.status == 200 => {
                    self.acknowledged(UPLOADS);
                    self.known.entries[at].own = Presence::Certain;
                    return;
                }
                Outcome::Answer(answer) => {
                    let entry = &self.known.entries[at];
                    let explained = match answer.status {
                        404 => self.parent_presence(entry.parent) != Presence::Certain,
                        409 => !entry.has_arrived,
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
        body["name"] = json!(entry.name);
        body["isPublic"] = json!(entry.is_public == Some(true));
        self.place(&entry, &mut body);
        let key = (self.rng.u8(0..100) < 80).then(|| entry.name.clone());
        // An upload is invisible until its bytes are stored.
        let [outcome, unheard] = match way {
            Way::Inline => [Presence::Certain, Presence::Perhaps],
            Way::Direct => [Presence::Never; 2],
        };
        let mut created = None;
        for _ in 0..ATTEMPTS {
            let is_impatient = key.is_some() && self.run.plan.mutation.is_none() && self.rng.u8(0..100) < 15;
            let patience = if is_impatient { self.impatience() } else { PATIENCE };
            match self.post(&body, key.as_deref(), patience).await {
                Outcome::Answer(answer) if answer.status == 201 => {
                    entry.id = id_in(&answer);
                    entry.own = outcome;
                    created = serde_json::from_slice::<Value>(&answer.body).ok();
                    break;
                }
                Outcome::Answer(answer) => {
                    let explained = matches!(answer.status, 400 | 404 | 409)
                        && self.parent_presence(entry.parent) != Presence::Certain;
                    let at = self.known.add(entry);
                    self.unless(explained, "create", at, &answer);
                    return (at, None);
                }
                Outcome::Indeterminate if self.run.plan.mutation == Some(Mutation::FailureTakenForRefusal) => break,
                Outcome::Indeterminate => entry.own = unheard,
            }
            if key.is_none() || self.gives_up(25) {
                break;
            }
            self.rest().await;
        }
        let at = self.known.add(entry);
        if created.is_some() {
            match (way, self.known.entries[at].content()) {
                (Way::Inline, Some(_)) => self.acknowledged(UPLOADS),
                (Way::Inline, None) => self.acknowledged("acknowledged folders"),
                (Way::Direct, _) => {}
            }
            self.repeat(at, &body, key.as_deref()).await;
        }
        (at, created)
    }

    /// Sets the folder in a request's body.
    fn place(&self, entry: &Entry, body: &mut Value) {
        if let Some(id) = entry.parent.and_then(|parent| self.known.entries[parent].id) {
            body["parentId"] = json!(id.to_hex());
        }
    }

    /// Some clients repeat an answered request.
    async fn repeat(&mut self, at: usize, body: &Value, key: Option<&str>) {
        let Some(key) = key else { return };
        if self.plants(Mutation::NoIdempotency) {
            if !matches!(self.post(body, None, PATIENCE).await, Outcome::Answer(answer) if answer.status == 201) {
                self.run.planted.set(self.run.planted.get() - 1);
            }
            return;
        }
        if self.rng.u8(0..100) >= 8 {
            return;
        }
        if let Outcome::Answer(again) = self.post(body, Some(key), PATIENCE).await {
            let is_same = again.status == 201 && id_in(&again) == self.known.entries[at].id;
            let may_be_gone = self.parent_presence(self.known.entries[at].parent) != Presence::Certain;
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
                // An earlier indeterminate change may still be executed.
                let known = &mut self.known.entries[at].is_public;
                *known = known.map(|_| is_public);
            }
            Outcome::Answer(answer) => self.unless(false, verb, at, &answer),
            Outcome::Indeterminate => self.known.entries[at].is_public = None,
        }
    }

    async fn delete(&mut self) {
        let is_folder = |entry: &Entry| matches!(entry.kind, Kind::Folder);
        let folders = self.rng.u8(0..100) < 15;
        let presence = if self.rng.u8(0..100) < 85 { Presence::Certain } else { Presence::Perhaps };
        let Some(at) = self.any(presence, |entry| is_folder(entry) == folders) else { return };
        if self.known.entries[at].content().is_some() && self.plants(Mutation::DeleteWithoutTombstone) {
            let id = self.known.entries[at].id.unwrap_or_default();
            self.planted_or_not(&mutations::delete_row(self.run.stack, id).await);
            self.known.entries[at].own = Presence::Never;
            return;
        }
        self.delete_at(at).await;
    }

    async fn delete_at(&mut self, at: usize) {
        let Some(id) = self.known.entries[at].id else { return };
        let path = format!("/files/{}", id.to_hex());
        let before = self.known.presence(at);
        self.known.entries[at].may_be_deleted = true;
        let mut was_asked = false;
        for _ in 0..ATTEMPTS {
            match self.change(|client| client.request("DELETE", &path)).await {
                Outcome::Answer(answer) if answer.status == 204 => {
                    self.acknowledged("acknowledged deletions");
                    self.known.entries[at].own = Presence::Never;
                    break;
                }
                Outcome::Answer(answer) => {
                    let is_gone = answer.status == 404 && (was_asked || before != Presence::Certain);
                    self.unless(is_gone, "delete", at, &answer);
                    // An upload may become visible between the two queries of a deletion.
                    if was_asked && before == Presence::Certain {
                        self.known.entries[at].own = Presence::Never;
                    }
                    break;
                }
                Outcome::Indeterminate => {
                    was_asked = true;
                    let own = &mut self.known.entries[at].own;
                    *own = Presence::Perhaps.min(*own);
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
            Kind::File(_) | Kind::Image(..) => format!("/files/{}/data", id.to_hex()),
        };
        if let Outcome::Answer(answer) = self.ask(|client| client.request("GET", &path)).await {
            let (anomaly, presence) = (wrong(&self.known, at, &answer), self.known.presence(at));
            if let Some(anomaly) = anomaly {
                let name = &self.known.entries[at].name;
                self.run.violated(anomaly, format!("{name} ({id}, {presence:?}) read: {answer}"));
            }
        }
    }

    async fn plant_in_upload(&mut self, at: usize) {
        let entry = &self.known.entries[at];
        let (Presence::Certain, Some(id)) = (self.known.presence(at), entry.id) else { return };
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
    fn planted_or_not(&self, outcome: &anyhow::Result<()>) {
        if outcome.is_err() {
            self.run.planted.set(self.run.planted.get() - 1);
        }
    }

    fn impatience(&mut self) -> Duration {
        self.run.tally.count("impatient requests");
        self.run.last_impatient.set(Instant::now());
        Duration::from_millis(self.rng.u64(IMPATIENCE))
    }

    async fn post(&mut self, body: &Value, key: Option<&str>, patience: Duration) -> Outcome {
        let outcome = self
            .change_within(patience, |client| {
                let request = client.request("POST", "/files").json(body);
                match key {
                    Some(key) => request.header("Idempotency-Key", key),
                    None => request,
                }
            })
            .await;
        if matches!(&outcome, Outcome::Answer(answer) if answer.status == 201)
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
            match request(&self.client).send_within(patience).await {
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
                Ok(answer) if answer.status < 500 => return Outcome::Answer(answer),
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

    fn entry(&mut self, extension: &str, kind: Kind) -> Entry {
        let name = format!("{}-{}-{}.{extension}", self.run.plan.seed, self.number, self.known.entries.len());
        let in_root = self.rng.u8(0..100) < 50;
        let presence = if self.rng.u8(0..100) < 93 { Presence::Certain } else { Presence::Perhaps };
        let folder = |entry: &Entry| matches!(entry.kind, Kind::Folder);
        let parent = if in_root { None } else { self.any(presence, folder) };
        let is_public = Some(self.rng.u8(0..100) < 20);
        Entry {
            name,
            id: None,
            parent,
            kind,
            own: Presence::Never,
            is_public,
            has_arrived: false,
            may_be_deleted: false,
        }
    }

    fn image(&mut self) -> (Kind, Vec<u8>) {
        let (width, height) = [(640, 400), (300, 450), (90, 60), (700, 20)][self.rng.usize(0..4)];
        let color = [(); 3].map(|()| self.rng.u8(..));
        let bytes = one_color(width, height, color);
        (Kind::Image(Content::of(&bytes), OneColor { width, height, color }), bytes)
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

    fn parent_presence(&self, parent: Option<usize>) -> Presence {
        parent.map_or(Presence::Certain, |parent| self.known.presence(parent))
    }

    fn acknowledged(&self, what: &'static str) {
        self.run.tally.count(ACKNOWLEDGED);
        self.run.tally.count(what);
    }

    /// Reports an unexplained answer as a violation.
    fn unless(&self, explained: bool, what: &str, at: usize, answer: &Answer) {
        let entry = &self.known.entries[at];
        if !explained {
            let (name, id, presence) = (&entry.name, &entry.id, self.known.presence(at));
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

/// The anomaly of an answer to a read, if there is one.
pub fn wrong(known: &Known, at: usize, answer: &Answer) -> Option<Anomaly> {
    let entry = &known.entries[at];
    let is_same = entry.content().is_none_or(|content| Content::of(&answer.body).sha256 == content.sha256);
    match (known.presence(at), answer.status) {
        (Presence::Certain, 404) => Some(Anomaly::Lost),
        (Presence::Never, 200) => Some(if entry.id.is_some() { Anomaly::Resurrected } else { Anomaly::Unrequested }),
        (_, 200) if !is_same => Some(Anomaly::Altered),
        (_, 200) | (Presence::Never | Presence::Perhaps, 404) => None,
        _ => Some(Anomaly::Unexplained),
    }
}

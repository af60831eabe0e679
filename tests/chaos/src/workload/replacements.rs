//! Names that are taken, files that are replaced, and versions.

use e2e::{Answer, encoded};
use mongodb::bson::oid::ObjectId;
use serde_json::{Value, json};

use super::{ATTEMPTS, Outcome, PATIENCE, Person, Way, text};
use crate::{
    Anomaly,
    model::{Change, Content, Entry, Kind, Presence, Stage, State},
};

/// The most contents of one file: fewer than the product keeps versions.
const MOST_CONTENTS: usize = 8;

impl Person<'_> {
    /// Uploads a file with a name that another file has, up to the case.
    pub(super) async fn create_with_taken_name(&mut self) {
        let wanted = |entry: &Entry| entry.kind == Kind::File && entry.state().is_some();
        let Some(at) = self.any(Presence::Certain, wanted) else { return };
        let Some(State { name, parent, .. }) = self.known.entries[at].state().cloned() else { return };
        let name = if self.rng.bool() { name.to_uppercase() } else { name };
        let bytes = self.bytes(100);
        let mut entry = Entry::new(Kind::File, name.clone(), parent, false, Some(Content::of(&bytes)));
        let on_conflict = ["fail", "rename"][self.rng.usize(0..2)];
        let mut body = json!({ "type": "file", "data": encoded(&bytes), "onConflict": on_conflict });
        if on_conflict == "rename" {
            entry.is_numbered = true;
            let (new, created) = self.create(entry, body, Way::Inline).await;
            let given = self.known.entries[new].name();
            if created.is_some() && given.eq_ignore_ascii_case(&name) {
                self.run.violated(Anomaly::Duplicated, format!("{given} was taken"));
            }
            return;
        }
        body["name"] = json!(name);
        self.place(parent, &mut body);
        if let Outcome::Answer(answer) = self.post("/files", &body, None, PATIENCE).await {
            if answer.status == 201 {
                self.run.violated(Anomaly::Duplicated, format!("{name} was taken: {answer}"));
            } else {
                self.unless(answer.status == 409 || self.is_over_quota(&answer), "create a taken name", at, &answer);
            }
        }
    }

    pub(super) async fn replace(&mut self) {
        if let Some(at) = self.replaceable() {
            self.replace_at(at).await;
        }
    }

    /// A file that is found by its name alone.
    fn replaceable(&mut self) -> Option<usize> {
        let mut files = self.known.places(Presence::Certain, |entry| {
            entry.kind != Kind::Folder && entry.state().is_some() && entry.contents.len() < MOST_CONTENTS
        });
        files.retain(|at| self.has_name_alone(*at));
        self.rng.choice(files)
    }

    fn has_name_alone(&self, at: usize) -> bool {
        let Some(wanted) = self.known.entries[at].state() else { return false };
        let has_it = |entry: &Entry, state: &State| {
            matches!(state.stage, Stage::Begun | Stage::Visible)
                && state.parent == wanted.parent
                && (state.name.eq_ignore_ascii_case(&wanted.name) || entry.may_be_called(state, &wanted.name))
        };
        let others = self.known.entries.iter().enumerate().filter(|(other, _)| *other != at);
        !others.map(|(_, other)| other).any(|other| other.states.iter().any(|state| has_it(other, state)))
    }

    /// Adds new content to an entry, and returns its index and the body of the request that replaces by it.
    fn replacement(&mut self, at: usize) -> Option<(usize, Value, Vec<u8>)> {
        let State { name, parent, .. } = self.known.entries[at].state()?.clone();
        let kind = self.known.entries[at].kind;
        let (content, bytes) = if kind == Kind::Image {
            self.image()
        } else {
            let size = self.rng.usize(1..8000);
            let bytes = self.bytes(size);
            (Content::of(&bytes), bytes)
        };
        // The publicity of the file stays.
        let is_public = self.rng.bool();
        let mut body = json!({ "name": name, "type": text(kind), "isPublic": is_public, "onConflict": "replace" });
        self.place(parent, &mut body);
        let contents = &mut self.known.entries[at].contents;
        contents.push(content);
        Some((contents.len() - 1, body, bytes))
    }

    /// Replaces the content of a file by a request with the new one. `None` if that was not acknowledged.
    pub(super) async fn replace_at(&mut self, at: usize) -> Option<()> {
        let (content, mut body, bytes) = self.replacement(at)?;
        body["data"] = json!(encoded(&bytes));
        let key = (self.rng.u8(0..100) < 80).then(|| self.key());
        for _ in 0..ATTEMPTS {
            match self.post("/files", &body, key.as_deref(), PATIENCE).await {
                Outcome::Answer(answer) if answer.status == 201 => {
                    self.acknowledged("acknowledged replacements");
                    self.keeps_id(at, &answer);
                    self.was_made(at, &Change::Replace(content), &answer);
                    return Some(());
                }
                Outcome::Answer(answer) => {
                    self.unless(self.may_refuse_replacement(at, &answer), "replace", at, &answer);
                    return None;
                }
                Outcome::Indeterminate => self.known.entries[at].may_have_made(Change::Replace(content)),
            }
            if key.is_none() || self.gives_up(25) {
                break;
            }
            self.rest().await;
        }
        None
    }

    fn may_refuse_replacement(&self, at: usize, answer: &Answer) -> bool {
        let is_in_the_way = matches!(answer.status, 409 | 412) && !self.known.entries[at].open.is_empty();
        is_in_the_way || self.is_over_quota(answer)
    }

    fn keeps_id(&self, at: usize, answer: &Answer) {
        if !self.has_id(at, answer) {
            let (name, id) = (self.known.entries[at].name(), self.known.entries[at].id);
            self.run.violated(Anomaly::Altered, format!("{name} ({id:?}) is replaced by another document: {answer}"));
        }
    }

    /// Replaces the content of a file by an upload straight to S3. Until the bytes are there, the old ones are served.
    pub(super) async fn replace_directly(&mut self) {
        let Some(at) = self.replaceable() else { return };
        let Some((content, mut body, bytes)) = self.replacement(at) else { return };
        body["size"] = json!(bytes.len());
        let answer = match self.post("/files", &body, None, PATIENCE).await {
            Outcome::Answer(answer) if answer.status == 201 => answer,
            Outcome::Answer(answer) => {
                return self.unless(self.may_refuse_replacement(at, &answer), "replace directly", at, &answer);
            }
            // Nobody sends the bytes.
            Outcome::Indeterminate => return,
        };
        if self.rng.u8(0..100) < 15 {
            return;
        }
        let created: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let (upload, change) = (id_of_upload(&created["upload"]), Change::Replace(content));
        self.known.entries[at].may_have_made(change.clone());
        let has_arrived = self.put_to_s3(at, &created["upload"], bytes).await;
        if has_arrived {
            self.known.entries[at].owed.push(content);
        }
        if self.rng.u8(0..100) < 65 {
            self.complete(at, upload, has_arrived, &change).await;
        }
    }

    /// Makes a version the content again.
    pub(super) async fn restore_version(&mut self) {
        let wanted = |entry: &Entry| entry.state().is_some() && entry.contents.len() > 1;
        let Some(at) = self.any(Presence::Certain, wanted) else { return };
        let Some(versions) = self.path(at, "/versions") else { return };
        let Outcome::Answer(answer) = self.ask(|client| client.request("GET", &versions)).await else { return };
        self.unless(answer.status == 200, "list the versions of", at, &answer);
        let found: Vec<Value> = serde_json::from_slice(&answer.body).unwrap_or_default();
        let ids: Vec<&str> = found.iter().filter_map(|version| version["id"].as_str()).collect();
        let Some(version) = self.rng.choice(ids) else { return };
        let data = format!("{versions}/{version}/data");
        let Outcome::Answer(answer) = self.ask(|client| client.request("GET", &data)).await else { return };
        self.unless(answer.status == 200, "read a version of", at, &answer);
        let sha256 = Content::of(&answer.body).sha256;
        let contents = &self.known.entries[at].contents;
        let Some(content) = contents.iter().position(|content| content.sha256 == sha256) else {
            let name = self.known.entries[at].name();
            return self.run.violated(Anomaly::Altered, format!("a version of {name}: {answer}"));
        };
        let (restore, change) = (format!("{versions}/{version}/restore"), Change::Replace(content));
        // The version is gone afterwards, so the request is not repeated.
        match self.change(|client| client.request("PUT", &restore)).await {
            Outcome::Answer(answer) if answer.status == 200 => {
                self.acknowledged("acknowledged restorations of versions");
                self.keeps_id(at, &answer);
                self.was_made(at, &change, &answer);
            }
            Outcome::Answer(answer) => self.unless(self.may_refuse_replacement(at, &answer), "restore", at, &answer),
            Outcome::Indeterminate => self.known.entries[at].may_have_made(change),
        }
    }
}

/// The id of the upload, which is not the id of the file that is to be replaced.
fn id_of_upload(upload: &Value) -> Option<ObjectId> {
    let (_, path) = upload["completeUrl"].as_str()?.split_once("/files/")?;
    path.strip_suffix("/complete")?.parse().ok()
}

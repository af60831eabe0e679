//! Changes of what is there: renaming and moving, copies, the trash, batches; and looks at folders and at the usage.

use std::collections::HashSet;

use e2e::{Answer, Client, Request, encoded};
use futures_util::future::join;
use mongodb::bson::oid::ObjectId;
use serde_json::{Value, json};

use super::{ATTEMPTS, INDETERMINATE, OPERATIONS, Outcome, PATIENCE, Person, id_in};
use crate::{
    Anomaly, Outages,
    model::{Change, Entry, Kind, Place, Presence, Stage, State},
};

/// The most entries in a folder that is copied: otherwise copies of copies would become too many.
const MOST_COPIED: usize = 12;

/// The most changes of an entry whose outcome is not known, for another change.
const MOST_OPEN: usize = 3;

impl Person<'_> {
    pub(super) async fn change_place(&mut self) {
        let Some(at) = self.any(Presence::Certain, |entry| entry.open.len() < MOST_OPEN) else { return };
        match self.rng.u8(0..100) {
            0..40 => self.rename(at).await,
            40..75 => {
                let to = self.target(at);
                self.move_to(at, None, Some(to)).await;
            }
            75..95 => {
                let (name, to) = (self.name(self.known.entries[at].kind), self.target(at));
                self.move_to(at, Some(name), Some(to)).await;
            }
            _ => self.move_into_itself(at).await,
        }
    }

    pub(super) async fn rename(&mut self, at: usize) {
        let name = self.name(self.known.entries[at].kind);
        self.move_to(at, Some(name), None).await;
    }

    async fn move_to(&mut self, at: usize, name: Option<String>, to: Option<Place>) {
        let Some(path) = self.path(at, "") else { return };
        let mut body = json!({});
        if let Some(name) = &name {
            body["name"] = json!(name);
            // A new name is never taken.
            if self.rng.u8(0..100) < 20 {
                body["onConflict"] = json!("fail");
            }
        }
        if let Some(place) = to {
            body["parentId"] = self.id_of(place);
        }
        let change = Change::Move { name, to };
        let made =
            self.make(at, &change, "acknowledged moves", |client| client.request("PATCH", &path).json(&body)).await;
        let Some(answer) = made else { return };
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let is_right =
            ["name", "parentId"].iter().all(|field| body.get(field).is_none_or(|asked| *asked == document[field]));
        if !is_right {
            self.run.violated(Anomaly::Altered, format!("{body} was asked for: {answer}"));
        }
    }

    /// Every move of a folder into itself, or into a folder in it, must be refused.
    async fn move_into_itself(&mut self, at: usize) {
        let is_inside = |place: Option<&Place>| place == Some(&Some(at));
        let children = self.known.places(Presence::Certain, |entry| {
            entry.kind == Kind::Folder && is_inside(entry.state().map(|state| &state.parent))
        });
        let into = self.rng.choice(children).unwrap_or(at);
        let Some(path) = self.path(at, "") else { return };
        if self.known.entries[at].kind != Kind::Folder {
            return;
        }
        let body = json!({ "parentId": self.id_of(Some(into)) });
        if let Outcome::Answer(answer) = self.change(|client| client.request("PATCH", &path).json(&body)).await {
            if answer.status < 300 {
                self.run.violated(Anomaly::Cycle, format!("a folder was moved into itself: {answer}"));
            } else {
                self.unless(answer.status == 409, "move into itself", at, &answer);
            }
        }
    }

    /// Two moves at the same time that would make a circle together. At most one may be made.
    pub(super) async fn move_into_each_other(&mut self) {
        let folders = self.known.places(Presence::Certain, |entry| entry.kind == Kind::Folder && entry.open.is_empty());
        let Some(one) = self.rng.choice(folders.clone()) else { return };
        let apart = folders
            .into_iter()
            .filter(|other| !self.known.may_be_above(one, *other) && !self.known.may_be_above(*other, one));
        let apart: Vec<usize> = apart.collect();
        let Some(other) = self.rng.choice(apart) else { return };
        let request = |at: usize, into: usize| {
            let path = self.path(at, "")?;
            Some(self.client.request("PATCH", &path).json(json!({ "parentId": self.id_of(Some(into)) })))
        };
        let (Some(first), Some(second)) = (request(one, other), request(other, one)) else { return };
        let answers = join(first.send_within(PATIENCE), second.send_within(PATIENCE)).await;
        let mut made = 0;
        for (at, into, answer) in [(one, other, answers.0), (other, one, answers.1)] {
            self.run.tally.count(OPERATIONS);
            let change = Change::Move { name: None, to: Some(Some(into)) };
            match answer {
                Ok(answer) if answer.status < 300 => {
                    self.acknowledged("acknowledged moves");
                    self.was_made(at, &change, &answer);
                    made += 1;
                }
                // Without a session nothing is changed.
                Ok(answer) if answer.status == 401 => self.log_in().await,
                Ok(answer) if answer.status < 500 => self.unless(answer.status == 409, "move", at, &answer),
                _ => {
                    self.run.tally.count(INDETERMINATE);
                    self.may_be_moving = true;
                    self.known.entries[at].may_have_made(change);
                }
            }
        }
        // A refused move cannot take its flag back while MongoDB is down.
        self.may_be_moving |= self.run.plan.outages == Outages::All;
        if made > 1 {
            self.run.violated(Anomaly::Cycle, format!("{one} and {other} were moved into each other"));
        }
    }

    pub(super) async fn set_preview(&mut self) {
        let wanted = |entry: &Entry| entry.kind == Kind::File && entry.state().is_some();
        if let Some(at) = self.any(Presence::Certain, wanted) {
            self.set_preview_at(at).await;
        }
    }

    /// Gives a file a preview, whose thumbnails are made later. `None` if that was not acknowledged.
    pub(super) async fn set_preview_at(&mut self, at: usize) -> Option<()> {
        let path = self.path(at, "/preview")?;
        let (content, bytes) = self.image();
        let body = json!({ "data": encoded(&bytes) });
        let before = self.known.entries[at].preview;
        self.known.entries[at].is_sent_preview(content.look?);
        match self.change(|client| client.request("PUT", &path).json(&body)).await {
            Outcome::Answer(answer) if answer.status == 202 => {
                self.acknowledged("acknowledged previews");
                self.known.entries[at].gets_preview();
                return Some(());
            }
            Outcome::Answer(answer) => {
                self.unless(self.is_over_quota(&answer), "set the preview of", at, &answer);
                self.known.entries[at].preview = before;
            }
            Outcome::Indeterminate => self.known.entries[at].may_get_preview = true,
        }
        None
    }

    pub(super) async fn copy(&mut self) {
        let Some(at) = self.any(Presence::Certain, |entry| entry.state().is_some()) else { return };
        if self.known.inside(at).len() > MOST_COPIED {
            return;
        }
        let place = if self.rng.bool() { self.known.entries[at].parent() } else { self.target(at) };
        let name = (self.rng.u8(0..100) < 60).then(|| self.name(self.known.entries[at].kind));
        self.copy_at(at, name, place).await;
    }

    /// Copies an entry. Returns the index of the copy if the copy was acknowledged.
    pub(super) async fn copy_at(&mut self, at: usize, name: Option<String>, place: Place) -> Option<usize> {
        let path = self.path(at, "/copy")?;
        let mut body = json!({});
        // Without a place the copy comes beside the original.
        if place != self.known.entries[at].parent() || self.rng.bool() {
            body["parentId"] = self.id_of(place);
        }
        if let Some(name) = &name {
            body["name"] = json!(name);
        }
        let mut entry = self.copy_of(at, name, place)?;
        let key = (self.rng.u8(0..100) < 80).then(|| self.key());
        let mut is_made = false;
        for _ in 0..ATTEMPTS {
            match self.post(&path, &body, key.as_deref(), PATIENCE).await {
                Outcome::Answer(answer) if answer.status == 201 => {
                    self.acknowledged("acknowledged copies");
                    self.is_copy(at, &mut entry, &answer);
                    is_made = true;
                    break;
                }
                Outcome::Answer(answer) => {
                    self.unless(self.is_over_quota(&answer), "copy", at, &answer);
                    break;
                }
                Outcome::Indeterminate => entry.may_have_made(Change::Appear),
            }
            if key.is_none() || self.gives_up(25) {
                break;
            }
            self.rest().await;
        }
        if entry.states.iter().all(|state| state.stage == Stage::Begun) {
            return None;
        }
        let is_folder = entry.kind == Kind::Folder;
        let copy = self.known.add(entry);
        if is_folder {
            self.known.copy_inside(at, copy);
        }
        is_made.then_some(copy)
    }

    /// The copy of an entry as it will be. Without a name of its own, the product may add a number.
    fn copy_of(&self, at: usize, name: Option<String>, place: Place) -> Option<Entry> {
        let original = &self.known.entries[at];
        let state = original.state()?;
        let content = original.contents.get(state.content).cloned();
        let is_numbered = name.is_none();
        let name = name.unwrap_or_else(|| state.name.clone());
        let previews = original.previews.clone();
        Some(Entry { is_numbered, previews, ..Entry::new(original.kind, name, place, false, content) })
    }

    /// Draws the conclusions of an acknowledged copy.
    fn is_copy(&mut self, at: usize, copy: &mut Entry, answer: &Answer) {
        self.learn(copy, answer);
        copy.made(&Change::Appear);
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let original = self.known.entries[at].id.map(ObjectId::to_hex);
        if copy.id == self.known.entries[at].id
            || document["copiedFrom"].as_str() != original.as_deref()
            || document["isPublic"] != false
        {
            self.run.violated(Anomaly::Altered, format!("a copy of {original:?}: {answer}"));
        }
    }

    pub(super) async fn trash(&mut self) {
        let folders = self.rng.u8(0..100) < 20;
        let wanted = |entry: &Entry| (entry.kind == Kind::Folder) == folders && entry.open.len() < MOST_OPEN;
        let Some(at) = self.any(Presence::Certain, wanted) else { return };
        let Some(path) = self.path(at, "/trash") else { return };
        self.known.hidden(at);
        let made = self.make(at, &Change::Trash, "acknowledged trashings", |client| client.request("PUT", &path)).await;
        self.may_be_emptied(at);
        let Some(answer) = made else { return };
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !document["trashedAt"].is_string() || !document["expiresAt"].is_string() {
            self.run.violated(Anomaly::Altered, format!("put into the trash: {answer}"));
        }
    }

    /// An emptying of the trash that got no answer may take the entry too.
    fn may_be_emptied(&mut self, at: usize) {
        if self.may_be_emptying {
            self.known.entries[at].may_have_made(Change::Empty);
        }
    }

    fn in_trash(&self) -> Vec<usize> {
        let is_there = |at: &usize| {
            let entry = &self.known.entries[*at];
            entry.id.is_some() && entry.is_in_trash()
        };
        (0..self.known.entries.len()).filter(is_there).collect()
    }

    pub(super) async fn restore(&mut self) {
        let trash = self.in_trash();
        let Some(at) = self.rng.choice(trash) else { return };
        let Some(path) = self.path(at, "/restore") else { return };
        let is_there = self.known.presence_of(self.known.entries[at].parent()) == Presence::Certain;
        let to = if is_there && self.rng.u8(0..100) < 70 { None } else { Some(self.target(at)) };
        let body = to.map_or_else(|| json!({}), |place| json!({ "parentId": self.id_of(place) }));
        let change = Change::Restore(to);
        self.make(at, &change, "acknowledged restorations", |client| client.request("PUT", &path).json(&body)).await;
    }

    pub(super) async fn delete_from_trash(&mut self) {
        let trash = self.in_trash();
        if let Some(at) = self.rng.choice(trash) {
            self.delete_at(at).await;
        }
    }

    pub(super) async fn empty_trash(&mut self) {
        let outcome = self.change(|client| client.request("DELETE", "/trash")).await;
        let in_trash = |entry: &&mut Entry| entry.states.iter().any(|state| state.stage == Stage::Trashed);
        match outcome {
            Outcome::Answer(answer) if answer.status == 202 => {
                self.acknowledged("acknowledged emptyings");
                let entries = self.known.entries.iter_mut().filter(in_trash);
                entries.for_each(|entry| entry.made_where_possible(&Change::Empty));
            }
            Outcome::Answer(answer) => self.run.violated(Anomaly::Unexplained, format!("empty the trash: {answer}")),
            Outcome::Indeterminate => {
                self.may_be_emptying = true;
                let entries = self.known.entries.iter_mut().filter(in_trash);
                entries.for_each(|entry| entry.may_have_made(Change::Empty));
            }
        }
    }

    pub(super) async fn batch(&mut self) {
        let action = ["move", "trash", "delete", "copy", "restore"][self.rng.usize(0..5)];
        let mut candidates = match action {
            "restore" => self.in_trash(),
            "copy" => {
                self.known.places(Presence::Certain, |entry| entry.kind != Kind::Folder && entry.state().is_some())
            }
            _ => self.known.places(Presence::Certain, |entry| entry.open.len() < MOST_OPEN),
        };
        self.rng.shuffle(&mut candidates);
        let count = self.rng.usize(2..6);
        let mut chosen: Vec<usize> = Vec::new();
        for at in candidates {
            let is_apart =
                chosen.iter().all(|other| !self.known.may_be_above(at, *other) && !self.known.may_be_above(*other, at));
            let is_there = self.known.presence_of(self.known.entries[at].parent()) == Presence::Certain;
            if is_apart && is_there && chosen.len() < count {
                chosen.push(at);
            }
        }
        let ids: Vec<String> = chosen.iter().filter_map(|at| Some(self.known.entries[*at].id?.to_hex())).collect();
        if ids.len() < 2 {
            return;
        }
        let mut body = json!({ "action": action, "ids": ids });
        let mut to = None;
        if action == "move" {
            to = self.target(chosen[0]).filter(|to| !chosen.iter().any(|at| self.known.may_be_above(*at, *to)));
            body["parentId"] = self.id_of(to);
        }
        let change = match action {
            "move" => Change::Move { name: None, to: Some(to) },
            "trash" => Change::Trash,
            "restore" => Change::Restore(None),
            "delete" => Change::Delete,
            _ => Change::Appear,
        };
        if matches!(change, Change::Trash | Change::Delete) {
            for at in &chosen {
                self.known.hidden(*at);
            }
        }
        match self.change(|client| client.request("POST", "/files/batch").json(&body)).await {
            Outcome::Answer(answer) if answer.status == 200 => self.batched(&chosen, &ids, &change, &answer),
            Outcome::Answer(answer) => self.run.violated(Anomaly::Unexplained, format!("a batch {body}: {answer}")),
            Outcome::Indeterminate => {
                self.may_be_moving |= matches!(change, Change::Move { .. } | Change::Restore(_));
                for at in &chosen {
                    self.may_be_batched(*at, &change);
                }
            }
        }
        if change == Change::Trash {
            for at in &chosen {
                self.may_be_emptied(*at);
            }
        }
    }

    fn may_be_batched(&mut self, at: usize, change: &Change) {
        if *change != Change::Appear {
            return self.known.entries[at].may_have_made(change.clone());
        }
        if let Some(mut copy) = self.copy_of(at, None, self.known.entries[at].parent()) {
            copy.may_have_made(Change::Appear);
            self.known.add(copy);
        }
    }

    /// Draws the conclusions of each item of an answered batch.
    fn batched(&mut self, chosen: &[usize], ids: &[String], change: &Change, answer: &Answer) {
        let items: Vec<Value> = serde_json::from_slice(&answer.body).unwrap_or_default();
        let answered: Vec<&str> = items.iter().filter_map(|item| item["id"].as_str()).collect();
        if answered != ids {
            return self.run.violated(Anomaly::Unexplained, format!("a batch of {ids:?}: {answer}"));
        }
        for (at, item) in chosen.iter().zip(&items) {
            let status = item["status"].as_u64().unwrap_or_default();
            if (200..300).contains(&status) {
                self.acknowledged("acknowledged items of batches");
                if *change == Change::Appear {
                    let document = serde_json::to_vec(&item["file"]).unwrap_or_default();
                    if let Some(mut copy) = self.copy_of(*at, None, self.known.entries[*at].parent()) {
                        self.is_copy(
                            *at,
                            &mut copy,
                            &Answer { body: document, headers: answer.headers.clone(), ..*answer },
                        );
                        self.known.add(copy);
                    }
                } else {
                    self.was_made(*at, change, answer);
                }
                continue;
            }
            let is_explained = match status {
                404 => self.known.presence(*at) != Presence::Certain && !self.known.entries[*at].is_in_trash(),
                // The moves of a batch may be in each other's way.
                409 => matches!(change, Change::Move { .. } | Change::Restore(_)),
                412 => !self.known.entries[*at].open.is_empty(),
                507 => self.quota.is_some(),
                _ => false,
            };
            // An item may fail like a request.
            if status >= 500 && status != 507 {
                self.run.tally.count(INDETERMINATE);
                self.may_be_moving |= matches!(change, Change::Move { .. } | Change::Restore(_));
                self.may_be_batched(*at, change);
            } else if !is_explained {
                let name = self.known.entries[*at].name();
                self.run.violated(Anomaly::Unexplained, format!("{change:?} of {name} in a batch: {item}"));
            }
        }
    }

    /// No request may ever exceed the quota.
    pub(super) async fn look_at_usage(&mut self) {
        let Outcome::Answer(answer) = self.ask(|client| client.request("GET", "/users/me/usage")).await else { return };
        let usage: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let is_within =
            usage["bytes"].as_i64().is_some_and(|bytes| bytes >= 0 && self.quota.is_none_or(|quota| bytes <= quota));
        if answer.status != 200 || !is_within || usage["quotaBytes"].as_i64() != self.quota {
            self.run.violated(Anomaly::WrongQuota, format!("a quota of {:?}: {answer}", self.quota));
        }
    }

    /// Lists a folder in which there are entries whose ids no answer has told, as in a copied folder, and learns these.
    pub(super) async fn look_into_folder(&mut self) {
        let is_unknown_in = |entry: &Entry, folder: usize, name: Option<&str>| {
            let is_here = |state: &State| {
                state.stage == Stage::Visible
                    && state.parent == Some(folder)
                    && name.is_none_or(|name| state.name == name)
            };
            entry.id.is_none() && !entry.is_numbered && entry.states.iter().any(is_here)
        };
        let mut folders = self.known.places(Presence::Certain, |entry| entry.kind == Kind::Folder);
        folders.retain(|folder| self.known.entries.iter().any(|entry| is_unknown_in(entry, *folder, None)));
        let Some(folder) = self.rng.choice(folders) else { return };
        let mut listed: Vec<(ObjectId, String)> = Vec::new();
        for page in 0..50 {
            let parent = self.id_of(Some(folder));
            let path = format!("/files?parentId={}&page={page}", parent.as_str().unwrap_or_default());
            let Outcome::Answer(answer) = self.ask(|client| client.request("GET", &path)).await else { return };
            let documents: Vec<Value> = serde_json::from_slice(&answer.body).unwrap_or_default();
            if documents.is_empty() {
                break;
            }
            listed.extend(documents.iter().filter_map(|document| {
                Some((document["id"].as_str()?.parse().ok()?, document["name"].as_str()?.to_owned()))
            }));
        }
        let known: HashSet<ObjectId> = self.known.entries.iter().filter_map(|entry| entry.id).collect();
        listed.retain(|(id, _)| !known.contains(id));
        for (id, name) in &listed {
            let entries = self.known.entries.iter().enumerate();
            let candidates: Vec<usize> =
                entries.filter(|(_, entry)| is_unknown_in(entry, folder, Some(name))).map(|(at, _)| at).collect();
            let is_only = listed.iter().filter(|(_, other)| other == name).count() == 1;
            if let ([at], true) = (&candidates[..], is_only) {
                self.known.entries[*at].id = Some(*id);
            }
        }
    }

    /// Sends a change of an entry until there is an answer or the client gives up. Returns the answer if the change was
    /// made.
    async fn make(
        &mut self,
        at: usize,
        change: &Change,
        what: &'static str,
        request: impl Fn(&Client) -> Request,
    ) -> Option<Answer> {
        for _ in 0..ATTEMPTS {
            match self.change(&request).await {
                Outcome::Answer(answer) if answer.status < 300 => {
                    self.acknowledged(what);
                    self.was_made(at, change, &answer);
                    return Some(answer);
                }
                Outcome::Answer(answer) => {
                    let explained = self.may_refuse(at, change, &answer);
                    self.unless(explained, what, at, &answer);
                    return None;
                }
                Outcome::Indeterminate => {
                    self.may_be_moving |= matches!(change, Change::Move { .. } | Change::Restore(_));
                    self.known.entries[at].may_have_made(change.clone());
                }
            }
            if self.gives_up(40) {
                break;
            }
            self.rest().await;
        }
        None
    }

    /// True if the model explains the refusal of a change of an entry that was there for sure.
    fn may_refuse(&self, at: usize, change: &Change, answer: &Answer) -> bool {
        let entry = &self.known.entries[at];
        let is_pending = entry.states.iter().all(|state| state.stage == Stage::Begun);
        let is_there = match change {
            Change::Restore(_) => entry.is_in_trash(),
            _ if is_pending => self.known.presence_of(entry.parent()) == Presence::Certain,
            _ => self.known.presence(at) == Presence::Certain,
        };
        match answer.status {
            404 => !is_there,
            409 => matches!(change, Change::Move { .. } | Change::Restore(_)) && self.may_be_moving,
            // An earlier attempt may have come between.
            412 => !entry.open.is_empty(),
            _ => false,
        }
    }

    /// The path of an entry whose id is known.
    pub(super) fn path(&self, at: usize, more: &str) -> Option<String> {
        Some(format!("/files/{}{more}", self.known.entries[at].id?.to_hex()))
    }

    /// A place as requests name it.
    fn id_of(&self, place: Place) -> Value {
        place.and_then(|folder| self.known.entries[folder].id).map_or_else(|| json!(0), |id| json!(id.to_hex()))
    }

    /// True if this is the id of the entry.
    pub(super) fn has_id(&self, at: usize, answer: &Answer) -> bool {
        id_in(answer) == self.known.entries[at].id
    }
}

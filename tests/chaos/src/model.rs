//! The model of a person's files. Each entry has the states that it may be in: one, unless the outcome of a request is
//! not known.

use std::collections::HashMap;

use mongodb::bson::oid::ObjectId;
use sha2::{Digest, Sha256};

/// The presence that the model expects of an entry. A timeout, a broken connection and a 5xx are indeterminate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// The entry was refused, never sent, hidden or deleted: no reader may ever see it.
    Never,
    Perhaps,
    /// The entry was acknowledged, and nothing was requested since that hides it.
    Certain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File,
    Image,
}

#[derive(Clone, Debug)]
pub struct Content {
    pub size: u64,
    pub sha256: [u8; 32],
    /// Set for an image.
    pub look: Option<OneColor>,
}

impl Content {
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: Sha256::digest(bytes).into(), look: None }
    }
}

/// An image of one colour, so that its thumbnails differ from those of other images.
#[derive(Clone, Copy, Debug)]
pub struct OneColor {
    pub width: u32,
    pub height: u32,
    pub color: [u8; 3],
}

/// The index of a folder in [`Known`]; `None` is the root.
pub type Place = Option<usize>;

/// A state that an entry may be in.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub stage: Stage,
    pub parent: Place,
    pub name: String,
    pub is_public: bool,
    /// The index of its content in [`Entry::contents`]; 0 for a folder.
    pub content: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nobody sees it yet: it was refused, or its bytes are not there.
    Begun,
    Visible,
    /// In the trash itself, not only by a folder above.
    Trashed,
    /// Deleted for good.
    Gone,
}

/// The effect of a request on an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The upload is complete, or the folder or the copy is made.
    Appear,
    Move {
        name: Option<String>,
        to: Option<Place>,
    },
    Publish(bool),
    Trash,
    /// Out of the trash, to another place if one is given.
    Restore(Option<Place>),
    /// The trash is emptied.
    Empty,
    Delete,
    /// The content with this index in [`Entry::contents`] becomes the content.
    Replace(usize),
}

impl Change {
    /// The state after the change; `None` if the product refuses the change in this state.
    fn of(&self, state: &State) -> Option<State> {
        use Stage::{Begun, Gone, Trashed, Visible};
        let mut next = state.clone();
        match (self, state.stage) {
            (Self::Appear, Begun | Visible) => next.stage = Visible,
            (Self::Move { name, to }, Begun | Visible) => {
                next.name = name.clone().unwrap_or(next.name);
                next.parent = to.unwrap_or(next.parent);
            }
            (Self::Publish(is_public), Visible) => next.is_public = *is_public,
            (Self::Trash, Visible | Trashed) => next.stage = Trashed,
            (Self::Restore(_), Visible) => {}
            (Self::Restore(to), Trashed) => {
                next.stage = Visible;
                next.parent = to.unwrap_or(next.parent);
            }
            (Self::Empty, Trashed) | (Self::Delete, Begun | Visible | Trashed) => next.stage = Gone,
            (Self::Replace(content), Visible) => next.content = *content,
            _ => return None,
        }
        Some(next)
    }
}

#[derive(Clone, Debug)]
pub struct Entry {
    /// The id, after an answer has told it.
    pub id: Option<ObjectId>,
    pub kind: Kind,
    /// Every content that was sent for the entry; empty for a folder.
    pub contents: Vec<Content>,
    /// The states that the entry may be in.
    pub states: Vec<State>,
    /// The changes whose outcome is not known. Each may have been made, or may be made later.
    pub open: Vec<Change>,
    /// True if the product may add a number to the name. The name is then known only with the id.
    pub is_numbered: bool,
    /// S3 has acknowledged the bytes of a direct upload, and nothing has hidden the entry since.
    pub has_arrived: bool,
    /// The acknowledged contents. Each must be the content or a version, as long as the entry exists.
    pub kept: Vec<usize>,
    /// Contents that S3 has acknowledged while nothing hid the entry. They must come into being like [`Self::kept`].
    pub owed: Vec<usize>,
    /// Every preview that was sent for the entry, or for what it is a copy of.
    pub previews: Vec<OneColor>,
    /// The preview that the entry must have, if there is no doubt about it, also later: the last one was acknowledged, and no
    /// new content was sent since.
    pub preview: Option<OneColor>,
    /// The outcome of the request for a preview is not known, so that the preview may still come.
    pub may_get_preview: bool,
}

impl Entry {
    /// An entry that is to be created.
    pub fn new(kind: Kind, name: String, parent: Place, is_public: bool, content: Option<Content>) -> Self {
        Self {
            id: None,
            kind,
            kept: content.iter().map(|_| 0).collect(),
            contents: content.into_iter().collect(),
            states: vec![State { stage: Stage::Begun, parent, name, is_public, content: 0 }],
            open: Vec::new(),
            is_numbered: false,
            has_arrived: false,
            owed: Vec::new(),
            previews: Vec::new(),
            preview: None,
            may_get_preview: false,
        }
    }

    /// One of the names that the entry may have.
    pub fn name(&self) -> &str {
        self.states.first().map_or("", |state| &state.name)
    }

    /// One of the places that the entry may be in.
    pub fn parent(&self) -> Place {
        self.states.first().and_then(|state| state.parent)
    }

    /// The state, if there is no doubt about it, also later.
    pub fn state(&self) -> Option<&State> {
        match &self.states[..] {
            [state] if self.open.is_empty() => Some(state),
            _ => None,
        }
    }

    /// The index of the content that these bytes are; 0 for a folder.
    pub fn content_of(&self, bytes: &[u8]) -> Option<usize> {
        let sha256 = Content::of(bytes).sha256;
        let found = self.contents.iter().position(|content| content.sha256 == sha256);
        if self.kind == Kind::Folder { Some(0) } else { found }
    }

    pub fn is_in_trash(&self) -> bool {
        self.state().is_some_and(|state| state.stage == Stage::Trashed)
    }

    /// The change was made. States in which it is refused were not the entry's. `false` if that is so for all: the
    /// product should have refused.
    pub fn made(&mut self, change: &Change) -> bool {
        self.may_lose_preview(change);
        let next: Vec<State> = self.states.iter().filter_map(|state| change.of(state)).collect();
        let is_possible = !next.is_empty();
        if is_possible {
            self.states.clear();
            self.add(next);
            self.spread();
        }
        is_possible
    }

    /// The outcome of the change is not known.
    pub fn may_have_made(&mut self, change: Change) {
        self.may_lose_preview(&change);
        if !self.open.contains(&change) {
            self.open.push(change);
        }
        self.spread();
    }

    /// New content has no preview.
    fn may_lose_preview(&mut self, change: &Change) {
        if matches!(change, Change::Replace(_)) {
            self.preview = None;
        }
    }

    /// A preview is sent; its outcome is not known yet.
    pub fn is_sent_preview(&mut self, preview: OneColor) {
        self.previews.push(preview);
        self.preview = None;
    }

    /// The preview that was sent last was acknowledged.
    pub fn gets_preview(&mut self) {
        self.preview = self.previews.last().copied().filter(|_| !self.may_get_preview);
    }

    /// An open change was made, once and for all, or cannot be made any more.
    pub fn close(&mut self, change: &Change) {
        self.open.retain(|open| open != change);
    }

    /// The change was made if the state allows it.
    pub fn made_where_possible(&mut self, change: &Change) {
        let next: Vec<State> =
            self.states.iter().map(|state| change.of(state).unwrap_or_else(|| state.clone())).collect();
        self.states.clear();
        self.add(next);
        self.spread();
    }

    /// Adds the states that open changes lead to, in any order.
    fn spread(&mut self) {
        let mut at = 0;
        while let Some(state) = self.states.get(at).cloned() {
            let next: Vec<State> = self.open.iter().filter_map(|change| change.of(&state)).collect();
            self.add(next);
            at += 1;
        }
        if self.states.iter().all(|state| state.stage == Stage::Gone) {
            self.open.clear();
        }
    }

    fn add(&mut self, states: impl IntoIterator<Item = State>) {
        for state in states {
            if !self.states.contains(&state) {
                self.states.push(state);
            }
        }
    }

    /// True if the entry may have this name. A number that the product adds is ignored where it may add one.
    pub fn may_be_called(&self, state: &State, name: &str) -> bool {
        state.name == name || self.is_numbered && without_numbers(&state.name) == without_numbers(name)
    }
}

/// The name without ` (2)` and the like, which the product adds to a name that is taken.
pub fn without_numbers(name: &str) -> String {
    let mut bare = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once(" (") {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let Some(behind) = after[digits..].strip_prefix(')').filter(|_| digits > 0) else {
            bare.push_str(&rest[..rest.len() - after.len()]);
            rest = after;
            continue;
        };
        bare.push_str(before);
        rest = behind;
    }
    bare + rest
}

#[derive(Default)]
pub struct Known {
    pub entries: Vec<Entry>,
}

impl Known {
    pub fn add(&mut self, entry: Entry) -> usize {
        self.entries.push(entry);
        self.entries.len() - 1
    }

    /// What a reader sees. A folder that is deleted or in the trash hides its entries, and a folder that may be so may
    /// refuse new ones.
    pub fn presence(&self, at: usize) -> Presence {
        self.weigh(at, &mut Vec::new(), Self::seen).unwrap_or(Presence::Perhaps)
    }

    /// Whether there is a row when everything has settled. Unlike [`Self::presence`], an entry in the trash counts.
    pub fn standing(&self, at: usize) -> Presence {
        self.weigh(at, &mut Vec::new(), Self::stored).unwrap_or(Presence::Perhaps)
    }

    /// The presence by all states together. Folders that may be in each other are never in a circle: a state that would
    /// make one, by the entries of the path, is left out.
    fn weigh(&self, at: usize, path: &mut Vec<usize>, by: Weight) -> Option<Presence> {
        if path.contains(&at) {
            return None;
        }
        path.push(at);
        let found: Vec<Presence> = self.entries[at].states.iter().filter_map(|state| by(self, state, path)).collect();
        path.pop();
        let first = *found.first()?;
        Some(if found.iter().all(|presence| *presence == first) { first } else { Presence::Perhaps })
    }

    fn seen(&self, state: &State, path: &mut Vec<usize>) -> Option<Presence> {
        match (state.stage, state.parent) {
            (Stage::Visible, None) => Some(Presence::Certain),
            (Stage::Visible, Some(parent)) => self.weigh(parent, path, Self::seen),
            (Stage::Begun | Stage::Trashed | Stage::Gone, _) => Some(Presence::Never),
        }
    }

    fn stored(&self, state: &State, path: &mut Vec<usize>) -> Option<Presence> {
        match (state.stage, state.parent) {
            // What is in the trash by itself stays there when its folder goes.
            (Stage::Visible, None) | (Stage::Trashed, _) => Some(Presence::Certain),
            (Stage::Visible, Some(parent)) => self.weigh(parent, path, Self::stored),
            (Stage::Begun | Stage::Gone, _) => Some(Presence::Never),
        }
    }

    /// The presence of a place; the root is always there.
    pub fn presence_of(&self, place: Place) -> Presence {
        place.map_or(Presence::Certain, |folder| self.presence(folder))
    }

    /// True if the first entry may be the second or a folder above it.
    pub fn may_be_above(&self, above: usize, at: usize) -> bool {
        let (mut reached, mut next) = (vec![at], 0);
        while let Some(&entry) = reached.get(next) {
            if entry == above {
                return true;
            }
            for parent in self.entries[entry].states.iter().filter_map(|state| state.parent) {
                if !reached.contains(&parent) {
                    reached.push(parent);
                }
            }
            next += 1;
        }
        false
    }

    /// The entries that may be visible in a folder, at any depth; a folder comes before what is in it.
    pub fn inside(&self, folder: usize) -> Vec<usize> {
        let (mut found, mut next) = (vec![folder], 0);
        while let Some(&folder) = found.get(next) {
            for (at, entry) in self.entries.iter().enumerate() {
                let is_here = |state: &State| state.stage == Stage::Visible && state.parent == Some(folder);
                if entry.states.iter().any(is_here) && !found.contains(&at) {
                    found.push(at);
                }
            }
            next += 1;
        }
        found.split_off(1)
    }

    /// Adds what comes along with a folder that is copied: its entries as they are now, but private and without ids.
    /// They are there if the copy of the folder is.
    pub fn copy_inside(&mut self, original: usize, copy: usize) {
        let inside = self.inside(original);
        let first = self.entries.len();
        let mut copies: HashMap<usize, usize> = inside.iter().enumerate().map(|(n, at)| (*at, first + n)).collect();
        copies.insert(original, copy);
        for at in inside {
            // A copy has the preview only if its thumbnails were made before.
            let original = self.entries[at].clone();
            let mut entry = Entry { id: None, open: Vec::new(), has_arrived: false, preview: None, ..original };
            let states = std::mem::take(&mut entry.states);
            for state in states {
                let place = state.parent.and_then(|parent| copies.get(&parent)).copied();
                let is_copied = state.stage == Stage::Visible && place.is_some();
                let stage = if is_copied { Stage::Visible } else { Stage::Gone };
                entry.add([State { stage, parent: place.or(Some(copy)), is_public: false, ..state }]);
            }
            let contents: Vec<usize> = entry.states.iter().map(|state| state.content).collect();
            let is_one = contents.iter().all(|content| *content == contents[0]);
            entry.kept = if is_one && entry.kind != Kind::Folder { vec![contents[0]] } else { Vec::new() };
            entry.owed = Vec::new();
            self.add(entry);
        }
    }

    /// What the entry hides, or may hide, may not come into being meanwhile.
    pub fn hidden(&mut self, at: usize) {
        for below in 0..self.entries.len() {
            if self.may_be_above(at, below) {
                self.entries[below].has_arrived = false;
                self.entries[below].owed.clear();
            }
        }
    }

    /// The indexes of all entries with this presence that match, and whose id is known.
    pub fn places(&self, presence: Presence, wanted: impl Fn(&Entry) -> bool) -> Vec<usize> {
        let is = |at: &usize| {
            let entry = &self.entries[*at];
            entry.id.is_some() && self.presence(*at) == presence && wanted(entry)
        };
        (0..self.entries.len()).filter(is).collect()
    }
}

type Weight = fn(&Known, &State, &mut Vec<usize>) -> Option<Presence>;

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(parent: Place) -> Entry {
        let mut folder = Entry::new(Kind::Folder, "folder".into(), parent, false, None);
        folder.id = Some(ObjectId::new());
        folder.made(&Change::Appear);
        folder
    }

    fn to(place: Place) -> Change {
        Change::Move { name: None, to: Some(place) }
    }

    #[test]
    fn an_entry_is_as_certain_as_all_folders_above_it() {
        let mut known = Known::default();
        let top = known.add(folder(None));
        let middle = known.add(folder(Some(top)));
        let deep = known.add(folder(Some(middle)));
        assert_eq!(known.presence(deep), Presence::Certain);
        known.entries[middle].may_have_made(Change::Delete);
        assert_eq!(known.presence(deep), Presence::Perhaps);
        assert_eq!(known.places(Presence::Certain, |_| true), [top]);
        known.entries[top].made(&Change::Delete);
        assert_eq!(known.presence(deep), Presence::Never);
        assert_eq!(known.standing(deep), Presence::Never);
    }

    #[test]
    fn an_open_change_may_be_made_before_later_ones_or_after() {
        let mut known = Known::default();
        let (one, other) = (known.add(folder(None)), known.add(folder(None)));
        let at = known.add(folder(None));
        let name = |name: &str| Change::Move { name: Some(name.into()), to: None };
        known.entries[at].may_have_made(to(Some(one)));
        known.entries[at].may_have_made(to(Some(one)));
        known.entries[at].made(&name("other"));
        let mut places: Vec<Place> = known.entries[at].states.iter().map(|state| state.parent).collect();
        places.sort();
        assert_eq!(places, [None, Some(one)]);
        assert!(known.entries[at].states.iter().all(|state| state.name == "other"));
        known.entries[at].made(&to(Some(other)));
        assert_eq!(known.entries[at].states.len(), 2, "the first may still be made");
        assert!(known.entries[at].state().is_none());

        known.entries[one].made(&Change::Delete);
        assert_eq!(known.presence(at), Presence::Perhaps);
        known.entries[at].made(&Change::Delete);
        assert_eq!(known.presence(at), Presence::Never);
        assert!(!known.entries[at].made(&Change::Trash), "an answer that cannot be");
    }

    #[test]
    fn what_was_made_was_possible() {
        let mut entry = folder(None);
        entry.may_have_made(Change::Trash);
        assert_eq!(entry.states.len(), 2);
        entry.close(&Change::Trash);
        assert!(entry.made(&Change::Publish(true)));
        assert_eq!(entry.state().map(|state| (state.stage, state.is_public)), Some((Stage::Visible, true)));
    }

    #[test]
    fn what_lies_in_the_trash_has_a_row_and_no_reader() {
        let mut known = Known::default();
        let top = known.add(folder(None));
        let inside = known.add(folder(Some(top)));
        known.entries[top].made(&Change::Trash);
        for at in [top, inside] {
            assert_eq!((known.presence(at), known.standing(at)), (Presence::Never, Presence::Certain));
        }
        known.entries[top].made(&Change::Restore(None));
        assert_eq!(known.presence(inside), Presence::Certain);
        known.entries[inside].made(&Change::Trash);
        known.entries[top].made(&Change::Delete);
        assert_eq!(known.standing(inside), Presence::Certain);
        known.entries[inside].made_where_possible(&Change::Empty);
        assert_eq!(known.standing(inside), Presence::Never);
    }

    #[test]
    fn folders_that_may_be_in_each_other_are_not() {
        let mut known = Known::default();
        let (one, other) = (known.add(folder(None)), known.add(folder(None)));
        known.entries[one].may_have_made(to(Some(other)));
        known.entries[other].may_have_made(to(Some(one)));
        assert_eq!([known.presence(one), known.presence(other)], [Presence::Certain; 2]);
        assert!(known.may_be_above(one, other) && known.may_be_above(other, one));
    }

    #[test]
    fn a_copied_folder_has_what_the_original_may_have() {
        let mut known = Known::default();
        let (original, elsewhere) = (known.add(folder(None)), known.add(folder(None)));
        let inside = known.add(folder(Some(original)));
        let deep = known.add(folder(Some(inside)));
        let perhaps = known.add(folder(Some(original)));
        known.entries[perhaps].may_have_made(to(Some(elsewhere)));
        let trashed = known.add(folder(Some(original)));
        known.add(folder(Some(trashed)));
        known.entries[trashed].made(&Change::Trash);

        let copy = known.add(folder(None));
        known.copy_inside(original, copy);
        let copies = &known.entries[copy + 1..];
        assert_eq!(copies.len(), 3);
        let of_inside = (0..known.entries.len()).find(|at| known.entries[*at].parent() == Some(copy)).unwrap();
        assert_eq!((of_inside, known.presence(of_inside)), (copy + 1, Presence::Certain));
        let presences: Vec<Presence> = (copy + 1..copy + 4).map(|at| known.presence(at)).collect();
        assert_eq!(presences.iter().filter(|presence| **presence == Presence::Perhaps).count(), 1);
        assert!(copies.iter().any(|entry| entry.parent() == Some(of_inside)), "{deep} comes along");
        known.entries[copy].made(&Change::Delete);
        assert_eq!(known.presence(of_inside), Presence::Never);
    }

    #[test]
    fn numbers_that_the_product_adds_are_taken_off() {
        for (name, bare) in [
            ("a (2).txt", "a.txt"),
            ("a.txt", "a.txt"),
            ("a (2) (13).txt", "a.txt"),
            ("a (2", "a (2"),
            ("a (x).txt", "a (x).txt"),
            ("a ().txt (3)", "a ().txt"),
            ("1-0-3.folder (2)", "1-0-3.folder"),
        ] {
            assert_eq!(without_numbers(name), bare, "{name}");
        }
    }
}

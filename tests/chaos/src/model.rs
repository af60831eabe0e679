//! What a person knows of their files: what was acknowledged, what was refused, and what may have happened while nobody
//! told them.

use mongodb::bson::oid::ObjectId;
use sha2::{Digest, Sha256};

/// Whether something is to be there. A timeout, a broken connection and a 5xx say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// Refused, never sent, or deleted: nobody may see it, now or ever.
    Never,
    Perhaps,
    /// Acknowledged, and no deletion was asked for since.
    Certain,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Folder,
    File(Content),
    Image(Content, Picture),
}

#[derive(Clone, Debug)]
pub struct Content {
    pub size: u64,
    pub sha256: [u8; 32],
}

impl Content {
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: Sha256::digest(bytes).into() }
    }
}

/// A picture of one colour, so that its thumbnails can be told from those of another.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    pub color: [u8; 3],
}

#[derive(Clone, Debug)]
pub struct Entry {
    /// No other of the run has it.
    pub name: String,
    /// Once an answer has told it.
    pub id: Option<ObjectId>,
    /// Its folder, by its place in [`Known`].
    pub parent: Option<usize>,
    pub kind: Kind,
    /// As far as it depends on itself; see [`Known::presence`].
    pub own: Presence,
    /// `None` after a change whose answer was lost.
    pub is_public: Option<bool>,
    /// S3 has acknowledged the bytes that the person brought there.
    pub has_arrived: bool,
    /// Somebody has asked for that.
    pub may_be_deleted: bool,
}

impl Entry {
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            Kind::Folder => None,
            Kind::File(content) | Kind::Image(content, _) => Some(content),
        }
    }
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

    /// What is in a folder goes with it, and comes no more into one that may have gone.
    pub fn presence(&self, at: usize) -> Presence {
        let entry = &self.entries[at];
        entry.parent.map_or(entry.own, |parent| entry.own.min(self.presence(parent)))
    }

    /// The places of all that satisfy this and whose id is known.
    pub fn places(&self, presence: Presence, wanted: impl Fn(&Entry) -> bool) -> Vec<usize> {
        let is = |at: &usize| {
            let entry = &self.entries[*at];
            entry.id.is_some() && self.presence(*at) == presence && wanted(entry)
        };
        (0..self.entries.len()).filter(is).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(parent: Option<usize>, own: Presence) -> Entry {
        let (name, kind) = (String::new(), Kind::Folder);
        let id = Some(ObjectId::new());
        Entry { name, id, parent, kind, own, is_public: None, has_arrived: false, may_be_deleted: false }
    }

    #[test]
    fn an_entry_is_as_certain_as_all_folders_above_it() {
        let mut known = Known::default();
        let top = known.add(folder(None, Presence::Certain));
        let middle = known.add(folder(Some(top), Presence::Certain));
        let deep = known.add(folder(Some(middle), Presence::Certain));
        assert_eq!(known.presence(deep), Presence::Certain);
        known.entries[middle].own = Presence::Perhaps;
        assert_eq!(known.presence(deep), Presence::Perhaps);
        assert_eq!(known.places(Presence::Certain, |_| true), [top]);
        known.entries[top].own = Presence::Never;
        assert_eq!(known.presence(deep), Presence::Never);
    }
}

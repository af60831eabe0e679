//! The model of a person's files: writes that were acknowledged, refused, or indeterminate.

use mongodb::bson::oid::ObjectId;
use sha2::{Digest, Sha256};

/// The presence that the model expects of an entry. A timeout, a broken connection and a 5xx are indeterminate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// The entry was refused, never sent, or deleted: no reader may ever see it.
    Never,
    Perhaps,
    /// The entry was acknowledged, and no deletion was requested since.
    Certain,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Folder,
    File(Content),
    Image(Content, OneColor),
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

/// An image of one colour, so that its thumbnails differ from those of other images.
#[derive(Clone, Copy, Debug)]
pub struct OneColor {
    pub width: u32,
    pub height: u32,
    pub color: [u8; 3],
}

#[derive(Clone, Debug)]
pub struct Entry {
    /// The name is unique in the run.
    pub name: String,
    /// The id, after an answer has told it.
    pub id: Option<ObjectId>,
    /// The index of its folder in [`Known`].
    pub parent: Option<usize>,
    pub kind: Kind,
    /// The presence without regard to the folders above; see [`Known::presence`].
    pub own: Presence,
    /// `None` after an indeterminate change.
    pub is_public: Option<bool>,
    /// S3 has acknowledged the bytes of a direct upload.
    pub has_arrived: bool,
    /// A deletion was requested.
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

    /// A deletion of a folder deletes its entries, and a folder that may be deleted may refuse new ones.
    pub fn presence(&self, at: usize) -> Presence {
        let entry = &self.entries[at];
        entry.parent.map_or(entry.own, |parent| entry.own.min(self.presence(parent)))
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

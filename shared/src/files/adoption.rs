//! Adoption of the original service's files: documents whose bytes are in a folder on its disk get an object in the
//! bucket.
//!
//! The bytes are put first, under a key that is derived from the document's id. Then a compare-and-set gives the
//! document that key. So a crash in between leaves an object that the next attempt overwrites with the same bytes, and
//! two concurrent attempts put the same bytes at the same key. The field `localPath` stays, so that the original still
//! serves the file.

use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database,
    bson::{Bson, Document},
    options::Hint,
};

use super::{
    Name,
    row::{self, filter, update},
};
use crate::{
    Result,
    ids::FileId,
    limits,
    stores::{
        mongo::{run, run_within},
        s3::Key,
    },
};

/// A document with a `localPath` and without an object. Its fields are read one by one, because the original stored any
/// value that it was sent.
pub struct Unadopted {
    pub id: FileId,
    /// The path as the original wrote it: on its own machine, with a UUID as the file's name.
    pub local_path: String,
    name: Option<Name>,
    is_image: bool,
}

/// One page of the collection, in the order of `_id`.
pub struct Page {
    pub documents: Vec<Unadopted>,
    /// Ids of documents with a `localPath` or an `_id` that is of another type than the original writes.
    pub unreadable: Vec<Bson>,
    /// The last `_id` of the page, which the next page begins after; `None` after the last page.
    pub last: Option<Bson>,
}

/// The outcome for a document whose bytes were put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Adopted,
    /// The document was deleted, or got another file, since it was read. No row accounts for the object.
    Changed,
}

/// The documents of the original, in collection `files`.
#[derive(Clone)]
pub struct Adoption(Collection<Document>);

impl Adoption {
    pub fn of(database: &Database) -> Self {
        Self(database.collection(row::COLLECTION))
    }

    /// The next documents that lack an object, at most [`limits::ADOPTION_ROWS`]. The search walks `_id`, because a
    /// walk needs no index that the original's database lacks, and no cursor that times out.
    ///
    /// # Errors
    /// `Unavailable` if `MongoDB` does not answer in time.
    pub async fn after(&self, last: Option<Bson>) -> Result<Page> {
        let mut after = filter::not_adopted();
        after.extend(last.map(filter::after_id).into_iter().flatten());
        let found = async {
            let find = self.0.find(after).sort(filter::by_id()).limit(limits::ADOPTION_ROWS);
            find.projection(filter::for_adoption()).hint(Hint::Keys(filter::by_id())).await?.try_collect().await
        };
        let found: Vec<Document> = run_within(limits::MONGODB_BULK_TIMEOUT, found).await?;
        let last = found.last().map(row::id_of);
        let (mut documents, mut unreadable) = (Vec::with_capacity(found.len()), Vec::new());
        for document in found {
            match row::Original::try_from(&document) {
                Ok(row::Original { id, local_path, name, is_image }) => {
                    documents.push(Unadopted { id, local_path, name: name.map(Name), is_image });
                }
                Err(id) => unreadable.push(id),
            }
        }
        Ok(Page { documents, unreadable, last })
    }

    /// Gives a document the object that was put for it. An image's thumbnails become due, and the sweeper sends the
    /// job.
    ///
    /// # Errors
    /// `Unavailable` if `MongoDB` does not answer in time. Then it is not known whether the document has the object.
    pub async fn adopt(&self, document: &Unadopted, key: &Key, size: u64) -> Result<Outcome> {
        let unchanged = filter::not_adopted_from(document.id, &document.local_path);
        let done = run(self.0.update_one(unchanged, update::adopt(key, size, document.is_image))).await?;
        if done.matched_count == 1 || self.has(document.id, key).await? {
            return Ok(Outcome::Adopted);
        }
        Ok(Outcome::Changed)
    }

    /// Returns whether a document has this object, visible or not: another attempt may have given it the object.
    async fn has(&self, id: FileId, key: &Key) -> Result<bool> {
        Ok(run(self.0.find_one(filter::adopted(id, key))).await?.is_some())
    }
}

impl Unadopted {
    /// The media type of the name's extension; that of any bytes if the name is no text.
    pub fn content_type(&self) -> String {
        self.name.as_ref().map_or_else(|| "application/octet-stream".into(), Name::content_type)
    }

    /// The key of the bytes, the same at every attempt.
    pub fn key(&self) -> Key {
        Key::of_adopted(self.id)
    }
}

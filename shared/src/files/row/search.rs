//! Filters and indexes of searches, and the stored words.

use mongodb::{
    IndexModel,
    bson::{Bson, Document, RawDocument, deserialize_from_slice, doc},
    options::IndexOptions,
};
use serde::{Deserialize, Deserializer};

use super::{COLLECTION, id, no_id, sorted::Types, text};
use crate::{
    ids::{FileId, UserId},
    limits,
    stores::mongo,
};

pub const WORDS_INDEX: &str = "search_words";
pub const UNINDEXED_INDEX: &str = "search_unindexed";

/// Both indexes have only visible rows: a search finds no others, and a folder full of tombstones costs it nothing.
pub fn indexes() -> Vec<IndexModel> {
    let index = |name: &str, keys: Document, words: Document| {
        let partial = doc! { "state": null, "words": words };
        let options = IndexOptions::builder().name(name.to_owned()).partial_filter_expression(partial);
        IndexModel::builder().keys(keys).options(options.build()).build()
    };
    vec![
        index(WORDS_INDEX, doc! { "userId": 1, "words": 1 }, doc! { "$exists": true }),
        // The original and our earlier releases store no words. A row leaves the index when it gets them.
        index(UNINDEXED_INDEX, doc! { "userId": 1, "_id": 1 }, doc! { "$eq": null }),
    ]
}

/// The owner's visible rows of these types with a word that begins with each of these. The words are letters and
/// digits, which mean themselves in an expression. The first is the one that `MongoDB` looks for in the index.
pub fn matching(owner: UserId, types: Types, words: &[String]) -> Document {
    let mut filter = doc! { "userId": owner, "state": null };
    filter.extend(types.condition());
    let mut words = words.iter();
    if let Some(first) = words.next() {
        filter.insert("words", doc! { "$regex": format!("^{first}") });
    }
    // `MongoDB` could also look for one of these in the index. As parts of `$expr` they are conditions only.
    let others = words.map(|word| {
        let begins = doc! { "$eq": [{ "$indexOfCP": ["$$word", word] }, 0] };
        let begins = doc! { "$and": [{ "$eq": [{ "$type": "$$word" }, "string"] }, begins] };
        let words = doc! { "$cond": [{ "$isArray": "$words" }, "$words", []] };
        Bson::from(doc! { "$anyElementTrue": { "$map": { "input": words, "as": "word", "in": begins } } })
    });
    let others: Vec<Bson> = others.collect();
    if !others.is_empty() {
        filter.insert("$expr", doc! { "$and": others });
    }
    filter
}

/// Visible rows of these types without words.
pub fn unindexed_of(owner: UserId, types: Types) -> Document {
    let mut filter = doc! { "userId": owner, "state": null, "words": null };
    filter.extend(types.condition());
    filter
}

pub fn newest_first() -> Document {
    doc! { "_id": -1 }
}

/// Visible rows of anybody without words.
pub fn unindexed() -> Document {
    doc! { "state": null, "words": null }
}

/// The fields of [`Named`].
pub fn only_name() -> Document {
    doc! { "name": 1 }
}

/// The id and the name of a row.
pub struct Named {
    pub id: Bson,
    pub name: String,
}

impl Named {
    /// Reads a row in any form. A name that cannot be read has no words.
    pub fn read(row: &RawDocument) -> Self {
        #[derive(Deserialize)]
        struct Field {
            #[serde(default, deserialize_with = "text")]
            name: String,
        }
        let field = deserialize_from_slice(row.as_bytes());
        Self { id: mongo::id(row), name: field.map_or_else(|_| String::new(), |Field { name }| name) }
    }
}

/// The command that stores the words of rows that have none; `None` without rows. A rename meanwhile has stored others,
/// which stay.
pub fn store_words(words: impl IntoIterator<Item = (Bson, Vec<String>)>) -> Option<Document> {
    let update = |(id, words)| doc! { "q": { "_id": id, "words": null }, "u": { "$set": { "words": words } } };
    let updates: Vec<Document> = words.into_iter().map(update).collect();
    (!updates.is_empty()).then(|| doc! { "update": COLLECTION, "updates": updates, "ordered": false })
}

/// The number of rows that this command found.
pub fn count_stored(answer: &Document) -> usize {
    answer.get_i32("n").ok().and_then(|count| count.try_into().ok()).unwrap_or_default()
}

/// Visible rows among these.
pub fn visible_among(owner: UserId, ids: &[FileId]) -> Document {
    doc! { "_id": { "$in": ids }, "userId": owner, "state": null }
}

/// All fields but the words.
pub fn without_words() -> Document {
    doc! { "words": 0 }
}

/// The pipeline that finds every folder above these rows, each once.
pub fn folders_above(owner: UserId, ids: &[FileId]) -> [Document; 5] {
    let folder = doc! { "$cond": [{ "$eq": [{ "$type": "$parentId" }, "objectId"] }, "$parentId", "$$REMOVE"] };
    [
        doc! { "$match": { "_id": { "$in": ids }, "userId": owner } },
        doc! { "$group": { "_id": null, "folders": { "$addToSet": folder } } },
        doc! { "$graphLookup": {
            "from": COLLECTION,
            "startWith": "$folders",
            "connectFromField": "parentId",
            "connectToField": "_id",
            "maxDepth": limits::MAX_FOLDER_DEPTH - 2,
            "as": "folders",
        } },
        doc! { "$unwind": "$folders" },
        doc! { "$replaceWith": {
            "_id": "$folders._id",
            "userId": "$folders.userId",
            "name": "$folders.name",
            "parentId": "$folders.parentId",
            "state": "$folders.state",
        } },
    ]
}

/// A folder above a row.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Above {
    #[serde(rename = "_id", default = "no_id", deserialize_with = "id")]
    pub id: FileId,
    #[serde(default = "no_id", deserialize_with = "id")]
    pub user_id: UserId,
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// `None` in the root.
    #[serde(default, rename = "parentId", deserialize_with = "folder")]
    pub parent: Option<FileId>,
    #[serde(default)]
    state: Bson,
}

impl Above {
    /// False if the row, and everything below it, is not there for any user.
    pub fn is_visible(&self) -> bool {
        self.state == Bson::Null
    }
}

fn folder<'de, D: Deserializer<'de>>(field: D) -> Result<Option<FileId>, D::Error> {
    Ok(Bson::deserialize(field)?.as_object_id().map(FileId::from))
}

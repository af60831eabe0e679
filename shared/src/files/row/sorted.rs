//! Filters and indexes of sorted listings.
//!
//! A listing has two ranges of an index, the folders and everything else, so its first page and its last cost the same.
//! The index has only visible rows, so a folder full of tombstones costs nothing. It has only rows of the form that we
//! write, because of `MongoDB`'s rules: one array in an indexed field, in the row of any user, would make `MongoDB` sort
//! every listing in memory. All other rows are [odd], and come last.

use mongodb::{
    IndexModel,
    bson::{Bson, Document, doc},
    options::{Collation, CollationStrength, Hint, IndexOptions},
};
use serde::{Deserialize, Serialize};

use super::filter::inside;
use crate::{
    files::{Name, Parent},
    ids::UserId,
};

/// The values of a listing's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Name,
    Size,
    Date,
}

impl Sort {
    const ALL: [Self; 3] = [Self::Name, Self::Size, Self::Date];

    pub fn field(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Date => "updatedAt",
        }
    }

    fn index(self) -> &'static str {
        match self {
            Self::Name => "listing_by_name",
            Self::Size => "listing_by_size",
            Self::Date => "listing_by_date",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

impl Order {
    fn direction(self) -> i32 {
        match self {
            Self::Ascending => 1,
            Self::Descending => -1,
        }
    }

    /// The operator of what follows a value.
    fn after(self) -> &'static str {
        match self {
            Self::Ascending => "$gt",
            Self::Descending => "$lt",
        }
    }
}

/// The types of the documents that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types {
    pub folders: bool,
    pub files: bool,
    pub images: bool,
}

impl Types {
    pub const ALL: Self = Self { folders: true, files: true, images: true };
    pub const NONE: Self = Self { folders: false, files: false, images: false };

    fn names(self) -> Vec<&'static str> {
        let names = [(self.folders, "folder"), (self.files, "file"), (self.images, "image")];
        names.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, name)| name).collect()
    }

    /// The condition for these types. A row of an unknown type is shown as a file.
    pub fn condition(self) -> Document {
        if self == Self::ALL {
            doc! {}
        } else if self.files {
            let others = Self { folders: !self.folders, files: false, images: !self.images };
            doc! { "type": { "$nin": others.names() } }
        } else {
            doc! { "type": { "$in": self.names() } }
        }
    }
}

/// The parts of a listing, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Folders,
    Files,
    Odd,
    /// Odd rows in the root, where the original stored the root as `"0"`.
    OddInLegacyRoot,
}

/// The place of a row in a listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub part: Part,
    /// `Null` also if the row lacks the field. Ignored for an odd row.
    pub value: Bson,
    pub id: Bson,
}

/// A query of one part of a listing.
pub struct Query {
    pub part: Part,
    pub filter: Document,
    pub sort: Document,
    pub index: &'static str,
    /// The first and the last key of the index, if the filter does not say which.
    pub bounds: Option<[Document; 2]>,
}

pub const ODD_INDEX: &str = "listing_odd";

/// Numbers inside names sort as numbers. Case makes no difference, accents do.
pub fn collation() -> Collation {
    Collation::builder().locale("en").strength(CollationStrength::Secondary).numeric_ordering(true).build()
}

pub fn indexes() -> Vec<IndexModel> {
    let index = |name: &str, keys: Document, partial: Document| {
        let options = IndexOptions::builder().name(name.to_owned()).collation(collation());
        IndexModel::builder().keys(keys).options(options.partial_filter_expression(partial).build()).build()
    };
    let by_value = Sort::ALL.map(|sort| {
        let keys = doc! { "userId": 1, "parentId": 1, "type": 1, sort.field(): 1, "_id": 1 };
        index(sort.index(), keys, regular(sort))
    });
    // In another order than the index of the pages, so that a hint of the one never means the other.
    let keys = doc! { "parentId": 1, "userId": 1, "_id": 1 };
    let odd = index(ODD_INDEX, keys, doc! { "state": null, "$or": odd() });
    [&by_value[..], &[odd]].concat()
}

/// Visible rows whose name is a text and no list of texts. A query finds the index only if it has these conditions too.
/// In a list of texts, `name.0` is a text.
fn regular(sort: Sort) -> Document {
    let mut regular = doc! { "state": null, "name": { "$gte": "" }, "name.0": null };
    regular.insert(format!("{}.0", sort.field()), Bson::Null);
    regular
}

/// The conditions of which an odd row meets one: it has a field that only the original or a person can have stored.
fn odd() -> Vec<Document> {
    let any_but = |one: &str| TYPES.into_iter().filter(|name| *name != one).collect::<Vec<_>>();
    let unordered = ["array", "object", "undefined", "minKey"];
    vec![
        doc! { "_id": { "$type": any_but("objectId") } },
        doc! { "name": null },
        doc! { "name": { "$type": any_but("string") } },
        doc! { "type": null },
        doc! { "type": { "$type": any_but("string") } },
        doc! { "type": { "$lt": "file" } },
        doc! { "type": { "$gt": "file", "$lt": "folder" } },
        doc! { "type": { "$gt": "folder", "$lt": "image" } },
        doc! { "type": { "$gt": "image" } },
        doc! { "size": { "$type": unordered } },
        doc! { "updatedAt": { "$type": unordered } },
    ]
}

/// The names of all types of values.
const TYPES: [&str; 21] = [
    "array",
    "binData",
    "bool",
    "date",
    "dbPointer",
    "decimal",
    "double",
    "int",
    "javascript",
    "javascriptWithScope",
    "long",
    "maxKey",
    "minKey",
    "null",
    "object",
    "objectId",
    "regex",
    "string",
    "symbol",
    "timestamp",
    "undefined",
];

/// What is listed.
#[derive(Clone, Copy)]
pub struct View {
    pub owner: UserId,
    pub folder: Parent,
    pub sort: Sort,
    pub order: Order,
    pub types: Types,
}

impl View {
    /// The queries whose rows are the listing, in its order, from the row after `place`.
    pub fn queries(self, place: Option<&Place>) -> Vec<Query> {
        let folders = Types { files: false, images: false, ..self.types };
        let files = Types { folders: false, ..self.types };
        let mut queries = Vec::new();
        for (part, types) in [(Part::Folders, folders.names()), (Part::Files, files.names())] {
            let is_empty = types.is_empty() || place.is_some_and(|place| place.part > part);
            if !is_empty {
                queries.extend(self.of_part(part, &types, place.filter(|place| place.part == part)));
            }
        }
        let parts = match self.folder {
            Parent::Root | Parent::LegacyRoot => {
                vec![(Part::Odd, Bson::Int32(0)), (Part::OddInLegacyRoot, Bson::String("0".into()))]
            }
            Parent::Folder(id) => vec![(Part::Odd, id.into())],
        };
        for (part, folder) in parts {
            if place.is_none_or(|place| place.part <= part) {
                queries.push(self.of_odd(part, &folder, place.filter(|place| place.part == part)));
            }
        }
        queries
    }

    /// One query, or two after a place: the rows of the same value, then the rest. With both in one query, `MongoDB`
    /// would read all rows of the same value for each page.
    fn of_part(self, part: Part, types: &[&str], place: Option<&Place>) -> Vec<Query> {
        let (field, direction, after) = (self.sort.field(), self.order.direction(), self.order.after());
        let query = |condition: Document, sort: Document| {
            let mut filter = doc! { "userId": self.owner, "parentId": inside(self.folder), "type": { "$in": types } };
            filter.extend(regular(self.sort));
            filter.insert("$nor", odd());
            filter.insert("$and", [condition]);
            Query { part, filter, sort, index: self.sort.index(), bounds: None }
        };
        let by_value = doc! { field: direction, "_id": direction };
        let Some(Place { value, id, .. }) = place else { return vec![query(doc! {}, by_value)] };
        let ties = doc! { field: { "$eq": value }, "_id": { after: id } };
        // Unlike a comparison outside of `$expr`, this one finds values of other types, too.
        let rest = doc! { "$expr": { after: [format!("${field}"), { "$literal": value }] } };
        let mut queries = vec![query(ties, doc! { "_id": direction })];
        // No row comes before one without a value.
        if !(self.order == Order::Descending && *value == Bson::Null) {
            queries.push(query(rest, by_value));
        }
        queries
    }

    /// Odd rows, by id. The bounds say what to read of the index, because `MongoDB` does not see that `$or` is the
    /// condition of the index.
    fn of_odd(self, part: Part, folder: &Bson, place: Option<&Place>) -> Query {
        let mut filter = doc! { "userId": self.owner, "parentId": folder, "state": null, "$or": odd() };
        filter.extend(self.types.condition());
        let bound = |id: Bson| doc! { "parentId": folder, "userId": self.owner, "_id": id };
        let mut bounds = [bound(Bson::MinKey), bound(Bson::MaxKey)];
        if let Some(Place { id, .. }) = place {
            filter.insert("$expr", doc! { self.order.after(): ["$_id", { "$literal": id }] });
            match self.order {
                Order::Ascending => bounds[0] = bound(id.clone()),
                // The last bound is not read, and the row of this place need not be.
                Order::Descending => bounds[1] = bound(id.clone()),
            }
        }
        Query { part, filter, sort: doc! { "_id": self.order.direction() }, index: ODD_INDEX, bounds: Some(bounds) }
    }
}

/// Visible rows of these types in folders, with one of these names by the [`collation`]; with any, without names.
pub fn named(owner: UserId, folders: Bson, types: &[&str], names: Option<&[Name]>) -> Document {
    let mut filter = regular(Sort::Name);
    filter.extend(doc! { "userId": owner, "parentId": folders, "type": { "$in": types } });
    if let Some(names) = names {
        let names: Vec<&str> = names.iter().map(Name::as_str).collect();
        filter.insert("name", doc! { "$gte": "", "$in": names });
    }
    filter
}

/// The index for [`named`], with the [`collation`].
pub fn by_name() -> Hint {
    Hint::Name(Sort::Name.index().to_owned())
}

/// All fields but those that a listing does not show.
pub fn for_listing() -> Document {
    doc! { "words": 0, "thumbnailFiles": 0 }
}

/// The field of the order alone.
pub fn only_value(sort: Sort) -> Document {
    doc! { sort.field(): 1 }
}

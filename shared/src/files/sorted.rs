//! Sorted listings, and the cursors that lead through them.
//!
//! A cursor is the place of the last document that was listed: its part, its value and its id. So a document that comes
//! or goes meanwhile moves no other one, and a page costs the same wherever it is.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::TryStreamExt;
use mongodb::{
    bson::{Bson, RawDocument, RawDocumentBuf, deserialize_from_slice, serialize_to_vec},
    options::Hint,
};
use serde::{Deserialize, Serialize};

use super::{
    File, Parent,
    ledger::Files,
    row::{
        Row, filter,
        sorted::{self, Part, Place, Query, View},
    },
};
use crate::{
    Error, Result,
    digest::digest,
    limits,
    stores::mongo::{id, run},
};

/// The listed documents of one request.
#[derive(Default)]
pub struct Page {
    pub files: Vec<File>,
    /// Where the next page begins; `None` after the last document.
    pub next: Option<Cursor>,
}

/// A place in the listing of one view.
pub struct Cursor(Stored);

/// The form of a cursor inside its text.
#[derive(Serialize, Deserialize)]
struct Stored {
    part: Part,
    /// In a list, so that `null` is not absent. Absent if it is long, or of a form that only the original or a person
    /// can have stored: then the row has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<[Bson; 1]>,
    id: Bson,
}

impl Cursor {
    fn after(place: Place) -> Self {
        let Place { part, value, id } = place;
        Self(Stored { part, value: is_carried(&value).then_some([value]), id })
    }

    /// The text of the cursor: a digest of the view and the place, then the place.
    ///
    /// # Errors
    /// `Internal` if the place has no form in BSON.
    pub fn text(&self, view: View) -> Result<String> {
        let place = serialize_to_vec(&self.0).map_err(|error| Error::Internal(error.into()))?;
        Ok(format!("{}{}", seal(view, &place), URL_SAFE_NO_PAD.encode(place)))
    }

    /// Reads a cursor of this view. The digest finds mistakes, such as a cursor of another folder. Whoever forges a
    /// cursor gets other pages of a listing that is their own anyway, because the owner and the folder do not come from
    /// the cursor.
    ///
    /// # Errors
    /// `Invalid cursor`.
    pub fn parse(text: &str, view: View) -> Result<Self> {
        let invalid = || Error::Invalid("Invalid cursor");
        let (sealed, place) = text.split_at_checked(seal(view, &[]).len()).ok_or_else(invalid)?;
        let place = URL_SAFE_NO_PAD.decode(place).map_err(|_| invalid())?;
        if seal(view, &place) != sealed {
            return Err(invalid());
        }
        let stored: Stored = deserialize_from_slice(&place).map_err(|_| invalid())?;
        let is_ordered = stored.part > Part::Files || stored.id.as_object_id().is_some();
        if !is_ordered || !stored.value.iter().flatten().all(is_carried) {
            return Err(invalid());
        }
        Ok(Self(stored))
    }
}

/// The digest of a place in a view. The number is the version of the cursors.
fn seal(view: View, place: &[u8]) -> String {
    let View { owner, folder, sort, order, types } = view;
    let folder = match folder {
        Parent::Root | Parent::LegacyRoot => "0".to_owned(),
        Parent::Folder(id) => id.to_string(),
    };
    let view = format!("1 {owner} {folder} {sort:?} {order:?} {types:?} ");
    digest(&[view.as_bytes(), place].concat())
}

fn is_carried(value: &Bson) -> bool {
    match value {
        Bson::String(text) => text.len() <= limits::CURSOR_VALUE_BYTES,
        Bson::Null | Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::DateTime(_) => true,
        _ => false,
    }
}

impl Files {
    /// Up to `limit` documents of a view, after the cursor.
    ///
    /// # Errors
    /// `Invalid cursor` if the cursor's document has gone, and the cursor does not say where it was. `Unavailable` while
    /// the indexes are built.
    pub async fn sorted(&self, view: View, cursor: Option<Cursor>, limit: usize) -> Result<Page> {
        if let Parent::Folder(id) = view.folder
            && self.is_deleted(view.owner, id).await?
        {
            return Ok(Page::default());
        }
        let place = match cursor {
            Some(Cursor(stored)) => Some(self.place(view, stored).await?),
            None => None,
        };
        // One more than is shown tells whether there is a next page.
        let mut rows = Vec::new();
        for query in view.queries(place.as_ref()) {
            let part = query.part;
            let wanted = limit + 1 - rows.len();
            rows.extend(self.queried(query, wanted).await?.into_iter().map(|row| (part, row)));
            if rows.len() > limit {
                break;
            }
        }
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(|(part, row)| Cursor::after(place_of(*part, view, row)));
        let read = |row: &RawDocument| deserialize_from_slice(row.as_bytes()).map(|row: Row| row.into());
        let files = rows.iter().map(|(_, row)| read(row)).collect::<Result<_, _>>();
        Ok(Page { files: files.map_err(|error| Error::Internal(error.into()))?, next })
    }

    async fn queried(&self, query: Query, limit: usize) -> Result<Vec<RawDocumentBuf>> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        self.with_indexes(|| async {
            let rows = self.rows.clone_with_type::<RawDocumentBuf>();
            let find = rows.find(query.filter.clone()).sort(query.sort.clone()).projection(sorted::for_listing());
            let find = find.hint(Hint::Name(query.index.into())).collation(sorted::collation());
            let mut find = find.limit(limit.into()).batch_size(limit);
            if let Some([first, last]) = &query.bounds {
                find = find.min(first.clone()).max(last.clone());
            }
            run(async { find.await?.try_collect().await }).await
        })
        .await
    }

    /// The place of a cursor. A value that the cursor does not carry is read from the row, visible or not.
    async fn place(&self, view: View, Stored { part, value, id }: Stored) -> Result<Place> {
        if let Some([value]) = value {
            return Ok(Place { part, value, id });
        }
        let rows = self.rows.clone_with_type::<RawDocumentBuf>();
        let row = rows.find_one(filter::row_of_any_id(view.owner, id)).projection(sorted::only_value(view.sort));
        let row = run(row).await?.ok_or(Error::Invalid("Invalid cursor"))?;
        Ok(place_of(part, view, &row))
    }
}

fn place_of(part: Part, view: View, row: &RawDocument) -> Place {
    let value = row.get(view.sort.field()).ok().flatten().and_then(|value| value.try_into().ok());
    Place { part, value: value.unwrap_or(Bson::Null), id: id(row) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        files::row::sorted::{Order, Sort, Types},
        ids::{FileId, UserId},
    };
    use mongodb::bson::{DateTime, doc};

    #[test]
    fn f31_a_cursor_says_where_a_document_was_and_of_which_view() {
        let (owner, id) = (UserId::new(), FileId::new());
        let folder = Parent::Folder(FileId::new());
        let view = View { owner, folder, sort: Sort::Name, order: Order::Ascending, types: Types::ALL };
        let long = "x".repeat(limits::CURSOR_VALUE_BYTES + 1);
        for (value, is_in_cursor) in [
            (Bson::Null, true),
            ("a.txt".into(), true),
            (7.into(), true),
            (7_i64.into(), true),
            (f64::NAN.into(), true),
            (DateTime::MAX.into(), true),
            (long.into(), false),
            (doc! { "$ne": Bson::Null }.into(), false),
        ] {
            let place = Place { part: Part::Files, value: value.clone(), id: id.into() };
            let text = Cursor::after(place).text(view).unwrap();
            let Cursor(read) = Cursor::parse(&text, view).unwrap();
            // A comparison of texts, because NaN is equal to nothing.
            let carried = read.value.map(|[value]| value.to_string());
            assert_eq!((read.part, read.id), (Part::Files, id.into()));
            assert_eq!(carried, is_in_cursor.then(|| value.to_string()));
            assert!(text.len() < 2 * limits::CURSOR_VALUE_BYTES, "{} bytes", text.len());

            let other = Types { files: false, ..Types::ALL };
            for other in [
                View { owner: UserId::new(), ..view },
                View { folder: Parent::Root, ..view },
                View { sort: Sort::Size, ..view },
                View { order: Order::Descending, ..view },
                View { types: other, ..view },
            ] {
                assert!(Cursor::parse(&text, other).is_err());
            }
        }
        for text in ["", "x", &"A".repeat(22), &"é".repeat(20), &"A".repeat(100)] {
            assert!(matches!(Cursor::parse(text, view), Err(Error::Invalid("Invalid cursor"))), "{text}");
        }
    }

    /// Whoever forges a cursor brings no operator into a query, and no value that `MongoDB` refuses.
    #[test]
    fn f31_a_forged_cursor_has_only_plain_values() {
        let folder = Parent::Root;
        let view = View { owner: UserId::new(), folder, sort: Sort::Name, order: Order::Ascending, types: Types::ALL };
        let id = Bson::from(FileId::new());
        for forged in [
            doc! { "part": "files", "value": [{ "$ne": Bson::Null }], "id": &id },
            doc! { "part": "files", "value": [Bson::Undefined], "id": &id },
            doc! { "part": "files", "value": ["a"], "id": { "$gt": 0 } },
            doc! { "part": "files", "value": ["a"] },
            doc! { "part": "other", "value": ["a"], "id": &id },
        ] {
            let place = serialize_to_vec(&forged).unwrap();
            let text = format!("{}{}", seal(view, &place), URL_SAFE_NO_PAD.encode(place));
            assert!(Cursor::parse(&text, view).is_err(), "{forged}");
        }
    }
}

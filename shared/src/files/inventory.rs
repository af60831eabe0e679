//! The objects that the ledger's rows account for. The rows are read page by page, in the bucket's order and on an
//! index, so that ledger and bucket can be compared at any size.

use std::collections::BTreeMap;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use mongodb::bson::{Bson, Document};

use super::{
    ledger::Files,
    row::{self, Entry, filter},
};
use crate::{
    Result,
    ids::FileId,
    limits,
    stores::{
        mongo::run,
        paginate::paginate,
        s3::{Key, key::ParsedKey},
    },
};

/// An object that a row accounts for.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedObject {
    pub key: Key,
    pub row: FileId,
    pub content: Expectation,
}

/// The expectation of a row about an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expectation {
    /// The object may exist: the content of an invisible row, or a thumbnail that may be made.
    Optional,
    /// The object exists with this size; `None` in a row that lacks the number, which no object satisfies.
    Bytes(Option<u64>),
}

impl Files {
    /// Every object that a row accounts for, in the byte order of the keys, which is `MongoDB`'s order too.
    pub async fn expected_objects(&self) -> Result<impl Stream<Item = Result<ExpectedObject>>> {
        self.rows.indexed().await?;
        let bytes = |entry: Entry| stream::iter(entry.bytes().into_iter().map(Ok));
        let thumbnails = |entry: Entry| stream::iter(entry.thumbnails().into_iter().map(Ok));
        Ok(self
            .by_key("", Some(Key::THUMBNAILS))
            .map_ok(bytes)
            .try_flatten()
            .chain(self.by_id().map_ok(thumbnails).try_flatten())
            .chain(self.by_key(Key::THUMBNAILS, None).map_ok(bytes).try_flatten()))
    }

    /// Returns whether a row accounts for an object with this key now.
    pub async fn is_referenced(&self, key: &str) -> Result<bool> {
        let image = match Key::parse(key) {
            Some(ParsedKey::Thumbnail(image)) => Some(image),
            Some(ParsedKey::Upload(_)) | None => None,
        };
        let entries = self.entries(filter::may_account_for(key, image), Document::new()).await?;
        Ok(entries.iter().flat_map(Entry::expected_objects).any(|expected| expected.key.as_str() == key))
    }

    /// Returns whether a row still has the same expectation.
    pub async fn is_unchanged(&self, expected: &ExpectedObject) -> Result<bool> {
        let entries = self.entries(filter::row(expected.row), Document::new()).await?;
        Ok(entries.iter().flat_map(Entry::expected_objects).any(|now| now == *expected))
    }

    /// Returns whether a row accounts for multipart uploads to `key` now.
    pub async fn expects_multipart(&self, key: &str) -> Result<bool> {
        let entries = self.entries(filter::with_key(key), Document::new()).await?;
        Ok(entries.iter().any(Entry::expects_multipart))
    }

    /// The number of rows that wait for the sweeper, and the first of them. A row without an expiry counts too, because
    /// it would wait for ever.
    pub async fn stale(&self) -> Result<(u64, Vec<FileId>)> {
        let stale = filter::stale();
        let first = async {
            let rows = self.rows.clone_with_type::<Entry>();
            let rows =
                rows.find(stale.clone()).projection(filter::only_entry()).limit(limits::FSCK_FINDINGS.into()).await?;
            rows.map_ok(|row| row.id).try_collect::<Vec<_>>().await
        };
        let first = run(first).await?;
        let count = run(self.rows.count_documents(stale)).await?;
        // The sweeper may have removed rows between the two queries.
        Ok((count.max(first.len() as u64), first))
    }

    /// Rows with a key after `from` and, if `to` is given, before `to`.
    fn by_key(&self, from: &'static str, to: Option<&'static str>) -> impl Stream<Item = Result<Entry>> {
        paginate(move |after: Option<Key>| async move {
            let between = filter::with_key_between(after.as_ref().map_or(from, Key::as_str), to);
            let entries = self.entries(between, filter::by_key()).await?;
            let last = entries.last().and_then(|entry| entry.key.clone());
            Ok((entries, last))
        })
    }

    fn by_id(&self) -> impl Stream<Item = Result<Entry>> {
        paginate(move |after: Option<FileId>| async move {
            let after = after.map_or(Bson::ObjectId(row::NO_ID), Bson::from);
            let entries = self.entries(filter::after_id(after), filter::by_id()).await?;
            let last = entries.last().map(|entry| entry.id);
            Ok((entries, last))
        })
    }

    async fn entries(&self, filter: Document, order: Document) -> Result<Vec<Entry>> {
        let rows = self.rows.clone_with_type::<Entry>();
        let find = rows.find(filter).projection(filter::only_entry()).sort(order);
        let find = find.limit(limits::FSCK_ROWS.into()).batch_size(limits::FSCK_ROWS);
        run(async { find.await?.try_collect().await }).await
    }
}

impl Entry {
    fn expected_objects(&self) -> impl Iterator<Item = ExpectedObject> {
        self.bytes().into_iter().chain(self.thumbnails())
    }

    fn bytes(&self) -> Vec<ExpectedObject> {
        let Some(key) = &self.key else { return Vec::new() };
        let size = self.size.and_then(|size| u64::try_from(size).ok());
        let mut expected_objects = vec![self.expected(key.clone(), Expectation::Bytes(size))];
        if self.expects_multipart() {
            expected_objects.push(self.expected(key.of_form(), Expectation::Optional));
        }
        expected_objects
    }

    fn thumbnails(&self) -> Vec<ExpectedObject> {
        if self.r#type.as_deref() != Some("image") {
            return Vec::new();
        }
        let key = |width| Key::of_thumbnail(self.id, width);
        let possible = limits::THUMBNAIL_WIDTHS.iter().map(|&width| (key(width), Expectation::Optional));
        let made = self.thumbnail_files.iter().map(|made| (key(made.width), Expectation::Bytes(Some(made.size))));
        let by_key: BTreeMap<_, _> = possible.chain(made).collect();
        by_key.into_iter().map(|(key, content)| self.expected(key, content)).collect()
    }

    fn expected(&self, key: Key, content: Expectation) -> ExpectedObject {
        let content = if self.is_visible() { content } else { Expectation::Optional };
        ExpectedObject { key, row: self.id, content }
    }

    /// True if the bytes of the row may come by a form or by a multipart upload.
    fn expects_multipart(&self) -> bool {
        !self.is_visible() && self.key.as_ref().is_some_and(Key::is_of_upload)
    }

    fn is_visible(&self) -> bool {
        self.state == Bson::Null
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::{deserialize_from_document, doc, oid::ObjectId};

    const ID: &str = "5f1e7d35c7ba06511e683b21";

    fn expected_objects(row: Document) -> Vec<(String, Expectation)> {
        let mut whole = doc! { "_id": ObjectId::parse_str(ID).unwrap() };
        whole.extend(row);
        let entry: Entry = deserialize_from_document(whole).unwrap();
        entry.expected_objects().map(|expected| (expected.key.as_str().to_owned(), expected.content)).collect()
    }

    fn objects(expected: &[(&str, Expectation)]) -> Vec<(String, Expectation)> {
        expected.iter().map(|(key, content)| (key.replace("ID", ID), *content)).collect()
    }

    #[test]
    fn a_row_accounts_for_its_bytes() {
        use Expectation::{Bytes, Optional};
        for (row, expected) in [
            (doc! { "type": "folder" }, &[][..]),
            (doc! { "type": "file", "localPath": "/tmp/x" }, &[]),
            (doc! { "type": "file", "key": "files/x", "size": 5_i64 }, &[("files/x", Bytes(Some(5)))]),
            (doc! { "type": "file", "key": "files/x", "size": 5, "state": null }, &[("files/x", Bytes(Some(5)))]),
            (doc! { "type": "file", "key": "files/x" }, &[("files/x", Bytes(None))]),
            (doc! { "type": "file", "key": "files/x", "size": "5" }, &[("files/x", Bytes(None))]),
            (doc! { "type": 7, "key": "files/x", "size": 5.0, "state": 7 }, &[("files/x", Optional)]),
            (doc! { "type": "file", "key": 7, "size": 5 }, &[]),
            (doc! { "type": "file", "key": "files/x", "size": 5, "state": "pending" }, &[("files/x", Optional)]),
            (doc! { "type": "file", "key": "uploads/x/y", "size": 5 }, &[("uploads/x/y", Bytes(Some(5)))]),
            (
                doc! { "type": "file", "key": "uploads/x/y", "state": "pending" },
                &[("uploads/x/y", Optional), ("uploads/x/y/form", Optional)],
            ),
            (
                doc! { "type": "file", "key": "uploads/x/y", "state": "deleted" },
                &[("uploads/x/y", Optional), ("uploads/x/y/form", Optional)],
            ),
        ] {
            assert_eq!(expected_objects(row.clone()), objects(expected), "{row}");
        }
    }

    #[test]
    fn an_image_accounts_for_its_thumbnails_in_the_order_of_their_keys() {
        use Expectation::{Bytes, Optional};
        let made = |width: i64, size: i64| doc! { "width": width, "size": size, "contentType": "", "digest": "" };
        let possible =
            [("thumbnails/ID/100", Optional), ("thumbnails/ID/250", Optional), ("thumbnails/ID/500", Optional)];
        let mut ready = possible;
        ready[0].1 = Bytes(Some(7));
        ready[2].1 = Bytes(Some(9));
        let files = vec![made(500, 9), made(100, 7)];
        for (row, expected) in [
            (doc! { "type": "image" }, &possible[..]),
            (doc! { "type": "image", "state": "deleted", "thumbnailFiles": files.clone() }, &possible),
            (doc! { "type": "image", "thumbnails": "ready", "thumbnailFiles": files }, &ready),
            // A width of an earlier version, which is not made any more.
            (
                doc! { "type": "image", "thumbnailFiles": [made(1000, 3)] },
                &[possible[0], ("thumbnails/ID/1000", Bytes(Some(3))), possible[1], possible[2]],
            ),
        ] {
            assert_eq!(expected_objects(row.clone()), objects(expected), "{row}");
        }
    }
}

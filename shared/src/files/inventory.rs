//! The objects that the ledger's rows account for. The rows are read page by page, in the bucket's order and on an
//! index, so that ledger and bucket can be compared at any size.
//!
//! Copies and versions name the object and the thumbnails of another row, so several rows may account for an object.

use std::collections::BTreeMap;

use futures_util::{Stream, StreamExt, TryStreamExt, future, stream};
use mongodb::{
    bson::{Bson, Document},
    options::Hint,
};

use super::{
    ledger::Files,
    row::{self, Entry, filter},
};
use crate::{
    Error, Result,
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

/// The expectation of a row about an object; the stronger ones are the greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expectation {
    /// The object may exist: the content of a pending row or of a tombstone, or a thumbnail that may be made.
    Optional,
    /// The object exists with this size; `None` in a row that lacks the number, which no object satisfies.
    Bytes(Option<u64>),
}

impl Files {
    /// Every object that a row accounts for, in the byte order of the keys, which is `MongoDB`'s order too.
    pub async fn expected_objects(&self) -> Result<impl Stream<Item = Result<ExpectedObject>>> {
        self.rows.indexed().await?;
        let of_content = |from, to| in_groups(self.by_key(from, to), |entry| entry.key.clone(), Entry::bytes);
        let images = in_order(self.by_id(), self.by_thumbnails_id(), Entry::image);
        Ok(of_content("", Some(Key::THUMBNAILS))
            .chain(in_groups(images, Entry::image, Entry::thumbnails))
            .chain(of_content(Key::THUMBNAILS, None)))
    }

    /// Returns whether a row accounts for an object with this key now.
    pub async fn is_referenced(&self, key: &str) -> Result<bool> {
        let accounts = |entries: &[Entry]| {
            entries.iter().flat_map(Entry::expected_objects).any(|expected| expected.key.as_str() == key)
        };
        let keys: Vec<&str> = [key].into_iter().chain(Key::without_form(key)).collect();
        if accounts(&self.entries(filter::with_any_key(&keys), filter::by_key()).await?) {
            return Ok(true);
        }
        let Some(ParsedKey::Thumbnail(image)) = Key::parse(key) else { return Ok(false) };
        Ok(accounts(&self.entries(filter::row(image), filter::by_id()).await?)
            || accounts(&self.entries(filter::with_thumbnails_of(image), filter::by_thumbnails_id()).await?))
    }

    /// Returns whether a row still has the same expectation.
    pub async fn is_unchanged(&self, expected: &ExpectedObject) -> Result<bool> {
        let entries = self.entries(filter::row(expected.row), filter::by_id()).await?;
        Ok(entries.iter().flat_map(Entry::expected_objects).any(|now| now == *expected))
    }

    /// Returns whether a row accounts for multipart uploads to `key` now.
    pub async fn expects_multipart(&self, key: &str) -> Result<bool> {
        self.rows.indexed().await?;
        let entries = self.entries(filter::unfinished_with_key(key), filter::by_key()).await?;
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

    /// Rows with a key from `from` on and, if `to` is given, before `to`.
    fn by_key(&self, from: &'static str, to: Option<&'static str>) -> impl Stream<Item = Result<Entry>> {
        paginate(move |after: Option<(Key, FileId)>| async move {
            let after = match &after {
                Some((key, id)) => filter::after_key(key.as_str(), Some(*id), to),
                None => filter::after_key(from, None, to),
            };
            let entries = self.entries(after, filter::by_key()).await?;
            let last = entries.last().and_then(|entry| Some((entry.key.clone()?, entry.id)));
            Ok((entries, last))
        })
    }

    /// Rows whose thumbnails have their own id in their keys. The others are read too, and left out here, so that a
    /// page never takes long.
    fn by_id(&self) -> impl Stream<Item = Result<Entry>> {
        let all = paginate(move |after: Option<FileId>| async move {
            let after = after.map_or(Bson::ObjectId(row::NO_ID), Bson::from);
            let entries = self.entries(filter::after_id(after), filter::by_id()).await?;
            let last = entries.last().map(|entry| entry.id);
            Ok((entries, last))
        });
        all.try_filter(|entry| future::ready(entry.thumbnails_id.is_none()))
    }

    /// Rows whose thumbnails have the id of another row in their keys, in the order of that id.
    fn by_thumbnails_id(&self) -> impl Stream<Item = Result<Entry>> {
        paginate(move |after: Option<(FileId, FileId)>| async move {
            let after = match after {
                Some((image, id)) => filter::after_thumbnails_id(image, Some(id)),
                None => filter::after_thumbnails_id(row::NO_ID, None),
            };
            let entries = self.entries(after, filter::by_thumbnails_id()).await?;
            let last = entries.last().map(|entry| (entry.image(), entry.id));
            Ok((entries, last))
        })
    }

    /// A page of rows, in the order of the index that finds them.
    async fn entries(&self, filter: Document, order: Document) -> Result<Vec<Entry>> {
        let rows = self.rows.clone_with_type::<Entry>();
        self.with_indexes(|| {
            let find = rows.find(filter.clone()).projection(filter::only_entry());
            let find = find.sort(order.clone()).hint(Hint::Keys(order.clone()));
            let find = find.limit(limits::FSCK_ROWS.into()).batch_size(limits::FSCK_ROWS);
            run(async { find.await?.try_collect().await })
        })
        .await
    }
}

/// Two streams that are sorted by `key`, as one.
fn in_order<K: Ord>(
    left: impl Stream<Item = Result<Entry>>,
    right: impl Stream<Item = Result<Entry>>,
    key: impl Fn(&Entry) -> K,
) -> impl Stream<Item = Result<Entry>> {
    let both = (Box::pin(left.peekable()), Box::pin(right.peekable()), key);
    stream::try_unfold(both, |(mut left, mut right, key)| async move {
        let is_left = match (left.as_mut().peek().await, right.as_mut().peek().await) {
            (Some(Ok(left)), Some(Ok(right))) => key(left) <= key(right),
            (Some(Ok(_)), Some(Err(_))) | (None, _) => false,
            (Some(_), _) => true,
        };
        let next = if is_left { left.try_next().await? } else { right.try_next().await? };
        Ok::<_, Error>(next.map(|entry| (entry, (left, right, key))))
    })
}

/// The objects of rows that come in groups: of the rows of a group, each object comes once for each size, and only
/// with the strongest expectation. `objects` returns those of a row in the order of their keys; the keys of a group come
/// before those of the next.
fn in_groups<G: PartialEq>(
    entries: impl Stream<Item = Result<Entry>>,
    group: impl Fn(&Entry) -> G,
    objects: impl Fn(&Entry) -> Vec<ExpectedObject>,
) -> impl Stream<Item = Result<ExpectedObject>> {
    let of_groups = (Box::pin(entries.peekable()), group, objects);
    let groups = stream::try_unfold(of_groups, |(mut entries, group, objects)| async move {
        let Some(first) = entries.try_next().await? else { return Ok::<_, Error>(None) };
        let (this, mut expected) = (group(&first), Expected::default());
        expected.add(objects(&first));
        let is_of_this = |entry: &Result<Entry>| entry.as_ref().is_ok_and(|entry| group(entry) == this);
        while let Some(next) = entries.as_mut().next_if(is_of_this).await {
            expected.add(objects(&next?));
        }
        Ok(Some((stream::iter(expected.into_objects().map(Ok)), (entries, group, objects))))
    });
    groups.try_flatten()
}

/// The objects of the rows of a group. However many rows the group has, few objects are held.
#[derive(Default)]
struct Expected(BTreeMap<Key, BTreeMap<Expectation, FileId>>);

impl Expected {
    fn add(&mut self, objects: Vec<ExpectedObject>) {
        for ExpectedObject { key, row, content } in objects {
            self.0.entry(key).or_default().entry(content).or_insert(row);
        }
    }

    fn into_objects(self) -> impl Iterator<Item = ExpectedObject> {
        self.0.into_iter().flat_map(|(key, mut rows)| {
            if rows.len() > 1 {
                rows.remove(&Expectation::Optional);
            }
            rows.into_iter().map(move |(content, row)| ExpectedObject { key: key.clone(), row, content })
        })
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
        // A document of another type has the id of thumbnails only if it has a preview.
        if self.r#type.as_deref() != Some("image") && self.thumbnails_id.is_none() {
            return Vec::new();
        }
        let key = |width| Key::of_thumbnail(self.image(), width);
        let possible = limits::POSSIBLE_THUMBNAIL_WIDTHS.iter().map(|&width| (key(width), Expectation::Optional));
        let made = self.thumbnail_files.iter().map(|made| (key(made.width), Expectation::Bytes(Some(made.size))));
        let by_key: BTreeMap<_, _> = possible.chain(made).collect();
        by_key.into_iter().map(|(key, content)| self.expected(key, content)).collect()
    }

    /// The id in the keys of the thumbnails.
    fn image(&self) -> FileId {
        self.thumbnails_id.unwrap_or(self.id)
    }

    fn expected(&self, key: Key, content: Expectation) -> ExpectedObject {
        let content = if self.is_complete() { content } else { Expectation::Optional };
        ExpectedObject { key, row: self.id, content }
    }

    /// True if the bytes of the row may come by a form or by a multipart upload.
    fn expects_multipart(&self) -> bool {
        !self.is_complete() && self.key.as_ref().is_some_and(Key::is_of_upload)
    }

    /// True if the objects of the row must exist: it is visible, in the trash, or an earlier version.
    fn is_complete(&self) -> bool {
        self.state == Bson::Null || matches!(self.state.as_str(), Some("trashed" | "version"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::{deserialize_from_document, doc, oid::ObjectId};

    const ID: &str = "5f1e7d35c7ba06511e683b21";

    fn entry(row: Document) -> Entry {
        let mut whole = doc! { "_id": ObjectId::parse_str(ID).unwrap() };
        whole.extend(row);
        deserialize_from_document(whole).unwrap()
    }

    fn texts(expected: impl IntoIterator<Item = ExpectedObject>) -> Vec<(String, Expectation)> {
        expected.into_iter().map(|expected| (expected.key.as_str().to_owned(), expected.content)).collect()
    }

    fn expected_objects(row: Document) -> Vec<(String, Expectation)> {
        texts(entry(row).expected_objects())
    }

    fn objects(expected: &[(&str, Expectation)]) -> Vec<(String, Expectation)> {
        expected.iter().map(|(key, content)| (key.replace("ID", ID), *content)).collect()
    }

    fn of(entries: Vec<Entry>) -> impl Stream<Item = Result<Entry>> {
        stream::iter(entries.into_iter().map(Ok))
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
                doc! { "type": "file", "key": "uploads/x/y", "size": 5, "state": "trashed" },
                &[("uploads/x/y", Bytes(Some(5)))],
            ),
            (doc! { "type": "file", "key": "files/x", "size": 5, "state": "version" }, &[("files/x", Bytes(Some(5)))]),
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
        let possible = ["thumbnails/ID/100", "thumbnails/ID/1600", "thumbnails/ID/250", "thumbnails/ID/500"];
        let possible = possible.map(|key| (key, Optional));
        let mut ready = possible;
        ready[0].1 = Bytes(Some(7));
        ready[3].1 = Bytes(Some(9));
        let (files, id) = (vec![made(500, 9), made(100, 7)], ObjectId::parse_str(ID).unwrap());
        for (row, expected) in [
            (doc! { "type": "image" }, &possible[..]),
            (doc! { "type": "image", "state": "deleted", "thumbnailFiles": files.clone() }, &possible),
            (doc! { "type": "image", "thumbnails": "ready", "thumbnailFiles": files.clone() }, &ready),
            (doc! { "type": "image", "state": "version", "thumbnailFiles": files.clone() }, &ready),
            // A copy of an image.
            (doc! { "_id": ObjectId::new(), "type": "image", "thumbnailsId": id, "thumbnailFiles": files }, &ready),
            // A width of an earlier version, which is not made any more.
            (
                doc! { "type": "image", "thumbnailFiles": [made(1000, 3)] },
                &[&possible[..1], &[("thumbnails/ID/1000", Bytes(Some(3)))], &possible[1..]].concat(),
            ),
        ] {
            assert_eq!(expected_objects(row.clone()), objects(expected), "{row}");
        }
    }

    #[tokio::test]
    async fn rows_of_one_object_expect_it_once_as_strongly_as_any_does() {
        use Expectation::{Bytes, Optional};
        let row = |key: &str, size: i64, state: &str| {
            let state = if state.is_empty() { Bson::Null } else { state.into() };
            entry(doc! { "type": "file", "key": key, "size": size, "state": state })
        };
        let rows = vec![
            row("files/a", 1, "deleted"),
            row("files/a", 1, ""),
            row("files/a", 1, "trashed"),
            row("files/b", 2, "deleted"),
            row("files/b", 2, "pending"),
            row("uploads/x/c", 3, "pending"),
            row("uploads/x/c", 3, ""),
            row("uploads/x/d", 4, "version"),
            row("uploads/x/d", 5, ""),
        ];
        let grouped = in_groups(of(rows), |entry| entry.key.clone(), Entry::bytes);
        let found: Vec<ExpectedObject> = grouped.try_collect().await.unwrap();
        let expected = [
            ("files/a", Bytes(Some(1))),
            ("files/b", Optional),
            ("uploads/x/c", Bytes(Some(3))),
            ("uploads/x/c/form", Optional),
            ("uploads/x/d", Bytes(Some(4))),
            ("uploads/x/d", Bytes(Some(5))),
        ];
        assert_eq!(texts(found), objects(&expected));
    }

    #[tokio::test]
    async fn two_sorted_streams_are_one() {
        let row = |id: u8, image: Option<u8>| {
            let id_of = |n: u8| ObjectId::from_bytes([n; 12]);
            entry(doc! { "_id": id_of(id), "thumbnailsId": image.map(id_of), "type": "image" })
        };
        let (own, shared) = (vec![row(1, None), row(3, None)], vec![row(9, Some(1)), row(8, Some(2)), row(7, Some(4))]);
        let both: Vec<Entry> = in_order(of(own), of(shared), Entry::image).try_collect().await.unwrap();
        let images: Vec<u8> = both.iter().map(|entry| entry.image().bytes()[0]).collect();
        assert_eq!(images, [1, 1, 2, 3, 4]);

        let broken = || stream::iter([Err(Error::timeout("MongoDB"))]);
        for failing in [
            in_order(of(Vec::new()), broken(), Entry::image).boxed(),
            in_order(broken(), of(vec![row(1, None)]), Entry::image).boxed(),
        ] {
            assert!(in_groups(failing, Entry::image, Entry::thumbnails).try_collect::<Vec<_>>().await.is_err());
        }
    }
}

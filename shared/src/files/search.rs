//! Searches for names by the beginnings of their words, and the paths of what is found.

use std::{cmp::Reverse, collections::BTreeMap};

use futures_util::{TryStreamExt, future::try_join};
use mongodb::{
    Cursor,
    bson::{Document, RawDocumentBuf},
    options::Hint,
};
use tokio::time::{Instant, timeout_at};

use super::{
    File, Name, Parent,
    ledger::Files,
    row::{
        Row, filter,
        search::{self, Above, Named},
        sorted::Types,
    },
    words,
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::mongo::{id, is_overdue, run},
};

/// A folder above a document, or the document itself.
#[derive(Clone, Debug, PartialEq)]
pub struct PathStep {
    pub id: FileId,
    pub name: Name,
}

/// A document with its path, from below the root to the document itself.
pub struct Located {
    pub file: File,
    pub path: Vec<PathStep>,
}

/// The outcome of a search.
#[derive(Default)]
pub struct Found {
    /// Newest first.
    pub files: Vec<Located>,
    /// True if there may be more matches than the search had time for.
    pub is_incomplete: bool,
}

impl Files {
    /// The owner's document with its path.
    pub async fn located(&self, owner: UserId, id: FileId) -> Result<Located> {
        self.all_located(owner, &[id]).await?.pop().ok_or(Error::NotFound)
    }

    /// Those of these documents that the owner sees, with their paths, in any order.
    async fn all_located(&self, owner: UserId, ids: &[FileId]) -> Result<Vec<Located>> {
        let rows = async {
            let rows = self.rows.find(search::visible_among(owner, ids)).projection(search::without_words());
            run(async { rows.hint(Hint::Keys(filter::by_id())).await?.try_collect::<Vec<Row>>().await }).await
        };
        let folders = async {
            let folders = self.rows.aggregate(search::folders_above(owner, ids)).hint(Hint::Keys(filter::by_id()));
            run(async { folders.with_type::<Above>().await?.try_collect::<Vec<Above>>().await }).await
        };
        let (rows, folders) = try_join(rows, folders).await?;
        let folders: BTreeMap<FileId, Above> = folders.into_iter().map(|folder| (folder.id, folder)).collect();
        let located = |row: Row| {
            let file = File::from(row);
            path(&file, &folders).map(|path| Located { file, path })
        };
        Ok(rows.into_iter().filter_map(located).collect())
    }

    /// The owner's documents with a word for each word of the query: the newest of the first
    /// [`limits::SEARCHED_AT_ONCE`] that match.
    ///
    /// # Errors
    /// `Unavailable` while the indexes are built.
    pub async fn search(&self, owner: UserId, query: &str, types: Types, limit: usize) -> Result<Found> {
        let mut words = words::of_query(query);
        // The longest word begins the fewest words of names.
        words.sort_by_key(|word| Reverse(word.len()));
        if words.is_empty() {
            return Ok(Found::default());
        }
        self.with_indexes(|| Box::pin(self.found(owner, &words, types, limit))).await
    }

    async fn found(&self, owner: UserId, words: &[String], types: Types, limit: usize) -> Result<Found> {
        let time = Time::begins();
        let unindexed = self.named(search::unindexed_of(owner, types), search::newest_first(), search::UNINDEXED_INDEX);
        let matching = self.named(search::matching(owner, types, words), Document::new(), search::WORDS_INDEX);
        let (unindexed, matching) = try_join(time.match_in(unindexed), time.match_in(matching)).await?;
        let mut is_incomplete = unindexed.is_none() || matching.is_none();

        let mut ids = Vec::new();
        if let Some(mut rows) = unindexed {
            is_incomplete |= !self.scan(&mut rows, words, &mut ids, time).await?;
        }
        let mut files: Vec<Located> = Vec::new();
        let mut matching = matching;
        while files.len() < limit {
            if let Some(rows) = &mut matching {
                let end = next_matches(rows, &mut ids, time).await?;
                is_incomplete |= end == End::Time;
                if end != End::Batch {
                    matching = None;
                }
            }
            if ids.is_empty() {
                break;
            }
            ids.sort_unstable_by_key(|id| Reverse(*id));
            ids.dedup();
            for some in ids.chunks(limit) {
                match time.end_in(Box::pin(self.all_located(owner, some))).await? {
                    Some(located) => files.extend(located),
                    None => is_incomplete = true,
                }
                if files.len() >= limit {
                    break;
                }
            }
            ids.clear();
        }
        files.sort_unstable_by_key(|located| Reverse(located.file.id));
        // A row may have got its words meanwhile, and then it is found twice.
        files.dedup_by_key(|located| located.file.id);
        files.truncate(limit);
        Ok(Found { files, is_incomplete })
    }

    async fn named(&self, matching: Document, order: Document, index: &str) -> Result<Cursor<RawDocumentBuf>> {
        let rows = self.rows.clone_with_type::<RawDocumentBuf>();
        let find = rows.find(matching).sort(order).projection(search::only_name());
        let find = find.hint(Hint::Name(index.to_owned())).max_time(limits::SEARCH_TIMEOUT);
        run(find.batch_size(limits::SEARCH_BATCH)).await
    }

    /// Adds the ids of rows without words whose names match. `false` if there are more rows than are read.
    async fn scan(
        &self,
        rows: &mut Cursor<RawDocumentBuf>,
        words: &[String],
        ids: &mut Vec<FileId>,
        time: Time,
    ) -> Result<bool> {
        for _ in 0..limits::SCANNED_NAMES {
            match time.next(rows).await? {
                Next::Row(row) => {
                    let named = Named::read(&row);
                    if words::are_found(words, &words::of(&Name(named.name))) {
                        ids.extend(named.id.as_object_id().map(FileId::from));
                    }
                }
                Next::End => return Ok(true),
                Next::NoTime => return Ok(false),
            }
        }
        Ok(matches!(time.next(rows).await?, Next::End))
    }

    async fn unindexed(&self) -> Result<Vec<RawDocumentBuf>> {
        let rows = self.rows.clone_with_type::<RawDocumentBuf>();
        let find = rows.find(search::unindexed()).projection(search::only_name()).limit(limits::INDEXED_AT_ONCE);
        let find = find.hint(Hint::Name(search::UNINDEXED_INDEX.into()));
        run(async { find.await?.try_collect().await }).await
    }

    /// Stores the words of visible rows that have none, as many as there is time for. Returns their number.
    ///
    /// # Errors
    /// `Unavailable` while the indexes are built.
    pub async fn store_words(&self) -> Result<usize> {
        let (started, mut count) = (Instant::now(), 0);
        while started.elapsed() < limits::INDEXING_TIME {
            let rows = self.with_indexes(|| self.unindexed()).await?;
            let named = rows.iter().map(|row| Named::read(row));
            let words = named.map(|named| (named.id, words::of(&Name(named.name))));
            let command = search::store_words(words);
            let Some(command) = command else { break };
            let database = self.rows.client().database(&self.rows.namespace().db);
            let stored = search::count_stored(&run(database.run_command(command)).await?);
            if stored == 0 {
                // Otherwise rows that cannot be changed would be tried until there is no time.
                tracing::warn!("no words can be stored");
                break;
            }
            count += stored;
        }
        Ok(count)
    }
}

/// Adds the next matches, until there are [`limits::SEARCHED_AT_ONCE`].
async fn next_matches(rows: &mut Cursor<RawDocumentBuf>, ids: &mut Vec<FileId>, time: Time) -> Result<End> {
    while ids.len() < limits::SEARCHED_AT_ONCE {
        match time.next(rows).await? {
            Next::Row(row) => ids.extend(id(&row).as_object_id().map(FileId::from)),
            Next::End => return Ok(End::Matches),
            Next::NoTime => return Ok(End::Time),
        }
    }
    Ok(End::Batch)
}

/// What has come to its end.
#[derive(PartialEq)]
enum End {
    Matches,
    Batch,
    Time,
}

enum Next {
    Row(RawDocumentBuf),
    End,
    NoTime,
}

/// The times at which a search stops looking for matches, and at which it ends.
#[derive(Clone, Copy)]
struct Time {
    matching: Instant,
    end: Instant,
}

impl Time {
    fn begins() -> Self {
        let now = Instant::now();
        Self { matching: now + limits::SEARCH_MATCHING, end: now + limits::SEARCH_TIMEOUT }
    }

    async fn match_in<T>(self, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
        until(self.matching, work).await
    }

    async fn end_in<T>(self, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
        until(self.end, work).await
    }

    async fn next(self, rows: &mut Cursor<RawDocumentBuf>) -> Result<Next> {
        let next = async { rows.try_next().await.map_err(Error::from) };
        Ok(match self.match_in(next).await? {
            Some(Some(row)) => Next::Row(row),
            Some(None) => Next::End,
            None => Next::NoTime,
        })
    }
}

/// `None` if there is no time for the work.
async fn until<T>(deadline: Instant, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    if Instant::now() >= deadline {
        return Ok(None);
    }
    match timeout_at(deadline, work).await {
        Err(_) => Ok(None),
        Ok(Err(error)) if is_overdue(&error) => Ok(None),
        Ok(done) => done.map(Some),
    }
}

/// The path of a document among these folders; `None` if a folder above it is not visible.
///
/// A folder of another user, which the original allowed as a parent, ends the path: its name is not the owner's to see.
fn path(file: &File, folders: &BTreeMap<FileId, Above>) -> Option<Vec<PathStep>> {
    let mut path = vec![PathStep { id: file.id, name: file.name.clone() }];
    let mut parent = match file.parent {
        Parent::Root | Parent::LegacyRoot => None,
        Parent::Folder(id) => Some(id),
    };
    // Folders that a person has put into a circle must not make the path endless.
    for _ in 0..limits::MAX_FOLDER_DEPTH {
        let Some(folder) = parent.and_then(|id| folders.get(&id)) else { break };
        if folder.user_id != file.owner {
            break;
        }
        if !folder.is_visible() {
            return None;
        }
        path.push(PathStep { id: folder.id, name: Name(folder.name.clone()) });
        parent = folder.parent;
    }
    path.reverse();
    Some(path)
}

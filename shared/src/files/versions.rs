//! Versions: the earlier content of documents, and how content is exchanged without a transaction.
//!
//! The new content comes from another row, the source: an upload, a file that is moved, a copy, or a version. (1) The
//! source says which document it `replaces`. (2) A version is stored with the present content of the document; the quota
//! does not count it yet. (3) One update sets the content of the document, if it has not changed meanwhile, and marks the
//! `exchange`. (4) The source stores which document it `became`, and the exchange is `accepted`. If the source has a
//! tombstone by then, a sweep may have deleted its object before the document named it; and the source may replace another
//! document by then: in both cases the document gets its earlier content back. (5) The quota's count of the earlier content
//! goes to the version, and the source goes. (6) The mark is removed.
//!
//! Every step can be repeated, by this request or by another. A sweep that removes one of the three rows completes the
//! exchange before. An attempt that fails leaves a version, which has the object of the document or of another version.

use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::{bson::oid::ObjectId, options::ReturnDocument};
use tokio::time::sleep;

use super::{
    Content, File, IfMatch, Kind,
    ledger::Files,
    row::{Exchange, Row, filter, update},
};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
    stores::mongo::run,
    time::Timestamp,
};

/// Earlier content of a document.
pub struct Version {
    pub id: FileId,
    pub size: Option<u64>,
    /// The time at which the content became the document's.
    pub created_at: Timestamp,
    /// The content as a file with the name of the version's document.
    pub file: File,
}

/// The end of an exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exchanged {
    Completed,
    /// The document has its earlier content.
    Undone,
    /// Another request has completed or undone it.
    ByAnother,
}

impl Files {
    /// Makes the content of the row `source_id` that of a document, whose present content becomes a version.
    ///
    /// # Errors
    /// `NotFound` if the document or the source does not exist any more; `Changed`.
    pub(super) async fn replace_by(
        &self,
        owner: UserId,
        document: FileId,
        source_id: FileId,
        if_match: &IfMatch,
    ) -> Result<File> {
        for _ in 0..limits::EXCHANGE_ATTEMPTS {
            let present = self.reachable(filter::visible_of(owner, document)).await?.ok_or(Error::NotFound)?;
            if present.exchange.is_some() {
                Box::pin(self.settle_exchange(&present)).await?;
                continue;
            }
            // The source is read after the exchange before this one has come to its end: it may be a version of that.
            let free = filter::free_for(owner, document, source_id);
            let marked = self.rows.find_one_and_update(free, update::replaces(document));
            let Some(source) = run(marked.return_document(ReturnDocument::After)).await? else {
                return Box::pin(self.document_of_source(owner, document, source_id)).await;
            };
            if_match.check(present.revision())?;
            if present.key.is_some() && present.key == source.key {
                // The source is a copy of the document, or the document of the source.
                let double = filter::free_for(owner, document, source_id);
                run(self.rows.update_one(double, update::delete_double(document))).await?;
                return Ok(present.into());
            }
            let version = Row::version(&present, source.id, Timestamp::now() + self.version_period);
            self.insert(&version).await?;
            let unchanged = if_match.restrict(filter::with_content_of(&present));
            let update = self.rows.find_one_and_update(unchanged, update::exchange(&source, &version, &present));
            if let Some(replaced) = run(update.return_document(ReturnDocument::After)).await? {
                match Box::pin(self.settle_exchange(&replaced)).await? {
                    Exchanged::Undone => return Err(Error::NotFound),
                    Exchanged::ByAnother => continue,
                    Exchanged::Completed => {}
                }
                self.prune_versions(owner, document).await;
                return Ok(replaced.into());
            }
            run(self.rows.update_one(filter::row(version.id), update::delete())).await?;
            // Another request has replaced the content meanwhile.
            sleep(Duration::from_millis(u64::from(ObjectId::new().bytes()[11]) / 8)).await;
        }
        if if_match.is_any() {
            return Err(Error::Unavailable(anyhow::anyhow!("the content is replaced too often")));
        }
        Err(Error::Changed)
    }

    /// The document whose content the source has become by another attempt.
    ///
    /// # Errors
    /// `NotFound` if the source has a tombstone, or another document has its content.
    async fn document_of_source(&self, owner: UserId, document: FileId, source: FileId) -> Result<File> {
        let source = run(self.rows.find_one(filter::row_of(owner, source))).await?;
        match source.as_ref().and_then(Row::became) {
            Some(became) if became == document => self.file_of(owner, document).await,
            Some(another) => {
                self.settle_exchanges(&[another]).await?;
                Err(Error::NotFound)
            }
            None => Err(Error::NotFound),
        }
    }

    /// Steps 4 to 6.
    async fn settle_exchange(&self, document: &Row) -> Result<Exchanged> {
        let Some(exchange) = &document.exchange else { return Ok(Exchanged::ByAnother) };
        let exchanging = || filter::exchanging(document.id, exchange.source);
        if !exchange.accepted {
            let source = filter::source_of(document.id, exchange.source);
            if run(self.rows.update_one(source, update::becomes(document.id))).await?.matched_count == 1 {
                run(self.rows.update_one(exchanging(), update::accept_exchange())).await?;
            } else if self.undo_exchange(document, exchange).await? {
                return Ok(Exchanged::Undone);
            }
            let accepted = self.rows.find_one(filter::accepted(document.id, exchange.source));
            if run(accepted.projection(filter::only_id())).await?.is_none() {
                return Ok(Exchanged::ByAnother);
            }
        }
        run(self.rows.update_one(filter::unconsumed(exchange.version), update::charge(exchange.charged))).await?;
        let source = filter::not_refunded(exchange.source);
        run(self.rows.update_one(source, update::delete_source(document.id))).await?;
        run(self.rows.update_one(exchanging(), update::end_exchange())).await?;
        Ok(Exchanged::Completed)
    }

    /// Gives a document its earlier content back. `false` if the exchange has been accepted meanwhile, or has ended.
    async fn undo_exchange(&self, document: &Row, exchange: &Exchange) -> Result<bool> {
        let version = run(self.rows.find_one(filter::row(exchange.version))).await?;
        let Some(version) = version else { return Ok(false) };
        // The sweep that has purged the source left the object alone if the document named it already. A sweep deletes
        // the object once this update has been made or has failed, unless a row names the object then.
        let remains = Row::remains_of_content(document, Timestamp::now() + limits::IN_FLIGHT_GRACE);
        self.insert(&remains).await?;
        let not_accepted = filter::not_accepted(document.id, exchange.source);
        let undone = self.rows.update_one(not_accepted, update::undo_exchange(&version, exchange.charged));
        if run(undone).await?.matched_count == 0 {
            return Ok(false);
        }
        run(self.rows.update_one(filter::row(version.id), update::delete())).await?;
        Ok(true)
    }

    /// Lets a pending upload replace nothing, and undoes an exchange that another attempt at it has begun.
    pub(super) async fn replace_nothing(&self, document: FileId, upload: FileId) -> Result<()> {
        let pending = filter::pending_replacing(document, upload);
        run(self.rows.update_one(pending, update::replace_nothing())).await?;
        self.settle_exchanges(&[document]).await
    }

    /// Completes the exchanges that rows to purge take part in.
    pub(super) async fn settle_exchanges(&self, documents: &[FileId]) -> Result<()> {
        if documents.is_empty() {
            return Ok(());
        }
        let find = self.rows.find(filter::all_exchanging(documents));
        for document in run(async { find.await?.try_collect::<Vec<Row>>().await }).await? {
            self.settle_exchange(&document).await?;
        }
        Ok(())
    }

    /// Deletes the oldest versions beyond [`Self::versions_kept`]. The sweeper deletes them later if this fails.
    async fn prune_versions(&self, owner: UserId, document: FileId) {
        let pruned = async {
            let Some(present) = self.reachable(filter::visible_of(owner, document)).await? else { return Ok(()) };
            if present.exchange.is_some() {
                return Ok(());
            }
            let (_, doubles, mut beyond) = self.kept(self.version_rows(owner, document).await?, &present);
            // A younger one may belong to an exchange that has come to its end since the document was read.
            let old = Timestamp::now() - limits::IN_FLIGHT_GRACE;
            beyond.extend(doubles.into_iter().filter(|version| version.id.created_at() < old));
            let beyond: Vec<FileId> = beyond.into_iter().map(|version| version.id).collect();
            if !beyond.is_empty() {
                run(self.rows.update_many(filter::versions(&beyond), update::delete())).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = pruned.await {
            tracing::warn!(error = error.cause(), file = document.to_string(), "old versions stay until they expire");
        }
    }

    /// The versions that a document keeps; those of attempts that failed, which have the object of the document or of
    /// another version; and those beyond [`Self::versions_kept`].
    fn kept(&self, rows: Vec<Row>, document: &Row) -> (Vec<Row>, Vec<Row>, Vec<Row>) {
        let (mut kept, mut doubles, mut beyond) = (Vec::<Row>::new(), Vec::new(), Vec::new());
        for row in rows {
            let has_key_of = |other: &Row| row.key.is_some() && row.key == other.key;
            if has_key_of(document) || kept.iter().any(has_key_of) {
                doubles.push(row);
            } else if kept.len() < self.versions_kept {
                kept.push(row);
            } else {
                beyond.push(row);
            }
        }
        (kept, doubles, beyond)
    }

    /// The versions of a document, the newest first.
    ///
    /// # Errors
    /// `NotFound` if the owner has no such visible document.
    pub async fn versions(&self, owner: UserId, document: FileId) -> Result<Vec<Version>> {
        let present = self.reachable(filter::visible_of(owner, document)).await?.ok_or(Error::NotFound)?;
        let rows = self.version_rows(owner, document).await?;
        let (kept, ..) = self.kept(rows, &present);
        Ok(kept.into_iter().map(|row| Version::of(row, &present)).collect())
    }

    /// One version of a document.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn version(&self, owner: UserId, document: FileId, version: FileId) -> Result<Version> {
        let versions = self.versions(owner, document).await?;
        versions.into_iter().find(|found| found.id == version).ok_or(Error::NotFound)
    }

    async fn version_rows(&self, owner: UserId, document: FileId) -> Result<Vec<Row>> {
        let mut found: Vec<Row> = self
            .with_indexes(|| {
                let find = self.rows.find(filter::versions_of(owner, document)).hint(filter::versions_index());
                let find = find.limit(i64::from(limits::MAX_VERSIONS_READ));
                run(async { find.await?.try_collect().await })
            })
            .await?;
        found.sort_by_key(|row| std::cmp::Reverse((row.content_at(), row.id)));
        Ok(found)
    }

    /// Makes a version the content of its document, whose present content becomes a version.
    ///
    /// # Errors
    /// `NotFound`; `Changed`.
    pub async fn restore_version(
        &self,
        owner: UserId,
        document: FileId,
        version: FileId,
        if_match: &IfMatch,
    ) -> Result<File> {
        self.version(owner, document, version).await?;
        self.replace_by(owner, document, version, if_match).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn delete_version(&self, owner: UserId, document: FileId, version: FileId) -> Result<()> {
        self.version(owner, document, version).await?;
        run(self.rows.update_one(filter::versions(&[version]), update::delete())).await?;
        Ok(())
    }

    /// Deletes the versions of documents that are deleted.
    pub(super) async fn delete_versions_of(&self, documents: &[FileId]) -> Result<()> {
        run(self.rows.update_many(filter::all_versions_of(documents), update::delete())).await?;
        Ok(())
    }
}

impl Version {
    fn of(row: Row, document: &Row) -> Self {
        let (id, created_at) = (row.id, row.content_at());
        let file = File { name: document.name(), is_public: false, ..File::from(row) };
        let size = match &file.kind {
            Kind::File(Content::Stored { size, .. }) | Kind::Image(Content::Stored { size, .. }, _) => Some(*size),
            _ => None,
        };
        Self { id, size, created_at, file }
    }
}

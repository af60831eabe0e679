//! The builder of one ZIP: see [`super`].

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use anyhow::anyhow;
use bytes::Bytes;
use crc32fast::Hasher;
use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::{
    Database,
    bson::{Document, oid::ObjectId},
    options::ReturnDocument,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::sleep,
};

use super::{
    Job,
    layout::{Layout, Part, Piece},
    names::Taken,
    plan::{Checksums, Entry, Plan},
    row::{self, Row},
    zips::Zips,
};
use crate::{
    Error, Result,
    files::{Files, Item, ItemKind, Parent},
    ids::{FileId, ZipId},
    limits,
    stores::{
        lambda::Invoker,
        mongo::run,
        s3::{self, Key, Objects},
    },
};

/// The end of one invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ready,
    /// There will be no ZIP.
    Failed,
    /// The time was over, and another invocation goes on.
    HandedOver,
    /// Another builder has the ZIP, or there is nothing to do.
    Ignored,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::HandedOver => "handed over",
            Self::Ignored => "ignored",
        }
    }
}

/// The reason why a builder stops.
enum Stop {
    /// A store failed. Another invocation goes on.
    Fault(Error),
    /// There can be no ZIP.
    Impossible(String),
    /// An object or the upload is gone: the ZIP has to be begun anew.
    Gone,
    /// The time of the function is over.
    NoTime,
    /// Another builder has the ZIP now, or the ZIP was deleted.
    Lost,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::Gone,
            Error::TooLarge(reason) => Self::Impossible(reason.to_owned()),
            fault => Self::Fault(fault),
        }
    }
}

/// The reasons why there is no ZIP.
const CHANGING: &str = "Files were deleted while the ZIP was made: try again";
const GIVEN_UP: &str = "The ZIP could not be made";
const NOTHING: &str = "None of the documents is there any more";

pub struct Builder {
    zips: Zips,
    files: Files,
    objects: Objects,
    invoker: Invoker,
}

/// The work that a builder has done so far, for its lease.
#[derive(Default)]
struct Progress {
    /// The bytes of the parts that S3 has.
    done: AtomicU64,
    /// The bytes that were read for checksums.
    read: AtomicU64,
    /// Once there is a plan: the key of the checksums, and the checksums.
    checksums: Mutex<Option<(Key, Checksums)>>,
}

impl Progress {
    fn checksums(&self) -> MutexGuard<'_, Option<(Key, Checksums)>> {
        self.checksums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes that are done, if that are more than before, or others were read. `before` becomes what is done now.
    fn since(&self, before: &mut (u64, u64)) -> Option<u64> {
        let now = (self.done.load(Ordering::Relaxed), self.read.load(Ordering::Relaxed));
        let has_more = now.0 > before.0 || now.1 > before.1;
        *before = now;
        has_more.then_some(now.0)
    }

    fn with<T: Default>(&self, with: impl FnOnce(&mut Checksums) -> T) -> T {
        self.checksums().as_mut().map(|(_, checksums)| with(checksums)).unwrap_or_default()
    }
}

/// A ZIP with its plan.
struct Work<'a> {
    key: Key,
    upload_id: String,
    plan: Plan,
    layout: Layout,
    progress: &'a Progress,
    end: SystemTime,
    /// Permits for reads of at most [`limits::ZIP_READ_BYTES`], or of one small file; and for parts in memory.
    reads: Semaphore,
    parts: Semaphore,
}

impl Builder {
    pub fn new(database: &Database, files: Files, objects: Objects, invoker: Invoker) -> Self {
        Self { zips: Zips::of(database), files, objects, invoker }
    }

    /// Makes a ZIP, or as much of it as there is time for until the deadline. A ZIP that was begun is continued.
    ///
    /// # Errors
    /// A store failed. What is done stays, and Lambda, or else the sweeper, starts another builder.
    pub async fn build(&self, id: ZipId, deadline: SystemTime) -> Result<Outcome> {
        let (lease, end) = (ObjectId::new(), deadline - limits::ZIP_HANDOVER);
        let Some(row) = self.take(id, lease).await? else { return Ok(Outcome::Ignored) };
        if row.attempts > limits::MAX_ZIP_ATTEMPTS {
            return self.fail(id, lease, GIVEN_UP).await;
        }
        let (progress, mut before) = (Progress::default(), (row.done.try_into().unwrap_or_default(), 0));
        let outcome = tokio::select! {
            outcome = Box::pin(self.make(row, lease, &progress, end)) => outcome,
            lost = Box::pin(self.keep(id, lease, &progress)) => Err(lost),
        };
        // The lease is not renewed any more, so a renewal that finds a ready ZIP does not stop the deletions.
        let outcome = match outcome {
            Ok(row) => self.ready(&row, lease).await,
            Err(stop) => Err(stop),
        };
        match outcome {
            Ok(()) => Ok(Outcome::Ready),
            Err(Stop::Lost) => Ok(Outcome::Ignored),
            Err(Stop::Impossible(reason)) => self.fail(id, lease, &reason).await,
            Err(Stop::Gone) => self.fail(id, lease, CHANGING).await,
            Err(Stop::NoTime) => {
                self.save(&progress).await?;
                self.change(id, lease, row::renew(progress.since(&mut before))).await?;
                self.change(id, lease, row::release()).await?;
                // If this fails, the sweeper starts the next builder.
                self.invoker.start(&Job { zip: id }).await?;
                Ok(Outcome::HandedOver)
            }
            Err(Stop::Fault(error)) => {
                // Work that cannot be saved is done again. A builder without the lease saves nothing.
                let is_mine = self.change(id, lease, row::renew(None)).await.unwrap_or_default();
                if is_mine && self.save(&progress).await.is_ok() {
                    self.change(id, lease, row::release()).await.ok();
                }
                Err(error)
            }
        }
    }

    /// Takes the ZIP, if it is due and no other builder has it.
    async fn take(&self, id: ZipId, lease: ObjectId) -> Result<Option<Row>> {
        let take = self.zips.rows.find_one_and_update(row::free(id), row::take(lease));
        run(take.return_document(ReturnDocument::After)).await
    }

    /// Changes the row, as long as this builder has the ZIP. Returns whether it has.
    async fn change(&self, id: ZipId, lease: ObjectId, update: Document) -> Result<bool> {
        Ok(run(self.zips.rows.update_one(row::leased(id, lease), update)).await?.matched_count == 1)
    }

    async fn fail(&self, id: ZipId, lease: ObjectId, reason: &str) -> Result<Outcome> {
        let is_mine = self.change(id, lease, row::failed(reason)).await?;
        if !is_mine {
            return Ok(Outcome::Ignored);
        }
        // Objects that stay are removed with the row.
        if let Err(error) = self.objects.delete_zip(id, None).await {
            tracing::warn!(zip = id.to_string(), error = error.cause(), "the parts of a ZIP stay for the sweeper");
        }
        Ok(Outcome::Failed)
    }

    /// Renews the lease, and stores the progress, until the ZIP is lost.
    async fn keep(&self, id: ZipId, lease: ObjectId, progress: &Progress) -> Stop {
        let mut before = (0, 0);
        loop {
            sleep(limits::ZIP_LEASE_RENEWAL).await;
            // A store that fails now may work a moment later. Without a lease the builder does no harm.
            match self.change(id, lease, row::renew(progress.since(&mut before))).await {
                Ok(true) => {}
                Ok(false) => return Stop::Lost,
                Err(error) => tracing::warn!(zip = id.to_string(), error = error.cause(), "a lease is not renewed"),
            }
            if let Err(error) = self.save(progress).await {
                tracing::warn!(zip = id.to_string(), error = error.cause(), "the checksums of a ZIP are not stored");
            }
        }
    }

    /// Stores the checksums that are known.
    async fn save(&self, progress: &Progress) -> Result<()> {
        let changed = match &mut *progress.checksums() {
            Some((key, checksums)) if checksums.is_changed => {
                checksums.is_changed = false;
                (key.clone(), checksums.encode())
            }
            _ => return Ok(()),
        };
        let stored = self.objects.put(&changed.0, changed.1.into(), "application/octet-stream").await;
        if stored.is_err() {
            progress.with(|checksums| checksums.is_changed = true);
        }
        stored
    }

    /// Makes the ZIP; anew, if an object is gone. Returns the row with the key and the bytes of the ZIP.
    async fn make(&self, mut row: Row, lease: ObjectId, progress: &Progress, end: SystemTime) -> Result<Row, Stop> {
        loop {
            let made = match self.work(&row, lease, progress, end).await {
                Ok(Some(work)) => match self.complete(&row, lease, &work).await {
                    // Another builder, which is late, was faster.
                    Err(Stop::Gone) if self.objects.summary(work.key.as_str()).await?.is_some() => Ok(work),
                    completed => completed.map(|()| work),
                },
                // An earlier builder has died just after it had completed the ZIP.
                Ok(None) => return Ok(row),
                Err(stop) => Err(stop),
            };
            match made {
                Ok(work) => {
                    row.key = Some(work.key);
                    row.bytes = work.layout.size.try_into().ok();
                    return Ok(row);
                }
                Err(Stop::Gone) if row.plans < limits::MAX_ZIP_PLANS => {
                    *progress.checksums() = None;
                    progress.done.store(0, Ordering::Relaxed);
                    let anew = self.zips.rows.find_one_and_update(row::leased(row.id, lease), row::without_plan());
                    row = run(anew.return_document(ReturnDocument::After)).await?.ok_or(Stop::Lost)?;
                    self.objects.delete_zip(row.id, None).await?;
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    /// Deletes everything of the ZIP but the ZIP, and makes it visible. Builders that died have left plans, checksums and
    /// uploads of their own.
    async fn ready(&self, row: &Row, lease: ObjectId) -> Result<(), Stop> {
        if !self.change(row.id, lease, row::renew(None)).await? {
            return Err(Stop::Lost);
        }
        // Objects that cannot be deleted go with the ZIP.
        if let Err(error) = self.objects.delete_zip(row.id, row.key.as_ref()).await {
            tracing::warn!(zip = row.id.to_string(), error = error.cause(), "the plans of a ZIP stay until it goes");
        }
        let bytes = row.bytes.unwrap_or_default().try_into().unwrap_or_default();
        if !self.change(row.id, lease, row::ready(bytes)).await? {
            return Err(Stop::Lost);
        }
        Ok(())
    }

    /// The ZIP with its plan, which is made if there is none yet. `None` if the ZIP is complete.
    async fn work<'a>(
        &self,
        row: &Row,
        lease: ObjectId,
        progress: &'a Progress,
        end: SystemTime,
    ) -> Result<Option<Work<'a>>, Stop> {
        let (key, upload_id, plan, layout) = if let (Some(key), Some(upload_id)) = (&row.key, &row.upload_id) {
            if self.objects.summary(key.as_str()).await?.is_some() {
                return Ok(None);
            }
            let plan = Plan::decode(&self.objects.get(&key.of_plan(), limits::MAX_ZIP_PLAN_BYTES).await?)?;
            let layout = Layout::of(&plan)?;
            (key.clone(), upload_id.clone(), plan, layout)
        } else {
            let plan = self.plan(row).await?;
            let layout = Layout::of(&plan)?;
            let key = Key::of_zip(row.id)?;
            self.objects.put(&key.of_plan(), plan.encode()?.into(), "application/json").await?;
            let upload_id = self.objects.create_multipart_upload(&key, "application/zip").await?;
            let planned = row::planned(&key, &upload_id, plan.entries.len(), layout.size);
            if !self.change(row.id, lease, planned).await? {
                self.objects.abort_multipart_upload(key.as_str(), &upload_id).await?;
                self.objects.delete(&key.of_plan()).await?;
                return Err(Stop::Lost);
            }
            (key, upload_id, plan, layout)
        };
        let mut checksums = Checksums::of(&plan);
        match self.objects.get(&key.of_checksums(), limits::MAX_ZIP_PLAN_BYTES).await {
            Ok(stored) => checksums.add(&stored),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        *progress.checksums() = Some((key.of_checksums(), checksums));
        let (reads, parts) = (limits::ZIP_READS_AT_ONCE, limits::ZIP_PARTS_IN_MEMORY);
        let (reads, parts) = (Semaphore::new(reads), Semaphore::new(parts));
        Ok(Some(Work { key, upload_id, plan, layout, progress, end, reads, parts }))
    }

    /// Everything visible among the documents of a request and in the folders among them, level by level. Content on the
    /// disk of the original service is left out.
    async fn plan(&self, row: &Row) -> Result<Plan, Stop> {
        let (mut plan, mut level) = (Plan::default(), HashMap::<FileId, Arc<str>>::new());
        let mut taken = Taken::default();
        for some in row.ids.chunks(limits::ITEMS_AT_ONCE) {
            for item in self.files.items_of(row.user_id, some).await? {
                add(&mut plan, &mut level, &mut taken, "", item)?;
            }
        }
        if plan.entries.is_empty() {
            return Err(Stop::Impossible(NOTHING.to_owned()));
        }
        // No read goes deeper, and a folder that somebody has put into itself ends here.
        for _ in 0..limits::FOLDERS_READ_ABOVE {
            if level.is_empty() {
                break;
            }
            let (mut below, folders) = (HashMap::new(), level.keys().copied().collect::<Vec<_>>());
            // The documents of a folder come one after the other.
            let (mut folder, mut taken) = (None, Taken::default());
            let each = |item: Item| {
                if folder != Some(item.parent) {
                    (folder, taken) = (Some(item.parent), Taken::default());
                }
                let Parent::Folder(id) = item.parent else { return Ok(()) };
                let Some(path) = level.get(&id) else { return Ok(()) };
                add(&mut plan, &mut below, &mut taken, path, item)
            };
            self.files.items_inside(row.user_id, &folders, each).await?;
            level = below;
        }
        Ok(plan)
    }

    /// Makes all parts that S3 does not have, and then the ZIP.
    async fn complete(&self, row: &Row, lease: ObjectId, work: &Work<'_>) -> Result<(), Stop> {
        let there: HashMap<u16, u64> =
            self.parts(work).await?.into_iter().map(|part| (part.number, part.size)).collect();
        let missing = (1_u16..).zip(&work.layout.parts).filter(|(number, part)| {
            // The checksums of a part may have been lost with its builder.
            there.get(number) != Some(&part.size()) || !work.has_checksums(part)
        });
        let missing: Vec<_> = missing.collect();
        let done = work.layout.size - missing.iter().map(|(_, part)| part.size()).sum::<u64>();
        work.progress.done.store(done, Ordering::Relaxed);
        // Parts that an earlier builder has stored just before its death.
        if i64::try_from(done).is_ok_and(|done| done > row.done)
            && !self.change(row.id, lease, row::renew(Some(done))).await?
        {
            return Err(Stop::Lost);
        }
        let (last, rest): (Vec<_>, Vec<_>) = missing.into_iter().partition(|(_, part)| has_directory(part));
        // The directory has the checksums of all others.
        for some in [rest, last] {
            let each = some.into_iter().map(|(number, part)| Box::pin(self.make_part(work, number, part)));
            let mut each = stream::iter(each).buffer_unordered(limits::ZIP_PARTS_AT_ONCE);
            while let Some(size) = each.try_next().await? {
                work.progress.done.fetch_add(size, Ordering::Relaxed);
            }
        }
        let parts = self.parts(work).await?;
        let is_complete = parts.len() == work.layout.parts.len()
            && parts.iter().zip(&work.layout.parts).all(|(part, planned)| part.size == planned.size());
        if !is_complete {
            return Err(Stop::Fault(Error::Unavailable(anyhow!("S3 does not have all parts of ZIP {}", row.id))));
        }
        let (key, upload_id) = (&work.key, &work.upload_id);
        Ok(self.objects.complete_within(limits::ZIP_COMPLETE_TIMEOUT, key, upload_id, &parts).await?)
    }

    async fn parts(&self, work: &Work<'_>) -> Result<Vec<s3::Part>> {
        self.objects.list_parts(&work.key, &work.upload_id).await
    }

    /// Makes one part, and returns its size.
    async fn make_part(&self, work: &Work<'_>, number: u16, part: &Part) -> Result<u64, Stop> {
        work.check_time()?;
        match part {
            Part::Copied { entry, range } => {
                let from = work.object(*entry)?;
                self.objects.copy_part((&work.key, &work.upload_id), number, from, range.clone()).await?;
            }
            Part::Gathered { pieces, size } => {
                for piece in pieces {
                    if let Piece::Header(entry) = *piece
                        && work.plan.entries[entry].size >= limits::MIN_PART_BYTES
                    {
                        self.find_checksum(work, entry).await?;
                    }
                }
                let _permit = permit(&work.parts).await?;
                work.check_time()?;
                let bytes = self.gather(work, pieces, *size).await?;
                self.objects.upload_part(&work.key, &work.upload_id, number, bytes).await?;
            }
        }
        Ok(part.size())
    }

    /// The bytes of a part. Files are read in parallel, and in order.
    async fn gather(&self, work: &Work<'_>, pieces: &[Piece], size: u64) -> Result<Bytes, Stop> {
        let mut bytes = Vec::with_capacity(size.try_into().unwrap_or_default());
        let read = |piece: Piece| async move {
            match piece {
                Piece::Content(entry, range) => {
                    let permit = permit(&work.reads).await?;
                    let content = self.objects.get_range(work.object(entry)?, range).await?;
                    Ok::<_, Stop>((Piece::Content(entry, 0..0), content, Some(permit)))
                }
                other => Ok((other, Bytes::new(), None)),
            }
        };
        let pieces = pieces.iter().flat_map(in_reads);
        let mut pieces = stream::iter(pieces).map(|piece| Box::pin(read(piece))).buffered(limits::ZIP_READS_AT_ONCE);
        let mut header = None;
        while let Some((piece, content, _permit)) = pieces.try_next().await? {
            match piece {
                Piece::Header(entry) => {
                    let planned = &work.plan.entries[entry];
                    let known = work.progress.with(|checksums| checksums.get(entry));
                    // The checksum of a small file is known when the file has been read, which is next.
                    header = known.is_none().then_some((entry, bytes.len()));
                    planned.header().write_local(known.unwrap_or_default(), &mut bytes);
                }
                Piece::Content(entry, _) => {
                    if let Some((of, at)) = header.take().filter(|(of, _)| *of == entry) {
                        let crc32 = crc32fast::hash(&content);
                        work.progress.with(|checksums| checksums.set(of, crc32));
                        let mut again = Vec::new();
                        work.plan.entries[of].header().write_local(crc32, &mut again);
                        bytes[at..at + again.len()].copy_from_slice(&again);
                    }
                    bytes.extend_from_slice(&content);
                }
                Piece::Directory => {
                    work.progress
                        .with(|checksums| Some(work.layout.write_directory(&work.plan, checksums, &mut bytes)))
                        .ok_or(Stop::Lost)??;
                }
            }
        }
        if bytes.len() as u64 != size {
            return Err(Stop::Fault(Error::Internal(anyhow!("a part of a ZIP has another size than planned"))));
        }
        Ok(bytes.into())
    }

    /// Reads a large file for its checksum, unless that is known, and stores the checksum with the file.
    async fn find_checksum(&self, work: &Work<'_>, entry: usize) -> Result<(), Stop> {
        if work.progress.with(|checksums| checksums.get(entry)).is_some() {
            return Ok(());
        }
        let (object, size) = (work.object(entry)?, work.plan.entries[entry].size);
        let (mut at, crc32) = work.progress.with(|checksums| checksums.begun(entry));
        let mut hasher = Hasher::new_with_initial_len(crc32, at);
        let step = usize::try_from(limits::ZIP_READ_BYTES).unwrap_or(usize::MAX);
        let reads = (at..size).step_by(step).map(|at| async move {
            let range = at..size.min(at + limits::ZIP_READ_BYTES);
            let permit = permit(&work.reads).await?;
            work.check_time()?;
            Ok::<_, Stop>((self.objects.get_range(object, range).await?, permit))
        });
        let mut reads = stream::iter(reads.map(Box::pin)).buffered(limits::ZIP_READS_AT_ONCE);
        while let Some((content, _permit)) = reads.try_next().await? {
            hasher.update(&content);
            at += content.len() as u64;
            work.progress.read.fetch_add(content.len() as u64, Ordering::Relaxed);
            work.progress.with(|checksums| checksums.set_begun(entry, at, hasher.clone().finalize()));
        }
        let crc32 = hasher.finalize();
        work.progress.with(|checksums| checksums.set(entry, crc32));
        // The next ZIP would read the file again.
        if let Err(error) = self.files.remember_crc32(object, crc32).await {
            tracing::warn!(error = error.cause(), "a checksum is not stored");
        }
        Ok(())
    }
}

impl Work<'_> {
    fn check_time(&self) -> Result<(), Stop> {
        if SystemTime::now() < self.end { Ok(()) } else { Err(Stop::NoTime) }
    }

    fn object(&self, entry: usize) -> Result<&Key, Stop> {
        self.plan.entries[entry].key.as_ref().ok_or(Stop::Gone)
    }

    /// True if the checksums of all entries that begin in a part are known.
    fn has_checksums(&self, part: &Part) -> bool {
        let Part::Gathered { pieces, .. } = part else { return true };
        self.progress.with(|checksums| {
            pieces.iter().all(|piece| !matches!(piece, Piece::Header(entry) if checksums.get(*entry).is_none()))
        })
    }
}

/// Adds a document to the plan, below `path`. A folder is also added to `folders`.
fn add(
    plan: &mut Plan,
    folders: &mut HashMap<FileId, Arc<str>>,
    taken: &mut Taken,
    path: &str,
    item: Item,
) -> Result<()> {
    let Item { id, name, kind, modified, .. } = item;
    let entry = match kind {
        ItemKind::OnLegacyDisk => return Ok(()),
        ItemKind::Folder => {
            let path = format!("{path}{}/", taken.take(&name, true).as_str());
            folders.insert(id, path.as_str().into());
            Entry { path, key: None, size: 0, crc32: Some(0), modified }
        }
        ItemKind::Stored { key, size, crc32 } => {
            let path = format!("{path}{}", taken.take(&name, false).as_str());
            Entry { path, key: Some(key), size, crc32, modified }
        }
    };
    plan.add(entry)
}

fn has_directory(part: &Part) -> bool {
    matches!(part, Part::Gathered { pieces, .. } if pieces.contains(&Piece::Directory))
}

/// The piece in pieces that one read may have. A small file is read at once, for its checksum.
fn in_reads(piece: &Piece) -> Vec<Piece> {
    let Piece::Content(entry, range) = piece else { return vec![piece.clone()] };
    if range.end - range.start < limits::MIN_PART_BYTES {
        return vec![piece.clone()];
    }
    let step = usize::try_from(limits::ZIP_READ_BYTES).unwrap_or(usize::MAX);
    range.clone().step_by(step).map(|at| Piece::Content(*entry, at..range.end.min(at + step as u64))).collect()
}

async fn permit(semaphore: &Semaphore) -> Result<SemaphorePermit<'_>, Stop> {
    semaphore.acquire().await.map_err(|_| Stop::NoTime)
}

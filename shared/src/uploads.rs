//! Uploads that clients send to S3 themselves: the presigned requests to send, the completion of an upload, and its
//! cancellation. The bytes never pass through a function.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use crate::{
    Error, Result,
    error::{INVALID_PARTS, SMALL_PARTS},
    files::{
        ContentKind, DeclaredSize, File, FileOrUpload, Files, Incoming, Name, NewFile, OnConflict, Parent, Pending,
        Tombstone,
    },
    ids::{FileId, TicketId, UserId},
    limits,
    stores::s3::{Key, Objects, Part, key::UploadKey, part_size},
};

mod instructions;
pub mod tickets;

pub use instructions::{Instructions, MultipartInstructions};
use tickets::FilesLeft;

/// The error text for a client that has sent more bytes than allowed.
pub const TOO_LARGE: &str = "The upload is larger than it may be: begin again with less";

/// A part as a client names it after S3's answer: its number and its `ETag`, with or without quotes.
pub type NamedPart = (u16, String);

/// A new file that a client wants to upload.
pub struct NewUpload {
    pub name: Name,
    pub is_public: bool,
    pub parent: Parent,
    pub incoming: Incoming,
    pub on_conflict: OnConflict,
}

/// The result of S3's report of a new object.
pub enum Arrival {
    /// The file is complete, now or since an earlier report.
    Complete(Box<File>),
    /// The object has been deleted meanwhile.
    Gone,
    /// No row refers to the object, so it was deleted.
    Unexpected,
    /// The object has another size than was declared, so it was deleted, and the upload canceled.
    WrongSize,
    /// The owner's quota has no room for the object, so it was deleted, and the upload canceled.
    OverQuota,
    /// The key is of no upload.
    NoUpload,
}

#[derive(Clone)]
pub struct Uploads {
    files: Files,
    objects: Objects,
    files_left: FilesLeft,
}

impl Uploads {
    pub fn new(files: Files, objects: Objects, files_left: FilesLeft) -> Self {
        Self { files, objects, files_left }
    }

    /// Begins an upload that the client sends to S3. A ticket counts the file, and gets it back if the upload does not
    /// begin.
    ///
    /// # Errors
    /// The errors of [`Files::check_parent`] and [`Files::begin_direct`]; `Conflict` if the ticket has no files left.
    pub async fn begin(&self, owner: UserId, new: NewUpload) -> Result<Pending> {
        let NewUpload { name, is_public, parent, incoming, on_conflict } = new;
        self.files.check_parent(owner, parent).await?;
        // A size that is not declared is counted when the bytes are there, and may not exceed what is left now.
        let incoming = match self.files.bytes_left(owner).await? {
            Some(left) => incoming.limited_to(left),
            None => incoming,
        };
        let (id, kind, ticket) = (FileId::new(), ContentKind::of(&name), incoming.ticket());
        let new = NewFile { id, owner, name, is_public, parent, is_repeatable: false };
        let begun = async {
            if let Some(ticket) = ticket {
                self.files_left.reserve(ticket, id).await?;
            }
            self.files.begin_direct(new, kind, incoming, on_conflict).await?.pending()
        };
        let begun = begun.await;
        if let (Err(_), Some(ticket)) = (&begun, ticket) {
            self.release_file(ticket, id).await;
        }
        begun
    }

    /// Handles S3's report of a new object: finishes the upload that the object belongs to. The report may be late or
    /// repeated. An object that no row refers to is deleted. `etag` is the object's `ETag`, without quotes.
    ///
    /// # Errors
    /// A store failed, or the folder of the file has been deleted. The report may be handled again.
    pub async fn object_created(&self, object: &str, etag: &str) -> Result<Arrival> {
        let Some(UploadKey { file: id, key, is_form }) = Key::parse_upload(object) else {
            return Ok(Arrival::NoUpload);
        };
        let put = if is_form { key.of_form() } else { key.clone() };
        let file = match self.files.stored(id).await {
            Ok(FileOrUpload::Pending(pending)) if pending.key == key => {
                let size = match self.arrived_size(&key, is_form.then_some((&put, etag))).await {
                    Err(Error::NotFound) => return Ok(Arrival::Gone),
                    size => size?,
                };
                if !pending.declared.admits(size) {
                    self.reject_object(&pending, &put).await?;
                    return Ok(Arrival::WrongSize);
                }
                match self.files.finish(&pending, size).await {
                    Err(Error::OverQuota { .. }) => {
                        self.reject_object(&pending, &put).await?;
                        return Ok(Arrival::OverQuota);
                    }
                    finished => finished?,
                }
            }
            Ok(FileOrUpload::Visible(file)) if file.has_key(&key) => file,
            // The object may have become the content of another row, or a copy may have it.
            Ok(_) | Err(Error::NotFound) => {
                let Some(file) = self.files.with_key(&key).await? else {
                    self.objects.delete(&put).await?;
                    return Ok(Arrival::Unexpected);
                };
                file
            }
            Err(error) => return Err(error),
        };
        if is_form {
            self.objects.delete(&put).await?;
        }
        // Other multipart uploads may be open under the key: a client that lost the answer to its first request to
        // create one creates another. The `ETag` of an object that a multipart upload made ends with a dash and the
        // number of parts; other `ETag`s contain no dash.
        if etag.contains('-') {
            self.objects.abort_multipart_uploads(&key).await?;
        }
        Ok(Arrival::Complete(Box::new(file)))
    }

    /// Cancels an upload whose object must not become a file. The sweeper deletes the row.
    async fn reject_object(&self, pending: &Pending, put: &Key) -> Result<()> {
        self.files.tombstone(pending).await?;
        self.objects.delete_all(&[put.clone(), pending.key.clone()]).await
    }

    /// The size of an upload's object. The object of a form, with its `ETag`, is copied first, unless an earlier one has
    /// become the file's.
    async fn arrived_size(&self, key: &Key, form: Option<(&Key, &str)>) -> Result<u64> {
        match (self.objects.size(key).await, form) {
            (Err(Error::NotFound), Some((form, etag))) => {
                // If the form's object has another `ETag` by now, the message about that newer object follows.
                self.objects.copy_if_absent(form, etag, key).await?;
                self.objects.size(key).await
            }
            (size, _) => size,
        }
    }

    /// Creates the multipart upload at S3. Concurrent attempts at the same request all get the upload of the first
    /// attempt.
    ///
    /// # Errors
    /// `NotFound` if the upload has been canceled meanwhile.
    pub async fn start_multipart(&self, pending: &mut Pending) -> Result<()> {
        let upload_id = self.objects.create_multipart_upload(&pending.key, &pending.file.name.content_type()).await?;
        if self.files.set_upload_id(pending, &upload_id).await? {
            pending.upload_id = Some(upload_id);
            return Ok(());
        }
        // No client knows this upload.
        self.objects.abort_multipart_upload(pending.key.as_str(), &upload_id).await?;
        *pending = self.files.file_or_upload_of(pending.file.owner, pending.file.id).await?.pending()?;
        Ok(())
    }

    /// Completes an upload, with the parts the client names or all. Idempotent.
    ///
    /// # Errors
    /// `Conflict` if bytes are missing, and `Invalid` if S3 does not complete the upload with these parts. Both leave
    /// the upload as it is. `Conflict` if the size is not the declared size, and `TooLarge` if it is above the limit.
    /// Both end the upload.
    pub async fn complete(&self, pending: &Pending, named: Option<&[NamedPart]>) -> Result<File> {
        let completed = match &pending.upload_id {
            Some(upload_id) => self.complete_multipart(pending, upload_id, named).await,
            None => Err(Error::NotFound),
        };
        let size = match completed {
            // There is no multipart upload, or it is completed already: the object exists, or nothing does.
            Err(Error::NotFound) => self.objects.size(&pending.key).await,
            completed => completed,
        };
        let size = match size {
            Err(Error::NotFound) => return Err(Error::Conflict("The bytes are not there: send them, then complete")),
            size => size?,
        };
        if !pending.declared.admits(size) {
            return Err(self.reject_size(pending).await?);
        }
        let file = match self.files.finish(pending, size).await {
            Err(error @ Error::OverQuota { .. }) => {
                self.cancel(pending).await?;
                return Err(error);
            }
            finished => finished?,
        };
        self.end_others(pending).await;
        Ok(file)
    }

    /// Aborts the other multipart uploads under the key of a completed one. A failure here is only logged, because the
    /// worker does the same on S3's message about the object.
    async fn end_others(&self, pending: &Pending) {
        if !pending.in_parts {
            return;
        }
        let ended = timeout(limits::S3_INLINE_TIMEOUT, self.objects.abort_multipart_uploads(&pending.key)).await;
        if let Err(error) = ended.unwrap_or_else(|_| Err(Error::timeout("S3"))) {
            tracing::warn!(
                error = error.cause(),
                file = pending.file.id.to_string(),
                "other parts were not looked for"
            );
        }
    }

    /// Makes the object from its parts, and returns its size.
    async fn complete_multipart(&self, pending: &Pending, upload_id: &str, named: Option<&[NamedPart]>) -> Result<u64> {
        if named.is_some_and(|named| named.len() > limits::MAX_PARTS.into()) {
            return Err(Error::Invalid(INVALID_PARTS));
        }
        let parts = self.objects.list_parts(&pending.key, upload_id).await?;
        let parts = match named {
            Some(named) => named_of(parts, named)?,
            None => parts,
        };
        let expected = match pending.declared {
            DeclaredSize::Exactly(size) => size.div_ceil(part_size(size)),
            DeclaredSize::AtMost(_) => 1,
        };
        if (parts.len() as u64) < expected {
            return Err(Error::Conflict("Parts are missing: send them, then complete"));
        }
        let size = parts.iter().map(|part| part.size).sum();
        if !pending.declared.admits(size) {
            return Err(self.reject_size(pending).await?);
        }
        if has_small(&parts) {
            return Err(Error::Invalid(SMALL_PARTS));
        }
        self.objects.complete_multipart_upload(&pending.key, upload_id, &parts).await?;
        Ok(size)
    }

    /// Cancels an upload of the wrong size, and returns the error for its client.
    async fn reject_size(&self, pending: &Pending) -> Result<Error> {
        self.cancel(pending).await?;
        Ok(match pending.declared {
            DeclaredSize::Exactly(_) => Error::Conflict("The size is not the one announced: begin the upload again"),
            DeclaredSize::AtMost(_) => Error::TooLarge(TOO_LARGE),
        })
    }

    /// Cancels an upload that is still pending, whatever is stored of it. Returns whether it was pending.
    pub async fn cancel(&self, pending: &Pending) -> Result<bool> {
        let Some(tombstone) = self.files.tombstone(pending).await? else { return Ok(false) };
        // An upload through a function may still be running. The sweeper removes what it stores.
        if pending.key.is_of_upload() {
            self.purge(vec![tombstone]).await?;
        }
        Ok(true)
    }

    /// Ends an upload that could not begin, and that its client does not know. S3 may be what fails, so the sweeper
    /// removes what the upload left at S3. If this call fails too, the sweeper removes everything.
    pub async fn abandon(&self, pending: &Pending) {
        let abandoned = async {
            let Some(tombstone) = self.files.tombstone(pending).await? else { return Ok(()) };
            self.give_back(&[tombstone]).await
        };
        if let Err(error) = abandoned.await {
            tracing::warn!(error = error.cause(), file = pending.file.id.to_string(), "an upload was not abandoned");
        }
    }

    /// Gives a ticket its file back for an upload that may have been counted and may have a row. If it has a row and
    /// this call fails, the sweeper gives the file back.
    async fn release_file(&self, ticket: TicketId, file: FileId) {
        if let Err(error) = self.files_left.give_back(ticket, vec![file]).await {
            tracing::warn!(error = error.cause(), file = file.to_string(), "a ticket has not got its file back");
        }
    }

    /// Gives tickets the files of failed uploads back. Idempotent.
    async fn give_back(&self, tombstones: &[Tombstone]) -> Result<()> {
        let mut by_ticket = BTreeMap::<TicketId, Vec<FileId>>::new();
        for (ticket, file) in tombstones.iter().filter_map(Tombstone::ticketed) {
            by_ticket.entry(ticket).or_default().push(file);
        }
        let releases = by_ticket.into_iter().map(|(ticket, files)| self.files_left.give_back(ticket, files));
        stream::iter(releases).buffer_unordered(limits::MONGODB_MAX_CONNECTIONS as usize).try_collect().await
    }

    /// Deletes the objects of rows with a tombstone, and then the rows. An object that another row names stays, with its
    /// thumbnails.
    pub async fn purge(&self, tombstones: Vec<Tombstone>) -> Result<()> {
        let tombstones = self.files.settle(tombstones).await?;
        self.give_back(&tombstones).await?;
        self.objects
            .abort_multipart_uploads_of(tombstones.iter().filter_map(Tombstone::multipart_key).cloned().collect())
            .await?;
        // The rows that name an object are read after all tombstones are set. A copy that is inserted later finds the
        // tombstone of its original.
        let in_use = self.files.objects_in_use(&tombstones).await?;
        let objects: Vec<Key> = tombstones.iter().flat_map(|row| row.objects(&in_use)).collect();
        for objects in objects.chunks(limits::DELETED_AT_ONCE) {
            self.objects.delete_all(objects).await?;
        }
        self.files.purge(&tombstones).await
    }
}

/// Returns the parts at S3 that a client names, by number and `ETag`.
///
/// # Errors
/// `Invalid` if a named part does not exist, or is named twice.
fn named_of(mut there: Vec<Part>, named: &[NamedPart]) -> Result<Vec<Part>> {
    let tags: HashMap<u16, &str> = named.iter().map(|(number, tag)| (*number, tag.trim_matches('"'))).collect();
    there.retain(|part| tags.get(&part.number).is_some_and(|tag| *tag == part.etag.trim_matches('"')));
    if there.len() == named.len() { Ok(there) } else { Err(Error::Invalid(INVALID_PARTS)) }
}

/// True if S3 would refuse to complete an upload with these parts, which are sorted by number, because a part is too
/// small.
fn has_small(parts: &[Part]) -> bool {
    parts
        .split_last()
        .is_some_and(|(_, all_but_last)| all_but_last.iter().any(|part| part.size < limits::MIN_PART_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(sizes: &[u64]) -> Vec<Part> {
        let part = |(at, &size): (usize, &u64)| {
            let number = u16::try_from(at + 1).unwrap();
            Part { number, size, etag: format!("\"tag-{number}\"") }
        };
        sizes.iter().enumerate().map(part).collect()
    }

    fn named(named: &[(u16, &str)]) -> Vec<NamedPart> {
        named.iter().map(|(number, tag)| (*number, (*tag).to_owned())).collect()
    }

    #[test]
    fn s3_takes_no_part_below_5_mib_but_the_last() {
        const LEAST: u64 = 5 << 20;
        for (sizes, refused) in [
            (&[][..], false),
            (&[0], false),
            (&[LEAST, 1], false),
            (&[LEAST, LEAST, 0], false),
            (&[LEAST - 1, LEAST], true),
            (&[LEAST, LEAST - 1, LEAST], true),
        ] {
            assert_eq!(has_small(&parts(sizes)), refused, "{sizes:?}");
        }
    }

    #[test]
    fn named_parts_must_exist_and_be_named_once() {
        for (by_client, numbers) in [
            (&[][..], Some(&[][..])),
            (&[(1, "tag-1")], Some(&[1])),
            (&[(3, "tag-3"), (1, "\"tag-1\"")], Some(&[1, 3])),
            (&[(1, "tag-1"), (2, "tag-2"), (3, "tag-3")], Some(&[1, 2, 3])),
            (&[(1, "tag-2")], None),
            (&[(4, "tag-4")], None),
            (&[(1, "tag-1"), (1, "tag-1")], None),
            (&[(1, "tag-1"), (1, "tag-1"), (2, "tag-2")], None),
            (&[(1, "x"), (1, "tag-1")], None),
        ] {
            let found = named_of(parts(&[1, 1, 1]), &named(by_client)).ok();
            let found = found.map(|parts| parts.iter().map(|part| part.number).collect::<Vec<_>>());
            assert_eq!(found.as_deref(), numbers, "{by_client:?}");
        }
    }
}

//! Uploads that clients bring to S3 themselves, by a function's leave: what they are to send, how an upload ends, how it
//! is given up. Only leave passes through a function, never a byte.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::bson::DateTime;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::{
    Error, Result,
    error::{INVALID_PARTS, SMALL_PARTS},
    files::{DeclaredSize, File, FileId, Files, Pending, TicketId, Tombstone},
    http::ApiUrl,
    limits,
    openapi::Timestamp,
    s3::{Key, Objects, Part, PresignedRequest, part_size},
    tickets::FilesLeft,
};

/// What a client is to send to S3.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Instructions {
    SinglePut(SinglePut),
    Multipart(MultipartInstructions),
}

/// One request with all bytes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SinglePut {
    method: &'static str,
    #[serde(flatten)]
    put: PresignedRequest,
    /// To be posted to when the bytes are there, by who does not want to wait for S3's message.
    complete_url: String,
    /// Of the signed request.
    #[schema(value_type = Timestamp)]
    expires_at: String,
}

/// A request for each part, a hundred at a time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MultipartInstructions {
    method: &'static str,
    /// In bytes, of all but the last.
    part_size: u64,
    part_count: u16,
    /// What is there already.
    #[schema(value_type = Vec<UploadedPart>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    uploaded: Option<Vec<UploadedPart>>,
    /// What is to be sent next.
    parts: Vec<SignedPart>,
    /// Where the parts that are missing then are signed.
    parts_url: String,
    complete_url: String,
    #[schema(value_type = Timestamp)]
    expires_at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UploadedPart {
    part_number: u16,
    size: u64,
    etag: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SignedPart {
    part_number: u16,
    /// Where it begins in the file, in bytes.
    offset: u64,
    size: u64,
    url: String,
}

/// The error of a client that has sent more bytes than it may.
pub const TOO_LARGE: &str = "The upload is larger than it may be: begin again with less";

/// A part as a client names it that has seen S3's answer: its number and its tag, in quotes or not.
pub type NamedPart = (u16, String);

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

    /// Has S3 expect the bytes in parts. Attempts at the same request that come at the same time all have the upload of
    /// the first of them.
    ///
    /// # Errors
    /// `NotFound` if the upload has been canceled meanwhile.
    pub async fn start_multipart(&self, pending: &mut Pending) -> Result<()> {
        let upload_id = self.objects.create_multipart_upload(&pending.key, &pending.file.name.content_type()).await?;
        if self.files.set_upload_id(pending, &upload_id).await? {
            pending.upload_id = Some(upload_id);
            return Ok(());
        }
        // Nobody else knows of this one.
        self.objects.abort_multipart_upload(pending.key.as_str(), &upload_id).await?;
        *pending = self.files.find_owned(pending.file.owner, pending.file.id).await?.pending()?;
        Ok(())
    }

    /// What the client of an upload that begins is to send.
    pub async fn instructions(&self, pending: &mut Pending, ApiUrl(api): &ApiUrl) -> Result<Instructions> {
        let DeclaredSize::Exactly(size) = pending.declared else {
            return Err(Error::Internal(anyhow::anyhow!("an upload of unknown size is not signed whole")));
        };
        if size > limits::MAX_SINGLE_PUT_BYTES {
            // The same request may have come before.
            if pending.upload_id.is_none() {
                self.start_multipart(pending).await?;
            }
            return Ok(Instructions::Multipart(self.next_parts(pending, size, None, api).await?));
        }
        Ok(Instructions::SinglePut(SinglePut {
            method: "PUT",
            put: self.objects.presign_put(&pending.key, &pending.file.name.content_type(), size).await?,
            complete_url: format!("{api}/files/{}/complete", pending.file.id.0.to_hex()),
            expires_at: presigned_until()?,
        }))
    }

    /// What is there of an upload in parts, and what is to be sent next.
    ///
    /// # Errors
    /// `NotFound` if it does not come in parts of a known size.
    pub async fn missing_parts(&self, pending: &Pending, ApiUrl(api): &ApiUrl) -> Result<MultipartInstructions> {
        let (Some(upload_id), DeclaredSize::Exactly(size)) = (&pending.upload_id, pending.declared) else {
            return Err(Error::NotFound);
        };
        let there = self.objects.list_parts(&pending.key, upload_id).await?;
        self.next_parts(pending, size, Some(there), api).await
    }

    async fn next_parts(
        &self,
        pending: &Pending,
        size: u64,
        there: Option<Vec<Part>>,
        api: &str,
    ) -> Result<MultipartInstructions> {
        let upload_id = pending.upload_id.as_deref().ok_or(Error::NotFound)?;
        let part_size = part_size(size);
        let part_count = u16::try_from(size.div_ceil(part_size)).unwrap_or(limits::MAX_PARTS);
        let numbers: HashSet<u16> = there.iter().flatten().map(|part| part.number).collect();
        let mut parts = Vec::new();
        for part_number in
            (1..=part_count).filter(|number| !numbers.contains(number)).take(limits::SIGNED_PARTS_PER_REQUEST)
        {
            let offset = u64::from(part_number - 1) * part_size;
            let size = part_size.min(size - offset);
            let url = self.objects.presign_upload_part(&pending.key, upload_id, part_number, Some(size)).await?;
            parts.push(SignedPart { part_number, offset, size, url });
        }
        let id = pending.file.id.0.to_hex();
        let uploaded = |Part { number, size, etag }| UploadedPart { part_number: number, size, etag };
        Ok(MultipartInstructions {
            method: "PUT",
            part_size,
            part_count,
            uploaded: there.map(|there| there.into_iter().map(uploaded).collect()),
            parts,
            parts_url: format!("{api}/files/{id}/parts"),
            complete_url: format!("{api}/files/{id}/complete"),
            expires_at: presigned_until()?,
        })
    }

    /// The client has sent everything; of an upload in parts these, where it names them, else all. The same again is the
    /// same.
    ///
    /// # Errors
    /// `Conflict` if bytes are missing and `Invalid` if S3 does not join these parts, which both leave the upload as it is;
    /// `Conflict` if there are other bytes than declared, and `TooLarge` if there are more than it may have, which both end
    /// it.
    pub async fn complete(&self, pending: &Pending, named: Option<&[NamedPart]>) -> Result<File> {
        let joined = match &pending.upload_id {
            Some(upload_id) => self.complete_multipart(pending, upload_id, named).await,
            None => Err(Error::NotFound),
        };
        let size = match joined {
            // There are no parts, or no longer: the object is there, or nothing is.
            Err(Error::NotFound) => self.objects.size(&pending.key).await,
            joined => joined,
        };
        let size = match size {
            Err(Error::NotFound) => return Err(Error::Conflict("The bytes are not there: send them, then complete")),
            size => size?,
        };
        if !pending.declared.admits(size) {
            return Err(self.reject_size(pending).await?);
        }
        let file = match self.files.finish(pending, size).await? {
            Some(file) => file,
            // S3's message was quicker, or the sweeper.
            None => self.files.find(pending.file.id).await?,
        };
        self.end_others(pending).await;
        Ok(file)
    }

    /// Ends what else was begun under the key of an upload in parts that is complete. What fails here is only said in the
    /// log: the worker does the same when S3 tells it of the object.
    async fn end_others(&self, pending: &Pending) {
        if !pending.in_parts {
            return;
        }
        let ended = timeout(limits::S3_INLINE_TIMEOUT, self.objects.abort_multipart_uploads(&pending.key)).await;
        if let Err(error) = ended.unwrap_or_else(|_| Err(Error::timeout("S3"))) {
            tracing::warn!(error = error.cause(), file = pending.file.id.0.to_hex(), "other parts were not looked for");
        }
    }

    /// Makes the object of its parts; how large it is.
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

    /// Ends an upload whose bytes are not as many as they should; what its client is told.
    async fn reject_size(&self, pending: &Pending) -> Result<Error> {
        self.cancel(pending).await?;
        Ok(match pending.declared {
            DeclaredSize::Exactly(_) => Error::Conflict("The size is not the one announced: begin the upload again"),
            DeclaredSize::AtMost(_) => Error::TooLarge(TOO_LARGE),
        })
    }

    /// Ends an upload that is pending still, whatever has come of it; whether it was.
    pub async fn cancel(&self, pending: &Pending) -> Result<bool> {
        let Some(tombstone) = self.files.tombstone(pending).await? else { return Ok(false) };
        // One that comes through a function is on its way still; the sweeper takes what will have come.
        if pending.key.is_of_upload() {
            self.purge(&[tombstone]).await?;
        }
        Ok(true)
    }

    /// Ends an upload that could not begin, of which its client knows nothing. What may have come of it at S3, which may be
    /// what fails, is left to the sweeper, and so is everything if this fails too.
    pub async fn abandon(&self, pending: &Pending) {
        let abandoned = async {
            let Some(tombstone) = self.files.tombstone(pending).await? else { return Ok(()) };
            self.give_back(&[tombstone]).await
        };
        if let Err(error) = abandoned.await {
            tracing::warn!(error = error.cause(), file = pending.file.id.0.to_hex(), "an upload was not abandoned");
        }
    }

    /// Gives a ticket its file back for an upload that may have been counted and may have a row. If it has one, and this
    /// fails, the sweeper gives the file back.
    pub async fn release_file(&self, ticket: TicketId, file: FileId) {
        if let Err(error) = self.files_left.give_back(ticket, vec![file]).await {
            tracing::warn!(error = error.cause(), file = file.0.to_hex(), "a ticket has not got its file back");
        }
    }

    /// Gives the tickets of uploads that came to nothing their files back; done twice it is the same as done once.
    async fn give_back(&self, tombstones: &[Tombstone]) -> Result<()> {
        let mut by_ticket = BTreeMap::<TicketId, Vec<FileId>>::new();
        for (ticket, file) in tombstones.iter().filter_map(Tombstone::ticketed) {
            by_ticket.entry(ticket).or_default().push(file);
        }
        let given_back = by_ticket.into_iter().map(|(ticket, files)| self.files_left.give_back(ticket, files));
        stream::iter(given_back).buffer_unordered(limits::MONGODB_MAX_CONNECTIONS as usize).try_collect().await
    }

    /// Deletes the objects of rows with a tombstone, and then the rows.
    pub async fn purge(&self, tombstones: &[Tombstone]) -> Result<()> {
        self.give_back(tombstones).await?;
        self.objects
            .abort_multipart_uploads_of(tombstones.iter().filter_map(Tombstone::multipart_key).cloned().collect())
            .await?;
        let objects: Vec<Key> = tombstones.iter().flat_map(Tombstone::objects).collect();
        for objects in objects.chunks(limits::DELETED_AT_ONCE) {
            self.objects.delete_all(objects).await?;
        }
        self.files.purge(tombstones).await
    }
}

/// When what is signed now expires.
fn presigned_until() -> Result<String> {
    let expiry = DateTime::from_system_time(std::time::SystemTime::now() + limits::UPLOAD_URL_TTL);
    expiry.try_to_rfc3339_string().map_err(|error| Error::Internal(error.into()))
}

/// The parts at S3 that a client names, by number and tag.
///
/// # Errors
/// `Invalid` if one is named that is not there, or twice.
fn named_of(mut there: Vec<Part>, named: &[NamedPart]) -> Result<Vec<Part>> {
    let tags: HashMap<u16, &str> = named.iter().map(|(number, tag)| (*number, tag.trim_matches('"'))).collect();
    there.retain(|part| tags.get(&part.number).is_some_and(|tag| *tag == part.etag.trim_matches('"')));
    if there.len() == named.len() { Ok(there) } else { Err(Error::Invalid(INVALID_PARTS)) }
}

/// Whether S3 would refuse to join these parts, which stand in the order of their numbers, for one that is too small.
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
    fn s3_joins_no_part_below_5_mib_but_the_last() {
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
    fn a_client_names_parts_that_are_there_and_each_once() {
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

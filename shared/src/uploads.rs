//! Uploads that clients bring to S3 themselves, by a function's leave: what they are to send, how an upload ends, how it
//! is given up. Only leave passes through a function, never a byte.

use mongodb::bson::DateTime;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Error, Result,
    api::ApiUrl,
    files::{Announced, Doomed, File, Files, Pending},
    limits,
    objects::{Key, Objects, Part, Signed, part_size},
    openapi::Moment,
};

/// What a client is to send to S3.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Instructions {
    Whole(Whole),
    InParts(InParts),
}

/// One request with all bytes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Whole {
    method: &'static str,
    #[serde(flatten)]
    put: Signed,
    /// To be posted to when the bytes are there, by who does not want to wait for S3's message.
    complete_url: String,
    /// Of the signed request.
    #[schema(value_type = Moment)]
    expires_at: String,
}

/// A request for each part, a hundred at a time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InParts {
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
    #[schema(value_type = Moment)]
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

/// A part as a client names it that has seen S3's answer: its number and its tag, in quotes or not.
pub type NamedPart = (u16, String);

#[derive(Clone)]
pub struct Uploads {
    files: Files,
    objects: Objects,
}

impl Uploads {
    pub fn new(files: Files, objects: Objects) -> Self {
        Self { files, objects }
    }

    /// Has S3 expect the bytes in parts.
    pub async fn in_parts(&self, pending: &mut Pending) -> Result<()> {
        let upload_id = self.objects.begin_parts(&pending.key, &pending.file.name.content_type()).await?;
        let remembered = self.files.comes_in_parts(pending, upload_id).await;
        if let Err(Error::NotFound) = remembered {
            // It has been given up meanwhile, and nobody knows of the parts.
            self.objects.abort(&pending.key).await?;
        }
        remembered
    }

    /// What the client of an upload that begins is to send.
    pub async fn instructions(&self, pending: &mut Pending, ApiUrl(api): &ApiUrl) -> Result<Instructions> {
        let Announced::Exactly(size) = pending.announced else {
            return Err(Error::Internal(anyhow::anyhow!("an upload of unknown size is not signed whole")));
        };
        if size > limits::SINGLE_BYTES {
            // The same request may have come before.
            if pending.upload_id.is_none() {
                self.in_parts(pending).await?;
            }
            return Ok(Instructions::InParts(self.next_parts(pending, size, None, api).await?));
        }
        Ok(Instructions::Whole(Whole {
            method: "PUT",
            put: self.objects.signed_put(&pending.key, &pending.file.name.content_type(), size).await?,
            complete_url: format!("{api}/files/{}/complete", pending.file.id.0.to_hex()),
            expires_at: url_expiry()?,
        }))
    }

    /// What is there of an upload in parts, and what is to be sent next.
    ///
    /// # Errors
    /// `NotFound` if it does not come in parts of a known size.
    pub async fn missing_parts(&self, pending: &Pending, ApiUrl(api): &ApiUrl) -> Result<InParts> {
        let (Some(upload_id), Announced::Exactly(size)) = (&pending.upload_id, pending.announced) else {
            return Err(Error::NotFound);
        };
        let there = self.objects.parts(&pending.key, upload_id).await?;
        self.next_parts(pending, size, Some(there), api).await
    }

    async fn next_parts(&self, pending: &Pending, size: u64, there: Option<Vec<Part>>, api: &str) -> Result<InParts> {
        let upload_id = pending.upload_id.as_deref().ok_or(Error::NotFound)?;
        let part_size = part_size(size);
        let part_count = u16::try_from(size.div_ceil(part_size)).unwrap_or(limits::PARTS);
        let is_there = |number| there.iter().flatten().any(|part| part.number == number);
        let mut parts = Vec::new();
        for part_number in (1..=part_count).filter(|&number| !is_there(number)).take(limits::SIGNED_PARTS) {
            let offset = u64::from(part_number - 1) * part_size;
            let size = part_size.min(size - offset);
            let url = self.objects.signed_part(&pending.key, upload_id, part_number, Some(size)).await?;
            parts.push(SignedPart { part_number, offset, size, url });
        }
        let id = pending.file.id.0.to_hex();
        let uploaded = |Part { number, size, etag }| UploadedPart { part_number: number, size, etag };
        Ok(InParts {
            method: "PUT",
            part_size,
            part_count,
            uploaded: there.map(|there| there.into_iter().map(uploaded).collect()),
            parts,
            parts_url: format!("{api}/files/{id}/parts"),
            complete_url: format!("{api}/files/{id}/complete"),
            expires_at: url_expiry()?,
        })
    }

    /// The client has sent everything; of an upload in parts these, where it names them, else all. The same again is the
    /// same.
    ///
    /// # Errors
    /// `Conflict` if bytes are missing, which leaves the upload as it is, and if there are others than announced, which
    /// ends it; `TooLarge` if there are more than it may have, which ends it too.
    pub async fn complete(&self, pending: &Pending, named: Option<&[NamedPart]>) -> Result<File> {
        let joined = match &pending.upload_id {
            Some(upload_id) => self.join(pending, upload_id, named).await,
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
        if !pending.announced.admits(size) {
            return Err(self.refuse(pending).await?);
        }
        match self.files.finish(pending, size).await? {
            Some(file) => Ok(file),
            // S3's message was quicker, or the sweeper.
            None => self.files.find(pending.file.id).await,
        }
    }

    /// Makes the object of its parts; how large it is.
    async fn join(&self, pending: &Pending, upload_id: &str, named: Option<&[NamedPart]>) -> Result<u64> {
        let mut parts = self.objects.parts(&pending.key, upload_id).await?;
        if let Some(named) = named {
            let tag_of =
                |number| named.iter().find(|(named, _)| *named == number).map(|(_, tag)| tag.trim_matches('"'));
            parts.retain(|part| tag_of(part.number).is_some_and(|tag| tag == part.etag.trim_matches('"')));
            if parts.len() != named.len() {
                return Err(Error::Invalid("Invalid parts"));
            }
        }
        let expected = match pending.announced {
            Announced::Exactly(size) => size.div_ceil(part_size(size)),
            Announced::AtMost(_) => 1,
        };
        if (parts.len() as u64) < expected {
            return Err(Error::Conflict("Parts are missing: send them, then complete"));
        }
        let size = parts.iter().map(|part| part.size).sum();
        if !pending.announced.admits(size) {
            return Err(self.refuse(pending).await?);
        }
        self.objects.join(&pending.key, upload_id, &parts).await?;
        Ok(size)
    }

    /// Ends an upload whose bytes are not as many as they should; what its client is told.
    async fn refuse(&self, pending: &Pending) -> Result<Error> {
        self.give_up(pending).await?;
        Ok(match pending.announced {
            Announced::Exactly(_) => Error::Conflict("The size is not the one announced: begin the upload again"),
            Announced::AtMost(_) => Error::TooLarge("The upload is larger than it may be: begin again with less"),
        })
    }

    /// Ends an upload that is pending still, whatever has come of it; whether it was.
    pub async fn give_up(&self, pending: &Pending) -> Result<bool> {
        let Some(doomed) = self.files.bury(pending).await? else { return Ok(false) };
        // One that comes through a function is on its way still; the sweeper takes what will have come.
        if pending.key.is_of_upload() {
            self.remove(&[doomed]).await?;
        }
        Ok(true)
    }

    /// Deletes the objects of rows with a tombstone, and then the rows.
    pub async fn remove(&self, doomed: &[Doomed]) -> Result<()> {
        for key in doomed.iter().filter_map(Doomed::parts) {
            self.objects.abort(key).await?;
        }
        let objects: Vec<Key> = doomed.iter().flat_map(Doomed::objects).collect();
        for objects in objects.chunks(limits::DELETED_AT_ONCE) {
            self.objects.delete_all(objects).await?;
        }
        self.files.forget(doomed).await
    }
}

/// When what is signed now expires.
fn url_expiry() -> Result<String> {
    let expiry = DateTime::from_system_time(std::time::SystemTime::now() + limits::UPLOAD_URL);
    expiry.try_to_rfc3339_string().map_err(|error| Error::Internal(error.into()))
}

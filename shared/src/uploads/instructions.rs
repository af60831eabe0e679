//! The presigned requests that the client of an upload has to send.

use std::collections::HashSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::Uploads;
use crate::{
    Error, Result,
    files::{DeclaredSize, Pending},
    limits,
    stores::s3::{Part, PresignedRequest, part_size},
    time::Timestamp,
};

/// The requests that a client has to send to S3.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Instructions {
    SinglePut(SinglePut),
    Multipart(MultipartInstructions),
}

/// One request for all bytes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SinglePut {
    method: &'static str,
    #[serde(flatten)]
    put: PresignedRequest,
    /// Post to this URL when the bytes are at S3. Without it, the upload completes when S3 sends its message.
    complete_url: String,
    /// The expiry of the presigned request.
    expires_at: Timestamp,
}

/// A request for each part, a hundred requests at a time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MultipartInstructions {
    method: &'static str,
    /// The size of every part but the last, in bytes.
    part_size: u64,
    part_count: u16,
    /// The parts that S3 has already.
    #[schema(value_type = Vec<UploadedPart>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    uploaded: Option<Vec<UploadedPart>>,
    /// The parts to send next.
    parts: Vec<SignedPart>,
    /// The URL that signs the parts that are still missing after these.
    parts_url: String,
    complete_url: String,
    expires_at: Timestamp,
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
    /// The offset of the part in the file, in bytes.
    offset: u64,
    size: u64,
    url: String,
}

impl Uploads {
    /// The requests that the client of a new upload has to send.
    pub async fn instructions(&self, pending: &mut Pending, api: &str) -> Result<Instructions> {
        let DeclaredSize::Exactly(size) = pending.declared else {
            return Err(Error::Internal(anyhow::anyhow!("an upload of unknown size is not signed whole")));
        };
        if size > limits::MAX_SINGLE_PUT_BYTES {
            // An earlier attempt at the same request may have created the multipart upload.
            if pending.upload_id.is_none() {
                self.start_multipart(pending).await?;
            }
            return Ok(Instructions::Multipart(self.next_parts(pending, size, None, api).await?));
        }
        Ok(Instructions::SinglePut(SinglePut {
            method: "PUT",
            put: self.objects.presign_put(&pending.key, &pending.file.name.content_type(), size).await?,
            complete_url: format!("{api}/files/{}/complete", pending.file.id),
            expires_at: presigned_until(),
        }))
    }

    /// The uploaded parts of a multipart upload, and the requests for the next missing parts.
    ///
    /// # Errors
    /// `NotFound` if it is no multipart upload of a known size.
    pub async fn missing_parts(&self, pending: &Pending, api: &str) -> Result<MultipartInstructions> {
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
        let id = pending.file.id;
        let uploaded = |Part { number, size, etag }| UploadedPart { part_number: number, size, etag };
        Ok(MultipartInstructions {
            method: "PUT",
            part_size,
            part_count,
            uploaded: there.map(|there| there.into_iter().map(uploaded).collect()),
            parts,
            parts_url: format!("{api}/files/{id}/parts"),
            complete_url: format!("{api}/files/{id}/complete"),
            expires_at: presigned_until(),
        })
    }
}

/// The expiry of requests that are presigned now.
fn presigned_until() -> Timestamp {
    Timestamp::now() + limits::UPLOAD_URL_TTL
}

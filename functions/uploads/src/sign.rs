//! Requests that a page sends to S3 itself, presigned one at a time for Uppy's `signRequest`. Only S3's message tells
//! us of the outcome.

use serde::Serialize;
use shared::{
    Error, Result,
    files::{FileOrUpload, Incoming, OnConflict, Parent, Pending},
    http::body::{Fields, Scalar},
    ids::UserId,
    limits,
    stores::s3::{Key, PresignedPost, PresignedRequest, key::UploadKey},
    uploads::NewUpload,
};
use utoipa::ToSchema;

use crate::App;

/// The body of `POST /uploads/sign`.
pub enum SignRequest {
    /// Puts a whole file.
    Put(NewUpload),
    /// Begins a multipart upload.
    Begin(NewUpload),
    Part {
        key: String,
        upload_id: String,
        number: u16,
    },
    List {
        key: String,
        upload_id: String,
    },
    Join {
        key: String,
        upload_id: String,
    },
    Abort {
        key: String,
        upload_id: String,
    },
}

impl TryFrom<Fields> for SignRequest {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self> {
        let method = fields.text("method").ok_or(Error::Invalid("Missing method"))?;
        let key = fields.text("key").ok_or(Error::Invalid("Missing key"))?;
        let (upload_id, number) = (fields.text("uploadId"), fields.take("partNumber"));
        let number = number.as_integer().and_then(|number| number.try_into().ok());
        let number = number.filter(|number| (1..=limits::MAX_PARTS).contains(number));
        match (method.as_str(), upload_id, number) {
            ("PUT", Some(upload_id), Some(number)) => Ok(Self::Part { key, upload_id, number }),
            ("PUT", None, None) => {
                Ok(Self::Put(new_upload(&key, fields, Incoming::by_form(limits::MAX_SINGLE_PUT_BYTES))?))
            }
            ("POST", None, _) => Ok(Self::Begin(new_upload(&key, fields, Incoming::in_parts(limits::MAX_FILE_BYTES))?)),
            ("POST", Some(upload_id), _) => Ok(Self::Join { key, upload_id }),
            ("GET", Some(upload_id), _) => Ok(Self::List { key, upload_id }),
            ("DELETE", Some(upload_id), _) => Ok(Self::Abort { key, upload_id }),
            ("PUT", ..) => Err(Error::Invalid("Invalid part: uploadId, and partNumber from 1 to 10000")),
            ("GET" | "DELETE", ..) => Err(Error::Invalid("Missing uploadId")),
            _ => Err(Error::Invalid("Invalid method: PUT, POST, GET or DELETE")),
        }
    }
}

/// A page may add `name`, `parentId` and `isPublic` to the fields of Uppy.
fn new_upload(key: &str, mut fields: Fields, incoming: Incoming) -> Result<NewUpload> {
    let name = fields.text("name");
    Ok(NewUpload {
        name: name.as_deref().unwrap_or_else(|| name_in(key)).parse()?,
        is_public: fields.take("isPublic") == Scalar::Bool(true),
        parent: Parent::try_from(fields.take("parentId"))?,
        on_conflict: fields.on_conflict(OnConflict::Keep)?,
        incoming,
    })
}

/// The name in a key of Uppy, which consists of a UUID, a dash and the name.
fn name_in(key: &str) -> &str {
    const UUID: usize = 36;
    let is_uuid = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    match key.split_at_checked(UUID) {
        Some((uuid, rest)) if is_uuid(uuid) && rest.len() > 1 => rest.strip_prefix('-').unwrap_or(key),
        _ => key,
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SignedForUppy)]
#[serde(untagged)]
pub enum SignedRequest {
    /// A form. Post it with the bytes in a field `file` after these fields.
    PresignedPost(PresignedPost),
    Url {
        #[serde(flatten)]
        signed: PresignedRequest,
        /// The key of the object, for the requests that follow.
        key: Key,
    },
}

impl App {
    pub async fn sign(&self, owner: UserId, request: SignRequest) -> Result<SignedRequest> {
        let (signed, key) = match request {
            SignRequest::Put(upload) => {
                let pending = self.uploads.begin(owner, upload).await?;
                let content_type = pending.file.name.content_type();
                let form =
                    self.objects.presign_post(&pending.key.of_form(), &content_type, pending.declared.most()).await?;
                return Ok(SignedRequest::PresignedPost(form));
            }
            SignRequest::Begin(upload) => {
                let pending = self.uploads.begin(owner, upload).await?;
                let content_type = pending.file.name.content_type();
                (self.objects.presign_create_multipart_upload(&pending.key, &content_type).await?, pending.key)
            }
            SignRequest::Part { key, upload_id, number } => {
                let Pending { key, .. } = self.find_upload(owner, &key).await?;
                let url = self.objects.presign_upload_part(&key, &upload_id, number, None).await?;
                (PresignedRequest { url, headers: Vec::new() }, key)
            }
            SignRequest::List { key, upload_id } => {
                let Pending { key, .. } = self.find_upload(owner, &key).await?;
                (self.objects.presign_multipart_upload("GET", &key, &upload_id).await?, key)
            }
            SignRequest::Join { key, upload_id } => {
                let Pending { key, .. } = self.find_upload(owner, &key).await?;
                (self.objects.presign_complete_multipart_upload(&key, &upload_id).await?, key)
            }
            SignRequest::Abort { key, upload_id } => {
                let pending = self.find_upload(owner, &key).await?;
                // Nobody tells us whether the page sends the request, so the sweeper removes the upload.
                self.files.expire(&pending).await?;
                (self.objects.presign_multipart_upload("DELETE", &pending.key, &upload_id).await?, pending.key)
            }
        };
        Ok(SignedRequest::Url { signed, key })
    }

    /// The pending upload of this user under that key.
    async fn find_upload(&self, owner: UserId, key: &str) -> Result<Pending> {
        let Some(UploadKey { file, key, is_form: false }) = Key::parse_upload(key) else { return Err(Error::NotFound) };
        match self.files.file_or_upload_of(owner, file).await? {
            FileOrUpload::Pending(pending) if pending.key == key => Ok(pending),
            FileOrUpload::Pending(_) | FileOrUpload::Visible(_) => Err(Error::NotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_the_uuid_of_a_key() {
        let uuid = "0b0e9a1c-6f8a-4d43-9c1e-2b6a5f3d7e10";
        for (key, name) in [
            (format!("{uuid}-small.txt"), "small.txt"),
            (format!("{uuid}-"), &*format!("{uuid}-")),
            ("small.txt".into(), "small.txt"),
            (format!("x{uuid}-a"), &*format!("x{uuid}-a")),
        ] {
            assert_eq!(name_in(&key), name);
        }
    }
}

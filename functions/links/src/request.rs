//! The bodies of requests about links.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use shared::{
    Error, Result,
    accounts::passwords::Password,
    http::{
        body::Scalar,
        upload_limits::{count, max_bytes, max_files, media_types, number},
    },
    ids::UserId,
    limits,
    links::{Change, NewKind, NewLink, UploadLimits},
    time::Timestamp,
};

/// The body of `POST /links`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinkRequest {
    file_id: Scalar,
    kind: Scalar,
    password: Scalar,
    expires_in: Scalar,
    max_downloads: Scalar,
    max_bytes: Scalar,
    max_files: Scalar,
    types: Option<Vec<String>>,
}

impl LinkRequest {
    pub fn checked(self, owner: UserId) -> Result<NewLink> {
        let file = match self.file_id {
            Scalar::Text(id) if !id.is_empty() => id,
            _ => return Err(Error::Invalid("Missing fileId")),
        };
        let max_downloads = max_downloads(&self.max_downloads)?;
        let uploads = UploadLimits {
            max_bytes: max_bytes(&self.max_bytes)?.unwrap_or(limits::MAX_FILE_BYTES),
            max_files: max_files(&self.max_files)?,
            types: media_types(self.types.unwrap_or_default())?,
        };
        let kind = match self.kind {
            Scalar::Null => NewKind::Download { max_downloads },
            Scalar::Text(kind) if kind == "download" => NewKind::Download { max_downloads },
            Scalar::Text(kind) if kind == "upload" => NewKind::Upload(uploads),
            _ => return Err(Error::Invalid("Invalid kind")),
        };
        let (password, expires_at) = (password(self.password)?, expires_at(&self.expires_in)?);
        Ok(NewLink { owner, file: file.parse()?, kind, password, expires_at })
    }
}

/// The body of `PATCH /links/{id}`: the fields that are there.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChangeRequest {
    #[serde(deserialize_with = "present")]
    password: Option<Scalar>,
    #[serde(deserialize_with = "present")]
    expires_in: Option<Scalar>,
    #[serde(deserialize_with = "present")]
    max_downloads: Option<Scalar>,
    #[serde(deserialize_with = "present")]
    max_bytes: Option<Scalar>,
    #[serde(deserialize_with = "present")]
    max_files: Option<Scalar>,
    #[serde(deserialize_with = "types")]
    types: Option<Vec<String>>,
}

impl ChangeRequest {
    pub fn checked(self) -> Result<Change> {
        Ok(Change {
            password: self.password.map(password).transpose()?,
            expires_at: self.expires_in.as_ref().map(expires_at).transpose()?,
            max_downloads: self.max_downloads.as_ref().map(max_downloads).transpose()?,
            max_bytes: self.max_bytes.as_ref().map(max_bytes).transpose()?,
            max_files: self.max_files.as_ref().map(max_files).transpose()?,
            types: self.types.map(media_types).transpose()?,
        })
    }
}

/// A field that is there, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Scalar>, D::Error> {
    Scalar::deserialize(field).map(Some)
}

/// The field `types`, if it is there. `null` removes the limit.
fn types<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Some(Option::deserialize(field)?.unwrap_or_default()))
}

fn password(field: Scalar) -> Result<Option<Password>> {
    match field {
        Scalar::Null => Ok(None),
        Scalar::Text(text) if !text.is_empty() => text.parse().map(Some),
        _ => Err(Error::Invalid("Invalid password")),
    }
}

fn expires_at(field: &Scalar) -> Result<Option<Timestamp>> {
    let seconds = 1..=limits::MAX_LINK_SECONDS.into();
    let seconds = number(field, "Invalid expiresIn: 1 to 315360000 seconds", seconds)?;
    Ok(seconds.map(|seconds| Timestamp::now() + Duration::from_secs(seconds)))
}

fn max_downloads(field: &Scalar) -> Result<Option<u32>> {
    count(field, "Invalid maxDownloads")
}

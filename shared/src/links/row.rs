//! The documents of collection `links`. Only this module has the names of their fields.

use mongodb::{
    Database, IndexModel,
    bson::{Bson, Document, doc, oid::ObjectId},
};
use serde::{Deserialize, Serialize};

use super::{Kind, Link, UploadLimits};
use crate::{
    ids::{FileId, LinkId, TicketId, UserId},
    limits,
    stores::mongo::Indexed,
    time::Timestamp,
};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    #[serde(rename = "_id")]
    id: LinkId,
    user_id: UserId,
    file_id: FileId,
    kind: StoredKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_downloads: Option<u32>,
    #[serde(default)]
    downloads: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_bytes: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_files: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    types: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticket_id: Option<TicketId>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredKind {
    Download,
    Upload,
}

/// The fields that a revocation needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    #[serde(rename = "_id")]
    pub id: LinkId,
    #[serde(default)]
    pub ticket_id: Option<TicketId>,
}

pub fn collection(database: &Database) -> Indexed<Row> {
    Indexed::new(database.collection("links"), || vec![IndexModel::builder().keys(by_file()).build()])
}

impl From<Link> for Row {
    fn from(link: Link) -> Self {
        let (kind, max_downloads, uploads) = match link.kind {
            Kind::Download { max_downloads } => (StoredKind::Download, max_downloads, None),
            Kind::Upload { limits, ticket } => (StoredKind::Upload, None, Some((limits, ticket))),
        };
        let (uploads, ticket_id) = uploads.unzip();
        Self {
            id: link.id,
            user_id: link.owner,
            file_id: link.file,
            kind,
            password: link.password,
            expires_at: link.expires_at,
            max_downloads,
            downloads: link.downloads.try_into().unwrap_or(i64::MAX),
            last_used_at: link.last_used_at,
            max_bytes: uploads.as_ref().map(|limits| stored_bytes(limits.max_bytes)),
            max_files: uploads.as_ref().and_then(|limits| limits.max_files),
            types: uploads.map(|limits| limits.types).unwrap_or_default(),
            ticket_id,
        }
    }
}

impl From<Row> for Link {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            owner: row.user_id,
            file: row.file_id,
            kind: match (row.kind, row.ticket_id) {
                (StoredKind::Upload, Some(ticket)) => Kind::Upload {
                    limits: UploadLimits {
                        max_bytes: row
                            .max_bytes
                            .and_then(|most| most.try_into().ok())
                            .unwrap_or(limits::MAX_FILE_BYTES),
                        max_files: row.max_files,
                        types: row.types,
                    },
                    ticket,
                },
                _ => Kind::Download { max_downloads: row.max_downloads },
            },
            password: row.password,
            expires_at: row.expires_at,
            downloads: row.downloads.try_into().unwrap_or_default(),
            last_used_at: row.last_used_at,
        }
    }
}

fn stored_bytes(bytes: u64) -> i64 {
    bytes.try_into().unwrap_or(i64::MAX)
}

fn by_file() -> Document {
    doc! { "userId": 1, "fileId": 1, "_id": 1 }
}

pub fn newest_first() -> Document {
    doc! { "_id": -1 }
}

/// All fields but the claims, which only a count needs.
pub fn without_claims() -> Document {
    doc! { "counted": 0 }
}

/// The fields of [`Revoked`].
pub fn only_revoked() -> Document {
    doc! { "_id": 1, "ticketId": 1 }
}

pub fn link(id: LinkId) -> Document {
    doc! { "_id": id }
}

pub fn link_of(owner: UserId, id: LinkId) -> Document {
    doc! { "_id": id, "userId": owner }
}

pub fn links_of(owner: UserId, file: Option<FileId>) -> Document {
    let mut links = doc! { "userId": owner };
    links.extend(file.map(|file| ("fileId".to_owned(), file.into())));
    links
}

pub fn links_of_files(owner: UserId, files: &[FileId]) -> Document {
    doc! { "userId": owner, "fileId": { "$in": files } }
}

pub fn links(ids: &[LinkId]) -> Document {
    doc! { "_id": { "$in": ids } }
}

/// Sets what may change of a link.
pub fn change(link: &Link) -> Document {
    let mut set = Document::new();
    let mut unset = Document::new();
    let mut put = |field: &str, value: Option<Bson>| match value {
        Some(value) => drop(set.insert(field, value)),
        None => drop(unset.insert(field, "")),
    };
    put("password", link.password.clone().map(Bson::from));
    put("expiresAt", link.expires_at.map(Bson::from));
    match &link.kind {
        Kind::Download { max_downloads } => put("maxDownloads", max_downloads.map(|most| Bson::Int64(most.into()))),
        Kind::Upload { limits, .. } => {
            put("maxBytes", Some(stored_bytes(limits.max_bytes).into()));
            put("maxFiles", limits.max_files.map(|most| Bson::Int64(most.into())));
            put("types", Some(limits.types.clone().into()));
        }
    }
    let mut update = Document::new();
    for (operator, fields) in [("$set", set), ("$unset", unset)] {
        if !fields.is_empty() {
            update.insert(operator, fields);
        }
    }
    update
}

pub fn use_now() -> Document {
    doc! { "$set": { "lastUsedAt": Timestamp::now() } }
}

/// The link, if it has a download left, or has counted this claim already.
pub fn admitting(id: LinkId, claim: ObjectId) -> Document {
    let has_one_left = doc! { "$expr": { "$lt": ["$downloads", "$maxDownloads"] } };
    doc! { "_id": id, "$or": [{ "counted": claim }, { "maxDownloads": null }, has_one_left] }
}

/// Counts a download, unless this claim has been counted. The update writes in both cases, so that `MongoDB`'s
/// acknowledgement covers an earlier count as well.
pub fn count(claim: ObjectId) -> Vec<Document> {
    let counted = doc! { "$ifNull": ["$counted", []] };
    let is_counted = doc! { "$in": [claim, &counted] };
    let newest = doc! { "$slice": [{ "$concatArrays": [&counted, [claim]] }, -i64::from(limits::CLAIMS_KEPT)] };
    vec![doc! { "$set": {
        "downloads": { "$add": ["$downloads", { "$cond": [&is_counted, 0_i64, 1_i64] }] },
        "counted": { "$cond": [is_counted, counted, newest] },
        "lastUsedAt": Timestamp::now(),
    } }]
}

//! Bearer tokens that let a client without a session upload for a user: a page's visitors, and clients that send no
//! header. Id, expiry and MAC are in the token, so signing a part needs no database read. Collection `tickets` holds
//! the limits of each ticket; a ticket is revoked by deleting its document.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::TryStreamExt;
use hmac::{Hmac, Mac};
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Bson, doc, oid::ObjectId},
    options::IndexOptions,
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    Config, Error, Result,
    digest::MacKey,
    files::{Name, OnConflict, Parent},
    ids::{FileId, LinkId, TicketId, UserId},
    limits,
    stores::{
        mongo::{Indexed, run},
        s3::Key,
    },
    time::Timestamp,
};

/// A ticket with a valid MAC that has not expired, but may have been revoked.
#[derive(Clone, Copy)]
pub struct Ticket {
    id: TicketId,
    /// The expiry, in seconds since 1970.
    expires_at: u32,
}

/// The limits of a ticket.
pub struct Scope {
    /// The user whose files the uploads become.
    pub owner: UserId,
    /// The only folder that uploads may go to.
    pub parent: Parent,
    pub is_public: bool,
    /// The size limit of one file.
    pub max_bytes: u64,
    /// Media types, or classes such as `image/*`; empty if any type is allowed.
    pub types: Vec<String>,
    /// What happens if the folder has the name of an upload.
    pub on_conflict: OnConflict,
}

impl Scope {
    /// True if a file of this name may be uploaded. The extension of a name decides the type that the file is served
    /// as.
    pub fn admits(&self, name: &Name) -> bool {
        let content_type = name.content_type();
        let essence = content_type.split(';').next().unwrap_or_default();
        let is = |allowed: &String| match allowed.strip_suffix('*') {
            Some(class) => essence.starts_with(class),
            None => essence == allowed,
        };
        self.types.is_empty() || self.types.iter().any(is)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(rename = "_id")]
    id: TicketId,
    user_id: UserId,
    /// Absent for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent_id: Option<FileId>,
    is_public: bool,
    max_bytes: i64,
    types: Vec<String>,
    /// Absent for `keep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_conflict: Option<String>,
    /// The number of uploads that may still begin. Less than 0 if a link allows fewer files than have been uploaded.
    files_left: i64,
    /// The link that issues its visitors tickets for this document, which count the files together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<OfLink>,
    /// The newest [`limits::MAX_INCOMPLETE_UPLOADS`] of the counted uploads, complete or not. A failed upload gives its
    /// file back if it is in this list, and leaves the list, so that it gives its file back only once.
    #[serde(default)]
    begun: Vec<FileId>,
    /// Absent for the document of a link, which stays as long as the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfLink {
    id: LinkId,
    /// The time from which on no ticket of the link is valid any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
    /// What `files_left` began with.
    max_files: i64,
}

impl From<Row> for Scope {
    fn from(row: Row) -> Self {
        Self {
            owner: row.user_id,
            parent: row.parent_id.map_or(Parent::Root, Parent::Folder),
            is_public: row.is_public,
            max_bytes: row.max_bytes.try_into().unwrap_or_default(),
            types: row.types,
            on_conflict: row.on_conflict.and_then(|text| OnConflict::parse(&text).ok()).unwrap_or_default(),
        }
    }
}

/// A ticket as its user may see it, without its secret, so nobody can upload with it.
pub struct Issued {
    /// The id, by which [`Tickets::revoke`] finds the ticket too.
    pub id: TicketId,
    pub scope: Scope,
    /// The number of uploads that may still begin; `None` without a limit.
    pub files_left: Option<u32>,
    pub expires_at: Timestamp,
}

#[derive(Clone)]
pub struct Tickets {
    rows: Indexed<Row>,
    key: MacKey,
}

impl Tickets {
    /// # Errors
    /// The key is missing or too short.
    pub fn of(database: &Database, config: &Config) -> anyhow::Result<Self> {
        Ok(Self { rows: Indexed::new(database.collection("tickets"), indexes), key: MacKey::of(config)? })
    }

    /// Issues a ticket for at most `max_files` files. Returns the ticket as its holder sends it, and its expiry.
    pub async fn issue(&self, scope: Scope, max_files: Option<u32>, lifetime: Duration) -> Result<(String, Timestamp)> {
        // The second in which the lifetime ends is whole, so that a ticket for a second can be used.
        let expires_at = (Timestamp::now() + lifetime + Duration::from_millis(999)).in_whole_seconds();
        let row = Row { expires_at: Some(expires_at), ..Row::new(scope, total(max_files)) };
        run(self.rows.indexed().await?.insert_one(&row)).await?;
        Ok((self.sign(row.id, expires_at), expires_at))
    }

    /// Stores the document for the tickets of a link, which together admit at most `max_files` files.
    pub async fn begin_link(
        &self,
        link: LinkId,
        scope: Scope,
        max_files: Option<u32>,
        ends_at: Option<Timestamp>,
    ) -> Result<TicketId> {
        let max_files = total(max_files);
        let row = Row { link: Some(OfLink { id: link, ends_at, max_files }), ..Row::new(scope, max_files) };
        run(self.rows.indexed().await?.insert_one(&row)).await?;
        Ok(row.id)
    }

    /// Changes the limits of the tickets of a link. Files that have been uploaded stay counted.
    pub async fn change_link(
        &self,
        ticket: TicketId,
        scope: &Scope,
        max_files: Option<u32>,
        ends_at: Option<Timestamp>,
    ) -> Result<()> {
        let max_files = total(max_files);
        let more = doc! { "$subtract": [max_files, "$link.maxFiles"] };
        let update = doc! { "$set": {
            "filesLeft": { "$add": ["$filesLeft", more] },
            "link.maxFiles": max_files,
            "link.endsAt": ends_at.map_or(Bson::from("$$REMOVE"), Bson::from),
            "maxBytes": stored_bytes(scope.max_bytes),
            "types": { "$literal": &scope.types },
        } };
        run(self.rows.update_one(doc! { "_id": ticket }, vec![update])).await?;
        Ok(())
    }

    /// The ticket with this id and expiry, as its holder sends it.
    pub fn sign(&self, id: TicketId, expires_at: Timestamp) -> String {
        self.encode(Ticket { id, expires_at: (expires_at.millis() / 1000).try_into().unwrap_or(u32::MAX) })
    }

    /// The limits of a ticket, if it has not been revoked.
    pub async fn scope(&self, ticket: Ticket) -> Result<Scope> {
        let row = run(self.rows.find_one(doc! { "_id": ticket.id }).projection(doc! { "begun": 0 })).await?;
        let has_ended =
            |row: &Row| row.link.as_ref().and_then(|link| link.ends_at).is_some_and(|end| end <= Timestamp::now());
        Ok(row.filter(|row| !has_ended(row)).ok_or(Error::Unauthorized)?.into())
    }

    /// The valid tickets of a user, newest first, at most [`limits::MAX_TICKETS_LISTED`].
    pub async fn issued_by(&self, owner: UserId) -> Result<Vec<Issued>> {
        // The documents of links have no expiry.
        let good = doc! { "userId": owner, "expiresAt": { "$gt": Timestamp::now() } };
        let rows = async {
            let rows = self.rows.find(good).sort(doc! { "_id": -1 }).limit(limits::MAX_TICKETS_LISTED).await?;
            rows.try_collect::<Vec<Row>>().await
        };
        let issued = run(rows).await?.into_iter().filter_map(|row| {
            Some(Issued {
                id: row.id,
                // A ticket without a limit has a number that does not fit into a `u32`.
                files_left: row.files_left.try_into().ok(),
                expires_at: row.expires_at?,
                scope: row.into(),
            })
        });
        Ok(issued.collect())
    }

    /// Revokes a ticket, given the ticket or its id. `NotFound` if this user has issued no such ticket.
    pub async fn revoke(&self, owner: UserId, ticket: &str) -> Result<()> {
        let by_id = || ticket.parse().ok();
        let id = self.decode(ticket).map(|ticket| ticket.id).or_else(by_id).ok_or(Error::NotFound)?;
        let done = run(self.rows.delete_one(doc! { "_id": id, "userId": owner, "link": null })).await?;
        if done.deleted_count == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// The name of a multipart upload for the holder of this ticket. The name is valid with this key only: a MAC of 32
    /// bytes, the file's size limit in 8 bytes, and S3's id. So a part can be refused without a database read.
    pub fn sign_upload_id(&self, ticket: Ticket, key: &Key, upload: &SignedUploadId) -> String {
        let SignedUploadId { upload_id, max_bytes } = upload;
        let mac = self.upload_mac(ticket, key, *max_bytes, upload_id.as_bytes());
        let mut signed_id = mac.finalize().into_bytes().to_vec();
        signed_id.extend(max_bytes.to_be_bytes());
        signed_id.extend(upload_id.as_bytes());
        URL_SAFE_NO_PAD.encode(signed_id)
    }

    /// Verifies a signed upload id, and returns its content.
    ///
    /// # Errors
    /// `NotFound` if the id was not signed, or was signed for another ticket or key.
    pub fn verify_upload_id(&self, ticket: Ticket, key: &Key, signed_id: &str) -> Result<SignedUploadId> {
        let signed_id = URL_SAFE_NO_PAD.decode(signed_id).map_err(|_| Error::NotFound)?;
        let (mac, upload) = signed_id.split_at_checked(32).ok_or(Error::NotFound)?;
        let (max_bytes, upload_id) = upload.split_first_chunk().ok_or(Error::NotFound)?;
        let max_bytes = u64::from_be_bytes(*max_bytes);
        self.upload_mac(ticket, key, max_bytes, upload_id).verify_slice(mac).map_err(|_| Error::NotFound)?;
        Ok(SignedUploadId { upload_id: String::from_utf8(upload_id.to_vec()).map_err(|_| Error::NotFound)?, max_bytes })
    }

    /// The id, the expiry and their MAC: 12, 4 and 32 bytes.
    fn encode(&self, ticket: Ticket) -> String {
        let mut bytes = ticket.bytes().to_vec();
        bytes.extend(self.ticket_mac(ticket).finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The ticket in a text that a client sends.
    ///
    /// # Errors
    /// `Unauthorized` if its MAC is not valid, or it has expired.
    pub fn verify(&self, text: &str) -> Result<Ticket> {
        let ticket = self.decode(text).ok_or(Error::Unauthorized)?;
        let now = Timestamp::now().millis() / 1000;
        if now < i64::from(ticket.expires_at) { Ok(ticket) } else { Err(Error::Unauthorized) }
    }

    /// The ticket in a text, expired or not, if its MAC is valid.
    fn decode(&self, text: &str) -> Option<Ticket> {
        let bytes: [u8; 48] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (id, expires_at) = (bytes[..12].try_into().ok()?, bytes[12..16].try_into().ok()?);
        let ticket = Ticket { id: ObjectId::from_bytes(id).into(), expires_at: u32::from_be_bytes(expires_at) };
        self.ticket_mac(ticket).verify_slice(&bytes[16..]).ok()?;
        Some(ticket)
    }

    fn ticket_mac(&self, ticket: Ticket) -> Hmac<Sha256> {
        self.key.mac(&[b"ticket", &ticket.bytes()])
    }

    fn upload_mac(&self, ticket: Ticket, key: &Key, max_bytes: u64, upload_id: &[u8]) -> Hmac<Sha256> {
        self.key.mac(&[b"upload", &ticket.bytes(), key.as_str().as_bytes(), &max_bytes.to_be_bytes(), upload_id])
    }
}

impl Row {
    fn new(scope: Scope, files_left: i64) -> Self {
        Self {
            id: TicketId::new(),
            user_id: scope.owner,
            parent_id: match scope.parent {
                Parent::Root | Parent::LegacyRoot => None,
                Parent::Folder(id) => Some(id),
            },
            is_public: scope.is_public,
            max_bytes: stored_bytes(scope.max_bytes),
            types: scope.types,
            on_conflict: Some(scope.on_conflict)
                .filter(|on_conflict| *on_conflict != OnConflict::Keep)
                .map(|on_conflict| on_conflict.as_str().to_owned()),
            files_left,
            link: None,
            begun: Vec::new(),
            expires_at: None,
        }
    }
}

/// The number of files to begin with.
fn total(max_files: Option<u32>) -> i64 {
    max_files.map_or(i64::MAX / 2, i64::from)
}

fn stored_bytes(max_bytes: u64) -> i64 {
    max_bytes.try_into().unwrap_or(i64::MAX)
}

fn indexes() -> Vec<IndexModel> {
    let once_expired = IndexOptions::builder().expire_after(Duration::ZERO).build();
    let expiry = IndexModel::builder().keys(doc! { "expiresAt": 1 }).options(once_expired).build();
    let owner = IndexModel::builder().keys(doc! { "userId": 1, "_id": 1 }).build();
    vec![expiry, owner]
}

/// A multipart upload that was begun with a ticket.
pub struct SignedUploadId {
    /// S3's upload id.
    pub upload_id: String,
    /// The size limit of the file.
    pub max_bytes: u64,
}

/// The number of files that tickets have left, for functions without the key of the tickets.
#[derive(Clone)]
pub struct FilesLeft(Collection<Row>);

impl FilesLeft {
    pub fn of(database: &Database) -> Self {
        Self(database.collection("tickets"))
    }

    /// Counts an upload that begins. [`give_back`](Self::give_back) undoes it if the upload fails.
    ///
    /// # Errors
    /// `Conflict` if the ticket has no files left.
    pub(super) async fn reserve(&self, ticket: TicketId, file: FileId) -> Result<()> {
        let one_left = doc! { "_id": ticket, "filesLeft": { "$gt": 0 } };
        let newest = doc! { "$each": [file], "$slice": -i64::from(limits::MAX_INCOMPLETE_UPLOADS) };
        let counted = doc! { "$inc": { "filesLeft": -1 }, "$push": { "begun": newest } };
        let done = run(self.0.update_one(one_left, counted)).await?;
        if done.matched_count == 0 { Err(Error::Conflict("This ticket's file limit is reached")) } else { Ok(()) }
    }

    /// Gives a ticket the files of failed uploads back. An upload that is not counted, or has given its file back
    /// already, changes nothing.
    pub(super) async fn give_back(&self, ticket: TicketId, files: Vec<FileId>) -> Result<()> {
        let begun = doc! { "$ifNull": ["$begun", []] };
        let counted = doc! { "$setIntersection": [&begun, &files] };
        let others = doc! { "input": &begun, "cond": { "$not": [{ "$in": ["$$this", &files] }] } };
        let update = doc! { "$set": {
            "filesLeft": { "$add": ["$filesLeft", { "$size": counted }] },
            "begun": { "$filter": others },
        } };
        run(self.0.update_one(doc! { "_id": ticket }, vec![update])).await?;
        Ok(())
    }
}

/// All tickets of a user, for functions that revoke them without the key of the tickets.
#[derive(Clone)]
pub struct Grants(Collection<Row>);

impl Grants {
    pub fn of(database: &Database) -> Self {
        Self(database.collection("tickets"))
    }

    /// Revokes the tickets that a user has issued. The tickets of links end with their links.
    pub async fn revoke_issued_by(&self, owner: UserId) -> Result<()> {
        run(self.0.delete_many(doc! { "userId": owner, "link": null })).await?;
        Ok(())
    }

    pub async fn revoke_all_of(&self, owner: UserId) -> Result<()> {
        run(self.0.delete_many(doc! { "userId": owner })).await?;
        Ok(())
    }

    pub async fn revoke(&self, tickets: &[TicketId]) -> Result<()> {
        run(self.0.delete_many(doc! { "_id": { "$in": tickets } })).await?;
        Ok(())
    }
}

impl Ticket {
    pub fn id(self) -> TicketId {
        self.id
    }

    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..12].copy_from_slice(&self.id.bytes());
        bytes[12..].copy_from_slice(&self.expires_at.to_be_bytes());
        bytes
    }
}

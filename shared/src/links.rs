//! Links: who holds the token of a link may read a file or a folder, or upload into a folder, without a session.
//! Collection `links` has one document for each link.
//!
//! The token is made of the id of the link and a MAC of it, so the owner can be shown the token at any time, no store has
//! it, and a forged token is refused without a store. A link ends when its document is deleted, with its file, or with the
//! account of its owner.

use crate::{
    accounts::passwords::Password,
    files::File,
    ids::{FileId, LinkId, TicketId, UserId},
    time::Timestamp,
};

mod downloads;
mod opening;
mod registry;
mod revocation;
mod row;
mod token;

pub use downloads::{Permit, Visitor};
pub use registry::Links;
pub use revocation::Revocations;

/// A link as its owner sees it.
pub struct Link {
    pub id: LinkId,
    pub owner: UserId,
    pub file: FileId,
    pub kind: Kind,
    /// The hash of the password.
    password: Option<String>,
    pub expires_at: Option<Timestamp>,
    /// The downloads that have been counted.
    pub downloads: u64,
    /// The time of the last download that was counted, or of the last ticket.
    pub last_used_at: Option<Timestamp>,
}

impl Link {
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    pub fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= Timestamp::now())
    }

    /// True if no visitor without a grant gets anything any more.
    pub fn is_used_up(&self) -> bool {
        match self.kind {
            Kind::Download { max_downloads: Some(most) } => self.downloads >= most.into(),
            Kind::Download { max_downloads: None } | Kind::Upload { .. } => false,
        }
    }

    pub fn takes_uploads(&self) -> bool {
        matches!(self.kind, Kind::Upload { .. })
    }
}

/// What a link is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Its visitors read.
    Download { max_downloads: Option<u32> },
    /// Its visitors upload into the folder, and see nothing. `ticket` is the document of collection `tickets` that counts
    /// the files of all visitors.
    Upload { limits: UploadLimits, ticket: TicketId },
}

/// The limits of the uploads through a link.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadLimits {
    /// The size limit of one file.
    pub max_bytes: u64,
    /// The number of files, of all visitors together.
    pub max_files: Option<u32>,
    /// Media types, or classes such as `image/*`; empty if any type is allowed.
    pub types: Vec<String>,
}

/// A link to create.
pub struct NewLink {
    pub owner: UserId,
    pub file: FileId,
    pub kind: NewKind,
    pub password: Option<Password>,
    pub expires_at: Option<Timestamp>,
}

pub enum NewKind {
    Download { max_downloads: Option<u32> },
    Upload(UploadLimits),
}

/// What is to change of a link. `None` leaves a property as it is, and `Some(None)` removes it.
#[derive(Default)]
pub struct Change {
    pub password: Option<Option<Password>>,
    pub expires_at: Option<Option<Timestamp>>,
    /// Ignored by a link that takes uploads; a link for downloads ignores the three others.
    pub max_downloads: Option<Option<u32>>,
    pub max_bytes: Option<Option<u64>>,
    pub max_files: Option<Option<u32>>,
    pub types: Option<Vec<String>>,
}

impl Change {
    pub fn is_empty(&self) -> bool {
        let Self { password, expires_at, max_downloads, max_bytes, max_files, types } = self;
        password.is_none()
            && expires_at.is_none()
            && max_downloads.is_none()
            && max_bytes.is_none()
            && max_files.is_none()
            && types.is_none()
    }
}

/// What a request has to open a link that has a password.
#[derive(Default)]
pub struct Credentials {
    pub password: Option<Password>,
    /// The key that an earlier request got for the password.
    pub key: Option<String>,
}

/// A valid link, and the file or folder that it leads to.
pub struct Opened {
    pub link: Link,
    pub file: File,
}

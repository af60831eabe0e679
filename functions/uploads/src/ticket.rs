//! The request for a ticket, and the answers about tickets.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{
    Error, Result,
    files::{OnConflict, Parent},
    http::{
        ParentView,
        body::Scalar,
        upload_limits::{max_bytes, max_files, media_types, number},
    },
    ids::{TicketId, UserId},
    limits,
    time::Timestamp,
    uploads::tickets::{self, Scope},
};
use utoipa::ToSchema;

/// The body of `POST /uploads/tickets`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TicketRequest {
    parent_id: Scalar,
    is_public: Scalar,
    max_bytes: Scalar,
    max_files: Scalar,
    types: Option<Vec<String>>,
    expires_in: Scalar,
    on_conflict: Scalar,
}

pub struct TicketOptions {
    pub scope: Scope,
    pub max_files: Option<u32>,
    pub lifetime: Duration,
}

impl TicketRequest {
    pub fn checked(self, owner: UserId) -> Result<TicketOptions> {
        let max_bytes = max_bytes(&self.max_bytes)?;
        let max_files = max_files(&self.max_files)?;
        let seconds = 1..=limits::MAX_TICKET_SECONDS.into();
        let seconds = number(&self.expires_in, "Invalid expiresIn: 1 to 86400 seconds", seconds)?;
        let types = media_types(self.types.unwrap_or_default())?;
        Ok(TicketOptions {
            scope: Scope {
                owner,
                parent: Parent::try_from(self.parent_id)?,
                is_public: self.is_public == Scalar::Bool(true),
                max_bytes: max_bytes.unwrap_or(limits::MAX_FILE_BYTES),
                types,
                on_conflict: match self.on_conflict {
                    Scalar::Null => OnConflict::default(),
                    Scalar::Text(text) => OnConflict::parse(&text)?,
                    _ => return Err(Error::Invalid("Invalid onConflict")),
                },
            },
            max_files,
            lifetime: Duration::from_secs(seconds.unwrap_or(limits::TICKET_DEFAULT_SECONDS.into())),
        })
    }
}

/// An issued ticket, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedTicket)]
#[serde(rename_all = "camelCase")]
pub struct TicketView {
    id: TicketId,
    parent_id: ParentView,
    is_public: bool,
    /// The size limit of each file, in bytes.
    max_bytes: u64,
    /// The number of uploads that may still begin; absent without a limit.
    #[schema(value_type = u32)]
    #[serde(skip_serializing_if = "Option::is_none")]
    files_left: Option<u32>,
    /// Media types, or classes such as `image/*`; empty if any type is allowed.
    types: Vec<String>,
    created_at: Timestamp,
    expires_at: Timestamp,
    /// The rule for an upload whose name the folder has; absent for `keep`.
    #[schema(value_type = String)]
    #[serde(skip_serializing_if = "Option::is_none")]
    on_conflict: Option<&'static str>,
}

impl From<tickets::Issued> for TicketView {
    fn from(ticket: tickets::Issued) -> Self {
        let Scope { owner: _, parent, is_public, max_bytes, types, on_conflict } = ticket.scope;
        Self {
            id: ticket.id,
            parent_id: parent.into(),
            is_public,
            max_bytes,
            files_left: ticket.files_left,
            types,
            created_at: ticket.id.created_at(),
            expires_at: ticket.expires_at,
            on_conflict: Some(on_conflict).filter(|on| *on != OnConflict::Keep).map(OnConflict::as_str),
        }
    }
}

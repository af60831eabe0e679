//! The request for a ticket, and the answers about tickets.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{
    Error, Result,
    files::{OnConflict, Parent},
    http::{ParentView, body::Scalar},
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
        let max_bytes = number(&self.max_bytes, "Invalid maxBytes", 0..=limits::MAX_FILE_BYTES)?;
        let max_files = number(&self.max_files, "Invalid maxFiles", 1..=u32::MAX.into())?;
        let seconds = 1..=limits::MAX_TICKET_SECONDS.into();
        let seconds = number(&self.expires_in, "Invalid expiresIn: 1 to 86400 seconds", seconds)?;
        let types = self.types.unwrap_or_default();
        if types.len() > limits::MAX_TICKET_TYPES || !types.iter().all(|one| is_media_type(one)) {
            return Err(Error::Invalid("Invalid types: media types such as image/png or image/*"));
        }
        Ok(TicketOptions {
            scope: Scope {
                owner,
                parent: Parent::try_from(self.parent_id)?,
                is_public: self.is_public == Scalar::Bool(true),
                max_bytes: max_bytes.unwrap_or(limits::MAX_FILE_BYTES),
                types: types.into_iter().map(|one| one.to_ascii_lowercase()).collect(),
                on_conflict: match self.on_conflict {
                    Scalar::Null => OnConflict::default(),
                    Scalar::Text(text) => OnConflict::parse(&text)?,
                    _ => return Err(Error::Invalid("Invalid onConflict")),
                },
            },
            max_files: max_files.and_then(|files| files.try_into().ok()),
            lifetime: Duration::from_secs(seconds.unwrap_or(limits::TICKET_DEFAULT_SECONDS.into())),
        })
    }
}

/// A whole number within these bounds; `None` if the field is absent.
fn number(field: &Scalar, invalid: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Result<Option<u64>> {
    match field {
        Scalar::Null => Ok(None),
        field => field.as_integer().filter(|number| bounds.contains(number)).map(Some).ok_or(Error::Invalid(invalid)),
    }
}

/// True for `type/subtype` and `type/*`.
fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part.len() <= 127
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    text.split_once('/').is_some_and(|(class, kind)| is_token(class) && (kind == "*" || is_token(kind)))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Ticket)]
#[serde(rename_all = "camelCase")]
pub struct NewTicketView {
    /// The ticket permits only uploads within its limits. Keep it secret.
    #[schema(pattern = "^[A-Za-z0-9_-]{64}$")]
    ticket: String,
    /// The value of Uppy's option `companionEndpoint`.
    companion_endpoint: String,
    expires_at: Timestamp,
}

impl NewTicketView {
    pub fn new((ticket, expires_at): (String, Timestamp), api: &str) -> Self {
        Self { companion_endpoint: format!("{api}/uploads/{ticket}"), ticket, expires_at }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_may_be_a_class_of_them() {
        for one in ["image/png", "image/*", "application/vnd.ms-excel", "image/svg+xml"] {
            assert!(is_media_type(one), "{one}");
        }
        for one in ["", "image", "image/", "/png", "*/*", "*", "image/png; charset=utf-8", "image/p*", "a/b/c"] {
            assert!(!is_media_type(one), "{one}");
        }
    }
}

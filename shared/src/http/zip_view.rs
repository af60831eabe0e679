//! A ZIP as clients see it.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    Error, Result,
    archives::{State, Zip},
    ids::{FileId, ZipId},
    limits,
    time::Timestamp,
};

/// The ids in the body of a request for a ZIP, each once. An item that is no id names no document.
///
/// # Errors
/// `Invalid ids: 1 to 1000`; `NotFound`.
pub fn zipped_ids(ids: &Value) -> Result<Vec<FileId>> {
    let ids = match ids.as_array() {
        Some(ids) if (1..=limits::MAX_ZIPPED).contains(&ids.len()) => ids,
        _ => return Err(Error::Invalid("Invalid ids: 1 to 1000")),
    };
    let ids = ids.iter().map(|id| id.as_str().ok_or(Error::NotFound)?.parse()).collect::<Result<Vec<FileId>>>()?;
    let mut seen = HashSet::new();
    Ok(ids.into_iter().filter(|id| seen.insert(*id)).collect())
}

/// A ZIP.
#[derive(Serialize, ToSchema)]
#[schema(as = Zip)]
#[serde(rename_all = "camelCase")]
pub struct ZipView {
    id: ZipId,
    state: StateView,
    /// The number of files and folders in it; `null` until its list is made.
    #[schema(required)]
    entries: Option<u64>,
    /// The size of the ZIP; `null` until its list is made.
    #[schema(required)]
    bytes: Option<u64>,
    /// The bytes of the ZIP that are done.
    done: u64,
    /// The time from which the ZIP is gone.
    expires_at: Timestamp,
    /// The reason why there is no ZIP. Set if the state is `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    error: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ZipState)]
enum StateView {
    Due,
    Ready,
    Failed,
}

impl From<Zip> for ZipView {
    fn from(zip: Zip) -> Self {
        Self {
            id: zip.id,
            state: match zip.state {
                State::Due => StateView::Due,
                State::Ready => StateView::Ready,
                State::Failed => StateView::Failed,
            },
            entries: zip.entries,
            bytes: zip.bytes,
            done: zip.done,
            expires_at: zip.expires_at,
            error: zip.error,
        }
    }
}

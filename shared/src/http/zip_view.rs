//! A ZIP as clients see it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    archives::{State, Zip},
    ids::ZipId,
    time::Timestamp,
};

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

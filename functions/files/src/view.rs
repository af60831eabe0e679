//! Answers that are no document.

use serde::Serialize;
use shared::files::FolderUsage;
use utoipa::ToSchema;

/// The content of a folder, at all levels below.
#[derive(Serialize, ToSchema)]
#[schema(as = FolderUsage)]
pub struct FolderUsageView {
    bytes: u64,
    files: u64,
    folders: u64,
    /// False if there was more than could be counted: 100,000 documents, or two seconds.
    complete: bool,
}

impl From<FolderUsage> for FolderUsageView {
    fn from(usage: FolderUsage) -> Self {
        Self { bytes: usage.bytes, files: usage.files, folders: usage.folders, complete: usage.complete }
    }
}

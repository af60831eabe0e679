//! Answers that are no document.

use serde::Serialize;
use shared::{
    files::{FolderUsage, PathStep},
    ids::FileId,
};
use utoipa::ToSchema;

/// A folder above a document, or the document.
#[derive(Serialize, ToSchema)]
#[schema(as = PathStep)]
pub struct PathStepView {
    id: FileId,
    name: String,
}

impl From<PathStep> for PathStepView {
    fn from(step: PathStep) -> Self {
        Self { id: step.id, name: step.name.as_str().to_owned() }
    }
}

/// What a folder holds, at all levels below.
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

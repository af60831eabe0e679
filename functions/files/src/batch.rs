//! One request for many documents.

use std::time::Instant;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::{
    Error, Result,
    files::{Change, FileOrUpload, IfMatch, OnConflict, Parent},
    http::{
        FileView, Json,
        body::{Object, Scalar},
        error::{ErrorView, status},
        openapi::{AuthErrors, TooLarge},
    },
    ids::UserId,
    limits,
};
use utoipa::ToSchema;

use crate::{App, openapi};

/// The body of `POST /files/batch`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub struct BatchRequest {
    action: Scalar,
    ids: serde_json::Value,
    #[serde(deserialize_with = "present")]
    parent_id: Option<Scalar>,
    on_conflict: Scalar,
}

/// A field that is there is not absent, even if it is `null`.
fn present<'de, D: serde::Deserializer<'de>>(field: D) -> std::result::Result<Option<Scalar>, D::Error> {
    Scalar::deserialize(field).map(Some)
}

#[derive(Clone, Copy, PartialEq)]
enum Action {
    Move,
    Copy,
    Trash,
    Restore,
    Delete,
}

/// The outcome for one document.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchResult)]
pub struct Outcome {
    /// The id as it was sent.
    id: serde_json::Value,
    /// The status that a request for this document alone has.
    status: u16,
    #[schema(value_type = String)]
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[schema(value_type = FileView)]
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileView>,
}

/// Moves, copies, trashes, restores or deletes many documents
///
/// Each document has the outcome that a request for the document alone has, in the order of the ids.
#[utoipa::path(
    post,
    path = "/files/batch",
    tag = "Files",
    operation_id = "changeFiles",
    request_body = openapi::Batch,
    responses(
        (status = 200, description = "An outcome for each id", body = Vec<Outcome>),
        (
            status = 400,
            description = "`Invalid action`, `Invalid ids: 1 to 100`, `Missing parentId`, `Invalid onConflict`, `Parent \
                           not found`, `Invalid JSON`",
            body = ErrorView
        ),
        TooLarge,
        AuthErrors,
    ),
)]
pub async fn batch(
    owner: UserId,
    State(app): State<App>,
    Object(request): Object<BatchRequest>,
) -> Result<Json<Vec<Outcome>>> {
    let action = match &request.action {
        Scalar::Text(action) => match action.as_str() {
            "move" => Action::Move,
            "copy" => Action::Copy,
            "trash" => Action::Trash,
            "restore" => Action::Restore,
            "delete" => Action::Delete,
            _ => return Err(Error::Invalid("Invalid action")),
        },
        _ => return Err(Error::Invalid("Invalid action")),
    };
    let ids = match request.ids {
        serde_json::Value::Array(ids) if (1..=limits::MAX_BATCH).contains(&ids.len()) => ids,
        _ => return Err(Error::Invalid("Invalid ids: 1 to 100")),
    };
    let parent = request.parent_id.map(Parent::try_from).transpose()?;
    if action == Action::Move && parent.is_none() {
        return Err(Error::Invalid("Missing parentId"));
    }
    let on_conflict = match request.on_conflict {
        Scalar::Null if action == Action::Copy => OnConflict::Rename,
        Scalar::Null => OnConflict::Keep,
        Scalar::Text(text) => OnConflict::parse(&text)?,
        _ => return Err(Error::Invalid("Invalid onConflict")),
    };
    let started = Instant::now();
    let mut outcomes = Vec::with_capacity(ids.len());
    for id in ids {
        // The client can send again the ids that are not done in time.
        let outcome = if started.elapsed() > limits::BATCH_TIME {
            Err(Error::Unavailable(anyhow::anyhow!("the time of a batch is over")))
        } else {
            app.act(owner, action, &id, parent, on_conflict).await
        };
        outcomes.push(match outcome {
            Ok((status, file)) => Outcome { id, status, error: None, file },
            Err(error) => {
                if let Some(cause) = error.cause() {
                    tracing::warn!(error = cause, "a document of a batch failed");
                }
                Outcome { id, status: status(&error).as_u16(), error: Some(error.to_string()), file: None }
            }
        });
    }
    Ok(Json(outcomes))
}

impl App {
    /// The status and the document of one action.
    async fn act(
        &self,
        owner: UserId,
        action: Action,
        id: &serde_json::Value,
        parent: Option<Parent>,
        on_conflict: OnConflict,
    ) -> Result<(u16, Option<FileView>)> {
        let id = id.as_str().ok_or(Error::NotFound)?.parse()?;
        let any = IfMatch::default();
        let change = Change { name: None, parent, on_conflict };
        match action {
            Action::Move => Ok(match self.files.change(owner, id, &any, change).await? {
                FileOrUpload::Visible(file) => (200, Some(file.into())),
                FileOrUpload::Pending(pending) => (200, Some(FileView::from(pending.file).replacing(pending.replaces))),
            }),
            Action::Copy => Ok((201, Some(self.files.copy(owner, id, None, change).await?.into()))),
            Action::Trash => Ok((200, Some(self.files.trash(owner, id, &any).await?.into()))),
            Action::Restore => Ok((200, Some(self.files.restore(owner, id, &any, parent, on_conflict).await?.into()))),
            Action::Delete => self.delete(owner, id, &any).await.map(|()| (204, None)),
        }
    }
}

//! The form that sends files without JavaScript. The function stores the files as a client with a ticket does.

use axum::{
    body::Bytes,
    extract::{
        Multipart, State,
        multipart::{MultipartError, MultipartRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use shared::{
    Error, Result,
    files::{Incoming, Name},
    http::{ApiUrl, error},
    ids::TicketId,
    limits,
    uploads::{NewUpload, tickets::Scope},
};

use super::{Failure, Page, PageVisit, format, request, see_other, upload};
use crate::{App, openapi::OfLink};

/// Uploads files through a link
///
/// For the form of the page, which has no script: some small files at once.
#[utoipa::path(
    post,
    path = "/s/{token}/files",
    tag = "Pages",
    operation_id = "sendToLinkPage",
    params(OfLink),
    request_body(content = crate::openapi::FilesOfForm, content_type = "multipart/form-data"),
    responses(
        (status = 303, description = "To the page: all files are stored", headers(("Location" = String))),
        (
            status = 400,
            description = "A page: there is no file, or a name or a type is not allowed",
            body = String,
            content_type = "text/html"
        ),
        (status = 409, description = "A page: the link takes no more files", body = String, content_type = "text/html"),
        (status = 413, description = "A page: the files are too large", body = String, content_type = "text/html"),
        (status = 507, description = "A page: the owner has no room", body = String, content_type = "text/html"),
        crate::openapi::PageErrors,
    ),
    security(()),
)]
pub async fn send(
    visit: PageVisit,
    ApiUrl(api): ApiUrl,
    State(app): State<App>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Failure> {
    let opened = visit.open(&app.links).await?;
    let mut view = request(&opened).ok_or(Error::NotFound)?;
    app.users.with_id(opened.link.owner).await?.ok_or(Error::NotFound)?;
    let (mut sent, mut refusal) = (0, None);
    match files(form).await {
        Ok(files) => {
            let (scope, ticket) = app.links.begin_uploads(&opened).await?;
            for (name, bytes) in files {
                if let Err(error) = Box::pin(app.store(&scope, ticket, &name, bytes)).await {
                    refusal = Some((
                        error::status(&error),
                        format!("“{}” was not sent. {}", format::name(&name), reason(&error)),
                    ));
                    break;
                }
                sent += 1;
            }
        }
        Err(status) => refusal = Some((status, unread(status))),
    }
    let Some((status, reason)) = refusal else {
        return Ok(see_other(&format!("{}?sent={sent}", visit.path()))?);
    };
    view.sent = (sent > 0).then_some(sent);
    view.refusal = Some(reason);
    let page = upload::page(&visit.view(&opened, &api), &view, limits::MAX_INLINE_BYTES as u64);
    let s3 = app.objects.origin().await?;
    Ok(Page::with_uploader(page, &api, &s3).with_status(status).into_response())
}

/// The files of the form, with their names. The body is in memory already, and is not larger than
/// [`limits::FORM_BYTES`].
async fn files(form: Result<Multipart, MultipartRejection>) -> Result<Vec<(String, Bytes)>, StatusCode> {
    let mut form = form.map_err(|_| StatusCode::BAD_REQUEST)?;
    let status = |error: MultipartError| error.status();
    let mut files = Vec::new();
    while let Some(field) = form.next_field().await.map_err(status)? {
        // A field without a chosen file has an empty name.
        let Some(name) = field.file_name().filter(|name| !name.is_empty()).map(str::to_owned) else { continue };
        if files.len() == limits::FORM_FILES {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        files.push((name, field.bytes().await.map_err(status)?));
    }
    if files.is_empty() { Err(StatusCode::BAD_REQUEST) } else { Ok(files) }
}

/// The reason for which no file of the form was read.
fn unread(status: StatusCode) -> String {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("Nothing was sent: this form sends up to {} files at once.", limits::FORM_FILES)
        }
        _ => "Nothing was sent: choose a file first.".into(),
    }
}

impl App {
    /// Uploads a file as a client would: row, bytes, completion. S3 tells the worker of the object, as for any upload.
    async fn store(&self, scope: &Scope, ticket: TicketId, name: &str, bytes: Bytes) -> Result<()> {
        let name: Name = name.parse()?;
        if !scope.admits(&name) {
            return Err(Error::Invalid("Files of this type are not allowed here"));
        }
        let size = bytes.len() as u64;
        if size > scope.max_bytes {
            return Err(Error::TooLarge("The file is larger than this link allows"));
        }
        let new = NewUpload {
            name,
            is_public: scope.is_public,
            parent: scope.parent,
            incoming: Incoming::exactly(size).for_ticket(ticket),
            on_conflict: scope.on_conflict,
        };
        let pending = self.uploads.begin(scope.owner, new).await?;
        let content_type = pending.file.name.content_type();
        if let Err(error) = self.objects.put(&pending.key, bytes, &content_type).await {
            self.uploads.abandon(&pending).await;
            return Err(error);
        }
        self.uploads.complete(&pending, None).await?;
        Ok(())
    }
}

/// An error in words for a visitor, who has no ticket and no quota to know of.
fn reason(error: &Error) -> String {
    match error {
        Error::Invalid(reason) | Error::TooLarge(reason) => format!("{reason}."),
        Error::Conflict(_) => "This link takes no more files at the moment.".into(),
        Error::OverQuota { .. } => "There is no room for it.".into(),
        _ => "Send it again in a moment.".into(),
    }
}

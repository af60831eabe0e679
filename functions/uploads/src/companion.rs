//! The routes that stock Uppy, in both majors, calls where it is given a ticket's `companionEndpoint`: a form of S3 for
//! a file that is put whole, and presigned requests for the parts of a larger file. The ticket is the credential.

use std::collections::HashMap;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, Path, RawPathParams, State},
    http::{header, request::Parts as RequestParts},
    response::IntoResponse,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    files::{FileOrUpload, Incoming, Name, Parent, Pending},
    http::{
        ApiUrl, Json, Params,
        body::{Object, Scalar},
        error::{ErrorWithMessage, WithMessage},
        openapi::TicketErrors,
    },
    ids::FileId,
    limits,
    stores::s3::{Key, PresignedPost, key::UploadKey, most_parts},
    uploads::{
        NamedPart, NewUpload, TOO_LARGE,
        tickets::{Scope, SignedUploadId, Ticket},
    },
};
use utoipa::{OpenApi, ToSchema};

use crate::{
    App,
    openapi::{
        self, ByKey, ByKeyAndNumbers, ByKeyAndSize, DescribedByQuery, NoUpload, OfTicket, OfUpload, PartNumber,
        TooLarge,
    },
};

type Result<T, E = WithMessage> = std::result::Result<T, E>;

#[derive(OpenApi)]
#[openapi(paths(params, begin, list, cancel, sign_parts, complete, sign_part))]
pub struct Api;

pub fn router() -> Router<App> {
    Router::new()
        // axum would answer `HEAD` with `params`, which counts a file of the ticket.
        .route("/params", get(params).head(only_get).fallback(only_get))
        .route("/multipart", post(begin))
        .route("/multipart/{upload}", get(list).delete(cancel))
        .route("/multipart/{upload}/batch", get(sign_parts))
        .route("/multipart/{upload}/complete", post(complete))
        .route("/multipart/{upload}/{part}", get(sign_part))
        .layer(DefaultBodyLimit::max(limits::PARTS_BODY_BYTES))
}

async fn only_get() -> impl IntoResponse {
    ([(header::ALLOW, "GET")], Error::MethodNotAllowed)
}

/// The file to upload, as Uppy describes it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Described {
    filename: Scalar,
    metadata: HashMap<String, Scalar>,
}

#[derive(Serialize, ToSchema)]
struct FormAnswer {
    method: &'static str,
    #[serde(flatten)]
    form: PresignedPost,
    /// The lifetime, in seconds.
    expires: u64,
}

/// Signs a form that puts a whole file
#[utoipa::path(
    get,
    path = "/params",
    tag = "Companion",
    operation_id = "signForm",
    params(OfTicket, DescribedByQuery),
    responses(
        (
            status = 200,
            description = "The form. Post it to S3, with the bytes in a field `file` after these fields",
            body = FormAnswer
        ),
        (
            status = 400,
            description = "`Missing name`, `Invalid name`, `Files of this type are not allowed here`, `Parent not \
                           found`, `Parent is not a folder`, `Too deep: 100 levels at most`",
            body = ErrorWithMessage
        ),
        (
            status = 409,
            description = "`This ticket's file limit is reached`, `The name is taken`, `A folder is not replaced`, `1000 \
                           uploads are not complete: complete or delete some, or wait until they expire`: uploads of \
                           the owner",
            body = ErrorWithMessage
        ),
        (status = 507, description = "`Over quota: 0 bytes left`: of the owner", body = ErrorWithMessage),
        TicketErrors,
    ),
    security(()),
)]
async fn params(ticket: Ticket, params: Params, State(app): State<App>) -> Result<Json<FormAnswer>> {
    let mut file = Described::default();
    for (name, value) in params {
        let metadata = name.strip_prefix("metadata[").and_then(|name| name.strip_suffix(']'));
        match (name.as_str(), metadata) {
            ("filename", _) => file.filename = Scalar::Text(value),
            (_, Some(name)) => drop(file.metadata.insert(name.to_owned(), Scalar::Text(value))),
            _ => {}
        }
    }
    let (pending, _) = app.begin(ticket, file, Incoming::by_form).await?;
    let content_type = pending.file.name.content_type();
    let max_bytes = pending.declared.most().min(limits::MAX_SINGLE_PUT_BYTES);
    let form = app.objects.presign_post(&pending.key.of_form(), &content_type, max_bytes).await?;
    Ok(Json(FormAnswer { method: "POST", form, expires: limits::UPLOAD_URL_TTL.as_secs() }))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Begun {
    key: Key,
    upload_id: String,
    bucket: String,
}

/// Begins a multipart upload
#[utoipa::path(
    post,
    path = "/multipart",
    tag = "Companion",
    operation_id = "beginParts",
    params(OfTicket),
    request_body = openapi::Described,
    responses(
        (status = 200, description = "The key and the id of the new upload", body = Begun),
        (
            status = 400,
            description = "`Missing name`, `Invalid name`, `Files of this type are not allowed here`, `Parent not \
                           found`, `Parent is not a folder`, `Too deep: 100 levels at most`, `Invalid JSON`",
            body = ErrorWithMessage
        ),
        (
            status = 409,
            description = "`This ticket's file limit is reached`, `The name is taken`, `A folder is not replaced`, `1000 \
                           uploads are not complete: complete or delete some, or wait until they expire`: uploads of \
                           the owner",
            body = ErrorWithMessage
        ),
        (status = 507, description = "`Over quota: 0 bytes left`: of the owner", body = ErrorWithMessage),
        TooLarge,
        TicketErrors,
    ),
    security(()),
)]
async fn begin(ticket: Ticket, State(app): State<App>, file: Result<Object<Described>, Error>) -> Result<Json<Begun>> {
    let Object(file) = file?;
    let (mut pending, scope) = app.begin(ticket, file, Incoming::in_parts).await?;
    if let Err(error) = app.uploads.start_multipart(&mut pending).await {
        app.uploads.abandon(&pending).await;
        return Err(error.into());
    }
    let upload = SignedUploadId { upload_id: pending.upload_id.unwrap_or_default(), max_bytes: scope.max_bytes };
    let upload_id = app.tickets.sign_upload_id(ticket, &pending.key, &upload);
    Ok(Json(Begun { key: pending.key, upload_id, bucket: app.objects.bucket().to_owned() }))
}

impl App {
    /// Stores the row of a new upload, if the ticket admits the upload.
    async fn begin(
        &self,
        ticket: Ticket,
        mut file: Described,
        incoming: fn(u64) -> Incoming,
    ) -> Result<(Pending, Scope), Error> {
        let scope = self.scope(ticket).await?;
        let mut metadata = |name| match file.metadata.remove(name) {
            // Uppy writes these texts for metadata that a file does not have.
            None | Some(Scalar::Null) => None,
            Some(Scalar::Text(text)) if ["", "null", "undefined"].contains(&text.as_str()) => None,
            given => given,
        };
        let name = match (metadata("name"), file.filename) {
            (Some(Scalar::Text(name)), _) | (_, Scalar::Text(name)) if !name.is_empty() => name.parse::<Name>()?,
            _ => return Err(Error::Invalid("Missing name")),
        };
        // A page may name the folder, but only the folder of the ticket.
        if let Some(parent) = metadata("parentId")
            && Parent::try_from(parent)? != scope.parent
        {
            return Err(Error::Invalid("Parent not found"));
        }
        if !scope.admits(&name) {
            return Err(Error::Invalid("Files of this type are not allowed here"));
        }
        let incoming = incoming(scope.max_bytes).for_ticket(ticket.id());
        let new = NewUpload {
            name,
            is_public: scope.is_public,
            parent: scope.parent,
            incoming,
            on_conflict: scope.on_conflict,
        };
        Ok((self.uploads.begin(scope.owner, new).await?, scope))
    }

    /// The scope of a ticket, if it has not been revoked and its user still has an account.
    async fn scope(&self, ticket: Ticket) -> Result<Scope, Error> {
        let scope = self.tickets.scope(ticket).await?;
        self.users.with_id(scope.owner).await?.ok_or(Error::Unauthorized)?;
        Ok(scope)
    }
}

/// A multipart upload as its client names it: its signed id in the path, and its key in the query. Both must belong
/// together, and to the ticket of the path.
struct UploadRef {
    ticket: Ticket,
    file: FileId,
    key: Key,
    /// S3's upload id.
    upload_id: String,
    /// The size limit of the file.
    max_bytes: u64,
}

impl FromRequestParts<App> for UploadRef {
    type Rejection = WithMessage;

    async fn from_request_parts(parts: &mut RequestParts, app: &App) -> Result<Self> {
        let ticket = Ticket::from_request_parts(parts, app).await?;
        let path = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Error::NotFound)?;
        let upload = path.iter().find(|(name, _)| *name == "upload").map_or("", |(_, upload)| upload);
        let params = Params::from_request_parts(parts, app).await?;
        let key = Key::parse_upload(params.get("key").unwrap_or_default());
        let Some(UploadKey { file, key, is_form: false }) = key else { return Err(Error::NotFound.into()) };
        let SignedUploadId { upload_id, max_bytes } = app.tickets.verify_upload_id(ticket, &key, upload)?;
        Ok(Self { ticket, file, key, upload_id, max_bytes })
    }
}

impl UploadRef {
    /// The number of a part, if a file of the ticket can have that many parts.
    ///
    /// A presigned request can fix the size of a part, but not limit it. So a part without a given size may have up to
    /// [`limits::MAX_PART_BYTES`]. A malicious client can store 1,024 times the `maxBytes` of a ticket, or 5 GiB if
    /// that is more, until the upload is completed, which refuses the size, or expires.
    fn part_number(&self, text: &str) -> Result<u16, Error> {
        let number = text.parse().ok().filter(|number| (1..=limits::MAX_PARTS).contains(number));
        let number = number.ok_or(Error::Invalid("Invalid part number: 1 to 10000"))?;
        if u64::from(number) > most_parts(self.max_bytes) {
            return Err(Error::TooLarge(
                "maxBytes of this ticket is less than so many parts have: all but the last have 5 MiB or more",
            ));
        }
        Ok(number)
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    part_number: u16,
    #[serde(rename = "ETag")]
    etag: String,
    size: u64,
}

/// Lists the uploaded parts
#[utoipa::path(
    get,
    path = "/multipart/{upload}",
    tag = "Companion",
    operation_id = "listParts",
    params(OfUpload, ByKey),
    responses((status = 200, description = "All uploaded parts", body = Vec<ListedPart>), NoUpload, TicketErrors),
    security(()),
)]
async fn list(upload: UploadRef, State(app): State<App>) -> Result<Json<Vec<ListedPart>>> {
    let parts = app.objects.list_parts(&upload.key, &upload.upload_id).await?.into_iter();
    let listed = parts.map(|part| ListedPart { part_number: part.number, etag: part.etag, size: part.size });
    Ok(Json(listed.collect()))
}

#[derive(Deserialize)]
struct OfPart {
    part: String,
}

#[derive(Serialize, ToSchema)]
struct PartAnswer {
    url: String,
    /// The lifetime, in seconds.
    expires: u64,
}

/// Signs a request that puts a part
#[utoipa::path(
    get,
    path = "/multipart/{upload}/{part}",
    tag = "Companion",
    operation_id = "signPart",
    params(OfUpload, ("part" = PartNumber, Path), ByKeyAndSize),
    responses(
        (status = 200, description = "The presigned request. Send it to S3 with the bytes", body = PartAnswer),
        (
            status = 400,
            description = "`Invalid part number: 1 to 10000`, `Invalid size: 0 to 5368709120 bytes`",
            body = ErrorWithMessage
        ),
        (
            status = 413,
            description = "`maxBytes of this ticket is less than so many parts have: all but the last have 5 MiB or \
                           more`, `The upload is larger than it may be: begin again with less`",
            body = ErrorWithMessage
        ),
        NoUpload,
        TicketErrors,
    ),
    security(()),
)]
async fn sign_part(
    upload: UploadRef,
    Path(OfPart { part }): Path<OfPart>,
    params: Params,
    State(app): State<App>,
) -> Result<Json<PartAnswer>> {
    let number = upload.part_number(&part)?;
    let size = params.get("size").map(part_size).transpose()?;
    if size.is_some_and(|size| size > upload.max_bytes) {
        return Err(Error::TooLarge(TOO_LARGE).into());
    }
    let url = app.objects.presign_upload_part(&upload.key, &upload.upload_id, number, size).await?;
    Ok(Json(PartAnswer { url, expires: limits::UPLOAD_URL_TTL.as_secs() }))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartsAnswer {
    #[schema(value_type = HashMap<String, String>)]
    presigned_urls: HashMap<u16, String>,
}

/// Signs requests that put parts
#[utoipa::path(
    get,
    path = "/multipart/{upload}/batch",
    tag = "Companion",
    operation_id = "signParts",
    params(OfUpload, ByKeyAndNumbers),
    responses(
        (status = 200, description = "A URL for each part number; of the first hundred", body = PartsAnswer),
        (status = 400, description = "`Invalid part number: 1 to 10000`", body = ErrorWithMessage),
        (
            status = 413,
            description = "`maxBytes of this ticket is less than so many parts have: all but the last have 5 MiB or \
                           more`",
            body = ErrorWithMessage
        ),
        NoUpload,
        TicketErrors,
    ),
    security(()),
)]
async fn sign_parts(upload: UploadRef, params: Params, State(app): State<App>) -> Result<Json<PartsAnswer>> {
    let mut presigned_urls = HashMap::new();
    for number in params.get("partNumbers").unwrap_or_default().split(',').take(limits::SIGNED_PARTS_PER_REQUEST) {
        let number = upload.part_number(number)?;
        presigned_urls
            .insert(number, app.objects.presign_upload_part(&upload.key, &upload.upload_id, number, None).await?);
    }
    Ok(Json(PartsAnswer { presigned_urls }))
}

/// The size of a part, in bytes.
fn part_size(text: &str) -> Result<u64, Error> {
    let size = text.parse().ok().filter(|size| (0..=limits::MAX_PART_BYTES).contains(size));
    size.ok_or(Error::Invalid("Invalid size: 0 to 5368709120 bytes"))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Parts {
    parts: Vec<CompletedPart>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CompletedPart {
    #[schema(value_type = PartNumber)]
    part_number: u16,
    #[serde(rename = "ETag")]
    etag: String,
}

#[derive(Serialize, ToSchema)]
struct Completed {
    location: String,
    key: Key,
    bucket: String,
}

/// Completes a multipart upload
#[utoipa::path(
    post,
    path = "/multipart/{upload}/complete",
    tag = "Companion",
    operation_id = "completeParts",
    params(OfUpload, ByKey),
    request_body = Option<openapi::Parts>,
    responses(
        (status = 200, description = "The file is complete and visible", body = Completed),
        (
            status = 400,
            description = "`Invalid parts: all but the last must have 5 MiB or more`, `Invalid parts`: S3 has other \
                           parts, `Invalid JSON`",
            body = ErrorWithMessage
        ),
        (
            status = 409,
            description = "`Parts are missing: send them, then complete`, `The bytes are not there: send them, then \
                           complete`",
            body = ErrorWithMessage
        ),
        (
            status = 413,
            description = "`The upload is larger than it may be: begin again with less`, `The body is larger than this \
                           endpoint takes: 64 KiB, or 1 MiB for a list of parts`",
            body = ErrorWithMessage
        ),
        NoUpload,
        (status = 507, description = "`Over quota: 0 bytes left`: of the owner", body = ErrorWithMessage),
        TicketErrors,
    ),
    security(()),
)]
async fn complete(
    _: Ticket,
    upload: Result<UploadRef>,
    ApiUrl(api): ApiUrl,
    State(app): State<App>,
    body: Result<Object<Parts>, Error>,
) -> Result<Json<Completed>> {
    // A body that cannot be read is told before an upload that is unknown.
    let Object(Parts { parts }) = body?;
    let upload = upload?;
    app.scope(upload.ticket).await?;
    let file = match app.files.file_or_upload(upload.file).await? {
        FileOrUpload::Pending(pending) => {
            let parts: Vec<NamedPart> = parts.into_iter().map(|part| (part.part_number, part.etag)).collect();
            app.uploads.complete(&pending, Some(&parts)).await?
        }
        FileOrUpload::Visible(file) => file,
    };
    let location = format!("{api}/files/{}/data", file.id);
    Ok(Json(Completed { location, key: upload.key, bucket: app.objects.bucket().to_owned() }))
}

#[derive(Serialize, ToSchema)]
struct Nothing {}

/// Cancels an upload
///
/// The request is idempotent, and does nothing to a file that is visible: Uppy sends it whenever something failed.
#[utoipa::path(
    delete,
    path = "/multipart/{upload}",
    tag = "Companion",
    operation_id = "giveUpParts",
    params(OfUpload, ByKey),
    responses((status = 200, description = "The upload is canceled", body = Nothing), NoUpload, TicketErrors),
    security(()),
)]
async fn cancel(upload: UploadRef, State(app): State<App>) -> Result<Json<Nothing>> {
    match app.files.file_or_upload(upload.file).await {
        Ok(FileOrUpload::Pending(pending)) => drop(app.uploads.cancel(&pending).await?),
        Ok(FileOrUpload::Visible(_)) | Err(Error::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Json(Nothing {}))
}

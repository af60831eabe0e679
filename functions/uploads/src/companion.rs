//! The routes that stock Uppy calls where it is given a ticket's `companionEndpoint`, in both majors: a form of S3 for a
//! file that is put whole, signed requests for the parts of a larger one. The ticket is the credential.

use std::collections::HashMap;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::header,
    response::IntoResponse,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    body::{Object, Scalar},
    error::{ErrorWithMessage, WithMessage},
    files::{ContentKind, FileId, FileOrUpload, Incoming, Name, NewFile, Parent, Pending},
    http::{ApiUrl, Json},
    limits,
    openapi::TicketErrors,
    s3::{Key, PresignedPost, most_parts},
    tickets::{Scope, SignedUploadId, Ticket},
    uploads::{NamedPart, TOO_LARGE},
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
        // axum would answer HEAD with `params`, which counts a file of the ticket.
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

/// A file that is to be uploaded, as Uppy describes it.
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
    /// Seconds.
    expires: u64,
}

/// A form with which a file is put whole
#[utoipa::path(
    get,
    path = "/params",
    tag = "Companion",
    operation_id = "signForm",
    params(OfTicket, DescribedByQuery),
    responses(
        (status = 200, description = "To be posted to S3, with the bytes in a field `file` after these", body = FormAnswer),
        (
            status = 400,
            description = "`Missing name`, `Invalid name`, `Files of this type are not allowed here`, `Parent not found`, \
                           `Parent is not a folder`, `Too deep: 100 levels at most`",
            body = ErrorWithMessage
        ),
        (
            status = 409,
            description = "`This ticket is good for no more files`, \
                           `1000 uploads are not complete: complete or delete some, or wait until they expire`, the owner's",
            body = ErrorWithMessage
        ),
        TicketErrors,
    ),
    security(()),
)]
async fn params(
    ticket: Ticket,
    Query(query): Query<Vec<(String, String)>>,
    State(app): State<App>,
) -> Result<Json<FormAnswer>> {
    let mut file = Described::default();
    for (name, value) in query {
        let metadata = name.strip_prefix("metadata[").and_then(|name| name.strip_suffix(']'));
        match (name.as_str(), metadata) {
            ("filename", _) => file.filename = Scalar::Text(value),
            (_, Some(name)) => drop(file.metadata.insert(name.to_owned(), Scalar::Text(value))),
            _ => {}
        }
    }
    let (pending, scope) = app.begin(ticket, file, Incoming::by_form).await?;
    let content_type = pending.file.name.content_type();
    let max_bytes = scope.max_bytes.min(limits::MAX_SINGLE_PUT_BYTES);
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

/// Begins an upload in parts
#[utoipa::path(
    post,
    path = "/multipart",
    tag = "Companion",
    operation_id = "beginParts",
    params(OfTicket),
    request_body = openapi::Described,
    responses(
        (status = 200, description = "What the upload is called from here on", body = Begun),
        (
            status = 400,
            description = "`Missing name`, `Invalid name`, `Files of this type are not allowed here`, `Parent not found`, \
                           `Parent is not a folder`, `Too deep: 100 levels at most`, `Invalid JSON`",
            body = ErrorWithMessage
        ),
        (
            status = 409,
            description = "`This ticket is good for no more files`, \
                           `1000 uploads are not complete: complete or delete some, or wait until they expire`, the owner's",
            body = ErrorWithMessage
        ),
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
    /// The row of a new upload, if the ticket admits it, whose bytes come in this way.
    async fn begin(
        &self,
        ticket: Ticket,
        mut file: Described,
        incoming: fn(u64) -> Incoming,
    ) -> Result<(Pending, Scope), Error> {
        let scope = self.scope(ticket).await?;
        let mut metadata = |name| match file.metadata.remove(name) {
            // Uppy writes what a file has not.
            None | Some(Scalar::Null) => None,
            Some(Scalar::Text(text)) if ["", "null", "undefined"].contains(&text.as_str()) => None,
            given => given,
        };
        let name = match (metadata("name"), file.filename) {
            (Some(Scalar::Text(name)), _) | (_, Scalar::Text(name)) if !name.is_empty() => name.parse::<Name>()?,
            _ => return Err(Error::Invalid("Missing name")),
        };
        // A page may say where to, but only where the ticket says.
        if let Some(parent) = metadata("parentId")
            && Parent::try_from(parent)? != scope.parent
        {
            return Err(Error::Invalid("Parent not found"));
        }
        if !scope.admits(&name) {
            return Err(Error::Invalid("Files of this type are not allowed here"));
        }
        self.files.check_parent(scope.owner, scope.parent).await?;
        let (id, owner, parent) = (FileId::new(), scope.owner, scope.parent);
        let kind = ContentKind::of(&name);
        let new = NewFile { id, owner, name, is_public: scope.is_public, parent, is_repeatable: false };
        let incoming = incoming(scope.max_bytes).for_ticket(ticket.id());
        let begun = async {
            self.tickets.reserve_file(ticket.id(), id).await?;
            self.files.begin_direct(new, kind, incoming).await?.pending()
        };
        match begun.await {
            Ok(pending) => Ok((pending, scope)),
            Err(error) => {
                self.uploads.release_file(ticket.id(), id).await;
                Err(error)
            }
        }
    }

    /// What a ticket allows, now: its user may have gone.
    async fn scope(&self, ticket: Ticket) -> Result<Scope, Error> {
        let scope = self.tickets.scope(ticket).await?;
        self.users.with_id(scope.owner).await?.ok_or(Error::Unauthorized)?;
        Ok(scope)
    }
}

/// An upload in parts as its client names it: in the path our id, in the query the key, which must belong together.
struct UploadRef {
    id: FileId,
    key: Key,
    /// S3's.
    upload_id: String,
    /// Of the file.
    max_bytes: u64,
}

/// `?key=&partNumbers=&size=`. Of a parameter that is there twice the last counts.
#[derive(Deserialize)]
#[serde(from = "Vec<(String, String)>")]
struct UploadQuery {
    key: String,
    part_numbers: String,
    size: Option<String>,
}

impl From<Vec<(String, String)>> for UploadQuery {
    fn from(mut query: Vec<(String, String)>) -> Self {
        let mut take = |name| {
            let at = query.iter().rposition(|(key, _)| key == name);
            at.map(|at| query.remove(at).1)
        };
        Self {
            key: take("key").unwrap_or_default(),
            part_numbers: take("partNumbers").unwrap_or_default(),
            size: take("size"),
        }
    }
}

impl UploadRef {
    fn read(app: &App, ticket: Ticket, upload: &str, by: &UploadQuery) -> Result<Self, Error> {
        let Some((id, key, false)) = Key::parse_upload(&by.key) else { return Err(Error::NotFound) };
        let SignedUploadId { upload_id, max_bytes } = app.tickets.verify_upload_id(ticket, &key, upload)?;
        Ok(Self { id, key, upload_id, max_bytes })
    }

    /// A part that a file of the ticket can have.
    ///
    /// S3 can be told how many bytes a part has, but not how many it has at most. So a part whose size is not said may have
    /// up to [`limits::MAX_PART_BYTES`], and who means harm can store 1,024 times the `maxBytes` of a ticket, or 5 GiB if
    /// that is more, until the upload is completed, which refuses it, or expires.
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

/// The parts that are there
#[utoipa::path(
    get,
    path = "/multipart/{upload}",
    tag = "Companion",
    operation_id = "listParts",
    params(OfUpload, ByKey),
    responses((status = 200, description = "All of them", body = Vec<ListedPart>), NoUpload, TicketErrors),
    security(()),
)]
async fn list(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<UploadQuery>,
    State(app): State<App>,
) -> Result<Json<Vec<ListedPart>>> {
    let named = UploadRef::read(&app, ticket, &path["upload"], &by)?;
    let parts = app.objects.list_parts(&named.key, &named.upload_id).await?.into_iter();
    let listed = parts.map(|part| ListedPart { part_number: part.number, etag: part.etag, size: part.size });
    Ok(Json(listed.collect()))
}

#[derive(Serialize, ToSchema)]
struct PartAnswer {
    url: String,
    /// Seconds.
    expires: u64,
}

/// A request that puts a part
#[utoipa::path(
    get,
    path = "/multipart/{upload}/{part}",
    tag = "Companion",
    operation_id = "signPart",
    params(OfUpload, ("part" = PartNumber, Path), ByKeyAndSize),
    responses(
        (status = 200, description = "To be sent to S3 with the bytes", body = PartAnswer),
        (
            status = 400,
            description = "`Invalid part number: 1 to 10000`, `Invalid size: 0 to 5368709120 bytes`",
            body = ErrorWithMessage
        ),
        (
            status = 413,
            description = "`maxBytes of this ticket is less than so many parts have: all but the last have 5 MiB or more`, \
                           `The upload is larger than it may be: begin again with less`",
            body = ErrorWithMessage
        ),
        NoUpload,
        TicketErrors,
    ),
    security(()),
)]
async fn sign_part(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<UploadQuery>,
    State(app): State<App>,
) -> Result<Json<PartAnswer>> {
    let named = UploadRef::read(&app, ticket, &path["upload"], &by)?;
    let number = named.part_number(&path["part"])?;
    let size = by.size.as_deref().map(part_size).transpose()?;
    if size.is_some_and(|size| size > named.max_bytes) {
        return Err(Error::TooLarge(TOO_LARGE).into());
    }
    let url = app.objects.presign_upload_part(&named.key, &named.upload_id, number, size).await?;
    Ok(Json(PartAnswer { url, expires: limits::UPLOAD_URL_TTL.as_secs() }))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartsAnswer {
    #[schema(value_type = HashMap<String, String>)]
    presigned_urls: HashMap<u16, String>,
}

/// Requests that put parts
#[utoipa::path(
    get,
    path = "/multipart/{upload}/batch",
    tag = "Companion",
    operation_id = "signParts",
    params(OfUpload, ByKeyAndNumbers),
    responses(
        (status = 200, description = "By the numbers of their parts; of the first hundred", body = PartsAnswer),
        (status = 400, description = "`Invalid part number: 1 to 10000`", body = ErrorWithMessage),
        (
            status = 413,
            description = "`maxBytes of this ticket is less than so many parts have: all but the last have 5 MiB or more`",
            body = ErrorWithMessage
        ),
        NoUpload,
        TicketErrors,
    ),
    security(()),
)]
async fn sign_parts(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<UploadQuery>,
    State(app): State<App>,
) -> Result<Json<PartsAnswer>> {
    let named = UploadRef::read(&app, ticket, &path["upload"], &by)?;
    let mut presigned_urls = HashMap::new();
    for number in by.part_numbers.split(',').take(limits::SIGNED_PARTS_PER_REQUEST) {
        let number = named.part_number(number)?;
        presigned_urls
            .insert(number, app.objects.presign_upload_part(&named.key, &named.upload_id, number, None).await?);
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

/// Makes a file of its parts
#[utoipa::path(
    post,
    path = "/multipart/{upload}/complete",
    tag = "Companion",
    operation_id = "completeParts",
    params(OfUpload, ByKey),
    request_body = Option<openapi::Parts>,
    responses(
        (status = 200, description = "The file is there", body = Completed),
        (
            status = 400,
            description = "`Invalid parts: all but the last must have 5 MiB or more`, `Invalid parts`: S3 has others, \
                           `Invalid JSON`",
            body = ErrorWithMessage
        ),
        (
            status = 409,
            description = "`Parts are missing: send them, then complete`, `The bytes are not there: send them, then complete`",
            body = ErrorWithMessage
        ),
        (
            status = 413,
            description = "`The upload is larger than it may be: begin again with less`, `The body is larger than this \
                           endpoint takes: 64 KiB, or 1 MiB for a list of parts`",
            body = ErrorWithMessage
        ),
        NoUpload,
        TicketErrors,
    ),
    security(()),
)]
async fn complete(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<UploadQuery>,
    ApiUrl(api): ApiUrl,
    State(app): State<App>,
    body: Result<Object<Parts>, Error>,
) -> Result<Json<Completed>> {
    let Object(Parts { parts }) = body?;
    let named = UploadRef::read(&app, ticket, &path["upload"], &by)?;
    app.scope(ticket).await?;
    let file = match app.files.find_any(named.id).await? {
        FileOrUpload::Pending(pending) => {
            let parts: Vec<NamedPart> = parts.into_iter().map(|part| (part.part_number, part.etag)).collect();
            app.uploads.complete(&pending, Some(&parts)).await?
        }
        FileOrUpload::Visible(file) => file,
    };
    let location = format!("{api}/files/{}/data", file.id.0.to_hex());
    Ok(Json(Completed { location, key: named.key, bucket: app.objects.bucket().to_owned() }))
}

#[derive(Serialize, ToSchema)]
struct Nothing {}

/// Gives an upload up
///
/// Again and again the same, and nothing to a file that is visible: Uppy sends it whenever something failed.
#[utoipa::path(
    delete,
    path = "/multipart/{upload}",
    tag = "Companion",
    operation_id = "giveUpParts",
    params(OfUpload, ByKey),
    responses((status = 200, description = "There is nothing of it any more", body = Nothing), NoUpload, TicketErrors),
    security(()),
)]
async fn cancel(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<UploadQuery>,
    State(app): State<App>,
) -> Result<Json<Nothing>> {
    let named = UploadRef::read(&app, ticket, &path["upload"], &by)?;
    match app.files.find_any(named.id).await {
        Ok(FileOrUpload::Pending(pending)) => drop(app.uploads.cancel(&pending).await?),
        Ok(FileOrUpload::Visible(_)) | Err(Error::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Json(Nothing {}))
}

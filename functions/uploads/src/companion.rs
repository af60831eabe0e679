//! The routes that stock Uppy calls where it is given a ticket's `companionEndpoint`, in both majors: a form of S3 for a
//! file that is put whole, signed requests for the parts of a larger one. The ticket is the credential.

use std::collections::HashMap;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, Query, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    api::{ApiUrl, Json},
    body::{Object, Scalar},
    error::{ErrorWithMessage, WithMessage},
    files::{Announced, Bytes, FileId, Found, Name, NewFile, Parent, Pending},
    limits,
    objects::{Form, Key},
    openapi::OfTickets,
    tickets::{Scope, Ticket},
    uploads::NamedPart,
};

use utoipa::{OpenApi, ToSchema};

use crate::{
    App,
    openapi::{self, ByKey, ByKeyAndNumbers, DescribedByQuery, NoUpload, OfTicket, OfUpload, PartNumber, TooLarge},
};

type Result<T, E = WithMessage> = std::result::Result<T, E>;

#[derive(OpenApi)]
#[openapi(paths(params, begin, list, give_up, sign_parts, complete, sign_part))]
pub struct Api;

pub fn router() -> Router<App> {
    Router::new()
        .route("/params", get(params))
        .route("/multipart", post(begin))
        .route("/multipart/{upload}", get(list).delete(give_up))
        .route("/multipart/{upload}/batch", get(sign_parts))
        .route("/multipart/{upload}/complete", post(complete))
        .route("/multipart/{upload}/{part}", get(sign_part))
        .layer(DefaultBodyLimit::max(limits::PARTS_BODY_BYTES))
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
    form: Form,
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
        (status = 409, description = "`This ticket is good for no more files`", body = ErrorWithMessage),
        OfTickets,
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
    let (pending, scope) = app.begin(ticket, file).await?;
    let content_type = pending.file.name.content_type();
    let max_bytes = scope.max_bytes.min(limits::SINGLE_BYTES);
    let form = app.objects.form(&pending.key.of_form(), &content_type, max_bytes).await?;
    Ok(Json(FormAnswer { method: "POST", form, expires: limits::UPLOAD_URL.as_secs() }))
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
        (status = 409, description = "`This ticket is good for no more files`", body = ErrorWithMessage),
        TooLarge,
        OfTickets,
    ),
    security(()),
)]
async fn begin(ticket: Ticket, State(app): State<App>, file: Result<Object<Described>, Error>) -> Result<Json<Begun>> {
    let Object(file) = file?;
    let (mut pending, _) = app.begin(ticket, file).await?;
    app.uploads.in_parts(&mut pending).await?;
    let upload_id = app.tickets.seal(ticket, &pending.key, pending.upload_id.as_deref().unwrap_or_default());
    Ok(Json(Begun { key: pending.key, upload_id, bucket: app.objects.bucket().to_owned() }))
}

impl App {
    /// The row of a new upload, if the ticket admits it.
    async fn begin(&self, ticket: Ticket, mut file: Described) -> Result<(Pending, Scope), Error> {
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
        self.tickets.count(ticket).await?;
        let kind = Bytes::of(&name);
        let (id, owner, parent) = (FileId::new(), scope.owner, scope.parent);
        let new = NewFile { id, owner, name, is_public: scope.is_public, parent, is_repeatable: false };
        let begun = self.files.begin_direct(new, kind, Announced::AtMost(scope.max_bytes)).await?;
        Ok((begun.pending()?, scope))
    }

    /// What a ticket allows, now: its user may have gone.
    async fn scope(&self, ticket: Ticket) -> Result<Scope, Error> {
        let scope = self.tickets.scope(ticket).await?;
        self.users.with_id(scope.owner).await?.ok_or(Error::Unauthorized)?;
        Ok(scope)
    }
}

/// An upload in parts as its client names it: in the path our id, in the query the key, which must belong together.
struct Named {
    id: FileId,
    key: Key,
    /// S3's.
    upload_id: String,
}

/// `?key=&partNumbers=`. Of a parameter that is there twice the last counts.
#[derive(Deserialize)]
#[serde(from = "Vec<(String, String)>")]
struct NamedBy {
    key: String,
    part_numbers: String,
}

impl From<Vec<(String, String)>> for NamedBy {
    fn from(mut query: Vec<(String, String)>) -> Self {
        let mut take = |name| {
            let at = query.iter().rposition(|(key, _)| key == name);
            at.map(|at| query.remove(at).1).unwrap_or_default()
        };
        Self { key: take("key"), part_numbers: take("partNumbers") }
    }
}

impl Named {
    fn read(app: &App, ticket: Ticket, upload: &str, by: &NamedBy) -> Result<Self, Error> {
        let Some((id, key, false)) = Key::parse_upload(&by.key) else { return Err(Error::NotFound) };
        let upload_id = app.tickets.unseal(ticket, &key, upload)?;
        Ok(Self { id, key, upload_id })
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
    responses((status = 200, description = "All of them", body = Vec<ListedPart>), NoUpload, OfTickets),
    security(()),
)]
async fn list(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<NamedBy>,
    State(app): State<App>,
) -> Result<Json<Vec<ListedPart>>> {
    let named = Named::read(&app, ticket, &path["upload"], &by)?;
    let parts = app.objects.parts(&named.key, &named.upload_id).await?.into_iter();
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
    params(OfUpload, ("part" = PartNumber, Path), ByKey),
    responses(
        (status = 200, description = "To be sent to S3 with the bytes", body = PartAnswer),
        (status = 400, description = "`Invalid part number: 1 to 10000`", body = ErrorWithMessage),
        NoUpload,
        OfTickets,
    ),
    security(()),
)]
async fn sign_part(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<NamedBy>,
    State(app): State<App>,
) -> Result<Json<PartAnswer>> {
    let named = Named::read(&app, ticket, &path["upload"], &by)?;
    let number = part_number(&path["part"])?;
    let url = app.objects.signed_part(&named.key, &named.upload_id, number, None).await?;
    Ok(Json(PartAnswer { url, expires: limits::UPLOAD_URL.as_secs() }))
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
        NoUpload,
        OfTickets,
    ),
    security(()),
)]
async fn sign_parts(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<NamedBy>,
    State(app): State<App>,
) -> Result<Json<PartsAnswer>> {
    let named = Named::read(&app, ticket, &path["upload"], &by)?;
    let mut presigned_urls = HashMap::new();
    for number in by.part_numbers.split(',').take(limits::SIGNED_PARTS) {
        let number = part_number(number)?;
        presigned_urls.insert(number, app.objects.signed_part(&named.key, &named.upload_id, number, None).await?);
    }
    Ok(Json(PartsAnswer { presigned_urls }))
}

fn part_number(text: &str) -> Result<u16, Error> {
    let number = text.parse().ok().filter(|number| (1..=limits::PARTS).contains(number));
    number.ok_or(Error::Invalid("Invalid part number: 1 to 10000"))
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
        (status = 400, description = "`Invalid parts`: S3 has others, `Invalid JSON`", body = ErrorWithMessage),
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
        OfTickets,
    ),
    security(()),
)]
async fn complete(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<NamedBy>,
    ApiUrl(api): ApiUrl,
    State(app): State<App>,
    body: Result<Object<Parts>, Error>,
) -> Result<Json<Completed>> {
    let Object(Parts { parts }) = body?;
    let named = Named::read(&app, ticket, &path["upload"], &by)?;
    app.scope(ticket).await?;
    let file = match app.files.find_any(named.id).await? {
        Found::Pending(pending) => {
            let parts: Vec<NamedPart> = parts.into_iter().map(|part| (part.part_number, part.etag)).collect();
            app.uploads.complete(&pending, Some(&parts)).await?
        }
        Found::Visible(file) => file,
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
    responses((status = 200, description = "There is nothing of it any more", body = Nothing), NoUpload, OfTickets),
    security(()),
)]
async fn give_up(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<NamedBy>,
    State(app): State<App>,
) -> Result<Json<Nothing>> {
    let named = Named::read(&app, ticket, &path["upload"], &by)?;
    match app.files.find_any(named.id).await {
        Ok(Found::Pending(pending)) => {
            if app.uploads.give_up(&pending).await? {
                app.tickets.uncount(ticket).await?;
            }
        }
        Ok(Found::Visible(_)) | Err(Error::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Json(Nothing {}))
}

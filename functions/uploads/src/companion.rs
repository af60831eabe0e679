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
    error::WithMessage,
    files::{Announced, Bytes, FileId, Found, Name, NewFile, Parent, Pending},
    limits,
    objects::{Form, Key},
    tickets::{Scope, Ticket},
    uploads::NamedPart,
};

use crate::App;

type Result<T, E = WithMessage> = std::result::Result<T, E>;

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

#[derive(Serialize)]
struct FormAnswer {
    method: &'static str,
    #[serde(flatten)]
    form: Form,
    /// Seconds.
    expires: u64,
}

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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    key: Key,
    upload_id: String,
    bucket: String,
}

async fn begin(ticket: Ticket, State(app): State<App>, Object(file): Object<Described>) -> Result<Json<Begun>> {
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
        let new = NewFile { id, owner, name, is_public: scope.is_public, parent };
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedBy {
    #[serde(default)]
    key: String,
    #[serde(default)]
    part_numbers: String,
}

impl Named {
    fn read(app: &App, ticket: Ticket, upload: &str, by: &NamedBy) -> Result<Self, Error> {
        let Some((id, key, false)) = Key::parse_upload(&by.key) else { return Err(Error::NotFound) };
        let upload_id = app.tickets.unseal(ticket, &key, upload)?;
        Ok(Self { id, key, upload_id })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    part_number: u16,
    #[serde(rename = "ETag")]
    etag: String,
    size: u64,
}

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

#[derive(Serialize)]
struct PartAnswer {
    url: String,
    /// Seconds.
    expires: u64,
}

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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartsAnswer {
    presigned_urls: HashMap<u16, String>,
}

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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CompletedPart {
    part_number: u16,
    #[serde(rename = "ETag")]
    etag: String,
}

#[derive(Serialize)]
struct Completed {
    location: String,
    key: Key,
    bucket: String,
}

async fn complete(
    ticket: Ticket,
    Path(path): Path<HashMap<String, String>>,
    Query(by): Query<NamedBy>,
    ApiUrl(api): ApiUrl,
    State(app): State<App>,
    Object(Parts { parts }): Object<Parts>,
) -> Result<Json<Completed>> {
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

#[derive(Serialize)]
struct Nothing {}

/// Again and again the same, and nothing to a file that is visible: Uppy sends it whenever something failed.
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

//! The `OpenAPI` description of this function's routes, and of the bodies that handlers read field by field.

use shared::{
    http::{
        error::ErrorView,
        listing::schema::{listed, order, sort, types as listed_types},
        openapi::new_password,
        upload_limits::schema::{max_bytes, max_files, types},
    },
    ids::FileId,
    limits,
};
use utoipa::{
    IntoParams, IntoResponses, OpenApi, ToSchema,
    openapi::{
        Object, ObjectBuilder,
        schema::{SchemaType, Type},
    },
};

use crate::{pages, shared_files, zips};

#[derive(OpenApi)]
#[openapi(paths(
    crate::list,
    crate::create,
    crate::show,
    crate::change,
    crate::delete,
    shared_files::show,
    shared_files::unlock,
    shared_files::list,
    shared_files::data,
    shared_files::ticket,
    zips::create,
    zips::show,
    zips::data,
    pages::show,
    pages::unlock,
    pages::send,
    pages::data,
    pages::ticket,
    pages::create_zip,
    pages::show_zip,
    pages::zip_data,
    pages::asset,
))]
pub struct Api;

/// The documents of a ZIP; without them the ZIP has all that the link leads to.
#[derive(ToSchema)]
pub struct NewSharedZip {
    #[schema(required = false, min_items = 1, max_items = 1000)]
    pub ids: Option<Vec<FileId>>,
}

/// The form that makes a ZIP.
#[derive(ToSchema)]
pub struct ZippedFolder {
    pub folder: FileId,
}

/// A link to create. An absent field, or `null`, sets no limit.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewLink {
    pub file_id: FileId,
    #[schema(schema_with = kind, required = false)]
    pub kind: String,
    #[schema(schema_with = password, required = false)]
    pub password: String,
    #[schema(schema_with = expires_in, required = false)]
    pub expires_in: Option<u32>,
    #[schema(schema_with = max_downloads, required = false)]
    pub max_downloads: Option<u32>,
    #[schema(schema_with = max_bytes, required = false)]
    pub max_bytes: Option<u64>,
    #[schema(schema_with = max_files, required = false)]
    pub max_files: Option<u32>,
    #[schema(schema_with = types, required = false)]
    pub types: Option<Vec<String>>,
}

/// A change of a link. An absent field leaves the property as it is, and `null` removes it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct LinkChange {
    #[schema(schema_with = password, required = false)]
    pub password: String,
    #[schema(schema_with = expires_in, required = false)]
    pub expires_in: Option<u32>,
    #[schema(schema_with = max_downloads, required = false)]
    pub max_downloads: Option<u32>,
    #[schema(schema_with = max_bytes, required = false)]
    pub max_bytes: Option<u64>,
    #[schema(schema_with = max_files, required = false)]
    pub max_files: Option<u32>,
    #[schema(schema_with = types, required = false)]
    pub types: Option<Vec<String>>,
}

#[derive(ToSchema)]
pub struct Unlock {
    #[schema(schema_with = new_password)]
    pub password: String,
}

fn kind() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("`download` lets others read, `upload` lets others upload into a folder."))
        .enum_values(Some([serde_json::json!("download"), "upload".into(), serde_json::Value::Null]))
        .default(Some("download".into()))
        .build()
}

fn password() -> Object {
    let mut password = new_password();
    password.schema_type = SchemaType::from_iter([Type::String, Type::Null]);
    password
}

fn expires_in() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .description(Some("The lifetime from now, in seconds; without it the link does not expire."))
        .minimum(Some(1))
        .maximum(Some(limits::MAX_LINK_SECONDS))
        .build()
}

fn max_downloads() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .description(Some(
            "The number of downloads. Each visitor counts once an hour for each file, by address and `User-Agent`.",
        ))
        .minimum(Some(1))
        .maximum(Some(u32::MAX))
        .build()
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct OfFile {
    /// Only the links of this file. Without it the links of all files.
    #[param(value_type = String, required = false)]
    pub file_id: Option<String>,
}

/// The token in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfLink {
    #[param(pattern = "^[A-Za-z0-9_-]{38}$")]
    pub token: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Key {
    /// The key that `POST /shared/{token}/unlock` has given for the password.
    #[param(value_type = String, required = false)]
    pub key: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct Listing {
    /// The id of a folder below the shared folder; without it the shared folder itself.
    #[param(value_type = String, required = false)]
    pub parent_id: Option<String>,
    #[param(schema_with = sort, required = false)]
    pub sort: Option<String>,
    #[param(schema_with = order, required = false)]
    pub order: Option<String>,
    #[param(schema_with = listed_types, required = false)]
    pub r#type: Option<String>,
    #[param(schema_with = listed, required = false)]
    pub limit: Option<String>,
    /// Where the list goes on, from the URL in `Link`. The other parameters must be the same, but for `limit`.
    #[param(value_type = String, required = false)]
    pub cursor: Option<String>,
}

/// The part of a shared folder that is shown.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Shown {
    /// The id of a folder below the shared folder.
    #[param(value_type = String, required = false)]
    pub folder: Option<String>,
    /// The id of a file in the shared folder.
    #[param(value_type = String, required = false)]
    pub file: Option<String>,
    /// Where the list of the folder goes on.
    #[param(value_type = String, required = false)]
    pub cursor: Option<String>,
}

/// The form of a page that takes uploads.
#[derive(ToSchema)]
pub struct FilesOfForm {
    /// The files, each with its name.
    #[schema(value_type = Vec<String>, format = Binary)]
    pub file: Vec<Vec<u8>>,
}

/// Errors of any page of a link. Each is a page, and gives no hint beyond its status.
#[derive(IntoResponses)]
pub enum PageErrors {
    /// A page: the form for the password.
    #[response(status = 401, content_type = "text/html")]
    PasswordRequired(String),
    /// A page: the link does not exist any more, or does not lead to what is asked for.
    #[response(status = 404, content_type = "text/html")]
    NotFound(String),
    /// A page: the link has expired, or is used up.
    #[response(status = 410, content_type = "text/html")]
    Gone(String),
    /// A page: too many wrong passwords.
    #[response(
        status = 429,
        content_type = "text/html",
        headers(("Retry-After" = u64, description = "Seconds to wait"))
    )]
    TooMany(String),
    /// A page: a store does not answer.
    #[response(
        status = 503,
        content_type = "text/html",
        headers(("Retry-After" = u64, description = "Seconds to wait"))
    )]
    Unavailable(String),
    /// A page: something failed that the visitor cannot change.
    #[response(status = 500, content_type = "text/html")]
    Failed(String),
}

/// Errors of any request with the token of a link.
#[derive(IntoResponses)]
pub enum LinkErrors {
    /// `Password required`: the request has no password or key, or a wrong one.
    #[response(status = 401)]
    PasswordRequired(ErrorView),
    /// `Not found`: there is no such link any more, the link is for the other kind of use, or what is asked for is not
    /// behind it.
    #[response(status = 404)]
    NotFound(ErrorView),
    /// `The link has expired`, `The link is used up`
    #[response(status = 410)]
    Gone(ErrorView),
    /// `Too many failed logins: wait a minute`: ten wrong passwords within a minute for this link from this network, or
    /// many for all links.
    #[response(status = 429, headers(("Retry-After" = u64, description = "Seconds to wait")))]
    TooMany(ErrorView),
}

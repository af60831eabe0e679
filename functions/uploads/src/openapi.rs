//! The `OpenAPI` description of this function's routes, and of the bodies that handlers read field by field.

use shared::{
    http::{
        error::ErrorWithMessage,
        openapi::{FileName, ParentId, lenient_bool, missing, on_conflict},
        upload_limits::schema::{max_bytes, max_files, types},
    },
    limits,
    stores::s3::Key,
};
use utoipa::{
    IntoParams, IntoResponses, OpenApi, PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, RefOr, Schema,
        schema::{SchemaType, Type},
    },
};

use crate::companion::{self, CompletedPart};

#[derive(OpenApi)]
#[openapi(
    paths(crate::parts, crate::complete, crate::issue, crate::issued, crate::revoke, crate::sign),
    nest((path = "/uploads/{ticket}/s3", api = companion::Api)),
)]
pub struct Api;

/// `Not found`: the upload is unknown, belongs to somebody else, or has another key.
#[derive(IntoResponses)]
#[response(status = 404)]
pub struct NoUpload(pub ErrorWithMessage);

/// `The body is larger than this endpoint takes: 64 KiB, or 1 MiB for a list of parts`
#[derive(IntoResponses)]
#[response(status = 413)]
pub struct TooLarge(pub ErrorWithMessage);

/// The limits of a ticket. An absent field sets no limit; a file always has at most 5 TiB.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewTicket {
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = lenient_bool, required = false)]
    pub is_public: bool,
    #[schema(schema_with = max_bytes, required = false)]
    pub max_bytes: Option<u64>,
    #[schema(schema_with = max_files, required = false)]
    pub max_files: Option<u32>,
    #[schema(schema_with = types, required = false)]
    pub types: Option<Vec<String>>,
    #[schema(schema_with = expires_in, required = false)]
    pub expires_in: Option<u32>,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
}

fn expires_in() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .description(Some(format!("The lifetime, in seconds; {} by default.", limits::TICKET_DEFAULT_SECONDS)))
        .minimum(Some(1))
        .maximum(Some(limits::MAX_TICKET_SECONDS))
        .build()
}

/// A request for Uppy to sign.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum SignRequest {
    Unnamed(UnnamedFile),
    Named(NamedFile),
    Part(PartToPut),
    Step(Step),
}

/// Begins an upload: `PUT` for a whole file, `POST` for a multipart upload. The file gets its name from the key that
/// Uppy made of it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct UnnamedFile {
    #[schema(schema_with = put_or_post)]
    pub method: String,
    pub key: FileName,
    #[schema(schema_with = missing, required = false)]
    pub name: String,
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = lenient_bool, required = false)]
    pub is_public: bool,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
}

/// Begins an upload in the same way, with a name from the page.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NamedFile {
    #[schema(schema_with = put_or_post)]
    pub method: String,
    #[schema(min_length = 1)]
    pub key: String,
    pub name: FileName,
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = lenient_bool, required = false)]
    pub is_public: bool,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
}

/// Puts a part of a multipart upload.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct PartToPut {
    #[schema(schema_with = put)]
    pub method: String,
    pub key: Key,
    #[schema(min_length = 1)]
    pub upload_id: String,
    pub part_number: PartNumber,
}

/// Lists the parts of a multipart upload (`GET`), completes it (`POST`) or aborts it (`DELETE`).
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Step {
    #[schema(schema_with = get_post_or_delete)]
    pub method: String,
    pub key: Key,
    #[schema(min_length = 1)]
    pub upload_id: String,
}

fn put() -> Object {
    one_of(&["PUT"])
}

fn put_or_post() -> Object {
    one_of(&["PUT", "POST"])
}

fn get_post_or_delete() -> Object {
    one_of(&["GET", "POST", "DELETE"])
}

fn one_of(methods: &[&'static str]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(methods.iter().copied())).build()
}

pub struct PartNumber;

impl PartialSchema for PartNumber {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        number.minimum(Some(1)).maximum(Some(limits::MAX_PARTS)).into()
    }
}

impl ToSchema for PartNumber {}

/// A new upload, as Uppy describes it. If its metadata has a `name`, that name is used in place of `filename`; a
/// `parentId` in the metadata must be the ticket's.
#[derive(ToSchema)]
pub struct Described {
    pub filename: FileName,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DescribedByQuery {
    /// If there is `metadata[name]`, it is used in place of this; `metadata[parentId]` must be the ticket's.
    pub filename: FileName,
}

/// The ticket in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfTicket {
    #[param(pattern = "^[A-Za-z0-9_-]{64}$")]
    pub ticket: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TicketOrId {
    /// The ticket, or its `id` from the list of tickets.
    #[param(pattern = "^([A-Za-z0-9_-]{64}|[0-9a-f]{24})$")]
    pub ticket: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfUpload {
    #[param(pattern = "^[A-Za-z0-9_-]{64}$")]
    pub ticket: String,
    /// The `uploadId` from the answer that began the upload.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    pub upload: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByKey {
    /// The `key` from the answer that began the upload.
    pub key: Key,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByKeyAndSize {
    /// The `key` from the answer that began the upload.
    pub key: Key,
    /// The size of the part, in bytes. If it is given, S3 takes no other size.
    #[param(value_type = u64, minimum = 0, maximum = 5_368_709_120_i64, required = false)]
    pub size: Option<u64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ByKeyAndNumbers {
    /// The `key` from the answer that began the upload.
    pub key: Key,
    /// The part numbers, separated by commas. Of a hundred parts at most.
    #[param(pattern = "^([1-9][0-9]{0,3}|10000)(,([1-9][0-9]{0,3}|10000))*$", example = "1,2,3")]
    pub part_numbers: String,
}

/// The uploaded parts, with the `ETag`s from S3's answers.
#[derive(ToSchema)]
pub struct Parts {
    #[schema(required = false)]
    pub parts: Vec<CompletedPart>,
}

//! The description of this function's routes, and of the bodies that they take apart field by field.

use shared::{
    error::ErrorWithMessage,
    limits,
    openapi::{FileName, ParentId, file_size, lenient_bool, missing},
    s3::Key,
};
use utoipa::{
    IntoParams, IntoResponses, OpenApi, PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, RefOr, Schema,
        schema::{ArrayBuilder, SchemaType, Type},
    },
};

use crate::companion::{self, CompletedPart};

#[derive(OpenApi)]
#[openapi(
    paths(crate::parts, crate::complete, crate::issue, crate::issued, crate::revoke, crate::sign),
    nest((path = "/uploads/{ticket}/s3", api = companion::Api)),
)]
pub struct Api;

/// `Not found`: the upload is unknown, somebody else's, or has another key.
#[derive(IntoResponses)]
#[response(status = 404)]
pub struct NoUpload(pub ErrorWithMessage);

/// `The body is larger than this endpoint takes: 64 KiB, or 1 MiB for a list of parts`
#[derive(IntoResponses)]
#[response(status = 413)]
pub struct TooLarge(pub ErrorWithMessage);

/// What somebody else may upload. Whatever is not said is not limited, but that a file has at most 5 TiB.
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
}

fn max_bytes() -> Object {
    let mut bytes = file_size();
    bytes.schema_type = SchemaType::from_iter([Type::Integer, Type::Null]);
    bytes.description = Some(
        "Of each file. S3 checks it for a file that is put whole; for a file in parts the request that completes it does, and \
         until then S3 may have taken a part of up to 5 GiB for every 5 MiB of it."
            .into(),
    );
    bytes
}

fn max_files() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .description(Some("How many uploads may begin, less those that come to nothing."))
        .minimum(Some(1))
        .maximum(Some(u32::MAX))
        .build()
}

fn types() -> Schema {
    let token = "[A-Za-z0-9!#$&^_.+-]{1,127}";
    let one = ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^{token}/({token}|[*])$")));
    let mut types = ArrayBuilder::new()
        .description(Some("Media types, or classes of them. What a name stands for counts."))
        .items(one)
        .max_items(Some(limits::MAX_TICKET_TYPES))
        .examples([serde_json::json!(["image/*", "application/pdf"])])
        .build();
    types.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
    types.into()
}

fn expires_in() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .description(Some(format!("In seconds; {} where nothing is said.", limits::TICKET_DEFAULT_SECONDS)))
        .minimum(Some(1))
        .maximum(Some(limits::MAX_TICKET_SECONDS))
        .build()
}

/// A request that Uppy wants signed.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum SignRequest {
    Unnamed(UnnamedFile),
    Named(NamedFile),
    Part(PartToPut),
    Step(Step),
}

/// Begins an upload: `PUT` of a file whole, `POST` of one in parts. It is called as the key that Uppy made of its name.
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
}

/// The same with a name that the page gives.
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
}

/// Puts a part.
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

/// Lists what is there, makes an object of it, or gives it up.
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

/// A new upload, as Uppy describes it. Of its metadata a `name` is taken for `filename`, and `parentId` must be the ticket's.
#[derive(ToSchema)]
pub struct Described {
    pub filename: FileName,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DescribedByQuery {
    /// Uppy's `metadata[name]` is taken for it, and `metadata[parentId]` must be the ticket's.
    pub filename: FileName,
}

/// Who holds a ticket.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfTicket {
    #[param(pattern = "^[A-Za-z0-9_-]{64}$")]
    pub ticket: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TicketOrId {
    /// The ticket, or its id as the list of tickets has it.
    #[param(pattern = "^([A-Za-z0-9_-]{64}|[0-9a-f]{24})$")]
    pub ticket: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfUpload {
    #[param(pattern = "^[A-Za-z0-9_-]{64}$")]
    pub ticket: String,
    /// `uploadId`, as the answer to its beginning had it.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    pub upload: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByKey {
    /// As the answer to its beginning had it.
    pub key: Key,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByKeyAndSize {
    /// As the answer to its beginning had it.
    pub key: Key,
    /// How many bytes the part has: S3 takes no other part then.
    #[param(value_type = u64, minimum = 0, maximum = 5_368_709_120_i64, required = false)]
    pub size: Option<u64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ByKeyAndNumbers {
    /// As the answer to its beginning had it.
    pub key: Key,
    /// Of a hundred parts at most, with commas between them.
    #[param(pattern = "^([1-9][0-9]{0,3}|10000)(,([1-9][0-9]{0,3}|10000))*$", example = "1,2,3")]
    pub part_numbers: String,
}

/// The parts that there are, as S3 has answered them.
#[derive(ToSchema)]
pub struct Parts {
    #[schema(required = false)]
    pub parts: Vec<CompletedPart>,
}

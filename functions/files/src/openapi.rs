//! The `OpenAPI` description of this function's routes, and of the body that the handler reads field by field.

use shared::{
    http::listing::schema::{listed, number_to, order, sort, types},
    http::openapi::{FileName, ParentId, file_size, lenient_bool, missing, on_conflict, optional_name},
    ids::FileId,
    limits,
};
use utoipa::{
    IntoParams, OpenApi, PartialSchema, ToSchema,
    openapi::{
        Array, ArrayBuilder, Object, ObjectBuilder, RefOr, Schema,
        schema::{SchemaType, Type},
    },
};

#[derive(OpenApi)]
#[openapi(paths(
    crate::list::list,
    crate::create,
    crate::show,
    crate::change::patch,
    crate::delete,
    crate::publish,
    crate::unpublish,
    crate::search::path,
    crate::usage,
    crate::change::copy,
    crate::preview::put,
    crate::trash::put,
    crate::trash::restore,
    crate::trash::list,
    crate::trash::empty,
    crate::versions::list,
    crate::versions::restore,
    crate::versions::delete,
    crate::batch::batch,
    crate::search::search,
    crate::zips::create,
    crate::zips::show,
    crate::zips::data,
))]
pub struct Api;

#[derive(ToSchema)]
#[serde(untagged)]
pub enum NewFile {
    Folder(NewFolder),
    Inline(NewInline),
    Direct(NewUpload),
}

/// A folder, which has no content.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewFolder {
    pub name: FileName,
    #[schema(schema_with = folder)]
    pub r#type: String,
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = lenient_bool, required = false)]
    pub is_public: bool,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
}

/// A file or an image with its content.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewInline {
    pub name: FileName,
    #[schema(schema_with = file_or_image)]
    pub r#type: String,
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = lenient_bool, required = false)]
    pub is_public: bool,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
    #[schema(schema_with = data)]
    pub data: String,
}

/// A file or an image whose content the client sends to S3.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewUpload {
    pub name: FileName,
    #[schema(schema_with = file_or_image)]
    pub r#type: String,
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = lenient_bool, required = false)]
    pub is_public: bool,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
    #[schema(schema_with = missing, required = false)]
    pub data: (),
    #[schema(schema_with = file_size)]
    pub size: u64,
}

fn folder() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["folder"])).build()
}

fn file_or_image() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["file", "image"])).build()
}

/// A picture that stands for a document.
#[derive(ToSchema)]
pub struct NewPreview {
    #[schema(schema_with = picture)]
    pub data: String,
}

fn data() -> Object {
    base64(limits::MAX_INLINE_BYTES).build()
}

fn picture() -> Object {
    // A PNG of one pixel.
    let pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB5Sfe/AAAAABJRU5ErkJggg==";
    base64(limits::MAX_PREVIEW_BYTES).examples([pixel]).build()
}

/// The schema of bytes in base64, at most so many.
fn base64(most: usize) -> ObjectBuilder {
    const SPACE: &str = r"[\t\n\f\r ]*";
    let digit = format!("(?:[A-Za-z0-9+/_-]{SPACE})");
    let base64 = format!("^{SPACE}(?:{digit}{{4}})*(?:{digit}{{2}}(?:={SPACE}){{0,2}}|{digit}{{3}}(?:={SPACE})?)?$");
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(format!(
            "In base64, of either alphabet, with or without padding; white space is ignored. At most {most} bytes when \
             decoded."
        )))
        .content_encoding("base64")
        .min_length(Some(1))
        .pattern(Some(base64))
        .examples(["SGVsbG8h"])
}

/// A new name, a new place, or both.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum Change {
    Rename(Rename),
    Move(Move),
}

/// A new name, and perhaps a new place.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Rename {
    pub name: FileName,
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
}

/// A new place; the name stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Move {
    #[schema(schema_with = missing, required = false)]
    pub name: (),
    pub parent_id: ParentId,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
}

/// Where a copy is put, and its name: by default beside the original, with a number if the name is taken.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Copy {
    #[schema(schema_with = optional_name, required = false)]
    pub name: String,
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
}

/// Where a document is put that comes out of the trash: by default where it was.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Restore {
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
}

/// An action for many documents.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum Batch {
    Move(BatchMove),
    Other(BatchOther),
}

/// Moves documents into one folder.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct BatchMove {
    #[schema(schema_with = move_action)]
    pub action: String,
    #[schema(schema_with = ids)]
    pub ids: Vec<FileId>,
    pub parent_id: ParentId,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
}

/// Copies, trashes, restores or deletes documents.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct BatchOther {
    #[schema(schema_with = other_action)]
    pub action: String,
    #[schema(schema_with = ids)]
    pub ids: Vec<FileId>,
    /// Where copies and restored documents are put.
    #[schema(required = false)]
    pub parent_id: ParentId,
    #[schema(schema_with = on_conflict, required = false)]
    pub on_conflict: String,
}

/// The documents of a ZIP.
#[derive(ToSchema)]
pub struct NewZip {
    #[schema(schema_with = zipped)]
    pub ids: Vec<FileId>,
}

/// The schema of the ids of a ZIP.
fn zipped() -> Array {
    ArrayBuilder::new().items(FileId::schema()).min_items(Some(1)).max_items(Some(limits::MAX_ZIPPED)).build()
}

fn move_action() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["move"])).build()
}

fn other_action() -> Object {
    let actions = ["copy", "trash", "restore", "delete"];
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(actions)).build()
}

/// The schema of the ids of a batch. An item that is no id has an outcome of its own.
fn ids() -> Array {
    let item = ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some("The id of a document. Anything else has the outcome 404."))
        .examples(["5f1e7cda04a394508232559d"]);
    ArrayBuilder::new().items(item).min_items(Some(1)).max_items(Some(limits::MAX_BATCH)).build()
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatchHeader {
    /// The entity tags of the revisions that may be changed, or `*` for any.
    #[param(rename = "If-Match", value_type = String, required = false, example = "\"1\"")]
    pub tags: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct TrashPage {
    /// Documents in a page, at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u32>,
    /// The cursor of the URL in `Link`.
    pub cursor: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct Listing {
    /// The id of a folder; absent or `0` for the root. An unknown folder is empty.
    #[param(value_type = String, required = false)]
    pub parent_id: Option<String>,
    /// The page, from 0. Anything that is no number means 0. A page past the end is empty.
    #[param(value_type = String, required = false, example = "0")]
    pub page: Option<String>,
    #[param(schema_with = sort, required = false)]
    pub sort: Option<String>,
    #[param(schema_with = order, required = false)]
    pub order: Option<String>,
    #[param(schema_with = types, required = false)]
    pub r#type: Option<String>,
    #[param(schema_with = listed, required = false)]
    pub limit: Option<String>,
    /// Where the list goes on, from the URL in `Link`. The other parameters must be the same, but for `limit`.
    #[param(value_type = String, required = false)]
    pub cursor: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Search {
    #[param(inline)]
    pub q: SearchText,
    #[param(schema_with = types, required = false)]
    pub r#type: Option<String>,
    #[param(schema_with = found, required = false)]
    pub limit: Option<String>,
}

fn found() -> Object {
    number_to(limits::MAX_FOUND, limits::FOUND)
}

/// The schema of a text to search for.
pub struct SearchText;

impl PartialSchema for SearchText {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(format!(
                "The words to search for, in any order; at most {} bytes of UTF-8. Without a letter or a digit it finds \
                 nothing.",
                limits::MAX_QUERY_BYTES
            )))
            .min_length(Some(1))
            .max_length(Some(limits::MAX_QUERY_BYTES))
            .examples(["img 20"])
            .into()
    }
}

impl ToSchema for SearchText {}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyHeader {
    /// Makes the request idempotent for 24 hours: a retry with the same key and body returns the same document, and
    /// creates nothing.
    #[param(rename = "Idempotency-Key", schema_with = idempotency_key, required = false)]
    pub key: Option<String>,
}

fn idempotency_key() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(limits::IDEMPOTENCY_KEY_BYTES))
        .pattern(Some(r"^[!-~]([\t -~]*[!-~])?$"))
        .build()
}

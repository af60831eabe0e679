//! The description of this function's route.

use utoipa::{IntoParams, OpenApi};

#[derive(OpenApi)]
#[openapi(paths(crate::data))]
pub struct Api;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// A thumbnail of an image: `500`, `250` or `100` pixels wide. With any other there is none; empty is the whole.
    #[param(value_type = String, required = false)]
    pub size: Option<String>,
    /// `1` to have it saved by a browser, not shown.
    #[param(value_type = String, required = false)]
    pub download: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Conditions {
    /// A part is what S3 has to send; a unit other than `bytes` is ignored. S3 compares `If-Range` with its own `ETag`, the one
    /// that came with a part, and sends the whole for any other. What a file has never changes, so that a part of it always
    /// fits.
    #[param(rename = "Range", value_type = String, required = false, example = "bytes=0-99")]
    pub range: Option<String>,
    #[param(rename = "If-Match", value_type = String, required = false)]
    pub if_match: Option<String>,
    #[param(rename = "If-Unmodified-Since", value_type = String, required = false)]
    pub if_unmodified_since: Option<String>,
    #[param(rename = "If-None-Match", value_type = String, required = false)]
    pub if_none_match: Option<String>,
    #[param(rename = "If-Modified-Since", value_type = String, required = false)]
    pub if_modified_since: Option<String>,
}

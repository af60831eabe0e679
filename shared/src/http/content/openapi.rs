//! The parameters of a request for content, as the `OpenAPI` description has them.

use utoipa::IntoParams;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// A thumbnail of an image, or of the preview of a document: `500`, `250` or `100` pixels wide,
    /// and `1600` if the deployment made that width too when the picture came. Any other value is answered 404. An empty
    /// value means the content itself.
    #[param(value_type = String, required = false)]
    pub size: Option<String>,
    /// A text that is another one for other content, such as the file's revision. With the cookie of the web app it lets
    /// the browser keep a thumbnail for a day.
    #[param(value_type = String, required = false)]
    pub v: Option<String>,
    /// `1` makes a browser save the content instead of showing it.
    #[param(value_type = String, required = false)]
    pub download: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Conditions {
    /// S3 answers a range of bytes; a range in another unit than `bytes` is ignored. S3 compares `If-Range` with its
    /// own `ETag`, which came with an earlier part. For any other value S3 sends the whole content. The content of a
    /// file never changes, so that parts of it always fit together.
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

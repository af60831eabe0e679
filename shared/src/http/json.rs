//! JSON responses.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::FileView;
use crate::{Error, files::File};

/// A JSON response, with the charset that the original's framework sends.
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], bytes).into_response(),
            Err(error) => Error::Internal(error.into()).into_response(),
        }
    }
}

/// The response with one document of the owner, and the revision of the document as its entity tag.
pub struct DocumentResponse(pub StatusCode, pub FileView);

impl From<File> for DocumentResponse {
    fn from(file: File) -> Self {
        Self(StatusCode::OK, file.into())
    }
}

impl IntoResponse for DocumentResponse {
    fn into_response(self) -> Response {
        let Self(status, document) = self;
        (status, [(header::ETAG, document.etag())], Json(document)).into_response()
    }
}

/// True if these are the headers of a JSON response.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    has_type(headers, b"application/json")
}

/// True if these are the headers of a page.
pub(super) fn is_html(headers: &HeaderMap) -> bool {
    has_type(headers, b"text/html")
}

fn has_type(headers: &HeaderMap, content_type: &[u8]) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(content_type))
}

//! The documentation of the API: its description for programs, and a page that shows the description to people.

use axum::{
    extract::{Path, rejection::PathRejection},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use shared::{Error, Result, http::openapi::NotFound};

/// Generated from the types and routes of all functions by tests/openapi.
const DESCRIPTION: &[u8] = include_bytes!("openapi.json");

/// Swagger UI, compressed by the build.
const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));
const SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));

/// People type their tokens into this page, so it loads nothing from elsewhere, calls no other origin, and cannot be
/// framed.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// This `OpenAPI` description
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "Status",
    operation_id = "describe",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
    security(()),
)]
pub async fn openapi() -> Response {
    page_response("application/json; charset=utf-8", DESCRIPTION)
}

/// This `OpenAPI` description as a page
#[utoipa::path(
    get,
    path = "/docs",
    tag = "Status",
    operation_id = "showPage",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")),
    security(()),
)]
pub async fn page() -> Response {
    page_response("text/html; charset=utf-8", include_bytes!("docs/page.html"))
}

/// The files of the page
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "Status",
    operation_id = "showPageFile",
    params(("file" = String, Path, description = "A name that the page uses", example = "start.js")),
    responses(
        (
            status = 200,
            description = "A script or a style sheet",
            content((String = "text/javascript"), (String = "text/css"))
        ),
        NotFound,
    ),
    security(()),
)]
pub async fn file(file: Result<Path<String>, PathRejection>) -> Result<Response> {
    let Ok(Path(file)) = file else { return Err(Error::NotFound) };
    match file.as_str() {
        "swagger-ui.css" => Ok(packed("text/css; charset=utf-8", STYLE)),
        "swagger-ui-bundle.js" => Ok(packed("text/javascript; charset=utf-8", SCRIPT)),
        "start.js" => Ok(page_response("text/javascript; charset=utf-8", include_bytes!("docs/start.js"))),
        _ => Err(Error::NotFound),
    }
}

/// Sent compressed to every client: every browser can decompress it.
fn packed(content_type: &'static str, bytes: &'static [u8]) -> Response {
    let mut response = page_response(content_type, bytes);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

fn page_response(content_type: &'static str, bytes: &'static [u8]) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.extend(SECURITY_HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

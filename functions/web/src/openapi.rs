//! The `OpenAPI` description of this function's routes.

use shared::http::error::ErrorView;
use utoipa::{IntoParams, IntoResponses, OpenApi};

#[derive(OpenApi)]
#[openapi(paths(
    crate::page::show,
    crate::page::asset,
    crate::session::keep,
    crate::session::refresh,
    crate::session::end
))]
pub struct Api;

/// The header that a page of another origin cannot send.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct FromTheApp {
    /// Without it the answer is 403.
    #[param(rename = "X-Requested-With", value_type = String, pattern = "^files-manager$", example = "files-manager")]
    pub requested_with: String,
}

/// `Missing X-Requested-With: files-manager`
#[derive(IntoResponses)]
#[response(status = 403)]
pub struct NotFromTheApp(pub ErrorView);

/// `Unauthorized`: there is no cookie, or its session has ended.
#[derive(IntoResponses)]
#[response(status = 401)]
pub struct NoSession(pub ErrorView);

//! The `OpenAPI` description of this function's routes.

use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(crate::status, crate::stats, crate::docs::openapi, crate::docs::page, crate::docs::file))]
pub struct Api;

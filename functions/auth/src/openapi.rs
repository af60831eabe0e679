//! The `OpenAPI` description of this function's routes.

use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(crate::connect, crate::disconnect))]
pub struct Api;

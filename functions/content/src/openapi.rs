//! The `OpenAPI` description of this function's routes.

use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(crate::data, crate::version_data))]
pub struct Api;

//! Requests and responses: the only module with axum.

pub mod auth;
pub mod body;
pub mod content;
pub mod error;
mod file_view;
mod gateway_response;
mod json;
mod keys;
pub mod listing;
pub mod openapi;
mod params;
mod serve;
pub mod upload_limits;
mod zip_view;

pub use file_view::{FileView, ParentView};
pub use json::{DocumentResponse, Json};
pub use keys::{KeyGuard, key_routes};
pub use params::{ApiUrl, Params, VersionPath};
pub use serve::{get_only, serve, serve_with_redis};
pub use upload_limits::NewTicketView;
pub use zip_view::{ZipView, zipped_ids};

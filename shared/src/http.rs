//! Requests and responses: the only module with axum.

pub mod auth;
pub mod body;
pub mod error;
mod file_view;
mod gateway_response;
mod json;
pub mod openapi;
mod params;
mod serve;
mod zip_view;

pub use file_view::{FileView, ParentView};
pub use json::{DocumentResponse, Json};
pub use params::{ApiUrl, Params, VersionPath};
pub use serve::{get_only, serve};
pub use zip_view::ZipView;

//! The response of an error: the only place where an error becomes HTTP.

use std::sync::Arc;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::json::Json;
use crate::Error;

/// The cause of an error, carried in the extensions of the response to the log line of the request.
#[derive(Clone)]
pub struct Cause(pub Arc<str>);

/// An error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
#[serde(deny_unknown_fields)]
pub struct ErrorView {
    error: String,
}

/// An error.
#[derive(Serialize, ToSchema)]
#[schema(as = CompanionError)]
#[serde(deny_unknown_fields)]
pub struct ErrorWithMessage {
    error: String,
    /// The same text, for clients that show it. Absent if no route matched the request.
    #[schema(required = false)]
    message: String,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        respond(&self, ErrorView { error: self.to_string() })
    }
}

/// An error for clients of Uppy's companion, which show `message` to their users.
#[derive(Debug)]
pub struct WithMessage(Error);

impl From<Error> for WithMessage {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for WithMessage {
    fn into_response(self) -> Response {
        let Self(error) = self;
        respond(&error, ErrorWithMessage { error: error.to_string(), message: error.to_string() })
    }
}

fn respond(error: &Error, body: impl Serialize) -> Response {
    let mut response = (status(error), Json(body)).into_response();
    if let Some(seconds) = retry_after(error) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(cause) = error.cause() {
        response.extensions_mut().insert(Cause(cause.into()));
    }
    response
}

/// The status of an error.
pub fn status(error: &Error) -> StatusCode {
    match error {
        Error::Unauthorized | Error::PasswordRequired => StatusCode::UNAUTHORIZED,
        Error::Forbidden(_) => StatusCode::FORBIDDEN,
        Error::NotFound => StatusCode::NOT_FOUND,
        Error::Gone(_) => StatusCode::GONE,
        Error::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Error::Invalid(_) => StatusCode::BAD_REQUEST,
        Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Conflict(_) => StatusCode::CONFLICT,
        Error::PreconditionFailed | Error::Changed => StatusCode::PRECONDITION_FAILED,
        Error::OverQuota { .. } => StatusCode::INSUFFICIENT_STORAGE,
        Error::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::TooManyFailures { .. } | Error::TooManySignUps { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Seconds after which the same request may succeed.
fn retry_after(error: &Error) -> Option<u64> {
    match error {
        Error::Unavailable(_) => Some(1),
        Error::TooManyFailures { seconds } | Error::TooManySignUps { seconds } => Some(*seconds),
        _ => None,
    }
}

//! The errors, and the only place where an error becomes an HTTP response.

use std::sync::Arc;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use mongodb::error::ErrorKind;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Json;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// `Display` is the text for the client. The source is for the log only.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Unauthorized")]
    Unauthorized,
    #[error("Not found")]
    NotFound,
    #[error("Method not allowed")]
    MethodNotAllowed,
    #[error("{0}")]
    Invalid(&'static str),
    #[error("{0}")]
    TooLarge(&'static str),
    /// The request conflicts with the resource's current state.
    #[error("{0}")]
    Conflict(&'static str),
    /// A condition that the client sent with the request does not hold.
    #[error("Precondition failed")]
    PreconditionFailed,
    /// The request contradicts an earlier request with the same key.
    #[error("{0}")]
    Unprocessable(&'static str),
    /// Too many wrong passwords. The next password is checked after `seconds`.
    #[error("Too many failed logins: wait a minute")]
    TooManyFailures { seconds: u64 },
    /// Too many sign-ups. The next account from that network can be opened after `seconds`.
    #[error("Too many sign-ups from your network: try again later")]
    TooManySignUps { seconds: u64 },
    /// A store is down or hangs. The same request may succeed in a moment.
    #[error("Service unavailable")]
    Unavailable(#[source] anyhow::Error),
    #[error("Internal server error")]
    Internal(#[source] anyhow::Error),
}

impl Error {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyFailures { .. } | Self::TooManySignUps { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The error text of the store, for the log. `None` if the client is told everything.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Unavailable(cause) | Self::Internal(cause) => Some(format!("{cause:#}")),
            Self::Unauthorized
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::Invalid(_)
            | Self::TooLarge(_)
            | Self::Conflict(_)
            | Self::PreconditionFailed
            | Self::Unprocessable(_)
            | Self::TooManyFailures { .. }
            | Self::TooManySignUps { .. } => None,
        }
    }

    /// Seconds after which the same request may succeed.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Unavailable(_) => Some(1),
            Self::TooManyFailures { seconds } | Self::TooManySignUps { seconds } => Some(*seconds),
            Self::Unauthorized
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::Invalid(_)
            | Self::TooLarge(_)
            | Self::Conflict(_)
            | Self::PreconditionFailed
            | Self::Unprocessable(_)
            | Self::Internal(_) => None,
        }
    }

    /// The error for a store that did not answer in time.
    pub fn timeout(store: &'static str) -> Self {
        Self::Unavailable(anyhow::anyhow!("{store} did not answer in time"))
    }
}

/// The error texts for parts that S3 refuses, or would refuse, to complete an upload with.
pub const INVALID_PARTS: &str = "Invalid parts";
pub const SMALL_PARTS: &str = "Invalid parts: all but the last must have 5 MiB or more";

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

impl Error {
    fn to_response(&self, body: impl Serialize) -> Response {
        let mut response = (self.status(), Json(body)).into_response();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(cause) = self.cause() {
            response.extensions_mut().insert(Cause(cause.into()));
        }
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.to_response(ErrorView { error: self.to_string() })
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
        error.to_response(ErrorWithMessage { error: error.to_string(), message: error.to_string() })
    }
}

impl From<mongodb::error::Error> for Error {
    fn from(error: mongodb::error::Error) -> Self {
        let ours = match *error.kind {
            // 11600 and 11602: interrupted by a shutdown; 10107, 13435, 189, 91: a primary that is stepping down.
            ErrorKind::Command(ref command) => !matches!(command.code, 11600 | 11602 | 10107 | 13435 | 189 | 91),
            ErrorKind::Io(_)
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::Authentication { .. }
            | ErrorKind::Shutdown => false,
            _ => !error.contains_label(mongodb::error::RETRYABLE_WRITE_ERROR),
        };
        if ours { Self::Internal(error.into()) } else { Self::Unavailable(error.into()) }
    }
}

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl<E, R> From<SdkError<E, R>> for Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        match error.code() {
            // S3 refuses these parts at every attempt, so the client has to send other parts.
            Some("EntityTooSmall") => Self::Invalid(SMALL_PARTS),
            Some("InvalidPart" | "InvalidPartOrder" | "EntityTooLarge") => Self::Invalid(INVALID_PARTS),
            // The operator of the service has to repair these refusals.
            Some("AccessDenied" | "NoSuchBucket" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken") => {
                Self::Internal(anyhow::Error::new(error))
            }
            // Everything else (no answer, 5xx, throttling) is temporary.
            _ => Self::Unavailable(anyhow::Error::new(error)),
        }
    }
}

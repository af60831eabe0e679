//! What can go wrong, and the only place where it becomes an HTTP answer.

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

/// `Display` is the text a client gets; a source is for the log alone.
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
    /// What was asked for does not fit to how things stand.
    #[error("{0}")]
    Conflict(&'static str),
    /// The client has made its request depend on something that is not so.
    #[error("Precondition failed")]
    PreconditionFailed,
    /// What is asked contradicts what was asked before under the same name.
    #[error("{0}")]
    Unprocessable(&'static str),
    /// Somebody may be guessing; in so many seconds the next password is looked at.
    #[error("Too many failed logins: wait a minute")]
    TooManyFailures { seconds: u64 },
    /// In so many seconds the next account may be opened from that network.
    #[error("Too many sign-ups from your network: try again later")]
    TooManySignUps { seconds: u64 },
    /// A store is down or hangs; the same request may work in a moment.
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

    /// The stores' own words, for the log. `None` where the client is told everything.
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

    /// After how many seconds the same request may fare better.
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

    /// A store that did not answer in time.
    pub fn timeout(store: &'static str) -> Self {
        Self::Unavailable(anyhow::anyhow!("{store} did not answer in time"))
    }
}

/// The error of a client whose parts S3 does not join, or would not join.
pub const INVALID_PARTS: &str = "Invalid parts";
pub const SMALL_PARTS: &str = "Invalid parts: all but the last must have 5 MiB or more";

/// Travels in the extensions of an answer from here to the log line of the request.
#[derive(Clone)]
pub struct Cause(pub Arc<str>);

/// What went wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
#[serde(deny_unknown_fields)]
pub struct ErrorView {
    error: String,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = CompanionError)]
#[serde(deny_unknown_fields)]
pub struct ErrorWithMessage {
    error: String,
    /// The same, for clients that show it; not where no route came to answer.
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

/// The same for clients of Uppy's companion, which show their users a `message`.
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
            // S3 says the same of the same parts whenever it is asked: the client has to send others.
            Some("EntityTooSmall") => Self::Invalid(SMALL_PARTS),
            Some("InvalidPart" | "InvalidPartOrder" | "EntityTooLarge") => Self::Invalid(INVALID_PARTS),
            // Refusals are ours to repair.
            Some("AccessDenied" | "NoSuchBucket" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken") => {
                Self::Internal(anyhow::Error::new(error))
            }
            // Everything else (no answer, 5xx, throttling) passes.
            _ => Self::Unavailable(anyhow::Error::new(error)),
        }
    }
}

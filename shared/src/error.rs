//! The errors. [`crate::http::error`] turns an error into an HTTP response.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use mongodb::error::ErrorKind;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// `Display` is the text for the client. The source is for the log only.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Unauthorized")]
    Unauthorized,
    /// The token is valid, and does not allow the request.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The link has a password, which the request does not have, or has wrong.
    #[error("Password required")]
    PasswordRequired,
    #[error("Not found")]
    NotFound,
    /// The thing that the request asks for was there, and is not any more.
    #[error("{0}")]
    Gone(&'static str),
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
    /// The document has another revision than the client has seen.
    #[error("The file was changed meanwhile")]
    Changed,
    /// The user may store `left` more bytes.
    #[error("Over quota: {left} bytes left")]
    OverQuota { left: u64 },
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
    /// The error text of the store, for the log. `None` if the client is told everything.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Unavailable(cause) | Self::Internal(cause) => Some(format!("{cause:#}")),
            _ => None,
        }
    }

    /// True if a store failed, and not the request.
    pub fn is_store_fault(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Internal(_))
    }

    /// The error for a store that did not answer in time.
    pub fn timeout(store: &'static str) -> Self {
        Self::Unavailable(anyhow::anyhow!("{store} did not answer in time"))
    }
}

/// The error texts for parts that S3 refuses, or would refuse, to complete an upload with.
pub const INVALID_PARTS: &str = "Invalid parts";
pub const SMALL_PARTS: &str = "Invalid parts: all but the last must have 5 MiB or more";

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

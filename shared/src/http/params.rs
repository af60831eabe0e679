//! The parts of a request's URL as handlers take them.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::{
    Error, Result,
    ids::{FileId, SessionId},
};

/// The URL of this API as the caller knows it, without a slash at the end: `https://files.example.com`. The gateway
/// accepts no request for a foreign host.
pub struct ApiUrl(pub String);

impl<S: Send + Sync> FromRequestParts<S> for ApiUrl {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        match (parts.uri.scheme_str(), parts.uri.authority()) {
            (Some(scheme), Some(authority)) => Ok(Self(format!("{scheme}://{authority}"))),
            _ => Err(Error::Invalid("Missing Host")),
        }
    }
}

/// The `{id}` of a route. A malformed id has the same answer as an unknown id.
impl<S: Send + Sync> FromRequestParts<S> for FileId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let SessionId(id) = SessionId::from_request_parts(parts, state).await?;
        id.parse()
    }
}

/// The `{id}` of a route.
impl<S: Send + Sync> FromRequestParts<S> for SessionId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Error::NotFound)?;
        Ok(Self(id))
    }
}

//! The parts of a request's URL as handlers take them.

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{header, request::Parts},
};

use crate::{
    Error, Result,
    files::IfMatch,
    ids::{FileId, LinkId, SessionId, ZipId},
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

/// The header `If-Match`. Several headers count as one list.
impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let tags: Vec<&str> =
            parts.headers.get_all(header::IF_MATCH).iter().map(|tags| tags.to_str().unwrap_or_default()).collect();
        Ok(if tags.is_empty() { Self::default() } else { Self::parse(&tags.join(",")) })
    }
}

/// The `{id}` and `{version}` of a route.
pub struct VersionPath {
    pub document: FileId,
    pub version: FileId,
}

impl<S: Send + Sync> FromRequestParts<S> for VersionPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((document, version)) = path.map_err(|_| Error::NotFound)?;
        Ok(Self { document: document.parse()?, version: version.parse()? })
    }
}

/// The parameters of the query. If a parameter is there twice, the last one counts, here as in the gateway.
pub struct Params(Vec<(String, String)>);

impl Params {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl From<Vec<(String, String)>> for Params {
    fn from(in_order: Vec<(String, String)>) -> Self {
        Self(in_order)
    }
}

/// All parameters, in their order.
impl IntoIterator for Params {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        query.map(|Query(in_order)| Self(in_order)).map_err(|_| Error::Invalid("Invalid request"))
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

/// The `{id}` of a route. A malformed id has the same answer as an unknown id.
impl<S: Send + Sync> FromRequestParts<S> for LinkId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let SessionId(id) = SessionId::from_request_parts(parts, state).await?;
        id.parse()
    }
}

/// The `{id}` of a route.
impl<S: Send + Sync> FromRequestParts<S> for ZipId {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_parameters_counts() {
        for twice in [["page=1", "parentId=x", "page=2"], ["parentId=x", "page=1", "page=2"]] {
            let pair = |text: &str| text.split_once('=').map(|(key, value)| (key.into(), value.into())).unwrap();
            let params = Params(twice.map(pair).to_vec());
            assert_eq!((params.get("page"), params.get("parentId"), params.get("Page")), (Some("2"), Some("x"), None));
        }
    }
}

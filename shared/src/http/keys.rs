//! The routes that an API key may use. [`KeyGuard`] looks at each request with a key before its handler does, and no
//! extractor accepts a key that was not looked at: a route that is not in [`ROUTES`] has a 403 for every key.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State},
    http::{Method, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

use super::{
    auth::{KeyFound, Refused, sent_token},
    body::{Fields, Scalar},
    params::Params,
};
use crate::{
    Error, Result,
    accounts::{
        keys::{
            ApiKey,
            KeyScope::{self, Read, Upload, Write},
            Keys,
        },
        token::Token,
    },
    files::{Files, Parent},
    ids::FileId,
};

/// The documents that a request is about, for a key of one folder.
#[derive(Clone, Copy, PartialEq)]
enum About {
    /// The `{id}` of the route: the folder itself, or a document inside.
    ReadOfId,
    /// The `{id}` of the route: a document inside, and `parentId` of the body if it is there.
    ChangeOfId,
    /// The same for content, which everybody may read if it is public.
    Content,
    /// `parentId` of the query.
    Listing,
    /// `parentId` of the body, without which the root is meant.
    NewDocument,
    /// More than one folder: not for a key of one folder.
    Everything,
    /// No document.
    Nothing,
}

/// A method and a path, the right that a key needs, and the documents that the request is about.
type Route = (&'static str, &'static str, KeyScope, About);

const ROUTES: [Route; 38] = [
    ("GET", "/users/me", Read, About::Nothing),
    ("GET", "/users/me/usage", Read, About::Everything),
    ("GET", "/files", Read, About::Listing),
    ("POST", "/files", Upload, About::NewDocument),
    ("GET", "/files/{id}", Read, About::ReadOfId),
    ("PATCH", "/files/{id}", Write, About::ChangeOfId),
    ("DELETE", "/files/{id}", Write, About::ChangeOfId),
    ("PUT", "/files/{id}/publish", Write, About::ChangeOfId),
    ("PUT", "/files/{id}/unpublish", Write, About::ChangeOfId),
    ("GET", "/files/{id}/data", Read, About::Content),
    ("GET", "/files/{id}/path", Read, About::Everything),
    ("GET", "/files/{id}/usage", Read, About::ReadOfId),
    ("POST", "/files/{id}/copy", Write, About::ChangeOfId),
    ("PUT", "/files/{id}/preview", Write, About::ChangeOfId),
    ("PUT", "/files/{id}/trash", Write, About::ChangeOfId),
    ("PUT", "/files/{id}/restore", Write, About::ChangeOfId),
    ("GET", "/files/{id}/versions", Read, About::ReadOfId),
    ("GET", "/files/{id}/versions/{version}/data", Read, About::ReadOfId),
    ("PUT", "/files/{id}/versions/{version}/restore", Write, About::ChangeOfId),
    ("DELETE", "/files/{id}/versions/{version}", Write, About::ChangeOfId),
    ("POST", "/files/batch", Write, About::Everything),
    ("GET", "/search", Read, About::Everything),
    ("GET", "/trash", Read, About::Everything),
    ("DELETE", "/trash", Write, About::Everything),
    ("GET", "/files/{id}/parts", Upload, About::ChangeOfId),
    ("POST", "/files/{id}/complete", Upload, About::ChangeOfId),
    ("GET", "/uploads/tickets", Upload, About::Everything),
    ("POST", "/uploads/tickets", Upload, About::NewDocument),
    ("DELETE", "/uploads/tickets/{ticket}", Upload, About::Everything),
    ("POST", "/uploads/sign", Upload, About::Everything),
    ("POST", "/zips", Read, About::Everything),
    ("GET", "/zips/{id}", Read, About::Everything),
    ("GET", "/zips/{id}/data", Read, About::Everything),
    ("POST", "/links", Write, About::Everything),
    ("GET", "/links", Read, About::Everything),
    ("GET", "/links/{id}", Read, About::Everything),
    ("PATCH", "/links/{id}", Write, About::Everything),
    ("DELETE", "/links/{id}", Write, About::Everything),
];

/// The keys, and the folders that some of them are limited to.
#[derive(Clone)]
pub struct KeyGuard {
    keys: Keys,
    files: Files,
}

impl KeyGuard {
    pub fn new(keys: Keys, files: Files) -> Self {
        Self { keys, files }
    }

    /// The same routes, which accept API keys as far as the table in this module says.
    pub fn with_keys(self, routes: Router) -> Router {
        routes.layer(middleware::from_fn_with_state(self, guard))
    }
}

async fn guard(State(guard): State<KeyGuard>, request: Request, next: Next) -> Response {
    let Some(token) = sent_token(request.headers()).filter(Token::is_key) else { return next.run(request).await };
    match guard.permit(&token, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

impl KeyGuard {
    async fn permit(&self, token: &Token, request: Request) -> Result<Request> {
        let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
        // A ticket, and the token of a link, are tokens of their own. A sign-up and a login need no token.
        let has_own = ["/uploads/{ticket}/", "/shared/{token}", "/s/{token}"].iter().any(|own| path.starts_with(own));
        if has_own || path == "/users" || path == "/connect" {
            return Ok(request);
        }
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        let route = ROUTES.into_iter().find(|(of, at, ..)| *of == method.as_str() && *at == path);
        let is_content = route.is_some_and(|(.., about)| about == About::Content);
        let key = match self.keys.find(token).await {
            Err(Error::Unauthorized) if is_content => return Ok(refused(request, Refused::Unknown)),
            key => key?,
        };
        let (.., scope, about) = route.ok_or(Refused::BeyondScope)?;
        if !key.allows(scope) || (about == About::Everything && key.parent_id.is_some()) {
            if is_content {
                return Ok(refused(request, Refused::BeyondScope));
            }
            return Err(Refused::BeyondScope.into());
        }
        let (mut parts, mut body) = request.into_parts();
        let mut fields = Fields::default();
        if matches!(about, About::ChangeOfId | About::NewDocument) || scope == Upload {
            // Lambda limits the body, and has all of it in memory.
            let bytes = to_bytes(body, usize::MAX).await.map_err(|error| Error::Internal(error.into()))?;
            fields = Fields::of(&parts.headers, &bytes)?;
            body = Body::from(bytes);
        }
        let replaces = matches!(fields.take("onConflict"), Scalar::Text(text) if text == "replace");
        if replaces && !key.allows(Write) {
            return Err(Refused::BeyondScope.into());
        }
        let checked = match key.parent_id {
            Some(folder) => self.check(&key, folder, about, &mut parts, fields).await,
            None => Ok(()),
        };
        let found = match checked {
            Ok(()) => Ok(Arc::new(key)),
            Err(Error::NotFound) if is_content => Err(Refused::OutsideFolder),
            Err(error) => return Err(error),
        };
        parts.extensions.insert(KeyFound(found));
        Ok(Request::from_parts(parts, body))
    }

    /// Checks that a request is only about what is in the folder of its key.
    ///
    /// # Errors
    /// `NotFound`; `Parent not found`.
    async fn check(
        &self,
        key: &ApiKey,
        folder: FileId,
        about: About,
        parts: &mut Parts,
        mut fields: Fields,
    ) -> Result<()> {
        let may_be_in = async |parent: Parent| match parent {
            Parent::Folder(id) => {
                Ok::<bool, Error>(id == folder || self.files.is_inside(key.user_id, id, folder).await?)
            }
            Parent::Root | Parent::LegacyRoot => Ok(false),
        };
        match about {
            // A key of a folder has been refused where a request is about everything.
            About::Nothing | About::NewDocument | About::Everything => {}
            About::Listing => {
                let params = Params::from_request_parts(parts, &()).await?;
                let parent = params.get("parentId").and_then(|id| id.parse().ok()).map(Parent::Folder);
                if !may_be_in(parent.unwrap_or(Parent::Root)).await? {
                    return Err(Error::NotFound);
                }
            }
            About::ReadOfId | About::Content => {
                if !may_be_in(Parent::Folder(id_of_path(parts).await?)).await? {
                    return Err(Error::NotFound);
                }
            }
            About::ChangeOfId => {
                if !self.files.is_inside(key.user_id, id_of_path(parts).await?, folder).await? {
                    return Err(Error::NotFound);
                }
            }
        }
        let parent = match (about, fields.present("parentId")) {
            (About::NewDocument, parent) => parent.unwrap_or_default(),
            (About::ChangeOfId, Some(parent)) => parent,
            _ => return Ok(()),
        };
        if may_be_in(Parent::try_from(parent)?).await? { Ok(()) } else { Err(Error::Invalid("Parent not found")) }
    }
}

fn refused(mut request: Request, refused: Refused) -> Request {
    request.extensions_mut().insert(KeyFound(Err(refused)));
    request
}

/// The `{id}` of the route.
async fn id_of_path(parts: &mut Parts) -> Result<FileId> {
    let path = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| Error::NotFound)?;
    let id = path.iter().find(|(name, _)| *name == "id").map(|(_, id)| id);
    id.ok_or(Error::NotFound)?.parse()
}

/// The routes that a key may use, as `GET /files`, for a test that compares them with the description of the API.
pub fn key_routes() -> impl Iterator<Item = String> {
    ROUTES.iter().map(|(method, path, ..)| format!("{method} {path}"))
}

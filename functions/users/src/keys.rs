//! API keys: tokens for programs, with rights that are less than the user's.

use std::time::Duration;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use shared::{
    Error, Result,
    accounts::{
        keys::{ApiKey, KeyScope, Keys, NewKey},
        token::Token,
        users::User,
    },
    files::{Files, Parent},
    http::{
        Json,
        body::{Object, Scalar},
        error::ErrorView,
        openapi::{AuthErrors, NotFound, TooLarge},
    },
    ids::{FileId, KeyId, UserId},
    limits,
    time::Timestamp,
};
use utoipa::ToSchema;

use crate::openapi;

/// The body of `POST /users/me/keys`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyRequest {
    name: Scalar,
    scopes: serde_json::Value,
    parent_id: Scalar,
    expires_in: Scalar,
}

impl TryFrom<KeyRequest> for NewKey {
    type Error = Error;

    fn try_from(request: KeyRequest) -> Result<Self> {
        let name = match request.name {
            Scalar::Text(name) if !name.is_empty() => name,
            _ => return Err(Error::Invalid("Missing name")),
        };
        if name.len() > limits::MAX_KEY_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(Error::Invalid("Invalid name"));
        }
        let expires_at = match &request.expires_in {
            Scalar::Null => None,
            seconds => {
                let seconds = seconds.as_integer().filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
                let seconds = seconds.ok_or(Error::Invalid("Invalid expiresIn: 1 to 31536000 seconds"))?;
                Some(Timestamp::now() + Duration::from_secs(seconds))
            }
        };
        Ok(Self {
            name,
            scopes: scopes(&request.scopes).ok_or(Error::Invalid("Invalid scopes"))?,
            parent: match Parent::try_from(request.parent_id)? {
                Parent::Folder(folder) => Some(folder),
                Parent::Root | Parent::LegacyRoot => None,
            },
            expires_at,
        })
    }
}

const MAX_SECONDS: u64 = limits::MAX_KEY_SECONDS as u64;

/// One to three scopes, each once.
fn scopes(value: &serde_json::Value) -> Option<Vec<KeyScope>> {
    let mut scopes = Vec::new();
    for text in value.as_array()? {
        let scope = KeyScope::ALL.into_iter().find(|scope| text == scope.as_str())?;
        if scopes.contains(&scope) {
            return None;
        }
        scopes.push(scope);
    }
    Some(scopes).filter(|scopes| !scopes.is_empty())
}

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
#[serde(rename_all = "camelCase")]
pub struct KeyView {
    id: KeyId,
    name: String,
    scopes: Vec<KeyScope>,
    /// The folder that the key is limited to; `null` without a limit.
    parent_id: Option<FileId>,
    created_at: Timestamp,
    /// `null` if the key does not expire.
    expires_at: Option<Timestamp>,
    /// The time of a request with the key, to within an hour; `null` if there was none.
    last_used_at: Option<Timestamp>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            created_at: key.id.created_at(),
            name: key.name,
            scopes: key.scopes,
            parent_id: key.parent_id,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// A new API key.
#[derive(Serialize, ToSchema)]
#[schema(as = NewApiKey)]
#[serde(rename_all = "camelCase")]
pub struct NewKeyView {
    id: KeyId,
    /// The secret. Nobody can find it out later.
    #[schema(pattern = r"^fm\.[A-Za-z0-9_-]{43}$")]
    key: String,
    name: String,
    scopes: Vec<KeyScope>,
    /// The folder that the key is limited to; `null` without a limit.
    parent_id: Option<FileId>,
    created_at: Timestamp,
    /// `null` if the key does not expire.
    expires_at: Option<Timestamp>,
}

impl NewKeyView {
    fn of(key: ApiKey, token: &Token) -> Self {
        let KeyView { id, name, scopes, parent_id, created_at, expires_at, last_used_at: _ } = key.into();
        Self { id, key: token.reveal().to_owned(), name, scopes, parent_id, created_at, expires_at }
    }
}

/// Makes an API key
///
/// A key is a token for programs: send it as `X-Token` or as a bearer token. `read` allows to list, read and search,
/// `upload` to add files that replace nothing, `write` all changes of documents. No key may change the account. A key of
/// a folder is for the documents in that folder only; it cannot search, and has no trash, batches, ZIPs and links. All
/// keys end with a change of the password.
#[utoipa::path(
    post,
    path = "/users/me/keys",
    tag = "API keys",
    operation_id = "createKey",
    request_body = openapi::NewKey,
    responses(
        (status = 201, description = "The key, which is shown only now", body = NewKeyView),
        (
            status = 400,
            description = "`Missing name`, `Invalid name`, `Invalid scopes`, `Invalid expiresIn: 1 to 31536000 seconds`, \
                           `Parent not found`, `Parent is not a folder`, `Too deep: 100 levels at most`, `Invalid JSON`",
            body = ErrorView
        ),
        (status = 409, description = "`Too many keys: 100 at most`", body = ErrorView),
        AuthErrors,
        TooLarge,
    ),
)]
pub async fn create(
    user: User,
    State(keys): State<Keys>,
    State(files): State<Files>,
    Object(request): Object<KeyRequest>,
) -> Result<(StatusCode, Json<NewKeyView>)> {
    let new = NewKey::try_from(request)?;
    if let Some(folder) = new.parent {
        files.check_parent(user.id(), Parent::Folder(folder)).await?;
    }
    let (key, token) = keys.create(&user, new).await?;
    Ok((StatusCode::CREATED, Json(NewKeyView::of(key, &token))))
}

/// The API keys, newest first
#[utoipa::path(
    get,
    path = "/users/me/keys",
    tag = "API keys",
    operation_id = "listKeys",
    responses((status = 200, description = "At most a hundred", body = Vec<KeyView>), AuthErrors),
)]
pub async fn list(user: UserId, State(keys): State<Keys>) -> Result<Json<Vec<KeyView>>> {
    Ok(Json(keys.of_user(user).await?.into_iter().map(KeyView::from).collect()))
}

/// Deletes an API key
#[utoipa::path(
    delete,
    path = "/users/me/keys/{id}",
    tag = "API keys",
    operation_id = "deleteKey",
    params(("id" = KeyId, Path)),
    responses((status = 204, description = "The key is not valid any more"), AuthErrors, NotFound),
)]
pub async fn delete(user: UserId, Path(id): Path<String>, State(keys): State<Keys>) -> Result<StatusCode> {
    let id: KeyId = id.parse()?;
    keys.delete(user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

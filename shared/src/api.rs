//! What every HTTP function does alike: errors as the contract's JSON, one log line, no panic that escapes.

use std::time::Instant;

use axum::{
    Router,
    extract::{FromRequestParts, MatchedPath, Request},
    http::{Method, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use lambda_http::RequestExt;
use serde::Serialize;

use crate::{Error, error::Cause, sessions::Seen};

/// Serves a function's routes until Lambda ends the instance.
pub async fn serve(routes: Router) -> Result<(), lambda_http::Error> {
    let app = routes
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(middleware::from_fn(answer));
    lambda_http::run(app).await
}

async fn answer(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let seen = Seen::default();
    request.extensions_mut().insert(seen.clone());
    let request_id = request.lambda_context_ref().map(|context| context.request_id.clone());
    let method = request.method().clone();
    // The route, not the path: a path is what somebody typed.
    let route = request.extensions().get::<MatchedPath>().cloned();

    // A browser asks before it lets a page of another origin do something. What it may, the gateway adds; where a route
    // takes any method, the gateway hands the question to the function and needs a good answer.
    let is_preflight =
        method == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);

    let answer = if is_preflight {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        std::panic::AssertUnwindSafe(next.run(request)).catch_unwind().await
    };
    let response = answer.unwrap_or_else(|panic| {
        let panic = panic.downcast_ref::<&str>().copied().unwrap_or("a panic");
        Error::Internal(anyhow::anyhow!("{panic}")).into_response()
    });

    tracing::info!(
        request_id,
        method = method.as_str(),
        route = route.as_ref().map(MatchedPath::as_str),
        status = response.status().as_u16(),
        duration_ms = started.elapsed().as_secs_f64() * 1000.0,
        user = seen.0.get().map(|user| user.0.to_hex()),
        error = response.extensions().get::<Cause>().map(|cause| &*cause.0),
        "request"
    );
    response
}

/// Where this API answers, as its caller knows it, without a slash at the end: `https://files.example.com`. The gateway
/// takes no request for a host that is not its own.
pub struct ApiUrl(pub String);

impl<S: Send + Sync> FromRequestParts<S> for ApiUrl {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        match (parts.uri.scheme_str(), parts.uri.authority()) {
            (Some(scheme), Some(authority)) => Ok(Self(format!("{scheme}://{authority}"))),
            _ => Err(Error::Invalid("Missing Host")),
        }
    }
}

/// A JSON answer, with the charset that the original's framework names.
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], bytes).into_response(),
            Err(error) => Error::Internal(error.into()).into_response(),
        }
    }
}

//! What every HTTP function does alike: errors as the contract's JSON, one log line, no panic that escapes.

use std::time::{Duration, Instant, SystemTime};

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
use tokio::time::timeout;

use crate::{Error, error::Cause, limits, sessions::Seen};

/// Serves a function's routes until Lambda ends the instance.
pub async fn serve(routes: Router) -> Result<(), lambda_http::Error> {
    lambda_http::run(complete(routes)).await
}

fn complete(routes: Router) -> Router {
    routes
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(middleware::from_fn(answer))
}

async fn answer(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let seen = Seen::default();
    request.extensions_mut().insert(seen.clone());
    let context = request.lambda_context_ref();
    let request_id = context.map(|context| context.request_id.clone());
    // Each call to a store ends in time. Should there be many, the client gets our answer and not the platform's.
    let time = context.map_or(Duration::MAX, |context| {
        context.deadline().duration_since(SystemTime::now()).unwrap_or_default().saturating_sub(limits::LAST_WORDS)
    });
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
        timeout(time, std::panic::AssertUnwindSafe(next.run(request)).catch_unwind()).await.unwrap_or_else(|_| {
            Ok(Error::Unavailable(anyhow::anyhow!("the stores took too long, all together")).into_response())
        })
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

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, routing::get};
    use lambda_http::{Context, Service};
    use serde_json::{Value, json};

    use super::*;

    async fn asked(app: &mut Router, path: &str) -> (StatusCode, Value) {
        let mut context = Context::default();
        let deadline = SystemTime::now() + limits::LAST_WORDS + Duration::from_millis(100);
        context.deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap();
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap().with_lambda_context(context);
        let answer = app.call(request).await.unwrap();
        let status = answer.status();
        (status, serde_json::from_slice(&to_bytes(answer.into_body(), 1000).await.unwrap()).unwrap())
    }

    fn app() -> Router {
        complete(
            Router::new()
                .route("/panic", get(async || -> () { panic!("as a test") }))
                .route("/hang", get(std::future::pending::<()>))
                .route("/well", get(async || Json(1))),
        )
    }

    #[tokio::test]
    async fn r24_a_panic_is_a_500_and_the_next_request_works() {
        let mut app = app();
        let failed = (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": "Internal server error" }));
        assert_eq!(asked(&mut app, "/panic").await, failed);
        assert_eq!(asked(&mut app, "/well").await, (StatusCode::OK, json!(1)));
    }

    #[tokio::test]
    async fn r25_whatever_a_request_waits_for_it_is_answered_before_the_function_ends() {
        let started = Instant::now();
        let unavailable = (StatusCode::SERVICE_UNAVAILABLE, json!({ "error": "Service unavailable" }));
        assert_eq!(asked(&mut app(), "/hang").await, unavailable);
        assert!(started.elapsed() < limits::LAST_WORDS, "it took {:?}", started.elapsed());
    }
}

//! The HTTP server of every function: errors as the contract's JSON, one log line for each request, and no panic that
//! escapes.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant, SystemTime},
};

use anyhow::anyhow;
use axum::{
    Router,
    extract::{MatchedPath, Request},
    handler::Handler,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use futures_util::FutureExt;
use lambda_http::{LambdaEvent, RequestExt, Service, request::LambdaRequest, service_fn};
use tokio::time::timeout;

use super::{
    auth::LogUser,
    error::Cause,
    gateway_response::GatewayResponse,
    json::{is_html, is_json},
};
use crate::{
    Error, limits,
    stores::{Stores, reconnect::Reconnecting},
};

/// Lambda's id of the request. The log line of the request has the same id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Serves a function's routes until Lambda ends the instance. `routes` builds them, with connections to the stores. It
/// is called again if these connections were lost.
pub async fn serve<'a, R>(stores: &'a Stores, routes: impl Fn(&'a Stores) -> R + Sync) -> Result<(), lambda_http::Error>
where
    R: Future<Output = anyhow::Result<Router>> + Send,
{
    let routes = |stores| {
        let routes = routes(stores);
        async { Ok(with_defaults(routes.await?)) }
    };
    let routes = &Reconnecting::new(stores, routes).await?;
    let answer = async |event| answer(Router::clone(&*routes.get().await), event).await;
    lambda_http::lambda_runtime::run(service_fn(answer)).await
}

/// As [`serve`], for routes that use Redis and no other store: a connection to Redis that was lost is found by its use.
pub async fn serve_with_redis(routes: Router) -> Result<(), lambda_http::Error> {
    let routes = &with_defaults(routes);
    lambda_http::lambda_runtime::run(service_fn(async |event| answer(routes.clone(), event).await)).await
}

async fn answer(
    mut routes: Router,
    LambdaEvent { payload, context }: LambdaEvent<LambdaRequest>,
) -> Result<GatewayResponse, lambda_http::Error> {
    let request = lambda_http::Request::from(payload).with_lambda_context(context);
    GatewayResponse::of(Service::call(&mut routes, request).await?).await
}

fn with_defaults(routes: Router) -> Router {
    routes
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(middleware::from_fn(respond))
}

async fn respond(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let user = LogUser::default();
    request.extensions_mut().insert(user.clone());
    let request_id = request.lambda_context_ref().map(|context| context.request_id.clone());
    let method = request.method().clone();
    // The log has the route and not the path, because a path is user input.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let has_token = ["/shared/", "/s/"].iter().any(|prefix| request.uri().path().starts_with(prefix));

    let mut response =
        if is_preflight(&request) { StatusCode::NO_CONTENT.into_response() } else { run(request, next).await };
    if response.status().is_client_error() && !is_json(response.headers()) && !is_html(response.headers()) {
        // axum rejects a path or a query that it cannot parse, with a text of its own.
        response = Error::Invalid("Invalid request").into_response();
    }
    // Private answers must not be cached, nor 404s: the file may be published a moment later.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
    if has_token {
        // The path of a link is its secret, so no page that follows may learn the path.
        response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    if let Some(Ok(id)) = request_id.as_deref().map(HeaderValue::from_str) {
        response.headers_mut().insert(REQUEST_ID, id);
    }

    tracing::info!(
        request_id,
        method = method.as_str(),
        route = route.as_ref().map(MatchedPath::as_str),
        status = response.status().as_u16(),
        duration_ms = started.elapsed().as_secs_f64() * 1000.0,
        user = user.get().map(|user| user.to_string()),
        error = response.extensions().get::<Cause>().map(|cause| &*cause.0),
        "request"
    );
    response
}

/// CORS preflight: for `ANY` routes the gateway forwards OPTIONS and adds the CORS headers to our 2xx.
fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Runs the handler. A panic is answered, and a handler that takes too long.
async fn run(request: Request, next: Next) -> Response {
    // Each call to a store has its own timeout. If many calls together take too long, the client gets our answer and
    // not the platform's.
    let time = request.lambda_context_ref().map_or(Duration::MAX, |context| {
        context.deadline().duration_since(SystemTime::now()).unwrap_or_default().saturating_sub(limits::DEADLINE_MARGIN)
    });
    let error = match timeout(time, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
        Ok(Ok(response)) => return response,
        Ok(Err(panic)) => Error::Internal(anyhow!("{}", panic.downcast_ref::<&str>().unwrap_or(&"a panic"))),
        Err(_) => Error::Unavailable(anyhow!("the stores took too long, all together")),
    };
    error.into_response()
}

/// A route for a `GET` that changes something. Elsewhere axum answers `HEAD` as `GET`. Here `HEAD` is a 405, because
/// programs that check links send `HEAD` and must not change anything.
pub fn get_only<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let not_allowed = async || ([(header::ALLOW, "GET")], Error::MethodNotAllowed);
    get(handler).head(not_allowed).fallback(not_allowed)
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        routing::get,
    };
    use lambda_http::{Context, Service};

    use super::*;
    use crate::http::Json;

    #[tokio::test]
    async fn r25_a_request_is_answered_before_the_function_ends() {
        let mut app = with_defaults(Router::new().route("/hang", get(std::future::pending::<()>)));
        let mut context = Context::default();
        let end = SystemTime::now() + limits::DEADLINE_MARGIN + Duration::from_millis(100);
        context.deadline = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap();
        let request = Request::get("/hang").body(Body::empty()).unwrap().with_lambda_context(context);
        let answer = app.call(request).await.unwrap();
        assert!(SystemTime::now() < end);
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(&to_bytes(answer.into_body(), 1000).await.unwrap()[..], br#"{"error":"Service unavailable"}"#);
    }

    #[tokio::test]
    async fn r24_a_panic_is_an_error_in_json_and_the_next_request_works() {
        let routes = Router::new()
            .route("/panic", get(async || -> Response { panic!("a secret") }))
            .route("/well", get(async || Json(7)));
        let mut app = with_defaults(routes);
        let mut ask = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = app.call(request).await.unwrap();
            let (parts, body) = answer.into_parts();
            (parts.status.as_u16(), parts.headers, to_bytes(body, 1000).await.unwrap())
        };
        for _ in 0..2 {
            let (status, headers, body) = ask("/panic").await;
            assert_eq!((status, &body[..]), (500, &br#"{"error":"Internal server error"}"#[..]));
            assert_eq!(headers[header::CONTENT_TYPE], "application/json; charset=utf-8");
            let (status, _, body) = ask("/well").await;
            assert_eq!((status, &body[..]), (200, &b"7"[..]));
        }
    }
}

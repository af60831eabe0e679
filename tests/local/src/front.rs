//! The friendly address of the API: a proxy that hands every request on to the emulator under the path by which that
//! knows the API, and says of it what API Gateway would: by which host and protocol it came. Not every resolver knows
//! `*.localhost`, and nobody wants to type it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::uri::Authority;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// These belong to one connection and are not handed on.
const HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("keep-alive")];

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The listeners of the front, opened first of all so that a port in use is said before minutes of work.
pub struct Door {
    port: u16,
    listeners: Vec<TcpListener>,
}

impl Door {
    /// Port 0 takes any.
    pub async fn open(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
        let listener = listener.with_context(|| {
            format!("port {port} is taken; stop what uses it or choose another, `cargo local up --port {}`", port + 1)
        })?;
        let port = listener.local_addr()?.port();
        let mut listeners = vec![listener];
        // `localhost` may mean either; a machine without IPv6 has only the first.
        listeners.extend(TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await.ok());
        Ok(Self { port, listeners })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves until the program ends.
    pub fn serve(self, emulator: u16, api: &str) -> Result<()> {
        let host = HeaderValue::from_str(&format!("localhost:{}", self.port))?;
        let base = format!("http://127.0.0.1:{emulator}/_aws/execute-api/{api}/$default");
        // The emulator closes a connection that was idle for 75 s.
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(30)).build_http();
        for listener in self.listeners {
            tokio::spawn(accept(listener, Api { base: base.clone(), host: host.clone(), client: client.clone() }));
        }
        Ok(())
    }
}

async fn accept(listener: TcpListener, api: Api) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file handles, most likely; the next moment may be better.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let api = api.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let api = api.clone();
                async move { Ok::<_, Infallible>(api.forward(request).await) }
            });
            // A client that went away is not a failure of the front.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

#[derive(Clone)]
struct Api {
    base: String,
    /// What is said to who calls it by a name that is not its own; API Gateway would not take the request.
    host: HeaderValue,
    client: Client<HttpConnector, Incoming>,
}

impl Api {
    async fn forward(&self, mut request: Request<Incoming>) -> Response<BoxBody<Bytes, hyper::Error>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let Ok(uri) = format!("{}{path}", self.base).parse::<Uri>() else {
            return refusal(StatusCode::BAD_REQUEST, "Bad request");
        };
        *request.uri_mut() = uri;
        drop_hop_by_hop(request.headers_mut());
        // hyper answers it itself as soon as the body is read.
        request.headers_mut().remove(EXPECT);
        if !request.headers().get(HOST).is_some_and(is_loopback) {
            request.headers_mut().insert(HOST, self.host.clone());
        }
        request.headers_mut().insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
        match self.client.request(request).await {
            Ok(mut response) => {
                drop_hop_by_hop(response.headers_mut());
                response.map(BodyExt::boxed)
            }
            Err(_) => refusal(StatusCode::BAD_GATEWAY, "The local AWS emulator does not answer"),
        }
    }
}

fn is_loopback(host: &HeaderValue) -> bool {
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| ["localhost", "127.0.0.1", "[::1]"].contains(&authority.host()))
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn refusal(status: StatusCode, error: &str) -> Response<BoxBody<Bytes, hyper::Error>> {
    let body = Full::from(serde_json::json!({ "error": error }).to_string());
    let mut response = Response::new(body.map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

//! The public address of the API on this machine: a proxy that forwards every request to the emulator, under the path
//! that the emulator has for the API. It adds the headers that API Gateway adds about the host and the protocol. Not
//! every resolver knows `*.localhost`, and the emulator's own URL is long.
//!
//! The proxy also enforces the limits of API Gateway and Lambda, with their answers: a request or an answer that is too
//! large, and a function that takes too long. The emulator enforces none of them.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::http::response;
use hyper::http::uri::Authority;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::aws_limits::{GATEWAY_BODY, GATEWAY_HEAD, GATEWAY_TIMEOUT, LAMBDA_PAYLOAD};

/// Hop-by-hop headers, which belong to one connection and are not forwarded.
const HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("keep-alive")];

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The largest number of bytes of a body that is too large that are read and dropped. A client that is still sending
/// when its connection closes does not see the answer.
const DISCARDED: usize = 64 << 20;

/// The size of an event without its body, headers and path, in bytes: ids, times and the names of fields.
const ENVELOPE: usize = 600;

/// The proxy's listeners. They are opened before anything else, so that a port in use is reported before minutes of
/// work.
pub struct GatewayProxy {
    port: u16,
    listeners: Vec<TcpListener>,
}

impl GatewayProxy {
    /// Port 0 chooses a free port.
    pub async fn open(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
        let listener = listener.with_context(|| {
            format!("port {port} is taken; stop what uses it or choose another, `cargo local up --port {}`", port + 1)
        })?;
        let port = listener.local_addr()?.port();
        let mut listeners = vec![listener];
        // `localhost` may resolve to either address. A machine without IPv6 has only the first.
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
            // The process is most likely out of file descriptors, and a retry may succeed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let api = api.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let api = api.clone();
                async move { Ok::<_, Infallible>(api.forward(request).await) }
            });
            // An error here is expected: a client may close its connection.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

#[derive(Clone)]
struct Api {
    base: String,
    /// The `Host` that a function gets if a client uses another name than the API's. API Gateway would refuse such a
    /// request.
    host: HeaderValue,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Api {
    async fn forward(&self, request: Request<impl Body<Data = Bytes> + Unpin>) -> Response<Full<Bytes>> {
        match self.answer(request).await {
            Ok(response) => response,
            Err(refusal) => refusal.answer(),
        }
    }

    async fn answer(
        &self,
        request: Request<impl Body<Data = Bytes> + Unpin>,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let (mut head, body) = request.into_parts();
        if head_bytes(&head) > GATEWAY_HEAD {
            return Err(Refusal::HeadTooLarge);
        }
        let body = whole(body).await?;
        if event_bytes(&head, &body) > LAMBDA_PAYLOAD {
            return Err(Refusal::TooLarge);
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("{}{path}", self.base).parse::<Uri>().map_err(|_| Refusal::BadRequest)?;
        drop_hop_by_hop(&mut head.headers);
        // hyper answers `Expect` itself as soon as the body is read.
        head.headers.remove(EXPECT);
        if !head.headers.get(HOST).is_some_and(is_loopback) {
            head.headers.insert(HOST, self.host.clone());
        }
        head.headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
        let request = Request::from_parts(head, Full::from(body));
        let (mut head, body) = timeout(GATEWAY_TIMEOUT, self.ask(request)).await.map_err(|_| Refusal::TooSlow)??;
        if answer_bytes(&head.headers, &body) > LAMBDA_PAYLOAD {
            return Err(Refusal::Failed);
        }
        drop_hop_by_hop(&mut head.headers);
        if head.status == StatusCode::NO_CONTENT {
            // The emulator adds `application/json` to an answer for which the function sets no type.
            head.headers.remove(CONTENT_TYPE);
        }
        Ok(Response::from_parts(head, Full::from(body)))
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<(response::Parts, Bytes), Refusal> {
        let response = self.client.request(request).await.map_err(|_| Refusal::NoEmulator)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| Refusal::NoEmulator)?;
        Ok((head, body.to_bytes()))
    }
}

/// The reasons why a request gets no answer of a function.
#[derive(Debug, PartialEq)]
enum Refusal {
    HeadTooLarge,
    TooLarge,
    TooSlow,
    /// The function's answer is too large for Lambda.
    Failed,
    BadRequest,
    NoEmulator,
}

impl Refusal {
    fn answer(&self) -> Response<Full<Bytes>> {
        let (status, body) = match self {
            Self::HeadTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, json!({ "message": "Request Header Fields Too Large" }))
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, json!({ "message": "Request Entity Too Large" })),
            Self::TooSlow => (StatusCode::SERVICE_UNAVAILABLE, json!({ "message": "Service Unavailable" })),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, json!({ "message": "Internal Server Error" })),
            // AWS does not give these two answers.
            Self::BadRequest => (StatusCode::BAD_REQUEST, json!({ "error": "Bad request" })),
            Self::NoEmulator => (StatusCode::BAD_GATEWAY, json!({ "error": "The local AWS emulator does not answer" })),
        };
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

/// The body of a request, up to API Gateway's limit.
async fn whole(mut body: impl Body<Data = Bytes> + Unpin) -> Result<Bytes, Refusal> {
    let (mut bytes, mut read) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::BadRequest)?.into_data() else { continue };
        read += data.len();
        if read <= GATEWAY_BODY {
            bytes.extend_from_slice(&data);
        } else if read > DISCARDED {
            break;
        }
    }
    if read > GATEWAY_BODY { Err(Refusal::TooLarge) } else { Ok(Bytes::from(bytes)) }
}

/// The size of the first line and the values of the headers, in bytes.
fn head_bytes(head: &Parts) -> usize {
    let line = format!("{} {} {:?}", head.method, head.uri, head.version).len();
    line + head.headers.values().map(HeaderValue::len).sum::<usize>()
}

/// The size of the event that API Gateway makes from a request (payload format 2.0, as JSON), in bytes, correct to
/// within a few hundred.
fn event_bytes(head: &Parts, body: &[u8]) -> usize {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let headers = head.headers.iter().map(|(name, value)| name.as_str().len() + json_bytes(value.as_bytes()) + 4);
    let body = if is_text(&head.headers) { json_bytes(body) } else { base64_bytes(body) };
    // The event has the path and the query twice: as a whole and in parts.
    ENVELOPE + 2 * json_bytes(path.as_bytes()) + headers.sum::<usize>() + body
}

/// The size of the function's return value for this answer, in bytes, correct to within a few hundred.
fn answer_bytes(headers: &HeaderMap, body: &[u8]) -> usize {
    // lambda_http sends a body with a `Content-Encoding` as base64.
    let is_text = is_text(headers) && !headers.contains_key(CONTENT_ENCODING);
    let names = headers.iter().map(|(name, value)| name.as_str().len() + json_bytes(value.as_bytes()) + 4);
    names.sum::<usize>() + if is_text { json_bytes(body) } else { base64_bytes(body) }
}

/// True if API Gateway sends a body of this type as text. It sends any other as base64. The list is the emulator's,
/// which its authors compared with AWS.
fn is_text(headers: &HeaderMap) -> bool {
    let of = headers.get(CONTENT_TYPE).and_then(|of| of.to_str().ok()).unwrap_or_default();
    let of = of.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    of.starts_with("text/") || ["application/json", "application/xml", "application/javascript"].contains(&of.as_str())
}

fn base64_bytes(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(3) * 4 + 2
}

/// The size of a text as a JSON string, with its quotes, in bytes.
fn json_bytes(text: &[u8]) -> usize {
    let mut bytes = Count(0);
    // Counting does not fail.
    let _ = serde_json::to_writer(&mut bytes, &String::from_utf8_lossy(text));
    bytes.0
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn head(content_type: &str, more: &[(&'static str, String)]) -> Parts {
        let mut request = Request::post("/files?page=1").header(CONTENT_TYPE, content_type);
        for (name, value) in more {
            request = request.header(*name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn an_event_has_text_as_text_and_bytes_as_base64() {
        let body = vec![b'x'; 3 << 20];
        let beside = |of: usize, body: usize| of - body;
        let text = event_bytes(&head("application/json; charset=utf-8", &[]), &body);
        let bytes = event_bytes(&head("application/octet-stream", &[]), &body);
        assert!(beside(text, 3 << 20) < 1000 && beside(bytes, 4 << 20) < 1000, "{text} and {bytes}");
        // A quote takes two bytes in JSON, a control character six.
        let quotes = event_bytes(&head("text/plain", &[]), &[b'"'; 1000]);
        let controls = event_bytes(&head("text/plain", &[]), &[1; 1000]);
        assert_eq!(controls - quotes, 4000);
        // A body without a type is binary.
        let unknown = event_bytes(&Request::post("/files").body(()).unwrap().into_parts().0, &body);
        assert!(beside(unknown, 4 << 20) < 1000, "{unknown}");
    }

    #[test]
    fn the_largest_file_of_an_answer_fits_into_lambdas_answer() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
        // As text the answer would be six times as large.
        assert!(answer_bytes(&headers, &vec![1; 4 << 20]) < LAMBDA_PAYLOAD);
        assert!(answer_bytes(&headers, &vec![1; 5 << 20]) > LAMBDA_PAYLOAD);
        headers.remove(CONTENT_ENCODING);
        assert!(answer_bytes(&headers, &vec![1; 4 << 20]) > LAMBDA_PAYLOAD);
    }

    #[test]
    fn the_first_line_and_the_values_of_headers_count_together() {
        let line = "POST /files?page=1 HTTP/1.1".len();
        assert_eq!(head_bytes(&head("text/plain", &[])), line + "text/plain".len());
        let cookie = ("cookie", "x".repeat(10_000));
        assert_eq!(head_bytes(&head("text/plain", &[cookie])), line + "text/plain".len() + 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_function_that_does_not_answer_is_given_up_after_30_seconds() {
        // This server accepts connections and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let base = format!("http://{}", silent.local_addr().unwrap());
        let api = Api { base, host: HeaderValue::from_static("localhost"), client };
        let started = Instant::now();
        let answer = api.forward(Request::get("/status").body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), r#"{"message":"Service Unavailable"}"#);
        assert_eq!(started.elapsed().as_secs(), 30);
    }
}

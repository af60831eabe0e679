//! Requests, and the assertions about their answers.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value, json};

/// A client of the API, with a token, the cookie of the web app, or nothing.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    api: String,
    token: Option<String>,
    cookie: Option<String>,
}

impl Client {
    pub fn new(http: reqwest::Client, api: String) -> Self {
        Self { http, api, token: None, cookie: None }
    }

    /// The same client with this `X-Token`.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// The same client with this cookie of the web app.
    #[must_use]
    pub fn with_cookie(&self, cookie: impl Into<String>) -> Self {
        Self { cookie: Some(cookie.into()), ..self.clone() }
    }

    /// The cookie of the web app that the session of this client gets.
    ///
    /// # Panics
    /// The client has no session.
    pub async fn keep_session(&self) -> String {
        let kept = self.request("POST", "/web/session").send().await;
        assert_eq!(kept.status, 204, "of {kept}");
        kept.cookie().expect("a cookie")
    }

    /// # Panics
    /// The client has no token.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("somebody with a token")
    }

    pub fn request(&self, method: &str, path: &str) -> Request {
        let method = method.parse().expect("an HTTP method");
        let request = Request(self.http.request(method, format!("{}{path}", self.api)));
        let request = match &self.token {
            Some(token) => request.header("X-Token", token),
            None => request,
        };
        match &self.cookie {
            Some(cookie) => request.header("Cookie", &format!("{SESSION_COOKIE}={cookie}")),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    pub async fn put(&self, path: &str) -> Answer {
        self.request("PUT", path).send().await
    }

    pub async fn post(&self, path: &str, body: impl Serialize) -> Answer {
        self.request("POST", path).json(body).send().await
    }

    pub async fn patch(&self, path: &str, body: impl Serialize) -> Answer {
        self.request("PATCH", path).json(body).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send().await
    }

    pub async fn sign_up(&self, email: &str, password: &str) -> Answer {
        self.post("/users", json!({ "email": email, "password": password })).await
    }

    pub async fn connect(&self, email: &str, password: &str) -> Answer {
        let credentials = crate::encoded(format!("{email}:{password}").as_bytes());
        self.request("GET", "/connect").header("Authorization", &format!("Basic {credentials}")).send().await
    }
}

/// The name of the cookie of the web app.
pub const SESSION_COOKIE: &str = "__Host-session";

pub struct Request(reqwest::RequestBuilder);

impl Request {
    /// With the header that the web app sends together with its cookie.
    #[must_use]
    pub fn from_the_app(self) -> Self {
        self.header("X-Requested-With", "files-manager")
    }

    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, HeaderValue::from_bytes(value.as_bytes()).expect("one line")))
    }

    #[must_use]
    pub fn body(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.header("Content-Type", content_type).0.body(body))
    }

    #[must_use]
    pub fn json(self, body: impl Serialize) -> Self {
        self.body("application/json", serde_json::to_vec(&body).expect("JSON"))
    }

    pub async fn send(self) -> Answer {
        answer(self.0).await.expect("the API answers")
    }

    /// Sends the request with a time limit. The answer may be missing or incomplete.
    pub async fn send_within(self, patience: Duration) -> reqwest::Result<Answer> {
        answer(self.0.timeout(patience)).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let started = Instant::now();
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await?.to_vec();
    Ok(Answer { status, headers, body, took: started.elapsed() })
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub took: Duration,
}

impl Answer {
    /// Asserts that the body is exactly this JSON.
    #[track_caller]
    pub fn is(&self, status: u16, body: Value) {
        assert_eq!((self.status, self.json()), (status, body));
    }

    /// Asserts that the body is the contract's error and nothing else.
    #[track_caller]
    pub fn fails(&self, status: u16, error: &str) {
        self.is(status, json!({ "error": error }));
    }

    /// Asserts that the body is the error in the form that Uppy's clients read.
    #[track_caller]
    pub fn fails_with_message(&self, status: u16, error: &str) {
        self.is(status, json!({ "error": error, "message": error }));
    }

    /// The body as JSON. Its content type must be the contract's.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json; charset=utf-8", "of {self}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    /// The body as a file document.
    #[track_caller]
    pub fn document(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "of {self}");
        self.json();
        serde_json::from_slice::<Ordered>(&self.body).expect("an object").into_document()
    }

    /// The body as a file document. The header `ETag` must have its revision.
    #[track_caller]
    pub fn tagged(&self, status: u16) -> Value {
        let document = self.document(status);
        assert_eq!(self.header("etag"), format!("\"{}\"", document["revision"]), "of {self}");
        document
    }

    /// Asserts that the answer has this status and no body.
    #[track_caller]
    pub fn is_empty(&self, status: u16) {
        assert_eq!((self.status, self.body.len()), (status, 0), "of {self}");
    }

    /// The path of the next page of a listing; `None` for the last page.
    #[track_caller]
    pub fn next_page(&self) -> Option<String> {
        let link = self.header("link");
        if link.is_empty() {
            return None;
        }
        let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        let url = url.unwrap_or_else(|| panic!("no link to a next page: {link}"));
        // Scheme and host, if the URL has them, come before the path.
        let at = url.find("://").map_or(0, |at| at + 3);
        Some(url[at..].find('/').map_or(url, |path| &url[at + path..]).to_owned())
    }

    /// The body as the file documents of a listing.
    #[track_caller]
    pub fn documents(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "of {self}");
        self.json();
        let documents: Vec<Ordered> = serde_json::from_slice(&self.body).expect("an array of objects");
        documents.into_iter().map(Ordered::into_document).collect()
    }

    /// Asserts that the body is exactly these bytes, of this type.
    #[track_caller]
    pub fn is_content(&self, content_type: &str, bytes: &[u8]) {
        assert_eq!((self.status, self.header("content-type")), (200, content_type), "of {self}");
        assert!(self.body == bytes, "{} bytes that are not the {} expected", self.body.len(), bytes.len());
        assert_eq!(self.header("content-length"), bytes.len().to_string());
    }

    /// The value of a header; empty if the header is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of text"))
    }

    /// The value of the cookie of the web app that is set; `None` if none is.
    pub fn cookie(&self) -> Option<String> {
        let (name, rest) = self.header("set-cookie").split_once('=')?;
        let (value, _) = rest.split_once(';')?;
        (name == SESSION_COOKIE).then(|| value.to_owned())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// Status, headers and body, without the headers that differ between any two answers.
    pub fn comparable(mut self) -> (u16, HeaderMap, Vec<u8>) {
        // The first header is ours: it has the id of the request.
        for changing in
            ["x-request-id", "date", "apigw-requestid", "x-amzn-requestid", "x-amz-request-id", "x-amzn-trace-id"]
        {
            self.headers.remove(changing);
        }
        (self.status, self.headers, self.body)
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} {:?} {}", self.status, self.headers, body.chars().take(500).collect::<String>())
    }
}

/// Fields of a row that no document has.
const PRIVATE: [&str; 21] = [
    "__v",
    "_id",
    "became",
    "charged",
    "contentAt",
    "crc32",
    "decodingSince",
    "exchange",
    "key",
    "localPath",
    "moving",
    "nameKey",
    "picture",
    "previewOf",
    "state",
    "takenFrom",
    "thumbnailsDueAt",
    "thumbnailsId",
    "uploadId",
    "versionOf",
    "words",
];

/// The keys that come after those of the first releases, in their order.
const NEWER: [&str; 9] =
    ["revision", "trashedAt", "expiresAt", "copiedFrom", "width", "height", "takenAt", "thumbhash", "preview"];

/// The keys of an answer that come after those of the document: what is replaced, the requests that send the bytes, and
/// the path of what a search found.
const REQUESTS: [&str; 3] = ["replaces", "upload", "path"];

/// A JSON object with its keys in their order.
struct Ordered(Vec<(String, Value)>);

impl Ordered {
    #[track_caller]
    fn into_document(self) -> Value {
        let keys: Vec<&str> = self.0.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys.get(..6), Some(&["id", "userId", "name", "type", "isPublic", "parentId"][..]), "in {keys:?}");
        for private in PRIVATE {
            assert!(!keys.contains(&private), "{private} is shown: {keys:?}");
        }
        assert_eq!(keys.contains(&"trashedAt"), keys.contains(&"expiresAt"), "only what is in the trash: {keys:?}");
        let at = |key: &&str| NEWER.iter().position(|newer| newer == key);
        let newer: Vec<_> = keys.iter().skip_while(|key| at(key).is_none()).collect();
        let known = newer.iter().take_while(|key| at(key).is_some()).count();
        assert!(newer.iter().filter_map(|key| at(key)).is_sorted(), "{keys:?}");
        assert!(newer[known..].iter().all(|key| REQUESTS.contains(key)), "a key comes after newer ones: {keys:?}");
        let document: Map<String, Value> = self.0.into_iter().collect();
        for id in ["id", "userId"] {
            let hex = document[id].as_str().expect("an id is a string");
            assert!(hex.len() == 24 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}: {hex}");
        }
        document.into()
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Ordered;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

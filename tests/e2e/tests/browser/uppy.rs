//! Uppy in a browser.

use e2e::User;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::browser::Browser;

/// No request of a page to the API is larger: file content goes to S3 and through no function.
const LARGEST_BODY: u64 = 64 * 1024;

impl Browser {
    /// What became of each file, one after another.
    pub async fn upload(&self, files: &[Value]) -> Vec<Outcome> {
        let output = self.run("run.js", &files.into()).await;
        let outcomes: Vec<Outcome> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(outcomes.len(), files.len());
        for outcome in &outcomes {
            assert_eq!(outcome.thrown, Vec::<String>::new(), "errors that nobody caught: {outcome:?}");
            assert!(outcome.calls.iter().all(|call| call.to != To::Api || call.sent <= LARGEST_BODY), "{outcome:?}");
        }
        outcomes
    }

    pub async fn upload_one(&self, file: Value) -> Outcome {
        self.upload(&[file]).await.remove(0)
    }
}

/// A file that Uppy is to upload with a ticket.
pub fn with_ticket(major: u8, ticket: &Ticket, size: u64) -> Value {
    let (api, endpoint) = (&ticket.companion_endpoint, &ticket.companion_endpoint);
    json!({ "major": major, "api": api, "endpoint": endpoint, "name": NAME, "type": TYPE, "size": size })
}

pub const NAME: &str = "sea & sky+.bin";
pub const TYPE: &str = "application/x-sea";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    pub ticket: String,
    pub companion_endpoint: String,
}

impl Ticket {
    pub async fn of(user: &User, conditions: Value) -> Self {
        let answer = user.post("/uploads/tickets", conditions).await;
        assert_eq!(answer.status, 201, "of {answer}");
        serde_json::from_value(answer.json()).unwrap()
    }

    /// The same endpoint with another text for a ticket.
    pub fn replaced(&self, ticket: &str) -> Self {
        let companion_endpoint = self.companion_endpoint.replace(&self.ticket, ticket);
        Self { ticket: ticket.to_owned(), companion_endpoint }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub end: End,
    /// Errors of the page that nobody caught.
    thrown: Vec<String>,
    pub until_pause: Option<Vec<Call>>,
    pub calls: Vec<Call>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    Uploaded {
        key: String,
        url: String,
    },
    /// What Uppy would show.
    Failed(String),
    Cancelled,
}

/// A request of the page, preflights apart.
#[derive(Debug, Deserialize)]
pub struct Call {
    pub to: To,
    pub method: String,
    pub path: String,
    /// The number in a request of S3 for a part.
    pub part: Option<String>,
    /// Length of the body.
    pub sent: u64,
    /// None, if the page did not wait for it.
    pub status: Option<u16>,
    /// The body of an answer that is an error.
    pub refusal: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum To {
    Api,
    S3,
}

impl Outcome {
    pub fn calls(&self, to: To) -> Vec<&Call> {
        self.calls.iter().filter(|call| call.to == to).collect()
    }

    /// The bytes of all bodies that S3 was sent.
    pub fn sent_to_s3(&self) -> u64 {
        self.calls(To::S3).iter().map(|call| call.sent).sum()
    }

    /// The key of an upload that Uppy says is done, and the URL that it would show.
    #[track_caller]
    pub fn uploaded(&self) -> (&str, &str) {
        match &self.end {
            End::Uploaded { key, url } => (key, url),
            End::Failed(_) | End::Cancelled => panic!("not uploaded: {self:?}"),
        }
    }

    /// The id of the file that was uploaded, as a client finds it.
    #[track_caller]
    pub fn file(&self) -> &str {
        let (key, _) = self.uploaded();
        key.split('/').nth(1).unwrap()
    }

    /// What Uppy says of an upload that failed.
    #[track_caller]
    pub fn failed(&self) -> &str {
        match &self.end {
            End::Failed(message) => message,
            End::Uploaded { .. } | End::Cancelled => panic!("not failed: {self:?}"),
        }
    }
}

//! Runs Uppy in a browser.

use e2e::User;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::browser::Browser;

/// No request of a page to the API may be larger: file contents go to S3 and through no function.
const LARGEST_BODY: u64 = 64 * 1024;

impl Browser {
    /// Uploads the files one after the other, and returns the outcome of each.
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

/// A file that Uppy uploads with a ticket.
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

    /// The endpoint with another text in place of the ticket.
    pub fn replaced(&self, ticket: &str) -> Self {
        let companion_endpoint = self.companion_endpoint.replace(&self.ticket, ticket);
        Self { ticket: ticket.to_owned(), companion_endpoint }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub end: End,
    /// Uncaught errors of the page.
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
    /// The error that Uppy would show.
    Failed(String),
    Cancelled,
}

/// A request of the page, except preflights.
#[derive(Debug, Deserialize)]
pub struct Call {
    pub to: To,
    pub method: String,
    pub path: String,
    /// The part number in a request to S3.
    pub part: Option<String>,
    /// The length of the body.
    pub sent: u64,
    /// `None` if the page did not wait for the answer.
    pub status: Option<u16>,
    /// The body of an error answer.
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

    /// The total size of the bodies that were sent to S3.
    pub fn sent_to_s3(&self) -> u64 {
        self.calls(To::S3).iter().map(|call| call.sent).sum()
    }

    /// The key of a finished upload, and the URL that Uppy would show.
    #[track_caller]
    pub fn uploaded(&self) -> (&str, &str) {
        match &self.end {
            End::Uploaded { key, url } => (key, url),
            End::Failed(_) | End::Cancelled => panic!("not uploaded: {self:?}"),
        }
    }

    /// The id of the uploaded file, as a client finds it.
    #[track_caller]
    pub fn file(&self) -> &str {
        let (key, _) = self.uploaded();
        key.split('/').nth(1).unwrap()
    }

    /// Uppy's error of a failed upload.
    #[track_caller]
    pub fn failed(&self) -> &str {
        match &self.end {
            End::Failed(message) => message,
            End::Uploaded { .. } | End::Cancelled => panic!("not failed: {self:?}"),
        }
    }
}

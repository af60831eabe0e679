//! What comes through the queue: jobs of ours, and S3's word of the objects that have come.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use shared::{files::FileId, users::UserId};

#[derive(Debug, PartialEq)]
pub enum Message {
    /// The thumbnails of an image are wanted.
    Job(UserId, FileId),
    /// Objects have come.
    Arrived(Vec<Object>),
    /// S3 sends one when a notification is set up.
    Test,
}

/// An object as it came; there may be another by now.
#[derive(Debug, PartialEq)]
pub struct Object {
    pub key: String,
    pub etag: String,
}

impl Object {
    /// Whether S3 has made it of parts: the tag of such an object ends with a dash and their number, and only such a tag has
    /// a dash.
    pub fn is_of_parts(&self) -> bool {
        self.etag.contains('-')
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    #[serde(default)]
    file_id: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    records: Option<Vec<Record>>,
}

#[derive(Deserialize)]
struct Record {
    s3: S3,
}

#[derive(Deserialize)]
struct S3 {
    object: RecordedObject,
}

#[derive(Deserialize)]
struct RecordedObject {
    /// Encoded as in a form.
    key: String,
    #[serde(rename = "eTag", default)]
    etag: String,
}

impl Message {
    pub fn parse(body: &str) -> Result<Self, &'static str> {
        if let Ok(Event { event, records }) = serde_json::from_str(body) {
            if event.as_deref() == Some("s3:TestEvent") {
                return Ok(Self::Test);
            }
            if let Some(records) = records {
                let object = |Record { s3: S3 { object } }| Object {
                    key: percent_decode_str(&object.key.replace('+', " ")).decode_utf8_lossy().into_owned(),
                    etag: object.etag,
                };
                return Ok(Self::Arrived(records.into_iter().map(object).collect()));
            }
        }
        let job: Job = serde_json::from_str(body).map_err(|_| "Invalid JSON")?;
        let file = job.file_id.filter(|id| !id.is_empty()).ok_or("Missing fileId")?;
        let user = job.user_id.filter(|id| !id.is_empty()).ok_or("Missing userId")?;
        let user: FileId = user.parse().map_err(|_| "File not found")?;
        Ok(Self::Job(UserId(user.0), file.parse().map_err(|_| "File not found")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_names_a_file_and_its_user() {
        let id = "5f1e7d35c7ba06511e683b21";
        for (body, expected) in [
            (String::new(), "Invalid JSON"),
            ("{}".into(), "Missing fileId"),
            (format!(r#"{{"userId":"{id}"}}"#), "Missing fileId"),
            (format!(r#"{{"fileId":"{id}","userId":""}}"#), "Missing userId"),
            (format!(r#"{{"fileId":"x","userId":"{id}"}}"#), "File not found"),
            (format!(r#"{{"fileId":"{id}","userId":"x"}}"#), "File not found"),
        ] {
            assert_eq!(Message::parse(&body).unwrap_err(), expected, "{body}");
        }
        assert!(matches!(
            Message::parse(&format!(r#"{{"fileId":"{id}","userId":"{id}","extra":1}}"#)),
            Ok(Message::Job(..))
        ));
    }

    #[test]
    fn s3_says_what_came() {
        let body = r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put",
            "s3":{"bucket":{"name":"b"},"object":{"key":"uploads/a%2Bb+c/d","size":3,"eTag":"abc","sequencer":"1"}}}]}"#;
        let object = Object { key: "uploads/a+b c/d".into(), etag: "abc".into() };
        assert_eq!(Message::parse(body), Ok(Message::Arrived(vec![object])));
        assert_eq!(Message::parse(r#"{"Records":[]}"#), Ok(Message::Arrived(Vec::new())));
        assert_eq!(Message::parse(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#), Ok(Message::Test));
    }
}

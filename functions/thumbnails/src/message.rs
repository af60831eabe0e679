//! The messages of the queue: thumbnail jobs of our own, and S3's event notifications.

use serde::Deserialize;
use shared::{
    ids::{FileId, UserId},
    stores::s3::key,
};

#[derive(Debug, PartialEq)]
pub enum Message {
    /// Make the thumbnails of this user's image.
    ThumbnailJob(UserId, FileId),
    /// `s3:ObjectCreated` events.
    ObjectsCreated(Vec<CreatedObject>),
    /// S3 sends `s3:TestEvent` when a notification is configured.
    TestEvent,
}

/// An object as S3 reported it. A newer object may have replaced it by now.
#[derive(Debug, PartialEq)]
pub struct CreatedObject {
    pub key: String,
    pub etag: String,
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
struct Notification {
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    records: Option<Vec<EventRecord>>,
}

#[derive(Deserialize)]
struct EventRecord {
    s3: S3Record,
}

#[derive(Deserialize)]
struct S3Record {
    object: ObjectRecord,
}

#[derive(Deserialize)]
struct ObjectRecord {
    /// Encoded as in an HTML form: a space is a plus sign.
    key: String,
    #[serde(rename = "eTag", default)]
    etag: String,
}

impl Message {
    pub fn parse(body: &str) -> Result<Self, &'static str> {
        if let Ok(Notification { event, records }) = serde_json::from_str(body) {
            if event.as_deref() == Some("s3:TestEvent") {
                return Ok(Self::TestEvent);
            }
            if let Some(records) = records {
                let object = |EventRecord { s3: S3Record { object } }| CreatedObject {
                    key: key::decode(&object.key),
                    etag: object.etag,
                };
                return Ok(Self::ObjectsCreated(records.into_iter().map(object).collect()));
            }
        }
        let job: Job = serde_json::from_str(body).map_err(|_| "Invalid JSON")?;
        let file = job.file_id.filter(|id| !id.is_empty()).ok_or("Missing fileId")?;
        let user = job.user_id.filter(|id| !id.is_empty()).ok_or("Missing userId")?;
        let user = user.parse().map_err(|_| "File not found")?;
        Ok(Self::ThumbnailJob(user, file.parse().map_err(|_| "File not found")?))
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
            Ok(Message::ThumbnailJob(..))
        ));
    }

    #[test]
    fn an_s3_event_names_the_created_objects() {
        let body = r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put",
            "s3":{"bucket":{"name":"b"},"object":{"key":"uploads/a%2Bb+c/d","size":3,"eTag":"abc","sequencer":"1"}}}]}"#;
        let object = CreatedObject { key: "uploads/a+b c/d".into(), etag: "abc".into() };
        assert_eq!(Message::parse(body), Ok(Message::ObjectsCreated(vec![object])));
        assert_eq!(Message::parse(r#"{"Records":[]}"#), Ok(Message::ObjectsCreated(Vec::new())));
        assert_eq!(
            Message::parse(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#),
            Ok(Message::TestEvent)
        );
    }
}

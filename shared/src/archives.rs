//! ZIPs of documents and folders, made in the background from objects of the bucket into another object of the bucket.
//!
//! A request inserts a row into collection `zips` and starts function `archives`. The builder there has the row for
//! itself, by a lease. It stores a plan of the entries beside the ZIP, from which the layout of the ZIP
//! follows, to the last byte. Then it makes the parts of a multipart upload, as many as S3 does not have yet. So a builder
//! that dies, or whose time is over, loses the parts that it was at, and the next one goes on. Two builders at once, which
//! a lease cannot rule out, write the same bytes.
//!
//! The ZIP has what was visible when its plan was made. If an object is deleted before it is in the ZIP, the ZIP is begun
//! anew, with another plan.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    ids::{LinkId, UserId, ZipId},
    stores::s3::{Key, Objects, ResponseOverrides},
    time::Timestamp,
};

mod builder;
mod format;
mod layout;
mod names;
mod plan;
mod row;
mod zips;

pub use builder::{Builder, Outcome};
pub use zips::Zips;

/// Who may see a ZIP: the owner of the documents, or who has the link.
#[derive(Clone, Copy)]
pub struct Scope {
    pub owner: UserId,
    pub link: Option<LinkId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Due,
    Ready,
    Failed,
}

/// A ZIP as a requester sees it.
pub struct Zip {
    pub id: ZipId,
    pub state: State,
    /// The reason why there is no ZIP.
    pub error: Option<String>,
    /// `None` until the plan is made.
    pub entries: Option<u64>,
    /// The size of the ZIP.
    pub bytes: Option<u64>,
    /// The bytes of the ZIP that S3 has.
    pub done: u64,
    pub expires_at: Timestamp,
    name: String,
    key: Option<Key>,
}

/// The event of function `archives`.
#[derive(Serialize, Deserialize)]
pub struct Job {
    pub zip: ZipId,
}

impl Zip {
    /// A presigned URL of S3 for the ZIP.
    ///
    /// # Errors
    /// `Conflict` if the ZIP is not ready.
    pub async fn url(&self, objects: &Objects) -> Result<String> {
        let (State::Ready, Some(key)) = (self.state, &self.key) else { return Err(Error::Conflict("Not ready")) };
        let disposition = attachment(&self.name);
        let overrides = ResponseOverrides {
            content_type: "application/zip",
            disposition: &disposition,
            caching: "private, no-store",
        };
        objects.presign_get(key, overrides).await
    }
}

/// `Content-Disposition` for a file of this name: in ASCII for old clients, then in UTF-8.
fn attachment(name: &str) -> String {
    let plain = |c: char| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%') { c } else { '_' };
    let ascii: String = name.chars().map(plain).collect();
    let escaped = utf8_percent_encode(name, NON_ALPHANUMERIC);
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{escaped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s08_the_name_of_a_zip_is_one_line() {
        assert_eq!(attachment("a.zip"), "attachment; filename=\"a.zip\"; filename*=UTF-8''a%2Ezip");
        assert_eq!(
            attachment("é\"\r\n.zip"),
            "attachment; filename=\"____.zip\"; filename*=UTF-8''%C3%A9%22%0D%0A%2Ezip"
        );
    }
}

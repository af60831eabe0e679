//! The representation of a file or thumbnail (RFC 9110): its bytes and its headers.

use std::time::SystemTime;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    Error, Result,
    digest::digest,
    files::{Content, File, Kind, ThumbnailFile},
    stores::s3::Key,
};

pub struct Representation {
    pub key: Key,
    /// The size, in bytes.
    pub size: u64,
    pub content_type: String,
    /// The same digest means the same bytes.
    digest: String,
    modified: SystemTime,
    /// The file name for `Content-Disposition`.
    name: String,
}

/// The outcome of a request's conditions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Precondition {
    Holds,
    /// The client has this representation already.
    NotModified,
    /// `If-Match` or `If-Unmodified-Since` does not hold.
    Failed,
}

/// Tells a browser to show the content or to save it.
#[derive(Clone, Copy, PartialEq)]
pub enum Disposition {
    Inline,
    Attachment,
}

/// Every character that RFC 8187 does not allow in `filename*` unescaped.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

impl Representation {
    /// The original for an empty `size`, or the thumbnail of that width. `NotFound` if there is no such thumbnail.
    pub fn of(file: &File, size: &str) -> Result<Self> {
        let content = match &file.kind {
            Kind::Folder => return Err(Error::Invalid("A folder doesn't have content")),
            Kind::File(content) | Kind::Image(content, _) => content,
        };
        // Stored bytes are never changed, and thumbnails are made of nothing else. So both are as old as the content.
        let modified = file.content_at;
        let name = file.name.as_str().to_owned();
        if !size.is_empty() {
            let made = file.thumbnails().iter().find(|made| made.width.to_string() == size);
            // A preview may be younger than the content.
            let modified = match file.ready_preview() {
                Some(_) => modified.max(file.thumbnails_id.created_at()),
                None => modified,
            };
            return Ok(Self::of_thumbnail(file, made.ok_or(Error::NotFound)?, modified.in_whole_seconds().into()));
        }
        let modified = modified.in_whole_seconds().into();
        match content {
            Content::OnLegacyDisk => Err(Error::NotFound),
            Content::Stored { key, size } => Ok(Self {
                size: *size,
                content_type: file.name.content_type(),
                digest: digest(key.as_str().as_bytes()),
                key: key.clone(),
                modified,
                name,
            }),
        }
    }

    fn of_thumbnail(file: &File, thumbnail: &ThumbnailFile, modified: SystemTime) -> Self {
        let ThumbnailFile { width, size, content_type, digest } = thumbnail.clone();
        let name = file.name.as_str();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let extension = if content_type == "image/png" { "png" } else { "jpg" };
        Self {
            key: Key::of_thumbnail(file.thumbnails_id, width),
            size,
            name: format!("{stem}-{width}.{extension}"),
            content_type,
            digest,
            modified,
        }
    }

    /// The headers `ETag` and `Last-Modified`.
    pub fn validators(&self) -> Result<[(HeaderName, HeaderValue); 2]> {
        let modified = httpdate::fmt_http_date(self.modified);
        Ok([(header::ETAG, value(&self.etag())?), (header::LAST_MODIFIED, value(&modified)?)])
    }

    fn etag(&self) -> String {
        format!("\"{}\"", self.digest)
    }

    /// Evaluates the conditions in the order of RFC 9110, section 13.2.2. A date counts only without a tag.
    pub fn precondition(&self, asked: &HeaderMap) -> Precondition {
        let etag = self.etag();
        let is_named = |tag: &str| tag == "*" || tag == etag;
        let date = |name: HeaderName| {
            let date = asked.get(name).and_then(|value| value.to_str().ok());
            date.and_then(|date| httpdate::parse_http_date(date).ok())
        };
        let holds = if asked.contains_key(header::IF_MATCH) {
            // `If-Match` needs a strong comparison, so a weak tag never matches: two representations with one weak tag
            // may differ.
            listed(asked, header::IF_MATCH).any(is_named)
        } else {
            date(header::IF_UNMODIFIED_SINCE).is_none_or(|since| self.modified <= since)
        };
        if !holds {
            return Precondition::Failed;
        }
        let is_known = if asked.contains_key(header::IF_NONE_MATCH) {
            is_in_if_none_match(asked, &etag)
        } else {
            date(header::IF_MODIFIED_SINCE).is_some_and(|since| self.modified <= since)
        };
        if is_known { Precondition::NotModified } else { Precondition::Holds }
    }

    /// `Content-Disposition`: the name in ASCII for old clients, then in UTF-8. A PDF is always saved: a browser's
    /// viewer runs the scripts of a PDF whatever our headers say, and shows their output as ours.
    pub fn disposition(&self, wanted: Disposition) -> String {
        let is_shown = wanted == Disposition::Inline && self.kind() != "application/pdf";
        let kind = if is_shown { "inline" } else { "attachment" };
        let plain = |c: char| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%') { c } else { '_' };
        let ascii: String = self.name.chars().map(plain).collect();
        format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{}", utf8_percent_encode(&self.name, UNESCAPED))
    }

    /// `Content-Disposition` for an answer of S3. S3 cannot send the headers that keep active content from acting, so
    /// only passive types are shown.
    pub fn s3_disposition(&self, wanted: Disposition) -> String {
        let kind = self.kind();
        let is_passive = kind == "text/plain"
            || kind.starts_with("audio/")
            || kind.starts_with("video/")
            || (kind.starts_with("image/") && !kind.ends_with("xml"));
        self.disposition(if is_passive { wanted } else { Disposition::Attachment })
    }

    /// The media type without its parameters.
    fn kind(&self) -> &str {
        self.content_type.split(';').next().unwrap_or_default()
    }
}

/// True if `If-None-Match` has this tag or `*`. Tags are compared weakly.
pub fn is_in_if_none_match(asked: &HeaderMap, etag: &str) -> bool {
    fn strong(tag: &str) -> &str {
        tag.strip_prefix("W/").unwrap_or(tag)
    }
    listed(asked, header::IF_NONE_MATCH).any(|tag| tag == "*" || strong(tag) == strong(etag))
}

/// The members of a header that is a list. The list may be spread over several lines.
fn listed(asked: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = asked.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',').map(str::trim))
}

/// True if the request has a range of bytes. A `Range` in another unit is ignored (RFC 9110, section 14.2).
pub fn wants_range(asked: &HeaderMap) -> bool {
    let range = asked.get(header::RANGE).and_then(|value| value.to_str().ok());
    let unit = range.and_then(|range| range.split_once('=')).map(|(unit, _)| unit);
    unit.is_some_and(|unit| unit.eq_ignore_ascii_case("bytes"))
}

/// # Errors
/// `Internal` for a text that no header can have.
pub fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|error| Error::Internal(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "Fri, 02 Jan 1970 00:00:00 GMT";
    const BEFORE: &str = "Thu, 01 Jan 1970 23:59:59 GMT";

    fn representation(name: &str, content_type: &str) -> Representation {
        Representation {
            key: Key::random().unwrap(),
            size: 5,
            content_type: content_type.into(),
            digest: "digest".into(),
            modified: httpdate::parse_http_date(AT).unwrap(),
            name: name.into(),
        }
    }

    #[test]
    fn s08_a_name_is_one_line_whatever_is_in_it() {
        for (name, expected) in [
            ("a.txt", "inline; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
            ("a \"b\"; c\\.txt", "inline; filename=\"a _b_; c_.txt\"; filename*=UTF-8''a%20%22b%22%3B%20c%5C.txt"),
            ("naïve €.txt", "inline; filename=\"na_ve _.txt\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt"),
            ("100%\u{202e}", "inline; filename=\"100__\"; filename*=UTF-8''100%25%E2%80%AE"),
        ] {
            assert_eq!(representation(name, "text/plain").disposition(Disposition::Inline), expected);
        }
    }

    #[test]
    fn s05_a_pdf_is_saved_and_not_shown() {
        for (content_type, shown) in
            [("application/pdf", false), ("text/html; charset=utf-8", true), ("image/png", true)]
        {
            let said = representation("a", content_type).disposition(Disposition::Inline);
            assert_eq!(said.starts_with("inline"), shown, "{content_type}");
        }
    }

    #[test]
    fn s05_what_may_act_is_saved_and_not_shown_by_s3() {
        for (content_type, shown) in [
            ("image/png", true),
            ("text/plain; charset=utf-8", true),
            ("video/mp4", true),
            ("text/html; charset=utf-8", false),
            ("image/svg+xml", false),
            ("application/xhtml+xml", false),
            ("application/pdf", false),
            ("text/javascript; charset=utf-8", false),
            ("application/octet-stream", false),
        ] {
            let said = representation("a", content_type).s3_disposition(Disposition::Inline);
            assert_eq!(said.starts_with("inline"), shown, "{content_type}");
        }
    }

    fn asked(headers: &[(HeaderName, &str)]) -> HeaderMap {
        let mut asked = HeaderMap::new();
        for (name, text) in headers {
            asked.append(name, HeaderValue::from_str(text).unwrap());
        }
        asked
    }

    #[test]
    fn a_tag_counts_before_a_date() {
        let representation = representation("a", "text/plain");
        for (tag, date, known) in [
            (Some("\"digest\""), None, true),
            (Some("W/\"digest\""), None, true),
            (Some("\"x\", \"digest\""), None, true),
            (Some("*"), None, true),
            (Some("\"x\""), None, false),
            (Some("digest"), None, false),
            (Some("\"x\""), Some(AT), false),
            (None, Some(AT), true),
            (None, Some(BEFORE), false),
            (None, Some("yesterday"), false),
            (None, None, false),
        ] {
            let tag = tag.map(|tag| (header::IF_NONE_MATCH, tag));
            let date = date.map(|date| (header::IF_MODIFIED_SINCE, date));
            let headers: Vec<_> = tag.into_iter().chain(date).collect();
            let expected = if known { Precondition::NotModified } else { Precondition::Holds };
            assert_eq!(representation.precondition(&asked(&headers)), expected, "{headers:?}");
        }
    }

    #[test]
    fn if_none_match_compares_tags_weakly() {
        for etag in ["\"a\"", "W/\"a\""] {
            for (tags, is_in) in [
                ("\"a\"", true),
                ("W/\"a\"", true),
                ("*", true),
                ("\"b\", W/\"a\"", true),
                ("\"b\"", false),
                ("a", false),
                ("", false),
            ] {
                assert_eq!(
                    is_in_if_none_match(&asked(&[(header::IF_NONE_MATCH, tags)]), etag),
                    is_in,
                    "{etag} in {tags}"
                );
            }
            assert!(!is_in_if_none_match(&HeaderMap::new(), etag));
        }
    }

    #[test]
    fn if_match_is_evaluated_before_if_none_match() {
        use Precondition::{Failed, Holds, NotModified};
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
        let representation = representation("a", "text/plain");
        let (digest, weak, other) = ("\"digest\"", "W/\"digest\"", "\"x\"");
        for (headers, expected) in [
            (&[(IF_MATCH, digest)][..], Holds),
            (&[(IF_MATCH, "*")], Holds),
            (&[(IF_MATCH, other), (IF_MATCH, digest)], Holds),
            (&[(IF_MATCH, weak)], Failed),
            (&[(IF_MATCH, other)], Failed),
            (&[(IF_MATCH, "")], Failed),
            (&[(IF_UNMODIFIED_SINCE, AT)], Holds),
            (&[(IF_UNMODIFIED_SINCE, "yesterday")], Holds),
            (&[(IF_UNMODIFIED_SINCE, BEFORE)], Failed),
            (&[(IF_MATCH, digest), (IF_UNMODIFIED_SINCE, BEFORE)], Holds),
            (&[(IF_MATCH, other), (IF_UNMODIFIED_SINCE, AT)], Failed),
            (&[(IF_MATCH, digest), (IF_NONE_MATCH, digest)], NotModified),
            (&[(IF_MATCH, other), (IF_NONE_MATCH, digest)], Failed),
            (&[(IF_UNMODIFIED_SINCE, AT), (IF_MODIFIED_SINCE, AT)], NotModified),
            (&[(IF_UNMODIFIED_SINCE, BEFORE), (IF_MODIFIED_SINCE, AT)], Failed),
        ] {
            assert_eq!(representation.precondition(&asked(headers)), expected, "{headers:?}");
        }
    }

    #[test]
    fn only_a_range_of_bytes_is_one() {
        for (range, wanted) in [("bytes=0-1", true), ("Bytes=-1", true), ("items=0-1", false), ("bytes", false)] {
            assert_eq!(wants_range(&asked(&[(header::RANGE, range)])), wanted, "{range}");
        }
        assert!(!wants_range(&HeaderMap::new()));
    }
}

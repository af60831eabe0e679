//! The revision of a document, and changes that a client makes only if it has seen the latest one.

use mongodb::bson::Document;

use super::row::filter;
use crate::{Error, Result};

/// The header `If-Match` of a request: the revisions of which the document must have one, or nothing to check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IfMatch(Option<Vec<i64>>);

impl IfMatch {
    /// Parses the header: a list of entity tags, or `*` for any revision. A weak tag or one that is none of ours matches
    /// no document.
    pub fn parse(header: &str) -> Self {
        if header.trim() == "*" {
            return Self(None);
        }
        let tag = |tag: &str| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        Self(Some(header.split(',').filter_map(tag).collect()))
    }

    /// True if the request does not name a revision.
    pub(super) fn is_any(&self) -> bool {
        self.0.is_none()
    }

    /// # Errors
    /// `Changed` if the document has another revision.
    pub fn check(&self, revision: i64) -> Result<()> {
        match &self.0 {
            Some(revisions) if !revisions.contains(&revision) => Err(Error::Changed),
            _ => Ok(()),
        }
    }

    /// Adds the condition to a filter.
    pub(super) fn restrict(&self, filter: Document) -> Document {
        match &self.0 {
            Some(revisions) => filter::with_revision(filter, revisions),
            None => filter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::IfMatch;

    #[test]
    fn only_a_strong_tag_of_ours_matches() {
        for (header, expected) in [
            ("*", None),
            (" * ", None),
            (r#""7""#, Some(vec![7])),
            (r#""7", "8""#, Some(vec![7, 8])),
            (r#"W/"7""#, Some(vec![])),
            (r#"W/"7", "8""#, Some(vec![8])),
            ("7", Some(vec![])),
            (r#""x""#, Some(vec![])),
            ("", Some(vec![])),
        ] {
            assert_eq!(IfMatch::parse(header), IfMatch(expected), "{header}");
        }
    }
}

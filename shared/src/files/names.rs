//! What a request says about equal names in a folder, and how names are compared and numbered.

use futures_util::future::BoxFuture;
use unicode_normalization::UnicodeNormalization;

use super::{Name, Parent};
use crate::{
    Error, Result,
    ids::{FileId, UserId},
    limits,
};

/// What happens if the folder has the name already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Both documents have the name.
    #[default]
    Keep,
    /// The request fails.
    Fail,
    /// The new document gets a number.
    Rename,
    /// The existing file gets the new content.
    Replace,
}

impl OnConflict {
    /// # Errors
    /// `Invalid onConflict`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "keep" => Ok(Self::Keep),
            "fail" => Ok(Self::Fail),
            "rename" => Ok(Self::Rename),
            "replace" => Ok(Self::Replace),
            _ => Err(Error::Invalid("Invalid onConflict")),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Fail => "fail",
            Self::Rename => "rename",
            Self::Replace => "replace",
        }
    }
}

/// A document that is to get a name in a folder.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub owner: UserId,
    pub folder: Parent,
    pub name: &'a Name,
    /// The document's own id, which is in nobody's way.
    pub id: FileId,
    pub is_folder: bool,
}

/// The outcome of giving a document its name.
pub(super) enum Named<T> {
    Done(T),
    /// The document has to replace the content of this one.
    Replaces(FileId),
}

/// Stores a document with a name, and the name's key if no other document in the folder may have the name.
pub(super) trait Put<'f, T>: Fn(Name, Option<String>) -> BoxFuture<'f, Result<T>> + Send + Sync {}

impl<'f, T, F: Fn(Name, Option<String>) -> BoxFuture<'f, Result<T>> + Send + Sync> Put<'f, T> for F {}

/// The name for comparisons: NFC, without case.
pub(super) fn key(name: &Name) -> String {
    // All three, so that `ß`, `ẞ` and `SS` are the same, as in Unicode's full case folding.
    let folded =
        name.as_str().nfc().flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    folded.nfc().collect()
}

/// The most names that [`spellings`] returns.
const MAX_SPELLINGS: usize = 16;

/// The name, and how else it may be written where the index of names, unlike [`key`], tells `ß` from `ss`.
pub(super) fn spellings(name: &Name) -> Vec<Name> {
    let mut spellings = vec![String::new()];
    let mut rest = name.as_str();
    while let Some(first) = rest.chars().next() {
        let both = ["ss", "sS", "Ss", "SS"].into_iter().find(|both| rest.starts_with(both));
        let (taken, other) = match (both, first) {
            (Some(both), _) => (both.len(), Some("ß")),
            (None, 'ß' | 'ẞ') => (first.len_utf8(), Some("ss")),
            (None, _) => (first.len_utf8(), None),
        };
        let mut written = Vec::new();
        if let Some(other) = other.filter(|_| spellings.len() < MAX_SPELLINGS) {
            written.extend(spellings.iter().map(|before| format!("{before}{other}")));
        }
        for before in &mut spellings {
            before.push_str(&rest[..taken]);
        }
        spellings.extend(written);
        rest = &rest[taken..];
    }
    spellings.into_iter().map(Name).collect()
}

impl Name {
    /// The name for comparisons: NFC, without case.
    pub(crate) fn key(&self) -> String {
        key(self)
    }

    /// The name with a number before its extension, at most [`limits::MAX_NAME_BYTES`] long. A folder has no extension.
    pub(crate) fn numbered(&self, number: u32, is_folder: bool) -> Self {
        let name = self.as_str();
        let extension = name.rfind('.').filter(|&at| at > 0 && !is_folder).map_or("", |at| &name[at..]);
        // An extension that fills the name is none.
        let extension = if extension.len() > limits::MAX_NAME_BYTES / 2 { "" } else { extension };
        let number = format!(" ({number})");
        let mut base = name.len() - extension.len();
        let most = limits::MAX_NAME_BYTES - number.len() - extension.len();
        while base > most || !name.is_char_boundary(base) {
            base -= 1;
        }
        Self(format!("{}{number}{extension}", &name[..base]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_equal_after_nfc_and_without_case() {
        for (one, other) in [
            ("A.TXT", "a.txt"),
            ("e\u{301}.txt", "É.txt"),
            ("STRASSE", "straße"),
            ("STRAẞE", "strasse"),
            ("ΣΑΣ", "σας"),
        ] {
            assert_eq!(key(&name(one)), key(&name(other)), "{one} and {other}");
        }
        for (one, other) in [("a.txt", "b.txt"), ("e", "é"), ("a 1", "a 01")] {
            assert_ne!(key(&name(one)), key(&name(other)), "{one} and {other}");
        }
    }

    #[test]
    fn a_name_is_written_with_either_form_of_a_sharp_s() {
        let spelled =
            |text: &str| spellings(&name(text)).iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(spelled("a.txt"), ["a.txt"]);
        assert_eq!(spelled("straße"), ["straße", "strasse"]);
        assert_eq!(spelled("ESSSS"), ["ESSSS", "EßSS", "ESSß", "Eßß"]);
        assert_eq!(spelled(&"ss".repeat(100)).len(), MAX_SPELLINGS);
        assert!(spelled("sSßẞ").iter().all(|other| key(&name(other)) == key(&name("ssssss"))));
    }

    #[test]
    fn a_number_stands_before_the_extension() {
        for (one, is_folder, expected) in [
            ("a.txt", false, "a (2).txt"),
            ("a.tar.gz", false, "a.tar (2).gz"),
            ("README", false, "README (2)"),
            (".hidden", false, ".hidden (2)"),
            ("a.b", true, "a.b (2)"),
        ] {
            assert_eq!(name(one).numbered(2, is_folder).as_str(), expected);
        }
        let long = name(&format!("{}.txt", "é".repeat(125)));
        let numbered = long.numbered(10_000, false);
        assert!(numbered.as_str().ends_with(" (10000).txt") && numbered.as_str().len() <= 255, "{numbered:?}");
        assert!(name(&format!("a.{}", "x".repeat(253))).numbered(2, false).as_str().len() <= 255);
    }
}

//! Names of entries. A path in a ZIP leads to a place on the disk of whoever unpacks it, so a name is no path, and two
//! names in a folder are not equal, also where case makes no difference.

use std::collections::{HashMap, hash_map::Entry};

use crate::{files::Name, limits};

/// The names that a folder of a ZIP has.
#[derive(Default)]
pub struct Taken {
    /// The numbers to try next, by the keys of the names.
    next: HashMap<String, u32>,
}

impl Taken {
    /// The name for an entry of this folder, as much like the document's as it may be.
    pub fn take(&mut self, name: &Name, is_folder: bool) -> Name {
        let name = safe(name);
        let first = match self.next.entry(name.key()) {
            Entry::Vacant(free) => {
                free.insert(2);
                return name;
            }
            Entry::Occupied(taken) => *taken.get(),
        };
        let mut number = first;
        loop {
            let numbered = name.numbered(number, is_folder);
            number += 1;
            if let Entry::Vacant(free) = self.next.entry(numbered.key()) {
                free.insert(2);
                self.next.insert(name.key(), number);
                return numbered;
            }
        }
    }
}

/// The name without what a system takes for a part of a path. `\` and `:` are that on Windows. Names of the original may
/// have any characters and any length.
fn safe(name: &Name) -> Name {
    let plain = |c: char| if matches!(c, '/' | '\\' | ':') || c.is_control() { '_' } else { c };
    let text: String = name.as_str().chars().map(plain).collect();
    let text = match text.as_str() {
        "" | "." => "_",
        ".." => "__",
        other => other,
    };
    let mut end = text.len().min(limits::MAX_NAME_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].parse().unwrap_or_else(|_| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn taken(names: &[&str], is_folder: bool) -> Vec<String> {
        let mut taken = Taken::default();
        names.iter().map(|text| taken.take(&name(text), is_folder).as_str().to_owned()).collect()
    }

    #[test]
    fn f55_a_name_is_no_path() {
        for (given, expected) in [
            (".", "_"),
            ("..", "__"),
            ("...", "..."),
            ("C:\\x", "C__x"),
            ("a\\..\\b", "a_.._b"),
            ("..\\..\\etc", ".._.._etc"),
            ("\u{202e}gpj.exe", "\u{202e}gpj.exe"),
            ("🌍", "🌍"),
        ] {
            assert_eq!(taken(&[given], false), [expected], "{given}");
        }
    }

    #[test]
    fn f55_a_name_of_the_original_is_no_path_either() {
        for (given, expected) in [("../x", ".._x"), ("a\0b", "a_b"), ("/", "_"), ("", "_"), ("a\r\nb", "a__b")] {
            assert_eq!(safe(&Name::of_original(given)).as_str(), expected, "{given:?}");
        }
        assert_eq!(safe(&Name::of_original(&"é".repeat(300))).as_str(), "é".repeat(127));
    }

    #[test]
    fn f55_equal_names_get_numbers_whatever_their_case() {
        assert_eq!(taken(&["a.txt", "A.TXT", "a.txt"], false), ["a.txt", "A (2).TXT", "a (3).txt"]);
        assert_eq!(taken(&["a (2).txt", "a.txt", "a.txt"], false), ["a (2).txt", "a.txt", "a (3).txt"]);
        assert_eq!(taken(&["a:b", "a\\b"], true), ["a_b", "a_b (2)"]);
        assert_eq!(taken(&["e\u{301}", "é"], true), ["e\u{301}", "é (2)"]);
    }
}
